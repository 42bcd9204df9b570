"""The simulated inverters' Modbus stream and the ways in which their link fails."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pymodbus.client import AsyncModbusTcpClient

from hil.clock import Clock
from hil.street import Street
from hil.sunspec.inverter import InverterSpec

START_MS = 1_767_225_600_000


@asynccontextmanager
async def street() -> AsyncIterator[Street]:
    async with Street(Clock.starting(1, START_MS), [InverterSpec(name="roof")]) as running:
        yield running


def read_request(transaction: int, address: int, count: int) -> bytes:
    return struct.pack(">HHHBBHH", transaction, 0, 6, 1, 3, address, count)


async def one_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    transaction, _, length = struct.unpack(">HHH", await asyncio.wait_for(reader.readexactly(6), 5))
    return transaction, (await reader.readexactly(length))[1:]


async def test_pipelined_requests_in_one_segment_are_all_answered_in_order() -> None:
    async with street() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports["roof"])
        writer.write(b"".join(read_request(n, 40000, n) for n in range(1, 41)))
        answers = [await one_answer(reader) for _ in range(40)]
        assert [(t, pdu[1]) for t, pdu in answers] == [(n, 2 * n) for n in range(1, 41)]
        writer.close()
        await writer.wait_closed()


async def test_request_cut_at_every_byte_is_answered_once() -> None:
    async with street() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports["roof"])
        for byte in read_request(7, 40000, 2) + read_request(8, 40000, 1)[:5]:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.002)
        assert await one_answer(reader) == (7, b"\x03\x04SunS")
        writer.write(read_request(8, 40000, 1)[5:])
        assert await one_answer(reader) == (8, b"\x03\x02Su")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", struct.pack(">HHHB", 1, 0, 300, 1), bytes(8)])
async def test_stream_that_is_not_modbus_is_closed(garbage: bytes) -> None:
    async with street() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports["roof"])
        writer.write(garbage)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("request_pdu", "answer_pdu"),
    [
        (struct.pack(">BHH", 3, 40000, 0), b"\x83\x03"),
        (struct.pack(">BHH", 3, 40000, 126), b"\x83\x03"),
        (struct.pack(">BHHB", 16, 40000, 1, 4) + bytes(4), b"\x90\x03"),
        (struct.pack(">BHHB", 16, 40000, 1, 2), b"\x90\x03"),
        (struct.pack(">BHH", 6, 40000, 1), b"\x86\x02"),
        (b"\x2b\x0e\x01\x00", b"\xab\x01"),
    ],
)
async def test_malformed_request_answers_its_exception(request_pdu: bytes, answer_pdu: bytes) -> None:
    async with street() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports["roof"])
        writer.write(struct.pack(">HHHB", 9, 0, len(request_pdu) + 1, 1) + request_pdu)
        assert await one_answer(reader) == (9, answer_pdu)
        writer.close()
        await writer.wait_closed()


async def test_silent_inverter_accepts_and_never_answers_and_recovers() -> None:
    async with street() as running:
        running.set_fault("roof", "silent", True)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports["roof"])
        writer.write(read_request(1, 40000, 2))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        running.set_fault("roof", "silent", False)
        writer.write(read_request(2, 40000, 2))
        assert (await one_answer(reader))[0] == 2
        writer.close()
        await writer.wait_closed()


async def test_reset_drops_open_and_new_connections_and_recovers() -> None:
    async with street() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports["roof"])
        writer.write(read_request(1, 40000, 1))
        await one_answer(reader)
        running.set_fault("roof", "reset", True)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 5)
        fresh_reader, fresh = await asyncio.open_connection("127.0.0.1", running.ports["roof"])
        fresh.write(read_request(2, 40000, 1))
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(fresh_reader.readexactly(1), 5)
        for dead in (writer, fresh):
            dead.close()
        running.set_fault("roof", "reset", False)
        async with AsyncModbusTcpClient("127.0.0.1", port=running.ports["roof"]) as client:
            assert not (await client.read_holding_registers(40000, count=2, device_id=1)).isError()


async def test_refused_connections_come_back_on_the_same_port() -> None:
    async with street() as running:
        port = running.ports["roof"]
        running.set_fault("roof", "refuse_connections", True)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        with socket.socket() as another, pytest.raises(OSError, match="in use"):
            another.bind(("127.0.0.1", port))
        running.set_fault("roof", "refuse_connections", False)
        await asyncio.sleep(0.05)
        async with AsyncModbusTcpClient("127.0.0.1", port=port) as client:
            assert (await client.read_holding_registers(40000, count=2, device_id=1)).registers == [0x5375, 0x6E53]


async def test_unknown_fault_and_inverter_are_told_with_what_exists() -> None:
    async with street() as running:
        with pytest.raises(ValueError, match="use one of ignores_limit, silent"):
            running.set_fault("roof", "lazy", True)
        with pytest.raises(ValueError, match="it has roof"):
            running.set_irradiance("cellar", 1)


async def test_three_hundred_light_inverters_start_and_answer_in_one_process() -> None:
    specs = [InverterSpec(name=f"pv{n}", kind="legacy" if n % 2 else "2018", light=True) for n in range(300)]
    async with Street(Clock.starting(1, START_MS), specs, stepping=False) as many:

        async def power_w(name: str, port: int) -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            register = {"2018": 40002 + 68 + 10, "legacy": 40002 + 68 + 14}[many.inverters[name].spec.kind]
            writer.write(read_request(1, register, 1))
            _, pdu = await one_answer(reader)
            writer.close()
            await writer.wait_closed()
            return int.from_bytes(pdu[2:])

        assert set(await asyncio.gather(*(power_w(name, port) for name, port in many.ports.items()))) == {5000}
