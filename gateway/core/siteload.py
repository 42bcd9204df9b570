"""The load behind a connection point: what its DER generate minus what the meter there shows going out (RULES C2).

Meter and DER are read at different instants, so a sample taken while power moves is of a load that is not there. A DER
that was just told something counts anywhere between what it was read to give and what it was told. What loosens a limit
has to be so in each of the last three samples, however its DER are counted; what tightens one, in the median of them,
or in a single one that no DER which keeps to what it was told explains. Without all three, or with any part of them
unknown, the load is taken as zero, save for what tightens a limit: that counts until a reading says otherwise (C14). A
meter that goes on showing the very same power while its DER move shows nothing: it would have each rise of the DER
taken for load, and loosen the limit again and again by what it let loose.
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


class Driven(NamedTuple):
    """A DER behind the meter: what it was read to give, what it is on its way to, and its bounds as told (W).

    `heads_w` is None once it has had the time to get there, and so is `dips_w`, what one may be on its way to that
    draws by itself; one that feeds is not. None in `most_w` or `least_w` is no bound.
    """

    power: Reading
    heads_w: int | None = None
    most_w: int | None = None
    least_w: int | None = None
    dips_w: int | None = None


@dataclass(slots=True)
class SiteLoad:
    """What the load behind a connection point is counted at, and the samples (W) that it is counted from.

    Beside each sample is what it is at least and at most, with DER on their way counted at either end of it.
    `shows_w` is what the meter shows since the DER gave `gave_w`, `stands_ms` since when they move and it does not (0
    while it follows).
    """

    counted: LocalLoad = UNMETERED
    samples_w: tuple[int, ...] = ()
    read_ms: int = 0
    lows_w: tuple[int, ...] = ()
    highs_w: tuple[int, ...] = ()
    shows_w: int | None = None
    gave_w: int = 0
    stands_ms: int = 0

    def read(self, meter: Reading, generated: Sequence[Driven], now_ms: int) -> bool:
        """Take one sample of the meter and of every DER behind it; tell whether the load counts anew."""
        self.read_ms = now_ms
        driven = [(each.power.value, each) for each in generated if isinstance(each.power, Known)]
        if not isinstance(meter, Known) or len(driven) < len(generated):
            return self.lose()
        out_w, sum_w = meter.value, sum(given_w for given_w, _ in driven)
        if self._stands_still(out_w, sum_w, now_ms) and now_ms - self.stands_ms >= STALE_MS:
            return self.lose()
        sample_w = sum_w - out_w
        low_w = sum(_least(_least(given_w, each.heads_w), _dips_w(given_w, each)) for given_w, each in driven) - out_w
        high_w = sum(_most(given_w, each.heads_w) for given_w, each in driven) - out_w
        self.samples_w = (*self.samples_w, sample_w)[-SAMPLES:]
        self.lows_w, self.highs_w = (*self.lows_w, low_w)[-SAMPLES:], (*self.highs_w, high_w)[-SAMPLES:]
        if len(self.samples_w) < SAMPLES:
            return False
        least_w, most_w = self._judged()
        if sum(_most(given_w, each.most_w) for given_w, each in driven) - out_w < least_w:
            least_w = _below(sample_w)
        if sum(_least(given_w, each.least_w) for given_w, each in driven) - out_w > most_w:
            most_w = _above(sample_w)
        if self.stands_ms:
            least_w, most_w = min(least_w, self.counted.least_w), max(most_w, self.counted.most_w)
        return self._count(LocalLoad(least_w, most_w))

    def _stands_still(self, out_w: int, sum_w: int, now_ms: int) -> bool:
        """Tell whether the meter shows what it showed before its DER moved."""
        if out_w != self.shows_w:
            self.shows_w, self.gave_w, self.stands_ms = out_w, sum_w, 0
        elif not self.stands_ms and abs(sum_w - self.gave_w) >= 2 * BAND_W:
            self.stands_ms = now_ms
        return self.stands_ms > 0

    def _judged(self) -> LocalLoad:
        """Give what the last three samples together make of the load."""
        least_w, most_w = self.counted
        new = self.counted == UNMETERED
        lowest_w, highest_w = min(self.lows_w), max(self.highs_w)
        if new or lowest_w >= least_w + 2 * BAND_W:
            least_w = _below(lowest_w)
        elif _median(self.highs_w) < least_w:
            least_w = _below(_median(self.samples_w))
        if new or highest_w <= most_w - 2 * BAND_W:
            most_w = _above(highest_w)
        elif _median(self.lows_w) > most_w:
            most_w = _above(_median(self.samples_w))
        return LocalLoad(least_w, most_w)

    def lose(self) -> bool:
        """Take the load as zero until it is known again, save what tightens a limit; tell whether that is news."""
        self.samples_w = self.lows_w = self.highs_w = ()
        return self._count(_tight(self.counted))

    def restarted(self) -> "SiteLoad":
        """Give what is left of it after a stop: what tightens a limit, until the meter is read or known to be gone."""
        return SiteLoad(_tight(self.counted))

    def expire(self) -> bool:
        """Take it that nobody has read the meter for long; one not read since a restart is taken for gone."""
        return self.lose() if self.read_ms else self._count(UNMETERED)

    def _count(self, load: LocalLoad) -> bool:
        changed, self.counted = load != self.counted, load
        return changed


def _tight(load: LocalLoad) -> LocalLoad:
    return LocalLoad(min(0, load.least_w), max(0, load.most_w))


def _dips_w(given_w: int, each: Driven) -> int | None:
    return each.dips_w if given_w <= 0 else None


def _least(given_w: int, other_w: int | None) -> int:
    return given_w if other_w is None else min(given_w, other_w)


def _most(given_w: int, other_w: int | None) -> int:
    return given_w if other_w is None else max(given_w, other_w)


def _below(load_w: int) -> int:
    return load_w - load_w % BAND_W


def _above(load_w: int) -> int:
    return _below(load_w) + 2 * BAND_W


def _median(three_w: Sequence[int]) -> int:
    return sorted(three_w)[SAMPLES // 2]
