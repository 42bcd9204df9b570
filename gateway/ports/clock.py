"""The time that decisions are made in; timeouts of connections stay on wall time."""

from typing import Protocol


class Clock(Protocol):
    """The gateway's own clock: real, or accelerated and shared with the processes beside it."""

    @property
    def rate(self) -> float:
        """How many of the clock's seconds pass in one second of wall time."""

    def now_ms(self) -> int:
        """Give the time in ms since the UNIX epoch, on this clock."""

    async def sleep_until_ms(self, at_ms: int) -> None:
        """Return when the clock shows `at_ms`, at once if it does already."""
