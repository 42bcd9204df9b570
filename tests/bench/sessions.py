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
from .streams import Child, Line

COUNT: Final = 1_000
PATH: Final = "/dcap"
LISTENS: Final = re.compile(r"devices connect at 127\.0\.0\.1:(\d+)")
POLL_S: Final = 60.0
LIMITS_W: Final = (2_000, 3_000)
PATIENCE_S: Final = 90.0
AHEAD_S: Final = 2.0
REST_S: Final = 1.0
GOAL_MB, GOAL_BACK_S, GOAL_LAG_MS, GOAL_LATE_MS, GOAL_CPU = 400.0, 60.0, 100.0, 1_000.0, 50.0
MB: Final = 1e6
KB: Final = 1e3

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

    idle_s: float = 3.0
    polling_s: float = 6.0


class Seen(NamedTuple):
    """What was seen of one server: memory (octets), lateness of its loop (ms), and the time until all are back (s)."""

    rss_bytes: int
    session_bytes: float
    idle_p50_ms: float
    idle_p99_ms: float
    back_s: float
    storm_p99_ms: float
    storm_most_ms: float
    storm_busy_p99_ms: float


class Polling(NamedTuple):
    """What was seen while all polled: lateness of the loop (ms), and the part of one core that it took."""

    lag_p99_ms: float
    cpu_share: float


def benchmark(folder: Path) -> list[Result]:
    """Measure at the full count."""
    return measure(folder, COUNT, Pace())


def measure(folder: Path, count: int, pace: Pace) -> list[Result]:
    """Measure the floor, then the gateway, with the same devices; ChildProcessError where one of them fails."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pki = certificates(count)
    log, site = folder / "log.txt", folder / "site.toml"
    with Child(log, "tests.bench.session_clients", pki, count) as clients:
        clients.hear()
        with Child(log, "tests.bench.session_floor", pki, "asyncio") as server:
            crowd = Crowd(server, clients, server.hear()["port"], count)
            before = crowd.settle()
            floor = crowd.seen(before, crowd.idle(pace.idle_s), crowd.storm())
        with Child(log, "tests.bench.devices", 1) as witness:
            site.write_text(site_of(pki, count, witness.hear()["ports"][0]), encoding="utf-8")
            with Child(log, "tests.bench.watched", site, folder / "state", "uvloop") as daemon:
                daemon.hear()
                control = Control(daemon, witness)
                control.order(0.0)
                control.late_ms()
                crowd = Crowd(daemon, clients, _port(log), count)
                before = crowd.settle()
                idle = crowd.idle(pace.idle_s)
                polling = crowd.polling(pace.polling_s)
                control.order(AHEAD_S)
                ours = crowd.seen(before, idle, crowd.storm())
                return results(count, ours, floor, polling, control.late_ms())


class Crowd:
    """The devices at one server."""

    def __init__(self, server: Child, clients: Child, port: int, count: int) -> None:
        self._server, self._clients, self._port, self._count = server, clients, port, count

    def settle(self) -> int:
        """Let all of them connect; give what the server held in memory before."""
        before_bytes = self._server.rss_bytes
        self._clients.ask({"port": self._port, "path": PATH, "cut": True})
        time.sleep(REST_S)
        return before_bytes

    def idle(self, for_s: float) -> Line:
        """Watch the server while they do nothing; give what it saw, and its memory."""
        self._server.ask({})
        time.sleep(for_s)
        return self._server.ask({}) | {"rss_bytes": self._server.rss_bytes}

    def polling(self, for_s: float) -> Polling:
        """Watch the server while they poll."""
        polled = self._clients.ask({"every_s": POLL_S, "for_s": for_s})
        if polled["failed"]:
            raise ChildProcessError(f"{polled['failed']} of {polled['polls'] + polled['failed']} polls failed")
        seen = self._server.ask({})
        return Polling(seen["lag_p99_ms"], seen["cpu_s"] / for_s)

    def storm(self) -> Line:
        """Cut them all, and watch the server until they are back."""
        self._server.ask({})
        came = self._clients.ask({"cut": True})
        return came | self._server.ask({})

    def seen(self, before_bytes: int, idle: Line, storm: Line) -> Seen:
        """Put together what was seen."""
        return Seen(
            idle["rss_bytes"],
            (idle["rss_bytes"] - before_bytes) / self._count,
            idle["lag_p50_ms"],
            idle["lag_p99_ms"],
            storm["took_s"],
            storm["lag_p99_ms"],
            storm["lag_most_ms"],
            storm["busy_p99_ms"],
        )


def results(count: int, ours: Seen, floor: Seen, polling: Polling, late_ms: float) -> list[Result]:
    """Put what was seen beside the goals, and beside the floor."""
    what, base = f"{count} devices in mutual TLS of CCM8 with a certificate each", f"session-{count}"
    polls = f"while each polls every {POLL_S:g} s"
    idle = f"how late the loop is at p99 while they are idle (median {ours.idle_p50_ms:.2f} ms)"
    storm = f"how late the loop is at p99 meanwhile (at most {ours.storm_most_ms:.0f} ms)"
    each_kb, least_kb = ours.session_bytes / KB, floor.session_bytes / KB
    late = "how late a control that begins meanwhile is in the register of a Modbus device"
    rows = (
        ("memory", "resident memory, all connected", ours.rss_bytes / MB, "MB", GOAL_MB, floor.rss_bytes / MB),
        ("memory-each", "of it for each, with what is known of its device", each_kb, "kB", GOAL_MB, least_kb),
        ("idle-lag", idle, ours.idle_p99_ms, "ms", GOAL_LAG_MS, floor.idle_p99_ms),
        ("poll-lag", f"how late the loop is at p99 {polls}", polling.lag_p99_ms, "ms", GOAL_LAG_MS, None),
        ("poll-cpu", f"of one core {polls}", 100 * polling.cpu_share, "%", GOAL_CPU, None),
        ("storm", "all cut at once, until each has a 200 again", ours.back_s, "s", GOAL_BACK_S, floor.back_s),
        ("storm-lag", storm, ours.storm_p99_ms, "ms", GOAL_LAG_MS, floor.storm_p99_ms),
        ("storm-event", late, late_ms, "ms", GOAL_LATE_MS, None),
    )
    peers = {"storm-lag": {"processor time of a turn": ours.storm_busy_p99_ms}}
    return [
        Timed(f"{base}-{name}", f"{about}: {what}", mine, unit, goal, least, peers.get(name, {}))
        for name, about, mine, unit, goal, least in rows
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


class Control:
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


def _port(log: Path) -> int:
    """Give where the gateway says that devices connect."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        found = LISTENS.search(log.read_text(encoding="utf-8"))
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise ChildProcessError(f"the gateway does not listen; read {log}")
