"""One 2030.5 server above: read at its poll rates, answered at once, shown the picture at its post rate."""

import asyncio
import logging
import secrets
import ssl
from collections.abc import Mapping
from typing import Final

from gateway.northbound.sep2_client.config import Sep2Client, Sep2Resource
from gateway.northbound.sep2_client.exchange import Exchange, ServerFault
from gateway.northbound.sep2_client.mirror import Mirror
from gateway.northbound.sep2_client.outbox import Outbox
from gateway.northbound.sep2_client.walk import Walker
from gateway.ports.clock import Clock
from gateway.ports.north import Answer, Hear, Look

log = logging.getLogger(__name__)

RETRY_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SHORTEST_MS: Final = 1_000


class Link:
    """Owns the connection to one server."""

    def __init__(
        self,
        table: Sep2Client,
        resources: Mapping[str, Sep2Resource],
        own_lfdi: str,
        context: ssl.SSLContext,
        codes: Mapping[str, int],
        clock: Clock,
        hear: Hear,
        look: Look,
        *,
        may_write: bool,
    ) -> None:
        """Be ready to speak with the server of this table for these resources."""
        self._table = table
        self._clock = clock
        self._look = look
        self._exchange = Exchange(table.url, context, may_write=may_write)
        draw = lambda: secrets.randbits(64)  # noqa: E731 - the one source of randomness, handed in as a value
        self._walker = Walker(table.party, self._exchange, resources, own_lfdi, clock, hear, draw)
        self._walker.poll_s, self._walker.contact_lost_s = table.poll_s, table.contact_lost_s
        self._outbox = Outbox(self._exchange, resources, codes, clock, hear)
        self._mirror = Mirror(self._exchange, resources, own_lfdi)
        self._read = asyncio.Event()

    @property
    def party(self) -> str:
        """The party whose server this is."""
        return self._table.party

    def owe(self, answer: Answer) -> None:
        """Send this answer until it is acknowledged."""
        self._outbox.owe(answer)

    async def run(self) -> None:
        """Speak with the server until cancelled."""
        async with self._exchange, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll())
            tasks.create_task(self._outbox.run())
            tasks.create_task(self._show())

    async def _poll(self) -> None:
        failures = 0
        while True:
            try:
                await self._walker.walk(self._table.url)
            except ServerFault as fault:
                if not failures:
                    log.warning("%s is out of reach or unreadable: %s; what is in force holds", self.party, fault)
                    self._walker.forget_dues()
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
                continue
            if failures:
                log.warning("%s is read completely again", self.party)
            failures = 0
            self._read.set()
            await self._clock.sleep_until_ms(max(self._walker.next_due_ms(), self._clock.now_ms() + SHORTEST_MS))

    async def _show(self) -> None:
        await self._read.wait()
        since_ms = self._clock.now_ms()
        while True:
            await self._clock.sleep_until_ms(self._clock.now_ms() + 1000 * self._table.post_s)
            now_ms = self._clock.now_ms()
            try:
                await self._mirror.show(self._walker.found, self._look(), since_ms // 1000, now_ms // 1000)
            except ServerFault as fault:
                log.info("%s: the picture waits: %s", self.party, fault)
                continue
            since_ms = now_ms
