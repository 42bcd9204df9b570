"""Items of lists written by a mould: the text of one with the same fields set, with places for the values.

A mould takes a value only if the same fields are set in it, all of the same class, and each is within its range and
needs no escape. Whatever differs in the least is written field by field, which also says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

from gateway.wire.sep2.dialects import Dialect
from gateway.wire.sep2.faults import WireFault
from gateway.wire.sep2.scalars import URI, Scalar
from gateway.wire.sep2.table import Row, Table

MOST_OF_A_LIST: Final = 8
_FEWEST: Final = 2
_WHOLE: Final = {int}
_NUMBER, _ADDRESS, _WORD = range(3)
_PLAIN_ADDRESSES: Final = re.compile(r"[!#-%'-;=?-~]*")


class _UnlikeError(Exception):
    """A value has no mould worth keeping."""


class Mould(NamedTuple):
    """What is taken out of each value in one go, how that is checked, and the text that it goes into.

    `get` gives whole numbers, then addresses, then what has a writer of its own, then what has to be as it is `fixed`;
    all of them are checked and written by columns. `order` puts the columns in the order of the text.
    """

    get: Callable[[Any], tuple[Any, ...]]
    ends: tuple[int, int, int]
    bounds: tuple[tuple[int, int], ...]
    writers: tuple[Callable[[Any], str], ...]
    fixed: tuple[Any, ...]
    order: Callable[[Sequence[Iterable[Any]]], tuple[Iterable[Any], ...]]
    text: str

    def fill(self, values: Sequence[object], texts: list[str | None]) -> None:
        """Set the text of each value that has none yet and fits; none of them where one cannot be written."""
        places, rows, last = [], [], self.ends[2]
        for place, value in enumerate(values):
            if texts[place] is None:
                try:
                    row = self.get(value)
                except AttributeError:
                    continue
                if row[last:] == self.fixed:
                    places.append(place)
                    rows.append(row)
        columns = self._columns(list(zip(*rows, strict=True)))
        if columns is not None:
            for place, filled in zip(places, zip(*self.order(columns), strict=True), strict=True):
                texts[place] = self.text % filled

    def _columns(self, found: list[tuple[Any, ...]]) -> list[Iterable[Any]] | None:
        """Return the columns as they are written, or None where one of them does not hold what can be."""
        last_number, last_address, last_word = self.ends
        numbers, addresses = found[:last_number], found[last_number:last_address]
        if not found or any(set(map(type, column)) != _WHOLE for column in numbers):
            return None
        if not all(
            low <= min(each) and max(each) <= high for each, (low, high) in zip(numbers, self.bounds, strict=True)
        ):
            return None
        try:
            if _PLAIN_ADDRESSES.fullmatch("".join(chain.from_iterable(addresses))) is None:
                return None
            words = [
                list(map(write, column))
                for write, column in zip(self.writers, found[last_address:last_word], strict=True)
            ]
        except (TypeError, WireFault):
            return None
        return [*numbers, *addresses, *words]


class _Plan:
    """Follows one value through its table and notes what its mould is made of; _UnlikeError where that cannot be."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.text: list[str] = []
        self.filled: list[tuple[str, Scalar]] = []
        self.fixed: list[tuple[str, Any]] = []

    def follow(self, table: Table, name: str, value: Any, path: str = "") -> None:  # noqa: ANN401 - of the table's class
        self.fixed.append((f"{path}__class__", table.cls))
        if table.rest:
            self.fixed.append((f"{path}{table.rest}", ()))
        self.text.append(f"<{name}")
        for attribute in filter(self._dialect.has, table.attributes):
            content = getattr(value, attribute.field)
            if content is None:
                self.fixed.append((f"{path}{attribute.field}", None))
            else:
                self._fill(f"{path}{attribute.field}", attribute.kind, f' {attribute.name}="', '"')
        before = len(self.text)
        for row in table.rows:
            if not row.read_only and (self._dialect.has(row) or table.rest):
                self._row(row, getattr(value, row.field), f"{path}{row.field}")
        if len(self.text) == before:
            self.text.append("/>")
        else:
            self.text[before - 1] += ">"
            self.text.append(f"</{name}>")

    def _row(self, row: Row, content: Any, at: str) -> None:  # noqa: ANN401 - of the row's kind
        name = f"csipaus:{row.element}" if row.australian else row.element
        if (row.many and content != ()) or (row.required and content is None):
            raise _UnlikeError
        if row.many or content is None:
            self.fixed.append((at, content))
        elif isinstance(row.kind, Scalar):
            self._fill(at, row.kind, f"<{name}>", f"</{name}>")
        else:
            self.follow(row.kind, name, content, f"{at}.")

    def _fill(self, at: str, kind: Scalar, before: str, after: str) -> None:
        self.filled.append((at, kind))
        self.text.append(f"{before}{kind.form}{after}")

    def mould(self) -> Mould:
        """Return the mould of what was followed."""
        if len(self.filled) < _FEWEST:
            raise _UnlikeError
        by_kind = sorted(range(len(self.filled)), key=lambda each: _group(self.filled[each][1]))
        kinds = [self.filled[each][1] for each in by_kind]
        groups = [_group(kind) for kind in kinds]
        numbers = [kind.bounds for kind in kinds if kind.bounds is not None]
        paths = [self.filled[each][0] for each in by_kind] + [at for at, _value in self.fixed]
        return Mould(
            get=attrgetter(*paths),
            ends=(groups.count(_NUMBER), len(groups) - groups.count(_WORD), len(groups)),
            bounds=tuple(numbers),
            writers=tuple(kind.write for kind in kinds if _group(kind) == _WORD),
            fixed=tuple(value for _at, value in self.fixed),
            order=itemgetter(*[by_kind.index(each) for each in range(len(by_kind))]),
            text="".join(self.text),
        )


def _group(kind: Scalar) -> int:
    if kind.bounds is not None:
        return _NUMBER
    return _ADDRESS if kind is URI else _WORD


class Moulds:
    """The moulds of the items of one list, those that were taken last."""

    def __init__(self, table: Table, name: str, dialect: Dialect) -> None:
        """Know none yet."""
        self._table, self._name, self._dialect = table, name, dialect
        self._known: list[Mould] = []

    def texts(self, values: Sequence[object]) -> list[str | None]:
        """Return the text of each item, or None where no mould fits."""
        texts: list[str | None] = [None] * len(values)
        for mould in self._known:
            mould.fill(values, texts)
        return texts

    def learn(self, value: object) -> None:
        """Keep the mould of an item that was written field by field, in the place of the oldest if there are many."""
        plan = _Plan(self._dialect)
        try:
            plan.follow(self._table, self._name, value)
            self._known.append(plan.mould())
        except _UnlikeError:
            return
        del self._known[:-MOST_OF_A_LIST]
