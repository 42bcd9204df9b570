"""Alarms on their way to a server: a LogEvent for each, below the EndDevice that it is about, until it is taken in."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sep2_world import PARTY, World, known, make_pki, sample

from gateway.core.alarms import FAULTS, NOTICES_MOST, Alarm, Notice
from gateway.core.events import Reported
from gateway.northbound.sep2_client.log_event import alarm_status, log_event
from gateway.wire.sep2 import encode
from hil.head_end import HeadEnd

LIST_1 = "/edev/2/lel"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def notice(
    serial: int, alarm: Alarm, *, raised: bool = True, at_ms: int = 0, resource: str = "house-1", why: str = "because"
) -> Notice:
    return Notice(serial, PARTY, resource, alarm, raised, at_ms, 1, why)


def reported(world: World) -> list[int]:
    return [event.serial for event in world.heard(Reported)]


def told(world: World) -> list[tuple[str, int, int, int]]:
    """Give resource, profile, code and id of each LogEvent that the server has."""
    return [(one.resource, one.profile, one.code, one.event_id) for one in world.server.tree.papers.log_events]


def test_each_fault_has_the_code_of_its_bit_and_the_next_for_its_end() -> None:
    for bit, fault in enumerate(FAULTS):
        begun, over = (log_event(notice(7, fault, raised=raised), 1_000) for raised in (True, False))
        assert (begun.code, over.code) == (2 * bit, 2 * bit + 1)
        assert (begun.function_set, begun.profile, begun.pen) == (11, 2, 40_732)
        assert alarm_status([fault]) == 1 << bit
    assert FAULTS.index(Alarm.OVER_VOLTAGE) == 1
    assert FAULTS.index(Alarm.PHASE_ROTATION) == 10


@pytest.mark.parametrize("alarm", sorted(set(Alarm) - set(FAULTS)))
def test_what_only_this_gateway_sees_is_of_the_vendors_profile(alarm: Alarm) -> None:
    codes = {
        (one.profile, one.code) for raised in (True, False) for one in [log_event(notice(1, alarm, raised=raised), 1)]
    }
    assert {profile for profile, _code in codes} == {1}
    assert len(codes) == 2


def test_whatever_the_reason_is_it_can_be_written() -> None:
    made = log_event(notice(70_000, Alarm.OVER_VOLTAGE, why="höher als 253 V\n" * 9)._replace(changes=2**40), 1)
    assert encode(made)
    assert made.event_id == 70_000 - 65_536
    assert made.details == "h?her als 253 V?h?her als 253 V?"


async def test_alarms_are_posted_once_each_below_their_devices_with_the_servers_time(pki: Path) -> None:
    async with World(pki) as world:
        world.server.tree.time_offset_ms = 90_000_000
        world.link.report(notice(1, Alarm.OVER_VOLTAGE, at_ms=world.clock.now_ms()))
        world.link.report(notice(2, Alarm.NO_CONTACT, resource="house-2"))
        world.link.report(notice(3, Alarm.OVER_VOLTAGE, raised=False))
        await world.until(lambda: reported(world) == [1, 2, 3])
        assert told(world) == [("house-1", 2, 2, 1), ("house-2", 1, 2, 2), ("house-1", 2, 3, 3)]
        first = world.server.tree.papers.log_events[0]
        assert abs(first.created_s - world.server.tree.now_s()) < 3_600
        assert (first.details, first.extended) == ("because", 1)
        await world.rounds(3)
        assert len(told(world)) == 3
        assert world.lines == []


@pytest.mark.parametrize("outage", ["refuse", "error"])
async def test_alarms_outlive_an_outage_in_order_and_once(pki: Path, outage: Any) -> None:
    async with World(pki) as world:
        await world.rounds(1)
        await world.server.set_outage(outage)
        for serial, alarm in enumerate((Alarm.OVER_VOLTAGE, Alarm.UNDER_VOLTAGE, Alarm.OVER_FREQUENCY), 1):
            world.link.report(notice(serial, alarm))
        await world.seconds(100)
        assert reported(world) == []
        await world.server.set_outage("none")
        await world.until(lambda: reported(world) == [1, 2, 3])
        assert [event_id for _resource, _profile, _code, event_id in told(world)] == [1, 2, 3]


async def test_an_alarm_that_is_refused_is_said_and_holds_up_no_other(pki: Path) -> None:
    class Refusing(HeadEnd):
        async def _answer(self, request: web.Request) -> web.Response:
            if request.path == LIST_1 and request.method == "POST":
                return web.Response(status=400)
            return await super()._answer(request)

    world = World(pki)
    world.server.__class__ = Refusing
    async with world:
        world.link.report(notice(1, Alarm.OVER_VOLTAGE))
        world.link.report(notice(2, Alarm.OVER_VOLTAGE, resource="house-2"))
        await world.until(lambda: reported(world) == [1, 2])
        assert told(world) == [("house-2", 2, 2, 2)]
        assert world.lines == [
            f"dso: the alarm over voltage of house-1 is not told: {LIST_1} refuses it with status 400"
        ]


async def test_an_alarm_that_is_not_let_in_holds_up_no_other_and_waits(pki: Path) -> None:
    barred = True

    class Barring(HeadEnd):
        async def _answer(self, request: web.Request) -> web.Response:
            if barred and request.path == LIST_1 and request.method == "POST":
                return web.Response(status=403)
            return await super()._answer(request)

    world = World(pki)
    world.server.__class__ = Barring
    async with world:
        world.link.report(notice(1, Alarm.OVER_VOLTAGE))
        world.link.report(notice(2, Alarm.OVER_VOLTAGE, resource="house-2"))
        await world.until(lambda: reported(world) == [2])
        barred = False
        await world.until(lambda: reported(world) == [2, 1])


async def test_what_no_server_takes_in_is_bounded(pki: Path) -> None:
    async with World(pki, may_write=False) as world:
        for serial in range(NOTICES_MOST + 5):
            world.link.report(notice(serial, Alarm.OVER_VOLTAGE))
        assert len(world.link._alarms._owed) == NOTICES_MOST


async def test_an_alarm_waits_for_its_device_to_be_registered(pki: Path) -> None:
    world = World(pki)
    body = world.body("/edev").decode()
    world.replace("/edev", body.replace(world.server.tree.resources[0].lfdi, "AB" * 20))
    async with world:
        world.link.report(notice(1, Alarm.OVER_VOLTAGE))
        world.link.report(notice(2, Alarm.OVER_VOLTAGE, resource="house-2"))
        await world.until(lambda: reported(world) == [2])
        world.mend("/edev")
        await world.until(lambda: reported(world) == [2, 1])


async def test_a_server_without_a_list_for_alarms_is_told_none_and_that_is_said_once(pki: Path) -> None:
    world = World(pki)
    world.edit("/edev", (f'<LogEventListLink href="{LIST_1}" all="0"/>', ""))
    async with world:
        world.link.report(notice(1, Alarm.OVER_VOLTAGE))
        world.link.report(notice(2, Alarm.OVER_VOLTAGE, raised=False))
        world.link.report(notice(3, Alarm.OVER_VOLTAGE, resource="not of this server"))
        await world.until(lambda: reported(world) == [1, 2, 3])
        assert world.lines == ["dso: the EndDevice of house-1 has no LogEventList; its alarms are not told"]


async def test_a_gateway_that_may_not_write_keeps_its_alarms(pki: Path) -> None:
    async with World(pki, may_write=False) as world:
        world.link.report(notice(1, Alarm.OVER_VOLTAGE))
        await world.rounds(3)
        assert reported(world) == []
        assert world.asked("POST") == {}


async def test_the_status_shows_the_faults_that_last(pki: Path) -> None:
    world = World(pki, post_s=10)
    world.rates.post_rate_s = 10
    world.samples = [
        sample("house-1", known(2_000))._replace(faults=(Alarm.OVER_VOLTAGE, Alarm.UNDER_FREQUENCY)),
        sample("house-2", known(2_000)),
    ]
    async with world:
        documents = world.server.tree.intake.documents
        await world.until(lambda: world.asked("PUT")["/edev/3/der/1/ders"] >= 1)
        first: Any = documents["/edev/2/der/1/ders"].document
        second: Any = documents["/edev/3/der/1/ders"].document
        assert int(first.alarmStatus, 16) == 0b10010
        assert second.alarmStatus is None, "it says nothing of any"
