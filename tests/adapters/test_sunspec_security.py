"""Bad input from a device or its wire, case by case: never a wrong value, never a stall of the others."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from struct import pack

import pytest
from sunspec_bench import RATED_W, Bank, Desk, Wire, Write, at, desk, hand_on, serving, until

from gateway.core.events import Adopted, LinkDown, LinkUp, NotAdopted, Observed
from gateway.core.known import Known, Unknown
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import connection, link
from gateway.wire.modbus import READ_MAX, WRITE_MAX, Exchange

LIE_W = 1_234
W_AT = 9 + 2 * 5
"""Where a reply to the read of model 701 from ConnSt on has W."""
LIVE_OCTETS = 200
"""A reply longer than this is to a read of model 701."""
REPLY_S = 0.2
ILLEGAL_ADDRESS = 2


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)
    monkeypatch.setattr(connection, "REPLY_S", REPLY_S)
    monkeypatch.setattr(link, "BACKOFF_S", (0.01, 0.05, 0.1, 0.2))


@dataclass
class Two:
    """A device behind a wire that can be twisted, and a neighbour with nothing wrong."""

    bank: Bank
    wire: Wire
    neighbour: Bank
    made: Desk

    async def neighbour_is_well(self, seconds: float = 0.3) -> None:
        """Have the neighbour polled at its pace for a while."""
        before = len(self.neighbour.reads)
        await asyncio.sleep(seconds)
        polls = (len(self.neighbour.reads) - before) / 2
        assert polls >= 0.2 * seconds * self.made.clock.rate, "it waits for the device at fault"
        assert self.made.ear.of(LinkDown, "cellar") == []
        assert set(self.made.ear.powers("cellar")) == {RATED_W}

    async def sees(self, w: int) -> None:
        """Have the device give another power, and hear of it."""
        self.bank.set(m701_W=w)
        await until(lambda: self.made.ear.powers()[-1] == w)


@asynccontextmanager
async def two(bank: Bank | None = None) -> AsyncIterator[Two]:
    """Run links to both; the device is not waited for."""
    bank, neighbour = bank or Bank(), Bank()
    async with (
        serving(bank) as server,
        serving(neighbour) as other,
        Wire(server.port) as wire,
        desk({"roof": at(wire.port), "cellar": at(other.port)}) as made,
    ):
        await until(lambda: made.ear.powers("cellar")[-1:] == [RATED_W])
        yield Two(bank, wire, neighbour, made)


def lie(frame: bytes) -> bytes:
    return frame[:W_AT] + LIE_W.to_bytes(2) + frame[W_AT + 2 :]


def headed(frame: bytes, *, transaction: int = 0, protocol: int = 0, length: int | None = None, unit: int = 1) -> bytes:
    """Give a lie under another header; the transaction counts from the right one."""
    right = int.from_bytes(frame[:2])
    size = len(frame) - 6 if length is None else length
    return pack(">HHHB", (right + transaction) % 0x10000, protocol, size, unit) + lie(frame)[7:]


def wider(frame: bytes, registers: int) -> bytes:
    payload = lie(frame)[9:] + b"\x04\xd2" * registers
    return pack(">HHHBBB", int.from_bytes(frame[:2]), 0, len(payload) + 3, 1, 3, len(payload) % 256) + payload


REPLIES: dict[str, Callable[[bytes], Iterable[bytes]]] = {
    "adu_longer_than_260": lambda frame: [wider(frame, 20)],
    "length_field_0": lambda frame: [headed(frame, length=0)],
    "length_field_1": lambda frame: [headed(frame, length=1)],
    "length_field_255": lambda frame: [headed(frame, length=255)],
    "length_field_65535": lambda frame: [headed(frame, length=65_535)],
    "protocol_id_not_0": lambda frame: [headed(frame, protocol=1)],
    "wrong_transaction_id": lambda frame: [headed(frame, transaction=7)],
    "late_transaction_id": lambda frame: [headed(frame, transaction=-1), frame],
    "duplicated_transaction_id": lambda frame: [frame, lie(frame)],
    "unit_id_mismatch": lambda frame: [headed(frame, unit=2)],
    "function_of_another_request": lambda frame: [frame[:7] + b"\x04" + lie(frame)[8:]],
    "exception_to_another_function": lambda frame: [frame[:4] + b"\0\3" + frame[6:7] + b"\x84\2"],
    "byte_count_lies": lambda frame: [frame[:8] + bytes((frame[8] - 2,)) + lie(frame)[9:]],
    "more_registers_than_asked_for": lambda frame: [wider(frame, 1)],
    "more_than_125_registers": lambda frame: [wider(frame, 12)],
}


@pytest.mark.parametrize("how", REPLIES)
async def test_a_bad_reply_ends_the_connection_and_is_not_believed(how: str) -> None:
    twists = [0]

    async def twist(frame: bytes, write: Write) -> None:
        if len(frame) < LIVE_OCTETS or twists[0] == 2:
            write(frame)
            return
        twists[0] += 1
        for each in REPLIES[how](frame):
            write(each)
            await asyncio.sleep(0.002)

    async with two() as both:
        await both.made.ear.until(Observed)
        connections = both.wire.connections
        both.wire.twist = twist
        await both.made.ear.until(LinkDown)
        await until(lambda: twists[0] == 2)
        await both.sees(4_000)
        assert set(both.made.ear.powers()) == {RATED_W, 4_000}
        assert both.wire.connections - connections == 2, "a stream that broke is never resynchronised"
        await both.neighbour_is_well(0.1)


def test_no_request_asks_for_more_than_125_registers_or_writes_more_than_123() -> None:
    for quantity in (0, READ_MAX + 1, 0xFFFF):
        with pytest.raises(ValueError, match="one read carries"):
            Exchange().read(1, 0, quantity)
    for octets in (0, 3, 2 * WRITE_MAX + 2):
        with pytest.raises(ValueError, match="one write carries"):
            Exchange().write(1, 0, bytes(octets))


async def test_half_open_tcp_is_down_after_the_deadline_and_stalls_nobody() -> None:
    """The far end is gone without a word: requests go nowhere, and no end of the stream ever comes."""
    gone = asyncio.Event()

    async def hold(frame: bytes, write: Write) -> None:
        await gone.wait()
        write(frame)

    async with two() as both:
        await both.made.ear.until(Observed)
        both.wire.twist = hold
        began = time.monotonic()
        assert (await both.made.ear.until(LinkDown)).why == f"no reply within {REPLY_S:g} s"
        assert time.monotonic() - began < REPLY_S + 0.2
        await both.neighbour_is_well()
        both.wire.twist = hand_on
        gone.set()
        await both.sees(4_000)
        assert set(both.made.ear.powers()) == {RATED_W, 4_000}


async def test_one_byte_at_a_time_does_not_outlast_the_deadline() -> None:
    """Slow bytes do not start the deadline anew: it is for the reply."""

    async def drip(frame: bytes, write: Write) -> None:
        for octet in lie(frame) if len(frame) > LIVE_OCTETS else frame:
            write(bytes((octet,)))
            await asyncio.sleep(REPLY_S / 20)

    async with two() as both:
        await both.made.ear.until(Observed)
        both.wire.twist = drip
        began = time.monotonic()
        assert (await both.made.ear.until(LinkDown)).why == f"no reply within {REPLY_S:g} s"
        assert time.monotonic() - began < REPLY_S + 0.2
        await both.neighbour_is_well()
        both.wire.twist = hand_on
        await both.sees(4_000)
        assert LIE_W not in both.made.ear.powers()


@pytest.mark.parametrize("code", [5, 6, 11, 200])
async def test_an_exception_storm_is_down_and_not_answered_by_a_storm(code: int) -> None:
    async def storm(frame: bytes, write: Write) -> None:
        write(frame[:4] + b"\0\3" + frame[6:7] + bytes((frame[7] | 0x80, code)))

    async with two() as both:
        await both.made.ear.until(Observed)
        both.wire.twist = storm
        assert f"exception {code}" in (await both.made.ear.until(LinkDown)).why
        before = len(both.wire.requests)
        await both.neighbour_is_well()
        assert len(both.wire.requests) - before <= 30
        both.wire.twist = hand_on
        await both.sees(4_000)
        assert set(both.made.ear.powers()) == {RATED_W, 4_000}


async def test_a_device_that_is_busy_to_its_measurement_alone_is_not_known_for_ever() -> None:
    async def busy(frame: bytes, write: Write) -> None:
        live = len(frame) > LIVE_OCTETS
        write(frame[:4] + b"\0\3" + frame[6:7] + b"\x83\6" if live else frame)

    async with two() as both:
        await both.made.ear.until(LinkUp)
        both.made.want()
        await both.made.ear.until(Adopted)
        both.wire.twist = busy
        assert "exception 6" in (await both.made.ear.until(LinkDown)).why
        await both.neighbour_is_well(0.1)
        both.wire.twist = hand_on
        await both.sees(4_000)


async def test_coalesced_and_split_frames() -> None:
    """A reply cut anywhere is one reply; two in one segment are one too many."""
    cuts = [0]

    async def cut(frame: bytes, write: Write) -> None:
        cuts[0] += 1
        place = 1 + cuts[0] % 12
        write(frame[:place])
        await asyncio.sleep(0)
        write(frame[place:])

    async def coalesce(frame: bytes, write: Write) -> None:
        write(frame + headed(frame, transaction=1))

    async with two() as both:
        await both.made.ear.until(LinkUp)
        both.wire.twist = cut
        both.made.want()
        await both.made.ear.until(Adopted)
        await until(lambda: cuts[0] > 24)
        await both.sees(4_000)
        assert both.made.ear.of(LinkDown) == []
        both.wire.twist = coalesce
        await both.made.ear.until(LinkDown)
        await both.neighbour_is_well(0.1)
        assert set(both.made.ear.powers()) == {RATED_W, 4_000}


class Maze(Bank):
    """A map that goes on for ever: whatever is asked for is a model of one register."""

    def octets(self, address: int, count: int) -> bytes | None:
        if address == self.spec.base:
            return b"SunS" + pack(">HH", 1, 1)
        return (pack(">HH", 5, 1) * count)[: 2 * count]


def without_marker() -> Bank:
    bank = Bank()
    bank.words[:4] = b"SunX"
    return bank


def with_length(length: int) -> Bank:
    """Give a device whose model 701 states another length than it has."""
    bank = Bank()
    bank.set(m701_L=length)
    return bank


@pytest.mark.parametrize(
    ("made_wrong", "why"),
    [
        pytest.param(without_marker, "no SunSpec map (40000: no SunS; ", id="no_suns_marker"),
        pytest.param(lambda: with_length(0), "has length 0: the map is not to be trusted", id="model_length_zero"),
        pytest.param(Maze, "more than 100 models: the map is not to be trusted", id="endless_walk"),
        pytest.param(
            lambda: with_length(0xFFFF),
            "ends past address 65535: the map is not to be trusted",
            id="model_length_65535",
        ),
    ],
)
async def test_a_map_that_cannot_be_walked_is_down_with_its_reason(made_wrong: Callable[[], Bank], why: str) -> None:
    async with two(made_wrong()) as both:
        assert why in (await both.made.ear.until(LinkDown)).why
        before = len(both.wire.requests)
        await both.neighbour_is_well(0.5)
        assert len(both.wire.requests) - before <= 100 * 5, "it is not walked ever faster"
        assert both.made.ear.of(LinkUp) == both.made.ear.powers() == []
        assert len(both.made.ear.of(LinkDown)) == 1


@pytest.mark.parametrize("length", [1, 3, 7, 151])
async def test_model_length_odd_or_too_short_gives_no_value_that_is_not_there(length: int) -> None:
    """The walk goes astray after it, and what the device says lies outside it is not read as a point."""
    async with two(with_length(length)) as both:
        await both.neighbour_is_well(0.2)
        assert set(both.made.ear.powers()) <= {None, RATED_W}
        if length < 10:
            assert RATED_W not in both.made.ear.powers(), "W lies past the end of the model"


async def test_end_marker_missing() -> None:
    bank = Bank()
    del bank.words[-4:]
    async with two(bank) as both:
        assert (await both.made.ear.until(LinkUp)).generation_max_w.value == RATED_W
        both.made.want()
        await both.made.ear.until(Adopted)
        assert bank.limit_pct == 60


@pytest.mark.parametrize(
    ("points", "why"),
    [
        pytest.param({"m701_W": 0x8000}, "not implemented by the device", id="value_8000"),
        pytest.param(
            {"m701_LNV": 0xFFFF, "m701_LLV": 0xFFFF, "m701_Hz": 0xFFFFFFFF},
            "it gives neither voltage nor frequency: asleep, or not to be believed",
            id="value_ffff_and_ffffffff",
        ),
        pytest.param({"m701_W_SF": 0x8000}, "its scale factor W_SF is not implemented", id="scale_factor_8000"),
        pytest.param({"m701_W_SF": 11}, "its scale factor W_SF is 11, outside -10..10", id="scale_factor_11"),
        pytest.param({"m701_W_SF": -11}, "its scale factor W_SF is -11, outside -10..10", id="scale_factor_minus_11"),
        pytest.param(
            {"m701_W_SF": 10},
            "it reads 50000000000000 W or var, which no DER gives",
            id="scale_factor_in_range_and_wrong",
        ),
    ],
)
async def test_what_is_no_value_is_unknown_and_why(points: dict[str, int], why: str) -> None:
    async with two() as both:
        await both.made.ear.until(Observed)
        healthy = bytes(both.bank.words)
        both.bank.set(**points)
        await until(lambda: both.made.ear.powers()[-1] is None)
        power = both.made.ear.of(Observed)[-1].power
        assert isinstance(power, Unknown)
        assert power.why == why
        await both.neighbour_is_well(0.1)
        both.bank.words[:] = healthy
        await both.sees(4_000)
        assert set(both.made.ear.powers()) == {RATED_W, None, 4_000}


@pytest.mark.parametrize("scale", [0x8000, 11, -11])
async def test_a_limit_is_not_written_by_a_scale_factor_that_cannot_be(scale: int) -> None:
    bank = Bank()
    bank.set(m704_WMaxLimPct_SF=scale)
    async with two(bank) as both:
        await both.made.ear.until(LinkUp)
        both.made.want()
        assert "WMaxLimPct_SF" in (await both.made.ear.until(NotAdopted)).why
        assert both.bank.writes == []


async def test_scale_factor_changed_between_reads() -> None:
    """Value and scale factor come of one request, so that every sample is of one scale."""
    turns = [0]

    def move(_address: int, _count: int) -> None:
        turns[0] += 1
        scale = (0, 1, 2)[turns[0] % 3]
        both.bank.set(m701_W_SF=scale, m701_W=4_000 // 10**scale)

    async with two() as both:
        await both.made.ear.until(Observed)
        both.bank.before_read = move
        await until(lambda: turns[0] > 12)
        assert set(both.made.ear.powers()) == {RATED_W, 4_000}
        assert both.made.ear.of(LinkDown) == []


@pytest.mark.parametrize("state", [2, 77, 0xFFFE])
async def test_an_enumeration_out_of_range_says_nothing(state: int) -> None:
    async with two() as both:
        await both.made.ear.until(Observed)
        for value, connected in ((0, False), (state, None), (1, True)):
            both.bank.set(m701_ConnSt=value)
            heard = len(both.made.ear.of(Observed))
            await both.made.ear.until(Observed, heard + 1)
            assert both.made.ear.of(Observed)[-1].connected is connected
        assert all(isinstance(each.power, Known) for each in both.made.ear.of(Observed))


async def test_a_write_accepted_and_read_back_different_is_not_adopted() -> None:
    """A device may take a second to show what was written (SunSpec); one that shows something else is told of then."""
    async with two() as both:
        await both.made.ear.until(LinkUp)
        both.bank.after_write = lambda: both.bank.set(m704_WMaxLimPct=7_000)
        wanted_at = both.made.clock.now_ms()
        both.made.want()
        why = (await both.made.ear.until(NotAdopted)).why
        assert why == "WMaxLimPct reads 70 %, not 60 %"
        assert both.made.clock.now_ms() - wanted_at >= 1_000
        assert both.made.ear.of(Adopted) == []
        both.bank.after_write = lambda: None
        await both.made.ear.until(Adopted)


async def test_a_write_that_shows_within_a_second_is_adopted_without_a_word() -> None:
    async with two() as both:
        await both.made.ear.until(LinkUp)
        told = bytearray()

        def late() -> None:
            told[:] = both.bank.words
            both.bank.words[:] = before
            asyncio.get_running_loop().call_later(0.6 / both.made.clock.rate, show)

        def show() -> None:
            both.bank.words[:] = told

        before = bytes(both.bank.words)
        both.bank.after_write = late
        both.made.want()
        await both.made.ear.until(Adopted)
        assert both.made.ear.of(NotAdopted) == []
        assert both.bank.limit_pct == 60
