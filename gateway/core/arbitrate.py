"""The conflict rules: which orders hold at one resource, which bind, and which are beaten.

RULES B (levels), C2 to C5, C7 (reservations), C10 (suspension), C11 (traffic light), C12 (ratings above the
connection point), C13 (release), C14 (defaults) and C19 (a network that changed).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from gateway.core.functions import CEILINGS, FLOORS, MODES, Function
from gateway.core.modes import Mode
from gateway.core.orders import Default, OrderKey
from gateway.core.parties import Colour, Direction, Level
from gateway.core.slots import (
    CALM,
    LAST_RESORT,
    SITE,
    Allotment,
    Fallbacks,
    Ground,
    Held,
    Situation,
    Word,
    held_in,
)
from gateway.core.timeline import FOR_EVER_MS, Entry, Slot, next_change, standing

__all__ = [
    "AGREEMENT",
    "CALM",
    "LAST_RESORT",
    "SITE",
    "UNDRIVEN",
    "Allotment",
    "Choice",
    "Chooser",
    "Ground",
    "Ruling",
    "Settlement",
    "Situation",
    "Status",
    "choose",
    "rating_key",
    "rule",
    "settle",
    "status_in_slot",
    "status_of",
]

AGREEMENT = OrderKey(SITE, "connection-agreement")
POINTS = (
    (Function.EXPORT_LIMIT, Function.IMPORT_LIMIT),
    (Function.GENERATION_LIMIT, Function.RATING_LIMIT, Function.LOAD_LIMIT),
)
"""Limits that meet at the connection point, and limits that meet at the DER: only limits of one point are compared."""
_REORDERED = (Level.DSO_RELIABILITY, Level.MARKET)
"""The levels whose order is data; those outside are fixed (B)."""
_FUNCTIONS = tuple(Function)
UNDRIVEN = (int(Level.DEFAULT), 0)
"""The strength of a DER that nobody gives a set-point."""


class Status(StrEnum):
    """Where one order stands at one resource."""

    PENDING = "pending"
    IN_FORCE = "in-force"
    SUSPENDED = "suspended"
    SUPERSEDED = "superseded"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What holds for one control function at one resource: the value (W, or 0 and 1 for a switch), and why.

    `binding` is the order, default or agreement whose value holds; `slack` is in force without binding; `suspended`
    are beaten set-points that resume; `beaten` are lost for good. `clipped` tells that a limit was moved so that the
    interval of the point is not empty (C2). `strength` is the level and standing of the binding set-point (C12), and
    `service` what it is for (C9). Of a mode the value is 0, and `mode` says what holds.
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
    mode: Mode | None = None


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


def _rule_limit(
    function: Function, held: Sequence[Held], lower_w: int | None, upper_w: int | None, beaten: Sequence[OrderKey]
) -> Ruling:
    """Take the tightest of one direction; a limit that would empty the point's interval is clipped to it (C2)."""
    ceiling = function in CEILINGS
    tightest = min(held, key=lambda one: (one.value if ceiling else -one.value, one.level, one.party_rank, one.key))
    value, clipped = tightest.value, False
    if ceiling and lower_w is not None and value < lower_w:
        value, clipped = lower_w, True
    if not ceiling and upper_w is not None and value > upper_w:
        value, clipped = upper_w, True
    slack = tuple(one.key for one in held if one.key != tightest.key)
    return Ruling(function, value, tightest.key, tightest.rule, slack, beaten=tuple(beaten), clipped=clipped)


class Choice(NamedTuple):
    """What is ruled in one function, if anything holds, and by which rule the others have to wait."""

    ruling: Ruling | None
    waiting: Mapping[OrderKey, str]


def _rule_target(held: Sequence[Held], ground: Ground) -> Choice:
    """Let the strongest set-point hold: by level and network state, the site file's order of parties, the smaller id.

    What would load the constrained direction of a red segment waits (C11); the others that are beaten wait too (C10).
    """
    situation, strength = ground.situation, ground.precedence.strength
    barred = [one for one in held if one.is_order and _loads(one, situation)]
    waiting = {one.key: "C11" for one in barred}
    ordered = _in_order((one for one in held if one not in barred), ground)
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
    """Give the set-point or mode that goes before the others, and by which rule: a preference of services, or order."""
    best, colour = ordered[0], ground.situation.colour
    rule = "C3" if sum(one.is_order for one in ordered) > 1 else best.rule
    for one in ordered[1:] if ground.precedence.preferences else ():
        if not (one.is_order and _REORDERED[0] <= best.level <= _REORDERED[1] and one.level <= _REORDERED[1]):
            continue
        if all(ground.precedence.prefers(one.service, best.service, way, colour) for way in _ways(one)):
            best, rule = one, "B"
    return best, rule


def _ways(one: Held) -> tuple[Direction, ...]:
    """Give the directions that a set-point runs in; a mode moves power either way."""
    if one.mode is not None:
        return tuple(Direction)
    return (Direction.EXPORT if one.value >= 0 else Direction.IMPORT,)


def _in_order(held: Iterable[Held], ground: Ground) -> list[Held]:
    """Sort by level and network state, the site file's order of parties, precedence, age and id (B, C3, C4)."""
    strength, colour = ground.precedence.strength, ground.situation.colour
    return sorted(
        held,
        key=lambda one: (
            not one.is_order,
            strength(one.level, colour),
            one.party_rank,
            one.precedence,
            one.age,
            one.key,
        ),
    )


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


def _rule_mode(function: Function, held: Sequence[Held], ground: Ground) -> Ruling:
    """Let the strongest mode hold; others would move the same quantity and wait, save those that say the same (C5)."""
    ordered = _in_order(held, ground)
    best, rule = _preferred(ordered, ground)
    others = [one for one in ordered if one.is_order and one.key != best.key]
    agreeing = tuple(one.key for one in others if one.mode == best.mode)
    suspended = tuple(one.key for one in others if one.mode != best.mode)
    return Ruling(function, 0, best.key, rule, agreeing, suspended, service=best.service, mode=best.mode)


def _interval_ends(held: Mapping[Function, Sequence[Held]]) -> tuple[int | None, int | None]:
    """Fold all limits from the strongest level down, and give the end that a weaker opposite limit may not pass."""
    lower_w: int | None = None
    upper_w: int | None = None
    if all(function in CEILINGS for function in held) or all(function in FLOORS for function in held):
        return None, None
    every = [(one.level, abs(one.value), function, one) for function, ones in held.items() for one in ones]
    for _level, _size, function, one in sorted(every):
        if function in CEILINGS:
            value = one.value if lower_w is None else max(one.value, lower_w)
            upper_w = value if upper_w is None else min(upper_w, value)
        else:
            value = one.value if upper_w is None else min(one.value, upper_w)
            lower_w = value if lower_w is None else max(lower_w, value)
    return lower_w, upper_w


class Ruled(NamedTuple):
    """The rulings of one resource, who has lost which function, what set-points ask for, and which of them wait."""

    rulings: tuple[Ruling, ...]
    lost: Mapping[Function, Sequence[OrderKey]]
    asked: Mapping[OrderKey, int]
    suspended: Mapping[tuple[OrderKey, Function], str]


def rule(words: Iterable[Word], ground: Ground, chooser: "Chooser | None" = None) -> Ruled:
    """Rule every function from what the slots of one resource say, given in the order of the slots.

    `chooser` stands in for `choose`, where somebody remembers what that gave.
    """
    held: dict[Function, list[Held]] = {}
    lost: dict[Function, list[OrderKey]] = {}
    for function, one, beaten in words:
        if one is not None:
            held.setdefault(function, []).append(one)
        lost.setdefault(function, []).extend(beaten)
    if Function.EXPORT_LIMIT in held:
        held[Function.EXPORT_LIMIT] = _last_resort_alone(held[Function.EXPORT_LIMIT], ground)
    agreement = Held(Level.CONNECTION, -1, AGREEMENT, ground.export_limit_w, "C2", is_order=False)
    held.setdefault(Function.EXPORT_LIMIT, []).append(agreement)
    for share in ground.situation.allotted:
        if share.key.issuer == SITE:
            rated = Held(Level.CONNECTION, -1, share.key, share.value_w, "C12", is_order=False)
            held.setdefault(share.function, []).append(rated)
    asked = {each.key: each.value for each in held.get(Function.ACTIVE_POWER, ()) if each.is_order}
    rulings, suspended = _rulings(held, lost, ground, chooser or choose)
    return Ruled(rulings, lost, asked, suspended)


def settle(
    slots: Mapping[Slot, Sequence[Entry]], defaults: Sequence[Default], ground: Ground, now_ms: int
) -> Settlement:
    """Settle every conflict at one resource at `now_ms`; depends on the set of orders alone, never on their arrival."""
    fallbacks = Fallbacks(defaults, ground)
    words: list[Word] = []
    states: dict[OrderKey, list[tuple[Status, Function]]] = {}
    until_ms = FOR_EVER_MS
    for slot in sorted(dict.fromkeys((*slots, *fallbacks.slots))):
        entries = slots.get(slot, ())
        winner, gone = standing(entries, now_ms)
        gone = tuple(entry for entry in gone if winner is None or entry.key != winner.key)
        lost = [entry.key for entry in gone if now_ms < entry.interval.end_ms]
        words.append(Word(slot.function, held_in(slot, winner, fallbacks), lost))
        gone_keys = {entry.key for entry in gone}
        for entry in entries:
            state = status_in_slot(entry, now_ms, beaten=entry.key in gone_keys)
            states.setdefault(entry.key, []).append((state, slot.function))
        until_ms = min(until_ms, next_change(entries, now_ms))
    ruled = rule(words, ground)
    status = {key: status_of(key, found, ruled.suspended) for key, found in states.items()}
    return Settlement(ruled.rulings, status, until_ms, ruled.lost, ruled.asked, ruled.suspended)


def _last_resort_alone(held: Sequence[Held], ground: Ground) -> list[Held]:
    """Leave the floor of last resort only while the limit parent says nothing else of the connection point."""
    others = [one for one in held if one.key != LAST_RESORT]
    if any(one.key.issuer == ground.limit_parent and one.rule != "E" for one in others):
        return others
    return [*others, *[one for one in held if one.key == LAST_RESORT][:1]]


def rating_key(point: str) -> OrderKey:
    """Give the name under which the rating of a point limits what lies below it."""
    return OrderKey(SITE, f"rating:{point}")


def status_in_slot(entry: Entry, now_ms: int, *, beaten: bool) -> Status:
    """Tell where one order stands in one slot, by itself."""
    if beaten or entry.spent_ms <= now_ms:
        return Status.SUPERSEDED
    if now_ms < entry.interval.start_ms:
        return Status.PENDING
    return Status.IN_FORCE if now_ms < entry.interval.end_ms else Status.OVER


def _rulings(
    held: dict[Function, list[Held]], lost: Mapping[Function, list[OrderKey]], ground: Ground, chooser: "Chooser"
) -> tuple[tuple[Ruling, ...], dict[tuple[OrderKey, Function], str]]:
    """Rule every function, and give what is suspended in which function by which rule."""
    ends: dict[Function, tuple[int | None, int | None]] = {}
    for point in POINTS:
        here = {each: held[each] for each in point if each in held}
        if here:
            ends.update(dict.fromkeys(here, _interval_ends(here)))
    if Function.PRICE in held:
        preference = _preference(_rule_price(held[Function.PRICE]), ground)
        if preference is not None:
            held.setdefault(Function.ACTIVE_POWER, []).append(preference)
    rulings: list[Ruling] = []
    suspended: dict[tuple[OrderKey, Function], str] = {}
    for function in _FUNCTIONS:
        if function not in held:
            continue
        ruling, waiting = chooser(function, held[function], ends.get(function), lost.get(function, ()), ground)
        if ruling is not None:
            rulings.append(ruling)
        suspended.update({(key, function): by_rule for key, by_rule in waiting.items()})
    return tuple(rulings), suspended


def choose(
    function: Function,
    held: Sequence[Held],
    ends: tuple[int | None, int | None] | None,
    beaten: Sequence[OrderKey],
    ground: Ground,
) -> Choice:
    """Rule one function, and give by which rule which orders wait in it."""
    if ends is not None:
        return Choice(_rule_limit(function, held, *ends, beaten), {})
    if function is Function.ACTIVE_POWER:
        choice = _rule_target(held, ground)
    elif function is Function.PRICE:
        choice = Choice(_rule_price(held), {})
    else:
        strongest = _rule_mode(function, held, ground) if function in MODES else _rule_switch(function, held)
        choice = Choice(strongest, dict.fromkeys(strongest.suspended, "C10"))
    if choice.ruling is None or not beaten:
        return choice
    return Choice(replace(choice.ruling, beaten=tuple(beaten)), choice.waiting)


Chooser = Callable[[Function, Sequence[Held], tuple[int | None, int | None] | None, Sequence[OrderKey], Ground], Choice]


def status_of(
    key: OrderKey,
    found: Iterable[tuple[Status, Function]],
    suspended: Mapping[tuple[OrderKey, Function], str],
) -> Status:
    """Reduce what an order has in its functions to one status: superseded only when every function is lost."""
    kept = [(state, function) for state, function in found if state is not Status.SUPERSEDED]
    if not kept:
        return Status.SUPERSEDED
    state = kept[0][0]
    beaten = state is Status.IN_FORCE and all((key, function) in suspended for _state, function in kept)
    return Status.SUSPENDED if beaten else state
