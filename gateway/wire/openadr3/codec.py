"""Bytes -> objects, one item at a time so that an odd one hides no other; objects -> bytes.

An event is read whole where it keeps the schema, else piece by piece: what of it cannot be read is told beside the
rest. Numbers that JSON has not (NaN, Infinity) spoil only the item that they stand in.
"""

import json
from typing import Final, NamedTuple, TypeVar

import msgspec

from gateway.wire.openadr3.faults import Odd, WireFault
from gateway.wire.openadr3.objects import Event, Interval, PayloadDescriptor, ReportDescriptor

MAX_BODY_OCTETS: Final = 8 << 20

Kind = TypeVar("Kind", bound=msgspec.Struct)


class _Named(msgspec.Struct):
    id: str = ""


class _Targeted(msgspec.Struct):
    targets: list[msgspec.Raw] | None = None


_split = msgspec.json.Decoder(list[msgspec.Raw])
_named = msgspec.json.Decoder(_Named)
_targeted = msgspec.json.Decoder(_Targeted)
_event = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()
_DESCRIPTORS: Final[dict[str, type[msgspec.Struct]]] = {
    "payloadDescriptors": PayloadDescriptor,
    "reportDescriptors": ReportDescriptor,
}


class Read(NamedTuple):
    """An event, and which of its intervals could not be read."""

    event: Event
    odd: tuple[Odd, ...] = ()


def items(body: bytes) -> list[bytes]:
    """Give the items of a list, each as the JSON that it is; raise WireFault where the body is no list of JSON."""
    try:
        return [bytes(item) for item in _split.decode(body)]
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as fault:
        found = _loosely(body, fault)
    if not isinstance(found, list):
        raise WireFault("the body is no list")
    return [json.dumps(item).encode() for item in found]


def object_id(item: bytes) -> str:
    """Give the id of an item, empty where it tells none."""
    try:
        return _named.decode(item).id
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        pass
    try:
        found = _loosely(item, None)
    except WireFault:
        return ""
    name = found.get("id") if isinstance(found, dict) else None
    return name if isinstance(name, str) else ""


def is_targeted(item: bytes) -> bool:
    """Tell whether an item of a list is meant for some only, as far as it can be read."""
    try:
        return bool(_targeted.decode(item).targets)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return False


def decode_one(body: bytes, kind: type[Kind]) -> Kind:
    """Give the object of a kind that a body, or an item of a list, is; raise WireFault where it is none."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as fault:
        raise WireFault(_one_line(fault)) from fault


def decode_event(item: bytes) -> Read | Odd:
    """Give the event that an item of a list is, or say what is odd about it."""
    try:
        return Read(_event.decode(item))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        pass
    try:
        found = _loosely(item, None)
    except WireFault as fault:
        return Odd(object_id(item), str(fault))
    if not isinstance(found, dict):
        return Odd("", "it is no object")
    return _event_by_pieces(found)


def encode(value: msgspec.Struct) -> bytes:
    """Give an object as JSON."""
    return _encoder.encode(value)


def _event_by_pieces(found: dict[str, object]) -> Read | Odd:
    """Read what can be read of an event that does not keep the schema."""
    listed = found.pop("intervals", None)
    for key, kind in _DESCRIPTORS.items():
        told = found.get(key)
        if isinstance(told, list):
            found[key] = [one for one in told if _is(one, kind)]
    try:
        event = msgspec.convert(found, Event)
    except (msgspec.ValidationError, RecursionError, UnicodeError) as fault:
        name = found.get("id")
        return Odd(name if isinstance(name, str) else "", _one_line(fault))
    if listed is None:
        return Read(event)
    if not isinstance(listed, list):
        return Odd(event.id, "its intervals are no list")
    intervals: list[Interval] = []
    odd: list[Odd] = []
    for place, one in enumerate(listed):
        try:
            intervals.append(msgspec.convert(one, Interval))
        except (msgspec.ValidationError, RecursionError, UnicodeError) as fault:
            name = one.get("id") if isinstance(one, dict) else None
            known = isinstance(name, int) and not isinstance(name, bool)
            odd.append(Odd(str(name) if known else f"at-{place}", _one_line(fault)))
    return Read(msgspec.structs.replace(event, intervals=tuple(intervals)), tuple(odd))


def _is(found: object, kind: type[msgspec.Struct]) -> bool:
    try:
        msgspec.convert(found, kind)
    except (msgspec.ValidationError, RecursionError, UnicodeError):
        return False
    return True


def _loosely(body: bytes, before: Exception | None) -> object:
    """Read what is not quite JSON: with numbers that are none, or of any length."""
    try:
        return json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError) as fault:
        raise WireFault(f"it is no JSON: {_one_line(before or fault)}") from fault


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 40 else float(digits)


def _one_line(fault: BaseException) -> str:
    text = " ".join(str(fault).split()) or type(fault).__name__
    return text.encode("ascii", "backslashreplace").decode()[:200]
