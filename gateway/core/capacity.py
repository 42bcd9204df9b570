"""Commitments as values: capacity promised to services, what a DER can promise, and the book of it (RULES C7, C8)."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from gateway.core.parties import Direction

MS_PER_HOUR = 3_600_000
PERMILLE = 1_000


class Domain(StrEnum):
    """Where a service is rendered, or a DER is connected (CPUC D.18-01-003)."""

    CUSTOMER = "customer"
    DISTRIBUTION = "distribution"
    TRANSMISSION = "transmission"
    WHOLESALE_MARKET = "wholesale-market"
    RESOURCE_ADEQUACY = "resource-adequacy"


GRID_DOMAINS = (Domain.TRANSMISSION, Domain.WHOLESALE_MARKET, Domain.RESOURCE_ADEQUACY)
"""What is rendered beyond the T-D interface, and so has to get through it."""


class CommitmentKey(NamedTuple):
    """What names a commitment: the party that offered it and the party's id."""

    party: str
    id: str


class Slice(NamedTuple):
    """A part of one DER's capacity (W), and the energy (Wh) that may be drawn on; None is all the window long."""

    device: str
    w: int
    energy_wh: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a contract asks: the share of the window (1..1000 permille) to be available, the price of what is missing.

    `penalty_per_kwh_milli` (> 0) is in thousandths of the currency.
    """

    availability_permille: int
    penalty_per_kwh_milli: int


@dataclass(frozen=True, slots=True)
class Commitment:
    """Capacity in one direction, promised by `party` to `buyer` for a service, from `start_ms` until before `end_ms`.

    `domain` is where the service is rendered. What is `interruptible` may share its kW with other commitments.
    """

    party: str
    id: str
    buyer: str
    service: str
    level: int
    reliability: bool
    slices: tuple[Slice, ...]
    direction: Direction
    start_ms: int
    end_ms: int
    domain: Domain
    terms: Terms | None
    created_ms: int
    interruptible: bool = False

    @property
    def key(self) -> CommitmentKey:
        """The commitment's name."""
        return CommitmentKey(self.party, self.id)

    def promised_wms(self, part: Slice) -> int:
        """Give the most energy (W times ms) that one slice has to deliver over the window."""
        if part.energy_wh is None:
            return part.w * (self.end_ms - self.start_ms)
        return part.energy_wh * MS_PER_HOUR


@dataclass(frozen=True, slots=True)
class InterfaceRoom:
    """A T-D interface and what the network can carry through it in each direction (W); None where nothing limits it."""

    name: str
    export_w: int | None = None
    import_w: int | None = None

    def limit_w(self, direction: Direction) -> int | None:
        """Give what can be carried in one direction (W)."""
        return self.export_w if direction is Direction.EXPORT else self.import_w


@dataclass(frozen=True, slots=True)
class Capability:
    """What one DER can promise, by whom, and where it is connected.

    `rated_w` bounds export, `charge_w` import (both >= 0); `energy_wh` is what it stores, None where it stores nothing.
    """

    device: str
    owner: str
    domain: Domain
    rated_w: int
    charge_w: int = 0
    energy_wh: int | None = None
    interface: InterfaceRoom | None = None

    def power_w(self, direction: Direction) -> int:
        """Give the most power in one direction (W)."""
        return self.rated_w if direction is Direction.EXPORT else self.charge_w


class Crossing(NamedTuple):
    """What of a commitment is to pass a T-D interface (W)."""

    interface: str
    w: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A commitment that may be entered, and what it takes of the T-D interfaces."""

    commitment: Commitment
    crossings: tuple[Crossing, ...] = ()


class Holding(NamedTuple):
    """One slice in the book of its DER, in the order of start, end and name."""

    start_ms: int
    end_ms: int
    key: CommitmentKey
    part: Slice


@dataclass(slots=True)
class InterfaceLoad:
    """Firm W through one T-D interface, as steps: `watts[i]` holds from `times_ms[i]` until the next."""

    times_ms: list[int] = field(default_factory=list)
    watts: list[int] = field(default_factory=list)


@dataclass(slots=True)
class CommitmentBook:
    """The commitments held: by name, by DER in the order of their start, and what they take of each T-D interface."""

    held: dict[CommitmentKey, Committed] = field(default_factory=dict)
    by_device: dict[str, list[Holding]] = field(default_factory=dict)
    loads: dict[tuple[str, Direction], InterfaceLoad] = field(default_factory=dict)


class Disclosure(NamedTuple):
    """That a buyer is to be told of a commitment to somebody else on a DER that it buys from (CPUC rule 9)."""

    buyer: str
    device: str
    told: Commitment


class Reduction(NamedTuple):
    """What an outage leaves of one commitment on one DER (W), to be told to its buyer."""

    key: CommitmentKey
    buyer: str
    device: str
    promised_w: int
    kept_w: int


def precedence(commitment: Commitment) -> tuple[bool, bool, int, CommitmentKey]:
    """Give what commitments on one DER are sorted by, the strongest first (C7, CPUC rule 5).

    The rules rank reliability only. Our reading: then the firm ones, the earlier created, the smaller name.
    """
    return (not commitment.reliability, commitment.interruptible, commitment.created_ms, commitment.key)
