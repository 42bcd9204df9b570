"""Resources settled once for all that are alike, from what is kept of how their orders stand."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway.core.arbitrate import Settlement, rule, settle
from gateway.core.certify import room_of
from gateway.core.commitments import contracted_w, reserved_w
from gateway.core.functions import CEILINGS, FLOORS, LIMITS, Function
from gateway.core.orders import Default, Effect, OrderKey, Total
from gateway.core.parties import Colour, Direction, Level
from gateway.core.plan import Envelope, envelope
from gateway.core.siteload import UNMETERED
from gateway.core.slots import CALM, Allotment, Fallbacks, Ground, Situation, Word, held_in
from gateway.core.stance import Stance, Statuses
from gateway.core.state import Live, PartyState, ResourceState, SegmentColour, State
from gateway.core.timeline import FOR_EVER_MS, Entry, Interval, Slot, effective

_SUMMED = (*LIMITS, Function.ACTIVE_POWER)
"""Functions that a group can obey in sum; what switches means the same for each of it."""


MOST_KEPT = 20_000
"""How many stances, and how many grounds in a situation, are kept before all are made anew."""


class Settled(NamedTuple):
    """A settlement, the envelope it makes, what holds in silence (W), and the stance that it was made from.

    `fallback_floor_w` is the least power in silence (W, 0 or below), None where nothing limits it.
    """

    settlement: Settlement
    envelope: Envelope
    fallback_w: int
    stance: Stance
    fallback_floor_w: int | None = None

    def like(self, other: "Settled") -> bool:
        """Tell whether two say the same, whatever they were made from."""
        return self[:3] == other[:3] and self.fallback_floor_w == other.fallback_floor_w


class _Silent(NamedTuple):
    """What holds where nobody speaks (W): the most that goes out, and the least power, None where nothing limits it."""

    upper_w: int
    lower_w: int | None


class _Common(NamedTuple):
    """What an order puts into the slots of every resource that has these effects of it on this ground."""

    effects: tuple[Effect, ...]
    ground: Ground
    entries: tuple[tuple[Slot, Entry], ...]


def interval_at(state: State, live: Live, resource: str) -> Interval:
    """Give an order's effective interval at a resource."""
    if live.uniform:
        return live.interval
    party = state.parties.get(live.order.issuer, PartyState())
    shift_ms = live.shift_ms.get(resource, 0)
    return effective(live.order, resource, party.ahead_ms(live.order.clock), live.cut_ms, live.spread_ms, shift_ms)


def _promised(found: Situation, resource: ResourceState, state: State) -> Situation:
    """Add what is promised of a resource's DER now: reserved for reliability, and movable as flexibility (C7, C11)."""
    book, now_ms = state.commitments, state.now_ms
    devices = [name for name in resource.resource.devices if name in book.by_device]
    if not devices:
        return found
    reserved = sum(reserved_w(book, name, Direction.EXPORT, now_ms, reliability_only=True) for name in devices)
    level = Level.DSO_FLEXIBILITY
    volumes = [contracted_w(book, name, way, now_ms, level=level) for name in devices for way in Direction]
    return found._replace(reserved_w=reserved, contracted_w=sum(volumes) or None)


def colour_now(held: SegmentColour, state: State) -> Colour:
    """Give a segment's colour: once expired it is green, and amber without contact with who set it (C11)."""
    if state.now_ms < held.until_ms:
        return held.colour
    party = state.parties.get(held.issuer, PartyState())
    return Colour.GREEN if party.proven and not party.lost else Colour.AMBER


def colour_fault(segment: str, until_ms: int, state: State) -> str:
    """Say why a segment cannot be coloured so, or nothing."""
    if not on_segment(state, segment):
        return f"no device lies on segment {segment}; name it in the site file"
    if until_ms <= state.now_ms:
        return "its time is over already; give it one that ends later"
    return ""


def on_segment(state: State, segment: str) -> list[str]:
    """Name the resources on a segment."""
    return [name for name, each in state.resources.items() if each.segment == segment]


class Stances:
    """The stances of all resources, as far as they were needed and nothing dropped them; nothing of the state's own."""

    def __init__(self, state: State) -> None:
        """Start without any."""
        self._state = state
        self._of: dict[str, Stance] = {}
        self._shared: dict[tuple[int, tuple[str, ...]], Stance] = {}
        self._made = 0
        self._entries: dict[OrderKey, _Common] = {}
        self._grounds: dict[tuple[int, Situation], tuple[Ground, Ground]] = {}
        self._fallbacks: dict[tuple[int, tuple[int, ...]], tuple[Fallbacks, Sequence[Default], _Silent]] = {}
        self._unproven: frozenset[str] = frozenset()
        self._offsets_ms: list[tuple[int, ...]] = []

    def begin(self) -> None:
        """Begin a pass: nothing of the state that a settlement depends on may change until the next one."""
        state = self._state
        self._entries.clear()
        unproven = frozenset(name for name, party in state.parties.items() if not party.proven)
        if unproven != self._unproven or len(self._grounds) + len(self._fallbacks) > MOST_KEPT:
            self._unproven = unproven
            self._grounds.clear()
            self._fallbacks.clear()
        offsets_ms = [(party.offset_ms, *party.clocks.values()) for party in state.parties.values()]
        if self._made > MOST_KEPT or offsets_ms != self._offsets_ms:
            self._offsets_ms = offsets_ms
            self._of.clear()
            self._shared.clear()
            self._made = 0

    def drop(self, names: Iterable[str]) -> None:
        """Drop the stances of these resources: something else than time or a new order moves what they hear."""
        for name in names:
            stance = self._of.pop(name, None)
            if stance is not None:
                stance.valid = False

    def hear(self, live: Live, names: Iterable[str]) -> None:
        """Take a new order into the stances of these resources."""
        taken: dict[int, None] = {}
        key = live.order.key
        self._entries.clear()
        for name in names:
            stance = self._of.get(name)
            if stance is None or not stance.valid or id(stance) in taken:
                continue
            if stance.alike and not live.uniform:
                stance.valid = False
                continue
            taken[id(stance)] = None
            entries = self._entries_of(key, live, self._state.resources[name])
            if any(entry.interval.end_ms <= self._state.now_ms for _slot, entry in entries):
                stance.valid = False  # it changes who beat whom before now, and what has ended since must not come back
            elif entries:
                stance.take(live.group, key, entries, self._state.now_ms)

    def at(self, resource: ResourceState) -> Stance:
        """Give the stance of a resource."""
        name = resource.resource.name
        stance = self._of.get(name)
        if (
            stance is not None
            and stance.valid
            and stance.ground is resource.ground
            and stance.groups is resource.groups
        ):
            return stance
        if stance is not None:
            stance.followed.discard(name)
        key = (id(resource.ground), resource.groups)
        stance = self._shared.get(key)
        if stance is None or not stance.valid:
            stance = self._make(resource)
            if stance.alike:
                self._shared[key] = stance
        self._of[name] = stance
        return stance

    def follow(self, names: Iterable[str], suspended: Mapping[tuple[OrderKey, Function], str]) -> None:
        """Take it that the orders of these resources have been taken to where they stand."""
        by_stance: dict[int, tuple[Stance, list[str]]] = {}
        for name in names:
            stance = self._of[name]
            by_stance.setdefault(id(stance), (stance, []))[1].append(name)
        for stance, alike in by_stance.values():
            stance.follow(alike, suspended, self._state.now_ms)

    def _make(self, resource: ResourceState) -> Stance:
        state, groups = self._state, resource.groups
        lives = state.lives
        alike = all(lives[key].uniform for group in groups for key in state.book.get(group, ()))
        stance = Stance(groups, resource.ground, alike=alike)
        self._made += 1
        for group in groups:
            for key in state.book.get(group, ()):
                entries = self._entries_of(key, lives[key], resource)
                if entries:
                    stance.load(group, key, entries)
        return stance

    def _entries_of(self, key: OrderKey, live: Live, resource: ResourceState) -> tuple[tuple[Slot, Entry], ...]:
        """Give what an order puts into each slot at a resource; what is the same for many is made once in a pass."""
        name, ground = resource.resource.name, resource.ground
        effects = live.effects.get(name)
        if not effects:
            return ()
        course = live.courses.get(name)
        if not live.uniform or (course is not None and (course.lost or course.ended)):
            return tuple(entries_at(self._state, live, resource))
        common = self._entries.get(key)
        if common is None or common.effects is not effects or common.ground is not ground:
            common = _Common(effects, ground, tuple(entries_at(self._state, live, resource)))
            self._entries[key] = common
        return common.entries

    def ground(self, base: Ground, situation: Situation) -> Ground:
        """Give a resource's ground in its situation, one and the same for all that are alike."""
        if situation == base.situation and self._unproven == base.unproven:
            return base
        key = (id(base), situation)
        found = self._grounds.get(key)
        if found is None:
            found = self._grounds[key] = (base, replace(base, unproven=self._unproven, situation=situation))
        return found[1]

    def fallbacks(self, ground: Ground, defaults: Sequence[Default]) -> tuple[Fallbacks, _Silent]:
        """Give what holds on a ground beside orders, and what it leaves in silence."""
        key = (id(ground), tuple(map(id, defaults)))
        found = self._fallbacks.get(key)
        if found is None:
            silent = envelope(settle({}, defaults, ground, self._state.now_ms))
            left = _Silent(silent.upper_w, silent.lower_w)
            found = self._fallbacks[key] = (Fallbacks(defaults, ground), defaults, left)
        return found[0], found[2]


class Settler:
    """Settles resources at the state's time; those with the same ground that hear the same orders share the result.

    Valid for one pass: nothing of the state that a settlement depends on may change between its calls.
    """

    def __init__(self, state: State, stances: Stances) -> None:
        """Settle over this state, from what is known of the orders that stand."""
        self._state = state
        self._stances = stances
        self._settled: dict[tuple[int, int, int, int], Settled] = {}
        stances.begin()

    def of(self, resource: ResourceState, allotted: tuple[Allotment, ...] | None = None) -> Settled:
        """Settle one resource, with what falls to it of orders in sum: as it stands, or as `allotted` tries out."""
        situation = self._situation(resource, resource.allotted if allotted is None else allotted)
        if allotted is not None:
            situation = situation._replace(trial=True, room=None)
        stances = self._stances
        stance, ground = stances.at(resource), stances.ground(resource.ground, situation)
        fallbacks, silent = stances.fallbacks(ground, self._defaults(resource))
        key = (id(stance), id(fallbacks), resource.revert_ms, self._state.now_ms)
        settled = self._settled.get(key)
        if settled is None:
            settled = self._settled[key] = self._settle(stance, fallbacks, silent, resource.revert_ms)
        return settled

    def _defaults(self, resource: ResourceState) -> list[Default]:
        defaults, former = self._state.defaults, self._state.former
        if not defaults:
            return []
        name = resource.resource.name
        return [
            default
            for group in resource.groups
            if group in defaults and name not in former.get(group, ())
            for default in defaults[group].values()
        ]

    def _situation(self, resource: ResourceState, allotted: tuple[Allotment, ...]) -> Situation:
        state = self._state
        found = CALM if not allotted else Situation(allotted=allotted)
        held = state.colours.get(resource.segment) if state.colours else None
        if held is not None:
            colour = colour_now(held, state)
            found = found._replace(colour=colour, constrained=held.constrained if colour is Colour.RED else None)
        if state.commitments.by_device:
            found = _promised(found, resource, state)
        if state.unvalidated and any(point in state.unvalidated for point in (resource.segment, *resource.places)):
            found = found._replace(validated=False)
        if resource.load.counted != UNMETERED:
            found = found._replace(load=resource.load.counted)
        if resource.feeder:
            found = found._replace(room=room_of(resource.resource.name, state.feeders[resource.feeder]))
        return found

    def _settle(self, stance: Stance, fallbacks: Fallbacks, silent: _Silent, revert_ms: int) -> Settled:
        now_ms = self._state.now_ms
        until_ms = stance.look(now_ms)
        ruled = stance.rule(fallbacks)
        status = Statuses(stance, ruled.suspended, now_ms)
        settlement = Settlement(ruled.rulings, status, until_ms, ruled.lost, ruled.asked, ruled.suspended)
        situation = fallbacks.ground.situation
        bounds = envelope(settlement, situation.room, situation.load)
        unmetered = envelope(settlement) if situation.load != UNMETERED else bounds
        ahead_ms = now_ms + revert_ms
        if until_ms <= ahead_ms:
            now = _Silent(unmetered.upper_w, unmetered.lower_w)
            ahead = _tightest_ahead(stance, fallbacks, now, until_ms, ahead_ms)
            silent = _Silent(min(silent.upper_w, ahead.upper_w), _higher(silent.lower_w, ahead.lower_w))
        return Settled(settlement, bounds, silent.upper_w, stance, silent.lower_w)


def _higher(one_w: int | None, other_w: int | None) -> int | None:
    if one_w is None or other_w is None:
        return other_w if one_w is None else one_w
    return max(one_w, other_w)


def _tightest_ahead(stance: Stance, fallbacks: Fallbacks, now: _Silent, first_ms: int, last_ms: int) -> _Silent:
    """Give the tightest limits that the orders known leave from the first to the last of these instants.

    Only limits bear on it, and only when one of them starts or ends; `now` is what they leave now.
    """
    table = [(slot, stream) for slot, stream in stance.rows(fallbacks) if slot.function in LIMITS]
    streams = [stream for _slot, stream in table if stream is not None]
    at_ms = min((stream.until_ms for stream in streams), default=FOR_EVER_MS)
    least_w, floor_w = (now.upper_w, now.lower_w) if at_ms > first_ms else (FOR_EVER_MS, None)
    while at_ms <= last_ms:
        words = [
            Word(slot.function, held_in(slot, None if stream is None else stream.succession().winner(at_ms), fallbacks))
            for slot, stream in table
        ]
        rulings = rule(words, fallbacks.ground).rulings
        least_w = min(least_w, max(0, min(one.value for one in rulings if one.function in CEILINGS)))
        for one in rulings:
            if one.function in FLOORS:
                floor_w = _higher(floor_w, min(0, one.value))
        at_ms = min((stream.succession().next_change(at_ms) for stream in streams), default=FOR_EVER_MS)
    return _Silent(least_w, floor_w)


def entries_at(state: State, live: Live, resource: ResourceState) -> Iterator[tuple[Slot, Entry]]:
    """Yield what an order puts into each slot at a resource, unless it was over when its issuer moved the past."""
    order, name, ground = live.order, resource.resource.name, resource.ground
    key = order.key
    effects = live.effects.get(name)
    if not effects:
        return
    interval = interval_at(state, live, name)
    course = live.courses.get(name)
    summed = isinstance(order.scope, Total)
    closed_ms = state.parties.get(order.issuer, PartyState()).closed_ms
    for effect in effects:
        level = ground.level(order.issuer, order.service, effect.function)
        if level is None:
            continue
        spent_ms = FOR_EVER_MS if course is None else course.spent_ms(effect.function)
        if spent_ms <= closed_ms:
            continue
        slot = Slot(order.issuer, level, effect.function, live.group if summed and effect.function in _SUMMED else "")
        yield slot, Entry(key, order.rank, interval, effect, spent_ms)
