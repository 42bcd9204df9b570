"""`/v1/colours`, `/v1/network`: what the network is like, as the limit parent says it (RULES C11, C19)."""

from aiohttp import web

from gateway.core.events import Coloured, Event, NetworkChanged, Topic
from gateway.core.parties import Colour, Direction
from gateway.core.settling import colour_now
from gateway.core.state import SegmentColour, State
from gateway.core.timeline import FOR_EVER_MS
from gateway.diagnostics.records import iso_utc
from gateway.web.body import BadBodyError, Body, Instant, InstantMs, Line, needed, read
from gateway.web.desk import PARTY, Desk, reply, verdict


class ColourBody(Body):
    """The colour of a segment until an instant; red says which direction must not be loaded further."""

    needs = ("until",)
    segment: Line
    colour: Colour
    constrained: Direction | None = None
    until: Instant | None = None
    until_ms: InstantMs | None = None


class NetworkBody(Body):
    """Points at which a switch, tap mode or model changed, or that were looked at again."""

    points: tuple[Line, ...]
    validated: bool
    why: Line = ""


class Network:
    """What the limit parent says of the network, for every party to read."""

    def __init__(self, desk: Desk) -> None:
        """Hand it to this desk."""
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Give what is served."""
        return [
            web.get("/v1/colours", self.colours),
            web.post("/v1/colours", self.colour),
            web.get("/v1/network", self.points),
            web.post("/v1/network", self.change),
        ]

    async def colours(self, _request: web.Request) -> web.Response:
        """List the colour of every segment as it is now; one that was never set is green (C11)."""
        state = self._desk.state
        segments = dict.fromkeys(each.segment for each in state.resources.values() if each.segment)
        return reply({"colours": [_coloured(name, state.colours.get(name), state) for name in segments]})

    async def points(self, _request: web.Request) -> web.Response:
        """List the points of the network, and why those are not validated that are not (C19)."""
        unvalidated = self._desk.state.unvalidated
        return reply(
            {
                "points": [
                    {"point": name, "validated": name not in unvalidated, "why": unvalidated.get(name, "")}
                    for name in self._known()
                ]
            }
        )

    def _known(self) -> list[str]:
        """Name the points that can be said to have changed."""
        every = self._desk.state.resources.values()
        return sorted({name for each in every for name in (each.segment, *each.places) if name})

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
        known = self._known()
        strange = next((name for name in body.points if name not in known), None)
        if not body.points or strange is not None:
            names = ", ".join(known) or "none"
            raise BadBodyError(f"points: name at least one, and each as the site file does; known: {names}")
        event = NetworkChanged(request[PARTY], body.points, body.validated, body.why)
        return await self._taken(event, Topic.NETWORK, body.points)

    async def _taken(self, event: Event, done: Topic, names: tuple[str, ...]) -> web.Response:
        tells = await self._desk.decide(event)
        return reply(verdict([tell for tell in tells if tell.names == names], done, ""))


def _coloured(segment: str, held: SegmentColour | None, state: State) -> dict[str, object]:
    """Give a segment's colour now; what was said of it before its time was over has no end any more."""
    if held is None:
        return {"segment": segment, "colour": Colour.GREEN, "constrained": None, "until": None, "set_by": None}
    now, stands = colour_now(held, state), state.now_ms < held.until_ms
    return {
        "segment": segment,
        "colour": now,
        "constrained": held.constrained if stands else None,
        "until": iso_utc(held.until_ms) if stands and held.until_ms < FOR_EVER_MS else None,
        "set_by": held.issuer,
    }
