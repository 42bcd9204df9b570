"""What a device or the wire to it may do wrong: no lie is believed, nobody else is delayed, and it is found again."""

import asyncio
import logging
import time
from collections.abc import Callable
from struct import pack

import pytest
from sunspec_bench import RATE, RATED_W, Bank, Wire, Write, at, bench, clock_at, desk, serving, twisted, until

from gateway.core.events import Adopted, LinkDown, LinkUp, NotAdopted, Observed
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import connection, link
from hil.clock import Clock
from hil.street import Street
from hil.sunspec.inverter import InverterSpec

LIE_W = 1_234
W_AT = 9 + 2 * 5
"""Where a reply to the read of model 701 from ConnSt on has W."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the deadline and the pauses short, to be quick."""
    monkeypatch.setattr(connection, "REPLY_S", 0.15)
    monkeypatch.setattr(link, "BACKOFF_S", (0.01, 0.05, 0.1, 0.2, 0.4))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def lie(frame: bytes) -> bytes:
    return frame[:W_AT] + LIE_W.to_bytes(2) + frame[W_AT + 2 :]


def resized(frame: bytes, registers: int) -> bytes:
    """Give a lie of more or fewer registers, true to itself in every length."""
    payload = (lie(frame)[9:] + bytes(2))[: len(frame) - 9 + 2 * registers]
    return frame[:4] + pack(">HBBB", len(payload) + 3, frame[6], 3, len(payload)) + payload


def other_transaction(frame: bytes, by: int) -> bytes:
    return ((int.from_bytes(frame[:2]) + by) % 0x10000).to_bytes(2) + lie(frame)[2:]


LIES: dict[str, Callable[[bytes], list[bytes]]] = {
    "the next transaction": lambda frame: [other_transaction(frame, 1)],
    "an old transaction": lambda frame: [other_transaction(frame, -1)],
    "transaction 0": lambda frame: [b"\0\0" + lie(frame)[2:]],
    "another unit": lambda frame: [frame[:6] + b"\2" + lie(frame)[7:]],
    "another function": lambda frame: [frame[:7] + b"\4" + lie(frame)[8:]],
    "another protocol": lambda frame: [frame[:2] + b"\0\1" + lie(frame)[4:]],
    "a register less": lambda frame: [resized(frame, -1)],
    "a register more": lambda frame: [resized(frame, 1)],
    "a byte count that lies": lambda frame: [frame[:8] + bytes((frame[8] - 2,)) + lie(frame)[9:]],
    "twice in one segment": lambda frame: [lie(frame) + lie(frame)],
    "a stranger before it": lambda frame: [other_transaction(frame, -1) + lie(frame)],
    "once more, later": lambda frame: [frame, lie(frame)],
    "nothing": lambda _frame: [],
    "half of it": lambda frame: [lie(frame)[:-3]],
    "half of it, then all of it": lambda frame: [frame[:21], lie(frame)],
    "header alone": lambda frame: [frame[:6]],
    "web page": lambda _frame: [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "rubbish after it": lambda frame: [lie(frame) + b"\x55" * 40],
    "exception to a write": lambda frame: [frame[:4] + b"\0\3" + frame[6:7] + b"\x90\2"],
    "exception that is too long": lambda frame: [frame[:4] + b"\0\4" + frame[6:7] + b"\x83\2\2"],
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", LIES)
async def test_no_lie_is_believed_and_the_device_is_found_again(how: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bank = Bank()
    told = [0]

    async def twist(frame: bytes, write: Write) -> None:
        if len(frame) < 200 or told[0] == 2:
            write(frame)
            return
        told[0] += 1
        for each in LIES[how](frame):
            write(each)
            await asyncio.sleep(0.005)

    async with twisted(bank) as (wire, made):
        made.want()
        await made.ear.until(Adopted)
        wire.twist = twist
        await made.ear.until(LinkDown)
        await until(lambda: told[0] == 2)
        await made.ear.until(LinkUp, len(made.ear.of(LinkDown)) + 1)
        bank.set(m701_W=4_000)
        await until(lambda: made.ear.powers()[-1] == 4_000)
        assert set(made.ear.powers()) <= {RATED_W, 4_000}
        assert 2 <= wire.connections <= 3
        assert bank.limit_pct == 60
        assert made.ear.of(NotAdopted) == []
        downs = [each for each in warnings(caplog) if "is down" in each]
        ups = [record for record in caplog.records if record.getMessage() == "roof is up"]
        assert (len(downs), len(ups)) == (len(made.ear.of(LinkDown)), len(downs) + 1)
    assert not [record for record in caplog.records if record.name == "asyncio" and record.levelno >= logging.WARNING]


@pytest.mark.usefixtures("impatient")
async def test_a_late_reply_that_a_bridge_kept_is_not_taken_on_the_next_connection() -> None:
    bank = Bank()
    kept: list[bytes] = []

    async def late(frame: bytes, write: Write) -> None:
        if len(frame) < 200 or kept:
            write(frame)
            return
        kept.append(lie(frame))
        wire.greeting = lie(frame)
        await asyncio.sleep(0.25)
        write(lie(frame))

    async with twisted(bank) as (wire, made):
        wire.twist = late
        await made.ear.until(LinkDown)
        await until(lambda: wire.connections >= 2)
        wire.greeting = b""
        await made.ear.until(LinkUp, 2)
        await made.polls(3)
        assert set(made.ear.powers()) == {RATED_W}
        transactions = [int.from_bytes(request[:2]) for request in wire.requests]
        assert len(set(transactions)) == len(transactions), "no transaction is used twice, whatever the connection"


async def test_a_reply_that_nobody_asked_for_ends_the_connection() -> None:
    bank = Bank()
    loose: list[Write] = []

    async def keep(frame: bytes, write: Write) -> None:
        loose.append(write)
        write(frame)

    async with twisted(bank) as (wire, made):
        wire.twist = keep
        await until(lambda: bool(loose))
        await until(made.links._links["roof"]._ready)
        loose[-1](b"\0\1\0\0\0\5\1\3\2\4\xd2")
        assert "answers nothing" in (await made.ear.until(LinkDown)).why
        await made.ear.until(LinkUp, 2)


@pytest.mark.usefixtures("impatient")
async def test_a_silent_device_is_down_after_the_deadline_with_one_line_and_one_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    clock = clock_at(RATE)
    async with (
        Street(Clock.parse(str(clock)), [InverterSpec(name="roof")]) as street,
        desk({"roof": at(street.ports["roof"])}, clock) as made,
    ):
        await made.ear.until(Observed)
        street.set_fault("roof", "silent", True)
        began = time.monotonic()
        down = await made.ear.until(LinkDown)
        assert 0.1 <= time.monotonic() - began <= 0.4  # a request may have been under way
        assert down.why == "no reply within 0.15 s"
        await asyncio.sleep(0.5)
        street.set_fault("roof", "silent", False)
        await made.ear.until(LinkUp, 2)
        await made.polls(3)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["roof is up", "roof is down: no reply within 0.15 s", "roof is up"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", ["reset", "refuse_connections"])
async def test_a_link_that_fails_heals_and_writes_what_is_wanted_since(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = clock_at(RATE)
    async with (
        Street(Clock.parse(str(clock)), [InverterSpec(name="roof")]) as street,
        desk({"roof": at(street.ports["roof"])}, clock) as made,
    ):
        await made.ear.until(LinkUp)
        made.want(1)
        await made.ear.until(Adopted)
        street.set_fault("roof", fault, True)
        await made.ear.until(LinkDown)
        made.want(2, limit_w=2_000)
        await made.polls(10)
        assert street.inverters["roof"].value("704.WMaxLimPct") == 60
        street.set_fault("roof", fault, False)
        await until(lambda: made.ear.of(Adopted)[-1].serial == 2)
        assert street.inverters["roof"].value("704.WMaxLimPct") == 40
        assert len(made.ear.of(LinkDown)) == 1
    assert len([each for each in warnings(caplog) if "is down" in each]) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["2018", "legacy"])
@pytest.mark.parametrize("drops", [True, False])
async def test_a_device_that_reboots_is_told_again(kind: str, *, drops: bool) -> None:
    bank = Bank(kind)
    power_on = bytes(bank.words)
    async with serving(bank) as server, desk({"roof": at(server.port)}) as made:
        await made.ear.until(LinkUp)
        made.want(energized=False)
        await made.ear.until(Adopted)
        told = bytes(bank.words)
        if drops:
            server.resets = True
            await made.ear.until(LinkDown)
        bank.words[:] = power_on
        server.resets = False
        await made.ear.until(Adopted, 2)
        assert bytes(bank.words) == told
        assert made.ear.of(NotAdopted) == []


@pytest.mark.usefixtures("impatient")
async def test_a_device_that_is_silent_at_a_wrong_base_is_found_all_the_same() -> None:
    bank = Bank(base=50000)

    async def mute(frame: bytes, write: Write) -> None:
        if frame[7] < 0x80:
            write(frame)

    async with serving(bank) as server, Wire(server.port) as wire:
        wire.twist = mute
        async with desk({"roof": at(wire.port)}) as made:
            assert (await made.ear.until(LinkUp)).generation_max_w.value == RATED_W
            assert wire.connections == 3


async def test_a_busy_device_is_asked_again_and_kept() -> None:
    bank = Bank()
    busy = [0]

    async def sometimes(frame: bytes, write: Write) -> None:
        busy[0] += 1
        write(frame if busy[0] % 7 else frame[:4] + b"\0\3" + frame[6:7] + b"\x83\6" if frame[7] == 3 else frame)

    async with twisted(bank) as (wire, made):
        wire.twist = sometimes
        made.want()
        await made.ear.until(Adopted)
        await made.polls(10)
        bank.set(m701_W=1_000)
        await until(lambda: made.ear.powers()[-1] == 1_000)
        assert made.ear.of(LinkDown) == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("sizes", [{115}, {73, 42}])
async def test_a_device_that_refuses_every_read_is_not_asked_ever_faster(sizes: set[int]) -> None:
    bank = Bank()

    async def refuse(frame: bytes, write: Write) -> None:
        refused = frame[7] == 3 and frame[8] // 2 in sizes
        write(frame[:4] + b"\0\3" + frame[6:7] + b"\x83\2" if refused else frame)

    async with serving(bank) as server, Wire(server.port) as wire:
        wire.twist = refuse
        async with desk({"roof": at(wire.port)}) as made:
            assert "exception 2 (illegal data address) to a read" in (await made.ear.until(LinkDown)).why
            await asyncio.sleep(0.5)
            assert 3 <= wire.connections <= 6
            wire.twist = at_once
            await made.ear.until(LinkUp, len(made.ear.of(LinkUp)) + 1)


async def at_once(frame: bytes, write: Write) -> None:
    write(frame)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["2018", "legacy"])
async def test_without_permission_not_one_write_leaves_and_reading_goes_on(kind: str) -> None:
    bank = Bank(kind)
    async with (
        serving(bank) as server,
        Wire(server.port) as wire,
        desk({"roof": at(wire.port)}, may_write=False) as made,
    ):
        await made.ear.until(LinkUp)
        made.want(1, target_w=1_000, connected=False, revert_after_ms=3_000)
        await made.polls(6)
        made.want(2, limit_w=0, revert_limit_w=0, energized=False)
        bank.set(**{"m701_W" if kind == "2018" else "m103_W": 2_000})
        await until(lambda: made.ear.powers()[-1] == 2_000)
        server.resets = True
        await made.ear.until(LinkDown)
        server.resets = False
        await made.ear.until(LinkUp, 2)
        await made.polls(4)
        assert {request[7] for request in wire.requests} == {3}
        assert bank.writes == []
        assert made.links.shared.writes == 0
        assert made.links.shared.suppressed >= 2
        assert made.ear.of(Adopted) == made.ear.of(NotAdopted) == []


async def test_links_that_are_started_again_connect_again() -> None:
    bank = Bank()
    async with bench(bank) as made:
        for times in (2, 3):
            task = asyncio.create_task(made.links.run())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert len(made.ear.of(LinkDown)) == times - 1
            await made.ear.until(LinkUp, times)


async def test_a_fault_of_ours_in_one_link_is_not_anothers(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        serving(Bank()) as one,
        serving(Bank()) as other,
        desk({"roof": at(one.port), "cellar": at(other.port)}) as made,
    ):
        for name in ("roof", "cellar"):
            await made.ear.until(LinkUp, device=name)
        broken = made.links._links["roof"]
        broken._refresh_due = None  # type: ignore[assignment, method-assign] # the fault
        await made.ear.until(LinkDown)
        del broken._refresh_due
        await made.ear.until(LinkUp, 2)
        assert made.ear.of(LinkDown, "cellar") == []
    assert [each for each in warnings(caplog) if "its link broke" in each]


async def test_a_host_that_is_no_name_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with desk({"roof": at(1, host="a" * 70)}) as made:
        assert "cannot connect" in (await made.ear.until(LinkDown)).why
        await asyncio.sleep(0.3)
        assert len(made.ear.events) == 1
    assert len(warnings(caplog)) == 1
