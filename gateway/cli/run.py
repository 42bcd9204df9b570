"""`gateway run SITE.toml`: the daemon; with `--dry` it decides and writes nothing."""

import argparse
import errno
import json
import logging
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from gateway.config import load_whole
from gateway.core.events import Tell
from gateway.diagnostics import logs
from gateway.diagnostics.records import records, sentence
from gateway.pki import PkiFault
from gateway.runtime import daemon, wiring
from gateway.runtime.clock import ClockFault, parse
from gateway.store import JournalFault
from gateway.web import TokenFault, local_api
from gateway.web.tokens import Tokens

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

DONE, FAULT_FOUND, WRONG_USE = 0, 1, 2


def _tell_json(tell: Tell) -> None:
    for record in records(tell):
        print(json.dumps(record), flush=True)


def _tell_text(tell: Tell) -> None:
    print(sentence(tell), flush=True)


TELLERS: Final = {"json": _tell_json, "text": _tell_text}


def register(subparsers: "Commands") -> None:
    """Add `run` to the command line."""
    about = "run the gateway on a site file until it is told to stop"
    parser = subparsers.add_parser("run", help=about, description=about)
    parser.add_argument("site", type=Path, metavar="SITE.toml", help="the site file")
    parser.add_argument(
        "--state", type=Path, default=Path("state"), metavar="DIR", help="where the journal is kept; default ./state"
    )
    parser.add_argument(
        "--clock",
        default="real",
        metavar="real|xN@T0",
        help="the clock to decide by; xN@T0 runs N times as fast, for tests and demos",
    )
    parser.add_argument("--dry", action="store_true", help="read and decide, but write and answer nothing")
    parser.add_argument("--tell", choices=sorted(TELLERS), help="print each decision on standard output")
    parser.add_argument("--log-json", action="store_true", help="log JSON lines instead of text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until stopped; 2 where `check` finds a fault, or clock, certificates or state cannot be used."""
    logs.set_up(as_json=args.log_json)
    checked = load_whole(args.site, wiring.TABLES, Tokens.faults)
    for fault in checked.faults:
        print(fault, file=sys.stderr)
    for warning in checked.warnings:
        log.warning("%s", warning)
    if checked.site is None:
        return WRONG_USE
    if args.dry:
        log.warning("dry run: no register is written and nothing is posted")
    _allow_connections()
    try:
        clock = parse(args.clock)
        serving = daemon.serve(
            checked.site,
            args.state,
            clock,
            may_write=not args.dry,
            witnesses=(TELLERS[args.tell],) if args.tell else (),
            services=() if checked.site.local_api is None else (local_api(checked.site),),
        )
        uvloop.run(serving)
    except (ClockFault, PkiFault, JournalFault, TokenFault) as fault:
        print(f"gateway run: {fault}", file=sys.stderr)
        return WRONG_USE
    except OSError as fault:
        hint = (
            "; set health_port in [gateway] and port in [local_api] to free ports, or 0"
            if fault.errno == errno.EADDRINUSE
            else ""
        )
        print(f"gateway run: {fault.strerror or fault}{hint}", file=sys.stderr)
        return WRONG_USE
    return DONE


def _allow_connections() -> None:
    """Allow as many open files as the system grants; the usual soft limit is less than a district has devices."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
