"""Alternatives side by side: their verdicts, and what each entity must be able to do and to know (RULES D)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.coordination.assess import assess
from gateway.coordination.skeleton import Entity, Flow, Kind, Skeleton, is_operator
from gateway.core.parties import Tier

DOES = {
    (Kind.CONTROL, True): "instruct",
    (Kind.CONTROL, False): "obey",
    (Kind.MARKET, True): "bid to",
    (Kind.MARKET, False): "clear bids of",
    (Kind.DATA, True): "report to",
}
"""What an end of a flow asks of the entity that sends (True) or receives (False) there."""


class Needs(NamedTuple):
    """What one entity must be able to do and to know in one alternative."""

    entity: str
    do: tuple[str, ...]
    know: tuple[str, ...]


class Row(NamedTuple):
    """One role of one tier, and its entities in each alternative; an empty place where it is not part of it."""

    tier: Tier
    role: str
    needs: tuple[tuple[Needs, ...], ...]


class Comparison(NamedTuple):
    """Alternatives in the order given; each verdict with one value for each of them."""

    ids: tuple[str, ...]
    verdicts: tuple[tuple[str, tuple[str | bool, ...]], ...]
    rows: tuple[Row, ...]


def compare(skeletons: Sequence[Skeleton]) -> Comparison:
    """Set alternatives side by side; entities are matched by tier and role, whatever they are called."""
    assessed = [assess(each) for each in skeletons]
    names = [each.name for each in assessed[0].verdicts] if assessed else []
    verdicts = tuple((name, tuple(each.verdict(name).value for each in assessed)) for name in names)
    kinds = dict.fromkeys(
        (entity.tier, entity.role)
        for tier in Tier
        for skeleton in skeletons
        for entity in skeleton.entities
        if entity.tier is tier
    )
    seen = [{each.operator: each for each in one.seen} for one in assessed]
    ends = [_Ends.of(skeleton) for skeleton in skeletons]
    alike: list[dict[tuple[Tier, str], list[Entity]]] = [{} for _ in skeletons]
    for index, skeleton in enumerate(skeletons):
        for entity in skeleton.entities:
            alike[index].setdefault((entity.tier, entity.role), []).append(entity)
    rows = tuple(
        Row(
            tier,
            role,
            tuple(
                tuple(
                    _needs(ends[index], entity, seen[index][entity.id].hops if entity.id in seen[index] else {})
                    for entity in alike[index].get((tier, role), ())
                )
                for index in range(len(skeletons))
            ),
        )
        for tier, role in kinds
    )
    return Comparison(_labels([each.id for each in skeletons]), verdicts, rows)


def _labels(ids: Sequence[str]) -> tuple[str, ...]:
    """Give each alternative a label of its own: its id, numbered from the second of the same id on."""
    seen = [ids[: place + 1].count(name) for place, name in enumerate(ids)]
    return tuple(name if nth == 1 else f"{name} ({nth})" for name, nth in zip(ids, seen, strict=True))


@dataclass(frozen=True, slots=True)
class _Ends:
    """The flows of a skeleton by the entity at either end."""

    flows: Mapping[str, Sequence[Flow]]

    @classmethod
    def of(cls, skeleton: Skeleton) -> "_Ends":
        found: dict[str, list[Flow]] = {}
        for flow in skeleton.flows:
            for name in (flow.sender, flow.receiver):
                found.setdefault(name, []).append(flow)
        return cls(found)


def _needs(ends: _Ends, entity: Entity, seen: dict[str, int]) -> Needs:
    flows = ends.flows.get(entity.id, ())
    do = dict.fromkeys(
        said
        for flow in flows
        for said in (_does(flow, entity.id, sends=True), _does(flow, entity.id, sends=False))
        if said
    )
    know = [f"readings of {flow.sender}" for flow in flows if _tells(flow, entity.id)]
    know += [f"the state of {der} over {hops} hops" for der, hops in seen.items() if hops > 1]
    instructed = [flow.receiver for flow in flows if flow.kind is Kind.CONTROL and flow.sender == entity.id]
    if is_operator(entity) and instructed:
        know.append("the limits of its network")
    know += [f"what {name} can do" for name in instructed]
    return Needs(entity.id, tuple(do), tuple(dict.fromkeys(know)))


def _tells(flow: Flow, name: str) -> bool:
    return flow.kind is Kind.DATA and flow.receiver == name


def _does(flow: Flow, name: str, *, sends: bool) -> str:
    if (flow.sender if sends else flow.receiver) != name or (flow.kind, sends) not in DOES:
        return ""
    other = flow.receiver if sends else flow.sender
    if flow.joint:
        return f"decide jointly with {other}"
    often = f" every {flow.cycle_s} s" if sends and flow.cycle_s is not None else ""
    return f"{DOES[flow.kind, sends]} {other}{often}"
