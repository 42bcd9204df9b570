"""MQTT: from a command that the guard cleared to its acknowledgement, beside a bare publish and its answer.

The floor and ours go in turn over the same broker to the same device, which answers at once.
"""

import asyncio
import gc
import json
import shutil
import socket
import statistics
import time
from pathlib import Path
from typing import Any, Final

import aiomqtt

from gateway.core.events import Adopted, Event
from gateway.core.guard import Bounds, Cleared, clear
from gateway.core.orders import OrderKey
from gateway.core.plan import Command
from gateway.ports.south import Lease
from gateway.runtime.clock import RealClock
from gateway.southbound.mqtt_device import Links, MqttDevice, MqttDevices, build
from hil.mqtt.broker import Broker

from .mqtt_responder import DEVICE, SETTINGS
from .result import Result
from .streams import Child

RATED_W: Final = 5_000
ROUNDS: Final = 400
WARM_UP: Final = 40
PATIENCE_S: Final = 10.0
GOAL: Final = 1.5
AT_ONCE: Final = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
"""As our link has it: without it a publish waits 40 ms for the acknowledgement of the one before."""
MS: Final = 1e3


def benchmark(folder: Path) -> list[Result]:
    """Measure some hundred commands, one after another."""
    return [measure(folder, ROUNDS, WARM_UP)]


def measure(folder: Path, rounds: int, warm_up: int) -> Result:
    """Measure so many commands after so many that do not count."""
    shutil.rmtree(folder, ignore_errors=True)
    kind, ours, floor = asyncio.run(_measured(folder, rounds, warm_up))
    what = f"command cleared to acknowledgement heard over {kind}, median of {rounds}"
    return Result("mqtt-command", f"{what}; floor: bare aiomqtt publish to the same answer", ours, "ms", GOAL, floor)


async def _measured(folder: Path, rounds: int, warm_up: int) -> tuple[str, float, float]:
    async with Broker(folder) as broker:
        with Child(folder / "log.txt", "tests.bench.mqtt_responder", broker.port) as device:
            await asyncio.to_thread(device.hear)
            ours_s, floor_s = await _in_turn(broker.port, rounds, warm_up)
        return broker.kind, statistics.median(ours_s) * MS, statistics.median(floor_s) * MS


async def _in_turn(port: int, rounds: int, warm_up: int) -> tuple[list[float], list[float]]:
    """Send ours and the floor's in turn; give the seconds of each."""
    desk, floor = Desk(port), Floor()
    running = asyncio.create_task(desk.links.run())
    ours_s: list[float] = []
    floor_s: list[float] = []
    try:
        async with aiomqtt.Client(
            "127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, socket_options=AT_ONCE
        ) as client:
            await client.subscribe("floor/+/ack", qos=1)
            await desk.up(client)
            gc.collect()
            gc.freeze()
            for number in range(warm_up + rounds):
                spent_s = (await desk.told(number), await floor.told(client))
                if number >= warm_up:
                    ours_s.append(spent_s[0])
                    floor_s.append(spent_s[1])
    finally:
        gc.unfreeze()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return ours_s, floor_s


class Desk:
    """Our link to one device, and what it hears."""

    def __init__(self, port: int) -> None:
        self._clock = RealClock()
        self._adopted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        table, devices = MqttDevices("127.0.0.1", port), {DEVICE: (MqttDevice(revert_s=3_600, report_s=60), RATED_W)}
        lease = Lease(self._clock, 1 << 60)
        self.links: Links = build(table, devices, None, None, self._clock, self._hear, lease, may_write=True)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Adopted) and not self._adopted.done():
            self._adopted.set_result(None)

    async def up(self, client: aiomqtt.Client) -> None:
        """Return once the device counts as there: what stands in for it says a state until it is told something."""
        self.links.want(self._cleared(1 << 40))
        async with asyncio.timeout(PATIENCE_S):
            while not self._adopted.done():
                state = {"at_ms": self._clock.now_ms(), "sequence": time.monotonic_ns(), "power_w": 0}
                silent: dict[str, Any] = {**state, "command_id": None, "settings": None}
                await client.publish(f"laminar/{DEVICE}/state", json.dumps(silent).encode(), qos=1)
                await asyncio.sleep(0.05)

    async def told(self, number: int) -> float:
        """Want a command; give the seconds until it is adopted."""
        self._adopted = asyncio.get_running_loop().create_future()
        cleared = self._cleared(number)
        began_s = time.perf_counter()
        self.links.want(cleared)
        async with asyncio.timeout(PATIENCE_S):
            await self._adopted
        return time.perf_counter() - began_s

    def _cleared(self, number: int) -> Cleared:
        now_ms = self._clock.now_ms()
        limit_w = 1_000 + number % 1_000
        command = Command(DEVICE, limit_w, None, None, None, 500, 3_600_000, (OrderKey("dso", "a"),), "C2")
        bounds = Bounds(DEVICE, RATED_W, RATED_W, 0, 0, RATED_W, 0, 0, True, True, now_ms + 1_800_000)
        made = clear(command, bounds, number + 1, now_ms)
        if not isinstance(made, Cleared):
            raise TypeError(made.why)
        return made


class Floor:
    """The least: a payload made beforehand, published, and the bytes of the answer."""

    def __init__(self) -> None:
        settings = dict.fromkeys(SETTINGS, 1)
        self._payload = json.dumps({"id": "floor-1", "issued_ms": 1, "expires_ms": 2, **settings}).encode()

    async def told(self, client: aiomqtt.Client) -> float:
        """Publish; give the seconds until the answer is there."""
        began_s = time.perf_counter()
        await client.publish(f"floor/{DEVICE}/command", self._payload, qos=1)
        async with asyncio.timeout(PATIENCE_S):
            await anext(client.messages)
        return time.perf_counter() - began_s
