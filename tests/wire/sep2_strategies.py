"""Strategies for values of every 2030.5 resource, whose ranges are written out a second time."""

import dataclasses
from typing import Any

from hypothesis import strategies as st

from gateway.wire.sep2 import scalars
from gateway.wire.sep2.scalars import Scalar
from gateway.wire.sep2.table import Attribute, Row, Table

_TEXT = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff", include_characters="\n\t\r")
_HEX_DIGITS = "0123456789abcdefABCDEF"


def _text(longest: int) -> st.SearchStrategy[str]:
    return st.text(_TEXT, max_size=longest)


TEXTS = ((scalars.STRING6, 6), (scalars.STRING16, 16), (scalars.STRING32, 32), (scalars.STRING192, 192))
RANGES: dict[int, st.SearchStrategy[Any]] = {
    id(kind): strategy
    for kind, strategy in (
        (scalars.BOOLEAN, st.booleans()),
        (scalars.UINT8, st.integers(0, 255)),
        (scalars.UINT16, st.integers(0, 65_535)),
        (scalars.UINT32, st.integers(0, 4_294_967_295)),
        (scalars.UINT48, st.integers(0, 281_474_976_710_655)),
        (scalars.INT16, st.integers(-32_768, 32_767)),
        (scalars.INT32, st.integers(-2_147_483_648, 2_147_483_647)),
        (scalars.INT48, st.integers(-140_737_488_355_328, 140_737_488_355_328)),
        (scalars.INT64, st.integers(-9_223_372_036_854_775_808, 9_223_372_036_854_775_807)),
        (scalars.MULTIPLIER, st.integers(-9, 9)),
        (scalars.PERCENT, st.integers(0, 10_000)),
        (scalars.SIGNED_PERCENT, st.integers(-10_000, 10_000)),
        (scalars.ONE_HOUR, st.integers(-3600, 3600)),
        (scalars.EVENT_STATUS, st.integers(0, 5)),
        (scalars.PIN, st.integers(0, 999_999)),
        (scalars.HEX8, st.integers(0, 0xFF)),
        (scalars.HEX16, st.integers(0, 0xFFFF)),
        (scalars.HEX32, st.integers(0, 0xFFFF_FFFF)),
        (scalars.HEX64, st.integers(0, 0xFFFF_FFFF_FFFF_FFFF)),
        *((kind, _text(longest)) for kind, longest in TEXTS),
        (scalars.URI, st.from_regex(r"/[a-z0-9/_.~?=&;-]{0,40}", fullmatch=True)),
        (scalars.LFDI, st.text("0123456789ABCDEF", min_size=40, max_size=40)),
        (scalars.CLAIMED_LFDI, st.text("0123456789ABCDEF", min_size=40, max_size=40)),
        (scalars.MRID, st.integers(1, 16).flatmap(lambda n: st.text(_HEX_DIGITS, min_size=2 * n, max_size=2 * n))),
    )
}


def values_of(table: Table) -> st.SearchStrategy[Any]:
    """Draw values of a table's class: what must be there is, what may be absent sometimes is."""
    tolerant = {f.name for f in dataclasses.fields(table.cls) if f.default is None}
    drawn: dict[str, st.SearchStrategy[Any]] = {}
    parts: list[Row | Attribute] = [*table.attributes, *(row for row in table.rows if not row.read_only)]
    for part in parts:
        drawn[part.field] = _part(part, optional=part.field in tolerant and not _must_be_there(part))
    return st.builds(table.cls, **drawn)


def _must_be_there(part: Row | Attribute) -> bool:
    return part.required or (isinstance(part, Attribute) and part.must_write)


def _part(part: Row | Attribute, *, optional: bool) -> st.SearchStrategy[Any]:
    content = RANGES[id(part.kind)] if isinstance(part.kind, Scalar) else values_of(part.kind)
    if isinstance(part, Row) and part.many:
        return st.lists(content, min_size=int(part.required), max_size=2).map(tuple)
    return st.none() | content if optional else content
