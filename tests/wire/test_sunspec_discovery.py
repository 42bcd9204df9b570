"""The discovery walk over register images that pysunspec2 builds, and over what devices in the field do instead."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sunspec2 import device

from gateway.wire.sunspec import Ask, Block, Chain, EndedBy, NotSunSpec, Walk

FIXED = [1, 103, 120, 121, 122, 123, 701, 702, 703, 704]
END = b"\xff\xff\0\0"


def block(model_id: int, length: int) -> bytes:
    return struct.pack(">HH", model_id, length) + bytes(2 * length)


def run(walk: Walk, base: int, image: bytes, refusal: int | None = 2) -> Chain | NotSunSpec:
    """Answer the walk as a device that holds `image` from address `base` on and refuses all other registers."""
    asked = 0
    while walk.found is None:
        assert walk.asking is not None
        asked += 1
        assert asked < 200, "the walk does not end"
        address, quantity = walk.asking
        assert address + quantity <= 0x10000
        at = 2 * (address - base)
        if at >= 0 and at + 2 * quantity <= len(image):
            walk.give(image[at : at + 2 * quantity])
        else:
            walk.refuse(refusal)
    assert walk.asking is None
    return walk.found


@settings(max_examples=40, deadline=None)
@given(base=st.sampled_from([40000, 0, 50000]), ids=st.lists(st.sampled_from(FIXED), min_size=1, max_size=8))
def test_every_model_that_pysunspec2_lays_out_is_found(base: int, ids: list[int]) -> None:
    oracle = device.Device()
    for model_id in ids:
        oracle.add_model(device.Model(model_id))
    image = b"SunS" + oracle.get_mb() + END
    found = run(Walk(), base, image)
    assert isinstance(found, Chain)
    assert (found.base, found.ended_by) == (base, EndedBy.MARKER)
    assert [block.id for block in found.models] == ids
    assert [block.length for block in found.models] == [model.len - 2 for model in oracle.model_list]
    for placed in found.models:
        at = 2 * (placed.address - base)
        assert struct.unpack(">HH", image[at : at + 4]) == (placed.id, placed.length)
    assert sum(len(found.of(model_id)) for model_id in set(ids)) == len(ids)


def test_bases_are_tried_in_order_in_one_read_each() -> None:
    walk = Walk()
    asked = []
    while walk.asking is not None:
        asked.append(walk.asking)
        walk.give(b"nope" + bytes(4))
    assert asked == [Ask(40000, 4), Ask(0, 4), Ask(50000, 4)]
    assert isinstance(walk.found, NotSunSpec)
    assert not walk.found.again
    assert "40000: no SunS" in walk.found.why


@pytest.mark.parametrize("length", [65, 66])
@pytest.mark.parametrize(
    ("ending", "ended_by"),
    [(END, EndedBy.MARKER), (bytes(4), EndedBy.ZERO), (b"", EndedBy.EXCEPTION), (b"\xff\xff", EndedBy.EXCEPTION)],
)
def test_every_known_way_to_end_a_chain(length: int, ending: bytes, ended_by: EndedBy) -> None:
    found = run(Walk(), 40000, b"SunS" + block(1, length) + block(103, 50) + block(1, 66) + ending)
    assert found == Chain(
        40000,
        (Block(1, 40002, length), Block(103, 40004 + length, 50), Block(1, 40056 + length, 66)),
        ended_by,
    )
    assert isinstance(found, Chain)
    assert found.of(1) == (found.models[0], found.models[2])


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (b"SunS" + block(1, 66) + block(103, 0) + END, "model 103 at 40070 has length 0"),
        (b"SunS" + block(1, 66) * 101, "more than 100 models"),
        (b"SunS" + struct.pack(">HH", 1, 0xFFFF) + bytes(200), "past address 65535"),
        (b"SunS" + struct.pack(">HH", 1, 25531) + bytes(200), "past address 65535"),
    ],
)
def test_a_map_that_cannot_be_trusted_is_refused(image: bytes, why: str) -> None:
    found = run(Walk(), 40000, image)
    assert isinstance(found, NotSunSpec)
    assert why in found.why
    assert not found.again


def test_a_map_may_reach_the_last_address() -> None:
    walk = Walk(bases=[40000])
    walk.give(b"SunS" + struct.pack(">HH", 1, 25_530))
    assert walk.asking == Ask(65_534, 2)
    walk.refuse(2)
    assert walk.found == Chain(40000, (Block(1, 40_002, 25_530),), EndedBy.EXCEPTION)


@pytest.mark.parametrize("code", [5, 6, 8, 10, 11, None])
def test_a_busy_or_silent_device_is_not_taken_for_the_end_of_the_chain(code: int | None) -> None:
    found = run(Walk(), 40000, b"SunS" + block(1, 66), refusal=code)
    assert isinstance(found, NotSunSpec)
    assert found.again
    nothing = run(Walk(), 40000, b"", refusal=code)
    assert isinstance(nothing, NotSunSpec)
    assert nothing.again


def test_a_base_that_does_not_answer_is_passed_over() -> None:
    found = run(Walk(), 50000, b"SunS" + block(1, 66) + END, refusal=None)
    assert isinstance(found, Chain)
    assert found.base == 50000


@settings(max_examples=100, deadline=None)
@given(answers=st.lists(st.one_of(st.binary(min_size=4, max_size=4), st.integers(0, 255), st.none()), max_size=20))
def test_the_walk_ends_whatever_is_answered(answers: list[bytes | int | None]) -> None:
    walk = Walk()
    for turn, answer in enumerate(answers):
        if walk.asking is None:
            break
        if isinstance(answer, bytes):
            walk.give((b"SunS" if turn == 0 else b"") + answer if walk.asking.quantity == 2 or turn == 0 else bytes(8))
        else:
            walk.refuse(answer)
    assert (walk.asking is None) is (walk.found is not None)


def test_misuse_of_the_walk_is_an_error() -> None:
    walk = Walk(bases=[40000])
    with pytest.raises(ValueError, match="2 octets for 4 registers"):
        walk.give(b"ab")
    walk.refuse(2)
    with pytest.raises(RuntimeError, match="over"):
        walk.give(bytes(8))
    with pytest.raises(RuntimeError, match="over"):
        walk.refuse(2)
