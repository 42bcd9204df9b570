"""What is said over MQTT, as bytes and as values: strict in what goes out, tolerant in what comes in.

The published form is profiles/protocols/mqtt: three JSON Schemas and an AsyncAPI document. Keys that are not known are
passed over and 1500.0 is read as 1500; a key that occurs twice, NaN, a number out of range and a payload that is too
long are not read at all. Power is in W and positive out of the device, time in ms since the UNIX epoch.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Final, NoReturn, TypeVar

import msgspec
from msgspec import Meta

LONGEST_PAYLOAD: Final = 16_384
"""How many bytes of a payload are looked at, at most."""

_MOST: Final = 1_000_000_000
_LAST_MS: Final = (1 << 53) - 1
_DAY_MS: Final = 86_400_000

Id = Annotated[str, Meta(pattern="^[A-Za-z0-9._:-]{1,64}$")]
Moment = Annotated[int, Meta(ge=0, le=_LAST_MS)]
Signed = Annotated[int, Meta(ge=-_MOST, le=_MOST)]
Size = Annotated[int, Meta(ge=0, le=_MOST)]
Floor = Annotated[int, Meta(ge=-_MOST, le=0)]
Why = Annotated[str, Meta(max_length=500)]


class Reversion(msgspec.Struct, frozen=True):
    """What a device falls back to once nobody refreshed its command for `after_ms`: these limits, and no set-point."""

    limit_w: Size
    after_ms: Annotated[int, Meta(ge=1, le=_DAY_MS)]
    floor_w: Floor | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a command sets: the most generation, a set-point, the switches, the time to get there, and the way back.

    None leaves a switch or the ramp to the device; a set-point of None is off. `floor_w` is the least power, the most
    that may be drawn; None does not limit it. A device that does not read it back has no such limit.
    """

    limit_w: Size
    target_w: Signed | None
    floor_w: Floor | msgspec.UnsetType | None = msgspec.UNSET
    connected: bool | None
    energized: bool | None
    ramp_ms: Annotated[int, Meta(ge=0, le=_DAY_MS)] | None
    reversion: Reversion


class Command(Settings, frozen=True, kw_only=True):
    """What one device is told. It is taken until `expires_ms`; a refresh is the same id, issued later."""

    id: Id
    issued_ms: Moment
    expires_ms: Moment


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """A device's answer to the command of this id that was issued then: what it set, or why it refused."""

    id: Id
    issued_ms: Moment
    at_ms: Moment
    accepted: bool
    why: Why = ""
    applied: Settings | None = None


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a device measures and holds at `at_ms` of its clock; `sequence` counts up from when it started.

    None is not known. `command_id` is the command in force, None where it has none; once its own timer has run out it
    says so by `reverted`, and `settings` are those it fell back to.
    """

    at_ms: Moment
    sequence: Moment
    power_w: Signed | None
    command_id: Id | None
    settings: Settings | None
    reverted: bool = False
    reactive_var: Signed | None = None
    voltage_mv: Size | None = None
    stored_wh: Size | None = None
    capacity_wh: Size | None = None
    connected: bool | None = None
    generation_max_w: Size | None = None
    charge_max_w: Size | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A payload that cannot be read, and why."""

    why: str


_Read = TypeVar("_Read", Ack, State)


def encode(command: Command) -> bytes:
    """Encode a command; every key stands in it, whatever its value."""
    return msgspec.json.encode(command)


def decode_ack(payload: bytes) -> Ack | Unreadable:
    """Decode an acknowledgement."""
    return _decode(payload, Ack)


def decode_state(payload: bytes) -> State | Unreadable:
    """Decode a state."""
    return _decode(payload, State)


def _decode(payload: bytes, kind: type[_Read]) -> _Read | Unreadable:
    if len(payload) > LONGEST_PAYLOAD:
        return Unreadable(f"{len(payload)} bytes are more than {LONGEST_PAYLOAD}")
    try:
        said = json.loads(payload.decode(), object_pairs_hook=_once, parse_float=_number, parse_constant=_no_number)
        return msgspec.convert(said, kind)
    except RecursionError:
        return Unreadable("nested too deep")
    except ValueError as fault:
        return Unreadable(str(fault)[:200])


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a key that occurs twice: readers differ in which of the two they take."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key occurs twice")
    return made


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) <= _LAST_MS else value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
