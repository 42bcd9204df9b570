"""What clients send to the 2030.5 server: answers, documents, readings; and what of it is refused, in one line."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sep2_server_world import MEDIA, World, make_pki

from gateway.core.events import Adopted, LinkUp, NotAdopted, Observed
from gateway.core.functions import Function
from gateway.core.known import Known, Unknown
from gateway.core.modes import TargetVar
from gateway.listening import Limits
from gateway.southbound.sep2_server import Sep2ServerDevice, TargetMode
from gateway.wire.sep2 import Resource
from gateway.wire.sep2.metering import (
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorReadingSet,
    MirrorUsagePoint,
    MirrorUsagePointList,
    Reading,
    ReadingType,
)
from gateway.wire.sep2.quantities import ActivePower, WattHour
from gateway.wire.sep2.resources import (
    DefaultDERControl,
    DERAvailability,
    DERCapability,
    DERControl,
    DERControlList,
    DERControlResponse,
    DERSettings,
    DERStatus,
    Interval,
    Response,
    Stamped,
)
from gateway.wire.sep2.responses import ResponseList

DER_ROLE, SITE_ROLE = 0x49, 0x03


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def controls(world: World, session: aiohttp.ClientSession, name: str = "roof") -> list[DERControl]:
    found = await world.get(session, f"/derp/{world.lfdis[name]}/derc?l=255", DERControlList)
    return [one for one in found.items if isinstance(one, DERControl)]


async def read_default(world: World, session: aiohttp.ClientSession) -> DefaultDERControl:
    return await world.get(session, f"/derp/{world.lfdis['roof']}/dderc", DefaultDERControl)


def response(world: World, control: DERControl, status: int | None, name: str = "roof") -> DERControlResponse:
    now_s = world.clock.now_ms() // 1000
    return DERControlResponse(
        created_date_time_s=now_s, end_device_lfdi=world.lfdis[name], status=status, subject=control.mrid.lower()
    )


async def respond(world: World, session: aiohttp.ClientSession, control: DERControl, status: int) -> None:
    assert control.reply_to is not None
    sent = await world.send(session, "POST", control.reply_to, response(world, control, status))
    assert sent == (201, "Created", f"/rsps/{world.lfdis['roof']}/rsp")


# -- answers


@pytest.mark.parametrize("status", [1, 2])
async def test_a_device_that_has_its_event_and_its_default_has_adopted(pki: Path, status: int) -> None:
    async with World(pki) as world:
        session = world.session()
        world.want()
        first = (await controls(world, session))[0]
        await respond(world, session, first, status)
        assert world.heard(Adopted) == [], "its default was not read"
        await read_default(world, session)
        assert world.heard(Adopted) == [Adopted("roof", 1)]
        await respond(world, session, first, 2)
        assert len(world.heard(Adopted)) == 1
        kept = await world.get(session, f"/rsps/{world.lfdis['roof']}/rsp?l=9", ResponseList)
        assert [one.status for one in kept.items if isinstance(one, Response)] == [status, 2]


async def test_a_new_command_of_the_same_modes_is_adopted_already(pki: Path) -> None:
    async with World(pki) as world:
        session = world.session()
        world.want()
        await read_default(world, session)
        await respond(world, session, (await controls(world, session))[0], 2)
        world.want(rule="C3")
        assert world.heard(Adopted) == [Adopted("roof", 1), Adopted("roof", 2)]
        assert len(await controls(world, session)) == 2, "nothing is published twice"
        world.want(revert_limit_w=1_000)
        assert len(world.heard(Adopted)) == 2, "the new default has to be read"
        await read_default(world, session)
        assert world.heard(Adopted)[2:] == [Adopted("roof", 3)]


async def test_modes_are_told_to_be_left_out_and_the_rest_is_adopted(pki: Path) -> None:
    async with World(pki) as world:
        session = world.session()
        world.want()
        await read_default(world, session)
        await respond(world, session, (await controls(world, session))[0], 2)
        world.want(modes=(TargetVar(100),))
        why = "the server of this gateway publishes no modes"
        assert world.heard(Adopted) == [Adopted("roof", 1), Adopted("roof", 2, ((Function.REACTIVE_POWER, why),))]


@pytest.mark.parametrize("status", [4, 6, 7, 8, 10, 13, 14, 252, 253, 254])
async def test_an_event_that_is_not_carried_out_is_not_adopted(pki: Path, status: int) -> None:
    async with World(pki) as world:
        session = world.session()
        world.want()
        await read_default(world, session)
        first = (await controls(world, session))[0]
        await respond(world, session, first, status)
        assert [(one.device, one.serial) for one in world.heard(NotAdopted)] == [("roof", 1)]
        assert f"Response {status} (" in world.heard(NotAdopted)[0].why
        await respond(world, session, first, 1)
        assert world.heard(Adopted) == [], "the receipt of an event that is refused says nothing"
        await respond(world, session, first, 2)
        assert world.heard(Adopted) == [Adopted("roof", 1)]


async def test_what_is_said_of_an_older_event_changes_nothing(pki: Path) -> None:
    async with World(pki) as world:
        session = world.session()
        world.want()
        await read_default(world, session)
        older = (await controls(world, session))[0]
        world.want(limit_w=2_000)
        await respond(world, session, older, 2)
        await respond(world, session, older, 252)
        assert world.heard(Adopted) == []
        assert world.heard(NotAdopted) == []


async def test_silence_about_an_event_that_was_read_is_told_of_once(pki: Path) -> None:
    async with World(pki, rate=50) as world:
        session = world.session()
        world.want()
        first = (await controls(world, session))[0]
        asking = asyncio.create_task(world.polling(session))
        await world.until(lambda: world.heard(NotAdopted))
        assert world.heard(NotAdopted)[0].why == "it has not answered to its event for 30 s"
        await respond(world, session, first, 1)
        await world.seconds(10)
        assert len(world.heard(NotAdopted)) == 1
        world.want(rule="C3")
        await world.until(lambda: len(world.heard(NotAdopted)) == 2)
        assert world.heard(NotAdopted)[1].why == "it has not read its default for 30 s"
        asking.cancel()


@pytest.mark.parametrize(
    ("fault", "status", "why"),
    [
        ("subject", 400, "roof: no event 0A is known here"),
        ("status", 400, "roof: 99 is no status of a Response"),
        ("nothing", 400, "roof: None is no status of a Response"),
        ("foreign", 400, "roof: a Response in the name of"),
        ("elsewhere", 404, "nothing of this client's takes that"),
        ("kind", 400, "DERStatus where a Response belongs"),
    ],
)
async def test_a_response_that_fits_nothing_is_refused(pki: Path, fault: str, status: int, why: str) -> None:
    async with World(pki) as world:
        session = world.session()
        world.want()
        one = (await controls(world, session))[0]
        bodies: dict[str, Resource] = {
            "subject": DERControlResponse(end_device_lfdi=world.lfdis["roof"], status=1, subject="0A"),
            "status": response(world, one, 99),
            "nothing": response(world, one, None),
            "foreign": response(world, one, 2, "barn"),
            "elsewhere": response(world, one, 2, "barn"),
            "kind": DERStatus(reading_time_s=1),
        }
        path = f"/rsps/{world.lfdis['barn' if fault == 'elsewhere' else 'roof']}/rsp"
        sent = await world.send(session, "POST", path, bodies[fault])
        assert sent[0] == status
        assert why in sent[1]
        assert len(world.lines) == 1
        await world.send(session, "POST", path, bodies[fault])
        assert len(world.lines) == 1, "said once"
        assert world.heard(Adopted) == []


# -- documents


def settings(max_w: int, charge_w: int | None = None) -> DERSettings:
    return DERSettings(
        set_grad_w_hundredths=0,
        set_max_w=ActivePower.at_most(max_w),
        set_max_charge_rate_w=None if charge_w is None else ActivePower.at_most(charge_w),
        updated_time_s=1,
    )


def capability(max_w: int, **fields: Any) -> DERCapability:
    given: dict[str, Any] = {"modes_supported": 1, "rtg_max_w": ActivePower(max_w), "der_type": 4}
    return DERCapability(**{**given, "doe_modes_supported": 1, **fields})


async def test_ratings_and_settings_say_what_shares_are_of(pki: Path) -> None:
    async with World(pki, target_mode=TargetMode.PERCENT) as world:
        session, der = world.session(), f"/edev/{world.lfdis['roof']}/der/1"
        world.want(target_w=-1_000)
        before = (await controls(world, session))[0].base
        assert (before.op_mod_max_lim_w_hundredths, before.op_mod_fixed_w_hundredths) == (6_000, -2_000)
        assert await world.send(session, "PUT", f"{der}/dercap", capability(4_000)) == (201, "Created", f"{der}/dercap")
        assert (await world.send(session, "PUT", f"{der}/derg", settings(7_000, 3_000)))[0] == 201
        assert (await world.send(session, "PUT", f"{der}/derg", settings(7_000, 3_000)))[0] == 204
        said = [(one.generation_max_w, one.charge_max_w) for one in world.heard(LinkUp)]
        assert isinstance(said[0][0], Unknown)
        assert [_value(one) for one, _charge in said[1:]] == [4_000, 7_000]
        assert [_value(charge) for _one, charge in said[1:]] == [None, 3_000]
        base = (await controls(world, session))[-1].base
        assert base.op_mod_max_lim_w_hundredths == 4_285, "rounded down"
        assert base.op_mod_fixed_w_hundredths == -3_333, "rounded toward zero"
        found = await world.get(session, f"{der}/derg", DERSettings)
        assert found.set_max_w == ActivePower(7_000)


def _value(reading: object) -> int | None:
    return reading.value if isinstance(reading, Known) else None


async def test_status_says_whether_it_is_connected_and_what_it_has_stored(pki: Path) -> None:
    async with World(pki) as world:
        session, der = world.session(), f"/edev/{world.lfdis['roof']}/der/1"
        await world.send(session, "PUT", f"{der}/dercap", capability(4_000, rtg_max_wh=WattHour(100, 2)))
        status = DERStatus(
            gen_connect_status=Stamped(date_time_s=1, value=7),
            reading_time_s=1,
            state_of_charge_status=Stamped(date_time_s=1, value=5_050),
        )
        assert (await world.send(session, "PUT", f"{der}/ders", status))[0] == 201
        last = world.heard(Observed)[-1]
        assert last.connected is True
        assert _value(last.stored) == 5_050
        off = DERStatus(stor_connect_status=Stamped(date_time_s=1, value=0), reading_time_s=1)
        await world.send(session, "PUT", f"{der}/ders", off)
        assert world.heard(Observed)[-1].connected is False
        reserve = DERAvailability(reading_time_s=1, reserve_hundredths=3)
        assert (await world.send(session, "PUT", f"{der}/dera", reserve))[0] == 201
        assert (await world.get(session, f"{der}/dera", DERAvailability)).reserve_hundredths == 3


async def test_a_document_in_the_wrong_place_is_refused(pki: Path) -> None:
    async with World(pki) as world:
        session, der = world.session(), f"/edev/{world.lfdis['roof']}/der/1"
        sent = await world.send(session, "PUT", f"{der}/ders", settings(1))
        assert sent[:2] == (400, "DERSettings where DERStatus belongs")
        other = f"/edev/{world.lfdis['barn']}/der/1/derg"
        assert (await world.send(session, "PUT", other, settings(1)))[0] == 404
        assert (await world.send(session, "POST", f"{der}/derg", settings(1)))[0] == 404
        async with session.get(f"{world.url}{der}/derg") as answer:
            assert answer.status == 404


# -- readings


def point(world: World, name: str = "roof", role: int = DER_ROLE, mrid: str = "AA", **fields: Any) -> MirrorUsagePoint:
    return MirrorUsagePoint(
        mrid=mrid, role_flags=role, service_category_kind=0, status=1, device_lfdi=world.lfdis[name], **fields
    )


def meter(
    mrid: str, uom: int, value: int | None, *, ago_s: int = 0, now_ms: int = 0, **kind: Any
) -> MirrorMeterReading:
    period = Interval(start_s=now_ms // 1000 - ago_s - 10, duration_s=10)
    return MirrorMeterReading(
        mrid=mrid,
        reading=Reading(time_period=period, value=value),
        reading_type=ReadingType(**{"flow_direction": 19, "uom": uom} | kind),
    )


async def post(world: World, session: aiohttp.ClientSession, *readings: MirrorMeterReading) -> int:
    _status, _reason, location = await world.send(session, "POST", "/mup", point(world))
    body = MirrorMeterReadingList(total=len(readings), results=len(readings), items=readings)
    return (await world.send(session, "POST", location, body if len(readings) != 1 else readings[0]))[0]


async def test_readings_are_turned_into_watts_vars_and_millivolts(pki: Path) -> None:
    async with World(pki) as world:
        session, now_ms = world.session(), world.clock.now_ms()
        status = await post(
            world,
            session,
            meter("01", 38, 1_234, now_ms=now_ms, power_of_ten_multiplier=1),
            meter("02", 63, 1_500, now_ms=now_ms, power_of_ten_multiplier=-1, flow_direction=1),
            meter("03", 29, 2_304, now_ms=now_ms, power_of_ten_multiplier=-1, flow_direction=None, phase=128),
            meter("04", 29, 2_306, now_ms=now_ms, power_of_ten_multiplier=-1, phase=64),
        )
        assert status == 201
        last = world.heard(Observed)[-1]
        assert [_value(one) for one in (last.power, last.reactive, last.voltage)] == [12_340, -150, 230_500]
        assert isinstance(last.power, Known)
        assert last.power.at_ms == now_ms // 1000 * 1000
        assert await post(world, session, meter("01", 38, 1_000, now_ms=world.clock.now_ms())) == 204


async def test_a_later_reading_needs_no_type_and_an_older_one_changes_nothing(pki: Path) -> None:
    async with World(pki) as world:
        session = world.session()
        await post(world, session, meter("01", 38, 1_000, now_ms=world.clock.now_ms(), ago_s=5))
        bare = MirrorMeterReading(
            mrid="01",
            reading_sets=(
                MirrorReadingSet(
                    mrid="0C",
                    time_period=Interval(start_s=world.clock.now_ms() // 1000 - 3, duration_s=2),
                    readings=(Reading(value=2_000),),
                ),
            ),
        )
        assert await post(world, session, bare) == 204
        assert _value(world.heard(Observed)[-1].power) == 2_000
        await post(world, session, meter("01", 38, 3_000, now_ms=world.clock.now_ms(), ago_s=600))
        assert _value(world.heard(Observed)[-1].power) == 2_000


async def test_power_of_phases_is_summed_when_all_of_them_are_there(pki: Path) -> None:
    async with World(pki) as world:
        session = world.session()
        now_ms = world.clock.now_ms()
        phases = [
            meter(f"0{n}", 38, value, now_ms=now_ms, phase=code)
            for n, code, value in ((1, 128, 100), (2, 64, 200), (3, 32, None))
        ]
        typed = MirrorMeterReading(mrid="03", reading_type=phases[2].reading_type)
        await post(world, session, phases[0], phases[1], typed)
        assert isinstance(world.heard(Observed)[-1].power, Unknown), "a part is not the whole"
        await post(world, session, meter("03", 38, 300, now_ms=now_ms, phase=32))
        assert _value(world.heard(Observed)[-1].power) == 600
        await post(world, session, meter("04", 38, 590, now_ms=now_ms))
        await world.seconds(2)
        assert _value(world.heard(Observed)[-1].power) == 600, "within the dead band"
        await post(world, session, meter("04", 38, 400, now_ms=world.clock.now_ms()))
        assert _value(world.heard(Observed)[-1].power) == 400, "the total goes before the sum"


@pytest.mark.parametrize("kind", [{"flow_direction": None}, {"flow_direction": 4}, {"uom": 61}])
async def test_power_of_no_known_direction_or_unit_is_unknown(pki: Path, kind: dict[str, Any]) -> None:
    async with World(pki) as world:
        session = world.session()
        given: dict[str, Any] = {"mrid": "01", "uom": 38, "value": 1_000}
        await post(world, session, meter(**{**given, **kind}))
        assert all(isinstance(one.power, Unknown) for one in world.heard(Observed))


async def test_old_readings_and_those_of_the_site_do_not_speak_for_the_der(pki: Path) -> None:
    async with World(pki, rate=400) as world:
        session = world.session()
        await world.send(session, "POST", "/mup", point(world, role=SITE_ROLE, mrid="BB"))
        site = await world.get(session, "/mup?l=9", MirrorUsagePointList)
        assert isinstance(site.items[0], MirrorUsagePoint)
        assert site.items[0].post_rate_s == 10
        await world.send(session, "POST", str(site.items[0].href), meter("01", 38, 700, now_ms=world.clock.now_ms()))
        assert all(isinstance(one.power, Unknown) for one in world.heard(Observed))
        await post(world, session, meter("01", 38, 800, now_ms=world.clock.now_ms()))
        assert _value(world.heard(Observed)[-1].power) == 800
        asking = asyncio.create_task(world.polling(session))
        await world.seconds(100)
        asking.cancel()
        last = world.heard(Observed)[-1].power
        assert isinstance(last, Unknown)
        assert last.why == "its last meter reading of power is too old"


async def test_the_same_point_is_the_same_and_foreign_ones_are_refused(pki: Path) -> None:
    async with World(pki) as world:
        session = world.session()
        first = await world.send(session, "POST", "/mup", point(world))
        assert first[0] == 201
        assert await world.send(session, "POST", "/mup", point(world)) == (204, "No Content", first[2])
        assert (await world.send(session, "POST", "/mup", point(world, "barn")))[0] == 403
        assert (await world.send(world.session("barn"), "POST", first[2], meter("01", 38, 1)))[0] == 404
        for number in range(16, 23):
            last = await world.send(session, "POST", "/mup", point(world, mrid=f"{number:02X}"))
        assert last[0] == 201
        assert (await world.send(session, "POST", "/mup", point(world, mrid="CC")))[0] == 403, "too many"


async def test_readings_that_cannot_be_are_refused_whole(pki: Path) -> None:
    async with World(pki) as world:
        session = world.session()
        _status, _reason, location = await world.send(session, "POST", "/mup", point(world))
        good = meter("01", 38, 500, now_ms=world.clock.now_ms())
        untyped = MirrorMeterReading(mrid="02", reading=Reading(value=1))
        body = MirrorMeterReadingList(total=2, results=2, items=(good, untyped))
        sent = await world.send(session, "POST", location, body)
        assert sent[:2] == (400, "MirrorMeterReading 02: its first one needs a ReadingType")
        assert all(isinstance(one.power, Unknown) for one in world.heard(Observed))
        empty = meter("01", 38, None)
        assert (await world.send(session, "POST", location, empty))[:2] == (
            400,
            "MirrorMeterReading 01: a Reading without value",
        )
        reading = b"<mRID>01</mRID><Reading><value>9e99</value></Reading>"
        huge = b'<MirrorMeterReading xmlns="urn:ieee:std:2030.5:ns">' + reading + b"</MirrorMeterReading>"
        assert (await world.send(session, "POST", location, huge))[0] == 400
        many = [meter(f"{number:04X}", 38, 1) for number in range(65)]
        body = MirrorMeterReadingList(total=65, results=65, items=tuple(many))
        assert (await world.send(session, "POST", location, body))[
            1
        ] == "more than 64 meter readings of one usage point"


# -- what is no body


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (b"", 400, "not well-formed XML"),
        (b"<?xml version='1.0'?><!DOCTYPE a><a/>", 400, "a document type declaration is not allowed"),
        (b"<a>" * 40 + b"</a>" * 40, 400, "elements nested deeper than 32"),
        (b'<DERStatus xmlns="urn:ieee:std:2030.5:ns"/>', 400, "DERStatus (line 1): readingTime missing"),
        (b"\xff\xfe<\x00a\x00", 400, "encoding is not UTF-8"),
        (b" " * (1 << 20) + b"<a/>", 413, "a body over 1048576 octets"),
    ],
)
async def test_a_body_that_is_none_is_refused_in_one_line(pki: Path, body: bytes, status: int, why: str) -> None:
    async with World(pki) as world:
        session = world.session()
        sent = await world.send(session, "PUT", f"/edev/{world.lfdis['roof']}/der/1/ders", body)
        assert sent[0] == status
        assert why in sent[1]
        assert world.heard(Observed)[1:] == []
        async with session.get(world.url + "/dcap") as answer:
            assert answer.status == 200


async def test_another_media_type_or_encoding_is_not_read(pki: Path) -> None:
    async with World(pki) as world:
        session, path = world.session(), f"/edev/{world.lfdis['roof']}/der/1/ders"
        for headers in ({"Content-Type": "application/sep-exi"}, {"Content-Encoding": "gzip"}):
            async with session.put(world.url + path, data=b"<a/>", headers=MEDIA | headers) as answer:
                assert answer.status == 415


async def withheld(world: World) -> asyncio.StreamWriter:
    """Begin to put a document whose body does not come."""
    context, port = world.context("roof"), world.links.link.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    del reader
    head = f"PUT /edev/{world.lfdis['roof']}/der/1/ders HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n"
    writer.write(f"{head}Content-Type: application/sep+xml\r\n\r\n".encode())
    return writer


async def test_bodies_that_do_not_come_hold_nothing_up_for_long(pki: Path) -> None:
    async with World(pki, limits=Limits(body_s=1.0)) as world:
        session, path = world.session(), f"/edev/{world.lfdis['roof']}/der/1/ders"
        writers = [await withheld(world) for _ in range(world.table.bodies_per_client)]
        await world.until(lambda: world.links.link.reading == world.table.bodies_per_client)
        sent = await world.send(session, "PUT", path, DERStatus(reading_time_s=1))
        assert sent[0] in {201, 503}, "it waits for its turn, and no longer than a body may take"
        await world.until(lambda: world.links.link.reading == 0)
        assert (await world.send(session, "PUT", path, DERStatus(reading_time_s=1)))[0] in {201, 204}
        for writer in writers:
            writer.close()
        assert any("no whole body within 1 s" in line for line in world.lines)


async def test_devices_are_not_registered_over_the_wire(pki: Path) -> None:
    async with World(pki) as world:
        sent = await world.send(world.session(), "POST", "/edev", DERStatus(reading_time_s=1))
        assert sent[:2] == (403, "EndDevices are registered out of band, in the site file")


async def test_an_aggregator_mirrors_the_whole_under_its_own_name(pki: Path) -> None:
    lfdis = World(pki).lfdis
    devices = {"home": Sep2ServerDevice("AB" * 20, client_lfdi=lfdis["lower"])}
    async with World(pki, devices=devices) as world:
        session = world.session("lower")
        whole = await world.send(session, "POST", "/mup", point(world, "lower", role=SITE_ROLE))
        assert whole[0] == 201
        sent = await world.send(session, "POST", whole[2], meter("01", 38, 900, now_ms=world.clock.now_ms()))
        assert sent[0] == 201
        assert all(isinstance(one.power, Unknown) for one in world.heard(Observed))
