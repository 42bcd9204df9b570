"""What `probe`, `scan` and `pics` have in common: where to look, how to look, and what to say of nothing."""

import argparse
import asyncio
import ipaddress
import re
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Final, NamedTuple

from gateway.runtime import wiring
from gateway.southbound.sunspec_modbus.config import Endpoint, Parity, Reach, endpoint
from gateway.southbound.sunspec_modbus.profiles import PLAIN
from gateway.southbound.sunspec_modbus.survey import REST_S, Nothing, Surveyed, survey, survey_line

FOUND, NOTHING_FOUND, WRONG_USE = 0, 1, 2
UNITS: Final = range(256)
PLACES_MAX: Final = 4096
_RANGE: Final = re.compile(r"(\d+)(?:-(\d+))?")
_TARGET: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]+)(?::(?P<ports>[\d,-]+))?")


class Place(NamedTuple):
    """Where a device may be."""

    host: str
    port: int


class WrongTarget(ValueError):  # noqa: N818 - it is the user's, and told as one line
    """A target that cannot be understood, and how to write it."""


def numbers(text: str, allowed: range, what: str) -> tuple[int, ...]:
    """Read a list such as 1-5,126; raise WrongTarget for what is no number of that kind."""
    found: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if low > high or low not in allowed or high not in allowed:
            raise WrongTarget(f'"{text}" is no {what}; give numbers from {allowed[0]} to {allowed[-1]}, as 1-5,126')
        found.extend(range(low, high + 1))
    return tuple(dict.fromkeys(found))


def places(text: str, default_ports: tuple[int, ...]) -> tuple[Place, ...]:
    """Read a target: HOST, HOST:PORT, HOST:PORT-PORT, a network as 192.0.2.0/28, or 192.0.2.10-20."""
    match = _TARGET.fullmatch(text)
    if match is None:
        raise WrongTarget(f'"{text}" is no target; give HOST, HOST:PORT or HOST:PORT-PORT, an IPv6 address in brackets')
    ports = default_ports if match["ports"] is None else numbers(match["ports"], range(1, 65_536), "port")
    hosts = tuple(_hosts(match["host"].strip("[]")))
    if len(hosts) * len(ports) > PLACES_MAX:
        raise WrongTarget(f'"{text}" is {len(hosts) * len(ports)} places; look at {PLACES_MAX} at most in one go')
    return tuple(Place(host, port) for host in hosts for port in ports)


def _hosts(text: str) -> Iterator[str]:
    if "/" in text:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise WrongTarget(f'"{text}" is no network; write it as 192.0.2.0/28') from None
        if network.num_addresses > PLACES_MAX:
            raise WrongTarget(f'"{text}" is {network.num_addresses} addresses; look at {PLACES_MAX} at most in one go')
        yield from map(str, network.hosts())
        return
    ranged = re.fullmatch(r"(\d+\.\d+\.\d+\.)(\d+)-(\d+)", text)
    if ranged is None:
        yield text
        return
    for last in numbers(f"{ranged[2]}-{ranged[3]}", range(256), "range of addresses"):
        yield f"{ranged[1]}{last}"


def lines(path: str, bauds: tuple[int, ...], parities: tuple[Parity, ...]) -> tuple[Endpoint, ...]:
    """Give a serial line with every setting that it may have."""
    return tuple(endpoint(Reach(serial=path, baud=baud, parity=parity)) for baud in bauds for parity in parities)


async def along(settings: tuple[Endpoint, ...], units: tuple[int, ...]) -> AsyncIterator[Surveyed | Nothing]:
    """Look at one unit of a serial line after another, with each setting until anything answers."""
    for line in settings:
        answers = False
        for unit in units:
            found = await survey_line(line, unit, wiring.device_profiles())
            answers = answers or isinstance(found, Surveyed) or found.answers
            yield found
            if isinstance(found, Nothing) and not found.connected:
                return
        if answers:
            return


def add_one(parser: argparse.ArgumentParser) -> None:
    """Add what names one device."""
    parser.add_argument("target", metavar="HOST[:PORT]", help="the device, or the bridge that it is behind; port 502")
    parser.add_argument("--unit", type=int, metavar="N", help="its unit id; those that profiles know are tried if not")
    parser.add_argument("--json", action="store_true", help="print JSON")


def look(args: argparse.Namespace, command: str) -> Surveyed | int:
    """Look at the one device that was named, and give it, or the exit code after saying on one line what is wrong."""
    try:
        found_places = places(args.target, (PLAIN.port,))
    except WrongTarget as wrong:
        print(f"gateway {command}: {wrong}", file=sys.stderr)
        return WRONG_USE
    if len(found_places) > 1 or (args.unit is not None and args.unit not in UNITS):
        what = "one device at a time; use scan for many" if len(found_places) > 1 else "a unit id is 0 to 255"
        print(f"gateway {command}: {what}", file=sys.stderr)
        return WRONG_USE
    profiles = wiring.device_profiles()
    units = profiles.units if args.unit is None else (args.unit,)
    found = asyncio.run(first(found_places[0], units))
    if isinstance(found, Surveyed):
        return found
    hint = "check the address, and that Modbus TCP is enabled in the device"
    if found.connected:
        hint = "check the unit id (--unit), and that no other client is connected"
    if found.answers:
        hint = "check the unit id (--unit), and that SunSpec is chosen in the device"
    print(f"gateway {command}: {args.target} unit {found.unit}: {found.why}; {hint}", file=sys.stderr)
    return NOTHING_FOUND


async def first(place: Place, units: tuple[int, ...]) -> Surveyed | Nothing:
    """Look at one unit after another until one is found; else give the most telling that was not."""
    missed: list[Nothing] = []
    async for found in each(place, units):
        if isinstance(found, Surveyed):
            return found
        missed.append(found)
    return max(missed, key=lambda nothing: (nothing.answers, nothing.connected, -nothing.unit))


async def each(place: Place, units: tuple[int, ...]) -> AsyncIterator[Surveyed | Nothing]:
    """Look at one unit after another; where nothing can be connected to the rest is left out."""
    heard = False
    for turn, unit in enumerate(units):
        await asyncio.sleep(REST_S if turn else 0)
        found = await survey(*place, unit, wiring.device_profiles(), patient=not heard)
        heard = heard or isinstance(found, Surveyed) or found.answers
        yield found
        if isinstance(found, Nothing) and not found.connected and not heard:
            return
