"""Every mode of IEEE 2030.5-2018 and CSIP-AUS: what a control and a default say by it, and what a DER is told then."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

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
from gateway.core.plan import Command
from hil.sep2 import curves as sent

Modes = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Case:
    """A mode as a control has it and as a default has it, and what of the command tells the one from the other."""

    ordered: Modes
    default: Modes
    look: Callable[[Command], object]
    carries: object
    """What `look` gives under the control."""
    falls_back_to: object
    """What `look` gives under the default."""
    curves: tuple[sent.Curve, ...] = ()
    function: Function | None = None
    """What it acts on, where that is a function that a DER may have no way to carry."""


def _plain(
    mode: str, ordered: object, default: object, look: Callable[[Command], object], carries: object, back: object
) -> Case:
    return Case({mode: ordered}, {mode: default}, look, carries, back)


def _target(mode: str, ordered: object, default: object, carries: int, back: int) -> Case:
    """Make the case of a set-point, which needs a limit that leaves it room."""
    return Case({mode: ordered}, {mode: default, "opModExpLimW": 5_000}, _target_w, carries, back)


def _limit_w(command: Command) -> object:
    return command.limit_w


def _target_w(command: Command) -> object:
    return command.target_w


def _of(function: Function) -> Callable[[Command], Mode]:
    """Look at the one mode of a function."""

    def look(command: Command) -> Mode:
        (mode,) = (one for one in command.modes if one.function is function)
        return mode

    return look


def _by_itself(
    function: Function,
    ordered: Modes,
    default: Modes,
    carries: Mode,
    back: Mode,
    curves: Iterable[sent.Curve] = (),
) -> Case:
    """Make the case of a mode by which a DER moves by itself."""
    return Case(ordered, default, _of(function), carries, back, tuple(curves), function)


def _reactive(mode: str, ordered: object, default: object, carries: Mode, back: Mode) -> Case:
    return _by_itself(Function.REACTIVE_POWER, {mode: ordered}, {mode: default}, carries, back)


def _factor(displacement: int, *, absorbs: bool = False) -> Modes:
    return {"displacement": displacement, "excitation": absorbs, "multiplier": -2}


def _droop(band_mhz: int) -> Modes:
    return {"dBOF": band_mhz, "dBUF": band_mhz, "kOF": 50, "kUF": 50, "openLoopTms": 500}


ENDS = ((52, 44), (98, -44)), ((55, 30), (95, -30))
TRIPS = ((16, 615), (1_100, 615)), ((32, 600), (500, 600))
"""Two points of a curve of a control and of a default: in percent (Hz), and in hundredths of a second over tenths."""


def _linked(mode: str, y_ref_type: int, made: Callable[[tuple[CurvePoint, ...]], Mode], function: Function) -> Case:
    """Make the case of a mode that links to a curve over percent or Hz."""
    scale_x = 1_000 if mode == "opModFreqWatt" else 100
    points = [tuple(CurvePoint(scale_x * x, 100 * y) for x, y in ends) for ends in ENDS]
    listed = [
        sent.Curve(
            name=name,
            curve_type=sent.CURVE_MODES.index(mode),
            points=tuple(sent.Point(x, y) for x, y in ends),
            y_ref_type=y_ref_type,
        )
        for name, ends in zip(("ordered", "own"), ENDS, strict=True)
    ]
    ordered, default = {mode: {"curve": "ordered"}}, {mode: {"curve": "own"}}
    return _by_itself(function, ordered, default, made(points[0]), made(points[1]), listed)


def _watt_pf() -> Case:
    points = [(CurvePoint(0, least), CurvePoint(10_000, -9_500)) for least in (9_000, 9_900)]
    listed = [
        sent.Curve(
            name=name,
            curve_type=sent.CURVE_MODES.index("opModWattPF"),
            points=(sent.Point(0, least, False), sent.Point(100, 9_500, True)),
            y_multiplier=-4,
        )
        for name, least in (("ordered", 9_000), ("own", 9_900))
    ]
    made = [Curve(CurveKind.WATT_PF, each) for each in points]
    ordered, default = {"opModWattPF": {"curve": "ordered"}}, {"opModWattPF": {"curve": "own"}}
    return _by_itself(Function.REACTIVE_POWER, ordered, default, made[0], made[1], listed)


def _ride_through(mode: str, kind: CurveKind) -> Case:
    of_frequency = "LFRT" in mode or "HFRT" in mode
    made = [
        RideThrough((Curve(kind, tuple(CurvePoint(10 * x, (100 if of_frequency else 10) * y) for x, y in ends)),))
        for ends in TRIPS
    ]
    listed = [
        sent.Curve(
            name=name,
            curve_type=sent.CURVE_MODES.index(mode),
            points=tuple(sent.Point(x, y) for x, y in ends),
            x_multiplier=-2,
            y_multiplier=-1,
            y_ref_type=0 if of_frequency else 4,
        )
        for name, ends in zip(("ordered", "own"), TRIPS, strict=True)
    ]
    ordered, default = {mode: {"curve": "ordered"}}, {mode: {"curve": "own"}}
    return _by_itself(Function.RIDE_THROUGH, ordered, default, made[0], made[1], listed)


KINDS = {
    "opModHFRTMayTrip": CurveKind.HF_MAY_TRIP,
    "opModHFRTMustTrip": CurveKind.HF_MUST_TRIP,
    "opModHVRTMayTrip": CurveKind.HV_MAY_TRIP,
    "opModHVRTMomentaryCessation": CurveKind.HV_CESSATION,
    "opModHVRTMustTrip": CurveKind.HV_MUST_TRIP,
    "opModLFRTMayTrip": CurveKind.LF_MAY_TRIP,
    "opModLFRTMustTrip": CurveKind.LF_MUST_TRIP,
    "opModLVRTMayTrip": CurveKind.LV_MAY_TRIP,
    "opModLVRTMomentaryCessation": CurveKind.LV_CESSATION,
    "opModLVRTMustTrip": CurveKind.LV_MUST_TRIP,
}
CASES: Final[Mapping[str, Case]] = {
    "opModConnect": _plain("opModConnect", False, True, lambda command: command.connected, False, True),
    "opModEnergize": _plain("opModEnergize", False, True, lambda command: command.energized, False, True),
    "opModFixedPFAbsorbW": _reactive(
        "opModFixedPFAbsorbW",
        _factor(90, absorbs=True),
        _factor(98),
        PowerFactor(None, Displacement(9_000, absorbs=True)),
        PowerFactor(None, Displacement(9_800, absorbs=False)),
    ),
    "opModFixedPFInjectW": _reactive(
        "opModFixedPFInjectW",
        _factor(95),
        _factor(99, absorbs=True),
        PowerFactor(Displacement(9_500, absorbs=False), None),
        PowerFactor(Displacement(9_900, absorbs=True), None),
    ),
    "opModFixedVar": _reactive(
        "opModFixedVar",
        {"refType": 2, "value": -4_400},
        {"refType": 1, "value": 1_000},
        FixedVar(VarBase.MAX_VAR, -4_400),
        FixedVar(VarBase.MAX_W, 1_000),
    ),
    "opModFixedW": _target("opModFixedW", 20, 60, 1_000, 3_000),
    "opModFreqDroop": _by_itself(
        Function.FREQUENCY_WATT,
        {"opModFreqDroop": _droop(36)},
        {"opModFreqDroop": _droop(17)},
        Droop(36, 36, 50, 50, 5_000),
        Droop(17, 17, 50, 50, 5_000),
    ),
    "opModFreqWatt": _linked(
        "opModFreqWatt",
        1,
        lambda points: Curve(CurveKind.FREQ_WATT, points, CurveBase.MAX_W),
        Function.FREQUENCY_WATT,
    ),
    **{mode: _ride_through(mode, kind) for mode, kind in KINDS.items()},
    "opModMaxLimW": _plain("opModMaxLimW", 20, 80, _limit_w, 1_000, 4_000),
    "opModTargetVar": _reactive("opModTargetVar", -500, 200, TargetVar(-500), TargetVar(200)),
    "opModTargetW": _target("opModTargetW", -1_000, 3_000, -1_000, 3_000),
    "opModVoltVar": _linked(
        "opModVoltVar",
        2,
        lambda points: Curve(CurveKind.VOLT_VAR, points, CurveBase.MAX_VAR),
        Function.REACTIVE_POWER,
    ),
    "opModVoltWatt": _linked(
        "opModVoltWatt", 1, lambda points: Curve(CurveKind.VOLT_WATT, points, CurveBase.MAX_W), Function.VOLT_WATT
    ),
    "opModWattPF": _watt_pf(),
    "opModWattVar": _linked(
        "opModWattVar", 1, lambda points: Curve(CurveKind.WATT_VAR, points, CurveBase.MAX_W), Function.REACTIVE_POWER
    ),
    "opModExpLimW": _plain("opModExpLimW", 1_500, 4_000, _limit_w, 1_500, 4_000),
    "opModGenLimW": _plain("opModGenLimW", 1_500, 4_000, _limit_w, 1_500, 4_000),
    "opModImpLimW": Case(
        {"opModImpLimW": 1_000},
        {"opModImpLimW": 2_000, "opModTargetW": -3_000},
        _target_w,
        -1_000,
        -2_000,
    ),
}
"""Every mode that is carried: all of 2018, and the limits of CSIP-AUS."""
