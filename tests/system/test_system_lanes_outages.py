"""Whatever is away for a while, nothing in force loosens, nothing is lost, and all goes on by itself when it is back."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from lanes_bench import CELL_W, ROOF_W, Lanes, children
from street_bench import Bench, until

AWAY_S = 70
WORKER = "gateway.grid.worker"
MODEL_DOWN, MODEL_UP = "feeder ieee13: the feeder model is down", "feeder ieee13: the feeder model answers again"


@pytest.fixture
def lanes(tmp_path: Path) -> Iterator[Lanes]:
    with Bench(tmp_path, names=("dso", "market", "roof-2")) as bench:
        yield Lanes(bench)


def test_a_killed_broker_loosens_nothing_and_is_found_again(lanes: Lanes) -> None:
    since_ms = lanes.begin()
    with lanes.one_line_each("MQTT broker .* is down", "MQTT broker .* is up"):
        lanes.street.act(broker="kill")
        until(lambda: not lanes.gateway.health()["devices"]["cell-1"]["reachable"], 10, "out of reach", lanes.tell)
        lanes.order("day-ahead", "sale-meanwhile", 2 * CELL_W, duration_s=30)
        lanes.sleep_s(AWAY_S)
        lanes.street.act(broker="start")
    lanes.go_on(since_ms)
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

    def withdraw() -> None:
        for name in ("capacity", "capacity-later"):
            lanes.street.act(vtn_delete={"vtn": "dso-openadr", "name": name})

    answers = lanes.end(withdraw)
    assert sum(order.startswith("dso-openadr/") for order, _resource in answers) == 4


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_a_feeder_model_that_fails_loosens_nothing(lanes: Lanes, how: signal.Signals) -> None:
    since_ms = lanes.begin()
    with lanes.one_line_each(MODEL_DOWN, MODEL_UP):
        (worker,) = children(lanes.gateway.process.pid, WORKER)
        os.kill(worker, how)
        lanes.order("day-ahead", "sale-meanwhile", CELL_W - 5000)
        lanes.obey(ROOF_W, CELL_W - 5000)
        until(lambda: worker not in children(lanes.gateway.process.pid, WORKER), 20, "another worker", lanes.tell)
    lanes.go_on(since_ms)
    lanes.end()


def test_a_head_end_that_starts_anew_loosens_nothing(lanes: Lanes) -> None:
    since_ms = lanes.begin()
    with lanes.one_line_each("dso: out of reach", "dso: in reach again"):
        lanes.street.act(outage={"head_end": "dso", "how": "refuse"})
        lanes.order("envelope", "roofs-meanwhile", ROOF_W - 500, duration_s=AWAY_S // 2)
        lanes.sleep_s(AWAY_S)
        assert not lanes.gateway.health()["parties"]["dso"]["contact"]
        lanes.street.act(outage={"head_end": "dso", "how": "none"})
    lanes.go_on(since_ms)
    lanes.end()
