"""A bench for the SunSpec Modbus adapter: register banks, a wire that can be twisted, and an ear for what is heard."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self, cast

from gateway.core.events import Event, LinkUp, Observed
from gateway.core.guard import Bounds, Cleared, Draw, clear
from gateway.core.known import Known
from gateway.core.orders import OrderKey
from gateway.core.plan import Command
from gateway.ports.south import Lease
from gateway.runtime.clock import ScaledClock
from gateway.southbound.sunspec_modbus import Links, SunspecModbus, build
from gateway.wire.sunspec import Chain, Walk
from hil.clock import Clock
from hil.sunspec.inverter import Inverter, InverterSpec, Kind
from hil.sunspec.modbus_server import ModbusServer

START_S = 1_767_225_600
RATE = 40
RATED_W = 5_000
FOR_EVER_MS = 1 << 60


def clock_at(rate: float) -> ScaledClock:
    """Start a clock at START_S that runs at `rate` times wall time."""
    return ScaledClock(float(rate), START_S - rate * time.monotonic())


def command(device: str = "roof", **fields: Any) -> Command:
    """Give a command: by default 3000 W, falling back to 1500 W after a minute."""
    plain = Command(device, 3_000, None, None, None, 1_500, 60_000, (OrderKey("dso", "a"),), "C2")
    return plain._replace(**fields)


def cleared(told: Command, now_ms: int, serial: int = 1, valid_ms: int = 1_800_000) -> Cleared:
    """Have the guard clear a command."""
    draw = Draw(RATED_W, RATED_W, 0, 0, RATED_W, 0, 0)
    bounds = Bounds(told.device, RATED_W, RATED_W, 0, 0, RATED_W, 0, 0, True, True, now_ms + valid_ms, draw)
    made = clear(told, bounds, serial, now_ms)
    assert isinstance(made, Cleared), made
    return made


class Bank:
    """A device that is nothing but registers: those of a simulated inverter at its start, to be changed at will.

    `refuses` gives the exception code of a write by the names it touches; `before_read` and `after_write` may act.
    """

    def __init__(self, kind: str = "2018", base: int = 40000) -> None:
        self.spec = InverterSpec(name="roof", kind=cast("Kind", kind), base=base)
        image = Inverter(self.spec, Clock.parse("real"))._image
        self._layout, self.words = image._layout, bytearray(image._words)
        self.reads: list[tuple[int, int]] = []
        self.writes: list[dict[str, int]] = []
        self.written_at: list[float] = []
        self.refuses: Callable[[set[str]], int] = lambda _names: 0
        self.before_read: Callable[[int, int], None] = lambda _address, _count: None
        self.after_write: Callable[[], None] = lambda: None

    def read(self, address: int, count: int) -> bytes | None:
        """See `hil.sunspec.modbus_server.Registers`."""
        self.reads.append((address, count))
        self.before_read(address, count)
        return self.octets(address, count)

    def octets(self, address: int, count: int) -> bytes | None:
        """Give registers without any record of it."""
        start = 2 * (address - self.spec.base)
        inside = start >= 0 and start + 2 * count <= len(self.words)
        return bytes(self.words[start : start + 2 * count]) if inside else None

    def write(self, function: int, address: int, payload: bytes) -> int:
        """See `hil.sunspec.modbus_server.Registers`."""
        assert function == 16
        offset = address - self.spec.base
        touched = self._layout.covering(offset, len(payload) // 2)
        assert touched is not None
        code = self.refuses({register.name for register in touched})
        if code:
            return code
        self.words[2 * offset : 2 * offset + len(payload)] = payload
        self.writes.append({register.name.partition(".")[2]: self.raw(register.name) for register in touched})
        self.written_at.append(time.monotonic())
        self.after_write()
        return 0

    def address(self, name: str) -> int:
        """Give a point's address."""
        return self.spec.base + self._layout.registers[name].offset

    def raw(self, name: str) -> int:
        """Give a point's registers as one unsigned number."""
        register = self._layout.registers[name]
        return int.from_bytes(self.words[2 * register.offset : 2 * (register.offset + register.words)])

    def set(self, **raw: int) -> None:
        """Set points, named `m704_WMaxLimPct`, to unsigned or negative raw numbers."""
        for name, number in raw.items():
            model, _, point = name[1:].partition("_")
            register = self._layout.registers[f"{model}.{point}"]
            octets = (number % (1 << 16 * register.words)).to_bytes(2 * register.words)
            self.words[2 * register.offset : 2 * (register.offset + register.words)] = octets

    def lacks(self, *names: str) -> None:
        """Give points their not-implemented value."""
        for name in names:
            register = self._layout.registers[name]
            signed = register.codec.pdef["type"].startswith(("int", "sunssf"))
            octets = (0x80 if signed else 0xFF).to_bytes(1) + (b"\0" if signed else b"\xff") * (2 * register.words - 1)
            self.words[2 * register.offset : 2 * (register.offset + register.words)] = octets

    def fill(self, model: int, register: int) -> None:
        """Fill a model's registers, but for its ID and L."""
        block = next(block for block in chain_of(self).models if block.id == model)
        start = 2 * (block.address + 2 - self.spec.base)
        self.words[start : start + 2 * block.length] = register.to_bytes(2) * block.length

    @property
    def limit_pct(self) -> float:
        """The limit that the registers state, enabled or not."""
        model = "123" if self.spec.kind == "legacy" else "704"
        scale = struct.unpack(">h", self.raw(f"{model}.WMaxLimPct_SF").to_bytes(2))[0]
        return float(self.raw(f"{model}.WMaxLimPct") * 10.0**scale)


def chain_of(bank: Bank) -> Chain:
    """Find a bank's models without a wire."""
    walk = Walk((bank.spec.base,))
    while walk.asking is not None:
        octets = bank.octets(*walk.asking)
        walk.refuse(2) if octets is None else walk.give(octets)
    assert isinstance(walk.found, Chain)
    return walk.found


class Ear:
    """What the deciding loop would hear."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        self.events.append(event)
        self._news.set()

    def of(self, kind: type[Event], device: str = "roof") -> list[Any]:
        """Give what was heard of a kind, of one device."""
        return [each for each in self.events if isinstance(each, kind) and getattr(each, "device", "") == device]

    async def until(self, kind: type[Event], count: int = 1, device: str = "roof") -> Any:
        """Wait until so many of a kind were heard, and give the last."""
        async with asyncio.timeout(10):
            while len(self.of(kind, device)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind, device)[-1]

    def powers(self, device: str = "roof") -> list[int | None]:
        """Give the powers heard; None where it was unknown."""
        heard: list[Observed] = self.of(Observed, device)
        return [each.power.value if isinstance(each.power, Known) else None for each in heard]


async def until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for gives no sign
            await asyncio.sleep(0.01)


class Desk:
    """Links under test with their ear, lease and clock."""

    def __init__(self, tables: Mapping[str, SunspecModbus], clock: ScaledClock, *, may_write: bool) -> None:
        self.clock, self.ear = clock, Ear()
        self.lease = Lease(clock, FOR_EVER_MS)
        rated = {name: (table, RATED_W) for name, table in tables.items()}
        self.links: Links = build(rated, clock, self.ear, self.lease, may_write=may_write)

    def want(self, serial: int = 1, device: str = "roof", valid_ms: int = 1_800_000, **fields: Any) -> Cleared:
        """Want a command of a device."""
        made = cleared(command(device, **fields), self.clock.now_ms(), serial, valid_ms)
        self.links.want(made)
        return made

    async def polls(self, count: int, seconds: float = 1.0) -> None:
        """Let so many polls pass of links that poll once in `seconds` of the clock."""
        await asyncio.sleep(count * seconds / self.clock.rate + 0.02)


@asynccontextmanager
async def desk(
    tables: Mapping[str, SunspecModbus], clock: ScaledClock | None = None, *, may_write: bool = True
) -> AsyncIterator[Desk]:
    """Run links until the end of the context; a fault in their task is raised there."""
    made = Desk(tables, clock or clock_at(RATE), may_write=may_write)
    task = asyncio.create_task(made.links.run())
    try:
        yield made
    finally:
        task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError), results


@asynccontextmanager
async def serving(bank: Bank) -> AsyncIterator[ModbusServer]:
    """Serve a bank as unit 1."""
    server = ModbusServer({1: bank})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def bench(bank: Bank, rate: float = RATE) -> AsyncIterator[Desk]:
    """Serve a bank, and run one link to it that is up."""
    async with serving(bank) as server, desk({"roof": at(server.port)}, clock_at(rate)) as made:
        await made.ear.until(LinkUp)
        yield made


def at(port: int, **fields: int | str) -> SunspecModbus:
    """Give the table of a device that is polled every second of the clock."""
    return SunspecModbus(**{"host": "127.0.0.1", "port": port, "poll_s": 1, **fields})  # type: ignore[arg-type] # fields of two types


Write = Callable[[bytes], None]


class Wire:
    """A TCP relay between a link and its device that records requests and twists replies.

    `twist` is given each reply frame and a function that writes to the link; by default it hands the frame on.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.requests: list[bytes] = []
        self.connections = 0
        self.twist: Callable[[bytes, Write], Awaitable[None]] = hand_on
        self.greeting = b""

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close every connection."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        far_writer: asyncio.StreamWriter | None = None
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            if self.greeting:
                writer.write(self.greeting)
            while request := await one_frame(reader):
                self.requests.append(request)
                far_writer.write(request)
                reply = await one_frame(far_reader)
                await self.twist(reply, writer.write)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            if far_writer is not None:
                far_writer.close()

    def count(self, function: int) -> int:
        """Count the requests of a function."""
        return sum(request[7] == function for request in self.requests)


async def hand_on(frame: bytes, write: Write) -> None:
    """Twist nothing."""
    write(frame)


async def one_frame(reader: asyncio.StreamReader) -> bytes:
    """Read one Modbus TCP frame; empty at the end of the stream."""
    try:
        header = await reader.readexactly(6)
        return header + await reader.readexactly(int.from_bytes(header[4:]))
    except asyncio.IncompleteReadError:
        return b""


@asynccontextmanager
async def twisted(bank: Bank) -> AsyncIterator[tuple[Wire, Desk]]:
    """Serve a bank behind a wire, and run one link that is up through it."""
    async with serving(bank) as server, Wire(server.port) as wire, desk({"roof": at(wire.port)}) as made:
        await made.ear.until(LinkUp)
        yield wire, made
