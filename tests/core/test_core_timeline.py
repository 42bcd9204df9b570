"""Which order of a slot holds when, by effective and half-open intervals (C3 to C6, C17; IEEE 2030.5-2018 10.2.3)."""

import pytest
from core_world import export, order

from gateway.core.orders import OrderKey, Rank
from gateway.core.timeline import FOR_EVER_MS, Entry, Interval, effective, next_change, offset_ms, standing


def entry(name: str, start: int, end: int, precedence: int = 1, created: int = 0) -> Entry:
    return Entry(OrderKey("dso", name), Rank(precedence, created), Interval(start, end), export(1))


def held(entries: list[Entry], instants: range) -> str:
    """Give the name of the entry in force at each instant, a dot where there is none."""
    names = []
    for now in instants:
        winner = standing(entries, now).winner
        names.append("." if winner is None else winner.key.id)
    return "".join(names)


def lost(entries: list[Entry], now: int) -> str:
    return "".join(sorted(one.key.id for one in standing(entries, now).lost))


@pytest.mark.parametrize(
    ("entries", "row"),
    [
        pytest.param([], "..........", id="nothing"),
        pytest.param([entry("a", 2, 5)], "..aaa.....", id="half-open"),
        pytest.param([entry("a", 2, 5), entry("b", 5, 7)], "..aaabb...", id="successive events do not conflict"),
        pytest.param([entry("a", 1, 8), entry("b", 3, 6, 1, 9)], ".aabbb....", id="newer takes over, never again"),
        pytest.param([entry("a", 1, 4), entry("b", 3, 6, 1, 9)], ".aabbb....", id="overlap in part"),
        pytest.param([entry("a", 1, 8, 1), entry("b", 3, 6, 2, 9)], ".aaaaaaa..", id="the smaller precedence stays"),
        pytest.param([entry("a", 1, 4, 1), entry("b", 3, 8, 2, 9)], ".aaa......", id="beaten before it starts"),
        pytest.param([entry("a", 2, 5), entry("b", 2, 5)], "..aaa.....", id="the smaller id where all else ties"),
        pytest.param([entry("a", 0, 9, 3), entry("b", 2, 7, 2), entry("c", 4, 5, 1)], "aabbc.....", id="nested thrice"),
        pytest.param(
            [entry("a", 0, 9, 2), entry("b", 2, 4, 1), entry("c", 6, 8, 3)],
            "aabb..cc..",
            id="what was beaten beats nobody",
        ),
        pytest.param([entry("a", 3, 3, 1), entry("b", 1, 5, 2)], ".bbbb.....", id="an empty interval beats nobody"),
    ],
)
def test_a_slot_through_time(entries: list[Entry], row: str) -> None:
    assert held(entries, range(10)) == row
    assert held(entries[::-1], range(10)) == row


def test_the_beaten_are_lost_at_the_winners_start_and_for_good() -> None:
    entries = [entry("a", 1, 8), entry("b", 3, 6, 1, 9)]
    assert [lost(entries, now) for now in (2, 3, 5, 6, 7, 99)] == ["", "a", "a", "a", "a", "a"]


@pytest.mark.parametrize("bound", [0, 1, 60_000, -1, -60_000])
def test_random_offsets_stay_within_their_bound_and_differ_by_resource(bound: int) -> None:
    drawn = {offset_ms(3, "start", f"house-{number}", bound) for number in range(50)}
    assert all(min(0, bound) <= one <= max(0, bound) for one in drawn)
    assert len(drawn) == min(abs(bound) + 1, len(drawn))
    assert len(drawn) > (abs(bound) > 100) * 20
    assert offset_ms(3, "start", "house-1", bound) == offset_ms(3, "start", "house-1", bound)


def test_the_offsets_of_one_draw_differ_by_purpose() -> None:
    assert offset_ms(3, "start", "house-1", 10**9) != offset_ms(3, "duration", "house-1", 10**9)
    assert offset_ms(3, "start", "house-1", 10**9) != offset_ms(4, "start", "house-1", 10**9)


@pytest.mark.parametrize(
    ("offset", "cut", "interval"),
    [
        (0, None, (10_000, 20_000)),
        (3_000, None, (7_000, 17_000)),
        (-3_000, None, (13_000, 23_000)),
        (0, 15_000, (10_000, 15_000)),
        (0, 25_000, (10_000, 20_000)),
        (0, 10_000, (10_000, 10_000)),
        (0, 5_000, (5_000, 5_000)),
        (3_000, 7_500, (7_000, 7_500)),
    ],
)
def test_an_effective_interval(offset: int, cut: int | None, interval: tuple[int, int]) -> None:
    assert effective(order("a", export(1), 10, 20), "house-1", offset, cut) == interval


def test_an_order_without_end_runs_until_it_is_cut() -> None:
    endless = order("a", export(1), 10, None)
    assert effective(endless, "house-1", 0) == (10_000, FOR_EVER_MS)
    assert effective(endless, "house-1", 0, 12_000) == (10_000, 12_000)


def test_randomization_moves_start_and_end_together_and_a_spread_cut_ends_within_its_bound() -> None:
    spread = order("a", export(1), 10, 20, randomize_s=5)
    for number in range(20):
        start_ms, end_ms = effective(spread, f"house-{number}", 0)
        assert 10_000 <= start_ms <= 15_000
        assert end_ms - start_ms == 10_000
        cut = effective(order("a", export(1), 10, 20), f"house-{number}", 0, 12_000, 3_000)
        assert 12_000 <= cut.end_ms <= 15_000
        assert cut.start_ms == 10_000


def test_the_next_change_is_the_next_start_or_end() -> None:
    entries = [entry("a", 1, 8), entry("b", 3, 6)]
    assert [next_change(entries, now) for now in (0, 1, 2, 3, 6, 8)] == [1, 3, 3, 6, 8, FOR_EVER_MS]
    assert next_change([], 0) == FOR_EVER_MS
