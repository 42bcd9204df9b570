"""The deciding loop and the lease by which the links know that it lives."""

import asyncio
from pathlib import Path

from gateway.core.machine import Machine
from gateway.ports.south import Lease
from gateway.runtime.clock import RealClock
from gateway.runtime.decider import Decider
from gateway.store import Journal


async def test_lease_lives_from_the_first_moment_of_the_loop_on(tmp_path: Path) -> None:
    clock = RealClock()
    lease = Lease(clock)
    journal = Journal.open(tmp_path / "state", reserve_bytes=4096)
    try:
        decider = Decider(Machine(), journal, clock, lease)
        assert not lease.lives()
        deciding = asyncio.create_task(decider.run())
        await asyncio.sleep(0)
        assert lease.lives(), "a link that connects at once would find a deciding loop that seems dead"
        decider.stop()
        await deciding
    finally:
        journal.close()
