"""The conflict rules: which orders hold at one resource, which bind, and which are beaten.

RULES B (levels), C2 to C5, C7 (reservations), C10 (suspension), C11 (traffic light), C12 (ratings above the
connection point), C13 (release), C14 (defaults) and C19 (a network that changed).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from gateway.core.orders import (
    CEILINGS,
    FLOORS,
    LIMITS,
    SWITCHES,
    Ceiling,
    Connect,
    Default,
    Effect,
    Energize,
    Floor,
    Function,
    OrderKey,
    Price,
    Release,
    Target,
)
from gateway.core.parties import USUAL_PRECEDENCE, Colour, Direction, Level, Precedence
from gateway.core.timeline import FOR_EVER_MS, Entry, Slot, next_change, standing
from gateway.core.topology import PriceStep
from gateway.core.units import ceil_watts, floor_watts, toward_zero_watts

SITE = "site"
"""Who speaks where the site file itself does."""
AGREEMENT = OrderKey(SITE, "connection-agreement")
LAST_RESORT = OrderKey(SITE, "last-resort")
POINTS = (
    (Function.EXPORT_LIMIT, Function.IMPORT_LIMIT),
    (Function.GENERATION_LIMIT, Function.RATING_LIMIT, Function.LOAD_LIMIT),
)
"""Limits that meet at the connection point, and limits that meet at the DER: only limits of one point are compared."""
_REORDERED = (Level.DSO_RELIABILITY, Level.MARKET)
"""The levels whose order is data; those outside are fixed (B)."""
_TIGHTENED = (*LIMITS, *SWITCHES)
"""Functions that have a tighter side."""
UNDRIVEN = (int(Level.DEFAULT), 0)
"""The strength of a DER that nobody gives a set-point."""


class Status(StrEnum):
    """Where one order stands at one resource."""

    PENDING = "pending"
    IN_FORCE = "in-force"
    SUSPENDED = "suspended"
    SUPERSEDED = "superseded"
    OVER = "over"


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
    looked at again (C19). What is not `allotted` yet of a limit in sum is nothing, save in a `trial`.
    """

    colour: Colour = Colour.GREEN
    constrained: Direction | None = None
    contracted_w: int | None = None
    reserved_w: int = 0
    validated: bool = True
    trial: bool = False
    allotted: tuple[Allotment, ...] = ()

    def allotment(self, key: OrderKey, function: Function) -> int | None:
        """Give what falls to the resource of an order in sum (W), or None where nothing was shared out yet."""
        return next((one.value_w for one in self.allotted if one.key == key and one.function is function), None)


CALM = Situation()


class Held(NamedTuple):
    """What one slot contributes at an instant.

    `precedence` and `age` (the later created, the smaller) decide between the slots of one party alone (C3, C4).
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


@dataclass(frozen=True, slots=True)
class Ruling:
    """What holds for one control function at one resource: the value (W, or 0 and 1 for a switch), and why.

    `binding` is the order, default or agreement whose value holds; `slack` is in force without binding; `suspended`
    are beaten set-points that resume; `beaten` are lost for good. `clipped` tells that a limit was moved so that the
    interval of the point is not empty (C2). `strength` is the level and standing of the binding set-point (C12), and
    `service` what it is for (C9).
    """

    function: Function
    value: int
    binding: OrderKey
    rule: str
    slack: tuple[OrderKey, ...] = ()
    suspended: tuple[OrderKey, ...] = ()
    beaten: tuple[OrderKey, ...] = ()
    clipped: bool = False
    strength: tuple[int, int] = UNDRIVEN
    service: str = ""


@dataclass(frozen=True, slots=True)
class Settlement:
    """All rulings of one resource at an instant, where each of its orders stands, and when that may next change.

    `lost` gives the orders that have lost a function for good, whether or not they keep another (C5, C6). `asked` is
    what each set-point order that has started asks for (W), `suspended` by which rule one has to wait.
    """

    rulings: tuple[Ruling, ...]
    status: Mapping[OrderKey, Status]
    until_ms: int
    lost: Mapping[Function, Sequence[OrderKey]]
    asked: Mapping[OrderKey, int] = field(default_factory=dict)
    suspended: Mapping[tuple[OrderKey, Function], str] = field(default_factory=dict)

    def ruling(self, function: Function) -> Ruling | None:
        """Give the ruling on one control function, where anything is said of it."""
        return next((ruling for ruling in self.rulings if ruling.function is function), None)


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


def _default_of(slot: Slot, defaults: Sequence[Default], ground: Ground) -> tuple[OrderKey, int] | None:
    """Give the default of the strongest program that has the slot's function (C5)."""
    if slot.point:
        return None
    for default in sorted(defaults, key=lambda default: (default.precedence, default.id)):
        if default.issuer != slot.issuer or ground.level(default.issuer, default.service, slot.function) != slot.level:
            continue
        for effect in default.effects:
            if effect.function is slot.function and not isinstance(effect, Release):
                return OrderKey(default.issuer, default.id), _value(effect, ground)
    if slot.issuer != ground.limit_parent or slot.function is not Function.EXPORT_LIMIT:
        return None
    if any(default.issuer == slot.issuer and _has(default, slot.function) for default in defaults):
        return None
    return LAST_RESORT, ground.last_resort_export_limit_w


def _has(default: Default, function: Function) -> bool:
    return any(effect.function is function and not isinstance(effect, Release) for effect in default.effects)


def _last_resort_slot(ground: Ground) -> Slot | None:
    """Give a slot that the floor of last resort can hold in: the limit parent's own export limit."""
    level = ground.levels.get((ground.limit_parent, Function.EXPORT_LIMIT))
    return None if level is None else Slot(ground.limit_parent, level, Function.EXPORT_LIMIT)


def _tighter(function: Function, one: int, other: int) -> int:
    return max(one, other) if function in FLOORS else min(one, other)


def _held(slot: Slot, winner: Entry | None, default: tuple[OrderKey, int] | None, ground: Ground) -> Held | None:
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
                value, rule = _tighter(slot.function, value, default[1]), "C14" if unproven else "C19"
        return Held(slot.level, rank, winner.key, value, rule, True, service, *_seniority(winner))
    if default is None:
        return None
    key, value = default
    return Held(slot.level, rank, key, value, "C14" if key == LAST_RESORT else "C5", False, service)


def _seniority(entry: Entry) -> tuple[int, int]:
    return entry.rank.precedence, -entry.rank.created_ms


def _rule_limit(function: Function, held: Sequence[Held], lower_w: int | None, upper_w: int | None) -> Ruling:
    """Take the tightest of one direction; a limit that would empty the point's interval is clipped to it (C2)."""
    ceiling = function in CEILINGS
    tightest = min(held, key=lambda one: (one.value if ceiling else -one.value, one.level, one.party_rank, one.key))
    value, clipped = tightest.value, False
    if ceiling and lower_w is not None and value < lower_w:
        value, clipped = lower_w, True
    if not ceiling and upper_w is not None and value > upper_w:
        value, clipped = upper_w, True
    slack = tuple(one.key for one in held if one.key != tightest.key)
    return Ruling(function, value, tightest.key, tightest.rule, slack=slack, clipped=clipped)


class Choice(NamedTuple):
    """Which set-point holds, if any, and by which rule the others have to wait."""

    ruling: Ruling | None
    waiting: Mapping[OrderKey, str]


def _rule_target(held: Sequence[Held], ground: Ground) -> Choice:
    """Let the strongest set-point hold: by level and network state, the site file's order of parties, the smaller id.

    What would load the constrained direction of a red segment waits (C11); the others that are beaten wait too (C10).
    """
    situation, strength = ground.situation, ground.precedence.strength
    barred = [one for one in held if one.is_order and _loads(one, situation)]
    waiting = {one.key: "C11" for one in barred}
    level = {one.level: strength(one.level, situation.colour) for one in held}
    ordered = sorted(
        (one for one in held if one not in barred),
        key=lambda one: (not one.is_order, level[one.level], one.party_rank, one.precedence, one.age, one.key),
    )
    if not ordered:
        return Choice(None, waiting)
    best, rule = _preferred(ordered, ground)
    value, kept = best.value, None
    if situation.colour is Colour.AMBER and best.level == Level.DSO_FLEXIBILITY and best.is_order:
        market = next((one for one in ordered if one.is_order and one.level == Level.MARKET), None)
        rule = rule if market is None else "C11"
        if situation.contracted_w is not None:
            kept, rule = market, "C11"
            value = _moved_within(0 if market is None else market.value, best.value, situation.contracted_w)
    if best.is_order and best.level > Level.BULK_RELIABILITY and situation.reserved_w:
        free_w = max(0, ground.generation_max_w - situation.reserved_w)
        value, rule = (free_w, "C7") if value > free_w else (value, rule)
    losers = [one.key for one in ordered if one.is_order and one.key != best.key]
    slack = tuple(key for key in losers if kept is not None and key == kept.key)
    suspended = (*(key for key in losers if key not in slack), *waiting)
    waiting.update({key: "C10" for key in losers if key not in slack})
    driven = (strength(best.level, situation.colour), ground.party_standing.get(best.key.issuer, 0))
    ruling = Ruling(Function.ACTIVE_POWER, value, best.key, rule, slack, suspended, (), False, driven, best.service)
    return Choice(ruling, waiting)


def _loads(one: Held, situation: Situation) -> bool:
    """Tell whether a set-point of levels 5 to 8 loads the direction that a red segment must not be loaded in (C11)."""
    if situation.constrained is None or not Level.BULK_RELIABILITY <= one.level <= Level.CUSTOMER:
        return False
    return one.value > 0 if situation.constrained is Direction.EXPORT else one.value < 0


def _preferred(ordered: Sequence[Held], ground: Ground) -> tuple[Held, str]:
    """Give the set-point that goes before the others, and by which rule: a preference of services, else the order."""
    best, colour = ordered[0], ground.situation.colour
    rule = "C3" if sum(one.is_order for one in ordered) > 1 else best.rule
    for one in ordered[1:] if ground.precedence.preferences else ():
        direction = Direction.EXPORT if one.value >= 0 else Direction.IMPORT
        if not (one.is_order and _REORDERED[0] <= best.level <= _REORDERED[1] and one.level <= _REORDERED[1]):
            continue
        if ground.precedence.prefers(one.service, best.service, direction, colour):
            best, rule = one, "B"
    return best, rule


def _moved_within(base_w: int, wanted_w: int, volume_w: int) -> int:
    """Move from a base toward what is wanted, by at most a volume (W)."""
    return base_w + max(-volume_w, min(volume_w, wanted_w - base_w))


def _rule_price(held: Sequence[Held]) -> Ruling:
    """Let the price of the strongest level hold; the others are in force beside it and move nothing."""
    ordered = sorted(held, key=lambda one: (not one.is_order, one.level, one.party_rank, one.key))
    slack = tuple(one.key for one in ordered[1:])
    return Ruling(Function.PRICE, ordered[0].value, ordered[0].key, "B", slack=slack)


def _preference(price: Ruling, ground: Ground) -> Held | None:
    """Give the set-point that the customer prefers at a price, as level 8: it lies inside every limit (RULES B)."""
    reached = [step for step in ground.price_response if step.at_least_milli_per_mwh <= price.value]
    if not reached:
        return None
    rank = ground.party_rank.get(price.binding.issuer, len(ground.party_rank))
    return Held(Level.CUSTOMER, rank, price.binding, reached[-1].target_w, "B", True, "price")


def _rule_switch(function: Function, held: Sequence[Held]) -> Ruling:
    """False from a slot of levels 0 to 4 holds; otherwise the stronger level (RULES B)."""
    ordered = sorted(held, key=lambda one: (not one.is_order, one.level, one.party_rank, one.key))
    firm_off = [one for one in ordered if one.value == 0 and one.level <= Level.DSO_RELIABILITY]
    best = firm_off[0] if firm_off else ordered[0]
    agreeing = tuple(one.key for one in ordered if one.key != best.key and one.value == best.value and one.is_order)
    suspended = tuple(one.key for one in ordered if one.value != best.value and one.is_order)
    return Ruling(function, best.value, best.key, "B", slack=agreeing, suspended=suspended)


def _interval_ends(held: Mapping[Function, Sequence[Held]]) -> tuple[int | None, int | None]:
    """Fold all limits from the strongest level down, and give the end that a weaker opposite limit may not pass."""
    lower_w: int | None = None
    upper_w: int | None = None
    if all(function in CEILINGS for function in held) or all(function in FLOORS for function in held):
        return None, None
    every = [(one.level, abs(one.value), function, one) for function, ones in held.items() for one in ones]
    for _level, _size, function, one in sorted(every, key=lambda row: (row[0], row[1], row[2], row[3].key)):
        if function in CEILINGS:
            value = one.value if lower_w is None else max(one.value, lower_w)
            upper_w = value if upper_w is None else min(upper_w, value)
        else:
            value = one.value if upper_w is None else min(one.value, upper_w)
            lower_w = value if lower_w is None else max(lower_w, value)
    return lower_w, upper_w


def settle(
    slots: Mapping[Slot, Sequence[Entry]], defaults: Sequence[Default], ground: Ground, now_ms: int
) -> Settlement:
    """Settle every conflict at one resource at `now_ms`; depends on the set of orders alone, never on their arrival."""
    held: dict[Function, list[Held]] = {}
    lost: dict[Function, list[OrderKey]] = {}
    states: dict[OrderKey, list[tuple[Status, Function]]] = {}
    until_ms = FOR_EVER_MS
    for slot in _all_slots(slots, defaults, ground):
        entries = slots.get(slot, ())
        winner, gone = standing(entries, now_ms)
        one = _held(slot, winner, _default_of(slot, defaults, ground), ground)
        if one is not None:
            held.setdefault(slot.function, []).append(one)
        gone = tuple(entry for entry in gone if winner is None or entry.key != winner.key)
        lost.setdefault(slot.function, []).extend(entry.key for entry in gone if now_ms < entry.interval.end_ms)
        beaten = {entry.key for entry in gone}
        for entry in entries:
            over = entry.spent_ms <= now_ms or entry.key in beaten
            state = Status.SUPERSEDED if over else _plain_status(entry, now_ms)
            states.setdefault(entry.key, []).append((state, slot.function))
        until_ms = min(until_ms, next_change(entries, now_ms))
    if Function.EXPORT_LIMIT in held:
        held[Function.EXPORT_LIMIT] = _last_resort_alone(held[Function.EXPORT_LIMIT], ground)
    agreement = Held(Level.CONNECTION, -1, AGREEMENT, ground.export_limit_w, "C2", is_order=False)
    held.setdefault(Function.EXPORT_LIMIT, []).append(agreement)
    for share in ground.situation.allotted:
        if share.key.issuer == SITE:
            rated = Held(Level.CONNECTION, -1, share.key, share.value_w, "C12", is_order=False)
            held.setdefault(share.function, []).append(rated)
    asked = {each.key: each.value for each in held.get(Function.ACTIVE_POWER, ()) if each.is_order}
    rulings, suspended = _rulings(held, lost, ground)
    return Settlement(rulings, _statuses(states, suspended), until_ms, lost, asked, suspended)


def _last_resort_alone(held: Sequence[Held], ground: Ground) -> list[Held]:
    """Leave the floor of last resort only while the limit parent says nothing else of the connection point."""
    others = [one for one in held if one.key != LAST_RESORT]
    if any(one.key.issuer == ground.limit_parent and one.rule != "E" for one in others):
        return others
    return [*others, *[one for one in held if one.key == LAST_RESORT][:1]]


def rating_key(point: str) -> OrderKey:
    """Give the name under which the rating of a point limits what lies below it."""
    return OrderKey(SITE, f"rating:{point}")


def _all_slots(slots: Mapping[Slot, Sequence[Entry]], defaults: Sequence[Default], ground: Ground) -> list[Slot]:
    """Every slot that an order, a default or the last resort speaks in, once, in a fixed order."""
    found: dict[Slot, None] = dict.fromkeys(slots)
    for default in defaults:
        for effect in default.effects:
            level = ground.level(default.issuer, default.service, effect.function)
            if level is not None:
                found[Slot(default.issuer, level, effect.function)] = None
    last_resort = _last_resort_slot(ground)
    if last_resort is not None:
        found[last_resort] = None
    return sorted(found)


def _plain_status(entry: Entry, now_ms: int) -> Status:
    if now_ms < entry.interval.start_ms:
        return Status.PENDING
    return Status.IN_FORCE if now_ms < entry.interval.end_ms else Status.OVER


def _rulings(
    held: dict[Function, list[Held]], lost: Mapping[Function, list[OrderKey]], ground: Ground
) -> tuple[tuple[Ruling, ...], dict[tuple[OrderKey, Function], str]]:
    """Rule every function, and give what is suspended in which function by which rule."""
    ends: dict[Function, tuple[int | None, int | None]] = {}
    for point in POINTS:
        here = {each: held[each] for each in point if each in held}
        if here:
            ends.update(dict.fromkeys(here, _interval_ends(here)))
    found: dict[Function, Ruling] = {}
    suspended: dict[tuple[OrderKey, Function], str] = {}
    if Function.PRICE in held:
        price = found[Function.PRICE] = _rule_price(held[Function.PRICE])
        preference = _preference(price, ground)
        if preference is not None:
            held.setdefault(Function.ACTIVE_POWER, []).append(preference)
    if Function.ACTIVE_POWER in held:
        choice = _rule_target(held[Function.ACTIVE_POWER], ground)
        suspended.update({(key, Function.ACTIVE_POWER): rule for key, rule in choice.waiting.items()})
        if choice.ruling is not None:
            found[Function.ACTIVE_POWER] = choice.ruling
    for function, ones in held.items():
        if function in ends:
            found[function] = _rule_limit(function, ones, *ends[function])
        elif function in SWITCHES:
            switched = found[function] = _rule_switch(function, ones)
            suspended.update({(key, function): "C10" for key in switched.suspended})
    rulings = []
    for function in Function:
        if function in found:
            beaten = tuple(lost.get(function, ()))
            rulings.append(replace(found[function], beaten=beaten) if beaten else found[function])
    return tuple(rulings), suspended


def _statuses(
    states: Mapping[OrderKey, list[tuple[Status, Function]]], suspended: Mapping[tuple[OrderKey, Function], str]
) -> dict[OrderKey, Status]:
    """Reduce what each order has in its functions to one status: superseded only when every function is lost."""
    status: dict[OrderKey, Status] = {}
    for key, found in states.items():
        kept = [(state, function) for state, function in found if state is not Status.SUPERSEDED]
        if not kept:
            status[key] = Status.SUPERSEDED
            continue
        state = kept[0][0]
        beaten = state is Status.IN_FORCE and all((key, function) in suspended for _state, function in kept)
        status[key] = Status.SUSPENDED if beaten else state
    return status
