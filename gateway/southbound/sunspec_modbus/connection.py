"""One connection to a device: one request at a time unless it may be more, and any doubt ends it (Messaging V1.0b).

A deadline missed, a reply that nobody asked for or that does not fit: what follows on such a stream could be taken for
another request's answer, so it is never resynchronised. A new connection goes on counting transactions where the last
one stopped, so that a bridge that keeps a late reply cannot pass it off either.
Only reads of one volley are ever outstanding together, and only where the device is known to bear that.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.ports.south import Lease
from gateway.southbound.sunspec_modbus.points import Ask, OneRegister
from gateway.southbound.sunspec_modbus.profiles import NONE, Catalogue
from gateway.southbound.sunspec_modbus.volley import Salvo, Volley
from gateway.wire.modbus import Broken, Exchange, Outcome, Refused, Registers, RtuExchange, Stray

REPLY_S: Final = 2.0
NEVER: Final = float("inf")

Reply = bytes | Refused
"""The octets of a good reply (none for a write), or the exception that the device answered with."""


@dataclass(slots=True)
class Shared:
    """What all links of the adapter share: clock, where events go, lease, whether writes may leave, profiles."""

    clock: Clock
    hear: Hear
    lease: Lease
    may_write: bool
    writes: int = 0
    suppressed: int = 0
    profiles: Catalogue = NONE


class Door(Protocol):
    """What a link asks and tells its unit through: a connection of its own, or a seat on one that is shared."""

    depth: int
    """How many reads of one volley may be outstanding; 1 is one after another."""

    @property
    def idle(self) -> bool:
        """Tell whether nothing of this link is outstanding."""

    def read(self, address: int, quantity: int, settle: Callable[[Reply], None], *, slow: bool = False) -> None:
        """Ask for registers; what is `slow` leaves others on the same line their turn first."""

    def deepen(self, depth: int) -> None:
        """Bear so many reads of one volley at once, as far as this way to the unit can tell their replies apart."""

    def read_all(self, asks: Sequence[Ask], settle: Callable[[Salvo], None]) -> None:
        """Ask for several spans, `depth` of them ahead of their answers; only where `depth` is above 1."""

    def write(self, address: int, registers: bytes, settle: Callable[[Reply], None], *, slow: bool = False) -> bool:
        """Write registers; tell whether that was allowed to leave; what is `slow` takes its turn as a slow read."""

    def hurry(self) -> None:
        """Let what this link asks go before what others ask, until it has written."""

    @property
    def due_s(self) -> float:
        """Give the monotonic time before which there is nothing to sweep for."""

    def sweep(self, wall_s: float) -> None:
        """Act on a reply that is overdue."""

    def end(self, why: str) -> None:
        """Give it up now, and tell why."""

    def abort(self) -> None:
        """Give it up and tell nobody."""


class Connection(asyncio.Protocol):
    """Sends a request, settles its reply in the callback, and tells when it is idle again or lost."""

    def __init__(
        self,
        unit: int,
        shared: Shared,
        exchange: Exchange | RtuExchange,
        idle: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        """Be ready to open; `exchange` goes on counting transactions where the connection before stopped."""
        self._unit = unit
        self._shared = shared
        self._exchange = exchange
        self._whole: Callable[[bytes], bytes | None] = exchange.whole
        self._volley: Volley | None = None
        self.depth = 1
        self._told_idle = idle
        self._told_lost = lost
        self._transport: asyncio.Transport | None = None
        self._settle: Callable[[Reply], None] | None = None
        self._deadline = NEVER

    @property
    def open(self) -> bool:
        """Tell whether it can be spoken on."""
        return self._transport is not None

    @property
    def idle(self) -> bool:
        """Tell whether nothing is outstanding."""
        return self._settle is None

    @property
    def transaction(self) -> int:
        """The transaction of the last request."""
        return self._exchange.transaction

    def speak_for(self, unit: int, shared: Shared) -> None:
        """Send what follows to this unit, for whoever may write as much as `shared` says."""
        self._unit, self._shared = unit, shared

    def read(self, address: int, quantity: int, settle: Callable[[Reply], None], *, slow: bool = False) -> None:
        """Ask for registers; nobody else waits here, so that it is no matter whether it is `slow`."""
        del slow
        frame, transport = self._exchange.read(self._unit, address, quantity), self._transport
        if transport is None:
            return
        self._settle, self._deadline = settle, time.monotonic() + REPLY_S
        transport.write(frame)

    def deepen(self, depth: int) -> None:
        """Bear so many reads of one volley at once; RTU frames carry nothing to tell their replies apart by."""
        self.depth = depth if isinstance(self._exchange, Exchange) else 1

    def read_all(self, asks: Sequence[Ask], settle: Callable[[Salvo], None]) -> None:
        """Ask for several spans, `depth` of them ahead of their answers."""
        if self._transport is None or not isinstance(self._exchange, Exchange):
            return
        volley = Volley(self._exchange, self._unit, self.depth, asks, settle)
        self._volley, self._settle, self._whole = volley, _alone, _nothing
        self._volleyed(volley)

    def _volleyed(self, volley: Volley) -> None:
        """Send what may go by now, and hand the answers over once there are all of them."""
        for frame in volley.frames(time.monotonic()):
            if self._transport is not None:
                self._transport.write(frame)
        if not volley.over:
            self._deadline = volley.sent_s + REPLY_S
            return
        self._calm()
        volley.settle(volley.salvo)
        if self._settle is None and self._transport is not None:
            self._told_idle()

    def _calm(self) -> None:
        """Have nothing outstanding."""
        self._settle, self._deadline = None, NEVER
        if self._volley is not None:
            self._volley.end()
            self._volley, self._whole = None, self._exchange.whole

    def write(self, address: int, registers: bytes, settle: Callable[[Reply], None], *, slow: bool = False) -> bool:
        """Write registers; tell whether that was allowed to leave."""
        del slow
        if isinstance(registers, OneRegister):
            register = int.from_bytes(registers)
            return self._tell(self._exchange.write_one(self._unit, address, register), settle)
        return self._tell(self._exchange.write(self._unit, address, registers), settle)

    def _tell(self, frame: bytes, settle: Callable[[Reply], None]) -> bool:
        """Send one write; here, at the last door, a gateway that may not write does not."""
        if not self._shared.may_write:
            self._shared.suppressed += 1
            self._exchange.abandon(self._exchange.transaction)
            return False
        self._shared.writes += 1
        if self._transport is None:
            return False
        self._settle, self._deadline = settle, time.monotonic() + REPLY_S
        self._transport.write(frame)
        return True

    def hurry(self) -> None:
        """Nobody else asks here."""

    @property
    def due_s(self) -> float:
        """Give the monotonic time when a reply is overdue."""
        return self._deadline

    def sweep(self, wall_s: float) -> None:
        """End the connection where a reply is overdue."""
        if wall_s >= self._deadline:
            self.end(f"no reply within {REPLY_S:g} s")

    def end(self, why: str) -> None:
        """End the connection now, and tell why."""
        if self._transport is not None:
            self.abort()
            self._told_lost(why)

    def abort(self) -> None:
        """End the connection and tell nobody."""
        transport, self._transport = self._transport, None
        self._calm()
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be open."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Be closed by the device or the network."""
        if self._transport is not None:
            self._transport = None
            self._calm()
            self._told_lost(f"connection lost: {exc}" if exc else "the device closed the connection")

    def data_received(self, data: bytes) -> None:
        """Settle the one reply that is outstanding; whatever else comes ends the connection before it is believed."""
        registers, settle = self._whole(data), self._settle
        if registers is None or settle is None:
            self._judge(data)
            return
        self._settle, self._deadline = None, NEVER
        settle(registers)
        if self._settle is None and self._transport is not None:
            self._told_idle()

    def _judge(self, data: bytes) -> None:
        """Settle what is not the one good reply to a read and nothing else."""
        outcomes = self._exchange.feed(data)
        if not outcomes or self._transport is None:
            return
        outcome, settle = outcomes[-1], self._settle
        if isinstance(outcome, Broken):
            self.end(outcome.why)
            return
        if self._volley is not None:
            self._judge_volley(self._volley, outcomes)
            return
        if settle is None or len(outcomes) > 1 or isinstance(outcome, Stray):
            self.end(f"a reply that answers nothing, transaction {outcome.transaction}")
            return
        self._settle, self._deadline = None, NEVER
        if isinstance(outcome, Registers):
            settle(outcome.registers)
        else:
            settle(outcome if isinstance(outcome, Refused) else b"")
        if self._transport is not None and self._settle is None:
            self._told_idle()

    def _judge_volley(self, volley: Volley, outcomes: Sequence[Outcome]) -> None:
        """Settle what answers a volley; all that came is looked at before any of it is believed."""
        why = volley.take(outcomes)
        if why:
            self.end(why)
        else:
            self._volleyed(volley)


def _nothing(_received: bytes) -> None:
    """Settle nothing by its size and place: replies to a volley come in any order."""


def _alone(_reply: Reply) -> None:
    """Stand for a volley, which settles as a whole."""
