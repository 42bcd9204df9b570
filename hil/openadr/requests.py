"""What a VEN may post and put, judged by the schema's required fields, types and lengths (3.1 schema)."""

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec

from hil.openadr.events import NOW, Body
from hil.openadr.objects import bad_request, forbidden

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
ObjectId = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern="^[a-zA-Z0-9_-]*$")]
Duration = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^P(?=\d|T\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)([DW]))?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$"
    ),
]


class Point(msgspec.Struct):
    x: float
    y: float


class ValuesMap(msgspec.Struct):
    type: Name
    values: list[bool | int | float | str | Point]


class IntervalPeriod(msgspec.Struct):
    start: str | None = None
    duration: Duration | None = None
    randomize_start: Duration | None = msgspec.field(name="randomizeStart", default=None)

    def __post_init__(self) -> None:
        if self.start is None or self.start in (NOW, f"{NOW}T00:00:00"):
            return
        if dt.datetime.fromisoformat(self.start).tzinfo is None:
            raise ValueError(f'start "{self.start}" has no zone; write it as RFC 3339 does')


class ReportInterval(msgspec.Struct):
    id: int
    payloads: list[ValuesMap]
    period: IntervalPeriod | None = msgspec.field(name="intervalPeriod", default=None)


class ReportResource(msgspec.Struct):
    name: Name = msgspec.field(name="resourceName")
    intervals: list[ReportInterval] = msgspec.field()
    period: IntervalPeriod | None = msgspec.field(name="intervalPeriod", default=None)


class ReportDescriptor(msgspec.Struct):
    object_type: Literal["REPORT_PAYLOAD_DESCRIPTOR"] = msgspec.field(name="objectType")
    payload_type: Name = msgspec.field(name="payloadType")
    reading_type: Name | None = msgspec.field(name="readingType", default=None)
    units: Name | None = None
    accuracy: float | None = None
    confidence: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None


class ReportRequest(msgspec.Struct):
    event_id: ObjectId = msgspec.field(name="eventID")
    client_name: Name = msgspec.field(name="clientName")
    resources: list[ReportResource] = msgspec.field()
    report_name: str | None = msgspec.field(name="reportName", default=None)
    descriptors: list[ReportDescriptor] | None = msgspec.field(name="payloadDescriptors", default=None)


class VenRequest(msgspec.Struct):
    object_type: Literal["VEN_VEN_REQUEST"] = msgspec.field(name="objectType")
    name: Name = msgspec.field(name="venName")
    attributes: list[ValuesMap] | None = None


class ResourceRequest(msgspec.Struct):
    object_type: Literal["VEN_RESOURCE_REQUEST"] = msgspec.field(name="objectType")
    name: Name = msgspec.field(name="resourceName")
    ven_id: ObjectId = msgspec.field(name="venID")
    attributes: list[ValuesMap] | None = None


def read_body(raw: bytes) -> Body:
    """Read a JSON object; ProblemError 400 when it is none."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.MsgspecError as fault:
        raise bad_request(f"the body is not a JSON object: {fault}") from fault


def report_request(body: Body) -> ReportRequest:
    """Judge a report; ProblemError 400 tells what is wrong."""
    try:
        return msgspec.convert(body, ReportRequest)
    except msgspec.ValidationError as fault:
        raise bad_request(str(fault)) from fault


def ven_request(body: Body) -> VenRequest:
    """Judge a VEN's own ven; ProblemError 400, or 403 where it writes what only business logic may."""
    _refuse_business_logic(body, "BL_VEN_REQUEST")
    try:
        return msgspec.convert(body, VenRequest)
    except msgspec.ValidationError as fault:
        raise bad_request(str(fault)) from fault


def resource_request(body: Body) -> ResourceRequest:
    """Judge a VEN's own resource; ProblemError 400, or 403 where it writes what only business logic may."""
    _refuse_business_logic(body, "BL_RESOURCE_REQUEST")
    try:
        return msgspec.convert(body, ResourceRequest)
    except msgspec.ValidationError as fault:
        raise bad_request(str(fault)) from fault


def _refuse_business_logic(body: Body, object_type: str) -> None:
    if body.get("objectType") == object_type or body.get("targets"):
        raise forbidden("only business logic writes targets and BL requests (3.1 Definition, Object Privacy)")
