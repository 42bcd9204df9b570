"""The floor: the least that must be done to tell N devices of a durable order, and nothing that decides it.

`python -m tests.bench.floor FILE` connects to the ports that it reads; for each further line it brings one line onto
the disk and writes one ready frame to each connection.
"""

import asyncio
import gc
import os
import sys
import time
from pathlib import Path
from typing import Any, cast

import uvloop

from .devices import FLOOR, WRITE_MANY
from .streams import lines, say

CONNECTING = 64


class Connection(asyncio.Protocol):
    """A connection that takes replies and does nothing with them."""

    def __init__(self) -> None:
        self.replies = 0

    def data_received(self, data: bytes) -> None:
        del data
        self.replies += 1


async def connect(ports: list[int]) -> list[asyncio.Transport]:
    """Connect to every device."""
    loop = asyncio.get_running_loop()
    made: list[Any] = []
    for first in range(0, len(ports), CONNECTING):
        some = [loop.create_connection(Connection, "127.0.0.1", port) for port in ports[first : first + CONNECTING]]
        made += await asyncio.gather(*some)
    return [cast("asyncio.Transport", transport) for transport, _protocol in made]


def frame(address: int, registers: bytes) -> bytes:
    """Build the write of these registers."""
    octets = len(registers)
    head = b"".join(word.to_bytes(2, "big") for word in (1, 0, 7 + octets))
    place = address.to_bytes(2, "big") + (octets // 2).to_bytes(2, "big")
    return head + bytes((FLOOR, WRITE_MANY)) + place + bytes((octets,)) + registers


async def serve(file: Path) -> None:
    """Connect to the ports of the first line; send an order for each further one, and say when it began."""
    orders = lines()
    transports = await connect((await anext(orders))["ports"])
    say({"connected": len(transports)})
    gc.collect()
    gc.freeze()
    with file.open("ab", buffering=0) as journal:
        async for line in orders:
            ready, entry = frame(line["control"], bytes.fromhex(line["registers"])), line["entry"].encode()
            began_ns = time.monotonic_ns()
            journal.write(entry)
            os.fdatasync(journal.fileno())
            for transport in transports:
                transport.write(ready)
            await asyncio.sleep(line["settle_s"])
            say({"began_ns": began_ns})


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
