"""The checked site file as the core's site: parties, grants, groups, points, resources and devices."""

from typing import Final, Protocol

from gateway.config import SiteFile
from gateway.config.site import Device, Resource
from gateway.core import parties, topology
from gateway.core.parties import Level
from gateway.core.topology import PointKind

FEEDER_MARGIN_MS: Final = 1_000
"""How much longer than its model the core waits, so that it is the model that says why there is no answer."""


class _Paced(Protocol):
    """What every adapter's table of a device holds: how long it takes to settle, and to fall back alone (s)."""

    @property
    def settle_s(self) -> int: ...
    @property
    def revert_s(self) -> int: ...


def core_site(site: SiteFile, rate: float = 1.0) -> topology.Site:
    """Turn a checked site file into the core's site, for a clock of this rate: a feeder's model takes wall time."""
    devices: dict[str, list[str]] = {}
    for device in site.devices:
        devices.setdefault(device.resource, []).append(device.name)
    points = _points(site)
    groups = tuple(topology.Group(group.name, group.resources, group.share) for group in site.groups)
    named = [group.name for group in groups]
    return topology.Site(
        name=site.gateway.name,
        parties=tuple(
            parties.Party(party.name, party.tier, party.limit_parent, rank, party.standing, party.wire_of or "")
            for rank, party in enumerate(site.parties)
        ),
        grants=tuple(
            parties.Grant(grant.party, grant.service, Level(grant.level), grant.functions, grant.group)
            for grant in site.grants
        ),
        groups=(
            *groups,
            *(
                topology.Group(point.name, point.resources, point.policy)
                for point in points
                if point.kind is PointKind.INTERFACE and point.name not in named
            ),
        ),
        resources=tuple(_resource(resource, tuple(devices[resource.name])) for resource in site.resources),
        devices=tuple(_device(device) for device in site.devices),
        planning_horizon_ms=1000 * site.gateway.planning_horizon_s,
        clock_tolerance_ms=1000 * site.gateway.clock_tolerance_s,
        points=points,
        precedence=site.precedence,
        feeders=_feeders(site, rate),
    )


def _feeders(site: SiteFile, rate: float) -> tuple[topology.Feeder, ...]:
    """Give the feeder, if there is one, with the resources that are placed on it."""
    table = site.tables.get("feeder")
    if table is None:
        return ()
    placed = {device.resource for device in site.devices if device.bus is not None}
    names = tuple(resource.name for resource in site.resources if resource.name in placed)
    deadline_ms = round(1000 * table.deadline_s * max(1.0, rate)) + round(FEEDER_MARGIN_MS * max(1.0, rate))
    return (topology.Feeder(table.name, names, deadline_ms),)


def _resource(resource: Resource, devices: tuple[str, ...]) -> topology.Resource:
    return topology.Resource(
        resource.name,
        devices,
        resource.export_limit_w,
        resource.last_resort_export_limit_w,
        tuple(
            topology.PriceStep(round(1000 * step.at_least_per_mwh), step.target_w) for step in resource.price_response
        ),
        resource.cost,
        resource.network_impact,
    )


def _device(device: Device) -> topology.Device:
    return topology.Device(
        device.name,
        device.resource,
        device.rated_w,
        1000 * _pace(device).settle_s,
        1000 * _pace(device).revert_s,
        device.service_transformer or "",
        device.segment or "",
        device.energy_wh or 0,
        round(1000 * (device.nominal_voltage_v or 0)),
        device.domain,
        device.rated_charge_w or 0,
    )


def _points(site: SiteFile) -> tuple[topology.Point, ...]:
    """Give the rated points and the T-D interface, each with the resources that lie under it."""
    on_transformer = {device.resource: device.service_transformer for device in site.devices}
    on_segment = {device.resource: device.segment for device in site.devices}
    for device in site.devices:
        on_transformer[device.resource] = device.service_transformer or on_transformer[device.resource]
        on_segment[device.resource] = device.segment or on_segment[device.resource]
    rated = (
        (PointKind.SERVICE_TRANSFORMER, site.transformers, on_transformer),
        (PointKind.SEGMENT, site.segments, on_segment),
    )
    points = [
        topology.Point(
            point.name,
            kind,
            tuple(resource.name for resource in site.resources if under[resource.name] == point.name),
            point.export_limit_w,
            point.import_limit_w,
            point.share,
        )
        for kind, listed, under in rated
        for point in listed
    ]
    if site.interface is not None:
        one = site.interface
        members = {group.name: group.resources for group in site.groups}
        every = tuple(resource.name for resource in site.resources)
        under = every if one.group is None else members[one.group]
        points.append(
            topology.Point(one.name, PointKind.INTERFACE, under, one.export_limit_w, one.import_limit_w, one.share)
        )
    return tuple(points)


def _pace(device: Device) -> _Paced:
    """Give the table of the adapter that drives a device."""
    table: _Paced = next(iter(device.tables.values()))
    return table
