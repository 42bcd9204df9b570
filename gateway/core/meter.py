"""Energy that each DER delivered, tagged with the one service that it was delivered for (RULES C9)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.core.known import Known, Reading
from gateway.core.parties import Direction

QUARTER_MS = 900_000
W_MS_PER_WH = 3_600_000


@dataclass(slots=True)
class Meter:
    """One DER's meter: the power it reads (W, None: unknown) and for which service since when, and what ran up before.

    `w_ms` is the energy by service and direction that was not told yet; energy at unknown power is in none of them,
    `unread_ms` is how long that was. The service is empty for what nobody asked for.
    """

    since_ms: int
    power_w: int | None = None
    service: str = ""
    w_ms: dict[tuple[str, Direction], int] = field(default_factory=dict)
    unread_ms: int = 0

    def read(self, power: Reading, now_ms: int) -> None:
        """Run up the energy until now and go on at the power read."""
        self._run_up(now_ms)
        self.power_w = power.value if isinstance(power, Known) else None

    def stop(self, now_ms: int) -> None:
        """Count the time since the last reading as unread: nobody read the meter then."""
        self.unread_ms += now_ms - self.since_ms
        self.since_ms, self.power_w = now_ms, None

    def tag(self, service: str, now_ms: int) -> None:
        """Run up the energy until now and tag what comes with another service."""
        if service != self.service:
            self._run_up(now_ms)
            self.service = service

    def take_unread_s(self, now_ms: int) -> int:
        """Give for how many whole seconds nobody read the meter since this was last asked, and keep what is left."""
        self._run_up(now_ms)
        unread_s, self.unread_ms = divmod(self.unread_ms, 1000)
        return unread_s

    def take(self, now_ms: int) -> Iterator[tuple[str, Direction, int]]:
        """Yield the whole Wh of each service and direction, a size, and keep what is left of each."""
        self._run_up(now_ms)
        for (service, direction), w_ms in list(self.w_ms.items()):
            wh = w_ms // W_MS_PER_WH
            if wh:
                self.w_ms[service, direction] -= wh * W_MS_PER_WH
                yield service, direction, wh

    def _run_up(self, now_ms: int) -> None:
        for_ms, self.since_ms = now_ms - self.since_ms, now_ms
        if self.power_w is None:
            self.unread_ms += for_ms
        elif self.power_w:
            key = (self.service, Direction.EXPORT if self.power_w > 0 else Direction.IMPORT)
            self.w_ms[key] = self.w_ms.get(key, 0) + abs(self.power_w) * for_ms


NOT_READ = "not read"
"""The effect of a record of how long (s) nobody read each meter: what was delivered then is in no sum (C9)."""


class Metered(NamedTuple):
    """What was delivered for one service in one direction, by device (Wh)."""

    service: str
    direction: Direction
    wh: dict[str, int]


def collect(meters: Iterable[tuple[str, Meter]], now_ms: int) -> list[Metered]:
    """Take what every meter ran up, by service and direction."""
    found: dict[tuple[str, Direction], dict[str, int]] = {}
    for name, meter in meters:
        for service, direction, wh in meter.take(now_ms):
            found.setdefault((service, direction), {})[name] = wh
    return [Metered(service, direction, wh) for (service, direction), wh in sorted(found.items())]


def unread(meters: Iterable[tuple[str, Meter]], now_ms: int) -> dict[str, int]:
    """Take for how long (s) each meter was not read; those that were read all the time are left out."""
    found = {name: meter.take_unread_s(now_ms) for name, meter in meters}
    return {name: unread_s for name, unread_s in found.items() if unread_s}
