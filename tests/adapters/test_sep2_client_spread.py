"""A thousand gateways that start together ask and post at other seconds, within what a server counts as in time."""

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sep2_world import World, make_pki

from gateway.northbound.sep2_client.exchange import Exchange
from gateway.northbound.sep2_client.reader import Reader
from gateway.northbound.sep2_client.spread import DAY_S, next_due, phase_s
from gateway.wire.sep2.resources import Time

URL = "https://utility.example/dcap"
RATES_S = (60, 300, 900)


def lfdi(number: int) -> str:
    return f"{number:032X}00012345"


@pytest.mark.parametrize("rate_s", RATES_S)
def test_a_thousand_gateways_that_start_together_do_not_poll_in_the_same_second(rate_s: int) -> None:
    started_s = 1_800_000_000
    due = Counter(next_due(started_s, rate_s, phase_s(lfdi(number), URL)) for number in range(1_000))
    evenly = 1_000 / rate_s
    assert max(due.values()) <= 3 * evenly + 6
    assert len(due) >= rate_s * (1 - 2.72**-evenly) * 0.9


def test_a_phase_is_of_the_gateway_and_of_the_server() -> None:
    assert phase_s(lfdi(1).lower(), URL) == phase_s(lfdi(1), URL)
    assert phase_s(lfdi(1), URL) != phase_s(lfdi(2), URL)
    assert phase_s(lfdi(1), URL) != phase_s(lfdi(1), "https://other.example/dcap")
    assert 0 <= phase_s(lfdi(1), URL) < DAY_S


@pytest.mark.parametrize("rate_s", [1, 2, 3])
def test_what_was_read_is_not_due_in_the_same_second(rate_s: int) -> None:
    for read_s in range(10):
        assert read_s < next_due(read_s, rate_s, 7) <= read_s + rate_s


@given(
    st.integers(1_800_000_000_000, 1_900_000_000_000),
    st.sampled_from([1_000 * rate_s for rate_s in (1, 7, *RATES_S, DAY_S)]),
    st.integers(0, DAY_S - 1),
    st.lists(st.integers(0, 400), min_size=12, max_size=30),
)
def test_polls_keep_the_rule_of_the_public_procedures(
    first_ms: int, rate_ms: int, phase: int, late_ms: list[int]
) -> None:
    """No gap of more than 1.5 intervals, and at most 6 requests in any 3."""
    at_ms = [first_ms]
    for late in late_ms:
        at_ms.append(next_due(at_ms[-1], rate_ms, 1_000 * phase) + late * rate_ms // 4_000)
    assert all(later - earlier <= 1.5 * rate_ms for earlier, later in pairwise(at_ms))
    assert all(later - earlier >= rate_ms // 4 for earlier, later in pairwise(at_ms))
    assert all(sum(start <= each < start + 3 * rate_ms for each in at_ms) <= 6 for start in at_ms)
    in_step = [next_due(at_ms[-1], rate_ms, 1_000 * phase)]
    for _poll in range(5):
        in_step.append(next_due(in_step[-1], rate_ms, 1_000 * phase))
    assert {later - earlier for earlier, later in pairwise(in_step)} == {rate_ms}


def test_rates_that_divide_each_other_fall_into_one_round() -> None:
    for number in range(50):
        phase = phase_s(lfdi(number), URL)
        assert next_due(1_800_000_000, 300, phase) % 60 == next_due(1_800_000_000, 60, phase) % 60


class Stepped:
    """A clock that is set by hand."""

    rate = 1.0

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.ms

    async def sleep_until_ms(self, at_ms: int) -> None:
        self.ms = max(self.ms, at_ms)
        await asyncio.sleep(0)


async def test_a_reader_falls_into_step_and_obeys_another_rate_at_once(tmp_path: Path) -> None:
    world = World(make_pki(tmp_path))
    await world.server.start()
    clock, phase = Stepped(), phase_s(world.own_lfdi, world.server.url)
    world.connect()
    await world.disconnect()
    exchange: Exchange = world.link._exchange
    reads_s: list[int] = []
    try:
        async with exchange:
            reader = Reader(exchange, clock, 900, phase)
            for rate_s in (60, 60, 60, 300, 300):
                world.rates.poll_rate_s = rate_s
                reader.begin()
                await reader.one("/tm", Time)
                assert reader.is_fresh("/tm")
                reads_s.append(clock.ms // 1000)
                clock.ms = reader.next_due_ms()
    finally:
        await world.server.stop()
    gaps_s = [later - earlier for earlier, later in pairwise(reads_s)]
    assert 15 <= gaps_s[0] <= 75
    assert gaps_s[1:3] == [60, 60]
    assert 75 <= gaps_s[3] <= 375
    assert reads_s[1] % 60 == phase % 60
    assert clock.ms // 1000 % 300 == phase % 300
