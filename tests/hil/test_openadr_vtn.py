"""The simulated VTN on real sockets, every answer held against the OpenADR 3.1 schema."""

import asyncio
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from jsonschema import ValidationError
from openadr_contract import CONTRACT, SCHEMA, VtnClient

from hil.clock import Clock
from hil.openadr_vtn import Vtn

START_MS = 1_800_000_000_000
SECRET = "only the test knows"
LIMIT = {"EXPORT_CAPACITY_LIMIT": 3.5}


@pytest.fixture
async def vtn() -> AsyncIterator[Vtn]:
    served = Vtn("dso", Clock.starting(1, START_MS), client_id="gateway-1", client_secret=SECRET)
    await served.start()
    yield served
    await served.stop()


@pytest.fixture
async def client(vtn: Vtn) -> AsyncIterator[VtnClient]:
    async with VtnClient(vtn) as one:
        await one.login("gateway-1", SECRET)
        yield one


def a_report(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    interval = {
        "id": 0,
        "intervalPeriod": {"start": "2027-01-15T08:00:00Z", "duration": "PT1M"},
        "payloads": [{"type": "READING", "values": [2.25]}],
    }
    body = {
        "eventID": event["id"],
        "clientName": "street",
        "resources": [{"resourceName": "house-1", "intervals": [interval]}],
    }
    return body | more


@pytest.mark.skipif(not SCHEMA.exists(), reason="needs ../shared/reference")
def test_the_judge_refuses_what_is_not_the_schema() -> None:
    assert CONTRACT is not None
    event = {"id": "e", "createdDateTime": "2027-01-01T00:00:00Z", "modificationDateTime": "2027-01-01T00:00:00Z"}
    event |= {"objectType": "EVENT", "programID": "p"}
    CONTRACT.check("GET", "/events", 200, "application/json", [event])
    for odd in (
        event | {"objectType": "PROGRAM"},
        event | {"programID": None},
        event | {"createdDateTime": "yesterday"},
        event | {"intervalPeriod": {"start": "0001-01-02"}},
        event | {"intervalPeriod": {"duration": "-PT1H"}},
        event | {"targets": [{"type": "GROUP", "values": ["a"]}]},
    ):
        with pytest.raises(ValidationError):
            CONTRACT.check("GET", "/events", 200, "application/json", [odd])
    with pytest.raises(AssertionError, match="may not answer 204"):
        CONTRACT.check("GET", "/events", 204, "application/json", [])


async def test_a_token_is_found_given_and_wanted(vtn: Vtn) -> None:
    async with VtnClient(vtn) as client:
        nobody = await client.ask("GET", "/events")
        assert (nobody.status, nobody.body["title"]) == (401, "Unauthorized")
        assert nobody.headers["WWW-Authenticate"].startswith("Bearer")
        assert not vtn.contacted.is_set()
        form = {"grant_type": "client_credentials", "client_id": "gateway-1", "client_secret": SECRET}
        given = await client.ask("POST", "/auth/token", form=form)
        assert given.headers["Cache-Control"] == "no-store"
        assert given.body["expires_in"] == 3600
        for change, status, error in (
            ({"client_secret": "wrong"}, 401, "invalid_client"),
            ({"client_id": "stranger"}, 401, "invalid_client"),
            ({"client_secret": ""}, 400, "invalid_request"),
            ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ):
            refused = await client.ask("POST", "/auth/token", form=form | change)
            assert (refused.status, refused.body["error"]) == (status, error)
            assert SECRET not in str(refused)
        client.token = given.body["access_token"]
        assert await client.get("/events") == []
        assert vtn.contacted.is_set()
        vtn.tokens.revoke()
        assert (await client.ask("GET", "/events")).status == 401


async def test_a_token_ends_and_basic_credentials_do_as_well() -> None:
    vtn = Vtn("dso", Clock.starting(100, START_MS), client_id="gateway-1", client_secret=SECRET)
    vtn.tokens.lifetime_s = 30
    await vtn.start()
    async with VtnClient(vtn) as client:
        await client.login("gateway-1", SECRET)
        assert (await client.ask("GET", "/programs")).status == 200
        await asyncio.sleep(0.35)
        assert (await client.ask("GET", "/programs")).status == 401
        basic = aiohttp.encode_basic_auth("gateway-1", SECRET)
        async with client.session.post(
            f"{vtn.url}/auth/token", data={"grant_type": "client_credentials"}, headers={"Authorization": basic}
        ) as reply:
            assert reply.status == 200
    await vtn.stop()


async def test_programs_and_events_read_as_they_were_issued(vtn: Vtn, client: VtnClient) -> None:
    program = vtn.program("envelope", descriptors={"EXPORT_CAPACITY_LIMIT": "KW"}, attributes=[])
    vtn.issue(
        "envelope",
        "noon",
        {"EXPORT_CAPACITY_LIMIT": 3.5, "PRICE": [0.1, 0.2]},
        60,
        5400,
        since_ms=START_MS,
        priority=0,
        randomize_start_s=90,
        descriptors={"EXPORT_CAPACITY_LIMIT": "KW", "PRICE": {"units": "KWH", "currency": "EUR"}},
        report_descriptors=[{"payloadType": "READING", "units": "KW", "frequency": 1, "repeat": -1}],
    )
    assert await client.get("/programs") == [await client.get(f"/programs/{program['id']}")] == [program]
    (event,) = await client.get("/events")
    assert event == await client.get(f"/events/{event['id']}")
    assert event["programID"] == program["id"]
    assert event["intervalPeriod"] == {
        "start": "2027-01-15T08:01:00Z",
        "duration": "PT1H30M",
        "randomizeStart": "PT1M30S",
    }
    assert event["intervals"] == [
        {
            "id": 0,
            "payloads": [
                {"type": "EXPORT_CAPACITY_LIMIT", "values": [3.5]},
                {"type": "PRICE", "values": [0.1, 0.2]},
            ],
        }
    ]
    assert [one["currency"] for one in event["payloadDescriptors"] if "currency" in one] == ["EUR"]
    assert event["priority"] == 0
    assert "targets" not in event


async def test_intervals_inherit_or_say_their_own_and_now_is_a_word(vtn: Vtn, client: VtnClient) -> None:
    vtn.program("envelope")
    vtn.issue("envelope", "for ever", LIMIT)
    vtn.issue(
        "envelope",
        "day",
        start_s=0,
        duration_s=3600,
        since_ms=START_MS,
        intervals=[
            {"payloads": LIMIT},
            {"payloads": LIMIT, "duration_s": 0, "id": 9},
            {"payloads": LIMIT, "start_s": 7200, "randomize_start_s": 60},
        ],
    )
    first, second = await client.get("/events")
    assert first["intervalPeriod"] == {"start": "0001-01-01", "duration": "P9999Y"}
    assert [one.get("intervalPeriod") for one in second["intervals"]] == [
        None,
        {"duration": "PT0S"},
        {"randomizeStart": "PT1M", "start": "2027-01-15T10:00:00Z"},
    ]
    assert [one["id"] for one in second["intervals"]] == [0, 9, 2]


async def test_a_modification_is_told_by_its_time_and_a_deletion_by_absence(vtn: Vtn, client: VtnClient) -> None:
    vtn.program("envelope")
    before = vtn.issue("envelope", "limit", LIMIT, 0, 600, priority=3)
    (listed,) = await client.get("/events")
    vtn.modify("limit", payloads={"EXPORT_CAPACITY_LIMIT": 1}, duration_s=60)
    vtn.modify("limit", start_s=120)
    after = await client.get(f"/events/{listed['id']}")
    assert before["modificationDateTime"] < after["modificationDateTime"]
    assert before["createdDateTime"] == after["createdDateTime"]
    assert (after["priority"], after["intervalPeriod"]["duration"]) == (3, "PT1M")
    assert after["intervals"][0]["payloads"][0]["values"] == [1]
    assert after["intervalPeriod"]["start"] > before["intervalPeriod"]["start"]
    vtn.delete("limit")
    assert await client.get("/events") == []
    assert (await client.ask("GET", f"/events/{listed['id']}")).status == 404
    again = vtn.issue("envelope", "limit", LIMIT)
    assert again["id"] != before["id"]


async def test_pages_are_cut_and_filters_are_joined(vtn: Vtn, client: VtnClient) -> None:
    for name in ("envelope", "prices"):
        vtn.program(name)
    for number in range(5):
        vtn.issue("envelope", f"limit-{number}", LIMIT, -60 * number, 90)
    vtn.issue("prices", "asks", start_s=-60, duration_s=30, report_descriptors=[{"payloadType": "USAGE"}])
    vtn.issue("prices", "price", {"PRICE": 0.2})
    ids = [event["id"] for event in await client.get("/events")]
    assert [event["id"] for event in await client.get("/events?skip=1&limit=2")] == ids[1:3]
    assert "intervals" not in (await client.get("/events?skip=5"))[0]
    assert await client.get("/events?limit=0") == []
    vtn.page_limit = 4
    assert [event["id"] for event in await client.get("/events?limit=50")] == ids[:4]
    assert [event["id"] for event in await client.get("/events?limit=50&skip=4")] == ids[4:]
    prices = vtn.programs[1]["id"]
    assert [event["eventName"] for event in await client.get(f"/events?programID={prices}&active=true")] == ["price"]
    active = await client.get("/events?active=true")
    assert [event["eventName"] for event in active] == ["limit-0", "limit-1", "price"]
    for wrong in ("limit=51", "limit=x", "skip=-1"):
        refused = await client.ask("GET", f"/events?{wrong}")
        assert (refused.status, refused.headers["Content-Type"].partition(";")[0]) == (400, "application/problem+json")


async def test_targets_are_seen_by_those_to_whom_they_were_granted(vtn: Vtn, client: VtnClient) -> None:
    vtn.rules.grants = {"street": ["feeder-7", "spare"]}
    vtn.program("envelope")
    for name, targets in (("all", None), ("mine", ["house-1", "elsewhere"]), ("group", ["feeder-7"]), ("not", ["x"])):
        vtn.issue("envelope", name, LIMIT, targets=targets)

    async def seen(query: str = "") -> list[str]:
        return [event["eventName"] for event in await client.get(f"/events{query}")]

    assert await seen() == ["all"]
    ven = (await client.ask("POST", "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "street"})).body
    assert await seen() == ["all", "group"]
    resource = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "house-1", "venID": ven["id"]}
    assert (await client.ask("POST", "/resources", resource)).body["targets"] == ["house-1"]
    assert await seen() == ["all", "mine", "group"]
    assert [event.get("targets") for event in await client.get("/events")] == [None, ["house-1"], ["feeder-7"]]
    assert await seen("?targets=feeder-7&targets=x") == ["group"]
    vtn.rules.targets_asked = True
    assert await seen() == ["all"]
    assert await seen("?targets=house-1&targets=feeder-7") == ["mine", "group"]
    hidden = next(event["id"] for event in vtn.events if event["eventName"] == "not")
    assert (await client.ask("GET", f"/events/{hidden}")).status == 404


async def test_a_ven_registers_itself_once_and_keeps_to_its_own(vtn: Vtn, client: VtnClient) -> None:
    ven = {"objectType": "VEN_VEN_REQUEST", "venName": "street"}
    made = await client.ask("POST", "/vens", ven | {"id": "mine", "createdDateTime": "2000-01-01T00:00:00Z"})
    assert made.status == 201
    assert (made.body["id"], made.body["clientID"], made.body["objectType"]) == ("ven-1", "gateway-1", "VEN")
    assert made.body["createdDateTime"].startswith("2027-01-15T08:0")
    assert (await client.ask("POST", "/vens", ven)).status == 409
    house = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "house-1", "venID": "ven-1"}
    assert (await client.ask("POST", "/resources", house)).status == 201
    assert (await client.ask("POST", "/resources", house)).status == 409
    assert (await client.ask("POST", "/resources", house | {"venID": "ven-9"})).status == 400
    changed = await client.ask("PUT", "/resources/resource-1", house | {"attributes": [{"type": "A", "values": [1]}]})
    assert (changed.status, changed.body["targets"]) == (200, ["house-1"])
    assert [one["id"] for one in await client.get("/vens?venName=street")] == ["ven-1"]
    assert await client.get("/resources?resourceName=house-2") == []
    assert [one["id"] for one in await client.get("/resources?venID=ven-1")] == ["resource-1"]
    for body, status in (
        ({"objectType": "VEN_VEN_REQUEST"}, 400),
        ({"objectType": "BL_VEN_REQUEST", "venName": "x", "clientID": "y"}, 403),
        (ven | {"venName": "other", "targets": ["feeder-7"]}, 403),
    ):
        assert (await client.ask("POST", "/vens", body)).status == status
    assert (await client.ask("POST", "/events", {"programID": "program-1"})).status == 403
    vtn.clients["gateway-2"] = "another"
    async with VtnClient(vtn) as other:
        await other.login("gateway-2", "another")
        assert await other.get("/vens") == await other.get("/resources") == []
        assert (await other.ask("GET", "/vens/ven-1")).status == 404
    assert (await client.ask("DELETE", "/vens/ven-1")).status == 200
    assert vtn.vens == vtn.resources == []
    bodies = vtn.enrol("street", {"house-1": ["house-1"]}, targets=["feeder-7"])
    assert await client.get("/vens") == [bodies]
    vtn.forget()
    assert (await client.ask("GET", "/vens")).status == 401


async def test_reports_are_kept_in_the_order_of_receipt(vtn: Vtn, client: VtnClient) -> None:
    vtn.program("envelope")
    event = vtn.issue("envelope", "limit", LIMIT)
    made = await client.ask("POST", "/reports", a_report(event, reportName="first"))
    assert (made.status, made.body["clientID"], made.body["objectType"]) == (201, "gateway-1", "REPORT")
    replaced = await client.ask("PUT", f"/reports/{made.body['id']}", a_report(event, reportName="better"))
    assert replaced.status == 200
    assert [(one.method, one.id, one.body["reportName"]) for one in vtn.reports] == [
        ("POST", "report-1", "first"),
        ("PUT", "report-1", "better"),
    ]
    assert vtn.reports[0].t_ms <= vtn.reports[1].t_ms
    assert await client.get(f"/reports?eventID={event['id']}&clientName=street") == [replaced.body]
    assert await client.get(f"/reports?programID={event['programID']}") == [replaced.body]
    assert await client.get("/reports?clientName=other") == []
    for odd, status in (
        ({"eventID": event["id"]}, 400),
        (a_report(event, resources=[{"resourceName": "house-1"}]), 400),
        (a_report(event, resources="none"), 400),
        (a_report({"id": "event-9"}), 409),
    ):
        refused = await client.ask("POST", "/reports", odd)
        assert (refused.status, refused.body["status"]) == (status, status)
    start = {"start": "2027-01-15T08:00:00"}
    resources = [{"resourceName": "house-1", "intervalPeriod": start, "intervals": []}]
    assert (await client.ask("POST", "/reports", a_report(event, resources=resources))).status == 400
    vtn.rules.unique_reports = True
    assert (await client.ask("POST", "/reports", a_report(event, reportName="better"))).status == 409
    assert (await client.ask("POST", "/reports", a_report(event))).status == 201
    assert (await client.ask("DELETE", "/reports/report-1")).status == 200
    assert len(vtn.reports) == 3


async def test_its_clock_is_in_the_header_the_metadata_and_the_starts(vtn: Vtn, client: VtnClient) -> None:
    vtn.date_offset_ms = 3_600_000
    vtn.program("envelope")
    event = vtn.issue("envelope", "limit", LIMIT, 0, 60, since_ms=START_MS)
    told = (await client.ask("GET", "/events")).headers["Date"]
    assert 0 <= parsedate_to_datetime(told).timestamp() - START_MS / 1000 - 3600 < 30
    assert event["intervalPeriod"]["start"] == "2027-01-15T09:00:00Z"
    assert event["createdDateTime"].startswith("2027-01-15T09:00:")


async def test_outages_end_and_nothing_is_lost(vtn: Vtn, client: VtnClient) -> None:
    vtn.program("envelope")
    await vtn.set_outage("error")
    failed = await client.ask("GET", "/programs")
    assert (failed.status, failed.body["title"]) == (500, "Internal Server Error")
    await vtn.set_outage("refuse")
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.get("/programs")
    await vtn.set_outage("hang")
    waiting = asyncio.create_task(client.get("/programs"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await vtn.set_outage(None)
    assert len(await waiting) == len(await client.get("/programs")) == 1
    assert [(one.method, one.path, one.status) for one in vtn.requests[-3:]] == [
        ("GET", "/programs", 500),
        ("GET", "/programs", 200),
        ("GET", "/programs", 200),
    ]


async def test_odd_events_and_odd_answers_are_served_as_they_are(vtn: Vtn, client: VtnClient) -> None:
    odd = {"eventName": "odd", "intervals": "none", "id": None}
    vtn.program("envelope")
    vtn.raw_event(odd)
    vtn.issue("envelope", "good", LIMIT)
    async with client.session.get(f"{vtn.url}/events", headers={"Authorization": f"Bearer {client.token}"}) as reply:
        listed = await reply.json()
    assert [event["eventName"] for event in listed] == ["odd", "good"]
    assert listed[0] == odd
    vtn.raw_event({"id": "own", "eventName": "odd too"})
    report = a_report({"id": "own"})
    assert (await client.ask("POST", "/reports", report)).status == 201
    vtn.delete("odd")
    vtn.delete("odd too")
    assert [event["eventName"] for event in await client.get("/events")] == ["good"]

    def busy(request: web.Request) -> web.Response | None:
        return web.Response(status=429, headers={"Retry-After": "7"}) if "skip=1" in request.query_string else None

    vtn.intercept = busy
    async with client.session.get(f"{vtn.url}/events?skip=1") as reply:
        assert (reply.status, reply.headers["Retry-After"]) == (429, "7")
    assert len(await client.get("/events")) == 1


def test_wrong_words_of_a_scenario_are_told() -> None:
    vtn = Vtn("dso", Clock.parse("real"), client_id="gateway-1", client_secret=SECRET)
    vtn.program("envelope")
    vtn.issue("envelope", "limit", LIMIT)
    for wrong, message in (
        (lambda: vtn.program("envelope"), 'already holds program "envelope"'),
        (lambda: vtn.issue("price", "limit"), 'holds event "limit"'),
        (lambda: vtn.issue("price", "other"), 'no program "price"'),
        (lambda: vtn.issue("envelope", "other", LIMIT, 0, -1), "duration of -1 s"),
        (lambda: vtn.issue("envelope", "other", intervals=[{"values": 1}]), "interval is not readable"),
        (lambda: vtn.modify("limit", value=3), "an event has no value"),
        (lambda: vtn.modify("other"), 'no event "other"'),
        (lambda: vtn.delete("other"), 'no event "other"'),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
    assert [event["eventName"] for event in vtn.events] == ["limit"]
