"""The socket of a simulated server: it listens, refuses, hangs and comes back on the same port."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import web

from hil.port import asked_for

LARGEST_BODY = 16 * 1024 * 1024

Outage = Literal["none", "refuse", "error", "hang"]
Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Listener:
    """One aiohttp server on 127.0.0.1 whose every path goes to `serve`.

    `serve` awaits `fails` first and answers 500 where it says so. `tls` is asked for a context at every start of
    listening; without it the socket is plain.
    """

    def __init__(self, serve: Serve, tls: Callable[[], ssl.SSLContext] | None = None) -> None:
        self.port = 0
        self._serve = serve
        self._tls = tls
        self._outage: Outage = "none"
        self._restored = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None

    async def start(self, port: int = 0) -> None:
        """Listen; port 0 takes any free one. Raises OSError when the port is taken."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        self.port = port
        await self._listen()

    async def stop(self) -> None:
        """Drop all connections and free the port."""
        self._restored.set()
        if self._runner is not None:
            self._drop_connections()
            await self._runner.cleanup()
            self._runner = self._site = None

    async def set_outage(self, outage: Outage) -> None:
        """Fail from now on: "refuse" connections, answer "error" 500, "hang" without answer; "none" ends it."""
        was, self._outage = self._outage, outage
        if outage == "refuse" and self._site is not None:
            await self._site.stop()
            self._site = None
            self._drop_connections()
        if outage != "hang":
            self._restored.set()
        else:
            self._restored.clear()
        if was == "refuse" and outage != "refuse":
            await self._listen()

    async def fails(self) -> bool:
        """Hold the request while the server hangs; tells whether it is to be answered with 500."""
        if self._outage == "hang":
            await self._restored.wait()
        return self._outage == "error"

    async def _listen(self) -> None:
        assert self._runner is not None
        with asked_for("127.0.0.1", self.port):
            listening = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = listening.getsockname()[1]
        context = None if self._tls is None else self._tls()
        self._site = web.SockSite(self._runner, listening, ssl_context=context)
        await self._site.start()

    def _drop_connections(self) -> None:
        assert self._runner is not None
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            connection.force_close()
