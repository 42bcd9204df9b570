"""Subscriptions beside polling: a change is heard long before its poll, and losses on either side are made good."""

import io
import ssl
from pathlib import Path

import aiohttp
import pytest
from sep2_world import LIMIT, World, make_pki

from gateway.core.events import DefaultHeard
from gateway.wire.sep2 import encode
from gateway.wire.sep2.resources import Error
from gateway.wire.sep2.subscriptions import Notification
from hil.head_end import Certificate, client_tls
from hil.mqtt.broker import free_port
from hil.sep2.tree import Rates

SLOW_S = 86_400
"""A poll rate that no test waits for: seven minutes of real time."""
CONTROLS, DEFAULT = "/derp/1/derc", "/derp/1/dderc"
REGISTRATION = "/edev/2/rg"
"""What is read and cannot be subscribed to."""
OFFERED = ["/edev", "/edev/2/fsa", "/edev/3/fsa", "/edev/2/fsa/1/derp", "/edev/3/fsa/1/derp", CONTROLS]
SEP2 = {"Content-Type": "application/sep+xml"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def slow_world(pki: Path, *, listens: bool = True) -> World:
    rates = Rates(page_limit=50, poll_rate_s=SLOW_S, post_rate_s=SLOW_S)
    return World(pki, rates=rates, notifies=True, listens=listens, is_parent=False)


def subscribed(world: World) -> list[str]:
    assert world.server.subscriptions is not None
    return world.server.subscriptions.paths()


def place_of(world: World, path: str) -> str:
    """Give where notifications of an address come in."""
    assert world.server.subscriptions is not None
    return next(one.wish.notificationURI for one in world.server.subscriptions.held.values() if one.path == path)


async def settled(world: World) -> None:
    """Wait until all that is offered is subscribed to, and what was subscribed to was read once more."""
    await world.until(lambda: subscribed(world) == sorted(OFFERED), "subscribed to all that is offered")
    await world.until(lambda: all(world.asked()[path] >= 2 for path in OFFERED), "read once more")


async def post(pki: Path, sender: str, uri: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    """Post what a sender might to an address of ours, and give the status."""
    context: ssl.SSLContext = client_tls(Certificate.of(pki, sender))
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.post(uri, data=io.BytesIO(body), headers=SEP2 if headers is None else headers) as answer,
    ):
        return answer.status


def notification(resource: str = CONTROLS) -> bytes:
    return encode(Notification(subscribed_resource=resource, status=0, subscription_uri="https://dso.example/sub/1"))


async def test_a_change_is_heard_long_before_its_poll(pki: Path) -> None:
    async with slow_world(pki) as world:
        await settled(world)
        world.server.issue("street", "now", LIMIT, 0, 600)
        await world.until(world.orders, "the order")
        assert {one.status for one in world.server.notifier.delivered} == {204}


async def test_a_default_that_comes_is_heard_and_then_subscribed_to(pki: Path) -> None:
    async with slow_world(pki) as world:
        await settled(world)
        world.server.set_default("street", {"opModExpLimW": 1500})
        await world.until(lambda: DEFAULT in subscribed(world), "subscribed to the default")
        heard = len(world.heard(DefaultHeard))
        world.server.set_default("street", {"opModExpLimW": 900})
        await world.until(lambda: len(world.heard(DefaultHeard)) > heard, "the second default")


async def test_without_a_port_nothing_is_subscribed_to(pki: Path) -> None:
    async with slow_world(pki, listens=False) as world:
        await world.rounds()
        await world.seconds(60)
        assert not subscribed(world)
        assert not world.asked("GET", "POST")["/edev/1/sub"]


async def test_only_the_server_may_notify_and_only_of_what_was_asked(pki: Path) -> None:
    async with slow_world(pki) as world:
        await settled(world)
        before = world.asked()
        place = place_of(world, CONTROLS)
        strange = f"{place.rpartition('/')[0]}/{'0' * 32}"
        assert await post(pki, "impostor", place, notification()) == 403
        assert await post(pki, "dso", strange, notification()) == 404
        assert await post(pki, "dso", strange, notification()) == 404
        assert await post(pki, "dso", place, notification("/derp/9/derc")) == 404
        assert await post(pki, "dso", place, b"<Notification") == 400
        assert await post(pki, "dso", place, encode(Error(reason_code=1))) == 400
        assert await post(pki, "dso", place, b" " * ((1 << 20) + 1)) == 413
        assert await post(pki, "dso", place, notification(), {"Content-Type": "text/xml"}) == 415
        assert len(world.told("is not the server that is pinned")) == 1
        assert len(world.told("a subscription that is not ours")) == 1
        await world.seconds(30)
        assert world.asked() == before
        assert await post(pki, "dso", place, notification()) == 204
        await world.until(lambda: world.asked()[CONTROLS] > before[CONTROLS], "read again")


async def test_nobody_notifies_without_a_certificate(pki: Path) -> None:
    async with slow_world(pki) as world:
        await settled(world)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0")
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            with pytest.raises(aiohttp.ClientError):
                await session.post(place_of(world, CONTROLS), data=notification(), headers=SEP2)


async def test_subscriptions_that_the_server_lost_are_made_anew_and_what_was_missed_is_read(pki: Path) -> None:
    async with slow_world(pki) as world:
        await settled(world)
        before = world.asked()[REGISTRATION]
        world.server.lose_subscriptions()
        world.server.issue("street", "missed", LIMIT, 0, 7_200)
        await world.until(world.orders, "the order that nobody told of")
        await world.until(lambda: subscribed(world) == sorted(OFFERED), "subscribed again")
        assert len(world.told("has lost subscriptions of this gateway")) == 1
        await world.until(lambda: world.asked()[REGISTRATION] > before, "everything read")


async def test_subscriptions_that_the_server_ends_are_asked_for_again(pki: Path) -> None:
    async with slow_world(pki) as world:
        await settled(world)
        before = world.asked()[REGISTRATION]
        world.server.end_subscriptions(1)
        await world.until(lambda: not subscribed(world), "ended")
        world.server.issue("street", "untold", LIMIT, 0, 7_200)
        await world.until(lambda: subscribed(world) == sorted(OFFERED), "subscribed again")
        await world.until(world.orders, "the order that nobody told of")
        await world.until(lambda: world.asked()[REGISTRATION] > before, "everything read")


async def test_a_notification_for_a_subscription_of_before_a_restart_is_taken(pki: Path) -> None:
    async with slow_world(pki) as world:
        await settled(world)
        place = place_of(world, CONTROLS).rpartition("/")[2]
        await world.disconnect()
        world.replace("/edev/1/sub", status=500)
        port = world.notify_port = free_port()
        world.connect()
        await world.rounds()
        read = world.asked()[CONTROLS]
        assert await post(pki, "dso", f"https://127.0.0.1:{port}/{place}", notification()) == 204
        await world.until(lambda: world.asked()[CONTROLS] > read, "read again")


async def test_after_an_outage_all_is_read(pki: Path) -> None:
    async with slow_world(pki) as world:
        await settled(world)
        await world.server.set_outage("error")
        place = place_of(world, "/edev")
        assert await post(pki, "dso", place, notification("/edev")) == 204
        await world.until(lambda: world.told("out of reach"), "out of reach")
        assert world.server.subscriptions is not None
        held = dict(world.server.subscriptions.held)
        world.server.lose_subscriptions()
        world.server.issue("street", "untold", LIMIT, 0, 7_200)
        world.server.subscriptions.held.update(held)
        await world.server.set_outage("none")
        await world.until(world.orders, "the order that nobody told of")
        assert not world.told("has lost subscriptions")


async def test_a_list_of_subscriptions_that_cannot_be_read_leaves_the_polls_as_they_are(pki: Path) -> None:
    async with World(pki, notifies=True, listens=True, is_parent=False) as world:
        begin_ms = world.clock.now_ms()
        world.edit("/edev", ("</EndDevice>", '<SubscriptionListLink href="/edev/1/nowhere" all="0"/></EndDevice>'))
        await world.rounds(2)
        world.server.lose_subscriptions()
        world.server.issue("street", "polled", LIMIT, 0, 7_200)
        await world.until(world.orders, "the order, by a poll")
        assert len(world.told("it is polled meanwhile")) == 1
        await world.polled("/edev/1/nowhere", 8)
        times = [at_ms for at_ms, _method, path, _status in world.server.requests if "/nowhere" in path]
        assert times[-1] - begin_ms >= 60_000 * (len(times) - 1), "no oftener than once a minute"


async def test_subscriptions_that_are_refused_are_told_once_and_asked_for_again(pki: Path) -> None:
    async with slow_world(pki) as world:
        assert world.server.subscriptions is not None
        world.server.subscriptions.refusal = 403
        await world.until(lambda: world.asked("POST")["/edev/1/sub"] >= 2 * len(OFFERED), "asked twice")
        assert len(world.told("are refused (status 403)")) == 1
        world.server.subscriptions.refusal = None
        await settled(world)
        await world.until(lambda: world.told("no subscription is refused any more"))


async def test_a_restart_of_the_gateway_makes_no_second_subscription(pki: Path) -> None:
    world = slow_world(pki)
    world.notify_url = "https://gateway.example:8444/told"
    async with world:
        await settled(world)
        before = place_of(world, CONTROLS)
        assert before.startswith("https://gateway.example:8444/told/")
        await world.disconnect()
        read = world.asked()["/edev/1/sub"]
        world.connect()
        await world.until(lambda: world.asked()["/edev/1/sub"] > read, "its subscriptions looked at")
        await world.seconds(60)
        assert subscribed(world) == sorted(OFFERED)
        assert not world.asked("DELETE")
        assert place_of(world, CONTROLS) == before
        assert world.asked("POST")["/edev/1/sub"] == len(OFFERED)


async def test_what_is_not_offered_any_more_is_unsubscribed_from(pki: Path) -> None:
    async with slow_world(pki) as world:
        world.server.set_default("street", {"opModExpLimW": 1500})
        await world.until(lambda: DEFAULT in subscribed(world), "subscribed to the default")
        world.server.set_default("street", None)
        await world.until(lambda: DEFAULT not in subscribed(world), "unsubscribed")
        await world.until(lambda: world.asked("DELETE"))
