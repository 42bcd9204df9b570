"""Reads the curves that controls link to, each once for all that link to it, and again at their program's poll rate."""

import time
from collections.abc import Mapping
from typing import Final

from gateway.northbound.sep2_client.exchange import Exchange, ServerFault
from gateway.northbound.sep2_client.modes import Missing
from gateway.northbound.sep2_client.reader import AGAIN_S, Failing, Reader
from gateway.ports.clock import Clock
from gateway.wire.sep2.curves import DERCurve

CURVES_MAX: Final = 200
HANGING_MAX: Final = 2
"""After so many curves of one round that gave no answer the others wait for the next: limits are polled meanwhile."""
ASKING_MAX_S: Final = 10.0
"""So do they after so long a time (s of wall time) of one round, whatever the others answered, and however slowly."""


class CurveReader:
    """What is known of a server's curves; none of them, missing or malformed, makes anything else count as unread."""

    def __init__(self, exchange: Exchange, clock: Clock, poll_s: int, phase_s: int = 0) -> None:
        """Read through this exchange; `poll_s` stands in for a rate that is not given, `phase_s` is as in `Reader`."""
        self.stale: dict[str, str] = {}
        self._reader = Reader(exchange, clock, poll_s, phase_s)
        self._asked: set[str] = set()
        self._hanging = 0
        self._asking_s = 0.0
        self._turns: dict[str, int] = {}
        self._turn = 0

    def begin(self) -> None:
        """Begin a round."""
        self._reader.begin()
        self._asked.clear()
        self._hanging = 0
        self._asking_s = 0.0
        self.stale.clear()

    def end(self) -> None:
        """End a round that saw the whole server: curves to which nothing links are forgotten."""
        self._reader.end()
        self._turns = {href: turn for href, turn in self._turns.items() if href in self._asked}

    def expire_before(self, at_ms: int) -> None:
        """Read again whatever was read before an instant."""
        self._reader.expire_before(at_ms)

    def next_due_ms(self, at_most_ms: int) -> int:
        """Give when a curve is next to be read, if that is before `at_most_ms`."""
        return min(at_most_ms, self._reader.next_due_ms()) if self._asked else at_most_ms

    async def read(self, rates_s: Mapping[str, int]) -> dict[str, DERCurve | Missing]:
        """Give the curves of these addresses, each with a poll rate (s), as they were read last.

        One that was read before and cannot be read now holds, and is among `stale` with the reason. Those that failed
        least often come first, and of them those that were read longest ago. Raises ServerDown where the server as a
        whole does not answer.
        """
        return {href: await self._one(href, rates_s[href]) for href in sorted(rates_s, key=self._order)}

    def _order(self, href: str) -> tuple[int, int]:
        return self._tries(href), self._turns.get(href, 0)

    def _tries(self, href: str) -> int:
        failing = self._reader.failing.get(href)
        return 0 if failing is None else failing.tries

    def _missing(self, href: str, why: str) -> Missing:
        return Missing(why, soon=self._tries(href) <= len(AGAIN_S))

    async def _one(self, href: str, poll_s: int) -> DERCurve | Missing:
        if len(self._asked) == CURVES_MAX:
            return Missing(f"{href} is one curve more than the {CURVES_MAX} that are read", soon=False)
        self._asked.add(href)
        if self._hanging == HANGING_MAX or self._asking_s >= ASKING_MAX_S:
            last = self._reader.last(href, DERCurve)
            return last or self._missing(href, f"{href} is not asked for while others give none, or slowly")
        before = self._reader.failing.get(href)
        try:
            curve = await self._timed(href, poll_s)
        except ServerFault as fault:
            self._note(href, before)
            return self._missing(href, str(fault))
        self._note(href, before)
        if href in self._reader.failing:
            self.stale[href] = self._reader.failing[href].why
        return curve

    async def _timed(self, href: str, poll_s: int) -> DERCurve:
        """Read one that is due, and add up how long that takes."""
        start_s = time.monotonic()
        try:
            return await self._reader.one(href, DERCurve, poll_s)
        finally:
            self._asking_s += time.monotonic() - start_s
            if self._reader.is_fresh(href):
                self._turn += 1
                self._turns[href] = self._turn

    def _note(self, href: str, before: Failing | None) -> None:
        """Count a curve that was asked for just now and gave no answer."""
        failing = self._reader.failing.get(href)
        if failing is not None and failing is not before and failing.status == 0:
            self._hanging = min(self._hanging + 1, HANGING_MAX)
