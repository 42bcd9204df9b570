"""Every lane on one small street, its gateway, and what may not happen to them while something is away."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from street_bench import Bench, Gateway, Line, Simulators, until

from gateway.cli.demo import Answers, terminal_answers
from hil.scenario import TERMINAL

ROOFS = ("roof-1", "roof-2")
ROOF_W, CELL_W = 3_000, 60_000
LATER_ROOF_W, LATER_CELL_W = 2_000, 40_000
NEAR_W = 50
SCENARIO = """
name = "small-lanes"
feeder = "ieee13"
planned = true
measure_s = 2

[[inverter]]
name = "roof-1"
resource = "house-1"
bus = "634"
phases = [1]
nominal_v = 277.0
irradiance = 0.9

[[sep2_device]]
name = "roof-2"
resource = "house-2"
bus = "634"
phases = [2]
nominal_v = 277.0
irradiance = 0.9

[[mqtt_battery]]
name = "cell-1"
resource = "depot"
bus = "611"
phases = [3]
nominal_v = 2401.8
rated_w = 250000
energy_wh = 500000

[[resource]]
name = "house-1"
lfdi = "2A342CD9BEB285455C8C8EAC11E4634600009D6C"
[[resource]]
name = "house-2"
lfdi = "BF466DEEC4F293D76C61926414EB9AE000009D6C"
[[resource]]
name = "depot"
lfdi = "37D844349F4414AD480A4E56F605F09500009D6C"

[[head_end]]
name = "dso"
certificate = "dso"
poll_rate_s = 10
[[head_end.program]]
name = "envelope"
primacy = 3
resources = ["house-1", "house-2"]
default = { opModExpLimW = 1500 }
[[head_end.program]]
name = "depot-envelope"
primacy = 3
resources = ["depot"]
default = { opModExpLimW = 30000 }

[[head_end]]
name = "market"
certificate = "market"
poll_rate_s = 10
[[head_end.program]]
name = "day-ahead"
primacy = 1
resources = ["depot"]

[[vtn]]
name = "dso-openadr"
[[vtn.program]]
name = "capacity"
descriptors = { EXPORT_CAPACITY_LIMIT = "KW" }
"""


class Lanes:
    """The street and its gateway, with what the tests of outages ask of both."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.street: Simulators = bench.simulators(SCENARIO)
        self.gateway: Gateway = bench.gateway(self.street)
        self.round = 0
        self.ended = False
        self._issued: list[str] = []
        self._events: list[str] = []
        until(self.gateway.is_ok, 40, "the gateway is ok", self.tell)

    def tell(self) -> object:
        """Give what helps where something does not come about."""
        return self.gateway.health(), self.shown()[-1:], self.gateway.said()

    # -- orders

    def order(self, program: str, name: str, w: int, duration_s: int = 3600) -> None:
        """Let an order begin now: a limit, or of the market a set-point; `round` makes its name one of its own."""
        name = f"{name}-{self.round}"
        head_end, mode = ("market", "opModTargetW") if program == "day-ahead" else ("dso", "opModExpLimW")
        self._issued.append(name)
        self.street.act(
            issue={
                "head_end": head_end,
                "program": program,
                "name": name,
                "modes": {mode: w},
                "start_s": 0,
                "duration_s": duration_s,
            }
        )

    def capacity(self, name: str, kw: float, duration_s: int = 3600) -> None:
        """Let the VTN limit both houses from now on."""
        self._events.append(f"{name}-{self.round}")
        self.street.act(
            vtn_issue={
                "vtn": "dso-openadr",
                "program": "capacity",
                "name": self._events[-1],
                "payloads": {"EXPORT_CAPACITY_LIMIT": kw},
                "start_s": 0,
                "duration_s": duration_s,
                "targets": ["house-1", "house-2"],
            }
        )

    def obey(self, roof_w: int, cell_w: int) -> float:
        """Wait until both roofs and the battery give what they are held to; give when (simulated ms)."""
        wanted = {"roof-1": roof_w, "roof-2": roof_w, "cell-1": cell_w}

        def so() -> bool:
            w = self.shown()[-1]["w"]
            return all(abs(w[name] - wanted_w) <= wanted_w // 50 for name, wanted_w in wanted.items())

        until(so, 30, f"{roof_w} W of each roof and {cell_w} W of the battery", self.tell)
        until(
            lambda: all(one["verdict"] == "obeyed" for one in self.gateway.health()["devices"].values()),
            20,
            "all obey",
            self.tell,
        )
        return self.bench.now_ms()

    def begin(self) -> float:
        """Begin a round: have orders of every lane obeyed; give since when (simulated ms)."""
        self.round, self.ended = self.round + 1, False
        self._issued.clear()
        self._events.clear()
        self.order("envelope", "roofs", ROOF_W)
        self.order("depot-envelope", "depot", 2 * CELL_W)
        self.order("day-ahead", "sale", CELL_W)
        return self.obey(ROOF_W, CELL_W)

    def go_on(self, since_ms: float, cell_w: int = CELL_W) -> None:
        """See that all is well again, that nothing was loosened since then, and that later orders are obeyed."""
        until(self.gateway.is_ok, 30, "the gateway is ok again", self.tell)
        self.held(since_ms, cell_w=cell_w)
        self.order("envelope", "roofs-later", LATER_ROOF_W)
        self.order("day-ahead", "sale-later", LATER_CELL_W)
        self.obey(LATER_ROOF_W, LATER_CELL_W)
        self.held(since_ms, cell_w=cell_w)

    # -- what is seen

    def shown(self, since_ms: float = 0) -> list[Line]:
        """Give what was measured since then."""
        return [line for line in self.street.happened("measured") if line["t_ms"] >= since_ms]

    def held(self, since_ms: float, roof_w: int = ROOF_W, cell_w: int = CELL_W) -> None:
        """See that since then no device gave more than this, or was set to more."""
        until(lambda: bool(self.shown(since_ms)), 10, "something is measured", self.tell)
        lines = self.shown(since_ms)
        for line in lines:
            for roof in ROOFS:
                assert line["w"][roof] <= roof_w + NEAR_W, line
                assert line["limit_w"][roof] is not None, line
                assert line["limit_w"][roof] <= roof_w, line
            assert line["w"]["cell-1"] <= cell_w + cell_w // 50, line
            assert line["limit_w"]["cell-1"] is not None, line
            assert line["limit_w"]["cell-1"] <= 2 * CELL_W, line

    def sleep_s(self, simulated_s: float) -> None:
        """Let time go by."""
        self.bench.sleep_until_ms(self.bench.now_ms() + 1000 * simulated_s)

    def logged(self, pattern: str) -> list[str]:
        """Give the lines of the gateway's log that say this."""
        return [line for line in self.gateway.said() if re.search(pattern, line)]

    @contextmanager
    def one_line_each(self, down: str, up: str) -> Iterator[Callable[[], bool]]:
        """See that there is one line when something goes down, and one when it is up again; tells if it is down."""
        before = {pattern: len(self.logged(pattern)) for pattern in (down, up)}
        yield lambda: len(self.logged(down)) > before[down]
        until(lambda: len(self.logged(up)) > before[up], 20, f"a line that says {up!r}", self.tell)
        found = {pattern: self.logged(pattern)[count:] for pattern, count in before.items()}
        assert {pattern: len(lines) for pattern, lines in found.items()} == {down: 1, up: 1}, found

    def statuses(self, name: str) -> set[tuple[int, ...]]:
        """Give what the resources of an order of this round answered to it."""
        given = self.street.statuses().items()
        return {tuple(said) for (control, _resource), said in given if control == f"{name}-{self.round}"}

    # -- the end

    def end(self) -> Answers:
        """End the round: take all orders back, and see that each has one terminal answer at each of its resources."""
        for name in self._issued:
            self.street.act(cancel={"head_end": "market" if "sale" in name else "dso", "control": name})
        for name in self._events:
            self.street.act(vtn_delete={"vtn": "dso-openadr", "name": name})

        def answered() -> bool:
            found = terminal_answers(self.bench.state).values()
            return all(len(kinds) == 1 for versions in found for kinds in versions)

        until(answered, 20, "all is answered", lambda: (terminal_answers(self.bench.state), self.tell()))
        until(lambda: self.gateway.health()["owed_answers"] == 0, 20, "no answer is owed", self.tell)
        statuses = self.street.statuses()
        assert {name for name, _resource in statuses} >= set(self._issued)
        for key, given in statuses.items():
            assert len(TERMINAL.intersection(given)) == 1, (key, given)
        self.ended = True
        return terminal_answers(self.bench.state)

    def stop(self) -> None:
        """End the gateway, and see that it ends well."""
        assert self.gateway.stop() == 0
        assert "Traceback" not in "".join(self.gateway.said())


def children(pid: int, module: str) -> list[int]:
    """Give the processes that this one started with `-m module` (Linux)."""
    listed = (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text().split()
    return [int(child) for child in listed if module in _command(int(child))]


def _command(pid: int) -> list[str]:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().decode().split("\0")
    except FileNotFoundError:
        return []
