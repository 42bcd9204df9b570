"""The naive reading's own words: what was heard and when, what the site file says, and what each slot says."""

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.core.answers import Kind
from gateway.core.orders import Ceiling, Default, Effect, Floor, Order, Release, Tie
from gateway.core.units import Share

UPPER_OF_POINT = {
    "connection": ("export-limit",),
    "der": ("generation-limit", "rating-limit"),
}
LOWER_OF_POINT = {"connection": ("import-limit",), "der": ("load-limit",)}
CEILINGS = ("export-limit", "generation-limit", "rating-limit")
FLOORS = ("import-limit", "load-limit")
SWITCHES = ("connect", "energize")
MODES = ("reactive-power", "volt-watt", "frequency-watt", "ride-through")
NEVER = 1 << 40
LAST_RESORT = "last-resort"


@dataclass(eq=False)
class Heard:
    """An order, what of it is granted, when it was heard, and when its issuer ended it or gave it a newer version."""

    order: Order
    effects: tuple[Effect, ...]
    heard_s: int
    cancelled_s: int | None = None
    replaced_s: int = NEVER

    def runs(self, second: int, known_by: int) -> bool:
        """Tell whether the order runs at a second, by what is known later on."""
        if self.cancelled_s is not None and known_by >= self.cancelled_s and second >= self.cancelled_s:
            return False
        ends = self.order.end_ms
        return self.order.start_ms <= second * 1000 and (ends is None or second * 1000 < ends)

    def says(self, function: str) -> Effect | None:
        return next((effect for effect in self.effects if effect.function.value == function), None)


class Program(NamedTuple):
    """What a default of one program says, and since which second."""

    default: Default
    heard_s: int


class Coloured(NamedTuple):
    """A colour of the segment, the direction that it bars, from when until when, and who set it."""

    heard_s: int
    colour: str
    constrained: str | None
    until_s: int
    issuer: str


class Contract(NamedTuple):
    """Capacity that is promised: for flexibility, or reserved for reliability."""

    reliability: bool
    w: int
    start_s: int
    end_s: int


class Row(NamedTuple):
    """What one slot says: level, place of its party, value, the order behind it or None for a default, its service."""

    level: int
    place: int
    value: int
    order: Heard | None
    service: str
    name: tuple[str, str]
    preferred: bool = False
    mode: Effect | None = None

    def seniority(self) -> tuple[int, int]:
        """Between orders of one party: the smaller precedence, then the later creation."""
        return (0, 0) if self.order is None else (self.order.order.rank.precedence, -self.order.order.rank.created_ms)


class Right(NamedTuple):
    """One grant: who may do what, for which service, at which level."""

    party: str
    service: str
    function: str
    level: int


@dataclass
class Rules:
    """What the site file says of one resource.

    `places` are the parties, the first going first; `order` is the strength of levels 4 to 7 by colour; `prefers` the
    services that go before others: winner, loser, direction and colour, where empty is any.
    """

    rights: list[Right]
    places: list[str]
    parent: str
    customers: tuple[str, ...]
    agreement_w: int
    last_resort_w: int
    rated_w: int
    prices: tuple[tuple[int, int], ...] = ()
    order: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    prefers: tuple[tuple[str, str, str, str], ...] = ()

    def level(self, party: str, service: str, function: str) -> int | None:
        """Give where a party stands with a function: for a service, or the strongest where none is named."""
        levels = [
            one.level
            for one in self.rights
            if one.party == party and one.function == function and service in ("", one.service) and self.heeded(one)
        ]
        return min(levels, default=None)

    def grants_default(self, default: Default) -> bool:
        """Tell whether anything of a default is granted; one that says nothing is none to refuse."""
        return not default.effects or any(
            (one.party, one.function) == (default.issuer, effect.function.value)
            and default.service in ("", one.service)
            for one in self.rights
            for effect in default.effects
        )

    def heeded(self, right: Right) -> bool:
        """Only the parent, customers on their own DER, and levels 1 and 2 limit (A2, B)."""
        limits = right.function in CEILINGS + FLOORS
        return not limits or right.party == self.parent or right.party in self.customers or right.level <= 2

    def strength(self, level: int, colour: str) -> int:
        return self.order[colour][level - 4] if 4 <= level <= 7 else level

    def service(self, party: str, level: int, function: str) -> str:
        return next(
            one.service for one in self.rights if (one.party, one.function, one.level) == (party, function, level)
        )


def stronger(one: Heard, other: Heard, function: str) -> bool:
    """The smaller precedence, then what the server's protocol says, then the smaller id."""
    mine, theirs = one.order.rank, other.order.rank
    if mine.precedence != theirs.precedence:
        return mine.precedence < theirs.precedence
    said, against = one.says(function), other.says(function)
    if mine.tie is Tie.TIGHTER_LIMIT and function in CEILINGS + FLOORS:
        sizes = []
        for effect in (said, against):
            assert isinstance(effect, Ceiling | Floor | Release)
            watts = None if isinstance(effect, Release) or isinstance(effect.power, Share) else effect.power.w
            sizes.append(NEVER if watts is None else -watts if function in FLOORS else watts)
        if sizes[0] != sizes[1]:
            return sizes[0] < sizes[1]
        if not isinstance(said, Release):
            return one.order.id < other.order.id
    if mine.created_ms != theirs.created_ms:
        return mine.created_ms > theirs.created_ms
    return one.order.id < other.order.id


WORDS = {
    Kind.COMPLETED: "ended",
    Kind.PARTIAL: "ended",
    Kind.CANNOT: "ended",
    Kind.EXPIRED: "ended",
}
"""Every way of having run to the end, in one word."""
