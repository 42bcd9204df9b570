"""The demo, and the same street with a gateway that is killed ten times: both end with the same right answers."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from street_bench import STREET, Bench, Child, Line, ask, by_control

from gateway.cli.demo import terminal_answers
from gateway.diagnostics.records import KEYS
from hil.scenario import TERMINAL

# Seconds of the timeline, each in the middle of something: as an order is listed, starts, is replaced, refused,
# cancelled or disobeyed, twice in quick succession, out of contact, and as the owed answers go out. Each leaves time
# to start again before the next measurement that the scenario judges.
KILLED_AT_S = (44, 129, 281, 346, 404, 449, 468, 671, 741, 760)
DEMO_S = 100.0
RULE = re.compile(r"A[1-9]|B|C[1-9]\d?|E")
SMALL = """
name = "small"
begins = "contact"
[[inverter]]
name = "roof"
resource = "house"
irradiance = 0.9
[[resource]]
name = "house"
lfdi = "2A342CD9BEB285455C8C8EAC11E4634600009D6C"
[[head_end]]
name = "dso"
certificate = "dso"
poll_rate_s = 20
[[head_end.program]]
name = "envelope"
primacy = 3
[[step]]
at_s = 0
[step.issue]
head_end = "dso"
program = "envelope"
name = "limit"
modes = { opModExpLimW = 3000 }
start_s = 25
duration_s = 40
expect = EXPECT
[[step]]
at_s = 60
proof = { name = "it is obeyed", at_most_w = AT_MOST }
[[step]]
at_s = 110
end = true
"""


class Ended(NamedTuple):
    """A run of the whole street that is over."""

    folder: Path
    code: int
    summary: Line

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def statuses(self) -> dict[tuple[str, str], list[int]]:
        return by_control(self.summary["answers"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Ended]:
    """Run the demo, and the street with the killed gateway, side by side."""
    kept = tmp_path_factory.mktemp("demo")
    demo = Child("gateway", ("demo", "--json", "--keep", str(kept)), kept, "demo")
    try:
        killed = killed_ten_times(tmp_path_factory.mktemp("killed"))
        code = demo.process.wait(DEMO_S)
    finally:
        demo.stop()
    summary = json.loads((kept / "simulators.jsonl").read_text().splitlines()[-1])
    return Ended(kept, code, summary), killed


def killed_ten_times(folder: Path) -> Ended:
    with Bench(folder) as bench:
        simulators = bench.simulators(STREET)
        gateway = bench.gateway(simulators)
        while not (begun := simulators.happened("begun")):
            bench.sleep_until_ms(bench.now_ms() + 1000)
        for at_s in KILLED_AT_S:
            bench.sleep_until_ms(begun[0]["t_ms"] + 1000 * at_s)
            assert gateway.stop(signal.SIGKILL) == -signal.SIGKILL
            gateway = bench.gateway(simulators)
        code = simulators.process.wait(DEMO_S)
        assert gateway.stop() == 0
        return Ended(folder, code, simulators.summary())


@pytest.fixture
def demo(runs: tuple[Ended, Ended]) -> Ended:
    return runs[0]


@pytest.fixture
def killed(runs: tuple[Ended, Ended]) -> Ended:
    return runs[1]


def test_demo_tells_a_record_for_each_decision_and_exits_0(demo: Ended) -> None:
    assert demo.code == 0, (demo.folder / "demo.err").read_text()
    records = [json.loads(line) for line in (demo.folder / "demo.out").read_text().splitlines()]
    assert len(records) > 500
    for record in records:
        assert tuple(record) == KEYS == ("t", "order", "device", "function", "rule", "effect", "answer")
        assert all(isinstance(value, str) for value in record.values())
        assert RULE.fullmatch(record["rule"]), record
    assert all(proof["ok"] for proof in demo.summary["proofs"])
    assert len(demo.summary["proofs"]) == 12


def test_killed_gateway_ends_with_what_the_undisturbed_one_ends_with(demo: Ended, killed: Ended) -> None:
    wrong = [one for one in (*killed.summary["verdicts"], *killed.summary["proofs"]) if not one["ok"]]
    assert not wrong
    assert killed.code == 0
    assert [proof["name"] for proof in killed.summary["proofs"]] == [proof["name"] for proof in demo.summary["proofs"]]
    undisturbed = {key: set(statuses) for key, statuses in demo.statuses().items()}
    assert {key: set(statuses) for key, statuses in killed.statuses().items()} == undisturbed
    assert len(undisturbed) == 9 * 6
    for key, statuses in killed.statuses().items():
        assert len(TERMINAL.intersection(statuses)) == 1, (key, statuses)


@pytest.mark.parametrize("run", ["demo", "killed"])
def test_journal_has_one_terminal_answer_for_each_order_and_resource(run: str, request: pytest.FixtureRequest) -> None:
    answered = terminal_answers(request.getfixturevalue(run).state)
    assert len(answered) == 9 * 6
    assert {key: kinds for key, kinds in answered.items() if len(kinds) != 1} == {}


@pytest.mark.parametrize("run", ["demo", "killed"])
def test_replay_decides_the_same_bit_for_bit(run: str, request: pytest.FixtureRequest) -> None:
    replayed = ask("replay", "--state", request.getfixturevalue(run).state, "--json")
    assert (replayed.returncode, replayed.stderr) == (0, "")
    found = json.loads(replayed.stdout)
    assert found["agreed"]
    assert found["skipped"] == 0
    assert found["rulings"] > 20


def test_explain_says_in_sentences_what_became_of_an_order_and_a_device(demo: Ended) -> None:
    lines = [json.loads(line) for line in (demo.folder / "simulators.jsonl").read_text().splitlines()[1:]]
    mrid = next(line["mrid"] for line in lines if line["kind"] == "issued" and line["control"] == "limit-2000")
    of_order = ask("explain", mrid, "--state", demo.state)
    assert of_order.returncode == 0
    assert f"dso/{mrid} is answered cannot for house-6 by C15; 4500 W over the limit of 2000 W" in of_order.stdout
    of_device = ask("explain", "roof-6", "--state", demo.state)
    assert of_device.returncode == 0
    assert f"dso/{mrid} commands roof-6 by C" in of_device.stdout
    assert "roof-5" not in of_device.stdout
    for line in (*of_order.stdout.splitlines(), *of_device.stdout.splitlines()):
        assert re.match(r"2026-06-21T12:\d\d:\d\d\.\d{3}Z .* by (A\d|B|C\d+|E)\b", line), line


def test_explain_suggests_where_a_name_is_unknown(demo: Ended) -> None:
    asked = ask("explain", "rof-6", "--state", demo.state)
    assert asked.returncode == 2
    assert asked.stdout == ""
    assert len(asked.stderr.splitlines()) == 1
    assert "did you mean roof-6" in asked.stderr


def test_demo_is_judged_by_its_expectations(tmp_path: Path) -> None:
    started = {}
    for name, expect, at_most_w in (("right", 3, 3050), ("other answer", 7, 3050), ("other power", 3, 2000)):
        scenario = tmp_path / f"{name}.toml"
        scenario.write_text(SMALL.replace("EXPECT", str(expect)).replace("AT_MOST", str(at_most_w)))
        arguments = [sys.executable, "-m", "gateway", "demo", "--scenario", str(scenario)]
        started[name] = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    told = {name: process.communicate(timeout=60)[0] for name, process in started.items()}
    codes = {name: process.returncode for name, process in started.items()}
    assert codes == {"right": 0, "other answer": 1, "other power": 1}, told
    assert "1 of 1 answers right, 1 of 1 measurements as they must be" in told["right"]
    assert "0 of 1 answers right, 1 of 1 measurements as they must be" in told["other answer"]
    assert "1 of 1 answers right, 0 of 1 measurements as they must be" in told["other power"]
