"""Runs procedures on a bench: sets, writes, waits, measures, and judges every step by its criteria."""

import asyncio
import math
import random
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from hil.trial.conformance import CHECKS, Finding, monitoring
from hil.trial.criteria import (
    POWER_MRA_PCT,
    WIDTH,
    Band,
    Mark,
    along,
    by_power_factor,
    curve_band,
    droop_points,
    late_s,
    response_band,
)
from hil.trial.instrument import DeviceError, Instrument, NoPoint, Refused, Value
from hil.trial.procedure import PRESENT, STEADY, Check, Curve, Follow, Grid, Keep, Procedure, SerialCheck, Step
from hil.trial.serial_conformance import SERIAL_CHECKS
from hil.trial.testbed import NOMINAL_HZ, CannotSet, Sample, Testbed, next_moment_s

Verdict = Literal["pass", "fail", "not run", "not applicable"]

MARKS: Final = 4
MOMENTS: Final = 12
STEADY_READS: Final = 5
STEADY_PAUSE_S: Final = 0.7
_ADOPT_POLLS, _ADOPT_POLL_S = 10, 1.0
_SPARE_SLOT = 2
_RELATIVE = re.compile(r"(?P<percent>-?\d+(?:\.\d+)?) % of (?P<point>\d+\.\w+)")
_NOMINAL = Grid(volts_pct=100.0, hz=NOMINAL_HZ, light_pct=100.0)
_AT_REST: Final[dict[str, int]] = {
    **dict.fromkeys(("704.WMaxLimPctEna", "704.WSetEna", "704.VarSetEna", "704.PFWInjEna"), 0),
    **dict.fromkeys(("704.WMaxLimPctRvrtTms", "704.WSetRvrtTms", "704.VarSetRvrtTms", "704.PFWInjRvrtTms"), 0),
    **dict.fromkeys(("705.Ena", "706.Ena", "711.Ena", "712.Ena"), 0),
    "704.WMaxLimPct": 100,
    "123.WMaxLim_Ena": 0,
    "123.WMaxLimPct_RvrtTms": 0,
    "123.VArPct_Ena": 0,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """One criterion: what it says, and whether it is kept."""

    kept: bool
    text: str


@dataclass(slots=True)
class StepResult:
    """One step: its verdict, its criteria, and when it began, ms of the bench's time."""

    name: str
    began_ms: int
    verdict: Verdict = "pass"
    judged: list[Judged] = field(default_factory=list)
    note: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a followed quantity must be at one moment: the target, the band there, and what was measured."""

    at_ms: int
    target: float
    mark: Mark


@dataclass(slots=True)
class Result:
    """One procedure: its steps, every sample with the step it belongs to, and what each quantity had to be."""

    procedure: Procedure
    verdict: Verdict = "pass"
    note: str = ""
    steps: list[StepResult] = field(default_factory=list)
    samples: list[tuple[str, Sample]] = field(default_factory=list)
    wanted: dict[str, list[Wanted]] = field(default_factory=dict)
    messages: list[tuple[int, str, str]] = field(default_factory=list)
    first_transaction: int = 0
    last_transaction: int = 0


class Runner:
    """One bench and one device; runs procedures one after the other. Raises DeviceError where there is no device."""

    def __init__(self, bench: Testbed, chance: random.Random, tell: Callable[[str], None]) -> None:
        self._bench = bench
        self._chance = chance
        self._tell = tell
        self._ratings: dict[str, float] = {}

    @property
    def _device(self) -> Instrument:
        return self._bench.instrument

    async def open(self) -> None:
        """Find the device and what it is rated."""
        await asyncio.to_thread(self._device.open)
        for name, points in {
            "WMax": ("702.WMax", "121.WMax"),
            "VAMax": ("702.VAMax", "121.VAMax"),
            "VarMaxInj": ("702.VarMaxInj", "121.VArMaxQ1"),
        }.items():
            self._ratings[name] = await self._first_number(points)

    def identity(self) -> dict[str, str]:
        """Tell who made the device and which one it is, by model 1; blocking."""
        points = {"maker": "1.Mn", "model": "1.Md", "version": "1.Vr", "serial number": "1.SN"}
        found = {}
        for meaning, name in points.items():
            with suppress(NoPoint):
                found[meaning] = str(self._device.read(name))
        return found

    async def _first_number(self, points: tuple[str, ...]) -> float:
        for name in points:
            if await asyncio.to_thread(self._device.has, name):
                value = await asyncio.to_thread(self._device.read, name)
                if isinstance(value, int | float):
                    return abs(float(value))
        return 0.0

    async def run(self, procedure: Procedure) -> Result:
        """Run one procedure from rest, and leave the device at rest again, with the settings that it had."""
        result = Result(procedure, first_transaction=len(self._device.transactions))
        self._tell(f"{procedure.id}  {procedure.title}")
        try:
            lack = await self._lack(procedure)
            if lack:
                result.verdict, result.note = "not applicable", f"the device {lack}"
            else:
                await self._all_steps(procedure, result)
        except DeviceError as fault:
            result.verdict, result.note = "fail", str(fault)
        result.last_transaction = len(self._device.transactions)
        self._tell(f"{procedure.id}  {result.verdict}{': ' if result.note else ''}{result.note}")
        return result

    async def _lack(self, procedure: Procedure) -> str:
        """Tell why a procedure is not about this device; "" where it is."""
        wanted = (*procedure.needs, *procedure.only)
        missing = [name for name in wanted if not await asyncio.to_thread(self._device.has, name)]
        if missing:
            return f"does not implement {', '.join(missing)}"
        for name, told in procedure.only.items():
            value = await asyncio.to_thread(self._device.read, name)
            if value != told:
                return f"says {name} = {value}; this is about {told}"
        return ""

    async def _all_steps(self, procedure: Procedure, result: Result) -> None:
        run = _Run(self._bench, self._chance, self._ratings, procedure, result)
        try:
            await self._rest()
            for step in procedure.steps:
                done = await run.step(step)
                result.steps.append(done)
                self._tell(f"  {done.verdict:8} {done.name}{': ' if done.note else ''}{done.note}")
                if done.verdict == "not run":
                    break
        except CannotSet as lack:
            result.note = str(lack)
        finally:
            await self._leave(run.found)
        verdicts = {step.verdict for step in result.steps}
        if "fail" in verdicts:
            result.verdict = "fail"
        elif result.verdict == "pass" and ("not run" in verdicts or len(result.steps) < len(procedure.steps)):
            result.verdict = "not run"
            result.note = result.note or next((step.note for step in result.steps if step.note), "")

    async def _rest(self) -> None:
        """Bring the device to where every procedure begins: all functions off, nominal grid, full light."""
        await self._disable()
        await self._bench.set(_NOMINAL)
        await self._bench.wait_until_ms(self._bench.now_ms() + round(1000 * self._bench.file.settle_s))

    async def _leave(self, found: dict[str, Value]) -> None:
        """Switch all functions off and give the device back the settings that it had."""
        try:
            await self._disable()
            for name, value in found.items():
                await asyncio.to_thread(self._device.write, name, value)
        except DeviceError as fault:
            self._tell(f"  the device could not be left at rest: {fault}")

    async def _disable(self) -> None:
        for name, value in _AT_REST.items():
            if await asyncio.to_thread(self._device.has, name):
                await asyncio.to_thread(self._device.write, name, value)


class _Run:
    """One procedure's steps on the device."""

    def __init__(
        self,
        bench: Testbed,
        chance: random.Random,
        ratings: dict[str, float],
        procedure: Procedure,
        result: Result,
    ) -> None:
        self._bench = bench
        self._chance = chance
        self._ratings = ratings
        self._procedure = procedure
        self._result = result
        self._step = StepResult("", 0)
        self.found: dict[str, Value] = {}

    async def step(self, step: Step) -> StepResult:
        """Do one step and judge it."""
        self._step = StepResult(step.name, self._bench.now_ms())
        try:
            before = await self._measured() if step.follow else None
            await self._act(step)
            if before is not None:
                await self._watch(step, before)
            if step.keep:
                await self._keep(step.keep)
            await self._wait(step.wait_s)
            if step.check is not None:
                self._step.judged += [Judged(kept, text) for kept, text in await self._check(step.check)]
            for name, wanted in step.reads.items():
                await self._read(name, wanted)
        except CannotSet as lack:
            self._step.verdict, self._step.note = "not run", str(lack)
        except NoPoint as lack:
            self._step.verdict, self._step.note = "not run", f"the device lacks {lack}"
        except DeviceError as fault:
            self._judge(False, str(fault))
        if not all(judged.kept for judged in self._step.judged):
            self._step.verdict = "fail"
            self._step.note = next(judged.text for judged in self._step.judged if not judged.kept)
        self._step.took_s = (self._bench.now_ms() - self._step.began_ms) / 1000
        return self._step

    async def _act(self, step: Step) -> None:
        if step.set is not None:
            self._say(f"set {_set_in_words(step.set)}")
            await self._bench.set(step.set)
        if step.adopt is not None:
            await self._adopt(self._procedure.curve[step.adopt], step.adoption)
        for name, told in step.write.items():
            value = await self._value(told)
            self._say(f"write {name} = {value}")
            if name not in _AT_REST and name not in self.found:
                self.found[name] = await asyncio.to_thread(self._bench.instrument.read, name)
            await asyncio.to_thread(self._bench.instrument.write, name, value)
        for name, told in step.refused.items():
            value = await self._value(told)
            self._say(f"write {name} = {value}, to be refused")
            await self._refuse(name, value)

    async def _value(self, told: float | str) -> Value:
        """Resolve a relative value."""
        relative = _RELATIVE.fullmatch(told) if isinstance(told, str) else None
        if relative is None:
            return told
        whole = await asyncio.to_thread(self._bench.instrument.read, relative["point"])
        if not isinstance(whole, int | float):
            raise NoPoint(relative["point"])
        return round(float(relative["percent"]) / 100 * whole)

    async def _check(self, check: Check | SerialCheck) -> list[Finding]:
        if check in SERIAL_CHECKS:
            if self._bench.line is None:
                raise CannotSet('the bench has no serial line of the device; name it in "serial" if it has one')
            serial_check = SERIAL_CHECKS[check]
            return await asyncio.to_thread(serial_check, self._bench.instrument, self._bench.line)
        if check != "monitoring":
            return await asyncio.to_thread(CHECKS[cast("Check", check)], self._bench.instrument)
        if not self._bench.independent:
            raise CannotSet("the bench has no instrument beside the device's own registers to compare them with")
        return await asyncio.to_thread(
            monitoring, self._bench.instrument, await self._measured(), self._ratings["VAMax"]
        )

    async def _refuse(self, name: str, value: Value) -> None:
        try:
            await asyncio.to_thread(self._bench.instrument.write, name, value)
        except Refused as fault:
            self._judge(True, f"{name} = {value} is refused: exception {fault.code}")
            return
        self._judge(False, f"{name} = {value} is taken; it must be refused")

    async def _read(self, name: str, told: float | str) -> None:
        wanted = await self._value(told)
        value = await asyncio.to_thread(self._bench.instrument.read, name)
        if wanted == STEADY:
            await self._steady(name, value)
        elif wanted == PRESENT:
            self._judge(value not in {None, ""}, f"{name} reads {value}; must be there")
        elif isinstance(value, int | float) and isinstance(wanted, int | float):
            self._judge(math.isclose(value, wanted, abs_tol=1e-6), f"{name} reads {value:g}; must be {wanted:g}")
        else:
            self._judge(value == wanted, f"{name} reads {value}; must be {wanted}")

    async def _steady(self, name: str, first: Value) -> None:
        seen = [first]
        for _ in range(STEADY_READS):
            await self._wait(STEADY_PAUSE_S)
            seen.append(await asyncio.to_thread(self._bench.instrument.read, name))
        told = ", ".join(dict.fromkeys(map(str, seen)))
        self._judge(len(set(seen)) == 1 and first is not None, f"{name} reads {told}; must be there and stay")

    async def _adopt(self, curve: Curve, adoption: str) -> None:
        """Write the curve into a spare slot, ask for it by its number, counted from 1, and poll the outcome."""
        kind = "Ctl" if curve.model == 711 else "Crv"
        prefix = f"{curve.model}.{kind}.{_SPARE_SLOT}"
        device, fields = self._bench.instrument, self._fields(curve)
        told: dict[str, Value] = {f"{prefix}.{name}": value for name, value in fields.items()}
        self._say(f"write {prefix}, ask for slot {_SPARE_SLOT}")
        await asyncio.to_thread(device.write_block, curve.model, told)
        await asyncio.to_thread(device.write, f"{curve.model}.Adpt{kind}Req", _SPARE_SLOT)
        wanted = {"completed": 1, "failed": 2}[adoption]
        outcome: Value = 0
        for _ in range(_ADOPT_POLLS):
            await self._wait(_ADOPT_POLL_S)
            outcome = await asyncio.to_thread(device.read, f"{curve.model}.Adpt{kind}Rslt")
            if outcome != 0:
                break
        self._judge(outcome == wanted, f"Adpt{kind}Rslt reads {outcome}; must be {wanted} ({adoption})")
        if adoption == "completed":
            for name, value in fields.items():
                await self._read(f"{curve.model}.{kind}.1.{name}", value)

    def _fields(self, curve: Curve) -> dict[str, float]:
        fields: dict[str, float] = dict(curve.droop)
        if curve.response_s is not None:
            fields["RspTms"] = curve.response_s
        if not curve.points:
            return fields
        dependent = "W" if curve.model == 706 else "Var"
        fields["ActPt"] = len(curve.points)
        fields["DeptRef"] = {"WMax": 0, "VAMax": 3}[curve.of]
        for number, (x, y) in enumerate(curve.points, start=1):
            fields |= {f"Pt.{number}.{curve.x}": x, f"Pt.{number}.{dependent}": y}
        return fields

    async def _wait(self, seconds: float) -> None:
        until_ms = self._bench.now_ms() + round(1000 * seconds)
        while self._bench.now_ms() < until_ms:
            pause_s = next_moment_s(self._bench.file.every_s, self._chance)
            await self._bench.wait_until_ms(min(until_ms, self._bench.now_ms() + round(1000 * pause_s)))
            await self._measured()

    async def _measured(self) -> Sample:
        sample = await self._bench.measure()
        self._result.samples.append((self._step.name, sample))
        return sample

    async def _watch(self, step: Step, before: Sample) -> None:
        """Measure until four response times are over, exactly at each of them, and judge every quantity there."""
        began_ms = self._bench.now_ms()
        times = [(follow, self._response_s(follow)) for follow in step.follow]
        moments = sorted({n * response_s for _follow, response_s in times for n in range(1, MARKS + 1)})
        seen: dict[float, Sample] = {}
        for moment_s in moments:
            await self._wait((began_ms - self._bench.now_ms()) / 1000 + moment_s)
            seen[moment_s] = await self._measured()
        for follow, response_s in times:
            for n in range(1, MARKS + 1):
                self._hold(follow, response_s, n, before, seen[n * response_s], began_ms)

    async def _keep(self, keeps: tuple[Keep, ...]) -> None:
        """Measure all through each band and judge it as a whole."""
        if not self._bench.independent:
            raise CannotSet("the bench has nothing that sets and measures within cycles; a grid simulator is needed")
        began_ms, slack = self._bench.now_ms(), WIDTH * POWER_MRA_PCT / 100 * self._ratings["VAMax"]
        for keep in sorted(keeps, key=lambda each: each.from_s):
            low, high = (pct / 100 * self._ratings["WMax"] for pct in (keep.low_pct, keep.high_pct))
            band, first_s, seen = Band(low, high).wider(slack), late_s(keep.from_s), []
            for n in range(MOMENTS + 1):
                at_ms = began_ms + round(1000 * (first_s + (keep.until_s - first_s) * n / MOMENTS))
                await self._wait((at_ms - self._bench.now_ms()) / 1000)
                now = await self._measured()
                seen.append(now.w if keep.quantity == "W" else now.var)
                mark = Mark((now.at_ms - began_ms) / 1000, seen[-1], band)
                self._result.wanted.setdefault(keep.quantity, []).append(Wanted(now.at_ms, (low + high) / 2, mark))
            text = f"{keep.quantity} from {first_s:.2f} s to {keep.until_s:g} s: {min(seen):.0f} to {max(seen):.0f}"
            self._judge(all(map(band.holds, seen)), f"{text}; needs {band}")

    def _response_s(self, follow: Follow) -> float:
        if follow.response_s is not None:
            return follow.response_s
        curve = self._procedure.curve[follow.curve] if follow.curve is not None else None
        if curve is not None and curve.response_s is not None:
            return curve.response_s
        return self._procedure.response_s

    def _hold(self, follow: Follow, response_s: float, n: int, before: Sample, now: Sample, began_ms: int) -> None:
        value, start = (now.w, before.w) if follow.quantity == "W" else (now.var, before.var)
        after_s = (now.at_ms - began_ms) / 1000
        target, final = self._final(follow, now)
        slack = WIDTH * POWER_MRA_PCT / 100 * self._ratings["VAMax"]
        band = response_band(start, final, after_s, response_s, slack, follow.shape)
        mark = Mark(after_s, value, band)
        self._result.wanted.setdefault(follow.quantity, []).append(Wanted(now.at_ms, target, mark))
        unit = "W" if follow.quantity == "W" else "var"
        where = f"{follow.quantity} at {n} Tr ({after_s:.1f} s)"
        self._judge(mark.kept, f"{where}: {value:.0f} {unit}; needs {band}, goes to {target:.0f}")

    def _final(self, follow: Follow, now: Sample) -> tuple[float, Band]:
        """Give where the step must end, and where its end lies when sensors are as far off as they may be."""
        whole = self._ratings[follow.of]
        if follow.target_pct is not None:
            target = follow.target_pct / 100 * whole
            return target, Band(target, target)
        if follow.power_factor is not None:
            return by_power_factor(follow.power_factor, now.w)
        assert follow.curve is not None
        curve = self._procedure.curve[follow.curve]
        whole = self._ratings[curve.of]
        points = curve.points or droop_points(curve.droop, follow.from_pct, NOMINAL_HZ)
        x = {"V": now.volts_pct, "Hz": now.hz, "W": 100 * now.w / self._ratings["WMax"]}[curve.x]
        near = curve_band(points, curve.x, x)
        most = math.inf if follow.at_most_pct is None else follow.at_most_pct
        target, low, high = (min(most, pct) / 100 * whole for pct in (along(points, x), near.low, near.high))
        return target, Band(low, high)

    def _judge(self, kept: bool, text: str) -> None:
        self._step.judged.append(Judged(kept, text))

    def _say(self, text: str) -> None:
        self._result.messages.append((self._bench.now_ms(), self._step.name, text))


def _set_in_words(grid: Grid) -> str:
    told = {name: getattr(grid, name) for name in grid.__struct_fields__}
    return ", ".join(f"{name} {value:g}" for name, value in told.items() if value is not None)
