"""SunSpec registers on somebody else's Modbus server: pymodbus over TCP, RTU frames or a serial line."""

import os
import pty
import threading
import tty
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from select import select
from typing import Any

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from sunspec_bench import Bank

HOLDING = 3


def devices(banks: Mapping[int, Bank]) -> list[SimDevice]:
    """Give pymodbus the registers of banks, each as a unit."""
    return [
        SimDevice(unit, simdata=[SimData(bank.spec.base, values=words(bank), datatype=DataType.REGISTERS)])
        for unit, bank in banks.items()
    ]


def words(bank: Bank) -> list[int]:
    """Give all registers of a bank."""
    return [int.from_bytes(bank.words[at : at + 2]) for at in range(0, len(bank.words), 2)]


async def held(server: Any, unit: int, bank: Bank, name: str) -> int:
    """Give what the server holds in a bank's one-register point by now."""
    [register] = await server.async_getValues(unit, HOLDING, bank.address(name), 1)
    return int(register)


@asynccontextmanager
async def rtu_bridge(banks: Mapping[int, Bank]) -> AsyncIterator[tuple[Any, int]]:
    """Serve RTU frames over TCP; give the server and its port."""
    server: Any = ModbusTcpServer(devices(banks), framer=FramerType.RTU, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        yield server, server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


@asynccontextmanager
async def serial_server(banks: Mapping[int, Bank], path: str) -> AsyncIterator[Any]:
    """Serve a serial line."""
    server: Any = ModbusSerialServer(devices(banks), framer=FramerType.RTU, port=path, baudrate=19200)
    await server.serve_forever(background=True)
    try:
        yield server
    finally:
        await server.shutdown()


class Cable:
    """Two ends of a serial cable, each a pty; `cut` loses what goes over it."""

    def __init__(self) -> None:
        self._masters, self._slaves = zip(*(pty.openpty() for _ in range(2)), strict=True)
        for end in (*self._masters, *self._slaves):
            tty.setraw(end)
        self.ours, self.theirs = (os.ttyname(end) for end in self._slaves)
        self.cut = False
        self._over = False
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self) -> None:
        across = dict(zip(self._masters, reversed(self._masters), strict=True))
        while not self._over:
            for end in select(self._masters, [], [], 0.05)[0]:
                octets = os.read(end, 1024)
                if not self.cut:
                    os.write(across[end], octets)

    def disturb(self, octets: bytes) -> None:
        """Let noise come in at our end."""
        os.write(self._masters[0], octets)

    def close(self) -> None:
        """Take the cable away."""
        self._over = True
        self._thread.join()
        for end in (*self._masters, *self._slaves):
            with suppress(OSError):
                os.close(end)


@contextmanager
def cable() -> Iterator[Cable]:
    """Give a cable until the end of the context."""
    made = Cable()
    try:
        yield made
    finally:
        made.close()
