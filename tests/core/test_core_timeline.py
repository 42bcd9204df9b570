"""Which order of a slot holds when, by effective and half-open intervals (C3 to C6, C17; IEEE 2030.5-2018 10.2.3)."""

import time

import pytest
from core_world import STREET, export, order, target
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.functions import Function
from gateway.core.orders import Ceiling, Effect, Floor, OrderKey, Rank, Release, Tie, Total
from gateway.core.timeline import (
    FOR_EVER_MS,
    Entry,
    Interval,
    Standing,
    Succession,
    effective,
    next_change,
    offset_ms,
    standing,
)
from gateway.core.units import Share, Watts


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


def test_what_a_group_obeys_in_sum_begins_and_ends_for_all_of_it_at_once() -> None:
    summed = order("a", export(1), 10, 20, randomize_s=5, scope=Total(STREET))
    whole = {effective(summed, f"house-{number}", 0, 12_000, 3_000) for number in range(20)}
    assert len(whole) == 1
    assert len({effective(summed, f"house-{number}", 0) for number in range(20)}) == 1


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


# -- the sweep, against a rule that looks at every pair


def stronger_first(entries: list[Entry]) -> list[Entry]:
    """Sort the strongest first by the words of C3 and C4, one word after the other from the last to the first."""
    ranked = sorted(entries, key=lambda one: one.key)
    ranked.sort(key=lambda one: 0 if compares_by_limit(one) else -one.rank.created_ms)
    ranked.sort(key=tightness)
    ranked.sort(key=lambda one: one.rank.precedence)
    return ranked


def compares_by_limit(one: Entry) -> bool:
    return one.rank.tie is Tie.TIGHTER_LIMIT and isinstance(one.effect, Ceiling | Floor)


def tightness(one: Entry) -> tuple[int, int]:
    if not compares_by_limit(one) or not isinstance(one.effect, Ceiling | Floor):
        return 2, 0
    power = one.effect.power
    sign = 1 if isinstance(one.effect, Ceiling) else -1
    return (0, sign * power.w) if isinstance(power, Watts) else (1, sign * power.hundredths)


def pair_by_pair(entries: list[Entry], now_ms: int) -> Standing:
    """Give what holds: from the strongest down each entry keeps what every stronger one leaves it."""
    winner: Entry | None = None
    lost: list[Entry] = []
    kept: list[Interval] = []
    for entry in stronger_first([each for each in entries if each.interval.start_ms <= now_ms]):
        start_ms, end_ms = entry.interval
        meetings_ms = [
            max(above.start_ms, start_ms) for above in kept if max(above.start_ms, start_ms) < min(above.end_ms, end_ms)
        ]
        loss_ms = min(meetings_ms, default=FOR_EVER_MS)
        kept.append(Interval(start_ms, min(end_ms, loss_ms, entry.spent_ms)))
        if loss_ms <= now_ms:
            lost.append(entry)
        elif start_ms <= now_ms < kept[-1].end_ms:
            winner = entry
    return Standing(winner, tuple(lost))


LAST_MS = 14
effects: st.SearchStrategy[Effect] = st.one_of(
    st.builds(export, st.integers(0, 2)),
    st.builds(lambda share: Ceiling(Function.EXPORT_LIMIT, Share(share)), st.integers(0, 2)),
    st.builds(lambda w: Floor(Function.IMPORT_LIMIT, Watts(w)), st.integers(-2, 0)),
    st.builds(target, st.integers(0, 2)),
    st.just(Release(Function.EXPORT_LIMIT)),
)


@st.composite
def slots(draw: st.DrawFn) -> list[Entry]:
    made = []
    for number in draw(st.lists(st.integers(0, 99), min_size=1, max_size=9, unique=True)):
        start_ms = draw(st.integers(0, 8))
        end_ms = min(start_ms + draw(st.sampled_from((0, 1, 2, 3, 6, FOR_EVER_MS))), FOR_EVER_MS)
        rank = Rank(draw(st.integers(0, 2)), draw(st.integers(0, 2)), draw(st.sampled_from(Tie)))
        spent_ms = draw(st.one_of(st.just(FOR_EVER_MS), st.integers(0, LAST_MS)))
        key = OrderKey("dso", f"{number:02}")
        made.append(Entry(key, rank, Interval(start_ms, end_ms), draw(effects), spent_ms))
    return made


@given(entries=slots())
def test_the_sweep_says_what_looking_at_every_pair_says(entries: list[Entry]) -> None:
    swept = Succession(entries)
    for now_ms in range(-1, LAST_MS + 2):
        expected = pair_by_pair(entries, now_ms)
        assert standing(entries, now_ms) == expected
        assert swept.standing(now_ms) == expected
        assert swept.standing(now_ms) == Succession(entries[::-1]).standing(now_ms)
        assert swept.next_change(now_ms) == next_change(entries, now_ms)


def test_ten_thousand_in_one_slot_are_swept_at_once_and_then_looked_up() -> None:
    many = [entry(f"{number:05}", number % 97, 200 + number % 89, number % 7, number) for number in range(10_000)]
    began_s = time.process_time()
    swept = Succession(many)
    assert sum(len(swept.standing(now_ms).lost) for now_ms in range(0, 300, 10)) > 0
    assert time.process_time() - began_s < 5, "every pair of 10,000 takes minutes"


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        pytest.param(export(1), export(2), id="the smaller ceiling"),
        pytest.param(Floor(Function.LOAD_LIMIT, Watts(-1)), Floor(Function.LOAD_LIMIT, Watts(-2)), id="larger floor"),
        pytest.param(
            Ceiling(Function.EXPORT_LIMIT, Share(10)), Ceiling(Function.EXPORT_LIMIT, Share(20)), id="smaller share"
        ),
        pytest.param(export(9_999), Ceiling(Function.EXPORT_LIMIT, Share(1)), id="W before shares"),
        pytest.param(export(9_999), Release(Function.EXPORT_LIMIT), id="a limit before a release"),
    ],
)
def test_the_tighter_limit_goes_first_where_the_server_ties_so(stronger: Effect, weaker: Effect) -> None:
    tight = Entry(OrderKey("dso", "z"), Rank(1, 1, Tie.TIGHTER_LIMIT), Interval(0, 9), stronger)
    loose = Entry(OrderKey("dso", "a"), Rank(1, 2, Tie.TIGHTER_LIMIT), Interval(0, 9), weaker)
    assert standing([loose, tight], 5) == Standing(tight, (loose,))
    assert standing([loose._replace(rank=Rank(0, 2, Tie.TIGHTER_LIMIT)), tight], 5).winner is not tight


def test_a_tie_of_limits_falls_to_the_smaller_id_and_of_set_points_to_the_later_modification() -> None:
    def pair(effect: Effect, tie: Tie) -> str:
        older = Entry(OrderKey("dso", "a"), Rank(1, 1, tie), Interval(0, 9), effect)
        newer = Entry(OrderKey("dso", "b"), Rank(1, 2, tie), Interval(0, 9), effect)
        return held([older, newer], range(5, 6))

    assert [pair(export(1), tie) for tie in (Tie.TIGHTER_LIMIT, Tie.LATER_CREATION)] == ["a", "b"]
    assert [pair(target(1), tie) for tie in (Tie.TIGHTER_LIMIT, Tie.LATER_CREATION)] == ["b", "b"]
