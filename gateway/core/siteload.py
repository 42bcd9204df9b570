"""The load behind a connection point: what its DER generate minus what the meter there shows going out (RULES C2).

The median of the last three samples counts, so that one taken while power moves does not; without all three, or with
any part of them unknown, the load is taken as zero (C14).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.core.known import Known, Reading

SAMPLES: Final = 3
BAND_W: Final = 50
"""How finely the load is counted: changes below this are not acted on."""


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

    def read(self, meter: Reading, generated: Sequence[Reading]) -> bool:
        """Take one sample of the meter and of every DER behind it; tell whether the load counts anew."""
        known_w = [each.value for each in generated if isinstance(each, Known)]
        if not isinstance(meter, Known) or len(known_w) < len(generated):
            self.samples_w = ()
            return self._count(UNMETERED)
        self.samples_w = (*self.samples_w, sum(known_w) - meter.value)[-SAMPLES:]
        if len(self.samples_w) < SAMPLES:
            return False
        median_w = sorted(self.samples_w)[SAMPLES // 2]
        if self.counted != UNMETERED and self.counted.least_w <= median_w <= self.counted.most_w:
            return False
        least_w = median_w - median_w % BAND_W
        return self._count(LocalLoad(least_w, least_w + 2 * BAND_W))

    def _count(self, load: LocalLoad) -> bool:
        changed, self.counted = load != self.counted, load
        return changed
