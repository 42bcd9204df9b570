"""The whole demo twice, side by side and beside the other tests: undisturbed, and with a gateway killed ten times."""

import json
import signal
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from street_bench import STREET, Bench, Child, Line, by_control

# Seconds of the timeline, each in the middle of something: an order is listed, starts, is replaced, is refused, is to
# be disobeyed (three times in quick succession), runs on out of contact, and owed answers go out. Before the next
# measurement that the scenario judges there is time to start again: 8 s of wall time and more.
KILLED_AT_S = (44, 129, 281, 346, 448, 452, 456, 671, 742, 770)
RATE = 7.0
LONGEST_S = 200.0


class Ended(NamedTuple):
    """A run of the street that is over: its folder, exit code, what the simulators told, and the gateways at work."""

    folder: Path
    code: int
    happened: list[Line]
    gateways: int

    @property
    def state(self) -> Path:
        """The gateway's state folder."""
        return self.folder / "state"

    @property
    def summary(self) -> Line:
        """The simulators' verdicts, measurements and answers."""
        return next(line for line in self.happened if line["kind"] == "summary")

    def statuses(self) -> dict[tuple[str, str], list[int]]:
        """All that the head-ends were answered, by control and resource, in order of arrival."""
        return by_control(self.summary["answers"])


class Runs(NamedTuple):
    """Both runs, which may be going on still."""

    demo: "Future[Ended]"
    killed: "Future[Ended]"


class GivenUpError(Exception):
    """Nobody waits for the runs any more."""


def demo(folder: Path, given_up: threading.Event) -> Ended:
    """Run `gateway demo` on the street."""
    child = Child("gateway", ("demo", "--scenario", "street", "--json", "--keep", str(folder)), folder, "demo")
    try:
        code = _end_of(child, given_up)
    finally:
        child.stop()
    lines = (folder / "simulators.jsonl").read_text().splitlines()
    return Ended(folder, code, [json.loads(line) for line in lines[1:]], 1)


def killed(folder: Path, given_up: threading.Event) -> Ended:
    """Play the demo's scenario with a gateway that is killed ten times and started again at once."""
    with Bench(folder, RATE) as bench:
        simulators = bench.simulators(STREET)
        gateways = [bench.gateway(simulators)]
        while not (begun := simulators.happened("begun")):
            _wait(1.0, given_up)
        for at_s in KILLED_AT_S:
            _wait((begun[0]["t_ms"] / 1000 + at_s - bench.now_ms() / 1000) / RATE, given_up)
            assert gateways[-1].stop(signal.SIGKILL) == -signal.SIGKILL
            gateways.append(bench.gateway(simulators))
        code = _end_of(simulators, given_up)
        assert gateways[-1].stop() == 0
        at_work = sum(bool(gateway.lines()) for gateway in gateways)
        return Ended(folder, code, [json.loads(line) for line in simulators.lines()[1:]], at_work)


def _end_of(child: Child, given_up: threading.Event) -> int:
    waited_s = 0.0
    while (code := child.process.poll()) is None:
        _wait(0.5, given_up)
        waited_s += 0.5
        assert waited_s < LONGEST_S, child.said()
    return code


def _wait(seconds: float, given_up: threading.Event) -> None:
    if given_up.wait(max(0.0, seconds)):
        raise GivenUpError
