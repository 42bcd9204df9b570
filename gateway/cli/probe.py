"""`gateway probe HOST[:PORT]`: look at one device, say what it is, and print a device profile to start from."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.looking import FOUND, WRONG_USE, add_one, look
from gateway.southbound.sunspec_modbus import findings
from gateway.southbound.sunspec_modbus.survey import Surveyed

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

OCTETS_A_LINE = 32


def register(subparsers: "Commands") -> None:
    """Add `probe` to the command line."""
    about = "look at one SunSpec device and print a device profile to start from; it is only read, never written to"
    parser = subparsers.add_parser("probe", help=about, description=about)
    add_one(parser)
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep its registers in a file, to be replayed")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look and print; 0 where a device was found, 1 where not, 2 for a target that cannot be understood."""
    found = look(args, "probe")
    if isinstance(found, int):
        return found
    if args.save is not None:
        try:
            args.save.write_text(capture(found), encoding="utf-8")
        except OSError as fault:
            print(f"gateway probe: {args.save}: {fault.strerror}; name another file", file=sys.stderr)
            return WRONG_USE
    print(json.dumps(as_json(found)) if args.json else "\n".join(text(found)))
    return FOUND


def as_json(found: Surveyed) -> dict[str, Any]:
    """Give all that was seen of a device."""
    return {
        "host": found.host,
        "port": found.port,
        "unit": found.unit,
        "identity": found.identity._asdict(),
        "base": found.chain.base,
        "ended_by": found.chain.ended_by,
        "block_max": found.block_max,
        "rated_w": findings.rated_w(found),
        "profile": found.profile.name,
        "dangers": list(found.profile.dangers),
        "models": [
            {"model": block.id, "address": block.address, "length": block.length, "points": dict(points)}
            for block in found.chain.models
            for points in [findings.points(found, block)]
        ],
        "profile_to_start_from": findings.profile_start(found),
    }


def text(found: Surveyed) -> list[str]:
    """Say what was seen of a device as comments above a profile."""
    who = found.identity
    models = " ".join(str(block.id) for block in found.chain.models)
    said = [
        f"{found.host}:{found.port} unit {found.unit}: {who.manufacturer} {who.model}, firmware {who.version or '?'}",
        f"map at {found.chain.base}: models {models}; ended by {found.chain.ended_by}",
        f"profile that fits: {found.profile.name} ({found.profile.about})",
        *(f"{'beware: ' if quirk.danger else ''}{quirk.what}" for quirk in found.profile.quirks),
    ]
    return [*(f"# {line}" for line in said), findings.profile_start(found)]


def capture(found: Surveyed) -> str:
    """Write the registers of a device as a capture, without its serial number."""
    lines = [f"unit = {found.unit}", f"base = {found.chain.base}", "", "[registers]"]
    marker = b"SunS"
    for block, octets in found.registers.items():
        hidden = octets[:100] + bytes(32) + octets[132:] if block.id == 1 else octets
        start = found.chain.base if block.address == found.chain.base + 2 else block.address
        whole = marker + hidden if start == found.chain.base else hidden
        rows = (whole[at : at + OCTETS_A_LINE].hex(" ", 2) for at in range(0, len(whole), OCTETS_A_LINE))
        lines += [f'{start} = """', *rows, '"""']
    return "\n".join([*lines, ""])
