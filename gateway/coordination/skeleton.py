"""A coordination architecture as entities and directed flows (RULES D; De Martini, Kristov, Taft 2019, chapter 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.core.parties import Tier

Place = tuple[str | int, ...]


class Count(StrEnum):
    """How many of an entity there are."""

    ONE = "one"
    FEW = "few"
    MANY = "many"
    VERY_MANY = "very-many"


class Kind(StrEnum):
    """What a flow carries: instructions (also by market award), bids and schedules, or readings."""

    CONTROL = "control"
    MARKET = "market"
    DATA = "data"


class Overlap(StrEnum):
    """Whether control flows act on the same DER, on different DER of one network, or never on each other."""

    SAME_DER = "same-der"
    SAME_NETWORK = "same-network"
    NONE = "none"


DER_ROLES = (
    "der",
    "pv",
    "solar",
    "wind",
    "battery",
    "storage",
    "ev",
    "ev-charger",
    "heat-pump",
    "load",
    "flexible-load",
    "inverter",
    "device",
    "chp",
)
"""Roles of what is finally driven; a customer-tier entity of an unknown role that instructs no customer is one too."""

PREMISES_ROLES = ("ems", "customer", "prosumer", "building", "microgrid", "community")
"""Roles of who has DER: where a skeleton draws no DER below them they stand for theirs."""

TRADER_ROLES = (
    "aggregator",
    "sub-aggregator",
    "resource-aggregator",
    "aggregation-coordinator",
    "supplier",
    "retailer",
    "lse",
    "balance-responsible-party",
    "asset-owner",
    "market",
)
"""Customer-tier roles that drive other people's DER, and are never DER themselves."""

CONTROLLER_ROLES = (*PREMISES_ROLES, *TRADER_ROLES)

NO_OPERATOR_ROLES = (
    *CONTROLLER_ROLES,
    "to",
    "transmission-owner",
    "network-owner",
    "owner",
    "market-platform",
    "platform",
    "exchange",
    "power-exchange",
    "hub",
    "data-hub",
    "registry",
    "meter-operator",
    "generator",
    "regulator",
)
"""Roles that operate no network: every other entity of the bulk and the distribution tier is an operator."""


@dataclass(frozen=True, slots=True)
class Entity:
    """Who takes part, on which tier, in which role, and how many of it there are."""

    id: str
    tier: Tier
    role: str
    count: Count


@dataclass(frozen=True, slots=True)
class Flow:
    """What one entity sends to another.

    `overlap` None means not declared. `services` None means every service, the empty tuple none through this gateway.
    `cycle_s` is how often the flow is renewed, in seconds, where it is known.
    """

    sender: str
    receiver: str
    kind: Kind
    joint: bool = False
    overlap: Overlap | None = None
    services: tuple[str, ...] | None = None
    cycle_s: int | None = None

    def __str__(self) -> str:
        """The words by which an assessment names it."""
        return f"{self.sender} -> {self.receiver} ({self.kind})"


@dataclass(frozen=True, slots=True)
class Skeleton:
    """One architecture without fault: flows are one-way, those in two directions were made two."""

    id: str
    entities: tuple[Entity, ...]
    flows: tuple[Flow, ...]
    serves: str | None = None
    title: str = ""
    sources: tuple[str, ...] = ()
    _by_id: Mapping[str, Entity] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the entities."""
        object.__setattr__(self, "_by_id", {each.id: each for each in self.entities})

    def entity(self, name: str) -> Entity:
        """Give the entity of this id; raise KeyError where there is none."""
        return self._by_id[name]

    def by_id(self) -> Mapping[str, Entity]:
        """Give the entities by their ids."""
        return self._by_id

    def control(self) -> tuple[Flow, ...]:
        """Give the flows that instruct."""
        return tuple(flow for flow in self.flows if flow.kind is Kind.CONTROL)


@dataclass(frozen=True, slots=True)
class SkeletonFault:
    """What is wrong, and where: `place` is the path in the file; `wrong` was probably meant to be one of `known`."""

    place: Place
    where: str
    what: str
    wrong: str = ""
    known: tuple[str, ...] = ()


def is_operator(entity: Entity) -> bool:
    """Say whether an entity operates a network: it stands above the customers and its role is none of a bystander."""
    return entity.tier is not Tier.CUSTOMER and entity.role not in NO_OPERATOR_ROLES


def der_ids(entities: tuple[Entity, ...], flows: tuple[Flow, ...]) -> tuple[str, ...]:
    """Name the entities that are DER: by their role, and else by being instructed and instructing no other customer.

    So a premises below which no DER is drawn stands for its own, whether it is a prosumer or a building.
    """
    customers = {each.id: each for each in entities if each.tier is Tier.CUSTOMER}
    instructing = {flow.sender: flow for flow in flows if flow.kind is Kind.CONTROL and flow.receiver in customers}
    instructed = {flow.receiver: flow for flow in flows if flow.kind is Kind.CONTROL}
    last = tuple(each for each in customers.values() if each.id not in instructing)
    driven = {each.id: each for each in last if each.id in instructed and each.role not in TRADER_ROLES}
    named = tuple(each.id for each in customers.values() if each.role in DER_ROLES or each.id in driven)
    return named or tuple(each.id for each in last if each.role in PREMISES_ROLES)
