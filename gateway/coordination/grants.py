"""Who may do what at one gateway, derived from the control flows of its skeleton (RULES A2, A3, A6 and D)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.coordination.graph import downstream, hops
from gateway.coordination.skeleton import Entity, Flow, Skeleton, SkeletonFault, is_operator
from gateway.core.functions import LIMITS, SWITCHES, Function
from gateway.core.parties import Grant, Level, Tier


class Holder(StrEnum):
    """By which kind of flow a service is held."""

    PARENT = "parent"
    ASSET_OWNER = "asset-owner"
    BULK = "bulk"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True)
class Service:
    """A service as profiles/dso/services.toml has it; `roles` narrows a customer-tier one to who may hold it."""

    name: str
    level: Level
    functions: tuple[Function, ...]
    holder: Holder
    roles: tuple[str, ...] = ()

    @property
    def only_limits(self) -> bool:
        """Whether it limits and switches, and asks for no power."""
        return all(function in (*LIMITS, *SWITCHES) for function in self.functions)


@dataclass(frozen=True, slots=True)
class Member:
    """A party of a site, the entity of the skeleton that it stands for, and the group that it may act on."""

    party: str
    entity: str
    tier: Tier
    group: str


class Derived(NamedTuple):
    """A grant and the flow that it follows from; None where it follows from being the limit parent."""

    grant: Grant
    flow: Flow | None


class Standing(NamedTuple):
    """What one party may do, and where that is nothing, why."""

    party: str
    derived: tuple[Derived, ...]
    why: str


def services(raw: Mapping[str, object]) -> tuple[Service, ...]:
    """Read the parsed table of services; raise ValueError, in one line, where it is not as it should be."""
    listed = raw.get("service")
    if not isinstance(listed, list) or not listed:
        raise ValueError("services: no [[service]]")
    return tuple(_service(each) for each in listed)


def _service(raw: Mapping[str, object]) -> Service:
    name, level, functions, holder, roles = (raw.get(key) for key in ("name", "level", "functions", "holder", "roles"))
    listed = functions if isinstance(functions, list) else []
    if not name or not listed or not str(level).isdigit():
        raise ValueError(f"service {name}: name, level and functions are needed")
    return Service(
        str(name),
        Level(int(str(level))),
        tuple(Function(str(each)) for each in listed),
        Holder(str(holder)),
        tuple(str(each) for each in roles) if isinstance(roles, list) else (),
    )


def derive(
    skeleton: Skeleton, members: Sequence[Member], offered: Sequence[Service]
) -> tuple[Grant, ...] | SkeletonFault:
    """Give the grants of a site's parties, in their order; a party without a flow to here gets none (A6)."""
    found = standings(skeleton, members, offered)
    if isinstance(found, SkeletonFault):
        return found
    return tuple(each.grant for standing in found for each in standing.derived)


def standings(
    skeleton: Skeleton, members: Sequence[Member], offered: Sequence[Service]
) -> tuple[Standing, ...] | SkeletonFault:
    """Give what each party may do, with the flow that each grant follows from, or why it may do nothing."""
    fault = _fault(skeleton, members, offered)
    if fault is not None:
        return fault
    return tuple(_standing(skeleton, member, offered) for member in members)


def _fault(skeleton: Skeleton, members: Sequence[Member], offered: Sequence[Service]) -> SkeletonFault | None:
    entities = skeleton.by_id()
    operators = tuple(each.id for each in skeleton.entities if each.tier is not Tier.BULK)
    if skeleton.serves is None:
        return _wrong(skeleton, 'nothing says whom the gateway serves; add serves = "<entity>"', "", operators)
    if skeleton.serves not in entities:
        return _wrong(skeleton, f'"serves": no entity has the id "{skeleton.serves}"', skeleton.serves, operators)
    if entities[skeleton.serves].tier is Tier.BULK:
        return _wrong(skeleton, "a gateway serves an entity at or below the distribution tier", "", operators)
    parents = [member.party for member in members if member.entity == skeleton.serves]
    if len(parents) > 1:
        return _wrong(skeleton, f'A2: one limit parent; of "{parents[0]}" and "{parents[1]}" only one can be it')
    for member in members:
        entity = entities.get(member.entity)
        if entity is None:
            what = f'party "{member.party}": no entity has the id "{member.entity}"'
            return _wrong(skeleton, what, member.entity, tuple(entities))
        if entity.tier is not member.tier:
            what = (
                f'party "{member.party}" is of tier "{member.tier}", its entity "{entity.id}" of tier "{entity.tier}"'
            )
            return _wrong(skeleton, what)
    known = tuple(each.name for each in offered)
    named = [member.entity for member in members]
    for flow in skeleton.control():
        stray = [each for each in flow.services or () if each not in known]
        if stray and flow.sender in named:
            what = f'{flow}: no service is named "{stray[0]}"'
            return _wrong(skeleton, what, stray[0], known, (flow.sender, flow.receiver))
    return None


def _wrong(
    skeleton: Skeleton, what: str, wrong: str = "", known: tuple[str, ...] = (), ends: tuple[str, ...] = ()
) -> SkeletonFault:
    """Make a fault of the site's choice, or, where it names the ends of a flow, of the model itself."""
    return SkeletonFault(ends, f'architecture "{skeleton.id}"', what, wrong, known)


def _standing(skeleton: Skeleton, member: Member, offered: Sequence[Service]) -> Standing:
    entity = skeleton.entity(member.entity)
    flows = tuple(flow for flow in skeleton.control() if flow.sender == entity.id)
    derived: tuple[Derived, ...]
    if entity.id == skeleton.serves:
        below = [flow for flow in flows if skeleton.entity(flow.receiver).tier is not Tier.BULK]
        derived = _as_parent(member, offered, below)
        return Standing(member.party, derived, "" if derived else _nothing_passes(below, entity))
    if entity.role == "asset-owner":
        reaching = [flow for flow in flows if flow.receiver == skeleton.serves or _is_customer(skeleton, flow)]
        holder, missing = Holder.ASSET_OWNER, f"the served {skeleton.serves} or to a customer"
    elif entity.tier is Tier.BULK:
        reaching = [flow for flow in flows if _is_customer(skeleton, flow) and _is_here(skeleton, flow)]
        holder, missing = Holder.BULK, "a customer of this gateway: it acts through the DSO alone (A2)"
    elif entity.tier is Tier.CUSTOMER:
        reaching = [flow for flow in flows if _is_customer(skeleton, flow)]
        holder, missing = Holder.CUSTOMER, "a customer or DER"
    else:
        return Standing(member.party, (), f"{entity.id} is not the served {skeleton.serves}, the one limit parent (A2)")
    if not reaching:
        return Standing(member.party, (), f"no control flow goes from {entity.id} to {missing}")
    held = [each for each in offered if each.holder is holder and (not each.roles or entity.role in each.roles)]
    if not held:
        return Standing(member.party, (), f'no service is for the role "{entity.role}"')
    derived = _passed(member, held, reaching)
    return Standing(member.party, derived, "" if derived else _nothing_passes(reaching, entity))


def _as_parent(member: Member, offered: Sequence[Service], flows: Sequence[Flow]) -> tuple[Derived, ...]:
    """The limit parent's limits hold without a flow, as the connection agreement does; its set-points need one."""
    own = [each for each in offered if each.holder is Holder.PARENT]
    if flows:
        return _passed(member, own, flows)
    return tuple(Derived(_grant(member, each), None) for each in own if each.only_limits)


def _passed(member: Member, held: Iterable[Service], flows: Sequence[Flow]) -> tuple[Derived, ...]:
    found: list[Derived] = []
    for service in held:
        flow = next((each for each in flows if each.services is None or service.name in each.services), None)
        if flow is not None:
            found.append(Derived(_grant(member, service), flow))
    return tuple(found)


def _grant(member: Member, service: Service) -> Grant:
    return Grant(member.party, service.name, service.level, service.functions, member.group)


def _nothing_passes(flows: Sequence[Flow], entity: Entity) -> str:
    if not flows:
        return f"no service is for {entity.id}"
    names = ", ".join(str(flow) for flow in flows)
    return f'no service of its own passes this gateway over {names}; see "services" there'


def _is_customer(skeleton: Skeleton, flow: Flow) -> bool:
    return skeleton.entity(flow.receiver).tier is Tier.CUSTOMER


def _is_here(skeleton: Skeleton, flow: Flow) -> bool:
    """Say whether a flow to a customer ends in the area of the served entity, or in no other DSO's."""
    entities = skeleton.by_id()
    low = tuple(
        each
        for each in skeleton.control()
        if entities[each.sender].tier is not Tier.BULK and entities[each.receiver].tier is not Tier.BULK
    )
    below = downstream(low)
    concerned = hops(flow.receiver, below)
    areas = [
        each.id
        for each in skeleton.entities
        if each.tier is Tier.DISTRIBUTION
        and is_operator(each)
        and any(name in hops(each.id, below) for name in concerned)
    ]
    own = hops(skeleton.serves or "", below)
    return not areas or skeleton.serves in areas or any(name in own for name in concerned)
