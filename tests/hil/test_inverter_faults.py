"""What each fault of a simulated inverter does to the registers and the wire, as another library's client finds it."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pymodbus.client import AsyncModbusTcpClient

from hil.clock import Clock
from hil.street import Street
from hil.sunspec import faults
from hil.sunspec.inverter import Inverter, InverterSpec

RATE = 20
LIMIT = "704.WMaxLimPct"


@asynccontextmanager
async def faulty(*on: str) -> AsyncIterator[tuple[Street, Inverter, AsyncModbusTcpClient]]:
    spec = InverterSpec(name="roof", time_constant_s=0.0)
    async with Street(Clock.starting(RATE, 1_767_225_600_000), [spec]) as street:
        for fault in on:
            street.set_fault("roof", fault, True)
        async with AsyncModbusTcpClient("127.0.0.1", port=street.ports["roof"], retries=0, timeout=1) as client:
            yield street, street.inverters["roof"], client


async def words(client: AsyncModbusTcpClient, inverter: Inverter, name: str, count: int = 1) -> list[int]:
    reply = await client.read_holding_registers(inverter.address(name), count=count)
    return list(reply.registers) if not reply.isError() else [-reply.exception_code]


async def shows(inverter: Inverter, percent: float) -> None:
    async with asyncio.timeout(5):
        while inverter.value(LIMIT) != percent:  # noqa: ASYNC110 - the simulated time gives no sign
            await asyncio.sleep(0.01)


async def limit(client: AsyncModbusTcpClient, inverter: Inverter, percent: float) -> int:
    """Write a limit by function 16; give the exception, or 0."""
    address, octets = inverter.place(LIMIT, percent)
    reply = await client.write_registers(address, [int.from_bytes(octets)])
    return reply.exception_code if reply.isError() else 0


@pytest.mark.parametrize(("fault", "code"), [("exception_4", 4), ("exception_6", 6), ("exception_0b", 11)])
async def test_every_request_ends_in_the_exception(fault: str, code: int) -> None:
    async with faulty(fault) as (_street, inverter, client):
        assert await words(client, inverter, "701.W") == [-code]
        assert await limit(client, inverter, 50) == code
        assert inverter.value(LIMIT) == 100


async def test_sixty_registers_are_read_and_no_more() -> None:
    async with faulty("cap_60") as (_street, inverter, client):
        assert len(await words(client, inverter, "701.W", 60)) == 60
        assert await words(client, inverter, "701.W", 61) == [-3]


async def test_function_16_is_refused_and_6_is_not() -> None:
    async with faulty("no_write_multiple") as (_street, inverter, client):
        assert await limit(client, inverter, 50) == 1
        address, octets = inverter.place(LIMIT, 40)
        assert not (await client.write_register(address, int.from_bytes(octets))).isError()
        assert inverter.value(LIMIT) == 40


@pytest.mark.parametrize(("fault", "base"), [("base_0", 0), ("base_50000", 50_000)])
async def test_the_map_is_where_the_fault_puts_it(fault: str, base: int) -> None:
    async with faulty(fault) as (_street, inverter, client):
        assert (await client.read_holding_registers(base, count=2)).registers == [0x5375, 0x6E53]
        assert (await client.read_holding_registers(40_000, count=2)).exception_code == 2
        address, octets = inverter.place(LIMIT, 40)
        await client.write_registers(address - 40_000 + base, [int.from_bytes(octets)])
        assert inverter.value(LIMIT) == 40


async def test_the_map_ends_in_an_exception() -> None:
    async with faulty() as (street, inverter, client):
        address = inverter.spec.base
        while (header := (await client.read_holding_registers(address + 2, count=2)).registers)[0] != 0xFFFF:
            address += header[1] + 2
        street.set_fault("roof", "no_end_marker", True)
        assert (await client.read_holding_registers(address + 2, count=2)).exception_code == 2
        assert not (await client.read_holding_registers(address, count=2)).isError()


async def test_zeros_leave_the_chain_of_models_as_it_is() -> None:
    async with faulty("all_zero") as (_street, inverter, client):
        model = await words(client, inverter, "701.ID", 125)
        assert (model[:2], set(model[2:])) == ([701, 153], {0})


async def test_value_and_scale_factor_move_together() -> None:
    async with faulty("moving_scale") as (_street, inverter, client):
        seen = set()
        for _ in range(8):
            model = await words(client, inverter, "701.ACType", 116)
            w, scale = (inverter.address(name) - inverter.address("701.ACType") for name in ("701.W", "701.W_SF"))
            seen.add((model[w], model[scale]))
            await asyncio.sleep(0.5 / RATE)
        assert seen == {(5_000, 0), (500, 1)}


async def test_a_slow_write_shows_after_its_time_and_a_failed_one_never() -> None:
    async with faulty("slow_adoption") as (street, inverter, client):
        assert await limit(client, inverter, 50) == 0
        began_ms = street.clock.now_ms()
        assert inverter.value(LIMIT) == 100
        await shows(inverter, 50)
        assert faults.SLOW_MS - 100 <= street.clock.now_ms() - began_ms <= faults.SLOW_MS + 4_000
        assert await limit(client, inverter, 200) == 3, "what it cannot mean it refuses at once"
        street.set_fault("roof", "slow_adoption", False)
        street.set_fault("roof", "failed_adoption", True)
        assert await limit(client, inverter, 30) == 0
        await asyncio.sleep(0.1)
        assert inverter.value(LIMIT) == 50


async def test_a_reboot_loses_what_it_was_told() -> None:
    async with faulty() as (street, inverter, client):
        await limit(client, inverter, 50)
        street.set_fault("roof", "reboot", True)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", street.ports["roof"])
        street.set_fault("roof", "reboot", False)
        await asyncio.sleep(0.1)
        assert inverter.value(LIMIT) == 100
        assert await client.connect()
        assert await words(client, inverter, LIMIT) == [10_000]


async def test_a_timer_drifts_to_half_its_time() -> None:
    async with faulty("drifting_timer") as (street, inverter, client):
        for name, value in (("704.WMaxLimPctRvrtTms", 40), (LIMIT, 30), ("704.WMaxLimPctEna", 1)):
            address, octets = inverter.place(name, value)
            await client.write_registers(address, list(struct.unpack(f">{len(octets) // 2}H", octets)))
        began_ms = street.clock.now_ms()
        await shows(inverter, 100)
        assert 19_000 <= street.clock.now_ms() - began_ms <= 24_000


async def test_one_client_is_served_and_a_second_turned_away() -> None:
    async with faulty("one_client") as (street, inverter, client):
        assert await words(client, inverter, "701.W") == [5_000]
        reader, writer = await asyncio.open_connection("127.0.0.1", street.ports["roof"])
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), 1)
        writer.close()
        assert await words(client, inverter, "701.W") == [5_000]


async def raw(port: int, seconds: float) -> bytes:
    """Ask for the marker; give all that comes within a time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(struct.pack(">HHHBBHH", 9, 0, 6, 1, 3, 40_000, 2))
    came = b""
    try:
        async with asyncio.timeout(seconds):
            while octets := await reader.read(100):
                came += octets
    except TimeoutError:
        pass
    writer.close()
    return came


RIGHT = struct.pack(">HHHBBB", 9, 0, 7, 1, 3, 4) + b"SunS"
FOREIGN = struct.pack(">HHHBBB", 10, 0, 7, 2, 3, 4) + b"\1\1\1\1"


@pytest.mark.parametrize(
    ("on", "early", "late"),
    [
        (("duplicate_reply",), RIGHT + RIGHT, b""),
        (("foreign_reply",), FOREIGN + RIGHT, b""),
        (("late_reply",), b"", RIGHT),
        (("late_reply", "duplicate_reply", "foreign_reply"), FOREIGN, RIGHT + RIGHT),
    ],
)
async def test_the_wire_brings_replies_late_twice_or_of_another(
    on: tuple[str, ...], early: bytes, late: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "LATE_S", 0.2)
    async with faulty(*on) as (street, _inverter, _client):
        assert await raw(street.ports["roof"], 0.1) == early
        assert await raw(street.ports["roof"], 0.3) == early + late
