"""Registers of models 702 to 712 as settings of OpenDER, EPRI's model of IEEE 1547-2018, by the names it has."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from hil.physics.protection import CATEGORY_III, Trip
from hil.sunspec.personality import InverterSpec, Settings
from hil.sunspec.register_image import Image

Given = dict[str, float | bool | str]

_DECADE: Final = 2.302585
_NEVER_S: Final = 1e9
_NEVER_HZ: Final = 1e3
"""Dead band of a droop that is off: OpenDER 2.2.0 gives nothing any more once a droop is disabled while it acts."""
_EARLY_S: Final = 0.05
_PCT: Final = 100
_CATEGORIES: Final = ("CAT_I", "CAT_II", "CAT_III")
_UNDER_EXCITED: Final = 1
_W_MAX, _VAR_MAX, _VAR_AVAILABLE = range(3)


def nameplate(spec: InverterSpec) -> Given:
    """Give what an inverter is rated; three phases are told line to line, one or two as one, line to neutral."""
    three = len(spec.phases) == 3
    pace_s = _DECADE * spec.time_constant_s
    given: Given = {
        "NP_P_MAX": float(spec.rated_w),
        "NP_VA_MAX": float(spec.rated_w),
        "NP_P_MAX_CHARGE": float(spec.rated_w),
        "NP_APPARENT_POWER_CHARGE_MAX": float(spec.rated_w),
        "NP_Q_MAX_INJ": spec.max_var,
        "NP_Q_MAX_ABS": spec.max_var,
        "NP_PHASE": "THREE" if three else "SINGLE",
        "NP_AC_V_NOM": spec.nominal_v * (3**0.5 if three else 1),
        "NP_V_DC": spec.nominal_v * 3,
        "NP_Q_CAPABILITY_LOW_P": "SAME",
        **dict.fromkeys(("AP_RT", "CONST_PF_RT", "CONST_Q_RT", "QP_RT"), pace_s),
    }
    if spec.kind == "battery":
        given |= {"NP_BESS_CAPACITY": float(spec.energy_wh), "SOC_INIT": spec.charge_pct / _PCT}
    return given


def settings_of(
    spec: InverterSpec, models: Sequence[int], image: Image, settings: Settings, faults: frozenset[str]
) -> Given:
    """Give all settings that the registers hold now.

    Our reading where OpenDER knows less: the least of limit, WMax, VAMax and, of what is no battery, the set-point is
    its limit; a share of the available var is a share of what it can at most; of volt-watt and watt-var it takes the
    points that it has a name for, and of more than two trip points of a side the slowest and the fastest.
    """
    limits_w = [settings.w_max, settings.va_max]
    wish = settings.wish
    limits_w += [] if wish.limit_w is None else [wish.limit_w]
    limits_w += [max(0.0, wish.set_w)] if wish.set_w is not None and spec.kind != "battery" else []
    limited = min(limits_w) < spec.rated_w and "ignores_limit" not in faults
    given: Given = {
        "NP_ABNORMAL_OP_CAT": _CATEGORIES[int(image.number("702.AbnOpCatRtg"))],
        "ES_PERMIT_SERVICE": wish.energize,
        "ES_V_LOW": settings.window.low_pct / _PCT,
        "ES_V_HIGH": settings.window.high_pct / _PCT,
        "ES_F_LOW": settings.window.low_hz,
        "ES_F_HIGH": settings.window.high_hz,
        "ES_DELAY": settings.enter_delay_s,
        "ES_RAMP_RATE": settings.enter_ramp_s,
        "AP_LIMIT_ENABLE": limited,
        "AP_LIMIT": min(limits_w) / spec.rated_w if limited else 1.0,
        **_trips(settings.trips, faults),
    }
    given |= {"PV_MODE_ENABLE": False, "PF_MODE_ENABLE": True, "PF_DBOF": _NEVER_HZ, "PF_DBUF": _NEVER_HZ}
    if 706 in models and image.value("706.Ena") == 1 and "ignores_limit" not in faults:
        given |= _volt_watt(spec, image, settings)
    if 711 in models and image.value("711.Ena") == 1 and "ignores_limit" not in faults:
        names = {"PF_DBOF": "DbOf", "PF_DBUF": "DbUf", "PF_KOF": "KOf", "PF_KUF": "KUf", "PF_OLRT": "RspTms"}
        given |= {name: image.number(f"711.Ctl.1.{of}") for name, of in names.items()}
    return given | _reactive(spec, models, image, settings)


def _trips(trips: Sequence[Trip], faults: frozenset[str]) -> Given:
    given: Given = {}
    for quantity, letter in (("V", "V"), ("Hz", "F")):
        for side, sign in (("below", "U"), ("above", "O")):
            pair = [trip for trip in trips if (trip.quantity, trip.side) == (quantity, side)]
            never = "never_trips" in faults or not pair
            pair = pair or [trip for trip in CATEGORY_III if (trip.quantity, trip.side) == (quantity, side)]
            for number, trip in enumerate((pair[0], pair[-1]), start=1):
                after_s = _NEVER_S if never else trip.after_s
                given[f"{sign}{letter}{number}_TRIP_{letter}"] = trip.at / (_PCT if quantity == "V" else 1)
                given[f"{sign}{letter}{number}_TRIP_T"] = _EARLY_S if "trips_early" in faults else after_s
    given["MC_ENABLE"] = "never_trips" not in faults
    return given


def _volt_watt(spec: InverterSpec, image: Image, settings: Settings) -> Given:
    whole_w = settings.w_max if image.value("706.Crv.1.DeptRef") == _W_MAX else spec.rated_w
    points = _points(image, "706", "V", "W")
    return {
        "PV_MODE_ENABLE": True,
        "PV_OLRT": image.number("706.Crv.1.RspTms"),
        "PV_CURVE_V1": points[0][0],
        "PV_CURVE_P1": points[0][1] * whole_w / spec.rated_w,
        "PV_CURVE_V2": points[1][0],
        "PV_CURVE_P2": points[1][1] * whole_w / spec.rated_w,
    }


def _reactive(spec: InverterSpec, models: Sequence[int], image: Image, settings: Settings) -> Given:
    """Give the one function of reactive power that goes first: fixed var, power factor, volt-var, watt-var."""
    given: Given = dict.fromkeys(
        ("CONST_Q_MODE_ENABLE", "CONST_PF_MODE_ENABLE", "QV_MODE_ENABLE", "QP_MODE_ENABLE"), False
    )
    if settings.wish.set_var is not None:
        return given | {"CONST_Q_MODE_ENABLE": True, "CONST_Q": settings.wish.set_var / spec.rated_w}
    if 705 not in models:
        return given
    if image.value("704.PFWInjEna") == 1:
        under = image.value("704.PFWInj.Ext") == _UNDER_EXCITED
        factor = {"CONST_PF": image.number("704.PFWInj.PF"), "CONST_PF_EXCITATION": "ABS" if under else "INJ"}
        return given | factor | {"CONST_PF_MODE_ENABLE": True}
    if image.value("705.Ena") == 1:
        return given | _volt_var(spec, image, settings)
    if image.value("712.Ena") == 1:
        return given | _watt_var(spec, image, settings)
    return given


def _volt_var(spec: InverterSpec, image: Image, settings: Settings) -> Given:
    points = _points(image, "705", "V", "Var")
    points = (points[:1] if len(points) < 3 else []) + points + (points[-1:] if len(points) < 4 else [])
    share = _share_of_rated(image, "705.Crv.1.DeptRef", spec, settings)
    given: Given = {"QV_MODE_ENABLE": True, "QV_OLRT": image.number("705.Crv.1.RspTms")}
    for number, (x, y) in enumerate(points[:4], start=1):
        given |= {f"QV_CURVE_V{number}": x, f"QV_CURVE_Q{number}": y * share}
    return given


def _watt_var(spec: InverterSpec, image: Image, settings: Settings) -> Given:
    share = _share_of_rated(image, "712.Crv.1.DeptRef", spec, settings)
    points = [point for point in _points(image, "712", "W", "Var") if point[0] >= 0]
    points += points[-1:] * (3 - len(points))
    given: Given = {"QP_MODE_ENABLE": True}
    for number, (x, y) in enumerate(points[:3], start=1):
        given |= {f"QP_CURVE_P{number}_GEN": x * settings.w_max / spec.rated_w, f"QP_CURVE_Q{number}_GEN": y * share}
    return given


def _share_of_rated(image: Image, name: str, spec: InverterSpec, settings: Settings) -> float:
    """Give what 100 % of a curve's y is, as a share of the rated apparent power."""
    reference = image.value(name)
    if reference == _W_MAX:
        return settings.w_max / spec.rated_w
    if reference in {_VAR_MAX, _VAR_AVAILABLE}:
        return image.number("702.VarMaxInj") / spec.rated_w
    return settings.va_max / spec.rated_w


def _points(image: Image, model: str, x: str, y: str) -> list[tuple[float, float]]:
    """Read the curve in force; x and y as shares, the points apart from each other."""
    count = int(image.number(f"{model}.Crv.1.ActPt"))
    points = [
        (image.number(f"{model}.Crv.1.Pt.{n}.{x}") / _PCT, image.number(f"{model}.Crv.1.Pt.{n}.{y}") / _PCT)
        for n in range(1, count + 1)
    ]
    assert all(left < right for (left, _), (right, _) in pairwise(points)), "a curve out of order was adopted"
    return points
