"""The deciding loop: events in, decided, on disk, and only then their effects out (DESIGN 3).

All events that have come are decided and committed together (group commit); deciding lets the loop breathe every few
milliseconds. The lease is renewed here and nowhere else: a hung decider lets the inverters fall back.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from gateway.core.events import Effect, Event, Owe, Tell, Tick, Topic, Write
from gateway.core.machine import Machine
from gateway.ports.clock import Clock
from gateway.ports.north import NorthLink
from gateway.ports.south import Lease, SouthLinks
from gateway.store import Continued, Entry, Journal, JournalFault

log = logging.getLogger(__name__)

SLICE_S: Final = 0.004
BATCH: Final = 2_000
WRITES_AT_ONCE: Final = 1_000
"""How many devices are told before the loop breathes: what the first reply would hold up the last to be told."""
LEASE_S: Final = 3.0
IDLE_S: Final = 0.5
SNAPSHOT_MS: Final = 30 * 60_000
PRUNE_MS: Final = 10_000

Witness = Callable[[Tell], None]


class Decider:
    """Feeds the machine one event at a time and performs what it yields."""

    def __init__(self, machine: Machine, journal: Journal, clock: Clock, lease: Lease) -> None:
        """Decide with this machine, on this journal and clock."""
        self.machine = machine
        self.south: Mapping[str, SouthLinks] = {}
        self.north: Mapping[str, NorthLink] = {}
        self.witnesses: list[Witness] = []
        self.commit_s = 0.0
        self.events = 0
        self._journal = journal
        self._clock = clock
        self._lease = lease
        self._queue: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._now_ms = machine.state.now_ms
        self._stopping = False
        self._prune_ms = 0
        self._snapshot_ms = clock.now_ms() + SNAPSHOT_MS

    def hear(self, event: Event) -> None:
        """Take an event; it is decided in the order of the calls."""
        self._queue.append(event)
        self._wake.set()

    async def run(self) -> None:
        """Decide until told to stop; what has begun is finished, committed and performed."""
        self._renew()
        while not self._stopping:
            await self._wait()
            if self._queue or self.machine.next_change() <= self._clock.now_ms():
                await self._decide()
            self._keep_house()
            self._renew()

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
        self._queue.extend(events)
        await self._decide()

    def resume(self) -> None:
        """Perform every open effect again, after a start."""
        for effect in self.machine.outstanding(self._tick_ms()):
            if isinstance(effect, Write):
                self._write(effect)
            elif isinstance(effect, Owe):
                self._owe(effect)

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
            self._queue.append(Tick())
        batch = _Batch()
        breathe_s = time.monotonic() + SLICE_S
        for _event in range(min(len(self._queue), BATCH)):
            event, now_ms = self._queue.popleft(), self._tick_ms()
            batch.begin(now_ms, event)
            for effect in self.machine.handle(event, now_ms):
                if batch.writes and isinstance(effect, Tell) and effect.topic is Topic.ANSWERED:
                    await self._commit(batch)
                batch.take(effect)
                if time.monotonic() >= breathe_s:
                    await asyncio.sleep(0)
                    breathe_s = time.monotonic() + SLICE_S
            self._renew()
        await self._commit(batch)

    async def _commit(self, batch: "_Batch") -> None:
        """Bring what was decided onto the disk, then perform it and show it."""
        entries, writes, owed = batch.cut()
        start_s = time.monotonic()
        self._journal.commit(entries)
        self.commit_s = time.monotonic() - start_s
        self.events += len(entries)
        for number, write in enumerate(writes, 1):
            self._write(write)
            if number % WRITES_AT_ONCE == 0:
                await asyncio.sleep(0)
        for answer in owed:
            self._owe(answer)
        for entry in entries:
            for tell in entry.tells:
                for witness in self.witnesses:
                    witness(tell)

    def _write(self, write: Write) -> None:
        self.south[write.cleared.command.device].want(write.cleared)

    def _owe(self, owe: Owe) -> None:
        link = self.north.get(owe.answer.order.issuer)
        if link is not None:
            link.owe(owe.answer)


class _Batch:
    """What was decided and is not on disk yet."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self._owed: list[Owe] = []
        self._entries: list[Entry] = []
        self._now_ms = 0
        self._event: Event | Continued = Tick()
        self._tells: list[Tell] = []
        self._open = False

    def begin(self, now_ms: int, event: Event) -> None:
        """Take what follows as decided on this event."""
        self._close()
        self._now_ms, self._event, self._open = now_ms, event, True

    def take(self, effect: Effect) -> None:
        """Take an effect of the event."""
        if isinstance(effect, Write):
            self.writes.append(effect)
        elif isinstance(effect, Owe):
            self._owed.append(effect)
        else:
            self._tells.append(effect)

    def cut(self) -> tuple[list[Entry], list[Write], list[Owe]]:
        """Give what there is to commit and perform; what the event still brings about will be its continuation."""
        self._close()
        cut = (self._entries, self.writes, self._owed)
        self._entries, self.writes, self._owed = [], [], []
        self._event = Continued()
        return cut

    def _close(self) -> None:
        if self._open or self._tells:
            self._entries.append(Entry(self._now_ms, self._event, tuple(self._tells)))
        self._tells, self._open = [], False
