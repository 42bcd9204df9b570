"""Where one server sends its notifications to: mutual TLS, the pinned server and nobody else, everything bounded.

Who sends, its certificate says: the LFDI is the first 20 octets of the SHA-256 of the DER (IEEE 2030.5-2018 6.3.4).
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Collection
from typing import Final

from aiohttp import web

from gateway.listening import Door, Limits, Reason, guest_of, one_line
from gateway.northbound.sep2_client.config import Sep2Client
from gateway.northbound.sep2_client.exchange import MEDIA_TYPE
from gateway.wire.sep2 import WireFault, decode
from gateway.wire.sep2.subscriptions import Notification

log = logging.getLogger(__name__)

LIMITS: Final = Limits(connections=64, connections_per_peer=8)
"""Our reading: a server notifies over as many connections as it has workers, and those are not many."""
IN_FLIGHT: Final = 8
BODY_OCTETS: Final = 1 << 20
TAKEN, BAD, FORBIDDEN, NOT_FOUND, NOT_ALLOWED = 204, 400, 403, 404, 405
TOO_SLOW, TOO_LARGE, WRONG_MEDIA, BUSY = 408, 413, 415, 503
REASONS: Final = {
    FORBIDDEN: Reason.UNKNOWN,
    TOO_SLOW: Reason.SLOW_BODY,
    TOO_LARGE: Reason.LONG_BODY,
    WRONG_MEDIA: Reason.MEDIA,
    BUSY: Reason.IN_FLIGHT,
}

Notified = Callable[[str, Notification], str]
"""Takes a notification that came to a place, and gives why it is refused, or nothing."""


class Listener:
    """Listens for the notifications of one server."""

    def __init__(
        self,
        table: Sep2Client,
        context: ssl.SSLContext,
        reached: Callable[[str], None],
        notified: Notified,
        limits: Limits = LIMITS,
    ) -> None:
        """Listen where the table says; `reached` is told the address that notifications come in below."""
        self._party = table.party
        self._host, self._url = table.notify_host, table.notify_url
        self._reached = reached
        self._notified = notified
        self._senders: Collection[str] = {
            lfdi.upper() for lfdi in (table.server_lfdi, table.server_lfdi_next) if lfdi is not None
        }
        self._under_way = 0
        self.limits = limits
        self.door = Door(
            table.notify_host,
            table.notify_port or 0,
            context,
            self._answer,
            log,
            limits,
            name=table.party,
            meanwhile="it is polled alone, and this tried again",
        )
        self.refusals = self.door.refusals

    async def run(self) -> None:
        """Listen until cancelled; where the address is taken it is tried again, and the server is polled meanwhile."""
        await self.door.run(self._open)

    async def _open(self, port: int) -> None:
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._reached((self._url or f"https://{host}:{port}").rstrip("/"))
        log.info("%s: notifications come in at %s:%d", self._party, self._host, port)
        await asyncio.Event().wait()

    def cut(self, why_denied: Callable[[bytes], str | None]) -> None:
        """Cut the open connections of those whose certificate (DER) is denied."""
        self.door.cut(why_denied)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        sender = guest_of(request).lfdi
        if sender not in self._senders:
            return self._refuse(request, FORBIDDEN, f"{sender or 'nobody'} is not the server that is pinned")
        if request.method != "POST":
            return web.Response(status=NOT_ALLOWED, headers={"Allow": "POST"})
        if self._under_way >= IN_FLIGHT:
            return self._refuse(request, BUSY, f"more than {IN_FLIGHT} notifications at once")
        self._under_way += 1
        try:
            return await self._take(request)
        finally:
            self._under_way -= 1

    async def _take(self, request: web.BaseRequest) -> web.Response:
        if request.content_type != MEDIA_TYPE or request.headers.get("Content-Encoding", "identity") != "identity":
            return self._refuse(request, WRONG_MEDIA, f"{MEDIA_TYPE} without an encoding is read here")
        try:
            async with asyncio.timeout(self.limits.body_s):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(request, TOO_LARGE, f"a notification over {BODY_OCTETS} octets")
        except TimeoutError:
            return self._refuse(request, TOO_SLOW, f"no whole notification within {self.limits.body_s:g} s")
        try:
            notification = decode(body)
        except WireFault as fault:
            return self._refuse(request, BAD, f"a notification that cannot be read: {fault}")
        if not isinstance(notification, Notification):
            return self._refuse(request, BAD, f"{type(notification).__name__} where a Notification belongs")
        why = self._notified(request.path.rpartition("/")[2], notification)
        return self._refuse(request, NOT_FOUND, why) if why else web.Response(status=TAKEN)

    def _refuse(self, request: web.BaseRequest, status: int, why: str) -> web.Response:
        """Refuse, and say each reason once, and again only after many others."""
        line = one_line(why)
        text = f"{self._party}: {status} to {request.method} from {request.remote}: {line}"
        self.refusals.note(REASONS.get(status, Reason.REQUEST), text, line)
        return web.Response(status=status)
