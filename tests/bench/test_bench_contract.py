"""The harness works and keeps the contract of `make bench`; nothing here says how fast anything is."""

import json
import math
from pathlib import Path

import pytest

from .__main__ import BENCHMARKS, main
from .order import Rhythm, measure, p99_ms
from .result import Result, table, write

KEYS = ["name", "what", "ours", "floor", "peers", "ratio", "goal", "unit", "met"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return measure("order-5", tmp_path_factory.mktemp("bench") / "order-5", 5, Rhythm(bursts=2, warm_up=1, rest_s=0.1))


def test_the_smallest_benchmark_tells_all_devices_in_every_burst(measured: Result) -> None:
    assert measured.floor is not None
    assert measured.ratio is not None
    assert 0 < measured.floor < math.inf
    assert 0 < measured.ours < math.inf
    assert "over 2 bursts" in measured.what


def test_the_file_is_a_list_with_the_keys_of_the_contract(measured: Result, tmp_path: Path) -> None:
    lone = Result("memory-5", "resident memory", ours=210.0, unit="MB", goal=200.0)
    write([measured, lone], tmp_path / "build" / "bench.json")
    lines = json.loads((tmp_path / "build" / "bench.json").read_text(encoding="utf-8"))
    assert [sorted(line) for line in lines] == [sorted(KEYS)] * 2
    assert lines[0]["met"] is (lines[0]["ratio"] <= lines[0]["goal"])
    assert (lines[1]["floor"], lines[1]["ratio"], lines[1]["met"]) == (None, None, False)


def test_the_goal_is_for_the_ratio_where_there_is_a_floor() -> None:
    result = Result("order-5", "order to register", ours=30.0, unit="ms", goal=2.0, floor=16.0, peers={"peer": 60.0})
    assert result.ratio == pytest.approx(1.875)
    assert result.met
    assert [line.split() for line in table([result]).splitlines()[1:]] == [
        ["order-5", "30.0", "16.0", "ms", "1.88", "2", "met"],
        ["peer", "60.0", "ms", "0.50"],
    ]


def test_the_p99_of_a_burst_is_an_arrival_of_it() -> None:
    arrived_ns = [5_000_000 + 1_000_000 * place for place in range(100)]
    assert p99_ms(arrived_ns, 5_000_000) == pytest.approx(98.0)
    assert p99_ms([7_000_000], 5_000_000) == pytest.approx(2.0)
    assert p99_ms([], 0) == math.inf


def test_a_benchmark_that_does_not_exist_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "order-7"]) == 2
    assert "order-1000" in capsys.readouterr().err
    assert {"order-100", "order-1000", "memory-1000"} <= BENCHMARKS.keys()
