"""`/v1/commitments`, `/v1/offers`: capacity promised to buyers, and capacity offered at the T-D interface (C8)."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta

from gateway.core.capacity import Commitment, CommitmentKey, Domain, Slice, Terms
from gateway.core.events import CommitmentEnded, CommitmentHeard, OfferHeard, OfferWithdrawn, Topic
from gateway.core.narrate import label
from gateway.core.offers import Block, Offer, OfferKey
from gateway.core.orders import OrderKey
from gateway.core.parties import Direction
from gateway.diagnostics.records import iso_utc
from gateway.web.body import (
    Body,
    Energy,
    Id,
    Instant,
    InstantMs,
    Line,
    Money,
    Number,
    Size,
    instant,
    milli,
    needed,
    read,
)
from gateway.web.desk import PARTY, Desk, fault, reply, verdict


class SliceBody(Body):
    """A part of one device's capacity (W), and the energy (Wh) that may be drawn on, where it is bounded."""

    device: Line
    w: Size
    energy_wh: Energy | None = None


class TermsBody(Body):
    """What a contract asks: the share of the window to be available, and the price of what is missing."""

    availability_permille: Annotated[int, Meta(ge=0, le=1000, description="thousandths of the window")]
    penalty_per_kwh_milli: Annotated[int, Meta(ge=0, le=2**32 - 1, description="thousandths of the currency per kWh")]


class CommitmentBody(Body):
    """A commitment as the party that has the DER sends it."""

    needs = ("terms", "start", "end")
    id: Id
    buyer: Line
    service: Line
    level: Annotated[int, Meta(ge=1, le=8)]
    reliability: bool
    slices: tuple[SliceBody, ...]
    direction: Direction
    domain: Domain
    terms: TermsBody | None = None
    interruptible: bool = False
    start: Instant | None = None
    start_ms: InstantMs | None = None
    end: Instant | None = None
    end_ms: InstantMs | None = None
    created: Instant | None = None
    created_ms: InstantMs | None = None


class BlockBody(Body):
    """A part of an offer: this much more power (W, a size) at a price (currency per MWh)."""

    w: Size
    per_mwh: Money


class OfferBody(Body):
    """An offer as the party that has the DER sends it."""

    needs = ("start", "end")
    id: Id
    service: Line
    direction: Direction
    resources: tuple[Line, ...]
    blocks: tuple[BlockBody, ...]
    version: Number = 0
    start: Instant | None = None
    start_ms: InstantMs | None = None
    end: Instant | None = None
    end_ms: InstantMs | None = None


class Commitments:
    """The commitments, each shown to who promised and to who bought."""

    def __init__(self, desk: Desk) -> None:
        """Hand them to this desk."""
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Give what is served."""
        return [
            web.post("/v1/commitments", self.post),
            web.get("/v1/commitments", self.listed),
            web.delete("/v1/commitments/{id}", self.delete),
        ]

    async def post(self, request: web.Request) -> web.Response:
        """Take a commitment, or say by which rule it cannot be."""
        body, party = read(await request.read(), CommitmentBody), request[PARTY]
        start_ms, end_ms = needed("start", body.start, body.start_ms), needed("end", body.end, body.end_ms)
        created_ms = instant("created", body.created, body.created_ms)
        terms = body.terms
        commitment = Commitment(
            party,
            body.id,
            body.buyer,
            body.service,
            body.level,
            body.reliability,
            tuple(Slice(one.device, one.w, one.energy_wh) for one in body.slices),
            body.direction,
            start_ms,
            end_ms,
            body.domain,
            None if terms is None else Terms(terms.availability_permille, terms.penalty_per_kwh_milli),
            self._desk.now_ms() if created_ms is None else created_ms,
            body.interruptible,
        )
        tells = await self._desk.decide(CommitmentHeard(commitment))
        return reply(verdict(tells, Topic.COMMITTED, label(OrderKey(party, body.id))))

    async def listed(self, request: web.Request) -> web.Response:
        """List the commitments that the party made or bought."""
        party = request[PARTY]
        rows = [
            {
                "party": one.party,
                "id": one.id,
                "buyer": one.buyer,
                "service": one.service,
                "level": one.level,
                "direction": one.direction.value,
                "start": iso_utc(one.start_ms),
                "end": iso_utc(one.end_ms),
                "slices": [{"device": part.device, "w": part.w} for part in one.slices],
            }
            for one in (held.commitment for held in self._desk.state.commitments.held.values())
            if party in {one.party, one.buyer}
        ]
        return reply({"commitments": rows})

    async def delete(self, request: web.Request) -> web.Response:
        """Take a commitment back."""
        party, name = request[PARTY], request.match_info["id"]
        if CommitmentKey(party, name) not in self._desk.state.commitments.held:
            return fault(f"{party} holds no commitment {name!r}; list those held with GET /v1/commitments", 404)
        tells = await self._desk.decide(CommitmentEnded(party, name))
        return reply(verdict(tells, Topic.COMMITTED, label(OrderKey(party, name))))


class Offers:
    """The offers of all parties, each party's own to itself."""

    def __init__(self, desk: Desk) -> None:
        """Hand them to this desk."""
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Give what is served."""
        return [
            web.post("/v1/offers", self.post),
            web.get("/v1/offers", self.listed),
            web.delete("/v1/offers/{id}", self.delete),
        ]

    async def post(self, request: web.Request) -> web.Response:
        """Take an offer, or a newer version of one."""
        body, party = read(await request.read(), OfferBody), request[PARTY]
        offer = Offer(
            party,
            body.id,
            body.version,
            body.service,
            body.direction,
            body.resources,
            tuple(Block(one.w, milli(one.per_mwh)) for one in body.blocks),
            needed("start", body.start, body.start_ms),
            needed("end", body.end, body.end_ms),
        )
        tells = await self._desk.decide(OfferHeard(offer))
        return reply(verdict(tells, Topic.OFFERED, label(OrderKey(party, body.id))))

    async def listed(self, request: web.Request) -> web.Response:
        """List the party's offers that stand."""
        rows = [
            {
                "id": one.id,
                "version": one.version,
                "service": one.service,
                "direction": one.direction.value,
                "resources": list(one.resources),
                "blocks": [{"w": block.w, "per_mwh": block.milli_per_mwh / 1000} for block in one.blocks],
                "start": iso_utc(one.start_ms),
                "end": iso_utc(one.end_ms),
            }
            for key, one in self._desk.state.offers.offers.items()
            if key.party == request[PARTY]
        ]
        return reply({"offers": rows})

    async def delete(self, request: web.Request) -> web.Response:
        """Take an offer back; what was awarded stands."""
        party, name = request[PARTY], request.match_info["id"]
        if OfferKey(party, name) not in self._desk.state.offers.offers:
            return fault(f"{party} holds no offer {name!r}; list those that stand with GET /v1/offers", 404)
        tells = await self._desk.decide(OfferWithdrawn(party, name))
        return reply(verdict(tells, Topic.OFFERED, label(OrderKey(party, name))))
