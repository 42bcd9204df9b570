"""Values of every 2030.5 resource: one full example each."""

from pathlib import Path
from typing import Any

from sep2_modes import CURVE, MODES_OF_2018, POWER_FACTOR_CURVE

from gateway.wire.sep2 import Resource
from gateway.wire.sep2.curves import DERCurveList
from gateway.wire.sep2.devices import (
    ConnectionPoint,
    DeviceInformation,
    DRLCCapabilities,
    EndDevice,
    EndDeviceList,
    GPSLocation,
    Registration,
)
from gateway.wire.sep2.log_events import LogEvent, LogEventList
from gateway.wire.sep2.metering import (
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorReadingSet,
    MirrorUsagePoint,
    MirrorUsagePointList,
    Reading,
    ReadingType,
)
from gateway.wire.sep2.quantities import (
    ActivePower,
    AmpereHour,
    ApparentPower,
    Current,
    PowerFactor,
    ReactivePower,
    RealEnergy,
    Susceptance,
    Voltage,
    WattHour,
)
from gateway.wire.sep2.resources import (
    DER,
    DefaultDERControl,
    DERAvailability,
    DERCapability,
    DERControl,
    DERControlBase,
    DERControlList,
    DERControlResponse,
    DERList,
    DERProgram,
    DERProgramList,
    DERSettings,
    DERStatus,
    DeviceCapability,
    Error,
    EventStatus,
    FunctionSetAssignments,
    FunctionSetAssignmentsList,
    Interval,
    Link,
    ListLink,
    Response,
    Stamped,
    StampedText,
    Time,
)
from gateway.wire.sep2.responses import ResponseList, ResponseSet, ResponseSetList
from gateway.wire.sep2.subscriptions import Condition, Notification, Subscription, SubscriptionList

CAPTURES = Path(__file__).parents[3] / "shared" / "reference" / "sep2-captures"
NS = "urn:ieee:std:2030.5:ns"
LFDI = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"
MRID = "8f20816bba3542a98b46774f20ee3dd9"
AUS = "https://csipaus.org/ns"


def control(number: int = 1, **base: Any) -> DERControl:
    return DERControl(
        href=f"/derp/1/derc/{number}",
        reply_to="/rsps/1/rsp",
        response_required=3,
        subscribable=0,
        mrid=f"{number:032x}",
        description="noon & <peak>",
        version=1,
        creation_time_s=1_726_632_956,
        event_status=EventStatus(
            current_status=1,
            date_time_s=1_726_633_064,
            potentially_superseded=True,
            potentially_superseded_time_s=1_726_633_065,
            reason="Created",
        ),
        interval=Interval(start_s=1_726_632_956 + 300 * number, duration_s=300),
        randomize_duration_s=-60,
        randomize_start_s=30,
        base=DERControlBase(**(base or {"op_mod_exp_lim_w": ActivePower(1500)})),
        device_category=0x400000,
    )


FULL_BASE: dict[str, Any] = {
    **MODES_OF_2018,
    "op_mod_connect": True,
    "op_mod_energize": False,
    "op_mod_fixed_w_hundredths": -2500,
    "op_mod_max_lim_w_hundredths": 5000,
    "op_mod_target_w": ActivePower(-32768, 1),
    "ramp_tms_hundredths": 1000,
    "op_mod_imp_lim_w": ActivePower(15, 3),
    "op_mod_exp_lim_w": ActivePower(15005, -1),
    "op_mod_gen_lim_w": ActivePower(0),
    "op_mod_load_lim_w": ActivePower(32767, 9),
}
STORAGE_TARGET: dict[str, Any] = {"op_mod_storage_target_w": ActivePower(-5, 3)}
IDENTITY: dict[str, Any] = {"mrid": MRID.upper(), "description": "one", "version": 2}
LINKS: dict[str, Any] = {
    "der_program_list_link": ListLink(href="/derp", total=2),
    "response_set_list_link": ListLink(href="/rsps", total=0),
    "time_link": Link(href="/tm"),
}
DEVICE = EndDevice(
    href="/edev/1",
    subscribable=1,
    configuration_link=Link(href="/edev/1/cfg"),
    der_list_link=ListLink(href="/edev/1/der", total=1),
    device_category=0x800000,
    lfdi=LFDI,
    log_event_list_link=ListLink(href="/edev/1/lel", total=0),
    sfdi=167_261_211_391,
    changed_time_s=1_682_464_970,
    enabled=True,
    function_set_assignments_list_link=ListLink(href="/edev/1/fsa", total=1),
    post_rate_s=300,
    registration_link=Link(href="/edev/1/rg"),
    subscription_list_link=ListLink(href="/edev/1/sub", total=0),
    connection_point_link=Link(href="/edev/1/cp"),
)
ASSIGNMENTS = FunctionSetAssignments(href="/fsa/1", subscribable=0, **LINKS, **IDENTITY)
PROGRAM = DERProgram(
    href="/derp/1",
    subscribable=1,
    **IDENTITY,
    active_der_control_list_link=ListLink(href="/derp/1/actderc", total=1),
    default_der_control_link=Link(href="/derp/1/dderc"),
    der_control_list_link=ListLink(href="/derp/1/derc", total=3),
    der_curve_list_link=ListLink(href="/derp/1/dc", total=0),
    primacy=102,
)
ONE_DER = DER(
    href="/edev/1/der/1",
    subscribable=0,
    associated_der_program_list_link=ListLink(href="/derp", total=1),
    current_der_program_link=Link(href="/derp/1"),
    der_availability_link=Link(href="/edev/1/der/1/dera"),
    der_capability_link=Link(href="/edev/1/der/1/dercap"),
    der_settings_link=Link(href="/edev/1/der/1/derg"),
    der_status_link=Link(href="/edev/1/der/1/ders"),
)
READING = Reading(
    consumption_block=0,
    quality_flags=0x0001,
    time_period=Interval(start_s=1_682_475_000, duration_s=300),
    tou_tier=0,
    value=-1500,
    local_id=0x0A,
)
SERIES = MirrorMeterReading(
    **IDENTITY,
    last_update_time_s=1_682_475_300,
    reading_sets=(
        MirrorReadingSet(
            mrid="0A", time_period=Interval(start_s=1_682_475_000, duration_s=300), readings=(READING, READING)
        ),
    ),
    next_update_time_s=1_682_475_600,
    reading=READING,
    reading_type=ReadingType(
        accumulation_behaviour=12,
        commodity=1,
        data_qualifier=2,
        flow_direction=19,
        interval_length_s=300,
        kind=37,
        phase=0,
        power_of_ten_multiplier=-1,
        uom=38,
    ),
)
USAGE_POINT = MirrorUsagePoint(
    href="/mup/1",
    **IDENTITY,
    role_flags=0x49,
    service_category_kind=0,
    status=1,
    device_lfdi=LFDI,
    meter_readings=(SERIES,),
    post_rate_s=60,
)
RESPONSES = ResponseSet(href="/rsps/1", **IDENTITY, response_list_link=ListLink(href="/rsps/1/rsp", total=1))
ANSWERS = ResponseList(
    href="/rsps/1/rsp",
    total=1,
    results=1,
    items=(Response(created_date_time_s=1_682_475_024, end_device_lfdi=LFDI, status=1, subject=MRID),),
)
SUBSCRIPTION = Subscription(
    href="/edev/0/sub/1",
    subscribed_resource="/edev/1/derp/1/derc",
    condition=Condition(attribute_identifier=0, lower_threshold=-5, upper_threshold=230_000),
    encoding=0,
    level="+S1",
    limit=1,
    notification_uri="https://gateway.example:8444/ntf/1",
)
NOTIFICATION = Notification(
    subscribed_resource="/edev/1/derp/1/derc",
    new_resource_uri="/edev/1/derp/2/derc",
    status=2,
    subscription_uri="https://utility.example/edev/0/sub/1",
)
ALARM = LogEvent(
    href="/edev/1/lel/1",
    created_s=1_682_475_024,
    details="over voltage",
    extended=253_000,
    function_set=11,
    code=0,
    event_id=7,
    pen=40_732,
    profile=2,
)
EXAMPLES: tuple[Resource, ...] = (
    DeviceCapability(
        href="/dcap",
        poll_rate_s=60,
        **LINKS,
        end_device_list_link=ListLink(href="/edev", total=5),
        mirror_usage_point_list_link=ListLink(href="/mup", total=2),
    ),
    Time(
        href="/tm",
        current_time_s=1_682_475_024,
        dst_end_time_s=1_699_174_800,
        dst_offset_s=3600,
        dst_start_time_s=1_678_615_200,
        local_time_s=1_682_453_424,
        quality=5,
        tz_offset_s=-25_200,
    ),
    EndDeviceList(href="/edev", total=1, results=1, subscribable=1, poll_rate_s=60, items=(DEVICE,)),
    DEVICE,
    Registration(href="/edev/1/rg", poll_rate_s=60, date_time_registered_s=1_682_475_024, pin=111_115),
    DeviceInformation(
        href="/edev/1/di",
        poll_rate_s=900,
        drlc_capabilities=DRLCCapabilities(
            average_energy=RealEnergy(12_000_000), max_demand=ActivePower(7), options_implemented=3
        ),
        functions_implemented=0x0800_0000_0000_0001,
        gps_location=GPSLocation(lat="-33.87", lon="151.21"),
        lfdi=LFDI,
        mf_date_s=1_600_000_000,
        mf_hw_ver="B",
        mf_id=40_732,
        mf_info="on the roof",
        mf_model="one & two",
        mf_ser_num="0001",
        primary_power=1,
        secondary_power=0,
        supported_locale_list_link=ListLink(href="/edev/1/di/loc", total=1),
        sw_act_time_s=1_682_000_000,
        sw_ver="1.2.3",
    ),
    ConnectionPoint(href="/edev/1/cp", connection_point_id="4102335210"),
    LogEventList(href="/edev/1/lel", total=1, results=1, subscribable=0, poll_rate_s=900, items=(ALARM,)),
    ALARM,
    FunctionSetAssignmentsList(href="/fsa", total=1, results=1, subscribable=1, poll_rate_s=60, items=(ASSIGNMENTS,)),
    ASSIGNMENTS,
    DERProgramList(href="/derp", total=1, results=1, subscribable=1, poll_rate_s=301, items=(PROGRAM,)),
    PROGRAM,
    DERControlList(
        href="/derp/1/derc", total=3, results=2, subscribable=1, items=(control(1), control(2, **FULL_BASE))
    ),
    control(3, op_mod_connect=False),
    DefaultDERControl(
        href="/derp/1/dderc",
        subscribable=1,
        **IDENTITY,
        base=DERControlBase(**FULL_BASE),
        set_es_delay_hundredths=30_000,
        set_es_high_freq_hundredths=5015,
        set_es_high_volt_hundredths=10_500,
        set_es_low_freq_hundredths=4975,
        set_es_low_volt_hundredths=9170,
        set_es_ramp_tms_hundredths=30_000,
        set_es_random_delay_hundredths=0,
        set_grad_w_hundredths=27,
        set_soft_grad_w_hundredths=28,
    ),
    DERCurveList(href="/derp/1/dc", total=2, results=2, items=(CURVE, POWER_FACTOR_CURVE)),
    CURVE,
    DERList(href="/edev/1/der", total=1, results=1, poll_rate_s=60, items=(ONE_DER,)),
    ONE_DER,
    DERCapability(
        href="/edev/1/der/1/dercap",
        modes_supported=0x0050_008F,
        rtg_max_a=Current(217, -1),
        rtg_max_ah=AmpereHour(200),
        rtg_max_charge_rate_w=ActivePower(5, 3),
        rtg_max_discharge_rate_w=ActivePower(5, 3),
        rtg_max_va=ApparentPower(50_000),
        rtg_max_var=ReactivePower(3000),
        rtg_max_var_neg=ReactivePower(-3000),
        rtg_max_w=ActivePower(5000),
        rtg_max_wh=WattHour(135, 2),
        rtg_min_pf_over_excited=PowerFactor(80, -2),
        rtg_normal_category=2,
        rtg_reactive_susceptance=Susceptance(1, -3),
        rtg_v_nom=Voltage(230),
        der_type=83,
        doe_modes_supported=0x0F,
        vpp_modes_supported=0x01,
    ),
    DERSettings(
        href="/edev/1/der/1/derg",
        subscribable=0,
        modes_enabled=0x0050_008F,
        set_es_delay_hundredths=1,
        set_grad_w_hundredths=27,
        set_max_va=ApparentPower(5000),
        set_max_var=ReactivePower(3000),
        set_max_w=ActivePower(5000),
        set_max_wh=WattHour(135, 2),
        set_v_ref=Voltage(2300, -1),
        updated_time_s=1_682_475_024,
        doe_modes_enabled=0x03,
        vpp_modes_enabled=0x01,
        set_min_wh=WattHour(27, 2),
    ),
    DERStatus(
        href="/edev/1/der/1/ders",
        subscribable=0,
        alarm_status=0x0000_0008,
        gen_connect_status=Stamped(date_time_s=1_682_475_024, value=0x07),
        inverter_status=Stamped(date_time_s=1_682_475_024, value=4),
        local_control_mode_status=Stamped(date_time_s=1_682_475_024, value=1),
        manufacturer_status=StampedText(date_time_s=1_682_475_024, value="ok & on"[:6]),
        operational_mode_status=Stamped(date_time_s=1_682_475_024, value=2),
        reading_time_s=1_682_475_025,
        state_of_charge_status=Stamped(date_time_s=1_682_475_024, value=9_950),
        storage_mode_status=Stamped(date_time_s=1_682_475_024, value=1),
        stor_connect_status=Stamped(date_time_s=1_682_475_024, value=0x1F),
    ),
    DERAvailability(
        href="/edev/1/der/1/dera",
        availability_duration_s=55_036,
        max_charge_duration_s=3_600,
        reading_time_s=1_682_475_028,
        reserve_charge_hundredths=1_033,
        reserve_hundredths=3_877,
        stat_var_avail=ReactivePower(100),
        stat_w_avail=ActivePower(5),
    ),
    DERControlResponse(created_date_time_s=1_682_475_024, end_device_lfdi=LFDI, status=253, subject=MRID),
    ResponseSetList(href="/rsps", total=1, results=1, poll_rate_s=60, items=(RESPONSES,)),
    RESPONSES,
    ANSWERS,
    SubscriptionList(href="/edev/0/sub", total=1, results=1, poll_rate_s=900, items=(SUBSCRIPTION,)),
    SUBSCRIPTION,
    NOTIFICATION,
    MirrorUsagePointList(href="/mup", total=1, results=1, poll_rate_s=60, items=(USAGE_POINT,)),
    USAGE_POINT,
    MirrorMeterReadingList(href="/mup/1/mr", total=1, results=1, items=(SERIES,)),
    SERIES,
    Error(max_retry_duration_s=60, reason_code=1),
)
