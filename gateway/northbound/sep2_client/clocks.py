"""A server's clocks against ours: that of its DeviceCapability, and those that assignments have of their own.

Each is heard when it is known and whenever it has moved, at the poll rate of its Time; one that cannot be read goes on
as it went. Source: IEEE 2030.5-2018, Time and FunctionSetAssignments (10.2.3: events run on the clock of the assignment
that names them); RULES C17.
"""

from collections.abc import Mapping
from typing import Final

from gateway.core.events import Offset
from gateway.northbound.sep2_client import translate
from gateway.northbound.sep2_client.exchange import ServerFault
from gateway.northbound.sep2_client.reader import Reader
from gateway.northbound.sep2_client.said import Said
from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.wire.sep2 import WireFault
from gateway.wire.sep2.resources import Time

OFFSET_STEP_MS: Final = 1_000
OWN: Final = ""
"""The name of the clock of the DeviceCapability; the others are named by where their Time is."""


class Clocks:
    """What is known of one server's clocks."""

    def __init__(
        self, party: str, reader: Reader, clock: Clock, hear: Hear, said: Said, offsets_ms: Mapping[str, int]
    ) -> None:
        """Read them through this reader, and tell `hear` how far each is ahead of `clock`; go on from `offsets_ms`."""
        self._party = party
        self._reader = reader
        self._clock = clock
        self._hear = hear
        self._said = said
        self._times: dict[str, Time] = {}
        self._offsets_ms = dict(offsets_ms)

    def server_ms(self, at_ms: int, clock: str = OWN) -> int:
        """Give an instant of our clock on one of the server's; one that is not known goes as its own does."""
        return at_ms + self._offsets_ms.get(clock, self._offsets_ms.get(OWN, 0))

    async def keep(self, href: str, clock: str = OWN) -> None:
        """Keep a clock whose Time is at this address; raise ServerFault where it was never known."""
        sent_ms = self._clock.now_ms()
        time = await self._reader.one(href, Time)
        if time is self._times.get(clock):
            return
        try:
            offset_ms = translate.server_ms(time) - (sent_ms + self._clock.now_ms()) // 2
        except WireFault as fault:
            self._said.amiss(f"time at {href}", f"{fault}; its clock is taken as it was")
            if clock not in self._offsets_ms:
                raise ServerFault(str(fault)) from fault
            return
        self._times[clock] = time
        before_ms = self._offsets_ms.get(clock)
        if before_ms is None or abs(offset_ms - before_ms) > OFFSET_STEP_MS:
            self._offsets_ms[clock] = offset_ms
            self._hear(Offset(self._party, offset_ms, clock))
