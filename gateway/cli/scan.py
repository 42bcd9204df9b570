"""`gateway scan TARGET ...`: find SunSpec devices on TCP and serial lines and print their blocks for a site file."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from gateway.cli.looking import (
    FOUND,
    NOTHING_FOUND,
    UNITS,
    WRONG_USE,
    Place,
    WrongTarget,
    along,
    each,
    lines,
    numbers,
    places,
)
from gateway.runtime import wiring
from gateway.southbound.sunspec_modbus import findings
from gateway.southbound.sunspec_modbus.config import RTU_UNITS, Endpoint, Parity
from gateway.southbound.sunspec_modbus.survey import Nothing, Surveyed

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

AT_ONCE: Final = 32
BAUDS: Final = range(4_800, 1_000_001)


def register(subparsers: "Commands") -> None:
    """Add `scan` to the command line."""
    about = (
        "find SunSpec devices on TCP or a serial line and print [[device]] blocks for a site file; they are only read"
    )
    parser = subparsers.add_parser("scan", help=about, description=about)
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="TARGET",
        help="HOST, HOST:PORT, HOST:PORT-PORT, 192.0.2.0/28 or 192.0.2.10-20, with :PORT where it is not 502 or 1502; "
        "or the device file of a serial line, as /dev/ttyUSB0",
    )
    parser.add_argument("--bauds", default="19200,9600", help="of a serial line: speeds to try (default 19200,9600)")
    parser.add_argument("--parity", default="even,none", help="of a serial line: parities to try (default even,none)")
    parser.add_argument("--units", metavar="1-5,126", help="unit ids to try; those that profiles know if not given")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look everywhere and print what was found; 0 where anything was, 1 where not, 2 for a wrong target."""
    profiles = wiring.device_profiles()
    ports = tuple(sorted({profile.port for profile in profiles.profiles} | {502}))
    try:
        wired = [target for target in args.targets if target.startswith("/")]
        where = [place for target in args.targets if target not in wired for place in places(target, ports)]
        settings = numbers(args.bauds, BAUDS, "baud"), _parities(args.parity)
        units = profiles.units if args.units is None else numbers(args.units, UNITS, "unit id")
    except WrongTarget as wrong:
        print(f"gateway scan: {wrong}", file=sys.stderr)
        return WRONG_USE
    paths = [lines(path, *settings) for path in wired]
    found = asyncio.run(_everywhere(where, paths, units))
    named = _named(found)
    if args.json:
        print(json.dumps([_as_json(one, name) for name, one in named]))
    elif named:
        print("\n\n".join(findings.block_of_site(one, name) for name, one in named))
    if not named:
        print(
            f"gateway scan: no SunSpec device at {len(where) + len(wired)} places with {len(units)} unit ids; "
            "check the addresses, give other --units, and see that no other client is connected",
            file=sys.stderr,
        )
        return NOTHING_FOUND
    return FOUND


def _parities(text: str) -> tuple[Parity, ...]:
    """Read a list of parities; raise WrongTarget for what is none."""
    said = [part.strip() for part in text.split(",")]
    if not set(said) <= set(Parity):
        raise WrongTarget(f'"{text}" is no parity; give {", ".join(Parity)}')
    return tuple(map(Parity, said))


async def _everywhere(
    where: Sequence[Place], paths: Sequence[tuple[Endpoint, ...]], units: tuple[int, ...]
) -> list[Surveyed]:
    """Look at many places at once, but at the units of one place in turn: it may take one client only."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def at(place: Place) -> list[Surveyed]:
        async with gate:
            return [found async for found in each(place, units) if isinstance(found, Surveyed)]

    async def on(settings: tuple[Endpoint, ...]) -> list[Surveyed]:
        said = tuple(unit for unit in units if unit in RTU_UNITS)
        found = [found async for found in along(settings, said)]
        for one in found[:1]:
            if isinstance(one, Nothing) and not one.connected:
                print(f"gateway scan: {one.why}", file=sys.stderr)
        return [one for one in found if isinstance(one, Surveyed)]

    looked = await asyncio.gather(*map(at, where), *map(on, paths))
    return [one for some in looked for one in some]


def _named(found: Sequence[Surveyed]) -> list[tuple[str, Surveyed]]:
    """Name each device by its profile, counting on."""
    counted: dict[str, int] = {}
    named = []
    for one in found:
        kind = one.profile.name.replace("_", "-")
        counted[kind] = counted.get(kind, 0) + 1
        named.append((f"{kind}-{counted[kind]}", one))
    return named


def _as_json(one: Surveyed, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "identity": one.identity._asdict(),
        "rated_w": findings.rated_w(one),
        "profile": one.profile.name,
        "dangers": list(one.profile.dangers),
        "sunspec_modbus": {**({} if one.line else {"port": one.port}), "unit": one.unit, **findings.table(one)},
        "block": findings.block_of_site(one, name),
    }
