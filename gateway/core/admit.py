"""Orders in: judged, shared among their resources, and taken onto the timeline (RULES A, C1, C13, E)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from gateway.core.allot import lay_points
from gateway.core.answers import Course, Kind
from gateway.core.authority import (
    Accepted,
    Authority,
    Refused,
    judge,
    judge_freshness,
    judge_modes,
    judge_size,
    judge_version,
)
from gateway.core.decide import Decider
from gateway.core.events import Assigned, Effect, OrderHeard, OrderUnreadable, Topic, Withdrawal, Withdrawn
from gateway.core.functions import LIMITS, Function
from gateway.core.joining import remind_of
from gateway.core.ledger import Ledger
from gateway.core.narrate import tell
from gateway.core.orders import Each, Order, OrderKey, Rank, Total
from gateway.core.orders import Effect as OrderEffect
from gateway.core.settling import interval_at
from gateway.core.state import Live, PartyState, State, groups_by_resource
from gateway.core.timeline import FOR_EVER_MS, Interval, effective

LATEST_MS = 3_600_000
AHEAD_MS = 10_000
"""How far a server's clock may be ahead of ours when it says that an order is superseded."""
JUST_AFTER_MS = 1_000
UNREAD_VERSION = -1
"""Older than any version: what is unreadable once may still be read, and holds then."""


class Admission:
    """Takes orders into the machine's state; keeps nothing but the site's grants."""

    def __init__(self, state: State, decider: Decider, ledger: Ledger, authority: Authority) -> None:
        """Admit into this state what these grants allow."""
        self._state = state
        self._decider = decider
        self._ledger = ledger
        self.authority = authority

    def assigned(self, event: Assigned) -> Iterator[Effect]:
        """Take the resources that a party's group stands for; the orders it has reach the new ones as well (C13)."""
        state = self._state
        known = tuple(name for name in event.resources if name in state.resources)
        if known != state.members.get(event.group, ()):
            state.assigned[event.group] = event.issuer
            yield from self.regroup({event.group: known})

    def regroup(self, members: Mapping[str, tuple[str, ...]]) -> Iterator[Effect]:
        """Let these groups stand for these resources; what leaves a group keeps the orders that run there."""
        state = self._state
        touched: dict[str, None] = {}
        for group, names in members.items():
            before = (*state.members.get(group, ()), *state.former.get(group, ()))
            state.members[group] = names
            state.former[group] = tuple(name for name in before if name not in names and self._runs(group, name))
            touched.update(dict.fromkeys((*before, *names)))
        groups = groups_by_resource({group: state.reached(group) for group in state.members})
        for name in touched:
            if name in state.resources:
                state.resources[name].groups = groups.get(name, ())
        self._decider.touch((*touched, *lay_points(state)))
        for group, names in members.items():
            for key in state.book.get(group, ()):
                yield from self._reach(state.lives[key], names)

    def _runs(self, group: str, resource: str) -> bool:
        courses = (self._state.lives[key].courses.get(resource) for key in self._state.book.get(group, ()))
        return resource in self._state.resources and any(course is not None and not course.ended for course in courses)

    def _reach(self, live: Live, members: tuple[str, ...]) -> Iterator[Effect]:
        """Let an order reach the members that it has not reached yet, unless it is over or never took effect."""
        new = tuple(name for name in members if name not in live.courses)
        if not new:
            return
        if live.interval.end_ms <= self._state.now_ms or (live.courses and not live.effects):
            live.uniform = False
            return
        yield from self._take(live, new, self._verdict(live.order, new))

    def order_heard(self, event: OrderHeard) -> Iterator[Effect]:
        """Judge an order and admit what is granted of it; a newer version takes the place of the one held.

        A newer version that is refused has no effect, so the one held stays in force (A6).
        """
        state, order = self._state, event.order
        held = state.lives.get(order.key)
        if held is not None and _same(held.order, order):
            if order.reply != held.order.reply:
                held.order = replace(held.order, reply=order.reply)
            yield from self._rerank(held, order.rank)
            return
        if order.version <= state.answered.get(order.key, -1):
            return
        stale = judge_version(None if held is None else held.order, order)
        if stale is not None:
            yield tell(state.now_ms, Topic.REFUSED, order.key, stale.rule, "kept as it was", (), (), stale.why)
            return
        if held is not None:
            order = replace(order, draw=held.order.draw)
        group = order.scope.group
        resources = state.members.get(group, ())
        verdict = self._verdict(order, resources)
        live = Live(order, group, {}, {}, uniform=True, interval=Interval(0, 0))
        if held is not None:
            if isinstance(verdict, Refused):
                state.answered[order.key] = order.version
                yield from self._take(live, resources, verdict)
                return
            self._replace(held)
        state.lives[order.key] = live
        state.book.setdefault(group, []).append(order.key)
        self.retime(live)
        yield from self._take(live, resources, verdict)

    def _rerank(self, live: Live, rank: Rank) -> Iterator[Effect]:
        """Let an order compete at another precedence from now on: the group it came by has one, it is the same (C3).

        What is over keeps the one that it had, and what has been decided stands.
        """
        before = live.order.rank
        if rank == before or live.ended == len(live.courses):
            return
        live.order = replace(live.order, rank=rank)
        self._state.parties[live.order.issuer].closed_ms = self._state.now_ms
        self._decider.touch(live.effects)
        effect, why = f"at precedence {rank.precedence}", f"it was {before.precedence} when it was last heard"
        yield tell(self._state.now_ms, Topic.ADMITTED, live.order.key, "C3", effect, live.effects, (), why)

    def close_the_book(self) -> None:
        """Take off the timelines what has long been over: what comes as late as that is not held against it."""
        lives, now_ms = self._state.lives, self._state.now_ms
        for keys in self._state.book.values():
            keys[:] = [key for key in keys if lives[key].over_ms + LATEST_MS > now_ms]

    def _replace(self, held: Live) -> None:
        open_at = [name for name, course in held.courses.items() if not course.ended]
        self._ledger.say(held, open_at, Kind.SUPERSEDED, "C1", "a newer version takes its place")
        keys = self._state.book[held.group]
        if held.order.key in keys:
            keys.remove(held.order.key)
        self._decider.touch(held.courses)
        held.cut_ms = self._state.now_ms
        self._decider.shift(self._decider.joiner.gone(held.order))

    def _verdict(self, order: Order, resources: tuple[str, ...]) -> Accepted | Refused:
        state = self._state
        party = state.parties.get(order.issuer, PartyState())
        created_ms = order.rank.created_ms - party.ahead_ms(order.clock)
        stale = judge_freshness(created_ms, state.now_ms, state.site.clock_tolerance_ms)
        return (
            stale
            or judge_modes(order.effects)
            or judge_size(order.effects, state.rated_w(resources))
            or judge(order, resources, self.authority, self._held(order, resources))
        )

    def _take(self, live: Live, resources: tuple[str, ...], verdict: Accepted | Refused) -> Iterator[Effect]:
        """Take an order on at these resources, as far as it is granted there."""
        state, order = self._state, live.order
        live.courses.update({name: Course() for name in resources})
        live.over_ms = FOR_EVER_MS
        if isinstance(verdict, Refused):
            yield from self._refuse(live, resources, verdict)
            return
        if not order.effects:
            why = f"cannot carry {', '.join(order.uncarried) or 'an order without effects'}"
            self._ledger.say(live, resources, Kind.CANNOT, "A6", why)
            return
        offset_ms = state.parties.get(order.issuer, PartyState()).ahead_ms(order.clock)
        if order.end_ms is not None and order.end_ms - offset_ms <= state.now_ms:
            self._ledger.say(live, resources, Kind.EXPIRED, "A5", "over already when it was first received")
            return
        known = bool(live.effects)
        taken = verdict.effects
        if any(effect.function is Function.LOAD_LIMIT for effect in order.effects):
            taken = self._drawn(live, verdict.effects)
        live.effects.update(taken)
        if isinstance(order.scope, Total) and not (live.group in state.points and state.points[live.group].summed):
            self._decider.touch(lay_points(state))
        randomized = order.randomize_start_ms or order.randomize_duration_ms
        apart = verdict.refused or state.former.get(live.group)
        live.uniform = live.uniform and not (randomized or apart)
        for name, why_not in verdict.refused.items():
            self._ledger.say(live, (name,), Kind.REFUSED, why_not.rule, why_not.why)
        self._decider.shift(one for one in self._decider.joiner.heard(live) if one is not live)
        self._ledger.say(live, taken, Kind.RECEIVED, "A3", "granted")
        for name, effects in taken.items():
            if effects is order.effects and not order.uncarried:
                continue
            lacking = _lacking(order, effects)
            if lacking:
                live.courses[name].short = f"cannot carry {lacking}"
                self._ledger.say(live, (name,), Kind.UNCARRIED, "A6", live.courses[name].short)
        remind_of(state, live)
        if known:
            self._decider.touch(live.effects)
        else:
            self._decider.touch_new(live)

    def _drawn(
        self, live: Live, granted: Mapping[str, tuple[OrderEffect, ...]]
    ) -> Mapping[str, tuple[OrderEffect, ...]]:
        """Take a limit on load out where no DER draws power; where nothing else is left, that is the answer (A6)."""
        state, taken = self._state, dict(granted)
        for name, effects in granted.items():
            if any(state.devices[each].device.draws_w for each in state.resources[name].resource.devices):
                continue
            taken[name] = tuple(effect for effect in effects if effect.function is not Function.LOAD_LIMIT)
            live.uniform = False
            if not taken[name]:
                del taken[name]
                self._ledger.say(live, (name,), Kind.CANNOT, "A6", "no DER there draws power that could be limited")
        return taken

    def _refuse(self, live: Live, resources: Iterable[str], verdict: Refused) -> Iterator[Effect]:
        named = tuple(resources)
        functions = ", ".join(effect.function.value for effect in live.order.effects)
        yield tell(
            self._state.now_ms,
            Topic.REFUSED,
            live.order.key,
            verdict.rule,
            "no effect",
            named,
            (),
            verdict.why,
            functions,
        )
        self._ledger.say(live, named, Kind.REFUSED, verdict.rule, verdict.why)

    def _held(self, order: Order, resources: Iterable[str]) -> dict[tuple[str, Function], int]:
        """Give the limits in force (W) that an order of limits is held against (A4)."""
        functions = [effect.function for effect in order.effects if effect.function in LIMITS]
        if not functions:
            return {}
        return {
            (name, ruling.function): ruling.value
            for name in resources
            for ruling in self._state.resources[name].rulings
            if ruling.function in functions
        }

    def order_unreadable(self, event: OrderUnreadable) -> Iterator[Effect]:
        """Answer what cannot be read; what is in force stays in force."""
        key = OrderKey(event.issuer, event.id)
        if key in self._state.lives or key in self._state.answered:
            yield tell(self._state.now_ms, Topic.REFUSED, key, "A6", "kept as it was", (), (), event.why)
            return
        order = Order(
            event.issuer,
            event.id,
            UNREAD_VERSION,
            Each(event.group),
            (),
            self._state.now_ms,
            self._state.now_ms,
            Rank(0, 0),
            self._state.now_ms,
            reply=event.reply,
        )
        resources = self._state.members.get(event.group, ())
        live = Live(order, event.group, {}, {name: Course() for name in resources}, True, Interval(0, 0))
        self._state.lives[key] = live
        self._state.book.setdefault(event.group, []).append(key)
        yield from self._refuse(live, resources, Refused("A6", event.why))

    def withdrawn(self, event: Withdrawn) -> Iterator[Effect]:
        """End an order because its issuer says so, at once or spread over the time that it allows (C13)."""
        live = self._state.lives.get(OrderKey(event.issuer, event.id))
        if live is None or live.cut_ms is not None:
            return
        live.cut_ms, live.cut_how, live.spread_ms = self._cut_ms(live, event), event.how, event.spread_ms
        if event.spread_ms:
            live.uniform = False
        self.retime(live)
        remind_of(self._state, live)
        self._decider.touch(live.effects)
        self._decider.shift(self._decider.joiner.gone(live.order))
        yield from ()

    def _cut_ms(self, live: Live, event: Withdrawn) -> int:
        """Give when a withdrawn order ends: now, or just after the start of the one that supersedes it.

        It runs on until then where that one may have started by now and has drawn a later start, and where a server
        whose clock is a little ahead says so before that start; nothing else is to hold in between (C6; IEEE 2030.5
        EventStatus, superseded).
        """
        now_ms = self._state.now_ms
        if event.how is not Withdrawal.SUPERSEDED:
            return now_ms
        starts = [max(starts_ms) for starts_ms in self._starts_of_superseders(live) if now_ms < max(starts_ms)]
        return min(starts) + JUST_AFTER_MS if starts else now_ms

    def _starts_of_superseders(self, live: Live) -> Iterator[list[int]]:
        """Yield at which instants each order starts that beats this one in a function and may have started by now."""
        state, order = self._state, live.order
        offset_ms = state.parties.get(order.issuer, PartyState()).offset_ms
        functions = {effect.function for effect in order.effects}
        groups = dict.fromkeys(group for name in live.effects for group in state.resources[name].groups)
        for key in (key for group in groups for key in state.book.get(group, ())):
            other = state.lives[key]
            rival = other.order
            if key.issuer != order.issuer or other.cut_ms is not None or not _outranks(rival, order):
                continue
            earliest_ms = rival.start_ms + min(0, rival.randomize_start_ms) - offset_ms
            if earliest_ms <= state.now_ms + AHEAD_MS and functions.intersection(e.function for e in rival.effects):
                starts_ms = [interval_at(state, other, name).start_ms for name in other.effects]
                if starts_ms:
                    yield starts_ms

    def retime(self, live: Live) -> None:
        """Put an order's interval on our clock anew (C17)."""
        party = self._state.parties.get(live.order.issuer, PartyState())
        live.interval = effective(live.order, "", party.ahead_ms(live.order.clock), live.cut_ms, live.spread_ms)

    def order_due(self, key: OrderKey) -> None:
        """Look again at every resource that an order reaches."""
        live = self._state.lives.get(key)
        if live is not None:
            self._decider.touch_due(live.effects)


def _same(held: Order, order: Order) -> bool:
    """Tell whether two hearings are of one and the same content, whatever the precedence of the group it came by.

    When and with what draw it was heard is ours, and whether it joins; where its answers go is not what it wants.
    """
    rank = order.rank._replace(precedence=held.rank.precedence)
    as_held = replace(order, received_ms=held.received_ms, draw=held.draw, joins=held.joins, reply=held.reply)
    return held == replace(as_held, rank=rank)


def _outranks(one: Order, other: Order) -> bool:
    """Tell whether one order of an issuer beats another where both say something of one function (C3, C4)."""
    mine, theirs = one.rank, other.rank
    return (mine.precedence, -mine.created_ms, one.id) < (theirs.precedence, -theirs.created_ms, other.id)


def _lacking(order: Order, effects: tuple[OrderEffect, ...]) -> str:
    """Name what an order asked for and a resource does not carry."""
    missing = [effect.function.value for effect in order.effects if effect not in effects]
    return ", ".join([*missing, *order.uncarried])
