"""What a list of OpenADR events costs: 48 intervals from bytes to orders, alone and fetched from a server.

`python -m tests.bench.event` serves that list; it prints where, and ends with its standard input.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import aiohttp
import toadr3.models
from aiohttp import web
from openadr3.entities.models import Event

from gateway.core.events import OrderHeard
from gateway.core.functions import Function
from gateway.core.orders import Ceiling, Each, Order, Rank, Reply, Tie
from gateway.core.units import Watts
from gateway.northbound.openadr_ven import OpenadrVen, translate
from gateway.northbound.openadr_ven.exchange import Exchange
from gateway.northbound.openadr_ven.schedule import lay_out
from gateway.northbound.openadr_ven.words import read_profile
from gateway.wire.openadr3 import Odd, decode_event, items, object_id

from .fleet import T0_MS, clocked
from .result import Result
from .streams import Child, lines, say

INTERVALS: Final = 48
TIMES: Final = 400
GETS: Final = 300
US: Final = 1e6
GOAL: Final = 2.0
EVENT: Final[dict[str, Any]] = {
    "id": "event-1",
    "createdDateTime": "2026-01-01T00:00:00Z",
    "modificationDateTime": "2026-01-01T00:00:00Z",
    "objectType": "EVENT",
    "programID": "program-1",
    "eventName": "operating envelope",
    "priority": 1,
    "payloadDescriptors": [
        {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "EXPORT_CAPACITY_LIMIT", "units": "KW"}
    ],
    "intervalPeriod": {"start": "2026-01-01T00:00:00Z", "duration": "PT30M"},
    "intervals": [
        {"id": at, "payloads": [{"type": "EXPORT_CAPACITY_LIMIT", "values": [1.5 + at / 10]}]}
        for at in range(INTERVALS)
    ],
}
BODY: Final = json.dumps([EVENT]).encode()
WORDS: Final = read_profile({})


def benchmark(folder: Path) -> list[Result]:
    """Measure the decoding, the decoding and turning into orders, and all of that behind a GET."""
    return measure(folder, TIMES, GETS)


def measure(folder: Path, times: int, gets: int) -> list[Result]:
    """Measure so many times; what is compared takes turns."""
    ways: dict[str, Callable[[], object]] = {
        "floor": partial(json.loads, BODY),
        "decode": decoded,
        "orders": orders,
        "made": made,
        "openadr3": partial(_by_openadr3, BODY),
        "toadr3": partial(_by_toadr3, BODY),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _number in range(times):
        for name, way in ways.items():
            took[name].append(clocked(way) * US)
    us = {name: median(each[times // 10 :]) for name, each in took.items()}
    peers = {name: us[name] for name in ("openadr3", "toadr3")}
    what = f"a list of one event with {INTERVALS} intervals"
    return [
        Result(
            "event-decode",
            f"{what}, read and checked; floor: json.loads of the same bytes",
            us["decode"],
            "us",
            GOAL,
            us["floor"],
            peers,
        ),
        Result(
            "event-orders",
            f"{what}, heard for the first time, from bytes to orders; floor: json.loads, and as many orders made ready",
            us["orders"],
            "us",
            GOAL,
            us["floor"] + us["made"],
            {"json.loads alone": us["floor"], **peers},
        ),
        fetched(folder, gets),
    ]


def decoded() -> list[object]:
    """Read the list as the VEN does."""
    return [(object_id(item), decode_event(item)) for item in items(BODY)]


def orders(body: bytes = BODY) -> list[OrderHeard | None]:
    """Turn the list into orders as the VEN does when it hears it first."""
    heard: list[OrderHeard | None] = []
    for item in items(body):
        object_id(item)
        found = decode_event(item)
        if isinstance(found, Odd):
            raise TypeError(found.why)
        event = found.event
        sent = translate.sent(event, "dso", "dso:*", T0_MS, 1, "")
        told = translate.units(event, ())
        pieces = lay_out(event, T0_MS, T0_MS, translate.DIVIDED).pieces
        heard += [translate.order_heard(piece, sent, told, WORDS) for piece in pieces]
    return heard


def made() -> list[OrderHeard]:
    """Make as many orders out of nothing: no way of reading a list can do with less."""
    scope, rank = Each("dso:*"), Rank(1, T0_MS, Tie.TIGHTER_LIMIT)
    return [
        OrderHeard(
            Order(
                "dso",
                f"event-1/{at}",
                T0_MS,
                scope,
                (Ceiling(Function.EXPORT_LIMIT, Watts(1_500 + at)),),
                T0_MS,
                T0_MS,
                rank,
                T0_MS,
                reply=Reply(),
            )
        )
        for at in range(INTERVALS)
    ]


def _by_openadr3(body: bytes) -> object:
    return [Event.from_raw(each) for each in json.loads(body)]


def _by_toadr3(body: bytes) -> object:
    return [toadr3.models.Event.model_validate(each) for each in json.loads(body)]


# -- behind a GET


def fetched(folder: Path, gets: int) -> Result:
    """Measure a GET of the list and its orders, beside a GET and `json` by the same library in the same process."""
    folder.mkdir(parents=True, exist_ok=True)
    with Child(folder / "log.txt", "tests.bench.event") as server:
        ours_s, floor_s = asyncio.run(_take_turns(server.hear()["url"], gets))
    what = f"GET of a list of one event with {INTERVALS} intervals over loopback, to orders"
    return Result("event-get", f"{what}; floor: aiohttp and json", ours_s * US, "us", GOAL, floor_s * US)


async def _take_turns(url: str, gets: int) -> tuple[float, float]:
    table = OpenadrVen("dso", url, "gateway", Path("unread"), "gateway", ())
    ours: list[float] = []
    floor: list[float] = []
    exchange = Exchange(table, "secret", None, lambda: int(time.time() * 1000), may_write=False)
    async with exchange, aiohttp.ClientSession() as session:
        for _number in range(gets):
            ours.append(await _clocked(partial(_by_us, exchange)))
            floor.append(await _clocked(partial(_by_aiohttp, session, url)))
    return median(ours[gets // 10 :]), median(floor[gets // 10 :])


async def _clocked(work: Callable[[], Awaitable[object]]) -> float:
    began_ns = time.perf_counter_ns()
    await work()
    return (time.perf_counter_ns() - began_ns) / 1e9


async def _by_us(exchange: Exchange) -> object:
    return orders(await exchange.get("/events", {"skip": 0, "limit": 50}))


async def _by_aiohttp(session: aiohttp.ClientSession, url: str) -> object:
    async with session.get(f"{url}/events?skip=0&limit=50") as answer:
        return await answer.json()


async def serve() -> None:
    """Serve the list, and tokens for it, until standard input ends."""

    async def events(_request: web.Request) -> web.Response:
        return web.Response(body=BODY, content_type="application/json")

    async def token(_request: web.Request) -> web.Response:
        return web.json_response({"access_token": "token", "token_type": "Bearer", "expires_in": 3_600})

    async def where(request: web.Request) -> web.Response:
        return web.json_response({"tokenURL": f"http://{request.host}/auth/token"})

    app = web.Application()
    app.router.add_get("/events", events)
    app.router.add_get("/auth/server", where)
    app.router.add_post("/auth/token", token)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    say({"url": f"http://127.0.0.1:{port}"})
    async for _line in lines():
        pass
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
