"""`gateway pics HOST[:PORT]`: the table of models, points and modes that a device implements, as Markdown."""

import argparse
import json
from typing import TYPE_CHECKING

from gateway.cli.looking import FOUND, add_one, look
from gateway.southbound.sunspec_modbus import findings
from gateway.southbound.sunspec_modbus.survey import Surveyed

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private


def register(subparsers: "Commands") -> None:
    """Add `pics` to the command line."""
    about = "print which models, points and modes a SunSpec device implements (PICS); it is only read"
    parser = subparsers.add_parser("pics", help=about, description=about)
    add_one(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look and print; 0 where a device was found, 1 where not, 2 for a target that cannot be understood."""
    found = look(args, "pics")
    if isinstance(found, int):
        return found
    if args.json:
        rows, modes = findings.rows(found), findings.modes(found)
        shown = {"models": [row._asdict() for row in rows], "modes": [mode._asdict() for mode in modes]}
        print(json.dumps({"identity": found.identity._asdict(), **shown}))
    else:
        print("\n".join(markdown(found)))
    return FOUND


def markdown(found: Surveyed) -> list[str]:
    """Write the tables."""
    who = found.identity
    lines = [
        f"# {_cell(who.manufacturer)} {_cell(who.model)}, firmware {_cell(who.version) or 'not given'}",
        "",
        "| model | name | address | length | points implemented | mandatory and missing |",
        "|---|---|---|---|---|---|",
    ]
    for row in findings.rows(found):
        of_all = f"{len(row.implemented)} of {len(row.implemented) + len(row.absent)}"
        given = f"{of_all}: {', '.join(row.implemented)}" if row.implemented else of_all
        missing = ", ".join(row.missing) or "none"
        lines.append(f"| {row.model} | {row.name} | {row.address} | {row.length} | {given} | {missing} |")
    lines += ["", "| mode | model | how |", "|---|---|---|"]
    lines += [f"| {mode.mode} | {mode.model or 'no'} | {mode.how} |" for mode in findings.modes(found)]
    return lines


def _cell(text: str) -> str:
    """Keep a device's text inside its cell."""
    return text.replace("|", "/")
