"""Whatever octets come: a value, or a fault of the wire in one line, and nothing else."""

import contextlib
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sep2_values import EXAMPLES, NS

from gateway.wire.sep2 import WireFault, decode, encode, peek

FUZZED = [encode(example) for example in EXAMPLES]
SPLICES = (
    b"<",
    b">",
    b"&",
    b"&x;",
    b"]]>",
    b"<![CDATA[",
    b"<!--",
    b"\x00",
    b"\xff",
    b"-1",
    b"9" * 30,
    b"<mRID>",
    b"''",
    b" ",
)


def mutated(draw: random.Random) -> bytes:
    """Break a good body in one to four places."""
    body = bytearray(draw.choice(FUZZED))
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(body))
        match draw.randrange(4):
            case 0:
                body[at] = draw.randrange(256)
            case 1:
                del body[at : at + draw.randint(1, 40)]
            case 2:
                body[at:at] = draw.choice(SPLICES)
            case _:
                end = at + draw.randint(1, 200)
                body[at:at] = body[at:end]
    return bytes(body)


def test_mutated_bodies_only_ever_raise_a_wire_fault() -> None:
    draw = random.Random(20305)  # noqa: S311 - chooses where to break a test body
    refused = sum(refuses(mutated(draw)) for _ in range(6000))
    assert 2000 < refused < 6000


@pytest.mark.soak
def test_a_minute_of_mutated_bodies_only_ever_raises_a_wire_fault() -> None:
    seed = random.SystemRandom().getrandbits(64)
    draw = random.Random(seed)  # noqa: S311 - as above
    until_s, done, slowest_s = time.monotonic() + 60, 0, 0.0
    while time.monotonic() < until_s:
        body = mutated(draw)
        began_s = time.process_time()
        try:
            refuses(body)
        except Exception as broken:
            raise AssertionError(f"seed {seed}, case {done}: {body!r}") from broken
        slowest_s = max(slowest_s, time.process_time() - began_s)
        done += 1
    assert slowest_s < 1
    assert done > 2_000


def refuses(body: bytes) -> bool:
    """Tell whether a body is refused; what is not is a value that is written and read as itself."""
    peek(body)
    try:
        resource = decode(body)
    except WireFault as fault:
        return not str(fault).count("\n")
    with contextlib.suppress(WireFault):
        assert decode(encode(resource)) == resource
    return False


@settings(max_examples=300, deadline=None)
@given(
    body=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f'<Time xmlns="{NS}">{text}</Time>'.encode())
)
def test_any_octets_only_ever_raise_a_wire_fault(body: bytes) -> None:
    peek(body)
    with pytest.raises(WireFault):
        decode(body)
