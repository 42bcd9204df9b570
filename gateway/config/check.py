"""A site file's text, checked: either everything that it says, built, or every fault in it."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import cross, model, precedence, site
from gateway.config.faults import Fault, Faults, nearest, quoted, suggestion
from gateway.config.lines import Lines
from gateway.config.site import Grant, SiteFile
from gateway.config.tables import Entry, Reader, TableSpec, key_names
from gateway.core.parties import USUAL_PRECEDENCE, Precedence

GRANT = key_names(Grant)
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check gives: the site where there is no fault, and otherwise every fault in the order of lines.

    `warnings` is what is no fault and yet hardly meant.
    """

    site: SiteFile | None
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...] = ()


def check(text: str, filename: str, tables: Mapping[str, TableSpec]) -> Checked:
    """Check the text of a site file; `tables` are the adapters' tables.

    Their keys are where they stand: "sep2_client" at the top, "resource.sep2" below each [[resource]]. Paths in the
    file are relative to the folder of `filename`. Nothing is raised for a faulty text.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Checked(None, (_syntax_fault(text, filename, str(error)),))
    faults = Faults(filename, Lines(text))
    reading = _Reading(Reader(faults, Path(filename).parent), tables, raw, Path(filename).parent)
    reading.read()
    found = faults.in_order()
    return Checked(None if found else reading.built(Path(filename)), found, faults.warnings())


def _syntax_fault(text: str, filename: str, message: str) -> Fault:
    place = _PLACE.search(message)
    if place is None or place[1] is None:
        return Fault(filename, text.rstrip().count("\n") + 1, "site", f"not TOML: {_PLACE.sub('', message)}")
    return Fault(filename, int(place[1]), "site", f"not TOML: {message[: place.start()]} (column {place[2]})")


class _Reading:
    """One pass over the tables of a site file."""

    def __init__(
        self, reader: Reader, tables: Mapping[str, TableSpec], raw: Mapping[str, object], folder: Path
    ) -> None:
        self._reader = reader
        self._folder = folder
        self._precedence = USUAL_PRECEDENCE
        self._derived: tuple[Grant, ...] = ()
        self._specs = {**site.TABLES, **tables}
        self._entries: dict[str, list[Entry]] = {name: [] for name in self._specs}
        self._root = Entry((), "site", raw)

    def read(self) -> None:
        """Read every table and check what holds between them."""
        self._top()
        for name in self._below(""):
            self._table(self._root, "", name)
        cross.check_names(self._reader, self._entries)
        cross.check_references(self._reader, self._entries, self._specs)
        cross.cross_check(self._reader, self._entries, {kind: self._below(kind) for kind in ("device", "meter")})
        self._precedence = self._profile()
        if self._entries["coordination"]:
            self._derived = model.granted(self._reader, self._entries, self._folder)
        self._whole_tables()
        self._tables_together()

    def built(self, path: Path) -> SiteFile:
        """Build what was read; only for a text without fault."""
        made = self._made(self._root, "")
        return SiteFile(
            path=path,
            gateway=made["gateway"],
            parties=made["party"],
            grants=made.get("grant", self._derived),
            groups=made["group"],
            resources=made["resource"],
            devices=made["device"],
            meters=made.get("meter", ()),
            transformers=made.get("service_transformer", ()),
            segments=made.get("segment", ()),
            interface=made.get("interface"),
            local_api=made.get("local_api"),
            precedence=self._precedence,
            tables={name: table for name, table in made.items() if name not in site.TABLES},
        )

    def _profile(self) -> Precedence:
        """Read the DSO's profile that the site file names."""
        for entry in self._entries["gateway"]:
            found = precedence.find(entry.values.get("dso_profile", "default"), self._folder)
            if isinstance(found, Precedence):
                return found
            self._reader.fault(entry, f'"dso_profile": {found}', "dso_profile")
        return USUAL_PRECEDENCE

    def _whole_tables(self) -> None:
        """Let each adapter look at its tables whose every key is right."""
        written = [
            Grant(**entry.values) for entry in self._entries["grant"] if entry.sound and len(entry.values) == len(GRANT)
        ]
        levels: dict[str, dict[str, int]] = {}
        for grant in written or self._derived:
            held = levels.setdefault(grant.party, {})
            held[grant.service] = min(grant.level, held.get(grant.service, grant.level))
        for name, spec in self._specs.items():
            if spec.faults is None:
                continue
            for entry in self._entries[name]:
                for below, what in spec.faults(spec.kind(**entry.values), levels) if entry.sound else ():
                    self._reader.fault(entry, what, *below)

    def _tables_together(self) -> None:
        """Look at the tables of one adapter beside each other, and for what they need at the top."""
        for full, spec in self._specs.items():
            for entry in self._entries[full] if spec.note else ():
                self._reader.warn(entry, spec.note)
            parent, _, name = full.rpartition(".")
            held = [
                (entry, entry.children[name][0]) for entry in self._entries.get(parent, ()) if name in entry.children
            ]
            if spec.needs and not self._entries[spec.needs]:
                for _holder, table in held[:1]:
                    self._reader.fault(table, f"there is no {_title(spec.needs, self._specs[spec.needs])}; add it")
            if spec.together is None or not all(table.sound and "name" in holder.values for holder, table in held):
                continue
            by_name = {holder.values["name"]: table for holder, table in held}
            whole = {each: spec.kind(**table.values) for each, table in by_name.items()}
            for each, what in spec.together(whole):
                self._reader.fault(by_name[each], what)

    def _below(self, table: str) -> list[str]:
        """Name the tables that may stand below one, or at the top."""
        return [name.rpartition(".")[2] for name in self._specs if name.rpartition(".")[0] == table]

    def _top(self) -> None:
        given = self._root.raw
        known = self._below("")
        absent = [name for name in known if name not in given]
        misspelt = {nearest(name, absent) for name in given if name not in known}
        for name in given:
            if name not in known:
                self._reader.fault(self._root, f"unknown table {quoted(name)}; {suggestion(name, absent)}", name)
        for name in absent:
            wanted = name in site.TABLES and site.TABLES[name].required
            if name == "grant" and "coordination" in given:
                continue
            if wanted and name not in misspelt:
                self._reader.fault(self._root, f"missing table {_title(name, self._specs[name])}")

    def _table(self, around: Entry, parent: str, name: str) -> None:
        raw = around.raw.get(name)
        full = f"{parent}.{name}" if parent else name
        spec = self._specs[full]
        if raw is None:
            return
        whole = isinstance(raw, list) and bool(raw) and all(isinstance(each, dict) for each in raw)
        if whole if spec.many else isinstance(raw, dict):
            for index, each in enumerate(raw if isinstance(raw, list) else [raw]):
                path = (*around.path, name, *([index] if spec.many else []))
                self._entry(around, full, Entry(path, _where(around, name, spec, index, each), each))
        else:
            self._reader.fault(around, f"{quoted(name)} must be written as {_title(full, spec)}", name)

    def _entry(self, around: Entry, full: str, entry: Entry) -> None:
        parent, _, name = full.rpartition(".")
        own = key_names(self._specs[full].kind)
        below = self._below(full)
        elsewhere = {
            key: _title(f"{full}.{child}", self._specs[f"{full}.{child}"])
            for child in below
            for key in key_names(self._specs[f"{full}.{child}"].kind)
        }
        if parent:
            elsewhere |= {
                key: f"{_title(parent, self._specs[parent])}, above [{full}]"
                for key in key_names(self._specs[parent].kind)
            }
        self._reader.entry(self._specs[full].kind, entry, {k: v for k, v in elsewhere.items() if k not in own}, below)
        self._entries[full].append(entry)
        around.children.setdefault(name, []).append(entry)
        for child in below:
            self._table(entry, full, child)

    def _made(self, around: Entry, parent: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, entries in around.children.items():
            full = f"{parent}.{name}" if parent else name
            spec = self._specs[full]
            values = []
            for entry in entries:
                tables = {"tables": self._made(entry, full)} if entry.children else {}
                values.append(spec.kind(**entry.values, **tables))
            made[name] = tuple(values) if spec.many else values[0]
        return made


def _title(full: str, spec: TableSpec) -> str:
    return f"[[{full}]]" if spec.many else f"[{full}]"


def _where(around: Entry, name: str, spec: TableSpec, index: int, raw: Mapping[str, object]) -> str:
    """Name an entry as its author does: by its name, else by its place in the file."""
    own = raw.get("name")
    words = [around.where] if around.path else []
    words.append(name)
    if spec.many:
        words.append(quoted(own) if isinstance(own, str) else str(index + 1))
    return " ".join(words)
