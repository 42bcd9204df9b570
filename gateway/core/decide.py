"""One pass over the resources that something changed at: settle, plan, guard, and say what is owed."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

from gateway.core.answers import TERMINAL, Answer, Course, Kind, ending
from gateway.core.arbitrate import Ground, Ruling, Settlement, Status, settle
from gateway.core.events import Effect, Owe, Tell, Topic, Withdrawal, Write
from gateway.core.guard import Blocked, Bounds, Cleared, clear
from gateway.core.orders import CEILINGS, Default, Function, OrderKey
from gateway.core.plan import Command, Envelope, Part, commands, envelope
from gateway.core.state import DeviceState, Live, ResourceState, State
from gateway.core.timeline import FOR_EVER_MS, Entry, Interval, Slot, effective

GRACE_MS = 5_000
"""How long a cleared command outlasts the next change of its ruling, so that the link is never left without one."""


Case = TypeVar("Case")
Item = TypeVar("Item")


class Settled(NamedTuple):
    """A settlement, the envelope it makes, and what holds in silence (W)."""

    settlement: Settlement
    envelope: Envelope
    fallback_w: int


class Alike(Generic[Case, Item]):
    """Items by the case that they fall under; equal cases are one, whether or not they are the same object."""

    def __init__(self) -> None:
        """Start with none."""
        self._found: dict[tuple[int, int], tuple[Case, list[tuple[int, Item]]]] = {}
        self._count = 0

    def add(self, identity: tuple[int, int], case: Case, item: Item) -> None:
        """Take an item; `identity` spares comparing cases that are the same object, and the case is kept alive."""
        self._found.setdefault(identity, (case, []))[1].append((self._count, item))
        self._count += 1

    def merged(self) -> list[tuple[Case, list[Item]]]:
        """Give each distinct case with its items in the order in which they were added."""
        distinct: list[tuple[Case, list[tuple[int, Item]]]] = []
        for case, items in self._found.values():
            same = next((each for each in distinct if each[0] == case), None)
            if same is None:
                distinct.append((case, list(items)))
            else:
                same[1].extend(items)
        return [(case, [item for _index, item in sorted(items, key=itemgetter(0))]) for case, items in distinct]


class Said(NamedTuple):
    """What one answer record tells of, beside the resources."""

    order: OrderKey
    kind: Kind
    rule: str
    why: str


def label(key: OrderKey) -> str:
    """Give the order's name as people read it."""
    return f"{key.issuer}/{key.id}"


def interval_at(state: State, live: Live, resource: str) -> Interval:
    """Give an order's effective interval at a resource."""
    if live.uniform:
        return live.interval
    party = state.parties.get(live.order.issuer)
    offset_ms = 0 if party is None else party.offset_ms
    return effective(live.order, resource, offset_ms, live.cut_ms, live.spread_ms)


class Decider:
    """Decides over the machine's state; keeps nothing of its own from one pass to the next."""

    def __init__(self, state: State) -> None:
        """Decide over this state."""
        self._state = state
        self._touched: dict[str, None] = {}
        self._alive: list[Settled] = []
        self._memo: dict[tuple[int, tuple[str, ...], int], Settled] = {}
        self._grounds: dict[int, Ground] = {}
        self._heard: dict[tuple[str, ...], tuple[list[Live], bool]] = {}
        self._reasons: dict[tuple[int, OrderKey], tuple[str, str]] = {}
        self._said: dict[Said, list[str]] = {}
        self._owed: list[Answer] = []

    def touch(self, resources: Iterable[str]) -> None:
        """Note that something changed at these resources."""
        self._touched.update(dict.fromkeys(name for name in resources if name in self._state.resources))

    def decide(self) -> Iterator[Effect]:
        """Settle what was touched anew and yield what follows, tightening writes first."""
        resources, self._touched = self._touched, {}
        if not resources:
            yield from self.flush()
            return
        state = self._state
        serial = state.write_serial
        self._begin()
        loosening: list[Write] = []
        tells: list[Tell] = []
        ruled: Alike[tuple[Settled, tuple[Ruling, ...]], str] = Alike()
        commanded: Alike[Settled, Command] = Alike()
        for name in resources:
            resource = state.resources[name]
            settled = self._settled(resource)
            rulings = settled.settlement.rulings
            if rulings != resource.rulings:
                ruled.add((id(settled), id(resource.rulings)), (settled, resource.rulings), name)
                resource.rulings = rulings
            resource.upper_w, resource.fallback_w = settled.envelope.upper_w, settled.fallback_w
            for write, tightens in self._commands(resource, settled, tells):
                if write.cleared.serial > serial:
                    commanded.add((id(settled), 0), settled, write.cleared.command)
                if tightens:
                    yield write
                else:
                    loosening.append(write)
            self._follow(resource, settled)
        yield from loosening
        for (settled, before), names in ruled.merged():
            yield from self._tell_rulings(settled, before, names)
        for _settled, told in commanded.merged():
            yield self._tell_commands(told)
        yield from tells
        yield from self.flush()

    def rewrite(self) -> Iterator[Effect]:
        """Clear anew and yield what every device is wanted to do."""
        self._begin()
        for resource in self._state.resources.values():
            settled = self._settled(resource)
            for name in resource.resource.devices:
                device = self._state.devices[name]
                if device.command is None:
                    continue
                cleared = self._clear(device, device.command, resource, settled)
                if isinstance(cleared, Cleared):
                    yield Write(cleared)

    def say(self, live: Live, resource: str, kind: Kind, rule: str, why: str, *, unserved: bool = False) -> None:
        """Decide an answer; it leaves with the next flush."""
        order = live.order
        self._said.setdefault(Said(order.key, kind, rule, why), []).append(resource)
        if kind in TERMINAL:
            course = live.courses[resource]
            course.ended, course.ended_ms = True, self._state.now_ms
            live.ended += 1
        wanted = order.reply.receipt if kind is Kind.RECEIVED else order.reply.progress
        if not wanted:
            return
        state = self._state
        state.answer_serial += 1
        answer = Answer(
            state.answer_serial,
            order.key,
            order.version,
            resource,
            kind,
            state.now_ms,
            rule,
            why,
            order.reply.to,
            unserved,
        )
        state.owed[answer.serial] = answer
        self._owed.append(answer)

    def flush(self) -> Iterator[Effect]:
        """Yield the answers decided since the last flush, and one record for each thing that was said."""
        said, self._said = self._said, {}
        owed, self._owed = self._owed, []
        for one, names in said.items():
            yield self.tell(Topic.ANSWERED, one.order, one.rule, one.kind.value, names, (), one.why)
        for answer in owed:
            yield Owe(answer)

    def tell(
        self,
        topic: Topic,
        order: OrderKey | None,
        rule: str,
        effect: str,
        names: Iterable[str],
        values: Iterable[int],
        why: str,
        function: str = "",
    ) -> Tell:
        """Make one record."""
        named = "" if order is None else label(order)
        return Tell(topic, self._state.now_ms, named, function, rule, effect, tuple(names), tuple(values), why)

    # -- settling

    def _begin(self) -> None:
        self._memo.clear()
        self._alive.clear()
        self._grounds.clear()
        self._heard.clear()
        self._reasons.clear()

    def _settled(self, resource: ResourceState) -> Settled:
        """Settle a resource; resources with the same ground that hear the same uniform orders share one settlement."""
        heard = self._heard.get(resource.groups)
        if heard is None:
            lives = [self._state.lives[key] for group in resource.groups for key in self._state.book.get(group, ())]
            heard = self._heard[resource.groups] = (lives, all(live.uniform for live in lives))
        lives, alike = heard
        key = (id(resource.ground), resource.groups, resource.revert_ms)
        if alike and key in self._memo:
            return self._memo[key]
        ground = self._grounds.get(id(resource.ground))
        if ground is None:
            unproven = frozenset(name for name, party in self._state.parties.items() if not party.proven)
            ground = self._grounds[id(resource.ground)] = replace(resource.ground, unproven=unproven)
        settled = self._settle(resource, ground, lives)
        self._alive.append(settled)
        if alike:
            self._memo[key] = settled
        return settled

    def _settle(self, resource: ResourceState, ground: Ground, lives: list[Live]) -> Settled:
        state = self._state
        slots = self._slots(resource.resource.name, ground, lives)
        defaults: list[Default] = [
            default for group in resource.groups for default in state.defaults.get(group, {}).values()
        ]
        settlement = settle(slots, defaults, ground, state.now_ms)
        silent_w = envelope(settle({}, defaults, ground, state.now_ms)).upper_w
        ahead = settlement
        while ahead.until_ms <= state.now_ms + resource.revert_ms:
            ahead = settle(slots, defaults, ground, ahead.until_ms)
            silent_w = min(silent_w, envelope(ahead).upper_w)
        return Settled(settlement, envelope(settlement), silent_w)

    def _slots(self, name: str, ground: Ground, lives: list[Live]) -> dict[Slot, list[Entry]]:
        slots: dict[Slot, list[Entry]] = {}
        for live in lives:
            order = live.order
            interval = interval_at(self._state, live, name)
            course = live.courses.get(name)
            spent_ms = FOR_EVER_MS if course is None else course.ended_ms
            for effect in live.effects.get(name, ()):
                level = ground.levels.get((order.issuer, effect.function))
                if level is None:
                    continue
                slot = Slot(order.issuer, level, effect.function)
                slots.setdefault(slot, []).append(Entry(order.key, order.rank, interval, effect, spent_ms))
        return slots

    # -- commanding

    def _commands(self, resource: ResourceState, settled: Settled, tells: list[Tell]) -> Iterator[tuple[Write, bool]]:
        state = self._state
        devices = [state.devices[name] for name in resource.resource.devices]
        parts = [
            Part(
                device.device.name,
                device.device.rated_w,
                device.counted_w(),
                device.reachable,
                device.command,
                device.adopted,
            )
            for device in devices
        ]
        made = commands(settled.envelope, parts, settled.fallback_w, [device.device.revert_ms for device in devices])
        self._note_basis(resource, settled)
        for device, command in zip(devices, made, strict=True):
            before = device.command
            until_ms = self._valid_until(settled)
            if command == before and device.valid_until_ms == until_ms:
                continue
            cleared = self._clear(device, command, resource, settled)
            if isinstance(cleared, Blocked):
                tells.append(
                    self.tell(
                        Topic.BLOCKED, command.basis[0], "guard", "not written", (command.device,), (), cleared.why
                    )
                )
                continue
            device.valid_until_ms = until_ms
            if command != before:
                held_w = device.counted_w()
                device.command, device.serial, device.adopted = command, cleared.serial, False
                device.confirmed_w, device.verify_at_ms, device.verdict = held_w, None, None
            yield Write(cleared), _tightens(before, command)

    def _clear(
        self, device: DeviceState, command: Command, resource: ResourceState, settled: Settled
    ) -> Cleared | Blocked:
        state = self._state
        others_w = others_fallback_w = 0
        for name in resource.resource.devices:
            other = state.devices[name]
            if other is device:
                continue
            others_w += other.counted_w()
            others_fallback_w += other.reverts_to_w()
        if command == device.command:
            serial = device.serial
        else:
            state.write_serial += 1
            serial = state.write_serial
        bounds = Bounds(
            device.device.name,
            device.device.rated_w,
            settled.envelope.upper_w,
            device.told_w(),
            others_w,
            min(settled.fallback_w, settled.envelope.upper_w),
            device.reverts_to_w(),
            others_fallback_w,
            settled.envelope.connected is not False,
            settled.envelope.energized is not False,
            self._valid_until(settled),
        )
        return clear(command, bounds, serial, state.now_ms)

    def _valid_until(self, settled: Settled) -> int:
        return min(settled.settlement.until_ms + GRACE_MS, self._state.renew_at_ms + GRACE_MS)

    def _note_basis(self, resource: ResourceState, settled: Settled) -> None:
        """Note on the orders that the commands rest on them, and on a clipped set-point that it is served short."""
        bounds = settled.envelope
        name = resource.resource.name
        for key in (bounds.upper_by, bounds.target_by):
            live = None if key is None else self._state.lives.get(key)
            if live is not None and name in live.courses:
                live.courses[name].bound = True
                if key == bounds.target_by and bounds.target_w != bounds.ordered_w:
                    live.courses[
                        name
                    ].short = (
                        f"set-point of {bounds.ordered_w} W clipped to {bounds.target_w} W by {label(bounds.upper_by)}"
                    )

    # -- answering

    def _follow(self, resource: ResourceState, settled: Settled) -> None:
        """Take each order at the resource to the status that the settlement gives it; the beaten answer first."""
        name = resource.resource.name
        starting: list[tuple[Live, Course, Status]] = []
        for key, status in settled.settlement.status.items():
            live = self._state.lives[key]
            course = live.courses.get(name)
            if course is None or course.ended or course.status is status:
                continue
            if status in {Status.IN_FORCE, Status.SUSPENDED}:
                starting.append((live, course, status))
            else:
                self._end(live, name, course, status, settled)
        for live, course, status in starting:
            self._start(live, name, course, status, settled)

    def _end(self, live: Live, name: str, course: Course, status: Status, settled: Settled) -> None:
        course.status = status
        if status is Status.SUPERSEDED:
            self.say(live, name, Kind.SUPERSEDED, "C2", f"superseded in its slot by {_winner(live, settled)}")
        elif status is Status.OVER:
            if live.cut_ms is not None and interval_at(self._state, live, name).end_ms >= live.cut_ms:
                kind = Kind.CANCELLED if live.cut_how is Withdrawal.CANCELLED else Kind.SUPERSEDED
                self.say(live, name, kind, "C13", f"{kind.value} by its issuer")
            elif not course.started:
                self.say(live, name, Kind.EXPIRED, "A5", "over before it could start")
            else:
                how = ending(course)
                self.say(live, name, how.kind, how.rule, how.why, unserved=how.kind is Kind.CANNOT)

    def _start(self, live: Live, name: str, course: Course, status: Status, settled: Settled) -> None:
        course.status = status
        if not course.started:
            course.started = True
            key = (id(settled), live.order.key)
            if key not in self._reasons:
                self._reasons[key] = _reason(live, settled)
            rule, why = self._reasons[key]
            self.say(live, name, Kind.STARTED, rule, why)
        if status is Status.SUSPENDED:
            course.short = f"suspended by {_winner(live, settled)}"
            self.say(live, name, Kind.SUSPENDED, "C10", course.short)

    # -- telling

    def _tell_rulings(self, settled: Settled, before: tuple[Ruling, ...], names: list[str]) -> Iterator[Tell]:
        old = {ruling.function: ruling for ruling in before}
        for ruling in settled.settlement.rulings:
            if old.get(ruling.function) == ruling:
                continue
            others = [f"{text} {label(key)}" for text, keys in _others(ruling) for key in keys]
            yield self.tell(
                Topic.RULED,
                ruling.binding,
                ruling.rule,
                _effect_text(ruling),
                names,
                (ruling.value,),
                "; ".join(others),
                ruling.function.value,
            )
            if ruling.clipped:
                yield self.tell(
                    Topic.CLIPPED, ruling.binding, "C2", "alarm", names, (ruling.value,), "limits contradict each other"
                )
        bounds = settled.envelope
        if bounds.target_by is not None and bounds.target_w is not None and bounds.target_w != bounds.ordered_w:
            why = f"set-point of {bounds.ordered_w} W lies outside {label(bounds.upper_by)}"
            effect = f"clipped to {bounds.target_w} W"
            function = Function.ACTIVE_POWER.value
            yield self.tell(Topic.CLIPPED, bounds.target_by, "C2", effect, names, (bounds.target_w,), why, function)

    def _tell_commands(self, told: list[Command]) -> Tell:
        first = told[0]
        parts = [f"limit, {first.rule}"]
        if first.target_w is not None:
            parts.append(f"set-point {first.target_w} W")
        if first.connected is False:
            parts.append("disconnected")
        if first.energized is False:
            parts.append("ceased to energize")
        parts.append(f"falls back to {first.revert_limit_w} W")
        return self.tell(
            Topic.COMMANDED,
            first.basis[-1],
            first.rule,
            ", ".join(parts),
            (command.device for command in told),
            (command.limit_w for command in told),
            "",
        )


def _tightens(before: Command | None, command: Command) -> bool:
    if before is None:
        return True
    if command.limit_w > before.limit_w:
        return False
    if (command.connected, command.energized) != (before.connected, before.energized):
        return command.connected is False or command.energized is False
    return before.target_w is None or (command.target_w is not None and command.target_w <= before.target_w)


def _winner(live: Live, settled: Settled) -> str:
    """Name what holds in the functions of a beaten order."""
    functions = [effect.function for effect in live.order.effects]
    found = {label(one.binding): None for one in settled.settlement.rulings if one.function in functions}
    return ", ".join(found) or "a stronger order"


def _reason(live: Live, settled: Settled) -> tuple[str, str]:
    """Say by which rule an order holds, and whether it binds."""
    for ruling in settled.settlement.rulings:
        if ruling.binding == live.order.key:
            clipped = settled.envelope.target_by == ruling.binding and (
                settled.envelope.target_w != settled.envelope.ordered_w
            )
            if ruling.function is Function.ACTIVE_POWER and clipped:
                return "C2", f"clipped to {settled.envelope.target_w} W by {label(settled.envelope.upper_by)}"
            return ruling.rule, f"{ruling.function.value} {_effect_text(ruling)}"
    return "C2", "in force, not binding"


def _effect_text(ruling: Ruling) -> str:
    if ruling.function is Function.ACTIVE_POWER:
        return f"set-point {ruling.value} W"
    if ruling.function in {Function.CONNECT, Function.ENERGIZE}:
        return "on" if ruling.value else "off"
    return f"{'ceiling' if ruling.function in CEILINGS else 'floor'} {ruling.value} W"


def _others(ruling: Ruling) -> tuple[tuple[str, tuple[OrderKey, ...]], ...]:
    return (("slack", ruling.slack), ("suspended", ruling.suspended), ("beaten", ruling.beaten))
