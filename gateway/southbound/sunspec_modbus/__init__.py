"""SunSpec Modbus, south: the links to all devices and meters of the site that speak it."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final, Protocol

from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.ports.south import Cleared, Lease
from gateway.southbound.sunspec_modbus.config import (
    ModbusTls,
    Reach,
    SunspecMeter,
    SunspecModbus,
    line_faults,
    reach_faults,
)
from gateway.southbound.sunspec_modbus.connection import Shared
from gateway.southbound.sunspec_modbus.link import Link
from gateway.southbound.sunspec_modbus.meter import MeterLink
from gateway.southbound.sunspec_modbus.profiles import NONE, Catalogue, Profile, ProfileFault, catalogue
from gateway.southbound.sunspec_modbus.reach import Lines

__all__ = [
    "Catalogue",
    "Lines",
    "Links",
    "Meters",
    "ModbusTls",
    "Profile",
    "ProfileFault",
    "Reach",
    "SunspecMeter",
    "SunspecModbus",
    "build",
    "build_meters",
    "catalogue",
    "line_faults",
    "reach_faults",
]

log = logging.getLogger(__name__)

SWEEP_S: Final = 0.05
SWEPT_AT_ONCE: Final = 50
"""So many that something is due of before whatever else is ready has its turn."""
CONNECTING: Final = 64


class Swept(Protocol):
    """One connection that a task sweeps."""

    connecting: bool
    due_s: float
    """The monotonic time before which there is nothing to sweep for; whatever else happens to it sets this anew."""

    def sweep(self, wall_s: float) -> bool:
        """Do what time asks for; tell whether to connect now."""

    async def connect(self) -> None:
        """Open the connection; failure is survived and tried again later."""

    def end(self, why: str) -> None:
        """Give up the connection and try again later."""

    def close(self) -> None:
        """End the connection."""


class Sweeping:
    """One task sweeps them all; each owns its connection and settles its replies in callbacks."""

    def __init__(self, swept: Mapping[str, Swept]) -> None:
        """Take over these connections, each by what it is called in the log."""
        self._swept = swept
        self._attempts: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Connect, poll, refresh and meet deadlines until cancelled; it can be run again."""
        every = tuple(self._swept.items())
        try:
            while True:
                now_s = time.monotonic()
                due = [each for each in every if each[1].due_s <= now_s]
                for number, (name, one) in enumerate(due, 1):
                    self._sweep(name, one, time.monotonic())
                    if number % SWEPT_AT_ONCE == 0:
                        await asyncio.sleep(0)
                await asyncio.sleep(SWEEP_S)
        finally:
            for task in self._attempts:
                task.cancel()
            await asyncio.gather(*self._attempts, return_exceptions=True)
            for one in self._swept.values():
                one.close()

    def _sweep(self, name: str, one: Swept, wall_s: float) -> None:
        """Sweep one; a fault of ours with it is never another's trouble."""
        try:
            due = one.sweep(wall_s)
        except Exception:
            log.exception("%s: its link broke and starts anew", name)
            one.end("a fault of the gateway's own")
            return
        if due and len(self._attempts) < CONNECTING:
            one.connecting = True
            task = asyncio.create_task(one.connect())
            self._attempts.add(task)
            task.add_done_callback(self._attempts.discard)


class Links(Sweeping):
    """The links to the devices."""

    def __init__(self, links: Mapping[str, Link], shared: Shared) -> None:
        """Take over these links."""
        super().__init__(links)
        self.shared = shared
        self._links = links

    @property
    def writes(self) -> int:
        """How many times a device was told something."""
        return self.shared.writes

    def want(self, cleared: Cleared) -> None:
        """Want this of its device from now on."""
        self._links[cleared.command.device].want(cleared)


class Meters(Sweeping):
    """The links to the meters of connection points, which are only read."""


def build(
    tables: Mapping[str, tuple[SunspecModbus, int]],
    clock: Clock,
    hear: Hear,
    lease: Lease,
    *,
    may_write: bool,
    profiles: Catalogue = NONE,
    lines: Lines | None = None,
) -> Links:
    """Make the links; `tables` gives each device its table of the site file and its rating (W).

    Each device is told as the profile of its family says: by name where its table has one, else by what it says of
    itself once it is found. `lines` are the connections of the whole site, without which these devices share only among
    themselves.
    """
    shared = Shared(clock, hear, lease, may_write, profiles=profiles)
    told = {name: (profiles.named(table.profile).on(table), rated_w) for name, (table, rated_w) in tables.items()}
    lines = lines or Lines(table for table, _ in told.values())
    links = {
        name: Link(name, table, rated_w, shared, lines.way(table, shared)) for name, (table, rated_w) in told.items()
    }
    return Links(links, shared)


def build_meters(tables: Mapping[str, SunspecMeter], clock: Clock, hear: Hear, *, lines: Lines | None = None) -> Meters:
    """Make the links to meters; `tables` gives each resource the table of its meter. They may write nothing.

    `lines` as of `build`.
    """
    shared = Shared(clock, hear, Lease(clock), may_write=False)
    lines = lines or Lines(tables.values())
    links = {
        f"the meter of {name}": MeterLink(name, table, shared, lines.way(table, shared))
        for name, table in tables.items()
    }
    return Meters(links)
