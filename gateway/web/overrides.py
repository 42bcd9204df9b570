"""`/v1/overrides`: which orders another one beat, and what that curtailed (RULES C10)."""

from collections import deque
from typing import Final

from aiohttp import web

from gateway.core.answers import Kind
from gateway.core.events import Tell, Topic
from gateway.diagnostics.records import iso_utc
from gateway.web.desk import PARTY, Desk, reply

KEPT: Final = 10_000


class Overrides:
    """The newest overrides since the start of the process; the journal has them all.

    The limit parent sees every one, as they are reported upward; another party those of its own orders.
    """

    def __init__(self, desk: Desk) -> None:
        """Show them to the parties of this desk."""
        self._desk = desk
        self._since_ms = desk.now_ms()
        self._told: deque[Tell] = deque(maxlen=KEPT)

    def routes(self) -> list[web.RouteDef]:
        """Give what is served."""
        return [web.get("/v1/overrides", self.listed)]

    def witness(self, tell: Tell) -> None:
        """See a record of a decision."""
        if tell.topic is Topic.CURTAILED or (tell.topic is Topic.ANSWERED and tell.effect == Kind.SUSPENDED):
            self._told.append(tell)

    async def listed(self, request: web.Request) -> web.Response:
        """List them, the oldest first."""
        party = request[PARTY]
        every = party in self._desk.parents
        seen = (tell for tell in self._told if every or tell.order.startswith(f"{party}/"))
        return reply({"since": iso_utc(self._since_ms), "overrides": [_row(tell) for tell in seen]})


def _row(tell: Tell) -> dict[str, object]:
    curtailed = tell.topic is Topic.CURTAILED
    return {
        "at": iso_utc(tell.at_ms),
        "order": tell.order,
        "what": "curtailed" if curtailed else "suspended",
        "rule": tell.rule,
        "effect": tell.effect if curtailed else "",
        "why": tell.why,
        "resources": list(tell.names),
        "wh": dict(zip(tell.names, tell.values, strict=True)) if curtailed else {},
    }
