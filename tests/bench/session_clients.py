"""A thousand devices with a certificate each, in a process of their own: they connect, ask, poll, are cut and return.

`python -m tests.bench.session_clients PKI COUNT` answers one JSON line to each that it reads: `port` and `path` say
where all of them are to be, at once and with a 200 each; `every_s` and `for_s` how often they poll; and `cut` cuts all
their connections, to be all back at once.
"""

import asyncio
import contextlib
import ssl
import sys
import time
from pathlib import Path
from typing import Final

import uvloop

from .streams import Line, lines, say

CIPHERS: Final = "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"
PATIENCE_S: Final = 60.0
AGAIN_S: Final = 1.0
MS: Final = 1e3


def name(number: int) -> str:
    """Name the files of one client."""
    return f"client-{number:04}"


class Wire(asyncio.Protocol):
    """Takes the answers of one connection."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[int] | None = None
        self.gone = False
        self._held = b""

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, found, body = self._held.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        self._held = b""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(int(head.split(b" ", 2)[1]))


class Client:
    """One device: its certificate, and its connection."""

    def __init__(self, pki: Path, number: int, trust: str) -> None:
        self._context = context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.check_hostname = False
        context.load_verify_locations(cadata=trust)
        context.load_cert_chain(pki / f"{name(number)}.pem", pki / f"{name(number)}.key")
        self._wire = Wire()
        self._transport: asyncio.Transport | None = None
        self.retries = 0

    def cut(self) -> None:
        """Cut the connection, without a word."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def come(self, port: int, request: bytes) -> float:
        """Connect until it is answered with a 200; give how long that took (s)."""
        began_s = time.monotonic()
        while True:
            try:
                await self._connect(port)
                await self.ask(request)
            except OSError:
                self.retries += 1
                await asyncio.sleep(AGAIN_S)
            else:
                return time.monotonic() - began_s

    async def _connect(self, port: int) -> None:
        made, wire = await asyncio.get_running_loop().create_connection(
            Wire, "127.0.0.1", port, ssl=self._context, server_hostname="", ssl_handshake_timeout=PATIENCE_S
        )
        self._transport, self._wire = made, wire

    async def ask(self, request: bytes) -> float:
        """Ask on the open connection; give how long the answer took (s), ConnectionError where it is no 200."""
        began_s = time.monotonic()
        if self._transport is None or self._wire.gone:
            raise ConnectionResetError("closed by the server")
        self._wire.answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        status = await asyncio.wait_for(self._wire.answer, PATIENCE_S)
        if status != 200:
            raise ConnectionError(f"status {status}")
        return time.monotonic() - began_s


class Crowd:
    """All of them."""

    def __init__(self, pki: Path, count: int) -> None:
        trust = (pki / "serca.pem").read_text(encoding="ascii")
        self._clients = [Client(pki, number, trust) for number in range(count)]
        self._port = 0
        self._request = b""

    async def obey(self, line: Line) -> Line:
        """Do what a line says."""
        if "cut" in line:
            for client in self._clients:
                client.cut()
        if "port" in line:
            self._port = line["port"]
            self._request = f"GET {line['path']} HTTP/1.1\r\nHost: here\r\nAccept: application/sep+xml\r\n\r\n".encode()
        if "every_s" in line:
            return await self._poll(line["every_s"], line["for_s"])
        return await self._come()

    async def _come(self) -> Line:
        began_s = time.monotonic()
        before = sum(client.retries for client in self._clients)
        took_s = await asyncio.gather(*(client.come(self._port, self._request) for client in self._clients))
        retries = sum(client.retries for client in self._clients) - before
        return {"took_s": time.monotonic() - began_s, "retries": retries} | quantiles(took_s)

    async def _poll(self, every_s: float, for_s: float) -> Line:
        """Poll evenly spread, as long as said; a client whose connection is gone counts as failed."""
        took_s: list[float] = []
        failed = 0

        async def one(client: Client) -> None:
            nonlocal failed
            try:
                took_s.append(await client.ask(self._request))
            except OSError:
                failed += 1

        asking: list[asyncio.Task[None]] = []
        step_s, until_s = every_s / len(self._clients), time.monotonic() + for_s
        for number, client in enumerate(self._clients):
            if time.monotonic() > until_s:
                break
            asking.append(asyncio.create_task(one(client)))
            await asyncio.sleep(max(0.0, until_s - for_s + (number + 1) * step_s - time.monotonic()))
        await asyncio.gather(*asking)
        return {"polls": len(took_s), "failed": failed} | quantiles(took_s)


def quantiles(took_s: list[float]) -> Line:
    """Give the median and the 99th percentile (ms)."""
    ranked = sorted(took_s) or [0.0]
    return {"p50_ms": MS * ranked[len(ranked) // 2], "p99_ms": MS * ranked[(99 * len(ranked) - 1) // 100]}


async def serve(pki: Path, count: int) -> None:
    """Obey lines until standard input ends."""
    crowd = Crowd(pki, count)
    say({"ready": count})
    async for line in lines():
        say(await crowd.obey(line))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
