"""Resources settled once for all that are alike: the memory of one pass of decisions."""

from dataclasses import replace
from typing import NamedTuple

from gateway.core.arbitrate import Ground, Settlement, settle
from gateway.core.orders import Default
from gateway.core.plan import Envelope, envelope
from gateway.core.state import Live, PartyState, ResourceState, State
from gateway.core.timeline import FOR_EVER_MS, Entry, Interval, Slot, effective


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


class Settler:
    """Settles resources at the state's time; those with the same ground that hear the same orders share the result.

    Valid for one pass: nothing of the state that a settlement depends on may change between its calls.
    """

    def __init__(self, state: State) -> None:
        """Settle over this state."""
        self._state = state
        self._settled: list[Settled] = []
        self._alike: dict[tuple[int, tuple[str, ...], int], Settled] = {}
        self._grounds: dict[int, Ground] = {}
        self._heard: dict[tuple[str, ...], tuple[list[Live], bool]] = {}
        self._unproven = frozenset(name for name, party in state.parties.items() if not party.proven)

    def of(self, resource: ResourceState) -> Settled:
        """Settle one resource; what is given stays alive as long as this settler, so that its identity names it."""
        key = (id(resource.ground), resource.groups, resource.revert_ms)
        settled = self._alike.get(key)
        if settled is not None:
            return settled
        heard = self._heard.get(resource.groups)
        if heard is None:
            lives = [self._state.lives[key] for group in resource.groups for key in self._state.book.get(group, ())]
            heard = self._heard[resource.groups] = (lives, all(live.uniform for live in lives))
        lives, alike = heard
        ground = self._grounds.get(id(resource.ground))
        if ground is None:
            ground = self._grounds[id(resource.ground)] = replace(resource.ground, unproven=self._unproven)
        settled = self._settle(resource, ground, lives)
        self._settled.append(settled)
        if alike:
            self._alike[key] = settled
        return settled

    def _settle(self, resource: ResourceState, ground: Ground, lives: list[Live]) -> Settled:
        now_ms = self._state.now_ms
        name = resource.resource.name
        slots = self._slots(name, ground, lives)
        defaults: list[Default] = [
            default
            for group in resource.groups
            if name not in self._state.former.get(group, ())
            for default in self._state.defaults.get(group, {}).values()
        ]
        settlement = settle(slots, defaults, ground, now_ms)
        silent_w = envelope(settle({}, defaults, ground, now_ms)).upper_w
        ahead = settlement
        while ahead.until_ms <= now_ms + resource.revert_ms:
            ahead = settle(slots, defaults, ground, ahead.until_ms)
            silent_w = min(silent_w, envelope(ahead).upper_w)
        return Settled(settlement, envelope(settlement), silent_w)

    def _slots(self, name: str, ground: Ground, lives: list[Live]) -> dict[Slot, list[Entry]]:
        slots: dict[Slot, list[Entry]] = {}
        for live in lives:
            order = live.order
            interval = interval_at(self._state, live, name)
            course = live.courses.get(name)
            for effect in live.effects.get(name, ()):
                level = ground.levels.get((order.issuer, effect.function))
                if level is None:
                    continue
                slot = Slot(order.issuer, level, effect.function)
                spent_ms = FOR_EVER_MS if course is None else course.spent_ms(effect.function)
                slots.setdefault(slot, []).append(Entry(order.key, order.rank, interval, effect, spent_ms))
        return slots
