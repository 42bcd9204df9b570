"""Every invariant of the machine, held after every event of a history; what it may do at worst is kept beside it."""

from collections.abc import Iterable
from copy import copy
from dataclasses import replace

from core_world import answers_of, told, writes
from history_world import KINDS, LATER_MS, MAKERS, SITE, Draw, dawn

from gateway.core import events
from gateway.core.answers import TERMINAL
from gateway.core.arbitrate import SITE as BY_SITE
from gateway.core.arbitrate import Ruling, Settlement, Situation, Status, settle
from gateway.core.commitments import contracted_w, reserved_w
from gateway.core.events import Effect, Event, Tick, Topic, Withdrawal, Withdrawn, Write
from gateway.core.functions import CEILINGS, FLOORS, LIMITS, SWITCHES, Function
from gateway.core.known import Known
from gateway.core.machine import Machine
from gateway.core.orders import Ceiling, Default, Each, OrderKey, Release
from gateway.core.parties import Colour, Direction
from gateway.core.plan import Command, envelope
from gateway.core.settling import colour_now, entries_at, interval_at
from gateway.core.state import Live, PointState, ResourceState, State
from gateway.core.timeline import FOR_EVER_MS, Entry, Slot
from gateway.store.codec import SHAPE, Unpacker, pack_shared

Version = tuple[OrderKey, int, str]
RATED_W = {device.name: device.rated_w for device in SITE.devices}
DRAWS_W = {device.name: device.draws_w for device in SITE.devices}
DEVICES_OF = {resource.name: resource.devices for resource in SITE.resources}
RESOURCE_OF = {device.name: device.resource for device in SITE.devices}


class Before:
    """What held before an event: it is compared with what holds after it."""

    def __init__(self, state: State) -> None:
        self.rulings = {name: each.rulings for name, each in state.resources.items()}
        self.upper_w = {name: each.upper_w for name, each in state.resources.items()}
        self.allotted = {name: each.allotted for name, each in state.resources.items()}
        self.commands = {name: each.command for name, each in state.devices.items()}
        self.keys = set(state.lives)


class Watch:
    """Feeds a machine and holds it against its invariants."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.ended: set[Version] = set()
        self.owed: set[Version] = set()
        self.serial = 0
        self.may_w, self.told_w = dict(RATED_W), dict(RATED_W)
        self.may_revert_w, self.told_revert_w = dict(RATED_W), dict(RATED_W)
        self.may_draw_w, self.told_draw_w = dict(DRAWS_W), dict(DRAWS_W)

    @property
    def state(self) -> State:
        return self.machine.state

    def step(self, now_ms: int, event: Event) -> None:
        """Let time come first, then the event, and hold what came of it against every rule."""
        self.take(now_ms, Tick())
        before = Before(self.state)
        effects = self.take(now_ms, event)
        self.nothing_is_stale_and_arrival_does_not_matter()
        self.shares_sum_to_at_most_what_is_shared()
        self.commands_lie_inside_the_envelopes()
        if isinstance(event, events.OrderHeard):
            self.one_more_ceiling_raises_nothing(event, before)
        self.an_unknown_relaxes_nothing(event, before, effects)
        if isinstance(event, events.Started):
            self.a_restart_holds_the_same_or_tighter(before)

    def take(self, now_ms: int, event: Event) -> list[Effect]:
        """Feed one event, and hold every write and every answer that comes of it."""
        self._prove(event)
        effects = []
        grew = False
        for effect in self.machine.handle(event, now_ms):
            effects.append(effect)
            if isinstance(effect, Write):
                command = effect.cleared.command
                shrinks = command.limit_w < self.told_w[command.device] and not command.connected
                assert not (grew and shrinks and not command.energized), "what tightens leaves first"
                grew = grew or command.limit_w > self.told_w[command.device]
                self._write(effect)
        assert told(effects, Topic.BLOCKED) == []
        self._answered(effects)
        return effects

    # -- writes

    def _prove(self, event: Event) -> None:
        """Take what a read-back proves, or an intruder disproves, before the machine hears of it."""
        if isinstance(event, events.ForeignHand):
            self.may_w[event.device] = self.may_revert_w[event.device] = RATED_W[event.device]
            self.may_draw_w[event.device] = DRAWS_W[event.device]
        if not isinstance(event, events.Adopted | events.NotAdopted):
            return
        device = self.state.devices[event.device]
        if event.serial != device.serial or device.command is None:
            return
        if isinstance(event, events.NotAdopted):
            self.may_w[event.device], self.may_revert_w[event.device] = RATED_W[event.device], RATED_W[event.device]
            self.may_draw_w[event.device] = DRAWS_W[event.device]
        else:
            self.may_draw_w[event.device] = draw_of(device.command)
            self.may_w[event.device] = device.command.limit_w
            self.may_revert_w[event.device] = device.command.revert_limit_w

    def _write(self, write: Write) -> None:
        """Hold a write against the envelope: it may grow only into what nobody else may use."""
        command, state = write.cleared.command, self.state
        name, house = command.device, RESOURCE_OF[command.device]
        resource, rest = state.resources[house], [each for each in DEVICES_OF[house] if each != name]
        assert write.cleared.holds_for(name, state.now_ms)
        assert 0 <= command.revert_limit_w <= command.limit_w <= min(RATED_W[name], resource.upper_w)
        grows, held_w = command.limit_w > self.told_w[name], self.may_w[name]
        if grows:
            assert command.limit_w + sum(self._worst_w(each) for each in rest) <= resource.upper_w
        if command.revert_limit_w > self.told_revert_w[name]:
            assert command.revert_limit_w + sum(self.may_revert_w[each] for each in rest) <= resource.fallback_w
        self.may_w[name] = max(held_w, command.limit_w)
        self.may_revert_w[name] = max(self.may_revert_w[name], command.revert_limit_w)
        self.told_w[name], self.told_revert_w[name] = command.limit_w, command.revert_limit_w
        if self.may_w[name] > held_w:
            self._no_sum_is_broken(house)
        self._write_floor(command, resource, rest)

    def _write_floor(self, command: Command, resource: ResourceState, rest: list[str]) -> None:
        """Hold what is drawn as what is generated: it grows only into what nobody else may draw."""
        name, most_w, draw_w = command.device, drawable_w(resource), draw_of(command)
        if command.revert_floor_w is not None:
            assert 0 <= -command.revert_floor_w <= draw_w
        assert command.floor_w is None or (DRAWS_W[name] and command.revert_floor_w is not None)
        if most_w is not None and DRAWS_W[name]:
            assert draw_w <= most_w
            if draw_w > self.told_draw_w[name]:
                contested = self.state.devices
                worst_w = sum(
                    DRAWS_W[each] if contested[each].contested_until_ms else self.may_draw_w[each] for each in rest
                )
                assert draw_w + worst_w <= most_w
        self.may_draw_w[name], self.told_draw_w[name] = max(self.may_draw_w[name], draw_w), draw_w

    def _worst_w(self, device: str) -> int:
        """What a foreign hand drives counts at its rating, whatever it has been read back to have taken on."""
        return RATED_W[device] if self.state.devices[device].contested_until_ms else self.may_w[device]

    def _no_sum_is_broken(self, house: str) -> None:
        """At every instant of a re-share what all may do at worst lies within each limit in sum that is in force."""
        for point in self.state.points.values():
            for total in point.totals:
                members = self._members(point, total.key)
                if house not in members or total.function not in CEILINGS:
                    continue
                worst_w = sum(self._worst_w(device) for each in members for device in DEVICES_OF[each])
                assert worst_w <= max(0, total.value_w), (house, total, worst_w)

    def _members(self, point: PointState, key: OrderKey) -> list[str]:
        """Give who shares an order or a rating; a rating with set-points below it is held by what these feed."""
        if key.issuer != BY_SITE:
            return [each for each in point.resources if each in self.state.lives[key].effects]
        commands = [self.state.devices[device].command for each in point.resources for device in DEVICES_OF[each]]
        return [] if any(command and command.target_w is not None for command in commands) else [*point.resources]

    def commands_lie_inside_the_envelopes(self) -> None:
        """No stage after arbitration loosens a limit; limits and reversions of one house sum to at most its own."""
        for name, resource in self.state.resources.items():
            commands = [command for each in DEVICES_OF[name] if (command := self.state.devices[each].command)]
            assert len(commands) == len(DEVICES_OF[name])
            assert sum(command.limit_w for command in commands) <= max(resource.upper_w, 0)
            assert sum(command.revert_limit_w for command in commands) <= min(resource.fallback_w, resource.upper_w)
            most_w = drawable_w(resource)
            assert most_w is None or sum(map(draw_of, commands)) <= most_w
            for command in commands:
                assert command.target_w is None or command.target_w <= command.limit_w
                assert command.floor_w is None or command.target_w is None or command.target_w >= command.floor_w
                assert not (command.connected and switched_off(resource, Function.CONNECT))
                assert not (command.energized and switched_off(resource, Function.ENERGIZE))

    # -- answers

    def _answered(self, effects: Iterable[Effect]) -> None:
        """Nothing follows a terminal answer; serials rise."""
        for answer in answers_of(effects):
            version = (answer.order, answer.version, answer.resource)
            assert version not in self.ended, answer
            assert answer.serial > self.serial
            self.serial = answer.serial
            self.owed.add(version)
            if answer.kind in TERMINAL:
                self.ended.add(version)

    # -- rulings

    def nothing_is_stale_and_arrival_does_not_matter(self) -> None:
        """Settle everything anew, the orders in another order: the same holds, and every live order is in it."""
        state = self.state
        for name, resource in state.resources.items():
            settlement = settled_anew(state, resource)
            assert settlement.rulings == resource.rulings
            assert envelope(settlement).upper_w == resource.upper_w
            named = {ruling.function: names_in(ruling) for ruling in settlement.rulings}
            for group in resource.groups:
                for key in state.book.get(group, ()):
                    self._is_accounted_for(state.lives[key], name, settlement, named)

    def _is_accounted_for(
        self, live: Live, name: str, settlement: Settlement, named: dict[Function, set[OrderKey]]
    ) -> None:
        """Every live order is in force, slack, beaten or suspended, none is lost."""
        course = live.courses.get(name)
        if course is None or course.ended or name not in live.effects:
            return
        start_ms, end_ms = interval_at(self.state, live, name)
        if not start_ms <= self.state.now_ms < end_ms:
            return
        assert course.status in (Status.IN_FORCE, Status.SUSPENDED)
        lost = [function for function, _at_ms in course.lost]
        for effect in live.effects[name]:
            function = effect.function
            if function in lost or isinstance(effect, Release) or (live.order.key, function) in settlement.suspended:
                continue
            if function is Function.ACTIVE_POWER and not isinstance(live.order.scope, Each):
                continue
            assert live.order.key in named.get(function, set()), (live.order, function)

    def one_more_ceiling_raises_nothing(self, event: events.OrderHeard, before: Before) -> None:
        """A new order of ceilings alone, in slots where nothing held, leaves no upper bound higher than it was."""
        order, state = event.order, self.state
        if order.key in before.keys or not isinstance(order.scope, Each):
            return
        if not all(isinstance(effect, Ceiling) for effect in order.effects):
            return
        for name, resource in state.resources.items():
            if resource.allotted != before.allotted[name]:
                continue
            mine = [ruling for ruling in before.rulings[name] if ruling.function in {e.function for e in order.effects}]
            if any(key.issuer in (order.issuer, BY_SITE) for ruling in mine for key in held_by(ruling)):
                continue
            assert resource.upper_w <= before.upper_w[name]

    def an_unknown_relaxes_nothing(self, event: Event, before: Before, effects: Iterable[Effect]) -> None:
        """What cannot be reached, read or believed loosens nothing there, nor the envelope of its house.

        What it leaves of a limit may fall to others, and its share of one in sum counts it at its worst (E).
        """
        if not isinstance(event, events.LinkDown | events.NotAdopted | events.Observed | events.ForeignHand):
            return
        if isinstance(event, events.Observed) and isinstance(event.power, Known):
            return
        house = RESOURCE_OF[event.device]
        resource = self.state.resources[house]
        assert resource.upper_w <= before.upper_w[house] or resource.allotted != before.allotted[house]
        for write in writes(effects):
            command, was = write.cleared.command, before.commands[event.device]
            if command.device != event.device:
                continue
            assert was is not None
            assert command.limit_w <= was.limit_w
            assert command.revert_limit_w <= was.revert_limit_w
            assert (command.connected, command.energized) == (was.connected, was.energized)

    def a_restart_holds_the_same_or_tighter(self, before: Before) -> None:
        """With contact unproven every limit is as it was or tighter, and what was off stays off (C14)."""
        for name, rulings in before.rulings.items():
            after = {ruling.function: ruling.value for ruling in self.state.resources[name].rulings}
            for ruling in rulings:
                if ruling.function in LIMITS + SWITCHES:
                    assert not looser(ruling.function, after[ruling.function], ruling.value), (name, ruling)
        for device, command in before.commands.items():
            now = self.state.devices[device].command
            assert command is None or (now is not None and now.limit_w <= command.limit_w)

    # -- shares

    def shares_sum_to_at_most_what_is_shared(self) -> None:
        """Limits in sum are not exceeded by their shares but for what nobody controls; set-points are shared whole."""
        for name, point in self.state.points.items():
            for total in point.totals:
                fallen = [
                    one.value_w
                    for each in point.shares.values()
                    for one in each
                    if (one.key, one.function) == (total.key, total.function)
                ]
                unmet_w = point.unmet_w.get((total.key, total.function), 0)
                if total.function is Function.ACTIVE_POWER:
                    assert sum(fallen) + unmet_w == total.value_w, (name, total)
                elif total.function in FLOORS:
                    assert sum(fallen) >= min(0, total.value_w) - unmet_w, (name, total)
                else:
                    assert sum(fallen) <= max(0, total.value_w) + max(0, unmet_w), (name, total)
            self._reversions_fit(name, point)

    def _reversions_fit(self, name: str, point: PointState) -> None:
        """What DER revert to in silence sums to at most the rating above them (C14)."""
        rating_w = point.export_limit_w
        if rating_w is None or any(device.command is None for device in self.state.devices.values()):
            return
        devices = [device for each in point.resources for device in DEVICES_OF[each]]
        assert sum(self.state.devices[device].reverts_to_w() for device in devices) <= rating_w, name
        if point.import_limit_w is not None:
            drawn_w = sum(self.state.devices[device].reverts_to_draw_w() for device in devices)
            assert drawn_w <= point.import_limit_w, name

    # -- snapshots and the end

    def snapshot(self) -> None:
        """Go on from what was packed and read again: the same state."""
        state = self.state
        restored = Unpacker(SHAPE).unpack_shared(pack_shared(state), State)
        assert restored == state
        self.machine = Machine(restored)

    def run_out(self) -> None:
        """End every order that never ends, let the rest end by itself: all are answered, and the defaults hold."""
        state = self.state
        for key, live in list(state.lives.items()):
            if live.order.end_ms is None and live.cut_ms is None:
                self.take(state.now_ms, Withdrawn(key.issuer, key.id, Withdrawal.CANCELLED, 0))
        ends_ms = [live.interval.end_ms + 10_000 for live in state.lives.values() if live.interval.end_ms < FOR_EVER_MS]
        until_ms = max([state.now_ms, *ends_ms])
        while self.machine.next_change() < until_ms:
            self.take(self.machine.next_change(), Tick())
        self.take(until_ms, Tick())
        assert self.owed == self.ended
        assert all(course.ended for live in state.lives.values() for course in live.courses.values())
        self._defaults_hold()
        self._everything_open_is_yielded_again()

    def _defaults_hold(self) -> None:
        for resource in self.state.resources.values():
            if resource.allotted:
                continue
            defaults = defaults_of(self.state, resource)
            silent = settle({}, defaults, resource.ground, self.state.now_ms)
            for ruling in (one for one in resource.rulings if one.function in LIMITS):
                alone = silent.ruling(ruling.function)
                assert alone is not None
                assert (ruling.value, ruling.binding) == (alone.value, alone.binding)

    def _everything_open_is_yielded_again(self) -> None:
        again = list(self.machine.outstanding(self.state.now_ms))
        commands: list[Command | None] = [write.cleared.command for write in writes(again)]
        assert commands == [
            self.state.devices[each].command for name in self.state.resources for each in DEVICES_OF[name]
        ]
        assert answers_of(again) == list(self.state.owed.values())


def defaults_of(state: State, resource: ResourceState) -> list[Default]:
    return [
        default
        for group in resource.groups
        if resource.resource.name not in state.former.get(group, ())
        for default in state.defaults.get(group, {}).values()
    ]


def settled_anew(state: State, resource: ResourceState) -> Settlement:
    """Settle a resource from the state alone, by nothing that is kept between passes, its orders last heard first."""
    slots: dict[Slot, list[Entry]] = {}
    for group in reversed(resource.groups):
        for key in reversed(state.book.get(group, ())):
            for slot, entry in entries_at(state, state.lives[key], resource):
                slots.setdefault(slot, []).append(entry)
    unproven = frozenset(name for name, party in state.parties.items() if not party.proven)
    ground = replace(resource.ground, unproven=unproven, situation=situation_of(state, resource))
    return settle(slots, defaults_of(state, resource), ground, state.now_ms)


def situation_of(state: State, resource: ResourceState) -> Situation:
    held, book, now_ms = state.colours.get(resource.segment), state.commitments, state.now_ms
    colour = Colour.GREEN if held is None else colour_now(held, state)
    devices = resource.resource.devices
    promised = [contracted_w(book, each, way, now_ms, level=6) for each in devices for way in Direction]
    return Situation(
        colour,
        held.constrained if held is not None and colour is Colour.RED else None,
        sum(promised) or None,
        sum(reserved_w(book, each, Direction.EXPORT, now_ms, reliability_only=True) for each in devices),
        not any(point in state.unvalidated for point in (resource.segment, *resource.places)),
        allotted=resource.allotted,
    )


def held_by(ruling: Ruling) -> tuple[OrderKey, ...]:
    return ruling.binding, *ruling.slack


def names_in(ruling: Ruling) -> set[OrderKey]:
    return {ruling.binding, *ruling.slack, *ruling.suspended, *ruling.beaten}


def switched_off(resource: ResourceState, function: Function) -> bool:
    return any(ruling.function is function and not ruling.value for ruling in resource.rulings)


def draw_of(command: Command) -> int:
    """What a command lets a DER draw (W)."""
    return DRAWS_W[command.device] if command.floor_w is None else -command.floor_w


def drawable_w(resource: ResourceState) -> int | None:
    """What the floors in force let a house draw (W), or None where there are none."""
    load_w = {Function.IMPORT_LIMIT: resource.load.counted.most_w}
    floors = [min(0, one.value + load_w.get(one.function, 0)) for one in resource.rulings if one.function in FLOORS]
    return -max(floors) if floors else None


def looser(function: Function, value: int, than: int) -> bool:
    return value < than if function in FLOORS else value > than


class Dawn:
    """A watched machine that has just been started, made once and copied for every history."""

    def __init__(self, *, ready: bool) -> None:
        watch = Watch()
        dawn(ready, watch.take, lambda: watch.state)
        self._watch, self._packed = watch, pack_shared(watch.state)

    def copy(self) -> Watch:
        made = copy(self._watch)
        made.machine = Machine(Unpacker(SHAPE).unpack_shared(self._packed, State))
        made.may_w, made.told_w = dict(made.may_w), dict(made.told_w)
        made.may_revert_w, made.told_revert_w = dict(made.may_revert_w), dict(made.told_revert_w)
        made.may_draw_w, made.told_draw_w = dict(made.may_draw_w), dict(made.told_draw_w)
        made.ended, made.owed = set(), set()
        return made


DAWNS = (Dawn(ready=True), Dawn(ready=True), Dawn(ready=False))


def live_through(drawn: bytes) -> Watch:
    """Live through a history, everything being held after every event, and let it run out."""
    draw = Draw(drawn)
    watch = draw.one(DAWNS).copy()
    while draw.more():
        kind, now_ms = draw.one(KINDS), watch.state.now_ms + draw.one(LATER_MS)
        event = MAKERS[kind](draw, watch.state, now_ms)
        if kind == "restart" and draw.one((True, False)):
            watch.snapshot()
        watch.step(now_ms, event)
    watch.run_out()
    return watch
