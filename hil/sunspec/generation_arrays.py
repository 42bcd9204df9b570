"""Simulated legacy inverter with curves: models 126, 129 to 132 and 134 to 138, and a fixed power factor in 123."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from hil.physics.plant import Wish
from hil.sunspec.generation_autonomous import along, fixed_power_factor
from hil.sunspec.generation_legacy import GenerationLegacy
from hil.sunspec.personality import InverterSpec, Local, Reversion, Settings
from hil.sunspec.register_image import Image, Value

_CURVES: Final = 3
_POINTS: Final = 10
_DECADE: Final = math.log(20)
"""The PT1 time of these models is that of 95 % of a change."""


@dataclass(frozen=True, slots=True)
class _Array:
    """One model: names of its axes, and its curve from the factory."""

    model: int
    x: str
    y: str
    points: tuple[tuple[float, float], ...]
    reference: int | None = None
    response: str = ""


_VOLT_VAR: Final = _Array(126, "V", "VAr", ((92, 44), (98, 0), (102, 0), (108, -44)), 2, "RmpTms")
_VOLT_WATT: Final = _Array(132, "V", "W", ((106, 100), (110, 20)), 1, "RmpPt1Tms")
_WATT_PF: Final = _Array(131, "W", "PF", ((0, 1), (100, 1)))
_FREQ_WATT: Final = _Array(134, "Hz", "W", ((60.2, 100), (61.2, 0)))
_TRIPS: Final = (
    _Array(129, "Tms", "V", ((0.16, 50), (2, 88))),
    _Array(130, "Tms", "V", ((0.16, 120), (2, 110))),
    _Array(135, "Tms", "Hz", ((0.16, 56.5), (300, 58.5))),
    _Array(136, "Tms", "Hz", ((0.16, 62), (300, 61.2))),
    _Array(137, "Tms", "V", ((0.16, 30), (2, 70))),
    _Array(138, "Tms", "V", ((0.16, 120), (2, 110))),
)
_ARRAYS: Final = (_VOLT_VAR, *_TRIPS[:2], _WATT_PF, _VOLT_WATT, _FREQ_WATT, *_TRIPS[2:])
_SCALES: Final = {"V": ("V_SF", -2), "Hz": ("Hz_SF", -2), "Tms": ("Tms_SF", -2), "W": ("W_SF", -2), "PF": ("PF_SF", -3)}


class GenerationArrays(GenerationLegacy):
    """Three curves of ten points in each model; the first is read-only and, where nobody chose, the active one.

    Volt-var, volt-watt and the fixed power factor of model 123 act; the trip, frequency and watt-PF curves are taken
    and shown. Our reading: a negative power factor absorbs var (under-excited). A fixed one goes before volt-var.
    """

    models: tuple[int, ...] = (*GenerationLegacy.models, *(array.model for array in _ARRAYS))
    reversions: tuple[Reversion, ...] = (
        *GenerationLegacy.reversions,
        Reversion(
            armed_by=("123.OutPFSet_Ena", 1),
            period_s="123.OutPFSet_RvrtTms",
            restarted_by=frozenset(("123.OutPFSet", "123.OutPFSet_RvrtTms", "123.OutPFSet_Ena")),
            takes=(("123.OutPFSet_Ena", 0),),
        ),
    )
    locked: frozenset[str] = frozenset(
        f"{array.model}.curve.1.{name}"
        for array in _ARRAYS
        for name in (
            "ActPt",
            "DeptRef",
            array.response,
            *(f"{axis}{n}" for n in range(1, _POINTS + 1) for axis in (array.x, array.y)),
        )
    )

    def scale_factors(self, spec: InverterSpec) -> tuple[tuple[str, int], ...]:
        factors: list[tuple[str, int]] = []
        for array in _ARRAYS:
            model = array.model
            factors += [(f"{model}.NCrv", _CURVES), (f"{model}.NPt", _POINTS), (f"{model}.curve", _CURVES)]
            for axis in (array.x, array.y):
                dependent = array.reference is not None and axis == array.y
                name, exponent = ("DeptRef_SF", -1) if dependent else _SCALES[axis]
                factors.append((f"{model}.{name}", exponent))
        return (*super().scale_factors(spec), *factors)

    def at_start(self, spec: InverterSpec) -> dict[str, Value]:
        values = super().at_start(spec) | {"1.Md": "Sim-Legacy-Curves", "123.OutPFSet_RvrtTms": 0, "123.VArAvalPct": 0}
        for array in _ARRAYS:
            values |= {f"{array.model}.ActCrv": 1, f"{array.model}.ModEna": 0}
            for number in range(1, _CURVES + 1):
                values |= _curve(array, number)
        return values

    def ranges(self, spec: InverterSpec) -> dict[str, tuple[float, float]]:
        return super().ranges(spec) | {
            "123.OutPFSet_Ena": (0.0, 1.0),
            "123.OutPFSet": (-1.0, 1.0),
            "123.VArPct_Mod": (0.0, 3.0),
            "123.VArAvalPct": (-100.0, 100.0),
            **{f"{array.model}.ActCrv": (0.0, float(_CURVES)) for array in _ARRAYS},
        }

    def settings(self, image: Image) -> Settings:
        read = super().settings(image)
        parts = [part for part in (_reactive(image, read), _volt_watt(image, read)) if part]
        if not parts:
            return read

        def respond(wish: Wish, here: Local) -> Wish:
            for part in parts:
                wish = part(wish, here)
            return wish

        return replace(read, respond=respond)


def _curve(array: _Array, number: int) -> dict[str, Value]:
    prefix = f"{array.model}.curve.{number}"
    values: dict[str, Value] = {
        f"{prefix}.ActPt": len(array.points),
        f"{prefix}.ReadOnly": int(number == 1),
        f"{prefix}.CrvNam": f"curve {number}",
    }
    if array.reference is not None:
        values[f"{prefix}.DeptRef"] = array.reference
    if array.response:
        values[f"{prefix}.{array.response}"] = 0
    for at in range(1, _POINTS + 1):
        x, y = array.points[min(at, len(array.points)) - 1]
        values |= {f"{prefix}.{array.x}{at}": x, f"{prefix}.{array.y}{at}": y}
    return values


def _active(image: Image, array: _Array) -> str | None:
    """Name the curve in force, or None."""
    number = round(image.number(f"{array.model}.ActCrv"))
    on = round(image.number(f"{array.model}.ModEna")) & 1
    return f"{array.model}.curve.{number}" if on and number else None


def _points(image: Image, array: _Array, curve: str) -> tuple[tuple[float, float], ...]:
    count = max(1, min(round(image.number(f"{curve}.ActPt")), _POINTS))
    places = ((f"{curve}.{array.x}{n}", f"{curve}.{array.y}{n}") for n in range(1, count + 1))
    return tuple((image.number(x), image.number(y)) for x, y in places)


def _reactive(image: Image, read: Settings) -> Callable[[Wish, Local], Wish] | None:
    if image.value("123.OutPFSet_Ena") == 1:
        factor = image.number("123.OutPFSet")
        return fixed_power_factor(abs(factor), factor < 0)
    curve = _active(image, _VOLT_VAR)
    if curve is None:
        return None
    points, most_var = _points(image, _VOLT_VAR, curve), image.number("121.VArMaxQ1")
    base = read.w_max if image.value(f"{curve}.DeptRef") == 1 else most_var
    tau_s = image.number(f"{curve}.RmpTms") / _DECADE or None

    def respond(wish: Wish, here: Local) -> Wish:
        var = along(points, here.volts_pct) / 100 * base
        return replace(wish, set_var=max(-most_var, min(most_var, var)), var_first=True, var_tau_s=tau_s)

    return respond


def _volt_watt(image: Image, read: Settings) -> Callable[[Wish, Local], Wish] | None:
    curve = _active(image, _VOLT_WATT)
    if curve is None:
        return None
    points = _points(image, _VOLT_WATT, curve)

    def respond(wish: Wish, here: Local) -> Wish:
        limit_w = along(points, here.volts_pct) / 100 * read.w_max
        told_w = read.w_max if wish.limit_w is None else wish.limit_w
        return replace(wish, limit_w=min(told_w, limit_w))

    return respond
