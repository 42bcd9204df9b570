"""Modes that are registers written directly: reactive power and power factor of models 704 and 123.

IEEE 1547-2018, 5.3; IEEE 2030.5-2018, opModFixedVar, opModTargetVar, opModFixedPFInjectW and opModFixedPFAbsorbW.
Set-points are rounded toward zero var: a percentage toward 0, a power factor toward 1.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.core.functions import Function
from gateway.core.modes import Displacement, FixedVar, PowerFactor, TargetVar, VarBase
from gateway.southbound.sunspec_modbus.modes.effort import (
    READ_BACK_AGAIN_MS,
    READ_BACK_MS,
    Answer,
    Doing,
    Held,
    Looking,
    Request,
    Rest,
    Shaped,
    Stopped,
    Tenure,
    demand,
    differs,
    fit,
    look,
    steps,
    tell,
    timer_s,
)
from gateway.southbound.sunspec_modbus.modes.wanted import Off, Wanted
from gateway.southbound.sunspec_modbus.points import Part, Values, has
from gateway.southbound.sunspec_modbus.profiles import Habits
from gateway.wire.sunspec import Side

UNITY: Final = 10_000
LEGACY_TIMER_MAX_MS: Final = 65_534_000
MODE_2018: Final = {VarBase.MAX_W: 0, VarBase.MAX_VAR: 1, VarBase.AVAILABLE_VAR: 2, VarBase.MAX_VA: 3}
VARS: Final = 4
MODE_LEGACY: Final = {
    VarBase.MAX_W: (1, "VArWMaxPct"),
    VarBase.MAX_VAR: (2, "VArMaxPct"),
    VarBase.AVAILABLE_VAR: (3, "VArAvalPct"),
}


@dataclass(frozen=True, slots=True)
class Direct:
    """Where a function lies that is written directly.

    `points` are all that it may write before its enable. `base` names what its value is of: the function goes off
    before that changes. `reverts` gives each value the point that takes its place when the timer runs out, and the
    enable's; without it the timer switches the function off.
    """

    model: int
    what: str
    points: tuple[str, ...]
    enable: str
    timer: str
    base: str = ""
    reverts: tuple[tuple[str, str], ...] = ()
    function: Function = Function.REACTIVE_POWER

    @property
    def names(self) -> tuple[str, ...]:
        """All points that it reads."""
        return (*self.points, self.enable, self.timer, *(name for _, name in self.reverts))


FIXED_VAR: Final = Direct(
    704,
    "fixed var",
    ("VarSet", "VarSetPct", "VarSetMod"),
    "VarSetEna",
    "VarSetRvrtTms",
    "VarSetMod",
    (("VarSet", "VarSetRvrt"), ("VarSetPct", "VarSetPctRvrt"), ("VarSetEna", "VarSetEnaRvrt")),
)


def _power_factor(group: str, what: str) -> Direct:
    return Direct(
        704,
        what,
        (f"{group}.PF", f"{group}.Ext"),
        f"{group}Ena",
        f"{group}RvrtTms",
        "",
        (
            (f"{group}.PF", f"{group}Rvrt.PF"),
            (f"{group}.Ext", f"{group}Rvrt.Ext"),
            (f"{group}Ena", f"{group}EnaRvrt"),
        ),
    )


PF_INJECTING: Final = _power_factor("PFWInj", "power factor while injecting")
PF_ABSORBING: Final = _power_factor("PFWAbs", "power factor while absorbing")
FIXED_VAR_LEGACY: Final = Direct(
    123,
    "fixed var",
    ("VArWMaxPct", "VArMaxPct", "VArAvalPct", "VArPct_Mod"),
    "VArPct_Ena",
    "VArPct_RvrtTms",
    "VArPct_Mod",
)
PF_LEGACY: Final = Direct(123, "power factor", ("OutPFSet",), "OutPFSet_Ena", "OutPFSet_RvrtTms")


def shaped(place: Direct, wanted: Wanted, habits: Habits) -> tuple[Shaped, ...]:
    """Give the registers of a mode in the order of writing; raise Stopped for one that they cannot hold."""
    match wanted:
        case FixedVar() if place is FIXED_VAR:
            percent = Shaped("VarSetPct", wanted.hundredths, Side.TOWARD_ZERO)
            return percent, Shaped("VarSetMod", MODE_2018[wanted.base])
        case TargetVar() if place is FIXED_VAR:
            return Shaped("VarSet", wanted.var, Side.TOWARD_ZERO), Shaped("VarSetMod", VARS)
        case FixedVar() if place is FIXED_VAR_LEGACY:
            if wanted.base not in MODE_LEGACY:
                raise Stopped(f"model 123 gives no var in percent of {wanted.base}")
            mode, name = MODE_LEGACY[wanted.base]
            return Shaped(name, wanted.hundredths, Side.TOWARD_ZERO), Shaped("VArPct_Mod", mode)
        case TargetVar() if place is FIXED_VAR_LEGACY:
            raise Stopped("model 123 gives var in percent alone")
        case PowerFactor() if place is PF_LEGACY:
            return (_legacy_power_factor(wanted, habits),)
        case PowerFactor():
            group = "PFWInj" if place is PF_INJECTING else "PFWAbs"
            told = wanted.injecting if place is PF_INJECTING else wanted.absorbing
            if told is not None:
                factor = Shaped(f"{group}.PF", told.pf_ten_thousandths, Side.CEIL)
                return factor, Shaped(f"{group}.Ext", int(told.absorbs))
    raise Stopped(f"model {place.model} cannot carry it as {place.what}")


def _legacy_power_factor(wanted: PowerFactor, habits: Habits) -> Shaped:
    """Give the one power factor of model 123, whose sign is a matter of the family."""
    told = wanted.injecting
    if told is None or wanted.absorbing not in (None, told):
        raise Stopped("model 123 has one power factor for both directions of power")
    return Shaped("OutPFSet", signed(told, habits), Side.CEIL if signed(told, habits) > 0 else Side.FLOOR)


def signed(told: Displacement, habits: Habits) -> int:
    """Give a power factor with the sign of the family; raise Stopped where nobody has said which that is."""
    factor = told.pf_ten_thousandths
    if factor == UNITY:
        return factor
    if not habits.absorbs:
        raise Stopped("nothing says which sign of a power factor absorbs var on this family; give it a profile")
    return factor * (habits.absorbs if told.absorbs else -habits.absorbs)


class Registers:
    """A function that is written directly, on one device."""

    def __init__(self, place: Direct, part: Part, habits: Habits) -> None:
        """Take where it lies."""
        self._place, self._part, self._habits = place, part, habits
        self.key = f"{place.what} ({place.model})"
        self.function = place.function
        self.enable = place.enable

    def look(self) -> Looking:
        """Read what is in force."""
        return look(self._part)

    def put(self, tenure: Tenure, wanted: Wanted, timer_ms: int | None) -> Generator[Request, Answer, Held]:
        """Write values and what they revert to, then the enable; read back and compare."""
        values = yield from self.look()
        if isinstance(wanted, Off):
            target: dict[str, int] = {self.enable: 0} if has(values, self.enable) else {}
            if differs(target, values):
                yield from self._write(tenure, {self.enable: 0}, values)
            return Held((yield from self._proven(target, values)), target)
        asked = shaped(self._place, wanted, self._habits)
        demand(values, self.enable, *(each.name for each in asked))
        fitted = {each.name: fit(self._part.model, each, values) for each in asked}
        target = {name: each.reads for name, each in fitted.items()} | {self.enable: 1}
        timer = self._timer(tenure.before, values, timer_ms)
        if differs(target | timer, values):
            yield from self._off_first(tenure, target, values)
            octets = self._encoded(timer, values) | {name: each.registers for name, each in fitted.items()}
            tenure.wrote = True
            yield from tell(
                steps(self._part, octets | self._encoded({self.enable: 1}, values), self._habits), self._habits
            )
        return Held((yield from self._proven(target | timer, values)), target, timed=bool(timer))

    def restore(self, tenure: Tenure) -> Doing:
        """Switch it off, or give it the values back that it had while it was on."""
        before = tenure.before
        values = yield from self.look()
        target = {
            name: value for name in (*self._place.points, self.enable) if isinstance(value := before.get(name), int)
        }
        if before.get(self.enable) != 1:
            target = {self.enable: 0}
        if not differs(target, values):
            return
        yield from self._off_first(tenure, target, values)
        yield from self._write(tenure, target, values)
        yield from self._proven(target, values)

    def refresh(self, timer_ms: int) -> Doing:
        """Write the timer again."""
        timer = {self._place.timer: self._timer_ms(timer_ms)}
        yield from tell(steps(self._part, self._encoded(timer, {}), self._habits), self._habits)

    def _off_first(self, tenure: Tenure, target: Mapping[str, int], values: Values) -> Doing:
        """Switch off before a value gets another meaning."""
        base = self._place.base
        if base in target and values.get(self.enable) == 1 and values.get(base) != target[base]:
            yield from self._write(tenure, {self.enable: 0}, values)

    def _write(self, tenure: Tenure, points: Mapping[str, int], values: Values) -> Doing:
        tenure.wrote = True
        yield from tell(steps(self._part, self._encoded(points, values), self._habits), self._habits)

    def _encoded(self, points: Mapping[str, int], values: Values) -> dict[str, bytes]:
        return {name: fit(self._part.model, Shaped(name, value), values).registers for name, value in points.items()}

    def _proven(self, target: Mapping[str, int], values: Values) -> Looking:
        """Read back until the target shows; a device may take a second."""
        if not differs(target, values):
            return values
        for pause_ms in (READ_BACK_MS, READ_BACK_AGAIN_MS):
            yield Rest(pause_ms)
            values = yield from self.look()
            if not differs(target, values):
                return values
        raise Stopped(f"{self.key}: {differs(target, values)}")

    def _timer_ms(self, timer_ms: int) -> int:
        return min(timer_s(timer_ms), LEGACY_TIMER_MAX_MS) if self._place.model == 123 else timer_s(timer_ms)

    def _timer(self, before: Values, values: Values, timer_ms: int | None) -> dict[str, int]:
        """Give timer and reversion values: to what it was before; without a place for that, off, where it was off.

        What a value is of has no reversion value: where it was on by another base, it reverts to off.
        """
        place = self._place
        if timer_ms is None or not self._habits.timer or not has(values, place.timer):
            return {}
        was_on = before.get(self.enable) == 1
        if not place.reverts:
            return {} if was_on else {place.timer: self._timer_ms(timer_ms)}
        if not has(values, *(name for _, name in place.reverts[-1:])):
            return {}
        told: dict[str, int] = {place.reverts[-1][1]: int(was_on and not place.base)}
        for name, reverted in place.reverts[:-1]:
            value = before.get(name)
            if was_on and not place.base and isinstance(value, int) and has(values, reverted):
                told[reverted] = value
        return told | {place.timer: self._timer_ms(timer_ms)}
