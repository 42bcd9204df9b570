"""A site meter over real sockets: its sign, its loss, and that nothing is ever written to it (RULES C2, C14)."""

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from sunspec2 import device
from sunspec_bench import RATE, Ear, Wire, Write, clock_at, until

from gateway.core.events import MeterRead
from gateway.core.known import Known, Reading, Unknown
from gateway.runtime.clock import ScaledClock
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import SunspecMeter, build_meters, connection, meter
from gateway.southbound.sunspec_modbus.translate import METERED_MOST_W, METERS, metered, metered_beside
from gateway.southbound.sunspec_modbus.translate import meter as meter_of
from gateway.wire.sunspec import Block, Chain
from gateway.wire.sunspec.discovery import EndedBy
from hil.sunspec.modbus_server import ModbusServer
from hil.sunspec.register_image import Value, layout_of
from hil.sunspec.site_meter import MeterPlan, SiteMeter

READ = 3
Kind = Literal["203", "213"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(connection, "REPLY_S", 0.5)
    monkeypatch.setattr(meter, "BACKOFF_S", (0.01, 0.05, 0.1))
    layout_of.cache_clear()  # whose codecs keep a scale factor that a test before set anew


class Shown:
    """The registers of a simulated meter, to be changed at will; `zeros` answers reads of the model with nothing."""

    def __init__(self, kind: Kind = "203", out_w: float = 500.0) -> None:
        self.kind, self.out_w, self.zeros, self.shift = kind, out_w, False, 0
        self.simulated = SiteMeter(MeterPlan("main", "house", kind, most_w=15_000), lambda: self.out_w)
        self.refused_writes = 0
        self.flow(out_w)

    def flow(self, out_w: float) -> None:
        self.out_w = out_w
        self.simulated.step(0)

    def publish(self, **points: Value) -> None:
        self.simulated._image.publish({f"{self.kind}.{name}": value for name, value in points.items()})

    def read(self, address: int, count: int) -> bytes | None:
        """See `hil.sunspec.modbus_server.Registers`."""
        words = self.simulated._image.read(address + self.shift, count)
        return bytes(2 * count) if self.zeros and count > 4 else words

    def write(self, function: int, address: int, payload: bytes) -> int:
        """See `hil.sunspec.modbus_server.Registers`."""
        self.refused_writes += 1
        return self.simulated._image.write(function, address, payload)


class Reader:
    """Links to one meter, and what is heard of it."""

    def __init__(self, port: int, clock: ScaledClock, **fields: Any) -> None:
        self.clock, self.ear = clock, Ear()
        table = SunspecMeter("127.0.0.1", port, **fields)
        self.meters = build_meters({"house": table}, clock, self.ear)

    @property
    def heard(self) -> list[Reading]:
        assert all(isinstance(each, MeterRead) and each.resource == "house" for each in self.ear.events)
        return [each.power for each in self.ear.events if isinstance(each, MeterRead)]

    async def known(self, out_w: int, more: int = 1) -> None:
        """Wait until so many more readings are this power."""
        seen = len(self.heard)

        def is_so() -> bool:
            new = self.heard[seen:]
            return len(new) >= more and all(isinstance(each, Known) and each.value == out_w for each in new[-more:])

        await until(is_so)

    async def unknown(self, polls: int = 6) -> str:
        """Wait until the power is unknown, see that this is heard once only for so long, and give why."""
        await until(lambda: bool(self.heard) and isinstance(self.heard[-1], Unknown))
        await self.polls(polls)
        last = self.heard[-1]
        assert isinstance(last, Unknown)
        assert not (len(self.heard) > 1 and isinstance(self.heard[-2], Unknown)), self.heard
        return last.why

    async def polls(self, count: int) -> None:
        await asyncio.sleep(count / self.clock.rate)


@asynccontextmanager
async def reading(port: int, **fields: Any) -> AsyncIterator[Reader]:
    made = Reader(port, clock_at(RATE), **fields)
    task = asyncio.create_task(made.meters.run())
    try:
        yield made
    finally:
        task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError), results


@asynccontextmanager
async def modbus(shown: Shown) -> AsyncIterator[ModbusServer]:
    server = ModbusServer({1: shown})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def served(shown: Shown, **fields: Any) -> AsyncIterator[tuple[ModbusServer, Wire, Reader]]:
    """Serve registers behind a wire, and read them."""
    async with modbus(shown) as server, Wire(server.port) as wire, reading(wire.port, **fields) as made:
        yield server, wire, made


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger=meter.__name__):
        yield caplog


@pytest.mark.parametrize("kind", ["203", "213"])
async def test_what_goes_out_is_positive_and_every_poll_is_heard(kind: Kind) -> None:
    shown = Shown(kind, 500)
    async with served(shown, poll_s=2) as (_server, _wire, made):
        await made.known(500, more=8)
        first, *_, last = made.heard
        assert isinstance(first, Known)
        assert isinstance(last, Known)
        between_ms = (last.at_ms - first.at_ms) / (len(made.heard) - 1)
        assert 1_600 < between_ms < 2_400
        shown.flow(-1_000)
        await made.known(-1_000)
        assert shown.simulated.value(f"{kind}.W") == 1_000
        shown.flow(0)
        await made.known(0)


async def test_a_meter_that_counts_the_other_way_is_said_to() -> None:
    async with served(Shown("203", -700), export_positive=True) as (_server, _wire, made):
        await made.known(700)


async def test_it_only_ever_reads() -> None:
    shown = Shown()
    async with served(shown) as (server, wire, made):
        await made.known(500)
        server.resets = True
        await made.unknown()
        server.resets = False
        await made.known(500, more=3)
        assert len(wire.requests) > 10
        assert {request[7] for request in wire.requests} == {READ}
        assert wire.connections > 1
    assert shown.refused_writes == 0


@pytest.mark.parametrize("fault", ["resets", "refuses", "silent"])
async def test_a_loss_is_heard_at_once_and_once_and_healed_by_itself(fault: str, log: pytest.LogCaptureFixture) -> None:
    async with modbus(Shown()) as server, reading(server.port) as made:
        await made.known(500)
        setattr(server, fault, True)
        why = await made.unknown()
        expected = {"resets": "Connection reset", "refuses": "Connection reset", "silent": "no reply within 0.5 s"}
        assert expected[fault] in why
        setattr(server, fault, False)
        await made.known(500)
        assert [line.partition(":")[0] for line in log.messages] == [
            "the meter of house is up",
            "the meter of house is down",
            "the meter of house is up",
        ]
    last = made.heard[-1]
    assert isinstance(last, Unknown)
    assert last.why == "closed by the gateway"


async def test_one_that_is_not_there_is_unknown_from_the_start(log: pytest.LogCaptureFixture) -> None:
    server = ModbusServer({1: Shown()})
    await server.start()
    await server.stop()
    async with reading(server.port) as made:
        assert "cannot connect to 127.0.0.1" in await made.unknown()
        assert len(log.messages) == 1
        await server.start()
        await made.known(500)
    await server.stop()


@pytest.mark.parametrize(
    ("kind", "points", "why"),
    [
        pytest.param("203", {"W": None}, "W: not implemented by the device", id="sentinel"),
        pytest.param("213", {"W": None}, "W: not implemented by the device", id="not a number"),
        pytest.param("213", {"W": float("inf")}, "W: an infinite number", id="infinite"),
        pytest.param("213", {"W": 2.0e9}, "W reads 2000000000 W, which no connection point carries", id="too much"),
        pytest.param("203", {"W_SF": None}, "W: its scale factor W_SF is not implemented", id="no scale factor"),
        pytest.param("203", {"W_SF": 11}, "W: its scale factor W_SF is 11, outside -10..10", id="scale factor"),
        pytest.param(
            "203",
            {"PhV": None, "PPV": 0, "Hz": 0},
            "it gives neither voltage nor frequency: not to be believed",
            id="dead",
        ),
    ],
)
async def test_what_cannot_be_a_power_is_unknown(kind: Kind, points: dict[str, Value], why: str) -> None:
    shown = Shown(kind)
    async with served(shown) as (_server, wire, made):
        await made.known(500)
        shown.publish(**points)
        assert await made.unknown() == why
        if kind == "203":
            shown.publish(W_SF=0)
        shown.flow(900)
        await made.known(900)
        assert wire.connections == 1


async def test_nothing_but_zeros_is_not_zero() -> None:
    shown = Shown()
    async with served(shown) as (_server, wire, made):
        await made.known(500)
        shown.zeros = True
        assert await made.unknown() == "it gives neither voltage nor frequency: not to be believed"
        shown.zeros = False
        await made.known(500)
        assert wire.connections == 1


async def test_a_scale_factor_that_moves_is_followed() -> None:
    shown = Shown()
    async with served(shown) as (_server, _wire, made):
        await made.known(500)
        shown.publish(W_SF=1)
        shown.flow(800)
        assert shown.simulated.value("203.W") == -800
        await made.known(800)


async def test_a_map_that_moved_is_found_again() -> None:
    shown = Shown()
    async with served(shown) as (_server, _wire, made):
        await made.known(500)
        shown.shift = -2
        assert await made.unknown() == "model 203 is no longer where it was found"
        shown.shift = 0
        await made.known(500)


async def test_a_busy_meter_is_asked_again_and_one_that_refuses_is_lost() -> None:
    shown = Shown()
    async with served(shown) as (_server, wire, made):
        await made.known(500)
        answers = [6, 6]

        async def busy(reply: bytes, write: Write) -> None:
            write(_refusal(reply, answers.pop()) if answers else reply)

        wire.twist = busy
        await until(lambda: not answers)
        await made.known(500)
        assert not any(isinstance(each, Unknown) for each in made.heard)
        answers += [6, 6, 6]
        assert await made.unknown(polls=0) == "exception 6 (server device busy) to a read"
        await made.known(500)
        answers += [2]
        assert await made.unknown(polls=0) == "exception 2 (illegal data address) to a read"
        await made.known(500)


def _refusal(reply: bytes, code: int) -> bytes:
    return reply[:4] + b"\0\3" + reply[6:7] + bytes((reply[7] | 0x80, code))


async def test_a_device_that_is_no_meter_is_said_to_be_none() -> None:
    shown = Shown()
    shown.simulated._image._words = bytearray(b"SunS" + struct.pack(">HH", 1, 66) + bytes(132) + b"\xff\xff\0\0")
    async with modbus(shown) as server, reading(server.port) as made:
        assert await made.unknown() == "it has no meter model, 201 to 204 or 211 to 214: check host and unit"


@pytest.mark.parametrize("base", [0, 40_000, 50_000])
async def test_a_foreign_server_with_the_meter_behind_an_inverter_is_read(base: int) -> None:
    """Registers by hand on pymodbus: SunS, common, inverter 103, wye meter 203 with -250 W x 10^1, end."""
    meter_203 = [0] * 105
    meter_203[14], meter_203[15], meter_203[16], meter_203[20] = 5_000, 0xFFFE, -250 % 65_536, 1
    words = [0x5375, 0x6E53, 1, 66, *[0] * 66, 103, 50, *[0] * 50, 203, 105, *meter_203, 0xFFFF, 0]
    registers = SimData(base, values=words, datatype=DataType.REGISTERS)
    server: Any = ModbusTcpServer(SimDevice(7, simdata=[registers]), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        async with reading(server.transport.sockets[0].getsockname()[1], unit=7) as made:
            await made.known(2_500, more=2)
    finally:
        await server.shutdown()


@pytest.mark.parametrize("model_id", METERS)
def test_all_meter_models_read_as_another_library_writes_them(model_id: int) -> None:
    model: Any = device.Model(model_id)
    for name, exponent in (("W_SF", 0), ("Hz_SF", -2), ("V_SF", -1), ("VAR_SF", 0)):
        if name in model.points:
            model.points[name].value = exponent
    model.points["W"].cvalue, model.points["Hz"].cvalue = -1_234, 50
    model.points["VAR"].cvalue, model.points["PhV"].cvalue = 300, 230
    block = model.get_mb()
    chain = Chain(0, (Block(1, 2, 66), Block(model_id, 70, len(block) // 2 - 2)), EndedBy.MARKER)
    live = meter_of(chain)
    assert live is not None
    answer = block[2 * (live.ask.address - 70) :][: 2 * live.ask.quantity]
    assert metered(live, answer, 7, export_positive=False) == Known(1_234, 7)
    assert metered(live, answer, 7, export_positive=True) == Known(-1_234, 7)
    assert metered_beside(live, answer, 7, export_positive=False) == (Known(-300, 7), Known(230_000, 7))
    assert metered_beside(live, answer, 7, export_positive=True) == (Known(300, 7), Known(230_000, 7))


def test_a_power_is_believed_up_to_what_any_connection_point_carries() -> None:
    model: Any = device.Model(213)
    chain = Chain(0, (Block(213, 2, 124),), EndedBy.MARKER)
    live = meter_of(chain)
    assert live is not None
    for w, known in ((METERED_MOST_W, True), (METERED_MOST_W + 100, False), (-METERED_MOST_W - 100, False)):
        model.points["W"].cvalue, model.points["Hz"].cvalue = float(w), 50.0
        answer = model.get_mb()[: 2 * live.ask.quantity]
        assert isinstance(metered(live, answer, 7, export_positive=False), Known) is known
