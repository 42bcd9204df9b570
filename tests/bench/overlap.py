"""What many overlapping orders cost the core: ten thousand on one DER and function, and over ten thousand DER."""

from copy import deepcopy
from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Final

from gateway.core.events import Assigned, Effect, OrderHeard, Tick, Write
from gateway.core.functions import Function
from gateway.core.machine import RENEW_MS, Machine
from gateway.core.orders import Ceiling, Each, Order, OrderKey, Rank
from gateway.core.timeline import Entry, Interval, Succession
from gateway.core.units import Watts

from .fleet import ASKED, DSO, HOUR_MS, T0_MS, Fleet, Timed, block, clocked, median_s, uncollected
from .result import Result

ORDERS: Final = 10_000
DER: Final = 10_000
ROW: Final = 10
TIMES: Final = 7
MS: Final = 1e3
STARTS_MS: Final = 60_000
BEGUN_MS: Final = T0_MS + HOUR_MS + STARTS_MS
GOAL_ONE_MS: Final = 100.0
GOAL_FLEET_MS: Final = 300.0


def benchmark(_folder: Path) -> list[Result]:
    """Measure the sweep alone, one DER with all of the orders, and a fleet with guard."""
    return [sweep(ORDERS, TIMES), one_der(ORDERS, TIMES), fleet(DER, ORDERS, TIMES)]


def overlapping(count: int) -> list[Order]:
    """Give so many orders that overlap one another, of mixed length, start and precedence, each its own value."""
    return [
        Order(
            DSO,
            f"overlap-{number:06}",
            0,
            Each(block(0)),
            (Ceiling(Function.EXPORT_LIMIT, Watts(1_000 + number % 3_000)),),
            T0_MS + HOUR_MS + number * 7_919 % STARTS_MS,
            T0_MS + 12 * HOUR_MS + number * 104_729 % HOUR_MS,
            Rank(number * 31 % 97, T0_MS - HOUR_MS + number),
            T0_MS,
            number,
            reply=ASKED,
        )
        for number in range(count)
    ]


def sweep(count: int, times: int) -> Result:
    """Measure which of so many orders of one slot holds when, for all time."""
    entries = [entry(order) for order in overlapping(count)]
    ours_s = median_s(lambda _number: clocked(lambda: Succession(entries).standing(BEGUN_MS)), times)
    what = f"which of {count:,} overlapping orders of one slot holds when, from cold; {_FLOOR}"
    return Timed("overlap-sweep", what, ours_s * MS, "ms", GOAL_ONE_MS, _sorted_s(entries, times) * MS)


_FLOOR: Final = "floor: the same orders sorted twice, by their strength and by their start"


def _sorted_s(entries: list[Entry], times: int) -> float:
    def both() -> None:
        by_strength = sorted(entries, key=lambda entry: (entry.rank.precedence, -entry.rank.created_ms, entry.key))
        by_strength.sort(key=lambda entry: entry.interval.start_ms)

    return median_s(lambda _number: clocked(both), times)


def one_der(count: int, times: int) -> Result:
    """Measure the instant at which so many orders of one DER have begun, by a machine that never looked at it."""
    orders = overlapping(count)
    with uncollected():
        one = Fleet(1)
        _stand(one, orders, 1)
    ours_s = _cold_s(one, BEGUN_MS, times)
    entries = [entry(order) for order in orders]
    what = (
        f"one DER with {count:,} overlapping orders of one function, from cold: settled, written, and every order that "
        f"is beaten answered; {_FLOOR}"
    )
    return Timed("overlap-one-der", what, ours_s * MS, "ms", GOAL_ONE_MS, _sorted_s(entries, times) * MS)


def fleet(count: int, orders: int, times: int) -> Result:
    """Measure a fleet that is decided anew as a whole, each DER with ten of the orders, by a machine just loaded."""
    rows = count // ROW
    with uncollected():
        many = Fleet(count, ROW)
        _stand(many, overlapping(orders), rows)
        many.now_ms = BEGUN_MS
        many.feed(Tick())
    ours_s = median_s(partial(_renewed_s, many), times)
    floor_s = median_s(lambda _number: clocked(lambda: [_least(number) for number in range(count)]), times)
    what = (
        f"{count:,} DER decided anew from cold and every write cleared by the guard, {orders:,} orders, {ROW} "
        f"overlapping on each DER of {rows:,} groups; floor: for each DER a value made and the tightest of ten found"
    )
    return Timed("overlap-fleet", what, ours_s * MS, "ms", GOAL_FLEET_MS, floor_s * MS)


def _renewed_s(fleet: Fleet, _number: int) -> float:
    """Measure the next renewal, at which all is decided anew (s), by a machine that was only given the state."""
    fleet.machine = Machine(fleet.machine.state)
    fleet.now_ms += RENEW_MS
    return fleet.seconds(Tick())


def _stand(fleet: Fleet, orders: list[Order], groups: int) -> None:
    """Let these orders stand on so many groups, which get their DER when all is heard: one decision, not one each."""
    members = {block(number): fleet.machine.state.members[block(number)] for number in range(groups)}
    for group in members:
        fleet.feed(Assigned(DSO, group, ()))
    for number, order in enumerate(orders):
        fleet.feed(OrderHeard(replace(order, scope=Each(block(number % groups)))))
    for group, names in members.items():
        fleet.feed(Assigned(DSO, group, names))


def _cold_s(fleet: Fleet, at_ms: int, times: int) -> float:
    """Measure what a machine has to do at an instant (s), each time given the state as it was before."""

    def once(_number: int) -> float:
        with uncollected():
            machine = Machine(deepcopy(fleet.machine.state))
        effects: list[Effect] = []
        took_s = clocked(lambda: effects.extend(machine.handle(Tick(), at_ms)))
        if not any(isinstance(effect, Write) for effect in effects):
            raise ChildProcessError("the core wrote nothing, so that nothing was measured")
        return took_s

    return median_s(once, times)


def entry(order: Order) -> Entry:
    """Give an order as it stands in its slot."""
    return Entry(order.key, order.rank, Interval(order.start_ms, order.end_ms or order.start_ms), order.effects[0])


def _least(number: int) -> Entry:
    return Entry(OrderKey(DSO, ""), Rank(0, 0), Interval(0, number), min(_VALUES, key=itemgetter(0))[1])


_VALUES: Final = [(place, Ceiling(Function.EXPORT_LIMIT, Watts(place))) for place in range(ROW)]
