"""A limit in sum shared out: the strongest first, shrink before grow, the silent at their worst (C2, C12, E)."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sharing import Claim, Fairness, Policy, cap_lower, cap_upper, share_total

PROPORTIONAL, EQUAL, MERIT, IMPACT = Policy
HOUR_MS, QUARTER_MS = 3_600_000, 900_000


def part(name: str, high_w: int = 5_000, counted_w: int = 0) -> Claim:
    return Claim(name, 0, high_w, high_w, counted_w)


STRONG, WEAK = (4, 0), (7, 0)
policies = st.sampled_from(Policy)


@st.composite
def claims(draw: st.DrawFn, reachable: st.SearchStrategy[bool] | None = None) -> list[Claim]:
    return [
        Claim(
            name,
            -draw(st.integers(0, 5_000)),
            draw(st.integers(-1_000, 5_000)),
            draw(st.integers(-5_000, 5_000)),
            draw(st.integers(-1_000, 5_000)),
            told_w=draw(st.none() | st.integers(-500, 5_000)),
            strength=(draw(st.integers(4, 5)), draw(st.integers(0, 1))),
            cost=draw(st.integers(0, 2)),
            impact=draw(st.integers(-1, 1)),
            reachable=draw(st.booleans() if reachable is None else reachable),
            owed_quarters=draw(st.integers(0, 9)),
        )
        for name in draw(st.lists(st.text("abcd", min_size=1, max_size=2), unique=True, min_size=1, max_size=5))
    ]


@pytest.mark.parametrize(
    ("policy", "upper", "among", "aims"),
    [
        pytest.param(PROPORTIONAL, 8_000, [part("a"), part("b", 3_000)], (5_000, 3_000), id="no cap where all fits"),
        pytest.param(PROPORTIONAL, 4_000, [part("a", 6_000), part("b", 2_000)], (3_000, 1_000), id="by range"),
        pytest.param(EQUAL, 4_000, [part("a", 6_000), part("b", 1_000)], (3_000, 1_000), id="to one level"),
        pytest.param(MERIT, 6_000, [part("a")._replace(cost=2), part("b")], (1_000, 5_000), id="the dear one is cut"),
        pytest.param(IMPACT, 6_000, [part("a")._replace(impact=2), part("b")], (1_000, 5_000), id="the harmful one is"),
        pytest.param(
            PROPORTIONAL,
            6_000,
            [part("a")._replace(strength=WEAK), part("b")._replace(strength=STRONG)],
            (1_000, 5_000),
            id="the weaker is tightened",
        ),
        pytest.param(
            PROPORTIONAL,
            6_000,
            [part("a")._replace(strength=(7, 1)), part("b")._replace(strength=(7, 2))],
            (5_000, 1_000),
            id="at one level the rank decides",
        ),
        pytest.param(
            MERIT,
            6_000,
            [part("a")._replace(strength=WEAK), part("b")._replace(strength=STRONG, cost=9)],
            (1_000, 5_000),
            id="strength before cost",
        ),
        pytest.param(
            PROPORTIONAL,
            6_000,
            [part("a")._replace(strength=WEAK), part("b")._replace(strength=STRONG, wish_w=2_000)],
            (4_000, 2_000),
            id="the stronger keeps its wish and no more",
        ),
        pytest.param(
            PROPORTIONAL,
            6_000,
            [part("a")._replace(wish_w=1_000), part("b")],
            (1_000, 5_000),
            id="a wish caps its part",
        ),
        pytest.param(
            PROPORTIONAL,
            6_000,
            [part("a")._replace(wish_w=1_000), part("b")._replace(wish_w=1_000)],
            (3_000, 3_000),
            id="what no wish needs is free for both",
        ),
        pytest.param(
            PROPORTIONAL, 3_000, [part("a")._replace(wish_w=-4_000), part("b")], (0, 3_000), id="load frees nothing"
        ),
        pytest.param(PROPORTIONAL, 0, [part("a"), part("b")], (0, 0), id="nothing at all"),
        pytest.param(PROPORTIONAL, -500, [part("a"), part("b")], (0, 0), id="never an order to run the other way"),
    ],
)
def test_a_ceiling_in_sum(policy: Policy, upper: int, among: list[Claim], aims: tuple[int, ...]) -> None:
    caps = cap_upper(policy, upper, among)
    assert caps.aims_w == aims
    assert caps.caps_w == aims
    assert caps.unmet_w == max(0, -upper)


def test_who_came_first_plays_no_part_among_equals() -> None:
    assert cap_upper(PROPORTIONAL, 4_000, [part("b"), part("a")]).aims_w == (2_000, 2_000)


@pytest.mark.parametrize(
    ("upper", "among", "caps", "unmet"),
    [
        pytest.param(
            8_000, [part("a", counted_w=5_000), part("b", counted_w=5_000)], (4_000, 4_000), 0, id="both shrink"
        ),
        pytest.param(
            8_000,
            [part("a", counted_w=2_000), part("b", counted_w=5_000)],
            (3_000, 4_000),
            0,
            id="grow into what is left",
        ),
        pytest.param(
            8_000, [part("a", counted_w=2_000), part("b", 5_000, 7_000)], (2_000, 4_000), 0, id="nothing is left yet"
        ),
        pytest.param(
            4_000,
            [part("a"), part("b", counted_w=3_000)._replace(reachable=False)],
            (1_000, 3_000),
            0,
            id="a silent one",
        ),
        pytest.param(
            9_000,
            [part("a"), part("b", counted_w=3_000)._replace(reachable=False, told_w=2_000)],
            (5_000, 2_000),
            0,
            id="a silent one keeps its last word though it counts more",
        ),
        pytest.param(
            2_000,
            [part("a", counted_w=1_000), part("b", counted_w=3_000)._replace(reachable=False)],
            (0, 2_000),
            1_000,
            id="the silent alone break it",
        ),
        pytest.param(
            3_000,
            [part(name, counted_w=3_000)._replace(reachable=False) for name in "ab"],
            (1_500, 1_500),
            3_000,
            id="each silent one is to come back with its share",
        ),
    ],
)
def test_shrink_first(upper: int, among: list[Claim], caps: tuple[int, ...], unmet: int) -> None:
    made = cap_upper(PROPORTIONAL, upper, among)
    assert made.caps_w == caps
    assert made.unmet_w == unmet


def test_growth_goes_to_the_stronger_first() -> None:
    weak, strong = part("a")._replace(strength=WEAK), part("b")._replace(strength=STRONG)
    holder = part("c", 0, counted_w=9_000)
    assert cap_upper(PROPORTIONAL, 10_000, [weak, strong, holder]).caps_w == (0, 1_000, 0)


def test_an_import_limit_is_the_mirror_image() -> None:
    among = [
        Claim("a", -6_000, 0, -6_000, -6_000, strength=WEAK),
        Claim("b", -6_000, 0, -4_000, -1_000, told_w=-1_000, strength=STRONG),
        Claim("c", -500, 0, -500, -500, told_w=-400, reachable=False),
    ]
    made = cap_lower(PROPORTIONAL, -7_000, among)
    assert made.aims_w == (-2_500, -4_000, -400)
    assert made.caps_w == (-2_500, -1_000, -400)
    assert made.unmet_w == 0


@given(policies, st.integers(-2_000, 20_000), claims())
def test_ceilings_sum_to_at_most_the_limit_and_never_exceed_a_range(
    policy: Policy, upper: int, among: list[Claim]
) -> None:
    made = cap_upper(policy, upper, among)
    silent_w = sum(max(0, claim.counted_w) for claim in among if not claim.reachable)
    assert sum(made.caps_w) <= max(0, upper)
    assert sum(made.aims_w) <= max(0, upper)
    assert all(0 <= cap <= aim for cap, aim in zip(made.caps_w, made.aims_w, strict=True))
    assert all(
        aim <= max(0, claim.high_w if claim.reachable else claim.counted_w)
        for aim, claim in zip(made.aims_w, among, strict=True)
    )
    assert made.unmet_w == max(0, silent_w - upper)


@given(policies, st.integers(-2_000, 20_000), claims(), st.randoms(use_true_random=False))
def test_the_order_of_the_claims_changes_no_ceiling(
    policy: Policy, upper: int, among: list[Claim], chance: Random
) -> None:
    def by_name(rows: Sequence[Claim]) -> dict[str, tuple[int, int]]:
        made = cap_upper(policy, upper, rows)
        return {row.name: pair for row, pair in zip(rows, zip(made.caps_w, made.aims_w, strict=True), strict=True)}

    shuffled = list(among)
    chance.shuffle(shuffled)
    assert by_name(shuffled) == by_name(among)


@given(policies, st.integers(0, 20_000), claims(st.just(value=True)))
def test_a_weaker_part_is_cut_before_a_stronger_loses_any_of_its_wish(
    policy: Policy, upper: int, among: list[Claim]
) -> None:
    aims = cap_upper(policy, upper, among).aims_w
    for strong, strong_aim in zip(among, aims, strict=True):
        for weak, weak_aim in zip(among, aims, strict=True):
            if strong.strength < weak.strength and weak_aim > 0:
                assert strong_aim >= min(strong.wish_w, max(0, strong.high_w))


@given(policies, st.integers(0, 20_000), claims())
def test_an_import_limit_gives_what_the_mirrored_export_limit_gives(
    policy: Policy, size: int, among: list[Claim]
) -> None:
    flipped = [
        claim._replace(
            low_w=-claim.high_w,
            high_w=-claim.low_w,
            wish_w=-claim.wish_w,
            counted_w=-claim.counted_w,
            told_w=None if claim.told_w is None else -claim.told_w,
        )
        for claim in among
    ]
    upper, lower = cap_upper(policy, size, among), cap_lower(policy, -size, flipped)
    assert [-cap for cap in lower.caps_w] == list(upper.caps_w)
    assert [-aim for aim in lower.aims_w] == list(upper.aims_w)
    assert lower.unmet_w == upper.unmet_w


class Step(NamedTuple):
    """What befalls between two re-shares: a new limit, who is read back, who goes silent, what each then wishes."""

    upper_w: int | None
    read_back: int
    silent: int
    wishes_w: tuple[int, ...]


steps = st.builds(
    Step,
    st.none() | st.integers(0, 12_000),
    st.integers(0, 15),
    st.integers(0, 15),
    st.tuples(*[st.integers(0, 5_000)] * 4),
)


@given(policies, st.integers(0, 12_000), st.lists(steps, max_size=12))
def test_the_worst_case_never_rises_past_the_limit_while_a_re_share_is_under_way(
    policy: Policy, upper: int, story: list[Step]
) -> None:
    """Each part may do the most that it was told since it was last read back; a write to a silent one is lost."""
    told, may = [0] * 4, [0] * 4
    for step in story:
        upper = upper if step.upper_w is None else step.upper_w
        heard = [not step.silent >> index & 1 for index in range(4)]
        for index in range(4):
            if heard[index] and step.read_back >> index & 1:
                may[index] = told[index]
        among = [
            Claim("abcd"[index], 0, 5_000, step.wishes_w[index], may[index], told[index], reachable=heard[index])
            for index in range(4)
        ]
        worst_before_w = sum(may)
        caps = cap_upper(policy, upper, among).caps_w
        for index in range(4):
            if heard[index]:
                told[index] = caps[index]
                may[index] = max(may[index], caps[index])
        assert sum(may) <= max(upper, worst_before_w)
        assert sum(told[index] for index in range(4) if heard[index]) <= upper


@given(policies, st.integers(0, 20_000), claims(st.just(value=True)))
def test_a_re_share_ends_where_it_aims(policy: Policy, upper: int, among: list[Claim]) -> None:
    aims = cap_upper(policy, upper, among).aims_w
    for _ in range(2):
        caps = cap_upper(policy, upper, among).caps_w
        among = [claim._replace(counted_w=cap, told_w=cap) for claim, cap in zip(among, caps, strict=True)]
    assert caps == aims


def curtailed(fairness: Fairness, among: list[Claim], caps: Sequence[int], for_ms: int) -> None:
    cut = {claim.name: claim.wish_w - cap for claim, cap in zip(among, caps, strict=True)}
    fairness.record(cut, for_ms)


@pytest.mark.parametrize("policy", [MERIT, IMPACT])
def test_equals_in_merit_take_turns(policy: Policy) -> None:
    fairness, among = Fairness(), [part("a"), part("b"), part("c")]
    for _ in range(12):
        caps = cap_upper(policy, 10_000, fairness.weigh(among)).aims_w
        assert sorted(caps) == [0, 5_000, 5_000]
        curtailed(fairness, among, caps, QUARTER_MS)
    assert [fairness.curtailed_wh(name) for name in "abc"] == [5_000] * 3


def test_the_influence_of_the_past_is_bounded() -> None:
    fairness, among = Fairness(), [part("a", 9_000), part("b", 9_000)]
    fairness.record({"a": 9_000}, 1_000 * HOUR_MS)
    assert cap_upper(PROPORTIONAL, 9_000, fairness.weigh(among)).aims_w == (5_000, 4_000)
    assert share_total(EQUAL, 9_000, fairness.weigh(among)).shares_w == (5_000, 4_000)


def test_less_than_a_quarter_of_an_hour_changes_nothing() -> None:
    fairness, among = Fairness(), [part("a"), part("b")]
    fairness.record({"a": 5_000}, QUARTER_MS - 1)
    assert cap_upper(PROPORTIONAL, 5_000, fairness.weigh(among)).aims_w == (2_500, 2_500)


def test_the_past_evens_out_what_was_uneven() -> None:
    fairness, among = Fairness(), [part("a"), part("b")]
    fairness.record({"a": 5_000}, HOUR_MS)
    for _ in range(100):
        curtailed(fairness, among, cap_upper(PROPORTIONAL, 5_000, fairness.weigh(among)).aims_w, QUARTER_MS)
    assert abs(fairness.curtailed_wh("a") - fairness.curtailed_wh("b")) <= 1_250


def test_curtailment_adds_up_without_rounding() -> None:
    fairness = Fairness()
    for _ in range(3_600):
        fairness.record({"a": 1}, 1_000)
    assert fairness.curtailed_wh("a") == 1
    assert fairness.curtailed_wh("b") == 0
