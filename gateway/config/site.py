"""What every site file holds, whatever its adapters: parties, grants, groups, resources, devices (RULES A1 to A3)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from gateway.config.faults import quoted, suggestion
from gateway.config.lines import Path as Place
from gateway.config.tables import NOT_A_KEY, Entry, Reader, TableSpec
from gateway.core.orders import LIMITS, Function
from gateway.core.parties import Tier

Name = Annotated[str, re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*"), "letters, digits and - _ . :"]
Ports = Annotated[int, (0, 65_535)]
Seconds = Annotated[int, (1, None)]
Watts = Annotated[int, (1, None)]
WattsOrNone = Annotated[int, (0, None), "in W; what holds when no default was ever received"]
Adapters = Mapping[str, Any]

LIMIT_PARENT_ONLY = (*LIMITS, Function.ENERGIZE)
"""Functions that only the limit parent may be granted (RULES A2)."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The daemon itself. `health_port` 0 takes any free port; it is always on 127.0.0.1."""

    name: Name
    health_port: Ports = 9640
    planning_horizon_s: Seconds = 604_800
    clock_tolerance_s: Annotated[int, (0, None)] = 300


@dataclass(frozen=True, slots=True)
class Party:
    """Who speaks; what proves it is in the table of the adapter that hears it (RULES A1)."""

    name: Name
    tier: Tier
    limit_parent: bool = False


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
    """A named set of resources."""

    name: Name
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """One connection point: `export_limit_w` is its connection agreement; `tables` are its adapters' tables."""

    name: Name
    export_limit_w: Watts
    last_resort_export_limit_w: WattsOrNone
    tables: Adapters = field(default_factory=dict, metadata={NOT_A_KEY: True})


@dataclass(frozen=True, slots=True)
class Device:
    """One DER behind a resource; `tables` holds the one table of the adapter that drives it."""

    name: Name
    resource: str
    rated_w: Watts
    service_transformer: Name | None = None
    segment: Name | None = None
    tables: Adapters = field(default_factory=dict, metadata={NOT_A_KEY: True})


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A site file without fault; `tables` holds the adapters' own top-level tables, arrays as tuples."""

    path: Path
    gateway: Gateway
    parties: tuple[Party, ...]
    grants: tuple[Grant, ...]
    groups: tuple[Group, ...]
    resources: tuple[Resource, ...]
    devices: tuple[Device, ...]
    tables: Adapters


TABLES: Mapping[str, TableSpec] = {
    "gateway": TableSpec(Gateway),
    "party": TableSpec(Party, many=True),
    "grant": TableSpec(Grant, many=True, references={"party": "party", "group": "group"}),
    "group": TableSpec(Group, many=True, references={"resources": "resource"}),
    "resource": TableSpec(Resource, many=True),
    "device": TableSpec(Device, many=True, references={"resource": "resource"}),
}

Entries = Mapping[str, list[Entry]]


def cross_check(reader: Reader, entries: Entries, device_tables: Iterable[str]) -> None:
    """Note what is wrong between the tables of a site file, each of which has been read on its own."""
    _one_limit_parent(reader, entries["party"])
    _limits_of_the_parent_only(reader, entries)
    _last_resort_within_agreement(reader, entries["resource"])
    _devices_everywhere(reader, entries)
    _one_adapter_each(reader, entries["device"], tuple(device_tables))


def _one_limit_parent(reader: Reader, parties: list[Entry]) -> None:
    parents = [party for party in parties if party.values.get("limit_parent")]
    for party in parents[1:]:
        first = parents[0].where
        reader.fault(party, f"A2: there is one limit parent, and {first} is it already", "limit_parent")
    for party in parents:
        tier = party.values.get("tier", Tier.DISTRIBUTION)
        if tier is not Tier.DISTRIBUTION:
            reader.fault(party, f'A2: a limit parent stands on the tier "distribution", not {quoted(tier)}', "tier")
    if parties and not parents and all(party.plain for party in parties):
        reader.fault(parties[0], "A2: no party is the limit parent; set limit_parent = true on the DSO's")


def _limits_of_the_parent_only(reader: Reader, entries: Entries) -> None:
    others = {
        party.values["name"]
        for party in entries["party"]
        if "name" in party.values and party.plain and not party.values.get("limit_parent")
    }
    for grant in entries["grant"]:
        if grant.values.get("party") not in others:
            continue
        refused = [function for function in grant.values.get("functions", ()) if function in LIMIT_PARENT_ONLY]
        if refused:
            names = ", ".join(quoted(function) for function in refused)
            what = f"A2: party {quoted(grant.values['party'])} is not the limit parent; take {names} out of its grant"
            reader.fault(grant, what, "functions")


def _last_resort_within_agreement(reader: Reader, resources: list[Entry]) -> None:
    for resource in resources:
        agreed = resource.values.get("export_limit_w")
        last = resource.values.get("last_resort_export_limit_w")
        if agreed is not None and last is not None and last > agreed:
            what = f'"last_resort_export_limit_w" is {last}; the agreement "export_limit_w" allows {agreed} at most'
            reader.fault(resource, what, "last_resort_export_limit_w")


def _devices_everywhere(reader: Reader, entries: Entries) -> None:
    used = [device.values.get("resource") for device in entries["device"]]
    names = [resource.values["name"] for resource in entries["resource"] if "name" in resource.values]
    if not entries["device"] or any(each not in names for each in used):
        return  # said already; whose device it was meant to be is not known
    for resource in entries["resource"]:
        name = resource.values.get("name")
        if name is not None and name not in used:
            reader.fault(resource, f"no device; add a [[device]] with resource = {quoted(name)}")


def _one_adapter_each(reader: Reader, devices: list[Entry], adapters: tuple[str, ...]) -> None:
    for device in devices:
        given = [each for each in adapters if each in device.raw]
        stray = [key for key, raw in device.raw.items() if isinstance(raw, dict) and key not in adapters]
        if not given and not stray:
            wanted = " or ".join(f"[device.{each}]" for each in adapters)
            reader.fault(device, f"nothing says how to reach it; add {wanted}")
        for each in given[1:]:
            reader.fault(device, f"two adapters; keep one of [device.{given[0]}] and [device.{each}]", each)


def check_names(reader: Reader, entries: Entries) -> None:
    """Note every name that two entries of one array of tables bear."""
    for each in entries.values():
        first: dict[str, Entry] = {}
        for entry in each:
            name = entry.values.get("name")
            if isinstance(name, str) and first.setdefault(name, entry) is not entry:
                line = reader.line_of(first[name], "name")
                reader.fault(entry, f"this name stands on line {line} already", "name")


def check_references(reader: Reader, entries: Entries, specs: Mapping[str, TableSpec]) -> None:
    """Note every key that names an entry which does not exist."""
    for table, spec in specs.items():
        for key, target in spec.references.items():
            known = [entry.values.get("name") for entry in entries.get(target, ())]
            if not known or None in known:
                continue  # its own faults are named; what was meant to be there is not known
            for entry in entries.get(table, ()):
                _check_reference(reader, entry, key, target, [str(name) for name in known])


def _check_reference(reader: Reader, entry: Entry, key: str, target: str, known: list[str]) -> None:
    raw = entry.raw.get(key)
    places: list[tuple[Place, object]] = [((key,), raw)]
    if isinstance(raw, list):
        places = [((key, index), each) for index, each in enumerate(raw)]
    for below, name in places if key in entry.values else []:
        if isinstance(name, str) and name not in known:
            what = f"{quoted(key)}: no {target} is named {quoted(name)}; {suggestion(name, known)}"
            reader.fault(entry, what, *below)
