"""A power shared out among parts by each policy: what each gets, in any order, and never outside its range (C12, E)."""

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.sharing import Claim, Policy, pour, reach, share_total

PROPORTIONAL, EQUAL, MERIT, IMPACT = Policy
HOUR_MS = 3_600_000


def part(name: str, high_w: int = 5_000, low_w: int = 0) -> Claim:
    return Claim(name, low_w, high_w, high_w, 0)


names = st.text("abcdef", min_size=1, max_size=3)
powers = st.integers(-9_000, 9_000)


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    made = []
    for name in draw(st.lists(names, unique=True, min_size=1, max_size=6)):
        low_w, high_w = sorted((draw(powers), draw(powers)))
        made.append(
            Claim(
                name,
                low_w,
                high_w,
                draw(powers),
                0,
                told_w=draw(st.none() | powers),
                strength=(draw(st.integers(4, 6)), draw(st.integers(0, 1))),
                cost=draw(st.integers(0, 2)),
                impact=draw(st.integers(-1, 1)),
                reachable=draw(st.sampled_from([True, True, True, False])),
                stored_wh=draw(st.none() | st.integers(0, 9_000)),
                room_wh=draw(st.none() | st.integers(0, 9_000)),
                ramp_w_per_s=draw(st.none() | st.integers(0, 9)),
                owed_quarters=draw(st.integers(0, 9)),
            )
        )
    return made


policies = st.sampled_from(Policy)
totals = st.integers(-40_000, 40_000)
horizons = st.sampled_from([0, 60_000, HOUR_MS])


@pytest.mark.parametrize(
    ("policy", "total", "among", "shares", "unmet"),
    [
        pytest.param(PROPORTIONAL, 700, [part("a")], (700,), 0, id="alone"),
        pytest.param(PROPORTIONAL, 2_000, [part("a", 6_000), part("b", 2_000)], (1_500, 500), 0, id="by range"),
        pytest.param(PROPORTIONAL, 10, [part("b"), part("a"), part("c")], (3, 4, 3), 0, id="odd watt to first name"),
        pytest.param(PROPORTIONAL, 1_000, [part("a"), part("b", 5_000, 3_000)], (0, 3_000), -2_000, id="a must-run"),
        pytest.param(
            PROPORTIONAL,
            6_000,
            [part("a", 4_000), part("b", 5_000, 3_000)],
            (2_000, 4_000),
            0,
            id="range above must-run",
        ),
        pytest.param(PROPORTIONAL, -900, [part("a", 0, -6_000), part("b", 0, -3_000)], (-600, -300), 0, id="charging"),
        pytest.param(PROPORTIONAL, 9_000, [part("a"), part("b", 1_000)], (5_000, 1_000), 3_000, id="too much asked"),
        pytest.param(PROPORTIONAL, -500, [part("a")], (0,), -500, id="nobody can take load"),
        pytest.param(
            EQUAL, 4_000, [part("a", 6_000), part("b", 1_000), part("c")], (1_500, 1_000, 1_500), 0, id="level"
        ),
        pytest.param(EQUAL, 4_000, [part("a"), part("b", 5_000, 3_000)], (1_000, 3_000), 0, id="level above must-run"),
        pytest.param(EQUAL, 1_000, [part("a"), part("b", -500, -900)], (1_500, -500), 0, id="beside a must-charge"),
        pytest.param(EQUAL, -7, [part("a", 0, -9), part("b", 0, -9)], (-4, -3), 0, id="level of charging"),
        pytest.param(
            MERIT,
            6_000,
            [part("a")._replace(cost=9), part("b")._replace(cost=1), part("c")._replace(cost=5)],
            (0, 5_000, 1_000),
            0,
            id="cheapest first",
        ),
        pytest.param(
            MERIT, 6_000, [part("a")._replace(strength=(7, 0)), part("b")], (1_000, 5_000), 0, id="then the stronger"
        ),
        pytest.param(MERIT, 6_000, [part("b"), part("a")], (1_000, 5_000), 0, id="then the name"),
        pytest.param(MERIT, 100, [part("a"), part("b")._replace(owed_quarters=1)], (0, 100), 0, id="owed before name"),
        pytest.param(
            MERIT,
            -100,
            [part("a", 0, -80)._replace(cost=2), part("b", 0, -80)],
            (-20, -80),
            0,
            id="charging, cheap first",
        ),
        pytest.param(
            IMPACT,
            6_000,
            [part("a")._replace(cost=1), part("b")._replace(cost=9, impact=-3)],
            (1_000, 5_000),
            0,
            id="what relieves the feeder first, whatever it costs",
        ),
    ],
)
def test_a_set_point_in_sum(
    policy: Policy, total: int, among: list[Claim], shares: tuple[int, ...], unmet: int
) -> None:
    assert share_total(policy, total, among) == (shares, unmet)


def test_nobody_to_share_with_leaves_all_unmet() -> None:
    assert share_total(PROPORTIONAL, 700, []) == ((), 700)


def test_a_silent_part_counts_zero_and_the_others_carry_its_share() -> None:
    among = [part("a"), part("b")._replace(reachable=False), part("c")]
    assert share_total(EQUAL, 6_000, among) == ((3_000, 0, 3_000), 0)


@pytest.mark.parametrize(
    ("claim", "horizon", "expected"),
    [
        pytest.param(part("a", 5_000, -5_000), HOUR_MS, (-5_000, 5_000), id="no store"),
        pytest.param(part("a")._replace(stored_wh=500), HOUR_MS, (0, 500), id="what lasts an hour"),
        pytest.param(part("a")._replace(stored_wh=500), HOUR_MS // 2, (0, 1_000), id="what lasts half an hour"),
        pytest.param(part("a")._replace(stored_wh=500), 0, (0, 5_000), id="no horizon"),
        pytest.param(part("a")._replace(stored_wh=0), 0, (0, 0), id="empty"),
        pytest.param(part("a", 5_000, 3_000)._replace(stored_wh=500), HOUR_MS, (500, 500), id="cannot hold its floor"),
        pytest.param(part("a", 0, -5_000)._replace(room_wh=500), HOUR_MS, (-500, 0), id="room for an hour"),
        pytest.param(part("a", 0, -5_000)._replace(room_wh=0), 0, (0, 0), id="full"),
        pytest.param(part("a", -3_000, -5_000)._replace(room_wh=500), HOUR_MS, (-500, -500), id="cannot take so much"),
        pytest.param(part("a", -3_000, -5_000)._replace(stored_wh=0), HOUR_MS, (-5_000, -3_000), id="empty may charge"),
        pytest.param(part("a", 5_000, -5_000)._replace(told_w=100, ramp_w_per_s=2), 60_000, (-20, 220), id="a ramp"),
        pytest.param(part("a")._replace(told_w=None, ramp_w_per_s=2), 60_000, (0, 5_000), id="never told"),
        pytest.param(part("a")._replace(told_w=100, ramp_w_per_s=2), 0, (0, 5_000), id="a ramp needs a horizon"),
        pytest.param(
            part("a", 50)._replace(told_w=500, ramp_w_per_s=2), 60_000, (50, 50), id="an envelope beats a ramp"
        ),
        pytest.param(part("a")._replace(reachable=False), HOUR_MS, (0, 0), id="silent"),
    ],
)
def test_what_a_part_can_hold(claim: Claim, horizon: int, expected: tuple[int, int]) -> None:
    assert reach(claim, horizon) == expected


@given(policies, totals, claims(), horizons)
def test_shares_lie_in_range_and_sum_to_the_total_with_what_is_unmet(
    policy: Policy, total: int, among: list[Claim], horizon: int
) -> None:
    shares, unmet = share_total(policy, total, among, horizon)
    ranges = [reach(claim, horizon) for claim in among]
    assert all(low <= share <= high for share, (low, high) in zip(shares, ranges, strict=True))
    assert sum(shares) + unmet == total
    if sum(low for low, _ in ranges) <= total <= sum(high for _, high in ranges):
        assert unmet == 0


@given(policies, totals, claims(), horizons, st.randoms(use_true_random=False))
def test_the_order_of_the_claims_changes_no_share(
    policy: Policy, total: int, among: list[Claim], horizon: int, chance: Random
) -> None:
    shares = dict(zip([claim.name for claim in among], share_total(policy, total, among, horizon)[0], strict=True))
    chance.shuffle(among)
    again = share_total(policy, total, among, horizon)[0]
    assert {claim.name: share for claim, share in zip(among, again, strict=True)} == shares


@given(policies, totals, st.integers(1, 50), claims(), horizons)
@example(PROPORTIONAL, 23, 1, [part("a", 13), part("b", 13), part("c", 3)], 0)
def test_more_in_total_never_lowers_a_share(
    policy: Policy, total: int, more: int, among: list[Claim], horizon: int
) -> None:
    less = share_total(policy, total, among, horizon).shares_w
    greater = share_total(policy, total + more, among, horizon).shares_w
    assert all(one <= other for one, other in zip(less, greater, strict=True))


@given(totals, claims(), horizons)
def test_cheaper_parts_are_full_before_dearer_ones_start(total: int, among: list[Claim], horizon: int) -> None:
    shares = share_total(MERIT, total, among, horizon).shares_w
    ranges = [reach(claim, horizon) for claim in among]
    bases = [min(max(0, low), high) for low, high in ranges]
    ends = [high if total >= sum(bases) else low for low, high in ranges]
    rows = list(zip(among, shares, bases, ends, strict=True))
    for cheap, cheap_share, _, cheap_end in rows:
        for dear, dear_share, dear_base, _ in rows:
            if cheap.cost < dear.cost and dear_share != dear_base:
                assert cheap_share == cheap_end


@given(
    st.integers(0, 20_000), st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 9_000)), min_size=1, max_size=6)
)
def test_poured_units_go_to_whoever_stands_furthest_below_its_proportion(
    amount: int, rows: list[tuple[int, int]]
) -> None:
    tops, weights = [top for top, _ in rows], [weight for _, weight in rows]
    parts = pour(amount, tops, weights, range(len(rows)))
    assert sum(parts) == min(amount, sum(tops))
    for part_of, weight in zip(parts, weights, strict=True):
        for other, other_top, other_weight in zip(parts, tops, weights, strict=True):
            if part_of and other < other_top:
                assert (2 * part_of - 1) * other_weight <= (2 * other + 1) * weight


@settings(max_examples=30)
@given(st.integers(0, 400), st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=5))
def test_pouring_equals_giving_out_unit_by_unit(amount: int, rows: list[tuple[int, int]]) -> None:
    parts = [0] * len(rows)
    for _ in range(min(amount, sum(top for top, _ in rows))):
        open_rows = [index for index, (top, _) in enumerate(rows) if parts[index] < top]
        furthest = open_rows[0]
        for index in open_rows[1:]:
            if (2 * parts[index] + 1) * rows[furthest][1] < (2 * parts[furthest] + 1) * rows[index][1]:
                furthest = index
        parts[furthest] += 1
    assert pour(amount, [top for top, _ in rows], [weight for _, weight in rows], range(len(rows))) == parts


def test_no_weight_is_too_great_to_be_exact() -> None:
    huge = 10**12
    assert pour(3 * huge // 2, [huge] * 3, [huge] * 3, range(3)) == [huge // 2] * 3
    assert pour(3, [2, 2], [1 << 100, 1 << 100], range(2)) == [2, 1]
