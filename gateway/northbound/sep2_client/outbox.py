"""Sends each answer until the server acknowledges it, in the order in which they were decided."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from gateway.core.answers import Answer
from gateway.core.events import Delivered
from gateway.northbound.sep2_client import translate
from gateway.northbound.sep2_client.config import Sep2Resource
from gateway.northbound.sep2_client.exchange import OK, Exchange, ServerFault
from gateway.ports.clock import Clock
from gateway.ports.north import Hear

log = logging.getLogger(__name__)

RETRY_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
TRY_AGAIN: Final = (408, 425, 429)


class Outbox:
    """The answers owed to one server; what is in it lives in the machine's state, so nothing is lost with it."""

    def __init__(
        self,
        exchange: Exchange,
        resources: Mapping[str, Sep2Resource],
        codes: Mapping[str, int],
        clock: Clock,
        hear: Hear,
    ) -> None:
        """Answer for these resources with these status codes."""
        self._exchange = exchange
        self._resources = resources
        self._codes = codes
        self._clock = clock
        self._hear = hear
        self._owed: dict[int, Answer] = {}
        self._wake = asyncio.Event()
        self.clock_offset_ms = 0

    def owe(self, answer: Answer) -> None:
        """Take an answer to send."""
        self._owed[answer.serial] = answer
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        failures = 0
        while True:
            if not self._owed:
                self._wake.clear()
                await self._wake.wait()
            answer = next(iter(self._owed.values()))
            try:
                await self._deliver(answer)
            except ServerFault as fault:
                log.log(logging.INFO if failures else logging.WARNING, "answers wait: %s", fault)
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
                continue
            failures = 0
            del self._owed[answer.serial]
            self._hear(Delivered(answer.serial))

    async def _deliver(self, answer: Answer) -> None:
        """Send one answer; raise ServerFault where it is to be tried again."""
        body = translate.response(answer, self._resources[answer.resource].lfdi, self._codes, answer.at_ms // 1000)
        if body is None:
            return
        sent = await self._exchange.send("POST", answer.reply_to, body)
        if sent is None or sent.status in OK:
            return
        if sent.status >= 500 or sent.status in TRY_AGAIN:
            raise ServerFault(f"POST {answer.reply_to}: status {sent.status}", sent.status)
        log.error(
            "the server refuses the answer %s to %s for %s with status %d; it is not sent again",
            answer.kind.value,
            answer.order.id,
            answer.resource,
            sent.status,
        )
