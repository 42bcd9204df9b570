"""`python -m tests.bench [--only NAME]`: measure, print a table, write build/bench.json."""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import (
    bodies,
    decode,
    event,
    fleet_poll,
    get,
    memory,
    mqtt,
    notification,
    order,
    overlap,
    poll,
    ruling,
    sessions,
    validate,
)
from .result import Result, table, write
from .streams import ROOT

BENCHMARKS: dict[str, Callable[[Path], list[Result]]] = {
    "event-48": event.benchmark,
    "order-100": order.benchmark(100),
    "order-1000": order.benchmark(1_000),
    "memory-1000": memory.benchmark,
    "ruling-10000": ruling.benchmark,
    "ruling-flat": ruling.flat,
    "overlap-10000": overlap.benchmark,
    "GET-list": get.benchmark,
    "notification": notification.benchmark,
    "session-1000": sessions.benchmark,
    "validate-123": validate.benchmark,
    "mqtt-command": mqtt.benchmark,
    "decode": decode.benchmark,
    "DERControlList-EndDeviceList": bodies.benchmark,
    "poll-701": poll.benchmark,
    "poll-1000": fleet_poll.benchmark(fleet_poll.SECONDLY),
    "poll-10000": fleet_poll.benchmark(fleet_poll.TEN_SECONDLY),
}
DONE, FAULT_FOUND, WRONG_USE = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks; 1 where one of them could not be measured, whatever the others found."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Benchmarks with peers and floor.")
    known = ", ".join(BENCHMARKS)
    parser.add_argument("--only", metavar="NAME", default="", help=f"those whose names contain this: {known}")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json", metavar="FILE")
    given = parser.parse_args(arguments)
    chosen = [name for name in BENCHMARKS if given.only in name]
    if not chosen:
        sys.stderr.write(f"bench: no benchmark's name contains {given.only!r}; there are {known}\n")
        return WRONG_USE
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    results: list[Result] = []
    broken = False
    for name in chosen:
        sys.stderr.write(f"measuring {name}\n")
        began_s = time.monotonic()
        try:
            results += BENCHMARKS[name](ROOT / "build" / "bench" / name)
        except OSError as fault:
            sys.stderr.write(f"bench: {name} could not be measured: {fault}\n")
            broken = True
        sys.stderr.write(f"{name} took {time.monotonic() - began_s:.0f} s\n")
    write(results, given.out)
    sys.stdout.write(table(results) + "\n")
    return FAULT_FOUND if broken else DONE


if __name__ == "__main__":
    sys.exit(main())
