"""Who sees which DER over how many hops, and whose readings race each other on two paths (RULES D)."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from gateway.coordination.graph import downstream, entering, forth, gates, gathered, hops, next_flows, upstream
from gateway.coordination.skeleton import Flow, Kind, Skeleton, der_ids, is_operator
from gateway.core.parties import Tier


class Seen(NamedTuple):
    """What one operator sees: the hops that the state of each DER class takes to it, and the classes it never sees."""

    operator: str
    hops: dict[str, int]
    unseen: tuple[str, ...]


class Race(NamedTuple):
    """Readings of some sources that reach two operators of their DER on different paths."""

    sources: tuple[str, ...]
    one: str
    other: str
    flows: tuple[Flow, ...]


def observability(skeleton: Skeleton) -> tuple[Seen, ...]:
    """Give, for each operator, the DER classes whose state reaches it over declared data flows."""
    ders = der_ids(skeleton.entities, skeleton.flows)
    above = upstream(_readings(skeleton))
    found: list[Seen] = []
    for each in skeleton.entities:
        if is_operator(each):
            far = hops(each.id, above)
            unseen = tuple(der for der in ders if der not in far)
            found.append(Seen(each.id, {der: far[der] for der in ders if der in far}, unseen))
    return tuple(found)


def seeing_flows(skeleton: Skeleton, seen: Sequence[Seen]) -> tuple[Flow, ...]:
    """Give the data flows over which some operator sees some DER."""
    arriving = entering(_readings(skeleton))
    found: dict[Flow, None] = {}
    for each in seen:
        found |= forth(each.hops, next_flows(each.operator, arriving))
    return tuple(flow for flow in skeleton.flows if flow in found)


def races(skeleton: Skeleton) -> tuple[Race, ...]:
    """Give the sources whose readings reach two operators that drive their DER, neither of them through the other.

    Our reading: a source is a DER, or a customer-tier entity that receives no readings itself; its DER are itself and
    what it drives.
    """
    readings = _readings(skeleton)
    below, told = downstream(readings), upstream(readings)
    ders = dict.fromkeys(der_ids(skeleton.entities, skeleton.flows))
    sources = [
        each.id
        for each in skeleton.entities
        if each.tier is Tier.CUSTOMER and each.id in below and (each.id in ders or each.id not in told)
    ]
    ways = _Ways(readings)
    found: list[Race] = []
    for (one, other), both in _doubly_told(skeleton, sources, ders).items():
        racing = tuple(source for source in both if ways.has(source, one, other) and ways.has(source, other, one))
        if racing:
            flows = ways.flows(racing, one, other) | ways.flows(racing, other, one)
            found.append(Race(racing, one, other, tuple(flows)))
    return tuple(found)


def _doubly_told(
    skeleton: Skeleton, sources: Sequence[str], ders: Mapping[str, None]
) -> dict[tuple[str, str], list[str]]:
    """Give, for each two operators, the sources whose readings reach both and whose DER both drive."""
    names = [each.id for each in skeleton.entities]
    operators = [each.id for each in skeleton.entities if is_operator(each)]
    bits = {name: 1 << place for place, name in enumerate(operators)}
    driving = gathered(names, skeleton.control(), bits)
    own = {der: driving[der] for der in ders}
    driven = gathered(names, [_turned(flow) for flow in skeleton.control()], own)
    seeing = gathered(names, [_turned(flow) for flow in _readings(skeleton)], bits)
    alike: dict[int, list[str]] = {}
    for source in sources:
        alike.setdefault(driven[source] & seeing[source], []).append(source)
    found: dict[tuple[str, str], list[str]] = {}
    for mask, members in alike.items():
        for pair in combinations([name for name in operators if bits[name] & mask], 2):
            found.setdefault(pair, []).extend(members)
    return found


def _turned(flow: Flow) -> Flow:
    return Flow(flow.receiver, flow.sender, flow.kind)


class _Ways:
    """The ways of readings to each operator, looked for once for all sources."""

    def __init__(self, readings: Sequence[Flow]) -> None:
        self._arriving = entering(readings)
        self._above = upstream(readings)
        self._gates: dict[str, dict[str, str]] = {}
        self._shortest: dict[str, dict[str, Flow]] = {}

    def has(self, source: str, operator: str, past: str) -> bool:
        """Tell whether readings of a source reach an operator on a way that another one is not on."""
        if operator not in self._gates:
            self._gates[operator] = gates(operator, self._above)
        led = self._gates[operator]
        if source not in led:
            return False
        while source not in (operator, past):
            source = led[source]
        return source != past

    def flows(self, sources: Sequence[str], operator: str, past: str) -> dict[Flow, None]:
        """Give the flows of a shortest such way of each of these sources."""
        if operator not in self._shortest:
            self._shortest[operator] = next_flows(operator, self._arriving)
        found = forth(sources, self._shortest[operator])
        if all(past not in (flow.sender, flow.receiver) for flow in found):
            return found
        return forth(sources, next_flows(operator, self._arriving, past))


def _readings(skeleton: Skeleton) -> tuple[Flow, ...]:
    return tuple(flow for flow in skeleton.flows if flow.kind is Kind.DATA)
