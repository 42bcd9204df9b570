"""Tables of the modes of a control and of the curves that they link to, in the order of the 2023 schema.

That of 2018 has the same order and fewer modes. CSIP-AUS elements come last.
"""

from __future__ import annotations

from gateway.wire.sep2 import curves, modes, resources
from gateway.wire.sep2.scalars import (
    BOOLEAN,
    INT16,
    INT32,
    INT64,
    MULTIPLIER,
    PERCENT,
    SIGNED_PERCENT,
    UINT8,
    UINT16,
    UINT32,
    Scalar,
)
from gateway.wire.sep2.table import (
    ACTIVE_POWER,
    HREF,
    IDENTIFIED,
    LINK,
    PAGE,
    REACTIVE_POWER,
    VOLTAGE,
    Attribute,
    Row,
    Table,
    scaled,
)

BIDIRECTIONAL = (Attribute("bidirectional", "bidirectional", UINT8),)
EXCITED_POWER_FACTOR = Table(
    modes.ExcitedPowerFactor,
    rows=(
        Row("displacement", "displacement", UINT16, required=True),
        Row("excitation", "absorbs", BOOLEAN, required=True),
        Row("multiplier", "multiplier", MULTIPLIER, required=True),
    ),
)
FREQ_DROOP = Table(
    modes.FreqDroop,
    rows=(
        Row("dBOF", "over_band_mhz", UINT32, required=True),
        Row("dBUF", "under_band_mhz", UINT32, required=True),
        Row("kOF", "over_slope_thousandths", UINT16, required=True),
        Row("kUF", "under_slope_thousandths", UINT16, required=True),
        Row("openLoopTms", "response_hundredths", UINT16, required=True),
        Row("pMin", "least_w", ACTIVE_POWER, since=2023),
    ),
)
DELTA_W = Table(modes.ActivePowerDelta, BIDIRECTIONAL, scaled(modes.ActivePowerDelta, INT16).rows)
DELTA_VAR = Table(modes.ReactivePowerDelta, BIDIRECTIONAL, scaled(modes.ReactivePowerDelta, INT16).rows)
UNSIGNED_VAR = scaled(modes.UnsignedReactivePower, UINT16)
UNSIGNED_W = scaled(modes.UnsignedActivePower, UINT16)


def _fixed_var(value: Scalar) -> Table:
    reference = Row("refType", "reference", UINT8, required=True)
    return Table(modes.FixedVar, rows=(reference, Row("value", "hundredths", value, required=True)))


FIXED_VAR = _fixed_var(SIGNED_PERCENT)
UNSIGNED_FIXED_VAR = _fixed_var(PERCENT)


def _mode(element: str, field: str, kind: Scalar | Table, since: int = 2018) -> Row:
    return Row(element, field, kind, since=since, aside=True)


DER_CONTROL_BASE = Table(
    resources.DERControlBase,
    rows=(
        Row("opModConnect", "op_mod_connect", BOOLEAN),
        _mode("opModDeltaVar", "op_mod_delta_var", DELTA_VAR, 2023),
        _mode("opModDeltaW", "op_mod_delta_w", DELTA_W, 2023),
        Row("opModEnergize", "op_mod_energize", BOOLEAN),
        _mode("opModFixedPFAbsorbW", "op_mod_fixed_pf_absorb_w", EXCITED_POWER_FACTOR),
        _mode("opModFixedPFInjectW", "op_mod_fixed_pf_inject_w", EXCITED_POWER_FACTOR),
        _mode("opModFixedV", "op_mod_fixed_v_hundredths", SIGNED_PERCENT, 2023),
        _mode("opModFixedVar", "op_mod_fixed_var", FIXED_VAR),
        Row("opModFixedW", "op_mod_fixed_w_hundredths", SIGNED_PERCENT),
        _mode("opModFreqDroop", "op_mod_freq_droop", FREQ_DROOP),
        _mode("opModFreqWatt", "op_mod_freq_watt", LINK),
        _mode("opModGridConnectPermit", "op_mod_grid_connect_permit", BOOLEAN, 2023),
        _mode("opModHFRTMayTrip", "op_mod_hfrt_may_trip", LINK),
        _mode("opModHFRTMustTrip", "op_mod_hfrt_must_trip", LINK),
        _mode("opModHVRTMayTrip", "op_mod_hvrt_may_trip", LINK),
        _mode("opModHVRTMomentaryCessation", "op_mod_hvrt_momentary_cessation", LINK),
        _mode("opModHVRTMustTrip", "op_mod_hvrt_must_trip", LINK),
        _mode("opModIslandPermit", "op_mod_island_permit", BOOLEAN, 2023),
        _mode("opModLFRTMayTrip", "op_mod_lfrt_may_trip", LINK),
        _mode("opModLFRTMustTrip", "op_mod_lfrt_must_trip", LINK),
        _mode("opModLVRTMayTrip", "op_mod_lvrt_may_trip", LINK),
        _mode("opModLVRTMomentaryCessation", "op_mod_lvrt_momentary_cessation", LINK),
        _mode("opModLVRTMustTrip", "op_mod_lvrt_must_trip", LINK),
        _mode("opModMaxLimPctVAAbsorb", "op_mod_max_lim_pct_va_absorb_hundredths", PERCENT, 2023),
        _mode("opModMaxLimPctVAInject", "op_mod_max_lim_pct_va_inject_hundredths", PERCENT, 2023),
        _mode("opModMaxLimPctVarAbsorb", "op_mod_max_lim_pct_var_absorb", UNSIGNED_FIXED_VAR, 2023),
        _mode("opModMaxLimPctVarInject", "op_mod_max_lim_pct_var_inject", UNSIGNED_FIXED_VAR, 2023),
        _mode("opModMaxLimPctWAbsorb", "op_mod_max_lim_pct_w_absorb_hundredths", PERCENT, 2023),
        _mode("opModMaxLimVarAbsorb", "op_mod_max_lim_var_absorb", UNSIGNED_VAR, 2023),
        _mode("opModMaxLimVarInject", "op_mod_max_lim_var_inject", UNSIGNED_VAR, 2023),
        Row("opModMaxLimW", "op_mod_max_lim_w_hundredths", PERCENT),
        _mode("opModMaxLimWAbsorb", "op_mod_max_lim_w_absorb", UNSIGNED_W, 2023),
        _mode("opModMaxLimWInject", "op_mod_max_lim_w_inject", UNSIGNED_W, 2023),
        _mode("opModTargetV", "op_mod_target_v", VOLTAGE, 2023),
        _mode("opModTargetVar", "op_mod_target_var", REACTIVE_POWER),
        Row("opModTargetW", "op_mod_target_w", ACTIVE_POWER),
        _mode("opModVoltVar", "op_mod_volt_var", LINK),
        _mode("opModVoltWatt", "op_mod_volt_watt", LINK),
        _mode("opModWattPF", "op_mod_watt_pf", LINK),
        _mode("opModWattVar", "op_mod_watt_var", LINK),
        Row("rampTms", "ramp_tms_hundredths", UINT16),
        Row("opModImpLimW", "op_mod_imp_lim_w", ACTIVE_POWER, australian="1.2"),
        Row("opModExpLimW", "op_mod_exp_lim_w", ACTIVE_POWER, australian="1.2"),
        Row("opModGenLimW", "op_mod_gen_lim_w", ACTIVE_POWER, australian="1.2"),
        Row("opModLoadLimW", "op_mod_load_lim_w", ACTIVE_POWER, australian="1.2"),
        Row("opModStorageTargetW", "op_mod_storage_target_w", ACTIVE_POWER, australian="1.3", aside=True),
    ),
    rest="other_modes",
    rest_prefix="opMod",
)

CURVE_DATA = Table(
    curves.CurveData,
    rows=(
        Row("excitation", "absorbs", BOOLEAN),
        Row("xvalue", "x", INT32, required=True),
        Row("yvalue", "y", INT32, required=True),
    ),
)
DER_CURVE = Table(
    curves.DERCurve,
    (HREF,),
    (
        *IDENTIFIED,
        Row("autonomousVRefEnable", "autonomous_v_ref_enable", BOOLEAN),
        Row("autonomousVRefTimeConstant", "autonomous_v_ref_time_hundredths", UINT32),
        Row("creationTime", "creation_time_s", INT64, required=True),
        Row("CurveData", "points", CURVE_DATA, required=True, many=True, most=curves.MOST_POINTS),
        Row("curveType", "curve_type", UINT8, required=True),
        Row("openLoopTms", "open_loop_hundredths", UINT16),
        Row("rampDecTms", "ramp_down_hundredths", UINT16),
        Row("rampIncTms", "ramp_up_hundredths", UINT16),
        Row("rampPT1Tms", "ramp_pt1_hundredths", UINT16),
        Row("vRef", "v_ref_hundredths", PERCENT),
        Row("xMultiplier", "x_multiplier", MULTIPLIER, required=True),
        Row("yMultiplier", "y_multiplier", MULTIPLIER, required=True),
        Row("yRefType", "y_reference", UINT8, required=True),
    ),
)
DER_CURVE_LIST = Table(curves.DERCurveList, PAGE, (Row("DERCurve", "items", DER_CURVE, many=True, isolated=True),))

MODE_FIELDS = {row.element: row.field for row in DER_CONTROL_BASE.rows if row.element != "rampTms"}
"""The field of a DERControlBase that holds each mode."""
