"""The gateway as a whole process, with standard input in place of its DSO's server.

`python -m tests.bench.ours SITE.toml STATE` runs it. A body that it reads takes the way of a DERControlList that was
read of the server; the answers that it owes are taken as delivered once the devices have had their time.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from unittest.mock import patch

from gateway.cli import main
from gateway.config import SiteFile
from gateway.core.answers import Answer
from gateway.core.events import Assigned, Contact, Delivered, OrderHeard
from gateway.northbound.sep2_client import translate
from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.runtime import wiring
from gateway.wire.sep2 import decode
from gateway.wire.sep2.resources import DERControl, DERControlList, DERProgram

from .site import DSO
from .streams import Line, lines, say

PROGRAM = DERProgram(mrid="A1" * 16, primacy=1)
WINDOW_MS = 24 * 3_600_000


class Parent:
    """The tier above: what it is given it hears, and then it says when it began."""

    party = DSO

    def __init__(self, resources: tuple[str, ...], clock: Clock, hear: Hear) -> None:
        self._resources = resources
        self._clock = clock
        self._hear = hear
        self._owed: list[int] = []
        self._orders = 0

    def owe(self, answer: Answer) -> None:
        """Keep an answer until the burst is over."""
        self._owed.append(answer.serial)

    async def run(self) -> None:
        """Hear what comes, and stop the process when nothing more does."""
        self._hear(Assigned(DSO, translate.group_of(DSO, PROGRAM), self._resources))
        self._hear(Contact(DSO, WINDOW_MS))
        say({"ready": True})
        async for line in lines():
            say(await self.answer(line))
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    async def answer(self, line: Line) -> Line:
        """Hear the body of a line, and say when that began."""
        body = line["body"].encode()
        began_ns = time.monotonic_ns()
        self._take(body)
        await asyncio.sleep(line["settle_s"])
        self._deliver()
        return {"began_ns": began_ns}

    def _take(self, body: bytes) -> None:
        page = decode(body)
        if not isinstance(page, DERControlList):
            raise TypeError(f"{type(page).__name__} is not what is measured")
        for control in page.items:
            if isinstance(control, DERControl) and translate.withdrawal(control, DSO) is None:
                self._orders += 1
                order = translate.order(control, PROGRAM, DSO, self._clock.now_ms(), self._orders)
                self._hear(OrderHeard(order))
        self._hear(Contact(DSO, WINDOW_MS))

    def _deliver(self) -> None:
        owed, self._owed = self._owed, []
        for serial in owed:
            self._hear(Delivered(serial))


def north(
    site: SiteFile, _state: Path, clock: Clock, hear: Hear, *_rest: object, **_named: object
) -> dict[str, Parent]:
    """Stand in for the links to the parties above."""
    return {DSO: Parent(tuple(resource.name for resource in site.resources), clock, hear)}


if __name__ == "__main__":
    with patch.object(wiring, "north", north):
        sys.exit(main(["run", sys.argv[1], "--state", sys.argv[2]]))
