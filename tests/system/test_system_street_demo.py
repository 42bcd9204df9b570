"""The demo, and the same street with a gateway that is killed ten times: both end with the same right answers."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from street_bench import ask
from street_runs import KILLED_AT_S, Ended, Runs

from gateway.cli.demo import terminal_answers
from gateway.diagnostics.records import KEYS
from hil.scenario import TERMINAL

pytestmark = pytest.mark.timeout(240)
ORDERS, HOUSES = 9, 6
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
at_s = 90
end = true
"""


@pytest.fixture
def demo(runs: Runs) -> Ended:
    return runs.demo.result()


@pytest.fixture
def killed(runs: Runs) -> Ended:
    return runs.killed.result()


def test_demo_tells_a_record_for_each_decision_and_exits_0(demo: Ended) -> None:
    assert demo.code == 0, (demo.folder / "demo.err").read_text()
    records = [json.loads(line) for line in (demo.folder / "demo.out").read_text().splitlines()]
    assert len(records) > 300
    for record in records:
        assert tuple(record) == KEYS == ("t", "order", "device", "function", "rule", "effect", "answer")
        assert all(isinstance(value, str) for value in record.values())
        assert RULE.fullmatch(record["rule"]), record
    assert all(proof["ok"] for proof in demo.summary["proofs"])
    assert len(demo.summary["proofs"]) == 12


def test_killed_gateway_ends_with_what_the_undisturbed_one_ends_with(demo: Ended, killed: Ended) -> None:
    assert killed.gateways >= len(KILLED_AT_S) // 2, "all but those killed before they were up decided something"
    wrong = [one for one in (*killed.summary["verdicts"], *killed.summary["proofs"]) if not one["ok"]]
    assert not wrong
    assert killed.code == 0
    assert [proof["name"] for proof in killed.summary["proofs"]] == [proof["name"] for proof in demo.summary["proofs"]]
    undisturbed = {key: set(statuses) for key, statuses in demo.statuses().items()}
    assert {key: set(statuses) for key, statuses in killed.statuses().items()} == undisturbed
    assert len(undisturbed) == ORDERS * HOUSES
    for key, statuses in killed.statuses().items():
        assert len(TERMINAL.intersection(statuses)) == 1, (key, statuses)


@pytest.mark.parametrize("run", ["demo", "killed"])
def test_journal_has_one_terminal_answer_for_each_order_and_resource(run: str, request: pytest.FixtureRequest) -> None:
    answered = terminal_answers(request.getfixturevalue(run).state)
    assert len(answered) == ORDERS * HOUSES
    assert {key: versions for key, versions in answered.items() if [len(kinds) for kinds in versions] != [1]} == {}


@pytest.mark.parametrize("run", ["demo", "killed"])
def test_replay_decides_the_same_bit_for_bit(run: str, request: pytest.FixtureRequest) -> None:
    replayed = ask("replay", "--state", request.getfixturevalue(run).state, "--json")
    assert (replayed.returncode, replayed.stderr) == (0, "")
    found = json.loads(replayed.stdout)
    assert found["agreed"]
    assert found["skipped"] == 0
    assert found["rulings"] >= ORDERS


def test_explain_says_in_sentences_what_became_of_an_order_and_a_device(demo: Ended) -> None:
    mrid = next(line["mrid"] for line in demo.happened if line["kind"] == "issued" and line["control"] == "limit-2000")
    of_order = ask("explain", mrid, "--state", demo.state)
    assert of_order.returncode == 0
    assert (
        f"dso/{mrid} is answered cannot for house-6 by C15; measured 4500 W against the limit of 2000 W"
        in of_order.stdout
    )
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
