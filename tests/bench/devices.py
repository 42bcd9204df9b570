"""The devices of a benchmark in a process of their own: hil's Modbus servers before plain registers that note times.

`python -m tests.bench.devices COUNT` prints the ports and then answers one JSON line to each that it reads. Every
device has two units that share no register: 1 is for the gateway, 2 for the floor. Times are CLOCK_MONOTONIC in ns.
"""

import asyncio
import gc
import json
import sys
import time
from typing import Any

import uvloop

from hil.generation_2018 import Generation2018
from hil.modbus_server import WRITE_MULTIPLE, ModbusServer
from hil.personality import InverterSpec
from hil.register_image import Image, Layout, layout_of

from .streams import lines, say

RATED_W = 5_000
BASE = 40_000
UNITS = (1, 2)
OURS, FLOOR = UNITS
PATIENCE_S = 20.0
LOOK_S = 0.005
SPEC = InverterSpec(name="any", rated_w=RATED_W, light=True)


class Device:
    """Registers without rules and without time: a write is noted with its instant, and power follows the limit."""

    __slots__ = ("_control", "_limit_at", "_power_at", "_words", "arrived_ns", "told", "watched")

    def __init__(self, words: bytes, layout: Layout) -> None:
        self._words = bytearray(words)
        self._limit_at = 2 * layout.registers["704.WMaxLimPct"].offset
        self._control = BASE + layout.registers["704.WMaxLimPctEna"].offset
        self._power_at = 2 * layout.registers["701.W"].offset
        self.watched = -1
        self.arrived_ns = 0
        self.told = b""

    def read(self, address: int, count: int) -> bytes | None:
        start = 2 * (address - BASE)
        return bytes(self._words[start : start + 2 * count])

    def write(self, function: int, address: int, payload: bytes) -> int:
        now_ns = time.monotonic_ns()
        start = 2 * (address - BASE)
        self._words[start : start + len(payload)] = payload
        if address == self._control:
            limit = self._words[self._limit_at : self._limit_at + 2]
            hundredths = int.from_bytes(limit, "big")
            if hundredths == self.watched and not self.arrived_ns and function == WRITE_MULTIPLE:
                self.arrived_ns, self.told = now_ns, payload
            self._words[self._power_at : self._power_at + 2] = (RATED_W * hundredths // 10_000).to_bytes(2, "big")
        return 0

    @property
    def control(self) -> int:
        """The address at which the limit is written."""
        return self._control

    def watch(self, hundredths: int) -> None:
        """Note the first write that sets this limit."""
        self.watched, self.arrived_ns, self.told = hundredths, 0, b""


def make(count: int) -> list[dict[int, Device]]:
    """Make the units of so many devices, all alike and as hil's own inverters are at their start."""
    generation = Generation2018()
    layout = layout_of(generation.models, generation.scale_factors(SPEC))
    start = generation.at_start(SPEC) | {"701.W": RATED_W, "701.LNV": SPEC.nominal_v, "701.ConnSt": 1, "701.Var": 0}
    image = Image(layout, BASE, start, {})
    words = image.read(BASE, len(layout.template) // 2 + 2) or b""
    return [{unit: Device(words, layout) for unit in UNITS} for _ in range(count)]


async def serve(count: int) -> None:
    """Listen, and do what each line says until there is none left."""
    devices = make(count)
    servers = [ModbusServer(units) for units in devices]
    for server in servers:
        await server.start()
    gc.collect()
    gc.disable()
    say({"ports": [server.port for server in servers]})
    async for line in lines():
        unit = [units[line["unit"]] for units in devices]
        if "watch" in line:
            for device in unit:
                device.watch(line["watch"])
            say({"watched": len(unit)})
        else:
            say(await collect(unit))
    for server in servers:
        await server.stop()


async def collect(devices: list[Device]) -> dict[str, Any]:
    """Wait until all devices were told, and say when; what has not come by then does not come."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s and not all(device.arrived_ns for device in devices):
        await asyncio.sleep(LOOK_S)
    came = [device for device in devices if device.arrived_ns]
    one = came[0] if came else devices[0]
    return {"arrived_ns": [each.arrived_ns for each in came], "address": one.control, "told": one.told.hex()}


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
