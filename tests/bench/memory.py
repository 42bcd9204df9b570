"""What the daemon holds in memory: `gateway run` on simulated devices and a 2030.5 server, all of them in contact."""

import shutil
import time
from pathlib import Path
from typing import Final

from gateway.pki import issue

from .devices import OURS, RATED_W
from .result import Result
from .site import DSO, server_table, site_file
from .streams import Child

LIMIT_W: Final = 2_000
POLLING_S: Final = 30.0
DISCOVERY_S: Final = 240.0
LOOK_S: Final = 1.0
GOAL_MB: Final = 200.0
FEW, MANY = 100, 1_000
MB: Final = 1e6
KB: Final = 1e3


def benchmark(folder: Path) -> list[Result]:
    """Measure few and many devices: the whole of the many, and what each device adds."""
    few, many = (resident(folder / str(count), count, POLLING_S) for count in (FEW, MANY))
    held = "order in force at all of them, 2030.5 server in contact, after 30 s of polling"
    return [
        Result(f"memory-{MANY}", f"resident memory of the daemon at {MANY} devices, {held}", many / MB, "MB", GOAL_MB),
        Result(
            "memory-per-device",
            f"resident memory that a device adds, {MANY} against {FEW} devices; the goal leaves nothing to the rest",
            (many - few) / (MANY - FEW) / KB,
            "kB",
            GOAL_MB * MB / MANY / KB,
        ),
    ]


def resident(folder: Path, count: int, polling_s: float) -> int:
    """Give the resident bytes of a daemon with so many devices; ChildProcessError where it fails to get there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pki, log, site = folder / "pki", folder / "log.txt", folder / "site.toml"
    issue.init(pki, ("gateway", DSO))
    with (
        Child(log, "tests.bench.devices", count) as devices,
        Child(log, "tests.bench.head_end", pki, count, LIMIT_W) as server,
    ):
        where = server.hear()
        site.write_text(
            site_file(devices.hear()["ports"]) + server_table(where["url"], where["lfdi"]), encoding="utf-8"
        )
        devices.ask({"unit": OURS, "watch": LIMIT_W * 10_000 // RATED_W})
        with Child(log, "gateway", "run", site, "--state", folder / "state") as daemon:
            _discovered(devices, daemon, count)
            time.sleep(polling_s)
            return daemon.rss_bytes


def _discovered(devices: Child, daemon: Child, count: int) -> None:
    """Return when every device was told of the order in force."""
    told, until_s = 0, time.monotonic() + DISCOVERY_S
    while told < count:
        if time.monotonic() > until_s:
            raise ChildProcessError(f"{told} of {count} devices were told of the order within {DISCOVERY_S:g} s")
        daemon.check()
        told = len(devices.ask({"awake": False, "patience_s": LOOK_S})["arrived_ns"])
