"""Whatever a server or the network does to the stream, no request ever gets another's answer."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.modbus import Broken, Exchange, Refused, Registers, Stray, Written

UNIT = 7
ADDRESS = 40_000


def frame(transaction: int, pdu: bytes, unit: int = UNIT, protocol: int = 0) -> bytes:
    return struct.pack(">HHHB", transaction, protocol, len(pdu) + 1, unit) + pdu


def read_reply(transaction: int, quantity: int = 2) -> bytes:
    """Build a reply whose every register is its transaction, so that a mix-up shows."""
    return frame(transaction, bytes((3, 2 * quantity)) + struct.pack(">H", transaction) * quantity)


def asked(first: int = 1) -> Exchange:
    exchange = Exchange(first_transaction=first)
    exchange.read(UNIT, ADDRESS, 2)
    return exchange


def test_a_reply_one_octet_at_a_time() -> None:
    exchange = asked()
    reply = read_reply(1)
    for octet in reply[:-1]:
        assert exchange.feed(bytes((octet,))) == []
    assert exchange.feed(reply[-1:]) == [Registers(1, b"\0\1\0\1")]


def test_late_duplicate_and_foreign_frames_are_strays() -> None:
    exchange = asked(first=100)
    exchange.abandon(100)
    exchange.read(UNIT, ADDRESS, 2)
    foreign = read_reply(9)
    late = read_reply(100)
    good = read_reply(101)
    assert exchange.feed(foreign + late + good + good) == [
        Stray(9),
        Stray(100),
        Registers(101, b"\0\x65\0\x65"),
        Stray(101),
    ]
    assert exchange.broken is None


@pytest.mark.parametrize(
    ("why", "received"),
    [
        ("length field 0", b"\0\1\0\0\0\0"),
        ("length field 1", b"\0\1\0\0\0\1"),
        ("length field 255", b"\0\1\0\0\0\xff"),
        ("length field 65535", b"\0\1\0\0\xff\xff"),
        ("protocol id 1", frame(1, b"\3\4abcd", protocol=1)),
        ("length field 0", b"\0\2\0\0\0\0"),
        ("unit 8 answers for unit 7", frame(1, b"\3\4abcd", unit=8)),
        ("function 4 answers function 3", frame(1, b"\4\4abcd")),
        ("function 144 answers function 3", frame(1, b"\x90\2")),
        ("byte count 2", frame(1, b"\3\2abcd")),
        ("byte count 6", frame(1, b"\3\6abcd")),
        ("reply of 11 octets", frame(1, b"\3\2ab")),
        ("reply of 15 octets", frame(1, b"\3\6abcdef")),
        ("reply of 8 octets", frame(1, b"\3")),
        ("exception response of 8", frame(1, b"\x83")),
        ("exception response of 10", frame(1, b"\x83\2\2")),
    ],
)
def test_a_structural_fault_breaks_the_stream_for_good(why: str, received: bytes) -> None:
    exchange = asked()
    [outcome] = exchange.feed(received)
    assert isinstance(outcome, Broken)
    assert why in outcome.why
    assert exchange.broken == outcome.why
    assert exchange.feed(read_reply(1)) == []


@pytest.mark.parametrize(
    "echo",
    [
        b"\x10\x9c\x41\0\2",
        b"\x10\x9c\x40\0\1",
        b"\x10\x9c\x40\0\2\0",
        b"\x10\x9c\x40",
    ],
)
def test_a_wrong_echo_of_a_write_breaks_the_stream(echo: bytes) -> None:
    exchange = Exchange()
    exchange.write(UNIT, ADDRESS, b"abcd")
    assert isinstance(exchange.feed(frame(1, echo))[-1], Broken)


def test_a_single_write_must_echo_its_value() -> None:
    exchange = Exchange()
    sent = exchange.write_one(UNIT, ADDRESS, 500)
    [outcome] = exchange.feed(sent[:-1] + b"\0")
    assert isinstance(outcome, Broken)
    assert "9c4001f4" in outcome.why


@given(chunks=st.lists(st.binary(max_size=300), max_size=6))
def test_noise_never_raises(chunks: list[bytes]) -> None:
    exchange = asked()
    outcomes = [outcome for chunk in chunks for outcome in exchange.feed(chunk)]
    assert all(isinstance(outcome, Broken) for outcome in outcomes[-1:]) or exchange.broken is None
    assert sum(isinstance(outcome, Broken) for outcome in outcomes) <= 1


faults = st.sampled_from(
    ["good", "duplicate", "late", "foreign", "truncated", "refusal", "other unit", "other function", "noise"]
)


def spoil(fault: str, now: int, past: list[int]) -> bytes:
    earlier = past[-2] if len(past) > 1 else (now - 1) & 0xFFFF
    return {
        "good": read_reply(now),
        "duplicate": read_reply(now) * 2,
        "late": read_reply(earlier),
        "foreign": read_reply((now + 77) & 0xFFFF, quantity=5),
        "truncated": read_reply(now)[:9],
        "refusal": frame(now, b"\x83\6"),
        "other unit": read_reply(now).replace(b"\7\3", b"\10\3", 1),
        "other function": frame(now, b"\4\4" + b"\xee" * 4),
        "noise": b"\xff\xfe\xfd",
    }[fault]


@settings(max_examples=300, deadline=None)
@given(
    first=st.sampled_from([1, 0xFFFE, 0x0703]),
    depth=st.integers(1, 3),
    rounds=st.lists(st.tuples(st.lists(faults, max_size=4), st.booleans()), min_size=1, max_size=6),
    data=st.data(),
)
def test_no_reply_for_any_request_but_an_outstanding_one(
    first: int, depth: int, rounds: list[tuple[list[str], bool]], data: st.DataObject
) -> None:
    exchange = Exchange(depth=depth, first_transaction=first)
    past: list[int] = []
    held = b""
    whole = True
    for kinds, give_up in rounds:
        if exchange.broken is not None:
            break
        if len(exchange.outstanding) < depth:
            exchange.read(UNIT, ADDRESS, 2)
            past.append(exchange.transaction)
        whole = whole and "truncated" not in kinds  # no checksum: octets inside a frame cannot be told apart
        held += b"".join(spoil(kind, past[-1], past) for kind in kinds)
        cut = data.draw(st.integers(0, len(held)))
        waiting = set(exchange.outstanding)
        for outcome in exchange.feed(held[:cut]):
            if isinstance(outcome, Registers) and whole:
                assert outcome.registers == struct.pack(">H", outcome.transaction) * 2
            if isinstance(outcome, Registers | Written | Refused):
                assert outcome.transaction in waiting
                waiting.remove(outcome.transaction)
            if isinstance(outcome, Stray):
                assert outcome.transaction not in waiting
        assert exchange.broken is not None or waiting == set(exchange.outstanding)
        held = held[cut:]
        if give_up and exchange.outstanding:
            exchange.abandon(exchange.outstanding[0])


@given(data=st.data(), strays=st.lists(st.integers(2, 0xFFFF), max_size=5))
def test_the_answer_is_found_among_strays_however_the_stream_is_cut(data: st.DataObject, strays: list[int]) -> None:
    exchange = asked()
    stream = b"".join(map(read_reply, strays)) + read_reply(1) + b"".join(map(read_reply, strays))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    outcomes = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        outcomes += exchange.feed(stream[start:end])
    assert outcomes == [*map(Stray, strays), Registers(1, b"\0\1\0\1"), *map(Stray, strays)]
