"""Concrete cases by hand, through the whole machine: what holds when, who is answered what, and by which rule."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from core_world import (
    AGREED_W,
    CORNER,
    DSO,
    FEED,
    GRANTS,
    LAST_RESORT_W,
    MARKET,
    RATED_W,
    STREET,
    TSO,
    WINDOW_MS,
    Player,
    answers_of,
    export,
    house,
    order,
    site,
    target,
    told,
    writes,
)

from gateway.core.answers import Kind
from gateway.core.arbitrate import Ground, settle
from gateway.core.events import (
    Adopted,
    Assigned,
    Contact,
    Effect,
    LinkDown,
    LinkUp,
    NotAdopted,
    Observed,
    Offset,
    OrderUnreadable,
    Started,
    Tick,
    Topic,
    Withdrawal,
    Withdrawn,
)
from gateway.core.known import Known, Unknown
from gateway.core.machine import KEEP_ENDED_MS, RENEW_MS
from gateway.core.orders import Connect, Default, Each, Energize, Function, OrderKey, Rank, Reply, Total
from gateway.core.parties import Grant, Level
from gateway.core.timeline import Entry, Interval, Slot

F = Function
NOTHING_READ = Unknown("not read", 0)


def limits(effects: Iterable[Effect], device: str) -> list[int]:
    return [write.cleared.command.limit_w for write in writes(effects) if write.cleared.command.device == device]


def adopt_all(player: Player, now_s: int) -> None:
    """Read back what every DER was told, until nothing is left to be read back."""
    for _ in range(6):
        for device in player.machine.state.devices.values():
            if not device.adopted:
                player.feed(now_s, Adopted(device.device.name, device.serial))


def adopt(player: Player, now_s: int, device: str) -> None:
    player.feed(now_s, Adopted(device, player.machine.state.devices[device].serial))


def told_w(player: Player, number: int) -> list[int]:
    names = player.machine.state.resources[house(number)].resource.devices
    commands = [player.machine.state.devices[name].command for name in names]
    return [0 if command is None else command.limit_w for command in commands]


# -- one slot (C1, C2, C4, C6)


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


# -- defaults and slots (B, C3, C5, C14)


def test_an_order_beats_the_default_of_its_slot_and_the_agreement_still_intersects() -> None:
    player = Player().start()
    player.default(1, "p1", export(1_500))
    player.hear(1, order("a", export(8_000), 10, 20))
    player.hear(1, order("b", export(10_000), 20, 30))
    assert player.over(5, 10, 20, 30) == [1_500, 8_000, AGREED_W, 1_500]


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
    assert player.kinds("schedule") == [(1, Kind.RECEIVED), (10, Kind.STARTED), (50, Kind.PARTIAL)]


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


# -- power cycle (C14)


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


# -- versions and withdrawals (A5, C1, C6, C13)


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


# -- assignment (C13, E)


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


# -- answers


def test_an_order_heard_again_long_after_it_was_answered_is_not_answered_again() -> None:
    player = Player().start()
    heard = order("a", export(700), 10, 90)
    player.hear(1, heard)
    player.over(10, 90)
    later_s = 90 + KEEP_ENDED_MS // 1000 + 2 * RENEW_MS // 1000
    player.tick(later_s)
    player.hear(later_s + 1, heard)
    assert len(player.terminal("a")) == 1


def test_an_order_over_at_its_first_receipt_is_answered_expired() -> None:
    player = Player().start()
    player.hear(20, order("a", export(700), 10, 20))
    assert player.kinds("a") == [(20, Kind.EXPIRED)]


def test_an_order_that_passed_between_two_ticks_is_answered_expired() -> None:
    player = Player().start()
    player.hear(1, order("a", export(700), 10, 20))
    player.tick(30)
    assert player.kinds("a") == [(1, Kind.RECEIVED), (30, Kind.EXPIRED)]


def test_an_order_that_cannot_be_carried_says_so_and_one_carried_in_part_ends_partial() -> None:
    player = Player().start()
    player.hear(1, order("a", (), 10, 20, uncarried=("opModFixedVar",)))
    player.hear(1, order("b", export(9_000), 10, 20, uncarried=("opModFixedVar",)))
    player.tick(10)
    adopt_all(player, 10)
    player.tick(20)
    assert player.kinds("a") == [(1, Kind.CANNOT)]
    assert [kind for _, kind in player.kinds("b")] == [Kind.RECEIVED, Kind.UNCARRIED, Kind.STARTED, Kind.PARTIAL]


def test_what_cannot_be_read_is_answered_and_moves_nothing() -> None:
    player = Player().start()
    player.hear(1, order("a", export(700), 1, 90))
    player.feed(2, OrderUnreadable(DSO, "a", STREET, "no start", Reply("/rsp", receipt=True, progress=True)))
    player.feed(2, OrderUnreadable(DSO, "b", STREET, "no start", Reply("/rsp", receipt=True, progress=True)))
    assert player.ruled() == 700
    assert player.terminal("a") == []
    assert player.kinds("b") == [(2, Kind.REFUSED)]


@pytest.mark.parametrize(("measured", "kind"), [(700, Kind.COMPLETED), (4_500, Kind.CANNOT), (None, Kind.COMPLETED)])
def test_how_a_binding_order_ends_follows_the_measurement(measured: int | None, kind: Kind) -> None:
    player = Player().start()
    player.hear(1, order("a", export(700), 10, 90))
    player.tick(10)
    device = player.machine.state.devices["roof-10"]
    player.feed(11, Adopted("roof-10", device.serial))
    reading = Unknown("silent", 12_000) if measured is None else Known(measured, 12_000)
    player.feed(12, Observed("roof-10", reading, NOTHING_READ, NOTHING_READ, connected=True))
    assert told(player.effects, Topic.VERIFIED) == []
    player.tick(21)
    assert len(told(player.effects, Topic.VERIFIED)) == 1
    player.tick(90)
    assert player.terminal("a") == [(90, kind)]


# -- sharing (E) and writes


def test_the_growing_der_waits_until_the_shrinking_one_is_read_back() -> None:
    player = Player().start()
    player.default(1, "p1", export(9_000))
    adopt_all(player, 2)
    assert told_w(player, 2) == [4_736, 4_263]
    player.feed(3, LinkDown("roof-21", "silent"))
    player.hear(4, order("a", export(6_000), 4, 90))
    assert told_w(player, 2) == [6_000 - 4_263, 4_263]
    player.feed(5, LinkUp("roof-21", Known(4_500, 5), Known(0, 5)))
    assert told_w(player, 2) == [1_737, 2_842]
    adopt(player, 6, "roof-20")
    assert told_w(player, 2) == [1_737, 2_842]
    adopt_all(player, 6)
    assert told_w(player, 2) == [3_157, 2_842]


def test_a_command_that_a_der_refuses_keeps_it_counted_at_its_rating() -> None:
    player = Player().start()
    player.default(1, "p1", export(4_000))
    adopt_all(player, 2)
    serial = player.machine.state.devices["roof-20"].serial
    player.feed(3, NotAdopted("roof-20", serial, "refused"))
    assert player.machine.state.devices["roof-20"].counted_w() == RATED_W
    player.feed(4, NotAdopted("roof-21", serial - 99, "stale"))
    assert player.machine.state.devices["roof-21"].adopted


def test_silence_of_a_der_never_loosens_what_it_is_told() -> None:
    player = Player().start()
    player.default(1, "p1", export(9_000))
    adopt_all(player, 2)
    player.hear(3, order("a", export(2_000), 3, 10))
    before = told_w(player, 2)
    effects = player.feed(4, LinkDown("roof-20", "silent"))
    assert all(limit <= before[0] for limit in limits(effects, "roof-20"))
    assert sum(told_w(player, 2)) <= 2_000


def test_a_house_of_several_der_is_told_its_shares_even_before_they_are_found() -> None:
    player = Player().start(reachable=False)
    assert sum(told_w(player, 3)) <= LAST_RESORT_W
    assert told(player.effects, Topic.BLOCKED) == []
    assert {write.cleared.command.device for write in writes(player.effects)} == set(player.machine.state.devices)


def test_writes_that_tighten_leave_before_writes_that_loosen() -> None:
    player = Player().start()
    player.default(1, "p1", export(2_000))
    player.feed(1, Assigned(DSO, FEED, ("house-3",)))
    player.hear(2, order("up", export(4_000), 10, 20, scope=Each(CORNER)))
    player.hear(2, order("down", export(500), 10, 20, scope=Each(FEED)))
    adopt_all(player, 3)
    before = {name: device.told_w() for name, device in player.machine.state.devices.items()}
    grew = [write.cleared.command.limit_w > before[write.cleared.command.device] for write in writes(player.tick(10))]
    assert grew == sorted(grew)
    assert True in grew
    assert False in grew


# -- renewal and restart


def test_no_cleared_command_runs_out_while_time_passes() -> None:
    player = Player().start()
    wanted = {write.cleared.command.device: write.cleared for write in writes(player.effects)}
    for minute in range(1, 120):
        player.tick(minute * 60)
        wanted |= {write.cleared.command.device: write.cleared for write in writes(player.steps[-1].effects)}
        assert all(cleared.holds_for(device, minute * 60_000) for device, cleared in wanted.items())


def test_everything_open_is_yielded_again() -> None:
    player = Player().start()
    player.hear(1, order("a", export(700), 1, 90))
    owed = player.answers()
    player.machine.state.owed.pop(owed[0].serial)
    again = list(player.machine.outstanding(2_000))
    assert [write.cleared.command.device for write in writes(again)] == list(player.machine.state.devices)
    for write in writes(again):
        device = player.machine.state.devices[write.cleared.command.device]
        assert (write.cleared.command, write.cleared.serial) == (device.command, device.serial)
        assert write.cleared.holds_for(device.device.name, 2_000)
    assert answers_of(again) == owed[1:]


def test_time_that_goes_back_is_taken_as_standing_still() -> None:
    player = Player().start()
    player.hear(30, order("a", export(700), 10, 20))
    player.hear(10, order("b", export(600), 10, 40))
    assert player.kinds("a") == [(30, Kind.EXPIRED)]
    assert player.ruled() == 600
    player.feed(15, Tick())
    assert player.machine.state.now_ms == 30_000
