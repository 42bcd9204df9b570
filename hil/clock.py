"""One simulated clock for every process of a bench: an affine image of the machine's monotonic time."""

import asyncio
import re
import time
from fractions import Fraction
from typing import Self

_SIMULATED = re.compile(r"x(?P<rate>\d+(?:\.\d+)?)@(?P<origin_s>-?\d+(?:\.\d+)?)")
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
_LONGEST_NAP_S = 1.0
_SHORTEST_NAP_S = 0.0005


class Clock:
    """Tells simulated UTC; processes on one machine that hold the same clock string read the same time.

    "real" is the system's UTC clock. "xN@T0" reads T0 + N x CLOCK_MONOTONIC, with T0 in UNIX epoch seconds at
    monotonic zero and N > 0; both may be fractional. Build one with `parse` or `starting`.
    """

    __slots__ = ("_origin_ns", "_rate", "_text")

    def __init__(self, text: str, origin_ns: int | None, rate: Fraction) -> None:
        self._text = text
        self._origin_ns = origin_ns
        self._rate = rate

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a clock string; raises ValueError when it is neither "real" nor "xN@T0" with N > 0."""
        if text == "real":
            return cls(text, None, Fraction(1))
        match = _SIMULATED.fullmatch(text)
        rate = Fraction(match["rate"]) if match else Fraction(0)
        if match is None or rate <= 0:
            raise ValueError(f'clock "{text}" is not readable; write "real" or "xN@T0", for example x20@1767225600')
        return cls(text, int(Fraction(match["origin_s"]) * _NS_PER_S), rate)

    @classmethod
    def starting(cls, rate: Fraction | float, at_ms: int) -> Self:
        """Make a clock that reads `at_ms` at this moment and runs at `rate` times wall time."""
        exact = Fraction(str(rate))
        origin_ns = at_ms * _NS_PER_MS - int(exact * time.monotonic_ns())
        sign, whole = ("-" if origin_ns < 0 else ""), abs(origin_ns)
        return cls.parse(f"x{float(exact):f}@{sign}{whole // _NS_PER_S}.{whole % _NS_PER_S:09d}")

    @property
    def rate(self) -> float:
        """Simulated seconds per wall second."""
        return float(self._rate)

    def now_ms(self) -> int:
        """Simulated time in milliseconds since the UNIX epoch."""
        if self._origin_ns is None:
            return time.time_ns() // _NS_PER_MS
        return (self._origin_ns + time.monotonic_ns() * self._rate.numerator // self._rate.denominator) // _NS_PER_MS

    async def sleep_until_ms(self, until_ms: int) -> None:
        """Return once `now_ms()` has reached `until_ms`; returns to the loop at least once."""
        await asyncio.sleep(0)
        while (left_ms := until_ms - self.now_ms()) > 0:
            nap_s = left_ms / 1000 / float(self._rate)
            await asyncio.sleep(min(max(nap_s, _SHORTEST_NAP_S), _LONGEST_NAP_S))

    def __str__(self) -> str:
        return self._text


class HandClock(Clock):
    """A clock that only its owner moves, by `ms`."""

    __slots__ = ("ms",)

    def __init__(self, at_ms: int) -> None:
        super().__init__("hand", 0, Fraction(1))
        self.ms = at_ms

    def now_ms(self) -> int:
        return self.ms
