"""`gateway check SITE.toml`: every fault of a site file and of the files it names, or that there is none (DESIGN 4)."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from gateway import grid
from gateway.config import Checked, Fault, Lines, SiteFile, TableSpec, load_whole
from gateway.runtime import wiring
from gateway.web.tokens import Tokens

CLEAN = 0
FAULTY = 2


class Commands(Protocol):
    """What `ArgumentParser.add_subparsers` gives."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:  # noqa: A002 - argparse's own name
        """Add a command."""


def register(commands: Commands, tables: Mapping[str, TableSpec]) -> None:
    """Add the command; `tables` are the adapters' tables of the site file."""
    about = "check a site file: print every fault with its line, and exit 2 if there is one"
    parser = commands.add_parser("check", help=about, description=about)
    parser.add_argument("site", type=Path, metavar="SITE.toml", help="the site file")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output too")
    parser.set_defaults(run=lambda arguments: run(arguments.site, tables, as_json=arguments.json))


def run(site: Path, tables: Mapping[str, TableSpec], *, as_json: bool) -> int:
    """Check the site file and the files that it names, and print what was found; 0 where all is well, 2 where not."""
    checked = load_whole(site, tables, Tokens.faults)
    if checked.site is not None:
        checked = _with_feeder(checked, checked.site)
    for fault in checked.faults:
        print(fault, file=sys.stderr)
    for warning in checked.warnings:
        print(f"{warning} (warning)", file=sys.stderr)
    if as_json:
        faults, warnings = ([dataclasses.asdict(each) for each in told] for told in (checked.faults, checked.warnings))
        print(json.dumps({"site": str(site), "ok": not faults, "faults": faults, "warnings": warnings}))
    elif checked.site is not None:
        print(f"{site}: no fault: {_summary(checked.site)}")
    return FAULTY if checked.faults else CLEAN


def _with_feeder(checked: Checked, site: SiteFile) -> Checked:
    """Try the model of the feeder, where there is one, with the devices that are on it."""
    table = site.tables.get("feeder")
    if table is None:
        return checked
    line = Lines(site.path.read_text(encoding="utf-8")).of(("feeder",))
    found = tuple(Fault(str(site.path), line, "feeder", what) for what in grid.faults(table, wiring.places(site)))
    return Checked(None, found, checked.warnings) if found else checked


def _summary(site: SiteFile) -> str:
    counted = (
        (len(site.parties), "party", "parties"),
        (len(site.grants), "grant", "grants"),
        (len(site.resources), "resource", "resources"),
        (len(site.devices), "device", "devices"),
    )
    return ", ".join(f"{count} {one if count == 1 else more}" for count, one, more in counted)
