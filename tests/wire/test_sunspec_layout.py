"""Compiled models lie in registers exactly where pysunspec2 puts them."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sunspec2 import device

from gateway.wire.sunspec import Span, UnknownModelError, compile_model

LENGTHS = {1: 66, 103: 50, 120: 26, 121: 30, 122: 44, 123: 24, 701: 153, 702: 50, 703: 17, 704: 65}


def published() -> list[int]:
    package = find_spec("sunspec2")
    assert package is not None
    assert package.origin is not None
    definitions = (Path(package.origin).parent / "models" / "json").glob("model_*.json")
    return sorted(int(path.stem.removeprefix("model_")) for path in definitions)


def oracle_points(group: Any, prefix: str = "") -> dict[str, Any]:
    """Give the points of the fixed block as pysunspec2 places them: repeating groups are lists there."""
    points = {prefix + name: point for name, point in group.points.items()}
    for name, inner in group.groups.items():
        if isinstance(inner, list):
            break
        points |= oracle_points(inner, f"{prefix}{name}.")
    return points


@pytest.mark.parametrize("model_id", LENGTHS)
def test_lengths_are_those_of_the_standard(model_id: int) -> None:
    assert compile_model(model_id).length == LENGTHS[model_id]


@pytest.mark.parametrize("model_id", published())
def test_every_published_model_lies_as_in_pysunspec2(model_id: int) -> None:
    model = compile_model(model_id)
    oracle = oracle_points(device.Model(model_id, data=bytes(4000)))
    assert {name: (point.offset, point.size) for name, point in model.points.items()} == {
        name: (point.offset, point.len) for name, point in oracle.items()
    }
    for name, point in model.points.items():
        assert oracle[name].pdef.get("sf") in {point.scale_factor, str(point.scale_factor).rpartition(".")[2]}


def test_a_model_is_compiled_once() -> None:
    assert compile_model(701) is compile_model(701)


def test_an_unknown_model_is_said_to_be_unknown() -> None:
    with pytest.raises(UnknownModelError, match="65000"):
        compile_model(65000)


def test_points_know_their_units_symbols_and_access() -> None:
    model = compile_model(704)
    ceiling, enable = model.points["WMaxLimPct"], model.points["WMaxLimPctEna"]
    assert (ceiling.units, ceiling.exponent, ceiling.scale_factor) == ("Pct", -2, "WMaxLimPct_SF")
    assert ceiling.writable
    assert not model.points["WMaxLimPctRvrtRem"].writable
    assert enable.symbols == {0: "DISABLED", 1: "ENABLED"}
    assert model.points["PFWInj.Ext"].sync == "PFWInj"
    assert model.points["PFWInj.PF"].exponent == -4
    assert compile_model(1).points["Mn"].mandatory


@pytest.mark.parametrize(
    ("model_id", "name", "exponent"),
    [
        (701, "W", 0),
        (701, "Var", 0),
        (701, "TotWhInj", 0),
        (701, "LNV", -3),
        (701, "Hz", -3),
        (701, "A", -3),
        (701, "PF", -4),
        (701, "ThrotPct", -2),
        (701, "St", 0),
        (103, "PF", -2),
        (103, "TmpCab", -3),
        (123, "WMaxLimPct", -2),
        (123, "OutPFSet", -4),
        (703, "ESDlyTms", -3),
        (711, "NCtl", 0),
    ],
)
def test_decoded_integers_have_fixed_units(model_id: int, name: str, exponent: int) -> None:
    assert compile_model(model_id).points[name].exponent == exponent


def test_a_span_takes_the_scale_factors_in_and_cuts_no_point() -> None:
    model = compile_model(701)
    assert model.span(["W"]) == Span(10, 107)
    assert model.span(["TotWhInj"]) == Span(19, 102)
    assert model.span(["Alrm", "DERMode"]) == Span(6, 4)
    assert model.span(["ID", "L"]) == Span(0, 2)
    assert compile_model(103).span(["W", "Hz"]) == Span(14, 4)


def test_a_span_takes_a_sync_group_whole() -> None:
    model = compile_model(704)
    assert model.span(["PFWAbs.Ext"]) == Span(model.points["PFWAbs.PF"].offset, 2)


def test_a_read_wider_than_a_request_is_refused() -> None:
    model = compile_model(701)
    with pytest.raises(ValueError, match="ask for fewer"):
        model.reader(["W", "MnAlrmInfo"])
    with pytest.raises(ValueError, match="one read takes 60"):
        model.reader(["W"], limit=60)
    with pytest.raises(KeyError, match="no point Watts"):
        model.reader(["Watts"])


def test_only_the_published_definitions_are_used() -> None:
    script = (
        "import sys, gateway.wire.modbus, gateway.wire.sunspec as s; s.compile_model(704);"
        "print(*({m.split('.')[0] for m in sys.modules} & {'sunspec2', 'asyncio', 'socket', 'ssl', 'serial'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
