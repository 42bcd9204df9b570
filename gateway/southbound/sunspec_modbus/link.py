"""One device: it is found, read, told, read back, and told again for as long as that is wanted.

Nothing here waits on a task: each reply settles in the connection's callback and starts what comes next. Intervals run
on monotonic time at the clock's rate, so that a clock that is set moves none of them.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from gateway.core.events import Adopted, Alarmed, ForeignHand, LinkDown, LinkUp, NotAdopted, Observed
from gateway.core.known import Known
from gateway.ports.south import Cleared
from gateway.southbound.sunspec_modbus.ahead import Ahead
from gateway.southbound.sunspec_modbus.charging import controls, lacking
from gateway.southbound.sunspec_modbus.config import SunspecModbus
from gateway.southbound.sunspec_modbus.connection import Door, Shared
from gateway.southbound.sunspec_modbus.family import Family
from gateway.southbound.sunspec_modbus.gather import Blocks, Gathering, find
from gateway.southbound.sunspec_modbus.modes.carriers import carriers
from gateway.southbound.sunspec_modbus.modes.carrying import Carrying
from gateway.southbound.sunspec_modbus.points import Ask, Values, scales
from gateway.southbound.sunspec_modbus.reach import Way
from gateway.southbound.sunspec_modbus.readings import (
    Description,
    Live,
    Measurement,
    Settings,
    describe,
    measurement,
    settings,
)
from gateway.southbound.sunspec_modbus.rhythm import Rhythm
from gateway.southbound.sunspec_modbus.shown import Shown
from gateway.southbound.sunspec_modbus.telling import Telling
from gateway.southbound.sunspec_modbus.translate import Controls, prepare
from gateway.southbound.sunspec_modbus.watch import Watch
from gateway.wire.modbus import Refused
from gateway.wire.sunspec import Chain, NotSunSpec, Unwritable, Value, Walk
from gateway.wire.sunspec.discovery import BASES

log = logging.getLogger(__name__)

BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
BUSY_MAX: Final = 2
READ_BACK_S: Final = 0.1
"""Wall time that a device has to take a write in; the writes to the others go first."""
READ_BACK_AGAIN_S: Final = 1.0
SETTINGS_S: Final = 60.0
NEVER: Final = float("inf")


class Link:
    """Keeps one device at what is wanted of it, and tells what it measures."""

    def __init__(self, device: str, table: SunspecModbus, rated_w: int, shared: Shared, way: Way) -> None:
        """Be ready to connect; `sweep` does the rest."""
        self.device = device
        self._way = way
        self._blocks = Blocks(table.block_max)
        self.table = table
        self.connecting = False
        self.due_s = 0.0
        self._shown = Shown(rated_w)
        self._shared = shared
        self._rhythm = Rhythm(device)
        self._connection: Door | None = None
        self._family = Family(device, table, shared.profiles)
        self._bases: tuple[int, ...] = self._family.profile.bases
        self._failures = 0
        self._retry_at = 0.0
        self._up = False
        self._told_down = False
        self._wanted: Cleared | None = None
        self._complained = False
        self._ours = False
        self._watch = Watch()
        self._telling = Telling(self._told)
        self._modes = Carrying(device, shared, self._blocks, self._tell_adopted)
        self._forget()

    def _forget(self) -> None:
        """Know nothing of the device: so it is at the start, and after every loss of the connection."""
        self.due_s = 0.0
        self._busy = 0
        self._chain: Chain | None = None
        self._description = Description(())
        self._measure: Measurement | None = None
        self._said: tuple[int, int | None] | None = None
        self._controls: Controls | None = None
        self._values: Values | None = None
        self._blank = self._speaks = False
        self._write_due = False
        self._written_at = 0.0
        self._written_scales: tuple[Value, ...] = ()
        self._rescaled = False
        self._restored = False
        self._telling.forget()
        self._read_back_at = NEVER
        self._adopted = 0
        self._misses = 0
        self._confirms = False
        self._watch.forget()
        self._modes.lose()
        self._poll_at = 0.0
        self._rhythm.forget()
        self._settings_at = 0.0
        self._shown.forget()

    # -- wanting

    def want(self, cleared: Cleared) -> None:
        """Want this from now on; written at once where it differs from what was wanted before."""
        if not cleared.holds_for(self.device, self._shared.clock.now_ms()):
            log.error("%s: refused a command that is not its own or has expired", self.device)
            return
        before, self._wanted = self._wanted, cleared
        if before is not None and before.serial == cleared.serial:
            return
        self._write_due, self.due_s = True, 0.0
        self._modes.want(cleared.command.modes, cleared.command.revert_after_ms)
        self._misses, self._complained, self._rescaled = 0, False, False
        self._watch.forget()
        if self._ready():
            self._next()
        elif self._connection is not None:
            self._connection.hurry()

    # -- time

    def sweep(self, wall_s: float) -> bool:
        """Do what time asks for; tell whether the device is to be connected to now."""
        if self._connection is None:
            return not self.connecting and wall_s >= self._retry_at
        self._connection.sweep(wall_s)
        if self._ready():
            if self._refresh_due(wall_s):
                self._write_due = True
            at_s = self._modes.at
            if self._write_due or wall_s >= self._poll_at or wall_s >= self._read_back_at or wall_s >= at_s:
                self._next()
        self.due_s = self._due_s()
        return False

    def _due_s(self) -> float:
        """Give the monotonic time when it is to be swept next, unless something happens before."""
        connection = self._connection
        if connection is None or self._write_due:
            return 0.0
        if self._measure is None or not connection.idle:
            return connection.due_s
        due_s = min(connection.due_s, self._poll_at, self._read_back_at, self._modes.at)
        return due_s if self._wanted is None else min(due_s, self._refresh_at())

    def _ready(self) -> bool:
        """Tell whether the device is found and nothing is under way with it."""
        return self._measure is not None and self._connection is not None and self._connection.idle

    def _later(self, seconds: float) -> float:
        """Give the monotonic time when so many of the clock's seconds have passed."""
        return time.monotonic() + seconds / self._shared.clock.rate

    def _refresh_due(self, wall_s: float) -> bool:
        """Rewrite at a third of the reversion time, but only while the deciding loop lives (C14)."""
        wanted = self._wanted
        if wanted is None or wall_s < self._refresh_at():
            return False
        if self._controls is None or self._values is None or not self._controls.lapses(wanted.command, self._values):
            return False
        return self._may_keep(wanted)

    def _refresh_at(self) -> float:
        """Give the monotonic time from which on what was adopted may have to be told again."""
        wanted = self._wanted
        if wanted is None or self._adopted != wanted.serial:
            return NEVER
        return self._written_at + wanted.command.revert_after_ms / 3000 / self._shared.clock.rate

    def _may_keep(self, wanted: Cleared) -> bool:
        """Tell whether the deciding loop lives and still stands by this."""
        return self._shared.lease.lives() and self._holds(wanted)

    def _holds(self, wanted: Cleared) -> bool:
        return wanted.holds_for(self.device, self._shared.clock.now_ms())

    # -- the connection

    async def connect(self) -> None:
        """Open the connection; failure is survived and tried again later."""
        try:
            opened = await self._way.open(self._idle, self._lost)
        finally:
            self.connecting = False
        if isinstance(opened, str):
            self._fail(opened)
        else:
            self._begin(opened)

    def _begin(self, connection: Door) -> None:
        """Start to find out what the device is."""
        self._forget()
        self._connection = connection
        find(lambda: self._connection, Walk(self._bases), self._found)

    def close(self) -> None:
        """End the connection; `sweep` asks for a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        if self._up:
            self._shared.hear(LinkDown(self.device, "closed by the gateway"))
        self._forget()
        self._up = self._told_down = False
        self._failures, self._retry_at = 0, 0.0

    def end(self, why: str) -> None:
        """Give up the connection and try again later."""
        if self._connection is not None:
            self._connection.end(why)

    def _lost(self, why: str) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._measure is None:
            self._bases = (*self._bases[1:], self._bases[0])
        self._blocks.lose()
        self._fail(why)

    def _fail(self, why: str) -> None:
        self._forget()
        self._retry_at = time.monotonic() + BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
        self._failures += 1
        if self._up or not self._told_down:
            log.warning("%s is down: %s", self.device, why)
            self._shared.hear(LinkDown(self.device, why))
            self._told_down = True
        self._up = False

    def _idle(self) -> None:
        if self._measure is not None:
            self._next()
        self.due_s = self._due_s()

    # -- finding out

    def _found(self, found: Chain | NotSunSpec | None) -> None:
        if not isinstance(found, Chain):
            self.end(found.why if found is not None else "no SunSpec map")
            return
        measure = measurement(found)
        if measure is None:
            self.end("it has no model 701, 103, 102 or 101 to measure by")
            return
        self._bases = (found.base, *(base for base in BASES if base != found.base))
        self._blocks.know(found)
        self._chain, self._description = found, describe(found)

        def met() -> None:
            self.table, self._measure = self._family.table, measure
            self._blocks.most = min(self._blocks.most, self.table.block_max)
            if self._connection is not None:
                self._connection.deepen(self._blocks.depth(self.table))
            habits = self._family.profile.habits
            self._modes.know(carriers(found, habits), habits)
            self._poll()

        self._family.meet(self._connection, found, met)

    def _settled(self, said: Settings) -> None:
        """Take what the device is set to; it may be set anew at any time, and a percentage then means other watts."""
        if not isinstance(said.generation_max_w, Known) or self._chain is None:
            self._come_up(said)
            return
        charge_max_w = said.charge_max_w.value if isinstance(said.charge_max_w, Known) else None
        most = (said.generation_max_w.value, charge_max_w)
        self._settings_at = self._later(SETTINGS_S)
        if most == self._said:
            return
        if self._said is None or most[0] != self._said[0]:
            self._controls, self._read_back_at = controls(self._chain, most[0], self._family.profile.habits), 0.0
            self._watch.forget()
            self._write_due |= self._wanted is not None and self._shared.lease.lives()
        self._said = most
        if self._up:
            self._shared.hear(LinkUp(self.device, said.generation_max_w, said.charge_max_w))
        self._come_up(said)

    def _come_up(self, said: Settings) -> None:
        if self._up:
            return
        self._up = True
        log.info(
            "%s is up%s", self.device, "" if self._controls else ", to be monitored only: no 704 or 123, or no WMax"
        )
        self._shared.hear(LinkUp(self.device, said.generation_max_w, said.charge_max_w))

    # -- reading

    def _gather(self, asks: tuple[Ask, ...], gathered: Callable[[Sequence[bytes]], None]) -> None:
        """Read several spans, one after another unless the device bears more, then hand over all answers."""
        connection = self._connection
        if connection is not None:
            kind = Gathering if connection.depth == 1 else Ahead
            kind(connection, asks, self._blocks, gathered, self._not_read)

    def _not_read(self, answer: Refused) -> None:
        if self._up and answer.transient and self._busy < BUSY_MAX:
            self._busy += 1
            again = self._later(READ_BACK_AGAIN_S)
            self._read_back_at, self._poll_at = min(self._read_back_at, again), min(self._poll_at, again)
            return
        self.end(f"exception {answer.code} ({answer.name}) to a read")

    def _next(self) -> None:
        """Do the most urgent thing: write, read back, poll."""
        wall_s = time.monotonic()
        if self._write_due and self._controls is not None:
            if self._values is None and not self._blank:
                self._gather(self._controls.reads, self._read_back)
            elif self._values is not None:
                self._begin_write(self._controls, self._values)
            elif wall_s >= self._poll_at:
                self._poll()
        elif wall_s >= self._read_back_at and self._controls is not None:
            self._read_back_at = NEVER
            self._gather(self._controls.reads, self._read_back)
        elif wall_s >= self._poll_at:
            self._poll()
        elif wall_s >= self._modes.at and self._controls is not None and self._connection is not None:
            self._modes.go(self._connection, keeps=self._wanted is not None and self._may_keep(self._wanted))

    def _poll(self) -> None:
        live = self._measure
        if live is None:
            return
        wall_s = time.monotonic()
        self._poll_at = self._rhythm.after(self._poll_at, wall_s, self.table.poll_s / self._shared.clock.rate)
        told = () if self._controls is None else self._controls.reads
        if self._said is not None and wall_s < self._settings_at:
            self._gather((*live.reads, *told), self._polled)
            return
        asks = self._description.asks

        def described(answers: Sequence[bytes]) -> None:
            self._settled(settings(self._description, answers[: len(asks)], self._shared.clock.now_ms()))
            self._polled(answers[len(asks) :])

        self._gather((*asks, *live.reads, *told), described)

    def _polled(self, answers: Sequence[bytes]) -> None:
        """Take what it measures, and then what it was told, where that was asked for."""
        live = self._measure
        if live is None:
            return
        after = len(live.reads)
        self._busy = 0
        self._speaks = any(answers[0])
        self._show(live.observe(answers[:after], self._shared.clock.now_ms()))
        if len(answers) > after:
            self._failures = 0
            self._compare(answers[after:], polled=True)
        elif self._controls is None:
            self._failures = 0
            self._complain("it can only be monitored: it has no model 704 or 123, or gives no WMax")

    def _read_back(self, answers: Sequence[bytes]) -> None:
        self._compare(answers, polled=False)

    # -- telling

    def _begin_write(self, control: Controls, values: Values) -> None:
        self._write_due = False
        wanted = self._wanted
        if wanted is None or not self._holds(wanted):
            return
        self._written_at = time.monotonic()
        prepared = prepare(control, wanted.command, values, ours=self._ours)
        if isinstance(prepared, Unwritable):
            self._complain(prepared.why)
            return
        self._ours |= control.lends(wanted.command) and self._shared.may_write
        self._values, self._written_scales = prepared.lasting, prepared.scales
        self._telling.begin(self._connection, prepared.steps)

    def _told(self) -> None:
        self._read_back_at = time.monotonic() + READ_BACK_S

    def _compare(self, answers: Sequence[bytes], *, polled: bool) -> None:
        """Compare what the device was told with what is wanted.

        Nothing but zeros is believed the second time only, and only beside a measurement that is more than zeros: its
        scale factors would turn the next write into another.
        """
        if self._controls is None:
            return
        before, self._blank = self._blank, not any(answers[0])
        if self._blank and not (before and polled and self._speaks):
            if not polled:
                self._poll_at = min(self._poll_at, self._later(READ_BACK_AGAIN_S))
            return
        self._values = self._controls.decode(answers)
        wanted = self._wanted
        if wanted is None or self._write_due or not self._holds(wanted):
            return
        differs = self._controls.differs(wanted.command, self._values, ours=self._ours)
        if differs and polled and self._read_back_at < NEVER:
            return
        polled, self._confirms = polled or self._confirms, False
        if differs:
            if polled:
                self._suspect(wanted, self._controls, self._values, differs)
            self._miss(wanted, self._controls, self._values, differs, polled=polled)
            return
        self._ours = self._controls.lends(wanted.command)
        self._rescaled, self._restored, self._read_back_at = False, False, NEVER
        self._keep(self._values)
        if self._watch.holds:
            self._misses, self._complained = 0, False
        if self._adopted != wanted.serial and not self._complained:
            self._adopted = wanted.serial
            self._tell_adopted()

    def _tell_adopted(self) -> None:
        """Tell that the device is as wanted, once its modes are too, or are known to be none of its own."""
        if self._wanted is not None and self._adopted == self._wanted.serial and self._modes.rests:
            cannot = lacking(self._controls, self._wanted.command, self._values)
            self._shared.hear(Adopted(self.device, self._adopted, (*cannot, *self._modes.cannot)))

    def _keep(self, values: Values) -> None:
        """Have what the device shows watched from now on, once a second after the write shows that it stays so.

        One that was complained of has adopted only then: some take a write and put their own value in its place.
        """
        settled_s = self._written_at + READ_BACK_AGAIN_S / self._shared.clock.rate
        self._watch.keep(values, settled=time.monotonic() >= settled_s)
        if not self._watch.holds:
            self._confirms, self._read_back_at = True, self._later(READ_BACK_AGAIN_S)

    def _suspect(self, wanted: Cleared, control: Controls, values: Values, why: str) -> None:
        """Tell of a foreign hand (A7); a gateway that may not write has nothing to defend.

        A timer counts from the last write that the device took.
        """
        waited_ms = (time.monotonic() - self._telling.taken_at) * self._shared.clock.rate * 1000
        if self._shared.may_write and self._watch.foreign(control, wanted.command, values, waited_ms):
            self._misses = 0
            log.warning("%s was told by another hand: %s", self.device, why)
            self._shared.hear(ForeignHand(self.device, f"{why}, though this gateway did not write it"))

    def _miss(self, wanted: Cleared, control: Controls, values: Values, why: str, *, polled: bool) -> None:
        """A device may take a second to show what was written; after that it is told again at every poll.

        A poll that comes before a read-back decides nothing.
        Once the lease has lapsed a device that fell back is left there; one that lost its setting is told once more.
        """
        self._adopted = 0
        if polled:
            self._rescaled = False
        elif self._written_scales and not self._rescaled and scales(values) != self._written_scales:
            self._rescaled = self._write_due = True
            return
        self._misses += 1
        if self._misses > 1:
            self._complain(self._telling.refused or why)
        elif not polled:
            self._read_back_at = self._later(READ_BACK_AGAIN_S)
        if not polled:
            return
        if self._shared.lease.lives():
            self._write_due = True
        elif control.reverted(wanted.command, values):
            self._complain(f"it fell back: {why}")
        elif not self._restored:
            self._write_due = self._restored = True

    def _complain(self, why: str) -> None:
        """Tell once that the device is not at what is wanted."""
        if self._wanted is None or self._complained or not self._shared.may_write:
            return
        self._complained = True
        log.warning("%s did not adopt: %s", self.device, why)
        self._shared.hear(NotAdopted(self.device, self._wanted.serial, why))

    # -- showing

    def _show(self, live: Live) -> None:
        """Tell a reading that is news, and faults that are."""
        shared = self._shared
        if live.faults is not None and self._shown.faults_are_news(live):
            shared.hear(Alarmed(self.device, live.faults))
        if self._shown.news(live, time.monotonic() * shared.clock.rate):
            shared.hear(Observed(self.device, *live[:5]))
