"""A bench process with a VTN: where it listens is told, steps act on it, what it got is shown."""

import asyncio
import json
import signal
import ssl
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession

from hil.clock import Clock
from hil.scenario import ScenarioError, load

STREET = """
name = "vtn"
begins = "contact"

[[inverter]]
name = "roof"

[[vtn]]
name = "dso"
client_id = "gateway-1"
page_limit = 3
grants = { street = ["feeder-7"] }
[[vtn.program]]
name = "envelope"
descriptors = { EXPORT_CAPACITY_LIMIT = "KW" }
"""
TIMELINE = """
[[step]]
at_s = 0
[step.vtn_issue]
vtn = "dso"
program = "envelope"
name = "limit"
payloads = { EXPORT_CAPACITY_LIMIT = 2.5 }
start_s = 30
duration_s = 600
descriptors = { EXPORT_CAPACITY_LIMIT = "KW" }
priority = 0
randomize_start_s = 10
[[step]]
at_s = 1
vtn_raw = { vtn = "dso", body = { eventName = "odd" } }
[[step]]
at_s = 2
[step.vtn_issue]
vtn = "dso"
program = "envelope"
name = "day"
intervals = [{ payloads = { SIMPLE = 1 }, duration_s = 60 }, { payloads = { SIMPLE = 2 }, duration_s = 60 }]
report_descriptors = [{ payloadType = "READING", units = "KW" }]
[[step]]
at_s = 3
vtn_modify = { vtn = "dso", name = "limit", payloads = { EXPORT_CAPACITY_LIMIT = 1.5 }, start_s = 5 }
[[step]]
at_s = 4
vtn_delete = { vtn = "dso", name = "day" }
"""


@asynccontextmanager
async def serving(folder: Path, text: str, *more: str) -> AsyncIterator[tuple[Process, dict[str, Any]]]:
    scenario = folder / "vtn.toml"
    scenario.write_text(text)
    arguments = ("serve", str(scenario), "--pki", str(folder), "--clock", str(Clock.starting(20, 1_800_000_000_000)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hil", *arguments, *more, stdout=PIPE, stderr=PIPE
    )
    try:
        assert process.stdout is not None
        first = await asyncio.wait_for(process.stdout.readline(), 30)
        assert first, (await process.communicate())[1]
        yield process, json.loads(first)["ready"]
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.communicate()


class Ven:
    """The least that a client needs: the secret from its file, the trust from its file, a token."""

    def __init__(self, where: dict[str, Any], session: ClientSession) -> None:
        self.where, self.session = where, session
        self.secret = Path(where["secret_file"]).read_text().strip()
        self.tls = ssl.create_default_context(cafile=where["trust"]) if where["trust"] else True

    async def login(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.where["client_id"],
            "client_secret": self.secret,
        }
        async with self.session.post(f"{self.where['url']}/auth/token", data=form, ssl=self.tls) as reply:
            assert reply.status == 200
            self.headers = {"Authorization": f"Bearer {(await reply.json())['access_token']}"}

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        async with self.session.request(
            method, f"{self.where['url']}{path}", json=body, headers=self.headers, ssl=self.tls
        ) as reply:
            return await reply.json()


async def test_a_timeline_issues_modifies_and_deletes_over_tls(tmp_path: Path) -> None:
    async with serving(tmp_path, STREET + TIMELINE) as (process, ready), ClientSession() as session:
        where = ready["vtns"]["dso"]
        assert where["url"].startswith("https://127.0.0.1:")
        assert where["client_id"] == "gateway-1"
        assert mode_of(where["secret_file"]) == 0o600
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(where["url"])
        ven = Ven(where, session)
        await ven.login()
        await asyncio.sleep(0.3)
        event = await last_event(ven)
        interval = {"id": 0, "payloads": [{"type": "READING", "values": [1.0]}]}
        resources = [{"resourceName": "roof", "intervals": [interval]}]
        await ven.ask("POST", "/reports", {"eventID": event["id"], "clientName": "street", "resources": resources})
        process.send_signal(signal.SIGTERM)
        out, errors = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, errors) == (0, b"")
    assert event["intervalPeriod"]["duration"] == "PT10M"
    lines = [json.loads(line) for line in out.splitlines()]
    kinds = [line["kind"] for line in lines if line["kind"].startswith("vtn_")]
    assert kinds == ["vtn_issued", "vtn_issued", "vtn_issued", "vtn_modified", "vtn_deleted", "vtn_report"]
    begun = next(line for line in lines if line["kind"] == "begun")
    assert begun["t_ms"] >= ready["start_ms"] + 6_000
    assert lines[-1]["kind"] == "summary"
    assert lines[-1]["reports"] == 1


def mode_of(file: str) -> int:
    return stat.S_IMODE(Path(file).stat().st_mode)


async def last_event(ven: Ven) -> Any:
    """The event "limit" once the timeline has modified it and has deleted the event that came after it."""
    async with asyncio.timeout(20):
        while True:
            events = await ven.ask("GET", "/events")
            if [one.get("eventName") for one in events] == ["limit", "odd"] and told_by(events[0]) == 1.5:
                return events[0]
            await asyncio.sleep(0.02)


def told_by(event: Any) -> Any:
    return event["intervals"][0]["payloads"][0]["values"][0]


async def test_the_admin_port_drives_a_plain_vtn_and_shows_what_it_got(tmp_path: Path) -> None:
    text = STREET.replace("page_limit", "tls = false\npage_limit")
    async with serving(tmp_path, text, "--admin", "0") as (_process, ready), ClientSession() as session:
        where = ready["vtns"]["dso"]
        assert (where["trust"], where["url"].partition(":")[0]) == (None, "http")

        async def act(action: dict[str, Any]) -> tuple[int, Any]:
            async with session.post(f"{ready['admin']}/act", json=action) as reply:
                return reply.status, await reply.json()

        ven = Ven(where, session)
        await ven.login()
        named = await ven.ask("POST", "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "street"})
        assert named["targets"] == ["feeder-7"]
        issue = {"vtn": "dso", "program": "envelope", "name": "now", "payloads": {"SIMPLE": 1}, "duration_s": 60}
        assert (await act({"vtn_issue": issue | {"targets": ["feeder-7"], "since_ms": ready["start_ms"]}}))[0] == 200
        assert (await act({"vtn_issue": issue})) == (400, {"error": 'VTN "dso" already holds event "now"'})
        assert (await act({"vtn_issue": issue | {"program": "none"}}))[0] == 400
        assert (await act({"vtn_delete": {"vtn": "none", "name": "now"}}))[0] == 400
        change: dict[str, Any] = {"vtn": "dso", "name": "now", "duration_s": None, "priority": 2, "intervals": []}
        assert (await act({"vtn_modify": change}))[0] == 200
        (event,) = await ven.ask("GET", "/events")
        assert (event["intervalPeriod"]["duration"], event["priority"]) == ("P9999Y", 2)
        assert event["intervals"][0]["payloads"] == [{"type": "SIMPLE", "values": [1]}]
        assert (await act({"vtn_outage": {"vtn": "dso", "how": "refuse"}}))[0] == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await ven.ask("GET", "/events")
        assert (await act({"vtn_outage": {"vtn": "dso", "how": "none"}}))[0] == 200
        assert len(await ven.ask("GET", "/events")) == 1
        async with session.get(f"{ready['admin']}/state") as reply:
            state = (await reply.json())["vtns"]["dso"]
    assert state["url"] == where["url"]
    assert state["events"] == [event]
    assert [one["venName"] for one in state["vens"]] == ["street"]
    assert [one["path"] for one in state["requests"]] == ["/auth/token", "/vens", "/events", "/events"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('vtn_delete = { vtn = "dso"', 'vtn_delete = { vtn = "dos"'), 'at_s = 4.*vtn "dos" is not.*dso'),
        (('program = "envelope"', 'program = "none"'), 'program "none".*envelope'),
        (("page_limit", "page_limits"), "page_limits"),
        (("duration_s = 60 }, {", "lasts_s = 60 }, {"), "lasts_s"),
        (('[[vtn]]\nname = "dso"', '[[vtn]]\nname = "dso"\n[[vtn]]\nname = "dso"'), "vtn dso occurs twice"),
    ],
)
def test_a_faulty_vtn_of_a_scenario_is_told_in_one_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    scenario = tmp_path / "vtn.toml"
    scenario.write_text((STREET + TIMELINE).replace(*change))
    with pytest.raises(ScenarioError, match=message):
        load(scenario)
