"""The harness works and keeps the contract of `make bench`; nothing here says how fast anything is."""

import json
import math
from functools import partial
from pathlib import Path

import pytest

from gateway.core.timeline import standing

from . import get, overlap, ruling
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


def test_a_name_that_no_benchmark_contains_is_wrong_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(_folder: Path) -> list[Result]:
        raise AssertionError("measured though nobody asked for it")

    for name in list(BENCHMARKS):
        monkeypatch.setitem(BENCHMARKS, name, never)
    assert main(["--only", "order-7", "--out", str(tmp_path / "bench.json")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "order-7" in said
    assert {"order-100", "order-1000", "memory-1000", "ruling-10000", "ruling-flat", "overlap-10000"} <= set(
        said.split("there are ")[1].strip().split(", ")
    )
    assert not (tmp_path / "bench.json").exists()


def test_every_benchmark_whose_name_contains_what_is_asked_for_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in list(BENCHMARKS):
        found = Result(name, "stands in for the real one", ours=1.0, unit="us", goal=2.0)
        monkeypatch.setitem(BENCHMARKS, name, partial(_found, found))
    out = tmp_path / "bench.json"
    assert main(["--only", "ruling", "--out", str(out)]) == 0
    assert [line["name"] for line in json.loads(out.read_text(encoding="utf-8"))] == ["ruling-10000", "ruling-flat"]


def _found(result: Result, _folder: Path) -> list[Result]:
    return [result]


def test_the_rulings_are_measured_beside_a_floor_and_against_goals_of_their_own_unit() -> None:
    results = {result.name: result for result in ruling.measure(20, 40, ruling.Pace(orders=3, groups=2, readings=5))}
    assert results.keys() >= {"ruling-one-der", "ruling-group-1000", "ruling-reading", "ruling-idle-tick"}
    for result in results.values():
        assert 0 < result.ours < math.inf or result.unit == "kB"
        assert (result.floor or 0) > 0 or result.unit == "kB"
        assert result.met is (result.ours <= result.goal)


def test_what_touches_one_der_is_measured_against_the_smallest_fleet() -> None:
    results = ruling.flatness((5, 10, 20), ruling.Pace(orders=3, groups=2, readings=5))
    assert [result.name for result in results] == ["ruling-flat-limit", "ruling-flat-set-point", "ruling-flat-reading"]
    for result in results:
        assert result.floor is not None
        assert list(result.peers) == ["among 10"]


def test_overlapping_orders_are_measured_where_all_of_them_have_begun_and_one_holds() -> None:
    orders = [overlap.entry(order) for order in overlap.overlapping(50)]
    assert len(standing(orders, overlap.BEGUN_MS).lost) == 49
    results = [overlap.sweep(50, 2), overlap.one_der(20, 2), overlap.fleet(20, 20, 2)]
    assert [result.name for result in results] == ["overlap-sweep", "overlap-one-der", "overlap-fleet"]
    assert all(result.ours > 0 and (result.floor or 0) > 0 for result in results)


def test_a_list_is_served_beside_a_bare_handler_of_the_same_bytes(tmp_path: Path) -> None:
    result = get.measure(tmp_path / "get", get.Pace(rounds=1, requests=50))
    assert "GET" in result.name
    assert result.floor is not None
    assert 0 < result.floor < math.inf
    assert 0 < result.ours < math.inf
    assert result.met is (result.ours <= get.GOAL * result.floor)
