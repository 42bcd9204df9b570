"""Curves of the legacy models: 126, 129 to 132, 134 to 138, in curves of which one is active; and droop by model 127.

Points go into a curve that is not in force, then that becomes the active one, then the mode goes on. Var are rounded
toward zero, a ceiling of W down, power factors toward 1, all else to the nearest.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.core.functions import Function
from gateway.core.modes import CurveBase, CurveKind
from gateway.southbound.sunspec_modbus.modes.effort import (
    READ_BACK_AGAIN_MS,
    READ_BACK_MS,
    Answer,
    Doing,
    Fitted,
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
)
from gateway.southbound.sunspec_modbus.modes.wanted import Off, Shape, Trips, Wanted
from gateway.southbound.sunspec_modbus.points import Part, Values, number
from gateway.southbound.sunspec_modbus.profiles import Habits
from gateway.wire.sunspec import Block, Model, Side, compile_model

CURVE: Final = "curve."
"""What the points of the active curve are called by, beside those of the model's head."""
READ_ONLY: Final = 1
ADDRESSES: Final = 0x10000
UNITY: Final = 10_000
NOMINAL: Final = 10_000
POINTS_MOST: Final = 20
CURVES_MOST: Final = 32
"""Beyond so many curves a device is not believed: what is laid out for it costs all others (our reading)."""
PT1_SHARE: Final = 1_301
"""Thousandths: 95 % of a first-order response takes 3.00 time constants, the 90 % of an open-loop one 2.30."""


@dataclass(frozen=True, slots=True)
class Array:
    """A model with curves; `axes` are the points' names, x before y, `y_exponent` the decimal exponent of y's orders.

    `kind` is what it carries by its own, or as part of ride-through.
    """

    model: int
    what: str
    kind: CurveKind
    function: Function
    axes: tuple[str, str]
    y_exponent: int
    y_side: Side = Side.NEAREST
    bases: Mapping[CurveBase, int] | None = None
    response: str = ""


_VAR, _RIDE = Function.REACTIVE_POWER, Function.RIDE_THROUGH
_VAR_BASES: Final = {CurveBase.MAX_W: 1, CurveBase.MAX_VAR: 2, CurveBase.AVAILABLE_VAR: 3}
_WATT_BASES: Final = {CurveBase.MAX_W: 1, CurveBase.AVAILABLE_W: 2}
VOLT_VAR: Final = Array(
    126, "volt-var", CurveKind.VOLT_VAR, _VAR, ("V", "VAr"), -2, Side.TOWARD_ZERO, _VAR_BASES, "RmpTms"
)
VOLT_WATT: Final = Array(
    132, "volt-watt", CurveKind.VOLT_WATT, Function.VOLT_WATT, ("V", "W"), -2, Side.FLOOR, _WATT_BASES, "RmpPt1Tms"
)
WATT_PF: Final = Array(131, "watt-power-factor", CurveKind.WATT_PF, _VAR, ("W", "PF"), -4)
FREQ_WATT: Final = Array(
    134,
    "frequency-watt",
    CurveKind.FREQ_WATT,
    Function.FREQUENCY_WATT,
    ("Hz", "W"),
    -2,
    Side.FLOOR,
    response="RmpPT1Tms",
)
TRIPS: Final = tuple(
    Array(model, kind.value, kind, _RIDE, ("Tms", y), exponent)
    for model, kind, y, exponent in (
        (129, CurveKind.LV_MUST_TRIP, "V", -2),
        (130, CurveKind.HV_MUST_TRIP, "V", -2),
        (135, CurveKind.LF_MUST_TRIP, "Hz", -3),
        (136, CurveKind.HF_MUST_TRIP, "Hz", -3),
        (137, CurveKind.LV_MAY_TRIP, "V", -2),
        (138, CurveKind.HV_MAY_TRIP, "V", -2),
    )
)
ALL: Final = (VOLT_VAR, VOLT_WATT, WATT_PF, FREQ_WATT, *TRIPS)


def curve_values(array: Array, model: Model, wanted: Wanted, values: Values, habits: Habits) -> dict[str, Fitted]:
    """Give what a curve is to hold, by names without the curve's number; raise Stopped for what it cannot hold."""
    shaped = _asked(array, wanted, values, habits)
    return {each.name: fit(model, each, values, "curve.1.") for each in shaped}


def _asked(array: Array, wanted: Wanted, values: Values, habits: Habits) -> list[Shaped]:
    match wanted:
        case Trips():
            points = tuple(wanted.curves.get(array.kind, ()))
            base, response_ms = CurveBase.NONE, None
        case Shape():
            points, base, response_ms = wanted.points, wanted.base, wanted.response_ms
            if wanted.reference_auto_ms is not None or wanted.reference_hundredths not in (None, NOMINAL):
                raise Stopped(f"model {array.model} has no reference voltage of its own to set")
        case _:
            raise Stopped(f"model {array.model} cannot carry it as {array.what}")
    most = min(number(values, "NPt") or 0, POINTS_MOST)
    if not 0 < len(points) <= most:
        raise Stopped(f"it holds {most} points of a curve, not {len(points)}")
    asked = [Shaped("ActPt", len(points))]
    if array.bases is not None:
        if base not in array.bases:
            raise Stopped(f"model {array.model} gives no {array.what} in percent of {base}")
        asked.append(Shaped("DeptRef", array.bases[base]))
    elif base not in (CurveBase.NONE, CurveBase.MAX_W):
        raise Stopped(f"model {array.model} gives no {array.what} in percent of {base}")
    for at, (x, y) in enumerate(points, 1):
        asked.append(Shaped(f"{array.axes[0]}{at}", x))
        asked.append(_y(array, f"{array.axes[1]}{at}", y, habits))
    if array.response and response_ms is not None:
        asked.append(Shaped(array.response, -(-response_ms * PT1_SHARE // 1_000_000) * 1_000))
    return asked


def _y(array: Array, name: str, y: int, habits: Habits) -> Shaped:
    """Give one ordinate; a power factor toward 1, with the sign of the family."""
    if array is not WATT_PF:
        return Shaped(name, y, array.y_side, array.y_exponent)
    if abs(y) == UNITY:
        return Shaped(name, UNITY, Side.CEIL, array.y_exponent)
    if not habits.absorbs:
        raise Stopped("nothing says which sign of a power factor absorbs var on this family; give it a profile")
    factor = -y * habits.absorbs
    return Shaped(name, factor, Side.CEIL if factor > 0 else Side.FLOOR, array.y_exponent)


class Selecting:
    """A model of which one curve is active, on one device."""

    def __init__(self, array: Array, block: Block, habits: Habits) -> None:
        """Take where it lies."""
        self._array, self._block, self._habits = array, block, habits
        self.key = f"{array.what} ({array.model})"
        self.function = array.function
        self.enable = "ModEna"
        head = compile_model(array.model)
        names = tuple(name for name, point in head.points.items() if point.type != "pad" and name not in {"ID", "L"})
        self._head = Part(head, block.address, head.reader(names, length=block.length))

    def look(self) -> Looking:
        """Read the head, and the active curve where there is one."""
        values = yield from look(self._head)
        active = number(values, "ActCrv") or 0
        if not 1 <= active <= (number(values, "NCrv") or 0):
            return values
        curve = yield from self._curve(self._laid_out(values), active)
        return {**values, **{CURVE + name: value for name, value in curve.items()}}

    def put(self, tenure: Tenure, wanted: Wanted, timer_ms: int | None) -> Generator[Request, Answer, Held]:
        """Fill a curve that is not in force and prove it, make it the active one, switch on; no timer.

        Our reading: what these models fall back to when their timer runs out is not said, so none is set.
        """
        del timer_ms
        values = yield from self.look()
        if isinstance(wanted, Off):
            target = {self.enable: _without(values)}
            yield from self._write(tenure, target, values)
            return Held((yield from self._proven(target)), target)
        demand(values, self.enable, "ActCrv", "NCrv", "NPt")
        model = self._laid_out(values)
        fitted = curve_values(self._array, model, wanted, values, self._habits)
        target = {CURVE + name: each.reads for name, each in fitted.items()}
        on = {self.enable: _without(values) | 1}
        if differs(target, values):
            octets = {name: each.registers for name, each in fitted.items()}
            which = yield from self._fill(
                tenure, model, octets, {name: each.reads for name, each in fitted.items()}, values
            )
            yield from self._write(tenure, {"ActCrv": which}, values)
        yield from self._write(tenure, on, values)
        return Held((yield from self._proven(target | on)), target | on)

    def restore(self, tenure: Tenure) -> Doing:
        """Make the curve active again that was, and switch on or off as it was."""
        values = yield from self.look()
        before = {name: value for name in ("ActCrv", self.enable) if isinstance(value := tenure.before.get(name), int)}
        off = {self.enable: _without(values)} if not before.get(self.enable, 0) & 1 else {}
        yield from self._write(tenure, off, values)
        yield from self._write(tenure, {**before, **off}, values)
        yield from self._proven({**before, **off})

    def refresh(self, timer_ms: int) -> Doing:
        """There is no timer."""
        del timer_ms
        yield from ()

    def _laid_out(self, head: Values) -> Model:
        demand(head, "NCrv")
        curves = number(head, "NCrv") or 0
        if not 1 <= curves <= self._block.length:
            raise Stopped(f"it counts {curves} curves in {self._block.length} registers")
        if curves > CURVES_MOST:
            raise Stopped(f"it counts {curves} curves; at most {CURVES_MOST} are laid out")
        model = compile_model(self._array.model, (("curve", curves),))
        if model.length != self._block.length:
            raise Stopped(f"its {curves} curves take {model.length} registers and it gives {self._block.length}")
        return model

    def _curve(self, model: Model, which: int) -> Looking:
        prefix = f"curve.{which}."
        names = {name: self._exponent(model, name) for name in model.points if name.startswith(prefix)}
        reader = model.reader(names, length=self._block.length, limit=ADDRESSES)
        values = yield from look(Part(model, self._block.address, reader))
        return {name.removeprefix(prefix): value for name, value in values.items()}

    def _exponent(self, model: Model, name: str) -> int:
        """Give the exponent by which a point is read: that of orders."""
        own = model.points[name].exponent
        y = name.rpartition(".")[2].rstrip("0123456789") == self._array.axes[1]
        return self._array.y_exponent if y else own

    def _fill(
        self, tenure: Tenure, model: Model, octets: Mapping[str, bytes], reads: Mapping[str, int], values: Values
    ) -> Generator[Request, Answer, int]:
        """Write a curve that is not in force, read it back, and give its number."""
        active = number(values, "ActCrv") or 0
        curves = number(values, "NCrv") or 0
        on = (number(values, self.enable) or 0) & 1
        candidates = [which for which in range(1, curves + 1) if which != active] + ([] if on else [active])
        for which in candidates:
            if not 1 <= which <= curves:
                continue
            curve = yield from self._curve(model, which)
            if curve.get("ReadOnly") == READ_ONLY:
                continue
            demand(curve, *octets)
            tenure.wrote = True
            part = Part(model, self._block.address, self._head.reader)
            placed = {f"curve.{which}.{name}": octets[name] for name in _by_place(model, octets)}
            yield from tell(steps(part, placed, self._habits), self._habits)
            yield from self._shown(model, which, reads)
            return which
        raise Stopped(f"it has no spare curve among its {curves}")

    def _shown(self, model: Model, which: int, reads: Mapping[str, int]) -> Doing:
        for pause_ms in (READ_BACK_MS, READ_BACK_AGAIN_MS):
            yield Rest(pause_ms)
            curve = yield from self._curve(model, which)
            if not differs(reads, curve):
                return
        raise Stopped(f"{self.key}: curve {which}: {differs(reads, curve)}")

    def _write(self, tenure: Tenure, points: Mapping[str, int], values: Values) -> Doing:
        if differs(points, values):
            tenure.wrote = True
            octets = {
                name: fit(self._head.model, Shaped(name, value), values).registers for name, value in points.items()
            }
            yield from tell(steps(self._head, octets, self._habits), self._habits)

    def _proven(self, target: Mapping[str, int]) -> Looking:
        for pause_ms in (READ_BACK_MS, READ_BACK_AGAIN_MS):
            yield Rest(pause_ms)
            values = yield from self.look()
            if not differs(target, values):
                return values
        raise Stopped(f"{self.key}: {differs(target, values)}")


def _without(values: Values) -> int:
    """Give the enable's bits without that of the mode."""
    return (number(values, "ModEna") or 0) & ~1


def _by_place(model: Model, names: Mapping[str, bytes]) -> list[str]:
    return sorted(names, key=lambda name: model.points[f"curve.1.{name}"].offset)
