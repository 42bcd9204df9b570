"""Limits of a connection point over its meter: after a step over for at most 5 s, and for at most 1 % of the time."""

from typing import Literal

import pytest
from meter_loop_bench import EXPORT_W, HOUSE, ROOF, TOLERANCE_W, Overrun, closed_loop, weather

from gateway.core.siteload import SAMPLES
from hil.sunspec.inverter import Kind

LONGEST_S = 5.0
MOST_SHARE = 0.01
STEPS_EVERY_S = 300
MINUTES = 20


def assert_held(found: Overrun) -> None:
    """Have it be within what is promised, and put to the test at all."""
    assert found.worst_w > 4 * TOLERANCE_W, found
    assert found.longest_s <= LONGEST_S, found
    assert found.share <= MOST_SHARE, found


@pytest.mark.parametrize(("kind", "poll_s"), [("2018", 5), ("battery", 1)])
async def test_steps_of_load_are_over_the_limit_for_seconds_and_seldom(
    kind: Kind, poll_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A battery that charges is held to the import limit, the others to the export limit."""
    async with closed_loop(monkeypatch, kind, poll_s=poll_s) as loop:
        assert_held(await weather(loop, 2, MINUTES, STEPS_EVERY_S))


async def test_clouds_loosen_no_limit_that_the_load_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async with closed_loop(monkeypatch) as loop:
        assert_held(await weather(loop, 3, MINUTES, STEPS_EVERY_S, clouds=True))


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["2018", "legacy", "battery"])
async def test_an_hour_of_steps(kind: Kind, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async with closed_loop(monkeypatch, kind, poll_s=5) as loop:
        assert_held(await weather(loop, seed, 60, STEPS_EVERY_S, clouds=seed % 2 == 1))


@pytest.mark.parametrize("fault", ["refuse_connections", "reset", "asleep", "silent"])
async def test_the_load_behind_a_lost_meter_counts_as_zero_within_three_samples(
    fault: Literal["refuse_connections", "reset", "asleep", "silent"], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with closed_loop(monkeypatch) as loop:
        loop.street.set_fault("main", fault, True)
        loop.deaf = fault == "silent"
        lost_s = await loop.until(lambda: loop.unmetered, 20)
        assert lost_s <= SAMPLES * loop.meter_s + 0.2
        await loop.until(lambda: loop.roof.w <= EXPORT_W + TOLERANCE_W, LONGEST_S)
        assert loop.machine.state.devices[ROOF].told_w() == EXPORT_W
        loop.street.set_fault("main", fault, False)
        await loop.until(lambda: not loop.unmetered, 60)
        assert loop.machine.state.resources[HOUSE].load.counted.least_w in range(1_300, 1_501)
