"""SunSpec Modbus TCP, south: the links to all devices of the site that speak it."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.ports.south import Cleared, Lease
from gateway.southbound.sunspec_modbus.config import SunspecModbus
from gateway.southbound.sunspec_modbus.link import Link, Shared

__all__ = ["Links", "SunspecModbus", "build"]

SWEEP_S: Final = 0.05
CONNECTING: Final = 64


class Links:
    """One task sweeps them all; each owns its connection and settles its replies in callbacks."""

    def __init__(self, links: Mapping[str, Link], shared: Shared) -> None:
        """Take over these links."""
        self.shared = shared
        self._links = links
        self._attempts: set[asyncio.Task[None]] = set()

    def want(self, cleared: Cleared) -> None:
        """Want this of its device from now on."""
        self._links[cleared.command.device].want(cleared)

    async def run(self) -> None:
        """Connect, poll, refresh and meet deadlines until cancelled."""
        try:
            while True:
                wall_s, now_ms = time.monotonic(), self.shared.clock.now_ms()
                for link in self._links.values():
                    if link.sweep(wall_s, now_ms) and len(self._attempts) < CONNECTING:
                        self._connect(link)
                await asyncio.sleep(SWEEP_S)
        finally:
            for task in self._attempts:
                task.cancel()
            for link in self._links.values():
                link.close()

    def _connect(self, link: Link) -> None:
        link.connecting = True
        task = asyncio.create_task(link.connect())
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)


def build(
    tables: Mapping[str, tuple[SunspecModbus, int]], clock: Clock, hear: Hear, lease: Lease, *, may_write: bool
) -> Links:
    """Make the links; `tables` gives each device its table of the site file and its rating (W)."""
    shared = Shared(clock, hear, lease, may_write)
    return Links({name: Link(name, table, rated_w, shared) for name, (table, rated_w) in tables.items()}, shared)
