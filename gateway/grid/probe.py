"""What is wrong with a feeder's model, found by loading it once in a process of its own."""

import asyncio
from collections.abc import Mapping, Sequence

from gateway.grid.config import Feeder, feeder_faults
from gateway.grid.process import WORKER, Trouble, Worker
from gateway.grid.talk import Faulty, Place, setup


def faults(table: Feeder, places: Mapping[str, tuple[Place, ...]], command: Sequence[str] = WORKER) -> list[str]:
    """Give what is wrong with the model or with where devices are on it, one line each; not inside a running loop."""
    absent = [what for _, what in feeder_faults(table)]
    return absent or asyncio.run(_probe(table, places, command))


async def _probe(table: Feeder, places: Mapping[str, tuple[Place, ...]], command: Sequence[str]) -> list[str]:
    try:
        worker, first = await Worker.start(command, setup(table, dict(places), 0.0))
    except Trouble as trouble:
        return [f'the model of feeder "{table.name}" cannot be tried: {trouble}']
    await worker.end()
    return list(first.faults) if isinstance(first, Faulty) else []
