"""The load behind a connection point: what its DER generate minus what the meter there shows going out (RULES C2).

Meter and DER are read at different instants, so a sample taken while power moves is of a load that is not there. What
tightens a limit has to be so in the median of the last three samples, what loosens one in each of them; without all
three, or with any part of them unknown, the load is taken as zero (C14).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.core.known import Known, Reading

SAMPLES: Final = 3
BAND_W: Final = 50
"""How finely the load is counted: changes below this are not acted on."""


STALE_MS: Final = 180_000
"""How long a load counts that nobody has read again: three times the longest interval of a meter."""


class LocalLoad(NamedTuple):
    """What a local load is at least and at most (W); negative where something there generates unasked."""

    least_w: int
    most_w: int


UNMETERED: Final = LocalLoad(0, 0)


@dataclass(slots=True)
class SiteLoad:
    """What the load behind a connection point is counted at, and the samples (W) that it is counted from."""

    counted: LocalLoad = UNMETERED
    samples_w: tuple[int, ...] = ()
    read_ms: int = 0

    def read(self, meter: Reading, generated: Sequence[Reading], now_ms: int) -> bool:
        """Take one sample of the meter and of every DER behind it; tell whether the load counts anew."""
        self.read_ms = now_ms
        known_w = [each.value for each in generated if isinstance(each, Known)]
        if not isinstance(meter, Known) or len(known_w) < len(generated):
            return self.lose()
        self.samples_w = (*self.samples_w, sum(known_w) - meter.value)[-SAMPLES:]
        if len(self.samples_w) < SAMPLES:
            return False
        low_w, median_w, high_w = sorted(self.samples_w)
        least_w, most_w = self.counted
        new = self.counted == UNMETERED
        if new or low_w >= least_w + 2 * BAND_W:
            least_w = low_w - low_w % BAND_W
        elif median_w < least_w:
            least_w = median_w - median_w % BAND_W
        if new or high_w <= most_w - 2 * BAND_W:
            most_w = high_w - high_w % BAND_W + 2 * BAND_W
        elif median_w > most_w:
            most_w = median_w - median_w % BAND_W + 2 * BAND_W
        return self._count(LocalLoad(least_w, most_w))

    def lose(self) -> bool:
        """Take the load as zero until it is known again; tell whether that is news."""
        self.samples_w = ()
        return self._count(UNMETERED)

    def _count(self, load: LocalLoad) -> bool:
        changed, self.counted = load != self.counted, load
        return changed
