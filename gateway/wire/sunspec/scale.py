"""Decimal scaling of integers, exact up to one stated rounding (SunSpec Device Information Model, sunssf)."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

SCALE_FACTOR_MIN: Final = -10
SCALE_FACTOR_MAX: Final = 10


class Side(StrEnum):
    """Where a value goes that the target scale cannot hold exactly."""

    NEAREST = "nearest"
    """Half goes away from zero: for measurements."""
    FLOOR = "floor"
    """Down: the stricter side of a ceiling."""
    CEIL = "ceil"
    """Up: the stricter side of a floor, and of a delay."""
    TOWARD_ZERO = "toward zero"
    """Smaller in size: a set-point never asks for more than was ordered."""


def _nearest(value: int, divisor: int) -> int:
    if value < 0:
        return -((divisor - 2 * value) // (2 * divisor))
    return (2 * value + divisor) // (2 * divisor)


def _floor(value: int, divisor: int) -> int:
    return value // divisor


def _ceil(value: int, divisor: int) -> int:
    return -(-value // divisor)


def _toward_zero(value: int, divisor: int) -> int:
    return value // divisor if value >= 0 else -(-value // divisor)


DIVIDE: Final[dict[Side, Callable[[int, int], int]]] = {
    Side.NEAREST: _nearest,
    Side.FLOOR: _floor,
    Side.CEIL: _ceil,
    Side.TOWARD_ZERO: _toward_zero,
}


def rescale(value: int, from_exponent: int, to_exponent: int, side: Side = Side.NEAREST) -> int:
    """Turn `value` in 10**`from_exponent` of a unit into 10**`to_exponent` of it, rounded to `side`."""
    shift = from_exponent - to_exponent
    if shift >= 0:
        return int(value * 10**shift)
    return DIVIDE[side](value, 10**-shift)
