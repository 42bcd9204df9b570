"""One pass over the resources that something changed at: settle, plan, guard, command, and answer for it."""

import operator
from collections.abc import Callable, Hashable, Iterable, Iterator
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

from gateway.core import narrate
from gateway.core.allot import Allotter, Shared
from gateway.core.answers import IN_SUM
from gateway.core.arbitrate import UNDRIVEN, Ruling
from gateway.core.certify import Asking
from gateway.core.commitments import shortfall
from gateway.core.events import Effect, Pause, Write
from gateway.core.functions import FLOORS, Function
from gateway.core.guard import Blocked, Bounds, Cleared, Draw, clear
from gateway.core.joining import Joiner, remind_of
from gateway.core.ledger import Ledger
from gateway.core.modes import Mode
from gateway.core.orders import OrderKey
from gateway.core.parties import Direction, Level
from gateway.core.plan import Command, Part, commands
from gateway.core.settling import Settled, Settler, Stances
from gateway.core.state import DeviceState, Live, ResourceState, State
from gateway.core.units import HUNDREDTHS_OF_PERCENT

GRACE_MS = 5_000
"""How long a cleared command outlasts the next change of its ruling, so that the link is never left without one."""
RENEWED_MS = 600_000
"""How long before its end a command that nothing changes at is cleared anew, so that everybody below hears in time."""
AT_ONCE = 25
"""So many resources are settled between two pauses."""

Case = TypeVar("Case")
Item = TypeVar("Item")


class Alike(Generic[Case, Item]):
    """Items by the case that they fall under; equal cases are one, whether or not they are the same object."""

    def __init__(self, mark: Callable[[Case], Hashable], same: Callable[[Case, Case], bool] = operator.eq) -> None:
        """Start with none; `mark` gives equal cases equal marks, and few others the same, so that few are compared."""
        self._mark = mark
        self._same = same
        self._found: dict[Hashable, tuple[Case, list[tuple[int, Item]]]] = {}
        self._count = 0

    def add(self, identity: Hashable, case: Case, item: Item) -> None:
        """Take an item; `identity` spares comparing cases that are the same object, and the case is kept alive."""
        self._found.setdefault(identity, (case, []))[1].append((self._count, item))
        self._count += 1

    def merged(self) -> list[tuple[Case, list[Item]]]:
        """Give each distinct case with its items in the order in which they were added."""
        if len(self._found) == 1:
            ((case, only),) = self._found.values()
            return [(case, [item for _index, item in only])]
        distinct: list[tuple[Case, list[tuple[int, Item]]]] = []
        marked: dict[Hashable, list[tuple[Case, list[tuple[int, Item]]]]] = {}
        for case, items in self._found.values():
            near = marked.setdefault(self._mark(case), [])
            same = next((each for each in near if self._same(each[0], case)), None)
            if same is None:
                near.append((case, list(items)))
                distinct.append(near[-1])
            else:
                same[1].extend(items)
        return [(case, [item for _index, item in sorted(items, key=itemgetter(0))]) for case, items in distinct]


class Told(NamedTuple):
    """What the commands of one record have in common."""

    basis: tuple[OrderKey, ...]
    rule: str
    target_w: int | None
    connected: bool | None
    energized: bool | None
    revert_limit_w: int
    modes: tuple[Mode, ...]
    floor_w: int | None
    revert_floor_w: int | None


class Decider:
    """Decides over the machine's state; `asking` is what it asks the feeders' models."""

    def __init__(self, state: State, ledger: Ledger) -> None:
        """Decide over this state, and answer through this ledger."""
        self._state = state
        self._ledger = ledger
        self._allotter = Allotter(state)
        self.joiner = Joiner(state)
        self.asking = Asking(state)
        self._stances = Stances(state)
        self._touched: dict[str, None] = {}

    def touch(self, resources: Iterable[str]) -> None:
        """Note that something changed at these resources, whatever it was."""
        names = [name for name in resources if name in self._state.resources]
        self.forget(names)
        self._touched.update(dict.fromkeys(names))

    def forget(self, resources: Iterable[str]) -> None:
        """Note that the orders of these resources are not what they were, which is looked at when something changes."""
        self._stances.drop(resources)

    def touch_due(self, resources: Iterable[str]) -> None:
        """Note that nothing but time changes something at these resources."""
        known, touched = self._state.resources, self._touched
        for name in resources:
            if name in known:
                touched[name] = None

    def touch_new(self, live: Live) -> None:
        """Note that nothing but a new order changes something at the resources where it takes effect."""
        self._stances.hear(live, live.effects)
        self.touch_due(live.effects)

    def decide(self) -> Iterator[Effect]:
        """Decide, and once more where what came of it lets other orders start elsewhere."""
        yield from self._decide()
        while self._touched:
            yield from self._decide()

    def shift(self, moved: Iterable[Live]) -> None:
        """Take it that these orders start elsewhere now."""
        for live in moved:
            remind_of(self._state, live)
            self.touch(live.effects)

    def _decide(self) -> Iterator[Effect]:
        """Settle what was touched anew; yield the writes, tightening first, then their records, the answers last."""
        if not self._touched:
            yield from self.asking.ask()
            yield from self._ledger.flush()
            return
        touched, self._touched = self._touched, {}
        state, settler, at_ms = self._state, Settler(self._state, self._stances), self._state.now_ms
        ruled: Alike[tuple[Settled, tuple[Ruling, ...]], str] = Alike(_mark_ruled, _same_ruled)
        followed: Alike[Settled, str] = Alike(_mark, Settled.like)
        commanded: Alike[Told, Command] = Alike(lambda told: told)
        same: dict[tuple[int, int], tuple[bool, tuple[Ruling, ...]]] = {}
        names, shared = self._allotter.allot(touched, settler)
        loosening: list[Write] = []
        blocked: list[Blocked] = []
        for number, name in enumerate(names, 1):
            if number % AT_ONCE == 0:
                yield Pause()
            resource = state.resources[name]
            settled = settler.of(resource)
            identity = (id(settled), id(resource.rulings))
            followed.add(id(settled), settled, name)
            if identity not in same:
                same[identity] = (settled.settlement.rulings == resource.rulings, resource.rulings)
            if not same[identity][0]:
                ruled.add(identity, (settled, resource.rulings), name)
                resource.rulings = settled.settlement.rulings
            if resource.feeder:
                driver = settled.settlement.ruling(Function.ACTIVE_POWER)
                self.asking.see(resource, settled.envelope, UNDRIVEN if driver is None else driver.strength)
            resource.upper_w, resource.fallback_w = settled.envelope.upper_w, _fallback_w(resource, settled)
            for before, outcome in self._commands(resource, settled):
                if isinstance(outcome, Blocked):
                    blocked.append(outcome)
                    continue
                command = outcome.command
                if command != before:
                    told = Told(
                        command.basis,
                        command.rule,
                        command.target_w,
                        command.connected,
                        command.energized,
                        command.revert_limit_w,
                        command.modes,
                        command.floor_w,
                        command.revert_floor_w,
                    )
                    commanded.add((id(settled), *told), told, command)
                if _tightens(before, command):
                    yield Write(outcome)
                else:
                    loosening.append(Write(outcome))
        yield from loosening
        yield from self.asking.ask()
        if state.commitments.by_device or state.outages:
            for name in names:
                yield from self._outages(state.resources[name])
        for share in shared:
            yield from self._shared(share)
        for (settled, held), alike in ruled.merged():
            yield from narrate.rulings(at_ms, settled, held, alike)
        for _told, group in commanded.merged():
            yield narrate.commanded(at_ms, group)
        for one in blocked:
            yield narrate.blocked(at_ms, one)
        self._ledger.follow(followed.merged(), self._stances)
        self._follow_up(names)
        yield from self._ledger.flush()

    def _follow_up(self, names: Iterable[str]) -> None:
        """Let go what waited for the end of an order that gave way; forget what ended as the past was closed."""
        for live in self._ledger.gave_way():
            self.shift(self.joiner.gone(live.order))
        if any(party.closed_ms == self._state.now_ms for party in self._state.parties.values()):
            self.forget(names)

    def _outages(self, resource: ResourceState) -> Iterator[Effect]:
        """Tell the buyers what a DER's limits, or its loss, leave of what it was promised to them (C8)."""
        state = self._state
        for name in resource.resource.devices:
            device = state.devices[name]
            able_w = min(device.told_w(), device.generation_max_w) if device.reachable else 0
            cut = shortfall(state.commitments, name, able_w, Direction.EXPORT, state.now_ms)
            before = state.outages.get(name, ())
            if cut == before:
                continue
            state.outages[name] = cut
            if not cut:
                del state.outages[name]
            for one in cut:
                if one not in before:
                    yield narrate.outage(state.now_ms, one)

    def _shared(self, shared: Shared) -> Iterator[Effect]:
        """Tell what was shared out, and what of it cannot be met: the order is served in part then (E)."""
        yield narrate.shared(self._state.now_ms, shared)
        for one in shared.awards:
            yield narrate.awarded(self._state.now_ms, shared.key, one)
        live = self._state.lives.get(shared.key)
        if not shared.unmet_w:
            return
        why = f"{shared.unmet_w} W of {shared.total_w} W {IN_SUM} at {shared.point}"
        yield narrate.unmet(self._state.now_ms, shared, why)
        if live is not None:
            for name in shared.shares:
                live.courses[name].short = why

    def rewrite(self) -> Iterator[Write]:
        """Clear anew and yield what every device is wanted to do."""
        settler = Settler(self._state, self._stances)
        for resource in self._state.resources.values():
            settled = settler.of(resource)
            for name in resource.resource.devices:
                device = self._state.devices[name]
                if device.command is None:
                    continue
                cleared = self._clear(device, device.command, resource, settled, self._valid_until(settled))
                if isinstance(cleared, Cleared):
                    yield Write(cleared)

    def _commands(self, resource: ResourceState, settled: Settled) -> list[tuple[Command | None, Cleared | Blocked]]:
        """Give each device's former command, and its new one cleared or blocked, where it differs or runs out."""
        devices = [self._state.devices[name] for name in resource.resource.devices]
        parts = [
            Part(
                one.device.name,
                one.device.rated_w,
                one.counted_w(),
                one.obeys(),
                one.command,
                one.adopted,
                one.counted_fallback_w(),
            )
            for one in devices
        ]
        fallback_floor_w = _fallback_floor_w(resource, settled)
        if settled.envelope.lower_w is not None or fallback_floor_w is not None:
            parts = [_drawing(part, one) for part, one in zip(parts, devices, strict=True)]
        revert_ms = [one.device.revert_ms for one in devices]
        made = commands(settled.envelope, parts, _fallback_w(resource, settled), revert_ms, fallback_floor_w)
        until_ms = self._valid_until(settled)
        outcomes: list[tuple[Command | None, Cleared | Blocked]] = []
        for device, planned in zip(devices, made, strict=True):
            before = device.command
            command = self._ramped(resource, device, planned)
            changed = command != before
            if not changed and device.valid_until_ms == until_ms:
                continue
            outcome = self._clear(device, command, resource, settled, until_ms)
            if isinstance(outcome, Cleared):
                device.valid_until_ms = until_ms
                if changed:
                    driver = settled.settlement.ruling(Function.ACTIVE_POWER)
                    device.meter.tag("" if driver is None else driver.service, self._state.now_ms)
                    device.confirmed_w, device.confirmed_fallback_w = device.counted_w(), device.counted_fallback_w()
                    if command.floor_w is not None or command.revert_floor_w is not None:
                        self._rest_on_floor(resource, device, command)
                    device.command, device.serial, device.adopted = command, outcome.serial, False
                    device.verify_at_ms, device.verdict, device.mode_verdicts = None, None, ()
            outcomes.append((before, outcome))
        return outcomes

    def _rest_on_floor(self, resource: ResourceState, device: DeviceState, command: Command) -> None:
        """Count what a device draws at its worst until it reads back a new floor, and note whose that is."""
        device.confirmed_draw_w = device.counted_draw_w()
        device.confirmed_draw_fallback_w = device.counted_draw_fallback_w()
        live = None if command.floor_by is None else self._state.lives.get(command.floor_by)
        course = None if live is None else live.courses.get(resource.resource.name)
        if live is not None and course is not None:
            for effect in live.effects.get(resource.resource.name, ()):
                if effect.function in FLOORS:
                    course.rest_for(effect.function)

    def _ramped(self, resource: ResourceState, device: DeviceState, command: Command) -> Command:
        """Say how fast a DER gets to a new command; what it was told already keeps its ramp (C16)."""
        before = device.command
        if before is not None and command == before._replace(ramp_ms=command.ramp_ms):
            return before
        ramp_ms = self._ramp_ms(resource, device, command)
        return command if ramp_ms is None else command._replace(ramp_ms=ramp_ms)

    def _ramp_ms(self, resource: ResourceState, device: DeviceState, command: Command) -> int | None:
        """Give the ramp: none at levels 1 and 2 and where it goes off, the order's, the default's, or the DER's own."""
        state, ground = self._state, resource.ground
        if command.connected is False or command.energized is False:
            return 0
        resting = command.basis[: len(command.basis) - len(command.modes)]
        orders = [state.lives[key].order for key in resting if key in state.lives]
        levels = [ground.level(one.issuer, one.service, effect.function) for one in orders for effect in one.effects]
        if any(level is not None and level <= Level.EMERGENCY for level in levels):
            return 0
        ordered_ms = max((one.ramp_ms for one in orders), default=0)
        if ordered_ms:
            return ordered_ms
        gradients = [
            (default.precedence, default.id, default.gradient_hundredths_per_s)
            for group in resource.groups
            for default in state.defaults.get(group, {}).values()
            if default.gradient_hundredths_per_s
        ]
        if not gradients:
            return None
        step_w = abs(command.limit_w - device.told_w())
        if command.target_w is not None and device.command is not None:
            step_w = max(step_w, abs(command.target_w - (device.command.target_w or 0)))
        if command.floor_w is not None:
            step_w = max(step_w, abs(command.floor_w + device.told_draw_w()))
        _precedence, _id, hundredths = min(gradients)
        return step_w * HUNDREDTHS_OF_PERCENT * 1_000 // (device.device.rated_w * (hundredths or 1))

    def _clear(
        self, device: DeviceState, command: Command, resource: ResourceState, settled: Settled, until_ms: int
    ) -> Cleared | Blocked:
        state, bounds = self._state, settled.envelope
        others_w = others_fallback_w = 0
        if len(resource.resource.devices) > 1:
            others = [state.devices[name] for name in resource.resource.devices if name != device.device.name]
            others_w = sum(other.counted_w() for other in others)
            others_fallback_w = sum(other.counted_fallback_w() for other in others)
        serial = device.serial
        if command != device.command:
            state.write_serial = serial = state.write_serial + 1
        held = Bounds(
            device.device.name,
            device.device.rated_w,
            bounds.upper_w,
            device.told_w(),
            others_w,
            min(_fallback_w(resource, settled), bounds.upper_w),
            device.reverts_to_w(),
            others_fallback_w,
            bounds.connected is not False,
            bounds.energized is not False,
            until_ms,
            self._draw(device, command, resource, settled),
        )
        return clear(command, held, serial, state.now_ms)

    def _draw(self, device: DeviceState, command: Command, resource: ResourceState, settled: Settled) -> Draw | None:
        """Give what bounds what a device draws, where anything does or the command says so."""
        lower_w, fallback_floor_w = settled.envelope.lower_w, _fallback_floor_w(resource, settled)
        limited = (lower_w, fallback_floor_w, command.floor_w, command.revert_floor_w)
        if not device.device.draws_w or limited == (None, None, None, None):
            return None
        devices = [self._state.devices[name] for name in resource.resource.devices]
        others = [other for other in devices if other is not device]
        rated_w = sum(other.device.draws_w for other in devices)
        most_w = rated_w if lower_w is None else -lower_w
        return Draw(
            device.device.draws_w,
            most_w,
            device.told_draw_w(),
            sum(other.counted_draw_w() for other in others),
            most_w if fallback_floor_w is None else min(most_w, -fallback_floor_w),
            device.reverts_to_draw_w(),
            sum(other.counted_draw_fallback_w() for other in others),
        )

    def _valid_until(self, settled: Settled) -> int:
        return min(settled.settlement.until_ms + GRACE_MS, self._state.renew_at_ms + RENEWED_MS)


def _fallback_w(resource: ResourceState, settled: Settled) -> int:
    """Give what a resource falls back to in silence (W): what holds then, inside its share of the ratings above."""
    if resource.silent_most_w is None:
        return settled.fallback_w
    return min(settled.fallback_w, resource.silent_most_w)


def _fallback_floor_w(resource: ResourceState, settled: Settled) -> int | None:
    """Give the least power that a resource falls back to in silence (W), inside its share of the ratings above."""
    floor_w = settled.fallback_floor_w
    if resource.silent_draw_w is None:
        return floor_w
    return -resource.silent_draw_w if floor_w is None else max(floor_w, -resource.silent_draw_w)


def _drawing(part: Part, device: DeviceState) -> Part:
    """Add to a part what it draws, where it draws anything."""
    if not device.device.draws_w:
        return part
    return part._replace(
        draws_w=device.device.draws_w,
        counted_draw_w=device.counted_draw_w(),
        counted_draw_fallback_w=device.counted_draw_fallback_w(),
        carries_floor=device.carries_floor(),
    )


def _mark(settled: Settled) -> Hashable:
    return (settled.envelope, settled.settlement.until_ms, settled.stance.mark)


def _mark_ruled(case: tuple[Settled, tuple[Ruling, ...]]) -> Hashable:
    return _mark(case[0])


def _same_ruled(one: tuple[Settled, tuple[Ruling, ...]], other: tuple[Settled, tuple[Ruling, ...]]) -> bool:
    return one[0].like(other[0]) and one[1] == other[1]


def _tightens(before: Command | None, command: Command) -> bool:
    if before is None:
        return True
    if command.limit_w > before.limit_w:
        return False
    if (command.connected, command.energized) != (before.connected, before.energized):
        return command.connected is False or command.energized is False
    if command.limit_w < before.limit_w:
        return True
    if command.floor_w != before.floor_w:
        return command.floor_w is not None and (before.floor_w is None or command.floor_w > before.floor_w)
    return before.target_w is None or (command.target_w is not None and command.target_w <= before.target_w)
