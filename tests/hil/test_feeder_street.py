"""A running street: inverters, power flow and sockets together on one clock."""

import asyncio
import time

import pytest
from pymodbus.client import AsyncModbusTcpClient

from hil.clock import Clock
from hil.feeder import Feeder, FeederError
from hil.street import Street
from hil.sunspec.inverter import InverterSpec

START_MS = 1_767_225_600_000
SIX = [
    InverterSpec(name="house-1", rated_w=8_000, bus="634", phases=(1,), nominal_v=277),
    InverterSpec(name="house-2", rated_w=8_000, bus="634", phases=(2,), nominal_v=277, kind="legacy"),
    InverterSpec(name="house-3", rated_w=8_000, bus="634", phases=(3,), nominal_v=277),
    InverterSpec(name="school", rated_w=100_000, bus="675", kind="legacy"),
    InverterSpec(name="park", rated_w=900_000, bus="680"),
    InverterSpec(name="farm", rated_w=250_000, bus="611", phases=(3,), unit=126, base=0),
]
MODEL_701 = 40002 + 68
MODEL_704 = MODEL_701 + 155 + 52 + 19


async def test_running_street_obeys_a_write_and_the_feeder_feels_it() -> None:
    async with Street(Clock.starting(20, START_MS), SIX, Feeder.ieee13()) as street:
        await street.clock.sleep_until_ms(START_MS + 10_000)
        before = street.voltage_pu["park"]
        async with AsyncModbusTcpClient("127.0.0.1", port=street.ports["park"]) as client:
            await client.write_registers(MODEL_704 + 14, [1, 1000], device_id=1)
            await street.clock.sleep_until_ms(street.clock.now_ms() + 20_000)
            volts = (await client.read_holding_registers(MODEL_701 + 47, count=1, device_id=1)).registers[0] / 10
        assert street.measured_w["park"] == pytest.approx(90_000)
        assert street.measured_w["farm"] == pytest.approx(250_000)
        after = street.voltage_pu["park"]
        assert all(low < high - 0.001 for low, high in zip(after, before, strict=True))
        assert volts == pytest.approx(240 * after[0], abs=0.1)
        assert street.write_count("park") == len(street.writes("park")) == 1
        assert street.write_count("farm") == 0


async def test_six_inverters_and_the_power_flow_step_in_well_under_twenty_ms() -> None:
    async with Street(Clock.starting(20, START_MS), SIX, Feeder.ieee13(), stepping=False) as street:
        costs_ms = []
        for turn in range(20):
            street.set_irradiance("park", 0.5 + turn / 50)
            began_ns = time.thread_time_ns()
            street.step()
            costs_ms.append((time.thread_time_ns() - began_ns) / 1e6)
        assert sorted(costs_ms)[10] < 10


async def test_step_that_fails_stops_the_street_and_is_raised_at_the_end() -> None:
    wild = InverterSpec(name="wild", rated_w=200_000_000, bus="652", phases=(1,), irradiance=0.0)
    street = Street(Clock.starting(20, START_MS), [wild], Feeder.ieee13())

    async def run_into_it() -> None:
        async with street:
            assert street.failure is None
            street.set_irradiance("wild", 1.0)
            await asyncio.sleep(0.3)
            assert isinstance(street.failure, FeederError)

    with pytest.raises(FeederError):
        await run_into_it()


def test_two_inverters_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="house-1 occur twice"):
        Street(Clock.parse("real"), [SIX[0], SIX[0]])
