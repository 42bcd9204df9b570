"""One DNS message: questions out, records in; everything that comes in is bounded (RFC 1035 4, RFC 6762 18)."""

import ipaddress
import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

ADDRESS, POINTER, TEXT, ADDRESS_6, SERVICE = 1, 12, 16, 28, 33
"""The types of records that are read: A, PTR, TXT, AAAA and SRV."""
MESSAGE_MAX: Final = 9_000
RECORDS_MAX: Final = 500
LABELS_MAX: Final = 128
NAME_MAX: Final = 255
IN: Final = 1
ANSWERS_ALONE: Final = 0x8000
"""The bit of a question's class that asks for an answer to nobody else (RFC 6762 5.4)."""
RESPONSE, FAILED = 0x8000, 0x000F
HEADER: Final = struct.Struct("!6H")
FIXED: Final = struct.Struct("!HHIH")
PLACE: Final = struct.Struct("!3H")
IS_POINTER: Final = 0xC0


class DnsFault(Exception):  # noqa: N818 - the house word: a fault of the wire, told in one line
    """A message that cannot be read, or a name that cannot be written."""


class Service(NamedTuple):
    """Where a service is: a port of a host."""

    host: str
    port: int


class Record(NamedTuple):
    """One record of a class of its own: a name (SRV: `Service`, TXT: strings, else text) that belongs to a name.

    Names are in lower case, their labels joined by dots; a dot or backslash of a label is escaped by a backslash.
    """

    name: str
    kind: int
    value: str | Service | tuple[bytes, ...]


def query(questions: Iterable[tuple[str, int]]) -> bytes:
    """Write one query for these names and types; raise DnsFault for a name that is none."""
    asked = [_name(name) + struct.pack("!HH", kind, IN | ANSWERS_ALONE) for name, kind in questions]
    return HEADER.pack(0, 0, len(asked), 0, 0, 0) + b"".join(asked)


def records(message: bytes) -> tuple[Record, ...]:
    """Read the records of a response, of the types that are known here; raise DnsFault where it is none."""
    if len(message) > MESSAGE_MAX:
        raise DnsFault(f"a message over {MESSAGE_MAX} octets")
    try:
        return tuple(_records(message))
    except (struct.error, IndexError) as fault:
        raise DnsFault("a message that ends too early") from fault


def _records(message: bytes) -> Iterator[Record]:
    _id, flags, questions, *counts = HEADER.unpack_from(message)
    if not flags & RESPONSE or flags & FAILED:
        raise DnsFault("no response, or one that says that it failed")
    if questions + sum(counts) > RECORDS_MAX:
        raise DnsFault(f"more than {RECORDS_MAX} records")
    at = HEADER.size
    for _each in range(questions):
        at = _read_name(message, at)[1] + 4
    for _each in range(sum(counts)):
        name, at = _read_name(message, at)
        kind, _class, _ttl, length = FIXED.unpack_from(message, at)
        at += FIXED.size
        if at + length > len(message):
            raise DnsFault("a record that ends after its message")
        value = _value(message, kind, at, length)
        if value is not None:
            yield Record(name, kind, value)
        at += length


def _value(message: bytes, kind: int, at: int, length: int) -> str | Service | tuple[bytes, ...] | None:
    if kind == POINTER:
        return _read_name(message, at)[0]
    if kind == SERVICE:
        _priority, _weight, port = PLACE.unpack_from(message, at)
        return Service(_read_name(message, at + PLACE.size)[0], port)
    content = message[at : at + length]
    if kind == TEXT:
        return tuple(_strings(content))
    if (kind, length) in {(ADDRESS, 4), (ADDRESS_6, 16)}:
        return str(ipaddress.ip_address(content))
    return None


def _strings(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        yield content[at + 1 : at + 1 + content[at]]
        at += 1 + content[at]


def _read_name(message: bytes, at: int) -> tuple[str, int]:
    """Read a name, and give where what follows it begins; a name points only backwards, so that it ends."""
    labels: list[str] = []
    end = None
    while message[at]:
        if message[at] >= IS_POINTER:
            target = (message[at] & ~IS_POINTER) << 8 | message[at + 1]
            end = at + 2 if end is None else end
            if target >= at:
                raise DnsFault("a name that does not end")
            at = target
            continue
        if message[at] > 63 or len(labels) == LABELS_MAX:
            raise DnsFault("a name that is none")
        label = message[at + 1 : at + 1 + message[at]]
        if len(label) != message[at]:
            raise DnsFault("a name that ends after its message")
        labels.append(label.decode(errors="replace").lower().replace("\\", "\\\\").replace(".", "\\."))
        at += 1 + message[at]
    return ".".join(labels), at + 1 if end is None else end


def _name(name: str) -> bytes:
    labels = [each.encode() for each in _split(name)]
    if not all(1 <= len(label) <= 63 for label in labels):
        raise DnsFault(f"{name!r} is no name")
    written = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(written) > NAME_MAX:
        raise DnsFault(f"{name!r} is too long a name")
    return written


def _split(name: str) -> list[str]:
    labels, escaped = [""], False
    for letter in name:
        if letter == "." and not escaped:
            labels.append("")
            continue
        if letter == "\\" and not escaped:
            escaped = True
            continue
        labels[-1] += letter
        escaped = False
    return labels
