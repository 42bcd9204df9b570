"""A DER in a story of a gateway: it does what it was told, and keeps that when the gateway is gone."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from procedure_clock import SteppedClock

from gateway.core.events import Adopted, Event
from gateway.core.functions import Function
from gateway.core.guard import Cleared
from gateway.core.plan import Command

ADOPT_MS = 1_000
RATED_W = 5_000
ROOF = "roof"


class Told(NamedTuple):
    """A command that the DER has taken over, and when."""

    at_ms: int
    command: Command


class Der:
    """A DER that does what it was told a second later, and keeps what it was told when the gateway is gone."""

    writes = 0

    def __init__(self, clock: SteppedClock) -> None:
        self.told: list[Told] = []
        self.cannot: Mapping[Function, str] = {}
        """What it has no way to carry, and why."""
        self._clock = clock
        self._wanted: deque[tuple[int, Cleared]] = deque()

    async def run(self) -> None:
        """Nothing goes on here by itself."""

    def want(self, cleared: Cleared) -> None:
        self._wanted.append((self._clock.now_ms() + ADOPT_MS, cleared))

    def forget(self) -> None:
        """Take it that what was on its way when the gateway went down never came."""
        self._wanted.clear()

    def next_ms(self) -> int | None:
        return self._wanted[0][0] if self._wanted else None

    def adopt(self) -> list[Event]:
        """Take over what is due."""
        events: list[Event] = []
        while self._wanted and self._wanted[0][0] <= self._clock.now_ms():
            _at_ms, cleared = self._wanted.popleft()
            self.told.append(Told(self._clock.now_ms(), cleared.command))
            lacking = tuple(
                (mode.function, self.cannot[mode.function])
                for mode in cleared.command.modes
                if mode.function in self.cannot
            )
            events.append(Adopted(ROOF, cleared.serial, lacking))
        return events

    def power_w(self) -> int:
        """What it gives now (W): as much as it may, or its set-point."""
        if not self.told:
            return RATED_W
        command = self.told[-1].command
        if command.connected is False or command.energized is False:
            return 0
        return command.limit_w if command.target_w is None else command.target_w
