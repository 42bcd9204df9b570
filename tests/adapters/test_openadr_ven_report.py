"""What a VTN is told: who we are, what is read, what becomes of what it asked for; nothing is lost in an outage."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openadr_world import HOUR_S, PROFILE, VtnWorld, known, make_certificate

from gateway.core.answers import Kind
from gateway.core.known import Unknown
from gateway.northbound.openadr_ven.spool import Spool

READING = {"payloadType": "READING", "units": "KW"}
STATE = {"payloadType": "OPERATING_STATE"}
QUIET = {**PROFILE, "report": {"unasked": []}}


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("vtn"))


def values(report: dict[str, Any]) -> dict[str, list[Any]]:
    """Give each resource's payloads of a report in their order."""
    return {
        one["resourceName"]: [each["values"][0] for each in one["intervals"][0]["payloads"]]
        for one in report["resources"]
    }


# -- who we are


async def test_the_ven_and_its_resources_are_made_known_once(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        await world.until(lambda: len(world.vtn.resources) == 2)
        assert [one["venName"] for one in world.vtn.vens] == ["street gateway"]
        assert [one["resourceName"] for one in world.vtn.resources] == ["HOUSE-1", "house-2"]
        await world.disconnect()
        world.connect()
        await world.rounds()
        assert world.asked("POST") == {"/auth/token": 2, "/vens": 1, "/resources": 2}
        assert world.lines == []


async def test_what_the_vtn_does_not_let_us_create_is_said_once_and_events_are_obeyed(
    pem: Path, tmp_path: Path
) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        await world.disconnect()
        world.vtn.requests.clear()
        world.vtn.vens.clear()
        world.vtn.forget()

        def refuse(request: web.Request) -> web.Response | None:
            return web.Response(status=403) if request.method == "POST" and request.path.endswith("/vens") else None

        world.vtn.intercept = refuse
        name = world.issue("limit")
        world.connect()
        await world.ordered(f"{name}/0")
        await world.seconds(300)
        assert world.asked("POST")["/vens"] == 1
        assert world.told("may not be created") == [
            'dso: VEN "street gateway" may not be created by us; have it created at the VTN'
        ]


async def test_with_writing_forbidden_nothing_is_sent_and_what_is_owed_stays_owed(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, may_write=False) as world:
        name = world.issue("limit", report_descriptors=[READING, STATE])
        (order,) = await world.ordered(f"{name}/0")
        world.owe(order, [Kind.STARTED])
        await world.seconds(100)
        assert world.asked("POST") == {"/auth/token": 1}
        assert world.delivered() == []
        assert not world.spool.exists()


# -- what is read


async def test_readings_are_reported_at_their_rate_for_the_event_that_asks(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, profile=QUIET) as world:
        descriptors = [READING, {"payloadType": "READING", "units": "VOLTS"}, {**READING, "aggregate": True}]
        name = world.issue("limit", report_descriptors=[*descriptors, {"payloadType": "USAGE", "units": "KWH"}])
        await world.until(lambda: len(world.reports()) >= 6)
        bodies = world.reports()
        assert {body["eventID"] for body in bodies} == {name}
        assert {body["clientName"] for body in bodies} == {"street gateway"}
        by_unit = {(one["payloadDescriptors"][0]["units"], len(one["resources"])): values(one) for one in bodies}
        assert by_unit == {
            ("KW", 2): {"HOUSE-1": [-2.0, "OK"], "house-2": [-2.0, "OK"]},
            ("VOLTS", 2): {"HOUSE-1": [230.4, "OK"], "house-2": [230.4, "OK"]},
            ("KW", 1): {"AGGREGATED_REPORT": [-4.0, "OK"]},
        }
        received = [one.t_ms for one in world.vtn.reports][::3]
        assert all(15_000 < after - before < 40_000 for before, after in pairwise(received))
        assert len(world.told("USAGE in KWH")) == 1


async def test_what_is_unknown_is_missing_and_never_zero(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        world.samples[0] = world.samples[0]._replace(power=Unknown("no answer", 0))
        world.issue("limit")
        await world.until(lambda: len(world.reports()) >= 2)
        each, whole = (values(body) for body in world.reports()[:2])
        assert each == {"HOUSE-1": ["MISSING"], "house-2": [-2.0, "OK"]}
        assert whole == {"AGGREGATED_REPORT": [-2.0, "ESTIMATED"]}


async def test_whoever_is_not_the_parent_is_shown_nothing(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, is_parent=False) as world:
        name = world.issue("limit", report_descriptors=[READING])
        await world.ordered(f"{name}/0")
        await world.seconds(100)
        assert world.vtn.reports == []


async def test_readings_of_an_outage_are_sent_after_it_in_order(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, profile=QUIET) as world:
        world.issue("limit", report_descriptors=[READING], duration_s=None)
        await world.until(world.reports)
        await world.vtn.set_outage("refuse")
        before = len(world.reports())
        await world.seconds(200)
        await world.vtn.set_outage(None)
        await world.until(lambda: len(world.reports()) >= before + 8)
        starts = [body["resources"][0]["intervalPeriod"]["start"] for body in world.reports()]
        assert starts == sorted(set(starts))
        assert len(starts) == len({body["reportName"] for body in world.reports()})


async def test_readings_survive_the_end_of_the_gateway(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, profile=QUIET) as world:
        world.issue("limit", report_descriptors=[READING], duration_s=None)
        await world.until(world.reports)
        await world.vtn.set_outage("refuse")
        sent = len(world.reports())
        world.samples[0] = world.samples[0]._replace(power=known(777))
        await world.seconds(100)
        await world.disconnect()
        waiting = Spool(world.spool)
        kept = len(waiting)
        waiting.close()
        assert kept >= 3
        world.samples.clear()
        await world.vtn.set_outage(None)
        world.connect()
        await world.until(lambda: len(world.reports()) >= sent + kept)
        assert values(world.reports()[sent + kept - 1])["HOUSE-1"] == [-0.777, "OK"]


async def test_a_report_that_the_vtn_has_already_is_sent(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, profile=QUIET) as world:
        world.issue("limit", report_descriptors=[READING])
        answers = [409, 403]

        def intercept(request: web.Request) -> web.Response | None:
            return web.Response(status=answers.pop(0)) if answers and request.path.endswith("/reports") else None

        world.vtn.intercept = intercept
        await world.until(lambda: len(world.reports()) >= 2)
        assert answers == []
        assert len(world.told("is given up: status 403")) == 1
        assert world.told("409") == []


def test_the_oldest_reports_go_first_and_the_gap_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", kept_max=3)
    spool.put("answer", "e", 0, 0, b"answer", 7)
    for at in range(5):
        spool.put(f"report {at}", "e", 1_000 * at, 1_000 * at + 1_000, str(at).encode())
    spool.close()
    again = Spool(tmp_path / "spool", kept_max=3)
    gap = again.gap()
    assert gap is not None
    assert (gap.event, gap.start_ms, gap.end_ms, gap.dropped) == ("e", 0, 3_000, 3)
    again.told(gap)
    assert again.gap() is None
    bodies = []
    while (kept := again.next()) is not None:
        bodies.append(kept.body)
        again.done(kept.place)
    assert bodies == [b"answer", b"3", b"4"]
    again.close()


def test_a_file_that_is_no_queue_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "spool"
    file.write_bytes(b"no database at all, " * 500)
    spool = Spool(file)
    spool.put("report", "e", 0, 1, b"body")
    assert len(spool) == 1
    spool.close()
    assert (tmp_path / "spool.broken").exists()
    assert "put aside" in caplog.text


async def test_a_gap_is_declared_before_what_came_after_it(
    pem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.northbound.openadr_ven.link.KEPT_MAX", 2)
    async with VtnWorld(pem, tmp_path, profile=QUIET) as world:
        name = world.issue("limit", report_descriptors=[READING])
        await world.until(world.reports)
        await world.vtn.set_outage("refuse")
        await world.seconds(200)
        await world.vtn.set_outage(None)
        await world.until(lambda: world.reports("DATA_QUALITY"))
        declared = world.reports("DATA_QUALITY")[0]
        assert (declared["eventID"], values(declared)) == (name, {"AGGREGATED_REPORT": ["MISSING"]})
        assert world.told("reports on event")


# -- what becomes of what it asked for


async def test_an_answer_without_a_word_is_delivered_at_once(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, profile=QUIET) as world:
        name = world.issue("limit")
        (order,) = await world.ordered(f"{name}/0")
        world.owe(order, [Kind.RECEIVED, Kind.STARTED, Kind.COMPLETED])
        await world.until(lambda: len(world.delivered()) == 3)
        assert world.vtn.reports == []


async def test_an_event_that_asks_for_the_operating_state_is_told_of_each_answer(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, profile=QUIET) as world:
        plans = [{"payloads": {"EXPORT_CAPACITY_LIMIT": 1}, "id": 4, "duration_s": HOUR_S}]
        name = world.issue("limit", intervals=plans, report_descriptors=[STATE])
        (order,) = await world.ordered(f"{name}/4")
        assert (order.reply.to, order.reply.progress) == (name, True)
        await world.vtn.set_outage("error")
        world.owe(order, [Kind.STARTED, Kind.SUSPENDED, Kind.CANNOT])
        await world.until(lambda: world.delivered() == [2])
        await asyncio.sleep(0.1)
        assert world.delivered() == [2]
        await world.vtn.set_outage(None)
        await world.until(lambda: world.delivered() == [2, 1, 3])
        told = world.reports("OPERATING_STATE")
        assert [(body["eventID"], values(body)) for body in told] == [
            (name, {"HOUSE-1": ["RUNNING_CURTAILED"]}),
            (name, {"HOUSE-1": ["ERROR"]}),
        ]
        assert {body["resources"][0]["intervals"][0]["id"] for body in told} == {4}
