"""Modes over the local API: stated in percent, Hz, s and power factors, held as whole numbers, and read out again."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from web_world import World, order

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
from gateway.core.orders import Release
from gateway.web.body import BadBodyError
from gateway.web.effects import EffectBody, effects
from gateway.web.modes import stated

REACTIVE, VOLT_WATT, FREQUENCY, RIDE = "reactive-power", "volt-watt", "frequency-watt", "ride-through"
VOLT_VAR = {"kind": "volt-var", "points": [[92, 44], [98, 0], [102, 0], [108, -44]], "of": "max-var", "response_s": 5}


def read(function: str, **given: Any) -> Any:
    (effect,) = effects((msgspec.convert({"function": function, **given}, EffectBody),))
    return effect


ROWS: tuple[tuple[str, dict[str, Any], Mode], ...] = (
    (
        REACTIVE,
        {"curve": VOLT_VAR},
        Curve(
            CurveKind.VOLT_VAR,
            (CurvePoint(9_200, 4_400), CurvePoint(9_800, 0), CurvePoint(10_200, 0), CurvePoint(10_800, -4_400)),
            CurveBase.MAX_VAR,
            5_000,
        ),
    ),
    (
        REACTIVE,
        {"curve": {**VOLT_VAR, "points": [[92.5, 1.25], [108, 0]], "reference_percent": 101, "reference_auto_s": 300}},
        Curve(
            CurveKind.VOLT_VAR,
            (CurvePoint(9_250, 125), CurvePoint(10_800, 0)),
            CurveBase.MAX_VAR,
            5_000,
            10_100,
            300_000,
        ),
    ),
    (
        REACTIVE,
        {"curve": {"kind": "watt-power-factor", "points": [[50, 1], [100, -0.95]], "of": "none"}},
        Curve(CurveKind.WATT_PF, (CurvePoint(5_000, 10_000), CurvePoint(10_000, -9_500))),
    ),
    (REACTIVE, {"var": -800}, TargetVar(-800)),
    (REACTIVE, {"fixed_var": {"percent": -44.01, "of": "max-va"}}, FixedVar(VarBase.MAX_VA, -4_401)),
    (
        REACTIVE,
        {"power_factor": {"injecting": {"pf": 0.95, "absorbs": True}}},
        PowerFactor(Displacement(9_500, absorbs=True), None),
    ),
    (
        REACTIVE,
        {"power_factor": {"injecting": {"pf": 1.0, "absorbs": False}, "absorbing": {"pf": 0.9, "absorbs": True}}},
        PowerFactor(Displacement(10_000, absorbs=False), Displacement(9_000, absorbs=True)),
    ),
    (
        VOLT_WATT,
        {"curve": {"kind": "volt-watt", "points": [[106, 100], [110, 20]], "of": "max-w"}},
        Curve(CurveKind.VOLT_WATT, (CurvePoint(10_600, 10_000), CurvePoint(11_000, 2_000)), CurveBase.MAX_W),
    ),
    (
        FREQUENCY,
        {"curve": {"kind": "frequency-watt", "points": [[60.036, 100], [62, 0]], "of": "max-w"}},
        Curve(CurveKind.FREQ_WATT, (CurvePoint(60_036, 10_000), CurvePoint(62_000, 0)), CurveBase.MAX_W),
    ),
    (
        FREQUENCY,
        {
            "droop": {
                "over_band_hz": 0.036,
                "under_band_hz": 0.017,
                "over_slope": 0.05,
                "under_slope": 0.03,
                "response_s": 5,
            }
        },
        Droop(36, 17, 50, 30, 5_000),
    ),
    (
        RIDE,
        {
            "curves": [
                {"kind": "low-voltage-must-trip", "points": [[0.16, 45], [2, 70]], "of": "none"},
                {"kind": "high-frequency-may-trip", "points": [[0.16, 62], [300, 61.2]], "of": "none"},
            ]
        },
        RideThrough(
            (
                Curve(CurveKind.LV_MUST_TRIP, (CurvePoint(160, 4_500), CurvePoint(2_000, 7_000))),
                Curve(CurveKind.HF_MAY_TRIP, (CurvePoint(160, 62_000), CurvePoint(300_000, 61_200))),
            )
        ),
    ),
)


@pytest.mark.parametrize(("function", "given", "mode"), ROWS)
def test_a_mode_is_read_and_stated_again(function: str, given: dict[str, Any], mode: Mode) -> None:
    assert read(function, **given) == mode
    said = msgspec.json.decode(msgspec.json.encode(dict(stated(mode))))
    assert said == msgspec.json.decode(msgspec.json.encode(given))


def test_a_mode_can_be_released() -> None:
    assert isinstance(read(REACTIVE, release=True), Release)


@pytest.mark.parametrize(
    ("function", "given", "said"),
    [
        (REACTIVE, {"w": 5}, "give reactive-power exactly one of var, fixed_var, power_factor, curve, release"),
        (REACTIVE, {"var": 5, "curve": VOLT_VAR}, "exactly one of"),
        (RIDE, {"curve": VOLT_VAR}, "give ride-through exactly one of curves, release"),
        (VOLT_WATT, {"curve": VOLT_VAR}, "volt-var is no curve of volt-watt; state it as reactive-power"),
        (REACTIVE, {"curve": {**VOLT_VAR, "points": [[1, 2]]}}, "volt-var of 1 points; give 2 to 10"),
        (REACTIVE, {"power_factor": {}}, "a power factor without any value"),
        (RIDE, {"curves": []}, "ride-through without any curve"),
        ("active-power", {"var": 5}, "exactly one of w, percent, release"),
    ],
)
def test_what_is_no_mode_of_its_function_is_said_in_one_line(function: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadBodyError) as refused:
        read(function, **given)
    assert said in str(refused.value)


async def test_an_order_of_a_mode_reaches_the_devices_and_a_default_is_listed_as_it_was_stated(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        said = await world.told("dso", "POST", "/v1/orders", order("a", {"function": REACTIVE, "curve": VOLT_VAR}))
        assert said["admitted"]
        assert {one.command.modes for one in world.south.wanted.values()} == {(ROWS[0][2],)}
        given = {"function": REACTIVE, "power_factor": {"injecting": {"pf": 0.95, "absorbs": True}}}
        await world.told("dso", "POST", "/v1/defaults", {"group": "street", "effects": [given]})
        listed = await world.told("dso", "GET", "/v1/defaults")
        assert listed["defaults"][0]["effects"] == [given]
