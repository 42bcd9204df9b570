"""Values into SunSpec registers, and registers into as few writes as the map allows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from gateway.wire.sunspec.point import FLOATS, SYMBOLIC, WHOLE_NUMBERS, Point
from gateway.wire.sunspec.scale import SCALE_FACTOR_MAX, SCALE_FACTOR_MIN, Side, rescale

WRITE_MAX: Final = 123


@dataclass(frozen=True, slots=True)
class Unwritable:
    """A value that must not be written to this point of this device, and why."""

    why: str


class Write(NamedTuple):
    """One write: the first register, counted from the model's ID register, and the octets."""

    offset: int
    registers: bytes


def encode(
    point: Point,
    value: int | str,
    *,
    scale_factor: object = None,
    exponent: int | None = None,
    side: Side = Side.NEAREST,
) -> bytes | Unwritable:
    """Encode `value` (in 10**`exponent` of the point's units, by default the point's own exponent) for writing.

    `scale_factor` is what the device's scale factor register held when last read: an integer, or whatever stood in
    its place, which makes the value unwritable. What the scale cannot hold is rounded to `side`: FLOOR for a ceiling,
    CEIL for a floor. Nothing is clipped and no not-implemented value is ever produced.
    """
    if not point.writable:
        return Unwritable(f"{point.name} is read-only")
    if isinstance(value, str):
        return _encode_text(point, value)
    if exponent is None:
        exponent = point.exponent
    if point.type in FLOATS:
        return _encode_float(point, value, exponent)
    if point.type not in WHOLE_NUMBERS:
        return Unwritable(f"{point.name} is a {point.type}: give text")
    scale = point.scale_factor if isinstance(point.scale_factor, int) else 0
    if isinstance(point.scale_factor, str):
        if not isinstance(scale_factor, int):
            return Unwritable(f"{point.name} needs the device's {point.scale_factor}: {scale_factor}")
        scale = scale_factor
    if not SCALE_FACTOR_MIN <= scale <= SCALE_FACTOR_MAX:
        return Unwritable(
            f"{point.name}: scale factor {point.scale_factor} is {scale}, "
            f"outside {SCALE_FACTOR_MIN}..{SCALE_FACTOR_MAX}"
        )
    return _encode_whole(point, rescale(value, exponent, scale, side))


def _encode_whole(point: Point, raw: int) -> bytes | Unwritable:
    kind = WHOLE_NUMBERS[point.type]
    if not kind.lowest <= raw <= kind.highest:
        return Unwritable(f"{point.name}: {raw} does not fit {point.type} ({kind.lowest}..{kind.highest})")
    if point.type in SYMBOLIC and point.symbols and raw not in point.symbols:
        return Unwritable(f"{point.name}: {raw} is none of {', '.join(map(str, point.symbols))}")
    return Struct(f">{kind.code}").pack(raw)


def _encode_float(point: Point, value: int, exponent: int) -> bytes | Unwritable:
    try:
        octets = Struct(f">{point.struct_code}").pack(value * 10.0**exponent)
    except OverflowError:
        octets = b""
    if not octets or not math.isfinite(Struct(f">{point.struct_code}").unpack(octets)[0]):
        return Unwritable(f"{point.name}: {value} does not fit {point.type}")
    return octets


def _encode_text(point: Point, value: str) -> bytes | Unwritable:
    octets = value.encode()
    if point.type != "string":
        return Unwritable(f"{point.name} is a {point.type}: give a number")
    if not octets or 0 in octets or len(octets) > 2 * point.size:
        return Unwritable(f"{point.name}: {len(octets)} octets of text; 1..{2 * point.size} without NUL fit")
    return octets.ljust(2 * point.size, b"\0")


def group_writes(
    points: Sequence[Point], sync: Mapping[str, str], limit: int = WRITE_MAX
) -> tuple[tuple[Point, ...], ...]:
    """Cut the named points into writes of at most `limit` registers, in the order named, as few as that order allows.

    Points named one after another go out together where they fill a stretch of registers without a gap, whatever
    their order in it; no point is ever written before one that was named earlier. Name values and reversion values
    first and what enables them last: an enable that touches its value takes effect in the same request, one that does
    not comes in a later one. `sync` maps points to the group that must be written as one. Raises ValueError where a
    sync group would be cut or a point is wider than `limit`.
    """
    writes: list[tuple[Point, ...]] = []
    at = 0
    while at < len(points):
        stretch = _longest_stretch(points[at:], limit)
        if not stretch:
            raise ValueError(f"{points[at].name}: {points[at].size} registers do not go in a write of {limit}")
        names = {point.name for point in stretch}
        groups = {point.sync for point in stretch if point.sync}
        missing = [name for name, group in sync.items() if group in groups and name not in names]
        if missing:
            raise ValueError(f"a sync group is written as one: name {', '.join(missing)} next to {stretch[0].name}")
        writes.append(stretch)
        at += len(stretch)
    return tuple(writes)


def _longest_stretch(points: Sequence[Point], limit: int) -> tuple[Point, ...]:
    """Give the most of the first points that fill one stretch of registers, in the order of the map."""
    longest: tuple[Point, ...] = ()
    first, end, filled = points[0].offset, 0, 0
    for taken, point in enumerate(points, 1):
        first, end, filled = min(first, point.offset), max(end, point.end), filled + point.size
        if end - first == filled <= limit:
            longest = tuple(sorted(points[:taken], key=lambda point: point.offset))
    return longest


def join(points: Sequence[Point], registers: Mapping[str, bytes]) -> Write:
    """Make one write of points that touch; raise ValueError for octets of the wrong length."""
    octets = [registers[point.name] for point in points]
    for point, own in zip(points, octets, strict=True):
        if len(own) != 2 * point.size:
            raise ValueError(f"{point.name}: {len(own)} octets for {point.size} registers")
    return Write(points[0].offset, b"".join(octets))
