"""When an order is in force at a resource, and which order of a slot holds at an instant (C1, C5, C6, C17).

Overlap is judged on effective, half-open intervals. Inside a slot the stronger order takes over at its own effective
start, and what it took is gone for good: "run, superseded, never again" (IEEE 2030.5-2018 10.2.3).

    older, weaker    |=====A=====|                        A runs until B starts, is superseded then,
    newer, stronger        |==B==|                        and does not come back where B ends first
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from gateway.core.functions import Function
from gateway.core.orders import Ceiling, Effect, Floor, Order, OrderKey, Rank, Tie, Total
from gateway.core.units import Watts

FOR_EVER_MS = 1 << 62


class Interval(NamedTuple):
    """A half-open span of the gateway's own time, in ms."""

    start_ms: int
    end_ms: int


class Entry(NamedTuple):
    """One effect of one order as it stands in a slot at one resource; from `spent_ms` on it holds nothing any more."""

    key: OrderKey
    rank: Rank
    interval: Interval
    effect: Effect
    spent_ms: int = FOR_EVER_MS


class Slot(NamedTuple):
    """One stream of competing orders at one resource: its issuer, level, control function and point.

    `point` is empty for the resource's own connection point and DER, else the group that is to obey in sum.
    """

    issuer: str
    level: int
    function: Function
    point: str = ""


class Standing(NamedTuple):
    """What a slot says at an instant: the entry in force, and the entries lost for good."""

    winner: Entry | None
    lost: tuple[Entry, ...]


def offset_ms(draw: int, purpose: str, resource: str, bound_ms: int) -> int:
    """Give the random offset of one resource, between 0 and `bound_ms` (either sign): a hash of the order's draw."""
    if bound_ms == 0:
        return 0
    digest = hashlib.sha256(f"{draw}/{purpose}/{resource}".encode()).digest()
    span = int.from_bytes(digest[:8], "big") % (abs(bound_ms) + 1)
    return span if bound_ms > 0 else -span


def effective(
    order: Order, resource: str, clock_offset_ms: int, cut_ms: int | None = None, spread_ms: int = 0, shift_ms: int = 0
) -> Interval:
    """Give the order's effective interval at a resource, on our clock.

    `clock_offset_ms` is the issuer's clock minus ours; `cut_ms` is when it was cancelled or withdrawn (ours), and
    `spread_ms` bounds the random time that it winds down in; `shift_ms` moves it as a whole. Our reading: what a group
    obeys in sum begins and ends for all of the group at once, so its random numbers are those of the group.
    """
    resource = order.scope.group if isinstance(order.scope, Total) else resource
    start_ms = order.start_ms + offset_ms(order.draw, "start", resource, order.randomize_start_ms)
    start_ms += shift_ms - clock_offset_ms
    end_ms = FOR_EVER_MS
    if order.end_ms is not None:
        length_ms = order.end_ms - order.start_ms
        length_ms += offset_ms(order.draw, "duration", resource, order.randomize_duration_ms)
        end_ms = start_ms + max(0, length_ms)
    if cut_ms is None:
        return Interval(start_ms, end_ms)
    if start_ms >= cut_ms:
        return Interval(cut_ms, cut_ms)
    return Interval(start_ms, min(end_ms, cut_ms + offset_ms(order.draw, "cut", resource, spread_ms)))


def strength(entry: Entry) -> tuple[int, int, int, OrderKey]:
    """Sort key inside one slot: precedence, then the tie of its server, then the smaller id (C3, C4).

    A share and a power in W have no common scale here. Our reading: W first, and a release after every limit.
    """
    rank, effect = entry.rank, entry.effect
    if rank.tie is Tie.TIGHTER_LIMIT and isinstance(effect, Ceiling | Floor):
        unlike, size = (0, effect.power.w) if isinstance(effect.power, Watts) else (1, effect.power.hundredths)
        return (rank.precedence, unlike, size if isinstance(effect, Ceiling) else -size, entry.key)
    return (rank.precedence, 2, -rank.created_ms, entry.key)


class Succession:
    """Which entry of one slot holds when, for all time: one sweep over the starts, then every instant is a look-up.

    What begins takes over from a weaker holder and is lost to a stronger one. The next holder is always one that
    begins: what has begun before has held, or is lost. An entry whose effect is spent holds no more, beats nobody, and
    is lost to the next stronger one that begins before its end. What has not begun bears on nothing before it does, so
    the sweep is a function of the set of entries alone.
    """

    __slots__ = ("_by_strength", "_instants", "_losses", "_reigns", "_since_ms")

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Sweep over these entries in O(n log n)."""
        self._by_strength = sorted(entries, key=strength)
        self._instants: list[int] | None = None
        loss_ms: dict[int, int] = {}
        self._reigns = self._sweep(loss_ms)
        self._since_ms = [self._by_strength[place].interval.start_ms for place in self._reigns]
        self._losses = sorted((at_ms, place) for place, at_ms in loss_ms.items())

    def _sweep(self, loss_ms: dict[int, int]) -> list[int]:
        """Give the holders by start, and note when each place (in order of strength) is lost."""
        by_strength = self._by_strength
        starts_ms = [entry.interval.start_ms for entry in by_strength]
        reigns: list[int] = []
        spent: list[int] = []
        holder, until_ms = -1, -FOR_EVER_MS
        for place in sorted(range(len(starts_ms)), key=starts_ms.__getitem__):
            start_ms, (_start_ms, end_ms) = starts_ms[place], by_strength[place].interval
            if start_ms >= end_ms:
                continue
            if holder >= 0 and start_ms >= until_ms:
                if until_ms < by_strength[holder].interval.end_ms:
                    heappush(spent, -holder)
                holder = -1
            if 0 <= holder < place:
                loss_ms[place] = start_ms
                continue
            held_until_ms = min(end_ms, by_strength[place].spent_ms)
            if held_until_ms <= start_ms:
                heappush(spent, -place)
                continue
            if holder >= 0:
                loss_ms[holder] = start_ms
            while spent and -spent[0] > place:
                weaker = -heappop(spent)
                if start_ms < by_strength[weaker].interval.end_ms:
                    loss_ms[weaker] = start_ms
            holder, until_ms = place, held_until_ms
            reigns.append(place)
        return reigns

    def standing(self, now_ms: int) -> Standing:
        """Give the entry in force at `now_ms`, and those lost for good by then, the strongest first."""
        lost = sorted(place for _at_ms, place in self._losses[: bisect_left(self._losses, (now_ms + 1, -1))])
        return Standing(self.winner(now_ms), tuple(self._by_strength[place] for place in lost))

    def winner(self, now_ms: int) -> Entry | None:
        """Give the entry in force at `now_ms`, or None."""
        reign = bisect_right(self._since_ms, now_ms) - 1
        if reign < 0:
            return None
        entry = self._by_strength[self._reigns[reign]]
        return entry if now_ms < min(entry.interval.end_ms, entry.spent_ms) else None

    def next_change(self, now_ms: int) -> int:
        """Give the next instant after `now_ms` at which any of the entries starts or ends, or FOR_EVER_MS."""
        instants = self._all_instants()
        after = bisect_right(instants, now_ms)
        return instants[after] if after < len(instants) else FOR_EVER_MS

    def last_change(self, now_ms: int) -> int:
        """Give the last instant up to `now_ms` at which any of the entries started or ended, or -FOR_EVER_MS."""
        instants = self._all_instants()
        after = bisect_right(instants, now_ms)
        return instants[after - 1] if after else -FOR_EVER_MS

    def _all_instants(self) -> list[int]:
        if self._instants is None:
            self._instants = sorted({at_ms for entry in self._by_strength for at_ms in entry.interval})
        return self._instants


def standing(entries: Sequence[Entry], now_ms: int) -> Standing:
    """Give what holds in one slot at `now_ms`: a function of the set of entries, not of their order of arrival.

    From the strongest down, each entry keeps what the stronger ones leave: it ends where one of them first meets it.
    One that was beaten by an order that has since been moved or forgotten is spent, and does not come back.
    """
    if len(entries) == 1:
        entry = entries[0]
        holds = entry.interval.start_ms <= now_ms < min(entry.interval.end_ms, entry.spent_ms)
        return Standing(entry if holds else None, ())
    return Succession(entries).standing(now_ms)


def next_change(entries: Iterable[Entry], now_ms: int) -> int:
    """Give the next instant after `now_ms` at which any of the entries starts or ends, or FOR_EVER_MS."""
    soonest_ms = FOR_EVER_MS
    for entry in entries:
        for at_ms in entry.interval:
            if now_ms < at_ms < soonest_ms:
                soonest_ms = at_ms
    return soonest_ms
