"""The gateway's clock: real, or `xN@T0`, which shows T0 + N times the machine's monotonic time in every process.

T0 is in seconds since the UNIX epoch at monotonic zero, so that processes given the same text show the same time.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

LONGEST_SLEEP_S: Final = 60.0


class ClockFault(ValueError):  # noqa: N818 - "fault" is the word of this house for what is broken
    """A text that states no clock."""


@dataclass(frozen=True, slots=True)
class RealClock:
    """UTC as the operating system has it."""

    @property
    def rate(self) -> float:
        """One second a second."""
        return 1.0

    def now_ms(self) -> int:
        """Give the time in ms since the UNIX epoch."""
        return time.time_ns() // 1_000_000

    async def sleep_until_ms(self, at_ms: int) -> None:
        """Return when the clock shows `at_ms`."""
        await _sleep_until(self, at_ms)

    def __str__(self) -> str:
        """Give the text that states this clock."""
        return "real"


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """T0 + N times monotonic time."""

    rate: float
    origin_s: float

    def now_ms(self) -> int:
        """Give the time in ms since the UNIX epoch, on this clock."""
        return int(self.origin_s * 1000 + self.rate * time.monotonic_ns() / 1_000_000)

    async def sleep_until_ms(self, at_ms: int) -> None:
        """Return when the clock shows `at_ms`."""
        await _sleep_until(self, at_ms)

    def __str__(self) -> str:
        """Give the text that states this clock."""
        return f"x{self.rate!r}@{self.origin_s!r}"


SiteClock = RealClock | ScaledClock


def parse(text: str) -> SiteClock:
    """Read `real` or `xN@T0`; raise ClockFault for anything else."""
    if text == "real":
        return RealClock()
    rate, at, origin = text.removeprefix("x").partition("@")
    try:
        clock = ScaledClock(float(rate), float(origin))
    except ValueError:
        clock = None
    if clock is None or not text.startswith("x") or not at or not 0 < clock.rate <= 1_000:
        raise ClockFault(f'no clock: "{text}"; give real, or xN@T0 such as x20@1700000000')
    return clock


async def _sleep_until(clock: SiteClock, at_ms: int) -> None:
    """Sleep in stretches, so that a real clock that is set forward is noticed within a minute."""
    while (left_ms := at_ms - clock.now_ms()) > 0:  # noqa: ASYNC110 - what is awaited is the clock itself
        await asyncio.sleep(min(left_ms / 1000 / clock.rate, LONGEST_SLEEP_S))
