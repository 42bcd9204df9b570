"""Colours, prices and a network that changed, over time (RULES B, C7, C10, C11, C19, A7)."""

from dataclasses import replace

import pytest
from core_world import (
    CORNER,
    DSO,
    MARKET,
    STREET,
    TSO,
    WINDOW_MS,
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
from gateway.core.capacity import Commitment, Domain, Slice, Terms
from gateway.core.events import Coloured, CommitmentHeard, Contact, ForeignHand, NetworkChanged, Topic
from gateway.core.functions import Function
from gateway.core.orders import Each, Price
from gateway.core.parties import Colour, Direction, Grant, Level, Party, Precedence, Preference, Tier
from gateway.core.topology import PriceStep, Site

F = Function
SEGMENT = "north"
EMS = "ems"


def coloured_site() -> Site:
    """House 1 lies on a coloured segment; the DSO has flexibility, the market and a customer set-points there."""
    made = site()
    return replace(
        made,
        parties=(*made.parties, Party(EMS, Tier.CUSTOMER, limit_parent=False, rank=3)),
        grants=(
            *made.grants,
            Grant(EMS, "self", Level.CUSTOMER, (F.ACTIVE_POWER, F.EXPORT_LIMIT), CORNER),
            Grant(DSO, "prices", Level.DSO_FLEXIBILITY, (F.PRICE,), STREET),
        ),
        devices=tuple(replace(each, segment=SEGMENT if each.resource == house(1) else "") for each in made.devices),
        resources=tuple(
            replace(each, price_response=(PriceStep(0, -3_000), PriceStep(100_000, 2_000))) for each in made.resources
        ),
    )


def colour(colour: Colour, until_s: int, constrained: Direction | None = None, issuer: str = DSO) -> Coloured:
    return Coloured(issuer, SEGMENT, colour, constrained, until_s * 1000)


def player() -> Player:
    made = Player().start(coloured_site())
    made.default(0, "p1", export(9_000))
    return made


def set_points(made: Player) -> None:
    """The market wants 4 kW and the DSO's flexibility 1 kW, from second 10 to 1000."""
    made.hear(1, order("market", target(4_000), 10, 1_000, issuer=MARKET, scope=Each(CORNER)))
    made.hear(2, order("flex", target(1_000), 10, 1_000, scope=Each(CORNER)))


def test_green_has_flexibility_and_market_side_by_side_and_the_site_file_decides() -> None:
    made = player()
    set_points(made)
    assert made.over(10, function=F.ACTIVE_POWER) == [1_000]
    parties = tuple(replace(each, standing=1) if each.name == DSO else each for each in coloured_site().parties)
    other = Player().start(replace(coloured_site(), parties=parties))
    set_points(other)
    assert other.over(10, function=F.ACTIVE_POWER) == [4_000]
    other.feed(20, colour(Colour.AMBER, 40))
    assert other.over(20, 39, 40, function=F.ACTIVE_POWER) == [1_000, 1_000, 4_000]
    assert other.kinds("market")[1:] == [(10, Kind.STARTED), (20, Kind.SUSPENDED)]


def test_a_colour_that_expires_without_contact_is_amber() -> None:
    parties = tuple(replace(each, standing=1) if each.name == DSO else each for each in coloured_site().parties)
    made = Player().start(replace(coloured_site(), parties=parties))
    set_points(made)
    made.feed(20, colour(Colour.GREEN, 600))
    assert made.over(100, 299, 599, 600, function=F.ACTIVE_POWER) == [4_000, 4_000, 4_000, 1_000]
    made.feed(700, Contact(DSO, WINDOW_MS))
    assert made.ruled(F.ACTIVE_POWER) == 4_000


def test_red_suspends_what_loads_the_constrained_direction_until_it_is_over() -> None:
    made = player()
    set_points(made)
    made.feed(20, colour(Colour.RED, 50, Direction.EXPORT))
    assert made.over(20, 29, function=F.ACTIVE_POWER) == [None, None]
    made.hear(30, order("later", target(500), 30, 60, issuer=TSO))
    assert made.over(31, function=F.ACTIVE_POWER) == [None]
    assert made.kinds("later") == [(30, Kind.RECEIVED), (30, Kind.STARTED), (30, Kind.SUSPENDED)]
    assert made.answers("later", house(1))[-1].rule == "C11"
    assert made.ruled(F.ACTIVE_POWER, at=house(2)) == 500, "house 2 lies on no coloured segment"
    made.hear(32, order("charge", target(-500), 32, 45, issuer=TSO))
    assert made.over(33, 45, 50, function=F.ACTIVE_POWER) == [-500, None, 1_000]
    assert made.ruled(F.ACTIVE_POWER, at=house(2)) == 1_000


def test_a_suspended_order_ends_partial_with_what_it_fell_short_of() -> None:
    made = player()
    made.hear(1, order("market", target(3_600), 10, 1_010, issuer=MARKET, scope=Each(CORNER)))
    made.feed(10, colour(Colour.RED, 510, Direction.EXPORT))
    adopt_all(made, 11)
    made.over(510)
    adopt_all(made, 511)
    made.over(1_010)
    assert made.terminal("market") == [(1_010, Kind.PARTIAL)]
    assert made.answers("market", house(1))[-1].why.endswith("short of its schedule by about 500 Wh")
    curtailed = told(made.effects, Topic.CURTAILED)
    assert [(one.rule, one.order, one.names, one.values) for one in curtailed] == [
        ("C10", "market/market", (house(1),), (500,))
    ]


@pytest.mark.parametrize(("volume_w", "held_w"), [(1_000, 3_000), (2_500, 1_500), (9_000, 1_000)])
def test_amber_moves_the_market_by_the_contracted_volume_only(volume_w: int, held_w: int) -> None:
    made = player()
    made.feed(1, colour(Colour.AMBER, 600))
    set_points(made)
    terms = Terms(900, 100)
    contract = Commitment(
        MARKET, "c", DSO, "flexibility", 6, False, (Slice("roof-10", min(volume_w, 5_000)),), Direction.EXPORT,
        20_000, 900_000, Domain.DISTRIBUTION, terms, 0,
    )  # fmt: skip
    made.feed(3, CommitmentHeard(contract))
    assert made.over(20, function=F.ACTIVE_POWER) == [held_w]
    ruling = next(one for one in made.machine.state.resources[house(1)].rulings if one.function is F.ACTIVE_POWER)
    assert ruling.rule == "C11"
    assert [key.id for key in ruling.slack] == ["market"]
    assert Kind.SUSPENDED not in [kind for _at, kind in made.kinds("market")]


def test_a_reliability_reservation_is_left_by_weaker_set_points() -> None:
    made = player()
    made.hear(1, order("market", target(4_000), 10, 900, issuer=MARKET, scope=Each(CORNER)))
    reserve = Commitment(
        MARKET, "c", TSO, "reserve", 5, True, (Slice("roof-10", 3_000),), Direction.EXPORT, 20_000, 600_000,
        Domain.TRANSMISSION, Terms(900, 100), 0,
    )  # fmt: skip
    made.feed(11, CommitmentHeard(reserve))
    assert made.over(12, 20, 599, 600, function=F.ACTIVE_POWER) == [4_000, 2_000, 2_000, 4_000]


def test_a_customers_own_limit_binds_its_der_and_is_told_to_the_buyer_as_an_outage() -> None:
    made = player()
    made.over(1)
    adopt_all(made, 1)
    reserve = Commitment(
        MARKET, "c", TSO, "reserve", 5, True, (Slice("roof-10", 3_000),), Direction.EXPORT, 10_000, 600_000,
        Domain.TRANSMISSION, Terms(900, 100), 0,
    )  # fmt: skip
    made.feed(2, CommitmentHeard(reserve))
    made.hear(15, order("off", export(0), 20, 100, issuer=EMS, scope=Each(CORNER)))
    assert made.over(19, 20) == [9_000, 0]
    outages = told(made.effects, Topic.OUTAGE)
    assert [(one.at_ms, one.rule, one.order, one.names, one.values) for one in outages] == [
        (20_000, "C8", "market/c", ("roof-10",), (0,))
    ]
    assert made.over(100) == [9_000]
    assert made.ruled(at=house(3)) == 9_000


def test_a_price_moves_the_customers_own_preference_and_nothing_stronger() -> None:
    made = player()
    made.hear(1, order("cheap", Price(50_000), 10, 100))
    made.hear(1, order("dear", Price(150_000), 20, 60, precedence=0))
    made.hear(1, order("market", target(700), 30, 40, issuer=MARKET, scope=Each(CORNER)))
    assert made.over(10, 20, 30, 40, 60, 100, function=F.ACTIVE_POWER) == [-3_000, 2_000, 700, 2_000, None, None]
    assert made.over(100, function=F.PRICE) == [None]
    assert made.kinds("cheap")[:3] == [(1, Kind.RECEIVED), (10, Kind.STARTED), (20, Kind.SUPERSEDED)]


def test_a_price_from_the_bulk_tier_past_the_dso_is_a_bypass() -> None:
    made = player()
    made.hear(1, order("spot", Price(1), 10, 100, issuer=TSO))
    assert made.terminal("spot") == [(1, Kind.REFUSED)]


def test_services_that_the_data_prefers_go_first_whatever_their_levels() -> None:
    preference = Preference("schedule", "flexibility", "export", "green")
    made = Player().start(replace(coloured_site(), precedence=Precedence(preferences=(preference,))))
    set_points(made)
    assert made.over(10, function=F.ACTIVE_POWER) == [4_000]
    made.feed(20, colour(Colour.AMBER, 30))
    assert made.over(20, 30, function=F.ACTIVE_POWER) == [1_000, 4_000]


def test_only_the_limit_parent_colours_and_only_segments_that_there_are() -> None:
    made = player()
    for event, rule in (
        (colour(Colour.RED, 50, Direction.EXPORT, issuer=MARKET), "A2"),
        (Coloured(DSO, "nowhere", Colour.RED, None, 50_000), "C11"),
        (colour(Colour.RED, 5), "C11"),
    ):
        refused = told(made.feed(10, event), Topic.REFUSED)
        assert [one.rule for one in refused] == [rule]
    assert made.machine.state.colours == {}


def test_a_network_that_changed_holds_the_tighter_of_order_and_default_until_validated() -> None:
    made = Player().start(coloured_site())
    made.default(0, "p1", export(2_000))
    made.hear(1, order("wide", export(8_000), 10, 100))
    made.feed(12, colour(Colour.RED, 90, Direction.EXPORT))
    made.feed(20, NetworkChanged(DSO, (SEGMENT,), False, "switch S1 opened"))
    assert made.over(20) == [2_000]
    assert made.machine.state.colours[SEGMENT].colour is Colour.AMBER
    assert made.ruled(at=house(2)) == 8_000
    made.feed(30, NetworkChanged(DSO, (SEGMENT,), True, "validated"))
    assert made.over(30) == [8_000]
    assert [tell.rule for tell in told(made.effects, Topic.NETWORK)] == ["C19", "C19"]
    refused = told(made.feed(40, NetworkChanged(MARKET, (SEGMENT,), True, "")), Topic.REFUSED)
    assert [one.rule for one in refused] == ["A2"]


def test_a_contested_device_counts_as_uncontrolled_until_it_is_quiet() -> None:
    made = Player().start(coloured_site())
    made.default(0, "p1", export(4_000))
    adopt_all(made, 1)
    state = made.machine.state
    assert [state.devices[name].counted_w() for name in ("roof-20", "roof-21")] == [2_105, 1_894]
    made.feed(10, ForeignHand("roof-20", "WMaxLimPct changed"))
    made.feed(20, ForeignHand("roof-20", "WMaxLimPct changed"))
    adopt_all(made, 21)
    assert state.devices["roof-20"].counted_w() == 5_000
    assert state.devices["roof-21"].command is not None
    assert state.devices["roof-21"].command.limit_w == 0, "what is contested may take all of the 4 kW"
    assert [one.effect for one in told(made.effects, Topic.BYPASS)] == ["contested"]
    made.over(10 + 900, 20 + 900)
    adopt_all(made, 921)
    assert [one.effect for one in told(made.effects, Topic.BYPASS)] == ["contested", "quiet again"]
    assert sum(state.devices[name].counted_w() for name in ("roof-20", "roof-21")) <= 4_000
    assert state.devices["roof-21"].command.limit_w > 0
