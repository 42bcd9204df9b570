"""From the body of an order to the last device's registers: the gateway, and beside it the least that it could cost.

Bursts of both alternate in one run, to units of the same devices. A burst counts when every device was told in it.
"""

import math
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from .devices import FLOOR, OURS, RATED_W
from .result import Result
from .site import control_list, site_file
from .streams import Child, Line

LIMITS_W: Final = (2_000, 3_000)
SPARE_BURSTS: Final = 10
PATIENCE_S: Final = 20.0
ENTRY: Final = "x" * 250 + "\n"
GOAL: Final = 2.0
WHAT: Final = (
    "order to last register at {count} inverters: from the body of an IEEE 2030.5 DERControlList to the arrival of the "
    "limit at the simulator, journal on disk; median over {bursts} bursts of each burst's p99; "
    "floor: one fsync and {count} ready frames on uvloop, bursts alternating with ours"
)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How many bursts, how many before them are not counted, and the rest (s) after each."""

    bursts: int = 15
    warm_up: int = 3
    rest_s: float = 0.8


class Burst(NamedTuple):
    """How many devices one order reached, when (ms) 99 % of them, and which registers it set (hexadecimal)."""

    devices: int
    p99_ms: float
    registers: str


@dataclass(slots=True)
class Bursts:
    """The p99 (ms) of every burst that counts."""

    ours_ms: list[float] = field(default_factory=list)
    floor_ms: list[float] = field(default_factory=list)


def benchmark(count: int) -> Callable[[Path], list[Result]]:
    """Give the benchmark at so many inverters."""
    return lambda folder: [measure(f"order-{count}", folder, count, Rhythm())]


def measure(name: str, folder: Path, count: int, rhythm: Rhythm) -> Result:
    """Measure in a fresh folder, which is on the disk that is to be measured.

    Raises ChildProcessError where a process ends or the devices cannot be told of enough orders.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log, site = folder / "log.txt", folder / "site.toml"
    with Child(log, "tests.bench.devices", count) as devices:
        ports = devices.hear()["ports"]
        site.write_text(site_file(ports), encoding="utf-8")
        with (
            Child(log, "tests.bench.ours", site, folder / "state") as ours,
            Child(log, "tests.bench.floor", folder / "floor.log") as floor,
        ):
            ours.hear()
            floor.ask({"ports": ports})
            found = _alternate(devices, ours, floor, count, rhythm)
    return Result(
        name,
        WHAT.format(count=count, bursts=len(found.ours_ms)),
        ours=statistics.median(found.ours_ms),
        unit="ms",
        goal=GOAL,
        floor=statistics.median(found.floor_ms),
    )


def _alternate(devices: Child, ours: Child, floor: Child, count: int, rhythm: Rhythm) -> Bursts:
    """Send orders until enough bursts count; the floor sends the very registers that ours has sent."""
    found = Bursts()
    created_s = 0
    for number in range(rhythm.warm_up + rhythm.bursts + SPARE_BURSTS):
        limit_w = LIMITS_W[number % len(LIMITS_W)]
        created_s = max(created_s + 1, int(time.time()))
        order: Line = {"body": control_list(number + 1, created_s, limit_w), "settle_s": rhythm.rest_s}
        our = _burst(devices, OURS, limit_w, ours, order)
        if our.devices < count:
            continue
        same: Line = {"registers": our.registers, "entry": ENTRY, "settle_s": rhythm.rest_s}
        least = _burst(devices, FLOOR, limit_w, floor, same)
        if least.devices == count and number >= rhythm.warm_up:
            found.ours_ms.append(our.p99_ms)
            found.floor_ms.append(least.p99_ms)
        if len(found.ours_ms) == rhythm.bursts:
            return found
    raise ChildProcessError(f"only {len(found.ours_ms)} of {rhythm.bursts} bursts reached all of {count} devices")


def _burst(devices: Child, unit: int, limit_w: int, sender: Child, order: Line) -> Burst:
    """Send one order, and rest."""
    watched = devices.ask({"unit": unit, "watch": limit_w * 10_000 // RATED_W})
    sender.tell(order | watched)
    came = devices.ask({"awake": True, "patience_s": PATIENCE_S})
    began_ns = sender.hear()["began_ns"]
    time.sleep(order["settle_s"])
    return Burst(len(came["arrived_ns"]), p99_ms(came["arrived_ns"], began_ns), came["told"])


def p99_ms(arrived_ns: list[int], began_ns: int) -> float:
    """Give the time (ms) within which 99 % of what arrived had arrived, and infinity where nothing did."""
    if not arrived_ns:
        return math.inf
    return (sorted(arrived_ns)[math.ceil(0.99 * len(arrived_ns)) - 1] - began_ns) / 1e6
