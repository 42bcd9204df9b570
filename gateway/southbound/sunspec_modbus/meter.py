"""One meter of a connection point: found, read and heard of, never written to (models 201 to 204, 211 to 214)."""

import logging
import time
import zlib
from collections.abc import Sequence
from typing import Final

from gateway.core.events import NOT_METERED, MeterRead
from gateway.core.known import Known, Reading, Unknown
from gateway.southbound.sunspec_modbus.config import SunspecMeter
from gateway.southbound.sunspec_modbus.connection import Door, Shared
from gateway.southbound.sunspec_modbus.gather import Blocks, Gathering, find
from gateway.southbound.sunspec_modbus.points import Part
from gateway.southbound.sunspec_modbus.reach import Way
from gateway.southbound.sunspec_modbus.translate import meter, metered, metered_beside, moved
from gateway.wire.modbus import Refused
from gateway.wire.sunspec import Chain, NotSunSpec, Walk
from gateway.wire.sunspec.discovery import BASES

log = logging.getLogger(__name__)

BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
BUSY_MAX: Final = 2


class MeterLink:
    """Reads one meter for as long as it is swept; every reading is heard, and a loss once and at once."""

    def __init__(self, resource: str, table: SunspecMeter, shared: Shared, way: Way) -> None:
        """Be ready to connect; `sweep` does the rest."""
        self._way = way
        self._blocks = Blocks(table.block_max)
        self.table = table
        self.connecting = False
        self.due_s = 0.0
        self._resource = resource
        self._shared = shared
        self._phase = zlib.crc32(resource.encode()) / 2**32
        self._connection: Door | None = None
        self._bases: tuple[int, ...] = BASES
        self._failures = 0
        self._retry_at = 0.0
        self._meter: Part | None = None
        self._poll_at = 0.0
        self._busy = 0
        self._shows: bool | None = None

    # -- time

    def sweep(self, wall_s: float) -> bool:
        """Do what time asks for; tell whether the meter is to be connected to now."""
        if self._connection is None:
            return not self.connecting and wall_s >= self._retry_at
        self._connection.sweep(wall_s)
        if self._meter is not None and self._connection is not None and self._connection.idle:
            self._poll(self._connection, self._meter, wall_s)
        return False

    def _poll(self, connection: Door, live: Part, wall_s: float) -> None:
        if wall_s < self._poll_at:
            return
        period_s = self.table.poll_s / self._shared.clock.rate
        late = wall_s - self._poll_at > period_s
        self._poll_at = wall_s + period_s * self._phase if late else self._poll_at + period_s
        Gathering(connection, (live.ask,), self._blocks, self._polled, self._not_read)

    # -- the connection

    async def connect(self) -> None:
        """Open the connection; failure is survived and tried again later."""
        try:
            opened = await self._way.open(lambda: None, self._lost)
        finally:
            self.connecting = False
        if isinstance(opened, str):
            self._fail(opened)
            return
        self._connection = opened
        find(lambda: self._connection, Walk(self._bases), self._found)

    def close(self) -> None:
        """End the connection; `sweep` asks for a new one."""
        connection, self._connection, self._meter = self._connection, None, None
        if connection is not None:
            connection.abort()
        if self._shows:
            self._hear(Unknown("closed by the gateway", self._shared.clock.now_ms()))
        self._shows = None
        self._failures, self._retry_at = 0, 0.0

    def end(self, why: str) -> None:
        """Give up the connection and try again later."""
        if self._connection is not None:
            self._connection.end(why)

    def _lost(self, why: str) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._meter is None:
            self._bases = (*self._bases[1:], self._bases[0])
        self._fail(why)

    def _fail(self, why: str) -> None:
        self._meter, self._busy = None, 0
        self._retry_at = time.monotonic() + BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
        self._failures += 1
        self._show(Unknown(why, self._shared.clock.now_ms()))

    # -- finding out

    def _found(self, found: Chain | NotSunSpec | None) -> None:
        if not isinstance(found, Chain):
            self.end(found.why if found is not None else "no SunSpec map")
            return
        self._bases = (found.base, *(base for base in BASES if base != found.base))
        self._blocks.know(found)
        self._meter = meter(found)
        if self._meter is None:
            self.end("it has no meter model, 201 to 204 or 211 to 214: check host and unit")
            return
        self._poll_at = 0.0

    # -- reading

    def _not_read(self, answer: Refused) -> None:
        self._busy += 1
        if not answer.transient or self._busy > BUSY_MAX:
            self.end(f"exception {answer.code} ({answer.name}) to a read")

    def _polled(self, answers: Sequence[bytes]) -> None:
        live = self._meter
        if live is None:
            return
        self._busy, [answer] = 0, answers
        if moved(live, answer):
            self.end(f"model {live.model.id} is no longer where it was found")
            return
        self._failures = 0
        now_ms, export_positive = self._shared.clock.now_ms(), self.table.export_positive
        power = metered(live, answer, now_ms, export_positive=export_positive)
        self._show(power, *metered_beside(live, answer, now_ms, export_positive=export_positive))

    def _show(self, power: Reading, reactive: Reading = NOT_METERED, voltage: Reading = NOT_METERED) -> None:
        """Have a reading heard; one that is not known is heard once, and logged once."""
        shows = isinstance(power, Known)
        before, self._shows = self._shows, shows
        if isinstance(power, Unknown):
            if before is False:
                return
            log.warning("the meter of %s is down: %s", self._resource, power.why)
        elif not before:
            log.info("the meter of %s is up", self._resource)
        self._hear(power, reactive, voltage)

    def _hear(self, power: Reading, reactive: Reading = NOT_METERED, voltage: Reading = NOT_METERED) -> None:
        if isinstance(power, Unknown):
            reactive = voltage = NOT_METERED
        self._shared.hear(MeterRead(self._resource, power, reactive, voltage))
