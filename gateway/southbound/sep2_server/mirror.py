"""Usage points that clients mirror here, and what they say of a device now (IEEE 2030.5-2018, Metering Mirror).

Only points with the role of a DER speak for one: what a site meters at its connection holds its load as well.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from gateway.core.known import Known, Reading, Unknown
from gateway.southbound.sep2_server import translate
from gateway.wire.sep2 import Faulty, WireFault
from gateway.wire.sep2.metering import MirrorMeterReading, MirrorUsagePoint, ReadingType
from gateway.wire.sep2.metering import Reading as WireReading

SERIES_MAX: Final = 64
STALE_POSTS: Final = 3
STALE_MIN_MS: Final = 60_000


class Measured(NamedTuple):
    """Power (W), reactive power (var) and voltage (mV) of a device, positive for generation."""

    power: Reading
    reactive: Reading
    voltage: Reading


@dataclass(slots=True)
class Series:
    """One meter reading: what it is of, its last value as sent, and when its period ended (ms)."""

    kind: ReadingType
    value: int | None = None
    at_ms: int = 0


@dataclass(slots=True)
class Point:
    """One usage point as it was posted, and its series by mRID."""

    href: str
    posted: MirrorUsagePoint
    series: dict[str, Series] = field(default_factory=dict)

    @property
    def speaks_for_der(self) -> bool:
        """Tell whether a DER is metered, and nothing else."""
        return bool(self.posted.role_flags & translate.DER_ROLE)

    def shown(self, post_s: int) -> MirrorUsagePoint:
        """Give it as the server lists it, with the post rate that holds."""
        return replace(self.posted, href=self.href, meter_readings=(), post_rate_s=post_s)

    def take(self, readings: Iterable[MirrorMeterReading | Faulty], now_ms: int) -> bool:
        """Take readings in, all or none, and tell whether a series is new; raise WireFault where one cannot be."""
        fresh: dict[str, Series] = {}
        for given in readings:
            if isinstance(given, Faulty):
                raise WireFault(f"MirrorMeterReading: {given.why}")
            mrid = given.mrid.upper()
            held = fresh.get(mrid) or self.series.get(mrid)
            kind = given.reading_type or (held.kind if held is not None else None)
            if kind is None:
                raise WireFault(f"MirrorMeterReading {mrid}: its first one needs a ReadingType")
            series = Series(kind) if held is None or held.kind != kind else replace(held)
            _update(series, given, now_ms)
            fresh[mrid] = series
        if len(self.series.keys() | fresh.keys()) > SERIES_MAX:
            raise WireFault(f"more than {SERIES_MAX} meter readings of one usage point")
        new = not fresh.keys() <= self.series.keys()
        self.series |= fresh
        return new


def _update(series: Series, given: MirrorMeterReading, now_ms: int) -> None:
    """Keep the latest of the values sent, whichever way they were packed; one from the future is of now."""
    sets = [(one, batch.time_period) for batch in given.reading_sets for one in batch.readings]
    single = [] if given.reading is None else [(given.reading, None)]
    for reading, period in (*sets, *single):
        if reading.value is None:
            raise WireFault(f"MirrorMeterReading {given.mrid}: a Reading without value")
        at_ms = _ended_ms(reading, given, now_ms) if period is None else _end_ms(reading, now_ms, period.start_s)
        if at_ms >= min(series.at_ms, now_ms):
            series.value, series.at_ms = reading.value, at_ms


def _ended_ms(reading: WireReading, given: MirrorMeterReading, now_ms: int) -> int:
    if reading.time_period is None and given.last_update_time_s is not None:
        return min(now_ms, 1000 * given.last_update_time_s)
    return _end_ms(reading, now_ms, now_ms // 1000)


def _end_ms(reading: WireReading, now_ms: int, otherwise_s: int) -> int:
    period = reading.time_period
    return min(now_ms, 1000 * (otherwise_s if period is None else period.start_s + period.duration_s))


def measured(points: Iterable[Point], now_ms: int, post_s: int) -> Measured:
    """Give what is known now; what is older than three posts (and a minute) is not."""
    oldest_ms = now_ms - max(1000 * STALE_POSTS * post_s, STALE_MIN_MS)
    series = [each for point in points if point.speaks_for_der for each in point.series.values()]
    return Measured(
        _whole([one for one in series if one.kind.uom == translate.UNIT_W], "power", oldest_ms, now_ms),
        _whole([one for one in series if one.kind.uom == translate.UNIT_VAR], "reactive power", oldest_ms, now_ms),
        _mean([one for one in series if one.kind.uom == translate.UNIT_V], oldest_ms, now_ms),
    )


def _whole(series: list[Series], what: str, oldest_ms: int, now_ms: int) -> Reading:
    """Give the power of all phases: as it was sent, else as the sum of what was sent of each, but never of a part."""
    if not series:
        return Unknown(f"no meter reading of its {what}", now_ms)
    total = [one for one in series if not one.kind.phase]
    values = [(translate.measured(one.kind, one.value), one.at_ms) for one in total or series if one.value is not None]
    known = [(value, at_ms) for value, at_ms in values if value is not None]
    if len(known) < len(total or series):
        return Unknown(f"a meter reading of its {what} lacks a value, a unit or a flow direction", now_ms)
    at_ms = min(at_ms for _value, at_ms in known)
    if at_ms < oldest_ms:
        return Unknown(f"its last meter reading of {what} is too old", at_ms)
    return Known(known[-1][0] if total else sum(value for value, _at_ms in known), at_ms)


def _mean(series: list[Series], oldest_ms: int, now_ms: int) -> Reading:
    given = [(translate.measured(one.kind, one.value), one.at_ms) for one in series if one.value is not None]
    known = [(value, at_ms) for value, at_ms in given if value is not None and at_ms >= oldest_ms]
    if not known:
        return Unknown("no meter reading of its voltage", now_ms)
    return Known(sum(value for value, _at_ms in known) // len(known), min(at_ms for _value, at_ms in known))
