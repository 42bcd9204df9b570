"""`gateway hil run | list`: runs the bench's procedures on a device under test, in a process of its own.

The bench proves the product and shares no code with it: this command starts `python -m hil` and passes its code on.
"""

import argparse
import asyncio
import signal
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

WRONG_USE, INTERRUPTED = 2, 130


def register(subparsers: "Commands") -> None:
    """Add `hil` to the command line."""
    about = "run test procedures on a device (IEEE 1547.1, SunSpec conformance), simulated or real"
    actions = subparsers.add_parser("hil", help=about, description=about).add_subparsers(
        dest="action", required=True, metavar="run|list"
    )
    ran = actions.add_parser("run", help="run a procedure or a suite on a bench, and write a report")
    ran.add_argument("asked", metavar="PROCEDURE|SUITE", help="a shipped name (see list) or a file")
    ran.add_argument("--bench", default="simulated", metavar="BENCH", help="a shipped name or a file")
    ran.add_argument("--out", required=True, metavar="DIR", help="a folder for the report")
    ran.add_argument("--seed", default="1", help="moves the moments of measuring")
    ran.set_defaults(run=run)
    listed = actions.add_parser("list", help="list procedures, suites and benches")
    listed.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the bench; give 0 passed, 1 something failed or nothing could be judged, 2 wrong use or no device."""
    if find_spec("hil") is None:
        print("gateway hil: the bench is missing; run it in a checkout", file=sys.stderr)
        return WRONG_USE
    told = [args.action]
    if args.action == "run":
        told += [args.asked, "--bench", args.bench, "--out", args.out, "--seed", args.seed]
    return asyncio.run(_bench(told))


async def _bench(told: list[str]) -> int:
    """Run `python -m hil`, and end it where this process is ended."""
    bench = await asyncio.create_subprocess_exec(sys.executable, "-m", "hil", *told)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, bench.terminate)
    try:
        code = await bench.wait()
    finally:
        if bench.returncode is None:
            bench.terminate()
            await bench.wait()
    return code if code >= 0 else INTERRUPTED
