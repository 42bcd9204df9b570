"""When each interval of an event holds: starts, durations, inheritance, laps and parts (OpenADR 3 User Guide 7.3).

The event's own period is the default of each interval's; an interval without a start begins where the one before it
ends. A start in the year 1 is the anchor: the moment at which the event was first heard. All times are the VTN's.
"""

from collections.abc import Container
from typing import Final, NamedTuple

from gateway.wire.openadr3 import FOR_EVER, NOW, Event, Interval, Odd, Period, WireFault, duration_ms, instant_ms

AHEAD_MS: Final = 24 * 3_600_000
"""How far ahead the laps of an event that repeats are laid out; each reading lays out what has come within it."""
PIECES_MAX: Final = 5_000


class Piece(NamedTuple):
    """A stretch of an event in which its values stay the same: an interval, or one part of one, in one lap.

    `end_ms` is None for ever. `part` is the place of its value among those of a payload that lists several.
    `anchored` tells that it rests on the moment of receipt.
    """

    name: str
    interval: Interval
    part: int
    start_ms: int
    end_ms: int | None
    randomize_ms: int
    anchored: bool


class Course(NamedTuple):
    """An event's pieces in the order of its intervals, what of it cannot be laid out, and whether it repeats."""

    pieces: tuple[Piece, ...]
    odd: tuple[Odd, ...]
    repeats: bool = False


class _Walk:
    """What carries over from one interval to the next."""

    def __init__(self, period: Period, anchor_ms: int) -> None:
        """Begin at the event's own period."""
        start_ms = None if period.start is None else instant_ms(period.start)
        self.anchor_ms = anchor_ms
        self.anchored = start_ms == NOW
        self.next_ms = anchor_ms if start_ms == NOW else start_ms
        self.length_ms = None if period.duration is None else duration_ms(period.duration)
        self.randomize_ms = 0 if period.randomize_start is None else duration_ms(period.randomize_start)
        self.first = True

    def place(self, own: Period | None) -> tuple[int, int]:
        """Give an interval's start and length (ms); raise WireFault where they cannot be told."""
        length_ms = self.length_ms
        if own is not None:
            if own.start is not None:
                self._start_at(instant_ms(own.start))
            if own.randomize_start is not None:
                self.randomize_ms = duration_ms(own.randomize_start)
            if own.duration is not None:
                length_ms = duration_ms(own.duration)
        start_ms, self.next_ms, self.first = self.next_ms, None, False
        if start_ms is None:
            raise WireFault("it has no start, and none to follow")
        if length_ms is None:
            raise WireFault("it has no duration; P9999Y is for ever")
        self.next_ms = None if length_ms == FOR_EVER else start_ms + length_ms
        return start_ms, length_ms

    def _start_at(self, start_ms: int) -> None:
        if start_ms != NOW:
            self.next_ms, self.anchored = start_ms, False
        elif self.first or self.next_ms is None:
            self.next_ms, self.anchored = self.anchor_ms, True


def lay_out(event: Event, anchor_ms: int, now_ms: int, divided: Container[str]) -> Course:
    """Give the pieces of an event; one of no length is none.

    `divided` are the payload types of which several values share an interval evenly. Raises WireFault where the
    event's own period, or its duration, cannot be read.
    """
    walk = _Walk(event.period or Period(), anchor_ms)
    window_ms = None if event.duration is None else duration_ms(event.duration)
    pieces: list[Piece] = []
    odd: list[Odd] = []
    seen: set[int] = set()
    for place, interval in enumerate(event.intervals or ()):
        if len(pieces) >= PIECES_MAX:
            odd.append(Odd("rest", f"it has more intervals than {PIECES_MAX}; those behind them are not obeyed"))
            break
        name = str(interval.id) if interval.id not in seen else f"{interval.id}@{place}"
        seen.add(interval.id)
        try:
            start_ms, length_ms = walk.place(interval.interval_period)
            if length_ms:
                parts = _parts(interval, divided)
                if parts == 1:
                    end_ms = None if length_ms == FOR_EVER else start_ms + length_ms
                    pieces.append(Piece(name, interval, 0, start_ms, end_ms, walk.randomize_ms, walk.anchored))
                else:
                    _divide(pieces, name, interval, start_ms, length_ms, parts, walk)
        except WireFault as fault:
            odd.append(Odd(name, str(fault)))
    if window_ms is None or not pieces:
        return Course(tuple(pieces), tuple(odd))
    kept, repeats = _within(pieces, window_ms, now_ms)
    return Course(kept, tuple(odd), repeats)


def _parts(interval: Interval, divided: Container[str]) -> int:
    """Give in how many parts an interval falls by the values that its payloads list."""
    parts = 1
    for payload in interval.payloads:
        count = len(payload.values)
        if count > 1 and payload.type in divided:
            if parts not in {1, count}:
                raise WireFault(f"its payloads have {parts} and {count} values; they divide it differently")
            parts = count
    return parts


def _divide(
    pieces: list[Piece], name: str, interval: Interval, start_ms: int, length_ms: int, parts: int, walk: _Walk
) -> None:
    """Add an interval in so many parts of one length."""
    if length_ms == FOR_EVER:
        raise WireFault(f"it lasts for ever, which {parts} values cannot share")
    if parts > min(length_ms, PIECES_MAX):
        raise WireFault(f"it lists {parts} values, more than can share it")
    bounds = [start_ms + length_ms * part // parts for part in range(parts + 1)]
    pieces.extend(
        Piece(f"{name}.{part}", interval, part, bounds[part], bounds[part + 1], walk.randomize_ms, walk.anchored)
        for part in range(parts)
    )


def _within(pieces: list[Piece], window_ms: int, now_ms: int) -> tuple[tuple[Piece, ...], bool]:
    """Cut the pieces off where the event's duration ends, and repeat them where they end before it."""
    first_ms = min(piece.start_ms for piece in pieces)
    last_ms = first_ms + window_ms
    ends = [piece.end_ms for piece in pieces if piece.end_ms is not None]
    lap_ms = max(ends) - first_ms if len(ends) == len(pieces) else FOR_EVER
    if window_ms <= lap_ms:
        return _cut(pieces, 0, 0, last_ms), False
    laid: list[Piece] = []
    lap = max(0, (now_ms - first_ms) // lap_ms)
    until_ms = min(last_ms, max(now_ms, first_ms) + AHEAD_MS)
    while first_ms + lap * lap_ms < until_ms and len(laid) < PIECES_MAX:
        laid += _cut(pieces, lap, lap * lap_ms, last_ms)
        lap += 1
    return tuple(laid), True


def _cut(pieces: list[Piece], lap: int, shift_ms: int, last_ms: int) -> tuple[Piece, ...]:
    """Give the pieces of one lap that begin before an instant, none of them reaching past it."""
    return tuple(
        piece._replace(
            name=f"{piece.name}+{lap}" if lap else piece.name,
            start_ms=piece.start_ms + shift_ms,
            end_ms=_earlier(None if piece.end_ms is None else piece.end_ms + shift_ms, last_ms),
        )
        for piece in pieces
        if piece.start_ms + shift_ms < last_ms
    )


def _earlier(end_ms: int | None, last_ms: int) -> int | None:
    if last_ms >= FOR_EVER:
        return end_ms
    return last_ms if end_ms is None else min(end_ms, last_ms)
