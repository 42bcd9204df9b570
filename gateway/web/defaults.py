"""`/v1/defaults`: what holds in a party's slots while none of its orders does (RULES C5, C14)."""

from collections.abc import Iterator
from typing import Annotated

from aiohttp import web
from msgspec import Meta

from gateway.core.events import DefaultHeard, Topic
from gateway.core.modes import Curve, Droop, FixedVar, PowerFactor, RideThrough, TargetVar
from gateway.core.narrate import label
from gateway.core.orders import (
    NO_PRIORITY,
    Ceiling,
    Connect,
    Default,
    Effect,
    Energize,
    Floor,
    OrderKey,
    Price,
    Release,
    Target,
)
from gateway.core.units import HUNDREDTHS_OF_PERCENT, Share, Watts
from gateway.web.body import BadBodyError, Body, Id, Line, Number, read
from gateway.web.desk import PARTY, Desk, Verdict, fault, reply, verdict
from gateway.web.effects import EffectBody, effects
from gateway.web.modes import stated


class DefaultBody(Body):
    """What holds at a group while no order of the party does; the smaller `priority` is the stronger."""

    group: Line
    effects: tuple[EffectBody, ...]
    id: Id = "default"
    priority: Number | None = None
    gradient_percent_per_s: Annotated[float, Meta(ge=0.01, le=100, description="% of the rating a second")] | None = (
        None
    )
    service: Line = ""


class Defaults:
    """The defaults of all parties, each party's own to itself."""

    def __init__(self, desk: Desk) -> None:
        """Hand them to this desk."""
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Give what is served."""
        return [
            web.get("/v1/defaults", self.listed),
            web.post("/v1/defaults", self.post),
            web.delete("/v1/defaults/{id}", self.delete),
        ]

    async def post(self, request: web.Request) -> web.Response:
        """Take what holds in the party's slots while none of its orders does (C5)."""
        body, party = read(await request.read(), DefaultBody), request[PARTY]
        if body.group not in self._desk.state.members:
            raise BadBodyError(f"group: none is named {body.group!r}; name one of the site file")
        gradient = None if body.gradient_percent_per_s is None else round(100 * body.gradient_percent_per_s)
        precedence = NO_PRIORITY if body.priority is None else body.priority
        heard = Default(party, body.id, body.group, precedence, effects(body.effects), gradient, body.service)
        tells = await self._desk.decide(DefaultHeard(heard))
        return reply(verdict(tells, Topic.DEFAULT, label(OrderKey(party, body.id))))

    async def listed(self, request: web.Request) -> web.Response:
        """List the party's defaults that stand."""
        return reply({"defaults": [_row(one) for one in self._of(request[PARTY])]})

    async def delete(self, request: web.Request) -> web.Response:
        """Take a default back, in every group that it is for; what else holds there holds (C5)."""
        party, name = request[PARTY], request.match_info["id"]
        mine = [one for one in self._of(party) if one.id == name]
        if not mine:
            return fault(f"{party} has no default {name!r}; list those that stand with GET /v1/defaults", 404)
        for one in mine:
            await self._desk.decide(DefaultHeard(Default(party, name, one.group, NO_PRIORITY, (), service=one.service)))
        return reply(Verdict(True, "C5", "withdrawn; another default or the last resort of the site file holds"))

    def _of(self, party: str) -> list[Default]:
        """Give the defaults of a party that set anything: one without effects was taken back."""
        every = (one for held in self._desk.state.defaults.values() for one in held.values())
        return [one for one in every if one.issuer == party and one.effects]


def _row(one: Default) -> dict[str, object]:
    gradient = one.gradient_hundredths_per_s
    return {
        "id": one.id,
        "group": one.group,
        "effects": [dict(_stated(effect)) for effect in one.effects],
        "priority": None if one.precedence == NO_PRIORITY else one.precedence,
        "gradient_percent_per_s": None if gradient is None else gradient / 100,
        "service": one.service,
    }


def _stated(effect: Effect) -> Iterator[tuple[str, object]]:
    """Give an effect as a body states it."""
    yield "function", effect.function
    match effect:
        case Release():
            yield "release", True
        case Connect(on=on) | Energize(on=on):
            yield "on", on
        case Price(milli_per_mwh=milli_per_mwh):
            yield "per_mwh", milli_per_mwh / 1000
        case Ceiling(power=Watts(w=w)) | Floor(power=Watts(w=w)) | Target(power=Watts(w=w)):
            yield "w", w
        case Ceiling(power=Share() as share) | Floor(power=Share() as share) | Target(power=Share() as share):
            yield "percent", 100 * share.hundredths / HUNDREDTHS_OF_PERCENT
        case Curve() | Droop() | FixedVar() | TargetVar() | PowerFactor() | RideThrough():
            yield from stated(effect)
