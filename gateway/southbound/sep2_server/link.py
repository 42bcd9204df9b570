"""The server that devices connect to: mutual TLS, one identity a connection, everything bounded, default deny.

Who a client is, its certificate says and nothing else: the LFDI is the first 20 octets of the SHA-256 of the DER (IEEE
2030.5-2018 6.3.4). An identity that the site file does not name sees nothing at all.
"""

import asyncio
import logging
import ssl
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from gateway.listening import Door, Limits, Reason, guest_of, one_line
from gateway.southbound.sep2_server import intake, tree
from gateway.southbound.sep2_server.child import Shared
from gateway.southbound.sep2_server.client import Client
from gateway.southbound.sep2_server.config import Sep2Server
from gateway.wire.sep2 import MAX_BODY_OCTETS

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/sep+xml"
SWEEP_S: Final = 0.05
BREATH: Final = 20
BAD, FORBIDDEN, NOT_FOUND, NOT_ALLOWED, TOO_SLOW, TOO_LARGE, WRONG_MEDIA, BUSY = 400, 403, 404, 405, 408, 413, 415, 503
READS: Final = frozenset({"GET", "HEAD"})
TAKES: Final = frozenset({"PUT", "POST"})
ALLOWED: Final = {"Allow": "GET, HEAD, PUT, POST"}
REASONS: Final = {
    TOO_SLOW: Reason.SLOW_BODY,
    TOO_LARGE: Reason.LONG_BODY,
    WRONG_MEDIA: Reason.MEDIA,
    BUSY: Reason.IN_FLIGHT,
}


class Link:
    """Listens, tells who is at the other end, and answers with what belongs to that client."""

    def __init__(
        self,
        table: Sep2Server,
        clients: Mapping[str, Client],
        context: ssl.SSLContext,
        shared: Shared,
        limits: Limits | None = None,
    ) -> None:
        """Serve these clients, by their LFDI in upper case; `limits` are by default those of the table."""
        self.port = 0
        self.listening = asyncio.Event()
        self.limits = limits or Limits(connections=table.connections, connections_per_peer=table.connections_per_client)
        self.door = Door(table.host, table.port, context, self._answer, log, self.limits)
        self.refusals = self.door.refusals
        self._table = table
        self._clients = clients
        self._shared = shared
        self.reading = 0
        """How many bodies are being read."""
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(table.bodies_per_client)
        )

    async def run(self) -> None:
        """Listen until cancelled; where the address is taken it is tried again. It can be run again."""
        await self.door.run(self._open)

    async def _open(self, port: int) -> None:
        """Let time pass for the clients while they can connect."""
        self.port = port
        self.listening.set()
        log.info("devices connect at %s:%d", self._table.host, port)
        try:
            await self._sweep()
        finally:
            self.listening.clear()
            for client in self._clients.values():
                client.go_down("closed by the gateway")

    def cut(self, why_denied: Callable[[bytes], str | None]) -> None:
        """Cut the open connections of those whose certificate (DER) is denied, in the middle of what they do."""
        for lfdi in self.door.cut(why_denied):
            if lfdi in self._clients:
                self._clients[lfdi].go_down("its certificate is denied")

    async def _sweep(self) -> None:
        """Let every client do what time asks for, a few at a breath; a fault of ours with one is never another's."""
        while True:
            ticks_s = self._shared.ticks_s()
            due = [client for client in self._clients.values() if client.due_s <= ticks_s]
            for number, client in enumerate(due, 1):
                try:
                    client.sweep(ticks_s)
                except Exception:
                    log.exception("%s: its part of the server broke", client.lfdi)
                if number % BREATH == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(SWEEP_S)

    # -- one request

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        client = self._who(guest_of(request).lfdi)
        if client is None:
            return web.Response(status=FORBIDDEN)
        client.contact(self._shared.ticks_s())
        if request.method in READS:
            return self._give(client, request)
        if request.method not in TAKES:
            return web.Response(status=NOT_ALLOWED, headers=ALLOWED)
        return await self._take(client, request)

    def _who(self, lfdi: str) -> Client | None:
        """Tell who is at the other end; nobody for an identity that is not named here (default deny)."""
        client = self._clients.get(lfdi)
        if client is None and lfdi:
            text = f"refused {lfdi}, which the site file does not name; add it as lfdi or client_lfdi"
            self.refusals.note(Reason.UNKNOWN, text)
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
        turns, begun = self._turns[client.lfdi], False
        try:
            async with asyncio.timeout(self.limits.body_s), turns:
                begun = True
                body = await self._read(request)
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(client, request, TOO_LARGE, f"a body over {MAX_BODY_OCTETS} octets")
        except TimeoutError:
            if not begun:
                return self._refuse(client, request, BUSY, f"more than {self._table.bodies_per_client} bodies at once")
            return self._refuse(client, request, TOO_SLOW, f"no whole body within {self.limits.body_s:g} s")
        taken = intake.take(client, request.method, request.path, body)
        if taken.why:
            return self._refuse(client, request, taken.status, taken.why, taken.body)
        headers = {"Location": taken.location} if taken.location else None
        return web.Response(status=taken.status, headers=headers)

    async def _read(self, request: web.BaseRequest) -> bytes:
        self.reading += 1
        try:
            return await request.read()
        finally:
            self.reading -= 1

    def _refuse(
        self, client: Client, request: web.BaseRequest, status: int, why: str, body: bytes | None = None
    ) -> web.Response:
        """Refuse with an Error of 2030.5, and with the reason in one line where a person looks."""
        line = one_line(why)
        text, key = f"{client.lfdi}: {request.method} {request.path}: {line}", f"{client.lfdi} {request.method} {line}"
        self.refusals.note(REASONS.get(status, Reason.REQUEST), text, key)
        body = body or intake.refusal(status, why).body
        return web.Response(status=status, reason=line, body=body, content_type=MEDIA_TYPE)
