"""Captures of device families, served as their family behaves, and a link to each that knows all profiles."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from gateway.core.events import Event, Observed
from gateway.core.guard import Bounds, Cleared, clear
from gateway.core.known import Known
from gateway.core.orders import OrderKey
from gateway.core.plan import Command
from gateway.ports.south import Lease
from gateway.runtime import wiring
from gateway.runtime.clock import ScaledClock
from gateway.southbound.sunspec_modbus import Catalogue, Links, SunspecModbus, build
from hil.sunspec import replay
from hil.sunspec.modbus_server import ModbusServer

FOLDER = Path(__file__).parent / "captures"
CAPTURES = {path.stem: replay.load(path) for path in sorted(FOLDER.glob("*.toml"))}
START_S = 1_767_225_600
RATE = 40


@asynccontextmanager
async def played(name: str) -> AsyncIterator[tuple[ModbusServer, replay.Replayed]]:
    """Serve the capture of a family, with its peculiarities."""
    server, registers = replay.server(CAPTURES[name])
    await server.start()
    try:
        yield server, registers
    finally:
        await server.stop()


def table(name: str, port: int, **fields: Any) -> SunspecModbus:
    """Give the table of a device that is where its capture is served."""
    return SunspecModbus(host="127.0.0.1", port=port, unit=CAPTURES[name].unit, **fields)


class Told:
    """A link to one device, and what was heard of it."""

    def __init__(self, links: Links, clock: ScaledClock, heard: list[Event]) -> None:
        self.links, self.clock, self.heard = links, clock, heard

    def of(self, kind: type[Event]) -> list[Any]:
        """Give what was heard of a kind."""
        return [each for each in self.heard if isinstance(each, kind)]

    @property
    def powers(self) -> list[int]:
        """Give every power that was said to be known."""
        seen: list[Observed] = self.of(Observed)
        return [each.power.value for each in seen if isinstance(each.power, Known)]

    def want(self, limit_w: int, rated_w: int, serial: int = 1) -> None:
        """Want a limit, which is also what it is to fall back to."""
        command = Command("roof", limit_w, None, None, None, limit_w, 60_000, (OrderKey("dso", "a"),), "C2")
        now_ms = self.clock.now_ms()
        bounds = Bounds("roof", rated_w, rated_w, 0, 0, rated_w, 0, 0, True, True, now_ms + 1_800_000)
        made = clear(command, bounds, serial, now_ms)
        assert isinstance(made, Cleared)
        self.links.want(made)

    async def until(self, true: Callable[[], object], seconds: float = 8) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110 - what is waited for gives no sign
                await asyncio.sleep(0.01)


@asynccontextmanager
async def linked(at: SunspecModbus, rated_w: int, profiles: Catalogue | None = None) -> AsyncIterator[Told]:
    """Run a link to a device until the end of the context."""
    clock = ScaledClock(float(RATE), START_S - RATE * time.monotonic())
    heard: list[Event] = []
    links = build(
        {"roof": (at, rated_w)},
        clock,
        heard.append,
        Lease(clock, 1 << 60),
        may_write=True,
        profiles=wiring.device_profiles() if profiles is None else profiles,
    )
    task = asyncio.create_task(links.run())
    try:
        yield Told(links, clock, heard)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def pauses() -> bool:
    """Tell whether links pause after connecting, as the site file may ask them to."""
    return any(each.name == "connect_pause_ms" for each in dataclasses.fields(SunspecModbus))
