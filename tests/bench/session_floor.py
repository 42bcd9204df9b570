"""The least that could hold sessions: asyncio and `ssl` with the gateway's own context, and one ready answer.

`python -m tests.bench.session_floor PKI LOOP` prints its port; for each line it says how late its loop was.
"""

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvloop

from gateway.pki import tls

from .lag import Lag
from .streams import lines, say

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n" + 700 * b"x"


class Answerer(asyncio.Protocol):
    """Answers each request with the same bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        del data
        self._transport.write(ANSWER)


async def serve(pki: Path) -> None:
    """Serve until standard input ends."""
    trust = [pki / f"{name}.pem" for name in ("serca", "mca", "mica")]
    context = tls.server_context(pki / "gateway.pem", pki / "gateway.key", trust)
    listener = await asyncio.get_running_loop().create_server(Answerer, "127.0.0.1", 0, ssl=context, backlog=4_096)
    say({"port": listener.sockets[0].getsockname()[1]})
    lag = Lag()
    watching = asyncio.create_task(lag.watch())
    async for _line in lines():
        say(lag.seen())
    watching.cancel()


if __name__ == "__main__":
    (uvloop.run if sys.argv[2] == "uvloop" else asyncio.run)(serve(Path(sys.argv[1])))
