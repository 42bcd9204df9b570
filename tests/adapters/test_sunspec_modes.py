"""Modes into registers, row by row as IEEE 2030.5 names them; what was written is read by pysunspec2."""

from typing import Any

import pytest
from sunspec_paper import Paper, curve

from gateway.core.modes import (
    CurveBase,
    CurveKind,
    Displacement,
    Droop,
    FixedVar,
    Mode,
    PowerFactor,
    RideThrough,
    TargetVar,
    VarBase,
)
from gateway.southbound.sunspec_modbus.modes.effort import Stopped
from gateway.southbound.sunspec_modbus.profiles import Habits

LOW_EXCITED = Habits(absorbs=-1)
VOLT_VAR = curve(
    CurveKind.VOLT_VAR,
    (9_000, 3_000),
    (9_800, 0),
    (10_200, 0),
    (11_000, -3_000),
    base=CurveBase.MAX_VAR,
    response_ms=7_000,
)
VOLT_WATT = curve(CurveKind.VOLT_WATT, (10_500, 10_000), (11_000, 2_000), base=CurveBase.MAX_W, response_ms=9_000)


def points(prefix: str, axes: tuple[str, str], *pairs: tuple[float, float]) -> dict[str, float]:
    """Name the points of a curve."""
    x, y = axes
    named = {f"{prefix}ActPt": float(len(pairs))}
    for number, (one, other) in enumerate(pairs, 1):
        named |= {f"{prefix}Pt.{number}.{x}": one, f"{prefix}Pt.{number}.{y}": other}
    return named


def flat(prefix: str, axes: tuple[str, str], *pairs: tuple[float, float]) -> dict[str, float]:
    """Name the points of a legacy curve."""
    x, y = axes
    named = {f"{prefix}ActPt": float(len(pairs))}
    for number, (one, other) in enumerate(pairs, 1):
        named |= {f"{prefix}{x}{number}": one, f"{prefix}{y}{number}": other}
    return named


ROWS: list[Any] = [
    pytest.param(
        "2018",
        FixedVar(VarBase.MAX_W, -2_550),
        {"704.VarSetMod": 0, "704.VarSetPct": -25.5, "704.VarSetEna": 1},
        id="opModFixedVar refType 1",
    ),
    pytest.param(
        "2018",
        FixedVar(VarBase.MAX_VAR, 5_000),
        {"704.VarSetMod": 1, "704.VarSetPct": 50, "704.VarSetEna": 1},
        id="opModFixedVar refType 2",
    ),
    pytest.param("2018", FixedVar(VarBase.AVAILABLE_VAR, 100), {"704.VarSetMod": 2}, id="opModFixedVar refType 3"),
    pytest.param("2018", FixedVar(VarBase.MAX_VA, 100), {"704.VarSetMod": 3}, id="opModFixedVar refType 8"),
    pytest.param(
        "2018", TargetVar(-700), {"704.VarSetMod": 4, "704.VarSet": -700, "704.VarSetEna": 1}, id="opModTargetVar"
    ),
    pytest.param(
        "autonomous",
        PowerFactor(Displacement(9_500, absorbs=True), None),
        {"704.PFWInj.PF": 0.95, "704.PFWInj.Ext": 1, "704.PFWInjEna": 1},
        id="opModFixedPFInjectW, excitation true",
    ),
    pytest.param(
        "autonomous",
        PowerFactor(Displacement(9_000, absorbs=False), None),
        {"704.PFWInj.PF": 0.9, "704.PFWInj.Ext": 0, "704.PFWInjEna": 1},
        id="opModFixedPFInjectW, excitation false",
    ),
    pytest.param(
        "autonomous",
        VOLT_VAR,
        {
            **points("705.Crv.2.", ("V", "Var"), (90, 30), (98, 0), (102, 0), (110, -30)),
            "705.Crv.2.DeptRef": 1,
            "705.Crv.2.RspTms": 7,
            "705.AdptCrvReq": 2,
            "705.Ena": 1,
        },
        id="opModVoltVar",
    ),
    pytest.param(
        "autonomous",
        VOLT_WATT,
        {
            **points("706.Crv.2.", ("V", "W"), (105, 100), (110, 20)),
            "706.Crv.2.DeptRef": 0,
            "706.Crv.2.RspTms": 9,
            "706.AdptCrvReq": 2,
            "706.Ena": 1,
        },
        id="opModVoltWatt",
    ),
    pytest.param(
        "autonomous",
        curve(CurveKind.VOLT_WATT, (10_500, 10_000), (11_000, 0), base=CurveBase.AVAILABLE_W),
        {"706.Crv.2.DeptRef": 1},
        id="opModVoltWatt yRefType 7",
    ),
    pytest.param(
        "autonomous",
        curve(CurveKind.WATT_VAR, (2_000, 0), (5_000, 0), (10_000, -4_000), base=CurveBase.MAX_VA),
        {
            **points("712.Crv.2.", ("W", "Var"), (20, 0), (50, 0), (100, -40)),
            "712.Crv.2.DeptRef": 3,
            "712.AdptCrvReq": 2,
            "712.Ena": 1,
        },
        id="opModWattVar",
    ),
    pytest.param(
        "autonomous",
        Droop(40, 50, 40, 60, 8_000),
        {
            "711.Ctl.2.DbOf": 0.04,
            "711.Ctl.2.DbUf": 0.05,
            "711.Ctl.2.KOf": 0.04,
            "711.Ctl.2.KUf": 0.06,
            "711.Ctl.2.RspTms": 8,
            "711.AdptCtlReq": 2,
            "711.Ena": 1,
        },
        id="opModFreqDroop",
    ),
    *(
        pytest.param(
            "ride-through",
            RideThrough((curve(kind, (160, 4_500), (2_000, 7_000)),)),
            {
                **points(f"{model}.Crv.2.{group}.", ("Tms", "V"), (0.16, 45), (2, 70)),
                f"{model}.AdptCrvReq": 2,
            },
            id=name,
        )
        for kind, model, group, name in (
            (CurveKind.LV_MUST_TRIP, 707, "MustTrip", "opModLVRTMustTrip"),
            (CurveKind.LV_MAY_TRIP, 707, "MayTrip", "opModLVRTMayTrip"),
            (CurveKind.LV_CESSATION, 707, "MomCess", "opModLVRTMomentaryCessation"),
            (CurveKind.HV_MUST_TRIP, 708, "MustTrip", "opModHVRTMustTrip"),
            (CurveKind.HV_MAY_TRIP, 708, "MayTrip", "opModHVRTMayTrip"),
            (CurveKind.HV_CESSATION, 708, "MomCess", "opModHVRTMomentaryCessation"),
        )
    ),
    *(
        pytest.param(
            "ride-through",
            RideThrough((curve(kind, (160, 57_000), (300_000, 58_000)),)),
            {
                **points(f"{model}.Crv.2.{group}.", ("Tms", "Hz"), (0.16, 57), (300, 58)),
                f"{model}.AdptCrvReq": 2,
            },
            id=name,
        )
        for kind, model, group, name in (
            (CurveKind.LF_MUST_TRIP, 709, "MustTrip", "opModLFRTMustTrip"),
            (CurveKind.LF_MAY_TRIP, 709, "MayTrip", "opModLFRTMayTrip"),
            (CurveKind.HF_MUST_TRIP, 710, "MustTrip", "opModHFRTMustTrip"),
            (CurveKind.HF_MAY_TRIP, 710, "MayTrip", "opModHFRTMayTrip"),
        )
    ),
    pytest.param(
        "legacy-curves",
        FixedVar(VarBase.MAX_W, -2_500),
        {"123.VArWMaxPct": -25, "123.VArPct_Mod": 1, "123.VArPct_Ena": 1},
        id="opModFixedVar refType 1 on 123",
    ),
    pytest.param(
        "legacy-curves",
        FixedVar(VarBase.MAX_VAR, 5_090),
        {"123.VArMaxPct": 50, "123.VArPct_Mod": 2, "123.VArPct_Ena": 1},
        id="opModFixedVar refType 2 on 123, toward zero",
    ),
    pytest.param(
        "legacy-curves",
        FixedVar(VarBase.AVAILABLE_VAR, 5_000),
        {"123.VArAvalPct": 50, "123.VArPct_Mod": 3, "123.VArPct_Ena": 1},
        id="opModFixedVar refType 3 on 123",
    ),
    pytest.param(
        "legacy-curves",
        PowerFactor(Displacement(9_550, absorbs=True), None),
        {"123.OutPFSet": -0.96, "123.OutPFSet_Ena": 1},
        id="opModFixedPFInjectW on 123, toward 1",
    ),
    pytest.param(
        "legacy-curves",
        PowerFactor(Displacement(9_500, absorbs=False), None),
        {"123.OutPFSet": 0.95, "123.OutPFSet_Ena": 1},
        id="opModFixedPFInjectW on 123, over-excited",
    ),
    pytest.param(
        "legacy-curves",
        VOLT_VAR,
        {
            **flat("126.curve.2.", ("V", "VAr"), (90, 30), (98, 0), (102, 0), (110, -30)),
            "126.curve.2.DeptRef": 2,
            "126.curve.2.RmpTms": 10,
            "126.ActCrv": 2,
            "126.ModEna": 1,
        },
        id="opModVoltVar on 126",
    ),
    pytest.param(
        "legacy-curves",
        VOLT_WATT,
        {
            **flat("132.curve.2.", ("V", "W"), (105, 100), (110, 20)),
            "132.curve.2.DeptRef": 1,
            "132.ActCrv": 2,
            "132.ModEna": 1,
        },
        id="opModVoltWatt on 132",
    ),
    pytest.param(
        "legacy-curves",
        curve(CurveKind.WATT_PF, (5_000, 10_000), (10_000, -9_501)),
        {**flat("131.curve.2.", ("W", "PF"), (50, 1), (100, -0.951)), "131.ActCrv": 2, "131.ModEna": 1},
        id="opModWattPF on 131",
    ),
    pytest.param(
        "legacy-curves",
        curve(CurveKind.FREQ_WATT, (60_300, 10_000), (61_500, 0)),
        {**flat("134.curve.2.", ("Hz", "W"), (60.3, 100), (61.5, 0)), "134.ActCrv": 2, "134.ModEna": 1},
        id="opModFreqWatt on 134",
    ),
    *(
        pytest.param(
            "legacy-curves",
            RideThrough((curve(kind, (160, one), (2_000, other)),)),
            {
                **flat(f"{model}.curve.2.", ("Tms", y), (0.16, one / scale), (2, other / scale)),
                f"{model}.ActCrv": 2,
                f"{model}.ModEna": 1,
            },
            id=f"{name} on {model}",
        )
        for kind, model, y, scale, one, other, name in (
            (CurveKind.LV_MUST_TRIP, 129, "V", 100, 4_500, 8_000, "opModLVRTMustTrip"),
            (CurveKind.HV_MUST_TRIP, 130, "V", 100, 11_900, 11_100, "opModHVRTMustTrip"),
            (CurveKind.LV_MAY_TRIP, 137, "V", 100, 4_500, 8_000, "opModLVRTMayTrip"),
            (CurveKind.HV_MAY_TRIP, 138, "V", 100, 11_900, 11_100, "opModHVRTMayTrip"),
            (CurveKind.LF_MUST_TRIP, 135, "Hz", 1000, 57_000, 58_000, "opModLFRTMustTrip"),
            (CurveKind.HF_MUST_TRIP, 136, "Hz", 1000, 62_100, 61_100, "opModHFRTMustTrip"),
        )
    ),
]


@pytest.mark.parametrize(("kind", "mode", "expected"), ROWS)
def test_a_row_of_the_mapping_is_written(kind: Any, mode: Mode, expected: dict[str, float]) -> None:
    paper = Paper(kind, LOW_EXCITED)
    paper.put(mode)
    assert {name: paper.told.get(name) for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(("kind", "mode", "expected"), ROWS)
def test_what_enables_a_row_is_written_last_and_alone_or_with_its_value(
    kind: Any, mode: Mode, expected: dict[str, float]
) -> None:
    paper = Paper(kind, LOW_EXCITED)
    paper.put(mode)
    enabled = [name for name in expected if name.endswith(("Ena", "_Ena"))]
    for name in enabled:
        assert name in paper.writes[-1]
    once = len(paper.writes)
    paper.put(mode)
    assert len(paper.writes) == once, "what is in force is not written again"


def test_a_power_factor_and_its_excitation_are_one_write() -> None:
    paper = Paper("autonomous")
    paper.put(PowerFactor(Displacement(9_500, absorbs=True), None))
    assert [write for write in paper.writes if {"704.PFWInj.PF", "704.PFWInj.Ext"} & write.keys()] == [
        {"704.PFWInj.PF": 0.95, "704.PFWInj.Ext": 1}
    ]


CANNOT: list[Any] = [
    ("2018", VOLT_VAR, "volt-var: no model 705 or 126"),
    ("2018", Droop(40, 40, 50, 50), "frequency droop: no model 711"),
    ("autonomous", curve(CurveKind.WATT_PF, (0, 10_000)), "watt-power-factor: no model 131"),
    ("autonomous", curve(CurveKind.FREQ_WATT, (60_000, 0)), "frequency-watt: no model 134"),
    ("legacy-curves", curve(CurveKind.WATT_VAR, (0, 0), base=CurveBase.MAX_VAR), "watt-var: no model 712"),
    (
        "autonomous",
        RideThrough((curve(CurveKind.LV_MUST_TRIP, (160, 4_500)),)),
        "low-voltage-must-trip: no model 707 or 129",
    ),
    (
        "legacy-curves",
        RideThrough((curve(CurveKind.LV_CESSATION, (160, 4_500)),)),
        "low-voltage-momentary-cessation: no model 707",
    ),
]


@pytest.mark.parametrize(("kind", "mode", "why"), CANNOT)
def test_what_has_no_model_cannot_be_carried(kind: Any, mode: Mode, why: str) -> None:
    assert Paper(kind).ways(mode) == why


STOPPED: list[Any] = [
    ("legacy-curves", TargetVar(500), "model 123 gives var in percent alone"),
    ("legacy-curves", FixedVar(VarBase.MAX_VA, 500), "model 123 gives no var in percent of max-va"),
    ("legacy-curves", PowerFactor(Displacement(9_500, absorbs=True), None), "which sign of a power factor"),
    ("legacy-curves", PowerFactor(None, Displacement(9_500, absorbs=True)), "one power factor for both directions"),
    ("legacy-curves", curve(CurveKind.WATT_PF, (0, 10_000), (10_000, -9_500)), "which sign of a power factor"),
    (
        "legacy-curves",
        curve(CurveKind.VOLT_VAR, (9_000, 0), (9_800, 0), base=CurveBase.MAX_VA),
        "no volt-var in percent of max-va",
    ),
    (
        "autonomous",
        curve(CurveKind.VOLT_WATT, (9_000, 0), (9_800, 0), base=CurveBase.MAX_VAR),
        "no volt-watt in percent of max-var",
    ),
    (
        "autonomous",
        curve(CurveKind.VOLT_VAR, *((9_000 + 100 * n, 0) for n in range(5)), base=CurveBase.MAX_VAR),
        "it holds 4 points of a curve, not 5",
    ),
    (
        "legacy-curves",
        curve(CurveKind.VOLT_VAR, *((9_000 + 100 * n, 0) for n in range(11)), base=CurveBase.MAX_VAR),
        "it holds 10 points of a curve, not 11",
    ),
    (
        "autonomous",
        curve(CurveKind.VOLT_VAR, (9_000, 0), (9_800, 0), base=CurveBase.MAX_VAR, reference_hundredths=10_100),
        "it has no VRef",
    ),
    ("autonomous", PowerFactor(None, Displacement(9_500, absorbs=True)), "PFWAbsEna: not implemented"),
]


@pytest.mark.parametrize(("kind", "mode", "why"), STOPPED)
def test_what_a_device_cannot_hold_is_not_written(kind: Any, mode: Mode, why: str) -> None:
    paper = Paper(kind)
    with pytest.raises(Stopped, match=why):
        paper.put(mode)
    assert paper.writes == []


def test_a_reference_voltage_that_the_device_finds_itself_is_set() -> None:
    paper = Paper("autonomous")
    names = [f"705.Crv.{slot}.{name}" for slot in (1, 2) for name in ("VRef", "VRefAutoEna", "VRefAutoTms")]
    paper.inverter._image._implemented |= set(names)
    paper.inverter._image.publish({name: 100 if name.endswith("VRef") else 0 for name in names})
    told = curve(
        CurveKind.VOLT_VAR,
        (9_000, 0),
        (9_800, 0),
        base=CurveBase.MAX_VAR,
        reference_hundredths=10_150,
        reference_auto_ms=300_000,
    )
    with pytest.raises(Stopped, match="VRef"):
        paper.put(told)
    assert {name: paper.told[name] for name in names[3:]} == {
        "705.Crv.2.VRef": 101.5,
        "705.Crv.2.VRefAutoEna": 1,
        "705.Crv.2.VRefAutoTms": 300,
    }


def test_what_the_order_leaves_open_stays_as_it_is_in_force() -> None:
    paper = Paper("autonomous")
    paper.publish(**{"m705_Crv.1.Pri": 0, "m705_Crv.1.RspTms": 11})
    paper.put(curve(CurveKind.VOLT_VAR, (9_000, 0), (9_800, 0), base=CurveBase.MAX_VAR))
    assert (paper.inverter.value("705.Crv.1.Pri"), paper.inverter.value("705.Crv.1.RspTms")) == (0, 11)


def test_the_other_trip_curves_of_a_model_stay_as_set() -> None:
    paper = Paper("ride-through")
    before = [paper.inverter.value(f"707.Crv.1.MayTrip.Pt.{n}.V") for n in (1, 2)]
    paper.put(RideThrough((curve(CurveKind.LV_MUST_TRIP, (160, 4_500), (2_000, 7_000)),)))
    assert [paper.inverter.value(f"707.Crv.1.MayTrip.Pt.{n}.V") for n in (1, 2)] == before
    assert paper.inverter.value("707.Crv.1.MustTrip.Pt.1.V") == 45


def test_a_family_of_single_registers_takes_no_pair_that_belongs_together() -> None:
    paper = Paper("autonomous", Habits(singly=True))
    with pytest.raises(Stopped, match="belong together"):
        paper.put(PowerFactor(Displacement(9_500, absorbs=True), None))
    paper = Paper("legacy-curves", Habits(singly=True))
    paper.put(VOLT_WATT)
    assert set(paper.functions) == {6}
