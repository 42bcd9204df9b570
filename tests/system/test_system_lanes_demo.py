"""The default demonstration, and one for each lane: each ends right and says so, and is judged where it does not."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final

import pytest
from lanes_runs import SHIPPED, Played, started
from street_bench import ask

pytestmark = pytest.mark.timeout(240)

DEFAULT: Final = "lanes"
SAYS: Final = {
    "lanes": r"dso-openadr/capacity-3000/0 rules export-limit .* ceiling 3000 W; not binding: dso/limit-4000",
    "sep2-server": r"dso/off rules connect at house-1 by B: off",
    "mqtt": r"market/sell-4000-w is answered partial for house-1 by C10; .* clipped to 2000 W by dso/limit-2000",
    "openadr": r"dso/limit-4000/0 is answered superseded for house-1 by C1; a newer version takes its place",
    "feeder": r"market/sell-200-kw is answered partial for depot by C10; .* clipped to 1[345].* kW by the feeder",
    "site-meter": r"dso/limit-2000 commands roof-1 by C2: limit 3[345].. W",
}
"""What each shipped demonstration says only where its lane was there; `street` has tests of its own."""
COUNTS: Final = r"^(\d+) of (\d+) answers right, (\d+) of (\d+) measurements as they must be"
JUDGED: Final = """
name = "judged"
begins = "contact"
[[inverter]]
name = "roof"
resource = "house"
irradiance = 0.9
[[resource]]
name = "house"
lfdi = "2A342CD9BEB285455C8C8EAC11E4634600009D6C"
[[vtn]]
name = "dso"
[[vtn.program]]
name = "capacity"
descriptors = { EXPORT_CAPACITY_LIMIT = "KW" }
[[step]]
at_s = 0
[step.vtn_issue]
vtn = "dso"
program = "capacity"
name = "limit"
payloads = { EXPORT_CAPACITY_LIMIT = 3.0 }
start_s = 20
duration_s = 40
expect = "EXPECT"
[[step]]
at_s = 0
[step.vtn_issue]
vtn = "dso"
program = "capacity"
name = "for-nobody"
payloads = { EXPORT_CAPACITY_LIMIT = 3.0 }
targets = ["nobody"]
EXPECTED_OF_NOBODY
[[step]]
at_s = 55
proof = { name = "it is obeyed", at_most_w = AT_MOST }
[[step]]
at_s = 80
end = true
"""
WRONG: Final = {
    "other answers": ("cancelled", 'expect = "completed"', 3050, "0 of 2 answers right, 1 of 1 measurements as they"),
    "other power": ("completed", "", 2000, "1 of 1 answers right, 0 of 1 measurements as they must be"),
}

Plays = dict[str, "Future[Played]"]


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plays]:
    """Start all of them, two at a time."""
    pool = ThreadPoolExecutor(2)
    folder = partial(tmp_path_factory.mktemp, numbered=True)
    found = {DEFAULT: started(pool, folder(DEFAULT))}
    found |= {name: started(pool, folder(name), name) for name in SAYS if name != DEFAULT}
    for name, (expect, of_nobody, at_most_w, _said) in WRONG.items():
        kept = folder("judged")
        scenario = kept / "judged.toml"
        text = JUDGED.replace("EXPECTED_OF_NOBODY", of_nobody).replace("EXPECT", expect)
        scenario.write_text(text.replace("AT_MOST", str(at_most_w)))
        found[name] = started(pool, kept, scenario)
    yield found
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", SAYS)
def test_a_lane_ends_right_and_says_so(name: str, plays: Plays) -> None:
    played = plays[name].result()
    assert played.code == 0, (played.said, played.complained)
    counts = re.search(
        r"^(\d+) of (\d+) answers right, (\d+) of (\d+) measurements as they must be", played.said, re.MULTILINE
    )
    assert counts is not None
    right, answers, shown, measured = map(int, counts.groups())
    assert right == answers > 0
    assert shown == measured == played.said.count("check ok") > 0
    assert re.search(SAYS[name], played.said), played.said


@pytest.mark.parametrize("name", SAYS)
def test_replay_decides_a_lane_the_same_bit_for_bit(name: str, plays: Plays) -> None:
    replayed = ask("replay", "--state", plays[name].result().state, "--json")
    assert (replayed.returncode, replayed.stderr) == (0, "")
    found = json.loads(replayed.stdout)
    assert found["agreed"]
    assert found["skipped"] == 0
    assert found["rulings"] > 0


def test_every_shipped_scenario_is_demonstrated_and_named_by_the_help() -> None:
    shipped = {file.stem for file in SHIPPED.glob("*.toml")}
    assert shipped == {*SAYS, "street"}
    told = ask("demo", "--help").stdout
    assert [name for name in sorted(shipped) if name not in told] == []


def test_explain_names_both_wires_that_disagree_and_the_rule(plays: Plays) -> None:
    played = plays[DEFAULT].result()
    lines = [json.loads(line) for line in (played.folder / "simulators.jsonl").read_text().splitlines()[1:]]
    mrid = next(line["mrid"] for line in lines if line["kind"] == "issued" and line["control"] == "limit-4000")
    event = next(line["id"] for line in lines if line["kind"] == "vtn_issued" and line["event"] == "capacity-3000")
    disagreed = rf"dso-openadr/{event}/0 rules export-limit at house-1.* by C2: ceiling 3000 W; not binding: dso/{mrid}"
    for subject in ("roof-1", event, mrid):
        explained = ask("explain", subject, "--state", played.state)
        assert explained.returncode == 0, explained
        assert re.search(disagreed, explained.stdout), (subject, explained.stdout)


def test_explain_takes_what_the_demonstration_says_to_ask(plays: Plays) -> None:
    for name in (DEFAULT, "openadr"):
        asked = re.findall(r"(?:ask|try): gateway (.*)$", plays[name].result().said, re.MULTILINE)
        assert len(asked) == 2
        for words in asked:
            explained = ask(*words.split())
            assert explained.returncode == 0, explained
            assert explained.stdout


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_end_of_an_event_or_a_wrong_power_is_found(name: str, plays: Plays) -> None:
    played = plays[name].result()
    assert played.code == 1, (played.said, played.complained)
    assert WRONG[name][3] in played.said
