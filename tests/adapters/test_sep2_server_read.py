"""What a client may read of the 2030.5 server: its own, valid, by the page; and what nobody else gets to see."""

import asyncio
import ssl
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from lxml import etree
from sep2_server_world import SCHEMA, World, make_pki, trust_of

from gateway.core.events import LinkDown, LinkUp
from gateway.core.known import Unknown
from gateway.pki import tls
from gateway.southbound.sep2_server import LimitMode, Sep2ServerDevice, TargetMode, client
from gateway.southbound.sep2_server.client import Client
from gateway.southbound.sep2_server.translate import sfdi
from gateway.wire.sep2.codes import EventState
from gateway.wire.sep2.devices import EndDevice, EndDeviceList, Registration
from gateway.wire.sep2.metering import MirrorUsagePointList
from gateway.wire.sep2.quantities import ActivePower
from gateway.wire.sep2.resources import (
    DER,
    DefaultDERControl,
    DERControl,
    DERControlBase,
    DERControlList,
    DERList,
    DERProgram,
    DERProgramList,
    DeviceCapability,
    FunctionSetAssignments,
    FunctionSetAssignmentsList,
    Time,
)
from gateway.wire.sep2.responses import ResponseList, ResponseSet, ResponseSetList


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def paths(lfdi: str) -> dict[str, type[Any]]:
    edev, derp, rsps = f"/edev/{lfdi}", f"/derp/{lfdi}", f"/rsps/{lfdi}"
    return {
        "/dcap": DeviceCapability,
        "/tm": Time,
        "/edev": EndDeviceList,
        edev: EndDevice,
        f"{edev}/rg": Registration,
        f"{edev}/fsa": FunctionSetAssignmentsList,
        f"{edev}/fsa/1": FunctionSetAssignments,
        f"{edev}/fsa/1/derp": DERProgramList,
        f"{edev}/der": DERList,
        f"{edev}/der/1": DER,
        derp: DERProgram,
        f"{derp}/dderc": DefaultDERControl,
        f"{derp}/derc": DERControlList,
        f"{derp}/actderc": DERControlList,
        "/rsps": ResponseSetList,
        rsps: ResponseSet,
        f"{rsps}/rsp": ResponseList,
        "/mup": MirrorUsagePointList,
    }


async def status(session: aiohttp.ClientSession, url: str, method: str = "GET") -> int:
    async with session.request(method, url) as answer:
        await answer.read()
        return answer.status


async def test_every_resource_is_valid_and_says_where_it_is(pki: Path) -> None:
    async with World(pki) as world:
        session = world.session()
        world.want(ramp_ms=2_500, connected=True)
        for path, kind in paths(world.lfdis["roof"]).items():
            found = await world.get(session, f"{path}?s=0&l=9", kind)
            assert found.href == path
        device = await world.get(session, f"/edev/{world.lfdis['roof']}", EndDevice)
        assert (device.lfdi, device.sfdi) == (world.lfdis["roof"], sfdi(world.lfdis["roof"]))
        registration = await world.get(session, f"/edev/{device.lfdi}/rg", Registration)
        assert registration.pin == 111115
        control = (await world.get(session, f"/derp/{device.lfdi}/derc", DERControlList)).items[0]
        assert isinstance(control, DERControl)
        assert (await world.get(session, control.href or "", DERControl)) == control
        assert control.base == DERControlBase(
            op_mod_connect=True, op_mod_max_lim_w_hundredths=6_000, ramp_tms_hundredths=250
        )
        default = await world.get(session, f"/derp/{device.lfdi}/dderc", DefaultDERControl)
        assert default.base == DERControlBase(op_mod_connect=True, op_mod_max_lim_w_hundredths=3_000)
        shown = await world.get(session, "/tm", Time)
        assert abs(shown.current_time_s - world.clock.now_ms() // 1000) <= 2 * world.rate


async def test_the_short_form_of_an_lfdi_is_that_of_the_standard() -> None:
    assert sfdi("3E4F45AB31EDFE5B67E343E5E4562E31984E23E5") == 167_261_211_391
    assert sfdi("0671C144D27DC9E612AFE7DC6C79EC089ED3DCC5") == 17_298_934_539


@pytest.mark.parametrize(
    ("limit_mode", "target_mode", "target_w", "expected"),
    [
        (LimitMode.EXPORT, TargetMode.WATTS, -2_501, {"exp": ActivePower(3_000), "target": ActivePower(-2_501)}),
        (LimitMode.GENERATION, TargetMode.PERCENT, 1_234, {"gen": ActivePower(3_000), "fixed": 2_468}),
        (LimitMode.RATING, TargetMode.PERCENT, -1_234, {"max": 6_000, "fixed": -2_468}),
    ],
)
async def test_a_command_is_put_in_the_modes_of_the_site_file(
    pki: Path, limit_mode: LimitMode, target_mode: TargetMode, target_w: int, expected: dict[str, Any]
) -> None:
    async with World(pki, limit_mode=limit_mode, target_mode=target_mode) as world:
        world.want(target_w=target_w)
        found = await world.get(world.session(), f"/derp/{world.lfdis['roof']}/derc", DERControlList)
        control = found.items[0]
        assert isinstance(control, DERControl)
        assert control.base == DERControlBase(
            op_mod_exp_lim_w=expected.get("exp"),
            op_mod_gen_lim_w=expected.get("gen"),
            op_mod_max_lim_w_hundredths=expected.get("max"),
            op_mod_target_w=expected.get("target"),
            op_mod_fixed_w_hundredths=expected.get("fixed"),
        )


async def test_a_client_sees_itself_and_nobody_else(pki: Path) -> None:
    async with World(pki) as world:
        roof, barn = world.session("roof"), world.session("barn")
        world.want("roof")
        world.want("barn")
        listed = await world.get(roof, "/edev?l=9", EndDeviceList)
        assert [one.lfdi for one in listed.items if isinstance(one, EndDevice)] == [world.lfdis["roof"]]
        own = paths(world.lfdis["roof"])
        assert [await status(roof, world.url + path) for path in own] == [200] * len(own)
        foreign = [path for path in own if world.lfdis["roof"] in path]
        assert [await status(barn, world.url + path) for path in foreign] == [404] * len(foreign)
        assert await status(barn, f"{world.url}/edev/{world.lfdis['barn']}/rg") == 404, "it has no PIN"


async def test_an_identity_that_is_not_named_sees_nothing_and_is_told_of_once(pki: Path) -> None:
    async with World(pki) as world:
        session = world.session("stranger")
        assert [await status(session, world.url + path) for path in ("/dcap", "/tm", "/edev", "/nowhere")] == [403] * 4
        assert len(world.lines) == 1
        assert "which the site file does not name" in world.lines[0]
        assert world.events == []


async def test_a_client_without_a_certificate_or_without_the_suite_is_cut_off(pki: Path) -> None:
    async with World(pki) as world:
        bare = ssl.create_default_context(cafile=str(pki / "serca.pem"))
        bare.check_hostname = False
        bare.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(aiohttp.ClientError):
            await status(world.session(context=bare), world.url + "/dcap")
        bare.set_ciphers(tls.CIPHERS)
        with pytest.raises(aiohttp.ClientError):
            await status(world.session(context=bare), world.url + "/dcap")
        assert world.events == []


async def test_a_client_that_sends_only_its_leaf_is_served(pki: Path, tmp_path: Path) -> None:
    async with World(pki) as world:
        leaf = tmp_path / "leaf.pem"
        end = "-----END CERTIFICATE-----\n"
        leaf.write_text((pki / "roof.pem").read_text().partition(end)[0] + end)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.set_ciphers(tls.CIPHERS)
        context.load_cert_chain(leaf, pki / "roof.key")
        for authority in trust_of(pki):
            context.load_verify_locations(authority)
        session = world.session(context=context)
        assert await status(session, world.url + "/dcap") == 200


async def test_the_first_request_brings_a_device_up_and_silence_takes_it_down(pki: Path) -> None:
    async with World(pki, rate=400) as world:
        assert await status(world.session(), world.url + "/dcap") == 200
        up = world.heard(LinkUp)
        assert [event.device for event in up] == ["roof"]
        assert isinstance(up[0].generation_max_w, Unknown)
        await world.until(lambda: world.heard(LinkDown))
        assert world.heard(LinkDown) == [LinkDown("roof", "no request of its client for 30 s")]
        assert await status(world.session(), world.url + "/tm") == 200
        assert len(world.heard(LinkUp)) == 2


def several(world_lfdis: dict[str, str], count: int) -> dict[str, Sep2ServerDevice]:
    return {
        f"home-{number}": Sep2ServerDevice(f"{number:040X}", client_lfdi=world_lfdis["lower"])
        for number in range(1, 1 + count)
    }


async def test_an_aggregator_sees_itself_first_and_reads_its_devices_by_the_page(pki: Path) -> None:
    lfdis = World(pki).lfdis
    async with World(pki, devices=several(lfdis, 300)) as world:
        session = world.session("lower")

        async def page(query: str) -> EndDeviceList:
            return await world.get(session, f"/edev{query}", EndDeviceList)

        first = await page("")
        assert (first.total, first.results) == (301, 1)
        assert isinstance(first.items[0], EndDevice)
        assert first.items[0].lfdi == lfdis["lower"]
        assert first.items[0].function_set_assignments_list_link is None
        whole: list[str] = []
        while len(whole) < 301:
            found = await page(f"?s={len(whole)}&l=1000")
            assert found.total == 301
            assert found.results == len(found.items) <= 255
            whole += [str(one.lfdi) for one in found.items if isinstance(one, EndDevice)]
        assert whole == [lfdis["lower"], *(table.lfdi for table in world.devices.values())]
        empty = await page("?s=301&l=5")
        assert (empty.total, empty.results, empty.items) == (301, 0, ())
        none = await page("?l=0")
        assert (none.total, none.results) == (301, 0)
        for query in ("?s=-1", "?l=x", "?a=now", "?s=99999999999999999999999999999999999x"):
            async with session.get(f"{world.url}/edev{query}") as answer:
                SCHEMA.assertValid(etree.fromstring(await answer.read()))
                assert (answer.status, answer.reason) == (400, "s, l and a are whole numbers, s and l not negative")


async def test_the_bodies_that_are_kept_for_a_client_are_bounded(pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "OCTETS_MAX", 100_000)
    lfdis = World(pki).lfdis
    async with World(pki, devices=several(lfdis, 50)) as world:
        session = world.session("lower")
        for start in range(20):
            assert await status(session, f"{world.url}/edev?s={start}&l=30") == 200
        kept = world.links.link._clients[lfdis["lower"]].bodies.values()
        assert 0 < sum(len(body.content) for body in kept) < 150_000


async def test_events_are_listed_in_order_and_after_an_instant(pki: Path) -> None:
    async with World(pki, rate=20) as world:
        session = world.session()
        address = f"/derp/{world.lfdis['roof']}/derc"
        for limit_w in (3_000, 2_000, 1_600):
            world.want(limit_w=limit_w)
            await world.get(session, f"{address}?l=255", DERControlList)
            await world.seconds(2)
        found = await world.get(session, f"{address}?s=0&l=255", DERControlList)
        controls = [one for one in found.items if isinstance(one, DERControl)]
        assert (found.total, found.results) == (6, 6)
        keys = [(one.interval.start_s, -one.creation_time_s, -int(one.mrid, 16)) for one in controls]
        assert keys == sorted(keys)
        states = [one.event_status.current_status for one in controls]
        assert states.count(EventState.ACTIVE) == states.count(EventState.SCHEDULED) == 1
        assert states.count(EventState.SUPERSEDED) == 4
        instant = controls[1].interval.start_s
        later = await world.get(session, f"{address}?l=255&a={instant}", DERControlList)
        assert later.total == later.results == sum(one.interval.start_s > instant for one in controls)
        second = await world.get(session, f"{address}?s=1&l=1", DERControlList)
        assert second.items == (controls[1],)
        active = await world.get(session, f"/derp/{world.lfdis['roof']}/actderc?l=9", DERControlList)
        assert [one.base.op_mod_max_lim_w_hundredths for one in active.items if isinstance(one, DERControl)] == [3_200]


async def test_a_body_that_was_kept_is_given_until_what_it_shows_changes(pki: Path) -> None:
    async with World(pki, rate=50) as world:
        session, address = world.session(), f"/derp/{world.lfdis['roof']}/derc?l=9"
        world.want()
        holder = world.links.link._clients[world.lfdis["roof"]]
        before = await world.get(session, address, DERControlList)
        kept = holder.bodies[address].content
        assert holder.kept(address, world.clock.now_ms()) is kept
        assert await world.get(session, address, DERControlList) == before
        await world.seconds(65)
        assert holder.kept(address, world.clock.now_ms()) is None
        await world.until(lambda: world.links.shared.writes == 3)
        after = await world.get(session, address, DERControlList)
        states = [one.event_status.current_status for one in after.items if isinstance(one, DERControl)]
        assert states == [EventState.ACTIVE, EventState.ACTIVE, EventState.SCHEDULED]
        assert after.items[:1] == before.items[:1], "what ran to its end stays as it was"
        world.want(limit_w=2_000)
        assert holder.kept(address, world.clock.now_ms()) is None


async def test_the_rates_told_are_those_of_the_most_impatient_device(pki: Path) -> None:
    async with World(pki, poll_s=300, revert_s=100) as world:
        found = await world.get(world.session(), "/dcap", DeviceCapability)
        assert found.poll_rate_s == 25
        assert (await world.get(world.session("barn"), "/dcap", DeviceCapability)).poll_rate_s == 75


async def test_a_gateway_that_may_not_write_publishes_nothing(pki: Path) -> None:
    async with World(pki, may_write=False) as world:
        session = world.session()
        world.want()
        await world.seconds(5)
        found = await world.get(session, f"/edev/{world.lfdis['roof']}/fsa/1/derp?l=9", DERProgramList)
        assert (found.total, found.items) == (0, ())
        assert await status(session, f"{world.url}/derp/{world.lfdis['roof']}/dderc") == 404
        assert (world.links.shared.writes, world.links.shared.suppressed) == (0, 1)


async def test_other_methods_and_addresses(pki: Path) -> None:
    async with World(pki) as world:
        session = world.session()
        lfdi = world.lfdis["roof"]
        assert await status(session, world.url + "/dcap", "HEAD") == 200
        assert await status(session, world.url + "/dcap", "DELETE") == 405
        for path in (
            "/",
            "/edev/",
            f"/edev/{lfdi.lower()}",
            f"/edev/{lfdi}/der/2",
            f"/edev/{lfdi}/lel",
            "/derp/1/derc",
        ):
            assert await status(session, world.url + path) == 404, path


async def test_the_links_can_be_run_again(pki: Path) -> None:
    async with World(pki) as world:
        world.want()
        assert await status(world.session(), world.url + "/dcap") == 200
        await world.hang_up()
        assert world.heard(LinkDown) == [LinkDown("roof", "closed by the gateway")]
        await world.listen()
        assert await status(world.session(), f"{world.url}/derp/{world.lfdis['roof']}/dderc") == 200
        assert len(world.heard(LinkUp)) == 2


async def test_an_address_that_is_taken_is_tried_again(pki: Path) -> None:
    async with World(pki) as world:
        await world.hang_up()
        port = world.links.link.port
        taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)
        world.table = replace(world.table, port=port)
        world.links = world.build()
        waiting = asyncio.create_task(world.links.run())
        await world.until(lambda: world.lines)
        assert f"cannot listen at 127.0.0.1:{port}" in world.lines[0]
        taken.close()
        await world.until(world.links.link.listening.is_set)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert len(world.lines) == 1


def test_two_devices_of_one_lfdi_are_refused(pki: Path) -> None:
    lfdi = World(pki).lfdis["roof"]
    with pytest.raises(ValueError, match='"lfdi": it is that of device "a" already'):
        World(pki, devices={"a": Sep2ServerDevice(lfdi), "b": Sep2ServerDevice(lfdi.lower())})


async def test_a_client_is_looked_at_once_a_second_and_not_oftener(pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    real = Client.sweep

    def counting(client: Client, ticks_s: float) -> None:
        looks.append(client.lfdi)
        real(client, ticks_s)

    monkeypatch.setattr(Client, "sweep", counting)
    async with World(pki, rate=1) as world:
        began_s = time.monotonic()
        roof = world.lfdis["roof"]
        await world.until(lambda: looks.count(roof) >= 3)
        assert looks.count(roof) <= 2 + (time.monotonic() - began_s)
