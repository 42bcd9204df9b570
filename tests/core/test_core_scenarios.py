"""Concrete cases by hand, through the whole machine: what holds when, and who is answered what (B, C2 to C6, C14)."""

import pytest
from core_world import (
    AGREED_W,
    CORNER,
    DSO,
    MARKET,
    REVERT_MS,
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
from gateway.core.arbitrate import Ground, settle
from gateway.core.events import (
    Contact,
    Started,
    Tick,
    Topic,
)
from gateway.core.functions import LIMITS, Function
from gateway.core.known import Unknown
from gateway.core.orders import Ceiling, Connect, Default, Each, Energize, Floor, OrderKey, Rank
from gateway.core.parties import Grant, Level
from gateway.core.timeline import Entry, Interval, Slot
from gateway.core.units import Share, Watts

F = Function
NOTHING_READ = Unknown("not read", 0)


# -- one slot


def test_run_from_10_to_20_superseded_at_20_never_again() -> None:
    player = Player().start()
    player.hear(1, order("older", export(5_000), 10, 40))
    player.hear(2, order("newer", export(8_000), 20, 35, created_s=1))
    assert player.over(9, 10, 19, 20, 34, 35, 39, 40) == [1_500, 5_000, 5_000, 8_000, 8_000, 1_500, 1_500, 1_500]
    assert player.kinds("older") == [(1, Kind.RECEIVED), (10, Kind.STARTED), (20, Kind.SUPERSEDED)]
    assert [kind for _, kind in player.kinds("newer")][:2] == [Kind.RECEIVED, Kind.STARTED]


def test_the_beaten_order_is_answered_before_the_winner_starts() -> None:
    player = Player().start()
    player.hear(1, order("older", export(5_000), 10, 40))
    player.hear(2, order("newer", export(8_000), 20, 35, created_s=1))
    player.tick(10)
    player.tick(20)
    at_20 = [(answer.order.id, answer.kind) for answer in player.answers(at="house-1") if answer.at_ms == 20_000]
    assert at_20 == [("older", Kind.SUPERSEDED), ("newer", Kind.STARTED)]


def test_a_superseder_cancelled_before_its_start_gives_the_order_back() -> None:
    player = Player().start()
    player.hear(1, order("older", export(5_000), 10, 40))
    player.hear(2, order("newer", export(8_000), 20, 35, created_s=1))
    player.cancel(15, "newer")
    assert player.over(16, 20, 39, 40) == [5_000, 5_000, 5_000, 1_500]
    assert player.kinds("newer") == [(2, Kind.RECEIVED), (15, Kind.CANCELLED)]


def test_a_superseder_cancelled_after_its_start_does_not() -> None:
    player = Player().start()
    player.hear(1, order("older", export(5_000), 10, 40))
    player.hear(2, order("newer", export(8_000), 20, 35, created_s=1))
    player.tick(20)
    player.cancel(25, "newer")
    assert player.over(25, 39) == [1_500, 1_500]
    assert player.terminal("older") == [(20, Kind.SUPERSEDED)]


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ((1, 5, "a"), (2, 9, "b"), "a"),
        ((2, 5, "a"), (1, 0, "b"), "b"),
        ((1, 5, "a"), (1, 6, "b"), "b"),
        ((1, 5, "b"), (1, 5, "a"), "a"),
    ],
    ids=["precedence", "precedence before creation", "later creation", "smaller id"],
)
def test_strength_inside_a_slot(first: tuple[int, int, str], second: tuple[int, int, str], winner: str) -> None:
    values = {first[2]: 2_000, second[2]: 3_000}
    for heard in ((first, second), (second, first)):
        player = Player().start()
        for precedence, created_s, name in heard:
            player.hear(1, order(name, export(values[name]), 10, 20, precedence=precedence, created_s=created_s))
        assert player.over(10) == [values[winner]]


def test_successive_orders_follow_without_gap_or_conflict() -> None:
    player = Player().start()
    player.hear(1, order("first", export(3_000), 10, 20))
    player.hear(2, order("second", export(4_000), 20, 30, created_s=1))
    assert player.over(19, 20, 29, 30) == [3_000, 4_000, 4_000, 1_500]
    assert player.terminal("first")[0][0] == 20
    assert player.terminal("first")[0][1] is not Kind.SUPERSEDED


# -- defaults and slots


def test_an_order_beats_the_default_of_its_slot_and_the_agreement_still_intersects() -> None:
    player = Player().start()
    player.default(1, "p1", export(1_500))
    player.hear(1, order("a", export(8_000), 10, 20))
    player.hear(1, order("b", export(10_000), 20, 30))
    assert player.over(5, 10, 20, 30) == [1_500, 8_000, AGREED_W, 1_500]


def test_a_default_of_another_party_takes_no_default_away() -> None:
    player = Player().start()
    player.default(1, "p1", export(700))
    player.default(2, "p1", target(400), issuer=TSO)
    assert player.over(3) == [700]
    assert player.over(3, function=F.ACTIVE_POWER) == [400]


def test_only_the_strongest_programs_default_counts() -> None:
    player = Player().start()
    player.default(1, "p2", export(1_000), precedence=2)
    player.default(2, "p1", export(2_500), precedence=1)
    assert player.over(3) == [2_500]
    player.default(4, "p1", precedence=1)
    assert player.over(5) == [1_000]


def test_a_limit_over_a_market_set_point_lets_it_resume_and_end_partial() -> None:
    player = Player().start()
    player.hear(1, order("schedule", target(4_000), 10, 50, issuer=MARKET, scope=Each(CORNER)))
    player.hear(2, order("base", export(8_000), 5, 60))
    player.hear(3, order("limit", export(1_000), 20, 30, precedence=0))
    seen = []
    for now_s in (10, 20, 30, 49):
        player.tick(now_s)
        command = player.machine.state.devices["roof-10"].command
        assert command is not None
        seen.append(command.target_w)
        adopt_all(player, now_s)
    assert seen == [4_000, 1_000, 1_500, 1_500]
    player.tick(50)
    answers = [(1, Kind.RECEIVED), (10, Kind.STARTED), (20, Kind.SUSPENDED), (50, Kind.PARTIAL)]
    assert player.kinds("schedule") == answers


def test_a_stronger_set_point_suspends_and_the_weaker_resumes_and_ends_partial() -> None:
    player = Player().start()
    player.hear(1, order("schedule", target(900), 10, 50, issuer=MARKET, scope=Each(CORNER)))
    player.hear(2, order("congestion", target(400), 20, 30))
    seen = player.over(10, function=F.ACTIVE_POWER)
    adopt_all(player, 10)
    seen += player.over(20, 30, function=F.ACTIVE_POWER)
    adopt_all(player, 30)
    assert seen == [900, 400, 900]
    player.tick(50)
    assert player.kinds("schedule") == [
        (1, Kind.RECEIVED),
        (10, Kind.STARTED),
        (20, Kind.SUSPENDED),
        (50, Kind.PARTIAL),
    ]


def test_the_same_two_from_one_server_are_superseded_and_never_come_back() -> None:
    player = Player().start()
    player.hear(1, order("schedule", target(900), 10, 50))
    player.hear(2, order("congestion", target(400), 20, 30, created_s=1))
    assert player.over(10, 20, 30, 49, function=F.ACTIVE_POWER) == [900, 400, None, None]
    assert player.terminal("schedule") == [(20, Kind.SUPERSEDED)]


def two_wires(*named: str) -> Ground:
    levels = {(wire, F.EXPORT_LIMIT): int(Level.CONNECTION) for wire in named}
    return Ground("sep2", 99_000, 1_500, 9_000, 0, {"sep2": 0, "adr": 1}, levels)


def test_two_wires_of_one_operator_are_two_slots_where_both_are_named() -> None:
    defaults = [
        Default("sep2", "p1", STREET, 1, (export(1_500),)),
        Default("adr", "subscription", STREET, 1, (export(4_000),)),
    ]
    slots = {
        Slot("sep2", 3, F.EXPORT_LIMIT): [Entry(OrderKey("sep2", "a"), Rank(1, 0), Interval(0, 40), export(10_000))],
        Slot("adr", 3, F.EXPORT_LIMIT): [Entry(OrderKey("adr", "b"), Rank(1, 0), Interval(10, 20), export(6_000))],
    }

    def held(ground: Ground, now: int) -> int | None:
        named = {slot: entries for slot, entries in slots.items() if (slot.issuer, slot.function) in ground.levels}
        ruling = settle(named, defaults, ground, now).ruling(F.EXPORT_LIMIT)
        return None if ruling is None else ruling.value

    assert [held(two_wires("sep2", "adr"), now) for now in (15, 25, 45)] == [6_000, 4_000, 1_500]
    assert [held(two_wires("sep2"), now) for now in (15, 25, 45)] == [10_000, 10_000, 1_500]


def test_connect_of_one_program_does_not_undo_cease_to_energize_of_another() -> None:
    grants = (
        Grant(DSO, "envelope", Level.CONNECTION, (F.CONNECT,), STREET),
        Grant(DSO, "voltage", Level.DSO_RELIABILITY, (F.ENERGIZE,), STREET),
    )
    player = Player().start(site(grants=grants))
    player.hear(1, order("connect", Connect(on=True), 10, 30))
    player.hear(1, order("cease", Energize(on=False), 10, 20))
    player.tick(10)
    command = player.machine.state.devices["roof-10"].command
    assert command is not None
    assert (command.connected, command.energized) == (True, False)
    player.tick(20)
    command = player.machine.state.devices["roof-10"].command
    assert command is not None
    assert (command.connected, command.energized) == (True, True)


def test_off_of_the_operator_beats_on_of_the_market() -> None:
    player = Player().start()
    player.hear(1, order("on", Connect(on=True), 10, 30, issuer=MARKET, scope=Each(CORNER)))
    player.hear(1, order("off", Connect(on=False), 20, 25))
    assert player.over(10, 20, 25, function=F.CONNECT) == [1, 0, 1]
    assert player.kinds("on")[:3] == [(1, Kind.RECEIVED), (10, Kind.STARTED), (20, Kind.SUSPENDED)]


def test_contact_lost_runs_the_known_orders_and_then_the_default() -> None:
    player = Player().start()
    player.default(1, "p1", export(0))
    for name, w, start_s in (("a", 2_000, 10), ("b", 200, 400), ("c", 1_800, 600)):
        player.hear(1, order(name, export(w), start_s, start_s + 100))
    assert player.over(10, 110, 301, 400, 600, 700, 9_999) == [2_000, 0, 0, 200, 1_800, 0, 0]
    assert [tell.names for tell in told(player.effects, Topic.CONTACT) if tell.effect == "contact lost"] == [
        (DSO,), (TSO,), (MARKET,)
    ]  # fmt: skip


def test_an_emergency_past_its_grant_acts_inside_and_is_refused_outside() -> None:
    grants = (Grant(DSO, "envelope", Level.CONNECTION, (F.EXPORT_LIMIT,), CORNER),)
    player = Player().start(site(grants=grants))
    player.hear(1, order("emergency", export(0), 1, 20, scope=Each(STREET)))
    assert [player.ruled(at=house(number)) for number in (1, 2)] == [0, 0]
    assert [player.terminal("emergency", house(number)) for number in (1, 2, 3)] == [[], [], [(1, Kind.REFUSED)]]


def test_more_than_its_grant_is_refused_whole() -> None:
    player = Player().start()
    player.hear(1, order("schedule", target(900), 1, 20, issuer=MARKET, scope=Each(STREET)))
    assert player.ruled(F.ACTIVE_POWER) is None
    for number in (1, 2, 3):
        assert player.kinds("schedule", house(number)) == [(1, Kind.REFUSED)]


# -- power cycle


def test_a_restart_holds_the_tighter_until_contact_is_proven() -> None:
    player = Player().start()
    player.default(1, "p1", export(700))
    player.hear(1, order("a", export(8_000), 10, 90))
    assert player.over(10) == [8_000]
    player.feed(20, Started(site()))
    assert player.ruled() == 700
    player.feed(21, Contact(TSO, WINDOW_MS))
    assert player.ruled() == 700
    player.feed(22, Contact(DSO, WINDOW_MS))
    assert player.ruled() == 8_000


def test_the_reversion_tightens_as_soon_as_a_stricter_order_starts_within_the_revert_time() -> None:
    player = Player().start()
    player.hear(1, order("a", export(100), 100, 200))
    seen = []
    for at_ms in (99_000 - REVERT_MS, 100_000 - REVERT_MS, 100_000, 200_000):
        while player.machine.next_change() <= at_ms:
            player.feed_ms(player.machine.next_change(), Tick())
        command = player.machine.state.devices["roof-10"].command
        assert command is not None
        seen.append((command.limit_w, command.revert_limit_w))
    assert seen == [(1_500, 1_500), (1_500, 100), (100, 100), (1_500, 1_500)]


@pytest.mark.parametrize(
    ("effect", "upper_w"),
    [
        (Ceiling(F.RATING_LIMIT, Share(8_000)), 4_000),
        (Ceiling(F.GENERATION_LIMIT, Watts(4_200)), 4_200),
        (Floor(F.IMPORT_LIMIT, Watts(-1_000)), 1_500),
    ],
)
def test_any_default_that_bounds_what_goes_out_takes_the_place_of_the_last_resort(
    effect: Ceiling | Floor, upper_w: int
) -> None:
    grants = (Grant(DSO, "envelope", Level.CONNECTION, LIMITS, STREET),)
    one = Player().start(site(grants=grants))
    assert one.machine.state.resources[house(1)].upper_w == 1_500
    one.default(1, "p1", effect)
    assert one.machine.state.resources[house(1)].upper_w == upper_w
