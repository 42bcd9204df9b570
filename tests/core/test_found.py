"""What the naive reading and the histories found: the smallest case of each, until it is mended."""

from core_world import (
    ASKED,
    DSO,
    FEED,
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
    value_of,
    writes,
)
from naive_story import DSO as PARENT
from naive_story import HOME, HOUSE, Both, Colours
from naive_story import site as one_house

from gateway.core.arbitrate import Ground, settle
from gateway.core.events import Assigned, ForeignHand, LinkDown, Topic
from gateway.core.functions import Function
from gateway.core.orders import Ceiling, Each, Order, OrderKey, Price, Rank, Total
from gateway.core.parties import Colour, Direction, Precedence, Preference
from gateway.core.timeline import Entry, Interval, Slot
from gateway.core.units import Watts

F = Function


def test_what_an_order_was_not_served_is_told_when_it_is_superseded_too() -> None:
    player = Player().start(site((1,)))
    player.hear(0, order("cap", export(1_000), 0, None))
    player.hear(0, order("first", target(3_000), 0, 7_200))
    player.hear(3_600, order("second", target(100), 3_600, 7_200, created_s=9))
    told_of = [each for each in told(player.effects, Topic.CURTAILED) if each.order == f"{DSO}/first"]
    assert [each.values for each in told_of] == [(2_000,)]


def test_no_shortfall_grows_once_the_set_point_is_lost_for_good() -> None:
    player = Player().start(site((1,)))
    player.hear(0, order("both", (target(3_000), export(1_000)), 0, 7_200))
    player.hear(3_600, order("aim", target(100), 3_600, 7_200, created_s=9))
    player.tick(7_200)
    told_of = [each for each in told(player.effects, Topic.CURTAILED) if each.order == f"{DSO}/both"]
    assert [each.values for each in told_of] == [(2_000,)]


def test_a_set_point_beside_a_price_is_barred_by_what_itself_loads() -> None:
    both = Both(one_house())
    both.say(1, Colours(Colour.RED, Direction.EXPORT, 100))
    said = (Price(90_000), value_of(F.ACTIVE_POWER, -700))
    both.say(2, Order(PARENT, "o0", 0, Each(HOME), said, 2_000, None, Rank(0, 0), 0, reply=ASKED))
    rulings = {each.function: each.value for each in both.player.machine.state.resources[HOUSE].rulings}
    assert rulings.get(F.ACTIVE_POWER) == -700


def test_what_a_stranger_wrote_counts_at_its_worst_until_it_is_read_back() -> None:
    player = Player().start(site((2,)))
    adopt_all(player, 0)
    player.feed(1, ForeignHand("roof-20", "another hand"))
    player.feed(2, LinkDown("roof-20", "silent"))
    player.tick(1_000)
    device = player.machine.state.devices["roof-20"]
    assert not device.contested_until_ms
    assert device.counted_w() == device.device.rated_w
    assert device.counted_fallback_w() == device.device.rated_w


def test_what_is_unmet_of_two_functions_of_one_order_is_kept_apart() -> None:
    player = Player().start(reachable=False)
    player.hear(1, order("a", (export(0), value_of(F.IMPORT_LIMIT, 300)), 1, 1_000, scope=Total(STREET)))
    before = len(told(player.effects, Topic.SHARED))
    player.hear(10, order("other", value_of(F.CONNECT, 0), 10, 1_000))
    assert len(told(player.effects, Topic.SHARED)) == before


def test_a_limit_that_shrinks_as_its_set_point_ends_leaves_before_another_that_grows() -> None:
    player = Player().start(site((1, 2)))
    player.feed(0, Assigned(DSO, FEED, (house(1),)))
    player.hear(0, order("wide", (export(4_000), target(1_000)), 0, 100))
    player.hear(0, order("narrow", Ceiling(F.GENERATION_LIMIT, Watts(500)), 0, 100, scope=Each(FEED)))
    adopt_all(player, 0)
    wrote = [write.cleared.command for write in writes(player.tick(100))]
    assert [(each.device, each.limit_w) for each in wrote] == [("roof-20", 789), ("roof-21", 710), ("roof-10", 1_500)]


def test_no_preference_goes_before_an_emergency() -> None:
    ground = Ground(
        DSO,
        9_000,
        9_000,
        5_000,
        4_000,
        {DSO: 0, MARKET: 1},
        {(DSO, F.ACTIVE_POWER): 2, (MARKET, F.ACTIVE_POWER): 7},
        services={(DSO, 2, F.ACTIVE_POWER): "emergency", (MARKET, 7, F.ACTIVE_POWER): "schedule"},
        precedence=Precedence(preferences=(Preference("schedule", "emergency"),)),
    )
    slots = {
        Slot(issuer, level, F.ACTIVE_POWER): [
            Entry(OrderKey(issuer, "o"), Rank(0, 0), Interval(0, 9), value_of(F.ACTIVE_POWER, w))
        ]
        for issuer, level, w in ((DSO, 2, 0), (MARKET, 7, 4_000))
    }
    ruling = settle(slots, (), ground, 0).ruling(F.ACTIVE_POWER)
    assert ruling is not None
    assert ruling.value == 0
