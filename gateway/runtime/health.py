"""Health and metrics on a local port: is it deciding, is it in contact, what does each device do."""

from aiohttp import web

from gateway.core.known import Known
from gateway.diagnostics.metrics import Metrics
from gateway.ports.clock import Clock
from gateway.ports.south import Lease
from gateway.runtime.decider import Decider

LOOPBACK = "127.0.0.1"


def picture(decider: Decider, lease: Lease, clock: Clock) -> dict[str, object]:
    """Give the health of the gateway; `ok` while it decides, every wire upward is in contact and no device disobeys."""
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
    well = (
        lease.lives()
        and all(state.parties[name].proven and not state.parties[name].lost for name in decider.north)
        and all(device.reachable and device.verdict != "disobeyed" for device in state.devices.values())
    )
    return {
        "site": state.site.name,
        "status": "ok" if well else "degraded" if lease.lives() else "not deciding",
        "now_ms": clock.now_ms(),
        "decided_ms": state.now_ms,
        "owed_answers": len(state.owed),
        "parties": parties,
        "devices": devices,
    }


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
