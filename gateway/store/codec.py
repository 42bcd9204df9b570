"""Core values to bytes and back, exact by type, and readable by a later version that has more fields.

A value becomes a tree of plain msgpack: numbers, texts and None as they are, everything else an array that starts
with its tag (a class by its name, a container by a small number). Which classes there are follows from the type hints
of the entries and of the state. A `Shape` says which fields each class had when the bytes were written.
"""

import dataclasses
import enum
import gc
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from operator import attrgetter
from typing import Final, TypeVar

import msgspec

from gateway.core.state import State
from gateway.store.entries import Entry, Kept

T = TypeVar("T")
Tree = object
Shape = Mapping[str, tuple[str, ...]]
Tag = str | int
Recursion = Callable[[object], object]

TUPLE, LIST, DICT, FROZENSET, BIG, TEXT, SAME = range(7)
PLAIN: Final = frozenset({int, str, bool, type(None)})
SMALLEST: Final = -(1 << 63)
LARGEST: Final = (1 << 64) - 1

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


class CodecFault(Exception):  # noqa: N818 - "fault" is the word of this house for what is broken
    """A value that cannot be packed, or bytes that this version cannot read."""


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def _fields(kind: type) -> tuple[str, ...]:
    if issubclass(kind, enum.Enum):
        return ()
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    found: tuple[str, ...] = getattr(kind, "_fields", ())
    return found


def _reach(roots: Iterable[object]) -> dict[str, type]:
    """Collect every value class that the type hints of the roots lead to, by name."""
    found: dict[str, type] = {}
    waiting = list(roots)
    while waiting:
        hint = waiting.pop()
        parts = typing.get_args(hint)
        if parts:
            waiting.extend(parts)
            continue
        if not isinstance(hint, type):
            continue
        if not (issubclass(hint, enum.Enum) or dataclasses.is_dataclass(hint) or _is_named_tuple(hint)):
            continue
        known = found.get(hint.__name__)
        if known is None:
            found[hint.__name__] = hint
            if not issubclass(hint, enum.Enum):
                waiting.extend(typing.get_type_hints(hint).values())
        elif known is not hint:
            raise CodecFault(f"{known.__module__} and {hint.__module__} both have a {hint.__name__}; rename one")
    return dict(sorted(found.items()))


CLASSES: Final = _reach([Entry, Kept, State])
SHAPE: Final[Shape] = {name: _fields(kind) for name, kind in CLASSES.items()}


# -- packing


def _class_packer(name: str, kind: type, recurse: Recursion) -> Callable[..., Tree]:
    if issubclass(kind, enum.Enum):
        return {member: [name, member.value] for member in kind}.__getitem__
    if issubclass(kind, tuple):
        return lambda value: [name, *[each if type(each) in PLAIN else recurse(each) for each in value]]
    fields = SHAPE[name]
    if len(fields) == 1:
        only = attrgetter(fields[0])
        return lambda value: [name, recurse(only(value))]
    every = attrgetter(*fields)
    return lambda value: [name, *[each if type(each) in PLAIN else recurse(each) for each in every(value)]]


def _packers(recurse: Recursion) -> dict[type, Callable[..., Tree]]:
    """Give what packs each class; a plain value inside is not worth a call."""

    def row(tag: Tag, values: Iterable[object]) -> Tree:
        return [tag, *[each if type(each) in PLAIN else recurse(each) for each in values]]

    packers: dict[type, Callable[..., Tree]] = {
        tuple: lambda value: row(TUPLE, value),
        list: lambda value: row(LIST, value),
        dict: lambda value: row(DICT, chain.from_iterable(value.items())),
        frozenset: lambda value: row(FROZENSET, sorted(value)),
    }
    for name, kind in CLASSES.items():
        packers[kind] = _class_packer(name, kind, recurse)
    return packers


def tree(value: object) -> Tree:
    """Turn a value into its tree; raises CodecFault where a class is not one of the core's."""
    kind = type(value)
    if kind in PLAIN:
        return value
    packer = _plain_packers.get(kind)
    if packer is None:
        raise CodecFault(f"cannot pack a {kind.__qualname__}; it is no value of the core")
    return packer(value)


_plain_packers = _packers(tree)


def encode(plain: Tree) -> bytes:
    """Write a tree; whole numbers of any size and texts with lone surrogates are carried too."""
    try:
        return _encoder.encode(plain)
    except (OverflowError, UnicodeEncodeError):
        return _encoder.encode(_widened(plain))


def decode(packed: bytes) -> Tree:
    """Read a tree; raises CodecFault where the bytes are none."""
    try:
        found: Tree = _decoder.decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise CodecFault(f"damaged bytes: {fault}") from fault
    return found


def pack(value: object) -> bytes:
    """Pack a value; equal values give equal bytes."""
    return encode(tree(value))


def join(packed: Iterable[bytes]) -> bytes:
    """Give what `pack` gives of a tuple, of its values packed one by one."""
    return _encoder.encode([TUPLE, *map(msgspec.Raw, packed)])


def _is_shared(kind: type) -> bool:
    """Tell whether values of this class can be one object in several places: what is frozen can."""
    return kind is tuple or issubclass(kind, tuple) or (dataclasses.is_dataclass(kind) and kind.__hash__ is not None)


_SHARED: Final = frozenset({kind for kind in [tuple, *CLASSES.values()] if _is_shared(kind)})
_SHARED_TAGS: Final = frozenset({TUPLE, *(name for name, kind in CLASSES.items() if kind in _SHARED)})


def pack_shared(value: object) -> bytes:
    """Pack a whole state: what is one object in several places is written once and is one object again when read.

    Deciding compares some values by identity, so that equal ones which were apart have to stay apart.
    """
    seen: dict[int, int] = {}

    def recurse(value: object) -> Tree:
        kind = type(value)
        if kind in PLAIN:
            return value
        shared = kind in _SHARED
        if shared and (number := seen.get(id(value))) is not None:
            return [SAME, number]
        packer = packers.get(kind)
        if packer is None:
            raise CodecFault(f"cannot pack a {kind.__qualname__}; it is no value of the core")
        made = packer(value)
        if shared:
            seen[id(value)] = len(seen)
        return made

    packers = _packers(recurse)
    with _uncollected():
        return encode(recurse(value))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector from walking a great tree again and again while it grows: it has no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _widened(plain: Tree) -> Tree:
    if isinstance(plain, list):
        return [_widened(each) for each in plain]
    if isinstance(plain, int) and not SMALLEST <= plain <= LARGEST:
        return [BIG, plain.to_bytes(plain.bit_length() // 8 + 1, "big", signed=True)]
    if isinstance(plain, str) and not plain.isascii():
        return [TEXT, plain.encode(errors="surrogatepass")]
    return plain


# -- unpacking


def _pairs(values: list[object]) -> dict[object, object]:
    return dict(zip(values[::2], values[1::2], strict=True))


def _builder(name: str, written: tuple[str, ...]) -> Callable[..., object]:
    """Give what builds a class from the fields that it had when it was written."""
    kind = CLASSES.get(name)
    if kind is None:
        return _refuse(f"{name} is not known to this version; read it with the version that wrote it")
    fields = SHAPE[name]
    if written == fields:
        return kind
    gone = [each for each in written if each not in fields]
    if gone:
        return _refuse(
            f"{name} was written with {', '.join(gone)}, which this version lacks; use the one that wrote it"
        )
    return lambda *values: kind(**dict(zip(written, values, strict=True)))


def _refuse(why: str) -> Callable[..., object]:
    def refuse(*_values: object) -> object:
        raise CodecFault(why)

    return refuse


class Unpacker:
    """Reads what was packed under one shape."""

    def __init__(self, shape: Shape = SHAPE) -> None:
        """Read values whose classes had the fields that `shape` names."""
        self._builders: dict[Tag, Callable[..., object]] = {
            name: _builder(name, fields) for name, fields in shape.items()
        }
        self._plain = self._makers(self._value)

    def unpack(self, packed: bytes, kind: type[T]) -> T:
        """Read one packed value, which has to be a `kind`; raises CodecFault in one line where it cannot."""
        return self.value(decode(packed), kind)

    def value(self, plain: Tree, kind: type[T]) -> T:
        """Turn a tree into its value, which has to be a `kind`."""
        return self._checked(self._value, plain, kind)

    def unpack_shared(self, packed: bytes, kind: type[T]) -> T:
        """Read what `pack_shared` wrote."""
        seen: list[object] = []

        def recurse(plain: Tree) -> object:
            if not isinstance(plain, list):
                return plain
            tag = plain[0]
            if tag == SAME:
                return seen[plain[1]]
            made = makers[tag](plain)
            if tag in _SHARED_TAGS:
                seen.append(made)
            return made

        makers = self._makers(recurse)
        with _uncollected():
            return self._checked(recurse, decode(packed), kind)

    def _checked(self, recurse: Recursion, plain: Tree, kind: type[T]) -> T:
        try:
            found = recurse(plain)
        except KeyError as fault:
            raise CodecFault(f"unknown tag {fault}; read it with the version that wrote it") from fault
        except (AttributeError, IndexError, TypeError, ValueError) as fault:
            raise CodecFault(f"damaged or foreign value: {fault}") from fault
        if not isinstance(found, kind):
            raise CodecFault(f"found a {type(found).__qualname__} where a {kind.__qualname__} belongs")
        return found

    def _value(self, plain: Tree) -> object:
        if not isinstance(plain, list):
            return plain
        return self._plain[plain[0]](plain)

    def _makers(self, recurse: Recursion) -> dict[Tag, Callable[[list[Tree]], object]]:
        def row(plain: list[Tree]) -> list[object]:
            return [recurse(each) if type(each) is list else each for each in plain[1:]]

        makers: dict[Tag, Callable[[list[Tree]], object]] = {
            TUPLE: lambda plain: tuple(row(plain)),
            LIST: row,
            DICT: lambda plain: _pairs(row(plain)),
            FROZENSET: lambda plain: frozenset(row(plain)),
            BIG: lambda plain: int.from_bytes(_bytes(plain[1]), "big", signed=True),
            TEXT: lambda plain: _bytes(plain[1]).decode(errors="surrogatepass"),
        }
        for name, build in self._builders.items():
            makers[name] = _class_maker(build, recurse)
        return makers


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"bytes expected, not {type(value).__qualname__}")
    return value


def _class_maker(build: Callable[..., object], recurse: Recursion) -> Callable[[list[Tree]], object]:
    if isinstance(build, type) and issubclass(build, enum.Enum):
        members: dict[Tree, object] = {member.value: member for member in build}
        return lambda plain: members[plain[1]]
    return lambda plain: build(*[recurse(each) if type(each) is list else each for each in plain[1:]])
