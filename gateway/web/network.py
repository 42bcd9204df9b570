"""`/v1/colours`, `/v1/network`, `/v1/defaults`: what the network is like, and what holds without orders."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta

from gateway.core.events import Coloured, DefaultHeard, Event, NetworkChanged, Topic
from gateway.core.narrate import label
from gateway.core.orders import NO_PRIORITY, Default, OrderKey
from gateway.core.parties import Colour, Direction
from gateway.web.body import (
    BadBodyError,
    Body,
    EffectBody,
    Id,
    InstantMs,
    Line,
    Number,
    effects,
    needed,
    read,
)
from gateway.web.desk import PARTY, Desk, Verdict, reply, verdict


class ColourBody(Body):
    """The colour of a segment until an instant; red says which direction must not be loaded further."""

    segment: Line
    colour: Colour
    constrained: Direction | None = None
    until: str | None = None
    until_ms: InstantMs | None = None


class NetworkBody(Body):
    """Points at which a switch, tap mode or model changed, or that were looked at again."""

    points: tuple[Line, ...]
    validated: bool
    why: Line = ""


class DefaultBody(Body):
    """What holds at a group while no order of the party does; the smaller `priority` is the stronger."""

    group: Line
    effects: tuple[EffectBody, ...]
    id: Id = "default"
    priority: Number | None = None
    gradient_percent_per_s: Annotated[float, Meta(ge=0.01, le=100)] | None = None
    service: Line = ""


class Network:
    """What parties say of the network and of what holds without them."""

    def __init__(self, desk: Desk) -> None:
        """Hand it to this desk."""
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Give what is served."""
        return [
            web.post("/v1/colours", self.colour),
            web.post("/v1/network", self.change),
            web.post("/v1/defaults", self.default),
        ]

    async def colour(self, request: web.Request) -> web.Response:
        """Take a segment's colour (C11)."""
        body = read(await request.read(), ColourBody)
        if (body.constrained is not None) != (body.colour is Colour.RED):
            raise BadBodyError('constrained: give "export" or "import" with red, and nothing otherwise')
        until_ms = needed("until", body.until, body.until_ms)
        event = Coloured(request[PARTY], body.segment, body.colour, body.constrained, until_ms)
        return await self._taken(event, Topic.COLOUR, (body.segment,))

    async def change(self, request: web.Request) -> web.Response:
        """Take a change of the network, or that it was validated again (C19)."""
        body = read(await request.read(), NetworkBody)
        known = {name for each in self._desk.state.resources.values() for name in (each.segment, *each.places) if name}
        strange = next((name for name in body.points if name not in known), None)
        if not body.points or strange is not None:
            names = ", ".join(sorted(known)) or "none"
            raise BadBodyError(f"points: name at least one, and each as the site file does; known: {names}")
        event = NetworkChanged(request[PARTY], body.points, body.validated, body.why)
        return await self._taken(event, Topic.NETWORK, body.points)

    async def _taken(self, event: Event, done: Topic, names: tuple[str, ...]) -> web.Response:
        tells = await self._desk.decide(event)
        return reply(verdict([tell for tell in tells if tell.names == names], done, ""))

    async def default(self, request: web.Request) -> web.Response:
        """Take what holds in the party's slots while none of its orders does (C5)."""
        body, party = read(await request.read(), DefaultBody), request[PARTY]
        if body.group not in self._desk.state.members:
            raise BadBodyError(f"group: none is named {body.group!r}; name one of the site file")
        gradient = None if body.gradient_percent_per_s is None else round(100 * body.gradient_percent_per_s)
        precedence = NO_PRIORITY if body.priority is None else body.priority
        carried = effects(body.effects)
        heard = Default(party, body.id, body.group, precedence, carried, gradient, body.service)
        told: Verdict = verdict(
            await self._desk.decide(DefaultHeard(heard)), Topic.DEFAULT, label(OrderKey(party, body.id))
        )
        return reply(told)
