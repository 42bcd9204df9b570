"""One certificate on the IEEE 123 node feeder, beside one bare power flow of the same feeder in the same run."""

import shutil
import statistics
import time
import zipfile
from pathlib import Path
from typing import Any, Final

import msgspec
import opendssdirect

from gateway.core.feeder import Span
from gateway.grid.config import Feeder
from gateway.grid.talk import Measured, Place, Question, setup

from .result import Result
from .streams import ROOT, Child, Line

ARCHIVE: Final = ROOT.parent / "shared" / "feeders" / "ieee123.zip"
PHASES: Final = {1: (65, 114, 33, 7, 71), 2: (83, 96, 59, 39, 107), 3: (66, 85, 41, 104, 75)}
THREE_PHASE: Final = ("300", "48", "250", "450", "79")
BUSES: Final = (*(f"{bus}.{phase}" for phase, buses in PHASES.items() for bus in buses), *THREE_PHASE)
RATED_W: Final = 50_000
SPAN_W: Final = 10_000
STATES: Final = 32
ROUNDS, WARM_UP = 30, 3
GOAL: Final = 400.0
WHAT: Final = (
    "certificate for {count} resources on the IEEE 123 node feeder: {states} power flows at 16 corners, taps as they "
    "stand and after they have moved, all voltages and loadings judged, to the worker process and back; median of "
    "{rounds}; floor: one bare power flow with new powers at all of them, taps frozen, nothing read, alternating"
)


def benchmark(folder: Path) -> list[Result]:
    """Measure; raises FileNotFoundError where the feeder is not here."""
    if not ARCHIVE.is_file():
        raise FileNotFoundError(f"{ARCHIVE} is not here; put the feeder there")
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(ARCHIVE) as packed:
        packed.extractall(folder)
    return [measure(folder / "IEEE123Master.dss", ROUNDS)]


def measure(model: Path, rounds: int) -> Result:
    """Alternate certificates and bare power flows; raises ChildProcessError where one is not as it should be."""
    bare = Bare(model)
    ours_ms, floor_ms = [], []
    with Child(model.parent / "log.txt", "gateway.grid.worker") as worker:
        places: dict[str, tuple[Place, ...]] = {
            f"der{place}": (Place(f"der{place}", bus, RATED_W),) for place, bus in enumerate(BUSES)
        }
        told = setup(Feeder("ieee123", model, 0.9, 1.1, 4000), places, 10.0)
        if (heard := worker.ask(msgspec.to_builtins(told)))["type"] != "Ready":
            raise ChildProcessError(f"the feeder's worker does not take the model: {heard}")
        for number in range(rounds + WARM_UP):
            ours, floor = certify_ms(worker, number), bare.solve_ms(number)
            if number >= WARM_UP:
                ours_ms.append(ours)
                floor_ms.append(floor)
    return Result(
        "validate-123",
        WHAT.format(count=len(BUSES), states=STATES, rounds=rounds),
        ours=statistics.median(ours_ms),
        unit="ms",
        goal=GOAL,
        floor=statistics.median(floor_ms),
    )


def power_w(number: int, place: int) -> int:
    """Give what a resource is measured at in one round; no two rounds of a few are alike."""
    return (number * 37 + place * 113) % 5_000


def certify_ms(worker: Child, number: int) -> float:
    """Ask for one certificate; raises ChildProcessError where the wish does not fit as it is."""
    spans = tuple(Span(f"der{place}", -SPAN_W, SPAN_W) for place in range(len(BUSES)))
    measured = {span.resource: Measured(power_w(number, place), 0) for place, span in enumerate(spans)}
    question: Line = msgspec.to_builtins(Question(number, spans, (), measured))
    began_s = time.perf_counter()
    answer = worker.ask(question)
    took_ms = 1000 * (time.perf_counter() - began_s)
    if answer["type"] != "Answer" or answer["binding"]:
        raise ChildProcessError(f"no certificate for what fits: {answer}")
    return took_ms


class Bare:
    """The same feeder and resources, solved and nothing else."""

    def __init__(self, model: Path) -> None:
        self._dss: Any = opendssdirect.dss.NewContext()
        for command in (f'compile "{model}"', "set tolerance=1e-6 maxiterations=100 maxcontroliter=200"):
            self._dss.Text.Command(command)
        self._first = self._dss.Loads.Count() + 1
        for place, bus in enumerate(BUSES):
            shape = "phases=1 kv=2.4" if "." in bus else "phases=3 conn=delta kv=4.16"
            self._dss.Text.Command(f"new load.der{place} bus1={bus} {shape} kw=0.001 kvar=0 vminpu=0.5 vmaxpu=1.5")
        self._dss.Solution.Solve()
        self._dss.Solution.ControlMode(-1)

    def solve_ms(self, number: int) -> float:
        """Give the time of one power flow with new powers."""
        began_s = time.perf_counter()
        for place in range(len(BUSES)):
            self._dss.Loads.Idx(self._first + place)
            self._dss.Loads.kW(-power_w(number, place) / 1000)
            self._dss.Loads.kvar(0.0)
        self._dss.Solution.Solve()
        took_ms = 1000 * (time.perf_counter() - began_s)
        if not self._dss.Solution.Converged():
            raise ChildProcessError("the bare power flow does not converge")
        return took_ms
