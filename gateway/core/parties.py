"""Who speaks, on which tier, and what each may do (RULES A1 to A3, B)."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

from gateway.core.functions import Function


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


class Direction(StrEnum):
    """The two ways in which power flows at a point."""

    EXPORT = "export"
    IMPORT = "import"


class Colour(StrEnum):
    """The network state of a segment (RULES C11)."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


class Preference(NamedTuple):
    """One service that goes before another in a network state and direction; empty is any (RULES B)."""

    winner: str
    loser: str
    direction: str = ""
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Precedence:
    """The order of levels 4 to 7 in each network state: the smaller number goes first, equal ones stand side by side.

    `preferences` are services that go before others whatever their levels. Levels outside 4 to 7 are fixed (RULES B).
    """

    green: tuple[int, int, int, int] = (4, 5, 7, 7)
    amber: tuple[int, int, int, int] = (4, 5, 6, 7)
    red: tuple[int, int, int, int] = (4, 5, 6, 7)
    preferences: tuple[Preference, ...] = ()

    def strength(self, level: int, colour: Colour) -> int:
        """Give how strong a level is in a network state; the smaller, the stronger."""
        if not Level.DSO_RELIABILITY <= level <= Level.MARKET:
            return level
        order = self.green if colour is Colour.GREEN else self.amber if colour is Colour.AMBER else self.red
        return order[level - Level.DSO_RELIABILITY]

    def prefers(self, winner: str, loser: str, direction: Direction, colour: Colour) -> bool:
        """Tell whether one service goes before another here, whatever their levels."""
        return any(
            row.winner == winner
            and row.loser == loser
            and row.direction in {"", direction}
            and row.colour in {"", colour}
            for row in self.preferences
        )


USUAL_PRECEDENCE = Precedence()


@dataclass(frozen=True, slots=True)
class Party:
    """An identity that its transport proves, and the tier that it stands on.

    Between parties at one level that drive one DER the smaller `standing` goes first, then the smaller `rank`, its
    place in the site file (C3). Those that drive different DER share what the network allows by standing alone (C12).
    One that is a `wire_of` another is the same operator over a second line: its orders have slots of their own.
    """

    name: str
    tier: Tier
    limit_parent: bool
    rank: int
    standing: int = 0
    wire_of: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one party may do to one group of resources, and at which level it then stands."""

    party: str
    service: str
    level: Level
    functions: tuple[Function, ...]
    group: str
