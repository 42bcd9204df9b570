"""Encoding against pysunspec2, and write plans that keep the order of what enables what."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sunspec2 import device

from gateway.wire.sunspec import Absent, Model, Point, Side, Unwritable, Write, compile_model, rescale

MODELS = [1, 103, 120, 121, 122, 123, 701, 702, 703, 704]
WRITABLE = [
    (model_id, name)
    for model_id in MODELS
    for name, point in compile_model(model_id).points.items()
    if point.writable and point.type != "string"
]
LIMIT = ("WMaxLimPct", "WMaxLimPctRvrt", "WMaxLimPctRvrtTms", "WMaxLimPctEnaRvrt", "WMaxLimPctEna")


@settings(max_examples=400, deadline=None)
@given(
    which=st.sampled_from(WRITABLE),
    value=st.one_of(st.integers(-40_000, 70_000), st.integers(-(2**40), 2**40)),
    scale=st.integers(-4, 3),
    side=st.sampled_from(list(Side)),
)
def test_what_is_encoded_is_what_pysunspec2_reads(which: tuple[int, str], value: int, scale: int, side: Side) -> None:
    model_id, name = which
    model = compile_model(model_id)
    point = model.points[name]
    octets = model.encode(name, value, scale_factor=scale, side=side)
    raw = rescale(value, point.exponent, scale if point.scale_factor else 0, side)
    theirs = device.Point(device.get_model_def(model_id)["group"]["point_defs"].get(name) or pf_definition(name))
    if isinstance(octets, Unwritable):
        assert name in octets.why
        assert not is_plain_value(theirs, point, raw)
        return
    theirs.set_mb(octets)
    assert theirs.value == raw
    assert theirs.info.to_data(raw) == octets


def is_plain_value(theirs: device.Point, point: Point, raw: int) -> bool:
    """Say whether the raw value fits, means a value, and is one that the definition names (if it names any)."""
    try:
        theirs.set_mb(theirs.info.to_data(raw))
    except struct.error:
        return False
    if point.type.startswith("bitfield"):
        return raw < 1 << (16 * point.size - 1)
    return theirs.value == raw and (not point.symbols or raw in point.symbols)


def pf_definition(name: str) -> object:
    group, last = name.split(".")
    return device.get_model_def(704)["group"]["group_defs"][group]["point_defs"][last]


@settings(max_examples=100, deadline=None)
@given(hundredths=st.integers(0, 10_000), scale=st.integers(-3, 0))
def test_a_ceiling_is_never_written_higher_than_ordered(hundredths: int, scale: int) -> None:
    model = compile_model(704)
    octets = model.encode("WMaxLimPct", hundredths, scale_factor=scale, side=Side.FLOOR)
    if isinstance(octets, Unwritable):
        assert hundredths * 10 > 0xFFFE
        return
    [raw] = struct.unpack(">H", octets)
    assert raw * 10 ** (scale + 3) <= hundredths * 10 < (raw + 1) * 10 ** (scale + 3)


@pytest.mark.parametrize(
    ("name", "value", "scale", "why"),
    [
        ("WMaxLimPct", 5000, None, "needs the device's WMaxLimPct_SF"),
        ("WMaxLimPct", 5000, Absent("not implemented by the device"), "not implemented"),
        ("WMaxLimPct", 5000, -0x8000, "outside -10..10"),
        ("WMaxLimPct", 5000, 11, "outside -10..10"),
        ("WMaxLimPct", -1, -2, "does not fit uint16"),
        ("WMaxLimPct", 0xFFFF, -2, "does not fit uint16"),
        ("WSetPct", -0x8000, -2, "does not fit int16"),
        ("WSet", -(2**31), 0, "does not fit int32"),
        ("WMaxLimPctRvrtTms", 0xFFFFFFFF * 1000, None, "does not fit uint32"),
        ("WMaxLimPctEna", 2, None, "none of 0, 1"),
        ("WMaxLimPctEna", 0xFFFF, None, "does not fit enum16"),
        ("WMaxLimPctRvrtRem", 1, None, "read-only"),
        ("WMaxLimPct_SF", 1, None, "read-only"),
        ("WMaxLimPct", "60", -2, "give a number"),
    ],
)
def test_what_must_not_be_written_is_said(name: str, value: int | str, scale: object, why: str) -> None:
    outcome = compile_model(704).encode(name, value, scale_factor=scale)
    assert isinstance(outcome, Unwritable)
    assert why in outcome.why


def test_the_reserved_bit_of_a_bit_field_is_never_written() -> None:
    model = compile_model(702)
    assert model.encode("IntIslandCat", 0x7FFF) == b"\x7f\xff"
    assert isinstance(model.encode("IntIslandCat", 0x8000), Unwritable)


def test_seconds_are_given_in_milliseconds_and_rounded() -> None:
    model = compile_model(704)
    assert model.encode("WMaxLimPctRvrtTms", 60_000) == b"\0\0\0\x3c"
    assert model.encode("WMaxLimPctRvrtTms", 60_001, side=Side.CEIL) == b"\0\0\0\x3d"
    assert model.encode("WMaxLimPctRvrtTms", 60, exponent=0) == b"\0\0\0\x3c"
    with pytest.raises(KeyError, match="no point WMax"):
        model.encode("WMax", 1)


def encoded(model: Model, *names: str) -> dict[str, bytes]:
    return {
        name: struct.pack(">H", model.points[name].offset).rjust(2 * model.points[name].size, b"\0") for name in names
    }


def test_a_limit_with_its_reversion_and_enable_is_one_write() -> None:
    model = compile_model(704)
    registers = encoded(model, *LIMIT)
    [write] = model.plan_writes(registers)
    assert write.offset == model.points["WMaxLimPctEna"].offset
    in_map_order = sorted(registers, key=lambda name: model.points[name].offset)
    assert write.registers == b"".join(registers[name] for name in in_map_order)
    assert len(write.registers) == 12


def test_an_enable_that_does_not_touch_its_value_comes_last() -> None:
    model = compile_model(123)
    writes = model.plan_writes(encoded(model, "WMaxLimPct", "WMaxLimPct_RvrtTms", "WMaxLim_Ena"))
    assert [write.offset for write in writes] == [5, 7, 9]
    whole = encoded(model, "WMaxLimPct", "WMaxLimPct_WinTms", "WMaxLimPct_RvrtTms", "WMaxLimPct_RmpTms", "WMaxLim_Ena")
    assert [(write.offset, len(write.registers)) for write in model.plan_writes(whole)] == [(5, 10)]


@given(data=st.data(), limit=st.sampled_from([2, 3, 6, 123]))
def test_nothing_is_written_before_what_was_named_earlier(data: st.DataObject, limit: int) -> None:
    model = compile_model(704)
    free = sorted(name for name, point in model.points.items() if not point.sync)
    names = data.draw(st.lists(st.sampled_from(free), min_size=1, max_size=12, unique=True))
    writes = model.plan_writes(encoded(model, *names), limit)
    turn = {}
    for number, (offset, octets) in enumerate(writes):
        assert len(octets) <= 2 * limit
        for register in range(offset, offset + len(octets) // 2):
            assert register not in turn
            turn[register] = number
    turns = [turn[model.points[name].offset] for name in names]
    assert turns == sorted(turns)
    assert len(turn) == sum(model.points[name].size for name in names)


def test_a_sync_group_goes_out_whole_or_not_at_all() -> None:
    model = compile_model(704)
    pair = encoded(model, "PFWInj.Ext", "PFWInj.PF")
    assert model.plan_writes(pair) == (Write(59, b"\0\x3b\0\x3c"),)
    with pytest.raises(ValueError, match=r"PFWInj\.Ext"):
        model.plan_writes(encoded(model, "PFWInj.PF"))
    with pytest.raises(ValueError, match="sync group"):
        model.plan_writes(encoded(model, "PFWInj.PF", "WMaxLimPctEna", "PFWInj.Ext"))
    with pytest.raises(ValueError, match="sync group"):
        model.plan_writes(pair, limit=1)


def test_octets_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="3 octets for 2 registers"):
        compile_model(704).plan_writes({"WMaxLimPctRvrtTms": b"abc"})
    with pytest.raises(ValueError, match="do not go in a write of 1"):
        compile_model(704).plan_writes({"WMaxLimPctRvrtTms": b"abcd"}, limit=1)


def test_text_and_floats() -> None:
    model = compile_model(63001)
    assert model.encode("string", "ab") == b"ab".ljust(2 * model.points["string"].size, b"\0")
    for text in ("", "a\0b", "x" * 99):
        assert isinstance(model.encode("string", text), Unwritable)
    assert model.encode("float32", 1500, exponent=-3) == struct.pack(">f", 1.5)
    assert isinstance(model.encode("float32", 10**40), Unwritable)
    assert isinstance(model.encode("ipaddr", 1), Unwritable)
