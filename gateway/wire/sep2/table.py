"""How a type of IEEE 2030.5 is described, once for reading and writing, and the types that many resources share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.wire.sep2 import quantities, resources
from gateway.wire.sep2.scalars import (
    INT16,
    INT32,
    INT64,
    MRID,
    MULTIPLIER,
    STRING32,
    UINT8,
    UINT16,
    UINT32,
    URI,
    Scalar,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One element of a resource.

    Attributes:
        element: its local name; `field` is the attribute of the value that holds it.
        kind: a simple type, or the table of a nested element.
        required: absent is a fault, reading and writing.
        many: any count of them, held as a tuple.
        isolated: of many, a faulty one becomes `Faulty` and leaves the others alone.
        australian: of the CSIP-AUS namespace: the edition of CSIP-AUS that brought it.
        since: the edition of IEEE 2030.5 that brought it; what 2013 and 2018 share is of 2018 here.
        typed: the element says by its xsi:type which of these bodies it is; of another or none, `kind` is meant.
        read_only: understood, never written.
        aside: one that is faulty or there twice is named among the table's `rest`, and unseats nothing beside it.
        most: of many, as many as there may be; 0 leaves it to the codec.

    """

    element: str
    field: str
    kind: Scalar | Table
    required: bool = False
    many: bool = False
    isolated: bool = False
    australian: str = ""
    since: int = 2018
    read_only: bool = False
    aside: bool = False
    most: int = 0
    typed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attribute:
    """One XML attribute of a resource; `required` and `since` as in `Row`, `must_write` only where we write."""

    name: str
    field: str
    kind: Scalar
    required: bool = False
    must_write: bool = False
    since: int = 2018


@dataclass(frozen=True, slots=True)
class Table:
    """One type: its value class, attributes and elements in schema order.

    Where `rest` is set, unlisted elements whose name begins with `rest_prefix` are named in that field. `australian`
    and `since` are those of a body, as in `Row`.
    """

    cls: type
    attributes: tuple[Attribute, ...] = ()
    rows: tuple[Row, ...] = ()
    rest: str = ""
    rest_prefix: str = ""
    australian: str = ""
    since: int = 2018


HREF = Attribute("href", "href", URI)
SUBSCRIBABLE = Attribute("subscribable", "subscribable", UINT8)
POLL_RATE = Attribute("pollRate", "poll_rate_s", UINT32)
PAGE = (
    HREF,
    Attribute("all", "total", UINT32, must_write=True),
    Attribute("results", "results", UINT32, must_write=True),
)
IDENTIFIED = (
    Row("mRID", "mrid", MRID, required=True),
    Row("description", "description", STRING32),
    Row("version", "version", UINT16),
)

LINK = Table(resources.Link, (replace(HREF, required=True),))
LIST_LINK = Table(resources.ListLink, (replace(HREF, required=True), Attribute("all", "total", UINT32)))


def scaled(cls: type, value: Scalar, element: str = "value") -> Table:
    """Make the table of a quantity: schema order is alphabetical."""
    multiplier = Row("multiplier", "multiplier", MULTIPLIER, required=True)
    quantity = Row(element, "value", value, required=True)
    return Table(cls, rows=(multiplier, quantity) if element == "value" else (quantity, multiplier))


ACTIVE_POWER = scaled(quantities.ActivePower, INT16)
REACTIVE_POWER = scaled(quantities.ReactivePower, INT16)
APPARENT_POWER = scaled(quantities.ApparentPower, UINT16)
WATT_HOUR = scaled(quantities.WattHour, UINT16)
AMPERE_HOUR = scaled(quantities.AmpereHour, UINT16)
CURRENT = scaled(quantities.Current, UINT16)
VOLTAGE = scaled(quantities.Voltage, UINT16)
SUSCEPTANCE = scaled(quantities.Susceptance, UINT16)
POWER_FACTOR = scaled(quantities.PowerFactor, UINT16, "displacement")
UNIT_VALUE = Table(
    quantities.UnitValue,
    rows=(
        Row("multiplier", "multiplier", MULTIPLIER, required=True),
        Row("unit", "unit", UINT8, required=True),
        Row("value", "value", INT32, required=True),
    ),
)
INTERVAL = Table(
    resources.Interval,
    rows=(Row("duration", "duration_s", UINT32, required=True), Row("start", "start_s", INT64, required=True)),
)
