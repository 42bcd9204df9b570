"""Who sees which DER over how many hops, and whose readings race each other on two paths (RULES D)."""

from typing import NamedTuple

from gateway.coordination.graph import downstream, hops, shortest
from gateway.coordination.skeleton import Flow, Kind, Skeleton, der_ids, is_operator
from gateway.core.parties import Tier


class Seen(NamedTuple):
    """What one operator sees: the hops that the state of each DER class takes to it, and the classes it never sees."""

    operator: str
    hops: dict[str, int]
    unseen: tuple[str, ...]


class Race(NamedTuple):
    """Readings of one source that reach two operators of its DER on different paths."""

    source: str
    one: str
    other: str
    flows: tuple[Flow, ...]


def observability(skeleton: Skeleton) -> tuple[Seen, ...]:
    """Give, for each operator, the DER classes whose state reaches it over declared data flows."""
    ders = der_ids(skeleton.entities, skeleton.flows)
    below = downstream(_readings(skeleton))
    reached = {der: hops(der, below) for der in ders}
    return tuple(
        Seen(
            each.id,
            {der: reached[der][each.id] for der in ders if each.id in reached[der]},
            tuple(der for der in ders if each.id not in reached[der]),
        )
        for each in skeleton.entities
        if is_operator(each)
    )


def seeing_flows(skeleton: Skeleton) -> tuple[Flow, ...]:
    """Give the data flows over which some operator sees some DER."""
    readings = _readings(skeleton)
    paths = [shortest(der, seen.operator, readings) for seen in observability(skeleton) for der in seen.hops]
    return tuple(dict.fromkeys(flow for path in paths for flow in path))


def races(skeleton: Skeleton) -> tuple[Race, ...]:
    """Give each source whose readings reach two operators that drive its DER, neither of them through the other.

    Our reading: a source is a DER, or a customer-tier entity that receives no readings itself; its DER are itself and
    what it drives.
    """
    readings, control = _readings(skeleton), skeleton.control()
    ders = der_ids(skeleton.entities, skeleton.flows)
    below, driving = downstream(readings), downstream(control)
    operators = [each.id for each in skeleton.entities if is_operator(each)]
    driven = {name: [der for der in hops(name, driving) if der in ders] for name in operators}
    told = [flow.receiver for flow in readings]
    found: list[Race] = []
    for source in skeleton.entities:
        if source.tier is not Tier.CUSTOMER or source.id not in below or (source.id not in ders and source.id in told):
            continue
        own = [der for der in hops(source.id, driving) if der in ders]
        mine = [name for name in operators if any(der in own for der in driven[name])]
        for index, one in enumerate(mine):
            for other in mine[index + 1 :]:
                if one in hops(source.id, below, avoid=other) and other in hops(source.id, below, avoid=one):
                    first = shortest(source.id, one, readings, avoid=other)
                    second = shortest(source.id, other, readings, avoid=one)
                    found.append(Race(source.id, one, other, tuple(dict.fromkeys(first + second))))
    return tuple(found)


def _readings(skeleton: Skeleton) -> tuple[Flow, ...]:
    return tuple(flow for flow in skeleton.flows if flow.kind is Kind.DATA)
