"""The benchmarks of polls work; nothing here says how fast anything is."""

import asyncio
import time
from pathlib import Path

import pytest

from . import bodies, decode, fleet_poll, poll
from .devices import BASE, OURS, Polls, make
from .lag import Lag


def test_a_poll_is_measured_beside_the_libraries_and_a_bare_script(tmp_path: Path) -> None:
    result = poll.measure("poll-701", tmp_path / "poll", "asyncio", poll.Pace(samples=1, rounds=2, devices=3))
    assert result.floor is not None
    assert min(result.ours, result.floor, *result.peers.values()) > 0
    assert set(result.peers) == {poll.STREAMS, *poll.LIBRARIES}


def test_a_poll_is_to_cost_a_third_of_each_library_and_little_more_than_the_floor() -> None:
    def polled(ours: float, pymodbus: float) -> poll.Polled:
        peers = {poll.STREAMS: 1.0, "pymodbus + struct": pymodbus, "pysunspec2 in a thread": 300.0}
        return poll.Polled("poll-701", "", ours, "us", poll.GOAL, 20.0, peers)

    assert polled(50.0, 150.0).met
    assert not polled(50.0, 149.0).met
    assert not polled(51.0, 200.0).met


def test_a_fleet_is_watched_in_peace_and_while_limits_come(tmp_path: Path) -> None:
    fleet = fleet_poll.Fleet(5, 1, window_s=1.5, limits=2)
    seen = fleet_poll.measure(tmp_path / "fleet", fleet, "uvloop")
    assert len(seen.told_ms) == 2
    assert all(0 < told_ms < 60_000 for told_ms in seen.told_ms)
    assert seen.cpu_us > 0
    assert seen.rss_bytes > 10e6


def test_a_device_counts_its_polls_and_moves_its_power() -> None:
    device = make(1)[0][OURS]
    polls = Polls(moves_every=1)
    powers_w = []
    for number in range(3):
        device.read(BASE + 70, 125, polls, 1_000 * (number + 1))
        powers_w.append(bytes(device.words))
    device.read(BASE, 4, polls, 9_000)
    assert (polls.count, polls.gaps_ns) == (3, [1_000, 1_000])
    assert len(set(powers_w)) == 3


def test_the_decoders_read_the_same_before_they_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    points, models = decode.measure(1, 20)
    assert (points.name, models.name) == ("decode-701", "decode-models")
    assert min(points.ours, models.ours) > 0
    monkeypatch.setattr(decode, "scaled", lambda _registers: (1.0,))
    with pytest.raises(ValueError, match="differ"):
        decode.measure(1, 1)


async def test_a_loop_that_is_held_is_seen_to_lag() -> None:
    lag = Lag()
    watching = asyncio.create_task(lag.watch())
    await asyncio.sleep(0.02)
    await asyncio.to_thread(lambda: None)
    _hold()
    await asyncio.sleep(0.02)
    watching.cancel()
    assert lag.seen()["lag_most_ms"] > 50
    assert set(lag.seen().values()) == {0.0}, "what was seen is seen once"


def _hold() -> None:
    """Hold the loop for a twentieth of a second and more."""
    time.sleep(0.08)


def test_lists_of_2030_5_are_the_same_before_they_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for subject in bodies.subjects():
        found = bodies.measure(subject, bodies.Pace(samples=1, calls=1))
        assert [each.name.removeprefix(subject.name) for each in found] == [
            "-decode",
            "-decode-peer",
            "-encode",
            "-encode-peer",
        ]
        assert all(each.ours > 0 and each.floor for each in found)
    monkeypatch.setattr(bodies, "canonical", lambda body: body)
    with pytest.raises(ValueError, match="what is written again differs"):
        bodies.measure(bodies.subjects()[0], bodies.Pace(1, 1))
