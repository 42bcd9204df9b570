"""Reactive, voltage, frequency and ride-through modes of IEEE 2030.5 controls, and their curves -> effects of the core.

Scales: a number of a curve is its value times 10 to the curve's multiplier, in percent, Hz, seconds, or as a power
factor (IEEE 2030.5-2018, DERControlBase). Sign: var are positive where they are injected, as ours; a power factor says
by its excitation, true where var are absorbed. A y and a set-point are rounded toward zero, a power factor toward
unity: less reactive power than was ordered, never more.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from gateway.core.modes import (
    FUNCTIONS,
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
from gateway.wire.sep2.codes import CURVE_MODES, MODES, MODES_2, VPP_MODES, UnitReference
from gateway.wire.sep2.curves import CurveData, DERCurve
from gateway.wire.sep2.modes import FixedVar as SentFixedVar
from gateway.wire.sep2.modes import FreqDroop
from gateway.wire.sep2.quantities import ReactivePower
from gateway.wire.sep2.resources import DERControlBase, Link
from gateway.wire.sep2.tables_modes import MODE_FIELDS

WHOLE: Final = 10_000
LEAST_POINTS: Final = 2
MOST_VOLTAGE: Final = 30_000
MOST_MHZ: Final = 1_000_000
MOST_MS: Final = 1_000_000_000
"""Beyond these nothing is meant: 300 % of the voltage, 1 kHz, eleven days. Our reading: the schema sets no bound."""

VAR_BASES: Final[Mapping[int, VarBase]] = {
    UnitReference.MAX_W: VarBase.MAX_W,
    UnitReference.MAX_VAR: VarBase.MAX_VAR,
    UnitReference.AVAILABLE_VAR: VarBase.AVAILABLE_VAR,
    UnitReference.MAX_VA: VarBase.MAX_VA,
}
_OF_VAR: Final[Mapping[int, CurveBase]] = {reference: CurveBase(base.value) for reference, base in VAR_BASES.items()}
_OF_W: Final[Mapping[int, CurveBase]] = {
    UnitReference.MAX_W: CurveBase.MAX_W,
    UnitReference.AVAILABLE_W: CurveBase.AVAILABLE_W,
}
_BASES: Final[Mapping[CurveKind, Mapping[int, CurveBase]]] = {
    CurveKind.VOLT_VAR: _OF_VAR,
    CurveKind.WATT_VAR: _OF_VAR,
    CurveKind.VOLT_WATT: _OF_W,
    CurveKind.FREQ_WATT: {UnitReference.MAX_W: CurveBase.MAX_W},
}


class Axis(NamedTuple):
    """How a number of a curve becomes ours: the power of ten between the units, and the least and the most it may be.

    Percent become hundredths (2), Hz and seconds become mHz and ms (3), a power factor ten-thousandths (4).
    """

    shift: int
    least: int
    most: int


_VOLTAGE: Final = Axis(2, 0, MOST_VOLTAGE)
_FREQUENCY: Final = Axis(3, 0, MOST_MHZ)
_TIME: Final = Axis(3, 0, MOST_MS)
_SHARE: Final = Axis(2, -WHOLE, WHOLE)
_SIZE: Final = Axis(2, 0, WHOLE)
_POWER_FACTOR: Final = Axis(4, 0, WHOLE)


class Form(NamedTuple):
    """What a curve mode is here: its kind and its axes."""

    kind: CurveKind
    x: Axis
    y: Axis


FORMS: Final[Mapping[str, Form]] = {
    "opModFreqWatt": Form(CurveKind.FREQ_WATT, _FREQUENCY, _SHARE),
    "opModHFRTMayTrip": Form(CurveKind.HF_MAY_TRIP, _TIME, _FREQUENCY),
    "opModHFRTMustTrip": Form(CurveKind.HF_MUST_TRIP, _TIME, _FREQUENCY),
    "opModHVRTMayTrip": Form(CurveKind.HV_MAY_TRIP, _TIME, _VOLTAGE),
    "opModHVRTMomentaryCessation": Form(CurveKind.HV_CESSATION, _TIME, _VOLTAGE),
    "opModHVRTMustTrip": Form(CurveKind.HV_MUST_TRIP, _TIME, _VOLTAGE),
    "opModLFRTMayTrip": Form(CurveKind.LF_MAY_TRIP, _TIME, _FREQUENCY),
    "opModLFRTMustTrip": Form(CurveKind.LF_MUST_TRIP, _TIME, _FREQUENCY),
    "opModLVRTMayTrip": Form(CurveKind.LV_MAY_TRIP, _TIME, _VOLTAGE),
    "opModLVRTMomentaryCessation": Form(CurveKind.LV_CESSATION, _TIME, _VOLTAGE),
    "opModLVRTMustTrip": Form(CurveKind.LV_MUST_TRIP, _TIME, _VOLTAGE),
    "opModVoltVar": Form(CurveKind.VOLT_VAR, _VOLTAGE, _SHARE),
    "opModVoltWatt": Form(CurveKind.VOLT_WATT, _VOLTAGE, _SHARE),
    "opModWattPF": Form(CurveKind.WATT_PF, _SHARE, _POWER_FACTOR),
    "opModWattVar": Form(CurveKind.WATT_VAR, _SHARE, _SHARE),
}
_FIELDS: Final[Mapping[str, str]] = {mode: MODE_FIELDS[mode] for mode in CURVE_MODES}
_POWER_FACTORS: Final = ("opModFixedPFAbsorbW", "opModFixedPFInjectW")
_REACTIVE: Final = ("opModFixedVar", "opModTargetVar", "opModVoltVar", "opModWattPF", "opModWattVar")
_RIDE_THROUGH: Final = tuple(mode for mode, form in FORMS.items() if form.kind not in FUNCTIONS)
CARRIED: Final = (*_POWER_FACTORS, "opModFixedVar", "opModFreqDroop", "opModTargetVar", *FORMS)
"""Every mode that is carried here beside limits, set-points and switches."""
LACKING: Final[Mapping[str, str]] = {
    **dict.fromkeys((*MODES[27:], *MODES_2), "it is of 2023"),
    **dict.fromkeys(VPP_MODES, "it is of CSIP-AUS 1.3"),
}
"""The modes that are read and not carried, and why."""


class Missing(NamedTuple):
    """Why a curve could not be read, and whether it is asked for again soon."""

    why: str
    soon: bool


class Unfit(NamedTuple):
    """Modes of one control that are not carried, and why in one line."""

    modes: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        """Say it."""
        return f"{' and '.join(self.modes)} {'is' if len(self.modes) == 1 else 'are'} not carried: {self.why}"


class Found(NamedTuple):
    """The modes of a control as effects, at most one of a function, and those that are not carried with why."""

    effects: tuple[Mode, ...]
    unfit: tuple[Unfit, ...]


Curves = Mapping[str, DERCurve | Missing]
"""What was read of the curves that controls link to, by address."""


def links(base: DERControlBase) -> dict[str, str]:
    """Give the addresses of the curves that a control links to, by mode."""
    held = ((mode, getattr(base, field)) for mode, field in _FIELDS.items())
    return {mode: link.href for mode, link in held if isinstance(link, Link)}


def awaits(base: DERControlBase, curves: Curves) -> bool:
    """Tell whether a curve of a control is missing that is asked for again soon."""
    found = (curves.get(href) for href in links(base).values())
    return any(isinstance(one, Missing) and one.soon for one in found)


def read(base: DERControlBase, curves: Curves) -> Found:
    """Turn the modes of a control, with the curves that it links to, into effects.

    Our reading: where one control bears two modes of one function they contradict each other, and none of them is
    carried, whether or not their values can be used (the schema's least reactive power cannot be told beforehand).
    """
    linked = links(base)
    made: list[Mode] = []
    unfit: list[Unfit] = [Unfit((mode,), why) for mode, why in LACKING.items() if _held(base, mode) is not None]
    factors = tuple(mode for mode in _POWER_FACTORS if _held(base, mode) is not None)
    reactive = [(mode,) for mode in _REACTIVE if _held(base, mode) is not None]
    frequency = [(mode,) for mode in ("opModFreqDroop", "opModFreqWatt") if _held(base, mode) is not None]
    volt_watt = [("opModVoltWatt",)] if "opModVoltWatt" in linked else []
    for rivals in ([factors, *reactive] if factors else reactive, frequency, volt_watt):
        if len(rivals) > 1:
            unfit.append(Unfit(tuple(mode for modes in rivals for mode in modes), "they contradict each other"))
        elif rivals == [factors]:
            unfit.extend(_power_factor(base, made))
        elif rivals:
            (mode,) = rivals[0]
            one = _one(mode, base, linked, curves)
            if isinstance(one, str):
                unfit.append(Unfit((mode,), one))
            else:
                made.append(one)
    unfit.extend(_ride_through(linked, curves, made))
    return Found(tuple(made), tuple(unfit))


def _held(base: DERControlBase, mode: str) -> object:
    return getattr(base, MODE_FIELDS[mode])


def _one(mode: str, base: DERControlBase, linked: Mapping[str, str], curves: Curves) -> Mode | str:
    """Turn one mode that stands by itself, or say why it cannot be carried."""
    match _held(base, mode):
        case SentFixedVar() as sent:
            of = VAR_BASES.get(sent.reference)
            return f"refType {sent.reference} is no base of var" if of is None else FixedVar(of, sent.hundredths)
        case ReactivePower() as sent:
            return TargetVar(sent.floor() if sent.value >= 0 else sent.ceil())
        case FreqDroop() as sent:
            return _droop(sent)
        case _:
            return _linked(mode, linked[mode], curves)


def _droop(sent: FreqDroop) -> Droop | str:
    """Turn a droop. Our reading: pMin of 2023, how far it may go down, is the DER's own."""
    if not (sent.over_slope_thousandths and sent.under_slope_thousandths):
        return "a slope of 0 has no meaning"
    if not (sent.over_band_mhz and sent.under_band_mhz):
        return "a dead band of 0 is none"
    return Droop(
        over_band_mhz=sent.over_band_mhz,
        under_band_mhz=sent.under_band_mhz,
        over_slope_thousandths=sent.over_slope_thousandths,
        under_slope_thousandths=sent.under_slope_thousandths,
        response_ms=10 * sent.response_hundredths,
    )


def _power_factor(base: DERControlBase, made: list[Mode]) -> Iterator[Unfit]:
    """Make one effect of both power factors; give those that are none."""
    found: dict[str, Displacement] = {}
    for mode, sent in zip(_POWER_FACTORS, (base.op_mod_fixed_pf_absorb_w, base.op_mod_fixed_pf_inject_w), strict=True):
        if sent is None:
            continue
        factor = _shifted(sent.displacement, sent.multiplier + _POWER_FACTOR.shift, up=True)
        if factor <= WHOLE:
            found[mode] = Displacement(factor, sent.absorbs)
        else:
            yield Unfit((mode,), f"{sent.displacement} x 10^{sent.multiplier} is no power factor")
    if found:
        absorbing, injecting = (found.get(mode) for mode in _POWER_FACTORS)
        made.append(PowerFactor(injecting, absorbing))


def _ride_through(linked: Mapping[str, str], curves: Curves, made: list[Mode]) -> Iterator[Unfit]:
    """Make one effect of all curves to ride through by; give those that cannot be carried."""
    found: list[Curve] = []
    for mode in _RIDE_THROUGH:
        if mode in linked:
            one = _linked(mode, linked[mode], curves)
            if isinstance(one, str):
                yield Unfit((mode,), one)
            else:
                found.append(one)
    if found:
        made.append(RideThrough(tuple(found)))


def _linked(mode: str, href: str, curves: Curves) -> Curve | str:
    sent = curves.get(href)
    if sent is None:
        return f"{href} was not read"
    if isinstance(sent, Missing):
        return sent.why
    one = curve(mode, sent)
    return f"{href}: {one}" if isinstance(one, str) else one


def curve(mode: str, sent: DERCurve) -> Curve | str:
    """Turn the curve of a mode, or say why it cannot be carried.

    Our reading: rampDecTms, rampIncTms and rampPT1Tms, which say how fast a DER follows its own curve, are left to it,
    and so are vRef and its adjustment where the curve is no volt-var curve and may not have them.
    """
    form = FORMS[mode]
    if sent.curve_type != CURVE_MODES.index(mode):
        return f"curveType {sent.curve_type} is not that of {mode}"
    if len(sent.points) < LEAST_POINTS:
        return "one point is no curve"
    of = _BASES[form.kind].get(sent.y_reference) if form.kind in _BASES else CurveBase.NONE
    if of is None:
        return f"yRefType {sent.y_reference} is none of {mode}"
    points: list[CurvePoint] = []
    for place, point in enumerate(sent.points, 1):
        made = _point(form, sent, point)
        if isinstance(made, str):
            return f"point {place}: {made}"
        points.append(made)
    if form.kind in FUNCTIONS and any(after.x < before.x for before, after in pairwise(points)):
        return "its points do not go from left to right"
    response_ms = None if sent.open_loop_hundredths is None else 10 * sent.open_loop_hundredths
    if form.kind is not CurveKind.VOLT_VAR:
        return Curve(form.kind, tuple(points), of, response_ms)
    auto_ms = None
    if sent.autonomous_v_ref_enable:
        if sent.autonomous_v_ref_time_hundredths is None:
            return "autonomousVRefEnable without autonomousVRefTimeConstant"
        auto_ms = 10 * sent.autonomous_v_ref_time_hundredths
    return Curve(form.kind, tuple(points), of, response_ms, sent.v_ref_hundredths, auto_ms)


def _point(form: Form, sent: DERCurve, point: CurveData) -> CurvePoint | str:
    is_factor = form.kind is CurveKind.WATT_PF
    x = _shifted(point.x, sent.x_multiplier + form.x.shift)
    y = _shifted(point.y, sent.y_multiplier + form.y.shift, up=is_factor)
    for name, value, axis in (("xvalue", x, form.x), ("yvalue", y, form.y)):
        if not axis.least <= value <= axis.most:
            return f"{name} is {value} here, which is not in {axis.least}..{axis.most}"
    if not is_factor:
        return CurvePoint(x, y)
    if point.absorbs is None and y != WHOLE:
        return "a power factor below 1 needs its excitation"
    return CurvePoint(x, -y if point.absorbs else y)


def _shifted(value: int, power: int, *, up: bool = False) -> int:
    """Give a value times a power of ten as a whole number, rounded toward zero, or up."""
    if power >= 0:
        return int(value * 10**power)
    divisor = 10**-power
    if up or value < 0:
        return int(-(-value // divisor))
    return int(value // divisor)
