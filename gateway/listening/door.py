"""Where peers come in: listened at again and again until it can be, and handshakes paced so that nothing else waits.

A handshake costs milliseconds of the loop's time, and after an outage all peers want theirs in the same second. So a
connection is accepted at once, waits for its first octets without costing anything, and then for one of few turns. A
turn ends with the handshake, or after a moment: a peer that stalls keeps no other from its turn, and what a peer waits
for its turn is not counted as its own slowness.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.listening.guest import Answer, Guests
from gateway.listening.limits import Limits
from gateway.listening.refusals import Reason, Refusals, one_line

AGAIN_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
CLOSE_S: Final = 0.5
LEFT_MIN_S: Final = 0.1
TURN_S: Final = 0.02
"""Long enough for a handshake in the same house; one with a peer far away goes on after its turn."""
LOOK_S: Final = 1.0
BACKLOG: Final = 4_096
FULL_S: Final = 0.1
ESTABLISHED: Final = 1
"""What TCP_INFO begins with while both ends are there."""

Opened = Callable[[int], Awaitable[None]]
"""Is called with the port once it is listened at, and runs for as long as it is."""


class Door:
    """Listens at one address, and lets in who shakes hands."""

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        answer: Answer,
        log: logging.Logger,
        limits: Limits | None = None,
        *,
        name: str = "",
        meanwhile: str = "it is tried again",
    ) -> None:
        """Answer requests at this address (port 0 is any free one) by `answer`.

        `name` stands before the lines of `log`; `meanwhile` says there what happens while it cannot be listened.
        """
        self.limits = limits or Limits()
        self.refusals = Refusals(log)
        self._host, self._port, self._context = host, port, context
        self._answer = answer
        self._log = log
        self._name = f"{name}: " if name else ""
        self._meanwhile = meanwhile
        self._guests: Guests | None = None
        self._silent: dict[asyncio.Task[None], None] = {}
        self._pending: set[asyncio.Task[None]] = set()
        self._turns = Turns(self.limits.handshakes)

    @property
    def open(self) -> int:
        """How many connections are open."""
        return 0 if self._guests is None else len(self._guests.open)

    async def run(self, opened: Opened) -> None:
        """Listen until cancelled; where the address is taken it is tried again. It can be run again."""
        tries = 0
        while True:
            try:
                listeners = await self._bound()
            except OSError as fault:
                if not tries:
                    why = f"{fault.strerror or fault}; {self._meanwhile}"
                    self._log.error("%scannot listen at %s:%d: %s", self._name, self._host, self._port, why)
                await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S) - 1)])
                tries += 1
                continue
            tries = 0
            await self._serve(listeners, opened)

    def cut(self, why_denied: Callable[[bytes], str | None]) -> list[str]:
        """Cut those whose certificate (DER) is denied, in the middle of what they do; give their LFDIs."""
        return [] if self._guests is None else self._guests.cut(why_denied)

    async def _bound(self) -> list[socket.socket]:
        """Listen at every address of the host, all at one port; raise OSError where one of them is taken."""
        found = await asyncio.get_running_loop().getaddrinfo(
            self._host or None, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with contextlib.ExitStack() as stack:
            made: list[socket.socket] = []
            for family, _kind, _protocol, _name, address in dict.fromkeys(found):
                port = made[0].getsockname()[1] if made else self._port
                one = socket.create_server((address[0], port, *address[2:]), family=family, backlog=BACKLOG)
                stack.callback(one.close)
                one.setblocking(False)
                made.append(one)
            stack.pop_all()
        return made

    async def _serve(self, listeners: list[socket.socket], opened: Opened) -> None:
        guests = self._guests = Guests(self._answer, self.limits, self.refusals)
        tasks = [asyncio.create_task(self._accept(one, guests)) for one in listeners]
        tasks.append(asyncio.create_task(self._look(guests)))
        try:
            await opened(listeners[0].getsockname()[1])
        finally:
            for each in (*tasks, *self._pending):
                each.cancel()
            await asyncio.gather(*tasks, *self._pending, return_exceptions=True)
            for one in listeners:
                one.close()
            guests.pre_shutdown()
            await guests.shutdown(CLOSE_S)

    async def _look(self, guests: Guests) -> None:
        limits = self.limits
        step_s = min(LOOK_S, limits.header_s / 4, limits.body_s / 4)
        while True:
            await asyncio.sleep(step_s)
            guests.look()

    async def _accept(self, listener: socket.socket, guests: Guests) -> None:
        """Take in whoever knocks, until cancelled; the longest silent ones make room for those who come after."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                knocking, address = await loop.sock_accept(listener)
            except OSError as fault:
                self.refusals.note(Reason.CONNECTIONS, f"{self._name}nobody can be let in: {fault.strerror or fault}")
                await asyncio.sleep(FULL_S)
                continue
            while len(self._pending) >= self.limits.pending:
                await self._thin_out()
            task = asyncio.create_task(self._let_in(knocking, str(address[0]), guests))
            self._pending.add(task)
            self._silent[task] = None
            task.add_done_callback(self._forget)
            await asyncio.sleep(0)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        self._silent.pop(task, None)

    async def _thin_out(self) -> None:
        """Have fewer who have not shaken hands: the longest silent one is cut; where none is silent, wait for one."""
        silent = next(iter(self._silent), None)
        if silent is None:
            await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
            return
        why = f"more than {self.limits.pending} at once before their handshake, the longest silent are cut"
        self.refusals.note(Reason.CONNECTIONS, f"{self._name}{why}")
        silent.cancel()
        await asyncio.wait([silent])

    async def _let_in(self, knocking: socket.socket, who: str, guests: Guests) -> None:
        """Shake hands with one who knocks, when it is its turn, or cut it."""
        task = asyncio.current_task()
        with contextlib.ExitStack() as stack:
            stack.callback(knocking.close)
            knocking.setblocking(False)
            try:
                async with asyncio.timeout(self.limits.handshake_s) as patience:
                    await _first_octets(knocking)
                    left_s = (patience.when() or 0.0) - asyncio.get_running_loop().time()
            except TimeoutError:
                self._slow(who)
                return
            if task is not None:
                self._silent.pop(task, None)
            give_back = await self._turns.take()
            if _is_gone(knocking):
                give_back()
                return
            stack.pop_all()
        try:
            await self._shake(knocking, guests, max(left_s, LEFT_MIN_S))
        except ssl.SSLCertVerificationError as fault:
            self._refuse_certificate(who, fault)
        except OSError as fault:
            if "longer than" in str(fault):
                self._slow(who)
            else:
                why = one_line(getattr(fault, "reason", None) or fault.strerror or fault)
                self.refusals.note(Reason.HANDSHAKE, f"{self._name}{who}: no handshake: {why}", why)
        finally:
            give_back()

    async def _shake(self, knocking: socket.socket, guests: Guests, within_s: float) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(
            guests,
            knocking,
            ssl=self._context,
            ssl_handshake_timeout=within_s,
            ssl_shutdown_timeout=CLOSE_S,
        )

    def _slow(self, who: str) -> None:
        why = f"no handshake within {self.limits.handshake_s:g} s"
        self.refusals.note(Reason.SLOW_HANDSHAKE, f"{self._name}{who}: {why}")

    def _refuse_certificate(self, who: str, fault: ssl.SSLCertVerificationError) -> None:
        """Count who is refused for its certificate; the judge of the context says itself what it does not like."""
        self.refusals.counts[Reason.CERTIFICATE] += 1
        if type(fault) is ssl.SSLCertVerificationError:
            why = one_line(fault.verify_message)
            self.refusals.say(f"{self._name}{who}: its certificate is refused: {why}", why)


class Turns:
    """A few turns at a time; one that is not given back ends by itself after a moment."""

    def __init__(self, turns: int) -> None:
        """Have so many."""
        self._free = asyncio.Semaphore(turns)

    async def take(self) -> Callable[[], None]:
        """Wait for a turn, first come, first served; give what gives it back, which may be called again."""
        await self._free.acquire()
        held: list[asyncio.TimerHandle] = []

        def give_back() -> None:
            while held:
                held.pop().cancel()
                self._free.release()

        held.append(asyncio.get_running_loop().call_later(TURN_S, give_back))
        return give_back


async def _first_octets(knocking: socket.socket) -> None:
    """Return when there is something to be read."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(knocking, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(knocking)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _is_gone(knocking: socket.socket) -> bool:
    """Tell whether a peer has hung up while it waited, where the system says so."""
    asked = getattr(socket, "TCP_INFO", None)
    return asked is not None and knocking.getsockopt(socket.IPPROTO_TCP, asked, 1)[0] != ESTABLISHED
