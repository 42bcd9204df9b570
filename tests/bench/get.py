"""A GET of a cached list of the 2030.5 server, beside a bare handler that gives the same bytes over the same TLS.

`python -m tests.bench.get serve PKI` runs both servers in one process and one loop, only one of them asked at a time;
`python -m tests.bench.get ask PKI` is the client: ready requests on open connections, as fast as answers come. What is
measured is the processor time of the serving process, which the client's own pace does not touch.
"""

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import uvloop
from aiohttp import web

from gateway.core.guard import Bounds, Cleared, clear
from gateway.core.orders import OrderKey
from gateway.core.plan import Command
from gateway.pki import issue, tls
from gateway.ports.south import Lease
from gateway.runtime.clock import RealClock
from gateway.southbound.sep2_server import Links, Sep2Server, Sep2ServerDevice, build

from .result import Result
from .streams import Child, lines, say

GOAL: Final = 1.25
"""Served at no less than 0.8 of the bare handler's pace."""
CONNECTIONS: Final = 8
RATED_W: Final = 5_000
FOR_EVER_MS: Final = 1 << 60
MEDIA_TYPE: Final = "application/sep+xml"
SERVER, CLIENT, DEVICE = "server", "client", "roof"


@dataclass(frozen=True, slots=True)
class Pace:
    """How many rounds of how many requests; the first one warms up."""

    rounds: int = 7
    requests: int = 3_000


def benchmark(folder: Path) -> list[Result]:
    """Measure at the full pace."""
    return [measure(folder, Pace())]


def measure(folder: Path, pace: Pace) -> Result:
    """Ask both servers by turns; the figure is the median over rounds of the time that one request takes."""
    folder.mkdir(parents=True, exist_ok=True)
    issue.init(folder / "pki", (SERVER, CLIENT))
    log = folder / "log"
    ours: list[float] = []
    floor: list[float] = []
    with Child(log, "tests.bench.get", "serve", folder / "pki") as server:
        found = server.hear()
        with Child(log, "tests.bench.get", "ask", folder / "pki") as client:
            for number in range(1 + pace.rounds):
                for port, figures in ((found["ours"], ours), (found["floor"], floor)):
                    began = server.ask({})["cpu_us"]
                    octets = client.ask({"port": port, "path": found["path"], "count": pace.requests})["octets"]
                    took = server.ask({})["cpu_us"] - began
                    if octets != found["octets"]:
                        raise ChildProcessError(f"a body of {octets} octets, not {found['octets']}; read {log}")
                    if number:
                        figures.append(took / pace.requests)
    what = f"GET of a cached list of {found['octets']} octets over CCM8, processor time of the server"
    return Result("GET-list", what, ours=statistics.median(ours), unit="us", goal=GOAL, floor=statistics.median(floor))


# -- the serving process


def published(links: Links, lfdi: str) -> str:
    """Want a command of the device, so that its list holds events; give the list's address."""
    now_ms = RealClock().now_ms()
    command = Command(DEVICE, 3_000, None, None, None, 1_500, 3_600_000, (OrderKey("dso", "a"),), "C2")
    bounds = Bounds(DEVICE, RATED_W, RATED_W, 0, 0, RATED_W, 0, 0, True, True, now_ms + 3_500_000)
    cleared = clear(command, bounds, 1, now_ms)
    if not isinstance(cleared, Cleared):
        raise TypeError(cleared.why)
    links.want(cleared)
    return f"/derp/{lfdi}/derc?s=0&l=255"


async def serve(pki: Path) -> None:
    """Serve until standard input ends; each line that is read is answered with the processor time so far."""
    lfdi = issue.init(pki, (CLIENT,))[CLIENT].lfdi
    trust = tuple(pki / f"{name}.pem" for name in ("serca", "mca", "mica"))
    own = (pki / f"{SERVER}.pem", pki / f"{SERVER}.key")
    table = Sep2Server(0, *own, trust, connections_per_client=CONNECTIONS)
    context = tls.server_context(table.certificate, table.key, table.trust)
    clock = RealClock()
    devices = {DEVICE: (Sep2ServerDevice(lfdi), RATED_W)}
    links = build(table, devices, context, clock, _nobody, Lease(clock, FOR_EVER_MS), may_write=True)
    path = published(links, lfdi)
    running = asyncio.create_task(links.run())
    await links.link.listening.wait()
    body = await _fetch(links.link.port, path, pki)

    async def bare(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=body, content_type=MEDIA_TYPE)

    runner = web.ServerRunner(web.Server(bare, access_log=None))
    await runner.setup()
    assert runner.server is not None
    listener = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0, ssl=context)
    floor = listener.sockets[0].getsockname()[1]
    say({"ours": links.link.port, "floor": floor, "path": path, "octets": len(body)})
    async for _line in lines():
        say({"cpu_us": time.process_time_ns() / 1_000})
    running.cancel()


def _nobody(event: object) -> None:
    """Hear nothing."""
    del event


# -- the asking process


class Asker(asyncio.Protocol):
    """Sends its ready request again whenever an answer is complete, until enough were."""

    def __init__(self, request: bytes, left: list[int]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.body = b""
        self._request = request
        self._left = left
        self._held = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("closed by the server"))

    def _ask(self) -> None:
        assert self._transport is not None
        if self._left[0] <= 0:
            self.done.set_result(None)
            self._transport.close()
            return
        self._left[0] -= 1
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, found, body = self._held.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(head.decode())
        self.body, self._held = body, b""
        self._ask()


async def _load(port: int, path: str, pki: Path, connections: int, count: int) -> bytes:
    """Ask so often, over so many connections; give the last body."""
    trust = [pki / f"{name}.pem" for name in ("serca", "mca", "mica")]
    context = tls.client_context(pki / f"{CLIENT}.pem", pki / f"{CLIENT}.key", trust)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: {MEDIA_TYPE}\r\n\r\n".encode()
    left = [count]
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Asker(request, left), "127.0.0.1", port, ssl=context)
        for _ in range(connections)
    ]
    await asyncio.gather(*(asker.done for _transport, asker in made))
    return made[0][1].body


async def _fetch(port: int, path: str, pki: Path) -> bytes:
    return await _load(port, path, pki, 1, 1)


async def ask(pki: Path) -> None:
    """Ask as each line says, until standard input ends."""
    async for line in lines():
        body = await _load(line["port"], line["path"], pki, CONNECTIONS, line["count"])
        say({"octets": len(body)})


if __name__ == "__main__":
    uvloop.run((serve if sys.argv[1] == "serve" else ask)(Path(sys.argv[2])))
