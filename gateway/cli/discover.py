"""`gateway discover`: find IEEE 2030.5 servers on the local network and print what a site file needs of them."""

import argparse
import asyncio
import json
import sys
from typing import TYPE_CHECKING, Final

from gateway.northbound.sep2_client.discovery import GROUP, Server, discover

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

FOUND, NOTHING_FOUND, WRONG_USE = 0, 1, 2
SECONDS_MAX: Final = 60.0


def register(subparsers: "Commands") -> None:
    """Add `discover` to the command line."""
    about = (
        "find IEEE 2030.5 servers by multicast DNS (_smartenergy._tcp); who they are, their certificates still prove"
    )
    parser = subparsers.add_parser("discover", help=about, description=about)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to ask (default 3, at most 60)")
    parser.add_argument(
        "--at",
        default="{}:{}".format(*GROUP),
        metavar="ADDRESS:PORT",
        help="where to ask (default the group of multicast DNS)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask and print what answered; 0 where anything did, 1 where nothing, 2 for wrong use."""
    host, _, port = args.at.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16 or not 0 < args.seconds <= SECONDS_MAX:
        print("gateway discover: give --at as ADDRESS:PORT, and --seconds above 0 and up to 60", file=sys.stderr)
        return WRONG_USE
    try:
        found = asyncio.run(discover(args.seconds, (host, int(port))))
    except OSError as fault:
        print(f"gateway discover: cannot ask at {args.at}: {fault.strerror or fault}; give --at", file=sys.stderr)
        return NOTHING_FOUND
    if args.json:
        print(json.dumps([server._asdict() for server in found]))
    elif found:
        print("\n\n".join(map(_block, found)))
    if not found:
        print(
            "gateway discover: no server answers; ask on its network, for longer, or write its url yourself",
            file=sys.stderr,
        )
        return NOTHING_FOUND
    return FOUND


def _block(server: Server) -> str:
    """Give what a site file needs of a server; its LFDI has to come from whoever runs it."""
    said = ascii(server.name)[1:-1] + (f", level {ascii(server.level)[1:-1]}" if server.level else "")
    url = f'url = "{server.url}"' if server.url else "# it does not say where its DeviceCapability is over HTTPS"
    return f'# {said}\n[[sep2_client]]\n{url}\nserver_lfdi = ""    # of its certificate: ask whoever runs it'
