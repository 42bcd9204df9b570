"""Instants and durations as OpenADR 3 writes them (openadr3.yaml: dateTime, duration, intervalPeriod)."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from gateway.wire.openadr3.faults import WireFault

NOW: Final = -1
"""The instant that a start in the year 1 stands for: now, or where the interval before it ends."""
FOR_EVER: Final = 1 << 62
"""The length (ms) of what lasts 9999 years or more."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DURATION: Final = re.compile(
    r"(-)?P(?=\d|T\d)(?:(\d{1,12})Y)?(?:(\d{1,12})M)?(?:(\d{1,12})W)?(?:(\d{1,12})D)?"
    r"(?:T(?:(\d{1,12})H)?(?:(\d{1,12})M)?(?:(\d{1,12}(?:\.\d{1,9})?)S)?)?",
    re.ASCII,
)
_SECONDS: Final = (365 * 86_400, 30 * 86_400, 7 * 86_400, 86_400, 3_600, 60)
_ENDLESS_S: Final = 9_999 * 365 * 86_400


def instant_ms(text: str) -> int:
    """Give an instant in ms since the UNIX epoch, or NOW for one in the year 1.

    Our reading: without an offset it is in UTC. Raises WireFault where it is none, or lies before 1970.
    """
    if text.startswith("0001-01-01"):
        return NOW
    try:
        found = datetime.fromisoformat(text)
    except ValueError as fault:
        raise WireFault(f"{shown(text)} is no date and time") from fault
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    at_ms = (found - _EPOCH) // _MILLISECOND
    if at_ms < 0:
        raise WireFault(f"{shown(text)} is before the year 1970")
    return at_ms


@lru_cache(maxsize=256)
def duration_ms(text: str) -> int:
    """Give a duration in ms, or FOR_EVER for 9999 years and more.

    Our reading: a year is 365 days and a month 30. Raises WireFault where it is none, or negative.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise WireFault(f"{shown(text)} is no duration")
    negative, *parts, seconds = found.groups()
    whole_s = sum(int(part or 0) * one for part, one in zip(parts, _SECONDS, strict=True))
    length_ms = 1000 * whole_s + int(1000 * Decimal(seconds or 0))
    if negative and length_ms:
        raise WireFault(f"{shown(text)} is a negative duration")
    return FOR_EVER if length_ms >= 1000 * _ENDLESS_S else length_ms


def write_instant(at_ms: int) -> str:
    """Write an instant (ms since the UNIX epoch) in UTC."""
    return (_EPOCH + at_ms * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_duration(length_ms: int) -> str:
    """Write a duration (ms, at least 0)."""
    seconds, milliseconds = divmod(length_ms, 1000)
    return f"PT{seconds}.{milliseconds:03}S" if milliseconds else f"PT{seconds}S"


def shown(text: str) -> str:
    """Give a foreign text so that it can stand in a line: quoted, escaped and short."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")
