"""The gateway as `ours` runs it, and watched from within: how late its loop runs what is due, and its CPU time.

`python -m tests.bench.watched SITE.toml STATE LOOP` runs it; for a line without a body it says what it saw since the
one before.
"""

import asyncio
import math
import sys
import time
from pathlib import Path
from typing import Final
from unittest.mock import patch

import uvloop

from gateway.cli import main
from gateway.config import SiteFile
from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.runtime import wiring

from . import ours
from .streams import Line

STEP_S: Final = 0.005
MS: Final = 1e3


class Parent(ours.Parent):
    """The tier above of `ours`, which looks at the loop as well."""

    def __init__(self, resources: tuple[str, ...], clock: Clock, hear: Hear) -> None:
        super().__init__(resources, clock, hear)
        self._lags_s: list[float] = []
        self._cpu_s = 0.0

    async def run(self) -> None:
        """Watch while the tier above runs."""
        watching = asyncio.create_task(self._watch())
        try:
            await super().run()
        finally:
            watching.cancel()

    async def answer(self, line: Line) -> Line:
        """Hear what has a body; for the rest say what was seen."""
        return await super().answer(line) if "body" in line else self._seen()

    async def _watch(self) -> None:
        while True:
            due_s = time.monotonic() + STEP_S
            await asyncio.sleep(STEP_S)
            self._lags_s.append(max(0.0, time.monotonic() - due_s))

    def _seen(self) -> Line:
        lags_s, self._lags_s = sorted(self._lags_s), []
        before_s, self._cpu_s = self._cpu_s, time.process_time()
        ranked_s = lags_s[math.ceil(0.99 * len(lags_s)) - 1] if lags_s else 0.0
        most_s = max(lags_s, default=0.0)
        return {"cpu_s": self._cpu_s - before_s, "lag_p99_ms": ranked_s * MS, "lag_most_ms": most_s * MS}


def north(
    site: SiteFile, _state: Path, clock: Clock, hear: Hear, *_rest: object, **_named: object
) -> dict[str, Parent]:
    """Stand in for the links to the parties above."""
    return {ours.DSO: Parent(tuple(resource.name for resource in site.resources), clock, hear)}


if __name__ == "__main__":
    run = uvloop.run if sys.argv[3] == "uvloop" else asyncio.run
    with patch.object(wiring, "north", north), patch.object(uvloop, "run", run):
        sys.exit(main(["run", sys.argv[1], "--state", sys.argv[2]]))
