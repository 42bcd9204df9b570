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
    """The lateness of a timer that is set again and again, and the processor time that the loop took meanwhile.

    The first is what counts, and suffers from whatever else the computer does; the second does not.
    """

    def __init__(self) -> None:
        self._late_s: list[float] = []
        self._busy_s: list[float] = []

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            due_s, before_s = time.monotonic() + STEP_S, time.thread_time()
            await asyncio.sleep(STEP_S)
            self._late_s.append(max(0.0, time.monotonic() - due_s))
            self._busy_s.append(time.thread_time() - before_s)

    def seen(self) -> Line:
        """Give what was seen since the last time, and begin anew."""
        late_s, self._late_s = self._late_s, []
        busy_s, self._busy_s = self._busy_s, []
        return {
            "lag_p50_ms": _ranked_ms(late_s, 0.5),
            "lag_p99_ms": _ranked_ms(late_s, 0.99),
            "lag_most_ms": _ranked_ms(late_s, 1.0),
            "busy_p99_ms": _ranked_ms(busy_s, 0.99),
            "busy_most_ms": _ranked_ms(busy_s, 1.0),
        }


def _ranked_ms(seconds: list[float], part: float) -> float:
    ranked = sorted(seconds) or [0.0]
    return MS * ranked[math.ceil(part * len(ranked)) - 1]


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
