"""CPU time of one poll of model 701: our link, other people's libraries, and the least that it could cost."""

import shutil
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hil.sunspec.generation_2018 import Generation2018
from hil.sunspec.register_image import layout_of

from .devices import BASE, SPEC
from .result import Result
from .streams import Child

GOAL: Final = 2.5
SHARE: Final = 3
DEVICES: Final = 200
LOOPS: Final = {"asyncio": "poll-701", "uvloop": "poll-701-uvloop"}
STREAMS: Final = "asyncio streams + struct"
LIBRARIES: Final = {"pymodbus + struct": "pymodbus", "pysunspec2 in a thread": "pysunspec2"}
WHAT: Final = (
    "CPU time of a poll of model 701 on {loop}, {devices} devices five times a second, every reading told on: "
    "request, reply, checks, decoding, dead band; median of {samples} samples of {rounds} rounds each in turn; goal: "
    "at most 2.5 times the floor (aim 1.5) and a third of each library; floor: bare asyncio protocol, ready frame, "
    "struct, no checks"
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many samples of how many rounds, of how many devices."""

    samples: int = 7
    rounds: int = 5
    devices: int = DEVICES


@dataclass(frozen=True, slots=True)
class Polled(Result):
    """A poll whose goal is for the ratio to the floor, and for a third of what each library needs."""

    @property
    def met(self) -> bool:
        """Whether both goals are met."""
        thirds = all(SHARE * self.ours <= self.peers[library] for library in LIBRARIES)
        return self.ratio is not None and self.ratio <= self.goal and thirds


def benchmark(folder: Path) -> list[Result]:
    """Measure on asyncio's own loop and on uvloop."""
    return [measure(name, folder / loop, loop, Pace()) for loop, name in LOOPS.items()]


def measure(name: str, folder: Path, loop: str, pace: Pace) -> Result:
    """Let all clients poll the same devices in turn; ChildProcessError where one fails or reads something else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "log.txt"
    generation = Generation2018()
    layout = layout_of(generation.models, generation.scale_factors(SPEC))
    where = {"address": BASE + layout.registers["701.ID"].offset}
    clients = {"ours": "ours", "floor": "floor", STREAMS: "streams"} | LIBRARIES
    cpu_us: dict[str, list[float]] = {each: [] for each in clients}
    with ExitStack() as stack:
        devices = stack.enter_context(Child(log, "tests.bench.devices", pace.devices, "monitored"))
        where |= {"ports": devices.hear()["ports"]}
        devices.ask({"moves_every": 1, "late_s": 1.0})
        running = {
            each: stack.enter_context(Child(log, "tests.bench.poll_clients", client, loop))
            for each, client in clients.items()
        }
        for client in running.values():
            client.ask(where)
        for number in range(pace.samples + 1):
            for each, client in running.items():
                said = client.ask({"rounds": pace.rounds})
                if not said["sum_w"]:
                    raise ChildProcessError(f"{each} read no power; read {log}")
                if number:
                    cpu_us[each].append(1e6 * said["cpu_s"] / said["polls"])
    found = {each: statistics.median(samples) for each, samples in cpu_us.items()}
    return Polled(
        name,
        WHAT.format(loop=loop, devices=pace.devices, samples=pace.samples, rounds=pace.rounds),
        ours=found.pop("ours"),
        unit="us",
        goal=GOAL,
        floor=found.pop("floor"),
        peers=found,
    )
