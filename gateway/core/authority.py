"""May this party say this, here (RULES A2 to A6): default deny, by grants and never by what a message claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.core.orders import (
    CEILINGS,
    LIMITS,
    Ceiling,
    Connect,
    Effect,
    Energize,
    Floor,
    Function,
    Order,
    Release,
)
from gateway.core.parties import Party
from gateway.core.units import Share, Watts


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
    """The grants of a site, unfolded: which control functions each party has at each resource."""

    parties: Mapping[str, Party]
    granted: Mapping[tuple[str, Function], frozenset[str]]

    def has(self, party: str, function: Function, resource: str) -> bool:
        """Tell whether a grant covers the function at the resource."""
        return resource in self.granted.get((party, function), frozenset())


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
    beyond = next((effect for effect in order.effects if _parent_only(effect)), None)
    if beyond is not None and not party.limit_parent:
        return Refused("A2", f"{party.name} may not send {beyond.function.value}: it is not this domain's limit parent")
    nothing: frozenset[str] = frozenset()
    if all(authority.granted.get((party.name, one.function), nothing).issuperset(resources) for one in order.effects):
        return Accepted(dict.fromkeys(resources, order.effects), {})
    inside: dict[str, tuple[Effect, ...]] = {}
    outside: dict[str, Refused] = {}
    for resource in resources:
        kept = tuple(effect for effect in order.effects if authority.has(party.name, effect.function, resource))
        if kept:
            inside[resource] = kept
        if len(kept) < len(order.effects):
            missing = next(effect for effect in order.effects if effect not in kept)
            outside[resource] = Refused("A6", f"{party.name} holds no grant for {missing.function.value} at {resource}")
    if not inside:
        return next(iter(outside.values()))
    if not all(_restricts(effect, resource, held) for resource in inside for effect in order.effects):
        first = next(iter(outside.values()))
        return Refused("A4", f"asks for more and reaches outside its grant: {first.why}")
    return Accepted(inside, {resource: why for resource, why in outside.items() if resource not in inside})


def _parent_only(effect: Effect) -> bool:
    """Limits, release and energize belong to the limit parent (A2)."""
    return isinstance(effect, Release) or effect.function in LIMITS or effect.function is Function.ENERGIZE


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
