"""Curves and droop <-> the slots of models 705 to 712 (IEEE 1547-2018, 5.3, 5.4, 6.4, 6.5); pure.

Points go from left to right as ordered. Var are rounded toward zero, a ceiling of W down, all else to the nearest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from gateway.core.functions import Function
from gateway.core.modes import CurveBase, CurveKind, Droop
from gateway.southbound.sunspec_modbus.modes.effort import Fitted, Shaped, Stopped, fit
from gateway.southbound.sunspec_modbus.modes.wanted import Shape, Trips, Wanted
from gateway.southbound.sunspec_modbus.points import Values, has
from gateway.wire.sunspec import Model, Side

SLOT: Final = "slot."
"""What the points of the slot in force are called by, beside those of the model's head."""
NOMINAL: Final = 10_000
VAR_BASES: Final = {CurveBase.MAX_W: 0, CurveBase.MAX_VAR: 1, CurveBase.AVAILABLE_VAR: 2, CurveBase.MAX_VA: 3}
WATT_BASES: Final = {CurveBase.MAX_W: 0, CurveBase.AVAILABLE_W: 1}


@dataclass(frozen=True, slots=True)
class Slots:
    """A model that keeps its settings in slots, of which the first is in force.

    `axes` are the points' names from left to right, x before y, of each group; `kinds` the groups of curves that one
    slot holds, empty where it holds one. `bases` are what y is of.
    """

    model: int
    what: str
    function: Function
    axes: tuple[str, str]
    y_side: Side = Side.NEAREST
    bases: Mapping[CurveBase, int] | None = None
    kinds: Mapping[CurveKind, str] | None = None
    slot: str = "Crv"
    count: str = "NCrv"
    request: str = "AdptCrvReq"
    result: str = "AdptCrvRslt"
    revert: str = "RvrtCrv"

    @property
    def has_points(self) -> bool:
        """Tell whether a slot holds a curve of points, rather than parameters."""
        return self.slot == "Crv"


VOLT_VAR: Final = Slots(705, "volt-var", Function.REACTIVE_POWER, ("V", "Var"), Side.TOWARD_ZERO, VAR_BASES)
VOLT_WATT: Final = Slots(706, "volt-watt", Function.VOLT_WATT, ("V", "W"), Side.FLOOR, WATT_BASES)
WATT_VAR: Final = Slots(712, "watt-var", Function.REACTIVE_POWER, ("W", "Var"), Side.TOWARD_ZERO, VAR_BASES)
DROOP: Final = Slots(
    711,
    "frequency droop",
    Function.FREQUENCY_WATT,
    ("", ""),
    slot="Ctl",
    count="NCtl",
    request="AdptCtlReq",
    result="AdptCtlRslt",
    revert="RvrtCtl",
)


def _trip(model: int, what: str, x: str, kinds: Mapping[CurveKind, str]) -> Slots:
    return Slots(model, what, Function.RIDE_THROUGH, ("Tms", x), kinds=kinds, count="NCrvSet", revert="")


_MUST, _MAY, _CESSATION = "MustTrip", "MayTrip", "MomCess"
LOW_VOLTAGE: Final = _trip(
    707,
    "low-voltage trip",
    "V",
    {CurveKind.LV_MUST_TRIP: _MUST, CurveKind.LV_MAY_TRIP: _MAY, CurveKind.LV_CESSATION: _CESSATION},
)
HIGH_VOLTAGE: Final = _trip(
    708,
    "high-voltage trip",
    "V",
    {CurveKind.HV_MUST_TRIP: _MUST, CurveKind.HV_MAY_TRIP: _MAY, CurveKind.HV_CESSATION: _CESSATION},
)
LOW_FREQUENCY: Final = _trip(
    709, "low-frequency trip", "Hz", {CurveKind.LF_MUST_TRIP: _MUST, CurveKind.LF_MAY_TRIP: _MAY}
)
HIGH_FREQUENCY: Final = _trip(
    710, "high-frequency trip", "Hz", {CurveKind.HF_MUST_TRIP: _MUST, CurveKind.HF_MAY_TRIP: _MAY}
)
TRIPS: Final = (LOW_VOLTAGE, HIGH_VOLTAGE, LOW_FREQUENCY, HIGH_FREQUENCY)
ALL: Final = (VOLT_VAR, VOLT_WATT, DROOP, WATT_VAR, *TRIPS)


def fields(slots: Slots, model: Model) -> tuple[str, ...]:
    """Give the points of one slot, in the order of the map, without what only tells of it."""
    first = f"{slots.slot}.1."
    names = (name[len(first) :] for name in model.points if name.startswith(first))
    return tuple(name for name in names if model.points[first + name].writable)


def slot_values(slots: Slots, model: Model, wanted: Wanted, values: Values, points_most: int) -> dict[str, Fitted]:
    """Give what the slot in force is to show of a mode; `values` are what it shows now, `points_most` its NPt.

    Raises Stopped, with the reason, for what the device cannot hold.
    """
    asked = _asked(slots, wanted, values, points_most)
    for each in asked:
        if not has(values, SLOT + each.name):
            raise Stopped(f"it has no {each.name} in its slots")
    fitted = {each.name: fit(model, each, values, f"{slots.slot}.1.") for each in asked}
    if slots.has_points and not slots.kinds:
        xs = [one.reads for name, one in fitted.items() if name.endswith(f".{slots.axes[0]}")]
        ordered = [each.value for each in asked if each.name.endswith(f".{slots.axes[0]}")]
        _demand_apart(ordered, xs)
    return fitted


def _demand_apart(ordered: list[int], fitted: list[int]) -> None:
    for (before, after), (low, high) in zip(pairwise(ordered), pairwise(fitted), strict=True):
        if before != after and low == high:
            raise Stopped("its scale factor cannot tell two points of the curve apart")


def _asked(slots: Slots, wanted: Wanted, values: Values, points_most: int) -> list[Shaped]:
    match wanted:
        case Droop() if slots is DROOP:
            return _droop(wanted)
        case Trips() if slots.kinds:
            return _trips(slots, wanted, points_most)
        case Shape() if slots.bases is not None:
            return _shape(slots, wanted, values, points_most)
    raise Stopped(f"model {slots.model} cannot carry it as {slots.what}")


def _droop(wanted: Droop) -> list[Shaped]:
    """Give dead bands (wider is safer: rounded up) and slopes; without a response time that in force stays."""
    asked = [
        Shaped("DbOf", wanted.over_band_mhz),
        Shaped("DbUf", wanted.under_band_mhz),
        Shaped("KOf", wanted.over_slope_thousandths),
        Shaped("KUf", wanted.under_slope_thousandths),
    ]
    return asked if wanted.response_ms is None else [*asked, Shaped("RspTms", wanted.response_ms)]


def _points(prefix: str, slots: Slots, points: tuple[tuple[int, int], ...], points_most: int) -> list[Shaped]:
    if len(points) > points_most:
        raise Stopped(f"it holds {points_most} points of a curve, not {len(points)}")
    asked = [Shaped(f"{prefix}ActPt", len(points))]
    x_name, y_name = slots.axes
    for number, (x, y) in enumerate(points, 1):
        asked += [
            Shaped(f"{prefix}Pt.{number}.{x_name}", x),
            Shaped(f"{prefix}Pt.{number}.{y_name}", y, slots.y_side),
        ]
    return asked


def _trips(slots: Slots, wanted: Trips, points_most: int) -> list[Shaped]:
    """Give the groups that are ordered; the others of the slot stay as set."""
    asked: list[Shaped] = []
    for kind, points in wanted.curves.items():
        asked += _points(f"{(slots.kinds or {})[kind]}.", slots, tuple(points), points_most)
    return asked


def _shape(slots: Slots, wanted: Shape, values: Values, points_most: int) -> list[Shaped]:
    """Give points and settings; a reference of 100 % is what a device without VRef has anyway."""
    if slots.bases is None or wanted.base not in slots.bases:
        raise Stopped(f"model {slots.model} gives no {slots.what} in percent of {wanted.base}")
    asked = [*_points("", slots, wanted.points, points_most), Shaped("DeptRef", slots.bases[wanted.base])]
    if slots is VOLT_VAR:
        reference, auto_ms = wanted.reference_hundredths, wanted.reference_auto_ms
        if reference is not None and (reference != NOMINAL or has(values, f"{SLOT}VRef")):
            asked.append(Shaped("VRef", reference))
        if auto_ms is not None:
            asked += [Shaped("VRefAutoEna", 1), Shaped("VRefAutoTms", auto_ms)]
    elif wanted.reference_hundredths not in (None, NOMINAL):
        raise Stopped(f"model {slots.model} has no reference voltage to set")
    if wanted.response_ms is not None and slots is not WATT_VAR:
        asked.append(Shaped("RspTms", wanted.response_ms))
    return asked
