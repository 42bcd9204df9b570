"""SunSpec Modbus TCP, south: the links to all devices of the site that speak it."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final

from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.ports.south import Cleared, Lease
from gateway.southbound.sunspec_modbus.config import SunspecModbus
from gateway.southbound.sunspec_modbus.connection import Shared
from gateway.southbound.sunspec_modbus.link import Link

__all__ = ["Links", "SunspecModbus", "build"]

log = logging.getLogger(__name__)

SWEEP_S: Final = 0.05
CONNECTING: Final = 64


class Links:
    """One task sweeps them all; each owns its connection and settles its replies in callbacks."""

    def __init__(self, links: Mapping[str, Link], shared: Shared) -> None:
        """Take over these links."""
        self.shared = shared
        self._links = links
        self._attempts: set[asyncio.Task[None]] = set()

    @property
    def writes(self) -> int:
        """How many times a device was told something."""
        return self.shared.writes

    def want(self, cleared: Cleared) -> None:
        """Want this of its device from now on."""
        self._links[cleared.command.device].want(cleared)

    async def run(self) -> None:
        """Connect, poll, refresh and meet deadlines until cancelled; it can be run again."""
        try:
            while True:
                wall_s = time.monotonic()
                for link in self._links.values():
                    self._sweep(link, wall_s)
                await asyncio.sleep(SWEEP_S)
        finally:
            for task in self._attempts:
                task.cancel()
            await asyncio.gather(*self._attempts, return_exceptions=True)
            for link in self._links.values():
                link.close()

    def _sweep(self, link: Link, wall_s: float) -> None:
        """Sweep one link; a fault of ours with one device is never another's trouble."""
        try:
            due = link.sweep(wall_s)
        except Exception:
            log.exception("%s: its link broke and starts anew", link.device)
            link.end("a fault of the gateway's own")
            return
        if due and len(self._attempts) < CONNECTING:
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
