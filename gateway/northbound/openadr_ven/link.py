"""One OpenADR 3.1 VTN above: read at the poll rate, told what it asked for at the report rate."""

import asyncio
import logging
import secrets
import ssl
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from gateway.core.events import Contact, Offset
from gateway.northbound.openadr_ven.config import OpenadrResource, OpenadrVen
from gateway.northbound.openadr_ven.enrol import Enrolment
from gateway.northbound.openadr_ven.exchange import Exchange, VtnDown, VtnFault
from gateway.northbound.openadr_ven.heard import Heard, Held, Round
from gateway.northbound.openadr_ven.programs import Programs
from gateway.northbound.openadr_ven.reader import Lister
from gateway.northbound.openadr_ven.reports import Reports, pause_ms
from gateway.northbound.openadr_ven.said import Said
from gateway.northbound.openadr_ven.spool import KEPT_MAX, Spool
from gateway.northbound.openadr_ven.words import Profile
from gateway.ports.clock import Clock
from gateway.ports.north import Answer, Hear, Look

log = logging.getLogger(__name__)

OFFSET_STEP_MS: Final = 1_000
LEAP_MS: Final = 60_000
"""A clock that moves by more than this at once is believed the second time only: one wrong Date ends nothing."""
CONTACT_LOST_MIN_S: Final = 300


class Link:
    """Owns the connection to one VTN."""

    def __init__(
        self,
        table: OpenadrVen,
        resources: Mapping[str, OpenadrResource],
        secret: str,
        context: ssl.SSLContext | None,
        words: Profile,
        clock: Clock,
        hear: Hear,
        look: Look | None,
        *,
        may_write: bool,
        spool: Path,
        held: Held,
    ) -> None:
        """Be ready to speak with the VTN of this table for these resources.

        `look` gives the picture to report; None where the VTN is not the parent's, who alone is reported to (A2).
        """
        names = {name: resource.name or name for name, resource in resources.items()}
        self._party = table.party
        self._poll_ms = 1000 * table.poll_s
        self._window_ms = 1000 * (table.contact_lost_s or max(2 * table.poll_s, CONTACT_LOST_MIN_S))
        self._clock = clock
        self._hear = hear
        self._look = look
        self._may_write = may_write
        self._said = Said(table.party)
        self._exchange = Exchange(table, secret, context, clock.now_ms, may_write=may_write)
        self._enrolment = Enrolment(table.party, table.ven_name, names, self._exchange, clock.now_ms)
        self._lister = Lister(self._exchange)
        self._programs = Programs(table.programs, self._lister, self._said)
        draw = partial(secrets.randbits, 64)
        self._heard = Heard(table.party, table.service, words, self._enrolment, hear, draw, self._said, held)
        self._reports = Reports(
            table.party,
            table.ven_name,
            names,
            words,
            table.report_s,
            self._exchange,
            self._heard,
            clock,
            hear,
            self._server_ms,
            partial(Spool, spool, KEPT_MAX),
        )
        self._offset_ms: int | None = None
        self._leap_ms: int | None = None
        self._downs = 0

    @property
    def party(self) -> str:
        """The party whose VTN this is."""
        return self._party

    def owe(self, answer: Answer) -> None:
        """Tell this answer where its event asked for it; then, or at once where it did not, `Delivered` is heard."""
        self._reports.owe(answer)

    async def run(self) -> None:
        """Speak with the VTN until cancelled."""
        async with self._exchange, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll())
            if self._may_write:
                tasks.create_task(self._reports.run(self._look))

    def _server_ms(self) -> int:
        """Give the time on the VTN's clock (RULES C17)."""
        return self._clock.now_ms() + (self._offset_ms or 0)

    async def _poll(self) -> None:
        while True:
            wait_ms = await self._round()
            await self._clock.sleep_until_ms(self._clock.now_ms() + wait_ms)

    async def _round(self) -> int:
        """Read the VTN once and give how long to wait (ms); no trouble with it is raised."""
        try:
            await self._read()
        except VtnDown as fault:
            self._said.amiss("down", f"out of reach: {fault}; what is in force holds", "in reach again")
            self._downs += 1
            return pause_ms(self._downs - 1, fault.after_s)
        except VtnFault as fault:
            self._said.amiss("read", f"{fault}; what is in force holds", "read again")
        if self._downs:
            self._downs = 0
            self._said.over("down")
            self._enrolment.ask(0)
        self._said.close()
        return self._poll_ms

    async def _read(self) -> None:
        await self._programs.read(self._enrolment.all_targets())
        await self._enrolment.renew()
        events = await self._lister.read("/events", self._enrolment.all_targets())
        self._keep_time()
        whole = self._programs.whole and not events.lacking
        if events.lacking:
            self._said.amiss("events", f"the list of events {events.lacking}; nothing is ended by it")
        at = Round(self._programs.listed, self._programs.chosen, self._clock.now_ms(), self._server_ms())
        self._heard.take(events.items, at, whole=whole)
        if whole:
            self._hear(Contact(self._party, self._window_ms))

    def _keep_time(self) -> None:
        found = self._exchange.offset
        if found is None:
            self._said.amiss("time", "its answers bear no Date; its clock is taken for ours", "its answers bear a Date")
            return
        step_ms, before_ms, leapt_ms = OFFSET_STEP_MS + found.within_ms, self._offset_ms, self._leap_ms
        leaps = before_ms is not None and abs(found.by_ms - before_ms) > LEAP_MS
        self._leap_ms = found.by_ms if leaps else None
        if leaps and (leapt_ms is None or abs(found.by_ms - leapt_ms) > step_ms):
            return
        if before_ms is None or abs(found.by_ms - before_ms) > step_ms:
            self._offset_ms = found.by_ms
            self._hear(Offset(self._party, found.by_ms))
