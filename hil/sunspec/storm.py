"""Many inverters whose faults are switched from outside, and the truth of every moment: `python -m hil.sunspec.storm`.

A line of JSON on standard input is {"name": N} with "light", or with "fault" and "on". A line of the truth file is one
device that changed, as `Truth` has it.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import uvloop

from hil.clock import Clock
from hil.street import Street
from hil.sunspec import faults
from hil.sunspec.fleet import BAD_INPUT, demand_files
from hil.sunspec.inverter import Inverter, InverterSpec, Kind
from hil.sunspec.register_image import Value

KINDS: Final[tuple[Kind, ...]] = ("2018", "legacy", "2018", "battery", "legacy", "autonomous")
LEAST_W: Final = 3_000
APART_W: Final = 37
BLIND: Final = frozenset(
    {
        "all_zero",
        "asleep",
        "exception_0b",
        "exception_4",
        "exception_6",
        "reboot",
        "refuse_connections",
        "reset",
        "sentinels",
        "silent",
    }
)
"""Faults with which nothing that a device answers says what it gives."""
SWING_S: Final = 2.0
"""Wall time that a moving scale factor stays: longer than a reading in pieces, however fast the clock is."""
_LOOK_S: Final = 0.05
_AT_ONCE: Final = 10


def specs(count: int) -> list[InverterSpec]:
    """Give inverters of all kinds, each of another rating, so that one's power is never taken for another's."""
    return [
        InverterSpec(name=f"pv-{n}", kind=KINDS[n % len(KINDS)], rated_w=LEAST_W + APART_W * n, light=True)
        for n in range(count)
    ]


class Truth(NamedTuple):
    """What a device was from the moment it was looked at on: W, var, the limit in its registers (W; None is none).

    It was looked at last at `before_ms`; this look took from `from_ms` to `until_ms` of the clock. `blind`: its faults
    let nobody know its power.
    """

    number: int
    before_ms: int
    from_ms: int
    until_ms: int
    w: float
    var: float
    limit_w: int | None
    blind: bool


@dataclass(slots=True)
class _Watched:
    """A device, when it was last looked at, and what it was then."""

    inverter: Inverter
    looked_ms: int
    written: int = 0
    percent: float = 0.0
    enabled: bool = False
    shown: tuple[float, float, int | None, bool] | None = None


class Storm:
    """Steps the devices of a street, some at a time, and writes down every change of what they are."""

    def __init__(self, street: Street, truth: TextIO) -> None:
        self._street, self._truth = street, truth
        self._later: list[dict[str, Any]] = []
        began_ms = street.clock.now_ms()
        self._watched = [_Watched(inverter, began_ms) for inverter in street.inverters.values()]

    async def run(self) -> None:
        """Step them until cancelled."""
        while True:
            later, self._later = self._later, []
            for said in later:
                self.act(said)
            for number, watched in enumerate(self._watched):
                self._step(number, watched)
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)
            self._truth.flush()
            await asyncio.sleep(_LOOK_S)

    def act(self, said: dict[str, Any]) -> None:
        """Do what a line says; raises ValueError or KeyError for what it cannot mean.

        A scale factor begins and ends to move where it is: it never moves and comes back at once.
        """
        if "light" in said:
            self._street.set_irradiance(said["name"], said["light"])
        elif said["fault"] == "moving_scale" and faults.swings(self._street.clock.now_ms()):
            self._later.append(said)
        else:
            self._street.set_fault(said["name"], said["fault"], said["on"])

    def _step(self, number: int, watched: _Watched) -> None:
        clock, inverter = self._street.clock, watched.inverter
        from_ms, before_ms = clock.now_ms(), watched.looked_ms
        for at_ms, limit_w in self._told(watched):
            w, var, _, blind = watched.shown or (inverter.w, inverter.var, None, False)
            watched.shown = (w, var, limit_w, blind)
            self._tell(Truth(number, before_ms, at_ms, at_ms, *watched.shown))
        inverter.step(from_ms)
        until_ms = watched.looked_ms = clock.now_ms()
        shown = (inverter.w, inverter.var, inverter.limit_w, not BLIND.isdisjoint(inverter.faults))
        if shown != watched.shown:
            watched.shown = shown
            self._tell(Truth(number, before_ms, from_ms, until_ms, *shown))

    def _told(self, watched: _Watched) -> Iterator[tuple[int, int | None]]:
        """Give the limits (W) that were written since the last look, each with its time."""
        inverter, clock = watched.inverter, self._street.clock
        count = inverter.write_count - watched.written
        watched.written += count
        for write in inverter.writes[-count:] if count else ():
            told, before = inverter.told(write), (watched.percent, watched.enabled)
            self._take(watched, told)
            if before != (watched.percent, watched.enabled):
                ago_ms = (time.monotonic_ns() - write.at_ns) / 1e6 * clock.rate
                limit_w = round(watched.percent / 100 * inverter.spec.rated_w) if watched.enabled else None
                yield int(clock.now_ms() - ago_ms), limit_w
        self._take(watched, {name: inverter.value(name) for name in _limit_points(inverter)})

    def _take(self, watched: _Watched, told: Mapping[str, Value]) -> None:
        """Take what is told of the limit."""
        percent, enabled = (told.get(name) for name in _limit_points(watched.inverter))
        watched.percent = watched.percent if percent is None else float(percent)
        watched.enabled = watched.enabled if enabled is None else enabled == 1

    def _tell(self, truth: Truth) -> None:
        self._truth.write(json.dumps(truth) + "\n")


def _limit_points(inverter: Inverter) -> tuple[str, str]:
    """Name the points of its limit, and of whether that is enabled."""
    if inverter.spec.kind == "legacy":
        return "123.WMaxLimPct", "123.WMaxLim_Ena"
    return "704.WMaxLimPct", "704.WMaxLimPctEna"


async def _serve(count: int, clock: Clock, truth: TextIO) -> None:
    """Serve until interrupted, or until nobody is left to say anything."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    said = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(said), sys.stdin)
    async with Street(clock, specs(count), stepping=False) as street:
        storm = Storm(street, truth)
        stepping = asyncio.create_task(storm.run())
        sys.stdout.write(json.dumps({"ready": street.ports}) + "\n")
        sys.stdout.flush()
        hearing = asyncio.create_task(_hear(said, storm))
        ending = asyncio.create_task(stopped.wait())
        done, waiting = await asyncio.wait({stepping, hearing, ending}, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for task in done:
            task.result()


async def _hear(said: asyncio.StreamReader, storm: Storm) -> None:
    while line := await said.readline():
        storm.act(json.loads(line))


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; returns 0, or 2 for wrong use."""
    parser = argparse.ArgumentParser(
        prog="python -m hil.sunspec.storm", description="Inverters whose faults come and go."
    )
    parser.add_argument("--count", type=int, required=True, help="how many")
    parser.add_argument("--clock", default="real", help='"real" or "xN@T0" (default real)')
    parser.add_argument("--truth", type=Path, required=True, help="file that takes what every device really was")
    parser.add_argument("--late-s", type=float, default=faults.LATE_S, help="wall time by which a late reply is late")
    given = parser.parse_args(arguments)
    try:
        clock = Clock.parse(given.clock)
        faults.LATE_S, faults.SWING_MS = given.late_s, round(1_000 * SWING_S * clock.rate)
        demand_files(4 * given.count)
        with (
            given.truth.open("w", encoding="utf-8") as truth,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_serve(given.count, clock, truth))
    except (ValueError, KeyError, OSError) as fault:
        sys.stderr.write(f"hil.sunspec.storm: {fault}\n")
        return BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
