"""Hidden coupling: two controllers of one customer-side node whom nobody at or below the DSO coordinates (RULES D).

Who instructs whom is kept as whole numbers, one bit for each entity, and controllers that the same entities instruct
are judged together, so that the work follows the flows and not their pairs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import NamedTuple

from gateway.coordination.graph import cycles, downstream, gathered, reach, upstream
from gateway.coordination.skeleton import Count, Flow, Kind, Overlap, Skeleton, der_ids, is_operator
from gateway.core.parties import Tier

ALL_PAIRS = 100
"""Of up to so many unlike controllers of one customer every pair is judged, and so named."""


class Coupled(NamedTuple):
    """Controllers that nobody coordinates with each other, their flows, and how grave it is: low, some or large.

    Each of `ones` meets each of `others`; they are the same where it is about several of one kind.
    """

    ones: tuple[str, ...]
    others: tuple[str, ...]
    flows: tuple[Flow, ...]
    grade: str

    def meetings(self) -> Iterator[str]:
        """Yield who meets whom, in words."""
        if len(self.ones) == 1 and self.ones == self.others:
            yield f"the several {self.ones[0]} ({self.flows[0].overlap or Overlap.SAME_DER})"
        elif self.ones == self.others:
            yield from (f"{one} and {other}" for one, other in combinations(self.ones, 2))
        else:
            yield from (f"{one} and {other}" for one, other in product(self.ones, self.others) if one != other)


def bypasses(skeleton: Skeleton, flow: Flow) -> bool:
    """Say whether a flow, of any kind, runs between the bulk and the customer tier."""
    entities = skeleton.by_id()
    tiers = (entities[flow.sender].tier, entities[flow.receiver].tier)
    return Tier.DISTRIBUTION not in tiers and tiers[0] is not tiers[1]


def hidden(skeleton: Skeleton) -> tuple[Coupled, ...]:
    """Give the control flows that are coupled and hidden, those of like controllers at one place together.

    A common coordinator counts only over flows that stay at or below the distribution tier, and a joint flow only
    where it skips no tier, so that a bypassing flow can add to what is coupled and never excuse it.
    Our reading: a customer-tier entity of which there are several couples with itself only where `overlap` is
    declared, and controllers of different DER of one network couple only where both declare "same-network".
    """
    world = _World.of(skeleton)
    entering = [
        flow
        for flow in skeleton.control()
        if flow.receiver in world.cycle_of
        and flow.sender not in world.cycle_of[flow.receiver]
        and flow.overlap is not Overlap.NONE
    ]
    return (*_at_one_node(world, entering), *_on_one_network(world, entering), *_of_one_kind(world, entering))


@dataclass(frozen=True, slots=True)
class _World:
    skeleton: Skeleton
    bits: Mapping[str, int]
    low: Mapping[str, int]
    """For each entity: itself and who instructs it over flows at or below the distribution tier."""
    chain: Mapping[str, int]
    """For each entity: itself and who instructs it over any control flow."""
    cycle_of: Mapping[str, tuple[str, ...]]
    """For each customer: those whom it instructs and who instruct it."""
    joint: Mapping[str, int]
    """For each end of a joint flow that skips no tier: the other ends."""
    bulk: int
    local: int
    linked: Mapping[str, int]
    """For each operator of the bulk tier: those of the distribution tier that it meets."""

    @classmethod
    def of(cls, skeleton: Skeleton) -> "_World":
        entities, control = skeleton.by_id(), skeleton.control()
        bits = {name: 1 << place for place, name in enumerate(entities)}
        below = [name for name, each in entities.items() if each.tier is not Tier.BULK]
        customers = [name for name in below if entities[name].tier is Tier.CUSTOMER]
        low = {**dict.fromkeys(entities, 0), **gathered(below, control, bits)}
        joint: dict[str, int] = {}
        for flow in skeleton.flows:
            if flow.joint and not bypasses(skeleton, flow):
                for one, other in ((flow.sender, flow.receiver), (flow.receiver, flow.sender)):
                    joint[one] = joint.get(one, 0) | bits[other]
        bulk, local = (
            _all(bits[name] for name, each in entities.items() if is_operator(each) and each.tier is tier)
            for tier in (Tier.BULK, Tier.DISTRIBUTION)
        )
        met = linked_operators(skeleton, (Kind.CONTROL, Kind.MARKET))
        return cls(
            skeleton,
            bits,
            low,
            gathered(list(entities), control, bits),
            {name: group for group in cycles(customers, control) for name in group},
            joint,
            bulk,
            local,
            {name: _all(map(bits.__getitem__, met[name])) & local for name in met if bits[name] & bulk},
        )

    def node(self, flow: Flow) -> int:
        """Give whom a flow acts on: its receiver and who is in a cycle with it."""
        return _all(self.bits[name] for name in self.cycle_of[flow.receiver])


def _all(bits: Iterable[int]) -> int:
    found = 0
    for each in bits:
        found |= each
    return found


class _Kind(NamedTuple):
    """What controllers have in common by which they are judged: who instructs them, and which one it is where that
    matters, because it instructs another one or works jointly with somebody.
    """

    low: int
    chain: int
    name: str


class _Alike:
    """The flows of like controllers at a place, by controller."""

    def __init__(self) -> None:
        self.by_sender: dict[str, list[Flow]] = {}

    def senders(self) -> tuple[str, ...]:
        return tuple(self.by_sender)

    def flows(self) -> tuple[Flow, ...]:
        return tuple(flow for flows in self.by_sender.values() for flow in flows)


def _above(world: _World, flows: Sequence[Flow]) -> int:
    """Give who instructs any of the controllers of these flows."""
    return _all(world.low[name] & ~world.bits[name] for name in dict.fromkeys(flow.sender for flow in flows))


def _kinds(world: _World, flows: Sequence[Flow], above: int) -> dict[_Kind, _Alike]:
    """Sort flows by what their controllers have in common; `above` is who instructs any that they are judged with."""
    found: dict[_Kind, _Alike] = {}
    for flow in flows:
        name = flow.sender
        own = world.bits[name]
        alone = bool(own & above) or name in world.joint
        chain = world.chain[name] & (world.bulk | world.local)
        kind = _Kind(world.low[name] if alone else world.low[name] & ~own, chain, name if alone else "")
        found.setdefault(kind, _Alike()).by_sender.setdefault(name, []).append(flow)
    return found


def _at_one_node(world: _World, entering: Sequence[Flow]) -> Iterator[Coupled]:
    """Judge the controllers of each customer against each other."""
    places: dict[str, list[Flow]] = {}
    for flow in entering:
        places.setdefault(world.cycle_of[flow.receiver][0], []).append(flow)
    for flows in places.values():
        if len(dict.fromkeys(flow.sender for flow in flows)) > 1:
            kinds = list(_kinds(world, flows, _above(world, flows)).items())
            yield from _among(world, kinds, world.node(flows[0]))


def _among(world: _World, sides: Sequence["_Side"], node: int) -> Iterator[Coupled]:
    """Judge those who meet at one node against each other; many only until each is known and none can be graver."""
    shared, chains = ~node, 0
    for kind, _alike in sides:
        shared &= kind.low
        chains |= kind.chain
    if shared:
        return
    many = len(sides) > ALL_PAIRS
    gravest, grades = _grade(world, chains), dict[str, None]()
    marked: dict[int, None] = {}
    for place, one in enumerate(sides):
        for number in range(place, len(sides)):
            if many and gravest in grades and place in marked and number in marked:
                continue
            for found in _judged(world, one, sides[number], node):
                marked |= {place: None, number: None}
                grades[found.grade] = None
                yield found
        if many and gravest in grades and len(marked) == len(sides):
            return


def _on_one_network(world: _World, entering: Sequence[Flow]) -> Iterator[Coupled]:
    """Judge the controllers of different DER of one network against each other, where it is declared to be one."""
    ders = dict.fromkeys(der_ids(world.skeleton.entities, world.skeleton.flows))
    declared = [flow for flow in entering if flow.overlap is Overlap.SAME_NETWORK and flow.receiver in ders]
    networks: dict[int, list[Flow]] = {}
    for flow in declared:
        networks.setdefault(world.low[flow.receiver] & world.local, []).append(flow)
    above = _above(world, declared)
    sorted_by = [(network, list(_kinds(world, flows, above).items())) for network, flows in networks.items()]
    for place, (network, kinds) in enumerate(sorted_by):
        for number, (one, mine) in enumerate(kinds):
            for other, theirs in kinds[number:]:
                yield from _judged_apart(world, (one, mine), (other, theirs))
        for elsewhere, others in sorted_by[place + 1 :]:
            if network and elsewhere and not network & elsewhere:
                continue
            for (one, mine), (other, theirs) in product(kinds, others):
                yield from _judged_apart(world, (one, mine), (other, theirs))


def _of_one_kind(world: _World, entering: Sequence[Flow]) -> Iterator[Coupled]:
    """Judge several of one kind against each other, where overlap is declared."""
    together = _all(
        world.bits[each.id]
        for each in world.skeleton.entities
        if each.tier is Tier.DISTRIBUTION or each.count is Count.ONE
    )
    for flow in entering:
        name = flow.sender
        if flow.overlap is None or name not in world.cycle_of or world.skeleton.entity(name).count is Count.ONE:
            continue
        if not world.low[name] & ~world.bits[name] & ~world.node(flow) & together:
            yield Coupled((name,), (name,), (flow,), _grade(world, world.chain[name]))


_Side = tuple[_Kind, _Alike]


def _judged_apart(world: _World, one: _Side, other: _Side) -> Iterator[Coupled]:
    """Judge controllers of different DER: whom their flows act on coordinates nobody, which is rarely of matter."""
    flows = (*one[1].flows(), *other[1].flows())
    every = _all(world.node(flow) for flow in flows)
    if _coordinated(world, one[0], other[0], every):
        return
    if not _coordinated(world, one[0], other[0], 0):
        yield from _judged(world, one, other, 0)
        return
    for first, second in product(one[1].flows(), other[1].flows()):
        mine, theirs = _Alike(), _Alike()
        mine.by_sender[first.sender], theirs.by_sender[second.sender] = [first], [second]
        yield from _judged(world, (one[0], mine), (other[0], theirs), world.node(first) | world.node(second))


def _judged(world: _World, one: _Side, other: _Side, node: int) -> Iterator[Coupled]:
    """Give the flows of two kinds of controllers where nobody coordinates them; none of a controller with itself."""
    (kind, mine), (others_kind, theirs) = one, other
    ones, others = mine.senders(), theirs.senders()
    if len(dict.fromkeys((*ones, *others))) < 2 or _coordinated(world, kind, others_kind, node):
        return
    flows = [flow for flow in mine.flows() if others != (flow.sender,)]
    if mine is not theirs:
        flows += [flow for flow in theirs.flows() if ones != (flow.sender,)]
    yield Coupled(ones, others, tuple(flows), _grade(world, kind.chain | others_kind.chain))


def _coordinated(world: _World, one: _Kind, other: _Kind, node: int) -> bool:
    first, second = one.low & ~node, other.low & ~node
    if first & second:
        return True
    first |= world.bits.get(one.name, 0)
    second |= world.bits.get(other.name, 0)
    return any(world.bits[name] & first and ends & second for name, ends in world.joint.items())


def _grade(world: _World, chain: int) -> str:
    """Grade what is hidden by which operators stand above, and whether they meet."""
    bulk, local = chain & world.bulk, chain & world.local
    if not bulk or not local:
        return "low"
    apart = any(world.bits[name] & bulk and local & ~met for name, met in world.linked.items())
    return "large" if apart else "some"


def linked_operators(skeleton: Skeleton, kinds: tuple[Kind, ...]) -> Mapping[str, Mapping[str, int]]:
    """For each operator: itself, and those whom it meets by a direct flow of these kinds or a joint one of any kind.

    Our reading: an operator of the distribution tier passes a link on to those whom it instructs or works jointly
    with, and a network owner of the bulk tier passes on every link; a market passes none.
    """
    entities = skeleton.by_id()
    passing = {
        each.id: None
        for each in skeleton.entities
        if (is_operator(each) and each.tier is Tier.DISTRIBUTION) or each.role in ("to", "transmission-owner")
    }
    meeting = [
        flow
        for flow in skeleton.flows
        if (flow.joint or flow.kind in (kinds if _between_tiers(skeleton, flow) else (Kind.CONTROL,)))
        and all(is_operator(entities[end]) or end in passing for end in (flow.sender, flow.receiver))
    ]
    both_ways = downstream(meeting)
    for receiver, senders in upstream(meeting).items():
        both_ways.setdefault(receiver, []).extend(senders)
    onward = {name: both_ways.get(name, []) for name in passing}
    return {
        each.id: reach([each.id, *both_ways.get(each.id, ())], onward)
        for each in skeleton.entities
        if is_operator(each)
    }


def _between_tiers(skeleton: Skeleton, flow: Flow) -> bool:
    """Say whether a flow leaves its tier; inside the bulk tier every flow counts as if it did."""
    sender = skeleton.entity(flow.sender).tier
    return sender is not skeleton.entity(flow.receiver).tier or sender is Tier.BULK
