"""What has to hold between the tables of a site file, each of which has been read on its own (RULES A2, B, C12)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gateway.config.faults import quoted, suggestion
from gateway.config.lines import Path as Place
from gateway.config.site import HEALTH_PORT
from gateway.config.tables import Entry, Reader, TableSpec
from gateway.core.functions import LIMITS, Function
from gateway.core.parties import Level, Tier

RESTRICTING: Final = (*LIMITS, Function.ENERGIZE, Function.RIDE_THROUGH)
"""Functions that only few besides the limit parent may be granted (RULES A2)."""
OWN_DER: Final = (Level.MARKET, Level.CUSTOMER)
"""The levels at which a customer limits its own DER, and nobody else's (RULES B)."""
PLACES: Final = ("service_transformer", "segment")
"""Keys of a device that name the point of the network above it, and the tables that rate these points."""

Entries = Mapping[str, list[Entry]]


def cross_check(reader: Reader, entries: Entries, adapters: Mapping[str, Sequence[str]]) -> None:
    """Note what is wrong between the tables of a site file, each of which has been read on its own.

    `adapters` names the tables that may stand below each [[device]] and each [[meter]].
    """
    _one_limit_parent(reader, entries["party"])
    _limits_of_few(reader, entries)
    _last_resort_within_agreement(reader, entries["resource"])
    _prices_rise(reader, entries["resource"])
    _points_have_devices(reader, entries)
    _one_point_each(reader, entries)
    _point_names(reader, entries)
    _points_are_rated(reader, entries)
    _on_the_feeder(reader, entries)
    _ports_differ(reader, entries)
    _somebody_speaks(reader, entries)
    _devices_everywhere(reader, entries)
    _one_meter_each(reader, entries["meter"])
    for kind, tables in adapters.items():
        _one_adapter_each(reader, kind, entries[kind], tables)


def _one_limit_parent(reader: Reader, parties: list[Entry]) -> None:
    _wires(reader, parties)
    parents = [party for party in parties if party.values.get("limit_parent") and "wire_of" not in party.raw]
    for party in parents[1:]:
        first = parents[0].where
        reader.fault(party, f"A2: there is one limit parent, and {first} is it already", "limit_parent")
    for party in parents:
        tier = party.values.get("tier", Tier.DISTRIBUTION)
        if tier is not Tier.DISTRIBUTION:
            reader.fault(party, f'A2: a limit parent stands on the tier "distribution", not {quoted(tier)}', "tier")
    if parties and not parents and all(party.plain for party in parties):
        reader.fault(parties[0], "A2: no party is the limit parent; set limit_parent = true on the DSO's")


def _wires(reader: Reader, parties: list[Entry]) -> None:
    """Note wires that do not say whether their limits count, or are not those of a party with one of its own (A2)."""
    by_name = {party.values.get("name"): party for party in parties}
    for wire in parties:
        of = by_name.get(wire.values.get("wire_of"))
        if of is None:
            continue
        named = quoted(str(of.values.get("name")))
        if of is wire or "wire_of" in of.raw:
            reader.fault(wire, f"{named} is a wire itself; name the party whose wires both are", "wire_of")
        elif of.values.get("limit_parent") and "limit_parent" not in wire.raw:
            what = f"A2: say limit_parent = true where its limits count beside those of {named}, or false where not"
            reader.fault(wire, f"{what}; an idle wire whose limits count caps for ever", "wire_of")
        elif wire.values.get("limit_parent") and not of.values.get("limit_parent"):
            reader.fault(wire, f"A2: {named} is not the limit parent, and so no wire of it is", "limit_parent")
        if of.values.get("tier") != wire.values.get("tier") and "tier" in of.values and "tier" in wire.values:
            reader.fault(wire, f"is a wire of {named}; give it the same tier", "tier")


def _limits_of_few(reader: Reader, entries: Entries) -> None:
    """Note limits and energize in the grant of a party that the core would refuse them (RULES A2, B)."""
    parties = {party.values["name"]: party for party in entries["party"] if "name" in party.values and party.plain}
    for grant in entries["grant"]:
        party, level = parties.get(grant.values.get("party", "")), grant.values.get("level")
        if party is None or level is None or party.values.get("limit_parent"):
            continue
        tier = party.values.get("tier", Tier.BULK)
        given = grant.values.get("functions", ())
        if tier is Tier.CUSTOMER and level in OWN_DER and any(function in LIMITS for function in given):
            what = f"B: at level {level} it limits its own DER; see that nobody else's is in the group"
            reader.warn(grant, what, "group")
        refused = [one for one in given if not may_restrict(tier, level, one)]
        if refused:
            names = ", ".join(quoted(function) for function in refused)
            other = _where_it_may(tier, refused)
            what = f"A2: party {quoted(party.values['name'])} is not the limit parent; take {names} out of its grant"
            reader.fault(grant, what + other, "functions")


def may_restrict(tier: Tier, level: int, function: Function) -> bool:
    """Tell whether a party that is not the limit parent may be granted a function at this level (RULES A2, B).

    The bulk tier never limits; local safety and emergency do whatever they are granted; a customer limits its own DER.
    """
    if function not in RESTRICTING:
        return True
    if tier is Tier.BULK:
        return False
    own = tier is Tier.CUSTOMER and level in OWN_DER and function in LIMITS
    return level <= Level.EMERGENCY or own


def _where_it_may(tier: Tier, refused: Iterable[Function]) -> str:
    if tier is Tier.BULK:
        return ""
    if tier is Tier.CUSTOMER and all(function in LIMITS for function in refused):
        return ", or grant it at level 7 or 8 for its own DER"
    return ", or grant it at level 1 or 2"


def _last_resort_within_agreement(reader: Reader, resources: list[Entry]) -> None:
    for resource in resources:
        agreed = resource.values.get("export_limit_w")
        last = resource.values.get("last_resort_export_limit_w")
        if agreed is not None and last is not None and last > agreed:
            what = f'"last_resort_export_limit_w" is {last}; the agreement "export_limit_w" allows {agreed} at most'
            reader.fault(resource, what, "last_resort_export_limit_w")


def _prices_rise(reader: Reader, resources: list[Entry]) -> None:
    for resource in resources:
        steps = resource.values.get("price_response", ())
        for index in range(1, len(steps)):
            if steps[index].at_least_per_mwh <= steps[index - 1].at_least_per_mwh:
                what = f'"price_response" item {index + 1} does not start above the one before it; give rising prices'
                reader.fault(resource, what, "price_response", index, "at_least_per_mwh")


def _points_have_devices(reader: Reader, entries: Entries) -> None:
    """Note a rating of nothing: of a point that no device names, or without a size."""
    for kind in PLACES:
        named = list(dict.fromkeys(device.values[kind] for device in entries["device"] if kind in device.values))
        for point in entries[kind]:
            name = point.values.get("name")
            if name is not None and name not in named and not _strays(entries, kind):
                hint = suggestion(name, named) if named else f"give one {kind} = {quoted(name)}"
                reader.fault(point, f"no device names it; {hint}", "name")
            if not any(key in point.raw for key in ("export_limit_w", "import_limit_w")):
                reader.fault(point, "no rating; give export_limit_w or import_limit_w, or leave the table out")


def _one_point_each(reader: Reader, entries: Entries) -> None:
    """A connection point lies on one service transformer and one segment, whichever of its devices says so."""
    for kind in PLACES:
        first: dict[str, Entry] = {}
        for device in entries["device"]:
            resource, name = device.values.get("resource"), device.values.get(kind)
            if resource is None or name is None:
                continue
            said = first.setdefault(resource, device)
            if said.values[kind] != name:
                what = f"{quoted(resource)} lies on {quoted(said.values[kind])} by {said.where}; give both the same"
                reader.fault(device, f"{quoted(kind)}: {what}", kind)


def _point_names(reader: Reader, entries: Entries) -> None:
    """Points share one space of names with the groups, since an order in sum names either (RULES C12, E)."""
    taken = {group.values["name"]: group for group in entries["group"] if "name" in group.values}
    groups = {name: list(group.values.get("resources", ())) for name, group in taken.items()}
    resources = [each.values.get("name") for each in entries["resource"]]
    for kind in (*PLACES, "interface"):
        for point in entries[kind]:
            name = point.values.get("name")
            if name is None:
                continue
            other = taken.setdefault(name, point)
            if other is point or other.path[0] == kind:
                continue
            under = groups.get(point.values.get("group", ""), resources)
            if kind == "interface" and name in groups and sorted(groups[name]) == sorted(map(str, under)):
                continue
            line = reader.line_of(other, "name")
            reader.fault(point, f"{other.path[0]} on line {line} has this name; give each point its own", "name")


def _points_are_rated(reader: Reader, entries: Entries) -> None:
    """Note a device that names another point than those of the tables; without any table its name is free."""
    for kind in PLACES:
        known = [str(point.values.get("name")) for point in entries[kind]]
        for device in _strays(entries, kind):
            name = device.values[kind]
            what = f"no [[{kind}]] is named {quoted(name)}; {suggestion(name, known)}"
            reader.fault(device, f"{quoted(kind)}: {what}", kind)


def _strays(entries: Entries, kind: str) -> list[Entry]:
    """Give the devices that name a point which has no table, where there are tables and all have names."""
    known = [point.values.get("name") for point in entries[kind]]
    if not known or None in known:
        return []
    return [device for device in entries["device"] if device.values.get(kind, known[0]) not in known]


def _on_the_feeder(reader: Reader, entries: Entries) -> None:
    """Note devices that are on a feeder which there is not, and resources that are on it with a part of their DER."""
    placed = [device for device in entries["device"] if "bus" in device.raw]
    feeders = entries.get("feeder", [])
    if placed and not feeders:
        reader.fault(placed[0], 'there is no [feeder] that it could be on; add it, or take "bus" out', "bus")
    resources = {device.values.get("resource") for device in placed}
    for device in entries["device"]:
        if device not in placed and device.values.get("resource") in resources:
            named = quoted(str(device.values["resource"]))
            reader.fault(device, f'other devices of resource {named} are on the feeder; give this one its "bus" too')
    if feeders and not placed and all(device.plain for device in entries["device"]):
        reader.fault(feeders[0], 'no device is on it; give devices their "bus"')


def _ports_differ(reader: Reader, entries: Entries) -> None:
    for gateway, api in zip(entries["gateway"], entries["local_api"], strict=False):
        port = api.values.get("port")
        if port and port == gateway.values.get("health_port", HEALTH_PORT):
            what = f'"port" is {port}, and so is "health_port" of [gateway]; give each its own, or 0 for any free one'
            reader.fault(api, what, "port")


def _somebody_speaks(reader: Reader, entries: Entries) -> None:
    """A token needs the local API that hears it, and the local API a party that shows one."""
    speakers = [party for party in entries["party"] if "token_file" in party.raw]
    if entries["local_api"] and not speakers:
        what = "no party has a token for it; give one token_file, or leave the table out"
        reader.fault(entries["local_api"][0], what)
    for party in speakers if not entries["local_api"] else []:
        reader.fault(party, '"token_file": nobody hears it; add [local_api] with a port', "token_file")


def _devices_everywhere(reader: Reader, entries: Entries) -> None:
    used = [device.values.get("resource") for device in entries["device"]]
    names = [resource.values["name"] for resource in entries["resource"] if "name" in resource.values]
    if not entries["device"] or any(each not in names for each in used):
        return  # said already; whose device it was meant to be is not known
    for resource in entries["resource"]:
        name = resource.values.get("name")
        if name is not None and name not in used:
            reader.fault(resource, f"no device; add a [[device]] with resource = {quoted(name)}")


def _one_meter_each(reader: Reader, meters: list[Entry]) -> None:
    """A connection point has one meter: what two of them show cannot both be what goes out there (RULES C2)."""
    first: dict[str, Entry] = {}
    for meter in meters:
        resource = meter.values.get("resource")
        if resource is not None and first.setdefault(resource, meter) is not meter:
            other = first[resource].where
            reader.fault(meter, f"{quoted(resource)} has a meter already, {other}; keep one of them", "resource")


def _one_adapter_each(reader: Reader, kind: str, entries: list[Entry], adapters: Sequence[str]) -> None:
    for entry in entries:
        given = [each for each in adapters if each in entry.raw]
        stray = [key for key, raw in entry.raw.items() if isinstance(raw, dict) and key not in adapters]
        if not given and not stray:
            wanted = " or ".join(f"[{kind}.{each}]" for each in adapters)
            reader.fault(entry, f"nothing says how to reach it; add {wanted or 'the table of an adapter'}")
        for each in given[1:]:
            reader.fault(entry, f"two adapters; keep one of [{kind}.{given[0]}] and [{kind}.{each}]", each)


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
