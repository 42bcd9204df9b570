"""The site file turned into a running gateway: the adapters' links above and below, and the feeder's model."""

import logging
import ssl
import tomllib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config import SiteFile, TableSpec, profiles
from gateway.core.events import Assigned, Event, LinkDown, Observed, OrderHeard
from gateway.core.known import Known, Reading
from gateway.grid import Feeder, Model, Place
from gateway.grid import build as build_feeder
from gateway.northbound import openadr_ven, sep2_client
from gateway.northbound.openadr_ven import OpenadrResource, OpenadrVen
from gateway.northbound.sep2_client import Sep2Client, Sep2Resource, client_faults
from gateway.pki import files, identity, modbus_role
from gateway.pki.live import Identities
from gateway.ports.clock import Clock
from gateway.ports.north import Hear, Look, NorthLink
from gateway.ports.south import Lease, SouthLinks
from gateway.southbound import mqtt_device, sep2_server, sunspec_modbus
from gateway.southbound.mqtt_device import MqttDevice, MqttDevices, broker_faults
from gateway.southbound.sep2_server import Sep2Server, Sep2ServerDevice, device_faults
from gateway.southbound.sunspec_modbus import (
    Lines,
    ModbusTls,
    SunspecMeter,
    SunspecModbus,
    line_faults,
    reach_faults,
)

log = logging.getLogger(__name__)

ONE_WRITER: Final = (
    "A1: MQTT carries no sender, so the broker has to let each user write its own topics alone; "
    "profiles/protocols/mqtt/mosquitto.acl shows how"
)


@cache
def device_profiles() -> sunspec_modbus.Catalogue:
    """Read the profiles of devices that come with the gateway; raise ProfileFault for one that cannot be used."""
    files_found = sorted((profiles() / "devices").glob("*.toml"))
    return sunspec_modbus.catalogue(
        {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in files_found}
    )


def profile_faults(
    table: SunspecModbus, _granted: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Give what is wrong with the profile that a device's table names."""
    names = device_profiles().names
    if table.profile and table.profile not in names:
        yield (
            ("profile",),
            f'there is no device profile "{table.profile}"; leave it out, or take one of: {", ".join(names)}',
        )


def unit_faults(
    table: SunspecModbus, granted: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Give what is wrong with where a device is, and with the profile that it names."""
    yield from reach_faults(table, granted)
    yield from profile_faults(table, granted)


TABLES: Final[Mapping[str, TableSpec]] = {
    "sep2_client": TableSpec(Sep2Client, many=True, references={"party": "party"}, faults=client_faults),
    "openadr_ven": TableSpec(OpenadrVen, many=True, references={"party": "party"}),
    "sep2_server": TableSpec(Sep2Server),
    "mqtt_device": TableSpec(MqttDevices, faults=broker_faults, note=ONE_WRITER),
    "feeder": TableSpec(Feeder),
    "resource.sep2": TableSpec(Sep2Resource),
    "resource.openadr": TableSpec(OpenadrResource),
    "device.sunspec_modbus": TableSpec(SunspecModbus, faults=unit_faults, together=line_faults),
    "device.sep2_server": TableSpec(Sep2ServerDevice, needs="sep2_server", together=device_faults),
    "device.mqtt_device": TableSpec(MqttDevice, needs="mqtt_device"),
    "meter.sunspec_modbus": TableSpec(SunspecMeter, faults=reach_faults, together=line_faults),
}
GRID_SERVICE: Final = "GridServiceSunSpec"
SUPER: Final = "SuperAdministratorSunSpec"
"""Roles of Secure SunSpec Modbus: the one that a gateway needs, and the one that nobody should give it."""
SPOOL: Final = "reports-{party}.sqlite"


class Past(Protocol):
    """What a machine knows of each party from before this start."""

    def assigned(self, party: str) -> Iterable[Assigned]:
        """Give the resources of its groups."""

    def held(self, party: str) -> Iterable[OrderHeard]:
        """Give its orders that are not over."""

    def offsets_ms(self, party: str) -> Mapping[str, int]:
        """Give each of its clocks, its own under no name, minus ours."""


class South(NamedTuple):
    """All links to the devices: by device, and one of each adapter to be run."""

    by_device: Mapping[str, SouthLinks]
    adapters: Mapping[str, SouthLinks]

    @property
    def writes(self) -> int:
        """How many commands have left."""
        return sum(links.writes for links in self.adapters.values())

    def runs(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Give what is to be run, named for the log."""
        return {f"the {name} links to the devices": links.run for name, links in self.adapters.items()}


def lines(site: SiteFile, identities: Identities | None = None) -> Lines:
    """Make the Modbus connections of the site, to be shared by its devices and meters; `identities` keeps their own.

    Raises PkiFault where a certificate or key cannot be used.
    """
    named = [*(device.tables for device in site.devices), *(meter.tables for meter in site.meters)]
    found = [each["sunspec_modbus"] for each in named if "sunspec_modbus" in each]
    families = device_profiles()
    tables = [families.named(at.profile).on(at) if isinstance(at, SunspecModbus) else at for at in found]
    made = Identities() if identities is None else identities
    contexts: dict[ModbusTls, ssl.SSLContext] = {}
    for table in tables:
        secured = table.tls
        if secured is None or secured in contexts:
            continue
        contexts[secured] = made.modbus(secured.certificate, secured.key, secured.trust)
        _tell_role(secured.certificate)
    return Lines(tables, contexts)


def _tell_role(certificate: Path) -> None:
    """Tell once which role devices grant us, and whether that is none or more than a gateway needs."""
    role = modbus_role.of(files.read_certificates(certificate)[0])
    if role is None:
        log.warning("%s bears no Modbus role: devices may refuse everything; have %s put in", certificate, GRID_SERVICE)
    elif role == SUPER:
        log.warning("%s bears the Modbus role %s, more than a gateway needs; use %s", certificate, role, GRID_SERVICE)
    else:
        log.info("%s bears the Modbus role %s", certificate, role)


def south(
    site: SiteFile,
    clock: Clock,
    hear: Hear,
    lease: Lease,
    modbus: Lines | None = None,
    *,
    may_write: bool,
    identities: Identities | None = None,
) -> South:
    """Make the links to the devices; raise PkiFault where a certificate, key or password cannot be used.

    `modbus` are the connections that they share with meters, `identities` keeps what we prove ourselves by.
    """
    made = Identities() if identities is None else identities
    driven: dict[str, dict[str, tuple[Any, int]]] = {}
    for device in site.devices:
        ((adapter, table),) = device.tables.items()
        driven.setdefault(adapter, {})[device.name] = (table, device.rated_w)
    adapters: dict[str, SouthLinks] = {}
    for adapter, devices in driven.items():
        if adapter == "sep2_server":
            server = site.tables[adapter]
            secured = made.server(server.certificate, server.key, server.trust)
            serving = sep2_server.build(server, devices, secured, clock, hear, lease, may_write=may_write)
            made.on_denial(secured, serving.link.cut)
            adapters[adapter] = serving
        elif adapter == "mqtt_device":
            broker = site.tables[adapter]
            context = None if broker.trust is None else made.web((broker.trust,), broker.certificate, broker.key)
            password = None if broker.password_file is None else files.read_secret(broker.password_file)
            adapters[adapter] = mqtt_device.build(
                broker, devices, context, password, clock, hear, lease, may_write=may_write
            )
        else:
            paced = _paced_by_meters(site, devices)
            adapters[adapter] = sunspec_modbus.build(
                paced, clock, hear, lease, may_write=may_write, profiles=device_profiles(), lines=modbus
            )
    by_device = {name: adapters[adapter] for adapter, devices in driven.items() for name in devices}
    return South(by_device, adapters)


def _paced_by_meters(
    site: SiteFile, devices: Mapping[str, tuple[SunspecModbus, int]]
) -> dict[str, tuple[SunspecModbus, int]]:
    """Let devices behind a meter be read as often as it, or the load between them is miscounted."""
    metered, paced = _meters(site), dict(devices)
    for device in site.devices:
        meter = metered.get(device.resource)
        if meter is not None and device.name in paced and meter.poll_s < paced[device.name][0].poll_s:
            table, rated_w = paced[device.name]
            paced[device.name] = (replace(table, poll_s=meter.poll_s), rated_w)
    return paced


def meters(site: SiteFile, clock: Clock, hear: Hear, modbus: Lines | None = None) -> sunspec_modbus.Meters:
    """Make the links to the meters of connection points."""
    return sunspec_modbus.build_meters(_meters(site), clock, hear, lines=modbus)


def _meters(site: SiteFile) -> dict[str, SunspecMeter]:
    """Give the table of the meter of each resource that has one."""
    return {meter.resource: meter.tables["sunspec_modbus"] for meter in site.meters}


def north(
    site: SiteFile,
    state: Path,
    clock: Clock,
    hear: Hear,
    look: Look,
    past: Past,
    *,
    may_write: bool,
    identities: Identities | None = None,
) -> dict[str, NorthLink]:
    """Make the links to the parties above; raise PkiFault where a certificate, key or secret cannot be used."""
    made = Identities() if identities is None else identities
    parents = [party.name for party in site.parties if party.limit_parent]
    links: dict[str, NorthLink] = {}
    for table in site.tables.get("sep2_client", ()):
        shown = look if table.party in parents else None
        before = sep2_client.Before(
            partial(past.assigned, table.party), partial(past.held, table.party), partial(past.offsets_ms, table.party)
        )
        links[table.party] = _sep2_client(site, table, made, clock, hear, shown, before, may_write=may_write)
    words = _profile("openadr3")
    named = {resource.name: resource.tables.get("openadr", OpenadrResource()) for resource in site.resources}
    for table in site.tables.get("openadr_ven", ()):
        links[table.party] = openadr_ven.build(
            table,
            named,
            files.read_secret(table.client_secret_file),
            None if table.trust is None else made.web(table.trust),
            words,
            clock,
            hear,
            look if table.party in parents else None,
            may_write=may_write,
            spool=state / SPOOL.format(party=table.party),
            held=partial(past.held, table.party),
        )
    return links


def _sep2_client(
    site: SiteFile,
    table: Sep2Client,
    identities: Identities,
    clock: Clock,
    hear: Hear,
    look: Look | None,
    before: sep2_client.Before,
    *,
    may_write: bool,
) -> NorthLink:
    resources = {resource.name: resource.tables["sep2"] for resource in site.resources if "sep2" in resource.tables}
    pins = [lfdi for lfdi in (table.server_lfdi, table.server_lfdi_next) if lfdi is not None]
    context = identities.client(table.certificate, table.key, table.trust, pinned_lfdi=pins)
    notify = None if table.notify_port is None else identities.server(table.certificate, table.key, table.trust)
    own_lfdi = identity.lfdi(files.read_certificates(table.certificate)[0].public_bytes(Encoding.DER))
    link = sep2_client.Link(
        table,
        resources,
        own_lfdi,
        context,
        sep2_client.speech(_profile("sep2"), table.profile, table.responses, table.versions),
        clock,
        hear,
        look,
        may_write=may_write,
        levels=_levels(site, table.party),
        notify=notify,
        before=before,
    )
    if notify is not None:
        identities.on_denial(notify, link.cut)
    identities.on_renewal(context, link.renew)
    return link


def refused(below: South, above: Mapping[str, NorthLink]) -> dict[str, Mapping[str, int]]:
    """Give whom each of our listeners refused, by its reason: that for devices below, and those for parties above."""
    found: dict[str, Mapping[str, int]] = {
        name: links.link.refusals.counts
        for name, links in below.adapters.items()
        if isinstance(links, sep2_server.Links)
    }
    for name, link in above.items():
        if isinstance(link, sep2_client.Link) and link.refused is not None:
            found[name] = link.refused
    return found


def feeders(site: SiteFile, clock: Clock, hear: Hear) -> dict[str, Model]:
    """Make the model of the site's feeder, if it has one."""
    table = site.tables.get("feeder")
    return {} if table is None else {table.name: build_feeder(table, places(site), clock, hear)}


def measuring(site: SiteFile, models: Mapping[str, Model], hear: Hear) -> Hear:
    """Let the feeder's model see what is read of the devices of each resource on it, and hand everything on."""
    on_feeder = places(site)
    if not models:
        return hear
    resource_of = {place.device: name for name, listed in on_feeder.items() for place in listed}
    read: dict[str, Observed | LinkDown] = {}

    def heard(event: Event) -> None:
        hear(event)
        if not isinstance(event, Observed | LinkDown) or event.device not in resource_of:
            return
        read[event.device] = event
        name = resource_of[event.device]
        parts = [read.get(place.device) for place in on_feeder[name]]
        power, reactive = (
            _sum([getattr(part, quantity, None) for part in parts]) for quantity in ("power", "reactive")
        )
        for model in models.values():
            model.measure(name, power, reactive, _oldest_ms(parts))

    return heard


def _sum(readings: Iterable[Reading | None]) -> int | None:
    """Give the sum of readings, or None where one of them is not known."""
    known = [each.value if isinstance(each, Known) else None for each in readings]
    return None if None in known else sum(each for each in known if each is not None)


def _oldest_ms(parts: Iterable[Observed | LinkDown | None]) -> int:
    at_ms = [part.power.at_ms for part in parts if isinstance(part, Observed) and isinstance(part.power, Known)]
    return min(at_ms, default=0)


def places(site: SiteFile) -> dict[str, tuple[Place, ...]]:
    """Give where the devices of each resource are on the feeder; a resource without a bus is not on it."""
    found: dict[str, tuple[Place, ...]] = {}
    for device in site.devices:
        if device.bus is not None:
            place = Place(device.name, device.bus, device.rated_w)
            found[device.resource] = (*found.get(device.resource, ()), place)
    return found


def _profile(name: str) -> dict[str, Any]:
    return tomllib.loads((profiles() / "protocols" / f"{name}.toml").read_text(encoding="utf-8"))


def _levels(site: SiteFile, party: str) -> dict[str, int]:
    """Give the strongest level of each service that a party is granted."""
    levels: dict[str, int] = {}
    for grant in site.grants:
        if grant.party == party:
            levels[grant.service] = min(grant.level, levels.get(grant.service, grant.level))
    return levels
