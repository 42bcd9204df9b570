"""Orders that a group obeys in sum, ratings of the network above, and the dispatch at the T-D interface (C12, E)."""

from dataclasses import replace

import pytest
from core_world import (
    CORNER,
    DSO,
    MARKET,
    STREET,
    Player,
    adopt_all,
    export,
    house,
    order,
    site,
    target,
    told,
)

from gateway.core.answers import Kind
from gateway.core.events import LinkDown, LinkUp, Observed, OfferHeard, Tick, Topic
from gateway.core.functions import Function
from gateway.core.known import Known
from gateway.core.meter import NOT_READ
from gateway.core.offers import Block, Offer
from gateway.core.orders import Each, Total
from gateway.core.parties import Direction, Grant, Level, Party, Tier
from gateway.core.topology import Group, Point, PointKind, Site

F = Function
RIVAL = "rival"
INTERFACE = "substation"


def houses_of_one(count: int = 3, *, standing: tuple[int, int] = (0, 0), points: tuple[Point, ...] = ()) -> Site:
    """Houses with one DER of 5 kW each; the market drives the first, a rival the second."""
    made = site(houses=(1,))
    first = made.devices[0]
    devices = tuple(replace(first, name=f"der-{n}", resource=house(n)) for n in range(1, count + 1))
    resources = tuple(replace(made.resources[0], name=house(n), devices=(f"der-{n}",)) for n in range(1, count + 1))
    names = tuple(each.name for each in resources)
    groups = (
        Group(STREET, names),
        Group(CORNER, names[:1]),
        Group("second", names[1:2]),
        Group(INTERFACE, names),
    )
    parties = (
        made.parties[0],
        Party(MARKET, Tier.CUSTOMER, limit_parent=False, rank=1, standing=standing[0]),
        Party(RIVAL, Tier.CUSTOMER, limit_parent=False, rank=2, standing=standing[1]),
    )
    grants = (
        *(grant for grant in made.grants if grant.party == DSO),
        Grant(MARKET, "schedule", Level.MARKET, (F.ACTIVE_POWER,), CORNER),
        Grant(RIVAL, "schedule", Level.MARKET, (F.ACTIVE_POWER,), "second"),
    )
    return Site("test", parties, grants, groups, resources, devices, points=points)


def transformer(export_limit_w: int, count: int = 2) -> tuple[Point, ...]:
    return (Point("T1", PointKind.SERVICE_TRANSFORMER, tuple(house(n) for n in range(1, count + 1)), export_limit_w),)


def running(where: Site) -> Player:
    made = Player().start(where)
    made.default(0, "p1", export(9_000))
    settle(made, 1)
    return made


def settle(made: Player, now_s: int) -> None:
    """Read everything back, and let what waits for that be shared again."""
    for later_s in range(3):
        adopt_all(made, now_s + 3 * later_s)
        made.over(now_s + 3 * later_s + 2)
    adopt_all(made, now_s + 9)


def rivals(made: Player, first_w: int, second_w: int) -> None:
    made.hear(10, order("first", target(first_w), 20, 500, issuer=MARKET, scope=Each(CORNER)))
    made.hear(11, order("second", target(second_w), 20, 500, issuer=RIVAL, scope=Each("second")))
    made.over(20)
    settle(made, 20)


def targets(made: Player, count: int) -> list[int | None]:
    commands = [made.machine.state.devices[f"der-{n}"].command for n in range(1, count + 1)]
    return [None if command is None else command.target_w for command in commands]


def limits_w(made: Player, count: int) -> list[int]:
    return [made.machine.state.devices[f"der-{n}"].told_w() for n in range(1, count + 1)]


def test_two_aggregators_behind_one_transformer_share_it_pro_rata() -> None:
    made = running(houses_of_one(2, points=transformer(6_000)))
    rivals(made, 4_000, 4_000)
    assert targets(made, 2) == [3_000, 3_000]
    made.over(500)
    ends = [made.answers(name, house(number))[-1] for number, name in ((1, "first"), (2, "second"))]
    assert [(end.kind, end.rule) for end in ends] == [(Kind.PARTIAL, "C10")] * 2
    assert "site/rating:T1" in ends[0].why


def test_the_order_of_arrival_does_not_matter_and_standing_does() -> None:
    for first, second in ((4_000, 2_000), (2_000, 4_000)):
        made = running(houses_of_one(2, standing=(1, 2), points=transformer(5_000)))
        rivals(made, first, second)
        assert targets(made, 2) == [first, 5_000 - first]


def test_a_rating_that_is_not_reached_limits_nothing() -> None:
    made = running(houses_of_one(2, points=transformer(10_000)))
    rivals(made, 4_000, 4_000)
    assert targets(made, 2) == [4_000, 4_000]
    assert made.machine.state.resources[house(1)].allotted == ()


def test_reversions_below_a_rating_fit_it_in_sum() -> None:
    made = running(houses_of_one(3, points=transformer(6_000, count=3)))
    commands = [made.machine.state.devices[f"der-{n}"].command for n in (1, 2, 3)]
    assert sum(command.revert_limit_w for command in commands if command) <= 6_000


def test_a_limit_in_sum_is_shared_and_shrinks_before_it_grows() -> None:
    made = running(houses_of_one(3))
    made.hear(10, order("sum", export(6_000), 20, 300, scope=Total(STREET)))
    made.over(20)
    settle(made, 20)
    assert limits_w(made, 3) == [2_000, 2_000, 2_000]
    made.hear(31, order("market", target(4_000), 32, 300, issuer=MARKET, scope=Each(CORNER)))
    made.over(32, 33)
    assert limits_w(made, 3) == [2_000, 1_000, 1_000], "grows only into what the others are read back to leave"
    settle(made, 34)
    assert limits_w(made, 3) == [4_000, 1_000, 1_000]
    made.over(300)
    assert made.terminal("sum", house(2)) == [(300, Kind.COMPLETED)]
    assert limits_w(made, 3) == [5_000, 5_000, 5_000]


def test_what_a_dead_device_may_still_do_is_taken_from_the_others() -> None:
    made = running(houses_of_one(3))
    made.hear(10, order("sum", export(6_000), 20, 300, scope=Total(STREET)))
    made.over(20)
    settle(made, 20)
    made.feed(60, LinkDown("der-1", "no reply"))
    settle(made, 61)
    assert limits_w(made, 3) == [2_000, 2_000, 2_000], "its last word counts against the limit"
    made.hear(90, order("tighter", export(3_000), 91, 300, scope=Total(STREET), created_s=1))
    made.over(91)
    settle(made, 92)
    assert limits_w(made, 3)[1:] == [500, 500]


def test_a_set_point_in_sum_is_shared_again_when_a_device_fails_and_the_rest_is_told_unmet() -> None:
    made = running(houses_of_one(3))
    made.hear(10, order("sum", target(9_000), 20, 300, scope=Total(STREET)))
    made.over(20)
    settle(made, 20)
    assert targets(made, 3) == [3_000, 3_000, 3_000]
    made.feed(60, LinkDown("der-3", "no reply"))
    settle(made, 61)
    assert targets(made, 3)[:2] == [4_500, 4_500]
    made.feed(80, LinkDown("der-2", "no reply"))
    settle(made, 81)
    assert targets(made, 3)[0] == 5_000
    unmet = told(made.effects, Topic.UNMET)
    assert (unmet[-1].rule, unmet[-1].order, unmet[-1].values) == ("E", "dso/sum", (4_000,))
    made.over(300)
    assert made.terminal("sum") == [(300, Kind.PARTIAL)]


def test_a_stronger_set_point_of_its_own_counts_toward_the_sum() -> None:
    where = houses_of_one(3)
    grants = (*where.grants, Grant(DSO, "reliability", Level.DSO_RELIABILITY, (F.ACTIVE_POWER,), "second"))
    made = running(replace(where, grants=grants))
    made.hear(10, order("sum", target(9_000), 20, 300, scope=Total(STREET), precedence=5))
    made.hear(11, replace(order("own", target(1_000), 20, 300, scope=Each("second")), service="reliability"))
    made.over(20)
    settle(made, 20)
    assert targets(made, 3) == [4_000, 1_000, 4_000]


def offer(name: str, party: str, number: int, *blocks: tuple[int, int]) -> OfferHeard:
    made = tuple(Block(w, price) for w, price in blocks)
    return OfferHeard(Offer(party, name, 0, "flex", Direction.EXPORT, (house(number),), made, 0, 7_200_000))


def at_the_interface() -> Player:
    points = (Point(INTERFACE, PointKind.INTERFACE, (house(1), house(2)), 8_000),)
    made = running(houses_of_one(2, points=points))
    made.feed(12, offer("a", MARKET, 1, (1_000, 40), (2_000, 90)))
    made.feed(12, offer("b", RIVAL, 2, (3_000, 60)))
    return made


@pytest.mark.parametrize(
    ("total_w", "shares"), [(500, [500, 0]), (3_000, [1_000, 2_000]), (5_000, [2_000, 3_000]), (7_000, [3_000, 3_000])]
)
def test_one_aggregate_dispatch_is_shared_out_over_the_offers(total_w: int, shares: list[int]) -> None:
    made = at_the_interface()
    made.hear(15, order("dispatch", target(total_w), 20, 3_620, scope=Total(INTERFACE)))
    made.over(20)
    settle(made, 20)
    assert targets(made, 2) == shares
    unmet_w = total_w - sum(shares)
    assert [one.values for one in told(made.effects, Topic.UNMET)[:1]] == ([(unmet_w,)] if unmet_w else [])


def test_what_is_delivered_for_a_dispatch_is_accounted_by_service_and_party() -> None:
    made = at_the_interface()
    made.hear(15, order("dispatch", target(4_000), 20, 3_620, scope=Total(INTERFACE)))
    made.over(20)
    settle(made, 20)
    for number, power_w in ((1, 1_000), (2, 1_500)):
        unknown = made.machine.state.devices[f"der-{number}"].reactive
        made.feed(30, Observed(f"der-{number}", Known(power_w, 30_000), unknown, unknown, True))
    made.feed(900, Tick())
    accounts = {one.names[0]: one for one in told(made.effects, Topic.ACCOUNTED)}
    assert accounts.keys() == {MARKET, RIVAL}
    assert accounts[MARKET].effect == "delivered 241 Wh of 244 Wh awarded in export"
    assert accounts[RIVAL].effect == "delivered 362 Wh of 733 Wh awarded in export"
    assert accounts[RIVAL].why.startswith("deviation -371 Wh, paid ")
    metered = told(made.effects, Topic.METERED)
    assert [(one.function, one.names, one.values) for one in metered] == [
        ("flexibility", ("der-1", "der-2"), (241, 362)),
        ("", ("der-1", "der-2"), (30, 30)),
    ]
    assert metered[-1].effect == NOT_READ, "nobody read them before they were first heard of"


def test_a_device_that_comes_back_gets_its_share_again() -> None:
    made = running(houses_of_one(2))
    made.hear(10, order("sum", target(6_000), 20, 300, scope=Total(STREET)))
    made.over(20)
    made.feed(30, LinkDown("der-2", "no reply"))
    settle(made, 31)
    assert targets(made, 2)[0] == 5_000
    made.feed(60, LinkUp("der-2", Known(5_000, 60_000), Known(5_000, 60_000)))
    settle(made, 61)
    assert targets(made, 2) == [3_000, 3_000]


def test_a_dispatch_at_an_unrated_interface_is_shared_as_well() -> None:
    points = (Point(INTERFACE, PointKind.INTERFACE, (house(1), house(2))),)
    made = running(houses_of_one(2, points=points))
    made.hear(10, order("sum", target(6_000), 20, 300, scope=Total(INTERFACE)))
    made.over(20)
    settle(made, 20)
    assert targets(made, 2) == [3_000, 3_000]


def test_a_dead_device_is_not_told_more_than_the_rating_leaves_beside_the_others() -> None:
    made = running(houses_of_one(2, points=transformer(6_000)))
    made.hear(10, order("off", export(0), 20, 100))
    made.over(20)
    settle(made, 20)
    made.feed(60, LinkDown("der-2", "no reply"))
    made.over(100)
    settle(made, 101)
    assert sum(limits_w(made, 2)) <= 6_000


def test_a_dispatch_that_is_cancelled_is_accounted_up_to_then() -> None:
    made = at_the_interface()
    made.hear(15, order("dispatch", target(4_000), 20, 3_620, scope=Total(INTERFACE)))
    made.over(20)
    settle(made, 20)
    made.cancel(200, "dispatch")
    assert made.machine.state.awards == {}
    made.over(900, 1_800)
    awarded = [one.effect for one in told(made.effects, Topic.ACCOUNTED) if one.names == (MARKET,)]
    assert awarded == ["delivered 0 Wh of 50 Wh awarded in export"]


def test_of_one_partys_set_points_in_sum_and_its_own_the_later_created_holds() -> None:
    made = running(houses_of_one(2))
    made.hear(10, order("z-own", target(1_000), 20, 300, scope=Each(STREET), created_s=9))
    made.hear(11, order("a-sum", target(8_000), 20, 300, scope=Total(STREET), created_s=8))
    made.over(20)
    settle(made, 20)
    assert targets(made, 2) == [1_000, 1_000]
