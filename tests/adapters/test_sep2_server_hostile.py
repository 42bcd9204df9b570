"""The bad-input catalogue against the 2030.5 server, over its own TLS: refused, said once, and what it knew stays."""

import asyncio
import gzip
from pathlib import Path

import aiohttp
import pytest
from sep2_server_world import MEDIA, World, make_pki

from gateway.core.events import Adopted, Event, LinkUp, NotAdopted, Observed
from gateway.core.known import Known
from gateway.wire.sep2.metering import MirrorUsagePoint
from gateway.wire.sep2.resources import DERControl, DERControlList, DERStatus, Stamped
from hil.sep2.hostile import BODIES, BOMB, NS, Frame

STATUS = Frame("DERStatus", inner="<readingTime>1</readingTime>")
CONNECTED = DERStatus(gen_connect_status=Stamped(date_time_s=1, value=7), reading_time_s=1)
CREATED, BAD, FORBIDDEN, NOT_FOUND, TOO_LARGE, WRONG_MEDIA = 201, 400, 403, 404, 413, 415
LARGEST_INT16_W = 32_767 * 10**9


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def der(world: World, name: str = "roof") -> str:
    return f"/edev/{world.lfdis[name]}/der/1"


async def known(world: World, session: aiohttp.ClientSession) -> list[Event]:
    """Have the device say that it is connected, and give all that was heard by then."""
    assert (await world.send(session, "PUT", f"{der(world)}/ders", CONNECTED))[0] == CREATED
    assert world.heard(Observed)[-1].connected is True
    return list(world.events)


async def unmoved(world: World, session: aiohttp.ClientSession, before: list[Event]) -> None:
    """See that nothing was heard since, one line was logged, and the device is served as before."""
    assert [one for one in world.events[len(before) :] if not isinstance(one, Observed)] == []
    assert all(one.connected is True for one in world.heard(Observed)[-1:])
    assert len(world.lines) == 1, world.lines
    assert "\n" not in world.lines[0]
    shown = await world.get(session, f"{der(world)}/ders", DERStatus)
    assert shown.gen_connect_status == CONNECTED.gen_connect_status


@pytest.mark.parametrize("entry", BODIES)
async def test_hostile_body_is_refused_by_the_server(entry: str, pki: Path) -> None:
    hostile = BODIES[entry]
    async with World(pki, rate=1) as world:
        session = world.session()
        before = await known(world, session)
        body = hostile.body(STATUS)
        for _again in range(2):
            status, reason, _location = await world.send(session, "PUT", f"{der(world)}/ders", body)
            assert status == (TOO_LARGE if len(body) > 1 << 20 else BAD)
            assert hostile.why in reason
        await unmoved(world, session, before)


@pytest.mark.parametrize(
    ("entry", "headers"),
    [
        ("gzip body", {"Content-Encoding": "gzip"}),
        (BOMB, {"Content-Encoding": "gzip"}),
        ("deflated", {"Content-Encoding": "deflate"}),
        ("EXI body", {"Content-Type": "application/sep-exi"}),
        ("another media type", {"Content-Type": "text/xml"}),
    ],
)
async def test_hostile_media_is_not_even_read(entry: str, headers: dict[str, str], pki: Path) -> None:
    bombs = {BOMB: BODIES[BOMB].body(STATUS), "EXI body": BODIES["EXI body"].body(STATUS)}
    body = bombs.get(entry, gzip.compress(STATUS.whole))
    async with World(pki, rate=1) as world:
        session = world.session()
        before = await known(world, session)
        status, reason, _location = await world.send(session, "PUT", f"{der(world)}/ders", body, **headers)
        assert (status, reason) == (WRONG_MEDIA, "application/sep+xml without an encoding is read here")
        await unmoved(world, session, before)


async def test_body_without_end_is_cut_at_the_cap(pki: Path) -> None:
    """What is sent in chunks says no length: the cap counts what came, long before the sender is done."""
    sent = 0

    async def chunks() -> object:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    async with World(pki, rate=1) as world:
        session = world.session()
        before = await known(world, session)
        try:
            async with session.put(f"{world.url}{der(world)}/ders", data=chunks(), headers=MEDIA) as answer:
                assert answer.status == TOO_LARGE
        except aiohttp.ClientConnectionError:
            pass  # the server hung up in the middle of it, which says the same
        assert sent < 1 << 28
        await unmoved(world, session, before)


# -- numbers that overflow


async def metered(world: World, session: aiohttp.ClientSession) -> str:
    """Mirror a usage point of the device; give its address."""
    point = MirrorUsagePoint(
        mrid="AA", role_flags=0x49, service_category_kind=0, status=1, device_lfdi=world.lfdis["roof"]
    )
    return (await world.send(session, "POST", "/mup", point))[2]


def reading(value: int, multiplier: int = 0, uom: int = 38) -> str:
    kind = f"<flowDirection>19</flowDirection><powerOfTenMultiplier>{multiplier}</powerOfTenMultiplier><uom>{uom}</uom>"
    return (
        f'<MirrorMeterReading xmlns="{NS}"><mRID>01</mRID><Reading><value>{value}</value></Reading>'
        f"<ReadingType>{kind}</ReadingType></MirrorMeterReading>"
    )


@pytest.mark.parametrize("value", [3 * 10**15, 2**47 + 1, -(2**47) - 1, 2**63])
async def test_int48_reading_overflow_is_refused_by_the_server(value: int, pki: Path) -> None:
    async with World(pki, rate=1) as world:
        session = world.session()
        place = await metered(world, session)
        assert (await world.send(session, "POST", place, reading(500)))[0] == CREATED
        status, reason, _location = await world.send(session, "POST", place, reading(value))
        assert status == BAD
        assert "MirrorMeterReading/Reading/value" in reason
        power = world.heard(Observed)[-1].power
        assert isinstance(power, Known)
        assert power.value == 500
        assert len(world.lines) == 1


@pytest.mark.parametrize(("value", "multiplier"), [(2**47, 9), (-(2**47), 9), (32_767, 9), (10**12 + 1, 0)])
async def test_int48_reading_that_no_device_could_have_is_unknown(value: int, multiplier: int, pki: Path) -> None:
    async with World(pki, rate=1) as world:
        session = world.session()
        place = await metered(world, session)
        assert (await world.send(session, "POST", place, reading(value, multiplier)))[0] == CREATED
        assert not isinstance(world.heard(Observed)[-1].power, Known)
        assert (await world.send(session, "POST", place, reading(500)))[0] < 300
        power = world.heard(Observed)[-1].power
        assert isinstance(power, Known)
        assert power.value == 500


@pytest.mark.parametrize(("multiplier", "value"), [(10, 1), (-10, 1), (0, 32_768), (0, -32_769), (10**9, 1)])
async def test_multiplier_or_value_outside_its_range_is_refused_by_the_server(
    multiplier: int, value: int, pki: Path
) -> None:
    rating = f"<multiplier>{multiplier}</multiplier><value>{value}</value>"
    inside = f"<modesSupported>1</modesSupported><rtgMaxW>{rating}</rtgMaxW><type>4</type>"
    body = f'<DERCapability xmlns="{NS}">{inside}</DERCapability>'
    async with World(pki, rate=1) as world:
        session = world.session()
        before = await known(world, session)
        status, reason, _location = await world.send(session, "PUT", f"{der(world)}/dercap", body)
        assert status == BAD
        assert "DERCapability/rtgMaxW" in reason
        await unmoved(world, session, before)


async def test_int16_times_10_to_the_9_as_a_rating_makes_no_limit_looser(pki: Path) -> None:
    """A share of what no device could be is none at all; the core holds it to the rating of the site file besides."""
    async with World(pki, rate=1) as world:
        session = world.session()
        body = (
            f'<DERCapability xmlns="{NS}"><modesSupported>1</modesSupported>'
            "<rtgMaxW><multiplier>9</multiplier><value>32767</value></rtgMaxW><type>4</type></DERCapability>"
        )
        await known(world, session)
        world.want(limit_w=3_000)
        assert (await world.send(session, "PUT", f"{der(world)}/dercap", body))[0] == CREATED
        said = world.heard(LinkUp)[-1].generation_max_w
        assert isinstance(said, Known)
        assert said.value == LARGEST_INT16_W
        found = await world.get(session, f"/derp/{world.lfdis['roof']}/derc?l=255", DERControlList)
        first = found.items[0]
        assert isinstance(first, DERControl)
        assert (first.base.op_mod_max_lim_w_hundredths or 0) <= 6_000


# -- who says what of whom


@pytest.mark.parametrize("written", ["not hex", "0x3E4F45AB31ED", "", "A" * 41])
async def test_lfdi_as_non_hex_is_refused_by_the_server(written: str, pki: Path) -> None:
    async with World(pki, rate=1) as world:
        session = world.session()
        before = await known(world, session)
        body = (
            f'<MirrorUsagePoint xmlns="{NS}"><mRID>AA</mRID><roleFlags>49</roleFlags><serviceCategoryKind>0'
            f"</serviceCategoryKind><status>1</status><deviceLFDI>{written}</deviceLFDI></MirrorUsagePoint>"
        )
        status, reason, _location = await world.send(session, "POST", "/mup", body)
        assert status == BAD
        assert "MirrorUsagePoint/deviceLFDI" in reason
        await unmoved(world, session, before)


def response(subject: str, lfdi: str, status: object = 2) -> str:
    told = "" if status is None else f"<status>{status}</status>"
    return (
        f'<DERControlResponse xmlns="{NS}"><createdDateTime>1</createdDateTime><endDeviceLFDI>{lfdi}</endDeviceLFDI>'
        f"{told}<subject>{subject}</subject></DERControlResponse>"
    )


HOSTILE_RESPONSES = {
    "response for unknown mRID": (BAD, "no event 0A0A is known here"),
    "response for unknown LFDI": (BAD, "a Response in the name of"),
    "response with LFDI as non-hex": (BAD, "endDeviceLFDI"),
    "response with invalid status": (BAD, "99 is no status of a Response"),
    "response with status over its byte": (BAD, "is not in 0..255"),
    "response without status": (BAD, "None is no status of a Response"),
    "LFDI in body is not that of the certificate": (BAD, "a Response in the name of"),
    "LFDI in path is not that of the certificate": (NOT_FOUND, "nothing of this client's takes that"),
}


@pytest.mark.parametrize("entry", HOSTILE_RESPONSES)
async def test_hostile_response_is_refused_by_the_server(entry: str, pki: Path) -> None:
    expected, why = HOSTILE_RESPONSES[entry]
    async with World(pki, rate=1) as world:
        session = world.session()
        before = await known(world, session)
        world.want()
        found = await world.get(session, f"/derp/{world.lfdis['roof']}/derc?l=255", DERControlList)
        control = found.items[0]
        assert isinstance(control, DERControl)
        own, other = world.lfdis["roof"], world.lfdis["barn"]
        body = {
            "response for unknown mRID": response("0A0A", own),
            "response for unknown LFDI": response(control.mrid, "AB" * 20),
            "response with LFDI as non-hex": response(control.mrid, "roof of house 1"),
            "response with invalid status": response(control.mrid, own, 99),
            "response with status over its byte": response(control.mrid, own, 258),
            "response without status": response(control.mrid, own, None),
            "LFDI in body is not that of the certificate": response(control.mrid, other),
            "LFDI in path is not that of the certificate": response(control.mrid, other),
        }[entry]
        path = f"/rsps/{other if 'path' in entry else own}/rsp"
        status, reason, _location = await world.send(session, "POST", path, body)
        assert status == expected
        assert why in reason
        assert world.heard(Adopted) == []
        assert world.heard(NotAdopted) == []
        await unmoved(world, session, [*before, *world.events[len(before) :]])


@pytest.mark.parametrize("path", ["/edev/{0}/sub", "/sub", "/edev/{0}/ntfy", "/ntfy"])
async def test_href_to_another_host_as_notification_uri_reaches_nobody(path: str, pki: Path) -> None:
    """This server tells nobody anything: a subscription has no place, so that no address of others is ever called."""
    called = asyncio.Event()

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        writer.close()

    async with World(pki, rate=1) as world, await asyncio.start_server(listen, "127.0.0.1", 0) as elsewhere:
        session = world.session()
        before = await known(world, session)
        uri = f"http://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}/told"
        body = (
            f'<Subscription xmlns="{NS}"><subscribedResource>{der(world)}/ders</subscribedResource>'
            f"<encoding>0</encoding><level>+S1</level><limit>1</limit><notificationURI>{uri}</notificationURI></Subscription>"
        )
        sent = await world.send(session, "POST", path.format(world.lfdis["roof"]), body)
        assert sent[0] == NOT_FOUND
        await world.send(session, "PUT", f"{der(world)}/ders", CONNECTED)
        world.want()
        await world.seconds(0.3)
        assert not called.is_set()
        await unmoved(world, session, before)


# -- requests that are none


PUT = b"PUT /edev/{0}/der/1/ders HTTP/1.1\r\nHost: x\r\nContent-Type: application/sep+xml\r\n"
REQUESTS = {
    "no HTTP": b"\x16\x03\x01\x00\xa5\r\n\r\n",
    "no method": b"<DERStatus/> / HTTP/1.1\r\n\r\n",
    "octets in the path": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "line without end": b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\n\r\n",
    "header without end": b"GET /dcap HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 5_000 + b"\r\n\r\n",
    "header of control characters": b"GET /dcap HTTP/1.1\r\nHost: x\r\nA: \x00\x01\r\n\r\n",
    "too many headers": b"GET /dcap HTTP/1.1\r\n" + b"A: 1\r\n" * 100 + b"\r\n",
    "two lengths": PUT + b"Content-Length: 1\r\nContent-Length: 9\r\n\r\nx",
    "length and chunks": PUT + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": PUT + b"Content-Length: -1\r\n\r\n",
    "chunk of no size": PUT + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n<a/>\r\n0\r\n\r\n",
    "chunk longer than said": PUT + b"Transfer-Encoding: chunked\r\n\r\n1\r\n<a/>\r\n0\r\n\r\n",
    "another transfer encoding": PUT + b"Transfer-Encoding: gzip\r\n\r\n<a/>",
    "upgrade": b"GET /dcap HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another method": b"TRACE /dcap HTTP/1.1\r\nHost: x\r\n\r\n",
}
SERVED = ("upgrade",)
"""What is a good request for all that stands in it."""


@pytest.mark.parametrize("entry", REQUESTS)
async def test_hostile_request_is_refused_in_one_line(entry: str, pki: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with World(pki, rate=1) as world:
        session = world.session()
        await known(world, session)
        for _again in range(2):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", world.links.link.port, ssl=world.context("roof"), server_hostname=""
            )
            writer.write(REQUESTS[entry].replace(b"{0}", world.lfdis["roof"].encode()))
            answer = await asyncio.wait_for(reader.read(65_536), 10)
            writer.transport.abort()
            good = answer.startswith(b"HTTP/1.1 200") and entry in SERVED
            assert good or not answer or answer.startswith((b"HTTP/1.0 4", b"HTTP/1.1 4")), (entry, answer)
            assert b"Traceback" not in answer
        assert (await world.get(session, f"{der(world)}/ders", DERStatus)).gen_connect_status is not None
        assert len(world.lines) <= 1, world.lines
        assert all("\n" not in line for line in world.lines)
    assert [record for record in caplog.records if record.exc_info or record.name.startswith("aiohttp")] == []
