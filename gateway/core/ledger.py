"""The answers of a pass: decided for many resources at once, put into the state, and told once for all alike."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gateway.core.answers import TERMINAL, Answer, Kind, TakenBy, ending
from gateway.core.arbitrate import Status
from gateway.core.events import Effect, Owe, Topic, Withdrawal
from gateway.core.functions import Function
from gateway.core.narrate import clipped_by, reason, tell, winners
from gateway.core.orders import Order, OrderKey
from gateway.core.settling import Settled, Stances, interval_at
from gateway.core.state import Live, State
from gateway.core.timeline import FOR_EVER_MS


class Said(NamedTuple):
    """One kind of answer about one order, before it is given for each of its resources."""

    live: Live
    kind: Kind
    rule: str
    why: str
    unserved: bool
    taken_by: TakenBy
    resources: list[str]


class Ledger:
    """Decides answers; `flush` puts them into the state and yields them in the order in which they were decided."""

    def __init__(self, state: State) -> None:
        """Keep the answers of this state."""
        self._state = state
        self._said: dict[tuple[int, Kind, str, str, bool, TakenBy], Said] = {}
        self._curtailed: dict[OrderKey, list[tuple[str, int]]] = {}
        self._gave_way: dict[OrderKey, Live] = {}

    def say(
        self,
        live: Live,
        resources: Iterable[str],
        kind: Kind,
        rule: str,
        why: str,
        *,
        unserved: bool = False,
        taken_by: TakenBy = TakenBy.OWN,
    ) -> None:
        """Decide an answer about an order for these resources; a terminal one ends its course there."""
        names = list(resources)
        if not names:
            return
        if kind in TERMINAL:
            for name in names:
                course = live.courses[name]
                course.ended, course.ended_ms = True, self._state.now_ms
            live.ended += len(names)
            live.over_ms = self._state.now_ms if live.ended == len(live.courses) else FOR_EVER_MS
        key = (id(live), kind, rule, why, unserved, taken_by)
        held = self._said.get(key)
        if held is None:
            self._said[key] = Said(live, kind, rule, why, unserved, taken_by, names)
        else:
            held.resources.extend(names)

    def flush(self) -> Iterator[Effect]:
        """Yield one record for each thing that was said, then every answer that its issuer wants."""
        if not self._said and not self._curtailed:
            return
        said, self._said = list(self._said.values()), {}
        curtailed, self._curtailed = self._curtailed, {}
        for key, rows in curtailed.items():
            yield curtailment(self._state, key, rows)
        for one in said:
            order = one.live.order
            at_ms = self._state.now_ms
            yield tell(at_ms, Topic.ANSWERED, order.key, one.rule, one.kind.value, one.resources, (), one.why)
        for one in said:
            yield from self._owe(one)

    def _owe(self, said: Said) -> Iterator[Effect]:
        order, state = said.live.order, self._state
        if not (order.reply.receipt if said.kind is Kind.RECEIVED else order.reply.progress):
            return
        key, version, at_ms = order.key, order.version, state.now_ms
        elsewhere = dict(order.reply.at)
        for serial, name in enumerate(said.resources, state.answer_serial + 1):
            to = elsewhere.get(name, order.reply.to)
            answer = Answer(
                serial,
                key,
                version,
                name,
                said.kind,
                at_ms,
                said.rule,
                said.why,
                to,
                said.unserved,
                order.clock,
                said.taken_by,
            )
            state.owed[serial] = answer
            state.answer_serial = serial
            yield Owe(answer)

    def gave_way(self) -> list[Live]:
        """Give, once, the orders that were followed to where they do not run to their ends any more."""
        found, self._gave_way = list(self._gave_way.values()), {}
        return found

    # -- following what was settled

    def follow(self, cases: Sequence[tuple[Settled, list[str]]], stances: Stances) -> None:
        """Take each order to the status that was settled for it; the beaten are answered before their winners (C6).

        Where a stance was followed before, only the orders that moved in it since are looked at.
        """
        starting: list[tuple[Live, list[str], Status, Settled]] = []
        for settled, resources in cases:
            self._note_basis(settled, resources)
            stance, suspended = settled.stance, settled.settlement.suspended
            known = stance.followed.issuperset(resources)
            statuses = stance.moved(suspended, self._state.now_ms) if known else settled.settlement.status.items()
            for key, status in statuses:
                live = self._state.lives[key]
                if live.ended == len(live.courses):
                    continue
                moved = _moved(live, resources, status)
                if not moved:
                    continue
                if status in {Status.IN_FORCE, Status.SUSPENDED}:
                    starting.append((live, moved, status, settled))
                elif status is Status.SUPERSEDED:
                    why = f"superseded in its slot by {winners(live.order, settled)}"
                    self._close(live, moved)
                    taken_by = self._taken_by(live.order, settled)
                    self.say(live, moved, Kind.SUPERSEDED, "C2", why, taken_by=taken_by)
                    self._gave_way[key] = live
                elif status is Status.OVER:
                    self._end(live, moved)
            self._note_lost(settled, resources, known=known)
            self._note_short(settled, resources)
            stances.follow(resources, suspended)
        for live, moved, status, settled in starting:
            self._start(live, moved, status, settled)

    def _note_lost(self, settled: Settled, resources: list[str], *, known: bool) -> None:
        """Note on the orders that go on which functions they have lost."""
        for function, keys in settled.settlement.lost.items():
            for key in keys:
                if known and not settled.stance.has_moved(key):
                    continue
                live = self._state.lives[key]
                if live.ended == len(live.courses):
                    continue
                self._gave_way[key] = live
                for name in resources:
                    if name in live.courses and not live.courses[name].ended:
                        live.courses[name].lose(function, self._state.now_ms)
                        if function is Function.ACTIVE_POWER:
                            live.courses[name].fall_short(0, self._state.now_ms)

    def _note_basis(self, settled: Settled, resources: list[str]) -> None:
        """Note on the orders that commands rest on them, and on a clipped set-point that it is served short."""
        bounds = settled.envelope
        short = ""
        if bounds.target_w != bounds.ordered_w and not bounds.waits:
            short = f"set-point of {bounds.ordered_w} W clipped to {bounds.target_w} W by {clipped_by(bounds)}"
        resting: list[tuple[OrderKey | None, Function | None]] = [(bounds.upper_by, None), (bounds.target_by, None)]
        resting += [(by, mode.function) for mode, by in zip(bounds.modes, bounds.modes_by, strict=True)]
        for key, function in resting:
            live = None if key is None else self._state.lives.get(key)
            if live is None:
                continue
            for name in resources:
                course = live.courses.get(name)
                if course is not None:
                    if function is None:
                        course.bound = True
                    else:
                        course.rest_for(function)
                    if short and key == bounds.target_by:
                        course.short = short

    def _note_short(self, settled: Settled, resources: list[str]) -> None:
        """Note on every set-point order how far it is served below its own schedule (C10)."""
        given_w, now_ms = settled.envelope.target_w, self._state.now_ms
        if settled.envelope.waits:
            return
        for key, asked_w in settled.settlement.asked.items():
            live = self._state.lives.get(key)
            if live is None:
                continue
            waits = (key, Function.ACTIVE_POWER) in settled.settlement.suspended
            short_w = _short_w(asked_w, None if waits and given_w is None else given_w)
            cut: list[str] = []
            for name in resources:
                course = live.courses.get(name)
                if course is None or course.ended:
                    continue
                if short_w and not waits and course.started and not course.short_w:
                    cut.append(name)
                course.fall_short(short_w, now_ms)
            if cut:
                self._cut(live, cut, settled)

    def _cut(self, live: Live, resources: list[str], settled: Settled) -> None:
        """Say that a set-point which runs is served in part from now on: a limit of another slot suspends the rest."""
        bounds, ruling = settled.envelope, settled.settlement.ruling(Function.ACTIVE_POWER)
        if bounds.target_w != bounds.ordered_w and bounds.target_by == live.order.key:
            why = f"what lies beyond {bounds.target_w} W is suspended by {clipped_by(bounds)}"
            self.say(live, resources, Kind.SUSPENDED, "C12" if bounds.held_by else "C10", why)
            return
        if ruling is not None:
            for name in resources:
                live.courses[name].short = f"held at {ruling.value} W by {ruling.rule}"

    def _close(self, live: Live, resources: list[str]) -> None:
        """Sum up what an order was not served where it ends (C10)."""
        for name in resources:
            course = live.courses[name]
            course.fall_short(0, self._state.now_ms)
            if course.short_w_ms:
                self._curtailed.setdefault(live.order.key, []).append((name, course.short_wh()))

    def _end(self, live: Live, resources: list[str]) -> None:
        self._close(live, resources)
        for name in resources:
            if live.cut_ms is not None and interval_at(self._state, live, name).end_ms >= live.cut_ms:
                kind = Kind.CANCELLED if live.cut_how is Withdrawal.CANCELLED else Kind.SUPERSEDED
                self.say(live, (name,), kind, "C13", f"{kind.value} by its issuer")
            elif not live.courses[name].started:
                self.say(live, (name,), Kind.EXPIRED, "A5", "over before it could start")
                self._gave_way[live.order.key] = live
            else:
                live.courses[name].ran_out = True
                how = ending(live.courses[name])
                unserved = how.kind is Kind.CANNOT
                taken_by = TakenBy.PARTY if live.courses[name].yields_to else TakenBy.OWN
                self.say(live, (name,), how.kind, how.rule, how.why, unserved=unserved, taken_by=taken_by)

    def _start(self, live: Live, resources: list[str], status: Status, settled: Settled) -> None:
        new = [name for name in resources if not live.courses[name].started]
        for name in new:
            live.courses[name].started = True
        if new:
            rule, why = reason(live.order, settled)
            self.say(live, new, Kind.STARTED, rule, why)
        rival = self._rival(live.order, settled) if status is Status.SUSPENDED else ""
        for name in resources:
            live.courses[name].yields_to = rival
        if status is Status.SUSPENDED:
            rule, why = _waits(live.order, settled)
            for name in resources:
                live.courses[name].short = why
            self.say(live, resources, Kind.SUSPENDED, rule, why)

    def _taken_by(self, order: Order, settled: Settled) -> TakenBy:
        """Tell whether an order that lost its slot lost it to its own group or to others of its issuer."""
        functions = {effect.function for effect in order.effects}
        lives = self._state.lives
        groups = {
            lives[stream.winner.key].group
            for stream in settled.stance.streams
            if stream.winner is not None and stream.slot.issuer == order.issuer and stream.slot.function in functions
        }
        return TakenBy.GROUP if groups and order.scope.group not in groups else TakenBy.OWN

    def _rival(self, order: Order, settled: Settled) -> str:
        """Name the other party, if any, whose order holds where this one waits."""
        functions = {effect.function for effect in order.effects}
        held = (one.binding for one in settled.settlement.rulings if one.function in functions)
        return next((key.issuer for key in held if key in self._state.lives and key.issuer != order.issuer), "")


def curtailment(state: State, key: OrderKey, rows: Sequence[tuple[str, int]]) -> Effect:
    """Tell what an order was not served of its schedule, for settlement: how much, why, of whom and when."""
    live = state.lives[key]
    why = next((live.courses[name].short for name, _wh in rows if live.courses[name].short), "")
    over_s = (min(live.interval.end_ms, state.now_ms) - live.interval.start_ms) // 1000
    effect = f"curtailed by about {sum(wh for _name, wh in rows)} Wh of its {over_s} s"
    names, values = [name for name, _wh in rows], [wh for _name, wh in rows]
    return tell(state.now_ms, Topic.CURTAILED, key, "C10", effect, names, values, why, Function.ACTIVE_POWER.value)


def _waits(order: Order, settled: Settled) -> tuple[str, str]:
    """Say by which rule an order has to wait, and for what."""
    suspended = settled.settlement.suspended
    rules = [suspended[order.key, one.function] for one in order.effects if (order.key, one.function) in suspended]
    if "C11" in rules:
        return "C11", "suspended: its segment is red and must not be loaded further that way"
    return "C10", f"suspended by {winners(order, settled)}"


def _short_w(asked_w: int, given_w: int | None) -> int:
    """Give by how much (W, a size) a set-point is served below what it asks for; nothing given serves nothing."""
    if asked_w < 0:
        return max(0, -asked_w - max(0, -(given_w or 0)))
    return max(0, asked_w - max(0, given_w or 0))


def _moved(live: Live, resources: list[str], status: Status) -> list[str]:
    """Give the resources at which an open course of the order takes on another status, having taken it on."""
    moved = []
    courses = live.courses
    for name in resources:
        course = courses.get(name)
        if course is not None and course.status is not status and not course.ended:
            course.status = status
            moved.append(name)
    return moved
