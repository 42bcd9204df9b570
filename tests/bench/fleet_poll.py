"""A fleet read as often as it is to be: the gateway as a whole process, its devices in others, orders to them all."""

import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from .devices import OURS, RATED_W
from .order import LIMITS_W
from .result import Result
from .site import control_list, site_file
from .streams import Child, Line

STREET: Final = 5_000
"""So many devices a process: each takes two file descriptors, one to listen and one to talk."""
DISCOVERY_S: Final = 240.0
PATIENCE_S: Final = 60.0
LOOK_S: Final = 1.0
MOVES_EVERY: Final = 10
REST_S: Final = 1.0
MB: Final = 1e6
MS: Final = 1e3
US: Final = 1e6


@dataclass(frozen=True, slots=True)
class Goals:
    """What is to be kept: CPU time a poll (us), memory (MB), the last of a limit (ms), lateness of the loop (ms)."""

    cpu_us: float = 500.0
    memory_mb: float = 200.0
    told_ms: float = 1_000.0
    lag_ms: float = 20.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """So many devices, each read every `poll_s`, watched for `window_s`, and told of so many limits."""

    count: int
    poll_s: int
    window_s: float
    limits: int
    goals: Goals = Goals()


SECONDLY: Final = Fleet(1_000, 1, window_s=20.0, limits=5)
TEN_SECONDLY: Final = Fleet(10_000, 10, window_s=40.0, limits=3, goals=Goals(memory_mb=1_000.0, told_ms=10_000.0))


class Seen(NamedTuple):
    """CPU time a poll, lateness at p99 of polls and loops, memory, and the last told of each limit."""

    cpu_us: float
    late_ms: float
    lag_ms: float
    peace_lag_ms: float
    idle_lag_ms: float
    rss_bytes: int
    told_ms: tuple[float, ...]


def benchmark(fleet: Fleet) -> Callable[[Path], list[Result]]:
    """Give the benchmark of a fleet."""
    return lambda folder: results(fleet, measure(folder / "uvloop", fleet, "uvloop"), folder)


def results(fleet: Fleet, seen: Seen, folder: Path) -> list[Result]:
    """Put what was seen beside its goals; CPU time also beside that on asyncio's own loop."""
    bare = measure(folder / "asyncio", fleet, "asyncio") if fleet.count <= SECONDLY.count else None
    who = f"{fleet.count:,} inverters, each read every {fleet.poll_s} s (701, 704 and 703, three requests)"
    peers = {} if bare is None else {"without uvloop": bare.cpu_us}
    name, goals = f"poll-{fleet.count}", fleet.goals
    period_ms = fleet.poll_s * MS
    return [
        Result(
            f"{name}-cpu", f"CPU time of the daemon for a poll: {who}", seen.cpu_us, "us", goals.cpu_us, peers=peers
        ),
        Result(f"{name}-memory", f"resident memory: {who}", seen.rss_bytes / MB, "MB", goals.memory_mb),
        Result(
            f"{name}-late", f"how late a poll is at p99, as the devices see it: {who}", seen.late_ms, "ms", period_ms
        ),
        Result(
            f"{name}-limit",
            f"order to last register of all, the worst of {fleet.limits}: {who}",
            max(seen.told_ms),
            "ms",
            goals.told_ms,
            peers={"median of them": statistics.median(seen.told_ms)},
        ),
        Result(
            f"{name}-lag",
            f"how late the loop runs what is due at p99, the worse of peace and orders: {who}; beside it a loop with "
            "nothing to do",
            seen.lag_ms,
            "ms",
            goals.lag_ms,
            peers={"in peace": seen.peace_lag_ms, "idle loop": seen.idle_lag_ms},
        ),
    ]


def measure(folder: Path, fleet: Fleet, loop: str) -> Seen:
    """Watch the fleet in peace, then while limits come; raises ChildProcessError where it is not all reached."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log, site = folder / "log.txt", folder / "site.toml"
    with ExitStack() as stack:
        sizes = [min(STREET, fleet.count - first) for first in range(0, fleet.count, STREET)]
        streets = [stack.enter_context(Child(log, "tests.bench.devices", size)) for size in sizes]
        ports = [port for street in streets for port in street.hear()["ports"]]
        site.write_text(site_file(ports, fleet.poll_s), encoding="utf-8")
        daemon = stack.enter_context(Child(log, "tests.bench.watched", site, folder / "state", loop))
        daemon.hear()
        idle = stack.enter_context(Child(log, "tests.bench.lag", loop))
        desk = Desk(streets, daemon, fleet)
        desk.limit(DISCOVERY_S)
        time.sleep(2 * fleet.poll_s)
        desk.counted()
        daemon.ask({})
        idle.ask({})
        time.sleep(fleet.window_s)
        in_peace, polls = daemon.ask({}), desk.counted()
        told_ms = tuple(desk.limit(PATIENCE_S) for _ in range(fleet.limits))
        told, late = daemon.ask({}), desk.counted()
        return Seen(
            US * in_peace["cpu_s"] / polls.polls,
            MS * max(polls.p99_s, late.p99_s) - MS * fleet.poll_s,
            max(in_peace["lag_p99_ms"], told["lag_p99_ms"]),
            in_peace["lag_p99_ms"],
            idle.ask({})["lag_p99_ms"],
            daemon.rss_bytes,
            told_ms,
        )


class Polls(NamedTuple):
    """How many polls came, and 99 % of the gaps between those of one device (s)."""

    polls: int
    p99_s: float


class Desk:
    """Tells and watches: the daemon of its orders, the devices of what is to come."""

    def __init__(self, streets: list[Child], daemon: Child, fleet: Fleet) -> None:
        self._streets, self._daemon, self._fleet = streets, daemon, fleet
        self._orders = 0
        self._created_s = 0

    def counted(self) -> Polls:
        """Give the polls since the last time, and begin anew."""
        said = [street.ask({"moves_every": MOVES_EVERY, "late_s": 2 * self._fleet.poll_s}) for street in self._streets]
        return Polls(sum(each["polls"] for each in said), max(each["p99_s"] for each in said))

    def limit(self, patience_s: float) -> float:
        """Order the next limit; give the time to the register of the last device (ms)."""
        limit_w = LIMITS_W[self._orders % len(LIMITS_W)]
        self._orders += 1
        self._created_s = max(self._created_s + 1, int(time.time()))
        body: Line = {"body": control_list(self._orders, self._created_s, limit_w), "settle_s": REST_S}
        for street in self._streets:
            street.ask({"unit": OURS, "watch": limit_w * 10_000 // RATED_W})
        self._daemon.tell(body)
        until_s = time.monotonic() + patience_s
        arrived_ns = [told for street in self._streets for told in self._arrived(street, until_s)]
        began_ns: int = self._daemon.hear()["began_ns"]
        if len(arrived_ns) < self._fleet.count:
            raise ChildProcessError(
                f"{len(arrived_ns)} of {self._fleet.count} devices were told within {patience_s:g} s"
            )
        return (max(arrived_ns) - began_ns) / 1e6

    def _arrived(self, street: Child, until_s: float) -> list[int]:
        """Wait for what is watched at one process of devices."""
        arrived_ns: list[int] = []
        while not arrived_ns and time.monotonic() < until_s:
            self._daemon.check()
            came = street.ask({"awake": False, "patience_s": LOOK_S})
            arrived_ns = came["arrived_ns"] if came["all"] else []
        return arrived_ns
