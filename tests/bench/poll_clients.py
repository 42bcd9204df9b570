"""The clients of a poll, each in a process of its own: what a round of polls costs it is its CPU time.

`python -m tests.bench.poll_clients CLIENT LOOP` reads the ports and the place of model 701, then for each further line
polls all devices so many rounds, all of them at once in a round, and says what that cost and the sum of the last powers
(W), by which all clients are seen to have read alike.
"""

import asyncio
import gc
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from struct import Struct
from typing import Any, Final, NamedTuple, Protocol, cast

import sunspec2.modbus.client as pysunspec2
import uvloop
from pymodbus.client import AsyncModbusTcpClient

from gateway.core.events import Event, Observed
from gateway.core.known import Known
from gateway.ports.south import Lease
from gateway.runtime.clock import ScaledClock
from gateway.southbound.sunspec_modbus import SunspecModbus, build
from gateway.wire.sunspec import compile_model

from .devices import FLOOR, OURS, RATED_W
from .streams import lines, say

POINTS: Final = ("W", "Var", "LNV", "LLV", "Hz", "ConnSt")
READER: Final = compile_model(701).reader(POINTS)
PATIENCE_S: Final = 20.0
WARM_UP: Final = 3
PERIOD_S: Final = 0.2
FAST: Final = 1 / PERIOD_S
"""The rate of our clock: a link polls once a second of it, and so once a period."""
HOST: Final = "127.0.0.1"
_request = Struct(">HHHBBHH").pack


def _bare() -> tuple[Callable[..., tuple[Any, ...]], tuple[int, ...]]:
    """Give the unpacking of the points and their scale factors by hand, and which follows which."""
    model = compile_model(701)
    wanted = {*POINTS, *(str(model.points[name].scale_factor) for name in POINTS if model.points[name].scale_factor)}
    layout = sorted((model.points[name] for name in wanted), key=lambda point: point.offset)
    at, codes = READER.offset, [">"]
    for point in layout:
        codes.append(f"{2 * (point.offset - at)}x{point.struct_code}")
        at = point.offset + point.size
    names = [point.name for point in layout]
    places = [
        names.index(name) for name in ("W", "W_SF", "Var", "Var_SF", "LNV", "LLV", "V_SF", "Hz", "Hz_SF", "ConnSt")
    ]
    return Struct("".join(codes)).unpack_from, tuple(places)


UNPACK, (W, W_SF, VAR, VAR_SF, LNV, LLV, V_SF, HZ, HZ_SF, STATE) = _bare()


def scaled(registers: bytes, at: int = 0) -> tuple[float, float, float, float, float, int]:
    """Decode the points as a script would: nothing is checked."""
    raw = UNPACK(registers, at)
    volt = 10.0 ** raw[V_SF]
    return (
        raw[W] * 10.0 ** raw[W_SF],
        raw[VAR] * 10.0 ** raw[VAR_SF],
        raw[LNV] * volt,
        raw[LLV] * volt,
        raw[HZ] * 10.0 ** raw[HZ_SF],
        raw[STATE],
    )


class Sample(NamedTuple):
    """What so many polls took of CPU time (s), and the sum of the last powers (W)."""

    cpu_s: float
    polls: int
    sum_w: int


class Client(Protocol):
    """Something that polls all devices."""

    async def open(self, ports: list[int], address: int) -> None:
        """Connect to all of them; `address` is where model 701 begins."""

    async def sample(self, rounds: int) -> Sample:
        """Poll each of them so many times."""


class Rounds(ABC):
    """A client that polls all devices at once, round by round."""

    @abstractmethod
    async def open(self, ports: list[int], address: int) -> None:
        """Connect to all of them; `address` is where model 701 begins."""

    @abstractmethod
    async def round(self) -> list[float]:
        """Poll each of them once, and give their powers (W)."""

    async def sample(self, rounds: int) -> Sample:
        """Poll each of them so many times."""
        powers_w: list[float] = []
        began_s = time.process_time()
        for _ in range(rounds):
            due_s = time.monotonic() + PERIOD_S
            powers_w = await self.round()
            await asyncio.sleep(due_s - time.monotonic())
        return Sample(time.process_time() - began_s, rounds * len(powers_w), round(sum(powers_w)))


class Wire(asyncio.Protocol):
    """One connection of the floor: the frame is ready, and the reply unpacked in the callback."""

    def __init__(self, floor: "Floor") -> None:
        self._floor = floor

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._floor.taken(scaled(data, 9)[0])


class Floor(Rounds):
    """Bare asyncio and struct: the least that a poll could cost."""

    def __init__(self) -> None:
        self._powers_w: list[float] = []

    async def open(self, ports: list[int], address: int) -> None:
        loop = asyncio.get_running_loop()
        self._frame = _request(1, 0, 6, FLOOR, 3, address + READER.offset, READER.quantity)
        self._wires = [(await loop.create_connection(lambda: Wire(self), HOST, port))[1] for port in ports]

    async def round(self) -> list[float]:
        self._done = asyncio.get_running_loop().create_future()
        self._powers_w = []
        for wire in self._wires:
            wire.transport.write(self._frame)
        await self._done
        return self._powers_w

    def taken(self, power_w: float) -> None:
        """Count a reply."""
        self._powers_w.append(power_w)
        if len(self._powers_w) == len(self._wires):
            self._done.set_result(None)


class Streams(Rounds):
    """A script as it is first written: asyncio's streams, struct, and a task for each device."""

    async def open(self, ports: list[int], address: int) -> None:
        self._place = (address + READER.offset, READER.quantity)
        self._streams = [await asyncio.open_connection(HOST, port) for port in ports]
        self._transaction = 0

    async def round(self) -> list[float]:
        return await asyncio.gather(*(self._poll(*pair) for pair in self._streams))

    async def _poll(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
        self._transaction = (self._transaction + 1) & 0xFFFF
        writer.write(_request(self._transaction, 0, 6, FLOOR, 3, *self._place))
        head = await reader.readexactly(6)
        body = await reader.readexactly(int.from_bytes(head[4:6], "big"))
        return scaled(body, 3)[0]


class Pymodbus(Rounds):
    """pymodbus, and struct to decode."""

    async def open(self, ports: list[int], address: int) -> None:
        self._address = address + READER.offset
        self._pack = Struct(f">{READER.quantity}H").pack
        self._clients = [AsyncModbusTcpClient(HOST, port=port) for port in ports]
        for client in self._clients:
            if not await client.connect():
                raise ConnectionError("pymodbus does not connect")

    async def round(self) -> list[float]:
        return await asyncio.gather(*map(self._poll, self._clients))

    async def _poll(self, client: AsyncModbusTcpClient) -> float:
        answer = await client.read_holding_registers(self._address, count=READER.quantity, device_id=FLOOR)
        return scaled(self._pack(*answer.registers))[0]


class Pysunspec2(Rounds):
    """pysunspec2, which blocks, in a thread; it knows only to read a whole model, in two requests."""

    async def open(self, ports: list[int], _address: int) -> None:
        self._models = [await asyncio.to_thread(self._scanned, port) for port in ports]

    def _scanned(self, port: int) -> Any:
        device = pysunspec2.SunSpecModbusClientDeviceTCP(slave_id=FLOOR, ipaddr=HOST, ipport=port)
        device.scan()
        return device.models[701][0]

    async def round(self) -> list[float]:
        return await asyncio.gather(*(asyncio.to_thread(self._poll, model) for model in self._models))

    def _poll(self, model: Any) -> float:
        model.read()
        points = model.points
        power_w, *_others = [points[name].cvalue for name in POINTS]
        return float(power_w)


class Ours:
    """The adapter's links as they run in the gateway; every reading is past its dead band and told.

    They run for a sample alone, and what it takes to find the devices is not counted.
    """

    def __init__(self) -> None:
        self._heard = self._until = 0
        self._power_w: dict[str, int] = {}
        self._reached = asyncio.Event()

    async def open(self, ports: list[int], _address: int) -> None:
        self._ports = ports

    async def sample(self, rounds: int) -> Sample:
        clock = ScaledClock(FAST, time.time())
        tables = {
            f"device-{at}": (SunspecModbus(HOST, port, OURS, poll_s=1), RATED_W) for at, port in enumerate(self._ports)
        }
        links = build(tables, clock, self._hear, Lease(clock), may_write=False)
        running = asyncio.create_task(links.run())
        try:
            await self._polls(WARM_UP * len(tables))
            began_s = time.process_time()
            await self._polls(rounds * len(tables))
            return Sample(time.process_time() - began_s, rounds * len(tables), sum(self._power_w.values()))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _polls(self, count: int) -> None:
        """Return after so many readings."""
        self._until = self._heard + count
        self._reached.clear()
        await self._reached.wait()

    def _hear(self, event: Event) -> None:
        if not isinstance(event, Observed) or not isinstance(event.power, Known):
            return
        self._power_w[event.device] = event.power.value
        self._heard += 1
        if self._heard == self._until:
            self._reached.set()


CLIENTS: Final[dict[str, Callable[[], Client]]] = {
    "ours": Ours,
    "floor": Floor,
    "streams": Streams,
    "pymodbus": Pymodbus,
    "pysunspec2": Pysunspec2,
}


async def serve(client: Client) -> None:
    """Open the client by the first line; then poll as often as each line says."""
    orders = lines()
    first = await anext(orders)
    await client.open(first["ports"], first["address"])
    say({"open": len(first["ports"])})
    gc.collect()
    gc.freeze()
    async for line in orders:
        async with asyncio.timeout(PATIENCE_S):
            sample = await client.sample(line["rounds"])
        say(sample._asdict())


if __name__ == "__main__":
    run = uvloop.run if sys.argv[2] == "uvloop" else asyncio.run
    run(serve(CLIENTS[sys.argv[1]]()))
