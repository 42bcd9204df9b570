"""Elements that stand for others and say by their xsi:type which (2018 schema: Resource, Response)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from lxml.etree import _Element

from gateway.wire.sep2.dialects import Dialect
from gateway.wire.sep2.table import Row, Table
from gateway.wire.sep2.tables import ROOTS

XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_TYPE: Final = f"{{{XSI}}}type"

_Read: TypeAlias = "Callable[[_Element], Any]"
_Write: TypeAlias = "Callable[[Any, list[str]], None]"


def typed_reader(row: Row, read_plain: _Read, reader: Callable[[Table], _Read]) -> _Read:
    """Make what reads an element by its type; the tables are asked for when one is needed, for they may nest."""
    named = frozenset(row.typed)

    def read(element: _Element) -> Any:  # noqa: ANN401 - of the class of one of the tables
        name = element.get(_TYPE, "").strip().rpartition(":")[2]
        return (reader(ROOTS[name]) if name in named else read_plain)(element)

    return read


def typed_writer(row: Row, write_plain: _Write, writer: Callable[[Table, str], _Write], dialect: Dialect) -> _Write:
    """Make what writes an element with its type; `writer` takes a table and what its first tag is to declare."""
    writers: dict[type, _Write] = {}

    def write(value: Any, out: list[str]) -> None:  # noqa: ANN401 - of the class of one of the tables
        if not writers:
            known = ((name, ROOTS[name]) for name in row.typed if dialect.has(ROOTS[name]))
            writers.update({table.cls: writer(table, f' xsi:type="{name}"') for name, table in known})
        writers.get(type(value), write_plain)(value, out)

    return write
