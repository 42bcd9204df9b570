"""Faults that a 2030.5 DER below says it has, by the alarmStatus of its DERStatus."""

from pathlib import Path

import pytest
from sep2_server_world import World, make_pki

from gateway.core.alarms import Alarm
from gateway.core.events import Alarmed
from gateway.wire.sep2.resources import DERStatus


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def test_faults_are_heard_when_they_begin_and_when_they_are_over(pki: Path) -> None:
    async with World(pki) as world:
        session, path = world.session(), f"/edev/{world.lfdis['roof']}/der/1/ders"
        for bits in (None, 0, 0b110, 0b110, 0b100, None, 0):
            await world.send(session, "PUT", path, DERStatus(alarm_status=bits, reading_time_s=1))
        assert [event.faults for event in world.heard(Alarmed)] == [
            (),
            (Alarm.OVER_VOLTAGE, Alarm.UNDER_VOLTAGE),
            (Alarm.UNDER_VOLTAGE,),
            (),
        ]
