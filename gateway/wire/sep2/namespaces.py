"""The namespaces of IEEE 2030.5 and CSIP-AUS: all that are read, and the one of each that is written."""

from __future__ import annotations

from gateway.wire.sep2.table import Row, Table

NAMESPACE = "urn:ieee:std:2030.5:ns"
NAMESPACES = (NAMESPACE, "http://ieee.org/2030.5", "http://zigbee.org/sep")
CSIPAUS = "https://csipaus.org/ns"
CSIPAUS_NAMESPACES = (CSIPAUS, "https://csipaus.org/ns/v1.3", "https://csipaus.org/ns/v1.3-beta/storage")


def spaces(part: Row | Table) -> tuple[str, ...]:
    """Return the namespaces in which an element, or a resource that stands alone, is read."""
    return CSIPAUS_NAMESPACES if part.australian else NAMESPACES


def tags(row: Row) -> tuple[str, ...]:
    """Return the names, each with its namespace, under which an element is read."""
    return tuple(f"{{{space}}}{row.element}" for space in spaces(row))
