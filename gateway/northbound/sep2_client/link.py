"""One 2030.5 server above: read at its poll rates, answered at once, shown the picture at its post rate."""

import asyncio
import logging
import secrets
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from gateway.northbound.sep2_client import spread
from gateway.northbound.sep2_client.alarm_box import AlarmBox
from gateway.northbound.sep2_client.config import Sep2Client, Sep2Resource
from gateway.northbound.sep2_client.curve_reader import CurveReader
from gateway.northbound.sep2_client.exchange import Exchange, ServerDown
from gateway.northbound.sep2_client.heard import NOTHING, Before
from gateway.northbound.sep2_client.listener import Listener
from gateway.northbound.sep2_client.mirror import Mirror
from gateway.northbound.sep2_client.outbox import Outbox
from gateway.northbound.sep2_client.papers import Papers
from gateway.northbound.sep2_client.programs import Split
from gateway.northbound.sep2_client.reader import Reader
from gateway.northbound.sep2_client.speech import Speech
from gateway.northbound.sep2_client.subscriber import Subscriber
from gateway.northbound.sep2_client.walk import Walker
from gateway.ports.clock import Clock
from gateway.ports.north import Answer, Hear, Look, Notice

log = logging.getLogger(__name__)

SHORTEST_MS: Final = 1_000
SAMPLE_S: Final = 5


class _Walker(Walker):
    """A walker whose own certificate may change under it."""

    def known_as(self, own_lfdi: str) -> None:
        """Be the EndDevice of another LFDI, and read everything anew in the next round."""
        self._own_lfdi = own_lfdi
        self._reader.expire()


class Link:
    """Owns the connection to one server."""

    def __init__(
        self,
        table: Sep2Client,
        resources: Mapping[str, Sep2Resource],
        own_lfdi: str,
        context: ssl.SSLContext,
        speech: Speech,
        clock: Clock,
        hear: Hear,
        look: Look | None,
        *,
        may_write: bool,
        levels: Mapping[str, int] | None = None,
        notify: ssl.SSLContext | None = None,
        before: Before = NOTHING,
    ) -> None:
        """Be ready to speak with the server of this table for these resources.

        `look` gives the picture to show it; None where the server is not the parent's, who alone is reported to (A2).
        `levels` is the level that the party stands at with each service that it is granted. `notify` is what we listen
        for notifications by; without it, and where we may not write, the server is polled alone. `before` is what was
        heard of it before a restart.
        """
        self._party = table.party
        self._clock = clock
        self._look = look
        self._exchange = Exchange(table.url, context, may_write=may_write, dialect=speech.dialect)
        phase_s = spread.phase_s(own_lfdi, table.url)
        self._walker = _Walker(
            table.party,
            self._exchange,
            Reader(self._exchange, clock, table.poll_s, phase_s),
            CurveReader(self._exchange, clock, table.poll_s, phase_s),
            resources,
            own_lfdi,
            clock,
            hear,
            partial(secrets.randbits, 64),
            table.contact_lost_s,
            Split(table.program, levels, joined=speech.joined),
            speech.versions,
            before,
        )
        self._outbox = Outbox(self._exchange, resources, speech.codes, clock, hear, self._walker.server_ms)
        self._walked, self._met = asyncio.Event(), asyncio.Event()
        self._papers = Papers(table.party, self._exchange, resources)
        self._alarms = AlarmBox(
            table.party,
            self._exchange,
            resources,
            clock,
            hear,
            self._walker.server_ms,
            lambda: self._walker.found,
        )
        self._subscriber = self._listener = None
        if notify is not None and may_write:
            self._subscriber = Subscriber(table.party, self._exchange, clock)
            self._listener = Listener(table, notify, self._subscriber.reach, self._subscriber.notified)
        self._mirror = Mirror(
            table.party,
            self._exchange,
            resources,
            own_lfdi,
            table.post_s,
            self._walker.gradient_hundredths_per_s,
            phase_s,
        )

    @property
    def party(self) -> str:
        """The party whose server this is."""
        return self._party

    def renew(self, own_lfdi: str) -> None:
        """Be known by another LFDI, that of a new certificate: what is asked next is asked under it."""
        self._exchange.renew()
        self._walker.known_as(own_lfdi)
        self._mirror.known_as(own_lfdi)
        if self._subscriber is not None:
            self._subscriber.look_again()

    def cut(self, why_denied: Callable[[bytes], str | None]) -> None:
        """Cut the open connections of those who notify us and whose certificate (DER) is denied."""
        if self._listener is not None:
            self._listener.cut(why_denied)

    @property
    def refused(self) -> Mapping[str, int] | None:
        """Whom the listener for notifications refused, by its reason; None where there is none."""
        return None if self._listener is None else self._listener.refusals.counts

    def owe(self, answer: Answer) -> None:
        """Send this answer until it is acknowledged."""
        self._outbox.owe(answer)

    def report(self, notice: Notice) -> None:
        """Post this notice as a LogEvent until it is taken in."""
        self._alarms.owe(notice)

    async def run(self) -> None:
        """Speak with the server until cancelled."""
        async with self._exchange, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll())
            tasks.create_task(self._answer())
            tasks.create_task(self._alarm())
            if self._exchange.may_write:
                tasks.create_task(self._tell(self._papers))
            if self._look is not None:
                tasks.create_task(self._show(self._look))
            if self._listener is not None and self._subscriber is not None:
                tasks.create_task(self._listener.run())
                tasks.create_task(self._subscribe(self._subscriber))

    async def _poll(self) -> None:
        while True:
            if self._subscriber is not None:
                self._expire(self._subscriber)
            await self._walker.walk()
            self._walked.set()
            self._met.set()
            self._alarms.look_again()
            soonest_ms = self._clock.now_ms() + SHORTEST_MS
            if self._subscriber is not None and not self._walker.is_down:
                await self._clock.sleep_until_ms(soonest_ms)
                await self._until(self._subscriber.changed, self._walker.next_ms())
            else:
                await self._clock.sleep_until_ms(max(self._walker.next_ms(), soonest_ms))

    def _expire(self, subscriber: Subscriber) -> None:
        """Have read again what we were told of, and after an outage look for the subscriptions."""
        for href in subscriber.take_stale():
            self._walker.expire(href)
        if self._walker.is_down:
            subscriber.look_again()

    async def _subscribe(self, subscriber: Subscriber) -> None:
        """Keep subscribed to what the server offers, apart from the polls, which wait for nothing here."""
        await subscriber.reached.wait()
        await self._walker.seen.wait()
        await self._walked.wait()
        while True:
            if not self._walker.is_down:
                own = self._walker.found.own
                link = None if own is None else own.subscription_list_link
                href = None if link is None else link.href
                await subscriber.keep(href, self._walker.subscribable(), whole=self._walker.is_whole)
                soonest_ms = self._clock.now_ms() + SHORTEST_MS
                await self._until(self._walked, max(subscriber.next_ms(), soonest_ms))
            else:
                await self._walked.wait()
            self._walked.clear()

    async def _until(self, event: asyncio.Event, at_ms: int) -> None:
        """Return when an event is set, or when the clock shows `at_ms`."""
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._clock.sleep_until_ms(at_ms))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _answer(self) -> None:
        """Answer from the moment on at which the server's clock is known, because answers bear its time."""
        await self._walker.timed.wait()
        await self._outbox.run()

    async def _alarm(self) -> None:
        """Tell of alarms from the moment on at which the EndDevices are known, and the server's clock."""
        await self._walker.seen.wait()
        await self._alarms.run()

    async def _tell(self, papers: Papers) -> None:
        """Tell what each EndDevice is after every round of polls, apart from them, which wait for nothing here."""
        while True:
            await self._met.wait()
            self._met.clear()
            try:
                await papers.keep(self._walker.found, self._server_s())
            except ServerDown as fault:
                log.debug("%s: what the devices are waits: %s", self._party, fault)

    async def _show(self, look: Look) -> None:
        """Show the picture from the moment on at which the server is known."""
        await self._walker.seen.wait()
        while self._exchange.may_write:
            now_s = self._server_s()
            try:
                await self._mirror.turn(self._walker.found, look(), now_s)
            except ServerDown as fault:
                log.debug("%s: the picture waits: %s", self._party, fault)
            now_ms, wake_s = self._clock.now_ms(), min(now_s + SAMPLE_S, self._mirror.next_s())
            await self._clock.sleep_until_ms(now_ms + max(1, 1000 * wake_s - self._walker.server_ms(now_ms)))

    def _server_s(self) -> int:
        return self._walker.server_ms(self._clock.now_ms()) // 1000
