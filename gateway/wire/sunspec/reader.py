"""One prepared read of a SunSpec block: which registers to ask for, and how their octets become values."""

import ipaddress
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import compress
from operator import eq, itemgetter, mul
from struct import Struct
from typing import Any, Final, NamedTuple

from gateway.wire.sunspec.point import WHOLE_NUMBERS, Absent, Point, Value
from gateway.wire.sunspec.scale import DIVIDE, SCALE_FACTOR_MAX, SCALE_FACTOR_MIN, Side

NOT_IMPLEMENTED: Final = Absent("not implemented by the device")
PLANS_MAX: Final = 64
PAST_THE_END: Final = Absent("past the end of what the device gives")


class _Number(NamedTuple):
    """A whole number: its place in the unpacked tuple, and that of its scale factor (or -1 and a fixed factor)."""

    name: str
    at: int
    absent: int | None
    scale_at: int
    factors: Mapping[int, int]
    fixed: int
    scale_name: str


class _Planned(NamedTuple):
    """A whole number with its factor, or, negative, its divisor; where there is none, what is `wrong`."""

    name: str
    at: int
    absent: int | None
    factor: int
    wrong: Absent | None


class _Plan(NamedTuple):
    """What the scale factors of a read make of it: numbers to multiply, columns of one length, and the others."""

    names: tuple[str, ...]
    pick: Callable[[tuple[Any, ...]], tuple[int, ...]]
    absent: tuple[int | None, ...]
    factors: tuple[int, ...]
    others: tuple[_Planned, ...]


class Reader:
    """Decodes one read of chosen points; `offset` and `quantity` say which registers, counted from the ID register.

    `quantity` is 0 when the device has none of the points: nothing is to be read then.
    """

    __slots__ = (
        "_always",
        "_divide",
        "_ends",
        "_numbers",
        "_others",
        "_plans",
        "_scales",
        "_size",
        "_unpack",
        "names",
        "offset",
        "quantity",
    )

    def __init__(
        self,
        wanted: Sequence[tuple[Point, int]],
        points: Mapping[str, Point],
        length: int | None,
        side: Side,
    ) -> None:
        end = 0x10000 if length is None else length + 2
        self.names = tuple(point.name for point, _ in wanted)
        ends = {point.name: _needed_end(point, points) for point, _ in wanted}
        present = [(point, exponent) for point, exponent in wanted if ends[point.name] <= end]
        layout = _layout([point for point, _ in present], points)
        self.offset = layout[0].offset if layout else 0
        self.quantity = layout[-1].end - self.offset if layout else 0
        self._divide = DIVIDE[side]
        self._size = 2 * self.quantity
        self._ends = {name: 2 * (ends[name] - self.offset) for name in self.names}
        self._always: dict[str, Value] = {name: PAST_THE_END for name in self.names if ends[name] > end}
        self._unpack = Struct(_format(layout)).unpack_from
        place = {point.name: index for index, point in enumerate(layout)}
        self._numbers = [_number(*one, place) for one in present if one[0].type in WHOLE_NUMBERS]
        places = sorted({number.scale_at for number in self._numbers if number.scale_at >= 0})
        self._scales: Callable[[tuple[Any, ...]], object] = itemgetter(*places) if places else _unscaled
        self._plans: dict[object, _Plan] = {}
        self._others = [(place[one[0].name], *one) for one in present if one[0].type not in WHOLE_NUMBERS]

    def decode(self, registers: bytes) -> dict[str, Value]:
        """Turn the octets of the read into values; never raises.

        Octets that are missing make the points that needed them `Absent`; surplus octets are ignored.
        """
        if len(registers) < self._size:
            return self._decode_short(registers)
        raw = self._unpack(registers)
        names, pick, absents, factors, others = self._plans.get(self._scales(raw)) or self._plan(raw)
        picked = pick(raw)
        values: dict[str, Value] = dict(zip(names, map(mul, picked, factors), strict=True))
        for name in compress(names, map(eq, picked, absents)):
            values[name] = NOT_IMPLEMENTED
        for name, at, absent, factor, wrong in others:
            number = raw[at]
            if number == absent:
                values[name] = NOT_IMPLEMENTED
            else:
                values[name] = self._divide(number, -factor) if wrong is None else wrong
        if self._always:
            values |= self._always
        for at, point, exponent in self._others:
            values[point.name] = _other(point, exponent, raw[at])
        return values

    def _plan(self, raw: tuple[Any, ...]) -> _Plan:
        """Settle what the scale factors of this read make of every number; devices hardly ever change them."""
        planned = [_planned(number, raw) for number in self._numbers]
        whole = [one for one in planned if one.factor > 0]
        plan = _Plan(
            tuple(one.name for one in whole),
            _picking([one.at for one in whole]),
            tuple(one.absent for one in whole),
            tuple(one.factor for one in whole),
            tuple(one for one in planned if one.factor <= 0),
        )
        if len(self._plans) >= PLANS_MAX:
            self._plans.clear()
        self._plans[self._scales(raw)] = plan
        return plan

    def _decode_short(self, registers: bytes) -> dict[str, Value]:
        values = self.decode(registers + bytes(self._size - len(registers)))
        for name, end in self._ends.items():
            if end > len(registers):
                values[name] = PAST_THE_END
        return values


def _needed_end(point: Point, points: Mapping[str, Point]) -> int:
    return max(needed.end for needed in _layout([point], points))


def _layout(wanted: Sequence[Point], points: Mapping[str, Point]) -> list[Point]:
    """Give the wanted points, their scale factors and the rest of their sync groups, in the order of the map."""
    needed = {point.name: point for point in wanted}
    for point in wanted:
        if isinstance(point.scale_factor, str):
            needed[point.scale_factor] = points[point.scale_factor]
    synced = {point.sync for point in wanted if point.sync}
    needed.update({point.name: point for point in points.values() if point.sync in synced})
    return sorted(needed.values(), key=lambda point: point.offset)


def _format(layout: Sequence[Point]) -> str:
    codes = [">"]
    at = layout[0].offset if layout else 0
    for point in layout:
        codes.append(f"{2 * (point.offset - at)}x{point.struct_code}")
        at = point.end
    return "".join(codes)


def _number(point: Point, exponent: int, place: Mapping[str, int]) -> _Number:
    scaled = isinstance(point.scale_factor, str)
    fixed = point.scale_factor if isinstance(point.scale_factor, int) else 0
    return _Number(
        name=point.name,
        at=place[point.name],
        absent=WHOLE_NUMBERS[point.type].absent,
        scale_at=place[str(point.scale_factor)] if scaled else -1,
        factors=_factors(exponent),
        fixed=_factor(fixed - exponent),
        scale_name=str(point.scale_factor) if scaled else "",
    )


def _factor(shift: int) -> int:
    """Give 10**shift to multiply by, or, negative, the power of ten to divide by."""
    return int(10**shift) if shift >= 0 else -int(10**-shift)


@cache
def _factors(exponent: int) -> Mapping[int, int]:
    return {scale: _factor(scale - exponent) for scale in range(SCALE_FACTOR_MIN, SCALE_FACTOR_MAX + 1)}


def _planned(number: _Number, raw: tuple[Any, ...]) -> _Planned:
    if number.scale_at < 0:
        return _Planned(number.name, number.at, number.absent, number.fixed, None)
    scale = raw[number.scale_at]
    factor = number.factors.get(scale, 0)
    wrong = None if factor else _no_scale(number.scale_name, scale)
    return _Planned(number.name, number.at, number.absent, factor, wrong)


def _picking(places: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[int, ...]]:
    """Give what picks these places of an unpacked read."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda raw: tuple(raw[at] for at in places)


def _unscaled(_raw: tuple[Any, ...]) -> None:
    """Stand in for the scale factors where there are none."""


def _no_scale(name: str, scale: int) -> Absent:
    if scale == WHOLE_NUMBERS["sunssf"].absent:
        return Absent(f"its scale factor {name} is not implemented")
    return Absent(f"its scale factor {name} is {scale}, outside {SCALE_FACTOR_MIN}..{SCALE_FACTOR_MAX}")


def _other(point: Point, exponent: int, raw: bytes | float) -> Value:
    if isinstance(raw, float):
        return _from_float(raw, exponent)
    if point.type == "string":
        text = raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip()
        return text or NOT_IMPLEMENTED
    if not any(raw) or (point.type == "eui48" and raw[2:] == b"\xff" * 6):
        return NOT_IMPLEMENTED
    if point.type == "eui48":
        return raw[2:].hex(":").upper()
    return str(ipaddress.ip_address(raw))


def _from_float(raw: float, exponent: int) -> Value:
    scaled = abs(raw) * 10.0**-exponent
    if math.isnan(raw):
        return NOT_IMPLEMENTED
    if not math.isfinite(scaled):
        return Absent("an infinite number")
    return int(math.copysign(math.floor(scaled + 0.5), raw))
