"""Offers cleared at the T-D interface: one curve, one dispatch shared out, one account (RULES C8, C9, E)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from gateway.core.offers import Nameplate, Offer, OfferKey
from gateway.core.parties import Direction
from gateway.core.sharing import MS_PER_HOUR, pour
from gateway.core.topology import Point, PointKind

WH_PER_MWH = 1_000_000
INWARD = (PointKind.SERVICE_TRANSFORMER, PointKind.SEGMENT, PointKind.INTERFACE)
NO_CAPACITY = "nameplate"


class Bid(NamedTuple):
    """What the network can take of one block of an offer (W, a size)."""

    offer: OfferKey
    block: int
    service: str
    resources: tuple[str, ...]
    w: int


class CurveStep(NamedTuple):
    """All bids at one price, and how much is to be had up to it (W, a size)."""

    milli_per_mwh: int
    bids: tuple[Bid, ...]
    cumulative_w: int


class LeftOut(NamedTuple):
    """What of a block cannot be delivered (W), and the first point whose rating stands in the way."""

    offer: OfferKey
    block: int
    w: int
    limit: str


@dataclass(frozen=True, slots=True)
class OfferCurve:
    """The consolidated offer curve of one direction: the price rises from step to step."""

    direction: Direction
    steps: tuple[CurveStep, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def total_w(self) -> int:
        """All that is to be had (W, a size)."""
        return self.steps[-1].cumulative_w if self.steps else 0


class Award(NamedTuple):
    """Part of a dispatch: what a block of an offer is to deliver (W, a size) in a window, and at what price."""

    offer: OfferKey
    block: int
    service: str
    direction: Direction
    resources: tuple[str, ...]
    w: int
    milli_per_mwh: int
    start_ms: int
    end_ms: int


class Dispatched(NamedTuple):
    """An aggregate dispatch shared out: awards, what nobody offers (W, a size), and the last price that was needed."""

    awards: tuple[Award, ...]
    unmet_w: int
    marginal_milli_per_mwh: int | None


class DeliveredEnergy(NamedTuple):
    """Measured energy of a resource for a service (Wh): positive in the direction named, negative against it."""

    resource: str
    service: str
    direction: Direction
    wh: int


class ServiceAccount(NamedTuple):
    """What a party was awarded and delivered for a service (Wh), the difference, and what it is paid (thousandths)."""

    service: str
    party: str
    direction: Direction
    awarded_wh: int
    delivered_wh: int
    deviation_wh: int
    amount_milli: int


class EnergySettlement(NamedTuple):
    """The accounts of a period in order of service, party and direction, and the energy that no award asked for."""

    accounts: tuple[ServiceAccount, ...]
    unawarded: tuple[DeliveredEnergy, ...]


class _Loaded(NamedTuple):
    """A bid with the part of its power that each point sees: the weight there, out of the weight of all."""

    bid: Bid
    milli_per_mwh: int
    weights: Mapping[int, int]
    weight: int


def curve(
    offers: Iterable[Offer],
    direction: Direction,
    at_ms: int,
    points: Sequence[Point],
    nameplates: Mapping[str, Nameplate],
    until_ms: int | None = None,
) -> OfferCurve:
    """Consolidate the offers of one direction that stand at an instant, or through a window to `until_ms` (exclusive).

    The cheapest blocks are taken first, each no further than the static ratings of the points above its resources
    allow; equal prices are cut pro rata at a point that is full. A power of several resources is laid on the points by
    nameplate. What the network cannot deliver is left out and named. Our reading: ratings bound the offered change
    alone; who knows the flow that is there already gives points with what it leaves.
    """
    inward = sorted(points, key=lambda point: (INWARD.index(point.kind), point.name))
    limits = [(point.name, rating_w) for point in inward if (rating_w := point.limit_w(direction)) is not None]
    above: dict[str, list[int]] = {}
    for index, point in enumerate(point for point in inward if point.limit_w(direction) is not None):
        for name in point.resources:
            above.setdefault(name, []).append(index)
    last_ms = at_ms + 1 if until_ms is None else until_ms
    standing = [
        _load(offer, above, nameplates)
        for offer in offers
        if offer.direction is direction and offer.start_ms <= at_ms and offer.end_ms >= last_ms
    ]
    loads = sorted(
        (load for rows in standing for load in rows),
        key=lambda load: (load.milli_per_mwh, load.bid.offer, load.bid.block),
    )
    rooms = [max(0, rating_w) for _, rating_w in limits]
    steps: list[CurveStep] = []
    left_out: list[LeftOut] = []
    cumulative_w = 0
    for price, at_price in groupby(loads, key=lambda load: load.milli_per_mwh):
        bids = _fit(list(at_price), rooms, [name for name, _ in limits], left_out)
        if bids:
            cumulative_w += sum(bid.w for bid in bids)
            steps.append(CurveStep(price, bids, cumulative_w))
    return OfferCurve(direction, tuple(steps), tuple(left_out))


def _load(offer: Offer, above: Mapping[str, Sequence[int]], nameplates: Mapping[str, Nameplate]) -> list[_Loaded]:
    weights: dict[int, int] = {}
    weight = 0
    for name in offer.resources:
        rated_w = nameplates[name].rated_w(offer.direction) if name in nameplates else 0
        weight += rated_w
        for index in above.get(name, ()):
            weights[index] = weights.get(index, 0) + rated_w
    return [
        _Loaded(Bid(offer.key, number, offer.service, offer.resources, block.w), block.milli_per_mwh, weights, weight)
        for number, block in enumerate(offer.blocks)
    ]


def _fit(loads: Sequence[_Loaded], rooms: list[int], names: Sequence[str], left_out: list[LeftOut]) -> tuple[Bid, ...]:
    """Cut bids of one price into the rooms of the points, from the resources inward, and take up the rooms."""
    sizes_w = [load.bid.w if load.weight else 0 for load in loads]
    blame: list[str | None] = [None if load.weight else NO_CAPACITY for load in loads]
    for point in sorted({index for load in loads for index in load.weights}):
        members = [index for index, load in enumerate(loads) if load.weights.get(point) and sizes_w[index]]
        asked = [_on_point_w(sizes_w[index], loads[index], point) for index in members]
        if sum(asked) <= rooms[point]:
            continue
        for index, given_w in zip(members, pour(rooms[point], asked, asked, range(len(asked))), strict=True):
            most_w = given_w * loads[index].weight // loads[index].weights[point]
            if most_w < sizes_w[index]:
                sizes_w[index] = most_w
                blame[index] = blame[index] or names[point]
    for load, size_w, why in zip(loads, sizes_w, blame, strict=True):
        for point in load.weights:
            rooms[point] -= _on_point_w(size_w, load, point)
        if why is not None:
            left_out.append(LeftOut(load.bid.offer, load.bid.block, load.bid.w - size_w, why))
    return tuple(load.bid._replace(w=w) for load, w in zip(loads, sizes_w, strict=True) if w)


def _on_point_w(size_w: int, load: _Loaded, point: int) -> int:
    return -(-size_w * load.weights[point] // load.weight) if load.weight else 0


def dispatch(offered: OfferCurve, total_w: int, start_ms: int, end_ms: int) -> Dispatched:
    """Share out one aggregate dispatch (W, a size in the curve's direction) over a window, the cheapest first.

    At the last price needed the bids share pro rata. Awards and what is unmet sum to the total; a total below zero is
    of the other direction and is unmet whole.
    """
    left_w = max(0, total_w)
    awards: list[Award] = []
    marginal: int | None = None
    for step in offered.steps:
        if not left_w:
            break
        sizes_w = [bid.w for bid in step.bids]
        shares = pour(left_w, sizes_w, sizes_w, range(len(sizes_w)))
        marginal = step.milli_per_mwh
        left_w -= sum(shares)
        awards.extend(
            Award(bid.offer, bid.block, bid.service, offered.direction, bid.resources, w, marginal, start_ms, end_ms)
            for bid, w in zip(step.bids, shares, strict=True)
            if w
        )
    return Dispatched(tuple(awards), total_w - sum(award.w for award in awards), marginal)


_Stream = tuple[str, Direction]
_Claimant = tuple[str, str, Direction, OfferKey]


def settle(awards: Iterable[Award], delivered: Iterable[DeliveredEnergy]) -> EnergySettlement:
    """Account a period by service and party; both sides cover the same period.

    Every Wh is counted once (C9): where several offers were awarded on one resource and service it is divided by what
    each was awarded. Our reading: delivery fills the cheapest blocks first and is paid at the price that each asked,
    up to the award; what goes beyond or stays short is deviation and moves no money here. Amounts are rounded toward
    zero.
    """
    by_offer: dict[_Claimant, list[Award]] = {}
    by_resource: dict[tuple[str, _Stream], dict[_Claimant, None]] = {}
    for award in awards:
        claimant = (award.service, award.offer.party, award.direction, award.offer)
        by_offer.setdefault(claimant, []).append(award)
        for name in award.resources:
            by_resource.setdefault((name, (award.service, award.direction)), {})[claimant] = None
    given_wh = dict.fromkeys(by_offer, 0)
    unawarded = []
    for row in sorted(delivered):
        claimants = sorted(by_resource.get((row.resource, (row.service, row.direction)), ()))
        if not claimants:
            unawarded.append(row)
            continue
        weights = [max(1, sum(_energy(award) for award in by_offer[claimant])) for claimant in claimants]
        shares = pour(abs(row.wh), [abs(row.wh)] * len(weights), weights, range(len(weights)))
        for claimant, wh in zip(claimants, shares, strict=True):
            given_wh[claimant] += wh if row.wh >= 0 else -wh
    accounts = [
        _account(party, service, direction, [(by_offer[claimant], given_wh[claimant]) for claimant in claimants])
        for (service, party, direction), claimants in groupby(sorted(by_offer), key=lambda claimant: claimant[:3])
    ]
    return EnergySettlement(tuple(accounts), tuple(unawarded))


def _energy(award: Award) -> int:
    return award.w * (award.end_ms - award.start_ms)


def _account(
    party: str, service: str, direction: Direction, offers: Sequence[tuple[Sequence[Award], int]]
) -> ServiceAccount:
    awarded_wh = sum(_energy(award) for awards, _ in offers for award in awards) // MS_PER_HOUR
    delivered_wh = sum(wh for _, wh in offers)
    owed = sum(_worth(awards, wh) for awards, wh in offers)
    size_milli = abs(owed) // (MS_PER_HOUR * WH_PER_MWH)
    return ServiceAccount(
        service,
        party,
        direction,
        awarded_wh,
        delivered_wh,
        delivered_wh - awarded_wh,
        size_milli if owed >= 0 else -size_milli,
    )


def _worth(awards: Sequence[Award], delivered_wh: int) -> int:
    """Give what delivered energy is worth (thousandths per MWh times W times ms), the cheapest block first."""
    left = max(0, delivered_wh) * MS_PER_HOUR
    owed = 0
    for award in sorted(awards, key=lambda award: (award.milli_per_mwh, award.block, award.start_ms)):
        taken = min(left, _energy(award))
        left -= taken
        owed += taken * award.milli_per_mwh
    return owed
