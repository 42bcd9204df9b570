"""In which editions a peer is written to (IEEE 2030.5 and CSIP-AUS); what comes in is read in all of them."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.wire.sep2.table import Attribute, Row, Table


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a body is written in.

    Our reading: to a peer of 2013 the elements of 2018 are written in the namespace of 2013; what it does not know it
    passes over.

    Attributes:
        edition: of IEEE 2030.5, by its year; what came later is left out.
        namespace: of all its elements.
        level: the schema and extensibility level that a subscription names.
        csip_aus: the edition of CSIP-AUS whose elements are written, or nothing.
        csip_aus_namespace: of those elements.
        schema_ver: what the outermost element bears as its schemaVer (2023), or nothing.

    """

    edition: int
    namespace: str
    level: str = "+S1"
    csip_aus: str = ""
    csip_aus_namespace: str = ""
    schema_ver: str = ""

    def has(self, part: Table | Row | Attribute) -> bool:
        """Tell whether a body, an element or an attribute is of these editions."""
        return part.since <= max(self.edition, 2018) and (
            isinstance(part, Attribute) or part.australian <= self.csip_aus
        )

    @property
    def declaration(self) -> str:
        """What the outermost element declares."""
        version = f' schemaVer="{self.schema_ver}"' if self.schema_ver else ""
        return f' xmlns="{self.namespace}"{version}'

    def __str__(self) -> str:
        """Name it."""
        return f"{self.edition} with CSIP-AUS {self.csip_aus}" if self.csip_aus else str(self.edition)
