"""Strategies for values of every 2030.5 resource, whose ranges are written out a second time."""

import dataclasses
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.wire.sep2 import scalars
from gateway.wire.sep2.scalars import Scalar
from gateway.wire.sep2.table import Attribute, Row, Table
from gateway.wire.sep2.tables import ROOTS

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


Editions = tuple[int, str]
"""An edition of IEEE 2030.5, and one of CSIP-AUS or none."""
EDITIONS: tuple[Editions, ...] = ((2018, "1.3"), (2023, ""))
"""There is no schema of 2023 with CSIP-AUS."""

_made: dict[tuple[int, Editions], st.SearchStrategy[Any]] = {}


def values_of(table: Table, editions: Editions) -> st.SearchStrategy[Any]:
    """Draw values of a table's class: what must be there is, what may be absent sometimes is."""
    made = _made.get((id(table), editions))
    if made is None:
        made = _made[id(table), editions] = _values_of(table, editions)
    return made


COLLECTING = settings(
    derandomize=True, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)


def drawn(name: str, editions: Editions, count: int) -> list[Any]:
    """Draw so many values of a body, the same ones every time."""
    values: list[Any] = []

    @settings(COLLECTING, max_examples=count)
    @given(values_of(ROOTS[name], editions))
    def collect(value: Any) -> None:
        values.append(value)

    collect()
    return values


def is_of(part: Table | Row | Attribute, editions: Editions) -> bool:
    """Whether editions have a body, an element or an attribute."""
    return part.since <= editions[0] and (isinstance(part, Attribute) or part.australian <= editions[1])


def _values_of(table: Table, editions: Editions) -> st.SearchStrategy[Any]:
    tolerant = {f.name for f in dataclasses.fields(table.cls) if f.default is None}
    parts: list[Row | Attribute] = [*table.attributes, *(row for row in table.rows if not row.read_only)]
    drawn = {
        part.field: _part(part, editions, optional=part.field in tolerant and not _must_be_there(part))
        for part in parts
        if is_of(part, editions)
    }
    return st.builds(table.cls, **drawn)


def _must_be_there(part: Row | Attribute) -> bool:
    return part.required or (isinstance(part, Attribute) and part.must_write)


def _part(part: Row | Attribute, editions: Editions, *, optional: bool) -> st.SearchStrategy[Any]:
    if isinstance(part, Row) and part.typed:
        typed = (ROOTS[name] for name in part.typed)
        content = st.one_of(*(values_of(each, editions) for each in typed if is_of(each, editions)))
    elif isinstance(part.kind, Scalar):
        content = RANGES[id(part.kind)]
    else:
        content = values_of(part.kind, editions)
    if isinstance(part, Row) and part.many:
        return st.lists(content, min_size=int(part.required), max_size=2).map(tuple)
    return st.none() | content if optional else content
