"""What a client puts and posts: documents of its DER, responses, usage points and readings; judged, then taken in.

Every body is strict 2030.5 and names only what belongs to the client. Source: IEEE 2030.5-2018, clauses 6.5 and 10.
"""

import hashlib
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.southbound.sep2_server import mirror
from gateway.southbound.sep2_server.child import Child
from gateway.southbound.sep2_server.client import Client
from gateway.southbound.sep2_server.tree import DOCUMENTS
from gateway.wire.sep2 import Resource, WireFault, decode, encode
from gateway.wire.sep2.metering import MirrorMeterReading, MirrorMeterReadingList, MirrorUsagePoint
from gateway.wire.sep2.resources import Error, Response

CREATED, DONE, BAD, FORBIDDEN, NOT_FOUND = 201, 204, 400, 403, 404
FORMAT, VALUES, RESOURCES = 0, 1, 2
POINTS_A_DEVICE: Final = 4


class Taken(NamedTuple):
    """The answer to a body: its status, where the resource is, and of a refusal the Error and why in one line."""

    status: int
    location: str = ""
    body: bytes = b""
    why: str = ""


def refusal(status: int, why: str, reason: int = VALUES) -> Taken:
    """Refuse with an Error of 2030.5: reason 0 format, 1 values, 2 limit of resources."""
    return Taken(status, body=encode(Error(reason_code=reason)), why=why)


def take(client: Client, method: str, path: str, body: bytes) -> Taken:
    """Take in a body that was put or posted."""
    try:
        return _take(client, method, path.split("/")[1:], body)
    except WireFault as fault:
        return refusal(BAD, str(fault), FORMAT)


def _take(client: Client, method: str, parts: list[str], body: bytes) -> Taken:
    match (method, parts):
        case ("PUT", ["edev", lfdi, "der", "1", name]) if name in DOCUMENTS and lfdi in client.children:
            return _put(client.children[lfdi], name, f"/{'/'.join(parts)}", decode(body))
        case ("POST", ["rsps", lfdi, "rsp"]) if lfdi in client.children:
            return _respond(client.children[lfdi], decode(body))
        case ("POST", ["mup"]):
            return _mirror(client, decode(body))
        case ("POST", ["mup", name]) if name in client.points:
            return _read(client, client.points[name], decode(body))
        case ("POST", ["edev"]):
            return refusal(FORBIDDEN, "EndDevices are registered out of band, in the site file")
        case _:
            return refusal(NOT_FOUND, f"{method} /{'/'.join(parts)}: nothing of this client's takes that")


def _put(child: Child, name: str, href: str, document: Resource) -> Taken:
    kind = DOCUMENTS[name]
    if not isinstance(document, kind):
        return refusal(BAD, f"{type(document).__name__} where {kind.__name__} belongs", FORMAT)
    own = replace(document, href=href)
    encode(own)
    return Taken(CREATED, location=href) if child.put(own) else Taken(DONE)


def _respond(child: Child, response: Resource) -> Taken:
    if not isinstance(response, Response):
        return refusal(BAD, f"{type(response).__name__} where a Response belongs", FORMAT)
    if response.end_device_lfdi != child.lfdi:
        return refusal(BAD, f"{child.device}: a Response in the name of {response.end_device_lfdi}")
    plain = Response(
        created_date_time_s=response.created_date_time_s,
        end_device_lfdi=response.end_device_lfdi,
        status=response.status,
        subject=response.subject,
    )
    why = child.answered(plain)
    return refusal(BAD, why) if why else Taken(CREATED, location=f"/rsps/{child.lfdi}/rsp")


def _mirror(client: Client, posted: Resource) -> Taken:
    """Take a usage point in; the same mRID of the same device is the same point."""
    if not isinstance(posted, MirrorUsagePoint):
        return refusal(BAD, f"{type(posted).__name__} where a MirrorUsagePoint belongs", FORMAT)
    child = client.children.get(posted.device_lfdi)
    if child is None and posted.device_lfdi != client.lfdi:
        return refusal(FORBIDDEN, f"a usage point of {posted.device_lfdi}, for which this client does not speak")
    name = hashlib.sha256(f"{posted.device_lfdi}/{posted.mrid.upper()}".encode()).hexdigest()[:12]
    point, first = client.points.get(name), name not in client.points
    if point is None:
        if len(client.points) >= POINTS_A_DEVICE * (1 + len(client.children)):
            return refusal(FORBIDDEN, f"more than {len(client.points)} usage points", RESOURCES)
        point = mirror.Point(f"/mup/{name}", posted)
        encode(point.shown(client.shared.post_s))
    point.take(posted.meter_readings, client.shared.clock.now_ms())
    point.posted = replace(posted, meter_readings=())
    client.points[name] = point
    client.changed()
    if child is not None:
        child.points[name] = point
        child.measured()
    return Taken(CREATED if first else DONE, location=point.href)


def _read(client: Client, point: mirror.Point, posted: Resource) -> Taken:
    if isinstance(posted, MirrorMeterReadingList):
        new = point.take(posted.items, client.shared.clock.now_ms())
    elif isinstance(posted, MirrorMeterReading):
        new = point.take((posted,), client.shared.clock.now_ms())
    else:
        return refusal(BAD, f"{type(posted).__name__} where meter readings belong", FORMAT)
    child = client.children.get(point.posted.device_lfdi)
    if child is not None:
        child.measured()
    return Taken(CREATED, location=point.href) if new else Taken(DONE)
