"""What is wrong with DER, told to the limit parent: once, once more when it is over, never in a flood (CSIP 4.6.3)."""

from collections.abc import Iterable

import pytest
from core_world import DSO, MARKET, Player, adopt_all, export, house, site

from gateway.core import alarms
from gateway.core.alarms import FAULTS, Alarm, Notice
from gateway.core.events import (
    Adopted,
    Alarmed,
    Effect,
    LinkDown,
    LinkUp,
    Observed,
    Report,
    Reported,
    Started,
    Tell,
    Tick,
    Topic,
)
from gateway.core.known import Known, Unknown
from gateway.core.machine import Machine
from gateway.core.state import State
from gateway.store.codec import SHAPE, Unpacker, pack

ROOF, HOUSE = "roof-10", house(1)
UNASKED = Unknown("not asked", 0)


def notices(effects: Iterable[Effect]) -> list[Notice]:
    return [effect.notice for effect in effects if isinstance(effect, Report)]


def gist(effects: Iterable[Effect]) -> list[tuple[Alarm, bool, int]]:
    """Give alarm, whether it is raised, and how often it changed."""
    return [(one.alarm, one.raised, one.changes) for one in notices(effects)]


def say(one: Player, now_s: int, *faults: Alarm, device: str = ROOF) -> list[Effect]:
    return one.feed(now_s, Alarmed(device, faults))


def test_a_fault_is_told_to_the_limit_parent_when_it_begins_and_when_it_is_over() -> None:
    one = Player().start(site())
    raised = notices(say(one, 100, Alarm.OVER_VOLTAGE))
    assert raised == [Notice(1, DSO, HOUSE, Alarm.OVER_VOLTAGE, True, 100_000, 1, f"{ROOF} has it")]
    assert gist(say(one, 130, Alarm.OVER_VOLTAGE)) == [], "the same again is no news"
    assert gist(say(one, 200)) == [(Alarm.OVER_VOLTAGE, False, 1)]
    assert {notice.party for notice in notices(one.effects)} == {DSO}, f"not {MARKET}"


def test_each_fault_is_told_by_itself() -> None:
    one = Player().start(site())
    assert gist(say(one, 100, *FAULTS)) == [(fault, True, 1) for fault in FAULTS]
    told = [effect for effect in one.effects if isinstance(effect, Tell) and effect.topic is Topic.ALARM]
    assert [effect.function for effect in told] == [fault.value for fault in FAULTS]


def test_an_alarm_that_flaps_is_told_once_a_minute_with_its_count() -> None:
    one = Player().start(site())
    for now_s in range(100, 160, 2):
        say(one, now_s, Alarm.UNDER_FREQUENCY)
        say(one, now_s + 1)
    assert gist(one.effects) == [(Alarm.UNDER_FREQUENCY, True, 1)]
    assert gist(one.feed(160, Tick())) == [(Alarm.UNDER_FREQUENCY, False, 59)]
    for now_s in range(161, 1_000):
        one.feed(now_s, Tick())
    assert len(gist(one.effects)) == 2, "nothing more is told once it is quiet"


def test_an_alarm_that_came_and_went_unsaid_is_told_all_the_same() -> None:
    one = Player().start(site())
    say(one, 100, Alarm.OVER_CURRENT)
    say(one, 110)
    say(one, 120, Alarm.OVER_CURRENT)
    assert gist(one.feed(160, Tick())) == [(Alarm.OVER_CURRENT, True, 2)], "it was over meanwhile"


def test_a_resource_has_an_alarm_while_any_of_its_devices_has_it() -> None:
    one = Player().start(site())
    first, second = [device.name for device in site().devices if device.resource == house(2)][:2]
    assert gist(say(one, 100, Alarm.OVER_VOLTAGE, device=first)) == [(Alarm.OVER_VOLTAGE, True, 1)]
    assert gist(say(one, 200, Alarm.OVER_VOLTAGE, device=second)) == []
    assert gist(say(one, 300, device=first)) == []
    assert gist(say(one, 400, device=second)) == [(Alarm.OVER_VOLTAGE, False, 1)]


def test_contact_with_a_device_lost_and_regained_is_told() -> None:
    one = Player().start(site())
    lost = notices(one.feed(100, LinkDown(ROOF, "timed out")))
    assert [(each.alarm, each.raised, each.why) for each in lost] == [(Alarm.NO_CONTACT, True, "timed out")]
    assert gist(one.feed(110, LinkDown(ROOF, "refused"))) == []
    assert gist(one.feed(200, LinkUp(ROOF, Known(5_000, 0), Known(0, 0)))) == [(Alarm.NO_CONTACT, False, 1)]


def test_a_device_that_does_not_what_it_was_told_cannot_comply_until_it_does() -> None:
    one = Player().start(site())
    one.default(0, "p1", export(2_000))
    adopt_all(one, 1)
    power = {30: 4_000, 40: 4_000, 50: 1_900}
    found = {
        now_s: gist(one.feed(now_s, Observed(ROOF, Known(watts, 1000 * now_s), UNASKED, UNASKED, connected=True)))
        for now_s, watts in power.items()
    }
    assert found == {30: [(Alarm.CANNOT_COMPLY, True, 1)], 40: [], 50: []}
    assert "limit of 2000 W" in notices(one.effects)[0].why
    assert gist(one.feed(90, Tick())) == [(Alarm.CANNOT_COMPLY, False, 1)]


def test_a_notice_is_owed_until_it_is_taken_in_and_over_a_restart() -> None:
    one = Player().start(site())
    owed = notices([*say(one, 100, Alarm.OVER_VOLTAGE), *say(one, 200)])
    assert notices(one.machine.outstanding(200_000)) == owed
    kept = Unpacker(SHAPE).unpack(pack(one.machine.state), State)
    again = Player(Machine(kept))
    again.feed(210, Started(site()))
    assert notices(again.machine.outstanding(210_000)) == owed
    again.feed(211, Reported(owed[0].serial))
    assert notices(again.machine.outstanding(212_000)) == owed[1:]


def test_no_more_are_owed_than_a_disk_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "NOTICES_MOST", 5)
    one = Player().start(site())
    for now_s in range(100, 1_300, 100):
        say(one, now_s, *([Alarm.OVER_VOLTAGE] if now_s % 200 else []))
    assert [each.serial for each in notices(one.machine.outstanding(2_000_000))] == [8, 9, 10, 11, 12]


def test_a_device_that_left_the_site_keeps_no_alarm_up() -> None:
    one = Player().start(site())
    say(one, 100, Alarm.OVER_VOLTAGE)
    one.feed(200, Started(site(houses=(2, 3))))
    assert not one.machine.state.alarms.alarming


def test_a_der_that_disobeys_after_a_restart_is_found_out_though_its_command_is_the_old_one() -> None:
    one = Player().start(site())
    one.default(0, "p1", export(2_000))
    adopt_all(one, 0)
    one.feed(20, Started(site()))
    one.feed(21, LinkUp(ROOF, Known(5_000, 0), Known(5_000, 0)))
    one.feed(22, Adopted(ROOF, one.machine.state.devices[ROOF].serial))
    effects = one.feed(60, Observed(ROOF, Known(4_900, 60_000), UNASKED, UNASKED, connected=True))
    assert gist(effects) == [(Alarm.CANNOT_COMPLY, True, 1)]
