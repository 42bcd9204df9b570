"""Who speaks, on which tier, and what each may do (RULES A1 to A3, B)."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from gateway.core.orders import Function


class Tier(StrEnum):
    """The three tiers of the grid."""

    BULK = "bulk"
    DISTRIBUTION = "distribution"
    CUSTOMER = "customer"


class Level(IntEnum):
    """Strength of a service: the smaller, the stronger (RULES B)."""

    DEVICE = 0
    LOCAL_SAFETY = 1
    EMERGENCY = 2
    CONNECTION = 3
    DSO_RELIABILITY = 4
    BULK_RELIABILITY = 5
    DSO_FLEXIBILITY = 6
    MARKET = 7
    CUSTOMER = 8
    DEFAULT = 9


@dataclass(frozen=True, slots=True)
class Party:
    """An identity that its transport proves, and the tier that it stands on.

    `rank` is the party's place in the site file: between servers at one level the earlier one goes first (C3).
    """

    name: str
    tier: Tier
    limit_parent: bool
    rank: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What one party may do to one group of resources, and at which level it then stands."""

    party: str
    service: str
    level: Level
    functions: tuple[Function, ...]
    group: str
