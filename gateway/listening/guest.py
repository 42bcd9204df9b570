"""One connection of a peer that is known by its certificate, and all of them: what is slow or too much is cut.

An idle connection is one that waits for its next request; only those make room for others.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto
from typing import Any, Final, cast

from aiohttp import StreamReader, web

from gateway.listening.limits import Limits
from gateway.listening.peer import leaf_of, lfdi_of
from gateway.listening.refusals import Reason, Refusals, one_line

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

END: Final = b"\r\n\r\n"
LINE_OCTETS: Final = 4_096
SERVER_ERROR: Final = 500
LINES_MAX: Final = 64
SETTINGS: Final[Mapping[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,
    "max_line_size": LINE_OCTETS,
    "max_field_size": LINE_OCTETS,
    "max_headers": LINES_MAX,
}


class Phase(Enum):
    """What a connection is at."""

    IDLE = auto()
    HEADER = auto()
    REQUEST = auto()
    ANSWER = auto()
    REST = auto()
    """Answered, while the rest of its body is still to come and is thrown away."""


class Guest(web.RequestHandler):
    """One connection; what the peer sends is counted and timed before it is read."""

    __slots__ = ("_guests", "_head", "_head_octets", "_rest", "due_s", "lfdi", "phase", "since_s")

    def __init__(self, guests: "Guests", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(guests, loop=loop, **SETTINGS)
        self.lfdi = ""
        self.phase = Phase.HEADER
        self.since_s = time.monotonic()
        self.due_s = math.inf
        self._guests = guests
        self._head = b""
        self._head_octets = 0
        self._rest: StreamReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Know the peer, and have it make room or be refused where there are too many."""
        super().connection_made(transport)
        leaf = leaf_of(transport)
        self.lfdi = lfdi_of(leaf) if leaf else ""
        self._turn(Phase.HEADER, self._guests.limits.header_s)
        if not self._guests.come(self):
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave."""
        self._guests.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it makes the header block too long."""
        if self._rest is not None and self._rest.is_eof():
            self._rest = None
            self._turn(Phase.IDLE)
        if self.phase is Phase.IDLE:
            self._turn(Phase.HEADER, self._guests.limits.header_s)
        if self.phase is Phase.HEADER and not self._short(data):
            self.cut(Reason.LONG_HEADER, f"a header block of more than {self._guests.limits.header_octets} octets")
            return
        super().data_received(data)

    def _short(self, data: bytes) -> bool:
        """Count the header block, and tell whether it is not too long; it ends the first time that a line is empty."""
        held = self._head + data
        at = held.find(END)
        self._head_octets += len(data) if at < 0 else at + len(END) - len(self._head)
        self._head = held[1 - len(END) :] if at < 0 else b""
        if self._head_octets > self._guests.limits.header_octets:
            return False
        if at >= 0:
            self._turn(Phase.REQUEST, 2 * self._guests.limits.body_s)
        return True

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Answer; who does not take the answer in time is cut."""
        self._turn(Phase.ANSWER, self._guests.limits.body_s)
        done = await super().finish_response(request, resp, start_time)
        if request.content.is_eof():
            self._turn(Phase.IDLE)
        else:
            self._rest = request.content
            self._turn(Phase.REST, self._guests.limits.body_s)
        return done

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no request that can be read, count it and hang up; the library would log each of them."""
        if status >= SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        why = f"no request that can be read: {one_line(message)}"
        self._guests.refusals.note(Reason.REQUEST, f"{self.lfdi}: {why}", f"{self.lfdi} {status}")
        answer = web.Response(status=status)
        answer.force_close()
        return answer

    def _turn(self, phase: Phase, within_s: float = math.inf) -> None:
        """Be at something, for so long at most."""
        self.phase = phase
        self.since_s = time.monotonic()
        self.due_s = self.since_s + within_s
        if phase is Phase.HEADER:
            self._head, self._head_octets = b"", 0
        self._guests.note_idle(self, is_idle=phase is Phase.IDLE)

    def late(self) -> None:
        """Be cut for being slow at what it is at."""
        limits = self._guests.limits
        match self.phase:
            case Phase.HEADER:
                self.cut(Reason.SLOW_HEADER, f"no whole header block within {limits.header_s:g} s")
            case Phase.ANSWER:
                self.cut(Reason.SLOW_ANSWER, f"it did not take its answer within {limits.body_s:g} s")
            case _:
                self.cut(Reason.SLOW_BODY, f"no end of its request within {limits.body_s:g} s")

    def cut(self, reason: Reason, why: str) -> None:
        """Cut the connection in the middle of what it is at, and say why."""
        self._guests.refusals.note(reason, f"{self.lfdi or 'nobody'}: its connection is cut, {why}")
        self.drop()

    def drop(self) -> None:
        """Cut the connection without a word."""
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()


class Guests(web.Server):
    """All connections of one listener."""

    def __init__(self, answer: Answer, limits: Limits, refusals: Refusals) -> None:
        """Answer requests so; every connection of it is a `Guest`."""
        super().__init__(answer)
        self.limits = limits
        self.refusals = refusals
        self._open: dict[Guest, None] = {}
        self._idle: dict[Guest, None] = {}
        self._of_peer: dict[str, list[Guest]] = {}

    def __call__(self) -> Guest:
        """Make the next connection."""
        return Guest(self, asyncio.get_running_loop())

    @property
    def open(self) -> tuple[Guest, ...]:
        """All that are open, the oldest first."""
        return tuple(self._open)

    def come(self, guest: Guest) -> bool:
        """Take a connection in; False where there is no room, and nobody who is idle could make it."""
        of_peer = self._of_peer.setdefault(guest.lfdi, [])
        if len(of_peer) >= self.limits.connections_per_peer:
            idle = min((one for one in of_peer if one in self._idle), key=_since_s, default=None)
            why = f"more than {self.limits.connections_per_peer} connections of one peer"
            if not self._make_room(idle, Reason.CONNECTIONS_OF_PEER, guest, why):
                return False
        if len(self._open) >= self.limits.connections:
            idle = next(iter(self._idle), None)
            why = f"more than {self.limits.connections} connections in all"
            if not self._make_room(idle, Reason.CONNECTIONS, guest, why):
                return False
        self._open[guest] = None
        self._of_peer.setdefault(guest.lfdi, []).append(guest)
        return True

    def _make_room(self, idle: Guest | None, reason: Reason, guest: Guest, why: str) -> bool:
        if idle is None:
            self.refusals.note(reason, f"{guest.lfdi}: refused, {why} and none of them idle")
            return False
        self.refusals.note(reason, f"{idle.lfdi}: {why}, the one that was idle longest is cut")
        self.leave(idle)
        idle.force_close()
        return True

    def leave(self, guest: Guest) -> None:
        """Let a connection go."""
        if guest not in self._open:
            return
        del self._open[guest]
        self._idle.pop(guest, None)
        of_peer = self._of_peer[guest.lfdi]
        of_peer.remove(guest)
        if not of_peer:
            del self._of_peer[guest.lfdi]

    def note_idle(self, guest: Guest, *, is_idle: bool) -> None:
        """Note whether a connection waits for its next request; who began to last is the last to make room."""
        self._idle.pop(guest, None)
        if is_idle and guest in self._open:
            self._idle[guest] = None

    def look(self) -> None:
        """Cut all who are late."""
        now_s = time.monotonic()
        for guest in [one for one in self._open if one.due_s <= now_s]:
            guest.late()

    def cut(self, why_denied: Callable[[bytes], str | None]) -> list[str]:
        """Cut those whose certificate (DER) is denied, in the middle of what they do; give their LFDIs."""
        cut: list[str] = []
        for guest in self.open:
            leaf = leaf_of(guest.transport)
            why = why_denied(leaf) if leaf else None
            if why is not None:
                guest.cut(Reason.DENIED, why)
                cut.append(guest.lfdi)
        return cut


def _since_s(guest: Guest) -> float:
    return guest.since_s


def guest_of(request: web.BaseRequest) -> Guest:
    """Give the connection that a request came over."""
    return cast("Guest", request.protocol)
