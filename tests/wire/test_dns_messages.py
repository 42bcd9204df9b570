"""DNS messages: the questions that are asked, and records out of anything that may come in."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.dns import ADDRESS, ADDRESS_6, POINTER, SERVICE, TEXT, DnsFault, Record, Service, query, records

KIND = b"\x0c_smartenergy\x04_tcp\x05local\x00"
RESPONSE = 0x8400


def message(*parts: bytes, flags: int = RESPONSE, questions: int = 0) -> bytes:
    return struct.pack("!6H", 0, flags, questions, len(parts) - questions, 0, 0) + b"".join(parts)


def record(name: bytes, kind: int, content: bytes) -> bytes:
    return name + struct.pack("!HHIH", kind, 0x8001, 120, len(content)) + content


def test_a_question_is_asked_as_others_ask_it() -> None:
    assert query([("_smartenergy._tcp.local", POINTER)]) == (
        b"\0\0\0\0\0\1\0\0\0\0\0\0" + KIND + struct.pack("!HH", 12, 0x8001)
    )


def test_a_dot_within_a_label_is_no_end_of_it() -> None:
    asked = query([("no\\. 7._tcp.local", SERVICE)])
    assert asked[12:] == b"\x05no. 7\x04_tcp\x05local\0" + struct.pack("!HH", 33, 0x8001)


@pytest.mark.parametrize("name", ["", "a..b", "a" * 64, ".".join(["abcdefgh"] * 40)])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(DnsFault):
        query([(name, ADDRESS)])


def test_records_of_a_response_with_names_that_point_back() -> None:
    pointer = record(KIND, POINTER, b"\x05Alpha\xc0\x0c")
    at = 12 + len(KIND) + 10
    name = bytes([0xC0, at])
    service = record(name, SERVICE, struct.pack("!3H", 0, 0, 8080) + b"\x04Host\xc0\x1e")
    text = record(name, TEXT, b"\x09txtvers=1\x0adcap=/dcap")
    addresses = record(b"\x04host\x05local\0", ADDRESS, bytes([192, 0, 2, 7])) + record(
        b"\x04host\x05local\0", ADDRESS_6, bytes(15) + b"\1"
    )
    other = record(b"\0", 47, b"whatever")
    whole = struct.pack("!6H", 0, RESPONSE, 0, 1, 0, 5) + pointer + service + text + addresses + other
    alpha = "alpha._smartenergy._tcp.local"
    assert KIND[0x1E - 12 :] == b"\x05local\0"
    assert records(whole) == (
        Record("_smartenergy._tcp.local", POINTER, alpha),
        Record(alpha, SERVICE, Service("host.local", 8080)),
        Record(alpha, TEXT, (b"txtvers=1", b"dcap=/dcap")),
        Record("host.local", ADDRESS, "192.0.2.7"),
        Record("host.local", ADDRESS_6, "::1"),
    )


def test_the_questions_of_a_response_are_passed_over() -> None:
    asked = KIND + struct.pack("!HH", 12, 1)
    assert len(records(message(asked, record(b"\1a\0", ADDRESS, bytes(4)), questions=1))) == 1


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(message(flags=0), id="a question"),
        pytest.param(message(flags=RESPONSE | 3), id="one that failed"),
        pytest.param(struct.pack("!6H", 0, RESPONSE, 0, 501, 0, 0), id="too many records"),
        pytest.param(message(record(b"\xc0\x0c", ADDRESS, bytes(4))), id="a name that points to itself"),
        pytest.param(message(record(b"\xc0\xff", ADDRESS, bytes(4))), id="a name that points ahead"),
        pytest.param(message(record(b"\x80", ADDRESS, bytes(4))), id="a label of another kind"),
        pytest.param(message(record(b"\1a" * 200 + b"\0", ADDRESS, bytes(4))), id="too many labels"),
        pytest.param(message(b"\1a\0" + struct.pack("!HHIH", 1, 1, 0, 400)), id="a record that is cut off"),
        pytest.param(message(record(b"\1a\0", SERVICE, b"\0\0")), id="a service that is cut off"),
        pytest.param(bytes(9_001), id="too long"),
    ],
)
def test_a_message_that_is_none_is_refused(bad: bytes) -> None:
    with pytest.raises(DnsFault):
        records(bad)


@given(st.binary(max_size=200))
def test_whatever_comes_in_is_records_or_a_fault(noise: bytes) -> None:
    try:
        found = records(struct.pack("!6H", 0, RESPONSE, 0, 3, 0, 0) + noise)
    except DnsFault:
        return
    assert len(found) <= 3
