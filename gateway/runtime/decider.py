"""The deciding loop: events in, decided, on disk, and only then their effects out (DESIGN 3).

All events that have come are decided and committed together (group commit); deciding lets the loop breathe every few
milliseconds. The lease is renewed here and nowhere else: a hung decider lets the inverters fall back.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from gateway.core.events import Effect, Event, Owe, Report, Reported, Tell, Tick, Topic, Write
from gateway.core.feeder import Validate
from gateway.core.machine import Machine
from gateway.ports.clock import Clock
from gateway.ports.feeder import FeederModel
from gateway.ports.north import LOCAL, AlarmLink, LocalInbox, NorthLink
from gateway.ports.south import Lease, SouthLinks
from gateway.store import Continued, Entry, Journal, JournalFault, pack

log = logging.getLogger(__name__)

SLICE_S: Final = 0.004
BATCH: Final = 2_000
TELLS_AN_ENTRY: Final = 200
"""How much of what is told of one event is packed at once."""
WRITES_AT_ONCE: Final = 200
"""How many devices are told before the loop breathes: what it does meanwhile holds up the last to be told."""
LEASE_S: Final = 3.0
IDLE_S: Final = 0.5
SNAPSHOT_MS: Final = 30 * 60_000
PRUNE_MS: Final = 10_000

Witness = Callable[[Tell], None]


class Stopped(Exception):  # noqa: N818 - it is no error: the gateway goes down before it has decided
    """What was asked is not decided by this process any more."""


class _Asked(NamedTuple):
    """Somebody waits for what is told of an event."""

    future: "asyncio.Future[tuple[Tell, ...]]"
    tells: list[Tell]


class Decider:
    """Feeds the machine one event at a time and performs what it yields."""

    def __init__(self, machine: Machine, journal: Journal, clock: Clock, lease: Lease) -> None:
        """Decide with this machine, on this journal and clock."""
        self.machine = machine
        self.south: Mapping[str, SouthLinks] = {}
        self.north: Mapping[str, NorthLink] = {}
        self.feeders: Mapping[str, FeederModel] = {}
        self.local: LocalInbox | None = None
        self.witnesses: list[Witness] = []
        self.commit_s = 0.0
        self.events = 0
        self._journal = journal
        self._clock = clock
        self._lease = lease
        self._queue: deque[tuple[Event, _Asked | None]] = deque()
        self._waiting: set[asyncio.Future[tuple[Tell, ...]]] = set()
        self._wake = asyncio.Event()
        self._now_ms = machine.state.now_ms
        self._breathe_s = 0.0
        self._stopping = False
        self._prune_ms = 0
        self._snapshot_ms = clock.now_ms() + SNAPSHOT_MS

    def hear(self, event: Event) -> None:
        """Take an event; it is decided in the order of the calls."""
        self._queue.append((event, None))
        self._wake.set()

    async def decided(self, event: Event) -> tuple[Tell, ...]:
        """Take an event, and give what is told of it once that is on disk; raise Stopped if it never will be."""
        if self._stopping:
            raise Stopped
        asked = _Asked(asyncio.get_running_loop().create_future(), [])
        self._waiting.add(asked.future)
        asked.future.add_done_callback(self._waiting.discard)
        self._queue.append((event, asked))
        self._wake.set()
        return await asked.future

    async def run(self) -> None:
        """Decide until told to stop; what has begun is finished, committed and performed."""
        self._renew()
        try:
            while not self._stopping:
                await self._wait()
                if self._queue or self.machine.next_change() <= self._clock.now_ms():
                    await self._decide()
                self._keep_house()
                self._renew()
        finally:
            self._stopping = True
            for future in tuple(self._waiting):
                if not future.done():
                    future.set_exception(Stopped())

    def stop(self) -> None:
        """Let the loop end after what it is about."""
        self._stopping = True
        self._wake.set()

    def _renew(self) -> None:
        self._lease.until_ms = self._clock.now_ms() + int(1000 * LEASE_S * self._clock.rate)

    def _keep_house(self) -> None:
        """Snapshot now and then, and thin what is old; a full disk is for the commits to deal with."""
        now_ms = self._clock.now_ms()
        if now_ms >= self._snapshot_ms:
            self._snapshot_ms = now_ms + SNAPSHOT_MS
            try:
                self._journal.snapshot(self.machine.state)
            except JournalFault as fault:
                log.warning("no snapshot is taken: %s", fault)
        if now_ms >= self._prune_ms:
            self._prune_ms = now_ms + PRUNE_MS
            try:
                self._journal.prune(now_ms)
            except JournalFault as fault:
                log.warning("the journal cannot be thinned: %s", fault)

    async def settle(self, *events: Event) -> None:
        """Decide these events now, before the loop runs: the start of the process."""
        self._queue.extend((event, None) for event in events)
        await self._decide()

    def resume(self) -> None:
        """Perform every open effect again, after a start."""
        for effect in self.machine.outstanding(self._tick_ms()):
            if isinstance(effect, Write):
                self._write(effect)
            elif isinstance(effect, Validate):
                self._validate(effect)
            elif isinstance(effect, Owe):
                self._owe(effect)
            elif isinstance(effect, Report):
                self._report(effect)

    async def _wait(self) -> None:
        if self._queue or self._stopping:
            return
        self._wake.clear()
        until_change_s = (self.machine.next_change() - self._clock.now_ms()) / 1000 / self._clock.rate
        try:
            async with asyncio.timeout(max(0.0, min(IDLE_S, until_change_s))):
                await self._wake.wait()
        except TimeoutError:
            return

    def _tick_ms(self) -> int:
        """Give the time, which never goes back."""
        self._now_ms = max(self._now_ms, self._clock.now_ms())
        return self._now_ms

    async def _decide(self) -> None:
        """Decide what has come; writes leave as soon as they are on disk, before the answers are even decided."""
        if not self._queue:
            self._queue.append((Tick(), None))
        batch = _Batch()
        self._breathe_s = time.monotonic() + SLICE_S
        for _event in range(min(len(self._queue), BATCH)):
            (event, asked), now_ms = self._queue.popleft(), self._tick_ms()
            batch.begin(now_ms, event, asked)
            self.events += 1
            for effect in self.machine.handle(event, now_ms):
                if batch.writes and isinstance(effect, Tell) and effect.topic is Topic.ANSWERED:
                    await self._commit(batch)
                batch.take(effect)
                if time.monotonic() >= self._breathe_s:
                    await self._breathe()
            if time.monotonic() >= self._breathe_s:
                await self._breathe()
            self._renew()
        batch.end()
        await self._commit(batch)

    async def _breathe(self) -> None:
        """Let whatever else is ready have its turn."""
        await asyncio.sleep(0)
        self._breathe_s = time.monotonic() + SLICE_S

    async def _commit(self, batch: "_Batch") -> None:
        """Bring what was decided onto the disk, then perform it and show it."""
        now_ms, packed = batch.close()
        entries, writes, owed, questions, reports = batch.cut()
        start_s = time.monotonic()
        self._journal.commit_packed(packed, now_ms)
        self.commit_s = time.monotonic() - start_s
        for number, write in enumerate(writes, 1):
            self._write(write)
            if number % WRITES_AT_ONCE == 0:
                await self._breathe()
        for question in questions:
            self._validate(question)
        for answer in owed:
            self._owe(answer)
        for report in reports:
            self._report(report)
        for entry in entries:
            for tell in entry.tells:
                for witness in self.witnesses:
                    witness(tell)
            if time.monotonic() >= self._breathe_s:
                await self._breathe()
        for asked in batch.settled():
            if not asked.future.done():
                asked.future.set_result(tuple(asked.tells))

    def _write(self, write: Write) -> None:
        self.south[write.cleared.command.device].want(write.cleared)

    def _validate(self, question: Validate) -> None:
        model = self.feeders.get(question.wish.feeder)
        if model is not None:
            model.validate(question.wish)

    def _owe(self, owe: Owe) -> None:
        if self.local is not None and owe.answer.reply_to == LOCAL:
            self.local.owe(owe.answer)
            return
        link = self.north.get(owe.answer.order.issuer)
        if link is not None:
            link.owe(owe.answer)

    def _report(self, report: Report) -> None:
        link = self.north.get(report.notice.party)
        if isinstance(link, AlarmLink):
            link.report(report.notice)
        else:
            self.hear(Reported(report.notice.serial))


class _Batch:
    """What was decided and is not on disk yet."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self._owed: list[Owe] = []
        self._questions: list[Validate] = []
        self._reports: list[Report] = []
        self._entries: list[Entry] = []
        self._packed: list[bytes] = []
        self._now_ms = 0
        self._event: Event | Continued = Tick()
        self._tells: list[Tell] = []
        self._open = False
        self._asked: _Asked | None = None
        self._settled: list[_Asked] = []

    def begin(self, now_ms: int, event: Event, asked: _Asked | None) -> None:
        """Take what follows as decided on this event."""
        self.end()
        self._now_ms, self._event, self._open, self._asked = now_ms, event, True, asked

    def end(self) -> None:
        """Take it that all effects of the event were taken."""
        self._close()
        if self._asked is not None:
            self._settled.append(self._asked)
            self._asked = None

    def take(self, effect: Effect) -> None:
        """Take an effect of the event."""
        if isinstance(effect, Write):
            self.writes.append(effect)
        elif isinstance(effect, Owe):
            self._owed.append(effect)
        elif isinstance(effect, Validate):
            self._questions.append(effect)
        elif isinstance(effect, Report):
            self._reports.append(effect)
        elif isinstance(effect, Tell):
            self._tells.append(effect)
            if self._asked is not None:
                self._asked.tells.append(effect)
            if len(self._tells) == TELLS_AN_ENTRY:
                self._close()

    def close(self) -> tuple[int, list[bytes]]:
        """Give what there is to commit, and of when its last entry is."""
        self._close()
        packed, self._packed = self._packed, []
        return self._now_ms, packed

    def cut(self) -> tuple[list[Entry], list[Write], list[Owe], list[Validate], list[Report]]:
        """Give what there is to perform; what the event still brings about will be its continuation."""
        cut = (self._entries, self.writes, self._owed, self._questions, self._reports)
        self._entries, self.writes, self._owed, self._questions, self._reports = [], [], [], [], []
        return cut

    def settled(self) -> list[_Asked]:
        """Give who may be told, once what was cut last is on disk."""
        settled, self._settled = self._settled, []
        return settled

    def _close(self) -> None:
        """End an entry; what its event still brings about continues it."""
        if self._open or self._tells:
            entry = Entry(self._now_ms, self._event, tuple(self._tells))
            self._entries.append(entry)
            self._packed.append(pack(entry))
        self._tells, self._open, self._event = [], False, Continued()
