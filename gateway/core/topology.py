"""The site: parties, grants, resources, devices and groups, as the site file states them."""

from dataclasses import dataclass

from gateway.core.parties import Grant, Party


@dataclass(frozen=True, slots=True)
class Device:
    """One DER. `settle_ms` after adoption its measurement is proof; `revert_ms` is how long it may live without us."""

    name: str
    resource: str
    rated_w: int
    settle_ms: int
    revert_ms: int
    service_transformer: str = ""
    segment: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """What the parent addresses: the DER behind one connection point.

    `export_limit_w` is the connection agreement, which always holds; `last_resort_export_limit_w` holds where no
    default was ever received.
    """

    name: str
    devices: tuple[str, ...]
    export_limit_w: int
    last_resort_export_limit_w: int


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of resources."""

    name: str
    resources: tuple[str, ...]


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
