"""The command line: `gateway run | check | probe | scan | discover | pics | demo | explain | certs | hil | ...`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from gateway.cli import (
    certs,
    check,
    coordination,
    demo,
    discover,
    evidence,
    explain,
    pics,
    probe,
    procedures,
    replay,
    run,
    scan,
)
from gateway.runtime import wiring

INTERRUPTED, READER_GONE = 130, 141


def parser() -> argparse.ArgumentParser:
    """Give the parser of the whole command line."""
    made = argparse.ArgumentParser(
        prog="gateway", description="Edge gateway that settles and enforces the dispatch hierarchy on DER."
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run.register(commands)
    check.register(commands, wiring.TABLES)
    probe.register(commands)
    scan.register(commands)
    discover.register(commands)
    pics.register(commands)
    demo.register(commands)
    explain.register(commands)
    evidence.register(commands)
    replay.register(commands)
    certs.register(commands)
    coordination.register(commands)
    procedures.register(commands)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    args = parser().parse_args(arguments)
    action: Callable[[argparse.Namespace], int] = args.run
    try:
        return action(args)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except BaseExceptionGroup as group:
        if group.split(BrokenPipeError)[1] is not None:
            raise
        return _reader_gone()


def _reader_gone() -> int:
    """Say nothing more to a reader that went away."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_GONE
