"""A resource's envelope shared out: shrink first, grow into what was read back, sums never above the whole (C14, E)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.functions import Function
from gateway.core.orders import OrderKey
from gateway.core.plan import Command, Envelope, Part, commands, proportional, share_ceiling

BY = OrderKey("dso", "a")


def part(rated: int, counted: int | None = None, *, reachable: bool = True, name: str = "roof") -> Part:
    return Part(name, rated, rated if counted is None else counted, reachable)


def bounds(upper: int, target: int | None = None, connected: bool | None = None) -> Envelope:
    by = None if target is None else OrderKey("dso", "t")
    return Envelope(upper, BY, Function.EXPORT_LIMIT, "C2", None, target, by, target, connected, None)


parts = st.lists(
    st.builds(
        Part,
        st.just("roof"),
        st.integers(1, 9_999),
        st.integers(0, 9_999),
        st.booleans(),
        st.none(),
        st.just(value=False),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize(
    ("total", "rated", "shares"),
    [
        (700, [5_000], [700]),
        (-700, [5_000], [-700]),
        (700, [100, 100], [350, 350]),
        (700, [300, 100], [525, 175]),
        (100, [1, 1, 1], [33, 33, 33]),
        (-100, [1, 1, 1], [-33, -33, -33]),
        (0, [5, 1], [0, 0]),
    ],
)
def test_shares_by_rating(total: int, rated: list[int], shares: list[int]) -> None:
    assert proportional(total, [part(each) for each in rated]) == shares


@given(st.integers(-(10**6), 10**6), parts)
def test_shares_never_sum_to_more_than_the_total(total: int, among: list[Part]) -> None:
    shares = proportional(total, among)
    assert 0 <= abs(total) - abs(sum(shares)) < len(among)
    assert all(share * total >= 0 for share in shares)


@pytest.mark.parametrize(
    ("upper", "among", "ceilings"),
    [
        pytest.param(3_000, [part(5_000)], [3_000], id="alone"),
        pytest.param(9_000, [part(5_000)], [5_000], id="alone, never above its rating"),
        pytest.param(3_000, [part(5_000), part(5_000)], [1_500, 1_500], id="both shrink"),
        pytest.param(8_000, [part(5_000, 0), part(5_000, 0)], [4_000, 4_000], id="both grow into free room"),
        pytest.param(8_000, [part(5_000, 2_000), part(5_000, 5_000)], [3_000, 4_000], id="grow into what is left"),
        pytest.param(8_000, [part(5_000, 2_000), part(5_000, 7_000)], [2_000, 4_000], id="nothing is left yet"),
        pytest.param(4_000, [part(5_000), part(5_000, 3_000, reachable=False)], [1_000, 3_000], id="a silent one"),
    ],
)
def test_ceilings(upper: int, among: list[Part], ceilings: list[int]) -> None:
    assert share_ceiling(upper, among) == ceilings


@given(st.integers(0, 20_000), parts)
def test_no_ceiling_grows_past_what_the_others_leave(upper: int, among: list[Part]) -> None:
    shares = share_ceiling(upper, among)
    counted = sum(each.counted_w for each in among)
    grown = sum(max(0, share - each.counted_w) for share, each in zip(shares, among, strict=True))
    if len(among) > 1:
        assert grown <= max(0, upper - counted)
    assert all(share <= max(each.rated_w, each.counted_w) for share, each in zip(shares, among, strict=True))
    assert all(share >= 0 for share in shares)


@given(st.integers(0, 20_000), parts)
def test_ceilings_sum_to_at_most_the_envelope(upper: int, among: list[Part]) -> None:
    assert sum(share_ceiling(upper, among)) <= upper


def test_where_the_silent_exceed_the_ceiling_the_others_go_to_zero() -> None:
    shares = share_ceiling(2_000, [part(5_000), part(5_000, 3_000, reachable=False)])
    assert shares[0] == 0
    assert shares[1] <= 2_000


def told(name: str, limit: int, *, on: bool | None = None) -> Command:
    return Command(name, limit, None, on, None, 0, 1, (BY,), "C2")


def test_a_silent_der_is_never_told_more_than_it_was() -> None:
    silent = Part("barn", 5_000, 3_000, reachable=False, before=told("barn", 2_000))
    assert share_ceiling(9_000, [part(5_000, 1_000), silent])[1] <= 2_000


def made(upper: int, fallback: int, among: list[Part], target: int | None = None) -> list[Command]:
    return commands(bounds(upper, target), among, fallback, [60_000] * len(among))


def test_a_command_carries_ceiling_set_point_reversion_and_what_it_rests_on() -> None:
    (one,) = made(3_000, 1_500, [part(5_000)], target=-400)
    assert one == Command("roof", 3_000, -400, None, None, 1_500, 60_000, (BY, OrderKey("dso", "t")), "C2")


@pytest.mark.parametrize(
    ("upper", "fallback", "target", "told"),
    [
        pytest.param(3_000, 9_000, None, (3_000, None, 3_000), id="a reversion never above the ceiling"),
        pytest.param(9_000, 9_000, 8_000, (5_000, 5_000, 5_000), id="nothing above the rating"),
        pytest.param(3_000, 0, -8_000, (3_000, -5_000, 0), id="nor below it"),
        pytest.param(0, 1_000, 500, (0, 0, 0), id="a ceiling of zero"),
    ],
)
def test_what_one_der_is_told(upper: int, fallback: int, target: int | None, told: tuple[int, int | None, int]) -> None:
    (one,) = made(upper, fallback, [part(5_000)], target)
    assert (one.limit_w, one.target_w, one.revert_limit_w) == told


@given(st.integers(0, 20_000), st.integers(0, 20_000), st.none() | st.integers(-20_000, 20_000), parts)
def test_reversions_and_set_points_sum_to_at_most_the_whole(
    upper: int, fallback: int, target: int | None, among: list[Part]
) -> None:
    told = made(upper, fallback, among, target)
    assert sum(one.revert_limit_w for one in told) <= min(fallback, upper)
    assert all(0 <= one.revert_limit_w <= one.limit_w for one in told)
    if target is not None:
        assert abs(sum(one.target_w or 0 for one in told)) <= abs(target)
        assert all((one.target_w or 0) * target >= 0 for one in told)


@pytest.mark.parametrize(
    ("counted", "reversion"),
    [
        pytest.param((500, 500), (750, 750), id="into free room"),
        pytest.param((500, 900), (600, 750), id="into what the other is sure to leave"),
        pytest.param((500, 5_000), (500, 750), id="nothing is left until the other is read back"),
    ],
)
def test_a_reversion_grows_only_into_what_the_others_are_sure_to_leave(
    counted: tuple[int, int], reversion: tuple[int, int]
) -> None:
    before = [told("roof", 3_000)._replace(revert_limit_w=w) for w in (500, 750)]
    among = [
        Part("roof", 5_000, 3_000, reachable=True, before=each, counted_fallback_w=w)
        for each, w in zip(before, counted, strict=True)
    ]
    if counted[1] == 500:
        among[1] = among[1]._replace(before=before[0])
    assert tuple(one.revert_limit_w for one in made(6_000, 1_500, among)) == reversion


@pytest.mark.parametrize(
    ("ruled", "before", "adopted", "told_now"),
    [
        (None, None, False, None),
        (True, None, False, True),
        (False, True, True, False),
        (True, False, True, True),
        (None, False, False, True),
        (None, False, True, True),
        (None, True, False, True),
        (None, True, True, None),
    ],
)
def test_an_off_of_our_own_is_taken_back_once_and_nothing_else_is_switched(
    ruled: bool | None, before: bool | None, adopted: bool, told_now: bool | None
) -> None:
    one = Part("roof", 5_000, 5_000, reachable=True, before=told("roof", 1, on=before), adopted=adopted)
    assert commands(bounds(1, connected=ruled), [one], 0, [1])[0].connected is told_now
