"""Skeletons of thousands of entities: assessed and drawn in seconds, and by the same verdicts as one pair at a time."""

import time
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from skeletons import DER, DSO, TSO, Raw, architecture, entity, flow, random_skeletons, skeleton

from gateway.coordination.assess import SCALES, assess
from gateway.coordination.coupling import bypasses, linked_operators
from gateway.coordination.draw import draw
from gateway.coordination.graph import cycles, depths, downstream, gates, hops, upstream
from gateway.coordination.skeleton import Count, Flow, Kind, Overlap, Skeleton, der_ids, is_operator
from gateway.core.parties import Tier

LARGE, CPU_S = 5_000, 5.0


def street_of(count: int, *, past: bool) -> Raw:
    """Give a bulk operator, 20 DSOs, an aggregator for each eight DER, and readings up; with `past` two controllers."""
    dsos = [f"dso-{number}" for number in range(20)]
    aggregators = [f"agg-{number}" for number in range(count // 9)]
    ders = [f"der-{number}" for number in range(count - 21 - len(aggregators))]
    entities = [TSO, *(entity(name, "distribution", "dso") for name in dsos)]
    entities += [entity(name, "customer", "aggregator") for name in aggregators]
    entities += [entity(name, "customer", "der") for name in ders]
    flows = [each for name in dsos for each in (flow("tso", name), flow(name, "tso", "data"))]
    for number, name in enumerate(aggregators):
        above = dsos[number % 20]
        flows += [flow(above, name), flow(name, above, "data"), flow(name, above, "market")]
        flows += [flow("tso", name)] if past else []
    for number, name in enumerate(ders):
        above = aggregators[number % len(aggregators)]
        flows += [flow(above, name), flow(name, above, "data")]
        flows += [flow(aggregators[number % len(aggregators) - 1], name)] if past else []
    return architecture(entities, flows)


def deep(count: int) -> Raw:
    """Give a chain of customers, each of whom instructs the next."""
    names = [f"agg-{number}" for number in range(count)]
    links = [flow(one, other) for one, other in zip(names, [*names[1:], "der"], strict=True)]
    entities = [TSO, DSO, *(entity(name, "customer", "aggregator") for name in names), DER]
    return architecture(entities, [flow("tso", "dso"), flow("dso", names[0]), *links])


def crowded(count: int) -> Raw:
    """Give as many DSOs that all drive one DER."""
    names = [f"dso-{number}" for number in range(count)]
    entities = [TSO, *(entity(name, "distribution", "dso") for name in names), DER]
    return architecture(entities, [each for name in names for each in (flow("tso", name), flow(name, "der"))])


@pytest.mark.parametrize(
    ("raw", "coupling"),
    [
        pytest.param(street_of(LARGE, past=False), "none", id="layered"),
        pytest.param(street_of(LARGE, past=True), "some", id="past the DSOs"),
        pytest.param(deep(LARGE // 2), "none", id="deep"),
        pytest.param(crowded(LARGE // 2), "some", id="crowded"),
    ],
)
def test_thousands_of_entities_take_seconds(raw: Raw, coupling: str) -> None:
    made = skeleton(raw)
    before_s = time.process_time()
    found = assess(made)
    picture = draw([made])
    took_s = time.process_time() - before_s
    assert found.verdict("hidden_coupling").value == coupling
    assert picture.count("<rect") > len(raw["entity"])
    assert max(len(each.note) for each in found.verdicts) < 300_000
    assert took_s < CPU_S


# -- the same, one pair and one path at a time


def naive_hidden(made: Skeleton) -> tuple[str, set[Flow]]:
    """Give the gravest grade and the flows of all pairs that are coupled and hidden, by looking at each pair."""
    world = _Naive(made)
    worst, flows = "none", set[Flow]()
    for one, other in world.meeting():
        if not world.coordinated(one, other):
            worst = max(worst, world.grade(one, other), key=SCALES["hidden_coupling"].index)
            flows |= {one, other}
    return worst, flows


class _Naive:
    def __init__(self, made: Skeleton) -> None:
        self.made, self.entities, control = made, made.by_id(), made.control()
        near = [each for each in control if Tier.BULK not in (self.tier(each.sender), self.tier(each.receiver))]
        self.low = {
            name: [] if self.tier(name) is Tier.BULK else list(hops(name, upstream(near))) for name in self.entities
        }
        self.chain = {name: list(hops(name, upstream(control))) for name in self.entities}
        customers = [name for name in self.entities if self.tier(name) is Tier.CUSTOMER]
        self.cycle = {name: group for group in cycles(customers, control) for name in group}
        self.ders = der_ids(made.entities, made.flows)
        self.linked = linked_operators(made, (Kind.CONTROL, Kind.MARKET))

    def tier(self, name: str) -> Tier:
        return self.made.entity(name).tier

    def meeting(self) -> list[tuple[Flow, Flow]]:
        found = [
            each
            for each in self.made.control()
            if each.receiver in self.cycle
            and each.sender not in self.cycle[each.receiver]
            and each.overlap is not Overlap.NONE
        ]
        several = [
            (each, each)
            for each in found
            if each.overlap and each.sender in self.cycle and self.made.entity(each.sender).count is not Count.ONE
        ]
        pairs = [(one, other) for one, other in combinations(found, 2) if one.sender != other.sender]
        return several + [
            (one, other)
            for one, other in pairs
            if self.cycle[one.receiver] == self.cycle[other.receiver] or self.one_network(one, other)
        ]

    def one_network(self, one: Flow, other: Flow) -> bool:
        if any(each.overlap is not Overlap.SAME_NETWORK or each.receiver not in self.ders for each in (one, other)):
            return False
        first, second = (self.operators(self.low[each.receiver], Tier.DISTRIBUTION) for each in (one, other))
        return not first or not second or any(name in second for name in first)

    def operators(self, names: list[str], tier: Tier) -> list[str]:
        return [name for name in names if is_operator(self.entities[name]) and self.tier(name) is tier]

    def coordinated(self, one: Flow, other: Flow) -> bool:
        node = self.cycle[one.receiver] + self.cycle[other.receiver]
        first, second = ([name for name in self.low[each.sender] if name not in node] for each in (one, other))
        if one is other:
            others = [name for name in first if name != one.sender]
            return any(
                self.tier(name) is Tier.DISTRIBUTION or self.made.entity(name).count is Count.ONE for name in others
            )
        if any(name in second for name in first):
            return True
        first, second = [*first, one.sender], [*second, other.sender]
        joint = [
            (each.sender, each.receiver) for each in self.made.flows if each.joint and not bypasses(self.made, each)
        ]
        return any((a in first and b in second) or (a in second and b in first) for a, b in joint)

    def grade(self, one: Flow, other: Flow) -> str:
        chain = self.chain[one.sender] + self.chain[other.sender]
        bulk, local = self.operators(chain, Tier.BULK), self.operators(chain, Tier.DISTRIBUTION)
        if not bulk or not local:
            return "low"
        return "large" if any(lower not in self.linked[upper] for upper in bulk for lower in local) else "some"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random_skeletons())
def test_hidden_coupling_is_that_of_every_pair(raw: Raw) -> None:
    made = skeleton(raw)
    found = assess(made).verdict("hidden_coupling")
    assert (found.value, set(found.causes)) == naive_hidden(made)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random_skeletons())
def test_a_gate_is_what_no_way_goes_round(raw: Raw) -> None:
    flows = skeleton(raw).flows
    for end in (each["id"] for each in raw["entity"]):
        above, below = upstream(flows), downstream(flows)
        led = gates(end, above)
        assert set(led) == set(hops(end, above))
        for start in led:
            passed, at = set[str](), start
            while at != end:
                at = led[at]
                passed.add(at)
            assert passed == {gate for gate in led if gate != start and end not in hops(start, below, gate)} | (
                {end} - {start}
            )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random_skeletons())
def test_a_box_stands_as_deep_as_the_longest_chain_above_it(raw: Raw) -> None:
    made = skeleton(raw)
    names, control = [each.id for each in made.entities], made.control()
    deep = depths(names, control)
    group_of = {name: group for group in cycles(names, control) for name in group}
    for each in control:
        if group_of[each.sender] == group_of[each.receiver]:
            assert deep[each.sender] == deep[each.receiver]
        else:
            assert deep[each.receiver] >= deep[each.sender] + len(group_of[each.receiver])
