"""The simulated VTN read by clients that know nothing of this gateway: toadr3 (shapes of 3.0) and openadr3 (3.1).

What toadr3 can read of 3.1: tokens, programs and events without targets, whose every interval
period has a start and no infinite duration; it posts reports and reads them back, because a VTN keeps the programID
that 3.1 dropped. It cannot read string targets, inherited starts, P9999Y or an event without intervals, and one such
event hides the whole list from it. It has no calls for vens and resources.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable

import pytest
import toadr3
from aiohttp import ClientSession
from openadr3.api import body, create_ven_client, success
from openadr3.auth import fetch_token
from pydantic import ValidationError
from toadr3.models import Event, Report

from hil.clock import Clock
from hil.openadr_vtn import Vtn

START_MS = 1_800_000_000_000
SECRET = "only the test knows"
START = dt.datetime(2027, 1, 15, 8, tzinfo=dt.UTC)


@pytest.fixture
async def vtn() -> AsyncIterator[Vtn]:
    served = Vtn("dso", Clock.starting(1, START_MS), client_id="gateway-1", client_secret=SECRET)
    await served.start()
    served.program("envelope", descriptors={"EXPORT_CAPACITY_LIMIT": "KW"})
    served.issue(
        "envelope",
        "day",
        start_s=0,
        duration_s=3600,
        since_ms=START_MS,
        priority=1,
        intervals=[
            {"payloads": {"EXPORT_CAPACITY_LIMIT": 3.5}},
            {"payloads": {"EXPORT_CAPACITY_LIMIT": 2, "PRICE": [0.1, 0.2]}},
        ],
        descriptors={"EXPORT_CAPACITY_LIMIT": "KW"},
        report_descriptors=[{"payloadType": "READING", "units": "KW"}],
    )
    yield served
    await served.stop()


def an_oauth(vtn: Vtn, secret: str = SECRET) -> toadr3.OAuthScopeConfig:
    return toadr3.OAuthScopeConfig(f"{vtn.url}/auth/token", "client_credentials", "read_all", "gateway-1", secret)


async def test_toadr3_reads_programs_events_and_its_own_report(vtn: Vtn) -> None:
    vtn.issue("envelope", "now", {"SIMPLE": 2}, None, 600)
    async with ClientSession() as session, toadr3.ToadrClient(vtn.url, an_oauth(vtn), session) as client:
        (program,) = await client.get_programs()
        event, now = await client.get_events(program_id=program.id)
        assert (program.program_name, event.event_name, event.priority) == ("envelope", "day", 1)
        assert event.interval_period is not None
        assert (event.interval_period.start, event.interval_period.duration) == (START, dt.timedelta(hours=1))
        assert [[one.values for one in interval.payloads] for interval in event.intervals] == [
            [[3.5]],
            [[2], [0.1, 0.2]],
        ]
        assert now.interval_period is not None
        assert str(now.interval_period.start) == "0001-01-01 00:00:00"
        told = await client.post_report(a_report(event))
        assert told.id == "report-1"
        assert await client.get_reports(event_id=event.id) == [told]
        assert await client.get_events(skip=2) == []
    (received,) = vtn.reports
    assert received.body["resources"][0]["intervals"][0]["payloads"] == [{"type": "READING", "values": [2.25]}]


def a_report(event: Event) -> Report:
    assert event.id is not None
    interval = {"id": 0, "payloads": [{"type": "READING", "values": [2.25]}]}
    period = {"start": "2027-01-15T08:00:00Z", "duration": "PT1M"}
    resource = {"resourceName": "house-1", "intervalPeriod": period, "intervals": [interval]}
    return Report.model_validate(
        {"programID": event.program_id, "eventID": event.id, "clientName": "street", "resources": [resource]}
    )


@pytest.mark.parametrize(
    ("secret", "limit", "message"),
    [("wrong", 50, "invalid_client"), (None, 50, "Unauthorized 401"), (SECRET, 51, "Bad Request 400")],
)
async def test_toadr3_is_told_why_it_is_refused(vtn: Vtn, secret: str | None, limit: int, message: str) -> None:
    oauth = None if secret is None else an_oauth(vtn, secret)
    async with ClientSession() as session, toadr3.ToadrClient(vtn.url, oauth, session) as client:
        with pytest.raises(toadr3.ToadrError, match=message):
            await client.get_events(extra_params={"limit": limit})


@pytest.mark.parametrize(
    "issue",
    [
        lambda vtn: vtn.issue("envelope", "odd", {"PRICE": 1}, 0, 60, targets=["gateway-1"]),
        lambda vtn: vtn.issue("envelope", "odd", {"PRICE": 1}, 0, None),
        lambda vtn: vtn.issue("envelope", "odd", start_s=0, intervals=[{"payloads": {}, "duration_s": 60}]),
        lambda vtn: vtn.issue(
            "envelope", "odd", start_s=0, duration_s=60, report_descriptors=[{"payloadType": "USAGE"}]
        ),
    ],
    ids=["string targets", "for ever", "an interval that inherits its start", "reports alone"],
)
async def test_toadr3_cannot_read_what_is_new_in_3_1(vtn: Vtn, issue: Callable[[Vtn], object]) -> None:
    vtn.enrol("street", targets=["gateway-1"])
    issue(vtn)
    async with ClientSession() as session, toadr3.ToadrClient(vtn.url, an_oauth(vtn), session) as client:
        with pytest.raises(ValidationError):
            await client.get_events()


async def test_openadr3_reads_all_of_3_1_and_registers(vtn: Vtn) -> None:
    vtn.issue("envelope", "now", {"SIMPLE": 2}, None, 600)
    vtn.issue(
        "envelope", "mine", start_s=0, duration_s=60, targets=["house-1"], intervals=[{"payloads": {"SIMPLE": 1}}]
    )

    def read() -> None:
        with create_ven_client(vtn.url, fetch_token(vtn.url, "gateway-1", SECRET)) as client:
            (program,) = client.programs()
            assert program.program_name == "envelope"
            assert [event.event_name for event in client.events()] == ["day", "now"]
            day = client.event("event-1")
            first, second = day.resolved_intervals()
            assert first.interval_period is not None
            assert second.interval_period is not None
            assert (first.interval_period.start, second.interval_period.start) == (START, START + dt.timedelta(hours=1))
            assert [[float(value) for value in one.values] for one in second.payloads] == [[2], [0.1, 0.2]]
            ven = body(client.create_ven({"objectType": "VEN_VEN_REQUEST", "venName": "street"}))
            house = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "house-1", "venID": ven["id"]}
            assert success(client.create_resource(house))
            assert [(one.resource_name, one.targets) for one in client.resources()] == [("house-1", ["house-1"])]
            found = client.find_ven_by_name("street")
            assert found is not None
            assert (found.id, found.client_id) == (ven["id"], "gateway-1")
            assert [(event.event_name, event.targets) for event in client.events()][2] == ("mine", ["house-1"])
            interval = {"id": 0, "payloads": [{"type": "READING", "values": [2.25]}]}
            period = {"start": "2027-01-15T08:00:00Z", "duration": "PT1M"}
            resource = {"resourceName": "house-1", "intervalPeriod": period, "intervals": [interval]}
            made = client.create_report({"eventID": day.id, "clientName": "street", "resources": [resource]})
            assert made.status_code == 201
            assert [report.event_id for report in client.reports()] == [day.id]
            assert client.create_program({"programName": "mine"}).status_code == 403

    await asyncio.to_thread(read)
    assert [report.id for report in vtn.reports] == ["report-1"]


async def test_openadr3_cannot_read_the_year_9999(vtn: Vtn) -> None:
    vtn.issue("envelope", "for ever", {"PRICE": 1}, 0, None)

    def read() -> None:
        token = fetch_token(vtn.url, "gateway-1", SECRET)
        with create_ven_client(vtn.url, token) as client, pytest.raises(ValueError, match="year"):
            client.events()

    await asyncio.to_thread(read)
