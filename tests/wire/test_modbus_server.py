"""The exchange speaks with a real Modbus server over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.wire.modbus import Exchange, Outcome, Refused, Registers, Written

UNIT = 1
BASE = 40_000


@pytest.fixture
async def port() -> AsyncIterator[int]:
    registers = SimData(BASE, values=list(range(200)), datatype=DataType.REGISTERS)
    server: Any = ModbusTcpServer(SimDevice(UNIT, simdata=[registers]), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


async def test_reads_writes_and_refusals(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    exchange = Exchange()

    async def ask(frame: bytes) -> Outcome:
        writer.write(frame)
        outcomes: list[Outcome] = []
        while not outcomes:
            received = await reader.read(4096)
            assert received, "the server closed the connection"
            outcomes = exchange.feed(received)
        [outcome] = outcomes
        return outcome

    async with asyncio.timeout(10):
        assert await ask(exchange.read(UNIT, BASE + 5, 3)) == Registers(1, b"\0\5\0\6\0\7")
        assert await ask(exchange.write(UNIT, BASE + 5, b"abcdef")) == Written(2, BASE + 5, 3)
        assert await ask(exchange.write_one(UNIT, BASE + 8, 0x6768)) == Written(3, BASE + 8, 1)
        assert await ask(exchange.read(UNIT, BASE + 4, 6)) == Registers(4, b"\0\4abcdefgh\0\x09")
        longest = await ask(exchange.read(UNIT, BASE + 60, 125))
        assert longest == Registers(5, b"".join(value.to_bytes(2) for value in range(60, 185)))
        refused = await ask(exchange.read(UNIT, 100, 2))
    assert isinstance(refused, Refused)
    assert not refused.transient
    writer.close()
    await writer.wait_closed()
