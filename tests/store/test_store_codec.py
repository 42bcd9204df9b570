"""The codec: exact round trips by type, sharing kept, other shapes read or refused in one line."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_world import SITE, T0_MS, events, handled, limit, start

from gateway.core.answers import Course, Kind
from gateway.core.events import Adopted, Started, Tell, Tick, Topic
from gateway.core.functions import Function
from gateway.core.known import Known, Unknown
from gateway.core.machine import Machine
from gateway.core.modes import (
    Curve,
    CurveBase,
    CurveKind,
    CurvePoint,
    Displacement,
    Droop,
    FixedVar,
    PowerFactor,
    RideThrough,
    TargetVar,
    VarBase,
)
from gateway.core.orders import Ceiling, Connect, OrderKey
from gateway.core.parties import Level
from gateway.core.state import State
from gateway.core.units import Share, Watts
from gateway.store import CodecFault
from gateway.store.codec import CLASSES, SHAPE, Unpacker, pack, pack_shared

UNPACKER = Unpacker()


def there_and_back(value: Any) -> Any:
    return UNPACKER.unpack(pack(value), type(value))


def same(one: Any, other: Any) -> bool:
    """Equal and of the same types all the way down: `True == 1` and `"connect" == Function.CONNECT` are not enough."""
    return type(one) is type(other) and repr(one) == repr(other) and bool(one == other)


@pytest.mark.parametrize(
    "value",
    [
        0,
        -(1 << 63),
        (1 << 64) - 1,
        1 << 64,
        -(1 << 200),
        True,
        "",
        "naïve \N{HIGH VOLTAGE SIGN}",
        "lone \udc80",
        (),
        ("a", 1, None, True),
        ([], [1], ()),
        {("roof", Function.CONNECT): 1, OrderKey("dso", "1"): (), 7: None},
        frozenset({"a"}),
        Level.MARKET,
        Kind.CANNOT,
        Known(1 << 70, 2),
        Unknown("caf\udcff", 0),
        Ceiling(Function.EXPORT_LIMIT, Share(-10_000)),
        Connect(False),
        Curve(CurveKind.VOLT_VAR, (CurvePoint(9_000, 4_400), CurvePoint(11_000, -4_400)), CurveBase.MAX_VAR, 5_000),
        RideThrough((Curve(CurveKind.LV_MUST_TRIP, (CurvePoint(160, 0), CurvePoint(160, 5_000))),)),
        Droop(36, 36, 50, 50, None),
        PowerFactor(Displacement(9_500, absorbs=True), None),
        FixedVar(VarBase.MAX_VA, -4_400),
        TargetVar(-800),
        Adopted("roof", 7, ((Function.VOLT_WATT, "it has no model 706"),)),
        Tick(),
        Course(started=True),
        Started(SITE),
        Tell(Topic.RULED, T0_MS, "dso/1", "", "C2", "", ("a", "b"), (1, 2), ""),
    ],
    ids=repr,
)
def test_value_comes_back_exactly(value: Any) -> None:
    assert same(there_and_back(value), value)


@settings(max_examples=200)
@given(events())
def test_every_event_comes_back_exactly(event: Any) -> None:
    assert same(there_and_back(event), event)


@settings(max_examples=30)
@given(st.lists(events(), max_size=30))
def test_whole_state_comes_back_exactly(happened: list[Any]) -> None:
    machine = Machine()
    for place, event in enumerate([*start(), *happened]):
        handled(machine, event, T0_MS + 5_000 * place)
    assert same(UNPACKER.unpack_shared(pack_shared(machine.state), State), machine.state)


def test_what_was_one_object_is_one_again_and_what_was_not_is_not() -> None:
    one, equal = (Known(1, 2), "x"), (Known(1, 2), "x")
    packed = pack_shared((one, one, equal))
    first, second, third = UNPACKER.unpack_shared(packed, tuple)
    assert first == second == third
    assert first is second
    assert first is not third


def test_grounds_and_rulings_of_a_recovered_state_are_shared_as_before() -> None:
    machine = Machine()
    for place, event in enumerate([*start(), limit(1, 3_000)]):
        handled(machine, event, T0_MS + place)
    before = machine.state.resources
    after = UNPACKER.unpack_shared(pack_shared(machine.state), State).resources
    for one in before:
        for other in before:
            assert (after[one].ground is after[other].ground) == (before[one].ground is before[other].ground)
            assert (after[one].rulings is after[other].rulings) == (before[one].rulings is before[other].rulings)
    assert after["house"].ground is not after["farm"].ground


def test_equal_values_pack_to_equal_bytes_however_they_are_shared() -> None:
    known = Known(1, 2)
    assert pack((known, known)) == pack((Known(1, 2), Known(1, 2)))


def test_registry_reaches_what_is_journalled_and_nothing_cleared() -> None:
    assert {"State", "Entry", "Kept", "Tell", "Order", "Ruling", "Ground", "Watts", "Known"} <= set(CLASSES)
    assert "Cleared" not in CLASSES


def test_foreign_value_is_not_packed() -> None:
    with pytest.raises(CodecFault, match="cannot pack a float"):
        pack((1, 0.5))


def test_later_version_with_a_field_more_reads_it_with_its_default() -> None:
    older = {**SHAPE, "Course": ("status", "started", "ended")}
    packed = msgspec.msgpack.encode(["Course", ["Status", "over"], True, True])
    assert Unpacker(older).unpack(packed, Course) == Course(status=Course().status.OVER, started=True, ended=True)


def test_reordered_fields_are_told_apart_by_name() -> None:
    older = {**SHAPE, "Known": ("at_ms", "value")}
    assert Unpacker(older).unpack(msgspec.msgpack.encode(["Known", 5, 7]), Known) == Known(7, 5)


@pytest.mark.parametrize(
    ("shape", "plain", "told"),
    [
        (SHAPE, ["Warp", 1], "unknown tag 'Warp'"),
        ({**SHAPE, "Warp": ("points",)}, ["Warp", 1], "Warp is not known to this version"),
        ({**SHAPE, "Watts": ("w", "phase")}, ["Watts", 1, 2], "Watts was written with phase"),
        ({**SHAPE, "Known": ("value",)}, ["Known", 1], "damaged or foreign value"),
        (SHAPE, ["Watts", 1, 2], "damaged or foreign value"),
        (SHAPE, ["Kind", "perhaps"], "unknown tag 'perhaps'"),
        (SHAPE, [], "damaged or foreign value"),
        (SHAPE, ["Share", 5], "found a Share where a Watts belongs"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(shape: Any, plain: Any, told: str) -> None:
    with pytest.raises(CodecFault) as refused:
        Unpacker(shape).unpack(msgspec.msgpack.encode(plain), Watts)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_torn_bytes_are_refused() -> None:
    with pytest.raises(CodecFault, match="damaged"):
        UNPACKER.unpack(pack(Started(SITE))[:-5], Started)
