"""Decoding against pysunspec2 over random register images of every model that the gateway needs."""

import struct
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sunspec2 import device

from gateway.wire.sunspec import Absent, Point, Side, Value, compile_model, rescale

MODELS = [1, 103, 120, 121, 122, 123, 701, 702, 703, 704]
ROUNDINGS = {
    Side.NEAREST: ROUND_HALF_UP,
    Side.FLOOR: ROUND_FLOOR,
    Side.CEIL: ROUND_CEILING,
    Side.TOWARD_ZERO: ROUND_DOWN,
}

scale_factors = st.one_of(st.integers(-10, 10), st.sampled_from([-0x8000, 77, -11, 11, 0x7FFF]))


def octets_of(point: Point) -> st.SearchStrategy[bytes]:
    if point.type == "sunssf":
        return scale_factors.map(lambda scale: struct.pack(">h", scale))
    if point.type == "string":
        text = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=2 * point.size)
        return text.map(lambda written: written.encode().ljust(2 * point.size, b"\0"))
    size = 2 * point.size
    edges = [b"\x80" + bytes(size - 1), b"\xff" * size, bytes(size), b"\x7f" + b"\xff" * (size - 1)]
    return st.one_of(st.binary(min_size=size, max_size=size), st.sampled_from(edges))


def images(model_id: int) -> st.SearchStrategy[bytes]:
    return st.tuples(*map(octets_of, compile_model(model_id).points.values())).map(b"".join)


def oracle_of(model_id: int, image: bytes) -> Any:
    oracle = device.Model(model_id)
    oracle.set_mb(image)
    return oracle


def oracle_point(oracle: Any, name: str) -> Any:
    *groups, last = name.split(".")
    for group in groups:
        oracle = oracle.groups[group]
    return oracle.points[last]


def expected(point: Point, theirs: Any, scale: int | None) -> Value | None:
    """Give the exact value that pysunspec2's raw value and scale factor stand for, or None for no value."""
    raw = theirs.value
    if raw is None or point.type == "string":
        return raw or None
    if scale is None or not -10 <= scale <= 10:
        return None
    with localcontext() as context:
        context.prec = 60
        return int((Decimal(raw).scaleb(scale - point.exponent)).quantize(Decimal(1), ROUND_HALF_UP))


@pytest.mark.parametrize("model_id", MODELS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_point_is_what_pysunspec2_reads(model_id: int, data: st.DataObject) -> None:
    model = compile_model(model_id)
    image = data.draw(images(model_id))
    oracle = oracle_of(model_id, image)
    values = model.decode(image)
    assert values.keys() == model.points.keys()
    for name, point in model.points.items():
        theirs = oracle_point(oracle, name)
        scale = oracle.points[str(point.scale_factor)].value if point.scale_factor else 0
        wanted = expected(point, theirs, scale)
        ours = values[name]
        if wanted is None:
            assert isinstance(ours, Absent), name
            continue
        assert ours == wanted, name
        if isinstance(ours, int):
            slack = 0.5 * 10.0**point.exponent + 1e-9 * abs(theirs.cvalue)
            assert abs(ours * 10.0**point.exponent - theirs.cvalue) <= slack, name


@pytest.mark.parametrize("model_id", MODELS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_partial_read_gives_what_the_whole_block_gives(model_id: int, data: st.DataObject) -> None:
    model = compile_model(model_id)
    image = data.draw(images(model_id))
    names = data.draw(st.lists(st.sampled_from(sorted(model.points)), min_size=1, max_size=6, unique=True))
    span = model.span(names)
    part = image[2 * span.offset : 2 * (span.offset + span.quantity)]
    whole = model.decode(image)
    assert model.decode(part, names) == {name: whole[name] for name in names}


@settings(max_examples=60, deadline=None)
@given(model_id=st.sampled_from(MODELS), noise=st.binary(max_size=400))
def test_decoding_never_raises_and_names_every_point(model_id: int, noise: bytes) -> None:
    model = compile_model(model_id)
    values = model.decode(noise)
    assert values.keys() == model.points.keys()
    for name, point in model.points.items():
        if 2 * point.end > len(noise):
            assert isinstance(values[name], Absent)


@given(
    value=st.integers(-(2**64), 2**64),
    scale=st.integers(-10, 10),
    exponent=st.integers(-4, 4),
    side=st.sampled_from(list(Side)),
)
def test_rescaling_rounds_to_the_stated_side(value: int, scale: int, exponent: int, side: Side) -> None:
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(value).scaleb(scale - exponent)
        assert rescale(value, scale, exponent, side) == int(exact.quantize(Decimal(1), ROUNDINGS[side]))


def registers(model_id: int, **raw: int) -> bytes:
    model = compile_model(model_id)
    image = bytearray(2 * (model.length + 2))
    for name, value in raw.items():
        point = model.points[name]
        struct.pack_into(f">{point.struct_code}", image, 2 * point.offset, value)
    return bytes(image)


def test_units_at_the_border() -> None:
    image = registers(
        701, W=1234, W_SF=1, LNV=2301, V_SF=-1, Hz=49987, Hz_SF=-3, Var=-55, PF=985, PF_SF=-3, ThrotPct=40
    )
    values = compile_model(701).decode(image)
    assert (values["W"], values["Var"], values["LNV"], values["Hz"]) == (12340, -55, 230_100, 49_987)
    assert (values["PF"], values["ThrotPct"]) == (9850, 4000)


@pytest.mark.parametrize(("side", "watts"), [(Side.NEAREST, -13), (Side.FLOOR, -13), (Side.CEIL, -12)])
def test_a_reader_rounds_and_scales_as_asked(side: Side, watts: int) -> None:
    reader = compile_model(103).reader(["W", "Hz"], side=side)
    image = registers(103, W=-125, W_SF=-1, Hz=5001, Hz_SF=-2)
    part = image[2 * reader.offset : 2 * (reader.offset + reader.quantity)]
    assert reader.decode(part) == {"W": watts, "Hz": 50_010}
    tenths = compile_model(103).reader({"W": -1, "Hz": 0}, side=side)
    assert tenths.decode(part)["W"] == -125


@pytest.mark.parametrize(
    ("scale", "why"),
    [(-0x8000, "W_SF is not implemented"), (77, "W_SF is 77, outside -10..10"), (-11, "W_SF is -11")],
)
def test_no_value_without_a_usable_scale_factor(scale: int, why: str) -> None:
    watts = compile_model(701).decode(registers(701, W=1234, W_SF=scale))["W"]
    assert isinstance(watts, Absent)
    assert why in watts.why


def test_a_scale_factor_that_changes_between_reads_goes_with_its_value() -> None:
    reader = compile_model(103).reader(["W"])
    for raw, scale in ((5000, 0), (5000, -1), (50, 2)):
        image = registers(103, W=raw, W_SF=scale)
        part = image[2 * reader.offset : 2 * (reader.offset + reader.quantity)]
        assert reader.decode(part) == {"W": rescale(raw, scale, 0)}


def test_an_asleep_inverter_has_no_values() -> None:
    asleep = {"A": 0xFFFF, "PhVphA": 0xFFFF, "Hz": 0xFFFF, "W": -0x8000, "WH": 0, "St": 0xFFFF, "Evt1": 0xFFFFFFFF}
    values = compile_model(103).decode(registers(103, **asleep))
    assert {name: values[name] for name in asleep} == dict.fromkeys(asleep, Absent("not implemented by the device"))


def test_a_model_shorter_than_its_definition() -> None:
    reader = compile_model(1).reader(["SN", "DA", "Pad"], length=65)
    assert reader.quantity == 17
    values = reader.decode(b"serial".ljust(32, b"\0") + b"\0\7")
    assert values == {"SN": "serial", "DA": 7, "Pad": Absent("past the end of what the device gives")}


def test_a_model_that_ends_before_its_scale_factor_gives_no_value() -> None:
    reader = compile_model(701).reader(["W", "St"], length=40)
    assert (reader.offset, reader.quantity) == (3, 1)
    assert isinstance(reader.decode(b"\0\1")["W"], Absent)
    assert compile_model(701).reader(["W"], length=40).quantity == 0


def test_floats_come_in_the_same_integers() -> None:
    names = ["W", "PhVphA", "Hz", "VA"]
    reader = compile_model(113).reader(names)
    image = bytes(2 * reader.quantity)
    for name, value in (("W", -1499.5), ("PhVphA", 230.1), ("Hz", float("nan")), ("VA", float("inf"))):
        point = compile_model(113).points[name]
        at = 2 * (point.offset - reader.offset)
        image = image[:at] + struct.pack(">f", value) + image[at + 4 :]
    values = reader.decode(image)
    assert (values["W"], values["PhVphA"]) == (-1500, 230_100)
    assert values["Hz"] == Absent("not implemented by the device")
    assert values["VA"] == Absent("an infinite number")


def test_text_and_addresses() -> None:
    image = b"Acme  \0junk".ljust(32, b"\0")
    assert compile_model(1).decode(image, ["Mn"]) == {"Mn": "Acme"}
    assert isinstance(compile_model(1).decode(bytes(32), ["Mn"])["Mn"], Absent)
    assert compile_model(11).decode(bytes.fromhex("00000a0b0c0d0e0f"), ["MAC"]) == {"MAC": "0A:0B:0C:0D:0E:0F"}
    assert compile_model(11).decode(b"\0\0" + b"\xff" * 6, ["MAC"]) == {"MAC": Absent("not implemented by the device")}
    assert compile_model(63001).decode(bytes((10, 0, 0, 1)), ["ipaddr"]) == {"ipaddr": "10.0.0.1"}
