"""Health and metrics on a local port: is it deciding, is it in contact, what does each device do."""

from collections.abc import Iterable, Iterator

from aiohttp import web

from gateway.core.known import Known
from gateway.core.observe import Verdict
from gateway.core.state import State
from gateway.diagnostics.metrics import Metrics
from gateway.diagnostics.records import listed
from gateway.ports.clock import Clock
from gateway.ports.south import Lease
from gateway.runtime.decider import Decider

LOOPBACK = "127.0.0.1"


def picture(decider: Decider, lease: Lease, clock: Clock) -> dict[str, object]:
    """Give the health of the gateway; `ok` while it decides, every wire upward is in contact and no device disobeys.

    `why` says in a line each what keeps it from that.
    """
    state = decider.machine.state
    parties = {
        name: {"contact": party.proven and not party.lost, "clock_offset_ms": party.offset_ms}
        for name, party in state.parties.items()
    }
    devices = {
        name: {
            "reachable": device.reachable,
            "power_w": device.power.value if isinstance(device.power, Known) else None,
            "limit_w": device.command.limit_w if device.command is not None else None,
            "adopted": device.adopted,
            "verdict": device.verdict.value if device.verdict is not None else None,
        }
        for name, device in state.devices.items()
    }
    why = list(_amiss(state, decider.north, deciding=lease.lives()))
    return {
        "site": state.site.name,
        "status": "ok" if not why else "degraded" if lease.lives() else "not deciding",
        "why": why,
        "now_ms": clock.now_ms(),
        "decided_ms": state.now_ms,
        "owed_answers": len(state.owed),
        "parties": parties,
        "devices": devices,
    }


def _amiss(state: State, north: Iterable[str], *, deciding: bool) -> Iterator[str]:
    if not deciding:
        yield "the deciding loop has stopped renewing its lease; restart the gateway and see its log"
    for name in north:
        party = state.parties[name]
        if party.lost:
            yield f"no contact with {name}: not proven for {party.window_ms // 1000} s"
        elif not party.proven:
            yield f"no contact with {name} yet: nothing was read completely since the start"
    silent = [name for name, device in state.devices.items() if not device.reachable]
    if silent:
        yield f"out of reach: {listed(silent)}"
    disobeying = [name for name, device in state.devices.items() if device.verdict is Verdict.DISOBEYED]
    if disobeying:
        yield f"disobeying: {listed(disobeying)}; ask gateway explain"


async def serve(port: int, decider: Decider, lease: Lease, clock: Clock, metrics: Metrics) -> tuple[web.AppRunner, int]:
    """Serve `/health` and `/metrics` on loopback; give the runner to clean up and the port taken."""

    async def health(_request: web.Request) -> web.Response:
        body = picture(decider, lease, clock)
        return web.json_response(body, status=503 if body["status"] == "not deciding" else 200)

    async def scrape(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.add_routes([web.get("/health", health), web.get("/metrics", scrape)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, port)
    await site.start()
    addresses = runner.addresses
    return runner, int(addresses[0][1])
