"""The objects of OpenADR 3.1 that a VEN reads and writes (OpenADR 3.1.0, openadr3.yaml, components/schemas).

What is read asks only for what its meaning hangs on; what is written bears all that the schema requires.
"""

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType, field

AGGREGATED: Final = "AGGREGATED_REPORT"
"""The resource name of a report on several resources in sum."""


class Payload(Struct, frozen=True):
    """Values of one type, as any JSON has them; what a type's values may be is checked where it is understood."""

    type: str
    values: tuple[Any, ...] = ()


class Period(Struct, frozen=True, rename="camel", omit_defaults=True):
    """When something starts and how long it lasts, as written; None where it is inherited."""

    start: str | None = None
    duration: str | None = None
    randomize_start: str | None = None


class Interval(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One interval of an event or of a report; its id is a name, not a place."""

    id: int
    payloads: tuple[Payload, ...]
    interval_period: Period | None = None


class PayloadDescriptor(Struct, frozen=True, rename="camel"):
    """What a payload type of an event or a program is measured in."""

    payload_type: str
    units: str | None = None
    currency: str | None = None


class ReportDescriptor(Struct, frozen=True, rename="camel"):
    """What a VEN is asked to report."""

    payload_type: str
    reading_type: str | None = None
    units: str | None = None
    targets: tuple[str | Payload, ...] | None = None
    aggregate: bool | None = False
    historical: bool | None = True


class Program(Struct, frozen=True, rename="camel"):
    """A program: its name, and what its events' payloads are measured in where they do not say."""

    id: str
    program_name: str = ""
    payload_descriptors: tuple[PayloadDescriptor, ...] | None = None


class Event(Struct, frozen=True):
    """An event as it is listed; what it leaves open its program may say."""

    id: str
    program_id: str = field(name="programID", default="")
    event_name: str | None = field(name="eventName", default=None)
    created: str | None = field(name="createdDateTime", default=None)
    modified: str | None = field(name="modificationDateTime", default=None)
    duration: str | None = None
    priority: int | None = None
    targets: tuple[str | Payload, ...] | None = None
    payload_descriptors: tuple[PayloadDescriptor, ...] | None = field(name="payloadDescriptors", default=None)
    report_descriptors: tuple[ReportDescriptor, ...] | None = field(name="reportDescriptors", default=None)
    period: Period | None = field(name="intervalPeriod", default=None)
    intervals: tuple[Interval, ...] | None = None


class Ven(Struct, frozen=True, rename="camel"):
    """A VEN as the VTN knows it; the targets are the VTN's own names for it."""

    id: str
    ven_name: str = ""
    targets: tuple[str | Payload, ...] | None = None


class Resource(Struct, frozen=True, rename="camel"):
    """A resource as the VTN knows it; the targets are the VTN's own names for it."""

    id: str
    resource_name: str = ""
    targets: tuple[str | Payload, ...] | None = None


class AuthServer(Struct, frozen=True):
    """Where tokens are had."""

    token_url: str = field(name="tokenURL")


class Token(Struct, frozen=True):
    """A bearer token and how long it holds (s), where that is said (RFC 6749, 5.1)."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of a kind of token
    expires_in: float | None = None

    def __repr__(self) -> str:
        """Give nothing away."""
        return "Token(...)"


class VenRequest(Struct, frozen=True, rename="camel"):
    """What a VEN says of itself."""

    ven_name: str
    object_type: str = "VEN_VEN_REQUEST"


class ResourceRequest(Struct, frozen=True):
    """What a VEN says of a resource of its own."""

    resource_name: str = field(name="resourceName")
    ven_id: str = field(name="venID")
    object_type: str = field(name="objectType", default="VEN_RESOURCE_REQUEST")


class ReportPayloadDescriptor(Struct, frozen=True, rename="camel"):
    """What a payload type of a report is measured in."""

    payload_type: str
    units: str | UnsetType = UNSET
    reading_type: str | UnsetType = UNSET
    object_type: str = "REPORT_PAYLOAD_DESCRIPTOR"


class ReportResource(Struct, frozen=True, rename="camel"):
    """What is reported of one resource."""

    resource_name: str
    interval_period: Period
    intervals: tuple[Interval, ...]


class Report(Struct, frozen=True):
    """A report on one event."""

    event_id: str = field(name="eventID")
    client_name: str = field(name="clientName")
    report_name: str = field(name="reportName")
    payload_descriptors: tuple[ReportPayloadDescriptor, ...] = field(name="payloadDescriptors")
    resources: tuple[ReportResource, ...]
