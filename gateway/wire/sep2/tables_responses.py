"""Tables of all kinds of answers, and of where they are collected, in the order of the 2018 schema."""

from __future__ import annotations

from dataclasses import replace

from gateway.wire.sep2 import resources, responses
from gateway.wire.sep2.scalars import HEX32, INT16, INT64, LFDI, MRID, PERCENT, UINT8, UINT16
from gateway.wire.sep2.table import HREF, IDENTIFIED, LIST_LINK, PAGE, POLL_RATE, Row, Table

RESPONSE = Table(
    resources.Response,
    (HREF,),
    (
        Row("createdDateTime", "created_date_time_s", INT64),
        Row("endDeviceLFDI", "end_device_lfdi", LFDI, required=True),
        Row("status", "status", UINT8),
        Row("subject", "subject", MRID, required=True),
    ),
)
RESPONDED = (
    Row("modesResponded", "modes_responded", HEX32, since=2023),
    Row("modesResponded2", "modes_responded_2", HEX32, since=2023),
)
DER_CONTROL_RESPONSE = replace(RESPONSE, cls=resources.DERControlResponse, rows=(*RESPONSE.rows, *RESPONDED))
DEFAULT_DER_CONTROL_RESPONSE = replace(
    RESPONSE,
    cls=responses.DefaultDERControlResponse,
    rows=(
        *RESPONSE.rows,
        Row("defaultsResponded", "defaults_responded", HEX32, required=True),
        *(replace(row, required=True) for row in RESPONDED),
    ),
    since=2023,
)
PRICE_RESPONSE = replace(RESPONSE, cls=responses.PriceResponse)
TEXT_RESPONSE = replace(RESPONSE, cls=responses.TextResponse)
FLOW_RESERVATION_RESPONSE = replace(RESPONSE, cls=responses.FlowReservationResponseResponse)
DR_RESPONSE = replace(
    RESPONSE,
    cls=responses.DrResponse,
    rows=(
        *RESPONSE.rows,
        Row(
            "ApplianceLoadReduction",
            "appliance_load_reduction",
            Table(responses.ApplianceLoadReduction, rows=(Row("type", "reduction_type", UINT8, required=True),)),
        ),
        Row(
            "AppliedTargetReduction",
            "applied_target_reduction",
            Table(
                responses.AppliedTargetReduction,
                rows=(Row("type", "unit", UINT8, required=True), Row("value", "value", UINT16, required=True)),
            ),
        ),
        Row(
            "DutyCycle",
            "duty_cycle",
            Table(responses.DutyCycle, rows=(Row("normalValue", "normal_value", UINT8, required=True),)),
        ),
        Row(
            "Offset",
            "offset",
            Table(
                responses.Offset,
                rows=(
                    Row("coolingOffset", "cooling_tenths", UINT8),
                    Row("heatingOffset", "heating_tenths", UINT8),
                    Row("loadAdjustmentPercentageOffset", "load_adjustment_hundredths", PERCENT),
                ),
            ),
        ),
        Row("overrideDuration", "override_duration_s", UINT16),
        Row(
            "SetPoint",
            "set_point",
            Table(
                responses.SetPoint,
                rows=(
                    Row("coolingSetpoint", "cooling_hundredths", INT16),
                    Row("heatingSetpoint", "heating_hundredths", INT16),
                ),
            ),
        ),
    ),
)
KINDS: dict[str, Table] = {
    "DERControlResponse": DER_CONTROL_RESPONSE,
    "DefaultDERControlResponse": DEFAULT_DER_CONTROL_RESPONSE,
    "DrResponse": DR_RESPONSE,
    "PriceResponse": PRICE_RESPONSE,
    "TextResponse": TEXT_RESPONSE,
    "FlowReservationResponseResponse": FLOW_RESERVATION_RESPONSE,
}
"""What a Response may be more closely; in a list its xsi:type says so."""
RESPONSE_LIST = Table(
    responses.ResponseList,
    PAGE,
    (Row("Response", "items", RESPONSE, many=True, isolated=True, typed=tuple(KINDS)),),
)
RESPONSE_SET = Table(
    responses.ResponseSet, (HREF,), (*IDENTIFIED, Row("ResponseListLink", "response_list_link", LIST_LINK))
)
RESPONSE_SET_LIST = Table(
    responses.ResponseSetList,
    (*PAGE, POLL_RATE),
    (Row("ResponseSet", "items", RESPONSE_SET, many=True, isolated=True),),
)
