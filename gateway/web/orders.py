"""`/v1/orders`: orders of parties that speak over the local API, and what became of them."""

from typing import Annotated, Literal, NamedTuple

import msgspec
from aiohttp import web
from msgspec import Meta

from gateway.core.answers import TERMINAL, Answer, Kind
from gateway.core.events import OrderHeard, Tell, Topic, Withdrawal, Withdrawn
from gateway.core.narrate import label
from gateway.core.orders import NO_PRIORITY, Each, Order, OrderKey, Rank, Reply, Total
from gateway.core.state import Live, State
from gateway.diagnostics.records import iso_utc
from gateway.ports.north import LOCAL
from gateway.web.body import (
    BadBodyError,
    Body,
    Id,
    Instant,
    InstantMs,
    Line,
    Number,
    instant,
    read,
)
from gateway.web.desk import PARTY, Desk, Verdict, fault, refusals, reply
from gateway.web.effects import EffectBody, effects

REPLY = Reply(LOCAL, receipt=True, progress=True)
BEFORE_ITS_END = (Kind.CANNOT, Kind.EXPIRED, Kind.REFUSED)


class OrderBody(Body):
    """An order as a party sends it; of two that compete in one slot the smaller `priority` is the stronger."""

    id: Id
    effects: tuple[EffectBody, ...]
    group: Line
    scope: Literal["each", "total"] = "each"
    version: Number = 0
    start: Instant | None = None
    start_ms: InstantMs | None = None
    end: Instant | None = None
    end_ms: InstantMs | None = None
    created: Instant | None = None
    created_ms: InstantMs | None = None
    priority: Number | None = None
    service: Line = ""
    ramp_s: Annotated[float, Meta(ge=0, le=86_400, description="s")] = 0


class CourseBody(msgspec.Struct, frozen=True):
    """How far an order has come at one resource, by how much it was served short so far (Wh, by estimate), and why."""

    status: str
    over: bool
    short_wh: int
    short: str


class AnswerBody(msgspec.Struct, frozen=True):
    """One answer on an order."""

    at: str
    version: int
    resource: str
    answer: str
    rule: str
    why: str


class StandingBody(msgspec.Struct, frozen=True):
    """An order and what became of it; of one that is long over only the answers are left.

    `unmet_w` is by how much (W) an order in sum cannot be met now, by control function, and `unmet` says it (E).
    """

    id: str
    held: bool
    version: int | None
    group: str | None
    start: str | None
    end: str | None
    unmet_w: dict[str, int]
    unmet: str
    resources: dict[str, CourseBody]
    answers: list[AnswerBody]


class Orders:
    """The orders of all parties, each party's own to itself."""

    def __init__(self, desk: Desk) -> None:
        """Hand them to this desk."""
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Give what is served."""
        return [
            web.post("/v1/orders", self.post),
            web.put("/v1/orders/{id}", self.put),
            web.get("/v1/orders", self.listed),
            web.get("/v1/orders/{id}", self.get),
            web.delete("/v1/orders/{id}", self.delete),
        ]

    async def post(self, request: web.Request) -> web.Response:
        """Take an order, or a newer version of one."""
        return await self._take(request[PARTY], read(await request.read(), OrderBody))

    async def put(self, request: web.Request) -> web.Response:
        """Take an order under the id that it is addressed by."""
        body = read(await request.read(), OrderBody)
        if body.id != request.match_info["id"]:
            raise BadBodyError(f"id: the address names {request.match_info['id']!r}; give the same id in both")
        return await self._take(request[PARTY], body)

    async def _take(self, party: str, body: OrderBody) -> web.Response:
        order = self._order(party, body)
        tells = await self._desk.decide(OrderHeard(order))
        return reply(_verdict(tells, order, self._desk.state.lives.get(order.key)))

    def _order(self, party: str, body: OrderBody) -> Order:
        """Make the core's order; sent again without its times it keeps those that it was first given."""
        state, now_ms = self._desk.state, self._desk.now_ms()
        if body.group not in state.members:
            raise BadBodyError(f"group: none is named {body.group!r}; name one of the site file")
        held = state.lives.get(OrderKey(party, body.id))
        again = held.order if held is not None and held.order.version == body.version else None
        start_ms = instant("start", body.start, body.start_ms)
        created_ms = instant("created", body.created, body.created_ms)
        if start_ms is None:
            start_ms = now_ms if again is None else again.start_ms
        if created_ms is None:
            created_ms = now_ms if again is None else again.rank.created_ms
        end_ms = instant("end", body.end, body.end_ms)
        if end_ms is not None and end_ms <= start_ms:
            raise BadBodyError("end: it is not after the start; let it end later, or leave it out for ever")
        return Order(
            issuer=party,
            id=body.id,
            version=body.version,
            scope=Each(body.group) if body.scope == "each" else Total(body.group),
            effects=effects(body.effects),
            start_ms=start_ms,
            end_ms=end_ms,
            rank=Rank(NO_PRIORITY if body.priority is None else body.priority, created_ms),
            received_ms=now_ms,
            ramp_ms=round(1000 * body.ramp_s),
            reply=REPLY,
            service=body.service,
        )

    async def listed(self, request: web.Request) -> web.Response:
        """List the party's orders that are held, the newest last."""
        mine = (live for key, live in self._desk.state.lives.items() if key.issuer == request[PARTY])
        rows = [
            {"id": live.order.id, "version": live.order.version, "over": live.ended == len(live.courses)}
            for live in mine
        ]
        return reply({"orders": rows})

    async def get(self, request: web.Request) -> web.Response:
        """Say what became of an order so far; its last answers count as delivered once they were fetched here."""
        key = OrderKey(request[PARTY], request.match_info["id"])
        live, answers = self._desk.state.lives.get(key), self._desk.inbox.answers(key)
        if live is None and not answers:
            return fault(f"no order {key.id!r} of {key.issuer} is held; list those that are with GET /v1/orders", 404)
        if live is None or live.ended == len(live.courses):
            self._desk.inbox.fetched(key)
        return reply(_standing(key, live, answers, _unmet(self._desk.state, live)))

    async def delete(self, request: web.Request) -> web.Response:
        """Withdraw an order; it ends at once (C13)."""
        key = OrderKey(request[PARTY], request.match_info["id"])
        live = self._desk.state.lives.get(key)
        if live is None:
            return fault(f"no order {key.id!r} of {key.issuer} is held; list those that are with GET /v1/orders", 404)
        if live.ended == len(live.courses):
            return reply(Verdict(False, "C13", "it is over already"))
        await self._desk.decide(Withdrawn(key.issuer, key.id, Withdrawal.CANCELLED, 0))
        return reply(Verdict(True, "C13", "withdrawn by its issuer"))


def _verdict(tells: tuple[Tell, ...], order: Order, live: Live | None) -> Verdict:
    """Read out of what was told on an order whether it has effect, and where it has none."""
    mine = [tell for tell in tells if tell.order == label(order.key)]
    refused = next((tell for tell in mine if tell.topic is Topic.REFUSED), None)
    if refused is not None:
        return Verdict(False, refused.rule, refused.why, refusals(refused))
    answered = [tell for tell in mine if tell.topic is Topic.ANSWERED]
    without = {
        name: f"{tell.rule}: {tell.why}"
        for tell in answered
        if tell.effect in (*BEFORE_ITS_END, Kind.UNCARRIED)
        for name in tell.names
    }
    received = next((tell for tell in answered if tell.effect == Kind.RECEIVED), None)
    if received is not None:
        return Verdict(True, received.rule, received.why, without)
    over = next((tell for tell in answered if tell.effect in BEFORE_ITS_END), None)
    if over is not None:
        return Verdict(False, over.rule, over.why, without)
    if live is not None and live.order.version == order.version:
        return Verdict(True, "C1", "it stands already as it was sent")
    return Verdict(False, "C1", f"version {order.version} was answered already; give changes a new version")


class _Unmet(NamedTuple):
    """What of an order in sum cannot be met (W) by control function, and the same in words."""

    w: dict[str, int]
    said: str


NOTHING_UNMET = _Unmet({}, "")


def _unmet(state: State, live: Live | None) -> _Unmet:
    """Read off what was shared out last; an order for each alone, or that is over, leaves nothing unmet in sum."""
    point = None if live is None else state.points.get(live.group)
    if live is None or point is None or live.ended == len(live.courses):
        return NOTHING_UNMET
    left_w = {function: w for (key, function), w in point.unmet_w.items() if key == live.order.key}
    totals_w = {one.function: one.value_w for one in point.totals if one.key == live.order.key}
    said = [
        f"{w} W of {totals_w.get(function, 0)} W of {function.value} in sum cannot be met at {live.group}"
        for function, w in left_w.items()
    ]
    return _Unmet({function.value: w for function, w in left_w.items()}, f"E: {'; '.join(said)}" if said else "")


def _standing(key: OrderKey, live: Live | None, answers: tuple[Answer, ...], unmet: _Unmet) -> StandingBody:
    said = [
        AnswerBody(iso_utc(one.at_ms), one.version, one.resource, one.kind.value, one.rule, one.why) for one in answers
    ]
    if live is None:
        return StandingBody(key.id, False, None, None, None, None, unmet.w, unmet.said, {}, said)
    last = {one.resource: one.kind for one in answers if one.kind in TERMINAL and one.version == live.order.version}
    courses = {
        name: CourseBody(
            last[name].value if name in last else course.status.value, course.ended, course.short_wh(), course.short
        )
        for name, course in live.courses.items()
    }
    order = live.order
    end = None if order.end_ms is None else iso_utc(order.end_ms)
    start = iso_utc(order.start_ms)
    return StandingBody(key.id, True, order.version, live.group, start, end, unmet.w, unmet.said, courses, said)
