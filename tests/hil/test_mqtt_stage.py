"""The broker of a scenario: its steps kill it and start it again."""

import asyncio
from pathlib import Path

import pytest

from hil.bench import Bench
from hil.clock import Clock
from hil.mqtt.stage import MqttBatteryPlan, MqttStage
from hil.scenario import Action, Scenario

START_MS = 1_767_225_600_000


async def test_the_broker_is_killed_and_started_again_at_its_port(tmp_path: Path) -> None:
    stage = MqttStage([MqttBatteryPlan("cell")], Clock.starting(10, START_MS), tmp_path)
    port = stage.ready()["port"]
    await stage.start()
    try:
        with pytest.raises(ValueError, match="the broker runs already"):
            await stage.act("start")
        assert await answers(port)
        await stage.act("kill")
        assert not await answers(port)
        with pytest.raises(ValueError, match="the broker is down already"):
            await stage.act("kill")
        await stage.act("start")
        assert await answers(port)
    finally:
        await stage.stop()


async def answers(port: int) -> bool:
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_without_a_broker_there_is_nothing_to_kill(tmp_path: Path) -> None:
    async with Bench(Scenario(name="none"), Clock.starting(10, START_MS), tmp_path, lambda _line: None) as bench:
        with pytest.raises(ValueError, match="there is no broker; add an mqtt_battery"):
            await bench.act(Action(broker="kill"))
