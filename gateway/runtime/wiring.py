"""The site file turned into a running gateway: the core's site, the adapters' links, the deciding loop."""

import tomllib
from collections.abc import Mapping

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config import SiteFile, TableSpec, profiles
from gateway.config.site import Device, Resource
from gateway.core import parties, topology
from gateway.core.parties import Level
from gateway.core.topology import PointKind
from gateway.northbound import sep2_client
from gateway.northbound.sep2_client import Sep2Client, Sep2Resource, program_faults
from gateway.pki import files, identity, tls
from gateway.ports.clock import Clock
from gateway.ports.north import Hear, Look, NorthLink
from gateway.ports.south import Lease
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import SunspecModbus

TABLES: Mapping[str, TableSpec] = {
    "sep2_client": TableSpec(Sep2Client, many=True, references={"party": "party"}, faults=program_faults),
    "resource.sep2": TableSpec(Sep2Resource),
    "device.sunspec_modbus": TableSpec(SunspecModbus),
}


def core_site(site: SiteFile) -> topology.Site:
    """Turn a checked site file into the core's site."""
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
    )


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
        1000 * _table(device.tables).settle_s,
        1000 * _table(device.tables).revert_s,
        device.service_transformer or "",
        device.segment or "",
        device.energy_wh or 0,
        round(1000 * (device.nominal_voltage_v or 0)),
        device.domain,
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


def _table(tables: Mapping[str, object]) -> SunspecModbus:
    table = tables["sunspec_modbus"]
    if not isinstance(table, SunspecModbus):
        raise TypeError("a device's table is checked before it comes here")
    return table


def south(site: SiteFile, clock: Clock, hear: Hear, lease: Lease, *, may_write: bool) -> sunspec_modbus.Links:
    """Make the links to the devices."""
    tables = {device.name: (_table(device.tables), device.rated_w) for device in site.devices}
    return sunspec_modbus.build(tables, clock, hear, lease, may_write=may_write)


def north(site: SiteFile, clock: Clock, hear: Hear, look: Look, *, may_write: bool) -> dict[str, NorthLink]:
    """Make the links to the parties above; raise PkiFault where a certificate or key cannot be used."""
    codes = tomllib.loads((profiles() / "protocols" / "sep2.toml").read_text(encoding="utf-8"))["answer"]
    resources = {resource.name: resource.tables["sep2"] for resource in site.resources if "sep2" in resource.tables}
    parents = [party.name for party in site.parties if party.limit_parent]
    links: dict[str, NorthLink] = {}
    for table in site.tables.get("sep2_client", ()):
        context = tls.client_context(table.certificate, table.key, table.trust, pinned_lfdi=table.server_lfdi)
        own_lfdi = identity.lfdi(files.read_certificates(table.certificate)[0].public_bytes(Encoding.DER))
        links[table.party] = sep2_client.Link(
            table,
            resources,
            own_lfdi,
            context,
            codes,
            clock,
            hear,
            look if table.party in parents else None,
            may_write=may_write,
            levels=_levels(site, table.party),
        )
    return links


def _levels(site: SiteFile, party: str) -> dict[str, int]:
    """Give the strongest level of each service that a party is granted."""
    levels: dict[str, int] = {}
    for grant in site.grants:
        if grant.party == party:
            levels[grant.service] = min(grant.level, levels.get(grant.service, grant.level))
    return levels
