"""Set-points, prices and limits in every situation of network and contracts at one resource (B, C7, C10 to C19)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from core_world import value_of

from gateway.core import slots
from gateway.core.arbitrate import (
    AGREEMENT,
    CALM,
    LAST_RESORT,
    UNDRIVEN,
    Allotment,
    Ground,
    Settlement,
    Situation,
    Status,
    rating_key,
    settle,
)
from gateway.core.functions import Function
from gateway.core.modes import TargetVar
from gateway.core.orders import Connect, Default, Effect, OrderKey, Price, Rank, Release
from gateway.core.parties import Colour, Direction, Precedence, Preference
from gateway.core.timeline import FOR_EVER_MS, Entry, Interval, Slot
from gateway.core.topology import PriceStep

F = Function
LEVELS = {"dso": 4, "tso": 5, "flex": 6, "market": 7, "home": 8}
SERVICES = {"dso": "reliability", "tso": "reserve", "flex": "flexibility", "market": "schedule", "home": "own-use"}
GROUND = Ground(
    limit_parent="dso",
    export_limit_w=9_000,
    last_resort_export_limit_w=1_500,
    generation_max_w=5_000,
    charge_max_w=4_000,
    party_rank={"market": 0, "dso": 1, "tso": 2, "flex": 3, "home": 4},
    levels={(name, function): level for name, level in LEVELS.items() for function in F},
    service_levels={(name, SERVICES[name], function): level for name, level in LEVELS.items() for function in F},
    services={(name, level, function): SERVICES[name] for name, level in LEVELS.items() for function in F},
    party_standing={"flex": 2, "market": 3},
    price_response=(PriceStep(0, -2_000), PriceStep(100, 0), PriceStep(300, 3_000)),
)


def key(name: str) -> OrderKey:
    return OrderKey(name, "o")


def entry(name: str, effect: Effect, start_ms: int = 0, end_ms: int = 100) -> Entry:
    return Entry(key(name), Rank(1, 0), Interval(start_ms, end_ms), effect)


Said = tuple[Effect, ...] | int


def settled(situation: Situation = CALM, *defaults: Default, ground: Ground = GROUND, **said: Said) -> Settlement:
    """Settle at instant 0: an order of each party, set-points as numbers (W)."""
    return settled_of(said, situation, defaults, ground)


def settled_of(
    said: Mapping[str, Said], situation: Situation, defaults: Sequence[Default] = (), ground: Ground = GROUND
) -> Settlement:
    slots = {}
    for name, effects in said.items():
        for effect in (value_of(F.ACTIVE_POWER, effects),) if isinstance(effects, int) else effects:
            slots[Slot(name, LEVELS[name], effect.function)] = [entry(name, effect)]
    return settle(slots, defaults, replace(ground, situation=situation), 0)


def aimed(settlement: Settlement) -> tuple[int, str, str] | None:
    """Give the set-point that holds, whose it is, and by which rule."""
    ruling = settlement.ruling(F.ACTIVE_POWER)
    return None if ruling is None else (ruling.value, ruling.binding.issuer, ruling.rule)


def waiting(settlement: Settlement) -> dict[str, str]:
    return {order.issuer: rule for (order, _function), rule in settlement.suspended.items()}


# -- colours


@pytest.mark.parametrize(
    ("colour", "held", "strength"),
    [
        pytest.param(Colour.GREEN, (200, "market", "C3"), (7, 3), id="side by side the site file's order"),
        pytest.param(Colour.AMBER, (100, "flex", "C11"), (6, 2), id="flexibility before the market"),
        pytest.param(Colour.RED, (100, "flex", "C3"), (6, 2), id="and in red as well"),
    ],
)
def test_flexibility_and_market_by_colour(
    colour: Colour, held: tuple[int, str, str], strength: tuple[int, int]
) -> None:
    settlement = settled(Situation(colour=colour), flex=100, market=200)
    ruling = settlement.ruling(F.ACTIVE_POWER)
    assert ruling is not None
    assert aimed(settlement) == held
    assert ruling.strength == strength
    assert ruling.service == SERVICES[ruling.binding.issuer]
    beaten = "flex" if held[1] == "market" else "market"
    assert waiting(settlement) == {beaten: "C10"}
    assert settlement.status[key(beaten)] is Status.SUSPENDED
    assert ruling.suspended == (key(beaten),)


def test_amber_without_a_market_is_not_the_traffic_lights_doing() -> None:
    assert aimed(settled(Situation(colour=Colour.AMBER), flex=100)) == (100, "flex", "C2")
    assert aimed(settled(Situation(colour=Colour.AMBER), flex=100, home=7)) == (100, "flex", "C3")


@pytest.mark.parametrize(
    ("flex_w", "market_w", "volume_w", "held_w"),
    [(100, 3_000, 1_000, 2_000), (100, 3_000, 5_000, 100), (4_000, 3_000, 500, 3_500), (-900, 300, 900, -600)],
)
def test_contracted_flexibility_moves_the_market_by_its_volume_alone(
    flex_w: int, market_w: int, volume_w: int, held_w: int
) -> None:
    amber = Situation(colour=Colour.AMBER, contracted_w=volume_w)
    settlement = settled(amber, flex=flex_w, market=market_w, home=1)
    ruling = settlement.ruling(F.ACTIVE_POWER)
    assert ruling is not None
    assert aimed(settlement) == (held_w, "flex", "C11")
    assert ruling.slack == (key("market"),)
    assert ruling.suspended == (key("home"),)
    assert waiting(settlement) == {"home": "C10"}
    assert settlement.status[key("market")] is Status.IN_FORCE


def test_contracted_flexibility_without_a_market_moves_from_nothing() -> None:
    assert aimed(settled(Situation(colour=Colour.AMBER, contracted_w=300), flex=1_000)) == (300, "flex", "C11")


@pytest.mark.parametrize("colour", [Colour.GREEN, Colour.RED])
def test_a_contract_bounds_flexibility_in_amber_only(colour: Colour) -> None:
    assert aimed(settled(Situation(colour=colour, contracted_w=300), flex=1_000)) == (1_000, "flex", "C2")


def test_a_contract_bounds_neither_a_stronger_set_point_nor_a_default() -> None:
    amber = Situation(colour=Colour.AMBER, contracted_w=300)
    assert aimed(settled(amber, tso=2_000, flex=1_000)) == (2_000, "tso", "C3")
    standing = Default("flex", "p", "street", 1, (value_of(F.ACTIVE_POWER, 1_000),))
    assert aimed(settled(amber, standing)) == (1_000, "flex", "C5")


@pytest.mark.parametrize(
    ("constrained", "held", "waits"),
    [
        pytest.param(Direction.EXPORT, (-100, "home", "C2"), {"tso": "C11", "market": "C11"}, id="export"),
        pytest.param(Direction.IMPORT, (500, "tso", "C3"), {"home": "C11", "market": "C10"}, id="import"),
        pytest.param(None, (500, "tso", "C3"), {"home": "C10", "market": "C10"}, id="nothing"),
    ],
)
def test_red_suspends_what_loads_the_constrained_direction(
    constrained: Direction | None, held: tuple[int, str, str], waits: dict[str, str]
) -> None:
    settlement = settled(Situation(Colour.RED, constrained), tso=500, market=300, home=-100)
    assert aimed(settlement) == held
    assert waiting(settlement) == waits


@pytest.mark.parametrize("direction", Direction)
def test_red_bars_neither_zero_nor_reliability_and_may_leave_nothing(direction: Direction) -> None:
    red = Situation(Colour.RED, direction)
    assert aimed(settled(red, market=0)) == (0, "market", "C2")
    w = 400 if direction is Direction.EXPORT else -400
    assert aimed(settled(red, dso=w)) == (w, "dso", "C2")
    barred = settled(red, tso=w, home=w)
    assert aimed(barred) is None
    assert waiting(barred) == {"tso": "C11", "home": "C11"}
    assert barred.status == {key("tso"): Status.SUSPENDED, key("home"): Status.SUSPENDED}
    assert barred.asked == {key("tso"): w, key("home"): w}


# -- the order of services is data


@pytest.mark.parametrize(
    ("preference", "held"),
    [
        pytest.param(Preference("schedule", "reserve"), (300, "market", "B"), id="always"),
        pytest.param(Preference("schedule", "reserve", "export", "amber"), (300, "market", "B"), id="here"),
        pytest.param(Preference("schedule", "reserve", "import"), (500, "tso", "C3"), id="the other direction"),
        pytest.param(Preference("schedule", "reserve", "", "green"), (500, "tso", "C3"), id="another colour"),
        pytest.param(Preference("flexibility", "reserve"), (500, "tso", "C3"), id="a service that is not there"),
        pytest.param(Preference("own-use", "reserve"), (500, "tso", "C3"), id="level 8 is fixed"),
        pytest.param(Preference("schedule", "flexibility"), (500, "tso", "C3"), id="a loser that does not hold"),
    ],
)
def test_a_service_goes_before_another_where_the_site_says_so(
    preference: Preference, held: tuple[int, str, str]
) -> None:
    ground = replace(GROUND, precedence=Precedence(preferences=(preference,)))
    assert aimed(settled(Situation(colour=Colour.AMBER), ground=ground, tso=500, market=300, home=9)) == held


def test_zero_counts_as_export_and_a_default_goes_before_nobody() -> None:
    ground = replace(GROUND, precedence=Precedence(preferences=(Preference("schedule", "reserve", "export"),)))
    assert aimed(settled(ground=ground, tso=500, market=0)) == (0, "market", "B")
    assert aimed(settled(ground=ground, tso=500, market=-1)) == (500, "tso", "C3")
    standing = Default("market", "p", "street", 1, (value_of(F.ACTIVE_POWER, 9),))
    assert aimed(settled(CALM, standing, ground=ground, tso=500)) == (500, "tso", "C2")


def test_the_levels_that_are_data_may_be_put_in_another_order() -> None:
    ground = replace(GROUND, precedence=Precedence(green=(7, 5, 6, 4)))
    assert aimed(settled(ground=ground, dso=1, tso=2, flex=3, market=4, home=5)) == (4, "market", "C3")
    assert aimed(settled(ground=ground, dso=1, tso=2, home=5)) == (2, "tso", "C3")


# -- what is promised


@pytest.mark.parametrize(
    ("who", "wanted_w", "reserved_w", "held_w", "rule"),
    [
        ("market", 4_000, 2_000, 3_000, "C7"),
        ("market", 3_000, 2_000, 3_000, "C2"),
        ("market", 4_000, 6_000, 0, "C7"),
        ("market", 4_000, 0, 4_000, "C2"),
        ("flex", 3_001, 2_000, 3_000, "C7"),
        ("tso", 4_000, 2_000, 4_000, "C2"),
        ("dso", 4_000, 2_000, 4_000, "C2"),
    ],
)
def test_what_is_reserved_for_reliability_is_left_by_weaker_services(
    who: str, wanted_w: int, reserved_w: int, held_w: int, rule: str
) -> None:
    assert aimed(settled_of({who: wanted_w}, Situation(reserved_w=reserved_w))) == (held_w, who, rule)


def test_a_default_is_not_held_against_a_reservation() -> None:
    standing = Default("market", "p", "street", 1, (value_of(F.ACTIVE_POWER, 4_900),))
    assert aimed(settled(Situation(reserved_w=2_000), standing)) == (4_900, "market", "C5")


# -- prices


@pytest.mark.parametrize(
    ("price", "held_w"),
    [(-1, None), (0, -2_000), (99, -2_000), (100, 0), (299, 0), (300, 3_000), (900, 3_000)],
)
def test_a_price_moves_the_customers_preference_by_its_steps(price: int, held_w: int | None) -> None:
    settlement = settled(flex=(Price(price),))
    assert aimed(settlement) == (None if held_w is None else (held_w, "flex", "B"))
    ruling = settlement.ruling(F.PRICE)
    assert ruling is not None
    assert (ruling.value, ruling.binding, ruling.rule) == (price, key("flex"), "B")
    assert settlement.status[key("flex")] is Status.IN_FORCE
    assert settlement.asked == {}


def test_the_price_of_the_strongest_level_holds_and_an_order_before_a_default() -> None:
    prices = settled(market=(Price(300),), flex=(Price(100),), home=(Price(5),))
    ruling = prices.ruling(F.PRICE)
    assert ruling is not None
    assert (ruling.value, ruling.slack) == (100, (key("market"), key("home")))
    assert prices.suspended == {}
    standing = Default("dso", "p", "street", 1, (Price(300),))
    held = settled(CALM, standing, home=(Price(5),)).ruling(F.PRICE)
    assert held is not None
    assert (held.value, held.slack) == (5, (OrderKey("dso", "p"),))


def test_a_preference_is_the_weakest_set_point_and_no_stronger_than_its_level() -> None:
    settlement = settled(flex=(Price(300),), market=900)
    assert aimed(settlement) == (900, "market", "C3")
    alone = settled(flex=(Price(300),)).ruling(F.ACTIVE_POWER)
    assert alone is not None
    assert (alone.strength, alone.service) == ((8, 2), "price")
    assert aimed(settled(Situation(Colour.RED, Direction.EXPORT), flex=(Price(300),))) is None


def test_a_price_of_somebody_without_a_place_still_moves_the_preference() -> None:
    ground = replace(GROUND, party_rank={})
    assert aimed(settled(ground=ground, flex=(Price(300),))) == (3_000, "flex", "B")
    assert aimed(settled(ground=ground, flex=(Price(300),), home=1)) == (3_000, "flex", "C3")


# -- sums, ratings and a network that changed


def test_what_falls_to_a_resource_of_a_sum_holds_and_nothing_of_it_before_it_was_shared_out() -> None:
    slot = Slot("dso", 4, F.EXPORT_LIMIT, "street")
    aim = Slot("dso", 4, F.ACTIVE_POWER, "street")
    said = {slot: [entry("dso", value_of(F.EXPORT_LIMIT, 8_000))], aim: [entry("dso", value_of(F.ACTIVE_POWER, 900))]}
    full = replace(GROUND, last_resort_export_limit_w=8_500)
    unshared = settle(said, (), full, 0)
    limit = unshared.ruling(F.EXPORT_LIMIT)
    assert limit is not None
    assert (limit.value, limit.binding, limit.rule) == (0, key("dso"), "E")
    assert unshared.ruling(F.ACTIVE_POWER) is None
    tried = settle(said, (), replace(full, situation=Situation(trial=True)), 0).ruling(F.EXPORT_LIMIT)
    assert tried is not None
    assert (tried.value, tried.binding) == (8_500, LAST_RESORT)
    fallen = (Allotment(key("dso"), F.EXPORT_LIMIT, 700), Allotment(key("dso"), F.ACTIVE_POWER, -20))
    shared = settle(said, (), replace(full, situation=Situation(allotted=fallen)), 0)
    assert [(each.function, each.value, each.rule) for each in shared.rulings] == [
        (F.EXPORT_LIMIT, 700, "E"),
        (F.ACTIVE_POWER, -20, "E"),
    ]


def test_a_default_speaks_in_no_slot_of_a_sum_and_a_release_there_says_nothing() -> None:
    slot = Slot("dso", 4, F.EXPORT_LIMIT, "street")
    standing = Default("dso", "p", "street", 1, (value_of(F.EXPORT_LIMIT, 600),))
    released = settle({slot: [entry("dso", Release(F.EXPORT_LIMIT))]}, (standing,), GROUND, 0)
    ruling = released.ruling(F.EXPORT_LIMIT)
    assert ruling is not None
    assert (ruling.value, ruling.binding) == (600, OrderKey("dso", "p"))


def test_a_rating_above_binds_as_the_connection_level_does() -> None:
    mine = rating_key("transformer")
    other = Allotment(key("elsewhere"), F.EXPORT_LIMIT, 1)
    rated = Situation(allotted=(other, Allotment(mine, F.EXPORT_LIMIT, 700), Allotment(mine, F.IMPORT_LIMIT, -300)))
    settlement = settled(rated, dso=(value_of(F.EXPORT_LIMIT, 3_000),))
    assert [(each.function, each.value, each.binding, each.rule) for each in settlement.rulings] == [
        (F.EXPORT_LIMIT, 700, mine, "C12"),
        (F.IMPORT_LIMIT, -300, mine, "C12"),
    ]


@pytest.mark.parametrize(("order_w", "held_w", "rule"), [(3_000, 500, "C19"), (200, 200, "C19")])
def test_a_network_that_changed_holds_the_tighter_of_order_and_default(order_w: int, held_w: int, rule: str) -> None:
    standing = Default("dso", "p", "street", 1, (value_of(F.EXPORT_LIMIT, 500),))
    ruling = settled(
        Situation(validated=False), standing, dso=(value_of(F.EXPORT_LIMIT, order_w),)
    ).ruling(F.EXPORT_LIMIT)  # fmt: skip
    assert ruling is not None
    assert (ruling.value, ruling.rule, ruling.binding) == (held_w, rule, key("dso"))


def test_contact_that_is_unproven_is_named_before_a_network_that_changed() -> None:
    standing = Default("dso", "p", "street", 1, (value_of(F.EXPORT_LIMIT, 500),))
    ground = replace(GROUND, unproven=frozenset({"dso"}))
    ruling = settled(
        Situation(validated=False), standing, ground=ground, dso=(value_of(F.EXPORT_LIMIT, 900),)
    ).ruling(F.EXPORT_LIMIT)  # fmt: skip
    assert ruling is not None
    assert (ruling.value, ruling.rule) == (500, "C14")


# -- services and levels


def test_a_default_for_a_service_stands_at_its_level_and_one_that_is_not_granted_says_nothing() -> None:
    ground = replace(GROUND, service_levels={**GROUND.service_levels, ("dso", "emergency", F.IMPORT_LIMIT): 2})
    for service, binding in (("emergency", "p"), ("", "p"), ("reliability", "p"), ("unheard-of", None)):
        said = Default("dso", "p", "street", 1, (value_of(F.IMPORT_LIMIT, -500),), service=service)
        ruling = settled(CALM, said, ground=ground).ruling(F.IMPORT_LIMIT)
        assert (None if ruling is None else ruling.binding.id) == binding


def test_no_last_resort_without_a_parent_that_may_limit_export() -> None:
    nobody = replace(GROUND, limit_parent="nobody")
    ruling = settled(ground=nobody).ruling(F.EXPORT_LIMIT)
    assert ruling is not None
    assert (ruling.value, ruling.slack) == (9_000, ())


def test_a_release_is_no_number_and_nobody_is_undriven_at_the_weakest_level() -> None:
    with pytest.raises(TypeError, match=r"^a release has no value; take the slot's default$"):
        slots._value(Release(F.EXPORT_LIMIT), GROUND)
    assert slots._value(TargetVar(70), GROUND) == 0
    assert UNDRIVEN == (9, 0)


def test_the_last_resort_gives_way_to_whatever_the_parent_says_of_export_at_any_level() -> None:
    ground = replace(
        GROUND,
        levels={**GROUND.levels, ("dso", F.EXPORT_LIMIT): 2},
        service_levels={("dso", "emergency", F.EXPORT_LIMIT): 2, ("dso", "reliability", F.EXPORT_LIMIT): 4},
    )
    standing = Default("dso", "p", "street", 1, (value_of(F.EXPORT_LIMIT, 8_000),), service="reliability")
    released = Default("dso", "p", "street", 1, (Release(F.EXPORT_LIMIT),), service="reliability")
    order = {Slot("dso", 4, F.EXPORT_LIMIT): [entry("dso", value_of(F.EXPORT_LIMIT, 7_000))]}
    for heard, defaults, held_w, rule in (
        ({}, (), 1_500, "C14"),
        ({}, (released,), 1_500, "C14"),
        ({}, (standing,), 8_000, "C5"),
        (order, (), 7_000, "C2"),
        (order, (standing,), 7_000, "C2"),
    ):
        ruling = settle(heard, defaults, ground, 0).ruling(F.EXPORT_LIMIT)
        assert ruling is not None
        assert (ruling.value, ruling.rule) == (held_w, rule)


def test_an_order_that_is_over_says_nothing_and_is_over() -> None:
    slots = {Slot("dso", 4, F.EXPORT_LIMIT): [entry("dso", value_of(F.EXPORT_LIMIT, 10), 0, 5)]}
    settlement = settle(slots, (), GROUND, 5)
    assert settlement.status == {key("dso"): Status.OVER}
    assert settlement.until_ms == FOR_EVER_MS


def test_what_slots_say_without_an_order_is_named_slot_by_slot() -> None:
    limit = Default("tso", "p", "street", 1, (value_of(F.IMPORT_LIMIT, -300),))
    assert slots.Fallbacks((limit,), GROUND).words == {
        Slot("dso", 4, F.EXPORT_LIMIT): slots.Word(
            F.EXPORT_LIMIT, slots.Held(4, 1, LAST_RESORT, 1_500, "C14", is_order=False, service="reliability")
        ),
        Slot("tso", 5, F.IMPORT_LIMIT): slots.Word(
            F.IMPORT_LIMIT, slots.Held(5, 2, OrderKey("tso", "p"), -300, "C5", is_order=False, service="reserve")
        ),
    }


def test_the_last_resort_of_two_slots_is_named_once() -> None:
    tight = replace(GROUND, export_limit_w=1_000)
    over = [entry("dso", value_of(F.EXPORT_LIMIT, 10), 0, 5)]
    ruling = settle({Slot("dso", level, F.EXPORT_LIMIT): over for level in (2, 4)}, (), tight, 5).ruling(F.EXPORT_LIMIT)
    assert ruling is not None
    assert (ruling.value, ruling.binding, ruling.slack) == (1_000, AGREEMENT, (LAST_RESORT,))


@pytest.mark.parametrize("effect", [value_of(F.ACTIVE_POWER, 100), Price(100), Connect(on=False)])
def test_whoever_lost_the_slot_for_good_is_named_beside_what_holds(effect: Effect) -> None:
    function = effect.function
    lost, holds = (
        Entry(OrderKey("market", name), Rank(1, at), Interval(0, 99), effect) for at, name in enumerate("ab")
    )
    said = {Slot("market", 7, function): [lost, holds]}
    ruling = settle(said, (), GROUND, 0).ruling(function)
    assert ruling is not None
    assert (ruling.binding, ruling.beaten) == (holds.key, (lost.key,))


def test_nothing_holds_where_the_only_set_point_waits_though_it_has_beaten_another() -> None:
    lost, waits = (
        Entry(OrderKey("market", name), Rank(1, at), Interval(0, 99), value_of(F.ACTIVE_POWER, 100))
        for at, name in enumerate("ab")
    )
    red = replace(GROUND, situation=Situation(Colour.RED, Direction.EXPORT))
    settlement = settle({Slot("market", 7, F.ACTIVE_POWER): [lost, waits]}, (), red, 0)
    assert settlement.ruling(F.ACTIVE_POWER) is None
    assert settlement.suspended == {(waits.key, F.ACTIVE_POWER): "C11"}
    assert settlement.status == {lost.key: Status.SUPERSEDED, waits.key: Status.SUSPENDED}
