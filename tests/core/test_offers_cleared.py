"""Offers cleared: one curve inside the ratings, one dispatch at the least price, one account (RULES C8, C9, E)."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.clearing import Award, DeliveredEnergy, LeftOut, OfferCurve, ServiceAccount, curve, dispatch, settle
from gateway.core.offers import Block, Nameplate, Offer, OfferBook, OfferKey
from gateway.core.parties import Direction
from gateway.core.topology import Point, PointKind

EXPORT, IMPORT = Direction
HOUR_MS = 3_600_000
NAMES = ("a", "b", "c", "d")
PLATES = {name: Nameplate(("acme", "bolt"), 10_000, 10_000) for name in NAMES}
INTERFACE = Point("sub", PointKind.INTERFACE, NAMES, 20_000, 20_000)


def offer(name: str, *blocks: tuple[int, int], resources: str = "", party: str = "acme") -> Offer:
    made = tuple(Block(w, price) for w, price in blocks)
    return Offer(party, name, 1, "reserve", EXPORT, tuple(resources or name), made, 0, HOUR_MS)


def steps(made: OfferCurve) -> list[tuple[int, int, list[tuple[str, int]]]]:
    return [
        (step.milli_per_mwh, step.cumulative_w, [(bid.offer.id, bid.w) for bid in step.bids]) for step in made.steps
    ]


def curved(offers: Sequence[Offer], *points: Point) -> OfferCurve:
    return curve(offers, EXPORT, 0, points, PLATES)


def transformer(members: str, export_w: int | None, name: str = "tr") -> Point:
    return Point(name, PointKind.SERVICE_TRANSFORMER, tuple(members), export_w)


def test_blocks_of_all_offers_come_in_the_order_of_price() -> None:
    made = curved([offer("b", (3_000, 20), (1_000, 40)), offer("a", (2_000, 20), (500, 30))], INTERFACE)
    assert steps(made) == [
        (20, 5_000, [("a", 2_000), ("b", 3_000)]),
        (30, 5_500, [("a", 500)]),
        (40, 6_500, [("b", 1_000)]),
    ]
    assert made.total_w == 6_500
    assert made.left_out == ()


def test_a_curve_of_nothing_is_empty() -> None:
    assert curved([]).total_w == 0


@pytest.mark.parametrize(
    ("at", "until", "stands"),
    [
        (0, None, True),
        (HOUR_MS - 1, None, True),
        (HOUR_MS, None, False),
        (-1, None, False),
        (0, HOUR_MS, True),
        (0, HOUR_MS + 1, False),
    ],
)
def test_only_offers_that_stand_through_the_window_count(at: int, until: int | None, *, stands: bool) -> None:
    assert bool(curve([offer("a", (1, 1))], EXPORT, at, (), PLATES, until).steps) == stands


def test_the_other_direction_has_its_own_curve_and_ratings() -> None:
    down = replace(offer("a", (9_000, 1)), direction=IMPORT)
    narrow = Point("sub", PointKind.INTERFACE, NAMES, 100, 4_000)
    assert curve([down], EXPORT, 0, [narrow], PLATES).steps == ()
    assert curve([down], IMPORT, 0, [narrow], PLATES).total_w == 4_000


@pytest.mark.parametrize(
    ("offers", "points", "expected", "left_out"),
    [
        pytest.param(
            [offer("a", (9_000, 10)), offer("b", (9_000, 20))],
            [transformer("ab", 12_000)],
            [(10, 9_000, [("a", 9_000)]), (20, 12_000, [("b", 3_000)])],
            [("b", 6_000, "tr")],
            id="the dear one is cut",
        ),
        pytest.param(
            [offer("a", (8_000, 10)), offer("b", (4_000, 10))],
            [transformer("ab", 6_000)],
            [(10, 6_000, [("a", 4_000), ("b", 2_000)])],
            [("a", 4_000, "tr"), ("b", 2_000, "tr")],
            id="equals are cut pro rata",
        ),
        pytest.param(
            [offer("a", (9_000, 10)), offer("c", (9_000, 20))],
            [transformer("ab", 1_000), transformer("cd", None, "free"), INTERFACE],
            [(10, 1_000, [("a", 1_000)]), (20, 10_000, [("c", 9_000)])],
            [("a", 8_000, "tr")],
            id="a full transformer holds back its own only",
        ),
        pytest.param(
            [offer(name, (9_000, 10)) for name in "abc"],
            [Point("sub", PointKind.INTERFACE, NAMES, 11_000), transformer("ab", 2_000)],
            [(10, 11_000, [("a", 1_000), ("b", 1_000), ("c", 9_000)])],
            [("a", 8_000, "tr"), ("b", 8_000, "tr")],
            id="the nearest point to the resource first, so that nothing is wasted",
        ),
        pytest.param(
            [offer("a", (9_000, 10))],
            [transformer("a", 3_000), Point("sub", PointKind.INTERFACE, NAMES, 2_000)],
            [(10, 2_000, [("a", 2_000)])],
            [("a", 7_000, "tr")],
            id="the first point in the way is named",
        ),
        pytest.param(
            [offer("a", (9_000, 10))], [transformer("a", 0)], [], [("a", 9_000, "tr")], id="nothing is deliverable"
        ),
        pytest.param(
            [offer("a", (9_000, 10))], [transformer("a", -5)], [], [("a", 9_000, "tr")], id="a point past its rating"
        ),
        pytest.param(
            [offer("g", (8_000, 10), resources="ac")],
            [transformer("ab", 1_000)],
            [(10, 2_000, [("g", 2_000)])],
            [("g", 6_000, "tr")],
            id="of two resources half lies on the point",
        ),
        pytest.param(
            [offer("z", (8_000, 10)), offer("a", (1, 10))],
            [],
            [(10, 1, [("a", 1)])],
            [("z", 8_000, "nameplate")],
            id="of a resource that is gone",
        ),
    ],
)
def test_what_the_network_cannot_deliver_is_left_out_and_named(
    offers: list[Offer],
    points: list[Point],
    expected: list[tuple[int, int, list[tuple[str, int]]]],
    left_out: list[tuple[str, int, str]],
) -> None:
    made = curved(offers, *points)
    assert steps(made) == expected
    assert list(made.left_out) == [LeftOut(OfferKey("acme", name), 0, w, limit) for name, w, limit in left_out]


def awarded(made: OfferCurve, total: int) -> list[tuple[str, int, int]]:
    return [(award.offer.id, award.w, award.milli_per_mwh) for award in dispatch(made, total, 0, HOUR_MS).awards]


OFFERED = curved([offer("a", (2_000, 10), (4_000, 30)), offer("b", (2_000, 30)), offer("c", (1_000, 50))])


@pytest.mark.parametrize(
    ("total", "awards", "unmet", "marginal"),
    [
        (0, [], 0, None),
        (1_500, [("a", 1_500, 10)], 0, 10),
        (2_000, [("a", 2_000, 10)], 0, 10),
        (5_000, [("a", 2_000, 10), ("a", 2_000, 30), ("b", 1_000, 30)], 0, 30),
        (2_001, [("a", 2_000, 10), ("a", 1, 30)], 0, 30),
        (9_500, [("a", 2_000, 10), ("a", 4_000, 30), ("b", 2_000, 30), ("c", 1_000, 50)], 500, 50),
        (-700, [], -700, None),
    ],
)
def test_one_aggregate_dispatch_is_shared_out(
    total: int, awards: list[tuple[str, int, int]], unmet: int, marginal: int | None
) -> None:
    made = dispatch(OFFERED, total, 0, HOUR_MS)
    assert awarded(OFFERED, total) == awards
    assert made.unmet_w == unmet
    assert made.marginal_milli_per_mwh == marginal
    assert all((award.start_ms, award.end_ms, award.direction) == (0, HOUR_MS, EXPORT) for award in made.awards)


def award(name: str, w: int, price: int, block: int = 0, party: str = "acme", resources: str = "") -> Award:
    key = OfferKey(party, name)
    return Award(key, block, "reserve", EXPORT, tuple(resources or name), w, price, 0, HOUR_MS)


def measured(name: str, wh: int, service: str = "reserve") -> DeliveredEnergy:
    return DeliveredEnergy(name, service, EXPORT, wh)


def account(party: str, awarded_wh: int, delivered_wh: int, amount: int) -> ServiceAccount:
    return ServiceAccount("reserve", party, EXPORT, awarded_wh, delivered_wh, delivered_wh - awarded_wh, amount)


@pytest.mark.parametrize(
    ("awards", "delivered", "accounts"),
    [
        pytest.param(
            [award("a", 2_000, 50_000)], [measured("a", 2_000)], [account("acme", 2_000, 2_000, 100)], id="as awarded"
        ),
        pytest.param(
            [award("a", 2_000, 50_000)], [measured("a", 1_500)], [account("acme", 2_000, 1_500, 75)], id="short"
        ),
        pytest.param(
            [award("a", 2_000, 50_000)], [measured("a", 9_000)], [account("acme", 2_000, 9_000, 100)], id="beyond"
        ),
        pytest.param([award("a", 2_000, 50_000)], [], [account("acme", 2_000, 0, 0)], id="nothing measured"),
        pytest.param(
            [award("a", 2_000, 50_000)], [measured("a", -300)], [account("acme", 2_000, -300, 0)], id="the wrong way"
        ),
        pytest.param(
            [award("a", 1_000, 30_000, block=1), award("a", 1_000, 10_000)],
            [measured("a", 1_500)],
            [account("acme", 2_000, 1_500, 25)],
            id="the cheapest block first",
        ),
        pytest.param(
            [award("a", 2_000, -50_000)], [measured("a", 2_000)], [account("acme", 2_000, 2_000, -100)], id="who pays"
        ),
        pytest.param(
            [award("a", 1, 999_999)], [measured("a", 1)], [account("acme", 1, 1, 0)], id="rounded toward zero"
        ),
        pytest.param(
            [award("a", 1, -999_999)], [measured("a", 1)], [account("acme", 1, 1, 0)], id="also where it pays"
        ),
        pytest.param(
            [award("g", 3_000, 1_000, resources="ab")],
            [measured("a", 1_000), measured("b", 1_500), measured("a", 100)],
            [account("acme", 3_000, 2_600, 2)],
            id="several resources, several samples",
        ),
        pytest.param(
            [award("x", 3_000, 1_000, resources="a"), award("y", 1_000, 1_000, party="bolt", resources="a")],
            [measured("a", 2_000)],
            [account("acme", 3_000, 1_500, 1), account("bolt", 1_000, 500, 0)],
            id="one measurement, two awards",
        ),
    ],
)
def test_a_period_is_settled(
    awards: list[Award], delivered: list[DeliveredEnergy], accounts: list[ServiceAccount]
) -> None:
    made = settle(awards, delivered)
    assert list(made.accounts) == accounts
    assert made.unawarded == ()


def test_what_no_award_asked_for_is_shown_apart() -> None:
    stray, other = measured("d", 5), measured("a", 7, service="energy")
    made = settle([award("a", 1_000, 1)], [stray, other, measured("a", 3)])
    assert made.unawarded == (other, stray)
    assert [row.delivered_wh for row in made.accounts] == [3]


def test_each_service_and_direction_has_its_own_account() -> None:
    up, energy = award("a", 1_000, 1), award("a", 500, 1)._replace(service="energy")
    down = up._replace(direction=IMPORT)
    made = settle([up, down, energy], [measured("a", 900), measured("a", 400, "energy")])
    assert [(row.service, row.direction, row.delivered_wh) for row in made.accounts] == [
        ("energy", EXPORT, 400),
        ("reserve", EXPORT, 900),
        ("reserve", IMPORT, 0),
    ]


@st.composite
def offered(draw: st.DrawFn) -> list[Offer]:
    """Give offers as a book admits them: what it refuses is not among them."""
    book = OfferBook()
    for name in draw(st.lists(st.sampled_from("pqrstuvw"), unique=True, max_size=8)):
        blocks = sorted(draw(st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 6_000)), min_size=1, max_size=3)))
        book.admit(
            Offer(
                draw(st.sampled_from(["acme", "bolt"])),
                name,
                1,
                draw(st.sampled_from(["reserve", "energy"])),
                EXPORT,
                tuple(draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=2))),
                tuple(Block(w, price) for price, w in blocks),
                0,
                HOUR_MS,
            ),
            PLATES,
            0,
        )
    return list(book.offers.values())


ratings = st.none() | st.integers(0, 15_000)
networks = st.builds(
    lambda left, right, segment, interface: [
        Point("sub", PointKind.INTERFACE, NAMES, interface),
        Point("seg", PointKind.SEGMENT, ("b", "c", "d"), segment),
        transformer("ab", left, "left"),
        transformer("cd", right, "right"),
    ],
    ratings,
    ratings,
    ratings,
    ratings,
)


@given(offered(), networks)
def test_a_curve_holds_every_offered_watt_once_and_breaks_no_rating(offers: list[Offer], network: list[Point]) -> None:
    made = curved(offers, *network)
    bids = [bid for step in made.steps for bid in step.bids]
    held = {(bid.offer, bid.block): bid.w for bid in bids}
    out = {(left.offer, left.block): left.w for left in made.left_out}
    for one in offers:
        for number, block in enumerate(one.blocks):
            assert held.get((one.key, number), 0) + out.get((one.key, number), 0) == block.w
    assert made.total_w == sum(bid.w for bid in bids)
    for point in network:
        if point.export_limit_w is not None:
            load = sum(
                bid.w * len([name for name in bid.resources if name in point.resources]) / len(bid.resources)
                for bid in bids
            )
            assert load <= point.export_limit_w


@given(offered(), networks, st.integers(-9, 30_000))
def test_awards_and_what_is_unmet_sum_to_the_total_and_no_award_exceeds_its_block(
    offers: list[Offer], network: list[Point], total: int
) -> None:
    made = dispatch(curved(offers, *network), total, 0, HOUR_MS)
    by_key = {one.key: one for one in offers}
    assert sum(one.w for one in made.awards) + made.unmet_w == total
    assert all(0 < one.w <= by_key[one.offer].blocks[one.block].w for one in made.awards)
    assert len({(one.offer, one.block) for one in made.awards}) == len(made.awards)


@given(offered(), st.integers(0, 30_000))
def test_nothing_dearer_is_used_while_anything_cheaper_is_left(offers: list[Offer], total: int) -> None:
    made = dispatch(curved(offers), total, 0, HOUR_MS)
    used = {(one.offer, one.block): one.w for one in made.awards}
    for one in offers:
        for number, block in enumerate(one.blocks):
            if used.get((one.key, number), 0) < block.w:
                assert made.unmet_w == 0
                assert all(other.milli_per_mwh <= block.milli_per_mwh for other in made.awards)


@given(offered(), networks, st.integers(0, 30_000), st.randoms(use_true_random=False))
def test_neither_the_order_of_offers_nor_of_points_plays_a_part(
    offers: list[Offer], network: list[Point], total: int, chance: Random
) -> None:
    made = curved(offers, *network)
    chance.shuffle(offers)
    chance.shuffle(network)
    again = curved(offers, *network)
    assert again == made
    assert dispatch(again, total, 0, HOUR_MS) == dispatch(made, total, 0, HOUR_MS)


@given(
    offered(),
    st.integers(0, 30_000),
    st.lists(
        st.builds(
            DeliveredEnergy,
            st.sampled_from(NAMES),
            st.sampled_from(["reserve", "energy"]),
            st.just(EXPORT),
            st.integers(-500, 9_000),
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_every_delivered_wh_is_counted_once(
    offers: list[Offer], total: int, delivered: list[DeliveredEnergy], chance: Random
) -> None:
    awards = list(dispatch(curved(offers), total, 0, HOUR_MS).awards)
    made = settle(awards, delivered)
    counted_wh = sum(row.delivered_wh for row in made.accounts) + sum(row.wh for row in made.unawarded)
    assert counted_wh == sum(row.wh for row in delivered)
    assert sum(row.awarded_wh for row in made.accounts) == sum(one.w for one in awards)
    assert all(row.deviation_wh == row.delivered_wh - row.awarded_wh for row in made.accounts)
    chance.shuffle(awards)
    chance.shuffle(delivered)
    assert settle(awards, delivered) == made
