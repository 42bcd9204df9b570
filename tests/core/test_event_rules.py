"""The rules of IEEE 2030.5 events one by one, each as its smallest story (IEEE 2030.5-2018 10.2.3, EventStatus)."""

from dataclasses import replace

import pytest
from core_world import DSO, LAST_RESORT_W, Player, curve, export, order, site, target

from gateway.core.answers import Kind
from gateway.core.events import Contact, Event, Offset, OrderHeard, Started, Tick, Withdrawal, Withdrawn
from gateway.core.functions import Function
from gateway.core.machine import KEEP_ENDED_MS, Machine
from gateway.core.modes import CurveKind, FixedVar, VarBase
from gateway.core.orders import Connect, Order, Reply
from gateway.core.settling import interval_at
from gateway.core.state import State
from gateway.core.timeline import offset_ms
from gateway.store.codec import Unpacker, pack_shared

HOUSE = "house-1"
NONE = LAST_RESORT_W
RECEIVED, STARTED = Kind.RECEIVED, Kind.STARTED


def player() -> Player:
    return Player().start(site((1,)))


def run(who: Player, until_s: int) -> None:
    """Give the machine time whenever it asks for it."""
    while who.machine.next_change() <= until_s * 1000:
        who.feed_ms(who.machine.next_change(), Tick())
    who.tick(until_s)


def span_ms(who: Player, name: str) -> tuple[int, int]:
    state = who.machine.state
    return interval_at(state, next(live for key, live in state.lives.items() if key.id == name), HOUSE)


def drawing(later_s: int, heard: Order) -> Order:
    """Give a randomized order a draw that starts it within half a second after so many seconds from its start."""
    bound_ms, wanted_ms = heard.randomize_start_ms, later_s * 1000
    fits = (draw for draw in range(100_000) if 0 <= offset_ms(draw, "start", HOUSE, bound_ms) - wanted_ms < 500)
    return replace(heard, draw=next(fits), joins=True)


def powered_again(who: Player) -> Player:
    """Give the process that starts from what this one has kept."""
    packed = pack_shared(who.machine.state)
    again = Player(Machine(Unpacker().unpack_shared(packed, State)))
    again.feed_ms(who.machine.state.now_ms, Started(site((1,))))
    return again


def test_rule_01_events_run_on_the_clock_of_their_server() -> None:
    one = player()
    one.feed(0, Offset(DSO, 7_000))
    one.hear(1, order("a", export(2_000), 17, 27))
    assert one.over(9, 10, 19, 20) == [NONE, 2_000, 2_000, NONE]


def test_rule_02_an_event_that_is_listed_no_more_runs_to_its_end() -> None:
    one = player()
    one.hear(1, order("a", export(2_000), 10, 20))
    one.feed(12, Contact(DSO, 300_000))
    assert one.over(13, 19, 20) == [2_000, 2_000, NONE]
    assert [at_s for at_s, _kind in one.terminal("a")] == [20]


def test_rule_03_status_2_and_status_4_are_not_the_codes_6_and_7() -> None:
    one = player()
    one.hear(1, order("a", export(2_000), 10, 40))
    one.hear(1, order("b", target(100), 10, 40))
    one.cancel(12, "a", how=Withdrawal.CANCELLED)
    one.cancel(12, "b", how=Withdrawal.SUPERSEDED)
    assert one.terminal("a") == [(12, Kind.CANCELLED)]
    assert one.terminal("b") == [(12, Kind.SUPERSEDED)]


def test_rule_04_what_was_drawn_is_kept_over_re_reads_and_restarts() -> None:
    one = player()
    heard = replace(order("a", export(2_000), 10, 40, randomize_s=-8), randomize_duration_ms=9_000)
    one.hear(1, heard)
    start_ms, end_ms = span_ms(one, "a")
    assert 2_000 <= start_ms <= 10_000
    assert 30_000 <= end_ms - start_ms <= 39_000
    one.hear(2, replace(heard, draw=99, received_ms=2_000))
    again = powered_again(one)
    again.hear(3, replace(heard, draw=100, received_ms=3_000))
    assert span_ms(again, "a") == span_ms(one, "a") == (start_ms, end_ms)


def test_rule_04_a_newer_version_keeps_the_draw_of_the_first() -> None:
    one = player()
    heard = order("a", export(2_000), 10, 40, randomize_s=30)
    one.hear(1, heard)
    before_ms = span_ms(one, "a")
    one.hear(2, replace(heard, version=1, draw=99, effects=(export(3_000),)))
    assert span_ms(one, "a") == before_ms


def test_rule_05_received_after_its_specified_end_it_is_too_late_whatever_its_duration_may_draw() -> None:
    one = player()
    one.hear(20, replace(order("a", export(2_000), 10, 20), randomize_duration_ms=30_000))
    one.hear(19, order("b", export(2_000), 10, 20))
    assert one.kinds("a") == [(20, Kind.EXPIRED)]
    late = player()
    late.hear(19, order("b", export(2_000), 10, 20))
    assert late.kinds("b") == [(19, RECEIVED), (19, STARTED)]


def test_rule_06_the_lower_primacy_wins_then_the_newer_and_only_where_they_conflict() -> None:
    one = player()
    one.hear(1, order("limit", (export(2_000), Connect(True)), 10, 40, precedence=2, created_s=5))
    one.hear(1, order("stronger", export(3_000), 20, 40, precedence=1, created_s=1))
    one.hear(1, order("var", FixedVar(VarBase.MAX_VAR, 100), 20, 40, precedence=3))
    one.hear(1, order("newer", curve(CurveKind.VOLT_VAR, 1, 0), 30, 40, precedence=3, created_s=1))
    assert one.over(19, 20, 30, 39) == [2_000, 3_000, 3_000, 3_000]
    assert one.terminal("limit") == []
    assert one.terminal("var") == [(30, Kind.SUPERSEDED)]
    assert one.ruled(Function.CONNECT) == 1
    one.tick(40)
    assert [kind for _at_s, kind in one.terminal("limit")] != [Kind.SUPERSEDED]


def test_rule_07_older_runs_until_the_newer_one_starts_and_never_again() -> None:
    one = player()
    one.hear(1, order("older", export(2_000), 10, 40, created_s=1))
    one.hear(2, order("newer", export(3_000), 20, 35, created_s=2))
    assert one.over(9, 10, 19, 20, 34, 35, 39) == [NONE, 2_000, 2_000, 3_000, 3_000, NONE, NONE]
    assert one.kinds("older") == [(1, RECEIVED), (10, STARTED), (20, Kind.SUPERSEDED)]


def test_rule_07_the_newer_one_takes_over_when_it_really_starts() -> None:
    one = player()
    one.hear(1, order("older", export(2_000), 10, 40, created_s=1))
    one.hear(2, drawing(5, order("newer", export(3_000), 20, 35, created_s=2, randomize_s=10)))
    assert one.over(20, 24, 26) == [2_000, 2_000, 3_000]
    assert one.terminal("older")[0][0] in (25, 26)


def test_rule_07_an_event_that_is_potentially_superseded_loses_only_the_modes_that_overlap() -> None:
    one = player()
    one.hear(1, order("older", (export(2_000), Connect(False)), 10, 40, created_s=1))
    one.hear(2, order("newer", export(3_000), 20, 30, created_s=2))
    assert one.over(15, 25, 35) == [2_000, 3_000, NONE]
    assert one.over(36, 39, function=Function.CONNECT) == [0, 0]
    assert one.terminal("older") == []


def test_rule_08_what_the_server_calls_superseded_stops_at_once() -> None:
    one = player()
    one.hear(1, order("older", export(2_000), 10, 60, created_s=1))
    one.tick(10)
    one.cancel(20, "older", how=Withdrawal.SUPERSEDED)
    assert one.over(20) == [NONE]
    one.hear(21, order("newer", export(3_000), 18, 50, created_s=2))
    assert one.over(21) == [3_000]
    assert one.terminal("older") == [(20, Kind.SUPERSEDED)]


def test_rule_08_inside_the_window_of_the_newer_one_the_older_runs_until_that_starts() -> None:
    one = player()
    one.hear(1, order("older", export(2_000), 10, 200, precedence=2))
    one.hear(1, drawing(90, order("newer", export(3_000), 20, 150, randomize_s=100)))
    one.tick(10)
    one.cancel(20, "older", how=Withdrawal.SUPERSEDED)
    run(one, 109)
    assert one.ruled() == 2_000
    run(one, 111)
    assert one.ruled() == 3_000
    assert [kind for _at_s, kind in one.terminal("older")] == [Kind.SUPERSEDED]


def test_rule_09_cancelled_stops_at_once_and_with_randomization_within_the_larger_of_both() -> None:
    one = player()
    one.hear(1, order("now", export(2_000), 10, 60))
    one.hear(1, replace(order("later", target(100), 10, 60), draw=4))
    one.tick(10)
    one.cancel(20, "now")
    one.feed(20, Withdrawn(DSO, "later", Withdrawal.CANCELLED, 9_000))
    assert one.terminal("now") == [(20, Kind.CANCELLED)]
    assert one.ruled() == NONE
    _start_ms, end_ms = span_ms(one, "later")
    assert 20_000 < end_ms <= 29_000
    one.feed_ms(end_ms - 1, Tick())
    assert one.ruled(Function.ACTIVE_POWER) == 100
    one.feed_ms(end_ms, Tick())
    assert [kind for _at_s, kind in one.terminal("later")] == [Kind.CANCELLED]


def test_rule_10_successive_events_leave_no_gap_where_the_later_one_draws_a_later_start() -> None:
    one = player()
    one.hear(1, replace(order("first", export(2_000), 10, 20), joins=True))
    one.hear(1, drawing(6, order("second", export(3_000), 20, 30, randomize_s=8)))
    assert span_ms(one, "second") == (20_000, 30_000)
    assert one.over(19, 20, 21, 29, 30) == [2_000, 3_000, 3_000, 3_000, NONE]


def test_rule_10_successive_events_do_not_conflict_where_the_earlier_one_ends_later() -> None:
    one = player()
    one.hear(1, replace(order("third", export(4_000), 30, 40, precedence=0), joins=True))
    one.hear(1, replace(order("second", export(3_000), 20, 30, precedence=2), joins=True))
    one.hear(1, drawing(5, order("first", export(2_000), 10, 20, randomize_s=8)))
    first_ms = span_ms(one, "first")
    assert first_ms[1] > 24_900
    assert span_ms(one, "second") == (first_ms[1], first_ms[1] + 10_000)
    assert span_ms(one, "third") == (first_ms[1] + 10_000, first_ms[1] + 20_000)
    run(one, 60)
    for name in ("first", "second", "third"):
        assert Kind.SUPERSEDED not in [kind for _at_s, kind in one.kinds(name)], name
        assert [kind for _at_s, kind in one.kinds(name)][:2] == [RECEIVED, STARTED]


def test_rule_10_one_whose_forerunner_is_superseded_starts_as_it_drew() -> None:
    one = player()
    one.hear(1, drawing(12, order("first", export(2_000), 10, 20, randomize_s=15)))
    one.hear(1, drawing(3, order("second", export(3_000), 20, 30, randomize_s=8)))
    assert span_ms(one, "second")[0] > 31_900
    one.hear(2, order("winner", export(4_000), 23, 24, created_s=2))
    run(one, 40)
    assert one.terminal("first") == [(23, Kind.SUPERSEDED)]
    assert span_ms(one, "second")[0] // 1000 == 23


def test_rule_10_one_whose_forerunner_is_cancelled_starts_as_it_drew_or_at_once() -> None:
    one = player()
    one.hear(1, drawing(12, order("first", export(2_000), 10, 20, randomize_s=15)))
    one.hear(1, drawing(3, order("second", export(3_000), 20, 30, randomize_s=8)))
    run(one, 27)
    assert one.ruled() == 2_000
    one.cancel(27, "first")
    assert one.ruled() == 3_000
    assert span_ms(one, "second") == (27_000, 37_000)


def test_rule_10_what_has_begun_at_the_end_of_another_stays_after_a_restart() -> None:
    one = player()
    one.hear(1, drawing(5, order("first", export(2_000), 10, 20, randomize_s=8)))
    one.hear(1, replace(order("second", export(3_000), 20, 30), joins=True))
    before_ms = span_ms(one, "second")
    assert before_ms[0] > 24_900
    run(one, 22)
    again = powered_again(one)
    assert span_ms(again, "second") == before_ms
    run(again, 26)
    again.cancel(27, "first")
    assert span_ms(again, "second") == before_ms


def test_rule_10_where_a_profile_reads_it_so_each_starts_as_it_drew() -> None:
    one = player()
    one.hear(1, replace(order("first", export(2_000), 10, 20), joins=False))
    one.hear(1, replace(drawing(6, order("second", export(3_000), 20, 30, randomize_s=8)), joins=False))
    assert span_ms(one, "second")[0] // 1000 == 26
    assert one.over(19, 20, 25, 27) == [2_000, NONE, NONE, 3_000]


def test_rule_11_a_superseder_that_is_cancelled_before_it_starts_supersedes_nothing() -> None:
    one = player()
    one.hear(1, order("older", export(2_000), 20, 40, created_s=1))
    one.hear(2, order("newer", export(3_000), 15, 50, created_s=2))
    one.cancel(10, "newer")
    assert one.over(16, 20, 39) == [NONE, 2_000, 2_000]
    assert [kind for _at_s, kind in one.kinds("older")][:2] == [RECEIVED, STARTED]


def test_rule_12_the_default_of_the_strongest_program_that_has_one_holds_per_mode() -> None:
    one = player()
    one.default(1, "z-strong", Connect(True), precedence=1)
    one.default(1, "m-weak", export(2_500), Connect(False), precedence=2)
    one.default(1, "a-weakest", export(3_500), precedence=3)
    one.hear(2, order("a", export(4_000), 10, 20, precedence=9))
    assert one.over(5, 10, 20) == [2_500, 4_000, 2_500]
    assert one.ruled(Function.CONNECT) == 1


def test_rule_13_the_place_in_the_list_decides_nothing() -> None:
    listed = [
        order("b", export(2_000), 10, 40, created_s=1),
        order("a", export(3_000), 10, 40, created_s=1),
        order("c", export(4_000), 10, 40, created_s=0),
    ]
    for heard in (listed, listed[::-1]):
        one = player()
        for each in heard:
            one.hear(1, each)
        assert one.over(10) == [3_000]


def test_rule_14_out_of_contact_known_events_run_out_and_the_default_holds_then() -> None:
    one = player()
    one.default(1, "program", export(2_500))
    one.feed(1, Contact(DSO, 5_000))
    one.hear(1, order("a", export(4_000), 10, 20))
    one.hear(1, order("b", export(3_000), 30, 40))
    assert one.over(7, 10, 20, 30, 40, 10_000) == [2_500, 4_000, 2_500, 3_000, 2_500, 2_500]


def test_rule_15_only_the_answers_that_were_asked_for_are_owed() -> None:
    for reply, kinds in (
        (Reply("/rsp", receipt=True, progress=False), [RECEIVED]),
        (Reply("/rsp", receipt=False, progress=True), [STARTED, Kind.CANCELLED]),
        (Reply(), []),
    ):
        one = player()
        one.hear(1, replace(order("a", export(2_000), 10, 40), reply=reply))
        one.tick(10)
        one.cancel(20, "a")
        assert [kind for _at_s, kind in one.kinds("a")] == kinds
        assert one.over(21) == [NONE]


SECOND = order("second", export(3_000), 20, 60, precedence=2)


@pytest.mark.parametrize(
    "moved",
    [
        pytest.param(Offset(DSO, 2_000), id="clock"),
        pytest.param(OrderHeard(replace(SECOND, rank=SECOND.rank._replace(precedence=5))), id="primacy"),
    ],
)
def test_what_is_over_does_not_beat_what_is_in_force_when_a_clock_or_a_primacy_moves(moved: Event) -> None:
    one = player()
    one.hear(1, order("first", export(2_000), 10, 20, precedence=1))
    one.hear(1, SECOND)
    assert one.over(10, 20) == [2_000, 3_000]
    one.feed(25, moved)
    assert one.over(26) == [3_000]
    assert one.terminal("second") == []


def test_what_is_long_over_is_kept_nowhere_that_successive_events_are_looked_for() -> None:
    one = player()
    for number in range(50):
        start_s = 100 + 60 * number
        one.hear(start_s - 50, replace(order(f"{number}", export(2_000), start_s, start_s + 60), joins=True))
    run(one, 4_000)
    run(one, 4_000 + 2 * KEEP_ENDED_MS // 1000)
    joiner = one.machine._decider.joiner
    assert not one.machine.state.lives
    assert (joiner._starting, joiner._ending) == ({}, {})


def test_an_order_of_a_party_that_the_site_has_no_more_can_be_withdrawn() -> None:
    one = player()
    one.hear(1, drawing(30, replace(order("a", export(2_000), 100, 200), randomize_start_ms=60_000)))
    one.hear(1, replace(order("b", export(2_000), 200, 300), joins=True))
    left = site((1,))
    left = replace(left, parties=tuple(each for each in left.parties if each.name != DSO))
    one.feed(5, Started(replace(left, grants=tuple(each for each in left.grants if each.party != DSO))))
    one.cancel(6, "a")
    assert span_ms(one, "a") == (6_000, 6_000)
