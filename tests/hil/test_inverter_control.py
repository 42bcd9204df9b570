"""What simulated inverters do about what they are told: limits, set-points, reversion timers, cease to energize."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import pytest
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from hil.clock import Clock
from hil.street import Street
from hil.sunspec.inverter import InverterSpec, Kind

START_MS = 1_767_225_600_000
STEP_MS = 500


class HandClock(Clock):
    """A clock that the test moves, so that no busy machine can make a timer late."""

    def __init__(self) -> None:
        super().__init__("hand", 0, Fraction(1))
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms


class Bench:
    """One inverter in a street stepped by hand and pysunspec2's device on the other end of the socket."""

    def __init__(self, clock: HandClock, street: Street, device: Any) -> None:
        self.clock = clock
        self.street = street
        self.device = device

    @property
    def w(self) -> float:
        return self.street.measured_w["roof"]

    async def write(self, model: int, **points: float) -> None:
        """Write these points in the order of the model, in their units."""
        block = self.device.models[model][0]
        for name, value in points.items():
            block.points[name].cvalue = value
        await asyncio.to_thread(block.write)

    async def read(self, model: int, point: str) -> Any:
        register = self.device.models[model][0].points[point]
        await asyncio.to_thread(register.read)
        return register.cvalue

    def after_s(self, seconds: float) -> float:
        """Let simulated time pass in steps; return the true power then."""
        for _ in range(round(1000 * seconds / STEP_MS)):
            self.clock.ms += STEP_MS
            self.street.step()
        return self.w


@asynccontextmanager
async def bench(kind: Kind = "2018", **spec: Any) -> AsyncIterator[Bench]:
    clock = HandClock()
    async with Street(clock, [InverterSpec(name="roof", kind=kind, **spec)], stepping=False) as street:
        device = SunSpecModbusClientDeviceTCP(ipaddr="127.0.0.1", ipport=street.ports["roof"], timeout=5)
        try:
            await asyncio.to_thread(device.scan)
            yield Bench(clock, street, device)
        finally:
            device.close()


LIMIT: dict[Kind, tuple[int, str, str]] = {
    "2018": (704, "WMaxLimPct", "WMaxLimPctEna"),
    "legacy": (123, "WMaxLimPct", "WMaxLim_Ena"),
}


@pytest.mark.parametrize("kind", ["2018", "legacy"])
async def test_limit_is_obeyed_only_once_enabled_and_lifted_when_disabled(kind: Kind) -> None:
    model, limit, enable = LIMIT[kind]
    async with bench(kind) as roof:
        assert roof.w == 5000
        await roof.write(model, **{limit: 40})
        assert roof.after_s(20) == 5000
        await roof.write(model, **{enable: 1})
        assert roof.after_s(20) == 2000
        assert await roof.read(701 if kind == "2018" else 103, "W") == 2000
        await roof.write(model, **{enable: 0})
        assert roof.after_s(20) == 5000


async def test_limit_is_a_share_of_the_setting_and_not_of_the_rating() -> None:
    async with bench() as roof:
        await roof.write(702, WMax=4000)
        await roof.write(704, WMaxLimPctEna=1, WMaxLimPct=50)
        assert roof.after_s(20) == 2000


async def test_power_follows_light_below_the_limit_and_says_when_it_is_throttled() -> None:
    async with bench() as roof:
        await roof.write(704, WMaxLimPctEna=1, WMaxLimPct=60)
        assert roof.after_s(20) == 3000
        assert [await roof.read(701, "InvSt"), await roof.read(701, "ThrotPct")] == [4, 40]
        roof.street.set_irradiance("roof", 0.3)
        assert roof.after_s(20) == 1500
        assert [await roof.read(701, "InvSt"), await roof.read(701, "ThrotPct")] == [3, 0]


async def test_power_moves_with_its_time_constant_and_not_at_once() -> None:
    async with bench(time_constant_s=2.0) as roof:
        await roof.write(704, WMaxLimPctEna=1, WMaxLimPct=0)
        assert roof.after_s(2) == pytest.approx(5000 / math.e)
        assert roof.after_s(2) == pytest.approx(5000 / math.e**2)


async def test_set_point_in_watts_and_in_percent() -> None:
    async with bench() as roof:
        await roof.write(704, WSetEna=1, WSetMod=1, WSet=1234)
        assert roof.after_s(20) == 1234
        await roof.write(704, WSetMod=0, WSetPct=50)
        assert roof.after_s(20) == 2500


async def test_fixed_var_is_given_within_what_apparent_power_leaves() -> None:
    async with bench(irradiance=0.6) as roof:
        await roof.write(704, VarSetEna=1, VarSetMod=4, VarSet=-900)
        roof.after_s(20)
        assert [await roof.read(701, "Var"), await roof.read(701, "W")] == [-900, 3000]
        await roof.write(704, VarSet=5000)
        roof.after_s(20)
        assert await roof.read(701, "Var") == 4000


async def test_2018_timer_reverts_to_its_value_and_the_registers_say_so() -> None:
    async with bench() as roof:
        await roof.write(704, WMaxLimPct=20, WMaxLimPctRvrt=60, WMaxLimPctEnaRvrt=1, WMaxLimPctRvrtTms=60)
        await roof.write(704, WMaxLimPctEna=1)
        assert roof.after_s(30) == 1000
        assert await roof.read(704, "WMaxLimPctRvrtRem") == 30
        assert roof.after_s(29.5) == 1000
        assert roof.after_s(0.5) > 1000
        assert roof.after_s(20) == 3000
        now = [await roof.read(704, point) for point in ("WMaxLimPctEna", "WMaxLimPct", "WMaxLimPctRvrtRem")]
        assert now == [1, 60, 0]


async def test_2018_timer_restarts_when_the_setting_is_rewritten_and_stops_when_it_is_disabled() -> None:
    async with bench() as roof:
        await roof.write(704, WMaxLimPctEna=1, WMaxLimPct=20, WMaxLimPctRvrtTms=60)
        roof.after_s(40)
        await roof.write(704, WMaxLimPct=20)
        assert roof.after_s(40) == 1000
        await roof.write(704, WMaxLimPctEna=0)
        roof.after_s(10)
        assert [roof.w, await roof.read(704, "WMaxLimPctRvrtRem")] == [5000, 0]


async def test_2018_set_point_timer_reverts_the_set_point() -> None:
    async with bench() as roof:
        await roof.write(704, WSetMod=1, WSet=1000, WSetRvrt=2000, WSetEnaRvrt=1, WSetRvrtTms=30)
        await roof.write(704, WSetEna=1)
        assert roof.after_s(20) == 1000
        assert roof.after_s(40) == 2000


async def test_legacy_timer_lifts_the_limit_and_disables_it() -> None:
    async with bench("legacy") as roof:
        await roof.write(123, WMaxLimPct=20, WMaxLimPct_RvrtTms=60)
        await roof.write(123, WMaxLim_Ena=1)
        assert roof.after_s(59.5) == 1000
        assert roof.after_s(0.5) > 1000
        assert roof.after_s(20) == 5000
        assert [await roof.read(123, "WMaxLim_Ena"), await roof.read(123, "WMaxLimPct")] == [0, 20]


async def test_2018_ceases_to_energize_at_once_and_enters_service_after_its_delay() -> None:
    async with bench() as roof:
        await roof.write(703, ES=0, ESDlyTms=20)
        assert roof.after_s(0.5) == 0
        assert [await roof.read(701, "ConnSt"), await roof.read(701, "St")] == [0, 0]
        await roof.write(703, ES=1)
        assert roof.after_s(10.5) == 0
        assert await roof.read(703, "ESDlyRemTms") == 10
        assert roof.after_s(9.5) == 0
        assert roof.after_s(20) == 5000


async def test_enter_service_ramp_holds_the_rise_back() -> None:
    async with bench() as roof:
        await roof.write(703, ES=0, ESRmpTms=100)
        roof.after_s(10)
        await roof.write(703, ES=1)
        assert roof.after_s(40) == pytest.approx(2000, abs=50)
        assert roof.after_s(100) == 5000


async def test_legacy_disconnects_and_connects_again_when_its_timer_ends() -> None:
    async with bench("legacy") as roof:
        await roof.write(123, Conn=0, Conn_RvrtTms=60)
        assert roof.after_s(20) == 0
        assert roof.after_s(70) == 5000
        assert await roof.read(123, "Conn") == 1


@pytest.mark.parametrize("kind", ["2018", "legacy"])
async def test_disobedient_inverter_takes_and_reads_back_the_limit_and_goes_on(kind: Kind) -> None:
    model, limit, enable = LIMIT[kind]
    async with bench(kind) as roof:
        roof.street.set_fault("roof", "ignores_limit", True)
        await roof.write(model, **{limit: 10, enable: 1})
        assert roof.after_s(20) == 5000
        assert [await roof.read(model, limit), await roof.read(model, enable)] == [10, 1]
        roof.street.set_fault("roof", "ignores_limit", False)
        assert roof.after_s(20) == 500


async def test_light_inverter_settles_in_one_step_and_still_reverts() -> None:
    async with bench(light=True) as roof:
        await roof.write(704, WMaxLimPctEna=1, WMaxLimPct=10, WMaxLimPctRvrtTms=60)
        assert roof.after_s(0.5) == 500
        assert roof.after_s(59) == 500
        assert roof.after_s(0.5) == 5000


async def test_legacy_takes_a_changed_limit_over_its_ramp_time_from_the_power_that_there_is() -> None:
    async with bench("legacy", time_constant_s=0.0, irradiance=0.8) as roof:
        await roof.write(123, WMaxLimPct=40, WMaxLimPct_RmpTms=20, WMaxLim_Ena=1)
        assert roof.after_s(10) == pytest.approx(3_000, abs=60)
        assert roof.after_s(5) == pytest.approx(2_500, abs=60)
        assert roof.after_s(10) == pytest.approx(2_000)
        await roof.write(123, WMaxLimPct=80)
        assert roof.after_s(10) == pytest.approx(3_000, abs=60)
        await roof.write(123, WMaxLimPct=0, WMaxLimPct_RmpTms=0)
        assert roof.after_s(1) == 0


async def test_a_disconnection_waits_for_no_ramp() -> None:
    async with bench("legacy", time_constant_s=0.0) as roof:
        await roof.write(123, WMaxLimPct=40, WMaxLimPct_RmpTms=60, WMaxLim_Ena=1)
        assert roof.after_s(5) > 4_500
        await roof.write(123, Conn=0)
        assert roof.after_s(1) == 0
