"""When an order is in force at a resource, and which order of a slot holds at an instant (C1, C5, C6, C17).

Overlap is judged on effective, half-open intervals. Inside a slot the stronger order takes over at its own effective
start, and what it took is gone for good: "run, superseded, never again" (IEEE 2030.5-2018 10.2.3).

    older, weaker    |=====A=====|                        A runs until B starts, is superseded then,
    newer, stronger        |==B==|                        and does not come back where B ends first
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.core.orders import Effect, Function, Order, OrderKey, Rank

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
    """One stream of competing orders at one resource: its issuer, level and control function."""

    issuer: str
    level: int
    function: Function


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
    order: Order, resource: str, clock_offset_ms: int, cut_ms: int | None = None, spread_ms: int = 0
) -> Interval:
    """Give the order's effective interval at a resource, on our clock.

    `clock_offset_ms` is the issuer's clock minus ours; `cut_ms` is when it was cancelled or withdrawn (ours), and
    `spread_ms` bounds the random time that it winds down in.
    """
    start_ms = order.start_ms - clock_offset_ms + offset_ms(order.draw, "start", resource, order.randomize_start_ms)
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


def _strength(entry: Entry) -> tuple[int, int, OrderKey]:
    """Sort key inside one slot: precedence, later creation, smaller id (C3, C4)."""
    return (entry.rank.precedence, -entry.rank.created_ms, entry.key)


def standing(entries: Sequence[Entry], now_ms: int) -> Standing:
    """Give what holds in one slot at `now_ms`: a function of the set of entries, not of their order of arrival.

    What has not begun bears on nothing yet. From the strongest down, each entry keeps what the stronger ones leave: it
    ends where one of them first meets it. One that was beaten by an order that has since been moved or forgotten is
    spent, and does not come back.
    """
    if len(entries) == 1:
        entry = entries[0]
        holds = entry.interval.start_ms <= now_ms < min(entry.interval.end_ms, entry.spent_ms)
        return Standing(entry if holds else None, ())
    winner: Entry | None = None
    lost: list[Entry] = []
    kept: list[Interval] = []
    begun = [entry for entry in entries if entry.interval.start_ms <= now_ms]
    for entry in sorted(begun, key=_strength):
        start_ms, end_ms = entry.interval
        loss_ms = FOR_EVER_MS
        for above in kept:
            meet_ms = max(above.start_ms, start_ms)
            if meet_ms < min(above.end_ms, end_ms):
                loss_ms = min(loss_ms, meet_ms)
        held_until_ms = min(end_ms, loss_ms, entry.spent_ms)
        kept.append(Interval(start_ms, held_until_ms))
        if loss_ms <= now_ms:
            lost.append(entry)
        elif start_ms <= now_ms < held_until_ms:
            winner = entry
    return Standing(winner, tuple(lost))


def next_change(entries: Iterable[Entry], now_ms: int) -> int:
    """Give the next instant after `now_ms` at which any of the entries starts or ends, or FOR_EVER_MS."""
    soonest_ms = FOR_EVER_MS
    for entry in entries:
        for at_ms in entry.interval:
            if now_ms < at_ms < soonest_ms:
                soonest_ms = at_ms
    return soonest_ms
