"""The assessment of any skeleton: one walk over its graph per verdict, with the flows that cause it (RULES D)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.coordination.coupling import bypasses, hidden, linked_operators
from gateway.coordination.graph import back, downstream, first_flows, hops, leaving, longest, reach, upstream
from gateway.coordination.sight import Seen, observability, races, seeing_flows
from gateway.coordination.skeleton import Count, Flow, Kind, Skeleton, der_ids, is_operator
from gateway.core.parties import Tier

SCALES: dict[str, tuple[str | bool, ...]] = {
    "layered": ("yes", "partial", "no"),
    "tier_bypassing": ("none", "some", "extensive"),
    "data_bypassing": ("none", "some"),
    "hidden_coupling": ("none", "low", "some", "large"),
    "coordination_gap": (False, True),
    "latency_cascading": ("none", "limited", "some"),
    "scalability": ("good", "poor"),
    "bulk_exposure": ("low", "moderate", "high"),
    "race": (False, True),
}
"""The values of each verdict, the best first."""

NOT_JUDGED = (
    "the quality of procedures and contracts",
    "who pays whom",
    "whether a declared flow is secure, timely and used as declared",
)
"""What no graph of entities and flows can say."""

_TIERS = {tier: place for place, tier in enumerate(Tier)}

NAMED_AT_MOST = 20
"""Of more than so many a note names the first; the flows are all there."""

LIMITED_SERIES = 3
"""Organisations in series above the DER: up to two do not cascade, three to a limited extent, more do."""


class Verdict(NamedTuple):
    """One verdict: its value on its scale, the flows that cause it, and a word on what no flow shows."""

    name: str
    value: str | bool
    causes: tuple[Flow, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Assessment:
    """All verdicts of one skeleton; `cycle_s` is the slowest chain of control in seconds, where flows carry times."""

    id: str
    verdicts: tuple[Verdict, ...]
    seen: tuple[Seen, ...]
    seeing: tuple[Flow, ...]
    series: tuple[str, ...]
    cycle_s: int | None

    def verdict(self, name: str) -> Verdict:
        """Give the verdict of this name; raise KeyError where there is none."""
        return {each.name: each for each in self.verdicts}[name]


def assess(skeleton: Skeleton) -> Assessment:
    """Assess a skeleton: by tiers, roles and counts alone, whatever its entities are called."""
    graph = _Graph.of(skeleton)
    cascading, series, cycle_s = _latency(graph)
    verdicts = (
        _layered(graph),
        _tier_bypassing(graph),
        _data_bypassing(graph),
        _hidden_coupling(graph),
        _coordination_gap(graph),
        cascading,
        _scalability(graph),
        _bulk_exposure(graph),
        _race(graph),
    )
    seen = observability(skeleton)
    return Assessment(skeleton.id, verdicts, seen, seeing_flows(skeleton, seen), series, cycle_s)


@dataclass(frozen=True, slots=True)
class _Graph:
    skeleton: Skeleton
    ders: Mapping[str, None]
    bypassing: tuple[Flow, ...]
    """Every flow between the bulk and the customer tier."""
    past: tuple[Flow, ...]
    """The control flows between the bulk and the customer tier, also by way of who operates no network between them."""
    layers: tuple[Flow, ...]
    """Control flows that skip no tier, and joint flows as control in both directions."""
    layered: Mapping[str, None]
    """The DER that a path of layers reaches from the bulk tier."""
    operated: Mapping[str, int]
    """What operators of the distribution tier reach over layers."""

    @classmethod
    def of(cls, skeleton: Skeleton) -> "_Graph":
        ders = dict.fromkeys(der_ids(skeleton.entities, skeleton.flows))
        bypassing = tuple(flow for flow in skeleton.flows if bypasses(skeleton, flow))
        layers = tuple(flow for flow in _instructing(skeleton) if not bypasses(skeleton, flow))
        below = downstream(layers)
        starts = [each.id for each in skeleton.entities if each.tier is Tier.BULK]
        local = [each.id for each in skeleton.entities if is_operator(each) and each.tier is Tier.DISTRIBUTION]
        from_bulk = reach(starts, below)
        through = reach([name for name in local if name in from_bulk], below)
        layered = {der: None for der in ders if der in through}
        return cls(skeleton, ders, bypassing, _past(skeleton), layers, layered, reach(local, below))

    def tier(self, name: str) -> Tier:
        return self.skeleton.entity(name).tier

    def served(self) -> Mapping[str, int]:
        """Give who leads over layers to a DER that a path of layers reaches from the bulk tier."""
        return reach(self.layered, upstream(self.layers))


def _past(skeleton: Skeleton) -> tuple[Flow, ...]:
    """Give the control flows that pass the operators of the distribution tier by.

    Who operates no network, as a retailer or a market, is no layer there: what the bulk tier sends on through it has
    skipped the tier all the same, and so has what goes up.
    """
    control = skeleton.control()
    ends = {tier: [each.id for each in skeleton.entities if each.tier is tier] for tier in Tier}
    between = {each.id: None for each in skeleton.entities if each.tier is Tier.DISTRIBUTION and not is_operator(each)}
    marked: dict[Flow, None] = {}
    for start, end in ((Tier.BULK, Tier.CUSTOMER), (Tier.CUSTOMER, Tier.BULK)):
        begun, ended = (dict.fromkeys(ends[tier]) for tier in (start, end))
        first = reach(begun, downstream(flow for flow in control if flow.receiver in between))
        last = reach(ended, upstream(flow for flow in control if flow.sender in between))
        for flow in control:
            sends = flow.sender in begun or (flow.sender in between and flow.sender in first)
            if sends and (flow.receiver in ended or (flow.receiver in between and flow.receiver in last)):
                marked[flow] = None
    return tuple(flow for flow in control if flow in marked)


def _instructing(skeleton: Skeleton) -> tuple[Flow, ...]:
    """Give the control flows, and each joint flow as instructing in both directions."""
    joint = [
        Flow(sender, receiver, Kind.CONTROL, joint=True)
        for flow in skeleton.flows
        if flow.joint
        for sender, receiver in ((flow.sender, flow.receiver), (flow.receiver, flow.sender))
    ]
    known = {(flow.sender, flow.receiver): flow for flow in [*joint, *skeleton.control()]}
    return tuple(known.values())


def _passing_down(graph: _Graph) -> tuple[Flow, ...]:
    """Give the control flows down the tiers or inside one, so that a report back up makes no chain longer.

    A joint pair stands in series: what either sends further down waits for both.
    """
    found: dict[Flow, None] = {}
    by_sender = leaving(graph.skeleton.control())
    for flow in graph.skeleton.control():
        if _TIERS[graph.tier(flow.sender)] <= _TIERS[graph.tier(flow.receiver)] and flow.sender not in graph.ders:
            found[flow] = None
    for joint in [each for each in graph.skeleton.flows if each.joint]:
        for one, other in ((joint.sender, joint.receiver), (joint.receiver, joint.sender)):
            if _TIERS[graph.tier(one)] <= _TIERS[graph.tier(other)]:
                found[Flow(one, other, Kind.CONTROL, joint=True)] = None
            lowest = max(_TIERS[graph.tier(one)], _TIERS[graph.tier(other)])
            for flow in by_sender.get(one, ()):
                if _TIERS[graph.tier(flow.receiver)] > lowest:
                    found[Flow(other, flow.receiver, Kind.CONTROL, joint=True)] = None
    return tuple(found)


def _declared(skeleton: Skeleton, flows: Iterable[Flow]) -> tuple[Flow, ...]:
    """Give the flows as the skeleton declares them, each once, in its order."""
    wanted = {(flow.sender, flow.receiver): flow for flow in flows}
    return tuple(
        flow
        for flow in skeleton.flows
        if (flow.kind is Kind.CONTROL and (flow.sender, flow.receiver) in wanted)
        or (flow.joint and ((flow.sender, flow.receiver) in wanted or (flow.receiver, flow.sender) in wanted))
    )


def _listed(named: Iterable[str]) -> str:
    """Give each of many once in one line, and only the first where they are too many for one."""
    first = dict[str, None]()
    for each in named:
        if each not in first and len(first) == NAMED_AT_MOST:
            return "; ".join((*first, "and others"))
        first[each] = None
    return "; ".join(first)


def _layered(graph: _Graph) -> Verdict:
    beside = graph.past
    if not graph.layered:
        return Verdict("layered", "no", beside, "no chain of control runs from the bulk tier through the DSO to a DER")
    apart = [der for der in graph.ders if der not in graph.layered and der in graph.operated]
    if beside or apart:
        note = f"no layered path from the bulk tier to {', '.join(apart)}" if apart else ""
        return Verdict("layered", "partial", beside, note)
    starts = [each.id for each in graph.skeleton.entities if each.tier is Tier.BULK]
    by_sender = leaving(graph.layers)
    paths = [back(graph.layered, first_flows(start, by_sender)) for start in starts]
    return Verdict("layered", "yes", _declared(graph.skeleton, (flow for path in paths for flow in path)))


def _tier_bypassing(graph: _Graph) -> Verdict:
    """Our reading: whether a layered path exists beside is asked of each DER that is bypassed, not of any one."""
    if not graph.past:
        return Verdict("tier_bypassing", "none")
    ends = [end for flow in graph.past for end in (flow.sender, flow.receiver) if graph.tier(end) is Tier.CUSTOMER]
    driven = reach(ends, downstream(graph.layers))
    bare = [der for der in graph.ders if der in driven and der not in graph.layered]
    if not graph.layered:
        return Verdict("tier_bypassing", "extensive", graph.past, "no layered path exists beside them")
    if bare:
        note = f"no layered path exists beside them to {_listed(bare)}"
        return Verdict("tier_bypassing", "extensive", graph.past, note)
    return Verdict("tier_bypassing", "some", graph.past, "a layered path exists beside them")


def _data_bypassing(graph: _Graph) -> Verdict:
    found = tuple(flow for flow in graph.bypassing if flow.kind is Kind.DATA)
    return Verdict("data_bypassing", "some" if found else "none", found)


def _hidden_coupling(graph: _Graph) -> Verdict:
    found = hidden(graph.skeleton)
    scale = SCALES["hidden_coupling"]
    worst = max((scale.index(each.grade) for each in found), default=0)
    marked = {flow: None for each in found for flow in each.flows}
    flows = tuple(flow for flow in graph.skeleton.flows if flow in marked)
    who = _listed(meeting for each in found for meeting in each.meetings())
    note = f"nobody at or below the distribution tier coordinates {who}" if found else ""
    return Verdict("hidden_coupling", scale[worst], flows, note)


def _coordination_gap(graph: _Graph) -> Verdict:
    skeleton = graph.skeleton
    linked = linked_operators(skeleton, tuple(Kind))
    driving = downstream(skeleton.control())
    above = upstream(skeleton.control())
    bulk, local = (
        [each.id for each in skeleton.entities if is_operator(each) and each.tier is tier]
        for tier in (Tier.BULK, Tier.DISTRIBUTION)
    )
    if not bulk or not local:
        return Verdict("coordination_gap", value=False)
    met = {name: None for upper in bulk for name in linked[upper]}
    alone = {lower: None for lower in local if lower not in met}
    apart: list[tuple[str, str]] = []
    passing: list[Flow] = []
    for upper in bulk:
        strange = [lower for lower in local if lower not in linked[upper]]
        driven = hops(upper, driving)
        sharing = reach((name for name in driven if graph.tier(name) is Tier.CUSTOMER), above)
        past = [flow for flow in graph.past if flow.sender in driven]
        nobody = past and len(strange) == len(local)
        held = [lower for lower in strange if nobody or lower in alone or lower in sharing]
        apart += [(upper, lower) for lower in held]
        passing += past if held else ()
    note = _listed([f"no direct flow between {upper} and {lower}" for upper, lower in apart])
    return Verdict("coordination_gap", bool(apart), tuple(dict.fromkeys(passing)), note)


def _latency(graph: _Graph) -> tuple[Verdict, tuple[str, ...], int | None]:
    skeleton = graph.skeleton
    flows = _passing_down(graph)
    driving = reach(graph.ders, upstream(flows))
    nodes = [each.id for each in skeleton.entities if each.id in driving]
    chain = longest(nodes, flows, lambda name: int(name not in graph.ders), lambda _: 0)
    value = "none" if chain.weight < LIMITED_SERIES else "limited" if chain.weight == LIMITED_SERIES else "some"
    timed = [flow for flow in flows if flow.cycle_s is not None]
    slowest = longest(nodes, flows, lambda _: 0, lambda flow: flow.cycle_s or 0).weight if timed else None
    series = tuple(name for name in chain.nodes if name not in graph.ders)
    note = f"{chain.weight} in series above the DER: {', '.join(series)}"
    if slowest is not None:
        note += f"; the slowest chain takes {slowest} s"
    causes = _declared(skeleton, chain.flows) if value != "none" else ()
    return Verdict("latency_cascading", value, causes, note), series, slowest


def _scalability(graph: _Graph) -> Verdict:
    """Our reading: a DSO is made to face its customers; what does not scale is the bulk tier facing very many of
    anything, or many customers with no layer beside that takes a share of them.
    """
    crowd: list[Flow] = []
    served, driving = graph.served(), reach(graph.ders, upstream(graph.layers))
    for flow in graph.skeleton.flows:
        sender, receiver = graph.skeleton.entity(flow.sender), graph.skeleton.entity(flow.receiver)
        for operator, neighbour in ((sender, receiver), (receiver, sender)):
            if operator.tier is not Tier.BULK or neighbour.tier is Tier.BULK:
                continue
            layer = neighbour.id in served if neighbour.id in driving else bool(graph.layered)
            alone = not layer and flow.kind is not Kind.DATA and neighbour.tier is Tier.CUSTOMER
            if neighbour.count is Count.VERY_MANY or (alone and neighbour.count is Count.MANY):
                crowd.append(flow)
    note = "the bulk tier has to deal with each of them" if crowd else ""
    return Verdict("scalability", "poor" if crowd else "good", tuple(crowd), note)


def _bulk_exposure(graph: _Graph) -> Verdict:
    ends = [
        graph.skeleton.entity(end).count
        for flow in graph.bypassing
        for end in (flow.sender, flow.receiver)
        if graph.tier(end) is Tier.CUSTOMER
    ]
    value = "high" if Count.VERY_MANY in ends else "moderate" if ends else "low"
    return Verdict("bulk_exposure", value, graph.bypassing)


def _race(graph: _Graph) -> Verdict:
    found = races(graph.skeleton)
    note = _listed(
        f"readings of {source} reach {each.one} and {each.other} on two paths"
        for each in found
        for source in each.sources
    )
    marked = {flow: None for each in found for flow in each.flows}
    return Verdict("race", bool(found), tuple(flow for flow in graph.skeleton.flows if flow in marked), note)
