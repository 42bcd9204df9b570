"""What each slot says at a resource: the order in force, or else a default or the last resort, on its ground.

RULES C5 (defaults), C12 and E (what is obeyed in sum), C14 (issuers unproven, the last resort), C19 (a network that
changed).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.core.feeder import Room
from gateway.core.functions import CEILINGS, FLOORS, LIMITS, SWITCHES, Function
from gateway.core.modes import Mode
from gateway.core.orders import Ceiling, Connect, Default, Effect, Energize, Floor, OrderKey, Price, Release, Target
from gateway.core.parties import USUAL_PRECEDENCE, Colour, Direction, Precedence
from gateway.core.siteload import UNMETERED, LocalLoad
from gateway.core.timeline import Entry, Slot
from gateway.core.topology import PriceStep
from gateway.core.units import ceil_watts, floor_watts, toward_zero_watts

SITE = "site"
"""Who speaks where the site file itself does."""
LAST_RESORT = OrderKey(SITE, "last-resort")
_TIGHTENED = (*LIMITS, *SWITCHES)
"""Functions that have a tighter side."""


class Allotment(NamedTuple):
    """What falls to one resource (W) of an order that a group obeys in sum, or of a point's rating (C12, E)."""

    key: OrderKey
    function: Function
    value_w: int


class Situation(NamedTuple):
    """What the network and the contracts make of one resource now.

    `constrained` is the direction that a red segment must not be loaded in further. `contracted_w` is how far
    contracted flexibility may move a market set-point (None: as far as it says), `reserved_w` what reliability
    services hold reserved of the generation (W). `validated` is False from a change of the network until it was
    looked at again (C19). What is not `allotted` yet of a limit in sum is nothing, save in a `trial`. `load` is
    the local load behind the connection point, as far as it is metered. `room` is
    what the feeder's model has certified, where there is one.
    """

    colour: Colour = Colour.GREEN
    constrained: Direction | None = None
    contracted_w: int | None = None
    reserved_w: int = 0
    validated: bool = True
    trial: bool = False
    allotted: tuple[Allotment, ...] = ()
    room: Room | None = None
    load: LocalLoad = UNMETERED

    def allotment(self, key: OrderKey, function: Function) -> int | None:
        """Give what falls to the resource of an order in sum (W), or None where nothing was shared out yet."""
        return next((one.value_w for one in self.allotted if one.key == key and one.function is function), None)


CALM = Situation()


class Held(NamedTuple):
    """What one slot contributes at an instant.

    `precedence` and `age` (the later created, the smaller) decide between the slots of one party alone (C3, C4). A slot
    of a mode contributes the `mode`, and its value is 0.
    """

    level: int
    party_rank: int
    key: OrderKey
    value: int
    rule: str
    is_order: bool
    service: str = ""
    precedence: int = 0
    age: int = 0
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """What arbitration at a resource needs beside the orders.

    `unproven` names the issuers with which contact is not proven since the start: their slots hold the tighter of
    order and default (C14). `party_rank` is the parties' order in the site file, `levels` the level of each party's
    slots by control function: what has no level there is not granted. `service_levels` is the level by service as
    well, and `services` names the service of each party, level and function.
    """

    limit_parent: str
    export_limit_w: int
    last_resort_export_limit_w: int
    generation_max_w: int
    charge_max_w: int
    party_rank: Mapping[str, int]
    levels: Mapping[tuple[str, Function], int]
    unproven: frozenset[str] = frozenset()
    service_levels: Mapping[tuple[str, str, Function], int] = field(default_factory=dict)
    services: Mapping[tuple[str, int, Function], str] = field(default_factory=dict)
    party_standing: Mapping[str, int] = field(default_factory=dict)
    precedence: Precedence = USUAL_PRECEDENCE
    price_response: tuple[PriceStep, ...] = ()
    situation: Situation = CALM

    def level(self, issuer: str, service: str, function: Function) -> int | None:
        """Give the level that a party stands at with a service (any, where that is empty), or None: not granted."""
        if service:
            return self.service_levels.get((issuer, service, function))
        return self.levels.get((issuer, function))


class Word(NamedTuple):
    """What one slot says at an instant, in which function, and which of its orders have lost it and are not over."""

    function: Function
    held: Held | None
    beaten: Sequence[OrderKey] = ()


def _value(effect: Effect, ground: Ground) -> int:
    match effect:
        case Ceiling(power=power):
            return floor_watts(power, ground.generation_max_w, ground.charge_max_w)
        case Floor(power=power):
            return ceil_watts(power, ground.generation_max_w, ground.charge_max_w)
        case Target(power=power):
            return toward_zero_watts(power, ground.generation_max_w, ground.charge_max_w)
        case Connect(on=on) | Energize(on=on):
            return int(on)
        case Price(milli_per_mwh=milli_per_mwh):
            return milli_per_mwh
        case Release():
            raise TypeError("a release has no value; take the slot's default")
        case _:
            return 0


def _mode(effect: Effect) -> Mode | None:
    return effect if isinstance(effect, Mode) else None


def _bounds(default: Default) -> bool:
    """Tell whether a default bounds what goes out, at the connection point or at the DER: then it is no last resort."""
    return any(effect.function in CEILINGS and not isinstance(effect, Release) for effect in default.effects)


def _last_resort_slot(ground: Ground) -> Slot | None:
    """Give a slot that the floor of last resort can hold in: the limit parent's own export limit."""
    level = ground.levels.get((ground.limit_parent, Function.EXPORT_LIMIT))
    return None if level is None else Slot(ground.limit_parent, level, Function.EXPORT_LIMIT)


class Fallback(NamedTuple):
    """What holds a slot while no order does."""

    key: OrderKey
    value: int
    mode: Mode | None = None


class Fallbacks:
    """What each slot of one ground says while no order of it is in force: a default (C5), or the last resort (C14)."""

    __slots__ = ("_defaults", "_held", "ground", "slots", "words")

    def __init__(self, defaults: Sequence[Default], ground: Ground) -> None:
        """Note who speaks in which slot."""
        self.ground = ground
        self._defaults = sorted(defaults, key=lambda default: (default.precedence, default.id))
        self._held: dict[Slot, Fallback | None] = {}
        last_resort = _last_resort_slot(ground)
        found: dict[Slot, None] = {} if last_resort is None else {last_resort: None}
        for default in defaults:
            for effect in default.effects:
                level = ground.level(default.issuer, default.service, effect.function)
                if level is not None:
                    found[Slot(default.issuer, level, effect.function)] = None
        self.slots: tuple[Slot, ...] = tuple(found)
        """Every slot that a default or the last resort speaks in."""
        self.words: dict[Slot, Word] = {slot: Word(slot.function, held_in(slot, None, self)) for slot in self.slots}
        """What they say there while no order does."""

    def of(self, slot: Slot) -> Fallback | None:
        """Give who holds a slot that no order holds, and what it says."""
        if slot not in self._held:
            self._held[slot] = self._find(slot)
        return self._held[slot]

    def _find(self, slot: Slot) -> Fallback | None:
        """Find the default of the strongest program that has the slot's function."""
        if slot.point:
            return None
        ground = self.ground
        for default in self._defaults:
            level = ground.level(default.issuer, default.service, slot.function)
            if default.issuer != slot.issuer or level != slot.level:
                continue
            for effect in default.effects:
                if effect.function is slot.function and not isinstance(effect, Release):
                    return Fallback(OrderKey(default.issuer, default.id), _value(effect, ground), _mode(effect))
        if slot.issuer != ground.limit_parent or slot.function is not Function.EXPORT_LIMIT:
            return None
        if any(default.issuer == slot.issuer and _bounds(default) for default in self._defaults):
            return None
        return Fallback(LAST_RESORT, ground.last_resort_export_limit_w)


def _tighter(function: Function, one: int, other: int) -> int:
    return max(one, other) if function in FLOORS else min(one, other)


def held_in(slot: Slot, winner: Entry | None, fallbacks: Fallbacks) -> Held | None:
    """Give what a slot contributes while this order of it is in force, or none is; None where it says nothing."""
    ground, default = fallbacks.ground, fallbacks.of(slot)
    rank = ground.party_rank.get(slot.issuer, len(ground.party_rank))
    service = ground.services.get((slot.issuer, slot.level, slot.function), "")
    if winner is not None and slot.point and isinstance(winner.effect, Ceiling | Floor | Target):
        allotted_w = ground.situation.allotment(winner.key, slot.function)
        if allotted_w is None:
            if slot.function not in LIMITS or ground.situation.trial:
                return None
            allotted_w = 0
        return Held(slot.level, rank, winner.key, allotted_w, "E", True, service, *_seniority(winner))
    if winner is not None and not isinstance(winner.effect, Release):
        value, rule = _value(winner.effect, ground), "C2"
        if default is not None and slot.function in _TIGHTENED:
            unproven = slot.issuer in ground.unproven
            if unproven or not ground.situation.validated:
                value, rule = _tighter(slot.function, value, default.value), "C14" if unproven else "C19"
        mode = _mode(winner.effect)
        return Held(slot.level, rank, winner.key, value, rule, True, service, *_seniority(winner), mode)
    if default is None:
        return None
    rule = "C14" if default.key == LAST_RESORT else "C5"
    return Held(slot.level, rank, default.key, default.value, rule, False, service, mode=default.mode)


def _seniority(entry: Entry) -> tuple[int, int]:
    return entry.rank.precedence, -entry.rank.created_ms
