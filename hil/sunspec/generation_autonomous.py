"""Simulated inverter with the functions of IEEE 1547-2018, clause 5: models 705, 706, 711, 712, fixed power factor."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from hil.physics.plant import Wish
from hil.sunspec.generation_2018 import Generation2018
from hil.sunspec.personality import InverterSpec, Local, Reversion, Settings
from hil.sunspec.register_image import Image, Value

IN_PROGRESS, COMPLETED, FAILED = 0, 1, 2
_READ_WRITE, _READ_ONLY = 0, 1
_W_MAX, _VAR_MAX, _VAR_AVAILABLE, _VA_MAX = range(4)
_UNDER_EXCITED = 1
_NOMINAL_HZ = 60.0
_SLOTS: Final = 3
_DECADE = math.log(10)
_FIXED_PF_BIT, _VOLT_VAR_BIT, _FREQ_WATT_BIT, _WATT_VAR_BIT, _VOLT_WATT_BIT = (1 << n for n in (3, 4, 5, 9, 10))

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class _CurveModel:
    """One model with curves in slots: names of its points, where they are, and what its first curve is."""

    model: int
    slot: str
    adopt: str
    x: str
    y: str
    most_points: int
    default: Points
    reference: int
    response_s: float | None

    @property
    def fields(self) -> tuple[str, ...]:
        """Settings of a slot beside its points."""
        priority = ("Pri",) if self.model != 706 else ()
        return ("ActPt", "DeptRef", *priority, *(("RspTms",) if self.response_s is not None else ()))

    def point(self, slot: int, number: int, axis: str) -> str:
        return f"{self.model}.{self.slot}.{slot}.Pt.{number}.{axis}"


_VOLT_VAR = _CurveModel(
    705, "Crv", "AdptCrv", "V", "Var", 4, ((92, 44), (98, 0), (102, 0), (108, -44)), _VA_MAX, response_s=5
)
_VOLT_WATT = _CurveModel(706, "Crv", "AdptCrv", "V", "W", 4, ((106, 100), (110, 20)), _W_MAX, response_s=10)
_WATT_VAR = _CurveModel(712, "Crv", "AdptCrv", "W", "Var", 6, ((20, 0), (50, 0), (100, -44)), _VA_MAX, response_s=None)
_CURVE_MODELS = (_VOLT_VAR, _VOLT_WATT, _WATT_VAR)
_DROOP: Final[dict[str, float]] = {"DbOf": 0.036, "DbUf": 0.036, "KOf": 0.05, "KUf": 0.05, "RspTms": 5}


class GenerationAutonomous(Generation2018):
    """Volt-var, volt-watt, watt-var and frequency droop in three slots each; slot 1 is read-only and in force.

    Our reading of 1547: fixed var goes before fixed power factor, that before volt-var, that before watt-var; every
    reactive function has priority over active power (5.3.1); the lowest active limit holds (4.6.2, 5.4.1). Open-loop
    response is of first order and covers 90 % in the response time. Curves have no reversion timers here. A request to
    adopt a slot that is out of range, the read-only one, or holds points out of order fails and changes nothing.
    """

    models: tuple[int, ...] = (*Generation2018.models, 705, 706, 711, 712)
    reversions: tuple[Reversion, ...] = (
        *Generation2018.reversions,
        Reversion(
            armed_by=("704.PFWInjEna", 1),
            period_s="704.PFWInjRvrtTms",
            restarted_by=frozenset(f"704.{name}" for name in ("PFWInjEna", "PFWInjRvrtTms", "PFWInj.PF", "PFWInj.Ext")),
            takes=(
                ("704.PFWInj.PF", "704.PFWInjRvrt.PF"),
                ("704.PFWInj.Ext", "704.PFWInjRvrt.Ext"),
                ("704.PFWInjEna", "704.PFWInjEnaRvrt"),
            ),
            remaining_s="704.PFWInjRvrtRem",
        ),
    )
    locked: frozenset[str] = frozenset(
        name
        for curves in _CURVE_MODELS
        for name in (
            *(f"{curves.model}.Crv.1.{field}" for field in curves.fields),
            *(curves.point(1, n, axis) for n in range(1, curves.most_points + 1) for axis in (curves.x, curves.y)),
        )
    ) | frozenset(f"711.Ctl.1.{field}" for field in _DROOP)

    def scale_factors(self, spec: InverterSpec) -> tuple[tuple[str, int], ...]:
        return (
            *super().scale_factors(spec),
            ("704.PF_SF", -3),
            *((f"{curves.model}.NPt", curves.most_points) for curves in _CURVE_MODELS),
            *((f"{curves.model}.NCrv", _SLOTS) for curves in _CURVE_MODELS),
            ("711.NCtl", _SLOTS),
            *((name, -2) for name in ("705.V_SF", "706.V_SF", "712.W_SF")),
            *((f"{model}.DeptRef_SF", -2) for model in (705, 706, 712)),
            *((f"{model}.RspTms_SF", -1) for model in (705, 706, 711)),
            *((name, -3) for name in ("711.Db_SF", "711.K_SF")),
        )

    def at_start(self, spec: InverterSpec) -> dict[str, Value]:
        values = super().at_start(spec)
        functions = _FIXED_PF_BIT | _VOLT_VAR_BIT | _FREQ_WATT_BIT | _WATT_VAR_BIT | _VOLT_WATT_BIT
        values |= {
            "1.Md": "Sim-1547-Full",
            "702.CtrlModes": int(values["702.CtrlModes"] or 0) | functions,
            **dict.fromkeys(("704.PFWInjEna", "704.PFWInjEnaRvrt", "704.PFWInjRvrtTms", "704.PFWInjRvrtRem"), 0),
            **{f"704.{group}.PF": 1 for group in ("PFWInj", "PFWInjRvrt")},
            **{f"704.{group}.Ext": _UNDER_EXCITED for group in ("PFWInj", "PFWInjRvrt")},
            "711.Ena": 0,
            "711.AdptCtlReq": 1,
            "711.AdptCtlRslt": COMPLETED,
        }
        for curves in _CURVE_MODELS:
            model = curves.model
            values |= {f"{model}.Ena": 0, f"{model}.AdptCrvReq": 1, f"{model}.AdptCrvRslt": COMPLETED}
            for slot in range(1, _SLOTS + 1):
                values |= _slot_values(curves, slot)
        for slot in range(1, _SLOTS + 1):
            values |= {f"711.Ctl.{slot}.{field}": value for field, value in _DROOP.items()}
            values[f"711.Ctl.{slot}.ReadOnly"] = _READ_ONLY if slot == 1 else _READ_WRITE
        return values

    def ranges(self, spec: InverterSpec) -> dict[str, tuple[float, float]]:
        return super().ranges(spec) | dict.fromkeys(("704.PFWInj.PF", "704.PFWInjRvrt.PF"), (0.0, 1.0))

    def adopted(self, image: Image, written: frozenset[str]) -> dict[str, Value]:
        """Give what changes in the registers by requests to adopt; nothing where none was written."""
        taken: dict[str, Value] = {}
        for curves in _CURVE_MODELS:
            request = f"{curves.model}.AdptCrvReq"
            if request in written:
                slot = round(image.number(request))
                taken |= _taken_curve(image, curves, slot)
        if "711.AdptCtlReq" in written:
            taken |= _taken_droop(image, round(image.number("711.AdptCtlReq")))
        return taken

    def settings(self, image: Image) -> Settings:
        read = super().settings(image)
        parts = [part for part in (self._reactive(image, read), _volt_watt(image, read), _droop(image, read)) if part]
        if not parts:
            return read

        def respond(wish: Wish, here: Local) -> Wish:
            for part in parts:
                wish = part(wish, here)
            return wish

        return replace(read, respond=respond)

    def _reactive(self, image: Image, read: Settings) -> Callable[[Wish, Local], Wish] | None:
        if image.value("704.VarSetEna") == 1:
            return lambda wish, _here: replace(wish, var_first=True)
        if image.value("704.PFWInjEna") == 1:
            return fixed_power_factor(image.number("704.PFWInj.PF"), image.value("704.PFWInj.Ext") == _UNDER_EXCITED)
        for curves in (_VOLT_VAR, _WATT_VAR):
            if image.value(f"{curves.model}.Ena") == 1:
                return _reactive_curve(image, read, curves)
        return None


def _slot_values(curves: _CurveModel, slot: int) -> dict[str, Value]:
    prefix = f"{curves.model}.{curves.slot}.{slot}"
    values: dict[str, Value] = {
        f"{prefix}.ActPt": len(curves.default),
        f"{prefix}.DeptRef": curves.reference,
        f"{prefix}.ReadOnly": _READ_ONLY if slot == 1 else _READ_WRITE,
    }
    if curves is not _VOLT_WATT:
        values[f"{prefix}.Pri"] = 1
    if curves.response_s is not None:
        values[f"{prefix}.RspTms"] = curves.response_s
    padded = curves.default + (curves.default[-1],) * (curves.most_points - len(curves.default))
    for number, (x, y) in enumerate(padded, start=1):
        values |= {curves.point(slot, number, curves.x): x, curves.point(slot, number, curves.y): y}
    return values


def _points(image: Image, curves: _CurveModel, slot: int) -> Points:
    count = round(image.number(f"{curves.model}.{curves.slot}.{slot}.ActPt"))
    return tuple(
        (image.number(curves.point(slot, n, curves.x)), image.number(curves.point(slot, n, curves.y)))
        for n in range(1, min(count, curves.most_points) + 1)
    )


def _taken_curve(image: Image, curves: _CurveModel, slot: int) -> dict[str, Value]:
    result = f"{curves.model}.AdptCrvRslt"
    if not 2 <= slot <= _SLOTS:
        return {result: FAILED}
    if not 2 <= image.number(f"{curves.model}.{curves.slot}.{slot}.ActPt") <= curves.most_points:
        return {result: FAILED}
    points = _points(image, curves, slot)
    if any(left >= right for (left, _), (right, _) in pairwise(points)):
        return {result: FAILED}
    told: dict[str, Value] = {
        name: image.value(name.replace(".1.", f".{slot}.", 1))
        for name in GenerationAutonomous.locked
        if name.startswith(f"{curves.model}.")
    }
    return told | {result: COMPLETED}


def _taken_droop(image: Image, slot: int) -> dict[str, Value]:
    prefix = f"711.Ctl.{slot}"
    if not 2 <= slot <= _SLOTS or min(image.number(f"{prefix}.KOf"), image.number(f"{prefix}.KUf")) <= 0:
        return {"711.AdptCtlRslt": FAILED}
    return {f"711.Ctl.1.{field}": image.value(f"{prefix}.{field}") for field in _DROOP} | {"711.AdptCtlRslt": COMPLETED}


def along(points: Points, x: float) -> float:
    """Give the height of a curve at x, level beyond its ends."""
    if x <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[-1][1]


def fixed_power_factor(factor: float, under_excited: bool) -> Callable[[Wish, Local], Wish]:
    """Give reactive power in proportion to active power, absorbed where under-excited."""
    sign = -1 if under_excited else 1
    share = sign * math.tan(math.acos(factor)) if factor > 0 else 0.0

    def respond(wish: Wish, here: Local) -> Wish:
        w = min(here.w, here.va_max * factor)
        return replace(wish, set_var=share * w, var_first=True)

    return respond


def _reactive_curve(image: Image, read: Settings, curves: _CurveModel) -> Callable[[Wish, Local], Wish]:
    points, slot = _points(image, curves, 1), f"{curves.model}.{curves.slot}.1"
    reference = image.value(f"{slot}.DeptRef")
    response_s = image.number(f"{slot}.RspTms") if curves.response_s is not None else 0.0
    most_var, least_var = image.number("702.VarMaxInj"), -image.number("702.VarMaxAbs")

    def respond(wish: Wish, here: Local) -> Wish:
        share = along(points, here.volts_pct if curves is _VOLT_VAR else 100 * here.w / read.w_max) / 100
        side_var = most_var if share >= 0 else -least_var
        left_var = min(side_var, math.sqrt(max(0.0, here.va_max**2 - here.w**2)))
        whole = {_W_MAX: read.w_max, _VAR_MAX: side_var, _VAR_AVAILABLE: left_var, _VA_MAX: here.va_max}
        var = max(least_var, min(most_var, share * whole[int(reference or 0)]))
        first = reference != _VAR_AVAILABLE
        return replace(wish, set_var=var, var_first=first, var_tau_s=response_s / _DECADE if response_s else None)

    return respond


def _volt_watt(image: Image, read: Settings) -> Callable[[Wish, Local], Wish] | None:
    if image.value("706.Ena") != 1:
        return None
    points, response_s = _points(image, _VOLT_WATT, 1), image.number("706.Crv.1.RspTms")
    of_w_max = image.value("706.Crv.1.DeptRef") == _W_MAX

    def respond(wish: Wish, here: Local) -> Wish:
        limit_w = along(points, here.volts_pct) / 100 * (read.w_max if of_w_max else here.available_w)
        told_w = read.w_max if wish.limit_w is None else wish.limit_w
        return replace(wish, limit_w=min(told_w, limit_w), w_tau_s=response_s / _DECADE)

    return respond


def _droop(image: Image, read: Settings) -> Callable[[Wish, Local], Wish] | None:
    if image.value("711.Ena") != 1:
        return None
    over_hz, under_hz, over_k, under_k, response_s = (image.number(f"711.Ctl.1.{field}") for field in _DROOP)

    def respond(wish: Wish, here: Local) -> Wish:
        held = [w for w in (here.available_w, read.w_max, wish.limit_w, wish.set_w) if w is not None]
        before_w, off_hz = min(held), here.hz - _NOMINAL_HZ
        if off_hz > over_hz:
            moved_w = -(off_hz - over_hz) / (_NOMINAL_HZ * over_k) * read.w_max
        elif off_hz < -under_hz:
            moved_w = (-off_hz - under_hz) / (_NOMINAL_HZ * under_k) * read.w_max
        else:
            return replace(wish, w_tau_s=response_s / _DECADE)
        target_w = max(0.0, before_w + moved_w)
        return replace(wish, limit_w=min(read.w_max, target_w), set_w=None, w_tau_s=response_s / _DECADE)

    return respond
