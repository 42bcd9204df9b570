"""The gateway as `ours` runs it, and watched from within: how late its loop runs what is due, and its CPU time.

`python -m tests.bench.watched SITE.toml STATE LOOP` runs it; for a line without a body it says what it saw since the
one before.
"""

import asyncio
import sys
import time
from pathlib import Path
from unittest.mock import patch

import uvloop

from gateway.cli import main
from gateway.config import SiteFile
from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.runtime import wiring

from . import ours
from .lag import Lag
from .site import DSO
from .streams import Line


class Parent(ours.Parent):
    """The tier above of `ours`, which looks at the loop as well."""

    def __init__(self, resources: tuple[str, ...], clock: Clock, hear: Hear) -> None:
        super().__init__(resources, clock, hear)
        self._lag = Lag()
        self._cpu_s = 0.0

    async def run(self) -> None:
        """Watch while the tier above runs."""
        watching = asyncio.create_task(self._lag.watch())
        try:
            await super().run()
        finally:
            watching.cancel()

    async def answer(self, line: Line) -> Line:
        """Hear what has a body; for the rest say what was seen."""
        return await super().answer(line) if "body" in line else self._seen()

    def _seen(self) -> Line:
        before_s, self._cpu_s = self._cpu_s, time.process_time()
        return {"cpu_s": self._cpu_s - before_s, **self._lag.seen()}


def north(
    site: SiteFile, _state: Path, clock: Clock, hear: Hear, *_rest: object, **_named: object
) -> dict[str, Parent]:
    """Stand in for the links to the parties above."""
    return {DSO: Parent(tuple(resource.name for resource in site.resources), clock, hear)}


if __name__ == "__main__":
    run = uvloop.run if sys.argv[3] == "uvloop" else asyncio.run
    with patch.object(wiring, "north", north), patch.object(uvloop, "run", run):
        sys.exit(main(["run", sys.argv[1], "--state", sys.argv[2]]))
