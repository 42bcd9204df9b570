"""What a site file names in the world, looked for: tokens, certificates, keys, and one device at each address."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from gateway.config.check import Checked
from gateway.config.faults import Fault, Faults, quoted
from gateway.config.lines import Lines
from gateway.config.lines import Path as Place
from gateway.config.load import load
from gateway.config.site import SiteFile
from gateway.config.tables import TableSpec

ADDRESS = ("host", "port", "unit")
"""Keys of an adapter's table of a device that say together how it is reached."""

TokenFaults = Callable[[Mapping[str, Path]], Mapping[str, str]]
"""Gives, of the token files of parties, one line for each that cannot be used."""


def load_whole(path: Path, tables: Mapping[str, TableSpec], token_faults: TokenFaults) -> Checked:
    """Load a site file and look for all that it names: what is not fit to run has a fault, and no site."""
    checked = load(path, tables)
    found = () if checked.site is None else missing(checked.site, token_faults)
    return Checked(None, found, checked.warnings) if found else checked


def missing(site: SiteFile, token_faults: TokenFaults) -> tuple[Fault, ...]:
    """Give a fault for every file that a site file names and that cannot be used, and for every address named twice.

    The text is read once more for its lines; OSError where it is gone meanwhile.
    """
    faults = Faults(str(site.path), Lines(site.path.read_text(encoding="utf-8")))
    files = {party.name: party.token_file for party in site.parties if party.token_file is not None}
    unusable = token_faults(files)
    for index, party in enumerate(site.parties):
        if party.name in unusable:
            where = f"party {quoted(party.name)}"
            faults.add(("party", index, "token_file"), where, f'"token_file": {unusable[party.name]}')
    for place, path in _named(site):
        wrong = _unreadable(path)
        if wrong:
            key = next(str(part) for part in reversed(place) if isinstance(part, str))
            faults.add(place, _where(place, site), f"{quoted(key)}: {path}: {wrong}; put it there, or correct the path")
    _addressed_once(site, faults)
    return faults.in_order()


def _addressed_once(site: SiteFile, faults: Faults) -> None:
    """Note every device that is reached where another one is; two drivers would write over each other."""
    first: dict[tuple[object, ...], tuple[str, Place]] = {}
    for index, device in enumerate(site.devices):
        for name, table in device.tables.items():
            if not all(hasattr(table, key) for key in ADDRESS):
                continue
            place: Place = ("device", index, name, "host")
            host, port, unit = (getattr(table, key) for key in ADDRESS)
            at = f"{host.lower()}, port {port}" if host else str(getattr(table, "serial", None))
            other, there = first.setdefault((name, at, unit), (device.name, place))
            if there != place:
                said = f"device {quoted(other)} on line {faults.line_of(there)} has this address already"
                what = f"{said} ({at}, unit {unit}); give each device its own"
                faults.add(place, _where(place, site), what)


def _named(site: SiteFile) -> Iterator[tuple[Place, Path]]:
    """Give every file that an adapter's table names, with its place in the text."""
    yield from _paths_in(site.tables, ())
    for index, resource in enumerate(site.resources):
        yield from _paths_in(resource.tables, ("resource", index))
    for index, device in enumerate(site.devices):
        yield from _paths_in(device.tables, ("device", index))
    for index, meter in enumerate(site.meters):
        yield from _paths_in(meter.tables, ("meter", index))


def _paths_in(value: object, place: Place) -> Iterator[tuple[Place, Path]]:
    match value:
        case Path():
            yield place, value
        case Mapping():
            for key, inner in value.items():
                yield from _paths_in(inner, (*place, key))
        case tuple():
            for index, inner in enumerate(value):
                yield from _paths_in(inner, (*place, index))
        case _ if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                yield from _paths_in(getattr(value, field.name), (*place, field.name))


def _unreadable(path: Path) -> str:
    try:
        with path.open("rb"):
            return ""
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _where(place: Place, site: SiteFile) -> str:
    """Name the table as its author does, as in `sep2_client 1`."""
    table, *below = place
    names = {
        "resource": [resource.name for resource in site.resources],
        "device": [device.name for device in site.devices],
        "meter": [meter.name for meter in site.meters],
    }
    if table in names and isinstance(below[0], int):
        return f"{table} {quoted(names[str(table)][below[0]])} {below[1]}"
    return f"{table} {below[0] + 1}" if isinstance(below[0], int) else str(table)
