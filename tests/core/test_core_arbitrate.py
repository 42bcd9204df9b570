"""What holds at one resource when slots speak against each other (B, C2 to C5, C10, C13, C14)."""

from dataclasses import replace

import pytest
from core_world import value_of

from gateway.core.arbitrate import AGREEMENT, LAST_RESORT, Ground, Settlement, Status, settle
from gateway.core.functions import LIMITS, SWITCHES, Function
from gateway.core.orders import Default, Effect, OrderKey, Rank, Release
from gateway.core.plan import envelope
from gateway.core.timeline import Entry, Interval, Slot

F = Function
ISSUERS = {"a": 2, "b": 3, "c": 4, "d": 6, "e": 7, "twin": 3}
GROUND = Ground(
    limit_parent="b",
    export_limit_w=9_000,
    last_resort_export_limit_w=1_500,
    generation_max_w=5_000,
    charge_max_w=4_000,
    party_rank={name: place for place, name in enumerate(ISSUERS)},
    levels={(name, function): level for name, level in ISSUERS.items() for function in F},
)


def key(name: str) -> OrderKey:
    issuer, _, tail = name.partition("-")
    return OrderKey(issuer, tail or "1")


def says(**orders: tuple[Function, int]) -> dict[Slot, list[Entry]]:
    """One order of each issuer, in force at instant 0."""
    return {
        Slot(name, ISSUERS[name], function): [Entry(key(name), Rank(1, 0), Interval(0, 100), value_of(function, value))]
        for name, (function, value) in orders.items()
    }


def value(settlement: Settlement, function: Function) -> int | None:
    ruling = settlement.ruling(function)
    return None if ruling is None else ruling.value


def test_nobody_speaks() -> None:
    settlement = settle({}, (), GROUND, 0)
    (ruling,) = settlement.rulings
    assert (ruling.function, ruling.value, ruling.binding, ruling.rule) == (F.EXPORT_LIMIT, 1_500, LAST_RESORT, "C14")
    assert ruling.slack == (AGREEMENT,)


@pytest.mark.parametrize(
    ("orders", "function", "held", "binding", "slack", "clipped"),
    [
        pytest.param({"b": (F.EXPORT_LIMIT, 10_000)}, F.EXPORT_LIMIT, 9_000, None, "b", False, id="agreement binds"),
        pytest.param({"b": (F.EXPORT_LIMIT, 8_000)}, F.EXPORT_LIMIT, 8_000, "b", "", False, id="the order binds"),
        pytest.param(
            {"b": (F.EXPORT_LIMIT, 8_000), "c": (F.EXPORT_LIMIT, 6_000)}, F.EXPORT_LIMIT, 6_000, "c", "b", False,
            id="the tightest, whatever its level",
        ),
        pytest.param(
            {"c": (F.GENERATION_LIMIT, 6_000), "b": (F.GENERATION_LIMIT, 6_000)}, F.GENERATION_LIMIT, 6_000, "b", "c",
            False, id="of equals the stronger level is named",
        ),
        pytest.param(
            {"b": (F.IMPORT_LIMIT, -500), "c": (F.IMPORT_LIMIT, -100)}, F.IMPORT_LIMIT, -100, "c", "b", False,
            id="the tightest floor is the highest",
        ),
        pytest.param(
            {"c": (F.GENERATION_LIMIT, -900), "a": (F.LOAD_LIMIT, -400)}, F.GENERATION_LIMIT, -400, "c", "", True,
            id="a ceiling below a stronger floor is clipped to it",
        ),
        pytest.param(
            {"a": (F.GENERATION_LIMIT, -900), "c": (F.LOAD_LIMIT, -400)}, F.LOAD_LIMIT, -900, "c", "", True,
            id="a floor above a stronger ceiling is clipped to it",
        ),
        pytest.param(
            {"b": (F.GENERATION_LIMIT, -900), "twin": (F.LOAD_LIMIT, -400)}, F.GENERATION_LIMIT, -400, "b", "", True,
            id="at one level the one nearest zero holds, the floor",
        ),
        pytest.param(
            {"b": (F.GENERATION_LIMIT, 200), "twin": (F.LOAD_LIMIT, 400)}, F.LOAD_LIMIT, 200, "twin", "", True,
            id="at one level the one nearest zero holds, the ceiling",
        ),
        pytest.param(
            {"b": (F.RATING_LIMIT, -5), "a": (F.IMPORT_LIMIT, -1)}, F.RATING_LIMIT, -5, "b", "", False,
            id="limits of different points are not compared",
        ),
    ],
)  # fmt: skip
def test_limits(
    orders: dict[str, tuple[Function, int]], function: Function, held: int, binding: str | None, slack: str,
    clipped: bool,
) -> None:  # fmt: skip
    ground = replace(GROUND, last_resort_export_limit_w=9_000)
    ruling = settle(says(**orders), (), ground, 0).ruling(function)
    assert ruling is not None
    assert (ruling.value, ruling.clipped) == (held, clipped)
    assert ruling.binding == (AGREEMENT if binding is None else key(binding))
    assert [one for one in ruling.slack if one.issuer != "site"] == [key(name) for name in slack]


@pytest.mark.parametrize(
    ("orders", "held", "binding", "suspended", "rule"),
    [
        pytest.param({"d": 100}, 100, "d", "", "C2", id="alone"),
        pytest.param({"d": 100, "e": 5_000}, 100, "d", "e", "C3", id="the stronger level"),
        pytest.param({"b": 7, "twin": 5}, 7, "b", ["twin"], "C3", id="at one level the site file's order"),
        pytest.param({"e": 1, "d": 2, "a": 3}, 3, "a", "de", "C3", id="the rest in order of strength"),
    ],
)
def test_set_points(orders: dict[str, int], held: int, binding: str, suspended: list[str], rule: str) -> None:
    slots = says(**{name: (F.ACTIVE_POWER, power) for name, power in orders.items()})
    ruling = settle(slots, (), GROUND, 0).ruling(F.ACTIVE_POWER)
    assert ruling is not None
    assert (ruling.value, ruling.binding, ruling.rule) == (held, key(binding), rule)
    assert ruling.suspended == tuple(key(name) for name in suspended)


@pytest.mark.parametrize("function", SWITCHES)
@pytest.mark.parametrize(
    ("orders", "on", "binding", "suspended"),
    [
        pytest.param({"b": 1, "c": 0}, 0, "c", "b", id="off of level 4 beats on of level 3"),
        pytest.param({"b": 0, "c": 1}, 0, "b", "c", id="off of level 3 beats on of level 4"),
        pytest.param({"b": 1, "d": 0}, 1, "b", "d", id="off of level 6 does not beat a stronger on"),
        pytest.param({"d": 0, "e": 1}, 0, "d", "e", id="past level 4 the stronger level holds"),
        pytest.param({"d": 1, "e": 0}, 1, "d", "e", id="past level 4 the stronger level holds, on"),
        pytest.param({"b": 1, "c": 1}, 1, "b", "", id="agreed on"),
    ],
)
def test_switches(function: Function, orders: dict[str, int], on: int, binding: str, suspended: str) -> None:
    settlement = settle(says(**{name: (function, state) for name, state in orders.items()}), (), GROUND, 0)
    ruling = settlement.ruling(function)
    assert ruling is not None
    assert (ruling.value, ruling.binding) == (on, key(binding))
    assert ruling.suspended == tuple(key(name) for name in suspended)
    assert {name: settlement.status[key(name)] for name in orders} == {
        name: Status.SUSPENDED if name in suspended else Status.IN_FORCE for name in orders
    }


def default(name: str, precedence: int, *effects: Effect, issuer: str = "b") -> Default:
    return Default(issuer, name, "street", precedence, effects)


@pytest.mark.parametrize(
    ("defaults", "held", "by"),
    [
        pytest.param([], 1_500, "last-resort", id="none was ever received"),
        pytest.param([("p1", 1, 2_500), ("p2", 2, 1_000)], 2_500, "p1", id="the strongest program's, not the tightest"),
        pytest.param([("p2", 1, 1_000), ("p1", 1, 2_500)], 2_500, "p1", id="of equal programs the smaller id"),
        pytest.param([("p1", 1, 99_000)], 9_000, "connection-agreement", id="the agreement still intersects"),
    ],
)
def test_the_default_of_a_slot(defaults: list[tuple[str, int, int]], held: int, by: str) -> None:
    given = [default(name, precedence, value_of(F.EXPORT_LIMIT, w)) for name, precedence, w in defaults]
    for every in (given, given[::-1]):
        ruling = settle({}, every, GROUND, 0).ruling(F.EXPORT_LIMIT)
        assert ruling is not None
        assert (ruling.value, ruling.binding.id) == (held, by)


def test_a_default_that_releases_says_nothing() -> None:
    given = [default("p1", 1, Release(F.EXPORT_LIMIT)), default("p2", 2, value_of(F.EXPORT_LIMIT, 20))]
    assert value(settle({}, given, GROUND, 0), F.EXPORT_LIMIT) == 20
    assert value(settle({}, given[:1], GROUND, 0), F.EXPORT_LIMIT) == 1_500


def test_an_order_that_says_two_things_of_one_function_does_not_beat_itself() -> None:
    slot = Slot("b", 3, F.ACTIVE_POWER)
    twice = [Entry(key("b"), Rank(1, 0), Interval(0, 100), value_of(F.ACTIVE_POWER, w)) for w in (300, 500)]
    settlement = settle({slot: twice}, (), GROUND, 50)
    assert settlement.status == {key("b"): Status.IN_FORCE}
    assert value(settlement, F.ACTIVE_POWER) == 300
    assert [ruling.beaten for ruling in settlement.rulings if ruling.function is F.ACTIVE_POWER] == [()]


def test_a_program_without_the_function_leaves_it_to_the_next() -> None:
    given = [default("p1", 1, value_of(F.IMPORT_LIMIT, -9)), default("p2", 2, value_of(F.EXPORT_LIMIT, 20))]
    assert value(settle({}, given, GROUND, 0), F.EXPORT_LIMIT) == 20


def test_any_order_of_the_slot_beats_every_default_even_when_looser() -> None:
    given = [default("p1", 1, value_of(F.EXPORT_LIMIT, 20))]
    slots = says(b=(F.EXPORT_LIMIT, 8_000))
    assert value(settle(slots, given, GROUND, 0), F.EXPORT_LIMIT) == 8_000
    assert value(settle(slots, given, GROUND, 100), F.EXPORT_LIMIT) == 20


def test_the_default_of_another_slot_is_not_beaten() -> None:
    given = [default("p1", 1, value_of(F.EXPORT_LIMIT, 20), issuer="c")]
    assert value(settle(says(b=(F.EXPORT_LIMIT, 8_000)), given, GROUND, 0), F.EXPORT_LIMIT) == 20


def test_a_set_point_that_is_a_default_gives_way_to_any_order() -> None:
    given = [default("p1", 1, value_of(F.ACTIVE_POWER, 20), issuer="a")]
    settlement = settle(says(e=(F.ACTIVE_POWER, 100)), given, GROUND, 0)
    assert value(settlement, F.ACTIVE_POWER) == 100
    assert settlement.status[key("e")] is Status.IN_FORCE


def test_a_release_empties_the_slot_but_a_value_is_a_value() -> None:
    given = [default("p1", 1, value_of(F.EXPORT_LIMIT, 20))]
    slot = Slot("b", 3, F.EXPORT_LIMIT)
    lasting = Entry(key("b-1"), Rank(1, 0), Interval(0, 100), value_of(F.EXPORT_LIMIT, 500))
    released = Entry(key("b-2"), Rank(1, 9), Interval(10, 20), Release(F.EXPORT_LIMIT))
    for now, held in ((5, 500), (10, 20), (15, 20), (25, 20)):
        assert value(settle({slot: [lasting, released]}, given, GROUND, now), F.EXPORT_LIMIT) == held
    full = released._replace(effect=value_of(F.EXPORT_LIMIT, 9_000))
    assert value(settle({slot: [lasting, full]}, given, GROUND, 15), F.EXPORT_LIMIT) == 9_000


@pytest.mark.parametrize(
    ("function", "order_value", "default_value", "held"),
    [
        (F.EXPORT_LIMIT, 500, 20, 20),
        (F.EXPORT_LIMIT, 20, 500, 20),
        (F.IMPORT_LIMIT, -500, -20, -20),
        (F.IMPORT_LIMIT, -20, -500, -20),
        (F.ENERGIZE, 1, 0, 0),
        (F.ENERGIZE, 0, 1, 0),
        (F.ACTIVE_POWER, 500, 20, 500),
    ],
)
def test_unproven_contact_holds_the_tighter_of_order_and_default(
    function: Function, order_value: int, default_value: int, held: int
) -> None:
    given = [default("p1", 1, value_of(function, default_value))]
    slots = says(b=(function, order_value))
    assert value(settle(slots, given, replace(GROUND, unproven=frozenset({"b"})), 0), function) == held
    assert value(settle(slots, given, replace(GROUND, unproven=frozenset({"a"})), 0), function) == order_value


@pytest.mark.parametrize("function", [*LIMITS, *SWITCHES, F.ACTIVE_POWER])
def test_every_function_of_an_order_is_settled_apart(function: Function) -> None:
    both = says(b=(function, 1))
    other = F.EXPORT_LIMIT if function is not F.EXPORT_LIMIT else F.CONNECT
    both |= says(b=(other, 1))
    newer = Entry(key("b-2"), Rank(1, 9), Interval(10, 20), value_of(function, 0))
    both[Slot("b", 3, function)].append(newer)
    before, during, after = (settle(both, (), GROUND, now) for now in (5, 15, 25))
    assert before.status == {key("b"): Status.IN_FORCE, key("b-2"): Status.PENDING}
    assert during.status == {key("b"): Status.IN_FORCE, key("b-2"): Status.IN_FORCE}
    assert after.status == {key("b"): Status.IN_FORCE, key("b-2"): Status.OVER}
    alone = {slot: entries for slot, entries in both.items() if slot.function is function}
    assert settle(alone, (), GROUND, 15).status[key("b")] is Status.SUPERSEDED


def test_an_order_is_suspended_when_all_that_it_has_left_is() -> None:
    slots = says(e=(F.ACTIVE_POWER, 9), d=(F.ACTIVE_POWER, 5))
    slots |= says(e=(F.CONNECT, 1))
    newer = Entry(key("e-2"), Rank(1, 9), Interval(10, 90), value_of(F.CONNECT, 1))
    slots[Slot("e", 7, F.CONNECT)].append(newer)
    assert settle(slots, (), GROUND, 5).status[key("e")] is Status.IN_FORCE
    assert settle(slots, (), GROUND, 15).status[key("e")] is Status.SUSPENDED


def test_the_next_change_of_a_settlement_is_that_of_its_slots() -> None:
    slots = says(b=(F.EXPORT_LIMIT, 1), d=(F.ACTIVE_POWER, 2))
    slots[Slot("d", 6, F.ACTIVE_POWER)][0] = Entry(key("d"), Rank(1, 0), Interval(30, 60), value_of(F.ACTIVE_POWER, 2))
    assert [settle(slots, (), GROUND, now).until_ms for now in (0, 30, 60)] == [30, 60, 100]


@pytest.mark.parametrize(
    ("orders", "upper", "lower", "aim"),
    [
        pytest.param({}, 9_000, None, None, id="the agreement alone"),
        pytest.param({"b": (F.EXPORT_LIMIT, 4_000), "c": (F.RATING_LIMIT, 3_000)}, 3_000, None, None, id="both points"),
        pytest.param({"b": (F.EXPORT_LIMIT, -1)}, 0, None, None, id="a negative ceiling never means charge"),
        pytest.param({"b": (F.EXPORT_LIMIT, -1), "d": (F.ACTIVE_POWER, 50)}, 0, None, 0, id="nor for a set-point"),
        pytest.param({"b": (F.IMPORT_LIMIT, 9), "d": (F.ACTIVE_POWER, -50)}, 9_000, 0, 0, id="nor a floor, generate"),
        pytest.param({"b": (F.LOAD_LIMIT, -30), "d": (F.ACTIVE_POWER, -50)}, 9_000, -30, -30, id="a floor clips"),
        pytest.param(
            {"a": (F.IMPORT_LIMIT, -60), "b": (F.LOAD_LIMIT, -30), "d": (F.ACTIVE_POWER, -50)}, 9_000, -30, -30,
            id="the tighter floor of both points",
        ),
        pytest.param({"b": (F.EXPORT_LIMIT, 40), "d": (F.ACTIVE_POWER, 50)}, 40, None, 40, id="a ceiling clips"),
        pytest.param({"b": (F.EXPORT_LIMIT, 40), "d": (F.ACTIVE_POWER, 30)}, 40, None, 30, id="inside"),
    ],
)  # fmt: skip
def test_the_envelope(orders: dict[str, tuple[Function, int]], upper: int, lower: int | None, aim: int | None) -> None:
    bounds = envelope(settle(says(**orders), (), replace(GROUND, last_resort_export_limit_w=9_000), 0))
    assert (bounds.upper_w, bounds.lower_w, bounds.target_w) == (upper, lower, aim)
    assert (bounds.connected, bounds.energized) == (None, None)


@pytest.mark.parametrize("on", [True, False])
def test_the_envelope_says_on_or_off_only_where_somebody_does(on: bool) -> None:
    settlement = settle(says(b=(F.CONNECT, int(on))), (), GROUND, 0)
    assert (envelope(settlement).connected, envelope(settlement).energized) == (on, None)
