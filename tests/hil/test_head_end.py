import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from head_end_bench import NS, SCHEMA, SEP_XML, client_of, make_pki
from lxml import etree

from hil.clock import Clock
from hil.head_end import Certificate, HeadEnd, Override
from hil.sep2 import bodies
from hil.sep2.records import Program, Resource, lfdi_of, mrid_of, sfdi_of

T0_MS = 1_800_000_000_000
HOUSES = tuple(f"house-{number}" for number in range(1, 6))
SEP2 = '<{0} xmlns="urn:ieee:std:2030.5:ns" xmlns:csipaus="https://csipaus.org/ns">{1}</{0}>'


def lfdi(house: str) -> str:
    return hashlib.sha256(house.encode()).hexdigest()[:40].upper()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    make_pki(folder, "gateway", "dso", "stranger")
    return folder


class Bench:
    """One head-end with five houses in two programs, and its authorised client."""

    def __init__(self, pki: Path) -> None:
        self.happened: list[tuple[str, dict[str, object]]] = []
        self.clock = Clock.starting(1, T0_MS)
        self.programs = [
            Program("envelope", mrid_of("envelope"), 3, HOUSES, {"opModExpLimW": 1500}, set_grad_w=27),
            Program("service-point", mrid_of("service-point"), 1, HOUSES[:2]),
        ]
        self.head_end = HeadEnd(
            "dso",
            self.clock,
            Certificate.of(pki, "dso"),
            Certificate.of(pki, "gateway").lfdi,
            resources=[Resource(house, lfdi(house), pin=111115) for house in HOUSES],
            programs=self.programs,
            report=lambda kind, **particulars: self.happened.append((kind, particulars)),
        )
        self.client = client_of(pki, "gateway")

    def address(self, path: str) -> str:
        return self.head_end.url.removesuffix("/dcap") + path

    async def raw(self, path: str, client: aiohttp.ClientSession | None = None) -> tuple[int, bytes]:
        async with (client or self.client).get(self.address(path)) as reply:
            return reply.status, await reply.read()

    async def get(self, path: str) -> etree._Element:
        async with self.client.get(self.address(path)) as reply:
            assert reply.status == 200, path
            assert reply.content_type == "application/sep+xml"
            tree = etree.fromstring(await reply.read())
        SCHEMA.assertValid(tree)
        return tree

    async def all_of(self, path: str, item: str) -> list[etree._Element]:
        found: list[etree._Element] = []
        while True:
            page = await self.get(f"{path}?s={len(found)}&l=255")
            found += page.findall(f"s:{item}", NS)
            assert len(page) == int(page.get("results") or -1)
            if len(found) >= int(page.get("all") or -1):
                return found

    async def send(self, method: str, path: str, body: str) -> tuple[int, str | None]:
        async with self.client.request(method, self.address(path), data=body.encode(), headers=SEP_XML) as reply:
            await reply.read()
            return reply.status, reply.headers.get("Location")

    async def respond(self, mrid: str, device: str, status: int, path: str = "/rsps/1/rsp") -> int:
        parts = (
            f"<createdDateTime>5</createdDateTime><endDeviceLFDI>{device}</endDeviceLFDI>"
            f"<status>{status}</status><subject>{mrid}</subject>"
        )
        return (await self.send("POST", path, SEP2.format("DERControlResponse", parts)))[0]


@pytest.fixture
async def bench(pki: Path) -> AsyncIterator[Bench]:
    bench = Bench(pki)
    await bench.head_end.start()
    yield bench
    await bench.client.close()
    await bench.head_end.stop()


def text(node: etree._Element, path: str) -> str:
    found = node.findtext("/".join(part if ":" in part else f"s:{part}" for part in path.split("/")), None, NS)
    assert found is not None, path
    return found


def href(node: etree._Element, name: str) -> str:
    found = node.find(f"s:{name}", NS)
    assert found is not None, name
    return found.get("href") or ""


def test_identifiers_of_the_standards_example() -> None:
    assert sfdi_of("3E4F45AB31EDFE5B67E343E5E4562E31984E23E5") == 167261211391
    assert lfdi_of(b"") == "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4"


async def test_the_walk_from_device_capability_to_every_control_is_schema_valid(bench: Bench) -> None:
    bench.head_end.issue("envelope", "limit", {"opModExpLimW": 40000, "opModConnect": True}, 60, 600)
    bench.head_end.issue("service-point", "set", {"opModFixedW": 80, "opModMaxLimW": 62.5, "rampTms": 500}, 0, 60)
    dcap = await bench.get("/dcap")
    time = await bench.get(href(dcap, "TimeLink"))
    assert abs(int(text(time, "currentTime")) - T0_MS // 1000) < 30
    assert time.get("pollRate") == "20"
    devices = await bench.all_of(href(dcap, "EndDeviceListLink"), "EndDevice")
    assert text(devices[0], "lFDI") == bench.head_end.tree.client_lfdi
    assert devices[0].find("s:FunctionSetAssignmentsListLink", NS) is None
    assert [text(one, "lFDI") for one in devices[1:]] == [lfdi(house) for house in HOUSES]
    assert [int(text(one, "sFDI")) for one in devices[1:]] == [sfdi_of(lfdi(house)) for house in HOUSES]
    assert text(await bench.get(href(devices[1], "RegistrationLink")), "pIN") == "111115"
    (assigned,) = await bench.all_of(href(devices[1], "FunctionSetAssignmentsListLink"), "FunctionSetAssignments")
    programs = await bench.all_of(href(assigned, "DERProgramListLink"), "DERProgram")
    assert [text(one, "primacy") for one in programs] == ["1", "3"]
    assert programs[0].find("s:DefaultDERControlLink", NS) is None
    default = await bench.get(href(programs[1], "DefaultDERControlLink"))
    assert text(default, "DERControlBase/c:opModExpLimW/value") == "1500"
    assert text(default, "setGradW") == "27"
    (limit,) = await bench.all_of(href(programs[1], "DERControlListLink"), "DERControl")
    assert (limit.get("replyTo"), limit.get("responseRequired")) == ("/rsps/1/rsp", "03")
    power = limit.find("s:DERControlBase/c:opModExpLimW", NS)
    assert power is not None
    assert (text(power, "value"), text(power, "multiplier")) == ("4000", "1")
    (point,) = await bench.all_of(href(programs[0], "DERControlListLink"), "DERControl")
    assert text(point, "DERControlBase/opModFixedW") == "8000"
    assert text(point, "DERControlBase/opModMaxLimW") == "6250"
    assert text(await bench.get(limit.get("href") or ""), "mRID") == mrid_of("dso envelope limit")
    (unit,) = await bench.all_of(href(devices[1], "DERListLink"), "DER")
    assert (await bench.raw(href(unit, "DERStatusLink")))[0] == 404


async def test_lists_page_by_s_l_and_a(bench: Bench) -> None:
    first = await bench.get("/edev")
    assert (first.get("all"), first.get("results"), first.get("pollRate")) == ("6", "3", "20")
    assert (await bench.get("/edev?s=5&l=9")).get("results") == "1"
    assert (await bench.get("/edev?s=9")).get("results") == "0"
    assert (await bench.get("/edev?l=0")).get("results") == "0"
    assert (await bench.raw("/edev?s=-1"))[0] == 400
    assert (await bench.raw("/edev?l=many"))[0] == 400
    bench.head_end.tree.rates.page_limit = 10
    assert (await bench.get("/edev")).get("results") == "6"
    later = bench.head_end.issue("envelope", "later", {"opModExpLimW": 2}, 500, 60)
    bench.head_end.issue("envelope", "sooner", {"opModExpLimW": 1}, 100, 60)
    names = [text(one, "description") for one in await bench.all_of("/derp/1/derc", "DERControl")]
    assert names == ["sooner", "later"]
    after = await bench.get(f"/derp/1/derc?a={later.start_s - 1}")
    assert (after.get("all"), text(after, "DERControl/description")) == ("1", "later")


async def test_a_list_tells_active_superseded_and_cancelled(bench: Bench) -> None:
    for name in ("older", "newer"):
        bench.head_end.issue(
            "envelope", name, {"opModExpLimW": 5}, 0, 60, creation_offset_s=-20 if name == "older" else 0
        )
    bench.head_end.issue("envelope", "called-off", {"opModConnect": False}, 600, 60)
    bench.head_end.cancel("called-off")
    listed = await bench.all_of("/derp/1/derc", "DERControl")
    told = {text(one, "description"): text(one, "EventStatus/currentStatus") for one in listed}
    assert told == {"older": "4", "newer": "1", "called-off": "2"}


def test_the_schema_given_judges_what_envoy_schema_would_take() -> None:
    parts = ("<readingTime>5</readingTime>", "<alarmStatus>00000000</alarmStatus>")
    disordered = SEP2.format("DERStatus", "".join(parts)).encode()
    ordered = SEP2.format("DERStatus", "".join(reversed(parts))).encode()
    status = bodies.DER_DOCUMENTS["ders"]
    bodies.decode(status, disordered)
    bodies.decode(status, ordered, SCHEMA)
    with pytest.raises(bodies.BadBodyError):
        bodies.decode(status, disordered, SCHEMA)


async def test_only_the_registered_lfdi_is_served(bench: Bench, pki: Path) -> None:
    async with client_of(pki, "stranger") as stranger:
        for path in ("/dcap", "/edev", "/nowhere"):
            assert await bench.raw(path, stranger) == (403, b"")
    assert ("stranger", "/dcap") in [(kind, told.get("path")) for kind, told in bench.happened]
    assert not bench.head_end.contacted.is_set()


async def test_a_client_without_certificate_or_suite_fails_the_handshake(bench: Bench, pki: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(pki / "serca.pem")
    for ciphers in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"):
        context.set_ciphers(ciphers)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as bare:
            with pytest.raises(aiohttp.ClientError):
                await bench.raw("/dcap", bare)


async def test_responses_are_kept_and_unknown_ones_refused(bench: Bench) -> None:
    control = bench.head_end.issue("service-point", "limit", {"opModExpLimW": 5}, 0, 60)
    house = lfdi("house-1")
    assert await bench.respond(control.mrid.lower(), house.lower(), 1, "/rsps/2/rsp") == 201
    assert await bench.respond(control.mrid, house, 2, "/rsps/2/rsp") == 201
    assert await bench.respond("AB" * 16, house, 2, "/rsps/2/rsp") == 400
    assert await bench.respond(control.mrid, "AB" * 20, 2, "/rsps/2/rsp") == 400
    assert await bench.respond(control.mrid, lfdi("house-5"), 2, "/rsps/2/rsp") == 400
    assert await bench.respond(control.mrid, house, 99, "/rsps/2/rsp") == 400
    assert await bench.respond(control.mrid, house, 2, "/rsps/1/rsp") == 400
    assert await bench.respond(control.mrid, house, 2, "/rsps/3/rsp") == 404
    assert (await bench.send("POST", "/rsps/2/rsp", "<DERControlResponse"))[0] == 400
    kept = bench.head_end.tree.intake.answers
    assert [(one.control, one.resource, one.status) for one in kept] == [
        ("limit", "house-1", 1),
        ("limit", "house-1", 2),
    ]
    assert all(abs(one.t_ms - T0_MS) < 30_000 for one in kept)
    assert (await bench.get("/rsps/2/rsp")).get("all") == "2"


async def test_der_documents_are_stored_by_put(bench: Bench) -> None:
    path = "/edev/2/der/1/ders"
    status = SEP2.format("DERStatus", "<readingTime>1800000000</readingTime>")
    assert (await bench.send("PUT", path, status))[0] == 201
    assert (await bench.send("PUT", path, status.replace("1800000000", "1800000009")))[0] == 204
    assert text(await bench.get(path), "readingTime") == "1800000009"
    capability = (
        "<modesSupported>00100088</modesSupported><rtgMaxW><multiplier>0</multiplier><value>5000</value></rtgMaxW>"
        "<type>4</type><csipaus:doeModesSupported>01</csipaus:doeModesSupported>"
    )
    assert (await bench.send("PUT", "/edev/2/der/1/dercap", SEP2.format("DERCapability", capability)))[0] == 201
    await bench.get("/edev/2/der/1/dercap")
    assert (await bench.send("PUT", "/edev/2/der/1/derg", status))[0] == 400
    assert (await bench.send("PUT", "/edev/2/der/2/ders", status))[0] == 404
    assert (await bench.send("PUT", "/edev/2", status))[0] == 405
    assert (await bench.send("POST", "/edev", SEP2.format("EndDevice", "<sFDI>1</sFDI>")))[0] == 403
    assert set(bench.head_end.tree.intake.documents) == {path, "/edev/2/der/1/dercap"}


METER = (
    "<mRID>{mrid}</mRID><description>W</description>{extra}"
    "<Reading><timePeriod><duration>60</duration><start>1800000000</start></timePeriod><value>{value}</value></Reading>{kind}"
)
KIND = (
    "<ReadingType><dataQualifier>2</dataQualifier><flowDirection>19</flowDirection>"
    "<powerOfTenMultiplier>1</powerOfTenMultiplier><uom>38</uom></ReadingType>"
)


async def test_mirrored_readings_are_stored(bench: Bench) -> None:
    point = (
        f"<mRID>{'0A' * 16}</mRID><roleFlags>03</roleFlags><serviceCategoryKind>0</serviceCategoryKind>"
        "<status>1</status><deviceLFDI>{}</deviceLFDI>"
    )
    ours = SEP2.format("MirrorUsagePoint", point.format(lfdi("house-1")))
    assert await bench.send("POST", "/mup", ours) == (201, "/mup/1")
    assert await bench.send("POST", "/mup", ours) == (204, "/mup/1")
    assert await bench.send("POST", "/mup", SEP2.format("MirrorUsagePoint", point.format(lfdi("house-2")))) == (
        201,
        "/mup/2",
    )
    assert (await bench.send("POST", "/mup", SEP2.format("MirrorUsagePoint", point.format("AB" * 20))))[0] == 403
    assert text((await bench.all_of("/mup", "MirrorUsagePoint"))[0], "postRate") == "60"
    reading = SEP2.format("MirrorMeterReading", METER.format(mrid="0B" * 16, value=291, kind=KIND, extra=""))
    assert (await bench.send("POST", "/mup/1", reading))[0] == 201
    again = SEP2.format("MirrorMeterReading", METER.format(mrid="0B" * 16, value=292, kind="", extra=""))
    assert (await bench.send("POST", "/mup/1", again))[0] == 204
    both = "".join(
        f"<MirrorMeterReading>{METER.format(mrid=mrid, value=1, kind=KIND, extra='')}</MirrorMeterReading>"
        for mrid in ("0C" * 16, "0D" * 16)
    )
    assert (await bench.send("POST", "/mup/1", SEP2.format("MirrorMeterReadingList", both)))[0] == 201
    untyped = SEP2.format("MirrorMeterReading", METER.format(mrid="0E" * 16, value=1, kind="", extra=""))
    assert (await bench.send("POST", "/mup/1", untyped))[0] == 400
    assert (await bench.send("POST", "/mup/9", reading))[0] == 404
    kept = bench.head_end.tree.intake.readings
    assert [(one.value, one.multiplier, one.uom, one.duration_s) for one in kept[:2]] == [
        (291, 1, 38, 60),
        (292, 1, 38, 60),
    ]
    assert {one.lfdi for one in kept} == {lfdi("house-1")}
    assert len(kept) == 4


async def test_outages_refuse_fail_and_hang_and_end(bench: Bench) -> None:
    assert (await bench.raw("/dcap"))[0] == 200
    await bench.head_end.set_outage("refuse")
    with pytest.raises(aiohttp.ClientConnectionError):
        await bench.raw("/dcap")
    await bench.head_end.set_outage("error")
    assert (await bench.raw("/dcap"))[0] == 500
    await bench.head_end.set_outage("hang")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bench.raw("/dcap"), 0.3)
    waiting = asyncio.create_task(bench.raw("/dcap"))
    await asyncio.sleep(0.1)
    await bench.head_end.set_outage("none")
    assert (await waiting)[0] == 200


async def test_one_path_can_be_broken(bench: Bench) -> None:
    bench.head_end.override("/derp/1/derc", Override(200, b"<DERControlList"))
    assert await bench.raw("/derp/1/derc") == (200, b"<DERControlList")
    assert (await bench.raw("/derp/1"))[0] == 200
    bench.head_end.override("/derp/1/derc", None)
    await bench.get("/derp/1/derc")


async def test_the_servers_clock_runs_apart_from_the_shared_one(bench: Bench) -> None:
    bench.head_end.set_time_offset(7_200_000)
    ahead_s = int(text(await bench.get("/tm"), "currentTime")) - bench.clock.now_ms() // 1000
    assert ahead_s in {7199, 7200}
    control = bench.head_end.issue("envelope", "limit", {"opModExpLimW": 5}, 10, 60)
    assert abs(control.start_s - (bench.clock.now_ms() // 1000 + 7210)) <= 1


async def test_a_body_that_is_not_sep_xml_is_refused(bench: Bench) -> None:
    async with bench.client.post(bench.address("/mup"), data=b"{}", headers={"Content-Type": "text/json"}) as reply:
        assert reply.status == 415


async def test_two_head_ends_share_a_process(bench: Bench, pki: Path) -> None:
    other = Bench(pki)
    await other.head_end.start()
    other.head_end.issue("envelope", "mine", {"opModExpLimW": 5}, 0, 60)
    assert (await bench.get("/derp/1/derc")).get("all") == "0"
    assert (await other.get("/derp/1/derc")).get("all") == "1"
    await other.client.close()
    await other.head_end.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(other.address("").rsplit(":", 1)[1]))) != 0


def test_a_mode_that_does_not_exist_is_refused_when_issued(pki: Path) -> None:
    async def issue() -> None:
        bench = Bench(pki)
        await bench.client.close()
        with pytest.raises(ValueError, match="opModTypo"):
            bench.head_end.issue("envelope", "limit", {"opModTypo": 5}, 0, 60)
        with pytest.raises(ValueError, match="no exact Int16"):
            bench.head_end.issue("envelope", "limit", {"opModExpLimW": 40001}, 0, 60)
        with pytest.raises(ValueError, match="no program"):
            bench.head_end.issue("elsewhere", "limit", {"opModExpLimW": 4}, 0, 60)

    asyncio.run(issue())
