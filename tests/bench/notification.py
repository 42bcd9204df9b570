"""Notifications taken by the real listener of a 2030.5 link, beside a bare handler that reads nothing of them.

`python -m tests.bench.notification take PKI` is the gateway's side: a link subscribed to all that the head-end offers,
and the bare handler under the same certificate. `python -m tests.bench.notification send PKI` is hil's head-end; it
sends ready notifications of its list of controls over open connections, as fast as they are taken, and lists a new
control in between. Nothing is lost where the last control that was listed has been heard by the end.
"""

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import uvloop
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.events import Event, OrderHeard
from gateway.northbound.sep2_client import Link, Sep2Client, Sep2Resource, Speech
from gateway.pki import files, identity, issue, tls
from gateway.runtime.clock import RealClock
from hil.clock import Clock
from hil.head_end import Certificate, HeadEnd, client_tls
from hil.sep2.records import Program, Resource, mrid_of
from hil.sep2.subscribing import Notice
from hil.sep2.tree import Rates

from .fleet import Timed
from .result import Result
from .site import DSO, PIN, lfdi
from .streams import Child, Line, lines, say

GOAL_US: Final = 2_000.0
"""500 a second: what the fastest open server is known to send without loss."""
CONNECTIONS: Final = 4
CONTROLS: Final = "/derp/1/derc"
HOUSE: Final = "house"
SLOW_S: Final = 86_400
LIMIT: Final = {"opModExpLimW": 2_000}
PATIENCE_S: Final = 60.0
US: Final = 1e6


@dataclass(frozen=True, slots=True)
class Pace:
    """How many rounds of how many notifications; the first one warms up."""

    rounds: int = 5
    notifications: int = 2_000


def benchmark(folder: Path) -> list[Result]:
    """Measure at the full pace."""
    return measure(folder, Pace())


def measure(folder: Path, pace: Pace) -> list[Result]:
    """Send to both by turns; ChildProcessError where something is refused, or the last control is never heard of."""
    folder.mkdir(parents=True, exist_ok=True)
    pki, log = folder / "pki", folder / "log.txt"
    issue.init(pki, ("gateway", DSO))
    cpu_us: dict[str, list[float]] = {"ours": [], "floor": []}
    took_us: dict[str, list[float]] = {"ours": [], "floor": []}
    with (
        Child(log, "tests.bench.notification", "send", pki) as sender,
        Child(log, "tests.bench.notification", "take", pki) as taker,
    ):
        places = taker.ask(sender.hear())
        places |= sender.ask({"subscribed": True})
        for number in range(1 + pace.rounds):
            for which in ("floor", "ours"):
                before = taker.ask({})
                took_s = sender.ask({"to": places[which], "count": pace.notifications})["took_s"]
                after = taker.ask({})
                if number:
                    cpu_us[which].append((after["cpu_us"] - before["cpu_us"]) / pace.notifications)
                    took_us[which].append(US * took_s / pace.notifications)
        issued: list[str] = sender.ask({"issued": True})["issued"]
        _all_heard(taker, issued)
    taken_us, least_us = (statistics.median(took_us[which]) for which in ("ours", "floor"))
    rate = f"{US / taken_us:,.0f} a second, the bare handler {US / least_us:,.0f}"
    what = (
        f"a notification of a list of controls taken over open mutual TLS, all {len(issued)} controls heard by the end"
    )
    spent_us, spent_least_us = (statistics.median(cpu_us[which]) for which in ("ours", "floor"))
    return [
        Timed("notification-cpu", f"{what}, processor time", spent_us, "us", GOAL_US, spent_least_us),
        Timed("notification", f"{what} ({rate})", taken_us, "us", GOAL_US, least_us),
    ]


def _all_heard(taker: Child, issued: list[str]) -> None:
    """Return when the last control that was listed, and every other, has been heard of."""
    until_s = time.monotonic() + PATIENCE_S
    heard: set[str] = set()
    while not heard.issuperset(issued):
        if time.monotonic() > until_s:
            raise ChildProcessError(f"{len(heard)} of {len(issued)} controls were heard of within {PATIENCE_S:g} s")
        time.sleep(0.1)
        heard = set(taker.ask({})["heard"])


# -- the taking process


async def take(pki: Path) -> None:
    """Run the link and the bare handler until standard input ends."""
    incoming = lines()
    server = await anext(incoming)
    trust = tuple(pki / f"{name}.pem" for name in ("serca", "mca", "mica"))
    own = pki / "gateway.pem", pki / "gateway.key"
    table = Sep2Client(DSO, server["url"], server["lfdi"], *own, trust, poll_s=SLOW_S, notify_port=0)
    heard: list[Event] = []
    link = Link(
        table,
        {HOUSE: Sep2Resource(lfdi(HOUSE), PIN)},
        identity.lfdi(files.read_certificates(own[0])[0].public_bytes(Encoding.DER)),
        tls.client_context(*own, trust, pinned_lfdi=table.server_lfdi),
        Speech({}),
        RealClock(),
        heard.append,
        None,
        may_write=True,
        notify=tls.server_context(*own, trust),
    )
    running = asyncio.create_task(link.run())

    async def bare(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(bare, access_log=None))
    await runner.setup()
    assert runner.server is not None
    context = tls.server_context(*own, trust)
    listener = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    say({"floor": f"https://127.0.0.1:{port}/floor"})
    async for _line in incoming:
        orders = [event.order.id for event in heard if isinstance(event, OrderHeard)]
        say({"cpu_us": time.process_time_ns() / 1_000, "heard": orders})
    running.cancel()


# -- the sending process


class Poster(asyncio.Protocol):
    """Posts its ready request again whenever it was taken, until enough were."""

    def __init__(self, request: bytes, left: list[int]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._request = request
        self._left = left
        self._held = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._post()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("closed by the gateway"))

    def _post(self) -> None:
        assert self._transport is not None
        if self._left[0] <= 0:
            self.done.set_result(None)
            self._transport.close()
            return
        self._left[0] -= 1
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if not self._held.endswith(b"\r\n\r\n"):
            return
        status = self._held.split(b" ", 2)[1]
        self._held = b""
        if status == b"204":
            self._post()
        elif not self.done.done():
            self.done.set_exception(ConnectionError(f"status {status.decode()}"))


class Sender:
    """The head-end, and what it sends."""

    def __init__(self, pki: Path) -> None:
        self._certificate = Certificate.of(pki, DSO)
        self._issued: list[str] = []
        self.server = HeadEnd(
            DSO,
            Clock.parse("real"),
            self._certificate,
            Certificate.of(pki, "gateway").lfdi,
            resources=[Resource(HOUSE, lfdi(HOUSE), PIN)],
            programs=[Program("all", mrid_of("all"), 1, (HOUSE,), {"opModExpLimW": 1_500})],
            rates=Rates(page_limit=255, poll_rate_s=SLOW_S, post_rate_s=SLOW_S),
            notifies=True,
        )

    async def obey(self, line: Line) -> Line:
        """Do what a line says."""
        if "subscribed" in line:
            return {"ours": (await self._notice()).uri}
        if "issued" in line:
            return {"issued": self._issued}
        return {"took_s": await self._send(line["to"], line["count"])}

    def _issue(self) -> None:
        """List one control more, which the head-end notifies of by itself."""
        control = self.server.issue("all", f"control-{len(self._issued)}", LIMIT, 60, 600)
        self._issued.append(control.mrid)

    async def _notice(self) -> Notice:
        """Give a notification of the list of controls as it is, once somebody has subscribed to it."""
        held = self.server.subscriptions
        assert held is not None
        while True:
            for one in held.held.values():
                if one.path == CONTROLS:
                    return held._notice(one, self.server.url.removesuffix("/dcap"), 0)
            await asyncio.sleep(0.05)

    async def _send(self, uri: str, count: int) -> float:
        """Send so many, with a new control listed at half time; give how long they took (s)."""
        body, to = (await self._notice()).body, urlsplit(uri)
        head = f"POST {to.path} HTTP/1.1\r\nHost: {to.netloc}\r\nContent-Type: application/sep+xml\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        context, left = client_tls(self._certificate), [count]
        make = partial(Poster, request, left)
        loop = asyncio.get_running_loop()
        began_s = time.monotonic()
        made = [
            await loop.create_connection(make, to.hostname or "", to.port or 0, ssl=context, server_hostname="")
            for _ in range(CONNECTIONS)
        ]
        self._issue()
        await asyncio.gather(*(poster.done for _transport, poster in made))
        return time.monotonic() - began_s


async def send(pki: Path) -> None:
    """Serve and send until standard input ends."""
    sender = Sender(pki)
    await sender.server.start()
    say({"url": sender.server.url, "lfdi": sender.server.lfdi})
    async for line in lines():
        say(await sender.obey(line))
    await sender.server.stop()


if __name__ == "__main__":
    uvloop.run((take if sys.argv[1] == "take" else send)(Path(sys.argv[2])))
