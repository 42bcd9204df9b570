"""XML bodies of an IEEE 2030.5-2018 server with CSIP-AUS 1.2 extensions, made and read by envoy-schema.

Written by lxml because envoy-schema lacks it: the pollRate attribute of Time.
Stricter than the base standard: as CSIP-AUS does, envoy-schema wants csipaus:doeModesSupported in a DERCapability.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pydantic
import pydantic_xml
from envoy_schema.server.schema.csip_aus import connection_point
from envoy_schema.server.schema.sep2 import (
    der,
    device_capability,
    end_device,
    error,
    event,
    identification,
    metering_mirror,
    response,
    time,
    types,
)
from envoy_schema.server.schema.sep2 import der_control_types as values
from envoy_schema.server.schema.sep2 import function_set_assignments as fsa
from lxml import etree

from hil.sep2.events import Control, Marking

MEDIA_TYPE = "application/sep+xml"
SEP2_NS = "urn:ieee:std:2030.5:ns"
CSIPAUS_1_2, CSIPAUS_1_3 = b'"https://csipaus.org/ns"', b'"https://csipaus.org/ns/v1.3"'

ACTIVE_POWER_MODES = frozenset(
    {"opModExpLimW", "opModImpLimW", "opModGenLimW", "opModLoadLimW", "opModStorageTargetW", "opModTargetW"}
)
PERCENT_MODES = frozenset({"opModFixedW", "opModMaxLimW"})

Body = TypeVar("Body", bound=pydantic_xml.BaseXmlModel)


class BadBodyError(ValueError):
    """A body that envoy-schema, or the schema given to the head-end, does not take."""


def encode(model: pydantic_xml.BaseXmlModel) -> bytes:
    """Serialize a model of envoy-schema, leaving out what is not set."""
    xml = model.to_xml(skip_empty=False, exclude_none=True, encoding="UTF-8", xml_declaration=True)
    return xml if isinstance(xml, bytes) else xml.encode()


def decode(kind: type[Body], body: bytes, schema: etree.XMLSchema | None = None) -> Body:
    """Read a body as one model; raises BadBodyError when it is malformed, another element or against the schema.

    The models are bound to the namespace of CSIP-AUS 1.2; that of 1.3, whose elements they have, is read as if it were.
    """
    try:
        tree = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
        if schema is not None:
            schema.assertValid(tree)
        return kind.from_xml(body.replace(CSIPAUS_1_3, CSIPAUS_1_2))
    except (etree.DocumentInvalid, etree.XMLSyntaxError, pydantic_xml.ParsingError, pydantic.ValidationError) as fault:
        raise BadBodyError(f"body is no {kind.__name__}: {fault}") from fault


def root_name(body: bytes) -> str:
    """Local name of the root element; raises BadBodyError when the body is not XML."""
    try:
        return etree.QName(etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))).localname
    except etree.XMLSyntaxError as fault:
        raise BadBodyError(f"body is no XML: {fault}") from fault


def active_power(watts: int) -> values.ActivePower:
    """Write a power as Int16 x 10^n with the smallest n that holds it exactly; raises ValueError where none does."""
    significand, exponent = watts, 0
    while not -32768 <= significand <= 32767 and significand % 10 == 0:
        significand, exponent = significand // 10, exponent + 1
    if not -32768 <= significand <= 32767:
        raise ValueError(f"{watts} W has no exact Int16 significand; round it, for example to hundreds of watts")
    return values.ActivePower(multiplier=exponent, value=significand)


def control_base(modes: Mapping[str, object]) -> der.DERControlBase:
    """Make a DERControlBase from modes by element name.

    Powers are W, percentages per cent (80 is written 8000), opModConnect and opModEnergize bool, opModTargetVar var.
    A table is passed on as it is, so {"value": 32767, "multiplier": 9} or {"href": "/dc/1"} reach the wire unchecked.
    Raises ValueError for an element that DERControlBase does not have.
    """
    unknown = modes.keys() - der.DERControlBase.model_fields.keys()
    if unknown:
        raise ValueError(f"DERControlBase has no {', '.join(sorted(unknown))}")
    try:
        return der.DERControlBase.model_validate({name: _mode_value(name, value) for name, value in modes.items()})
    except pydantic.ValidationError as fault:
        raise ValueError(f"modes do not fit DERControlBase: {fault}") from fault


def _mode_value(name: str, value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if name in ACTIVE_POWER_MODES:
        return active_power(round(value))
    if name in PERCENT_MODES:
        return round(value * 100)
    if name == "opModTargetVar":
        return values.ReactivePower(multiplier=0, value=round(value))
    return value


def device_capability_body(
    poll_rate_s: int, *, end_devices: int, response_sets: int, mirror_usage_points: int
) -> bytes:
    return encode(
        device_capability.DeviceCapabilityResponse(
            href="/dcap",
            pollRate=poll_rate_s,
            TimeLink=link("/tm"),
            ResponseSetListLink=list_link("/rsps", response_sets),
            EndDeviceListLink=list_link("/edev", end_devices),
            MirrorUsagePointListLink=list_link("/mup", mirror_usage_points),
        )
    )


def time_body(now_s: int, quality: int, poll_rate_s: int) -> bytes:
    """Time in UTC without daylight saving; the pollRate attribute is written by lxml."""
    plain = encode(
        time.TimeResponse(
            href="/tm",
            currentTime=now_s,
            dstEndTime=0,
            dstOffset=0,
            dstStartTime=0,
            quality=types.TimeQualityType(quality),
            tzOffset=0,
        )
    )
    tree = etree.fromstring(plain)
    tree.set("pollRate", str(poll_rate_s))
    return etree.tostring(tree, encoding="UTF-8", xml_declaration=True)


def end_device_item(
    index: int, lfdi: str, sfdi: int, changed_s: int, *, resource: tuple[int, int] | None
) -> end_device.EndDeviceResponse:
    """An EndDevice; `resource` is (its assignments, its DER), None for the aggregator's own, which has neither."""
    href = f"/edev/{index}"
    return end_device.EndDeviceResponse(
        href=href,
        lFDI=lfdi,
        sFDI=sfdi,
        changedTime=changed_s,
        enabled=True,
        RegistrationLink=link(f"{href}/rg"),
        FunctionSetAssignmentsListLink=list_link(f"{href}/fsa", resource[0]) if resource else None,
        DERListLink=list_link(f"{href}/der", resource[1]) if resource else None,
        DeviceInformationLink=link(f"{href}/di") if resource else None,
        LogEventListLink=list_link(f"{href}/lel", 0) if resource else None,
        ConnectionPointLink=connection_point.ConnectionPointLink(href=f"{href}/cp") if resource else None,
    )


def registration_body(href: str, pin: int, registered_s: int, poll_rate_s: int) -> bytes:
    return encode(
        end_device.RegistrationResponse(href=href, pollRate=poll_rate_s, dateTimeRegistered=registered_s, pIN=pin)
    )


def assignments_item(href: str, mrid: str, name: str, programs: int) -> fsa.FunctionSetAssignmentsResponse:
    return fsa.FunctionSetAssignmentsResponse(
        href=href,
        mRID=mrid,
        description=name[:32],
        TimeLink=link("/tm"),
        DERProgramListLink=list_link(f"{href}/derp", programs),
    )


def program_item(
    href: str, mrid: str, name: str, primacy: int, controls: int, *, has_default: bool, curves: int = 0
) -> der.DERProgramResponse:
    return der.DERProgramResponse(
        href=href,
        mRID=mrid,
        description=name[:32],
        primacy=primacy,
        DefaultDERControlLink=link(f"{href}/dderc") if has_default else None,
        DERControlListLink=list_link(f"{href}/derc", controls),
        DERCurveListLink=list_link(f"{href}/dc", curves) if curves else None,
    )


def default_control_body(href: str, mrid: str, modes: Mapping[str, object], set_grad_w: int | None) -> bytes:
    return encode(der.DefaultDERControl(href=href, mRID=mrid, DERControlBase_=control_base(modes), setGradW=set_grad_w))


def control_item(href: str, reply_to: str, control: Control, marking: Marking) -> der.DERControlResponse:
    return der.DERControlResponse(
        href=href,
        replyTo=reply_to,
        responseRequired=control.response_required,
        mRID=control.mrid,
        description=control.name[:32],
        version=control.version,
        creationTime=control.created_s,
        EventStatus_=event.EventStatus(
            currentStatus=marking.status,
            dateTime=marking.since_s,
            potentiallySuperseded=marking.partly_superseded_s is not None,
            potentiallySupersededTime=marking.partly_superseded_s,
        ),
        interval=types.DateTimeIntervalType(start=control.start_s, duration=control.duration_s),
        randomizeStart=control.randomize_start_s,
        randomizeDuration=control.randomize_duration_s,
        DERControlBase_=control_base(control.modes),
    )


def der_item(href: str) -> der.DER:
    return der.DER(
        href=href,
        DERAvailabilityLink=link(f"{href}/dera"),
        DERCapabilityLink=link(f"{href}/dercap"),
        DERSettingsLink=link(f"{href}/derg"),
        DERStatusLink=link(f"{href}/ders"),
    )


def response_set_item(href: str, mrid: str, name: str, responses: int) -> response.ResponseSet:
    return response.ResponseSet(
        href=href, mRID=mrid, description=name[:32], ResponseListLink=list_link(f"{href}/rsp", responses)
    )


def error_body(reason: int) -> bytes:
    return encode(error.ErrorResponse(reasonCode=types.ReasonCodeType(reason)))


def link(href: str) -> identification.Link:
    return identification.Link(href=href)


def list_link(href: str, count: int) -> identification.ListLink:
    return identification.ListLink(href=href, all_=count)


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of list: its envelope, the field of its members, and whether it carries pollRate."""

    kind: type[pydantic_xml.BaseXmlModel]
    member: str
    polled: bool = True

    def body(self, href: str, total: int, items: Sequence[pydantic_xml.BaseXmlModel], poll_rate_s: int) -> bytes:
        """Serialize one page: `items` of `total`."""
        fields: dict[str, object] = {"href": href, "all_": total, "results": len(items), self.member: list(items)}
        if self.polled:
            fields["pollRate"] = poll_rate_s
        return encode(self.kind.model_validate(fields))


END_DEVICES = Listing(end_device.EndDeviceListResponse, "EndDevice")
ASSIGNMENTS = Listing(fsa.FunctionSetAssignmentsListResponse, "FunctionSetAssignments")
PROGRAMS = Listing(der.DERProgramListResponse, "DERProgram")
CONTROLS = Listing(der.DERControlListResponse, "DERControl", polled=False)
DERS = Listing(der.DERListResponse, "DER_")
RESPONSE_SETS = Listing(response.ResponseSetList, "ResponseSet_")
RESPONSES = Listing(response.ResponseListResponse, "Response_", polled=False)
MIRROR_USAGE_POINTS = Listing(metering_mirror.MirrorUsagePointListResponse, "mirrorUsagePoints")

DER_DOCUMENTS: Mapping[str, type[pydantic_xml.BaseXmlModel]] = {
    "dera": der.DERAvailability,
    "dercap": der.DERCapability,
    "derg": der.DERSettings,
    "ders": der.DERStatus,
}
