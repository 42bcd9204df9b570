"""Lists read by the shape of their items: a peer writes the same elements in the same order, and only values change.

The shape of an item is what stood around its values when it was read once by way of its tree. Text that fits it is
well-formed because that item was, so one pattern cuts it into its values and no tree is built. Whatever does not fit in
the least is left to the tree, and so is a value that cannot be read, for the tree says where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

from gateway.wire.sep2.drafts import draft, fields
from gateway.wire.sep2.faults import WireFault
from gateway.wire.sep2.namespaces import tags
from gateway.wire.sep2.scalars import Scalar
from gateway.wire.sep2.table import Row, Table

MOST_KINDS, MOST_TRIES = 100, 8
"""So many kinds of lists are remembered, and so often is one looked at for a new shape: a peer cannot make us hoard."""
LONGEST_PATTERN, LONGEST_KEY = 8_192, 1_024
"""In characters; what is longer is left to the tree, for making a pattern takes far longer than building a tree."""

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_.:-]*"
_TAG: Final = re.compile(rf'<({_NAME})((?: {_NAME}="[^"<&\x00-\x1f]*")*)( ?/?)>')
_ATTRIBUTE: Final = re.compile(r' ([^=]*)="([^"]*)"')
_BEGINNING: Final = re.compile(rf'(?:<\?xml version="1\.0" encoding="[Uu][Tt][Ff]-8"\?>[ \n]*)?{_TAG.pattern}')
_SPACE: Final = re.compile(r"[ \n]*")
_TEXT: Final = re.compile(r"[^<>&\x00-\x1f]*")
_VALUE, _QUOTED_VALUE = rf"({_TEXT.pattern})", r'([^"<&\x00-\x1f]*)'

_READ, _CONSTANT, _MADE = range(3)
_Place: TypeAlias = tuple[int, int]
"""Where a value will be: in which part of all that there is, and at what place of it."""


class _UnlikeError(Exception):
    """An item has no shape worth keeping."""


class _Step(NamedTuple):
    """Make a column of values out of those before it: which ones, by which draft, of which class."""

    pick: Callable[[list[Iterable[Any]]], Any]
    make: Any
    cls: type


class Shape(NamedTuple):
    """The pattern of one item, how each of its texts is read, and what is made of them in which order."""

    pattern: re.Pattern[str]
    reads: tuple[Callable[[str], Any], ...]
    constants: tuple[Any, ...]
    steps: tuple[_Step, ...]

    def values(self, rows: list[tuple[str | Any, ...]]) -> list[Any]:
        """Return what the texts of each item mean, made by columns; WireFault where one of them cannot be read."""
        found: list[Iterable[Any]] = [
            list(map(read, texts)) for read, texts in zip(self.reads, zip(*rows, strict=True), strict=True)
        ]
        found += map(repeat, self.constants)
        made: list[Any] = []
        for pick, make, cls in self.steps:
            made = list(map(make, *pick(found)))
            if cls is not tuple:
                for value in made:
                    value.__class__ = cls
            found.append(made)
        return made


class _Kind:
    """What is known of one list: its shapes, and how often one was looked for."""

    __slots__ = ("shapes", "tries")

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.tries = 0


class ListShapes:
    """The shapes of items learned so far, by the name of their list and the namespaces that it declares."""

    def __init__(self, lists: Mapping[str, Table]) -> None:
        """Know nothing yet of these lists; the one row of each is its items."""
        self._rows = {name: table.rows[0] for name, table in lists.items()}
        self._kinds: dict[tuple[str, ...], _Kind] = {}

    def __len__(self) -> int:
        """Return how many kinds of lists are remembered."""
        return len(self._kinds)

    def read(self, body: bytes, most_items: int) -> tuple[bytes, tuple[Any, ...]] | None:
        """Return the body of the list without its items, and these; or None where its tree has to be built."""
        beginning = _beginning(body)
        kind = None if beginning is None else self._kinds.get(_key(beginning))
        if beginning is None or kind is None:
            return None
        runs: list[tuple[Shape, list[tuple[str | Any, ...]]]] = []
        text, at, count = beginning.string, beginning.end(), 0
        while count <= most_items:
            for shape in kind.shapes:
                fits = shape.pattern.match(text, at)
                if fits is not None:
                    break
            else:
                break
            if not runs or runs[-1][0] is not shape:
                runs.append((shape, []))
            runs[-1][1].append(fits.groups())
            at, count = fits.end(), count + 1
        end = f"</{beginning[1]}>"
        if count > most_items or text[at:].strip(" \n") != end:
            return None
        try:
            items = tuple(chain.from_iterable(shape.values(rows) for shape, rows in runs))
        except WireFault:
            return None
        return (text[: beginning.end()] + end).encode(), items

    def learn(self, body: bytes) -> None:
        """Keep the shape of the first item that has none of those known; the body was read by its tree before."""
        beginning = _beginning(body)
        if beginning is None or beginning[1] not in self._rows:
            return
        key = _key(beginning)
        if key not in self._kinds and (len(self._kinds) == MOST_KINDS or sum(map(len, key)) > LONGEST_KEY):
            return
        kind = self._kinds.setdefault(key, _Kind())
        if kind.tries == MOST_TRIES:
            return
        kind.tries += 1
        text, at = beginning.string, beginning.end()
        while fits := next(filter(None, (shape.pattern.match(text, at) for shape in kind.shapes)), None):
            at = fits.end()
        spaces = dict(pair.split("=", 1) for pair in key[1:])
        try:
            kind.shapes.append(_Sketch(text, at, spaces).shape(self._rows[beginning[1]]))
        except _UnlikeError:
            return


def _beginning(body: bytes) -> re.Match[str] | None:
    """Return what stands before the first item, or None where the body is none that a shape could read."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    if not text.isascii() and ("\ufffe" in text or "\uffff" in text):
        return None
    beginning = _BEGINNING.match(text)
    return None if beginning is None or beginning[3] else beginning


def _key(beginning: re.Match[str]) -> tuple[str, ...]:
    """Return the name of the list and its declarations, each as prefix=namespace."""
    declared = (pair for pair in _ATTRIBUTE.findall(beginning[2]) if f"{pair[0]}:".startswith("xmlns:"))
    return (beginning[1], *(f"{name.removeprefix('xmlns').removeprefix(':')}={space}" for name, space in declared))


class _Sketch:
    """Follows one item through its tables and notes what its shape is made of; _UnlikeError where that cannot be."""

    def __init__(self, text: str, at: int, spaces: Mapping[str, str]) -> None:
        self._text, self._at, self._spaces = text, at, spaces
        self._pattern: list[str] = []
        self._left = LONGEST_PATTERN
        self._reads: list[Callable[[str], Any]] = []
        self._constants: list[Any] = []
        self._plans: list[tuple[type, list[_Place]]] = []

    def shape(self, row: Row) -> Shape:
        """Return the shape of the item that stands here, with the space before it."""
        self._at = _end(_SPACE, self._text, self._at)
        self._then(_SPACE.pattern)
        kind = self._row(self._tag()[1], dict.fromkeys(tags(row), row)).kind
        if isinstance(kind, Scalar):
            raise _UnlikeError
        self._element(kind)
        before = 0, len(self._reads), len(self._reads) + len(self._constants)
        steps = tuple(
            _Step(_picker([before[part] + at for part, at in places]), _together if cls is tuple else draft(cls), cls)
            for cls, places in self._plans
        )
        return Shape(re.compile("".join(self._pattern)), tuple(self._reads), tuple(self._constants), steps)

    def _element(self, table: Table) -> _Place:
        """Follow one element of a table, and return where what is made of it will be."""
        tag = self._tag()
        places: dict[str, _Place] = {}
        known = {attribute.name: attribute for attribute in table.attributes}
        self._then(f"<{re.escape(tag[1])}")
        for name, _value in _ATTRIBUTE.findall(tag[2]):
            if name not in known:
                raise _UnlikeError
            places[known[name].field] = self._text_read_by(known[name].kind)
            self._then(f' {re.escape(name)}="{_QUOTED_VALUE}"')
        self._then(re.escape(f"{tag[3]}>"))
        self._at = tag.end()
        if not tag[3]:
            self._inside(table, tag[1], places)
        return self._made(table, places)

    def _inside(self, table: Table, name: str, places: dict[str, _Place]) -> None:
        rows = {tag: row for row in table.rows for tag in tags(row)}
        several: dict[str, list[_Place]] = {}
        self._space()
        while not self._text.startswith(f"</{name}>", self._at):
            row = self._row(self._tag()[1], rows)
            if row.field in places:
                raise _UnlikeError
            place = self._plain(row.kind) if isinstance(row.kind, Scalar) else self._element(row.kind)
            if row.many:
                several.setdefault(row.field, []).append(place)
                if 0 < row.most < len(several[row.field]):
                    raise _UnlikeError
            else:
                places[row.field] = place
            self._space()
        self._literally(f"</{name}>")
        for field, found in several.items():
            self._plans.append((tuple, found))
            places[field] = _MADE, len(self._plans) - 1

    def _made(self, table: Table, places: dict[str, _Place]) -> _Place:
        """Note that a value of the table's class is made of what was found, and of defaults."""
        required = [row.field for row in table.rows if row.required]
        required += [attribute.field for attribute in table.attributes if attribute.required]
        if not places or not all(field in places for field in required):
            raise _UnlikeError
        for field in fields(table.cls):
            if field.name not in places:
                if field.default is MISSING:
                    raise _UnlikeError
                places[field.name] = _CONSTANT, len(self._constants)
                self._constants.append(field.default)
        self._plans.append((table.cls, [places[field.name] for field in fields(table.cls)]))
        return _MADE, len(self._plans) - 1

    def _plain(self, kind: Scalar) -> _Place:
        tag = self._tag()
        if tag[2] or tag[3]:
            raise _UnlikeError
        self._literally(tag[0])
        self._at = _end(_TEXT, self._text, self._at)
        self._then(_VALUE)
        self._literally(f"</{tag[1]}>")
        return self._text_read_by(kind)

    def _text_read_by(self, kind: Scalar) -> _Place:
        self._reads.append(kind.read)
        return _READ, len(self._reads) - 1

    def _then(self, pattern: str) -> None:
        self._left -= len(pattern)
        if self._left < 0:
            raise _UnlikeError
        self._pattern.append(pattern)

    def _tag(self) -> re.Match[str]:
        tag = _TAG.match(self._text, self._at)
        if tag is None:
            raise _UnlikeError
        return tag

    def _row(self, name: str, rows: Mapping[str, Row]) -> Row:
        """Return the row of an element by its name as written."""
        prefix, _, local = name.rpartition(":")
        row = rows.get(f"{{{self._spaces.get(prefix, '')}}}{local}")
        if row is None or row.read_only:
            raise _UnlikeError
        return row

    def _literally(self, text: str) -> None:
        if not self._text.startswith(text, self._at):
            raise _UnlikeError
        self._then(re.escape(text))
        self._at += len(text)

    def _space(self) -> None:
        self._literally(self._text[self._at : _end(_SPACE, self._text, self._at)])


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _together(*values: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of whatever class the elements are
    return values


def _picker(at: Sequence[int]) -> Callable[[list[Iterable[Any]]], Any]:
    return itemgetter(*at) if len(at) > 1 else itemgetter(slice(at[0], at[0] + 1))
