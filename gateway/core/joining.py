"""Successive orders without a gap: one that starts where another ends takes over when that one really ends (C6).

Both may draw their starts and durations at random; then the later one starts at the effective end of the earlier one
and keeps its own length, so that the two neither meet nor leave anything open between them (IEEE 2030.5-2018 10.2.3).
Our reading: so it is where they are of one issuer and clock and act on one function at the resource, and as long as the
earlier one runs: once it is cancelled or superseded there, the later one starts as it drew, or now if that has passed.
What has begun stays as it began.
"""

from collections.abc import Iterable, Iterator

from gateway.core.functions import Function
from gateway.core.orders import Each, Order, OrderKey
from gateway.core.settling import interval_at
from gateway.core.state import Live, PartyState, State
from gateway.core.timeline import effective

Edge = tuple[str, int]
"""An issuer, and an instant on its clock (ms)."""


class Joiner:
    """Moves the starts of successive orders in the machine's state; what it keeps beside it is derived from it."""

    def __init__(self, state: State) -> None:
        """Find the orders that start or end at one instant."""
        self._state = state
        self._starting: dict[Edge, list[OrderKey]] = {}
        self._ending: dict[Edge, list[OrderKey]] = {}
        for live in state.lives.values():
            self._note(live)

    def _note(self, live: Live) -> None:
        order = live.order
        if not _joins(order):
            return
        edges = [(self._starting, order.start_ms)]
        if order.end_ms is not None:
            edges.append((self._ending, order.end_ms))
        for index, at_ms in edges:
            keys = index.setdefault((order.issuer, at_ms), [])
            keys[:] = [key for key in keys if key in self._state.lives and key != order.key]
            keys.append(order.key)

    def heard(self, live: Live) -> list[Live]:
        """Take in an order that takes effect; give every order that starts elsewhere now, this one too."""
        if not _joins(live.order):
            return []
        self._note(live)
        return self._settle([live, *self._after(live.order)])

    def gone(self, order: Order) -> list[Live]:
        """Give every order that starts elsewhere now that this one does not run to its end."""
        return self._settle(self._after(order)) if _joins(order) else []

    def forget(self) -> None:
        """Forget the edges of orders that are held no more."""
        for index in (self._starting, self._ending):
            for edge, keys in list(index.items()):
                keys[:] = [key for key in keys if key in self._state.lives]
                if not keys:
                    del index[edge]

    def _settle(self, first: Iterable[Live]) -> list[Live]:
        waiting, moved = list(first), {}
        while waiting:
            live = waiting.pop(0)
            if self._place(live):
                moved[live.order.key] = live
                waiting.extend(self._after(live.order))
        return list(moved.values())

    def _after(self, order: Order) -> list[Live]:
        lives = self._state.lives
        keys = [] if order.end_ms is None else self._starting.get((order.issuer, order.end_ms), [])
        found = [lives[key] for key in keys if key in lives and key != order.key]
        return [live for live in found if (live.order.start_ms, live.order.clock) == (order.end_ms, order.clock)]

    def _before(self, order: Order) -> list[Live]:
        lives = self._state.lives
        keys = self._ending.get((order.issuer, order.start_ms), [])
        found = [lives[key] for key in keys if key in lives and key != order.key]
        return [live for live in found if (live.order.end_ms, live.order.clock) == (order.start_ms, order.clock)]

    def _place(self, live: Live) -> bool:
        """Put the start of an order, wherever it has not begun, to where it belongs; tell whether it moved."""
        before = self._before(live.order)
        if not live.shift_ms and not (before and any(map(_loose, (live, *before)))):
            return False
        moved = False
        party = self._state.parties.get(live.order.issuer, PartyState())
        now_ms = self._state.now_ms + party.ahead_ms(live.order.clock)
        for name, course in live.courses.items():
            if course.started or course.ended or name not in live.effects:
                continue
            own_ms, shift_ms = effective(live.order, name, 0).start_ms, live.shift_ms.get(name, 0)
            ends_ms = [_end_ms(one, name) for one in before if _runs_into(one, live, name)]
            if ends_ms:
                shift_ms = max(ends_ms) - own_ms
            elif shift_ms and own_ms + shift_ms > now_ms:
                shift_ms = max(own_ms, now_ms) - own_ms
            if shift_ms != live.shift_ms.get(name, 0):
                live.shift_ms[name] = shift_ms
                live.uniform, moved = False, True
        return moved


def _joins(order: Order) -> bool:
    """Our reading: what a group obeys in sum joins nothing, as its members begin with each other."""
    return order.joins and isinstance(order.scope, Each)


def _loose(live: Live) -> bool:
    return bool(live.order.randomize_start_ms or live.order.randomize_duration_ms or live.shift_ms)


def _end_ms(live: Live, resource: str) -> int:
    """Give when an order ends at a resource, on its issuer's clock (ms)."""
    return effective(live.order, resource, 0, shift_ms=live.shift_ms.get(resource, 0)).end_ms


def _runs_into(one: Live, other: Live, resource: str) -> bool:
    """Tell whether an order runs to its end at a resource, in a function that the other is about too."""
    course = one.courses.get(resource)
    if course is None or resource not in one.effects or one.cut_ms is not None:
        return False
    if course.ended and not course.ran_out:
        return False
    lost = [function for function, _at_ms in course.lost]
    functions: set[Function] = {effect.function for effect in other.effects[resource]}
    return any(each.function in functions and each.function not in lost for each in one.effects[resource])


def remind_of(state: State, live: Live) -> None:
    """Come back when the order starts and ends, and when its start comes within a resource's revert time (C14).

    At each resource on its own where it is randomized.
    """
    for at_ms in sorted(set(_instants_ms(state, live))):
        if at_ms > state.now_ms:
            state.remind(at_ms, "order", live.order.issuer, live.order.id)


def _instants_ms(state: State, live: Live) -> Iterator[int]:
    for name in live.effects:
        start_ms, end_ms = interval_at(state, live, name)
        yield from (start_ms - state.resources[name].revert_ms, start_ms, end_ms)
