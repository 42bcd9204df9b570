"""Whatever is away for a while: nothing in force loosens, nothing is lost, and all goes on by itself afterwards."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp

import pytest
from lanes_bench import CELL_W, ROOF_W, Lanes, children
from street_bench import Bench, until

AWAY_S = 64
RECEIVED, STARTED, NEVER_SERVED, TOO_LATE = 1, 2, 10, 254
WORKER = "gateway.grid.worker"
MODEL_DOWN, MODEL_UP = "feeder ieee13: the feeder model is down", "feeder ieee13: the feeder model answers again"


class Calm:
    """The street for the next test: the one that the test before has left in order, else a new one."""

    def __init__(self, folder: Path) -> None:
        self.benches = ExitStack()
        self.left: Lanes | None = None
        self._folder = folder

    def take(self) -> Lanes:
        """Give it; what is not put back in `left` was not left in order."""
        found, self.left = self.left, None
        if found is not None:
            return found
        self.benches.close()
        folder = Path(mkdtemp(dir=self._folder))
        return Lanes(self.benches.enter_context(Bench(folder, names=("dso", "market", "roof-2"))))


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calm]:
    calm = Calm(tmp_path_factory.mktemp("lanes"))
    with calm.benches:
        yield calm
        if calm.left is not None:
            calm.left.stop()


@pytest.fixture
def lanes(calm: Calm) -> Iterator[Lanes]:
    lanes = calm.take()
    yield lanes
    if lanes.ended:
        calm.left = lanes


def test_a_killed_broker_loosens_nothing_and_is_found_again(lanes: Lanes) -> None:
    since_ms = lanes.begin()
    with lanes.one_line_each("MQTT broker .* is down", "MQTT broker .* is up"):
        lanes.street.act(broker="kill")
        until(lambda: not lanes.gateway.health()["devices"]["cell-1"]["reachable"], 10, "out of reach", lanes.tell)
        lanes.order("day-ahead", "sale-meanwhile", 2 * CELL_W, duration_s=30)
        lanes.sleep_s(AWAY_S)
        lanes.street.act(broker="start")
    lanes.go_on(since_ms)
    assert lanes.statuses("sale-meanwhile") == {(RECEIVED, STARTED, NEVER_SERVED)}
    assert not lanes.logged("cell-1 is down"), "one line, not one for each device"
    lanes.end()


def test_a_vtn_that_refuses_then_hangs_loosens_nothing(lanes: Lanes) -> None:
    lanes.begin()
    lanes.capacity("capacity", 2.5)
    since_ms = lanes.obey(2500, CELL_W)
    with lanes.one_line_each("dso-openadr: out of reach", "dso-openadr: in reach again"):
        for how in ("refuse", "hang"):
            lanes.street.act(vtn_outage={"vtn": "dso-openadr", "how": how})
            lanes.sleep_s(AWAY_S)
        lanes.street.act(vtn_outage={"vtn": "dso-openadr", "how": "none"})
    until(lanes.gateway.is_ok, 30, "the gateway is ok again", lanes.tell)
    lanes.capacity("capacity-later", 1.8)
    lanes.obey(1800, CELL_W)
    lanes.held(since_ms, 2500)

    answers = lanes.end()
    assert sum(order.startswith("dso-openadr/") for order, _resource in answers) == 4


@pytest.mark.parametrize(
    ("how", "certified_w"),
    [(signal.SIGKILL, CELL_W), (signal.SIGSTOP, CELL_W + 20_000)],
    ids=["killed", "hung"],
)
def test_a_feeder_model_that_fails_loosens_nothing(lanes: Lanes, how: signal.Signals, certified_w: int) -> None:
    """Each asks for more than was certified at most before it, or the model would not be asked."""
    more_w = certified_w + 20_000
    since_ms = lanes.begin()
    with lanes.one_line_each(MODEL_DOWN, MODEL_UP) as is_down:
        (worker,) = children(lanes.gateway.process.pid, WORKER)
        os.kill(worker, how)
        lanes.order("day-ahead", "sale-of-more", more_w)
        until(is_down, 20, "the model is down", lanes.tell)
        lanes.held(since_ms, cell_w=certified_w)
        lanes.obey(ROOF_W, more_w)
        assert worker not in children(lanes.gateway.process.pid, WORKER)
    lanes.go_on(since_ms, more_w)
    lanes.end()


def test_a_head_end_that_is_away_loosens_nothing(lanes: Lanes) -> None:
    since_ms = lanes.begin()
    with lanes.one_line_each("dso: out of reach", "dso: in reach again"):
        lanes.street.act(outage={"head_end": "dso", "how": "refuse"})
        lanes.order("envelope", "roofs-meanwhile", ROOF_W - 500, duration_s=AWAY_S // 2)
        lanes.sleep_s(AWAY_S)
        assert not lanes.gateway.health()["parties"]["dso"]["contact"]
        lanes.street.act(outage={"head_end": "dso", "how": "none"})
    lanes.go_on(since_ms)
    assert lanes.statuses("roofs-meanwhile") == {(TOO_LATE,)}
    lanes.end()
