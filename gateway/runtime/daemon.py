"""One gateway as a process: what was known is recovered, what is open taken up again, and all of it supervised."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

from gateway.config import SiteFile
from gateway.core.aggregate import Picture, picture
from gateway.core.events import Started, Tell
from gateway.core.machine import Machine
from gateway.diagnostics.metrics import Metrics
from gateway.pki import denied, tls
from gateway.pki.live import Identities
from gateway.ports.south import Lease
from gateway.runtime import health, heap, wiring
from gateway.runtime.clock import SiteClock
from gateway.runtime.decider import Decider, Witness
from gateway.runtime.domain import core_site
from gateway.store import Continued, Entry, Journal, JournalFault

log = logging.getLogger(__name__)

RESTART_S: Final = 1.0
IDENTITY_LOOK_S: Final = 1.0
"""Wall time between looks at certificates and the deny-list; what is replaced is taken up within three of them."""

Service = Callable[[Decider, SiteClock], AbstractAsyncContextManager[None]]
"""Something that is served beside the gateway for as long as it decides; it is entered before anything is owed."""


def recover(journal: Journal) -> Machine:
    """Bring a machine to where the journal ends: its latest snapshot, and every event after it decided again.

    Where the last process died between the writes of an event and its answers, what it had still to tell is added.
    """
    recovered = journal.recover()
    machine = Machine(recovered.state)
    missing: tuple[Tell, ...] = ()
    for entry in recovered.tail:
        told = tuple(effect for effect in machine.handle(entry.event, entry.now_ms) if isinstance(effect, Tell))
        missing = told[len(entry.tells) :]
    if missing:
        journal.commit([Entry(machine.state.now_ms, Continued(), missing)])
    if recovered.upgraded:
        journal.snapshot(machine.state)
    return machine


async def supervise(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a link until cancelled; a fault of ours in it is logged and the link started again."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s broke and is started again", name)
        await asyncio.sleep(RESTART_S)


async def watch(identities: Identities) -> None:
    """Look at certificates and the deny-list until cancelled, in wall time, by which certificates are dated."""
    while True:
        identities.look()
        await asyncio.sleep(IDENTITY_LOOK_S)


async def serve(
    site: SiteFile,
    state: Path,
    clock: SiteClock,
    *,
    may_write: bool,
    witnesses: tuple[Witness, ...] = (),
    services: Sequence[Service] = (),
) -> None:
    """Run the gateway until it is told to stop; `witnesses` are shown every decision, `services` run beside it."""
    log.info("TLS self-test passed with %s", tls.self_test())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    journal = Journal.open(state)
    try:
        machine = recover(journal)
        if machine.state.site.name not in {"", site.gateway.name}:
            raise JournalFault(
                f"{state}: holds the orders of site {machine.state.site.name!r}, not of {site.gateway.name!r}; "
                "give this site a folder of its own with --state"
            )
        lease = Lease(clock)
        decider = Decider(machine, journal, clock, lease)

        def look() -> Picture:
            return picture(machine.samples(), clock.now_ms(), machine.connections())

        decider.feeders = models = wiring.feeders(site, clock, decider.hear)
        identities = Identities(state / denied.FILE)
        modbus = wiring.lines(site, identities)
        measured = wiring.measuring(site, models, decider.hear)
        links = wiring.south(site, clock, measured, lease, modbus, may_write=may_write, identities=identities)
        meters = wiring.meters(site, clock, decider.hear, modbus)
        decider.south = links.by_device
        decider.north = wiring.north(
            site,
            state,
            clock,
            decider.hear,
            look,
            machine,
            may_write=may_write,
            identities=identities,
        )
        metrics = Metrics(
            lambda: machine.state,
            lambda: _figures(decider, links.writes),
            identities.left_s,
            partial(wiring.refused, links, decider.north),
        )
        decider.witnesses = [metrics.witness, *witnesses]
        await decider.settle(Started(core_site(site, clock.rate)))
        async with AsyncExitStack() as stack:
            for service in services:
                await stack.enter_async_context(service(decider, clock))
            decider.resume()
            runner, port = await health.serve(site.gateway.health_port, decider, lease, clock, metrics)
            stack.push_async_callback(runner.cleanup)
            stack.enter_context(heap.set_aside())
            log.info("health and metrics at http://%s:%d", health.LOOPBACK, port)
            running = links.runs() | {"the links to the meters": meters.run}
            running["the watch over certificates"] = partial(watch, identities)
            running |= {f"the model of feeder {name}": model.run for name, model in models.items()}
            running |= {f"the link to {name}": link.run for name, link in decider.north.items()}
            deciding = await _until_stopped(decider, stop, running)
        decider.stop()
        await deciding
        journal.snapshot(machine.state)
    finally:
        journal.close()


async def _until_stopped(
    decider: Decider, stop: asyncio.Event, running: Mapping[str, Callable[[], Awaitable[None]]]
) -> asyncio.Task[None]:
    """Decide, and run what is named beside it, until told to stop; gives the deciding, which goes on."""
    tasks = [asyncio.create_task(supervise(name, run)) for name, run in running.items()]
    deciding = asyncio.create_task(decider.run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({deciding, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return deciding


def _figures(decider: Decider, writes: int) -> dict[str, float]:
    return {
        "gateway_journal_commit_seconds": decider.commit_s,
        "gateway_events_decided_total": float(decider.events),
        "gateway_register_writes_total": float(writes),
    }
