"""Where one server sends its notifications to: mutual TLS, the pinned server and nobody else, everything bounded.

Who sends, its certificate says: the LFDI is the first 20 octets of the SHA-256 of the DER (IEEE 2030.5-2018 6.3.4).
"""

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Callable, Collection
from typing import Final

from aiohttp import web

from gateway.northbound.sep2_client.config import Sep2Client
from gateway.northbound.sep2_client.exchange import MEDIA_TYPE
from gateway.wire.sep2 import WireFault, decode
from gateway.wire.sep2.subscriptions import Notification

log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 10.0
BODY_S: Final = 10.0
CLOSE_S: Final = 0.5
AGAIN_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
IN_FLIGHT: Final = 8
BODY_OCTETS: Final = 1 << 20
HEADER_OCTETS: Final = 4_096
HEADERS_MAX: Final = 64
SAID_MAX: Final = 512
TAKEN, BAD, FORBIDDEN, NOT_FOUND, NOT_ALLOWED = 204, 400, 403, 404, 405
TOO_SLOW, TOO_LARGE, WRONG_MEDIA, BUSY = 408, 413, 415, 503

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
    ) -> None:
        """Listen where the table says; `reached` is told the address that notifications come in below."""
        self._party = table.party
        self._host, self._port, self._url = table.notify_host, table.notify_port or 0, table.notify_url
        self._context = context
        self._reached = reached
        self._notified = notified
        self._senders: Collection[str] = {
            lfdi.upper() for lfdi in (table.server_lfdi, table.server_lfdi_next) if lfdi is not None
        }
        self._under_way = 0
        self._said: set[str] = set()
        self._serving: web.Server | None = None

    async def run(self) -> None:
        """Listen until cancelled; where the address is taken it is tried again, and the server is polled meanwhile."""
        tries = 0
        while True:
            runner = web.ServerRunner(self._server(), handle_signals=False, shutdown_timeout=CLOSE_S)
            await runner.setup()
            try:
                listener = await self._listen(runner)
                tries = 0
                try:
                    await listener.serve_forever()
                finally:
                    listener.close()
            except OSError as fault:
                if not tries:
                    why = f"{fault.strerror or fault}; it is polled alone, and this tried again"
                    log.error("%s: cannot listen at %s:%d: %s", self._party, self._host, self._port, why)  # noqa: TRY400 - one line
                await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S) - 1)])
                tries += 1
            finally:
                await runner.cleanup()

    def cut(self, why_denied: Callable[[bytes], str | None]) -> None:
        """Cut the open connections of those whose certificate (DER) is denied."""
        for connection in list(self._serving.connections) if self._serving is not None else ():
            transport = getattr(connection, "transport", None)
            leaf = _leaf(transport)
            if transport is not None and leaf and why_denied(leaf) is not None:
                transport.abort()

    def _server(self) -> web.Server:
        return web.Server(
            self._answer,
            access_log=None,
            auto_decompress=False,
            max_line_size=HEADER_OCTETS,
            max_field_size=HEADER_OCTETS,
            max_headers=HEADERS_MAX,
        )

    async def _listen(self, runner: web.ServerRunner) -> asyncio.Server:
        factory = runner.server
        if factory is None:
            raise RuntimeError("the runner was set up")
        self._serving = factory
        listener = await asyncio.get_running_loop().create_server(
            factory,
            self._host,
            self._port,
            ssl=self._context,
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=CLOSE_S,
        )
        port = listener.sockets[0].getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._reached((self._url or f"https://{host}:{port}").rstrip("/"))
        log.info("%s: notifications come in at %s:%d", self._party, self._host, port)
        return listener

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        sender = _lfdi_of(request.transport)
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
            async with asyncio.timeout(BODY_S):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(request, TOO_LARGE, f"a notification over {BODY_OCTETS} octets")
        except TimeoutError:
            return self._refuse(request, TOO_SLOW, f"no whole notification within {BODY_S:g} s")
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
        if len(self._said) >= SAID_MAX:
            self._said.clear()
        line = ascii(why)[1:-1][:200]
        if line not in self._said:
            self._said.add(line)
            log.warning("%s: %s to %s from %s: %s", self._party, status, request.method, request.remote, line)
        return web.Response(status=status)


def _leaf(transport: asyncio.BaseTransport | None) -> bytes:
    """Give the certificate (DER) of whoever is at the other end; nothing where there is none."""
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    return b"" if connection is None else connection.getpeercert(binary_form=True) or b""


def _lfdi_of(transport: asyncio.BaseTransport | None) -> str:
    leaf = _leaf(transport)
    return hashlib.sha256(leaf).hexdigest()[:40].upper() if leaf else ""
