"""The site file turned into a running gateway: the core's site, the adapters' links, the deciding loop."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config import SiteFile, TableSpec
from gateway.core import parties, topology
from gateway.core.parties import Level
from gateway.northbound import sep2_client
from gateway.northbound.sep2_client import Sep2Client, Sep2Resource
from gateway.pki import files, identity, tls
from gateway.ports.clock import Clock
from gateway.ports.north import Hear, Look, NorthLink
from gateway.ports.south import Lease
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import SunspecModbus

TABLES: Mapping[str, TableSpec] = {
    "sep2_client": TableSpec(Sep2Client, many=True, references={"party": "party"}),
    "resource.sep2": TableSpec(Sep2Resource),
    "device.sunspec_modbus": TableSpec(SunspecModbus),
}


def profiles() -> Path:
    """Give the folder of shipped profiles: beside the package in a checkout, inside it once installed."""
    inside = Path(__file__).parents[1] / "profiles"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "profiles"


def core_site(site: SiteFile) -> topology.Site:
    """Turn a checked site file into the core's site."""
    devices: dict[str, list[str]] = {}
    for device in site.devices:
        devices.setdefault(device.resource, []).append(device.name)
    return topology.Site(
        name=site.gateway.name,
        parties=tuple(
            parties.Party(party.name, party.tier, party.limit_parent, rank) for rank, party in enumerate(site.parties)
        ),
        grants=tuple(
            parties.Grant(grant.party, grant.service, Level(grant.level), grant.functions, grant.group)
            for grant in site.grants
        ),
        groups=tuple(topology.Group(group.name, group.resources) for group in site.groups),
        resources=tuple(
            topology.Resource(
                resource.name,
                tuple(devices[resource.name]),
                resource.export_limit_w,
                resource.last_resort_export_limit_w,
            )
            for resource in site.resources
        ),
        devices=tuple(
            topology.Device(
                device.name,
                device.resource,
                device.rated_w,
                1000 * _table(device.tables).settle_s,
                1000 * _table(device.tables).revert_s,
                device.service_transformer or "",
                device.segment or "",
            )
            for device in site.devices
        ),
        planning_horizon_ms=1000 * site.gateway.planning_horizon_s,
        clock_tolerance_ms=1000 * site.gateway.clock_tolerance_s,
    )


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
        )
    return links
