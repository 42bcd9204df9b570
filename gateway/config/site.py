"""What every site file holds, whatever its adapters: parties, grants, groups, resources, devices (RULES A1 to A3)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from gateway.config.tables import NOT_A_KEY, TableSpec
from gateway.core.capacity import Domain
from gateway.core.functions import Function
from gateway.core.parties import Precedence, Tier
from gateway.core.sharing import Policy

Name = Annotated[str, re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*"), "letters, digits and - _ . :"]
Bus = Annotated[str, re.compile(r"[A-Za-z0-9_-]+(\.[1-4]){0,4}"), "a bus of the feeder's model, as 634 or 634.1.3"]
Ports = Annotated[int, (0, 65_535)]
Seconds = Annotated[int, (1, None)]
Watts = Annotated[int, (1, None)]
WattsOrNone = Annotated[int, (0, None), "in W; what holds when no default was ever received"]
Rating = Annotated[int, (0, None)] | None
Adapters = Mapping[str, Any]
HEALTH_PORT: Final = 9640
"""Where the daemon tells of its health, unless the site file says otherwise."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The daemon itself. `health_port` 0 takes any free port; it is always on 127.0.0.1.

    `dso_profile` says which service goes before which (RULES B): the name of a shipped profile, or a file.
    """

    name: Name
    health_port: Ports = HEALTH_PORT
    planning_horizon_s: Seconds = 604_800
    clock_tolerance_s: Annotated[int, (0, None)] = 300
    dso_profile: str = "default"


@dataclass(frozen=True, slots=True)
class Coordination:
    """The coordination model that the grants follow from (RULES D): a shipped one's id, a file, or FILE#ID.

    `serves` is the entity whose gateway this is, where it is another than the model says.
    """

    model: str
    serves: str | None = None


@dataclass(frozen=True, slots=True)
class LocalApi:
    """The API for parties on this machine. Contact is lost `contact_lost_s` after a party's last request (RULES C14).

    `port` 0 takes any free port; it is always on 127.0.0.1.
    """

    port: Ports
    contact_lost_s: Annotated[int, (1, 86_400)] = 300


@dataclass(frozen=True, slots=True)
class Party:
    """Who speaks; what proves it is in the table of the adapter that hears it, or in its token (RULES A1).

    Of parties at one level the smaller `standing` goes first (C3, C12). `entity` is what it is in the coordination
    model and `group` what it may act on there; `token_file` holds the bearer token that it shows to the local API.
    One that is a `wire_of` another party is the same operator over a second protocol or server: its orders compete in
    slots of their own, and its limits count where `limit_parent` says so.
    """

    name: Name
    tier: Tier
    limit_parent: bool = False
    standing: int = 0
    entity: str | None = None
    group: str | None = None
    token_file: Path | None = None
    wire_of: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a party may do to a group, and at which level it stands then (RULES A3, B)."""

    party: str
    service: str
    level: Annotated[int, (1, 8)]
    functions: tuple[Function, ...]
    group: str


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of resources, and how an order on it in sum is shared (RULES E)."""

    name: Name
    resources: tuple[str, ...]
    share: Policy = Policy.PROPORTIONAL


@dataclass(frozen=True, slots=True)
class PriceResponse:
    """From this price on (currency per MWh) the customer wants to run at this power (W, positive is generation)."""

    at_least_per_mwh: float
    target_w: int


@dataclass(frozen=True, slots=True)
class Resource:
    """One connection point: `export_limit_w` is its connection agreement; `tables` are its adapters' tables.

    `cost` and `network_impact` are what merit order and least network impact go by, the smaller first (RULES E).
    """

    name: Name
    export_limit_w: Watts
    last_resort_export_limit_w: WattsOrNone
    cost: int = 0
    network_impact: int = 0
    price_response: tuple[PriceResponse, ...] = ()
    tables: Adapters = field(default_factory=dict, metadata={NOT_A_KEY: True})


@dataclass(frozen=True, slots=True)
class Device:
    """One DER behind a resource; `tables` holds the one table of the adapter that drives it.

    `energy_wh` is what it stores, where it does, and `rated_charge_w` the most that it draws, by charging or as a load
    (W, a size); `domain` where it is connected, which bounds its services (RULES C8).
    `bus` is where it is on the feeder's model, with its phases, as in 634.1.3.
    """

    name: Name
    resource: str
    rated_w: Watts
    service_transformer: Name | None = None
    segment: Name | None = None
    energy_wh: Annotated[int, (1, None)] | None = None
    rated_charge_w: Annotated[int, (1, None)] | None = None
    nominal_voltage_v: Annotated[float, (1, 1_000_000)] | None = None
    domain: Domain = Domain.CUSTOMER
    bus: (
        Annotated[str, re.compile(r"[A-Za-z0-9_-]+(\.[1-4]){0,4}"), "a bus of the feeder's model, as 634 or 634.1.3"]
        | None
    ) = None
    tables: Adapters = field(default_factory=dict, metadata={NOT_A_KEY: True})


@dataclass(frozen=True, slots=True)
class Meter:
    """The meter at a resource's connection point, over which its export and import limits are closed (RULES C2).

    `tables` holds the one table of the adapter that reads it.
    """

    name: Name
    resource: str
    tables: Adapters = field(default_factory=dict, metadata={NOT_A_KEY: True})


@dataclass(frozen=True, slots=True)
class NetworkPoint:
    """A service transformer or segment that devices name: its static ratings (W, sizes), and who yields (RULES C12)."""

    name: Name
    export_limit_w: Rating = None
    import_limit_w: Rating = None
    share: Policy = Policy.PROPORTIONAL


@dataclass(frozen=True, slots=True)
class Interface:
    """The T-D interface of all resources, or of those of `group`: its static ratings (W, sizes)."""

    name: Name
    group: str | None = None
    export_limit_w: Rating = None
    import_limit_w: Rating = None
    share: Policy = Policy.PROPORTIONAL


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A site file without fault; `tables` holds the adapters' own top-level tables, arrays as tuples.

    `grants` are those that hold: as written, or as they follow from the coordination model.
    """

    path: Path
    gateway: Gateway
    parties: tuple[Party, ...]
    grants: tuple[Grant, ...]
    groups: tuple[Group, ...]
    resources: tuple[Resource, ...]
    devices: tuple[Device, ...]
    meters: tuple[Meter, ...]
    transformers: tuple[NetworkPoint, ...]
    segments: tuple[NetworkPoint, ...]
    interface: Interface | None
    local_api: LocalApi | None
    precedence: Precedence
    tables: Adapters


TABLES: Mapping[str, TableSpec] = {
    "gateway": TableSpec(Gateway),
    "party": TableSpec(Party, many=True, references={"group": "group", "wire_of": "party"}),
    "grant": TableSpec(Grant, many=True, references={"party": "party", "group": "group"}),
    "group": TableSpec(Group, many=True, references={"resources": "resource"}),
    "resource": TableSpec(Resource, many=True),
    "device": TableSpec(Device, many=True, references={"resource": "resource"}),
    "meter": TableSpec(Meter, many=True, references={"resource": "resource"}, required=False),
    "coordination": TableSpec(Coordination, required=False),
    "local_api": TableSpec(LocalApi, required=False),
    "service_transformer": TableSpec(NetworkPoint, many=True, required=False),
    "segment": TableSpec(NetworkPoint, many=True, required=False),
    "interface": TableSpec(Interface, references={"group": "group"}, required=False),
}
