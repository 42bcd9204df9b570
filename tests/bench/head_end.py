"""The DSO's server of a benchmark, hil's, in a process of its own, with one control in force for all resources.

`python -m tests.bench.head_end PKI COUNT LIMIT_W` prints where it listens; a line that it reads it answers with what
it was sent so far.
"""

import sys
from pathlib import Path

import uvloop

from hil.clock import Clock
from hil.head_end import Certificate, HeadEnd
from hil.sep2.records import Program, Resource, mrid_of
from hil.sep2.tree import Rates

from .site import DSO, ORDER_S, PIN, lfdi, resource_names
from .streams import lines, say

RATES = Rates(page_limit=255, poll_rate_s=20, post_rate_s=20)


async def serve(pki: Path, count: int, limit_w: int) -> None:
    """Serve until standard input ends."""
    names = tuple(resource_names(count))
    server = HeadEnd(
        DSO,
        Clock.parse("real"),
        Certificate.of(pki, DSO),
        Certificate.of(pki, "gateway").lfdi,
        resources=[Resource(name, lfdi(name), PIN) for name in names],
        programs=[Program("all", mrid_of("all"), 1, names, {"opModExpLimW": 1_500})],
        rates=RATES,
    )
    await server.start()
    server.issue("all", "in force", {"opModExpLimW": limit_w}, 0, ORDER_S)
    say({"url": server.url, "lfdi": server.lfdi})
    async for _line in lines():
        say({"answers": len(server.tree.intake.answers), "readings": len(server.tree.intake.readings)})
    await server.stop()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
