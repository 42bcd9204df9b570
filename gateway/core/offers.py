"""Offers of capacity at the T-D interface: who may offer what, and those that stand (RULES A4 to A6, C8)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.core.authority import Refused
from gateway.core.parties import Direction
from gateway.core.sharing import MS_PER_HOUR, pour


class OfferKey(NamedTuple):
    """What names an offer: who makes it and its maker's id."""

    party: str
    id: str


class Block(NamedTuple):
    """A part of an offer: this much more power (W, a size) at a price (thousandths of the currency per MWh)."""

    w: int
    milli_per_mwh: int


@dataclass(frozen=True, slots=True)
class Offer:
    """Capacity of one or several resources, in sum, in one direction over a half-open window (ms since the epoch).

    EXPORT is more generation or less load, IMPORT the other way. Blocks are taken in their order, the cheapest first;
    a price is what the party asks for either direction, negative where it pays.
    """

    party: str
    id: str
    version: int
    service: str
    direction: Direction
    resources: tuple[str, ...]
    blocks: tuple[Block, ...]
    start_ms: int
    end_ms: int

    @property
    def key(self) -> OfferKey:
        """The offer's name."""
        return OfferKey(self.party, self.id)

    @property
    def capacity_w(self) -> int:
        """All blocks in sum (W)."""
        return sum(block.w for block in self.blocks)


class Nameplate(NamedTuple):
    """What a resource can do in each direction (W, sizes), who may offer it, and what it stores (Wh; None: nothing)."""

    parties: tuple[str, ...]
    export_w: int
    import_w: int
    energy_wh: int | None = None

    def rated_w(self, direction: Direction) -> int:
        """Give the size (W) of one direction."""
        return self.export_w if direction is Direction.EXPORT else self.import_w


def judge_offer(
    offer: Offer, held: Iterable[Offer], nameplates: Mapping[str, Nameplate], now_ms: int
) -> Refused | None:
    """Refuse an offer that is stale (A5), not its maker's to make (A4, A6) or more than there is (C8).

    A newer version of a held offer replaces it (C1); the very same one again is no fault. Our reading: an offer whose
    window has begun still counts for what is left of it; one on several resources uses each by its nameplate.
    """
    rivals = []
    for one in held:
        if one.key == offer.key:
            stale = _judge_version(one, offer)
            if stale is not None:
                return stale
        elif one.direction is offer.direction and _overlaps(one, offer):
            rivals.append(one)
    return (
        _judge_window(offer, now_ms)
        or _judge_blocks(offer)
        or _judge_standing(offer, nameplates)
        or _judge_overlap(offer, rivals)
        or _judge_capacity(offer, rivals, nameplates)
    )


def _judge_version(held: Offer, offer: Offer) -> Refused | None:
    if offer.version > held.version or offer == held:
        return None
    if offer.version < held.version:
        return Refused("A5", f"version {offer.version} is older than version {held.version} already held")
    return Refused("A5", f"other content under version {held.version} already held; give changes a new version")


def _judge_window(offer: Offer, now_ms: int) -> Refused | None:
    if offer.end_ms <= offer.start_ms:
        return Refused("A5", "the window is empty; let it end after its start")
    if offer.end_ms <= now_ms:
        return Refused("A5", f"the window ended {(now_ms - offer.end_ms) // 1000} s ago; offer what is to come")
    return None


def _judge_blocks(offer: Offer) -> Refused | None:
    if not offer.blocks:
        return Refused("C8", "offers no capacity; give at least one block")
    empty = next((block for block in offer.blocks if block.w <= 0), None)
    if empty is not None:
        return Refused("C8", f"a block of {empty.w} W is no capacity; give its size in W above zero")
    prices = [block.milli_per_mwh for block in offer.blocks]
    if prices != sorted(prices):
        return Refused("C8", "a later block is cheaper than an earlier one; give blocks in rising price")
    return None


def _judge_standing(offer: Offer, nameplates: Mapping[str, Nameplate]) -> Refused | None:
    if not offer.resources:
        return Refused("A6", "names no resource; name what the capacity is of")
    if len(dict.fromkeys(offer.resources)) < len(offer.resources):
        return Refused("C8", "names a resource twice; its capacity counts once")
    foreign = [
        name for name in offer.resources if name not in nameplates or offer.party not in nameplates[name].parties
    ]
    if not foreign:
        return None
    if len(foreign) == len(offer.resources):
        return Refused("A6", f"{offer.party} holds no grant to offer {foreign[0]}")
    return Refused("A4", f"reaches outside its grant: {offer.party} holds none to offer {foreign[0]}")


def _judge_overlap(offer: Offer, rivals: Sequence[Offer]) -> Refused | None:
    for rival in rivals:
        if rival.party == offer.party and rival.service == offer.service:
            shared = next(name for name in offer.resources if name in rival.resources)
            return Refused("C8", f"overlaps offer {rival.id} of {shared}; send a newer version of that one instead")
    return None


def _judge_capacity(offer: Offer, rivals: Sequence[Offer], nameplates: Mapping[str, Nameplate]) -> Refused | None:
    rated_w = sum(nameplates[name].rated_w(offer.direction) for name in offer.resources)
    if offer.capacity_w > rated_w:
        return Refused("C8", f"offers {offer.capacity_w} W, beyond the nameplate of {rated_w} W")
    promised = [(rival, split_capacity(rival, nameplates)) for rival in rivals]
    for name, w in split_capacity(offer, nameplates).items():
        plate = nameplates[name]
        used_w = w + _most_used_w(offer, [(rival, parts[name]) for rival, parts in promised if name in parts])
        if used_w > plate.rated_w(offer.direction):
            most_w = plate.rated_w(offer.direction)
            return Refused("C8", f"with what is offered already {name} would promise {used_w} W of its {most_w} W")
        needed_wh = -(-w * (offer.end_ms - offer.start_ms) // MS_PER_HOUR)
        if plate.energy_wh is not None and needed_wh > plate.energy_wh:
            return Refused("C8", f"needs {needed_wh} Wh of {name}, which stores {plate.energy_wh} Wh")
    return None


def _overlaps(one: Offer, other: Offer) -> bool:
    """Tell whether two offers are of one resource at one time."""
    return (
        one.start_ms < other.end_ms
        and other.start_ms < one.end_ms
        and any(name in other.resources for name in one.resources)
    )


def _most_used_w(offer: Offer, rivals: Sequence[tuple[Offer, int]]) -> int:
    """Give the most (W) that rivals use at once inside the offer's window: sums change only where one starts."""
    starts = [offer.start_ms, *(rival.start_ms for rival, _ in rivals if rival.start_ms > offer.start_ms)]
    return max(sum(w for rival, w in rivals if rival.start_ms <= at_ms < rival.end_ms) for at_ms in starts)


def split_capacity(offer: Offer, nameplates: Mapping[str, Nameplate]) -> dict[str, int]:
    """Split an offer's capacity (W) among its resources by their nameplates; what is no longer there has no part."""
    rated = sorted(
        (name, nameplates[name].rated_w(offer.direction))
        for name in offer.resources
        if name in nameplates and nameplates[name].rated_w(offer.direction) > 0
    )
    sizes_w = [w for _, w in rated]
    shares = pour(offer.capacity_w, sizes_w, sizes_w, range(len(rated)))
    return {name: share for (name, _), share in zip(rated, shares, strict=True)}


@dataclass(slots=True)
class OfferBook:
    """The offers that stand, by name."""

    offers: dict[OfferKey, Offer] = field(default_factory=dict)

    def admit(self, offer: Offer, nameplates: Mapping[str, Nameplate], now_ms: int) -> Refused | None:
        """Take an offer in, a newer version in the place of the older (C1), or say why not; nothing else changes."""
        refused = judge_offer(offer, self.offers.values(), nameplates, now_ms)
        if refused is None:
            self.offers[offer.key] = offer
        return refused

    def withdraw(self, key: OfferKey) -> bool:
        """Take an offer out; tells whether there was one. What was awarded already is not touched."""
        return self.offers.pop(key, None) is not None

    def retire(self, now_ms: int) -> tuple[OfferKey, ...]:
        """Drop the offers whose window is over, and name them."""
        over = tuple(sorted(key for key, offer in self.offers.items() if offer.end_ms <= now_ms))
        for key in over:
            del self.offers[key]
        return over
