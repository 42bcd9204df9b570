"""Units behind one socket: one connection and one request at a time, and what a dead unit costs its neighbours."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Final

import pytest
from sunspec_bench import RATED_W, Bank, Ear, at, clock_at, desk, one_frame, until

from gateway.core.events import Adopted, LinkDown, LinkUp, MeterRead, Observed
from gateway.ports.south import Lease
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import Lines, SunspecMeter, SunspecModbus, build, build_meters, connection, link
from gateway.southbound.sunspec_modbus.gather import Blocks
from gateway.southbound.sunspec_modbus.points import Ask
from gateway.wire.modbus import Refused
from hil.sunspec.modbus_server import Registers
from hil.sunspec.site_meter import MeterPlan, SiteMeter

REPLY_S: Final = 0.5
WRITE: Final = 16


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)
    monkeypatch.setattr(connection, "REPLY_S", REPLY_S)


class Bridge:
    """A gateway to a serial line: it takes one request at a time, and says so when it gets another."""

    def __init__(self, units: dict[int, Registers], delay_s: float = 0.0) -> None:
        self.units = units
        self.delay_s = delay_s
        self.silent: set[int] = set()
        self.unreached: set[int] = set()
        self.cuts: dict[int, int] = {}
        self.most = 125
        self.connections = 0
        self.overlapped = 0
        self.asked: list[tuple[float, int, int]] = []
        self.answered: list[tuple[float, int]] = []
        self.opened_s = 0.0
        self.cut: Callable[[], None] = lambda: None
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        self.connections += 1
        self.opened_s = time.monotonic()
        self.cut = writer.transport.abort
        try:
            while frame := await one_frame(reader):
                await self._answer(frame, writer)
                self.overlapped += len(reader._buffer) > 0  # type: ignore[attr-defined] # what came before the reply
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        unit, function = frame[6], frame[7]
        address, count = int.from_bytes(frame[8:10]), int.from_bytes(frame[10:12])
        self.asked.append((time.monotonic(), unit, function))
        await asyncio.sleep(self.delay_s)
        if self.cuts.get(unit):
            self.cuts[unit] -= 1
            self.cut()
            return
        if unit in self.silent:
            return
        if unit in self.unreached:
            pdu = bytes((function | 0x80, 11))
        elif function == WRITE:
            code = self.units[unit].write(function, address, frame[13:])
            pdu = bytes((function | 0x80, code)) if code else frame[7:12]
        elif count > self.most:
            pdu = bytes((function | 0x80, 3))
        else:
            words = self.units[unit].read(address, count)
            pdu = bytes((function, 2 * count)) + words if isinstance(words, bytes) else bytes((function | 0x80, 2))
        self.answered.append((time.monotonic(), unit))
        writer.write(frame[:4] + (len(pdu) + 1).to_bytes(2) + bytes((unit,)) + pdu)


@asynccontextmanager
async def bridging(bridge: Bridge) -> AsyncIterator[dict[str, SunspecModbus]]:
    """Serve a bridge, and give a table for each of its units: `u1`, `u2`, ..."""
    server = await asyncio.start_server(bridge.serve, "127.0.0.1", bridge.port)
    bridge.port = server.sockets[0].getsockname()[1]
    try:
        yield {f"u{unit}": at(bridge.port, unit=unit, poll_s=5) for unit in bridge.units}
    finally:
        server.close()
        bridge.cut()


def banks(count: int) -> dict[int, Registers]:
    return {unit: Bank() for unit in range(1, count + 1)}


def widest_gap_s(bridge: Bridge, unit: int, since_s: float) -> float:
    """Give the longest time in which a unit gave no answer."""
    times = [since_s, *(at_s for at_s, answered in bridge.answered if answered == unit and at_s > since_s)]
    return max(after - before for before, after in pairwise([*times, time.monotonic()]))


async def test_units_of_one_address_share_a_connection_and_all_are_told() -> None:
    bridge = Bridge(banks(6), delay_s=0.001)
    async with bridging(bridge) as tables, desk(tables) as made:
        for serial, name in enumerate(tables, 1):
            await made.ear.until(LinkUp, device=name)
            made.want(serial=serial, device=name)
        for name in tables:
            await made.ear.until(Adopted, device=name)
        assert bridge.connections == 1
        assert bridge.overlapped == 0
        for bank in bridge.units.values():
            assert isinstance(bank, Bank)
            assert bank.limit_pct == 60


async def test_a_name_in_capitals_is_the_same_address() -> None:
    bridge = Bridge(banks(2))
    async with bridging(bridge) as tables:
        hosts = {"u1": "LocalHost", "u2": "localhost"}
        both = {name: at(table.port, unit=table.unit, host=hosts[name]) for name, table in tables.items()}
        async with desk(both) as made:
            await made.ear.until(LinkUp, device="u1")
            await made.ear.until(LinkUp, device="u2")
            assert bridge.connections == 1


@pytest.mark.parametrize("how", ["silent", "unreached"])
async def test_a_dead_unit_costs_its_neighbours_one_timeout_in_each_of_its_pauses(how: str) -> None:
    bridge = Bridge(banks(4))
    async with bridging(bridge) as tables, desk(tables, clock_at(50)) as made:
        for name in tables:
            await made.ear.until(LinkUp, device=name)
        since_s = time.monotonic()
        getattr(bridge, how).add(2)
        down = await made.ear.until(LinkDown, device="u2")
        assert down.why in {
            f"no reply within {REPLY_S} s",
            "unit 2 does not answer: exception 11 (gateway target device failed to respond)",
        }
        await asyncio.sleep(2.5)
        probes = [at_s for at_s, unit, _ in bridge.asked if unit == 2 and at_s > since_s]
        pauses = [after - before for before, after in pairwise(probes[1:])]
        most = REPLY_S if how == "silent" else 0.0
        expected = [pause + most for pause in link.BACKOFF_S]
        assert 2 < len(probes) < 7
        assert all(pause > least - 0.05 for pause, least in zip(pauses, expected[1:], strict=False)), pauses
        for unit in (1, 3, 4):
            assert widest_gap_s(bridge, unit, since_s) < most + 0.45
            assert not made.ear.of(LinkDown, f"u{unit}")
        getattr(bridge, how).clear()
        await made.ear.until(LinkUp, 2, device="u2")


async def test_a_write_goes_before_what_others_read() -> None:
    bridge = Bridge(banks(8), delay_s=0.008)
    async with bridging(bridge) as tables, desk(tables, clock_at(500)) as made:
        for name in tables:
            await made.ear.until(LinkUp, device=name)
        await until(lambda: len(bridge.asked) > 250)
        for serial in range(1, 6):
            before = len(bridge.asked)
            made.want(serial=serial, device="u7", limit_w=2_000 + serial)
            await made.ear.until(Adopted, serial, device="u7")
            asked = bridge.asked[before:]
            first = next(index for index, (_, unit, function) in enumerate(asked) if (unit, function) == (7, WRITE))
            assert sum(unit != 7 for _, unit, _ in asked[:first]) <= 1


async def test_finding_out_what_units_are_does_not_hold_up_who_is_read() -> None:
    bridge = Bridge(banks(5), delay_s=0.01)
    async with bridging(bridge) as tables:
        bridge.unreached = {2, 3, 4, 5}
        async with desk(tables, clock_at(50)) as made:
            await made.ear.until(LinkUp, device="u1")
            bridge.unreached.clear()
            since_s = time.monotonic()
            others = ("u2", "u3", "u4", "u5")
            await until(lambda: any(made.ear.of(LinkUp, name) for name in others))
            asked = [unit for at_s, unit, _ in bridge.asked if at_s > since_s]
            assert set(asked) == {1, 2, 3, 4, 5}
            in_a_row = sum(pair == (1, 1) for pair in pairwise(asked))
            assert in_a_row > asked.count(1) / 3, "the reads of a poll are let through one after the other"


async def test_the_loss_of_the_line_is_the_loss_of_all_and_each_is_found_again() -> None:
    bridge = Bridge(banks(3))
    async with bridging(bridge) as tables, desk(tables) as made:
        for name in tables:
            await made.ear.until(LinkUp, device=name)
        bridge.silent.update(bridge.units)
        for name in tables:
            await made.ear.until(LinkDown, device=name)
        bridge.silent.clear()
        for name in tables:
            await made.ear.until(LinkUp, 2, device=name)
            assert len(made.ear.of(LinkDown, name)) == 1


async def test_a_connection_cut_between_requests_is_opened_anew_and_nobody_is_lost() -> None:
    bridge = Bridge(banks(3))
    async with bridging(bridge) as tables:
        rare = {name: at(bridge.port, unit=table.unit, poll_s=3600) for name, table in tables.items()}
        await _cut_between_requests(bridge, rare)


async def _cut_between_requests(bridge: Bridge, tables: dict[str, SunspecModbus]) -> None:
    async with desk(tables) as made:
        for name in tables:
            await made.ear.until(Observed, device=name)
        await asyncio.sleep(0.1)
        bridge.cut()
        await until(lambda: bridge.connections == 2)
        made.want(device="u3")
        await made.ear.until(Adopted, device="u3")
        assert not [each for each in made.ear.events if isinstance(each, LinkDown)]


async def test_what_was_cut_short_is_asked_once_more_and_then_only_its_unit_is_lost() -> None:
    bridge = Bridge(banks(3), delay_s=0.004)
    async with bridging(bridge) as tables, desk(tables) as made:
        for name in tables:
            await made.ear.until(LinkUp, device=name)
        bridge.cuts = {2: 1}
        await until(lambda: not bridge.cuts[2])
        await until(lambda: bridge.connections == 2)
        await asyncio.sleep(0.3)
        assert not [each for each in made.ear.events if isinstance(each, LinkDown)]
        bridge.cuts = {2: 2}
        await made.ear.until(LinkDown, device="u2")
        await made.ear.until(LinkUp, 2, device="u2")
        assert not made.ear.of(LinkDown, "u1")
        assert not made.ear.of(LinkDown, "u3")


async def test_a_bridge_that_is_gone_is_told_by_each_once() -> None:
    bridge = Bridge(banks(3))
    async with bridging(bridge) as tables:
        pass
    async with desk(tables) as made:
        for name in tables:
            down = await made.ear.until(LinkDown, device=name)
            assert down.why.startswith(f"cannot connect to 127.0.0.1:{bridge.port}: ")
        await asyncio.sleep(0.3)
        assert [len(made.ear.of(LinkDown, name)) for name in tables] == [1, 1, 1]
        async with bridging(bridge):
            for name in tables:
                await made.ear.until(LinkUp, device=name)


async def test_a_gateway_that_may_not_write_writes_nothing_on_a_shared_line_either() -> None:
    bridge = Bridge(banks(2))
    async with bridging(bridge) as tables, desk(tables, may_write=False) as made:
        for serial, name in enumerate(tables, 1):
            await made.ear.until(LinkUp, device=name)
            made.want(serial=serial, device=name)
        await until(lambda: made.links.shared.suppressed >= 2)
        assert {function for _, _, function in bridge.asked} == {3}
        assert made.links.writes == 0


async def test_a_meter_and_a_device_share_their_line_and_the_meter_is_never_written_to() -> None:
    meter = SiteMeter(MeterPlan("main", "house", "203", most_w=15_000), lambda: 700.0)
    meter.step(0)
    bridge = Bridge({1: Bank(), 2: meter._image})
    clock, ear = clock_at(40), Ear()
    async with bridging(bridge) as tables:
        reads = SunspecMeter(host="127.0.0.1", port=bridge.port, unit=2)
        lines = Lines([tables["u1"], reads])
        lease = Lease(clock, 1 << 60)
        links = build({"u1": (tables["u1"], RATED_W)}, clock, ear, lease, may_write=True, lines=lines)
        meters = build_meters({"house": reads}, clock, ear, lines=lines)
        tasks = [asyncio.create_task(each.run()) for each in (links, meters)]
        try:
            await ear.until(LinkUp, device="u1")
            await until(lambda: sum(isinstance(each, MeterRead) for each in ear.events) > 3)
            assert bridge.connections == 1
            tasks[0].cancel()
            await asyncio.gather(tasks[0], return_exceptions=True)
            seen = len(ear.events)
            await until(lambda: len(ear.events) > seen + 3)
            assert bridge.connections == 1
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    assert {(unit, function) for _, unit, function in bridge.asked if unit == 2} == {(2, 3)}


async def test_the_line_rests_as_long_as_it_is_told() -> None:
    bridge = Bridge(banks(2))
    async with bridging(bridge) as tables:
        slow = {"gap_ms": 30, "connect_pause_ms": 200, "poll_s": 60}
        paced = {name: at(bridge.port, unit=table.unit, **slow) for name, table in tables.items()}
        async with desk(paced) as made:
            for name in paced:
                await made.ear.until(LinkUp, device=name)
    assert bridge.asked[0][0] - bridge.opened_s >= 0.19
    times = [at_s for at_s, _, _ in bridge.asked]
    assert min(after - before for before, after in pairwise(times)) >= 0.029


@pytest.mark.parametrize(("most", "given"), [(60, 60), (60, 125), (20, 125)])
async def test_reads_are_as_short_as_the_device_wants_them(most: int, given: int) -> None:
    bank = Bank()
    whole = Bank()
    bridge = Bridge({1: bank})
    bridge.most = most
    async with bridging(bridge), desk({"roof": at(bridge.port, block_max=given)}) as made:
        await made.ear.until(LinkUp)
        made.want()
        await made.ear.until(Adopted)
        observed = await made.ear.until(Observed)
        assert observed.power.value == whole.raw("701.W")
        refusals = len(bridge.asked)
        await made.polls(3)
        assert len(bridge.asked) > refusals
    spans = [count for _, count in bank.reads]
    assert max(spans) <= most


def test_a_cut_goes_through_no_point() -> None:
    from sunspec_bench import chain_of  # noqa: PLC0415 - of this test alone

    from gateway.southbound.sunspec_modbus.readings import measurement  # noqa: PLC0415 - of this test alone

    bank = Bank()
    chain = chain_of(bank)
    live = measurement(chain)
    assert live is not None
    ask = live.reads[0]
    for most in range(8, 125):
        blocks = Blocks(most)
        blocks.know(chain)
        pieces = blocks.pieces(ask)
        assert pieces[0].address == ask.address
        assert [each.address + each.quantity for each in pieces[:-1]] == [each.address for each in pieces[1:]]
        assert sum(each.quantity for each in pieces) == ask.quantity
        assert max(each.quantity for each in pieces) <= most
        starts = {bank.spec.base + register.offset for register in bank._layout.registers.values()}
        assert {each.address for each in pieces[1:]} <= starts


def test_a_refusal_that_is_not_about_length_teaches_nothing() -> None:
    blocks = Blocks(125)
    assert not blocks.learn(Refused(1, 2), Ask(0, 115))
    assert blocks.learn(Refused(1, 3), Ask(0, 115))
    assert blocks.most == 57
    assert not blocks.learn(Refused(1, 3), Ask(0, 10))
    assert blocks.most == 125
