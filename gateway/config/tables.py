"""A table of the site file, described by a frozen dataclass and read into one.

A field's annotation says what its key may hold: `bool`, `int`, `float`, `str`, `Path` (relative to the site file), an
enumeration, `tuple[X, ...]`, another such dataclass, or one of these with `| None`. A default makes the key optional.
`Annotated` narrows it with plain values, so that an adapter's table needs nothing of this package: a pair `(low, high)`
is an inclusive range (None for no bound), a compiled pattern must match the whole text, and a text describes the value.
"""

import dataclasses
import datetime as dt
import enum
import math
import pathlib
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.config.faults import Fault, Faults, nearest, quoted, suggestion
from gateway.config.lines import Path

NOT_A_KEY = "not a key of the site file"
"""Marks, in a field's metadata, a field that is filled by other means than its table."""


Granted = Mapping[str, Mapping[str, int]]
"""The services that each party is granted, with the strongest level of each."""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What one table of the site file holds, and how often it may stand there.

    `references` says which of its keys name an entry of which array of tables. `faults` gives what is wrong with a
    table whose every key is right, each with the place below it. Only tables of every site file can be `required`.
    `needs` is the table at the top without which this one is of no use; `together` gives what is wrong between the
    tables of this kind, each with the name of who holds it. `note` is what nobody can check here and has to be told.
    """

    kind: type[Any]
    many: bool = False
    references: Mapping[str, str] = field(default_factory=dict)
    faults: Callable[[Any, Granted], Iterable[tuple[Path, str]]] | None = None
    required: bool = True
    needs: str = ""
    together: Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]] | None = None
    note: str = ""


@dataclass(slots=True)
class Entry:
    """One table as it was read: only the keys whose values are right are in `values`."""

    path: Path
    where: str
    raw: Mapping[str, object]
    values: dict[str, Any] = field(default_factory=dict)
    children: "dict[str, list[Entry]]" = field(default_factory=dict)
    sound: bool = True

    @property
    def plain(self) -> bool:
        """Whether every key that it holds is known and has a right value."""
        return all(key in self.values or key in self.children for key in self.raw)


@dataclass(frozen=True, slots=True)
class _Key:
    annotation: object
    required: bool


class Reader:
    """Reads tables and notes every fault; `folder` is what paths in them are relative to."""

    def __init__(self, faults: Faults, folder: pathlib.Path) -> None:
        self._faults = faults
        self._folder = folder

    def fault(self, entry: Entry, what: str, *below: str | int) -> None:
        """Note a fault of an entry, at the line of the key `below` it."""
        entry.sound = False
        self._faults.add((*entry.path, *below), entry.where, what)

    def fault_of(self, entry: Entry, other: Fault) -> None:
        """Note a fault of a file that an entry names."""
        entry.sound = False
        self._faults.add_of(other)

    def warn(self, entry: Entry, what: str, *below: str | int) -> None:
        """Note what is no fault of an entry and yet hardly meant, at the line of the key `below` it."""
        self._faults.warn((*entry.path, *below), entry.where, what)

    def line_of(self, entry: Entry, *below: str | int) -> int:
        """Give the line of the key `below` an entry."""
        return self._faults.line_of((*entry.path, *below))

    def entry(self, kind: type[Any], entry: Entry, elsewhere: Mapping[str, str], others: Iterable[str] = ()) -> None:
        """Read the keys of an entry into its values.

        `others` are keys that somebody else reads; `elsewhere` tells in which table nearby a stray key belongs.
        """
        keys = _keys_of(kind)
        known = [*keys, *others]
        absent = [key for key in known if key not in entry.raw]
        misspelt = {nearest(key, absent) for key in entry.raw if key not in known}
        for key, raw in entry.raw.items():
            if key in keys:
                self._key(entry, key, keys[key].annotation, raw)
            elif key not in known:
                hint = f"it belongs to {elsewhere[key]}" if key in elsewhere else suggestion(key, absent)
                self.fault(entry, f"unknown key {quoted(key)}; {hint}", key)
        for key in absent:
            if key in keys and keys[key].required and key not in misspelt:
                self.fault(entry, f"missing key {quoted(key)}{_described(keys[key].annotation)}")

    def _key(self, entry: Entry, key: str, annotation: object, raw: object) -> None:
        value = self._value(entry, (key,), annotation, raw)
        if value is not None:
            entry.values[key] = value

    def _value(self, entry: Entry, below: Path, annotation: object, raw: object) -> object | None:
        base, marks = _unfolded(annotation)
        if typing.get_origin(base) is tuple:
            return self._list(entry, below, typing.get_args(base)[0], raw)
        if dataclasses.is_dataclass(base) and isinstance(base, type):
            return self._table(entry, below, base, raw)
        value, wrong = _scalar(base, marks, raw, self._folder)
        if wrong:
            self.fault(entry, f"{_named(below)} {wrong}", *below)
        return value

    def _list(self, entry: Entry, below: Path, item: object, raw: object) -> tuple[object, ...] | None:
        if not isinstance(raw, list):
            self.fault(entry, f"{_named(below)} must be a list, not {_shown(raw)}", *below)
            return None
        if not raw:
            self.fault(entry, f"{_named(below)} must not be empty", *below)
            return None
        values = [self._value(entry, (*below, index), item, each) for index, each in enumerate(raw)]
        for index, value in enumerate(values):
            if value is not None and value in values[:index]:
                self.fault(entry, f"{_named(below)} holds {_shown(raw[index])} twice", *below, index)
        return tuple(value for value in values if value is not None)

    def _table(self, entry: Entry, below: Path, kind: type[Any], raw: object) -> object | None:
        where = " ".join([entry.where, *(str(part + 1) if isinstance(part, int) else part for part in below)])
        if not isinstance(raw, dict):
            self.fault(entry, f"{_named(below)} must be a table, not {_shown(raw)}", *below)
            return None
        inner = Entry((*entry.path, *below), where, raw)
        self.entry(kind, inner, {})
        entry.sound = entry.sound and inner.sound
        return typing.cast("object", kind(**inner.values)) if inner.sound else None


def key_names(kind: type[Any]) -> tuple[str, ...]:
    """Give the keys that a table of this kind may hold."""
    return tuple(_keys_of(kind))


def _keys_of(kind: type[Any]) -> dict[str, _Key]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {
        each.name: _Key(
            hints[each.name],
            each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING,
        )
        for each in dataclasses.fields(kind)
        if NOT_A_KEY not in each.metadata
    }


def _unfolded(annotation: object) -> tuple[Any, tuple[object, ...]]:
    """Take `Annotated` and `| None` off an annotation: what is left, and the marks."""
    marks: tuple[object, ...] = ()
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            annotation, *more = typing.get_args(annotation)
            marks = (*marks, *more)
        elif origin in (types.UnionType, typing.Union):
            annotation = next(each for each in typing.get_args(annotation) if each is not type(None))
        else:
            return annotation, marks


def _named(below: Path) -> str:
    key, *items = below
    return " ".join([quoted(str(key)), *(f"item {int(item) + 1}" for item in items)])


def _described(annotation: object) -> str:
    _, marks = _unfolded(annotation)
    words = [mark for mark in marks if isinstance(mark, str)]
    return f" ({words[0]})" if words else ""


def _scalar(base: type[Any], marks: tuple[object, ...], raw: object, folder: pathlib.Path) -> tuple[object | None, str]:
    """Turn a raw value into the one that the field wants, or say what is wrong with it."""
    if base is bool:
        return (raw, "") if isinstance(raw, bool) else (None, f"must be true or false, not {_shown(raw)}")
    if issubclass(base, enum.Enum):
        choices = [each.value for each in base]
        if type(raw) is type(choices[0]) and raw in choices:
            return base(raw), ""
        return None, f"cannot be {_shown(raw)}; {suggestion(str(raw), (str(choice) for choice in choices))}"
    if base in (int, float):
        return _number(base, marks, raw)
    if not isinstance(raw, str):
        return None, f"must be a text, not {_shown(raw)}"
    if not raw:
        return None, "must not be empty"
    for mark in marks:
        if isinstance(mark, re.Pattern) and not mark.fullmatch(raw):
            words = [word for word in marks if isinstance(word, str)]
            return None, f"cannot be {_shown(raw)}; it must be {words[0] if words else mark.pattern}"
    return (folder / raw if base is pathlib.Path else raw), ""


def _number(base: type, marks: tuple[object, ...], raw: object) -> tuple[object | None, str]:
    wanted = "a whole number" if base is int else "a number"
    if isinstance(raw, bool) or not isinstance(raw, int if base is int else (int, float)):
        return None, f"must be {wanted}, not {_shown(raw)}"
    if not math.isfinite(raw):
        return None, f"must be {wanted}, not {raw}"
    for mark in marks:
        if isinstance(mark, tuple):
            low, high = mark
            if (low is not None and raw < low) or (high is not None and raw > high):
                return None, f"is {raw}; it must be {_range(low, high)}"
    return base(raw), ""


def _range(low: object, high: object) -> str:
    if high is None:
        return f"at least {low}"
    if low is None:
        return f"at most {high}"
    return f"{low} to {high}"


def _shown(raw: object) -> str:
    match raw:
        case bool():
            return "true" if raw else "false"
        case str():
            return f"the text {quoted(raw)}"
        case list():
            return "a list"
        case dict():
            return "a table"
        case dt.date() | dt.time():
            return "a date or time"
        case _:
            return str(raw)
