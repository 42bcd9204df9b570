"""May this party say this, here (RULES A2 to A6): default deny, by grants and never by what a message claims."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.core.functions import CEILINGS, LIMITS, MODES, Function
from gateway.core.modes import Mode, TargetVar, fault
from gateway.core.orders import Ceiling, Connect, Effect, Energize, Floor, Order, Release, Target
from gateway.core.parties import Level, Party, Tier
from gateway.core.units import Share, Watts

ANY_SIZE = 10_000_000
"""A power (W, var) that is never asked about: a connection point may serve far more than the DER behind it."""
TIMES_RATED = 1_000
_PROTECTING = (Function.ENERGIZE, Function.RIDE_THROUGH)


@dataclass(frozen=True, slots=True)
class Refused:
    """An order, or a part of it, that has no effect here: by which rule, and why in one line."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What of an order takes effect: its effects by resource, and the resources that are refused."""

    effects: Mapping[str, tuple[Effect, ...]]
    refused: Mapping[str, Refused]


@dataclass(frozen=True, slots=True)
class Authority:
    """The grants of a site, unfolded: which control functions each party has at each resource.

    `strongest` is the strongest level that a party has a function at, anywhere; `granted_for` is by service as well.
    """

    parties: Mapping[str, Party]
    granted: Mapping[tuple[str, Function], frozenset[str]]
    strongest: Mapping[tuple[str, Function], int] = field(default_factory=dict)
    granted_for: Mapping[tuple[str, str, Function], frozenset[str]] = field(default_factory=dict)

    def resources(self, party: str, service: str, function: Function) -> frozenset[str]:
        """Give where a party has a function for a service; for any service, where that is empty."""
        if service:
            return self.granted_for.get((party, service, function), frozenset())
        return self.granted.get((party, function), frozenset())

    def granted_at(self, party: str, resource: str) -> str:
        """Say which services a party is granted at a resource."""
        held = [key[1] for key, where in self.granted_for.items() if key[0] == party and resource in where]
        return f"granted there: {', '.join(sorted(dict.fromkeys(held))) or 'nothing'}"


def judge_freshness(created_ms: int, now_ms: int, tolerance_ms: int) -> Refused | None:
    """Refuse what was created in the future (A5); both instants are on our clock, in ms."""
    if created_ms > now_ms + tolerance_ms:
        return Refused("A5", f"created {(created_ms - now_ms) // 1000} s in the future; set the issuer's clock")
    return None


def judge_version(held: Order | None, order: Order) -> Refused | None:
    """Refuse an older version of an order already held, and other content under the same id and version (A5, C1)."""
    if held is None or order.version > held.version:
        return None
    if order.version < held.version:
        return Refused("A5", f"version {order.version} is older than version {held.version} already held")
    return Refused("A5", f"other content under version {held.version} already held; give changes a new version")


def judge_modes(effects: Sequence[Effect]) -> Refused | None:
    """Refuse two effects of one mode's function, which would move the same quantity (C5), and a faulty mode (A6)."""
    functions = [effect.function for effect in effects if effect.function in MODES]
    for effect in effects:
        if functions.count(effect.function) > 1:
            return Refused("C5", f"{effect.function} stands there twice and moves one quantity; give one mode for it")
        why = fault(effect) if isinstance(effect, Mode) else ""
        if why:
            return Refused("A6", why)
    return None


def judge_size(effects: Sequence[Effect], rated_w: Iterable[int]) -> Refused | None:
    """Refuse a power that is thousands of times what is rated there (W each): a multiplier has gone astray (A6).

    Taken at its word such a limit would lift the one in force.
    """
    size, function = max(((_size(effect), effect.function) for effect in effects), default=(0, None))
    most = 0 if size <= ANY_SIZE else TIMES_RATED * sum(rated_w)
    if not most or size <= most:
        return None
    return Refused("A6", f"{function} of {size} is over {TIMES_RATED} times what is rated there; check its multiplier")


def _size(effect: Effect) -> int:
    match effect:
        case Ceiling(power=Watts(w=size)) | Floor(power=Watts(w=size)) | Target(power=Watts(w=size)):
            return abs(size)
        case TargetVar(var=size):
            return abs(size)
        case _:
            return 0


def judge(
    order: Order, resources: Sequence[str], authority: Authority, held: Mapping[tuple[str, Function], int]
) -> Accepted | Refused:
    """Judge an order against the grants.

    `held` gives the limit (W) in force by resource and function. An order that asks for more and reaches outside its
    grant is refused whole; one that only restricts acts on the part inside (A4).
    """
    party = authority.parties.get(order.issuer)
    if party is None:
        return Refused("A1", f"party {order.issuer!r} is not known here; add it to the site file")
    beyond = None if party.limit_parent else _beyond(order, party, authority)
    if beyond is not None:
        return Refused("A2", f"{party.name} may not send {beyond.function.value}: it is not this domain's limit parent")
    if party.tier is Tier.BULK and not any(name == party.name for name, _function in authority.granted):
        return Refused("A2", f"{party.name} skips a tier: no flow of the site's model leads from it past the DSO")
    granted = {one.function: authority.resources(party.name, order.service, one.function) for one in order.effects}
    if all(everywhere.issuperset(resources) for everywhere in granted.values()):
        return Accepted(dict.fromkeys(resources, order.effects), {})
    inside: dict[str, tuple[Effect, ...]] = {}
    outside: dict[str, Refused] = {}
    for resource in resources:
        kept = tuple(effect for effect in order.effects if resource in granted[effect.function])
        if kept:
            inside[resource] = kept
        if len(kept) < len(order.effects):
            missing = next(effect for effect in order.effects if effect not in kept)
            what = f"{missing.function.value} as {order.service}" if order.service else missing.function.value
            why = f"{party.name} holds no grant for {what} at {resource}"
            outside[resource] = Refused("A6", f"{why}; {authority.granted_at(party.name, resource)}")
    if not inside:
        return next(iter(outside.values()))
    if not all(_restricts(effect, resource, held) for resource in inside for effect in order.effects):
        first = next(iter(outside.values()))
        return Refused("A4", f"asks for more and reaches outside its grant: {first.why}")
    return Accepted(inside, {resource: why for resource, why in outside.items() if resource not in inside})


def _beyond(order: Order, party: Party, authority: Authority) -> Effect | None:
    """Give the first effect of an order that only the limit parent may send (A2)."""
    return next((one for one in order.effects if _parent_only(one) and not may_limit(one, party, authority)), None)


def _parent_only(effect: Effect) -> bool:
    """Tell whether an effect is the limit parent's: limits, release, energize and ride-through (A2).

    Our reading: what a DER trips on is protection, which nobody past the limit parent sets.
    """
    return isinstance(effect, Release) or effect.function in LIMITS or effect.function in _PROTECTING


def may_limit(effect: Effect, party: Party, authority: Authority) -> bool:
    """Tell whether a party that is not the limit parent may send such an effect all the same.

    Local safety and emergency (levels 1 and 2) limit and switch whatever they are granted; a customer limits its own
    DER, and releases what it limited, and that binds nobody else's (B). The bulk tier sends set-points only.
    """
    level = authority.strongest.get((party.name, effect.function))
    if level is None or party.tier is Tier.BULK:
        return False
    if level <= Level.EMERGENCY:
        return True
    return party.tier is Tier.CUSTOMER and effect.function not in _PROTECTING


def _restricts(effect: Effect, resource: str, held: Mapping[tuple[str, Function], int]) -> bool:
    """Tell whether an effect only restricts: off, or a limit at most as loose as the one in force (A4)."""
    match effect:
        case Connect(on=on) | Energize(on=on):
            return not on
        case Ceiling(function=function, power=Watts(w=w)) | Floor(function=function, power=Watts(w=w)):
            now_w = held.get((resource, function))
            if now_w is None:
                return True
            return w <= now_w if function in CEILINGS else w >= now_w
        case Ceiling(power=Share()) | Floor(power=Share()):
            return (resource, effect.function) not in held
        case _:
            return False
