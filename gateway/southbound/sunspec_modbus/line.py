"""One physical link with several units behind it: one request at a time, and the most urgent first.

Writes go before everything, then what has waited longest; what is slow, as finding out what a unit is, counts as
come `SLOW_S` later. A unit that does not answer is given up by its own link, which tries it again after its own pause:
the connection is opened anew, because a late reply could be taken for another's, and the others keep their turn.
"""

import asyncio
import heapq
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.southbound.sunspec_modbus.config import Endpoint
from gateway.southbound.sunspec_modbus.connection import Connection, Reply, Shared
from gateway.southbound.sunspec_modbus.dial import dial, exchange
from gateway.southbound.sunspec_modbus.points import Ask
from gateway.southbound.sunspec_modbus.volley import Salvo
from gateway.wire.modbus import Refused

log = logging.getLogger(__name__)

SLOW_S: Final = 1.0
AT_ONCE: Final = 0.0
AGAIN_S: Final = (0.0, 0.2, 0.5, 1.0)
"""Pauses before each try to open a connection anew, while the links on it keep what they know."""
UNREACHED: Final = frozenset({10, 11})
"""A bridge's word that the unit behind it did not answer (Application Protocol V1.1b3, section 7)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a line rests (s): between a reply and the next request, between opening and the first."""

    gap_s: float = 0.0
    connect_pause_s: float = 0.0


@dataclass(slots=True, eq=False)
class Request:
    """What a seat waits for: a read of so many registers, or a write of these."""

    seat: "Seat"
    address: int
    quantity: int
    registers: bytes
    settle: Callable[[Reply], None]
    again: bool = False


class Seat:
    """A link's place on a line: the door to its unit; a line takes one request at a time, whatever a unit bears."""

    depth = 1

    def __init__(
        self, line: "Line", unit: int, shared: Shared, idle: Callable[[], None], lost: Callable[[str], None]
    ) -> None:
        """Be ready to take the place."""
        self.unit = unit
        self.shared = shared
        self.request: Request | None = None
        self.taken = False
        self._line = line
        self._hurried_until = 0.0
        self._told_idle = idle
        self._told_lost = lost

    @property
    def idle(self) -> bool:
        """Tell whether nothing of this link waits or is under way."""
        return self.request is None

    def read(self, address: int, quantity: int, settle: Callable[[Reply], None], *, slow: bool = False) -> None:
        """Ask for registers, in turn."""
        now_s = time.monotonic()
        self._ask(Request(self, address, quantity, b"", settle), now_s + SLOW_S if slow else now_s)

    def write(self, address: int, registers: bytes, settle: Callable[[Reply], None], *, slow: bool = False) -> bool:
        """Write registers, unless `slow` before anything else is asked; tell whether that was allowed to leave."""
        if not self.shared.may_write:
            self.shared.suppressed += 1
            return False
        if slow:
            return self._ask(Request(self, address, 0, registers, settle), time.monotonic() + SLOW_S)
        self._hurried_until = 0.0
        return self._ask(Request(self, address, 0, registers, settle), AT_ONCE)

    def deepen(self, depth: int) -> None:
        """Stay at one: what others ask comes between."""

    def read_all(self, asks: Sequence[Ask], settle: Callable[[Salvo], None]) -> None:
        """Refuse; raises RuntimeError."""
        del settle
        raise RuntimeError(f"{len(asks)} reads at once on a shared line: ask for one after another")

    def _ask(self, request: Request, due_s: float) -> bool:
        if not self.taken:
            return False
        self.request = request
        self._line.ask(request, AT_ONCE if time.monotonic() < self._hurried_until else due_s)
        return True

    def hurry(self) -> None:
        """Let what this link asks go before what others ask, until it has written."""
        self._hurried_until = time.monotonic() + SLOW_S
        if self.request is not None:
            self._line.ask(self.request, AT_ONCE)

    @property
    def due_s(self) -> float:
        """Be swept each time: what is overdue on the line may be another seat's."""
        return 0.0

    def sweep(self, wall_s: float) -> None:
        """Have the line act on a reply that is overdue."""
        self._line.sweep(wall_s)

    def end(self, why: str) -> None:
        """Leave the line, and tell why."""
        if self.taken:
            self.abort()
            self._told_lost(why)

    def abort(self) -> None:
        """Leave the line and tell nobody."""
        self.taken, self.request = False, None
        self._line.leave(self)

    def settle(self, request: Request, answer: Reply) -> None:
        """Take the answer to what is under way."""
        self.request = None
        if isinstance(answer, Refused) and answer.code in UNREACHED:
            self.end(f"unit {self.unit} does not answer: exception {answer.code} ({answer.name})")
            return
        request.settle(answer)
        if self.taken and self.request is None:
            self._told_idle()


class Line:
    """Owns the connection, which is open while a seat on it is taken."""

    def __init__(self, to: Endpoint, context: ssl.SSLContext | None, pace: Pace) -> None:
        """Be ready to be joined."""
        self._to = to
        self._context = context
        self._gap_s = max(pace.gap_s, to.silence_s)
        self._connect_pause_s = pace.connect_pause_s
        self._seats: set[Seat] = set()
        self._queue: list[tuple[float, int, Request]] = []
        self._number = 0
        self._transaction = 0
        self._connection: Connection | None = None
        self._opening: asyncio.Task[str] | None = None
        self._under_way: Request | None = None
        self._settling = False
        self._fruitful = False
        self._overdue = False
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # -- seats

    async def join(self, seat: Seat) -> str:
        """Take a place, on a connection that is opened for the first one; give why that cannot be."""
        self._seats.add(seat)
        why = ""
        try:
            if self._connection is None:
                if self._opening is None or self._opening.done():
                    self._opening = asyncio.create_task(self._open(AGAIN_S[:1], seat.shared))
                why = await asyncio.shield(self._opening)
            seat.taken = not why and self._connection is not None
        finally:
            if not seat.taken:
                self.leave(seat)
        return "" if seat.taken else why or "the device closed the connection"

    def leave(self, seat: Seat) -> None:
        """Give up a place; with the last one the connection ends."""
        self._seats.discard(seat)
        if self._seats:
            return
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        connection, self._connection = self._connection, None
        self._forget(connection)
        if connection is not None:
            connection.abort()

    def ask(self, request: Request, due_s: float) -> None:
        """Have a request wait for its turn."""
        self._number += 1
        heapq.heappush(self._queue, (due_s, self._number, request))
        if not self._settling:
            self._pump()

    def sweep(self, wall_s: float) -> None:
        """End the connection where a reply is overdue."""
        if self._connection is not None:
            self._overdue = True
            self._connection.sweep(wall_s)
            self._overdue = False

    # -- the connection

    async def _open(self, pauses_s: tuple[float, ...], shared: Shared) -> str:
        """Open the connection, trying after each pause; where that cannot be, every seat is lost, and why."""
        why, began_s = "", time.monotonic()
        try:
            for pause_s in pauses_s:
                await asyncio.sleep(pause_s)
                connection = Connection(0, shared, exchange(self._to, self._transaction), self._pump, self._lost)
                why = await dial(connection, self._to, self._context)
                if not why:
                    self._opened(connection)
                    return ""
                if time.monotonic() - began_s > sum(pauses_s):
                    break
        except Exception:
            log.exception("%s: opening it broke", self._to.name)
            why = "a fault of the gateway's own"
        self._opening = None
        self._all_lost(why)
        return why

    def _opened(self, connection: Connection) -> None:
        self._opening, self._connection = None, connection
        self._fruitful, self._free_at = False, time.monotonic() + self._connect_pause_s
        self._pump()

    def _lost(self, why: str) -> None:
        """Have the seat bear it whose request was under way; the others wait until the connection is open again.

        What was cut short, or disturbed by noise or another's late reply, is asked once more, unless it was overdue.
        """
        connection, self._connection = self._connection, None
        under_way = self._under_way
        self._forget(connection)
        if connection is None:
            return
        bearable = under_way is not None or self._fruitful
        if under_way is not None and under_way.seat.request is under_way:
            if self._overdue or under_way.again:
                under_way.seat.end(why)
            else:
                under_way.again = True
                self.ask(under_way, AT_ONCE)
        if not bearable:
            self._all_lost(why)
        elif self._seats and self._opening is None:
            self._opening = asyncio.create_task(self._open(AGAIN_S, next(iter(self._seats)).shared))

    def _forget(self, connection: Connection | None) -> None:
        if connection is not None:
            self._transaction = connection.transaction
        self._under_way = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _all_lost(self, why: str) -> None:
        for seat in tuple(self._seats):
            seat.end(why)

    # -- one request at a time

    def _pump(self) -> None:
        """Send what is most urgent, once nothing is under way and the line has rested."""
        connection = self._connection
        if connection is None or not connection.idle or self._timer is not None:
            return
        while self._queue and self._queue[0][2].seat.request is not self._queue[0][2]:
            heapq.heappop(self._queue)
        if not self._queue:
            return
        rest_s = self._free_at - time.monotonic()
        if rest_s > 0:
            self._timer = asyncio.get_running_loop().call_later(rest_s, self._rested)
            return
        request = heapq.heappop(self._queue)[2]
        self._under_way = request
        connection.speak_for(request.seat.unit, request.seat.shared)
        if request.quantity:
            connection.read(request.address, request.quantity, self._settle)
        else:
            connection.write(request.address, request.registers, self._settle)

    def _rested(self) -> None:
        self._timer = None
        self._pump()

    def _settle(self, answer: Reply) -> None:
        request, self._under_way = self._under_way, None
        self._fruitful, self._free_at = True, time.monotonic() + self._gap_s
        if request is None or request.seat.request is not request:
            return
        self._settling = True
        try:
            request.seat.settle(request, answer)
        except Exception:
            log.exception("unit %d of %s: its link broke and starts anew", request.seat.unit, self._to.name)
            request.seat.end("a fault of the gateway's own")
        finally:
            self._settling = False
