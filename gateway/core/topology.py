"""The site: parties, grants, resources, devices and groups, as the site file states them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.core.capacity import Domain
from gateway.core.parties import USUAL_PRECEDENCE, Direction, Grant, Party, Precedence
from gateway.core.sharing import Policy


@dataclass(frozen=True, slots=True)
class Device:
    """One DER. `settle_ms` after adoption its measurement is proof; `revert_ms` is how long it may live without us.

    `energy_wh` is what it can store, 0 where it stores nothing; `nominal_voltage_mv` 0 where it is not stated. Its
    `domain` bounds the services that it may be promised to (C8). `rated_charge_w` is the most that it draws from the
    grid, by charging or by itself, 0 where that is not stated.
    """

    name: str
    resource: str
    rated_w: int
    settle_ms: int
    revert_ms: int
    service_transformer: str = ""
    segment: str = ""
    energy_wh: int = 0
    nominal_voltage_mv: int = 0
    domain: Domain = Domain.CUSTOMER
    rated_charge_w: int = 0

    @property
    def draws_w(self) -> int:
        """Give the most that it draws (W): as rated; what stores draws its rating where nothing else is said."""
        return self.rated_charge_w or (self.rated_w if self.energy_wh else 0)


class PriceStep(NamedTuple):
    """What a customer wants to run at (W) once the price is at least this much (thousandths per MWh)."""

    at_least_milli_per_mwh: int
    target_w: int


@dataclass(frozen=True, slots=True)
class Resource:
    """What the parent addresses: the DER behind one connection point.

    `export_limit_w` is the connection agreement, which always holds; `last_resort_export_limit_w` holds where no
    default was ever received. `price_response` is what its customer does at which price, cheapest first. `cost` and
    `network_impact` are what the sharing policies of that name go by (E).
    """

    name: str
    devices: tuple[str, ...]
    export_limit_w: int
    last_resort_export_limit_w: int
    price_response: tuple[PriceStep, ...] = ()
    cost: int = 0
    network_impact: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of resources, and how an order on it in sum is shared among them (E)."""

    name: str
    resources: tuple[str, ...]
    policy: Policy = Policy.PROPORTIONAL


class PointKind(StrEnum):
    """Where in the network a point lies above the connection points."""

    SERVICE_TRANSFORMER = "service-transformer"
    SEGMENT = "segment"
    INTERFACE = "interface"


@dataclass(frozen=True, slots=True)
class Point:
    """A place that the power of several resources meets at, and its static ratings (W); None where it has none (C12).

    The import rating is a size, not signed.
    """

    name: str
    kind: PointKind
    resources: tuple[str, ...]
    export_limit_w: int | None = None
    import_limit_w: int | None = None
    policy: Policy = Policy.PROPORTIONAL

    def limit_w(self, direction: Direction) -> int | None:
        """Give the rating of one direction (W, a size)."""
        return self.export_limit_w if direction is Direction.EXPORT else self.import_limit_w


@dataclass(frozen=True, slots=True)
class Feeder:
    """A feeder whose model is asked before power moves away from zero, and how long it may take to answer (ms)."""

    name: str
    resources: tuple[str, ...]
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that the site file says of the domain that this gateway coordinates."""

    name: str
    parties: tuple[Party, ...]
    grants: tuple[Grant, ...]
    groups: tuple[Group, ...]
    resources: tuple[Resource, ...]
    devices: tuple[Device, ...]
    planning_horizon_ms: int = 7 * 24 * 3_600_000
    clock_tolerance_ms: int = 300_000
    points: tuple[Point, ...] = ()
    precedence: Precedence = USUAL_PRECEDENCE
    feeders: tuple[Feeder, ...] = ()
