"""A thousand idle devices on the 2030.5 server of the gateway, and all of them coming back at once after a cut.

The gateway is a whole process; the devices are another, with a certificate each. One device more speaks Modbus: it sees
how late a control of the DSO's begins that falls in the storm. Beside it the same devices on the least server there is.
"""

import math
import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from gateway.pki import issue

from .devices import OURS, RATED_W
from .fleet import Timed
from .result import Result
from .session_clients import name
from .site import control_list, site_file
from .streams import Child

COUNT: Final = 1_000
PATH: Final = "/dcap"
LISTENS: Final = re.compile(r"devices connect at 127\.0\.0\.1:(\d+)")
POLL_S: Final = 60.0
LIMITS_W: Final = (2_000, 3_000)
PATIENCE_S: Final = 90.0
AHEAD_S: Final = 2.0
GOAL_MB, GOAL_BACK_S, GOAL_LAG_MS, GOAL_LATE_MS = 400.0, 60.0, 100.0, 1_000.0
MB: Final = 1e6
KB: Final = 1e3
MS: Final = 1e3

SERVER: Final = """
[sep2_server]
port = 0
certificate = "{pki}/gateway.pem"
key = "{pki}/gateway.key"
trust = ["{pki}/serca.pem", "{pki}/mca.pem", "{pki}/mica.pem"]
poll_s = 60
post_s = 60
"""
DEVICE: Final = """
[[resource]]
name = "{name}"
export_limit_w = {rated_w}
last_resort_export_limit_w = 1500

[[device]]
name = "{name}-roof"
resource = "{name}"
rated_w = {rated_w}
[device.sep2_server]
lfdi = "{lfdi}"
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the idle sessions are looked at, and how long they poll (s)."""

    idle_s: float = 4.0
    polling_s: float = 8.0


class Seen(NamedTuple):
    """What was seen of one server: memory (octets), lateness of its loop and of the event (ms), times (s)."""

    rss_bytes: int
    session_bytes: float
    idle_p50_ms: float
    idle_p99_ms: float
    polling_p99_ms: float
    cpu_share: float
    back_s: float
    storm_p99_ms: float
    storm_most_ms: float
    late_ms: float


def benchmark(folder: Path) -> list[Result]:
    """Measure at the full count."""
    return measure(folder, COUNT, Pace())


def measure(folder: Path, count: int, pace: Pace) -> list[Result]:
    """Measure the gateway, then the floor, with the same devices; ChildProcessError where one of them fails."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pki = certificates(count)
    ours = of_ours(folder, pki, count, pace)
    floor = of_floor(folder, pki, count, pace, "asyncio")
    quick = of_floor(folder, pki, count, pace, "uvloop")
    return results(count, ours, floor, quick)


def results(count: int, ours: Seen, floor: Seen, quick: Seen) -> list[Result]:
    """Put what was seen beside the goals, and beside the floor on asyncio's loop and on uvloop's."""
    what, base = f"{count} devices in mutual TLS of CCM8 with a certificate each", f"session-{count}"

    def timed(name: str, about: str, unit: str, goal: float, each: tuple[float, float | None, float | None]) -> Timed:
        mine, least, faster = each
        peers = {} if faster is None else {"floor on uvloop": faster}
        return Timed(f"{base}-{name}", f"{about}: {what}", mine, unit, goal, least, peers)

    return [
        timed(
            "memory",
            "resident memory of the server, connected and idle",
            "MB",
            GOAL_MB,
            (ours.rss_bytes / MB, floor.rss_bytes / MB, quick.rss_bytes / MB),
        ),
        timed(
            "memory-each",
            "resident memory that a session adds, with what is known of its device",
            "kB",
            GOAL_MB * MB / COUNT / KB,
            (ours.session_bytes / KB, floor.session_bytes / KB, quick.session_bytes / KB),
        ),
        timed(
            "idle-lag",
            f"how late the loop is at p99 while they are idle (median {ours.idle_p50_ms:.2f} ms)",
            "ms",
            GOAL_LAG_MS,
            (ours.idle_p99_ms, floor.idle_p99_ms, quick.idle_p99_ms),
        ),
        timed(
            "poll-lag",
            f"how late the loop is at p99 while each polls every {POLL_S:g} s",
            "ms",
            GOAL_LAG_MS,
            (ours.polling_p99_ms, floor.polling_p99_ms, quick.polling_p99_ms),
        ),
        timed(
            "poll-cpu",
            f"of one core while each polls every {POLL_S:g} s",
            "%",
            50.0,
            (100 * ours.cpu_share, None, None),
        ),
        timed(
            "storm",
            "all cut at once, until each has a 200 again",
            "s",
            GOAL_BACK_S,
            (ours.back_s, floor.back_s, quick.back_s),
        ),
        timed(
            "storm-lag",
            f"how late the loop is at p99 meanwhile (at most {ours.storm_most_ms:.0f} ms)",
            "ms",
            GOAL_LAG_MS,
            (ours.storm_p99_ms, floor.storm_p99_ms, quick.storm_p99_ms),
        ),
        timed(
            "storm-event",
            "how late a control that begins meanwhile is in the register of a Modbus device",
            "ms",
            GOAL_LATE_MS,
            (ours.late_ms, None, None),
        ),
    ]


def certificates(count: int) -> Path:
    """Give the folder of the certificates, made once and kept for the next time."""
    kept = Path(tempfile.gettempdir()) / "laminar-bench-sessions"
    issue.init(kept, ("gateway", *(name(number) for number in range(count))))
    return kept


def site_of(pki: Path, count: int, port: int) -> str:
    """Write a site of so many 2030.5 devices, and one that speaks Modbus at this port; one group holds them all."""
    issued = issue.init(pki, [name(number) for number in range(count)])
    parts = [site_file([port]).replace('["house-1"]', str(["house-1", *issued]).replace("'", '"'))]
    parts.append(SERVER.format(pki=pki))
    parts += [DEVICE.format(name=each, rated_w=RATED_W, lfdi=one.lfdi) for each, one in issued.items()]
    return "".join(parts)


def of_ours(folder: Path, pki: Path, count: int, pace: Pace) -> Seen:
    """Measure the gateway."""
    log, site = folder / "log.txt", folder / "site.toml"
    with Child(log, "tests.bench.devices", 1) as witness:
        site.write_text(site_of(pki, count, witness.hear()["ports"][0]), encoding="utf-8")
        with (
            Child(log, "tests.bench.watched", site, folder / "state", "uvloop") as daemon,
            Child(log, "tests.bench.session_clients", pki, count) as clients,
        ):
            daemon.hear()
            storm = Storm(daemon, witness)
            storm.order(0.0)
            storm.late_ms()
            return _watched(daemon, clients, _port(log), count, pace, storm)


def of_floor(folder: Path, pki: Path, count: int, pace: Pace, loop: str) -> Seen:
    """Measure the least server, on one loop or the other."""
    log = folder / f"floor-{loop}.txt"
    with (
        Child(log, "tests.bench.session_floor", pki, loop) as floor,
        Child(log, "tests.bench.session_clients", pki, count) as clients,
    ):
        return _watched(floor, clients, floor.hear()["port"], count, pace, None)


class Storm:
    """Orders of the DSO that begin at a moment, and how late they are in the register of the witness."""

    def __init__(self, daemon: Child, witness: Child) -> None:
        self._daemon, self._witness = daemon, witness
        self._orders = 0
        self._starts_ns = 0

    def order(self, ahead_s: float) -> None:
        """Order another limit, to begin at a whole second so far ahead."""
        limit_w = LIMITS_W[self._orders % len(LIMITS_W)]
        self._orders += 1
        now_s = time.time()
        start_s = math.ceil(now_s + ahead_s)
        self._starts_ns = time.monotonic_ns() + int((start_s - now_s) * 1e9)
        self._witness.ask({"unit": OURS, "watch": limit_w * 10_000 // RATED_W})
        body = control_list(self._orders, int(now_s) + self._orders, limit_w, start_s)
        self._daemon.ask({"body": body, "settle_s": 0.1})

    def late_ms(self) -> float:
        """Give how late it was; ChildProcessError where it never came."""
        came = self._witness.ask({"awake": False, "patience_s": PATIENCE_S})
        if not came["all"]:
            raise ChildProcessError(f"the Modbus device was not told within {PATIENCE_S:g} s")
        return float(max(came["arrived_ns"]) - self._starts_ns) / 1e6


def _watched(server: Child, clients: Child, port: int, count: int, pace: Pace, storm: Storm | None) -> Seen:
    clients.hear()
    before_bytes = server.rss_bytes
    clients.ask({"port": port, "path": PATH})
    time.sleep(1.0)
    server.ask({})
    time.sleep(pace.idle_s)
    idle, rss_bytes = server.ask({}), server.rss_bytes
    polled = clients.ask({"every_s": POLL_S, "for_s": pace.polling_s})
    if polled["failed"]:
        raise ChildProcessError(f"{polled['failed']} of {polled['polls']} polls failed")
    polling = server.ask({})
    if storm is not None:
        storm.order(AHEAD_S)
        server.ask({})
    came = clients.ask({"cut": True})
    stormy = server.ask({})
    late_ms = 0.0 if storm is None else storm.late_ms()
    return Seen(
        rss_bytes,
        (rss_bytes - before_bytes) / count,
        idle["lag_p50_ms"],
        idle["lag_p99_ms"],
        polling["lag_p99_ms"],
        polling.get("cpu_s", 0.0) / pace.polling_s,
        came["took_s"],
        stormy["lag_p99_ms"],
        stormy["lag_most_ms"],
        late_ms,
    )


def _port(log: Path) -> int:
    """Give where the gateway says that devices connect."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        found = LISTENS.search(log.read_text(encoding="utf-8"))
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise ChildProcessError(f"the gateway does not listen; read {log}")
