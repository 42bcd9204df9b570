"""One full example of every body that may stand alone: those of `sep2_values`, metering, and every kind of answer."""

from dataclasses import replace
from typing import Any, TypeVar

from sep2_modes import MODES_OF_2023
from sep2_values import DEVICE, EXAMPLES, IDENTITY, LFDI, MRID, NOTIFICATION, ONE_DER, READING, SERIES, control

from gateway.wire.sep2 import Resource
from gateway.wire.sep2.devices import DeviceInformation
from gateway.wire.sep2.metering import (
    MeterReading,
    MeterReadingList,
    MirrorUsagePoint,
    ReadingList,
    ReadingSet,
    ReadingSetList,
    UsagePoint,
    UsagePointList,
)
from gateway.wire.sep2.modes import FreqDroop, UnsignedActivePower, UnsignedReactivePower
from gateway.wire.sep2.resources import (
    DefaultDERControl,
    DERAvailability,
    DERCapability,
    DERControlBase,
    DERControlList,
    DERControlResponse,
    DERSettings,
    DERStatus,
    Interval,
    Link,
    ListLink,
    Response,
    Stamped,
)
from gateway.wire.sep2.responses import (
    ApplianceLoadReduction,
    AppliedTargetReduction,
    DefaultDERControlResponse,
    DrResponse,
    DutyCycle,
    FlowReservationResponseResponse,
    Offset,
    PriceResponse,
    ResponseList,
    SetPoint,
    TextResponse,
)

Kind = TypeVar("Kind")
ANSWER: dict[str, Any] = {
    "created_date_time_s": 1_682_475_024,
    "end_device_lfdi": LFDI,
    "status": 3,
    "subject": MRID,
}
SHED = DrResponse(
    **ANSWER,
    appliance_load_reduction=ApplianceLoadReduction(reduction_type=1),
    applied_target_reduction=AppliedTargetReduction(unit=1, value=12),
    duty_cycle=DutyCycle(normal_value=40),
    offset=Offset(cooling_tenths=15, heating_tenths=20, load_adjustment_hundredths=2500),
    override_duration_s=600,
    set_point=SetPoint(cooling_hundredths=2400, heating_hundredths=-1800),
)
ANSWERS: tuple[Response, ...] = (
    SHED,
    PriceResponse(**ANSWER),
    TextResponse(**ANSWER),
    FlowReservationResponseResponse(**ANSWER),
)
PERIOD = Interval(start_s=1_682_475_000, duration_s=900)
SET = ReadingSet(**IDENTITY, time_period=PERIOD, reading_list_link=ListLink(href="/upt/1/mr/1/rs/1/r", total=3))
OF_A_METER = MeterReading(
    href="/upt/1/mr/1",
    **IDENTITY,
    rate_component_list_link=ListLink(href="/rc", total=0),
    reading_link=Link(href="/upt/1/mr/1/r"),
    reading_set_list_link=ListLink(href="/upt/1/mr/1/rs", total=1),
    reading_type_link=Link(href="/rt/1"),
)
POINT = UsagePoint(
    href="/upt/1",
    **IDENTITY,
    role_flags=0x13,
    service_category_kind=0,
    status=1,
    device_lfdi=LFDI,
    meter_reading_list_link=ListLink(href="/upt/1/mr", total=1),
)
LISTED = replace(READING, href="/upt/1/mr/1/r/1", subscribable=1)
METERING: tuple[Resource, ...] = (
    UsagePointList(href="/upt", total=1, results=1, subscribable=1, poll_rate_s=900, items=(POINT,)),
    POINT,
    MeterReadingList(href="/upt/1/mr", total=1, results=1, subscribable=0, items=(OF_A_METER,)),
    OF_A_METER,
    *((SERIES.reading_type,) if SERIES.reading_type else ()),
    ReadingSetList(href="/upt/1/mr/1/rs", total=1, results=1, subscribable=0, items=(SET,)),
    SET,
    ReadingList(href="/upt/1/mr/1/rs/1/r", total=3, results=1, subscribable=0, items=(LISTED,)),
    LISTED,
)
BODIES: tuple[Resource, ...] = (*EXAMPLES, *METERING, *ANSWERS)
"""Of 2018, with the extensions of CSIP-AUS 1.2 and 1.3."""


def _example(kind: type[Kind]) -> Kind:
    return next(body for body in EXAMPLES if isinstance(body, kind))


OF_2023: tuple[Resource, ...] = (
    replace(_example(DERCapability), modes_supported_2=0x3FF, doe_modes_supported=None, vpp_modes_supported=None),
    replace(
        _example(DERSettings), modes_enabled_2=0x001, doe_modes_enabled=None, vpp_modes_enabled=None, set_min_wh=None
    ),
    replace(_example(DERStatus), connect_status=Stamped(date_time_s=1_682_475_024, value=3)),
    replace(
        _example(DERAvailability),
        stat_var_absorb_avail=UnsignedReactivePower(100),
        stat_w_absorb_avail=UnsignedActivePower(5, 3),
    ),
    replace(
        ONE_DER,
        current_der_controls_link=Link(href="/edev/1/der/1/cderc"),
        der_component_list_link=ListLink(href="/edev/1/der/1/derco", total=1),
    ),
    replace(
        _example(DefaultDERControl),
        reply_to="/rsps/1/rsp",
        response_required=3,
        base=DERControlBase(
            **MODES_OF_2023,
            op_mod_freq_droop=FreqDroop(
                over_band_mhz=36,
                under_band_mhz=36,
                over_slope_thousandths=50,
                under_slope_thousandths=40,
                response_hundredths=500,
                least_w=_example(DERCapability).rtg_max_w,
            ),
        ),
        updated_time_s=1_682_475_024,
    ),
    replace(_example(DeviceInformation), connection_point_id="4102335210"),
    replace(
        DEVICE,
        aggregated_device_list_link=ListLink(href="/edev/1/ad", total=1),
        aggregation_priority_link=Link(href="/edev/1/ap"),
        distribution=1,
        phase=128,
        proxied_device_list_link=ListLink(href="/edev/1/pd", total=1),
        connection_point_link=None,
    ),
    replace(_example(MirrorUsagePoint), subscribable=0, usage_point_link=Link(href="/upt/1")),
    DERControlResponse(**ANSWER, modes_responded=0x0010_0000, modes_responded_2=0x001),
    DefaultDERControlResponse(**ANSWER, defaults_responded=1, modes_responded=2, modes_responded_2=3),
    replace(NOTIFICATION, created_date_time_s=1_682_475_024),
)
"""Each with everything that 2023 added to it."""

CARRYING = replace(
    NOTIFICATION,
    new_resource_uri=None,
    status=0,
    resource=DERControlList(href="/derp/1/derc", total=1, results=1, subscribable=1, items=(control(1),)),
)
MIXED = ResponseList(
    href="/rsps/1/rsp", total=5, results=5, items=(*ANSWERS, DERControlResponse(**ANSWER), Response(**ANSWER))
)
