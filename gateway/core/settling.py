"""Resources settled once for all that are alike: the memory of one pass of decisions."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from gateway.core.arbitrate import CALM, Allotment, Ground, Settlement, Situation, settle
from gateway.core.commitments import contracted_w, reserved_w
from gateway.core.orders import LIMITS, Default, Function, Total
from gateway.core.parties import Colour, Direction, Level
from gateway.core.plan import Envelope, envelope
from gateway.core.state import Live, PartyState, ResourceState, SegmentColour, State
from gateway.core.timeline import FOR_EVER_MS, Entry, Interval, Slot, effective

_SUMMED = (*LIMITS, Function.ACTIVE_POWER)
"""Functions that a group can obey in sum; what switches means the same for each of it."""


class Settled(NamedTuple):
    """A settlement, the envelope it makes, and what holds in silence (W)."""

    settlement: Settlement
    envelope: Envelope
    fallback_w: int


def interval_at(state: State, live: Live, resource: str) -> Interval:
    """Give an order's effective interval at a resource."""
    if live.uniform:
        return live.interval
    return effective(
        live.order, resource, state.parties.get(live.order.issuer, PartyState()).offset_ms, live.cut_ms, live.spread_ms
    )


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


class Settler:
    """Settles resources at the state's time; those with the same ground that hear the same orders share the result.

    Valid for one pass: nothing of the state that a settlement depends on may change between its calls.
    """

    def __init__(self, state: State) -> None:
        """Settle over this state."""
        self._state = state
        self._settled: list[Settled] = []
        self._alike: dict[tuple[int, tuple[str, ...], int, Situation], Settled] = {}
        self._grounds: dict[tuple[int, Situation], Ground] = {}
        self._heard: dict[tuple[str, ...], tuple[list[Live], bool]] = {}
        self._silent_w: dict[tuple[int, tuple[int, ...]], int] = {}
        self._unproven = frozenset(name for name, party in state.parties.items() if not party.proven)

    def of(self, resource: ResourceState, allotted: tuple[Allotment, ...] | None = None) -> Settled:
        """Settle one resource, with what falls to it of orders in sum: as it stands, or as `allotted` tries out.

        What is given stays alive as long as this settler, so that its identity names it.
        """
        situation = self._situation(resource, resource.allotted if allotted is None else allotted)
        if allotted is not None:
            situation = situation._replace(trial=True)
        key = (id(resource.ground), resource.groups, resource.revert_ms, situation)
        settled = self._alike.get(key)
        if settled is not None:
            return settled
        lives, alike = self.heard(resource.groups)
        ground = self._grounds.get((id(resource.ground), situation))
        if ground is None:
            ground = resource.ground
            if ground.unproven != self._unproven or ground.situation != situation:
                ground = replace(ground, unproven=self._unproven, situation=situation)
            self._grounds[id(resource.ground), situation] = ground
        settled = self._settle(resource, ground, lives)
        self._settled.append(settled)
        if alike:
            self._alike[key] = settled
        return settled

    def heard(self, groups: tuple[str, ...]) -> tuple[list[Live], bool]:
        """Give the orders that stand on the timelines of these groups, and whether they mean the same everywhere."""
        heard = self._heard.get(groups)
        if heard is None:
            lives = [self._state.lives[key] for group in groups for key in self._state.book.get(group, ())]
            heard = self._heard[groups] = (lives, all(live.uniform for live in lives))
        return heard

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
        return found

    def _settle(self, resource: ResourceState, ground: Ground, lives: list[Live]) -> Settled:
        now_ms = self._state.now_ms
        name = resource.resource.name
        slots = self._slots(name, lives)
        defaults: list[Default] = [
            default
            for group in resource.groups
            if name not in self._state.former.get(group, ())
            for default in self._state.defaults.get(group, {}).values()
        ]
        settlement = settle(slots, defaults, ground, now_ms)
        key = (id(ground), tuple(id(default) for default in defaults))
        silent_w = self._silent_w.get(key, -1)
        if silent_w < 0:
            silent_w = self._silent_w[key] = envelope(settle({}, defaults, ground, now_ms)).upper_w
        ahead = settlement
        while ahead.until_ms <= now_ms + resource.revert_ms:
            ahead = settle(slots, defaults, ground, ahead.until_ms)
            silent_w = min(silent_w, envelope(ahead).upper_w)
        return Settled(settlement, envelope(settlement), silent_w)

    def _slots(self, name: str, lives: list[Live]) -> dict[Slot, list[Entry]]:
        slots: dict[Slot, list[Entry]] = {}
        resource = self._state.resources[name]
        for live in lives:
            for slot, entry in entries_at(self._state, live, resource):
                slots.setdefault(slot, []).append(entry)
        return slots


def entries_at(state: State, live: Live, resource: ResourceState) -> Iterator[tuple[Slot, Entry]]:
    """Yield what an order puts into each slot at a resource."""
    order, name, ground = live.order, resource.resource.name, resource.ground
    effects = live.effects.get(name)
    if not effects:
        return
    interval = interval_at(state, live, name)
    course = live.courses.get(name)
    summed = isinstance(order.scope, Total)
    for effect in effects:
        level = ground.level(order.issuer, order.service, effect.function)
        if level is None:
            continue
        slot = Slot(order.issuer, level, effect.function, live.group if summed and effect.function in _SUMMED else "")
        spent_ms = FOR_EVER_MS if course is None else course.spent_ms(effect.function)
        yield slot, Entry(order.key, order.rank, interval, effect, spent_ms)
