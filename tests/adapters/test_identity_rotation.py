"""Certificates replaced and denied while 2030.5 is spoken, above and below: no request fails, and none gets through."""

import asyncio
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import sep2_server_world
import sep2_world
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.answers import Kind
from gateway.core.events import LinkDown, LinkUp
from gateway.northbound.sep2_client.sending import Outcome, Sender
from gateway.northbound.sep2_client.telemetry import Place
from gateway.pki import files, identity, issue, tls
from gateway.pki.denied import FILE, DenyList
from gateway.pki.live import Identities
from gateway.runtime.daemon import watch
from gateway.southbound.sep2_server import Links, build
from gateway.wire.sep2 import Resource
from gateway.wire.sep2.metering import MirrorMeterReadingList
from hil.head_end import HeadEnd

CUT_WITHIN_S = 5.0
OTHER = "rotated"


def put(pki: Path, name: str) -> str:
    """Put another pair in the place of one; give the LFDI that it now has."""
    made = issue.init(pki, [OTHER])[OTHER]
    files.write_whole(pki / f"{name}.key", made.key.read_bytes(), files.OWNER_ONLY)
    files.write_whole(pki / f"{name}.pem", made.certificate.read_bytes(), files.READABLE)
    return made.lfdi


def settle(identities: Identities) -> None:
    identities.look()
    identities.look()


# -- above


class Both(HeadEnd):
    """A head-end that knows a client by its old certificate and by its new one."""

    def known(self, *lfdis: str) -> None:
        self.lfdis = set(lfdis)
        self.came: list[str] = []
        self.tree.intake._known_lfdis |= self.lfdis

    async def _answer(self, request: web.Request) -> web.Response:
        lfdi = tls.peer_lfdi(request.transport)
        if lfdi in self.lfdis:
            self.tree.client_lfdi = lfdi
            self.came.append(lfdi)
        return await super()._answer(request)


async def test_the_client_goes_on_under_a_new_certificate_without_a_failed_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pki, identities = sep2_world.make_pki(tmp_path), Identities()
    contexts: list[ssl.SSLContext] = []

    def client(certificate: Path, key: Path, trust: Sequence[Path], *, pinned_lfdi: str) -> ssl.SSLContext:
        contexts.append(identities.client(certificate, key, trust, pinned_lfdi=pinned_lfdi))
        return contexts[-1]

    monkeypatch.setattr(tls, "client_context", client)
    monkeypatch.setattr(sep2_world, "HeadEnd", Both)
    world = sep2_world.World(pki)
    head_end = world.server
    assert isinstance(head_end, Both)
    new = issue.init(pki, [OTHER])[OTHER].lfdi
    head_end.known(world.own_lfdi, new)
    async with world:
        identities.on_renewal(contexts[0], world.link.renew)
        world.server.issue("street", "limit", sep2_world.LIMIT, 0, 3600)
        await world.until(world.orders)
        await world.until(lambda: whole(world) == {world.own_lfdi}, "the whole is shown")
        await world.rounds(2)
        heard = len(world.orders())
        assert put(pki, "gateway") == new
        settle(identities)
        await world.until(lambda: head_end.came[-1] == new)
        world.owe(world.orders()[-1], Kind.RECEIVED, Kind.STARTED)
        await world.until(lambda: len(world.delivered()) == 2, "answers go out under it")
        await world.until(lambda: whole(world) == {world.own_lfdi, new}, "the whole is shown under it")
        first = head_end.came.index(new)
        await world.rounds(3)
        late = [lfdi for lfdi in head_end.came[first:] if lfdi != new]
        assert len(late) <= 2, "what was under way at most went on under the old one"
        own = world.link._walker.found.own
        assert own is not None
        assert own.lfdi == new, "it knows itself again among the EndDevices"
        assert [path for _at, _method, path, status in head_end.requests if status >= 400] == []
        assert world.lines == []
        assert len(world.orders()) == heard, "no order is told anew"


async def test_a_new_certificate_in_the_middle_of_showing_leaves_that_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, new = Sender.send, "A" * 40
    renewed: list[str] = []

    async def sending(sender: Sender, method: str, href: str, body: Resource, *, quiet: bool = False) -> Outcome:
        points = world.link._mirror._metering._points
        if not renewed and isinstance(body, MirrorMeterReadingList) and href == points.get(Place("")):
            renewed.append(href)
            world.link.renew(new)
        return await send(sender, method, href, body, quiet=quiet)

    monkeypatch.setattr(Sender, "send", sending)
    async with sep2_world.World(sep2_world.make_pki(tmp_path)) as world:
        world.server.tree.intake._known_lfdis |= {new}
        await world.until(lambda: renewed)
        shown = world.asked("PUT")["/edev/2/der/1/ders"]
        await world.until(lambda: world.asked("PUT")["/edev/2/der/1/ders"] >= shown + 3, "it goes on showing")
        assert not world._tasks[0].done()


def whole(world: sep2_world.World) -> set[str]:
    """Give the LFDIs that readings of the whole were posted under."""
    houses = {sep2_world.lfdi(house) for house in sep2_world.HOUSES}
    return {reading.lfdi for reading in world.server.tree.intake.readings} - houses


# -- below


async def test_the_server_takes_up_a_new_certificate_without_a_failed_request(tmp_path: Path) -> None:
    identities = Identities()
    async with below(tmp_path, identities) as world:
        statuses: list[int] = []
        clients = [
            world.session(context=tls.client_context(*pair(tmp_path, name), world.table.trust))
            for name in ("roof", "barn")
        ]
        asking = [asyncio.create_task(ask(world, session, statuses)) for session in clients]
        await world.until(lambda: len(statuses) >= 20)
        lfdi = put(tmp_path, sep2_server_world.SERVER)
        settle(identities)
        before = len(statuses)
        await world.until(lambda: len(statuses) >= before + 20)
        late = world.session(context=tls.client_context(*pair(tmp_path, "roof"), world.table.trust, pinned_lfdi=lfdi))
        async with late.get(f"{world.url}/tm") as answer:
            assert answer.status == 200
        for task in asking:
            assert not task.done(), "a request failed"
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert set(statuses) == {200}


async def ask(world: sep2_server_world.World, session: aiohttp.ClientSession, statuses: list[int]) -> None:
    """Ask over one connection, and over one that is made anew each time."""
    while True:
        for headers in ({}, {"Connection": "close"}):
            async with session.get(f"{world.url}/tm", headers=headers) as answer:
                await answer.read()
                statuses.append(answer.status)


@pytest.mark.parametrize("named", ["roof", "mica"])
async def test_who_is_denied_loses_the_open_connection_within_5_s_and_gets_no_other(named: str, tmp_path: Path) -> None:
    identities = Identities(tmp_path / FILE)
    async with below(tmp_path, identities) as world:
        watching = asyncio.create_task(watch(identities))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", world.links.link.port, ssl=world.context("roof"), server_hostname=""
        )
        barn = world.session("barn")
        assert await status(barn, world) == 200
        writer.write(b"GET /tm HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await world.until(lambda: len(world.heard(LinkUp)) == 2)
        leaf = files.read_certificates(tmp_path / f"{named}.pem")[0].public_bytes(Encoding.DER)
        DenyList().with_one(identity.lfdi(leaf), "stolen").write(tmp_path / FILE)
        began_s = time.monotonic()
        with suppress(ConnectionError, ssl.SSLError):
            await reader.read()
        assert time.monotonic() - began_s < CUT_WITHIN_S
        writer.transport.abort()
        downs = [event for event in world.heard(LinkDown) if event.why == "its certificate is denied"]
        assert {event.device for event in downs} == ({"roof"} if named == "roof" else {"roof", "barn"})
        with pytest.raises(aiohttp.ClientError):
            await status(world.session("roof"), world)
        if named == "roof":
            assert await status(barn, world) == 200, "who is not denied is served as before"
        DenyList().write(tmp_path / FILE)
        identities.look()
        assert await status(world.session("roof"), world) == 200
        watching.cancel()
        (line, *_) = [line for line in world.lines if "its connection is cut" in line]
        assert "denied (stolen)" in line


async def status(session: aiohttp.ClientSession, world: sep2_server_world.World) -> int:
    async with session.get(f"{world.url}/tm") as answer:
        return answer.status


def pair(pki: Path, name: str) -> tuple[Path, Path]:
    return pki / f"{name}.pem", pki / f"{name}.key"


class Below(sep2_server_world.World):
    """A server whose identity is watched."""

    identities: Identities

    def build(self) -> Links:
        context = self.identities.server(self.table.certificate, self.table.key, self.table.trust)
        tables = {name: (table, sep2_server_world.RATED_W) for name, table in self.devices.items()}
        links = build(self.table, tables, context, self.clock, self.events.append, self.lease, may_write=True)
        self.identities.on_denial(context, links.link.cut)
        return links


def below(pki: Path, identities: Identities) -> sep2_server_world.World:
    class Watched(Below):
        pass

    Watched.identities = identities
    return Watched(sep2_server_world.make_pki(pki), rate=1)
