"""Sends each answer until the server acknowledges it, in the order in which they were decided."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from gateway.core.answers import Answer
from gateway.core.events import Delivered
from gateway.northbound.sep2_client import translate
from gateway.northbound.sep2_client.config import Sep2Resource
from gateway.northbound.sep2_client.exchange import OK, Exchange, ServerDown, ServerFault
from gateway.ports.clock import Clock
from gateway.ports.north import Hear

log = logging.getLogger(__name__)

NOT_LET_IN: Final = (401, 403)
"""Who is refused so has shown a certificate that is not registered yet, or no more: the answer stays owed."""
AGAIN_S: Final = (1, 2, 5, 15, 60)
PATIENCE: Final = 5
"""After so many tries in a row, of a server that lives, the others go first: one answer holds up no other order."""


class Outbox:
    """The answers owed to one server; what is in it lives in the machine's state, so nothing is lost with it."""

    def __init__(
        self,
        exchange: Exchange,
        resources: Mapping[str, Sep2Resource],
        codes: Mapping[str, int],
        clock: Clock,
        hear: Hear,
        server_ms: Callable[[int, str], int],
    ) -> None:
        """Answer for these resources with these status codes; `server_ms` puts an instant on a clock of the server."""
        self._exchange = exchange
        self._resources = resources
        self._codes = codes
        self._clock = clock
        self._hear = hear
        self._server_ms = server_ms
        self._owed: dict[int, Answer] = {}
        self._wake = asyncio.Event()

    def owe(self, answer: Answer) -> None:
        """Take an answer to send."""
        self._owed[answer.serial] = answer
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled; where this gateway may not write, what is owed stays owed."""
        tries = 0
        while True:
            if not self._owed or not self._exchange.may_write:
                self._wake.clear()
                await self._wake.wait()
                continue
            answer = next(iter(self._owed.values()))
            try:
                await self._deliver(answer)
            except ServerDown as fault:
                log.debug("answers wait: %s", fault)
                await self._clock.sleep_until_ms(self._clock.now_ms() + 1000 * AGAIN_S[min(tries, len(AGAIN_S) - 1)])
                tries += 1
                if tries % PATIENCE == 0 and await self._exchange.answers():
                    self._let_others_go_first(answer)
                continue
            tries = 0
            self._owed.pop(answer.serial, None)
            self._hear(Delivered(answer.serial))

    async def _deliver(self, answer: Answer) -> None:
        """Send one answer; raise ServerDown where it is to be tried again."""
        resource = self._resources.get(answer.resource)
        if resource is None:
            self._give_up(answer, "its resource is not known to this server any more")
            return
        created_s = self._server_ms(answer.at_ms, answer.clock) // 1000
        body = translate.response(answer, resource.lfdi, self._codes, created_s)
        if body is None:
            return
        try:
            sent = await self._exchange.send("POST", answer.reply_to, body)
        except ServerFault as fault:
            self._give_up(answer, str(fault))
            return
        if sent is not None and sent.status in NOT_LET_IN:
            raise ServerDown(f"status {sent.status}: it does not know this certificate, or not yet")
        if sent is not None and sent.status not in OK:
            self._give_up(answer, f"the server refuses it with status {sent.status}")

    def _give_up(self, answer: Answer, why: str) -> None:
        log.error(
            "the answer %s to %s for %s is not sent again: %s", answer.kind.value, answer.order.id, answer.resource, why
        )

    def _let_others_go_first(self, stuck: Answer) -> None:
        """Put an answer, and what follows it on the same order and resource, behind all others."""
        behind = [
            answer for answer in self._owed.values() if (answer.order, answer.resource) == (stuck.order, stuck.resource)
        ]
        for answer in behind:
            del self._owed[answer.serial]
        self._owed.update((answer.serial, answer) for answer in behind)
