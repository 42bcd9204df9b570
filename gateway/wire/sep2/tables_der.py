"""Tables of the DER function set, in the order of the 2018 schema, CSIP-AUS elements last."""

from __future__ import annotations

from dataclasses import replace

from gateway.wire.sep2 import resources
from gateway.wire.sep2.scalars import (
    BOOLEAN,
    EVENT_STATUS,
    HEX8,
    HEX32,
    INT16,
    INT64,
    ONE_HOUR,
    PERCENT,
    STRING6,
    STRING192,
    UINT8,
    UINT16,
    UINT32,
    URI,
    Scalar,
)
from gateway.wire.sep2.table import (
    ACTIVE_POWER,
    AMPERE_HOUR,
    APPARENT_POWER,
    CURRENT,
    HREF,
    IDENTIFIED,
    INTERVAL,
    LINK,
    LIST_LINK,
    PAGE,
    POLL_RATE,
    POWER_FACTOR,
    REACTIVE_POWER,
    SUBSCRIBABLE,
    SUSCEPTANCE,
    VOLTAGE,
    WATT_HOUR,
    Attribute,
    Row,
    Table,
)
from gateway.wire.sep2.tables_modes import DER_CONTROL_BASE, UNSIGNED_VAR, UNSIGNED_W

DER_PROGRAM = Table(
    resources.DERProgram,
    (HREF, SUBSCRIBABLE),
    (
        *IDENTIFIED,
        Row("ActiveDERControlListLink", "active_der_control_list_link", LIST_LINK),
        Row("DefaultDERControlLink", "default_der_control_link", LINK),
        Row("DERControlListLink", "der_control_list_link", LIST_LINK),
        Row("DERCurveListLink", "der_curve_list_link", LIST_LINK),
        Row("primacy", "primacy", UINT8, required=True),
    ),
)
DER_PROGRAM_LIST = Table(
    resources.DERProgramList,
    (*PAGE, SUBSCRIBABLE, POLL_RATE),
    (Row("DERProgram", "items", DER_PROGRAM, many=True, isolated=True),),
)
EVENT_STATUS_TABLE = Table(
    resources.EventStatus,
    rows=(
        Row("currentStatus", "current_status", EVENT_STATUS, required=True),
        Row("dateTime", "date_time_s", INT64, required=True),
        Row("potentiallySuperseded", "potentially_superseded", BOOLEAN),
        Row("potentiallySupersededTime", "potentially_superseded_time_s", INT64),
        Row("reason", "reason", STRING192),
    ),
)
RESPONDABLE = (Attribute("replyTo", "reply_to", URI), Attribute("responseRequired", "response_required", HEX8))
DER_CONTROL = Table(
    resources.DERControl,
    (HREF, *RESPONDABLE, SUBSCRIBABLE),
    (
        *IDENTIFIED,
        Row("creationTime", "creation_time_s", INT64, required=True),
        Row("EventStatus", "event_status", EVENT_STATUS_TABLE, required=True),
        Row("interval", "interval", INTERVAL, required=True),
        Row("randomizeDuration", "randomize_duration_s", ONE_HOUR),
        Row("randomizeStart", "randomize_start_s", ONE_HOUR),
        Row("DERControlBase", "base", DER_CONTROL_BASE, required=True),
        Row("deviceCategory", "device_category", HEX32),
    ),
)
DER_CONTROL_LIST = Table(
    resources.DERControlList,
    (*PAGE, SUBSCRIBABLE),
    (Row("DERControl", "items", DER_CONTROL, many=True, isolated=True),),
)
ENTER_SERVICE = (
    Row("setESDelay", "set_es_delay_hundredths", UINT32),
    Row("setESHighFreq", "set_es_high_freq_hundredths", UINT16),
    Row("setESHighVolt", "set_es_high_volt_hundredths", INT16),
    Row("setESLowFreq", "set_es_low_freq_hundredths", UINT16),
    Row("setESLowVolt", "set_es_low_volt_hundredths", INT16),
    Row("setESRampTms", "set_es_ramp_tms_hundredths", UINT32),
    Row("setESRandomDelay", "set_es_random_delay_hundredths", UINT32),
)
DEFAULT_DER_CONTROL = Table(
    resources.DefaultDERControl,
    (HREF, *(replace(attribute, since=2023) for attribute in RESPONDABLE), SUBSCRIBABLE),
    (
        *IDENTIFIED,
        Row("DERControlBase", "base", DER_CONTROL_BASE, required=True),
        *ENTER_SERVICE,
        Row("setGradW", "set_grad_w_hundredths", UINT16),
        Row("setSoftGradW", "set_soft_grad_w_hundredths", UINT16),
        Row("updatedTime", "updated_time_s", INT64, since=2023),
    ),
)

DER = Table(
    resources.DER,
    (HREF, SUBSCRIBABLE),
    (
        Row("AssociatedDERProgramListLink", "associated_der_program_list_link", LIST_LINK),
        Row("AssociatedUsagePointLink", "associated_usage_point_link", LINK),
        Row("CurrentDERControlsLink", "current_der_controls_link", LINK, since=2023),
        Row("CurrentDERProgramLink", "current_der_program_link", LINK),
        Row("DERAvailabilityLink", "der_availability_link", LINK),
        Row("DERCapabilityLink", "der_capability_link", LINK),
        Row("DERComponentListLink", "der_component_list_link", LIST_LINK, since=2023),
        Row("DERSettingsLink", "der_settings_link", LINK),
        Row("DERStatusLink", "der_status_link", LINK),
    ),
)
DER_LIST = Table(resources.DERList, (*PAGE, POLL_RATE), (Row("DER", "items", DER, many=True, isolated=True),))
DER_CAPABILITY = Table(
    resources.DERCapability,
    (HREF,),
    (
        Row("modesSupported", "modes_supported", HEX32, required=True),
        Row("modesSupported2", "modes_supported_2", HEX32, since=2023),
        Row("rtgAbnormalCategory", "rtg_abnormal_category", UINT8),
        Row("rtgMaxA", "rtg_max_a", CURRENT),
        Row("rtgMaxAh", "rtg_max_ah", AMPERE_HOUR),
        Row("rtgMaxChargeRateVA", "rtg_max_charge_rate_va", APPARENT_POWER),
        Row("rtgMaxChargeRateW", "rtg_max_charge_rate_w", ACTIVE_POWER),
        Row("rtgMaxDischargeRateVA", "rtg_max_discharge_rate_va", APPARENT_POWER),
        Row("rtgMaxDischargeRateW", "rtg_max_discharge_rate_w", ACTIVE_POWER),
        Row("rtgMaxV", "rtg_max_v", VOLTAGE),
        Row("rtgMaxVA", "rtg_max_va", APPARENT_POWER),
        Row("rtgMaxVar", "rtg_max_var", REACTIVE_POWER),
        Row("rtgMaxVarNeg", "rtg_max_var_neg", REACTIVE_POWER),
        Row("rtgMaxW", "rtg_max_w", ACTIVE_POWER, required=True),
        Row("rtgMaxWh", "rtg_max_wh", WATT_HOUR),
        Row("rtgMinPFOverExcited", "rtg_min_pf_over_excited", POWER_FACTOR),
        Row("rtgMinPFUnderExcited", "rtg_min_pf_under_excited", POWER_FACTOR),
        Row("rtgMinV", "rtg_min_v", VOLTAGE),
        Row("rtgNormalCategory", "rtg_normal_category", UINT8),
        Row("rtgOverExcitedPF", "rtg_over_excited_pf", POWER_FACTOR),
        Row("rtgOverExcitedW", "rtg_over_excited_w", ACTIVE_POWER),
        Row("rtgReactiveSusceptance", "rtg_reactive_susceptance", SUSCEPTANCE),
        Row("rtgUnderExcitedPF", "rtg_under_excited_pf", POWER_FACTOR),
        Row("rtgUnderExcitedW", "rtg_under_excited_w", ACTIVE_POWER),
        Row("rtgVNom", "rtg_v_nom", VOLTAGE),
        Row("type", "der_type", UINT8, required=True),
        Row("doeModesSupported", "doe_modes_supported", HEX8, australian="1.2"),
        Row("vppModesSupported", "vpp_modes_supported", HEX8, australian="1.3"),
    ),
)
DER_SETTINGS = Table(
    resources.DERSettings,
    (HREF, SUBSCRIBABLE),
    (
        Row("modesEnabled", "modes_enabled", HEX32),
        Row("modesEnabled2", "modes_enabled_2", HEX32, since=2023),
        *ENTER_SERVICE,
        Row("setGradW", "set_grad_w_hundredths", UINT16, required=True),
        Row("setMaxA", "set_max_a", CURRENT),
        Row("setMaxAh", "set_max_ah", AMPERE_HOUR),
        Row("setMaxChargeRateVA", "set_max_charge_rate_va", APPARENT_POWER),
        Row("setMaxChargeRateW", "set_max_charge_rate_w", ACTIVE_POWER),
        Row("setMaxDischargeRateVA", "set_max_discharge_rate_va", APPARENT_POWER),
        Row("setMaxDischargeRateW", "set_max_discharge_rate_w", ACTIVE_POWER),
        Row("setMaxV", "set_max_v", VOLTAGE),
        Row("setMaxVA", "set_max_va", APPARENT_POWER),
        Row("setMaxVar", "set_max_var", REACTIVE_POWER),
        Row("setMaxVarNeg", "set_max_var_neg", REACTIVE_POWER),
        Row("setMaxW", "set_max_w", ACTIVE_POWER, required=True),
        Row("setMaxWh", "set_max_wh", WATT_HOUR),
        Row("setMinPFOverExcited", "set_min_pf_over_excited", POWER_FACTOR),
        Row("setMinPFUnderExcited", "set_min_pf_under_excited", POWER_FACTOR),
        Row("setMinV", "set_min_v", VOLTAGE),
        Row("setSoftGradW", "set_soft_grad_w_hundredths", UINT16),
        Row("setVNom", "set_v_nom", VOLTAGE),
        Row("setVRef", "set_v_ref", VOLTAGE),
        Row("setVRefOfs", "set_v_ref_ofs", VOLTAGE),
        Row("updatedTime", "updated_time_s", INT64, required=True),
        Row("doeModesEnabled", "doe_modes_enabled", HEX8, australian="1.2"),
        Row("vppModesEnabled", "vpp_modes_enabled", HEX8, australian="1.3"),
        Row("setMinWh", "set_min_wh", WATT_HOUR, australian="1.3"),
    ),
)


def _stamped(value: Scalar, cls: type = resources.Stamped) -> Table:
    return Table(
        cls, rows=(Row("dateTime", "date_time_s", INT64, required=True), Row("value", "value", value, required=True))
    )


DER_STATUS = Table(
    resources.DERStatus,
    (HREF, SUBSCRIBABLE),
    (
        Row("alarmStatus", "alarm_status", HEX32),
        Row("connectStatus", "connect_status", _stamped(HEX8), since=2023),
        Row("genConnectStatus", "gen_connect_status", _stamped(HEX8)),
        Row("inverterStatus", "inverter_status", _stamped(UINT8)),
        Row("localControlModeStatus", "local_control_mode_status", _stamped(UINT8)),
        Row("manufacturerStatus", "manufacturer_status", _stamped(STRING6, resources.StampedText)),
        Row("operationalModeStatus", "operational_mode_status", _stamped(UINT8)),
        Row("readingTime", "reading_time_s", INT64, required=True),
        Row("stateOfChargeStatus", "state_of_charge_status", _stamped(PERCENT)),
        Row("storageModeStatus", "storage_mode_status", _stamped(UINT8)),
        Row("storConnectStatus", "stor_connect_status", _stamped(HEX8)),
    ),
)
DER_AVAILABILITY = Table(
    resources.DERAvailability,
    (HREF, SUBSCRIBABLE),
    (
        Row("availabilityDuration", "availability_duration_s", UINT32),
        Row("maxChargeDuration", "max_charge_duration_s", UINT32),
        Row("readingTime", "reading_time_s", INT64, required=True),
        Row("reserveChargePercent", "reserve_charge_hundredths", PERCENT),
        Row("reservePercent", "reserve_hundredths", PERCENT),
        Row("statVarAbsorbAvail", "stat_var_absorb_avail", UNSIGNED_VAR, since=2023),
        Row("statVarAvail", "stat_var_avail", REACTIVE_POWER),
        Row("statWAbsorbAvail", "stat_w_absorb_avail", UNSIGNED_W, since=2023),
        Row("statWAvail", "stat_w_avail", ACTIVE_POWER),
    ),
)
