"""One socket, a slow serial line and many units behind it, as another library's clients find them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient

from hil.clock import Clock
from hil.sunspec.inverter import Inverter, InverterSpec
from hil.sunspec.rtu_gateway import Framing, RtuGateway

FRAMERS = {"mbap": FramerType.SOCKET, "rtu": FramerType.RTU}


@asynccontextmanager
async def line(
    framing: Framing, count: int = 3, baud: int = 115_200
) -> AsyncIterator[tuple[RtuGateway, list[Inverter]]]:
    inverters = [InverterSpec(name=f"pv{unit}", unit=unit, rated_w=1_000 * unit) for unit in range(1, count + 1)]
    clock = Clock.parse("real")
    made = [Inverter(spec, clock) for spec in inverters]
    gateway = RtuGateway({each.spec.unit: each.registers for each in made}, framing, baud=baud, timeout_s=0.1)
    await gateway.start()
    try:
        yield gateway, made
    finally:
        await gateway.stop()


@asynccontextmanager
async def client(gateway: RtuGateway, timeout_s: float = 1.0) -> AsyncIterator[AsyncModbusTcpClient]:
    made = AsyncModbusTcpClient(
        "127.0.0.1", port=gateway.port, framer=FRAMERS[gateway.framing], timeout=timeout_s, retries=0
    )
    assert await made.connect()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("framing", ["mbap", "rtu"])
async def test_each_unit_answers_for_itself_and_takes_writes(framing: Framing) -> None:
    async with line(framing) as (gateway, inverters), client(gateway) as asking:
        for inverter in inverters:
            unit = inverter.spec.unit
            marker = await asking.read_holding_registers(40_000, count=2, device_id=unit)
            assert marker.registers == [0x5375, 0x6E53]
            address, words = inverter.place("702.WMax", 500)
            wrote = await asking.write_registers(address, [int.from_bytes(words)], device_id=unit)
            assert not wrote.isError()
            one = await asking.write_register(address, int.from_bytes(words) - 1, device_id=unit)
            assert not one.isError()
            wanted = await asking.read_holding_registers(address, count=1, device_id=unit)
            assert wanted.registers == [int.from_bytes(words) - 1]
        assert [each.value("702.WMax") for each in inverters] == [499, 499, 499]
        refused = await asking.read_holding_registers(30_000, count=2, device_id=1)
        assert refused.exception_code == 2


@pytest.mark.parametrize("framing", ["mbap", "rtu"])
async def test_a_dead_unit_costs_the_line_one_timeout_and_is_told_in_mbap_alone(framing: Framing) -> None:
    async with line(framing) as (gateway, _inverters), client(gateway, 0.3) as asking, client(gateway) as other:
        gateway.dead.add(2)
        began = time.monotonic()
        lost = asyncio.ensure_future(asking.read_holding_registers(40_000, count=2, device_id=2))
        await asyncio.sleep(0.02)
        assert (await other.read_holding_registers(40_000, count=2, device_id=3)).registers == [0x5375, 0x6E53]
        assert 0.1 <= time.monotonic() - began < 0.25, "the others wait for the line"
        if framing == "mbap":
            assert (await lost).exception_code == 11
        else:
            with pytest.raises(Exception, match="No response"):
                await lost


async def test_the_line_is_as_slow_as_its_speed_says() -> None:
    async with line("mbap", baud=9_600) as (gateway, _inverters), client(gateway) as asking:
        began = time.monotonic()
        await asking.read_holding_registers(40_002, count=60, device_id=1)
        took_s = time.monotonic() - began
        characters = (5 + 3 + 7) + (2 + 120 + 3 + 7)
        assert gateway.busy_s == pytest.approx(characters * 11 / 9_600)
        assert gateway.busy_s <= took_s < gateway.busy_s + 0.1


async def test_a_frame_whose_check_is_wrong_is_not_answered() -> None:
    async with line("rtu") as (gateway, _inverters):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(bytes.fromhex("0103 9c40 0002 0000"))
        writer.write(bytes.fromhex("0103 9c40 0002 eb8f"))
        reply = await asyncio.wait_for(reader.readexactly(9), 2)
        assert reply[:7] == b"\x01\x03\x04SunS"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        writer.close()
        await writer.wait_closed()
