"""Orders in: judged, shared among their resources, and taken onto the timeline (RULES A, C1, C13, E)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from gateway.core.answers import Course, Kind
from gateway.core.authority import Authority, Refused, judge, judge_freshness, judge_version
from gateway.core.decide import Decider, interval_at
from gateway.core.events import Assigned, Effect, OrderHeard, OrderUnreadable, Topic, Withdrawal, Withdrawn
from gateway.core.orders import LIMITS, Ceiling, Each, Floor, Function, Order, OrderKey, Rank, Target, Total
from gateway.core.orders import Effect as OrderEffect
from gateway.core.plan import Part, proportional
from gateway.core.state import Live, PartyState, State, groups_by_resource
from gateway.core.timeline import Interval, effective
from gateway.core.units import Watts


class Admission:
    """Takes orders into the machine's state; keeps nothing but the site's grants."""

    def __init__(self, state: State, decider: Decider, authority: Authority) -> None:
        """Admit into this state what these grants allow."""
        self._state = state
        self._decider = decider
        self.authority = authority

    def assigned(self, event: Assigned) -> Iterator[Effect]:
        """Take the resources that a party's group stands for; the orders it has reach the new ones as well (C13)."""
        state = self._state
        known = tuple(name for name in event.resources if name in state.resources)
        before = state.members.get(event.group, ())
        if known == before:
            return
        gone = tuple(name for name in before if name not in known) if state.book.get(event.group) else ()
        state.members[event.group] = known + gone
        groups = groups_by_resource(state.members)
        names = dict.fromkeys(before + known)
        for name in names:
            state.resources[name].groups = groups.get(name, ())
        self._decider.touch(names)
        for key in state.book.get(event.group, ()):
            live = state.lives[key]
            new = tuple(name for name in known if name not in live.courses)
            if new:
                yield from self._extend(live, new)

    def _extend(self, live: Live, resources: tuple[str, ...]) -> Iterator[Effect]:
        verdict = judge(live.order, resources, self.authority, self._held(live.order, resources))
        for name in resources:
            live.courses[name] = Course()
        if isinstance(verdict, Refused):
            yield from self._refuse(live, resources, verdict)
            return
        live.effects.update(verdict.effects)
        live.uniform = live.uniform and not verdict.refused
        for name, refused in verdict.refused.items():
            self._decider.say(live, name, Kind.REFUSED, refused.rule, refused.why)
        for name in verdict.effects:
            self._decider.say(live, name, Kind.RECEIVED, "A3", "granted")
        yield from self._decider.flush()

    def order_heard(self, event: OrderHeard) -> Iterator[Effect]:
        """Judge an order and admit what is granted of it; a newer version takes the place of the one held."""
        state, order = self._state, event.order
        held = state.lives.get(order.key)
        if held is not None and _same(held.order, order):
            return
        stale = judge_version(None if held is None else held.order, order)
        if stale is not None:
            yield self._decider.tell(Topic.REFUSED, order.key, stale.rule, "kept as it was", (), (), stale.why)
            return
        if held is not None:
            held.cut_ms, held.cut_how = state.now_ms, Withdrawal.SUPERSEDED
            self.retime(held)
            self._decider.touch(held.courses)
            yield from self._decider.decide()
            state.book[held.group].remove(order.key)
        yield from self._admit(order)

    def _admit(self, order: Order) -> Iterator[Effect]:
        state = self._state
        group = order.scope.group
        resources = state.members.get(group, ())
        live = Live(order, group, {}, {name: Course() for name in resources}, uniform=True, interval=Interval(0, 0))
        state.lives[order.key] = live
        state.book.setdefault(group, []).append(order.key)
        self.retime(live)
        party = state.parties.get(order.issuer, PartyState())
        created_ms = order.rank.created_ms - party.offset_ms
        refused = judge_freshness(created_ms, state.now_ms, state.site.clock_tolerance_ms)
        if refused is None and not order.effects:
            why = f"cannot carry {', '.join(order.uncarried) or 'an order without effects'}"
            for name in resources:
                self._decider.say(live, name, Kind.CANNOT, "A6", why)
            yield from self._decider.flush()
            return
        verdict = refused or judge(order, resources, self.authority, self._held(order, resources))
        if isinstance(verdict, Refused):
            yield from self._refuse(live, resources, verdict)
            return
        if live.interval.end_ms <= state.now_ms:
            for name in resources:
                self._decider.say(live, name, Kind.EXPIRED, "A5", "over already when it was first received")
            yield from self._decider.flush()
            return
        live.effects = self._shared(order, verdict.effects)
        randomized = order.randomize_start_ms or order.randomize_duration_ms
        live.uniform = not (randomized or verdict.refused or isinstance(order.scope, Total))
        for name, why_not in verdict.refused.items():
            self._decider.say(live, name, Kind.REFUSED, why_not.rule, why_not.why)
        for name in verdict.effects:
            self._decider.say(live, name, Kind.RECEIVED, "A3", "granted")
            lacking = _lacking(order, verdict.effects[name])
            if lacking:
                live.courses[name].short = f"cannot carry {lacking}"
                self._decider.say(live, name, Kind.UNCARRIED, "A6", live.courses[name].short)
        self.remind_of(live)
        self._decider.touch(verdict.effects)

    def _refuse(self, live: Live, resources: Iterable[str], verdict: Refused) -> Iterator[Effect]:
        named = tuple(resources)
        functions = ", ".join(effect.function.value for effect in live.order.effects)
        yield self._decider.tell(
            Topic.REFUSED, live.order.key, verdict.rule, "no effect", named, (), verdict.why, functions
        )
        for name in named:
            self._decider.say(live, name, Kind.REFUSED, verdict.rule, verdict.why)
        yield from self._decider.flush()

    def _shared(
        self, order: Order, effects: Mapping[str, tuple[OrderEffect, ...]]
    ) -> dict[str, tuple[OrderEffect, ...]]:
        """Share what a group owes in sum among its resources by rating, so that the shares never exceed it (E)."""
        if isinstance(order.scope, Each):
            return dict(effects)
        parts = [Part(name, self._rated_w(name), 0, reachable=True) for name in effects]
        shared: dict[str, list[OrderEffect]] = {name: [] for name in effects}
        for effect in order.effects:
            for part, own in zip(parts, _split(effect, parts), strict=True):
                if effect in effects[part.device]:
                    shared[part.device].append(own)
        return {name: tuple(own) for name, own in shared.items()}

    def _rated_w(self, resource: str) -> int:
        return sum(
            self._state.devices[name].device.rated_w for name in self._state.resources[resource].resource.devices
        )

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
        if key in self._state.lives:
            yield self._decider.tell(Topic.REFUSED, key, "A6", "kept as it was", (), (), event.why)
            return
        order = Order(
            event.issuer,
            event.id,
            0,
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
        if live is None or live.cut_ms is not None or live.ended == len(live.courses):
            return
        live.cut_ms, live.cut_how, live.spread_ms = self._state.now_ms, event.how, event.spread_ms
        if event.spread_ms:
            live.uniform = False
        self.retime(live)
        self.remind_of(live)
        self._decider.touch(live.effects)
        yield from ()

    def retime(self, live: Live) -> None:
        """Put an order's interval on our clock anew (C17)."""
        party = self._state.parties.get(live.order.issuer, PartyState())
        live.interval = effective(live.order, "", party.offset_ms, live.cut_ms, live.spread_ms)

    def remind_of(self, live: Live) -> None:
        """Come back when the order starts and ends; at each resource on its own where it is randomized."""
        intervals = [live.interval] if live.uniform else [interval_at(self._state, live, name) for name in live.effects]
        for at_ms in sorted({at_ms: None for interval in intervals for at_ms in interval}):
            if at_ms > self._state.now_ms:
                self._state.remind(at_ms, "order", live.order.issuer, live.order.id)

    def order_due(self, key: OrderKey) -> None:
        """Look again at every resource that an order reaches."""
        live = self._state.lives.get(key)
        if live is not None:
            self._decider.touch(live.effects)


def _same(held: Order, order: Order) -> bool:
    """Tell whether two hearings are of one and the same content; when and with what draw it was heard is ours."""
    return held == replace(order, received_ms=held.received_ms, draw=held.draw)


def _lacking(order: Order, effects: tuple[OrderEffect, ...]) -> str:
    """Name what an order asked for and a resource does not carry."""
    missing = [effect.function.value for effect in order.effects if effect not in effects]
    return ", ".join([*missing, *order.uncarried])


def _split(effect: OrderEffect, parts: list[Part]) -> list[OrderEffect]:
    """Give each part its share of an effect in W; what is stated as a share, or on or off, means the same for all."""
    if isinstance(effect, Ceiling | Floor | Target) and isinstance(effect.power, Watts):
        return [replace(effect, power=Watts(share_w)) for share_w in proportional(effect.power.w, parts)]
    return [effect] * len(parts)
