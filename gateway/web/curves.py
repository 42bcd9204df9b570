"""`/v1/offers/curve`: the offers of all parties as one curve of each direction, for the limit parent (RULES C8, D)."""

from typing import Any

from aiohttp import web

from gateway.core.clearing import OfferCurve, curve
from gateway.core.offers import Nameplate, OfferKey
from gateway.core.parties import Direction
from gateway.core.state import State
from gateway.diagnostics.records import iso_utc
from gateway.web.body import BadBodyError, instant
from gateway.web.desk import PARTY, Desk, fault, reply


class Curves:
    """What is to be had at the T-D interface, and at what price: nobody but the limit parent sees who asks what."""

    def __init__(self, desk: Desk) -> None:
        """Read them off this desk's state."""
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Give what is served."""
        return [web.get("/v1/offers/curve", self.get)]

    async def get(self, request: web.Request) -> web.Response:
        """Give both curves of the offers that stand at an instant, or through a window."""
        if request[PARTY] not in self._desk.parents:
            return fault("A2: the curve of all offers is for the limit parent; see your own with GET /v1/offers", 403)
        strange = next((key for key in request.query if key not in {"at", "until"}), None)
        if strange is not None:
            raise BadBodyError(f"{strange}: unknown; give at, and until for a window, or neither for now")
        at_ms = instant("at", request.query.get("at"), None)
        until_ms = instant("until", request.query.get("until"), None)
        at_ms = self._desk.now_ms() if at_ms is None else at_ms
        if until_ms is not None and until_ms <= at_ms:
            raise BadBodyError("until: it is not after the beginning; let it be later, or leave it out for an instant")
        state = self._desk.state
        until = None if until_ms is None else iso_utc(until_ms)
        curves = {way.value: _row(_consolidated(state, way, at_ms, until_ms)) for way in Direction}
        return reply({"at": iso_utc(at_ms), "until": until, **curves})


def _consolidated(state: State, direction: Direction, at_ms: int, until_ms: int | None) -> OfferCurve:
    plates = {name: _nameplate(state, name) for name in state.resources}
    return curve(state.offers.offers.values(), direction, at_ms, state.site.points, plates, until_ms)


def _nameplate(state: State, resource: str) -> Nameplate:
    devices = [state.devices[name] for name in state.resources[resource].resource.devices]
    charge_w = sum(device.charge_max_w for device in devices if device.device.energy_wh)
    return Nameplate((), sum(device.device.rated_w for device in devices), charge_w)


def _row(found: OfferCurve) -> dict[str, Any]:
    return {
        "total_w": found.total_w,
        "steps": [
            {
                "per_mwh": step.milli_per_mwh / 1000,
                "cumulative_w": step.cumulative_w,
                "bids": [
                    {
                        "offer": _named(bid.offer),
                        "block": bid.block,
                        "service": bid.service,
                        "resources": list(bid.resources),
                        "w": bid.w,
                    }
                    for bid in step.bids
                ],
            }
            for step in found.steps
        ],
        "left_out": [
            {"offer": _named(each.offer), "block": each.block, "w": each.w, "limit": each.limit}
            for each in found.left_out
        ],
    }


def _named(offer: OfferKey) -> str:
    return f"{offer.party}/{offer.id}"
