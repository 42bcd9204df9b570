"""The port to the tier below: it is told what to want, and takes nothing that the guard has not cleared."""

from dataclasses import dataclass
from typing import Protocol

from gateway.core.guard import Cleared
from gateway.ports.clock import Clock

__all__ = ["Cleared", "Lease", "SouthLinks"]


@dataclass(slots=True)
class Lease:
    """What keeps reversion timers alive: the deciding loop renews it, and a hung one lets it run out (C14)."""

    clock: Clock
    until_ms: int = 0

    def lives(self) -> bool:
        """Tell whether the deciding loop has renewed the lease in time."""
        return self.clock.now_ms() < self.until_ms


class SouthLinks(Protocol):
    """All connections of one adapter to the devices below."""

    @property
    def writes(self) -> int:
        """How many times a device was told something."""

    async def run(self) -> None:
        """Connect, read and keep what is wanted until cancelled; one device's trouble is never another's."""

    def want(self, cleared: Cleared) -> None:
        """Want this of its device from now on: written at once where it differs, read back, and kept."""
