"""The semantics of the bad-input catalogue as the core meets them: refused, or made harmless; what holds stays."""

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

import pytest
from core_world import Player, adopt_all, export, order, site, target, told, writes

from gateway.core.answers import Kind
from gateway.core.events import Topic, Withdrawal
from gateway.core.functions import Function
from gateway.core.modes import TargetVar
from gateway.core.orders import Ceiling, Connect, Effect, Energize, Floor
from gateway.core.timeline import FOR_EVER_MS
from gateway.core.units import Watts

STANDING_W = 4_000
HUGE_W = 32_767 * 10**9
"""The largest ActivePower that can be written: an Int16 times 10 to the 9."""
LAST_S = 253_402_300_799
MOST_S = 2**32 - 2


@pytest.fixture
def player() -> Player:
    """Give a machine whose default is 4000 W."""
    made = Player().start(site((1,)))
    made.default(0, "standing", export(STANDING_W))
    assert made.over(1) == [STANDING_W]
    return made


# -- powers


@pytest.mark.parametrize(
    "effect",
    [
        pytest.param(export(HUGE_W), id="a limit"),
        pytest.param(export(-HUGE_W), id="a limit below zero"),
        pytest.param(Floor(Function.IMPORT_LIMIT, Watts(-HUGE_W)), id="an import limit"),
        pytest.param(target(HUGE_W), id="a set-point"),
        pytest.param(TargetVar(HUGE_W), id="reactive power"),
    ],
)
def test_int16_times_10_to_the_9_is_refused_and_what_holds_stays(effect: Effect, player: Player) -> None:
    effects = player.hear(2, order("huge", effect, 10, 60))
    assert player.kinds("huge") == [(2, Kind.REFUSED)]
    assert "over 1000 times what is rated there; check its multiplier" in told(effects, Topic.REFUSED)[0].why
    assert player.over(20, 61) == [STANDING_W, STANDING_W]
    player.hear(70, order("sound", export(2_000), 80, 90))
    assert player.over(85) == [2_000]


def test_int16_times_10_to_the_9_beside_a_sound_value_is_refused_whole(player: Player) -> None:
    player.hear(2, order("half", (export(1_000), Ceiling(Function.GENERATION_LIMIT, Watts(HUGE_W))), 10, 60))
    assert player.kinds("half") == [(2, Kind.REFUSED)]
    assert player.over(20) == [STANDING_W]


def test_int16_times_10_to_the_9_as_a_default_leaves_the_one_that_holds(player: Player) -> None:
    player.default(2, "standing", export(HUGE_W))
    assert len(told(player.steps[-1].effects, Topic.REFUSED)) == 1
    assert player.over(20) == [STANDING_W]


# -- times


@pytest.mark.parametrize("now_s", [5, 30])
def test_duration_0_is_discarded(now_s: int, player: Player) -> None:
    player.hear(now_s, order("empty", export(1_000), 30, 30))
    assert player.over(29, 30, 31) == [STANDING_W] * 3
    assert [kind for _at_s, kind in player.terminal("empty")] == [Kind.EXPIRED]
    assert Kind.STARTED not in [kind for _at_s, kind in player.kinds("empty")]


def test_duration_of_2_to_the_32_less_2_seconds_runs(player: Player) -> None:
    player.hear(5, order("long", export(1_000), 10, 10 + MOST_S))
    assert player.over(10) == [1_000]
    adopt_all(player, 11)
    assert player.over(MOST_S + 9, MOST_S + 10) == [1_000, STANDING_W]
    assert player.terminal("long") == [(MOST_S + 10, Kind.COMPLETED)]


def test_start_plus_duration_overflow_is_held_without_harm(player: Player) -> None:
    player.hear(5, order("far", export(1_000), LAST_S, LAST_S + MOST_S))
    assert player.kinds("far") == [(5, Kind.RECEIVED)]
    assert (LAST_S + MOST_S) * 1_000 < FOR_EVER_MS
    assert player.over(6, 10**9) == [STANDING_W] * 2
    player.hear(10**9 + 1, order("near", export(2_000), 10**9 + 2, 10**9 + 9, created_s=10**9))
    assert player.over(10**9 + 3) == [2_000]


def test_start_in_1970_that_is_over_is_answered_expired_and_never_applied(player: Player) -> None:
    player.feed(1_800_000_000, player.steps[-1].event)
    player.hear(1_800_000_001, order("old", export(1_000), 0, 60))
    assert player.kinds("old") == [(1_800_000_001, Kind.EXPIRED)]
    assert 1_000 not in player.over(1_800_000_002, 1_800_000_100)


def test_ended_when_first_seen_is_answered_once_and_never_applied(player: Player) -> None:
    player.over(100)
    over = order("over", export(1_000), 10, 100)
    for now_s in (100, 101, 160):
        player.hear(now_s, over)
        player.tick(now_s)
    assert player.kinds("over") == [(100, Kind.EXPIRED)]
    assert player.ruled() == STANDING_W


def test_same_event_again_after_completion_is_not_answered_again(player: Player) -> None:
    done = order("done", export(1_000), 10, 20)
    player.hear(5, done)
    player.tick(10)
    adopt_all(player, 11)
    player.tick(20)
    before = player.kinds("done")
    assert [kind for _at_s, kind in before][-1] is Kind.COMPLETED
    for now_s in (21, 3_600, 90_000, 200_000):
        player.hear(now_s, replace(done, draw=now_s, received_ms=now_s))
        player.tick(now_s + 1)
        assert player.ruled() == STANDING_W
    assert player.kinds("done") == before


def test_creation_time_in_the_future_is_refused(player: Player) -> None:
    player.hear(5, order("ahead", export(1_000), 10, 60, created_s=100_000))
    assert player.kinds("ahead") == [(5, Kind.REFUSED)]
    assert player.over(20) == [STANDING_W]


# -- identity and status


def test_mrid_reused_with_other_content_keeps_the_first(player: Player) -> None:
    player.hear(5, order("one", export(1_000), 10, 60))
    for changed in (export(9_000), (export(1_000), Connect(on=True)), export(500)):
        effects = player.hear(6, order("one", changed, 10, 60))
        assert "other content under version 0 already held" in told(effects, Topic.REFUSED)[0].why
    player.hear(6, order("one", export(1_000), 10, 90))
    assert player.over(10) == [1_000]
    adopt_all(player, 11)
    assert player.over(20, 60) == [1_000, STANDING_W]
    assert player.kinds("one") == [(5, Kind.RECEIVED), (10, Kind.STARTED), (60, Kind.COMPLETED)]


def test_mrid_reused_after_its_end_with_other_content_is_not_taken(player: Player) -> None:
    player.hear(5, order("one", export(1_000), 10, 20))
    player.over(10, 20)
    player.hear(30, order("one", export(9_000), 40, 60))
    assert player.over(50) == [STANDING_W]


def test_cancelled_unknown_event_changes_nothing(player: Player) -> None:
    for how in Withdrawal:
        assert player.cancel(5, f"never heard {how}", how=how) == []
    assert player.over(6) == [STANDING_W]


def test_status_going_backwards_revives_nothing(player: Player) -> None:
    one = order("one", export(1_000), 10, 60)
    player.hear(5, one)
    assert player.over(10) == [1_000]
    player.cancel(15, "one")
    assert player.over(16) == [STANDING_W]
    player.hear(17, one)
    player.cancel(18, "one", how=Withdrawal.SUPERSEDED)
    assert player.over(19, 30) == [STANDING_W] * 2
    assert [kind for _at_s, kind in player.terminal("one")] == [Kind.CANCELLED]


# -- conflicts


@pytest.mark.parametrize("effects", [(Connect(on=True), Energize(on=False)), (Connect(on=False), Energize(on=True))])
def test_connect_true_with_energize_false_keeps_both_words_and_false_wins(
    effects: tuple[Effect, ...], player: Player
) -> None:
    player.hear(5, order("switch", effects, 10, 60))
    player.tick(11)
    command = writes(player.effects)[-1].cleared.command
    assert {command.connected, command.energized} == {True, False}
    assert command.target_w in (None, 0)


def test_10000_overlapping_events_are_all_ruled_and_answered() -> None:
    all_of(10_000)()


def test_10000_overlapping_events_take_work_that_grows_with_their_number() -> None:
    """Counted in calls, which no busy machine changes: four times the events take about four times the work."""
    assert counted(all_of(1_600)) < 6 * counted(all_of(400))


def all_of(count: int) -> Callable[[], None]:
    """Give what has so many events heard, begun and ended."""
    player = Player().start(site((1,)))
    many = [
        order(f"{number:05}", export(1_000 + number % 977), 300, 400 + number % 7, created_s=number % 50)
        for number in range(count)
    ]

    def heard_and_ruled() -> None:
        for one in many:
            player.hear(200, one)
        player.tick(300)
        player.tick(500)
        endings = [answer.kind for answer in player.answers() if answer.kind is not Kind.RECEIVED]
        assert len(player.answers()) == 2 * count + 1, "each is received and ends, and one has started"
        assert endings.count(Kind.STARTED) == 1
        assert endings.count(Kind.SUPERSEDED) == count - 1

    return heard_and_ruled


def counted(work: Callable[[], None]) -> int:
    calls = 0

    def count(_frame: FrameType, event: str, _what: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("primacy", [3, 64, 192, 255])
def test_unknown_primacy_is_a_number_like_any_other(primacy: int, player: Player) -> None:
    """Our reading: one that the standard reserves competes as the number that it is."""
    player.hear(5, order("odd", export(1_000), 10, 60, precedence=primacy))
    player.hear(5, order("known", export(2_000), 20, 30, precedence=2))
    assert player.over(15, 20, 35) == [1_000, 2_000, STANDING_W]
    assert player.terminal("odd") == [(20, Kind.SUPERSEDED)]
