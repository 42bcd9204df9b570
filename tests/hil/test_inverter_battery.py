"""Simulated battery inverters: charging and discharging by set-point, and the store that empties and fills."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from test_inverter_control import Bench, bench

from hil.sunspec.inverter import InverterSpec

DISCHARGE = {"WSetMod": 1, "WSet": 3_000, "WSetEna": 1}


@asynccontextmanager
async def battery(charge_pct: float = 50.0, energy_wh: int = 1_000) -> AsyncIterator[Bench]:
    async with bench("battery", energy_wh=energy_wh, charge_pct=charge_pct, time_constant_s=0.1) as made:
        yield made


async def test_a_battery_rests_until_it_is_told_and_says_what_it_has() -> None:
    async with battery(energy_wh=100_000) as roof:
        assert roof.after_s(5) == 0
        assert await roof.read(713, "WHRtg") == 100_000
        assert await roof.read(713, "WHAvail") == 50_000
        assert await roof.read(713, "SoC") == 50
        assert await roof.read(702, "WChaRteMax") == 5_000


@pytest.mark.parametrize(("set_w", "charge_pct"), [(3_000, 25.0), (-3_000, 75.0)])
async def test_a_set_point_moves_power_and_charge(set_w: int, charge_pct: float) -> None:
    async with battery() as roof:
        await roof.write(704, WSetMod=1, WSet=set_w, WSetEna=1)
        assert roof.after_s(300) == pytest.approx(set_w, abs=1)
        assert await roof.read(701, "W") == set_w
        assert await roof.read(713, "SoC") == pytest.approx(charge_pct, abs=0.5)
        counter = "TotWhInj" if set_w > 0 else "TotWhAbs"
        assert await roof.read(701, counter) == pytest.approx(250, abs=5)


@pytest.mark.parametrize(("set_w", "charge_pct", "left_wh"), [(3_000, 10.0, 0), (-3_000, 90.0, 1_000)])
async def test_an_empty_store_gives_nothing_and_a_full_one_takes_nothing(
    set_w: int, charge_pct: float, left_wh: int
) -> None:
    async with battery(charge_pct) as roof:
        await roof.write(704, WSetMod=1, WSet=set_w, WSetEna=1)
        assert abs(roof.after_s(60)) > 2_900
        assert roof.after_s(180) == 0
        assert await roof.read(713, "WHAvail") == left_wh
        await roof.write(704, WSetMod=1, WSet=-set_w, WSetEna=1)
        assert roof.after_s(10) == pytest.approx(-set_w, abs=1)


async def test_a_limit_of_nothing_stops_discharge_and_not_charge() -> None:
    async with battery() as roof:
        await roof.write(704, **DISCHARGE)
        await roof.write(704, WMaxLimPct=20, WMaxLimPctEna=1)
        assert roof.after_s(5) == pytest.approx(1_000, abs=1)
        await roof.write(704, WMaxLimPct=0)
        assert roof.after_s(5) == 0
        await roof.write(704, WSet=-3_000)
        assert roof.after_s(5) == pytest.approx(-3_000, abs=1)


@pytest.mark.parametrize("wrong", [{"energy_wh": 0}, {"charge_pct": 101.0}, {"charge_pct": -1.0}])
def test_a_store_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give energy_wh above 0 and charge_pct from 0 to 100"):
        InverterSpec(name="roof", kind="battery", **wrong)  # type: ignore[arg-type] # fields of two types
