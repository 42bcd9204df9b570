"""What a head-end is told to offer and what it has received; instants are shared-clock milliseconds."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from envoy_schema.server.schema.sep2.metering import ReadingType
from pydantic_xml import BaseXmlModel

from hil.sep2.curves import Curve
from hil.sep2.events import Control


@dataclass(frozen=True, slots=True)
class Resource:
    """One EndDevice that the aggregator speaks for; `lfdi` is 40 hex digits in upper case."""

    name: str
    lfdi: str
    pin: int = 111115
    ders: int = 1


@dataclass(slots=True)
class Program:
    """One DERProgram: who is in it, its default (modes by element name, None for no default) and its controls."""

    name: str
    mrid: str
    primacy: int
    resources: tuple[str, ...]
    default: Mapping[str, object] | None = None
    set_grad_w: int | None = None
    controls: dict[str, Control] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answer:
    """One DERControlResponse: `status` is a code of IEEE 2030.5-2018 Table 27."""

    t_ms: int
    program: str
    control: str
    mrid: str
    resource: str
    lfdi: str
    status: int
    created_s: int | None


@dataclass(frozen=True, slots=True)
class PostedReading:
    """One Reading: value x 10^multiplier in the unit `uom` (IEC 61968-9: 38 W, 63 var, 29 V)."""

    t_ms: int
    lfdi: str
    usage_point: str
    meter_reading: str
    description: str | None
    uom: int | None
    flow_direction: int | None
    data_qualifier: int | None
    multiplier: int
    value: int
    start_s: int | None
    duration_s: int | None


@dataclass(frozen=True, slots=True)
class PutDocument:
    """The last DERCapability, DERSettings, DERStatus or DERAvailability put to one path."""

    t_ms: int
    resource: str
    document: BaseXmlModel


@dataclass(slots=True)
class UsagePoint:
    """One MirrorUsagePoint and the types of its meter readings by mRID."""

    index: int
    mrid: str
    lfdi: str
    description: str | None
    role_flags: str
    types: dict[str, ReadingType] = field(default_factory=dict)


def lfdi_of(certificate_der: bytes) -> str:
    """Long-form device identifier: the first 160 bits of the certificate's SHA-256 (IEEE 2030.5-2018 6.3.4)."""
    return hashlib.sha256(certificate_der).hexdigest()[:40].upper()


def sfdi_of(lfdi: str) -> int:
    """Short-form device identifier: the first 36 bits in decimal and a digit that makes the digit sum end in zero."""
    number = int(lfdi[:9], 16)
    return number * 10 + -sum(int(digit) for digit in str(number)) % 10


def mrid_of(name: str) -> str:
    """A stable mRID for an object that is known by name: 128 bits of its SHA-256."""
    return hashlib.sha256(name.encode()).hexdigest()[:32].upper()
