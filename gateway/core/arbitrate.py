"""The conflict rules: which orders hold at one resource, which bind, and which are beaten.

RULES B (levels), C2 to C5, C10 (suspension), C13 (release) and C14 (defaults).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from gateway.core.orders import (
    CEILINGS,
    FLOORS,
    Ceiling,
    Connect,
    Default,
    Effect,
    Energize,
    Floor,
    Function,
    OrderKey,
    Release,
    Target,
)
from gateway.core.parties import Level
from gateway.core.timeline import FOR_EVER_MS, Entry, Slot, next_change, standing
from gateway.core.units import ceil_watts, floor_watts, toward_zero_watts

AGREEMENT = OrderKey("site", "connection-agreement")
LAST_RESORT = OrderKey("site", "last-resort")
POINTS = (
    (Function.EXPORT_LIMIT, Function.IMPORT_LIMIT),
    (Function.GENERATION_LIMIT, Function.RATING_LIMIT, Function.LOAD_LIMIT),
)
"""Limits that meet at the connection point, and limits that meet at the DER: only limits of one point are compared."""


class Status(StrEnum):
    """Where one order stands at one resource."""

    PENDING = "pending"
    IN_FORCE = "in-force"
    SUSPENDED = "suspended"
    SUPERSEDED = "superseded"
    OVER = "over"


class Held(NamedTuple):
    """What one slot contributes at an instant."""

    level: int
    party_rank: int
    key: OrderKey
    value: int
    rule: str
    is_order: bool


@dataclass(frozen=True, slots=True)
class Ruling:
    """What holds for one control function at one resource: the value (W, or 0 and 1 for a switch), and why.

    `binding` is the order, default or agreement whose value holds; `slack` is in force without binding; `suspended`
    are beaten set-points that resume; `beaten` are lost for good. `clipped` tells that a limit was moved so that the
    interval of the point is not empty (C2).
    """

    function: Function
    value: int
    binding: OrderKey
    rule: str
    slack: tuple[OrderKey, ...] = ()
    suspended: tuple[OrderKey, ...] = ()
    beaten: tuple[OrderKey, ...] = ()
    clipped: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """All rulings of one resource at an instant, where each of its orders stands, and when that may next change.

    `lost` gives the orders that have lost a function for good, whether or not they keep another (C5, C6).
    """

    rulings: tuple[Ruling, ...]
    status: Mapping[OrderKey, Status]
    until_ms: int
    lost: Mapping[Function, Sequence[OrderKey]]

    def ruling(self, function: Function) -> Ruling | None:
        """Give the ruling on one control function, where anything is said of it."""
        return next((ruling for ruling in self.rulings if ruling.function is function), None)


@dataclass(frozen=True, slots=True)
class Ground:
    """What arbitration at a resource needs beside the orders.

    `unproven` names the issuers with which contact is not proven since the start: their slots hold the tighter of
    order and default (C14). `party_rank` is the parties' order in the site file, `levels` the level of each party's
    slots by control function: what has no level there is not granted.
    """

    limit_parent: str
    export_limit_w: int
    last_resort_export_limit_w: int
    generation_max_w: int
    charge_max_w: int
    party_rank: Mapping[str, int]
    levels: Mapping[tuple[str, Function], int]
    unproven: frozenset[str] = frozenset()


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
        case Release():
            raise TypeError("a release has no value; take the slot's default")


def _default_of(slot: Slot, defaults: Sequence[Default], ground: Ground) -> tuple[OrderKey, int] | None:
    """Give the default of the strongest program that has the slot's function (C5)."""
    for default in sorted(defaults, key=lambda default: (default.precedence, default.id)):
        if default.issuer != slot.issuer:
            continue
        for effect in default.effects:
            if effect.function is slot.function and not isinstance(effect, Release):
                return OrderKey(default.issuer, default.id), _value(effect, ground)
    if slot.issuer == ground.limit_parent and slot.function is Function.EXPORT_LIMIT:
        return LAST_RESORT, ground.last_resort_export_limit_w
    return None


def _tighter(function: Function, one: int, other: int) -> int:
    return max(one, other) if function in FLOORS else min(one, other)


def _held(slot: Slot, winner: Entry | None, default: tuple[OrderKey, int] | None, ground: Ground) -> Held | None:
    rank = ground.party_rank.get(slot.issuer, len(ground.party_rank))
    if winner is not None and not isinstance(winner.effect, Release):
        value, rule = _value(winner.effect, ground), "C2"
        if default is not None and slot.issuer in ground.unproven and slot.function is not Function.ACTIVE_POWER:
            value, rule = _tighter(slot.function, value, default[1]), "C14"
        return Held(slot.level, rank, winner.key, value, rule, is_order=True)
    if default is None:
        return None
    key, value = default
    return Held(slot.level, rank, key, value, "C14" if key == LAST_RESORT else "C5", is_order=False)


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


def _rule_target(held: Sequence[Held]) -> Ruling:
    """The stronger level holds, then the site file's order of parties, then the smaller id; the rest is suspended."""
    ordered = sorted(held, key=lambda one: (not one.is_order, one.level, one.party_rank, one.key))
    best = ordered[0]
    suspended = tuple(one.key for one in ordered[1:] if one.is_order)
    return Ruling(Function.ACTIVE_POWER, best.value, best.key, "C3" if suspended else best.rule, suspended=suspended)


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
    states: dict[OrderKey, list[Status]] = {}
    until_ms = FOR_EVER_MS
    for slot in _all_slots(slots, defaults, ground):
        entries = slots.get(slot, ())
        winner, gone = standing(entries, now_ms)
        one = _held(slot, winner, _default_of(slot, defaults, ground), ground)
        if one is not None:
            held.setdefault(slot.function, []).append(one)
        gone = tuple(entry for entry in gone if winner is None or entry.key != winner.key)
        lost.setdefault(slot.function, []).extend(entry.key for entry in gone if now_ms < entry.interval.end_ms)
        for entry in entries:
            over = entry in gone or entry.spent_ms <= now_ms
            state = Status.SUPERSEDED if over else _plain_status(entry, now_ms)
            states.setdefault(entry.key, []).append(state)
        until_ms = min(until_ms, next_change(entries, now_ms))
    agreement = Held(Level.CONNECTION, -1, AGREEMENT, ground.export_limit_w, "C2", is_order=False)
    held.setdefault(Function.EXPORT_LIMIT, []).append(agreement)
    rulings = tuple(_rulings(held, lost))
    return Settlement(rulings, _statuses(states, rulings, slots), until_ms, lost)


def _all_slots(slots: Mapping[Slot, Sequence[Entry]], defaults: Sequence[Default], ground: Ground) -> list[Slot]:
    """Every slot that an order, a default or the last resort speaks in, once, in a fixed order."""
    found: dict[Slot, None] = dict.fromkeys(slots)
    speaking = [(default.issuer, effect.function) for default in defaults for effect in default.effects]
    for issuer, function in [*speaking, (ground.limit_parent, Function.EXPORT_LIMIT)]:
        level = ground.levels.get((issuer, function))
        if level is not None:
            found[Slot(issuer, level, function)] = None
    return sorted(found)


def _plain_status(entry: Entry, now_ms: int) -> Status:
    if now_ms < entry.interval.start_ms:
        return Status.PENDING
    return Status.IN_FORCE if now_ms < entry.interval.end_ms else Status.OVER


def _rulings(held: Mapping[Function, list[Held]], lost: Mapping[Function, list[OrderKey]]) -> list[Ruling]:
    ends = {
        function: _interval_ends({each: held[each] for each in point if each in held})
        for point in POINTS
        for function in point
    }
    rulings = []
    for function in Function:
        ones = held.get(function)
        if not ones:
            continue
        if function in ends:
            ruling = _rule_limit(function, ones, *ends[function])
        elif function is Function.ACTIVE_POWER:
            ruling = _rule_target(ones)
        else:
            ruling = _rule_switch(function, ones)
        beaten = tuple(lost.get(function, ()))
        rulings.append(replace(ruling, beaten=beaten) if beaten else ruling)
    return rulings


def _statuses(
    states: Mapping[OrderKey, list[Status]], rulings: Sequence[Ruling], slots: Mapping[Slot, Sequence[Entry]]
) -> dict[OrderKey, Status]:
    """Reduce what each order has in its functions to one status: superseded only when every function is lost."""
    suspended = {(key, ruling.function): None for ruling in rulings for key in ruling.suspended}
    functions: dict[OrderKey, list[Function]] = {}
    for slot in sorted(slots):
        for entry in slots[slot]:
            functions.setdefault(entry.key, []).append(slot.function)
    status: dict[OrderKey, Status] = {}
    for key, found in states.items():
        kept = [
            (state, function)
            for state, function in zip(found, functions[key], strict=True)
            if state is not Status.SUPERSEDED
        ]
        if not kept:
            status[key] = Status.SUPERSEDED
            continue
        state = kept[0][0]
        beaten = state is Status.IN_FORCE and all((key, function) in suspended for _state, function in kept)
        status[key] = Status.SUSPENDED if beaten else state
    return status
