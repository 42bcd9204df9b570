"""Attacks on the 2030.5 server by slowness, size and number: each is cut, counted by its reason and said once."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from sep2_server_world import World, make_pki

from gateway.core.machine import Machine
from gateway.diagnostics.metrics import Metrics
from gateway.listening import Limits, Reason
from gateway.runtime.wiring import South, refused

PATIENCE_S = 30.0
SHORT_S = 2.0
"""Long enough for a client that means well on a machine that stalls."""
LONG_S = 300.0
GET = b"GET /dcap HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


class Caller:
    """One raw connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def status(self) -> int:
        """Give the status of the next answer, whose body is read."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        await self.reader.readexactly(int(fields.get(b"content-length", b"0")))
        return int(head.split(b" ")[1])

    async def ask(self) -> int:
        self.say(GET)
        return await self.status()

    async def ended(self) -> None:
        """Return when the server has hung up."""
        with suppress(ConnectionError, ssl.SSLError):
            await asyncio.wait_for(self.reader.read(), PATIENCE_S)


@asynccontextmanager
async def called(world: World, name: str = "roof", *, plain: bool = False) -> AsyncIterator[Caller]:
    port = world.links.link.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=None if plain else world.context(name))
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


def counted(world: World, reason: Reason) -> int:
    return world.links.link.refusals.counts[reason]


async def drip(caller: Caller, octets: bytes, pace_s: float = 0.2) -> int:
    """Send an octet at a time until the server hangs up; give how many were sent."""
    ending = asyncio.create_task(caller.ended())
    sent = 0
    for octet in octets:
        caller.say(bytes((octet,)))
        sent += 1
        await asyncio.wait({ending}, timeout=pace_s)
        if ending.done():
            break
    await ending
    return sent


async def still_served(world: World) -> None:
    async with called(world, "barn") as other:
        assert await other.ask() == 200


# -- slowness


async def test_a_half_handshake_is_cut(pki: Path) -> None:
    async with World(pki, limits=Limits(handshake_s=SHORT_S)) as world:
        for opening in (b"", b"\x16\x03\x01\x00\xc0"):
            async with called(world, plain=True) as caller:
                caller.say(opening)
                await caller.ended()
        assert counted(world, Reason.SLOW_HANDSHAKE) == 2
        assert [line for line in world.lines if "no handshake within 2 s" in line] == [
            "127.0.0.1: no handshake within 2 s"
        ]
        await still_served(world)


async def test_half_handshakes_do_not_keep_others_from_theirs(pki: Path) -> None:
    async with World(pki, limits=Limits(handshake_s=LONG_S, handshakes=1)) as world:
        async with called(world, plain=True) as first, called(world, plain=True) as second:
            for caller in (first, second):
                caller.say(b"\x16\x03\x01\x00\xc0")
            await still_served(world)
        assert counted(world, Reason.SLOW_HANDSHAKE) == 0


async def test_silent_callers_make_room_for_those_who_speak(pki: Path) -> None:
    async with World(pki, limits=Limits(handshake_s=LONG_S, pending=2)) as world:
        async with called(world, plain=True) as first, called(world, plain=True):
            await still_served(world)
            await first.ended()
        assert counted(world, Reason.CONNECTIONS) == 1


async def test_a_slow_header_is_cut_however_steadily_it_comes(pki: Path) -> None:
    async with World(pki, limits=Limits(header_s=SHORT_S)) as world:
        async with called(world) as silent, called(world) as dripping:
            assert await drip(dripping, GET + b" " * 1_000) < len(GET)
            await silent.ended()
        assert counted(world, Reason.SLOW_HEADER) == 2
        assert len([line for line in world.lines if "no whole header block within 2 s" in line]) == 1
        await still_served(world)


async def test_a_slow_header_of_a_later_request_is_cut_and_an_idle_connection_is_not(pki: Path) -> None:
    async with World(pki, limits=Limits(header_s=SHORT_S)) as world:
        async with called(world) as idle, called(world) as dripping:
            assert await idle.ask() == 200
            assert await dripping.ask() == 200
            assert await drip(dripping, GET) < len(GET)
            assert await idle.ask() == 200
        assert counted(world, Reason.SLOW_HEADER) == 1


async def test_a_slow_body_is_refused_however_steadily_it_comes(pki: Path) -> None:
    head = "PUT /edev/{}/der/1/ders HTTP/1.1\r\nHost: here\r\nContent-Type: application/sep+xml\r\n"
    async with World(pki, limits=Limits(body_s=SHORT_S)) as world:
        async with called(world) as caller:
            caller.say(f"{head.format(world.lfdis['roof'])}Content-Length: 1000\r\n\r\n".encode())
            assert await drip(caller, b" " * 999) < 999
        assert counted(world, Reason.SLOW_BODY) >= 1
        assert any("no whole body within 2 s" in line for line in world.lines)
        await still_served(world)


async def test_who_does_not_take_the_answer_is_cut(pki: Path) -> None:
    async with World(pki, limits=Limits(body_s=SHORT_S)) as world:
        async with called(world) as caller:
            caller.writer.transport.pause_reading()  # type: ignore[attr-defined] # both directions are one transport
            while not counted(world, Reason.SLOW_ANSWER):
                caller.say(GET * 100)
                await asyncio.sleep(0.01)
        await still_served(world)


# -- size


@pytest.mark.parametrize("fields", [8, 60])
async def test_a_header_block_of_more_than_16_kib_is_cut(pki: Path, fields: int) -> None:
    async with World(pki) as world:
        async with called(world) as caller:
            value = b"a" * (17_000 // fields)
            lines = b"".join(b"X-%d: %s\r\n" % (number, value) for number in range(fields))
            caller.say(GET[:-2] + lines + b"\r\n")
            await caller.ended()
        assert counted(world, Reason.LONG_HEADER) == 1
        assert len([line for line in world.lines if "a header block of more than 16384 octets" in line]) == 1
        await still_served(world)


async def test_a_header_block_just_short_enough_is_read(pki: Path) -> None:
    async with World(pki) as world, called(world) as caller:
        value = b"a" * 3_900
        lines = b"".join(b"X-%d: %s\r\n" % (number, value) for number in range(4))
        for _ in range(2):
            caller.say(GET[:-2] + lines + b"\r\n")
            assert await caller.status() == 200


async def test_what_is_no_http_is_refused_and_counted(pki: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with World(pki) as world:
        for octets in (b"SPLICE \x00\x01\r\n\r\n", GET[:-2] + b"X: " + b"a" * 5_000 + b"\r\n\r\n"):
            async with called(world) as caller:
                caller.say(octets)
                assert await caller.status() == 400
        assert counted(world, Reason.REQUEST) == 2
        assert [record.name for record in caplog.records if record.exc_info] == [], "no trace of each in the log"
        assert len([line for line in world.lines if "no request that can be read" in line]) == 1
        await still_served(world)


# -- number


async def test_a_fifth_connection_of_a_client_closes_its_idlest(pki: Path) -> None:
    async with World(pki) as world:
        async with called(world) as first, called(world) as second, called(world) as third, called(world) as fourth:
            for caller in (first, second, third, fourth, first):
                assert await caller.ask() == 200
            async with called(world) as fifth:
                assert await fifth.ask() == 200
                await second.ended()
                for caller in (first, third, fourth):
                    assert await caller.ask() == 200
        assert counted(world, Reason.CONNECTIONS_OF_PEER) == 1


async def test_connections_that_are_busy_make_no_room(pki: Path) -> None:
    async with World(pki, limits=Limits(connections_per_peer=1)) as world:
        async with called(world) as busy:
            busy.say(GET[:-2])
            await world.until(lambda: world.links.link.door.open == 1)
            async with called(world) as second:
                await second.ended()
            busy.say(b"\r\n")
            assert await busy.status() == 200
        assert counted(world, Reason.CONNECTIONS_OF_PEER) == 1
        assert any("and none of them idle" in line for line in world.lines)


async def test_when_all_connections_are_taken_the_idlest_of_all_is_closed(pki: Path) -> None:
    async with World(pki, limits=Limits(connections=2)) as world:
        async with called(world) as first, called(world, "barn") as second:
            assert await first.ask() == 200
            assert await second.ask() == 200
            async with called(world, "lower") as third:
                assert await third.ask() == 403
                await first.ended()
                assert await second.ask() == 200
        assert counted(world, Reason.CONNECTIONS) == 1


async def test_each_refusal_is_counted_in_the_metrics_by_its_reason(pki: Path) -> None:
    async with World(pki) as world:
        south = South({}, {"sep2_server": world.links})
        metrics = Metrics(lambda: Machine().state, dict, refused=partial(refused, south, {}))
        for _ in range(2):
            async with called(world, "stranger") as caller:
                assert await caller.ask() == 403
        async with called(world) as caller:
            caller.say(b"X" * 20_000)
            await caller.ended()
        lines = metrics.text().decode().splitlines()
        for reason, count in ((Reason.UNKNOWN, 2), (Reason.LONG_HEADER, 1)):
            assert f'gateway_peers_refused_total{{listener="sep2_server",reason="{reason}"}} {count}.0' in lines
        assert len([line for line in world.lines if "which the site file does not name" in line]) == 1


async def test_requests_piled_up_on_one_connection_are_answered_in_turn(pki: Path) -> None:
    async with World(pki) as world, called(world) as caller:
        caller.say(GET * 500)
        assert {await caller.status() for _ in range(500)} == {200}
