"""Every scenario on the pure core: rulings and answers exactly as the rules say, to the millisecond."""

import re
from pathlib import Path

import msgspec
import pytest
from scenario_core import CorePlayer
from scenario_file import Case, cases
from scenario_records import came, differences

CASES = list(cases())
FIRST_CASES = {1, 2, 3, 5, 7, 8, 10, 12, 13, 14, 15, 18, 19, 20, 22, 24}
"""Rows of the table of first scenarios."""


def test_there_is_a_folder_for_every_rule() -> None:
    rules = {*(f"A{number}" for number in range(1, 8)), *(f"C{number}" for number in range(1, 20)), "E"}
    assert rules <= {case.name.partition("/")[0] for case in CASES}


def test_the_first_cases_are_among_them() -> None:
    said = [re.findall(r"SCENARIOS (\d+)", case.timeline().says) for case in CASES]
    assert {int(number) for numbers in said for number in numbers} == FIRST_CASES


def test_every_expected_line_is_held_against_what_came(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "C2/two-slots")
    player = CorePlayer(case, tmp_path)
    streams = came(player.run(), player.begin_ms, ())
    right = case.expected()
    assert not differences(right, streams)
    for place, line in enumerate(right):
        before, after = right[:place], right[place + 1 :]
        for wrong in ({"rule": "X"}, {"at_s": line.at_s + 1}, {"answer": "lost"} if line.answer else {"value": 1}):
            assert differences([*before, msgspec.structs.replace(line, **wrong), *after], streams)
        assert differences([*before, *after], streams)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_core_rules_as_the_rules_say(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    timeline = case.timeline()
    differs = timeline.differs.get("both") or timeline.differs.get("core")
    if differs:
        request.applymarker(pytest.mark.xfail(strict=True, reason=differs))
    player = CorePlayer(case, tmp_path)
    tells = player.run()
    found = differences(case.expected(), came(tells, player.begin_ms, timeline.also))
    assert not found, "\n".join((timeline.says, *found))
