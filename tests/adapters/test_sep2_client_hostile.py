"""The bad-input catalogue against the 2030.5 client: a hostile head-end loosens nothing, and one line says so."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web
from sep2_world import LIMIT, PARTY, POLL_S, World, make_pki, program

from gateway.core.answers import Kind
from gateway.core.events import Contact, OrderUnreadable, Withdrawn
from gateway.northbound.sep2_client import exchange
from gateway.wire.sep2 import MAX_BODY_OCTETS
from hil.head_end import HeadEnd
from hil.sep2.hostile import BODIES, BOMB, Frame

HOUR_S = 3600
CONTROLS = "/derp/1/derc"
HELD = "; what is in force holds"
EMPTY = Frame("DERControlList", 'all="0" results="0"')


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


Spoil = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Hostile(HeadEnd):
    """A head-end whose answer to one address is what a test makes of it."""

    spoil: Spoil | None = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:  # type: ignore[override]  # any response
        if self.spoil is not None and request.path == CONTROLS:
            return await self.spoil(request)
        return await super()._answer(request)


@asynccontextmanager
async def limited(pki: Path) -> AsyncIterator[World]:
    """Give a world in which a limit is in force, and nothing that follows withdraws it or is taken for an order."""
    world = World(pki, program("street"), program("corner", primacy=2))
    world.server.__class__ = Hostile
    async with world:
        world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
        await world.until(world.orders)
        await world.rounds()
        yield world
        assert len(world.orders()) == 1
        assert world.heard(Withdrawn) == []
        assert world.heard(OrderUnreadable) == []


async def told_once(world: World, why: str) -> None:
    """See that one line says why, that this is no contact, and that all is well once it is over."""
    await world.until(lambda: world.lines)
    contacts = len(world.heard(Contact))
    await world.until(lambda: world.asked()["/derp/2/derc"] >= 3, "the others are polled on")
    await world.seconds(2 * POLL_S)
    assert len(world.heard(Contact)) == contacts
    assert len(world.lines) == 1, world.lines
    assert world.lines[0].startswith(f"{PARTY}: GET {CONTROLS}")
    assert why in world.lines[0]
    assert world.lines[0].endswith(HELD)
    assert len(world.lines[0]) < 500
    world.server.spoil = None  # type: ignore[attr-defined]  # a Hostile
    world.mend(CONTROLS)
    await world.rounds()
    assert world.lines[1:] == [f"{PARTY}: {CONTROLS} is read again"]


@pytest.mark.parametrize("entry", BODIES)
async def test_hostile_body_is_refused_by_the_client(entry: str, pki: Path) -> None:
    hostile = BODIES[entry]
    body = hostile.body(EMPTY)
    async with limited(pki) as world:
        world.replace(CONTROLS, body)
        await told_once(world, hostile.why)


async def stream(request: web.Request, chunk: bytes, pause_s: float = 0.0, **headers: str) -> web.StreamResponse:
    """Answer without ever coming to an end."""
    answer = web.StreamResponse(headers={"Content-Type": "application/sep+xml"} | headers)
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    try:
        while True:
            await answer.write(chunk)
            await asyncio.sleep(pause_s)
    except ConnectionError:
        return answer


BOMBED = BODIES[BOMB].body(EMPTY)


async def inflating(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=BOMBED, headers={"Content-Encoding": "gzip"})


async def zipped(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=gzip.compress(EMPTY.whole), headers={"Content-Encoding": "gzip"})


async def binary(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=BODIES["EXI body"].body(EMPTY), content_type="application/sep-exi")


async def endless(request: web.Request) -> web.StreamResponse:
    return await stream(request, b" " * 65_536)


async def dribbling(request: web.Request) -> web.StreamResponse:
    return await stream(request, b" ", 0.05)


async def redirected_in_a_circle(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=301, headers={"Location": CONTROLS})


async def redirected_elsewhere(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "https://127.0.0.1:9/derc"})


async def of_long_headers(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=EMPTY.whole, headers={"X-Long": "x" * 20_000})


async def cut_in_the_middle(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "1000"})
    await answer.prepare(request)
    await answer.write(EMPTY.whole)
    assert request.transport is not None
    request.transport.abort()
    return answer


ANSWERS = {
    "gzip body with its header": (zipped, "not well-formed XML"),
    "compression bomb with its header": (inflating, "not well-formed XML"),
    "EXI body of its own type": (binary, "not well-formed XML"),
    "body without end": (endless, f"body over {MAX_BODY_OCTETS} octets"),
    "slow 1 byte at a time": (dribbling, "no answer within 1.5 s"),
    "redirect loop": (redirected_in_a_circle, "status 301; a redirection is not followed"),
    "redirect to another host": (redirected_elsewhere, "status 302; a redirection is not followed"),
    "header without end": (of_long_headers, "Got more than"),
    "half a body": (cut_in_the_middle, ""),
}


@pytest.mark.parametrize("entry", ANSWERS)
async def test_hostile_answer_is_refused_by_the_client(entry: str, pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil, why = ANSWERS[entry]
    async with limited(pki) as world:
        if spoil is dribbling:
            monkeypatch.setattr(exchange, "TIMEOUT_S", 1.5)
            world.link._exchange.renew()
        world.server.spoil = spoil  # type: ignore[attr-defined]  # a Hostile
        await told_once(world, why)


# -- addresses that lead elsewhere


@asynccontextmanager
async def elsewhere() -> AsyncIterator[int]:
    """Listen at another port, and see that nobody ever calls there."""
    called: list[object] = []

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append(writer.get_extra_info("peername"))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listener:
        yield listener.sockets[0].getsockname()[1]
    assert called == []


@pytest.mark.parametrize(
    "href",
    [
        "https://127.0.0.1:{0}/derp/1/derc",
        "http://127.0.0.1:{0}/derp/1/derc",
        "//127.0.0.1:{0}/derp/1/derc",
        "HTTPS://127.0.0.1:{0}/derp/1/derc",
        "https://me:secret@127.0.0.1:{0}/derc",
        "https://2130706433:{0}/derc",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://[",
        "https://127.0.0.1:99999999/derc",
        "https://127.0.0.1:x/derc",
        "\\\\127.0.0.1:{0}\\derc",
        "///127.0.0.1:{0}/derc",
        "https:derc",
        "%",
        "?",
        "a" * 5_000,
        "/\u2028\u202e",
    ],
)
async def test_href_to_another_host_is_not_followed(href: str, pki: Path) -> None:
    world = World(pki, program("street"), program("corner", primacy=2))
    world.server.issue("corner", "neighbour", LIMIT, 0, HOUR_S)
    old = '<DERControlListLink href="/derp/1/derc"'
    async with elsewhere() as port:
        for house in (2, 3):
            new = f'<DERControlListLink href="{href.format(port)}"'
            world.edit(f"/edev/{house}/fsa/1/derp", (old, new))
        async with world:
            await world.until(world.orders, "the neighbour is heard all the same")
            await world.polled("/derp/2/derc", 2)
            assert len(world.lines) == 1, world.lines
            assert world.lines[0].endswith(HELD)
            assert "\n" not in world.lines[0]
            assert world.heard(Contact) == []


@pytest.mark.parametrize("href", ["https://127.0.0.1:{0}/rsp", "//127.0.0.1:{0}/rsp", "https://[", ""])
async def test_href_to_another_host_as_reply_to_gets_no_answer_and_holds_none_up(href: str, pki: Path) -> None:
    world = World(pki)
    bad = world.server.issue("street", "bad", LIMIT, 0, HOUR_S)
    async with elsewhere() as port:
        world.edit(CONTROLS, ('replyTo="/rsps/1/rsp"', f'replyTo="{href.format(port)}"'))
        async with world:
            await world.until(world.orders)
            world.mend(CONTROLS)
            world.server.issue("street", "good", {"opModGenLimW": 700}, 60, HOUR_S)
            await world.until(lambda: len(world.orders()) >= 2)
            first, second = world.orders()[0], next(one for one in world.orders() if one.id != bad.mrid)
            if first.reply.to:
                world.owe(first, Kind.RECEIVED)
            world.owe(second, Kind.RECEIVED, first=2)
            await world.until(lambda: 2 in world.delivered())
            assert [one[0] for one in world.answers()] == ["good"]


# -- a server that does not come to the point


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        await reader.read()
    writer.transport.abort()


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin a TLS record of a server, an octet at a time."""
    with suppress(ConnectionError):
        for octet in b"\x16\x03\x03\x40\x00\x02" + bytes(16_384):
            writer.write(bytes((octet,)))
            await writer.drain()
            await asyncio.sleep(0.05)
            if reader.at_eof():
                break
    writer.transport.abort()


async def plaintext(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with suppress(ConnectionError):
        await writer.drain()
        await reader.read()
    writer.transport.abort()


STALLING = {
    "half handshake": silence,
    "slow 1 byte at a time handshake": trickle,
    "plaintext HTTP on the TLS port": plaintext,
}


@pytest.mark.parametrize("entry", STALLING)
async def test_hostile_connection_is_given_up_by_the_client(
    entry: str, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        try:
            await STALLING[entry](reader, writer)
        finally:
            writer.transport.abort()
        left += 1

    async with limited(pki) as world:
        monkeypatch.setattr(exchange, "TIMEOUT_S", 1.5)
        world.link._exchange.renew()
        port = int(world.server.url.split(":")[2].split("/")[0])
        await world.server.stop()
        async with await asyncio.start_server(serve, "127.0.0.1", port):
            await world.until(lambda: left >= 2 and world.lines, "it was left twice")
            assert 1 <= len(world.lines) <= 2, world.lines
            assert all(line.startswith(f"{PARTY}: out of reach: ") for line in world.lines)
            assert all(line.endswith(HELD) for line in world.lines)
        await world.server.start(port)
        await world.rounds()
        assert world.told("in reach again")
