"""Attacks on where notifications come in: the same limits as those of the server below, and recovery by itself."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from sep2_world import make_pki

from gateway.listening import Limits, Reason
from gateway.northbound.sep2_client.config import Sep2Client
from gateway.northbound.sep2_client.listener import Listener
from gateway.pki import tls
from gateway.wire.sep2.subscriptions import Notification
from hil.head_end import Certificate, client_tls

PATIENCE_S = 30.0
SHORT_S = 2.0
BODY = (
    b'<Notification xmlns="urn:ieee:std:2030.5:ns"><subscribedResource>/derp/1/derc</subscribedResource>'
    b"<status>0</status><subscriptionURI>/sub/1</subscriptionURI></Notification>"
)
POST = b"POST /n/1 HTTP/1.1\r\nHost: here\r\nContent-Type: application/sep+xml\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


class Place:
    """A listener, where it is, and what it took."""

    def __init__(self, pki: Path, limits: Limits) -> None:
        trust = tuple(pki / f"{name}.pem" for name in ("serca", "mca", "mica"))
        own = pki / "gateway.pem", pki / "gateway.key"
        self.pki = pki
        self.port = asyncio.get_running_loop().create_future()
        self.taken: list[Notification] = []
        lfdi = Certificate.of(pki, "dso").lfdi
        table = Sep2Client("dso", "https://127.0.0.1/dcap", lfdi, *own, trust, notify_port=0)
        self.listener = Listener(table, tls.server_context(*own, trust), self._reached, self._take, limits)

    def _reached(self, base: str) -> None:
        self.port.set_result(int(base.rpartition(":")[2]))

    def _take(self, place: str, notification: Notification) -> str:
        del place
        self.taken.append(notification)
        return ""

    def counted(self, reason: Reason) -> int:
        return self.listener.refusals.counts[reason]


@asynccontextmanager
async def place_for(pki: Path, limits: Limits) -> AsyncIterator[Place]:
    place = Place(pki, limits)
    running = asyncio.create_task(place.listener.run())
    try:
        await asyncio.wait_for(asyncio.shield(place.port), PATIENCE_S)
        yield place
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def sender(place: Place) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = client_tls(Certificate.of(place.pki, "dso"))
    reader, writer = await asyncio.open_connection("127.0.0.1", await place.port, ssl=context, server_hostname="")
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answered(reader: asyncio.StreamReader) -> int:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
    return int(head.split(b" ")[1])


async def ended(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        await asyncio.wait_for(reader.read(), PATIENCE_S)


async def still_takes(place: Place) -> None:
    before = len(place.taken)
    async with sender(place) as (reader, writer):
        writer.write(POST % len(BODY) + BODY)
        assert await answered(reader) == 204
    assert len(place.taken) == before + 1


async def test_a_notification_whose_header_is_slow_is_cut(pki: Path) -> None:
    async with place_for(pki, Limits(header_s=SHORT_S)) as place:
        async with sender(place) as (reader, writer):
            writer.write(POST[:20])
            await ended(reader)
        assert place.counted(Reason.SLOW_HEADER) == 1
        await still_takes(place)


async def test_a_notification_whose_body_is_slow_is_refused(pki: Path) -> None:
    async with place_for(pki, Limits(body_s=SHORT_S)) as place:
        async with sender(place) as (reader, writer):
            writer.write(POST % len(BODY) + BODY[:20])
            assert await answered(reader) == 408
        assert place.counted(Reason.SLOW_BODY) == 1
        assert place.taken == []
        await still_takes(place)


async def test_a_notification_of_a_long_header_block_is_cut(pki: Path) -> None:
    async with place_for(pki, Limits()) as place:
        async with sender(place) as (reader, writer):
            writer.write(POST[:-2] + b"".join(b"X-%d: %s\r\n" % (each, b"a" * 2_000) for each in range(10)))
            await ended(reader)
        assert place.counted(Reason.LONG_HEADER) == 1
        await still_takes(place)


async def test_a_half_handshake_of_a_notifier_is_cut(pki: Path) -> None:
    async with place_for(pki, Limits(handshake_s=SHORT_S)) as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", await place.port)
        await ended(reader)
        writer.close()
        assert place.counted(Reason.SLOW_HANDSHAKE) == 1
        await still_takes(place)


async def test_more_connections_than_there_may_be_close_the_idlest(pki: Path) -> None:
    async with place_for(pki, Limits(connections_per_peer=1)) as place, sender(place) as (reader, writer):
        writer.write(POST % len(BODY) + BODY)
        assert await answered(reader) == 204
        await still_takes(place)
        await ended(reader)
        assert place.counted(Reason.CONNECTIONS_OF_PEER) == 1
