"""How late a loop runs what is due. `python -m tests.bench.lag LOOP` looks at one with nothing to do."""

import asyncio
import math
import sys
import time
from typing import Final

import uvloop

from .streams import Line, lines, say

STEP_S: Final = 0.005
MS: Final = 1e3


class Lag:
    """The lateness of a timer that is set again and again."""

    def __init__(self) -> None:
        self._late_s: list[float] = []

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            due_s = time.monotonic() + STEP_S
            await asyncio.sleep(STEP_S)
            self._late_s.append(max(0.0, time.monotonic() - due_s))

    def seen(self) -> Line:
        """Give what was seen since the last time, and begin anew."""
        late_s, self._late_s = sorted(self._late_s), []
        p99_s = late_s[math.ceil(0.99 * len(late_s)) - 1] if late_s else 0.0
        p50_s = late_s[len(late_s) // 2] if late_s else 0.0
        return {"lag_p50_ms": p50_s * MS, "lag_p99_ms": p99_s * MS, "lag_most_ms": max(late_s, default=0.0) * MS}


async def idle() -> None:
    """Watch, and say at each line what was seen."""
    lag = Lag()
    watching = asyncio.create_task(lag.watch())
    async for _line in lines():
        say(lag.seen())
    watching.cancel()


if __name__ == "__main__":
    run = uvloop.run if sys.argv[1] == "uvloop" else asyncio.run
    run(idle())
