"""The server that devices connect to: mutual TLS, one identity a connection, everything bounded, default deny.

Who a client is, its certificate says and nothing else: the LFDI is the first 20 octets of the SHA-256 of the DER (IEEE
2030.5-2018 6.3.4). An identity that the site file does not name sees nothing at all.
"""

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from gateway.southbound.sep2_server import intake, tree
from gateway.southbound.sep2_server.child import Shared
from gateway.southbound.sep2_server.client import Client
from gateway.southbound.sep2_server.config import Sep2Server
from gateway.wire.sep2 import MAX_BODY_OCTETS

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/sep+xml"
SWEEP_S: Final = 0.05
HANDSHAKE_S: Final = 10.0
BODY_S: Final = 30.0
CLOSE_S: Final = 0.5
AGAIN_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
IN_FLIGHT: Final = 8
HEADER_OCTETS: Final = 4_096
HEADERS_MAX: Final = 64
KNOWN_MAX: Final = 4_096
SAID_MAX: Final = 512
REASON_MAX: Final = 200
BAD, FORBIDDEN, NOT_FOUND, NOT_ALLOWED, TOO_SLOW, TOO_LARGE, WRONG_MEDIA, BUSY = 400, 403, 404, 405, 408, 413, 415, 503
READS: Final = frozenset({"GET", "HEAD"})
TAKES: Final = frozenset({"PUT", "POST"})
ALLOWED: Final = {"Allow": "GET, HEAD, PUT, POST"}


class Link:
    """Listens, tells who is at the other end, and answers with what belongs to that client."""

    def __init__(
        self, table: Sep2Server, clients: Mapping[str, Client], context: ssl.SSLContext, shared: Shared
    ) -> None:
        """Serve these clients, by their LFDI in upper case."""
        self.port = 0
        self.listening = asyncio.Event()
        self._table = table
        self._clients = clients
        self._context = context
        self._shared = shared
        self._leaves: dict[bytes, str] = {}
        self._said: set[str] = set()
        self._serving: web.Server | None = None

    async def run(self) -> None:
        """Listen until cancelled; where the address is taken it is tried again. It can be run again."""
        tries = 0
        while True:
            runner = web.ServerRunner(self._server(), handle_signals=False, shutdown_timeout=CLOSE_S)
            await runner.setup()
            try:
                listener = await self._listen(runner)
                tries = 0
                try:
                    await self._sweep()
                finally:
                    listener.close()
            except OSError as fault:
                if not tries:
                    log.error("cannot listen at %s: %s; it is tried again", self._where(), fault.strerror or fault)  # noqa: TRY400 - one line
                await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S) - 1)])
                tries += 1
            finally:
                self.listening.clear()
                for client in self._clients.values():
                    client.go_down("closed by the gateway")
                await runner.cleanup()

    def _where(self) -> str:
        return f"{self._table.host}:{self.port or self._table.port}"

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
            self._table.host,
            self._table.port,
            ssl=self._context,
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=CLOSE_S,
        )
        self.port = listener.sockets[0].getsockname()[1]
        self.listening.set()
        log.info("devices connect at %s", self._where())
        return listener

    def cut(self, why_denied: Callable[[bytes], str | None]) -> None:
        """Cut the open connections of those whose certificate (DER) is denied, in the middle of what they do."""
        for connection in list(self._serving.connections) if self._serving is not None else ():
            transport = getattr(connection, "transport", None)
            leaf = _leaf(transport)
            why = why_denied(leaf) if leaf else None
            if why is None or transport is None:
                continue
            transport.abort()
            lfdi = lfdi_of(leaf)
            log.warning("%s: its connection is cut, %s", lfdi, why)
            if lfdi in self._clients:
                self._clients[lfdi].go_down("its certificate is denied")

    async def _sweep(self) -> None:
        """Let every client do what time asks for; a fault of ours with one is never another's trouble."""
        while True:
            ticks_s = self._shared.ticks_s()
            for client in self._clients.values():
                try:
                    client.sweep(ticks_s)
                except Exception:
                    log.exception("%s: its part of the server broke", client.lfdi)
            await asyncio.sleep(SWEEP_S)

    # -- one request

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        client = self._who(request)
        if client is None:
            return web.Response(status=FORBIDDEN)
        client.contact(self._shared.ticks_s())
        if request.method in READS:
            return self._give(client, request)
        if request.method not in TAKES:
            return web.Response(status=NOT_ALLOWED, headers=ALLOWED)
        if client.busy >= IN_FLIGHT:
            return self._refuse(client, request, BUSY, f"more than {IN_FLIGHT} bodies at once")
        client.busy += 1
        try:
            return await self._take(client, request)
        finally:
            client.busy -= 1

    def _who(self, request: web.BaseRequest) -> Client | None:
        """Tell who is at the other end; nobody for an identity that is not named here (default deny)."""
        leaf = _leaf(request.transport)
        if not leaf:
            return None
        lfdi = self._leaves.get(leaf)
        if lfdi is None:
            if len(self._leaves) >= KNOWN_MAX:
                self._leaves.clear()
            lfdi = self._leaves[leaf] = lfdi_of(leaf)
        client = self._clients.get(lfdi)
        if client is None:
            self._say(lfdi, f"refused {lfdi}, which the site file does not name; add it as lfdi or client_lfdi")
        return client

    def _give(self, client: Client, request: web.BaseRequest) -> web.Response:
        now_ms = self._shared.clock.now_ms()
        body = client.kept(request.raw_path, now_ms)
        if body is None:
            try:
                page = tree.Page.of(request.query)
            except ValueError:
                return self._refuse(client, request, BAD, "s, l and a are whole numbers, s and l not negative")
            body = tree.show(client, request.raw_path, request.path, page, now_ms)
        if body is None:
            return web.Response(status=NOT_FOUND)
        return web.Response(body=body, content_type=MEDIA_TYPE)

    async def _take(self, client: Client, request: web.BaseRequest) -> web.Response:
        if request.content_type != MEDIA_TYPE or request.headers.get("Content-Encoding", "identity") != "identity":
            return self._refuse(client, request, WRONG_MEDIA, f"{MEDIA_TYPE} without an encoding is read here")
        try:
            async with asyncio.timeout(BODY_S):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(client, request, TOO_LARGE, f"a body over {MAX_BODY_OCTETS} octets")
        except TimeoutError:
            return self._refuse(client, request, TOO_SLOW, f"no whole body within {BODY_S:g} s")
        taken = intake.take(client, request.method, request.path, body)
        if taken.why:
            return self._refuse(client, request, taken.status, taken.why, taken.body)
        headers = {"Location": taken.location} if taken.location else None
        return web.Response(status=taken.status, headers=headers)

    def _refuse(
        self, client: Client, request: web.BaseRequest, status: int, why: str, body: bytes | None = None
    ) -> web.Response:
        """Refuse with an Error of 2030.5, and with the reason in one line where a person looks."""
        line = ascii(why)[1:-1][:REASON_MAX]
        self._say(f"{client.lfdi} {request.method} {line}", f"{client.lfdi}: {request.method} {request.path}: {line}")
        body = body or intake.refusal(status, why).body
        return web.Response(status=status, reason=line, body=body, content_type=MEDIA_TYPE)

    def _say(self, key: str, text: str) -> None:
        """Say each thing once, and again only after many others."""
        if len(self._said) >= SAID_MAX:
            self._said.clear()
        if key not in self._said:
            self._said.add(key)
            log.warning("%s", text)


def _leaf(transport: asyncio.BaseTransport | None) -> bytes:
    """Give the certificate (DER) of whoever is at the other end; nothing where there is none."""
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    return b"" if connection is None else connection.getpeercert(binary_form=True) or b""


def lfdi_of(leaf: bytes) -> str:
    """Give the LFDI of a certificate (DER): 40 upper-case hex digits (2030.5-2018 6.3.4)."""
    return hashlib.sha256(leaf).hexdigest()[:40].upper()
