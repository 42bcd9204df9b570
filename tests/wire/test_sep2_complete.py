"""Every table has all that the published schemas have of its type, in order and with their types."""

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sep2_schemas import schema_path

from gateway.wire.sep2 import scalars
from gateway.wire.sep2.scalars import Scalar
from gateway.wire.sep2.table import Attribute, Row, Table
from gateway.wire.sep2.tables import ROOTS
from gateway.wire.sep2.tables_modes import DER_CONTROL_BASE

XSD = "{http://www.w3.org/2001/XMLSchema}"
UNKEPT = {"disabled", "schemaVer"}
"""Attributes of 2023 that no table has: a disabled mode is set aside as a whole, and every edition is read alike."""
SIMPLE: dict[str, tuple[Scalar, ...]] = {
    "xs:boolean": (scalars.BOOLEAN,),
    "xs:anyURI": (scalars.URI,),
    "UInt8": (scalars.UINT8, scalars.EVENT_STATUS),
    "UInt16": (scalars.UINT16,),
    "UInt32": (scalars.UINT32,),
    "UInt40": (scalars.UINT48,),
    "UInt48": (scalars.UINT48,),
    "Int16": (scalars.INT16,),
    "Int32": (scalars.INT32,),
    "Int48": (scalars.INT48,),
    "Int64": (scalars.INT64,),
    "HexBinary8": (scalars.HEX8,),
    "HexBinary16": (scalars.HEX16,),
    "HexBinary32": (scalars.HEX32,),
    "HexBinary64": (scalars.HEX64,),
    "HexBinary160": (scalars.LFDI, scalars.CLAIMED_LFDI),
    "mRIDType": (scalars.MRID,),
    "OneHourRangeType": (scalars.ONE_HOUR,),
    "PINType": (scalars.PIN,),
    "PerCent": (scalars.PERCENT,),
    "SignedPerCent": (scalars.SIGNED_PERCENT,),
    "PowerOfTenMultiplierType": (scalars.MULTIPLIER,),
    "String6": (scalars.STRING6,),
    "String16": (scalars.STRING16,),
    "String32": (scalars.STRING32,),
    "String192": (scalars.STRING192,),
}


@dataclass(frozen=True)
class Edition:
    """One schema, by the names of its types."""

    year: int
    types: dict[str, Any]

    def base(self, name: str) -> str | None:
        """Give what a type extends."""
        extended = self.types[name].find(f".//{XSD}extension") if name in self.types else None
        return None if extended is None else str(extended.get("base"))

    def chain(self, name: str) -> list[str]:
        """Give a type and all that it extends, the outermost first."""
        base = self.base(name)
        return [*(self.chain(base) if base else []), name]

    def parts(self, name: str, kind: str) -> list[Any]:
        """Give the elements or attributes of a type and of all that it extends, in their order."""
        known = [self.types[each] for each in self.chain(name) if each in self.types]
        found = [part for each in known for part in each.iter(f"{XSD}{kind}")]
        return [part for part in found if not part.get("name").endswith("_r2_3")]

    def simple(self, name: str) -> tuple[Scalar, ...]:
        """Give how a simple type may be read."""
        while name not in SIMPLE:
            declared = self.types[name]
            restricted = declared.find(f"{XSD}restriction")
            name = str(restricted.get("base")) if restricted is not None else str(self.base(name))
        return SIMPLE[name]


@cache
def edition(year: int) -> Edition:
    root = etree.parse(Path(schema_path(f"sep2_schema_{year}.xsd"))).getroot()
    return Edition(year, {each.get("name", ""): each for each in root if each.tag.endswith("Type")})


def known(parts: tuple[Row, ...] | tuple[Attribute, ...], year: int) -> list[Any]:
    return [
        part
        for part in parts
        if part.since <= year and not (isinstance(part, Row) and (part.australian or part.read_only))
    ]


def compare(schema: Edition, name: str, table: Table, done: set[tuple[str, int]]) -> int:
    """Compare a table with its type, and so on inward; give how many elements there were."""
    if (name, id(table)) in done:
        return 0
    done.add((name, id(table)))
    rows, elements = known(table.rows, schema.year), schema.parts(name, "element")
    assert [row.element for row in rows] == [each.get("name") for each in elements], name
    attributes = {each.get("name"): each for each in schema.parts(name, "attribute") if each.get("name") not in UNKEPT}
    ours = {each.name: each for each in known(table.attributes, schema.year)}
    assert ours.keys() == attributes.keys(), name
    for key, attribute in ours.items():
        declared = attributes[key]
        assert attribute.kind in schema.simple(declared.get("type")), f"{name}@{key}"
        assert (attribute.required or attribute.must_write) == (declared.get("use") == "required"), f"{name}@{key}"
    count = len(rows)
    always = {each.name for each in fields(table.cls) if each.default is False}
    for row, declared in zip(rows, elements, strict=True):
        where, kind = f"{name}/{row.element}", declared.get("type")
        assert (row.required or row.field in always) == (declared.get("minOccurs", "1") != "0"), where
        assert row.many == (declared.get("maxOccurs", "1") != "1"), where
        if row.typed:
            assert all(kind in schema.chain(each) for each in row.typed if each in schema.types), where
        elif isinstance(row.kind, Scalar):
            assert row.kind in schema.simple(kind), where
        else:
            count += compare(schema, kind, row.kind, done)
    return count


@pytest.mark.parametrize("year", [2018, 2023])
def test_every_table_has_all_that_its_type_has(year: int) -> None:
    schema, done = edition(year), set[tuple[str, int]]()
    bodies = [name for name, table in ROOTS.items() if not table.australian and table.since <= year]
    assert sum(compare(schema, name, ROOTS[name], done) for name in bodies) > 400
    assert len(done) > 90


@pytest.mark.parametrize(("year", "count"), [(2018, 26), (2023, 41)])
def test_a_control_has_every_mode_of_its_edition(year: int, count: int) -> None:
    rows = known(DER_CONTROL_BASE.rows, year)
    assert [row.element for row in rows] == [
        each.get("name") for each in edition(year).parts("DERControlBase", "element")
    ]
    assert len(rows) == count, "the modes and rampTms"


def test_nothing_that_a_notification_may_carry_is_left_out() -> None:
    schema = edition(2023)
    (row,) = (row for row in ROOTS["Notification"].rows if row.typed)
    carried = {name for name, table in ROOTS.items() if not table.australian and "Resource" in schema.chain(name)}
    assert set(row.typed) == carried - {"Notification"}


def test_every_body_stands_in_the_readme() -> None:
    text = Path("gateway/wire/sep2/README.md").read_text()
    assert not [name for name in ROOTS if name not in text]
