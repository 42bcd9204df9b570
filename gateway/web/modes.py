"""Modes in the bodies of the local API, and back: how a DER moves by itself (IEEE 1547-2018 5.3, 5.4, 6.4, 6.5).

Percent, Hz, s and power factors become the core's whole numbers. Positive var are injected.
"""

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta

from gateway.core.functions import Function
from gateway.core.modes import (
    Curve,
    CurveBase,
    CurveKind,
    CurvePoint,
    Displacement,
    Droop,
    FixedVar,
    Mode,
    PowerFactor,
    RideThrough,
    TargetVar,
    VarBase,
)
from gateway.web.body import Body

_PERCENT, _PER_S, _PER_HZ, _WHOLE = 100, 1_000, 1_000, 10_000
_FREQUENCIES: Final = (
    CurveKind.LF_MUST_TRIP,
    CurveKind.LF_MAY_TRIP,
    CurveKind.HF_MUST_TRIP,
    CurveKind.HF_MAY_TRIP,
)

Coordinate = Annotated[float, Meta(ge=-1_000_000, le=1_000_000)]
Points = Annotated[
    tuple[tuple[Coordinate, Coordinate], ...], Meta(description="x: %, Hz or s; y: %, Hz or power factor")
]
PercentOf = Annotated[float, Meta(ge=-100, le=100, description="%, positive injects var")]
Reference = Annotated[float, Meta(ge=0, le=1_000, description="% of the nominal voltage")]
Seconds = Annotated[float, Meta(ge=0, le=10_000_000, description="s")]
Hertz = Annotated[float, Meta(ge=0, le=1_000, description="Hz")]
Slope = Annotated[float, Meta(ge=0, le=1_000, description="Hz per Hz, per unit of power")]
Factor = Annotated[float, Meta(ge=0, le=1)]
Var = Annotated[int, Meta(ge=-(10**12), le=10**12, description="var, positive is injected")]


class CurveBody(Body):
    """A curve; `of` is what a y in percent is a part of."""

    kind: CurveKind
    points: Points
    of: CurveBase = CurveBase.NONE
    response_s: Seconds | None = None
    reference_percent: Reference | None = None
    reference_auto_s: Seconds | None = None


class DroopBody(Body):
    """A frequency droop: dead bands, and how steep it is beyond them."""

    over_band_hz: Hertz
    under_band_hz: Hertz
    over_slope: Slope
    under_slope: Slope
    response_s: Seconds | None = None


class FixedVarBody(Body):
    """A part of a rating as reactive power."""

    percent: PercentOf
    of: VarBase


class PowerFactorBody(Body):
    """A power factor, and whether var are absorbed (under-excited)."""

    pf: Factor
    absorbs: bool = False


class PowerFactorsBody(Body):
    """What is held while power is injected, and while it is absorbed."""

    injecting: PowerFactorBody | None = None
    absorbing: PowerFactorBody | None = None


ModeBody = CurveBody | DroopBody | FixedVarBody | PowerFactorsBody
KEYS: Final = {
    Function.REACTIVE_POWER: ("var", "fixed_var", "power_factor", "curve"),
    Function.VOLT_WATT: ("curve",),
    Function.FREQUENCY_WATT: ("curve", "droop"),
    Function.RIDE_THROUGH: ("curves",),
}
"""How a mode of each function is stated."""


def mode(given: int | ModeBody | tuple[CurveBody, ...]) -> Mode:
    """Give the core's mode; whether it is a sound one, the core says (`gateway.core.modes.fault`)."""
    match given:
        case int():
            return TargetVar(given)
        case tuple():
            return RideThrough(tuple(map(_curve, given)))
        case CurveBody():
            return _curve(given)
        case FixedVarBody():
            return FixedVar(given.of, round(_PERCENT * given.percent))
        case PowerFactorsBody():
            return PowerFactor(_displacement(given.injecting), _displacement(given.absorbing))
        case DroopBody():
            return Droop(
                round(_PER_HZ * given.over_band_hz),
                round(_PER_HZ * given.under_band_hz),
                round(1_000 * given.over_slope),
                round(1_000 * given.under_slope),
                _whole(given.response_s, _PER_S),
            )


def _curve(given: CurveBody) -> Curve:
    x_unit, y_unit = _units(given.kind)
    return Curve(
        given.kind,
        tuple(CurvePoint(round(x_unit * x), round(y_unit * y)) for x, y in given.points),
        given.of,
        _whole(given.response_s, _PER_S),
        _whole(given.reference_percent, _PERCENT),
        _whole(given.reference_auto_s, _PER_S),
    )


def _units(kind: CurveKind) -> tuple[int, int]:
    """Give by what the x and the y of a curve are multiplied."""
    match kind:
        case CurveKind.VOLT_VAR | CurveKind.VOLT_WATT | CurveKind.WATT_VAR:
            return _PERCENT, _PERCENT
        case CurveKind.WATT_PF:
            return _PERCENT, _WHOLE
        case CurveKind.FREQ_WATT:
            return _PER_HZ, _PERCENT
        case _:
            return _PER_S, _PER_HZ if kind in _FREQUENCIES else _PERCENT


def _displacement(given: PowerFactorBody | None) -> Displacement | None:
    return None if given is None else Displacement(round(_WHOLE * given.pf), given.absorbs)


def _whole(given: float | None, unit: int) -> int | None:
    return None if given is None else round(unit * given)


def stated(given: Mode) -> Iterator[tuple[str, object]]:
    """Give a mode as a body states it."""
    match given:
        case TargetVar(var=var):
            yield "var", var
        case FixedVar(base=base, hundredths=hundredths):
            yield "fixed_var", {"percent": hundredths / _PERCENT, "of": base}
        case PowerFactor(injecting=injecting, absorbing=absorbing):
            ways = (("injecting", injecting), ("absorbing", absorbing))
            held = {way: {"pf": one[0] / _WHOLE, "absorbs": one.absorbs} for way, one in ways if one is not None}
            yield "power_factor", held
        case Curve():
            yield "curve", _stated_curve(given)
        case RideThrough(curves=curves):
            yield "curves", [_stated_curve(one) for one in curves]
        case Droop():
            said = {
                "over_band_hz": given.over_band_mhz / _PER_HZ,
                "under_band_hz": given.under_band_mhz / _PER_HZ,
                "over_slope": given.over_slope_thousandths / 1_000,
                "under_slope": given.under_slope_thousandths / 1_000,
            }
            yield "droop", {**said, **_said(response_s=(given.response_ms, _PER_S))}


def _stated_curve(one: Curve) -> dict[str, object]:
    x_unit, y_unit = _units(one.kind)
    more = _said(
        response_s=(one.response_ms, _PER_S),
        reference_percent=(one.reference_hundredths, _PERCENT),
        reference_auto_s=(one.reference_auto_ms, _PER_S),
    )
    return {"kind": one.kind, "points": [(x / x_unit, y / y_unit) for x, y in one.points], "of": one.base, **more}


def _said(**given: tuple[int | None, int]) -> dict[str, object]:
    return {name: number / unit for name, (number, unit) in given.items() if number is not None}
