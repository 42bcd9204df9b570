"""`/`: what the local API takes and gives, read off the bodies themselves, so that no page of it can be out of date."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
from aiohttp import web
from msgspec import inspect

from gateway.web.body import Body
from gateway.web.defaults import DefaultBody
from gateway.web.desk import reply
from gateway.web.effects import EffectBody
from gateway.web.modes import CurveBody, DroopBody, FixedVarBody, PowerFactorBody, PowerFactorsBody
from gateway.web.network import ColourBody, NetworkBody
from gateway.web.orders import OrderBody
from gateway.web.trade import BlockBody, CommitmentBody, OfferBody, SliceBody, TermsBody

BODIES: Final[dict[str, type[Body]]] = {
    "order": OrderBody,
    "effect": EffectBody,
    "curve": CurveBody,
    "droop": DroopBody,
    "fixed var": FixedVarBody,
    "power factors": PowerFactorsBody,
    "power factor": PowerFactorBody,
    "default": DefaultBody,
    "colour": ColourBody,
    "network": NetworkBody,
    "commitment": CommitmentBody,
    "slice": SliceBody,
    "terms": TermsBody,
    "offer": OfferBody,
    "block": BlockBody,
}

SHORT_RANGE: Final = 1_000
"""The range of a number is told up to here; beyond, it is there to keep nonsense out."""


class Request(NamedTuple):
    """One request: what it does, and the name of the body that it takes, if any."""

    method: str
    path: str
    does: str
    body: str = ""


REQUESTS: Final = (
    Request("GET", "/", "this list, and every field of every body"),
    Request("POST", "/v1/orders", "gives an order, or a newer version of one", "order"),
    Request("PUT", "/v1/orders/{id}", "the same, under the id that it is addressed by", "order"),
    Request("GET", "/v1/orders", "lists your orders that are held"),
    Request("GET", "/v1/orders/{id}", "what became of it: status, answers, what is short and unmet"),
    Request("DELETE", "/v1/orders/{id}", "withdraws it; it ends at once"),
    Request("GET", "/v1/defaults", "lists your defaults"),
    Request("POST", "/v1/defaults", "sets what holds while no order of yours does", "default"),
    Request("DELETE", "/v1/defaults/{id}", "takes a default back, in every group that it is for"),
    Request("GET", "/v1/colours", "lists the colour of every segment as it is now"),
    Request("POST", "/v1/colours", "colours a segment, red with constrained; the limit parent alone may", "colour"),
    Request("GET", "/v1/network", "lists the points of the network, and which are not validated"),
    Request("POST", "/v1/network", "says that points changed, or are validated; the limit parent alone may", "network"),
    Request("GET", "/v1/commitments", "lists the commitments that you made or bought"),
    Request("POST", "/v1/commitments", "promises capacity of your DER to a buyer", "commitment"),
    Request("DELETE", "/v1/commitments/{id}", "takes a commitment back"),
    Request("GET", "/v1/offers", "lists your offers that stand"),
    Request("POST", "/v1/offers", "offers capacity at the T-D interface, or a newer version of it", "offer"),
    Request("DELETE", "/v1/offers/{id}", "takes an offer back; what was awarded stands"),
    Request(
        "GET",
        "/v1/offers/curve",
        "all offers as one curve a direction, ?at=T&until=T; for the limit parent",
    ),
    Request("GET", "/v1/overrides", "which orders were suspended or curtailed since the process started"),
)


class Field(NamedTuple):
    """One field of a body; `required` is "yes", "no", or what else has to be so."""

    field: str
    kind: str
    unit: str
    required: str


def fields(name: str) -> Iterator[Field]:
    """Yield the fields of a body in their order."""
    body = BODIES[name]
    found = inspect.type_info(body)
    for each in found.fields if isinstance(found, inspect.StructType) else ():
        kind, unit = _kind(each.type)
        yield Field(each.name, kind, unit, _required(body, each))


def _required(body: type[Body], each: inspect.Field) -> str:
    stem = each.name.removesuffix("_ms")
    if stem in body.needs and stem in body.__struct_fields__:
        other = f"{stem}_ms" if each.name == stem else stem
        return f"this or {other}" if other in body.__struct_fields__ else "yes"
    if body is EffectBody and each.name != "function":
        return "exactly one of these"
    if each.required:
        return "yes"
    return "no" if each.default in (msgspec.NODEFAULT, None, "") else f"no; {_plain(each.default)}"


def _plain(value: object) -> str:
    return "false" if value is False else str(value)


def _kind(found: inspect.Type) -> tuple[str, str]:
    """Say what a value is, and in which unit."""
    match found:
        case inspect.Metadata(type=inner, extra_json_schema=extra):
            return _kind(inner)[0], str((extra or {}).get("description", ""))
        case inspect.UnionType(types=types):
            return _kind(next(one for one in types if not isinstance(one, inspect.NoneType)))
        case inspect.VarTupleType(item_type=item):
            return f"list of {_kind(item)[0]}", _kind(item)[1]
        case inspect.TupleType(item_types=items):
            return f"pair of {_kind(items[0])[0]}s", ""
        case inspect.StructType(cls=cls):
            return next(name for name, body in BODIES.items() if body is cls), ""
        case inspect.EnumType(cls=cls):
            return f"one of {', '.join(str(one.value) for one in cls)}", ""
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(sorted(map(str, values)))}", ""
        case inspect.BoolType():
            return "true or false", ""
        case inspect.IntType(ge=least, le=most) if least is not None and most is not None and most <= SHORT_RANGE:
            return f"whole number, {least} to {most}", ""
        case inspect.IntType():
            return "whole number", ""
        case inspect.FloatType():
            return "number", ""
        case _:
            return "text", ""


class Contents:
    """The list of requests and bodies."""

    def routes(self) -> list[web.RouteDef]:
        """Give what is served."""
        return [web.get("/", self.get)]

    async def get(self, _request: web.Request) -> web.Response:
        """Give every request, and every field of every body."""
        bodies = {name: [each._asdict() for each in fields(name)] for name in BODIES}
        requests = [{"request": f"{one.method} {one.path}", "does": one.does, "body": one.body} for one in REQUESTS]
        return reply({"requests": requests, "bodies": bodies, "page": "docs/local-api.md"})
