"""What leaves the machine: answers, shares of a house, renewed and repeated writes (C10, C15, E)."""

import pytest
from core_world import (
    CORNER,
    DSO,
    FEED,
    LAST_RESORT_W,
    RATED_W,
    STREET,
    Player,
    adopt,
    adopt_all,
    answers_of,
    export,
    limits,
    order,
    told,
    told_w,
    writes,
)

from gateway.core.answers import Kind
from gateway.core.events import (
    Adopted,
    Assigned,
    LinkDown,
    LinkUp,
    NotAdopted,
    Observed,
    OrderUnreadable,
    Tick,
    Topic,
)
from gateway.core.functions import Function
from gateway.core.known import Known, Unknown
from gateway.core.machine import KEEP_ENDED_MS, RENEW_MS
from gateway.core.orders import Each, Reply

F = Function
NOTHING_READ = Unknown("not read", 0)


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


# -- sharing and writes


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
