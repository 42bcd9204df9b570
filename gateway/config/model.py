"""The coordination model of a site, and the grants that follow from it (RULES A3, D)."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gateway.config import cross
from gateway.config.faults import Fault, quoted, suggestion
from gateway.config.lines import Lines
from gateway.config.shipped import profiles
from gateway.config.site import Grant
from gateway.config.tables import Entry, Reader
from gateway.coordination import grants, reading
from gateway.coordination.grants import Member
from gateway.coordination.skeleton import Skeleton, SkeletonFault

Entries = Mapping[str, list[Entry]]


class Model(NamedTuple):
    """A skeleton, and the file that it was read from: its path, its text and what that parses to."""

    skeleton: Skeleton
    path: Path
    text: str
    raw: Mapping[str, object]


class _Place(NamedTuple):
    """Where something is wrong: the entry, and its key."""

    entry: Entry
    key: str


def granted(reader: Reader, entries: Entries, folder: Path) -> tuple[Grant, ...]:
    """Give the grants that follow from the site's model; every fault is noted, and then nothing may be built on them.

    Where the site file writes grants as well, each has to be within what the model gives, and they hold as written.
    """
    chosen = entries["coordination"][0]
    model, serves = chosen.values.get("model"), chosen.values.get("serves")
    members = _members(reader, entries)
    if model is None or members is None:
        return ()
    found = find(model, folder)
    if isinstance(found, str):
        reader.fault(chosen, f'"model": {found}', "model")
        return ()
    if isinstance(found, tuple) and not isinstance(found, Model):
        for one in found:
            reader.fault_of(chosen, one)
        return ()
    skeleton = found.skeleton if serves is None else replace(found.skeleton, serves=serves)
    offered = grants.services(tomllib.loads((profiles() / "dso" / "services.toml").read_text(encoding="utf-8")))
    derived = grants.derive(skeleton, members, offered)
    if isinstance(derived, SkeletonFault) and derived.place:
        reader.fault_of(chosen, of_service(derived, found))
        return ()
    if isinstance(derived, SkeletonFault):
        place = _place_of(derived, entries)
        reader.fault(place.entry, _said_of_party(derived, place), place.key)
        return ()
    _parent_is_served(reader, entries, skeleton)
    _everybody_is_one(reader, entries, skeleton)
    own = tuple(Grant(one.party, one.service, one.level, one.functions, one.group) for one in derived)
    everybody = (*own, *_of_wires(entries, own))
    _within(reader, entries, everybody, skeleton)
    return everybody


def _of_wires(entries: Entries, own: Sequence[Grant]) -> Iterable[Grant]:
    """Yield for each wire the grants of the party whose wire it is; no limits where its limits do not count."""
    for wire in entries["party"]:
        for grant in own if "wire_of" in wire.values else ():
            if grant.party != wire.values["wire_of"]:
                continue
            limits = wire.values.get("limit_parent", False)
            functions = tuple(each for each in grant.functions if limits or each not in cross.RESTRICTING)
            if functions:
                yield replace(grant, party=wire.values["name"], functions=functions)


def of_service(fault: SkeletonFault, model: Model) -> Fault:
    """Put a service that there is not where the model's file has it."""
    place = reading.place_of_service(model.raw, model.skeleton.id, fault)
    return Fault(str(model.path), Lines(model.text).of(place), fault.where, _said(fault))


def find(model: str, folder: Path) -> Model | str | tuple[Fault, ...]:
    """Find a model: a shipped one by its id, or FILE or FILE#ID relative to `folder`.

    A text says what is wrong with the choice, faults what is wrong inside the file that was chosen.
    """
    name, _, wanted = model.partition("#")
    if name.endswith(".toml") or "/" in name:
        return _of_file(folder / name, wanted)
    known: dict[str, Path] = {}
    for path in sorted((profiles() / "coordination").glob("*.toml")):
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        known.update({str(each["id"]): path for each in raw["architecture"]})
    if model not in known:
        return f"no model is named {quoted(model)}; {suggestion(model, known)}"
    return _of_file(known[model], model)


def _of_file(path: Path, wanted: str) -> Model | str | tuple[Fault, ...]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        raw = tomllib.loads(text)
        done = reading.read(raw)
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return f"{path}: not UTF-8; save it in that encoding"
    except (ValueError, RecursionError) as error:
        return f"{path}: not TOML: {error}"
    if done.faults:
        lines = Lines(text)
        return tuple(Fault(str(path), lines.of(one.place), one.where, _said(one)) for one in done.faults)
    ids = [each.id for each in done.skeletons]
    if not wanted and len(ids) > 1:
        return f"{path} holds {len(ids)} architectures; name one as {path.name}#{ids[0]}"
    if wanted and wanted not in ids:
        return f"{path}: no architecture has the id {quoted(wanted)}; {suggestion(wanted, ids)}"
    return Model(next(each for each in done.skeletons if each.id == (wanted or ids[0])), path, text, raw)


def _said(fault: SkeletonFault) -> str:
    return f"{fault.what}; {suggestion(fault.wrong, fault.known)}" if fault.known else fault.what


def _said_of_party(fault: SkeletonFault, place: _Place) -> str:
    """Say it without the party where that stands before it already, and what else may be done."""
    said = _said(fault).removeprefix(f"party {quoted(str(place.entry.values.get('name')))}").removeprefix(": ").lstrip()
    if place.key == "entity" and fault.wrong:
        other = " Or" if said.endswith("?") else "; or"
        return f'{said}{other} leave "entity" out: the party then holds no grant'
    return said


def _members(reader: Reader, entries: Entries) -> list[Member] | None:
    """Give the parties that stand for an entity; None where not all could be read."""
    whole = _whole_group(entries)
    members: list[Member] = []
    for party in entries["party"]:
        if not party.plain or "name" not in party.values or "tier" not in party.values:
            return None
        entity, group = party.values.get("entity"), party.values.get("group", whole)
        if entity is None or "wire_of" in party.raw:
            continue
        if group is None:
            reader.fault(party, 'which group it may act on is not clear; add group = "..."', "entity")
            return None
        members.append(Member(party.values["name"], entity, party.values["tier"], group))
    return members


def _whole_group(entries: Entries) -> str | None:
    """Give the only group, or the only one that holds every resource."""
    groups = [group.values for group in entries["group"] if "name" in group.values and "resources" in group.values]
    if len(groups) > 1:
        names = sorted(str(each.values.get("name")) for each in entries["resource"])
        groups = [group for group in groups if sorted(group["resources"]) == names]
    return str(groups[0]["name"]) if len(groups) == 1 else None


def _place_of(fault: SkeletonFault, entries: Entries) -> _Place:
    """Find the party that a fault names, else the choice of the model."""
    for party in entries["party"]:
        if fault.what.startswith(f'party "{party.values["name"]}"'):
            return _Place(party, "entity")
    chosen = entries["coordination"][0]
    return _Place(chosen, "serves" if "serves" in chosen.raw else "model")


def _parent_is_served(reader: Reader, entries: Entries, skeleton: Skeleton) -> None:
    for party in entries["party"]:
        if "wire_of" in party.raw:
            continue
        is_parent, is_served = bool(party.values.get("limit_parent")), party.values.get("entity") == skeleton.serves
        if is_parent and not is_served:
            what = f"A2: the limit parent is who the gateway serves; give it entity = {quoted(str(skeleton.serves))}"
            reader.fault(party, what, "entity" if "entity" in party.raw else "limit_parent")
        elif is_served and not is_parent:
            reader.fault(party, "A2: it is who the gateway serves; give it limit_parent = true", "entity")


def _everybody_is_one(reader: Reader, entries: Entries, skeleton: Skeleton) -> None:
    """Warn of a party that stands for nobody in the model, and so may do nothing."""
    for party in entries["party"]:
        if "entity" not in party.raw and "wire_of" not in party.raw:
            what = f'it names no entity of the model {quoted(skeleton.id)}, so it holds no grant; add entity = "..."'
            reader.warn(party, what, "name")


def _within(reader: Reader, entries: Entries, derived: Sequence[Grant], skeleton: Skeleton) -> None:
    """Note every written grant that the model does not give."""
    members = {group.values.get("name"): group.values.get("resources", ()) for group in entries["group"]}
    for entry in entries["grant"]:
        if not all(key in entry.values for key in ("party", "service", "level", "functions", "group")):
            continue
        written = Grant(**entry.values)
        own = [one for one in derived if one.party == written.party]
        by = f"A3: the model {quoted(skeleton.id)} gives party {quoted(written.party)}"
        same = [one for one in own if one.service == written.service]
        if not own:
            reader.fault(entry, f"{by} nothing; take the grant out", "party")
        elif not same:
            hint = suggestion(written.service, (one.service for one in own))
            reader.fault(entry, f"{by} no service {quoted(written.service)}; {hint}", "service")
        elif written.level != same[0].level:
            reader.fault(entry, f"{by} {quoted(written.service)} at level {int(same[0].level)}", "level")
        elif stray := [one for one in written.functions if one not in same[0].functions]:
            names = ", ".join(quoted(one) for one in stray)
            reader.fault(entry, f"{by} no {names} for {quoted(written.service)}; take it out", "functions")
        elif not set(members.get(written.group, ())) <= set(members.get(same[0].group, ())):
            reader.fault(entry, f"{by} only group {quoted(same[0].group)}; name it or a part of it", "group")
