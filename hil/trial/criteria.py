"""What a device under test must show, and how far it may be off: bands of IEEE 1547.1-2020, 4.5 and 5.

Accuracies are the minimum measurement accuracies (MRA) of IEEE 1547-2018, table 3; a band is 1.5 of them wide on each
side. A step of first order covers 1 - 10^-n of its way after n response times.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

Quantity = Literal["W", "Var"]
Axis = Literal["V", "W", "Hz"]
Points = Sequence[Sequence[float]]

WIDTH: Final = 1.5
V_MRA_PCT: Final = 1.0
POWER_MRA_PCT: Final = 5.0
HZ_MRA: Final = 0.010
TIME_MRA: Final = 0.01
TRANSIENT_S: Final = WIDTH * 2 / 60
"""1.5 times the accuracy of time where voltage or frequency are abnormal, which is two cycles."""
AXIS_MRA: Final[dict[Axis, float]] = {"V": V_MRA_PCT, "W": POWER_MRA_PCT, "Hz": HZ_MRA}


def late_s(after_s: float) -> float:
    """Give when what must have happened after this time is judged: 1.5 times the accuracy of time later.

    Our reading: of the two accuracies of time, the greater.
    """
    return after_s + max(TRANSIENT_S, WIDTH * TIME_MRA * after_s)


@dataclass(frozen=True, slots=True)
class Band:
    """Where a value must lie; in the unit of the value, both ends included."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def wider(self, by: float) -> "Band":
        return Band(self.low - by, self.high + by)

    def __str__(self) -> str:
        return f"{self.low:.0f} to {self.high:.0f}"


@dataclass(frozen=True, slots=True)
class Mark:
    """One judged moment: what was measured at `after_s` and the band that it must lie in."""

    after_s: float
    value: float
    band: Band

    @property
    def kept(self) -> bool:
        return self.band.holds(self.value)


def along(points: Points, x: float) -> float:
    """Read a piecewise linear curve; flat beyond its ends."""
    if x <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[-1][1]


def curve_band(points: Points, axis: Axis, x: float) -> Band:
    """Give where the curve lies for all x that a sensor may show: 1.5 MRA of the axis on each side."""
    reach = WIDTH * AXIS_MRA[axis]
    inside = [y for at, y in points if x - reach <= at <= x + reach]
    values = [along(points, x - reach), along(points, x + reach), *inside]
    return Band(min(values), max(values))


def by_power_factor(factor: float, w: float) -> tuple[float, Band]:
    """Give the var of a power factor at this power, + over-excited, and the same as a band."""
    target = math.copysign(1, factor) * w * math.tan(math.acos(abs(factor)))
    return target, Band(target, target)


def droop_points(droop: Mapping[str, float], from_pct: float, nominal_hz: float) -> tuple[tuple[float, float], ...]:
    """Give a droop as a curve of Hz and % of WMax about the power before it (IEEE 1547-2018, 6.5.2.7)."""
    over, under, over_k, under_k = (droop[name] for name in ("DbOf", "DbUf", "KOf", "KUf"))
    fall_hz, rise_hz = from_pct / 100 * nominal_hz * over_k, (100 - from_pct) / 100 * nominal_hz * under_k
    low, high = nominal_hz - under, nominal_hz + over
    return ((low - rise_hz, 100.0), (low, from_pct), (high, from_pct), (high + fall_hz, 0.0))


def covered(after_s: float, response_s: float) -> float:
    """Share of a first-order step that is over after this time; all of it where there is no response time."""
    return 1.0 if response_s <= 0 else 1 - 10 ** (-after_s / response_s)


def response_band(start: float, final: Band, after_s: float, response_s: float, slack: float, shape: str) -> Band:
    """Give the band at one moment of a step from `start` to `final`, whose end is itself uncertain; `slack` is 1.5 MRA.

    Our reading of the shapes. "settable": the response time is a setting, so the way is followed on both sides, with
    time 1.5 MRA uncertain. "at_latest": it is the longest allowed, so faster is right, and beyond the end is wrong.
    """
    early, late = (covered(after_s * (1 + sign * WIDTH * TIME_MRA), response_s) for sign in (-1, 1))
    ways = [start + share * (end - start) for share in (early, late) for end in (final.low, final.high)]
    if shape == "at_latest":
        ways += [final.low, final.high]
    return Band(min(ways), max(ways)).wider(slack)
