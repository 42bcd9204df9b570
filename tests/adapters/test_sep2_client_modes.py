"""2030.5 modes and curves to the core's: every mode, scale, sign and base, what contradicts and what is malformed."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    fault,
)
from gateway.core.orders import Ceiling
from gateway.core.units import Watts
from gateway.northbound.sep2_client import modes, translate
from gateway.wire.sep2.codes import CURVE_MODES
from gateway.wire.sep2.curves import CurveData, DERCurve
from gateway.wire.sep2.modes import ExcitedPowerFactor, FreqDroop, UnsignedActivePower
from gateway.wire.sep2.modes import FixedVar as SentVar
from gateway.wire.sep2.quantities import ActivePower, ReactivePower
from gateway.wire.sep2.resources import DERControlBase, Link
from gateway.wire.sep2.tables_modes import MODE_FIELDS


def sent(mode: str, *points: tuple[int, int], **particulars: Any) -> DERCurve:
    """One curve of a mode, in percent, Hz and seconds unless said otherwise."""
    made = DERCurve(
        mrid="0C",
        creation_time_s=1,
        points=tuple(CurveData(x=x, y=y) for x, y in points or ((1, 1), (2, 2))),
        curve_type=CURVE_MODES.index(mode),
        x_multiplier=0,
        y_multiplier=0,
        y_reference=1,
    )
    return replace(made, **particulars)


def linking(*names: str, **others: Any) -> DERControlBase:
    """A control that links to the curve "/NAME" of each of these modes."""
    fields: dict[str, Any] = {MODE_FIELDS[name]: Link(href=f"/{name}") for name in names}
    return DERControlBase(**fields, **others)


def factor(displacement: int, multiplier: int = -2, *, absorbs: bool = False) -> ExcitedPowerFactor:
    return ExcitedPowerFactor(displacement=displacement, absorbs=absorbs, multiplier=multiplier)


def drooping(**others: Any) -> FreqDroop:
    values: dict[str, Any] = {
        "over_band_mhz": 36,
        "under_band_mhz": 17,
        "over_slope_thousandths": 50,
        "under_slope_thousandths": 40,
        "response_hundredths": 500,
    }
    return FreqDroop(**values | others)


# -- modes without a curve


@pytest.mark.parametrize(
    ("base", "effect"),
    [
        pytest.param(
            DERControlBase(op_mod_fixed_pf_inject_w=factor(95)),
            PowerFactor(Displacement(9_500, absorbs=False), None),
            id="opModFixedPFInjectW",
        ),
        pytest.param(
            DERControlBase(op_mod_fixed_pf_absorb_w=factor(9, -1, absorbs=True)),
            PowerFactor(None, Displacement(9_000, absorbs=True)),
            id="opModFixedPFAbsorbW",
        ),
        pytest.param(
            DERControlBase(op_mod_fixed_pf_inject_w=factor(1, 0), op_mod_fixed_pf_absorb_w=factor(98)),
            PowerFactor(Displacement(10_000, absorbs=False), Displacement(9_800, absorbs=False)),
            id="both power factors are one effect",
        ),
        pytest.param(
            DERControlBase(op_mod_fixed_pf_inject_w=factor(94_999, -5)),
            PowerFactor(Displacement(9_500, absorbs=False), None),
            id="a power factor is rounded toward unity",
        ),
        pytest.param(
            DERControlBase(op_mod_fixed_var=SentVar(reference=1, hundredths=-4_400)),
            FixedVar(VarBase.MAX_W, -4_400),
            id="opModFixedVar of setMaxW",
        ),
        pytest.param(
            DERControlBase(op_mod_fixed_var=SentVar(reference=2, hundredths=4_400)),
            FixedVar(VarBase.MAX_VAR, 4_400),
            id="opModFixedVar of setMaxVar",
        ),
        pytest.param(
            DERControlBase(op_mod_fixed_var=SentVar(reference=3, hundredths=0)),
            FixedVar(VarBase.AVAILABLE_VAR, 0),
            id="opModFixedVar of statVarAvail",
        ),
        pytest.param(
            DERControlBase(op_mod_fixed_var=SentVar(reference=8, hundredths=10_000)),
            FixedVar(VarBase.MAX_VA, 10_000),
            id="opModFixedVar of setMaxVA, 2023",
        ),
        pytest.param(DERControlBase(op_mod_target_var=ReactivePower(15, 2)), TargetVar(1_500), id="opModTargetVar"),
        pytest.param(DERControlBase(op_mod_target_var=ReactivePower(-19, -1)), TargetVar(-1), id="toward zero"),
        pytest.param(DERControlBase(op_mod_target_var=ReactivePower(19, -1)), TargetVar(1), id="toward zero too"),
        pytest.param(DERControlBase(op_mod_freq_droop=drooping()), Droop(36, 17, 50, 40, 5_000), id="opModFreqDroop"),
        pytest.param(
            DERControlBase(op_mod_freq_droop=drooping(response_hundredths=0, least_w=ActivePower(1))),
            Droop(36, 17, 50, 40, 0),
            id="opModFreqDroop without delay, its pMin left to the DER",
        ),
    ],
)
def test_a_mode_is_one_effect_of_its_function(base: DERControlBase, effect: Mode) -> None:
    assert translate.effects(base) == ((effect,), ())
    assert modes.read(base, {}).unfit == ()
    assert fault(effect) == ""


@pytest.mark.parametrize(
    ("base", "mode", "why"),
    [
        (DERControlBase(op_mod_fixed_pf_inject_w=factor(101)), "opModFixedPFInjectW", "101 x 10^-2 is no power factor"),
        (DERControlBase(op_mod_fixed_pf_absorb_w=factor(65_535, 9)), "opModFixedPFAbsorbW", "is no power factor"),
        (DERControlBase(op_mod_fixed_var=SentVar(reference=0, hundredths=1)), "opModFixedVar", "refType 0 is no base"),
        (DERControlBase(op_mod_fixed_var=SentVar(reference=7, hundredths=1)), "opModFixedVar", "refType 7 is no base"),
        (DERControlBase(op_mod_freq_droop=drooping(over_slope_thousandths=0)), "opModFreqDroop", "a slope of 0"),
        (DERControlBase(op_mod_freq_droop=drooping(under_band_mhz=0)), "opModFreqDroop", "a dead band of 0"),
        (DERControlBase(op_mod_max_lim_w_inject=UnsignedActivePower(1)), "opModMaxLimWInject", "it is of 2023"),
    ],
)
def test_a_mode_without_a_meaning_is_named_with_why_and_drops_no_limit(
    base: DERControlBase, mode: str, why: str
) -> None:
    base = replace(base, op_mod_exp_lim_w=ActivePower(7))
    assert translate.effects(base) == ((Ceiling(Function.EXPORT_LIMIT, Watts(7)),), (mode,))
    (unfit,) = modes.read(base, {}).unfit
    assert str(unfit).startswith(f"{mode} is not carried: ")
    assert why in unfit.why


def test_one_power_factor_that_is_none_leaves_the_other() -> None:
    base = DERControlBase(op_mod_fixed_pf_inject_w=factor(95), op_mod_fixed_pf_absorb_w=factor(950))
    assert translate.effects(base) == (
        (PowerFactor(Displacement(9_500, absorbs=False), None),),
        ("opModFixedPFAbsorbW",),
    )


# -- curves


@pytest.mark.parametrize(
    ("mode", "curve", "made"),
    [
        (
            "opModVoltVar",
            sent("opModVoltVar", (92, 44), (108, -44), y_reference=2, open_loop_hundredths=500, v_ref_hundredths=9_900),
            Curve(
                CurveKind.VOLT_VAR,
                (CurvePoint(9_200, 4_400), CurvePoint(10_800, -4_400)),
                CurveBase.MAX_VAR,
                5_000,
                9_900,
            ),
        ),
        (
            "opModVoltVar",
            sent(
                "opModVoltVar",
                (9_205, 4_405),
                (10_800, -4_405),
                x_multiplier=-2,
                y_multiplier=-2,
                autonomous_v_ref_enable=True,
                autonomous_v_ref_time_hundredths=30_000,
                y_reference=3,
            ),
            Curve(
                CurveKind.VOLT_VAR,
                (CurvePoint(9_205, 4_405), CurvePoint(10_800, -4_405)),
                CurveBase.AVAILABLE_VAR,
                reference_auto_ms=300_000,
            ),
        ),
        (
            "opModVoltVar",
            sent("opModVoltVar", autonomous_v_ref_enable=False, autonomous_v_ref_time_hundredths=9, y_reference=8),
            Curve(CurveKind.VOLT_VAR, (CurvePoint(100, 100), CurvePoint(200, 200)), CurveBase.MAX_VA),
        ),
        (
            "opModVoltWatt",
            sent("opModVoltWatt", (106, 100), (110, 20), open_loop_hundredths=0),
            Curve(CurveKind.VOLT_WATT, (CurvePoint(10_600, 10_000), CurvePoint(11_000, 2_000)), CurveBase.MAX_W, 0),
        ),
        (
            "opModVoltWatt",
            sent("opModVoltWatt", (106, 100), (110, 0), y_reference=7, v_ref_hundredths=1),
            Curve(CurveKind.VOLT_WATT, (CurvePoint(10_600, 10_000), CurvePoint(11_000, 0)), CurveBase.AVAILABLE_W),
        ),
        (
            "opModWattVar",
            sent("opModWattVar", (-50, 44), (0, 0), (100, -44)),
            Curve(
                CurveKind.WATT_VAR,
                (CurvePoint(-5_000, 4_400), CurvePoint(0, 0), CurvePoint(10_000, -4_400)),
                CurveBase.MAX_W,
            ),
        ),
        (
            "opModFreqWatt",
            sent("opModFreqWatt", (6_003, 1_000), (6_103, -5), x_multiplier=-2, y_multiplier=-1),
            Curve(CurveKind.FREQ_WATT, (CurvePoint(60_030, 10_000), CurvePoint(61_030, -50)), CurveBase.MAX_W),
        ),
        (
            "opModWattPF",
            sent(
                "opModWattPF",
                points=(
                    CurveData(x=0, y=9_000, absorbs=False),
                    CurveData(x=50, y=10_000),
                    CurveData(x=100, y=9_001, absorbs=True),
                ),
                y_multiplier=-4,
                y_reference=0,
            ),
            Curve(CurveKind.WATT_PF, (CurvePoint(0, 9_000), CurvePoint(5_000, 10_000), CurvePoint(10_000, -9_001))),
        ),
    ],
)
def test_a_curve_has_our_scales_signs_and_bases(mode: str, curve: DERCurve, made: Curve) -> None:
    assert modes.read(linking(mode), {f"/{mode}": curve}) == ((made,), ())


KINDS = {
    "opModHFRTMayTrip": (CurveKind.HF_MAY_TRIP, 61_500),
    "opModHFRTMustTrip": (CurveKind.HF_MUST_TRIP, 61_500),
    "opModHVRTMayTrip": (CurveKind.HV_MAY_TRIP, 6_150),
    "opModHVRTMomentaryCessation": (CurveKind.HV_CESSATION, 6_150),
    "opModHVRTMustTrip": (CurveKind.HV_MUST_TRIP, 6_150),
    "opModLFRTMayTrip": (CurveKind.LF_MAY_TRIP, 61_500),
    "opModLFRTMustTrip": (CurveKind.LF_MUST_TRIP, 61_500),
    "opModLVRTMayTrip": (CurveKind.LV_MAY_TRIP, 6_150),
    "opModLVRTMomentaryCessation": (CurveKind.LV_CESSATION, 6_150),
    "opModLVRTMustTrip": (CurveKind.LV_MUST_TRIP, 6_150),
}


def ride_through(mode: str) -> DERCurve:
    """Times in hundredths of a second, the other axis in tenths."""
    return sent(mode, (16, 615), (1_100, 615), x_multiplier=-2, y_multiplier=-1, y_reference=4)


@pytest.mark.parametrize("mode", KINDS)
def test_a_curve_to_ride_through_by_is_over_time(mode: str) -> None:
    kind, y = KINDS[mode]
    made = Curve(kind, (CurvePoint(160, y), CurvePoint(11_000, y)))
    assert modes.read(linking(mode), {f"/{mode}": ride_through(mode)}) == ((RideThrough((made,)),), ())


def test_all_curves_to_ride_through_by_are_one_effect_and_one_that_fails_takes_none_with_it() -> None:
    curves: dict[str, DERCurve | modes.Missing] = {f"/{mode}": ride_through(mode) for mode in KINDS}
    (effect,) = modes.read(linking(*KINDS), curves).effects
    assert isinstance(effect, RideThrough)
    assert [curve.kind for curve in effect.curves] == [kind for kind, _y in KINDS.values()]
    curves["/opModLVRTMustTrip"] = modes.Missing("GET /opModLVRTMustTrip: status 404", soon=False)
    found = modes.read(linking(*KINDS), curves)
    assert found.effects == (RideThrough(effect.curves[:-1]),)
    assert [str(unfit) for unfit in found.unfit] == [
        "opModLVRTMustTrip is not carried: GET /opModLVRTMustTrip: status 404"
    ]


@pytest.mark.parametrize(
    ("mode", "curve", "why"),
    [
        ("opModVoltVar", sent("opModVoltWatt"), "curveType 12 is not that of opModVoltVar"),
        ("opModVoltVar", sent("opModVoltVar", (1, 1)), "one point is no curve"),
        ("opModVoltVar", sent("opModVoltVar", y_reference=0), "yRefType 0 is none of opModVoltVar"),
        ("opModVoltVar", sent("opModVoltVar", y_reference=7), "yRefType 7 is none of opModVoltVar"),
        ("opModVoltWatt", sent("opModVoltWatt", y_reference=2), "yRefType 2 is none of opModVoltWatt"),
        ("opModFreqWatt", sent("opModFreqWatt", y_reference=7), "yRefType 7 is none of opModFreqWatt"),
        ("opModVoltVar", sent("opModVoltVar", (2, 1), (1, 1)), "its points do not go from left to right"),
        ("opModVoltVar", sent("opModVoltVar", (1, 1), (2, 101)), "point 2: yvalue is 10100 here, which is not in"),
        ("opModVoltVar", sent("opModVoltVar", (-1, 1), (2, 1)), "point 1: xvalue is -100 here, which is not in 0.."),
        ("opModVoltVar", sent("opModVoltVar", (1, 1), (2, 1), x_multiplier=9), "point 1: xvalue is"),
        ("opModVoltVar", sent("opModVoltVar", autonomous_v_ref_enable=True), "without autonomousVRefTimeConstant"),
        ("opModWattPF", sent("opModWattPF", (0, 9), (1, 9), y_multiplier=-1), "below 1 needs its excitation"),
        ("opModWattPF", sent("opModWattPF", (0, -9), (1, 9), y_multiplier=-1), "yvalue is -9000 here"),
        ("opModHVRTMustTrip", sent("opModHVRTMustTrip", (-1, 110), (1, 110)), "xvalue is -1000 here"),
    ],
)
def test_a_curve_without_a_meaning_is_named_with_why_and_drops_no_limit(mode: str, curve: DERCurve, why: str) -> None:
    base = linking(mode, op_mod_exp_lim_w=ActivePower(7))
    curves = {f"/{mode}": curve}
    assert translate.effects(base, curves) == ((Ceiling(Function.EXPORT_LIMIT, Watts(7)),), (mode,))
    (unfit,) = modes.read(base, curves).unfit
    assert why in str(unfit)


def test_a_curve_that_nobody_read_is_not_carried() -> None:
    (unfit,) = modes.read(linking("opModVoltVar"), {}).unfit
    assert str(unfit) == "opModVoltVar is not carried: /opModVoltVar was not read"


# -- several modes of one control


VOLT_VAR = sent("opModVoltVar", y_reference=2)


@pytest.mark.parametrize(
    ("base", "names"),
    [
        (
            linking("opModVoltVar", op_mod_fixed_var=SentVar(reference=2, hundredths=1)),
            "opModFixedVar and opModVoltVar",
        ),
        (
            linking("opModVoltVar", op_mod_fixed_pf_inject_w=factor(95), op_mod_fixed_pf_absorb_w=factor(95)),
            "opModFixedPFAbsorbW and opModFixedPFInjectW and opModVoltVar",
        ),
        (linking("opModWattPF", "opModWattVar"), "opModWattPF and opModWattVar"),
        (
            DERControlBase(op_mod_target_var=ReactivePower(1), op_mod_fixed_var=SentVar(reference=0, hundredths=1)),
            "opModFixedVar and opModTargetVar",
        ),
        (linking("opModFreqWatt", op_mod_freq_droop=drooping()), "opModFreqDroop and opModFreqWatt"),
    ],
)
def test_of_two_modes_of_one_function_none_is_carried_and_both_are_named(base: DERControlBase, names: str) -> None:
    base = replace(base, op_mod_exp_lim_w=ActivePower(7))
    carried, lacking = translate.effects(base, {"/opModVoltVar": VOLT_VAR})
    assert carried == (Ceiling(Function.EXPORT_LIMIT, Watts(7)),)
    assert set(lacking) == set(names.split(" and "))
    (unfit,) = modes.read(base, {"/opModVoltVar": VOLT_VAR}).unfit
    assert str(unfit) == f"{names} are not carried: they contradict each other"


def test_modes_of_several_functions_stand_beside_each_other() -> None:
    names = ("opModVoltVar", "opModVoltWatt", "opModLVRTMustTrip")
    curves = {
        "/opModVoltVar": VOLT_VAR,
        "/opModVoltWatt": sent("opModVoltWatt"),
        "/opModLVRTMustTrip": ride_through("opModLVRTMustTrip"),
    }
    carried, lacking = translate.effects(linking(*names, op_mod_freq_droop=drooping()), curves)
    assert lacking == ()
    assert {effect.function for effect in carried} == {
        Function.REACTIVE_POWER,
        Function.FREQUENCY_WATT,
        Function.VOLT_WATT,
        Function.RIDE_THROUGH,
    }


def test_what_a_control_links_to_and_whether_it_is_worth_waiting_for() -> None:
    base = linking("opModVoltVar", "opModVoltWatt", op_mod_fixed_var=SentVar(reference=2, hundredths=1))
    assert modes.links(base) == {"opModVoltVar": "/opModVoltVar", "opModVoltWatt": "/opModVoltWatt"}
    soon, late = modes.Missing("why", soon=True), modes.Missing("why", soon=False)
    assert modes.awaits(base, {"/opModVoltVar": VOLT_VAR, "/opModVoltWatt": soon})
    assert not modes.awaits(base, {"/opModVoltVar": VOLT_VAR, "/opModVoltWatt": late})
    assert not modes.awaits(DERControlBase(), {"/opModVoltWatt": soon})


@given(
    mode=st.sampled_from(CURVE_MODES),
    points=st.lists(st.tuples(st.integers(-150, 150), st.integers(-110, 110)), min_size=1, max_size=10),
    scales=st.tuples(st.integers(-3, 2), st.integers(-3, 2)),
    reference=st.integers(0, 9),
    absorbs=st.none() | st.booleans(),
    v_ref=st.none() | st.integers(0, 10_000),
)
def test_whatever_is_carried_is_no_fault_to_the_core(
    mode: str,
    points: list[tuple[int, int]],
    scales: tuple[int, int],
    reference: int,
    absorbs: bool | None,
    v_ref: int | None,
) -> None:
    """An order with a faulty mode is refused whole, so none may be heard with one."""
    curve = sent(
        mode,
        points=tuple(CurveData(x=x, y=y, absorbs=absorbs) for x, y in sorted(points)),
        x_multiplier=scales[0],
        y_multiplier=scales[1],
        y_reference=reference,
        v_ref_hundredths=v_ref,
    )
    found = modes.read(linking(mode), {f"/{mode}": curve})
    assert len(found.effects) + len(found.unfit) == 1
    assert [fault(effect) for effect in found.effects] == [""] * len(found.effects)
