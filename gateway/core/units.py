"""Quantities of power as orders state them, and their one conversion to integer watts.

Positive is generation, out of the DER and into the grid at the connection point. All numbers are integers.
"""

from dataclasses import dataclass

HUNDREDTHS_OF_PERCENT = 10_000


@dataclass(frozen=True, slots=True)
class Watts:
    """A power in W, signed: positive out of the DER."""

    w: int


@dataclass(frozen=True, slots=True)
class Share:
    """A power as hundredths of a percent (-10000..10000) of what the DER can do in that direction."""

    hundredths: int


Power = Watts | Share


def floor_watts(power: Power, generation_max_w: int, charge_max_w: int) -> int:
    """Give the power in W, rounded down (the stricter side of a ceiling).

    `generation_max_w` and `charge_max_w` (both >= 0) are the bases of a positive and of a negative share.
    """
    if isinstance(power, Watts):
        return power.w
    base_w = generation_max_w if power.hundredths >= 0 else charge_max_w
    return power.hundredths * base_w // HUNDREDTHS_OF_PERCENT


def ceil_watts(power: Power, generation_max_w: int, charge_max_w: int) -> int:
    """Give the power in W, rounded up (the stricter side of a floor)."""
    if isinstance(power, Watts):
        return power.w
    base_w = generation_max_w if power.hundredths >= 0 else charge_max_w
    return -(-power.hundredths * base_w // HUNDREDTHS_OF_PERCENT)


def toward_zero_watts(power: Power, generation_max_w: int, charge_max_w: int) -> int:
    """Give the power in W, rounded toward zero (a set-point never asks for more than was ordered)."""
    if isinstance(power, Watts):
        return power.w
    if power.hundredths >= 0:
        return floor_watts(power, generation_max_w, charge_max_w)
    return ceil_watts(power, generation_max_w, charge_max_w)
