"""Modes: how a DER moves by itself with voltage, frequency and power, and what reactive power it is to give.

IEEE 1547-2018 5.3, 5.4, 6.4 and 6.5; IEEE 2030.5-2018, DERControlBase and DERCurve. Percent are hundredths,
frequency is in mHz. Positive var are injected (over-excited).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.core.functions import Function


class VarBase(StrEnum):
    """What a percentage of reactive power is of."""

    MAX_W = "max-w"
    MAX_VAR = "max-var"
    AVAILABLE_VAR = "available-var"
    MAX_VA = "max-va"


class CurveKind(StrEnum):
    """What a curve gives (y) over what (x)."""

    VOLT_VAR = "volt-var"
    VOLT_WATT = "volt-watt"
    WATT_VAR = "watt-var"
    WATT_PF = "watt-power-factor"
    FREQ_WATT = "frequency-watt"
    LV_MUST_TRIP = "low-voltage-must-trip"
    LV_MAY_TRIP = "low-voltage-may-trip"
    LV_CESSATION = "low-voltage-momentary-cessation"
    HV_MUST_TRIP = "high-voltage-must-trip"
    HV_MAY_TRIP = "high-voltage-may-trip"
    HV_CESSATION = "high-voltage-momentary-cessation"
    LF_MUST_TRIP = "low-frequency-must-trip"
    LF_MAY_TRIP = "low-frequency-may-trip"
    HF_MUST_TRIP = "high-frequency-must-trip"
    HF_MAY_TRIP = "high-frequency-may-trip"


FUNCTIONS: Final = {
    CurveKind.VOLT_VAR: Function.REACTIVE_POWER,
    CurveKind.WATT_VAR: Function.REACTIVE_POWER,
    CurveKind.WATT_PF: Function.REACTIVE_POWER,
    CurveKind.VOLT_WATT: Function.VOLT_WATT,
    CurveKind.FREQ_WATT: Function.FREQUENCY_WATT,
}
"""The function of each kind of curve that is an effect by itself; the others come together, as `RideThrough`."""


class CurveBase(StrEnum):
    """What the y of a curve is a percentage of; none where y is a power factor, a voltage or a frequency."""

    NONE = "none"
    MAX_W = "max-w"
    MAX_VAR = "max-var"
    AVAILABLE_VAR = "available-var"
    MAX_VA = "max-va"
    AVAILABLE_W = "available-w"


class CurvePoint(NamedTuple):
    """One point of a curve.

    x: hundredths of a percent of the reference voltage or of the maximum active power, mHz, or ms for ride-through.
    y: hundredths of a percent of the curve's base; ten-thousandths of a power factor, negative where it absorbs; for
    ride-through hundredths of a percent of the nominal voltage, or mHz.
    """

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Follow these points, left to right; `response_ms` is the open-loop response time, None leaves it to the DER.

    `reference_hundredths` is the reference voltage (hundredths of a percent of nominal), `reference_auto_ms` the time
    constant with which the DER finds it by itself; None where the order does not say.
    """

    kind: CurveKind
    points: tuple[CurvePoint, ...]
    base: CurveBase = CurveBase.NONE
    response_ms: int | None = None
    reference_hundredths: int | None = None
    reference_auto_ms: int | None = None

    @property
    def function(self) -> Function:
        """The function that it acts on."""
        return FUNCTIONS.get(self.kind, Function.RIDE_THROUGH)


@dataclass(frozen=True, slots=True)
class Droop:
    """Move active power with frequency beyond a dead band (mHz) by a slope (thousandths of Hz/Hz per unit of power)."""

    over_band_mhz: int
    under_band_mhz: int
    over_slope_thousandths: int
    under_slope_thousandths: int
    response_ms: int | None = None
    function: Function = Function.FREQUENCY_WATT


@dataclass(frozen=True, slots=True)
class FixedVar:
    """Give this part of a base as reactive power (hundredths of a percent, -10000..10000)."""

    base: VarBase
    hundredths: int
    function: Function = Function.REACTIVE_POWER


@dataclass(frozen=True, slots=True)
class TargetVar:
    """Give this reactive power (var)."""

    var: int
    function: Function = Function.REACTIVE_POWER


class Displacement(NamedTuple):
    """A power factor (ten-thousandths, 0..10000), and whether var are absorbed (under-excited)."""

    pf_ten_thousandths: int
    absorbs: bool


@dataclass(frozen=True, slots=True)
class PowerFactor:
    """Hold these power factors while power is injected, and while it is absorbed; None leaves one as it is."""

    injecting: Displacement | None
    absorbing: Displacement | None
    function: Function = Function.REACTIVE_POWER


@dataclass(frozen=True, slots=True)
class RideThrough:
    """Trip, cease and ride through by these curves, at most one of a kind; the kinds that are not there stay as set."""

    curves: tuple[Curve, ...]
    function: Function = Function.RIDE_THROUGH


Mode = Curve | Droop | FixedVar | TargetVar | PowerFactor | RideThrough

FEWEST_POINTS, MOST_POINTS = 2, 10
"""How many points a curve has (IEEE 2030.5-2018, DERCurve; our reading: one point alone is no curve)."""
_WHOLE = 10_000
_HUNDREDTHS = 100
_MILLIHERTZ = 1_000
_SIGNED_X = (CurveKind.WATT_VAR, CurveKind.WATT_PF)
"""Curves over active power, which may be absorbed."""


def fault(mode: Mode) -> str:
    """Say in one line what is wrong with a mode as a value, or nothing."""
    return next(_faults(mode), "")


def _faults(mode: Mode) -> Iterator[str]:
    match mode:
        case Curve():
            if mode.kind not in FUNCTIONS:
                yield f"{mode.kind} is a curve of ride-through; give it among those of ride-through"
            yield from _curve_faults(mode)
        case RideThrough():
            yield from _ride_through_faults(mode.curves)
        case Droop():
            yield from _droop_faults(mode)
        case FixedVar():
            if abs(mode.hundredths) > _WHOLE:
                yield f"fixed var of {mode.hundredths} hundredths of a percent; give -{_WHOLE} to {_WHOLE}"
        case PowerFactor():
            given = [one for one in (mode.injecting, mode.absorbing) if one is not None]
            if not given:
                yield "a power factor without any value; give one for injecting or absorbing"
            for one in given:
                if not 0 <= one.pf_ten_thousandths <= _WHOLE:
                    yield f"a power factor of {one.pf_ten_thousandths} ten-thousandths; give 0 to {_WHOLE}"
        case TargetVar():
            return


def _curve_faults(curve: Curve) -> Iterator[str]:
    kind, points = curve.kind, curve.points
    if not FEWEST_POINTS <= len(points) <= MOST_POINTS:
        yield f"{kind} of {len(points)} points; give {FEWEST_POINTS} to {MOST_POINTS}"
    least_x, ride_through = -_WHOLE if kind in _SIGNED_X else 0, kind not in FUNCTIONS
    for number, (x, y) in enumerate(points, 1):
        if x < least_x:
            yield f"{kind}: x of point {number} is {x}; give {least_x} or more"
        if not ride_through and abs(y) > _WHOLE:
            yield f"{kind}: y of point {number} is {y}; give -{_WHOLE} to {_WHOLE}"
        if ride_through and y < 0:
            yield f"{kind}: y of point {number} is {y}; give 0 or more"
        if not ride_through and number > 1 and x < points[number - 2].x:
            yield f"{kind}: x descends at point {number}; give the points from left to right"
    times = (curve.response_ms, curve.reference_auto_ms, curve.reference_hundredths)
    if any(one is not None and one < 0 for one in times):
        yield f"{kind}: a time or a reference voltage below zero; leave it out or give 0 or more"


def _ride_through_faults(curves: tuple[Curve, ...]) -> Iterator[str]:
    if not curves:
        yield "ride-through without any curve; give at least one"
    kinds = [one.kind for one in curves]
    for one in curves:
        if one.kind in FUNCTIONS:
            yield f"{one.kind} is no curve of ride-through; give it as an effect of its own"
        if kinds.count(one.kind) > 1:
            yield f"{one.kind} stands there twice; give one curve of a kind"
        yield from _curve_faults(one)


def _droop_faults(droop: Droop) -> Iterator[str]:
    if min(droop.over_band_mhz, droop.under_band_mhz) < 0:
        yield "frequency droop with a dead band below zero; give 0 mHz or more"
    if min(droop.over_slope_thousandths, droop.under_slope_thousandths) <= 0:
        yield "frequency droop with a slope of 0 or less; give more than 0"
    if droop.response_ms is not None and droop.response_ms < 0:
        yield "frequency droop with a response time below zero; leave it out or give 0 or more"


def in_words(mode: Mode) -> str:
    """Say in one line what a mode tells a DER to do."""
    match mode:
        case Curve(kind=kind, points=points):
            return f"{kind} of {len(points)} points{_points(mode)}"
        case RideThrough(curves=curves):
            return f"ride-through by {', '.join(one.kind for one in curves)}"
        case Droop(over_band_mhz=over_mhz, under_band_mhz=under_mhz):
            return f"frequency droop beyond +{over_mhz} and -{under_mhz} mHz"
        case FixedVar(base=base, hundredths=hundredths):
            return f"fixed {_decimal(hundredths, 100)} % of {base} as var"
        case TargetVar(var=var):
            return f"{var} var"
        case PowerFactor(injecting=injecting, absorbing=absorbing):
            ways = (("injecting", injecting), ("absorbing", absorbing))
            return "power factor " + ", ".join(f"{_pf(one)} while {way}" for way, one in ways if one is not None)


def _points(curve: Curve) -> str:
    """Write the points of a curve as x/y, in %, Hz or power factors, and what a percentage is of."""
    x_unit = _MILLIHERTZ if curve.kind is CurveKind.FREQ_WATT else _HUNDREDTHS
    y_unit = _WHOLE if curve.kind is CurveKind.WATT_PF else _HUNDREDTHS
    each = " ".join(f"{_decimal(point.x, x_unit)}/{_decimal(point.y, y_unit)}" for point in curve.points)
    of = "" if curve.base is CurveBase.NONE else f" with y in % of {curve.base}"
    return f" ({each}{of})"


def _pf(one: Displacement) -> str:
    return f"{_decimal(one.pf_ten_thousandths, _WHOLE)} {'under' if one.absorbs else 'over'}-excited"


def _decimal(number: int, unit: int) -> str:
    """Write a number of parts of a unit (a power of ten) as a decimal fraction."""
    whole, rest = divmod(abs(number), unit)
    places = f"{rest + unit}"[1:].rstrip("0")
    return f"{'-' if number < 0 else ''}{whole}{'.' if places else ''}{places}"
