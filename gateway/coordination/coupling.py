"""Hidden coupling: two controllers of one customer-side node whom nobody at or below the DSO coordinates (RULES D)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from gateway.coordination.graph import cycles, downstream, hops, upstream
from gateway.coordination.skeleton import Count, Flow, Kind, Overlap, Skeleton, der_ids, is_operator
from gateway.core.parties import Tier


class Coupled(NamedTuple):
    """Two control flows that nobody coordinates, and how grave that is: "low", "some" or "large"."""

    one: Flow
    other: Flow
    grade: str


def bypasses(skeleton: Skeleton, flow: Flow) -> bool:
    """Say whether a flow, of any kind, runs between the bulk and the customer tier."""
    entities = skeleton.by_id()
    tiers = (entities[flow.sender].tier, entities[flow.receiver].tier)
    return Tier.DISTRIBUTION not in tiers and tiers[0] is not tiers[1]


def hidden(skeleton: Skeleton) -> tuple[Coupled, ...]:
    """Give every pair of control flows that is coupled and hidden.

    A common coordinator counts only over flows that stay at or below the distribution tier, and a joint flow only
    where it skips no tier, so that a bypassing flow can add to what is coupled and never excuse it.
    Our reading: a customer-tier entity of which there are several couples with itself only where `overlap` is
    declared, and controllers of different DER of one network couple only where both declare "same-network".
    """
    world = _World.of(skeleton)
    found = [_judged(world, one, other) for one, other in _meeting(world)]
    return tuple(each for each in found if each is not None)


@dataclass(frozen=True, slots=True)
class _World:
    skeleton: Skeleton
    low: Mapping[str, Mapping[str, int]]
    """For each entity: itself and who instructs it over flows at or below the distribution tier."""
    chain: Mapping[str, Mapping[str, int]]
    """For each entity: itself and who instructs it over any control flow."""
    cycle_of: Mapping[str, tuple[str, ...]]
    """For each customer: those whom it instructs and who instruct it."""
    joint: tuple[tuple[str, str], ...]
    operators: Mapping[str, Tier]
    linked: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, skeleton: Skeleton) -> "_World":
        entities = skeleton.by_id()
        control = skeleton.control()
        names = [each.id for each in skeleton.entities]
        above = upstream(control)
        near = upstream(
            flow
            for flow in control
            if entities[flow.sender].tier is not Tier.BULK and entities[flow.receiver].tier is not Tier.BULK
        )
        customers = [each.id for each in skeleton.entities if each.tier is Tier.CUSTOMER]
        return cls(
            skeleton,
            {name: {} if entities[name].tier is Tier.BULK else hops(name, near) for name in names},
            {name: hops(name, above) for name in names},
            {name: group for group in cycles(customers, control) for name in group},
            tuple(
                (flow.sender, flow.receiver) for flow in skeleton.flows if flow.joint and not bypasses(skeleton, flow)
            ),
            {each.id: each.tier for each in skeleton.entities if is_operator(each)},
            linked_operators(skeleton, (Kind.CONTROL, Kind.MARKET)),
        )


def _meeting(world: _World) -> list[tuple[Flow, Flow]]:
    """Give the pairs of control flows that act on the same customers, or on one declared network."""
    entering = [
        flow
        for flow in world.skeleton.control()
        if flow.receiver in world.cycle_of
        and flow.sender not in world.cycle_of[flow.receiver]
        and flow.overlap is not Overlap.NONE
    ]
    ders = der_ids(world.skeleton.entities, world.skeleton.flows)
    found: list[tuple[Flow, Flow]] = []
    for one, other in combinations(entering, 2):
        same_node = world.cycle_of[one.receiver] == world.cycle_of[other.receiver]
        if one.sender != other.sender and (same_node or _one_network(world, one, other, ders)):
            found.append((one, other))
    several = [
        (flow, flow)
        for flow in entering
        if flow.overlap is not None
        and flow.sender in world.cycle_of
        and world.skeleton.entity(flow.sender).count is not Count.ONE
    ]
    return found + several


def _one_network(world: _World, one: Flow, other: Flow, ders: tuple[str, ...]) -> bool:
    declared = one.overlap is Overlap.SAME_NETWORK and other.overlap is Overlap.SAME_NETWORK
    if not declared or one.receiver not in ders or other.receiver not in ders:
        return False
    networks = [
        [name for name in world.low[flow.receiver] if world.operators.get(name) is Tier.DISTRIBUTION]
        for flow in (one, other)
    ]
    return not all(networks) or any(name in networks[1] for name in networks[0])


def _judged(world: _World, one: Flow, other: Flow) -> Coupled | None:
    if _coordinated(world, one, other):
        return None
    chain = [*world.chain[one.sender], *world.chain[other.sender]]
    bulk = [name for name in chain if world.operators.get(name) is Tier.BULK]
    local = [name for name in chain if world.operators.get(name) is Tier.DISTRIBUTION]
    if not bulk or not local:
        return Coupled(one, other, "low")
    apart = any(lower not in world.linked[upper] for upper in bulk for lower in local)
    return Coupled(one, other, "large" if apart else "some")


def _coordinated(world: _World, one: Flow, other: Flow) -> bool:
    node = world.cycle_of[one.receiver] + world.cycle_of[other.receiver]
    itself = one.sender if one is other else None
    first = {name: 0 for name in world.low[one.sender] if name not in node and name != itself}
    second = {name: 0 for name in world.low[other.sender] if name not in node and name != itself}
    if any(_brings_together(world, name, itself) for name in first if name in second):
        return True
    if itself is not None:
        return False
    first[one.sender] = second[other.sender] = 0
    return any((a in first and b in second) or (a in second and b in first) for a, b in world.joint)


def _brings_together(world: _World, name: str, itself: str | None) -> bool:
    """Say whether a coordinator of two flows is one; of several like entities only a DSO or a single one is."""
    entity = world.skeleton.entity(name)
    return itself is None or entity.tier is Tier.DISTRIBUTION or entity.count is Count.ONE


def linked_operators(skeleton: Skeleton, kinds: tuple[Kind, ...]) -> Mapping[str, Mapping[str, int]]:
    """For each operator: those whom it meets by a direct flow of these kinds, a joint one of any kind included.

    Our reading: an operator of the distribution tier passes a link on to those whom it instructs or works jointly
    with, and a network owner of the bulk tier passes on every link; a market passes none.
    """
    entities = skeleton.by_id()
    passing = [
        each.id
        for each in skeleton.entities
        if (is_operator(each) and each.tier is Tier.DISTRIBUTION) or each.role in ("to", "transmission-owner")
    ]
    meeting = [
        flow
        for flow in skeleton.flows
        if (flow.joint or flow.kind in (kinds if _between_tiers(skeleton, flow) else (Kind.CONTROL,)))
        and all(is_operator(entities[end]) or end in passing for end in (flow.sender, flow.receiver))
    ]
    both_ways = downstream(meeting)
    for receiver, senders in upstream(meeting).items():
        both_ways.setdefault(receiver, []).extend(senders)
    operators = [each.id for each in skeleton.entities if is_operator(each)]
    onward = {name: both_ways.get(name, []) for name in passing}
    return {name: hops(name, {**onward, name: both_ways.get(name, [])}) for name in operators}


def _between_tiers(skeleton: Skeleton, flow: Flow) -> bool:
    """Say whether a flow leaves its tier; inside the bulk tier every flow counts as if it did."""
    sender = skeleton.entity(flow.sender).tier
    return sender is not skeleton.entity(flow.receiver).tier or sender is Tier.BULK
