"""A clock that stands still while anything happens and then steps to the next thing that is due.

What a procedure finds does not depend on how fast the machine is: no simulated time passes during a request.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from fractions import Fraction

import pytest

from gateway.northbound.sep2_client.exchange import Exchange
from hil.clock import Clock

TURNS = 12
"""How often the loop goes round before nothing is taken to be going on: longer than any chain of tasks here."""


class SteppedClock(Clock):
    """Serves both sides; `advance` alone moves it."""

    def __init__(self, at_ms: int) -> None:
        super().__init__("real", None, Fraction(1))
        self._at_ms = at_ms
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._slept = 0

    def now_ms(self) -> int:
        return self._at_ms

    async def sleep_until_ms(self, until_ms: int) -> None:
        await asyncio.sleep(0)
        if until_ms > self._at_ms:
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._slept += 1
            heapq.heappush(self._sleepers, (until_ms, self._slept, woken))
            await woken

    def next_ms(self) -> int | None:
        """When the next sleeper wakes."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def advance(self, to_ms: int) -> None:
        """Show this time and wake who waited for it."""
        self._at_ms = max(self._at_ms, to_ms)
        while self._sleepers and self._sleepers[0][0] <= self._at_ms:
            _at_ms, _number, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)


class Requests:
    """Counts the client's requests that are under way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._under_way = 0
        self._ended = asyncio.Event()
        ask: Callable[..., Awaitable[tuple[int, bytes, str]]] = Exchange._request

        async def counted(exchange: Exchange, *given: object, **named: object) -> tuple[int, bytes, str]:
            self._under_way += 1
            try:
                return await ask(exchange, *given, **named)
            finally:
                self._under_way -= 1
                self._ended.set()

        monkeypatch.setattr(Exchange, "_request", counted)

    async def settle(self) -> None:
        """Return when nothing goes on any more but waiting for the clock."""
        while True:
            self._ended.clear()
            for _turn in range(TURNS):
                await asyncio.sleep(0)
            if not self._under_way and not self._ended.is_set():
                return
            if self._under_way:
                await self._ended.wait()
