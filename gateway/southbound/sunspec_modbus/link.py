"""One device's connection: it is found, read, told, read back, and told again for as long as that is wanted.

Nothing here waits on a task: each reply settles in the protocol's callback and starts what comes next. One request
is outstanding at a time. A deadline missed or a reply that does not fit ends the connection; it is never
resynchronised.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from gateway.core.events import Adopted, LinkDown, LinkUp, NotAdopted, Observed
from gateway.core.known import Known, Reading, Unknown
from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.ports.south import Cleared, Lease
from gateway.southbound.sunspec_modbus.config import SunspecModbus
from gateway.southbound.sunspec_modbus.translate import (
    Ask,
    Controls,
    Live,
    Measurement,
    Settings,
    Step,
    Values,
    controls,
    describe,
    measurement,
    settings,
)
from gateway.wire.modbus import Broken, Exchange, Refused, Registers, Stray, Written
from gateway.wire.sunspec import Chain, NotSunSpec, Unwritable, Walk

log = logging.getLogger(__name__)

REPLY_S: Final = 2.0
CONNECT_S: Final = 3.0
BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
READ_BACK_AGAIN_S: Final = 1.0
HEARTBEAT_MS: Final = 60_000
READ: Final = 3


@dataclass(slots=True)
class Shared:
    """What all links of the adapter share: the clock, where events go, the lease, and whether writes may leave."""

    clock: Clock
    hear: Hear
    lease: Lease
    may_write: bool
    writes: int = 0
    suppressed: int = 0


Reply = bytes | int
"""The octets of a good reply, or the code of an exception."""


class Link(asyncio.Protocol):
    """Owns the connection to one device."""

    def __init__(self, device: str, table: SunspecModbus, rated_w: int, shared: Shared) -> None:
        """Be ready to connect; `sweep` does the rest."""
        self.device = device
        self.table = table
        self.connecting = False
        self._rated_w = rated_w
        self._shared = shared
        self._transport: asyncio.Transport | None = None
        self._exchange = Exchange()
        self._failures = 0
        self._retry_at = 0.0
        self._up = False
        self._told_down = False
        self._wanted: Cleared | None = None
        self._forget()

    def _forget(self) -> None:
        """Know nothing of the device: so it is at the start, and after every loss of the connection."""
        self._deadline = float("inf")
        self._settle: Callable[[Reply], None] | None = None
        self._asks: list[Ask] = []
        self._answers: list[bytes] = []
        self._gathered: Callable[[Sequence[bytes]], None] | None = None
        self._steps: list[Step] = []
        self._step_serial = 0
        self._measure: Measurement | None = None
        self._controls: Controls | None = None
        self._values: Values | None = None
        self._ready = False
        self._read_back_at = float("inf")
        self._adopted = 0
        self._ours_target = False
        self._written_at_ms = 0
        self._poll_at_ms = 0
        self._shown: Live | None = None
        self._shown_at_ms = 0
        self._write_due = False
        self._tries = 0

    # -- wanting

    def want(self, cleared: Cleared) -> None:
        """Want this from now on; written at once where it differs from what was wanted before."""
        if not cleared.holds_for(self.device, self._shared.clock.now_ms()):
            log.error("%s: refused a command that is not its own or has expired", self.device)
            return
        before, self._wanted = self._wanted, cleared
        if before is not None and before.serial == cleared.serial:
            return
        self._write_due = True
        self._tries = 0
        if self._ready and self._settle is None:
            self._next()

    # -- time

    def sweep(self, wall_s: float, now_ms: int) -> bool:
        """Do what time asks for; tell whether the device is to be connected to now."""
        if self._transport is None:
            return not self.connecting and wall_s >= self._retry_at
        if wall_s >= self._deadline:
            self._lose(f"no reply within {REPLY_S:g} s")
            return False
        if self._ready and self._settle is None:
            if self._refresh_due(now_ms):
                self._write_due = True
            if self._write_due or now_ms >= self._poll_at_ms or wall_s >= self._read_back_at:
                self._next()
        return False

    def _refresh_due(self, now_ms: int) -> bool:
        """Rewrite at a third of the reversion time, but only while the deciding loop lives (C14)."""
        wanted = self._wanted
        if wanted is None or self._adopted != wanted.serial:
            return False
        if self._controls is None or not self._controls.lapses(wanted.command):
            return False
        due_ms = self._written_at_ms + wanted.command.revert_after_ms // 3
        return now_ms >= due_ms and self._shared.lease.lives() and wanted.holds_for(self.device, now_ms)

    # -- the connection

    async def connect(self) -> None:
        """Open the connection; failure is survived and tried again later."""
        try:
            async with asyncio.timeout(CONNECT_S):
                loop = asyncio.get_running_loop()
                await loop.create_connection(lambda: self, self.table.host, self.table.port)
        except OSError as error:
            self._fail(f"cannot connect to {self.table.host}:{self.table.port}: {error.strerror or error}")
        finally:
            self.connecting = False

    def close(self) -> None:
        """End the connection for good."""
        self._retry_at = float("inf")
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to find out what the device is."""
        self._transport = cast("asyncio.Transport", transport)
        self._exchange = Exchange()
        self._forget()
        self._walk(Walk())

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the device and come back later."""
        if self._transport is not None:
            self._transport = None
            self._fail(f"connection lost: {exc}" if exc else "the device closed the connection")

    def data_received(self, data: bytes) -> None:
        """Settle what came; a reply that fits nothing outstanding answers nothing."""
        for outcome in self._exchange.feed(data):
            settle = self._settle
            match outcome:
                case Registers(registers=octets):
                    answer: Reply = octets
                case Written():
                    answer = b""
                case Refused(code=code):
                    answer = code
                case Stray():
                    continue
                case Broken(why=why):
                    self._lose(why)
                    return
            if settle is None:
                continue
            self._settle, self._deadline = None, float("inf")
            settle(answer)
            if self._transport is None:
                return
        if self._ready and self._settle is None:
            self._next()

    def _lose(self, why: str) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
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

    def _transmit(self, frame: bytes, settle: Callable[[Reply], None]) -> None:
        """Send one frame; here, at the last door, a gateway that may not write does not."""
        if frame[7] != READ:
            if not self._shared.may_write:
                self._shared.suppressed += 1
                self._exchange.abandon(self._exchange.transaction)
                self._steps.clear()
                return
            self._shared.writes += 1
        if self._transport is not None:
            self._settle, self._deadline = settle, time.monotonic() + REPLY_S
            self._transport.write(frame)

    # -- finding out

    def _walk(self, walk: Walk) -> None:
        if walk.asking is None:
            self._found(walk.found)
            return

        def settle(answer: Reply) -> None:
            if isinstance(answer, bytes):
                walk.give(answer)
            else:
                walk.refuse(answer)
            self._walk(walk)

        address, quantity = walk.asking
        self._transmit(self._exchange.read(self.table.unit, address, quantity), settle)

    def _found(self, found: Chain | NotSunSpec | None) -> None:
        if not isinstance(found, Chain):
            self._lose(found.why if found is not None else "no SunSpec map")
            return
        measure = measurement(found)
        if measure is None:
            self._lose("it has neither model 701 nor 103 to measure by")
            return
        self._measure = measure
        description = describe(found)

        def described(answers: Sequence[bytes]) -> None:
            now_ms = self._shared.clock.now_ms()
            said = settings(description, answers, now_ms)
            self._identified(found, said)

        self._gather([each.ask for each in description.parts], described)

    def _identified(self, chain: Chain, said: Settings) -> None:
        if isinstance(said.generation_max_w, Known):
            self._controls = controls(chain, said.generation_max_w.value)
        if self._controls is None:
            log.warning("%s can only be monitored: no model 704 or 123 with a known WMax", self.device)
        self._ready = True
        self._failures = 0
        self._write_due = self._wanted is not None
        if not self._up:
            self._up = True
            log.info("%s is up", self.device)
        self._shared.hear(LinkUp(self.device, said.generation_max_w, said.charge_max_w))
        self._poll()

    # -- reading and writing

    def _gather(self, asks: Sequence[Ask], gathered: Callable[[Sequence[bytes]], None]) -> None:
        """Read several spans one after another, then hand over all answers."""
        self._asks, self._answers, self._gathered = list(asks), [], gathered
        self._ask()

    def _ask(self) -> None:
        if not self._asks:
            gathered, self._gathered = self._gathered, None
            if gathered is not None:
                gathered(self._answers)
            return
        address, quantity = self._asks.pop(0)
        self._transmit(self._exchange.read(self.table.unit, address, quantity), self._asked)

    def _asked(self, answer: Reply) -> None:
        if not isinstance(answer, bytes):
            self._lose(f"exception {answer} to a read")
            return
        self._answers.append(answer)
        self._ask()

    def _next(self) -> None:
        """Do the most urgent thing: write, read back, poll."""
        if self._write_due and self._controls is not None:
            if self._values is None:
                self._gather(self._controls.reads, self._read_back)
                return
            self._begin_write(self._controls, self._values)
        elif time.monotonic() >= self._read_back_at and self._controls is not None:
            self._read_back_at = float("inf")
            self._gather(self._controls.reads, self._read_back)
        elif self._shared.clock.now_ms() >= self._poll_at_ms:
            self._poll()

    def _begin_write(self, control: Controls, values: Values) -> None:
        self._write_due = False
        wanted, now_ms = self._wanted, self._shared.clock.now_ms()
        if wanted is None or not wanted.holds_for(self.device, now_ms):
            return
        steps = control.steps(wanted.command, values, ours=self._ours_target)
        if isinstance(steps, Unwritable):
            self._shared.hear(NotAdopted(self.device, wanted.serial, steps.why))
            return
        self._ours_target = wanted.command.target_w is not None
        self._steps, self._step_serial = list(steps), wanted.serial
        self._written_at_ms = now_ms
        self._step()

    def _step(self) -> None:
        if not self._steps:
            self._read_back_at = 0.0
            return
        address, octets = self._steps.pop(0)
        self._transmit(self._exchange.write(self.table.unit, address, octets), self._stepped)

    def _stepped(self, answer: Reply) -> None:
        if not isinstance(answer, bytes):
            self._steps.clear()
            self._not_adopted(f"exception {answer} to a write", polled=False)
            return
        self._step()

    def _poll(self) -> None:
        self._poll_at_ms = self._shared.clock.now_ms() + 1000 * self.table.poll_s
        if self._measure is None:
            return
        asks = self._measure.reads if self._controls is None else self._measure.reads + self._controls.reads
        self._gather(asks, self._polled)

    def _polled(self, answers: Sequence[bytes]) -> None:
        if self._measure is None:
            return
        now_ms = self._shared.clock.now_ms()
        self._show(self._measure.observe(answers, now_ms), now_ms)
        if self._controls is not None:
            self._compare(answers[len(self._measure.reads) :], polled=True)

    def _read_back(self, answers: Sequence[bytes]) -> None:
        self._compare(answers, polled=False)

    def _compare(self, answers: Sequence[bytes], *, polled: bool) -> None:
        """Compare what the device was told with what is wanted; tell it again where that differs."""
        if self._controls is None:
            return
        self._values = self._controls.decode(answers)
        wanted = self._wanted
        if wanted is None or self._write_due:
            return
        differs = self._controls.differs(wanted.command, self._values)
        if differs:
            self._not_adopted(differs, polled=polled)
        elif self._adopted != wanted.serial:
            self._adopted, self._tries = wanted.serial, 0
            self._shared.hear(Adopted(self.device, wanted.serial))

    def _not_adopted(self, why: str, *, polled: bool) -> None:
        """A device may take a second to show what was written; after that it is told again at every poll."""
        wanted = self._wanted
        if wanted is None:
            return
        self._tries += 1
        if self._tries == 1:
            self._read_back_at = time.monotonic() + READ_BACK_AGAIN_S
        elif self._tries == 2 and self._shared.may_write:
            log.warning("%s did not adopt: %s", self.device, why)
            self._shared.hear(NotAdopted(self.device, wanted.serial, why))
        self._adopted = 0
        self._write_due = polled

    # -- showing

    def _show(self, live: Live, now_ms: int) -> None:
        """Tell a reading that is past its dead band, changed in kind, or a minute old."""
        shown = self._shown
        if shown is not None and now_ms - self._shown_at_ms < HEARTBEAT_MS and not self._moved(shown, live):
            return
        self._shown, self._shown_at_ms = live, now_ms
        self._shared.hear(Observed(self.device, *live))

    def _moved(self, shown: Live, live: Live) -> bool:
        if shown.connected is not live.connected or _changed(shown.voltage, live.voltage, 2_000):
            return True
        band = max(10, self._rated_w // 200)
        return _changed(shown.power, live.power, band) or _changed(shown.reactive, live.reactive, band)


def _changed(shown: Reading, live: Reading, band: int) -> bool:
    if isinstance(shown, Known) and isinstance(live, Known):
        return abs(shown.value - live.value) > band
    if isinstance(shown, Unknown) and isinstance(live, Unknown):
        return shown.why != live.why
    return True
