"""Every mode of a control that is more than a limit or a switch, and curves, as values of the wire."""

from dataclasses import replace
from typing import Any

from gateway.wire.sep2.curves import CurveData, DERCurve
from gateway.wire.sep2.modes import (
    ActivePowerDelta,
    ExcitedPowerFactor,
    FixedVar,
    FreqDroop,
    ReactivePowerDelta,
    UnsignedActivePower,
    UnsignedReactivePower,
)
from gateway.wire.sep2.quantities import ReactivePower, Voltage
from gateway.wire.sep2.resources import Link

CURVE_FIELDS = (
    "op_mod_freq_watt",
    "op_mod_hfrt_may_trip",
    "op_mod_hfrt_must_trip",
    "op_mod_hvrt_may_trip",
    "op_mod_hvrt_momentary_cessation",
    "op_mod_hvrt_must_trip",
    "op_mod_lfrt_may_trip",
    "op_mod_lfrt_must_trip",
    "op_mod_lvrt_may_trip",
    "op_mod_lvrt_momentary_cessation",
    "op_mod_lvrt_must_trip",
    "op_mod_volt_var",
    "op_mod_volt_watt",
    "op_mod_watt_pf",
    "op_mod_watt_var",
)
"""The modes that link to a curve, each in the place of its curveType."""
MODES_OF_2023: dict[str, Any] = {
    "op_mod_delta_var": ReactivePowerDelta(-5, 1),
    "op_mod_delta_w": ActivePowerDelta(7, 2, bidirectional=1),
    "op_mod_fixed_v_hundredths": -150,
    "op_mod_grid_connect_permit": True,
    "op_mod_island_permit": False,
    "op_mod_max_lim_pct_va_absorb_hundredths": 9000,
    "op_mod_max_lim_pct_va_inject_hundredths": 8000,
    "op_mod_max_lim_pct_var_absorb": FixedVar(reference=8, hundredths=4400),
    "op_mod_max_lim_pct_var_inject": FixedVar(reference=1, hundredths=0),
    "op_mod_max_lim_pct_w_absorb_hundredths": 7000,
    "op_mod_max_lim_var_absorb": UnsignedReactivePower(65_535),
    "op_mod_max_lim_var_inject": UnsignedReactivePower(1, 3),
    "op_mod_max_lim_w_absorb": UnsignedActivePower(65_535, -1),
    "op_mod_max_lim_w_inject": UnsignedActivePower(40, 3),
    "op_mod_target_v": Voltage(2300, -1),
}
MODES_OF_2018: dict[str, Any] = {
    "op_mod_fixed_pf_absorb_w": ExcitedPowerFactor(displacement=95, absorbs=True, multiplier=-2),
    "op_mod_fixed_pf_inject_w": ExcitedPowerFactor(displacement=1, absorbs=False),
    "op_mod_fixed_var": FixedVar(reference=2, hundredths=-4400),
    "op_mod_freq_droop": FreqDroop(
        over_band_mhz=36,
        under_band_mhz=36,
        over_slope_thousandths=50,
        under_slope_thousandths=40,
        response_hundredths=500,
    ),
    **{field: Link(href=f"/derp/1/dc/{place}") for place, field in enumerate(CURVE_FIELDS)},
    "op_mod_target_var": ReactivePower(-12, 2),
}
"""Those beside active power, the switches and the ramp."""
CURVE = DERCurve(
    href="/derp/1/dc/11",
    mrid="0C" * 16,
    description="sunny",
    version=2,
    autonomous_v_ref_enable=True,
    autonomous_v_ref_time_hundredths=30_000,
    creation_time_s=1_682_475_000,
    points=(CurveData(x=92, y=44), CurveData(x=98, y=0), CurveData(x=102, y=0), CurveData(x=108, y=-44)),
    curve_type=11,
    open_loop_hundredths=500,
    ramp_down_hundredths=600,
    ramp_up_hundredths=601,
    ramp_pt1_hundredths=10,
    v_ref_hundredths=10_000,
    x_multiplier=0,
    y_multiplier=0,
    y_reference=2,
)
POWER_FACTOR_CURVE = replace(
    CURVE,
    autonomous_v_ref_enable=None,
    autonomous_v_ref_time_hundredths=None,
    v_ref_hundredths=None,
    points=(CurveData(x=0, y=100, absorbs=False), CurveData(x=100, y=90, absorbs=True)),
    curve_type=13,
    y_multiplier=-2,
    y_reference=0,
)
