"""Orders that change while they run: versions, withdrawals, other members, another site (A5, C1, C6, C13)."""

from dataclasses import replace

import pytest
from core_world import (
    CORNER,
    DSO,
    FEED,
    GRANTS,
    MARKET,
    STREET,
    WINDOW_MS,
    Player,
    export,
    house,
    limits,
    order,
    site,
    target,
    told,
    value_of,
)

from gateway.core.answers import Kind
from gateway.core.events import (
    Assigned,
    Contact,
    Offset,
    OrderUnreadable,
    Started,
    Topic,
    Withdrawal,
    Withdrawn,
)
from gateway.core.functions import Function
from gateway.core.known import Unknown
from gateway.core.machine import KEEP_ENDED_MS
from gateway.core.orders import Each, Energize, Rank, Reply, Total

F = Function
NOTHING_READ = Unknown("not read", 0)


# -- versions and withdrawals


def test_a_new_version_takes_the_place_of_the_old_without_a_glimpse_of_the_default() -> None:
    player = Player().start()
    player.default(1, "p1", export(9_000))
    player.hear(1, order("a", export(1_000), 1, 90))
    effects = player.hear(20, order("a", export(900), 1, 90, version=1))
    assert limits(effects, "roof-10") == [900]
    assert player.ruled() == 900
    assert [(answer.version, answer.kind) for answer in player.answers("a", "house-1") if answer.at_ms == 20_000] == [
        (0, Kind.SUPERSEDED),
        (1, Kind.RECEIVED),
        (1, Kind.STARTED),
    ]


@pytest.mark.parametrize(
    "newer",
    [
        pytest.param({"created_s": 9_999, "version": 1}, id="created in the future"),
        pytest.param({"version": 1, "effects": (export(900), target(1))}, id="past its grant"),
    ],
)
def test_a_refused_version_leaves_the_one_held_in_force_and_is_answered_once(newer: dict[str, object]) -> None:
    player = Player().start(site(grants=GRANTS[:1]))
    player.default(1, "p1", export(9_000))
    first = order("a", export(1_000), 1, 90)
    player.hear(1, first)
    second = replace(first, rank=Rank(1, int(str(newer.get("created_s", 0))) * 1000), version=1)
    if "effects" in newer:
        second = replace(second, effects=(export(9_000), target(1)), scope=Each(STREET))
    player.hear(20, second)
    player.hear(21, second)
    assert player.ruled() == 1_000
    refused = [answer for answer in player.answers("a", "house-1") if answer.kind is Kind.REFUSED]
    assert [(answer.version, answer.at_ms) for answer in refused] == [(1, 20_000)]
    player.cancel(30, "a")
    assert player.ruled() == 9_000
    assert player.terminal("a") == [(20, Kind.REFUSED), (30, Kind.CANCELLED)]


def test_an_older_version_and_other_content_change_nothing() -> None:
    player = Player().start()
    player.hear(1, order("a", export(1_000), 1, 90, version=3))
    before = len(player.answers())
    player.hear(2, order("a", export(9_000), 1, 90, version=2))
    player.hear(3, order("a", export(9_000), 1, 90, version=3))
    player.hear(4, order("a", export(1_000), 1, 90, version=3))
    assert player.ruled() == 1_000
    assert len(player.answers()) == before
    assert [tell.rule for tell in told(player.effects, Topic.REFUSED)] == ["A5", "A5"]


def superseded() -> Player:
    """A from 10 on, superseded by B from 20 to 35."""
    player = Player().start()
    player.hear(1, order("a", export(5_000), 10, None))
    player.hear(2, order("b", export(800), 20, 35, created_s=1))
    assert player.over(10, 20) == [5_000, 800]
    return player


def test_what_was_superseded_stays_so_when_the_superseder_is_moved() -> None:
    player = superseded()
    player.hear(25, order("b", export(800), 60, 80, created_s=1, version=1))
    assert player.over(26, 59, 60, 80) == [1_500, 1_500, 800, 1_500]


def test_a_function_that_was_lost_stays_lost_while_the_order_keeps_another() -> None:
    player = Player().start()
    player.hear(1, order("a", (export(5_000), value_of(F.GENERATION_LIMIT, 4_000)), 10, 9_000))
    player.hear(2, order("b", export(800), 20, 35, created_s=1))
    player.over(10, 20)
    player.hear(25, order("b", export(800), 60, 80, created_s=1, version=1))
    assert player.over(26, 60, 80) == [1_500, 800, 1_500]
    player.hear(7_200, order("c", export(700), 7_300, 7_400))
    assert player.over(7_250, 8_999) == [1_500, 1_500]
    assert player.ruled(F.GENERATION_LIMIT) == 4_000
    player.tick(9_000)
    assert [kind for _, kind in player.kinds("a")][:2] == [Kind.RECEIVED, Kind.STARTED]
    assert player.terminal("a")[0][0] == 9_000


def test_what_was_superseded_stays_so_when_the_clock_of_the_issuer_is_corrected() -> None:
    player = superseded()
    player.feed(21, Offset(DSO, -40_000))
    assert player.over(22, 59) == [1_500, 1_500]


def test_what_was_superseded_stays_so_when_the_superseder_is_forgotten() -> None:
    player = superseded()
    player.tick(36)
    for hours in range(1, 2 + 2 * KEEP_ENDED_MS // 3_600_000):
        player.tick(36 + hours * 3_600)
        assert player.ruled() == 1_500
    assert player.terminal("a") == [(20, Kind.SUPERSEDED)]


def test_what_has_ended_stays_ended_when_the_clock_of_the_issuer_is_corrected() -> None:
    player = Player().start()
    player.hear(1, order("a", export(5_000), 10, 20))
    player.hear(1, order("b", export(4_000), 90, 99))
    player.over(10, 20)
    player.feed(21, Offset(DSO, -60_000))
    assert player.over(22, 79, 80) == [1_500, 1_500, 1_500]


def test_an_event_that_only_vanishes_runs_to_its_end() -> None:
    player = Player().start()
    player.hear(1, order("a", export(500), 10, 20))
    player.feed(12, Contact(DSO, WINDOW_MS))
    assert player.over(12, 19, 20) == [500, 500, 1_500]


def test_a_cancelled_order_ends_at_once_and_a_spread_one_within_its_bound() -> None:
    player = Player().start()
    player.hear(1, order("a", export(500), 10, 90))
    player.hear(1, order("b", Energize(on=False), 10, 90))
    player.tick(10)
    player.cancel(20, "a")
    player.feed(20, Withdrawn(DSO, "b", Withdrawal.SUPERSEDED, 30_000))
    assert player.ruled() == 1_500
    assert player.ruled(F.ENERGIZE) == 0
    assert player.over(50, function=F.ENERGIZE) == [None]
    assert player.terminal("a") == [(20, Kind.CANCELLED)]
    ((ended_s, kind),) = player.terminal("b")
    assert kind is Kind.SUPERSEDED
    assert ended_s == 50


@pytest.mark.parametrize("listed", [(), ("house-3",)], ids=["no member yet", "refused by the members so far"])
def test_an_order_withdrawn_does_not_reach_a_resource_assigned_later(listed: tuple[str, ...]) -> None:
    player = Player().start()
    player.feed(1, Assigned(MARKET, FEED, listed))
    player.hear(2, order("a", target(900), 1, 90, scope=Each(FEED), issuer=MARKET))
    player.cancel(5, "a", MARKET)
    player.feed(6, Assigned(MARKET, FEED, (*listed, "house-1")))
    assert player.over(7, function=F.ACTIVE_POWER) == [None]
    assert player.answers("a", "house-1") == []


def test_a_resource_that_left_a_group_keeps_its_orders_and_gets_no_new_ones() -> None:
    player = Player().start()
    player.feed(1, Assigned(DSO, FEED, ("house-1", "house-2")))
    player.hear(2, order("a", export(700), 1, 20, scope=Each(FEED)))
    player.feed(3, Assigned(DSO, FEED, ("house-2",)))
    player.hear(4, order("b", export(500), 1, 90, scope=Each(FEED), created_s=1))
    assert [player.ruled(at=house(number)) for number in (1, 2)] == [700, 500]
    player.tick(20)
    assert [player.ruled(at=house(number)) for number in (1, 2)] == [1_500, 500]
    assert player.answers("b", "house-1") == []
    assert [kind for _, kind in player.kinds("a", "house-1")][-1] in (Kind.COMPLETED, Kind.CANNOT)


# -- assignment


def test_a_resource_assigned_later_gets_the_orders_of_its_group_and_answers_for_them() -> None:
    player = Player().start()
    player.feed(1, Assigned(DSO, FEED, ("house-2",)))
    player.hear(2, order("a", export(700), 1, 90, scope=Each(FEED)))
    assert (player.ruled(at="house-1"), player.ruled(at="house-2")) == (1_500, 700)
    player.feed(3, Assigned(DSO, FEED, ("house-1",)))
    assert (player.ruled(at="house-1"), player.ruled(at="house-2")) == (700, 700)
    player.tick(90)
    for name in ("house-1", "house-2"):
        assert len(player.terminal("a", name)) == 1


def test_a_total_shared_again_among_more_resources_still_sums_to_the_total() -> None:
    player = Player().start()
    player.feed(1, Assigned(DSO, FEED, ("house-1", "house-2")))
    player.hear(2, order("a", export(6_000), 1, 90, scope=Total(FEED)))
    assert sum(player.ruled(at=house(number)) or 0 for number in (1, 2)) <= 6_000
    player.feed(3, Assigned(DSO, FEED, ("house-1", "house-2", "house-3")))
    shares = [player.ruled(at=house(number)) for number in (1, 2, 3)]
    assert None not in shares
    assert sum(share or 0 for share in shares) <= 6_000


def never_taken(player: Player, kind: str) -> None:
    if kind == "future":
        player.hear(2, order("a", export(9_000), 1, 90, created_s=9_999, scope=Each(FEED)))
    elif kind == "uncarried":
        player.hear(2, order("a", (), 1, 90, scope=Each(FEED), uncarried=("opModFixedVar",)))
    elif kind == "over":
        player.hear(2, order("a", export(9_000), 0, 1, scope=Each(FEED)))
    else:
        player.feed(2, OrderUnreadable(DSO, "a", FEED, "no start", Reply("/rsp", receipt=True, progress=True)))


@pytest.mark.parametrize("kind", ["future", "uncarried", "over", "unreadable"])
def test_what_was_never_taken_reaches_no_resource_assigned_later(kind: str) -> None:
    player = Player().start()
    player.feed(1, Assigned(DSO, FEED, ("house-2",)))
    never_taken(player, kind)
    assert len(player.terminal("a", "house-2")) == 1
    player.feed(3, Assigned(DSO, FEED, ("house-2", "house-1")))
    assert player.over(4, 5, 91) == [1_500, 1_500, 1_500]
    assert len(player.terminal("a", "house-1")) == (1 if player.answers("a", "house-1") else 0)
    assert len(player.terminal("a", "house-2")) == 1


def test_an_assignment_outlives_a_restart() -> None:
    player = Player().start()
    player.feed(1, Assigned(DSO, CORNER, ("house-1", "house-2", "house-3")))
    player.hear(2, order("a", export(700), 1, 90, scope=Each(CORNER)))
    assert player.ruled(at="house-3") == 700
    player.feed(3, Started(site()))
    assert player.ruled(at="house-3") == 700
    player.tick(90)
    assert len(player.terminal("a", "house-3")) == 1


def test_a_restart_on_a_smaller_site_drops_what_is_gone_and_keeps_the_rest() -> None:
    player = Player().start()
    player.hear(1, order("a", export(700), 10, 90))
    player.hear(1, order("t", target(700), 10, 90, issuer=MARKET, scope=Each(CORNER)))
    smaller = site((1, 2))
    smaller = replace(smaller, parties=smaller.parties[:1], grants=smaller.grants[:2])
    player.feed(5, Started(smaller))
    assert player.over(10, 89, 90) == [700, 700, 1_500]
    assert player.machine.state.resources.keys() == {"house-1", "house-2"}


def test_a_server_that_says_superseded_a_little_early_leaves_no_gap() -> None:
    player = Player().start()
    player.hear(1, order("old", export(5_000), 10, 100))
    player.hear(2, order("new", export(7_000), 50, 100, created_s=1))
    player.tick(10)
    player.cancel(49, "old", how=Withdrawal.SUPERSEDED)
    assert player.over(49, 50, 52) == [5_000, 7_000, 7_000]
    assert player.terminal("old") == [(50, Kind.SUPERSEDED)]
    assert player.answers("old", "house-1")[-1].rule == "C2"
