"""What the VTN is told: readings at their rate and answers as they come, kept on disk until it has acknowledged them.

Our reading: while an event lasts that asks for READING, it is reported every `report_s`, whatever number of intervals
it asks for between two reports. A report that the VTN has already (409) is sent; one that it will never take (another
4xx) is given up with a line.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from gateway.core.events import Delivered
from gateway.northbound.openadr_ven import translate
from gateway.northbound.openadr_ven.enrol import targets_of
from gateway.northbound.openadr_ven.exchange import OK, Exchange, VtnDown, VtnFault
from gateway.northbound.openadr_ven.heard import Heard, Known
from gateway.northbound.openadr_ven.said import Said
from gateway.northbound.openadr_ven.spool import Gap, Spool, SpoolFault
from gateway.northbound.openadr_ven.words import KW, READ_UNITS, Profile
from gateway.ports.clock import Clock
from gateway.ports.north import Answer, Hear, Look
from gateway.wire.openadr3 import AGGREGATED, ReportDescriptor, encode

log = logging.getLogger(__name__)

AGAIN_S: Final = (1, 5, 15, 60)
CONFLICT: Final = 409
EVENTS_MAX: Final = 100
"""Of so many events a round of readings is made; more ask for the same again and again."""


class Wanted(NamedTuple):
    """One series of readings: the event and interval that it quotes, its unit, of which resources, whether in sum."""

    event: str
    unit: str
    summed: bool
    resources: tuple[str, ...]
    interval: int


class Reports:
    """What is owed to one VTN, from the picture and the answers into the queue, and from there to the VTN."""

    def __init__(
        self,
        party: str,
        client: str,
        names: Mapping[str, str],
        words: Profile,
        report_s: int,
        exchange: Exchange,
        heard: Heard,
        clock: Clock,
        hear: Hear,
        server_ms: Callable[[], int],
        open_spool: Callable[[], Spool],
    ) -> None:
        """Report under the name of this client; `names` gives each resource's name at the VTN by its own."""
        self._client = client
        self._names = names
        self._words = words
        self._every_ms = 1000 * report_s
        self._exchange = exchange
        self._heard = heard
        self._clock = clock
        self._hear = hear
        self._server_ms = server_ms
        self._open_spool = open_spool
        self._spool: Spool | None = None
        self._said = Said(party)
        self._owed: dict[int, Answer] = {}
        self._answering = asyncio.Event()
        self._waiting = asyncio.Event()

    def owe(self, answer: Answer) -> None:
        """Take an answer to tell."""
        self._owed[answer.serial] = answer
        self._answering.set()

    # -- into the queue

    async def answer(self) -> None:
        """Take each answer into the queue, or to its end where the protocol has no word for it, until cancelled."""
        while True:
            await self._answering.wait()
            self._answering.clear()
            for answer in list(self._owed.values()):
                name = self._names.get(answer.resource)
                report = None
                if name is not None:
                    report = translate.operating_state(answer, self._client, name, self._server_ms(), self._words)
                if report is None:
                    del self._owed[answer.serial]
                    self._hear(Delivered(answer.serial))
                    continue
                at_ms = self._server_ms()
                if await self._put(report.report_name, report.event_id, at_ms, at_ms, encode(report), answer.serial):
                    del self._owed[answer.serial]
            if self._owed:
                await self._clock.sleep_until_ms(self._clock.now_ms() + 1000 * AGAIN_S[-1])
                self._answering.set()

    async def read(self, look: Look) -> None:
        """Take what is read into the queue, once in every report rate, until cancelled."""
        while True:
            next_ms = self._clock.now_ms() + self._every_ms
            await self.take(look)
            await self._clock.sleep_until_ms(next_ms)

    async def take(self, look: Look) -> None:
        """Take what is read now into the queue, for each event that asks for it."""
        at_ms = self._server_ms()
        picture = look()
        for wanted in self.wanted(at_ms):
            totals = {name: picture.resources[name] for name in wanted.resources if name in picture.resources}
            each = {self._names[name]: translate.figures((total,)) for name, total in totals.items()}
            of = {AGGREGATED: translate.figures(totals.values())} if wanted.summed else each
            if not of:
                continue
            report = translate.reading(
                wanted.event, self._client, wanted.unit, of, at_ms, wanted.interval, self._every_ms
            )
            await self._put(report.report_name, wanted.event, at_ms, at_ms + self._every_ms, encode(report), None)

    def wanted(self, at_ms: int) -> Iterator[Wanted]:
        """Give the series that are to be reported at an instant (ms, the VTN's clock)."""
        running = [(known, interval) for known in self._heard.events.values() if (interval := _runs(known, at_ms)) >= 0]
        for known, interval in running[:EVENTS_MAX]:
            seen: set[tuple[str, bool]] = set()
            for asked in known.event.report_descriptors or ():
                unit = self._unit(known.sent.event, asked)
                if unit and (unit, bool(asked.aggregate)) not in seen:
                    seen.add((unit, bool(asked.aggregate)))
                    resources = self._targeted(targets_of(asked.targets)) or known.resources
                    yield Wanted(known.sent.event, unit, bool(asked.aggregate), resources, interval)
        quoted = [(known.sent.event, interval) for known, interval in running]
        quoted = quoted or [(event, 0) for event in self._heard.events]
        for unit in self._words.unasked if quoted else ():
            event, interval = min(quoted)
            for summed in (False, True):
                yield Wanted(event, unit, summed, tuple(self._names), interval)

    def _unit(self, event: str, asked: ReportDescriptor) -> str:
        """Give the unit of a reading that is asked for, empty where it cannot be told; OPERATING_STATE is answered."""
        unit = (asked.units or KW).upper()
        if asked.payload_type == translate.READING and unit in READ_UNITS:
            return unit
        if asked.payload_type != translate.OPERATING_STATE:
            what = f"{asked.payload_type[:40]} in {unit[:40]}"
            self._said.amiss(f"{event} {what}", f"event {event} asks for {what!a}, which is not reported")
        return ""

    def _targeted(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name, there in self._names.items() if there in targets)

    async def _put(self, name: str, event: str, start_ms: int, end_ms: int, body: bytes, serial: int | None) -> bool:
        if self._spool is None:
            return False
        try:
            await asyncio.to_thread(self._spool.put, name, event, start_ms, end_ms, body, serial)
        except SpoolFault as fault:
            self._said.amiss("spool", f"reports are not kept: {fault}; make room on the disk", "reports are kept again")
            return False
        self._said.over("spool")
        self._waiting.set()
        return True

    # -- to the VTN

    async def run(self, look: Look | None) -> None:
        """Report until cancelled; where the queue cannot be opened, answers stay owed and readings are lost."""
        try:
            self._spool = await asyncio.to_thread(self._open_spool)
        except SpoolFault as fault:
            self._said.amiss("spool", f"reports are not kept: {fault}; see to the state folder and start anew")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.answer())
                tasks.create_task(self._send())
                if look is not None:
                    tasks.create_task(self.read(look))
        finally:
            if self._spool is not None:
                self._spool.close()

    async def _send(self) -> None:
        """Send what waits, in order, until cancelled."""
        tries = 0
        self._waiting.set()
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            try:
                while self._spool is not None and await self._sent_one(self._spool):
                    tries = 0
            except (VtnDown, SpoolFault) as fault:
                log.debug("reports wait: %s", fault)
                after_s = fault.after_s if isinstance(fault, VtnDown) else 0
                await self._clock.sleep_until_ms(self._clock.now_ms() + pause_ms(tries, after_s))
                tries += 1
                self._waiting.set()

    async def _sent_one(self, spool: Spool) -> bool:
        """Send the report that waits longest, and before it what was dropped; tell whether there was one."""
        gap = await asyncio.to_thread(spool.gap)
        if gap is not None:
            await self._declare(spool, gap)
            return True
        kept = await asyncio.to_thread(spool.next)
        if kept is None:
            return False
        await self._post(kept.event, kept.body)
        await asyncio.to_thread(spool.done, kept.place)
        if kept.serial is not None:
            self._hear(Delivered(kept.serial))
        return True

    async def _declare(self, spool: Spool, gap: Gap) -> None:
        report = translate.missing(gap.event, self._client, gap.start_ms, gap.end_ms, gap.dropped)
        log.warning("%d reports on event %s were dropped: the queue was full", gap.dropped, gap.event)
        await self._post(gap.event, encode(report))
        await asyncio.to_thread(spool.told, gap)

    async def _post(self, event: str, body: bytes) -> None:
        """Send a report, or give it up; raise VtnDown where it is to be tried again."""
        try:
            got = await self._exchange.post("/reports", body)
        except VtnFault as fault:
            self._said.amiss(f"report on {event}", f"a report on event {event} is given up: {fault}")
            return
        if got.status in OK or got.status == CONFLICT:
            self._said.over(f"report on {event}")
            return
        self._said.amiss(f"report on {event}", f"a report on event {event} is given up: status {got.status}")


def _runs(known: Known, at_ms: int) -> int:
    """Give the id of an event's interval that runs, 0 for one without intervals, -1 where none runs."""
    if not known.event.intervals:
        return 0
    for piece in known.course.pieces:
        if piece.start_ms <= at_ms and (piece.end_ms is None or at_ms < piece.end_ms):
            return max(0, piece.interval.id)
    return -1


def pause_ms(tries: int, after_s: int) -> int:
    """Give how long to wait (ms) after so many failures: longer each time, spread at random, no less than was asked."""
    step_ms = 1000 * AGAIN_S[min(tries, len(AGAIN_S) - 1)]
    return max(1000 * after_s, step_ms // 2 + secrets.randbelow(step_ms))
