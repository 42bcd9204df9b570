"""Where the local API and the deciding loop meet: who is heard, and what was decided on what they said."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from aiohttp import web

from gateway.config import SiteFile
from gateway.core.events import Contact, Event, Tell, Topic
from gateway.core.state import State
from gateway.runtime.clock import SiteClock
from gateway.runtime.decider import Decider
from gateway.web.inbox import Inbox

PATIENCE_S: Final = 10.0
PARTY: Final = web.RequestKey("party", str)
"""Under this key a request holds the party that its token proves."""
CONTACTS_A_WINDOW: Final = 20
"""A party that asks all the time is heard of so often in one window, and not at every request."""


class UndecidedError(Exception):
    """What was asked was not decided in time, or the gateway goes down."""


class Verdict(msgspec.Struct, frozen=True, omit_defaults=False):
    """What was decided: whether it has effect, by which rule, and why; `refused` names what of it has none."""

    admitted: bool
    rule: str
    why: str
    refused: dict[str, str] = {}


class Desk:
    """Hands what parties say to the deciding loop."""

    def __init__(self, site: SiteFile, decider: Decider, clock: SiteClock, inbox: Inbox) -> None:
        """Serve the parties of this site."""
        self.inbox = inbox
        self.parents = tuple(party.name for party in site.parties if party.limit_parent)
        self._decider = decider
        self._clock = clock
        self._window_ms = 0 if site.local_api is None else 1000 * site.local_api.contact_lost_s
        self._heard_ms: dict[str, int] = {}

    @property
    def state(self) -> State:
        """What the machine remembers now."""
        return self._decider.machine.state

    def now_ms(self) -> int:
        """Give the time on the gateway's clock (ms)."""
        return self._clock.now_ms()

    def meet(self, party: str) -> None:
        """Take a request of a party as contact with it (C14).

        Our reading: not where another link reads its orders, since whether that is complete is for that link to say.
        """
        now_ms = self.now_ms()
        if party in self._decider.north:
            return
        if party in self._heard_ms and now_ms - self._heard_ms[party] < self._window_ms // CONTACTS_A_WINDOW:
            return
        self._heard_ms[party] = now_ms
        self._decider.hear(Contact(party, self._window_ms))

    async def decide(self, event: Event) -> tuple[Tell, ...]:
        """Give what is told of an event once it is on disk; raise UndecidedError where that takes too long."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._decider.decided(event)
        except TimeoutError as error:
            raise UndecidedError("not decided yet; ask again") from error


def verdict(tells: Iterable[Tell], done: Topic, label: str) -> Verdict:
    """Read out of what was told whether something was taken; nothing told of it means that it stands already (C1)."""
    mine = [tell for tell in tells if tell.order == label and tell.topic in {done, Topic.REFUSED}]
    if not mine:
        return Verdict(True, "C1", "it stands already as it was sent")
    last = mine[0]
    return Verdict(last.topic is done, last.rule, last.why or last.effect, refusals(last))


def refusals(tell: Tell) -> dict[str, str]:
    """Name what a refusal leaves without effect, each with rule and reason; nothing for any other record."""
    return dict.fromkeys(tell.names, f"{tell.rule}: {tell.why}") if tell.topic is Topic.REFUSED else {}


def reply(body: object, status: int = 200) -> web.Response:
    """Give a value as JSON."""
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def fault(line: str, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """Give one line that says what is wrong and what to do."""
    body = msgspec.json.encode({"error": " ".join(line.split())})
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
