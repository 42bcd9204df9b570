"""Which way leads to each unit: a connection of its own, or a place on the line that it shares with others."""

import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from gateway.southbound.sunspec_modbus.config import Endpoint, ModbusTls, Reach, endpoint
from gateway.southbound.sunspec_modbus.connection import Connection, Door, Shared
from gateway.southbound.sunspec_modbus.dial import dial, exchange
from gateway.southbound.sunspec_modbus.line import Line, Pace, Seat


class Way(Protocol):
    """How a unit is reached."""

    async def open(self, idle: Callable[[], None], lost: Callable[[str], None]) -> Door | str:
        """Reach it, to be told when it is idle again or lost; or give why that cannot be."""


class Own:
    """A connection of the unit's own."""

    def __init__(self, at: Reach, shared: Shared, context: ssl.SSLContext | None) -> None:
        """Be ready to connect."""
        self._to, self._unit = endpoint(at), at.unit
        self._shared = shared
        self._context = context
        self._last: Connection | None = None

    async def open(self, idle: Callable[[], None], lost: Callable[[str], None]) -> Door | str:
        """Open a connection, whose transactions follow on those of the one before."""
        before = 0 if self._last is None else self._last.transaction
        connection = Connection(self._unit, self._shared, exchange(self._to, before), idle, lost)
        self._last = connection
        return await dial(connection, self._to, self._context) or connection


class Place:
    """A place on a line."""

    def __init__(self, at: Reach, shared: Shared, line: Line) -> None:
        """Be ready to join."""
        self._unit = at.unit
        self._shared = shared
        self._line = line

    async def open(self, idle: Callable[[], None], lost: Callable[[str], None]) -> Door | str:
        """Take a seat."""
        seat = Seat(self._line, self._unit, self._shared, idle, lost)
        return await self._line.join(seat) or seat


class Lines:
    """All connections of a site: units with one address share one, whether devices or meters."""

    def __init__(self, units: Iterable[Reach], contexts: Mapping[ModbusTls, ssl.SSLContext] | None = None) -> None:
        """Take the tables of all units, and what secures those that say so.

        Where units that share a line ask for different pauses, the longest hold.
        """
        self._contexts = contexts or {}
        self._users: Counter[Endpoint] = Counter()
        self._paces: dict[Endpoint, Pace] = {}
        self._lines: dict[Endpoint, Line] = {}
        for at in units:
            to = endpoint(at)
            pace = self._paces.get(to, Pace())
            self._users[to] += 1
            self._paces[to] = Pace(
                max(pace.gap_s, at.gap_ms / 1000), max(pace.connect_pause_s, at.connect_pause_ms / 1000)
            )

    def way(self, at: Reach, shared: Shared) -> Way:
        """Give the way to a unit; raises ValueError where it is to be secured and nothing here secures it."""
        to = endpoint(at)
        context = None if at.tls is None else self._contexts.get(at.tls)
        if at.tls is not None and context is None:
            raise ValueError(f"{to.name}: no TLS context for it; make one of its certificate, key and trust")
        pace = self._paces.get(to, Pace())
        if self._users[to] < 2 and pace == Pace() and to.serial is None:
            return Own(at, shared, context)
        if to not in self._lines:
            self._lines[to] = Line(to, context, pace)
        return Place(at, shared, self._lines[to])
