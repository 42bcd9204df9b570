"""OpenDER behind the registers of a simulated inverter: it passes what the plant passes, and both end up alike."""

import asyncio
import logging
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pytest

from hil.clock import Clock, HandClock
from hil.sunspec.inverter import Inverter, InverterSpec, Kind
from hil.trial.criteria import POWER_MRA_PCT, WIDTH, late_s
from hil.trial.procedure import SUITES, Grid, ProcedureError, select
from hil.trial.run import perform
from hil.trial.testbed import BenchFile, Sample, SimulatedBench, SimulatedTable, make_bench

PHYSICS: tuple[Literal["first-order", "opender"], ...] = ("first-order", "opender")
BAND_W = WIDTH * POWER_MRA_PCT / 100 * 5000
START_MS = 1_767_225_600_000
IEEE_1547 = [procedure.id for procedure in select(str(SUITES / "ieee1547.toml"))[1]]


def bench_of(physics: str, **device: Any) -> SimulatedBench:
    bench = make_bench(BenchFile(title=physics, simulated=SimulatedTable(physics=physics, **device)))  # type: ignore[arg-type] # a word of PHYSICS
    assert isinstance(bench, SimulatedBench)
    return bench


@pytest.mark.parametrize("name", IEEE_1547)
async def test_opender_passes_every_procedure_of_ieee_1547(name: str) -> None:
    title, procedures = select(name)
    result = (await perform(bench_of("opender"), title, procedures, seed=1)).results[0]
    assert [(step.name, step.note) for step in result.steps if step.verdict != "pass"] == []
    assert result.verdict == "pass"


@pytest.mark.parametrize("fault", ["trips_early", "never_trips"])
@pytest.mark.parametrize("name", ["LVRT", "HVRT", "LFRT", "HFRT"])
async def test_opender_that_trips_too_early_or_never_is_found(name: str, fault: str) -> None:
    title, procedures = select(name)
    assert (await perform(bench_of("opender", faults=(fault,)), title, procedures, seed=1)).results[0].verdict == "fail"


async def test_opender_that_ignores_a_limit_or_turns_var_round_is_found() -> None:
    for name, fault in (("VW-1", "ignores_limit"), ("REJ", "ignores_limit"), ("FW", "slow"), ("CRP", "wrong_sign")):
        title, procedures = select(name)
        run = await perform(bench_of("opender", faults=(fault,)), title, procedures, seed=1)
        assert (name, run.results[0].verdict) == (name, "fail")


CASES: dict[str, tuple[Kind, dict[str, float], Grid]] = {
    "limit": ("autonomous", {"704.WMaxLimPct": 35, "704.WMaxLimPctEna": 1}, Grid()),
    "limit above the light": ("2018", {"704.WMaxLimPct": 70, "704.WMaxLimPctEna": 1}, Grid(light_pct=40)),
    "WMax alone": ("2018", {"702.WMax": 3000}, Grid()),
    "set-point": ("2018", {"704.WSetMod": 1, "704.WSet": 1500, "704.WSetEna": 1}, Grid()),
    "fixed var": ("2018", {"704.VarSetMod": 1, "704.VarSetPct": -60, "704.VarSetEna": 1}, Grid(light_pct=80)),
    "power factor": ("autonomous", {"704.PFWInj.PF": 0.9, "704.PFWInj.Ext": 1, "704.PFWInjEna": 1}, Grid()),
    "volt-var injecting": ("autonomous", {"705.Ena": 1}, Grid(volts_pct=94, light_pct=60)),
    "volt-var absorbing": ("autonomous", {"705.Ena": 1}, Grid(volts_pct=106.5)),
    "volt-var and limit": (
        "autonomous",
        {"705.Ena": 1, "704.WMaxLimPct": 50, "704.WMaxLimPctEna": 1},
        Grid(volts_pct=109),
    ),
    "volt-watt": ("autonomous", {"706.Ena": 1}, Grid(volts_pct=108)),
    "droop": ("autonomous", {"711.Ena": 1}, Grid(hz=60.8)),
    "watt-var": ("autonomous", {"712.Ena": 1}, Grid(light_pct=80)),
    "cease": ("2018", {"703.ES": 0}, Grid()),
    "trip": ("2018", {"703.ESDlyTms": 300}, Grid(volts_pct=80)),
    "momentary cessation": ("2018", {}, Grid(volts_pct=30)),
    "battery charging": ("battery", {"704.WSetMod": 1, "704.WSet": -2500, "704.WSetEna": 1}, Grid()),
    "battery at a limit": (
        "battery",
        {"704.WSet": 4000, "704.WSetMod": 1, "704.WSetEna": 1, "704.WMaxLimPct": 20, "704.WMaxLimPctEna": 1},
        Grid(),
    ),
}


async def settled(physics: str, kind: Kind, writes: Mapping[str, float], grid: Grid) -> Sample:
    async with bench_of(physics, kind=kind) as bench:
        await asyncio.to_thread(bench.instrument.open)
        for name, value in writes.items():
            await asyncio.to_thread(bench.instrument.write, name, value)
        await bench.set(grid)
        wait_s = 1 if grid.volts_pct == 30 else 60
        await bench.wait_until_ms(bench.now_ms() + 1000 * wait_s)
        return await bench.measure()


@pytest.mark.parametrize("case", CASES)
async def test_both_physics_settle_alike(case: str) -> None:
    kind, writes, grid = CASES[case]
    plant, opender = [await settled(physics, kind, writes, grid) for physics in PHYSICS]
    assert (plant.w, plant.var) == pytest.approx((opender.w, opender.var), abs=BAND_W)
    untouched = 0.0 if kind == "battery" else 5000.0
    assert math.hypot(opender.w - untouched, opender.var) > BAND_W


class Stepped:
    """One inverter, stepped by hand."""

    def __init__(self, step_ms: int = 20, **spec: Any) -> None:
        self.step_ms = step_ms
        self.clock = HandClock(START_MS)
        self.inverter = Inverter(InverterSpec(name="roof", **spec), self.clock)
        self.volts_pct, self.hz = 100.0, 60.0

    def write(self, name: str, value: float) -> None:
        address, payload = self.inverter.place(name, value)
        assert self.inverter.registers.write(16, address, payload) == 0

    def steps(self, seconds: float) -> Iterator[float]:
        """Let time pass; gives the seconds that are over after each step."""
        for number in range(1, round(1000 * seconds / self.step_ms) + 1):
            self.clock.ms += self.step_ms
            volts = self.inverter.nominal_v * self.volts_pct / 100
            self.inverter.step(self.clock.ms, (volts,) * len(self.inverter.phases), self.hz)
            yield number * self.step_ms / 1000

    def passes(self, seconds: float) -> None:
        for _ in self.steps(seconds):
            pass


CURVES = [
    # volts_pct, hz, stays at least, is off at the latest: IEEE 1547-2018, tables 13, 16, 18 and 19, category III
    (87, 60, 20, 21),
    (60, 60, 10, 21),
    (45, 60, 1, 2),
    (115, 60, 12, 13),
    (125, 60, 0, 0.16),
    (100, 58.2, 299, 300),
    (100, 56, 0, 0.16),
    (100, 61.6, 299, 300),
    (100, 62.5, 0, 0.16),
]


@pytest.mark.parametrize("physics", PHYSICS)
@pytest.mark.parametrize(("volts_pct", "hz", "stays_s", "off_s"), CURVES)
def test_it_rides_through_as_long_as_it_must_and_trips_as_soon_as_it_must(
    physics: str, volts_pct: float, hz: float, stays_s: float, off_s: float
) -> None:
    bench = Stepped(physics=physics, step_ms=20 if off_s < 30 else 100)
    bench.write("703.ESDlyTms", 10)
    bench.passes(1)
    bench.volts_pct, bench.hz = volts_pct, hz
    tripped_s = next(after_s for after_s in bench.steps(late_s(off_s) + 1) if bench.inverter.value("701.ConnSt") == 0)
    assert stays_s < tripped_s <= late_s(off_s)
    assert (bench.inverter.w, bench.inverter.var, bench.inverter.value("701.St")) == (0, 0, 0)


ADOPTED = [
    # model, points of its must-trip curve (s, % or Hz), volts_pct, hz, stays at least, is off at the latest
    (707, "V", ((1, 60), (5, 80)), 75, 60, 4, 5),
    (707, "V", ((1, 0), (1, 60), (5, 60), (5, 80)), 55, 60, 0.8, 1),
    (708, "V", ((1, 118), (3, 106)), 107, 60, 2, 3),
    (709, "Hz", ((1, 57), (4, 59)), 100, 58.8, 3, 4),
    (710, "Hz", ((1, 63), (6, 60.8)), 100, 61, 5, 6),
    (707, "V", ((1, 60), (5, 80)), 85, 60, 30, None),
    (707, "V", ((1, 40), (300, 50)), 70, 60, 30, None),
    (708, "V", ((1, 125), (300, 118)), 115, 60, 30, None),
]


@pytest.mark.parametrize("physics", PHYSICS)
@pytest.mark.parametrize(("model", "axis", "points", "volts_pct", "hz", "stays_s", "off_s"), ADOPTED)
def test_it_trips_by_the_must_trip_curve_that_it_adopted(
    physics: str,
    model: int,
    axis: str,
    points: tuple[tuple[float, float], ...],
    volts_pct: float,
    hz: float,
    stays_s: float,
    off_s: float | None,
) -> None:
    bench = Stepped(physics=physics, kind="ride-through")
    for number, (after_s, at) in enumerate(points, 1):
        bench.write(f"{model}.Crv.2.MustTrip.Pt.{number}.Tms", after_s)
        bench.write(f"{model}.Crv.2.MustTrip.Pt.{number}.{axis}", at)
    bench.write(f"{model}.Crv.2.MustTrip.ActPt", len(points))
    bench.write(f"{model}.AdptCrvReq", 2)
    bench.passes(1)
    bench.volts_pct, bench.hz = volts_pct, hz
    last_s = stays_s if off_s is None else late_s(off_s) + 1
    tripped_s = next((after_s for after_s in bench.steps(last_s) if bench.inverter.value("701.ConnSt") == 0), None)
    if off_s is None:
        assert tripped_s is None
    else:
        assert tripped_s is not None
        assert stays_s < tripped_s <= late_s(off_s)


@pytest.mark.parametrize("physics", PHYSICS)
@pytest.mark.parametrize(
    ("model", "volts_pct", "hz"), [(707, 60, 60), (708, 115, 60), (709, 100, 56), (710, 100, 62.5)]
)
def test_it_does_not_trip_on_a_side_whose_model_is_off(physics: str, model: int, volts_pct: float, hz: float) -> None:
    bench = Stepped(physics=physics, kind="ride-through", step_ms=100)
    bench.write(f"{model}.Ena", 0)
    bench.passes(1)
    bench.volts_pct, bench.hz = volts_pct, hz
    bench.passes(30)
    assert bench.inverter.value("701.ConnSt") == 1
    bench.write(f"{model}.Ena", 1)
    bench.passes(30)
    assert bench.inverter.value("701.ConnSt") == 0


@pytest.mark.parametrize("physics", PHYSICS)
@pytest.mark.parametrize(("volts_pct", "for_s"), [(60, 9), (30, 0.9), (115, 11)])
def test_after_an_abnormal_voltage_it_goes_on_where_it_was(physics: str, volts_pct: float, for_s: float) -> None:
    bench = Stepped(physics=physics)
    bench.write("703.ESDlyTms", 300)
    bench.passes(1)
    bench.volts_pct = volts_pct
    bench.passes(for_s)
    bench.volts_pct = 100
    bench.passes(0.4)
    assert bench.inverter.w >= 0.8 * 5000
    assert bench.inverter.value("701.ConnSt") == 1


@pytest.mark.parametrize("physics", PHYSICS)
def test_it_enters_service_when_the_grid_is_well_for_the_delay_and_then_along_a_ramp(physics: str) -> None:
    bench = Stepped(physics=physics, step_ms=100)
    bench.write("703.ESDlyTms", 30)
    bench.write("703.ESRmpTms", 60)
    bench.passes(1)
    bench.volts_pct = 40
    bench.passes(3)
    bench.volts_pct = 90  # no longer abnormal, and too low to enter service
    bench.passes(60)
    assert (bench.inverter.w, bench.inverter.value("701.ConnSt")) == (0, 0)
    bench.volts_pct = 100
    bench.passes(15)
    assert bench.inverter.value("703.ESDlyRemTms") == pytest.approx(15, abs=1)
    bench.volts_pct = 90  # the delay begins anew
    bench.passes(1)
    bench.volts_pct = 100
    bench.passes(29)
    assert (bench.inverter.w, bench.inverter.value("701.ConnSt")) == (0, 0)
    bench.passes(31)
    assert bench.inverter.value("701.ConnSt") == 1
    assert bench.inverter.w == pytest.approx(2500, abs=BAND_W)
    bench.passes(60)
    assert bench.inverter.w == pytest.approx(5000, abs=BAND_W)


@pytest.mark.parametrize("physics", PHYSICS)
def test_a_droop_that_is_disabled_while_it_acts_lets_go(physics: str) -> None:
    bench = Stepped(physics=physics, kind="autonomous", step_ms=100)
    bench.write("711.Ena", 1)
    bench.hz = 60.6
    bench.passes(30)
    assert bench.inverter.w == pytest.approx(5000 * (1 - 0.564 / 3), abs=BAND_W)
    bench.write("711.Ena", 0)
    bench.passes(30)
    assert bench.inverter.w == pytest.approx(5000, abs=BAND_W)


@pytest.mark.parametrize("physics", PHYSICS)
@pytest.mark.parametrize("phases", [(1,), (1, 2), (1, 2, 3)])
def test_on_one_two_or_three_phases_it_gives_what_the_light_gives(physics: str, phases: tuple[int, ...]) -> None:
    bench = Stepped(physics=physics, phases=phases, irradiance=0.5)
    bench.volts_pct = 104
    bench.passes(10)
    assert bench.inverter.w == pytest.approx(2500, abs=1)


@pytest.mark.parametrize("physics", PHYSICS)
def test_a_battery_stops_when_it_is_full(physics: str, caplog: pytest.LogCaptureFixture) -> None:
    bench = Stepped(physics=physics, kind="battery", energy_wh=100, charge_pct=90)
    bench.write("704.WSetMod", 1)
    bench.write("704.WSet", -3600)
    bench.write("704.WSetEna", 1)
    bench.passes(6)
    assert bench.inverter.w == pytest.approx(-3600, abs=BAND_W)
    with caplog.at_level(logging.DEBUG):
        bench.passes(14)
    assert bench.inverter.w == pytest.approx(0, abs=1)
    assert bench.inverter.stored_wh == pytest.approx(100, abs=0.1)
    assert caplog.records == []


def test_inverters_of_one_process_may_be_stepped_at_another_pace_each() -> None:
    alone, beside, other = (Stepped(physics="opender", kind="autonomous") for _ in range(3))
    for bench in (alone, beside, other):
        bench.write("705.Ena", 1)
        bench.passes(1)
        bench.volts_pct = 107
    way = [alone.inverter.var for _ in alone.steps(5)]
    there = []
    for _ in beside.steps(5):
        there.append(beside.inverter.var)
        other.clock.ms += 70
        other.inverter.step(other.clock.ms, (250.0,) * 3)
    assert there == pytest.approx(way)
    assert way[-1] == pytest.approx(0.9 * -0.44 * 5 / 6 * 5000, rel=0.03)  # 90 % within the response time of 5 s


@pytest.mark.parametrize("spec", [{"kind": "legacy"}, {"light": True}])
def test_opender_is_not_for_what_has_no_settings_of_2018(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not for legacy and light inverters; leave it out"):
        InverterSpec(name="roof", physics="opender", **spec)


def test_where_opender_is_not_installed_that_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opender", None)
    monkeypatch.delitem(sys.modules, "hil.physics.opender_physics", raising=False)
    with pytest.raises(
        ValueError, match='roof: physics "opender" needs opender; make check installs it, or leave it out'
    ):
        Inverter(InverterSpec(name="roof", physics="opender"), Clock.parse("real"))
    with pytest.raises(ProcedureError, match='bench: device: physics "opender" needs opender'):
        bench_of("opender")
