"""The simulated battery controller by itself: what a device maker's would do, whoever tells it."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from hil.clock import Clock
from hil.mqtt.battery import BatterySpec, MqttBattery
from hil.mqtt.broker import Broker
from hil.street import Street

RATE = 20
T0_MS = 1_767_225_600_000
COMMAND: dict[str, Any] = {
    "id": "a-1",
    "limit_w": 3_000,
    "target_w": 1_000,
    "connected": None,
    "energized": None,
    "ramp_ms": None,
    "reversion": {"limit_w": 500, "after_ms": 60_000},
}


class Desk:
    """Whoever tells the battery, and what it answers."""

    def __init__(self, client: aiomqtt.Client, clock: Clock) -> None:
        self._client, self.clock = client, clock

    async def tell(self, *, retain: bool = False, **fields: Any) -> None:
        """Send a command, by default issued now and good for a minute."""
        now_ms = self.clock.now_ms()
        told = {**COMMAND, "issued_ms": now_ms, "expires_ms": now_ms + 60_000, **fields}
        await self._client.publish("laminar/cell/command", json.dumps(told), qos=1, retain=retain)

    async def answer(self) -> dict[str, Any]:
        """Give the next acknowledgement."""
        async with asyncio.timeout(10):
            message = await anext(self._client.messages)
        assert isinstance(message.payload, bytes)
        answer: dict[str, Any] = json.loads(message.payload)
        return answer

    async def told(self, **fields: Any) -> dict[str, Any]:
        """Send a command and give its acknowledgement."""
        await self.tell(**fields)
        return await self.answer()


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[tuple[MqttBattery, Desk]]:
    """Run a broker, a battery that is connected, and who tells it."""
    clock = Clock.starting(RATE, T0_MS)
    async with (
        Broker(folder) as broker,
        aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client,
    ):
        await client.subscribe("laminar/cell/ack", qos=1)
        desk = Desk(client, clock)
        await desk.tell(retain=True, limit_w=5_000, id="kept")
        async with MqttBattery(BatterySpec(name="cell", port=broker.port, own_w=5_000), clock) as cell:
            await until(lambda: cell.connections == 1)
            yield cell, desk


async def until(true: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what is waited for gives no sign
            await asyncio.sleep(0.01)


async def test_it_obeys_acknowledges_and_falls_back(tmp_path: Path) -> None:
    async with world(tmp_path) as (cell, desk):
        answer = await desk.told(reversion={"limit_w": 500, "after_ms": 8_000})
        assert (answer["id"], answer["accepted"], answer["applied"]["target_w"]) == ("a-1", True, 1_000)
        await until(lambda: cell.w == 1_000)
        await until(lambda: cell.reverted and cell.w == 500)


async def test_a_retained_command_is_never_obeyed(tmp_path: Path) -> None:
    async with world(tmp_path) as (cell, desk):
        assert (await desk.told())["id"] == "a-1"
        assert [command["id"] for command in cell.commands] == ["a-1"]


async def test_what_is_late_or_out_of_range_is_refused_with_a_reason(tmp_path: Path) -> None:
    async with world(tmp_path) as (cell, desk):
        assert (await desk.told())["accepted"]
        now_ms = desk.clock.now_ms()
        for fields, why in (
            ({"id": "b", "expires_ms": now_ms - 1}, "expired"),
            ({"id": "c", "issued_ms": now_ms - 60_000}, "before the one in force"),
            ({"id": "d", "limit_w": 5_001}, "not within 0..5000 W"),
            ({"id": "e", "target_w": 3_001}, "not within -5000..3000 W"),
        ):
            answer = await desk.told(**fields)
            assert (answer["accepted"], why in answer["why"]) == (False, True)
        assert cell.command_id == "a-1"


async def test_a_command_that_comes_twice_does_not_start_its_timer_anew(tmp_path: Path) -> None:
    async with world(tmp_path) as (cell, desk):
        now_ms = desk.clock.now_ms()
        for _ in range(6):
            await desk.told(issued_ms=now_ms, reversion={"limit_w": 500, "after_ms": 10_000})
            await asyncio.sleep(0.1)
        await until(lambda: cell.reverted)
        assert desk.clock.now_ms() - now_ms < 20_000


async def test_an_empty_battery_gives_nothing_and_a_full_one_takes_nothing() -> None:
    clock = Clock.starting(1, T0_MS)
    for charge_pct, own_w in ((0.0, 5_000), (100.0, -5_000)):
        cell = MqttBattery(BatterySpec(name="cell", port=1, charge_pct=charge_pct, own_w=own_w), clock)
        for second in range(20):
            cell.step(T0_MS + 1_000 * second)
        assert (cell.w, cell.stored_wh) == (0.0, 100 * charge_pct)


async def test_a_street_can_hold_it(tmp_path: Path) -> None:
    clock = Clock.starting(RATE, T0_MS)
    async with Broker(tmp_path) as broker:
        cell = MqttBattery(BatterySpec(name="cell", port=broker.port, own_w=2_000), clock)
        async with Street(clock, [], devices=[cell]) as street:
            await until(lambda: cell.w == 2_000)
            assert street.measured_w == {"cell": 2_000}


def test_a_fault_that_is_not_known_is_named() -> None:
    cell = MqttBattery(BatterySpec(name="cell", port=1), Clock.parse("real"))
    with pytest.raises(ValueError, match="use one of ignores, silent, stale, refuses"):
        cell.set_fault("deaf", on=True)


async def test_a_broker_runs_from_the_command_line(tmp_path: Path) -> None:
    del tmp_path
    began_s = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hil.mqtt.broker", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 15)).decode()
    port = int(line.rpartition(":")[2])
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.publish("a", b"b", qos=1)
    process.terminate()
    await process.communicate()
    assert time.monotonic() - began_s < 15
