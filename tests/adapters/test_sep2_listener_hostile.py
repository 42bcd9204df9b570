"""The bad-input catalogue against where notifications come in: refused, said once, and nothing is read for it."""

import asyncio
import gzip
from pathlib import Path

import pytest
from sep2_world import World, make_pki
from test_sep2_client_subscribe import CONTROLS, OFFERED, place_of, post, settled, slow_world

from hil.head_end import Certificate, client_tls
from hil.sep2.hostile import BODIES, BOMB, NS, Frame

NOTE = Frame(
    "Notification",
    inner=(
        f"<subscribedResource>{CONTROLS}</subscribedResource><status>0</status>"
        "<subscriptionURI>/edev/1/sub/1</subscriptionURI>"
    ),
)
TAKEN, BAD, NOT_FOUND, TOO_LARGE, WRONG_MEDIA = 204, 400, 404, 413, 415
SEP2 = {"Content-Type": "application/sep+xml"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def quiet(world: World, pki: Path, read: int) -> None:
    """See that one line was logged, nothing was read since, and the next good notification is taken."""
    assert len(world.lines) == 1, world.lines
    assert "\n" not in world.lines[0]
    assert world.asked()[CONTROLS] == read
    assert await post(pki, "dso", place_of(world, CONTROLS), NOTE.whole) == TAKEN
    await world.until(lambda: world.asked()[CONTROLS] > read, "read again")


@pytest.mark.parametrize("entry", BODIES)
async def test_hostile_body_is_refused_by_the_listener(entry: str, pki: Path) -> None:
    hostile = BODIES[entry]
    body = hostile.body(NOTE)
    async with slow_world(pki) as world:
        await settled(world)
        read = world.asked()[CONTROLS]
        for _again in range(2):
            status = await post(pki, "dso", place_of(world, CONTROLS), body)
            assert status == (TOO_LARGE if len(body) > 1 << 20 else BAD)
        assert hostile.why in world.lines[0]
        await quiet(world, pki, read)


@pytest.mark.parametrize(
    ("entry", "headers"),
    [
        ("gzip body", SEP2 | {"Content-Encoding": "gzip"}),
        (BOMB, SEP2 | {"Content-Encoding": "gzip"}),
        ("EXI body", {"Content-Type": "application/sep-exi"}),
    ],
)
async def test_hostile_media_is_not_even_read_by_the_listener(entry: str, headers: dict[str, str], pki: Path) -> None:
    body = BODIES[entry].body(NOTE) if entry != "gzip body" else gzip.compress(NOTE.whole)
    async with slow_world(pki) as world:
        await settled(world)
        read = world.asked()[CONTROLS]
        assert await post(pki, "dso", place_of(world, CONTROLS), body, headers) == WRONG_MEDIA
        await quiet(world, pki, read)


@pytest.mark.parametrize(
    "subscribed",
    [
        "https://127.0.0.1:9/derp/9/derc",
        "//example.org/x",
        "https://[",
        "https://127.0.0.1:x/",
        "file:///etc/passwd",
        "",
        "\u2028",
    ],
)
async def test_href_to_another_host_as_subscribed_resource_is_refused(subscribed: str, pki: Path) -> None:
    async with slow_world(pki) as world:
        await settled(world)
        read = world.asked()
        body = NOTE.whole.replace(f">{CONTROLS}<".encode(), f">{subscribed}<".encode())
        assert await post(pki, "dso", place_of(world, CONTROLS), body) == NOT_FOUND
        assert len(world.lines) == 1, world.lines
        assert world.asked() == read


async def test_href_to_another_host_in_a_notification_is_read_from_nobody(pki: Path) -> None:
    """What is read again is our own address of it, on the server that was asked; new places are not gone to."""
    called = asyncio.Event()

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        writer.close()

    async with slow_world(pki) as world, await asyncio.start_server(listen, "127.0.0.1", 0) as elsewhere:
        await settled(world)
        read = world.asked()[CONTROLS]
        host = f"https://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}"
        inner = (
            f"<newResourceURI>{host}/new</newResourceURI><subscribedResource>{host}{CONTROLS}</subscribedResource>"
            f"<status>0</status><subscriptionURI>{host}/sub/1</subscriptionURI>"
        )
        body = f'<Notification xmlns="{NS}">{inner}</Notification>'.encode()
        await post(pki, "dso", place_of(world, CONTROLS), body)
        assert await post(pki, "dso", place_of(world, CONTROLS), NOTE.whole) == TAKEN
        await world.until(lambda: world.asked()[CONTROLS] > read, "our own address is read")
        assert not called.is_set()


async def test_href_to_another_host_as_a_subscription_is_not_gone_to(pki: Path) -> None:
    """A list that puts our subscriptions elsewhere has nothing of ours renewed or deleted there."""
    async with slow_world(pki) as world:
        await settled(world)
        url = place_of(world, CONTROLS).rpartition("/")[0]
        item = (
            f'<Subscription href="https://127.0.0.1:9/sub/1"><subscribedResource>/derp/9/derc</subscribedResource>'
            "<encoding>0</encoding><level>+S1</level><limit>1</limit>"
            f"<notificationURI>{url}/{'0' * 32}</notificationURI></Subscription>"
        )
        world.replace("/edev/1/sub", f'<SubscriptionList xmlns="{NS}" all="1" results="1">{item}</SubscriptionList>')
        assert world.link._subscriber is not None
        world.link._subscriber.look_again()
        world.link._subscriber.reread("/edev")
        await world.until(lambda: world.told("the link leaves the server; it is not followed"))
        assert not world.asked("DELETE")


@pytest.mark.parametrize("status", ["5", "255", "256", "-1", ""])
async def test_invalid_status_of_a_notification_is_refused_or_read_as_word_of_a_change(status: str, pki: Path) -> None:
    async with slow_world(pki) as world:
        await settled(world)
        body = NOTE.whole.replace(b"<status>0<", f"<status>{status}<".encode())
        answer = await post(pki, "dso", place_of(world, CONTROLS), body)
        assert answer == (TAKEN if status in ("5", "255") else BAD)
        assert world.server.subscriptions is not None
        assert world.server.subscriptions.paths() == sorted(OFFERED)


async def test_slow_1_byte_at_a_time_notification_leaves_room_for_others(pki: Path) -> None:
    async with slow_world(pki) as world:
        await settled(world)
        place = place_of(world, CONTROLS)
        port, path = int(place.split(":")[2].split("/")[0]), "/" + place.split("/", 3)[3]
        context = client_tls(Certificate.of(pki, "dso"))
        writers = []
        for _ in range(7):
            _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="")
            writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n".encode())
            writer.write(b"Content-Type: application/sep+xml\r\n\r\n<")
            await writer.drain()
            writers.append(writer)
        read = world.asked()[CONTROLS]
        assert await post(pki, "dso", place, NOTE.whole) == TAKEN
        await world.until(lambda: world.asked()[CONTROLS] > read, "read again")
        for writer in writers:
            writer.transport.abort()
