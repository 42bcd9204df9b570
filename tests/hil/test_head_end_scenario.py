import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from head_end_bench import SCHEMA, SEP_XML, client_of, make_pki
from lxml import etree

from hil.__main__ import main
from hil.clock import Clock
from hil.scenario import Issue, ScenarioError, Verdict, action_of, judge, load
from hil.sep2.records import Answer

STREET = Path(__file__).parents[2] / "hil" / "scenarios" / "street.toml"
LFDI = "AB" * 16 + "00009D6C"
SMALL = f"""
name = "small"
begins = "contact"
measure_s = 5

[[inverter]]
name = "roof"
resource = "house"
rated_w = 5000
unit = 3

[[resource]]
name = "house"
lfdi = "{LFDI}"

[[head_end]]
name = "dso"
certificate = "dso"
[[head_end.program]]
name = "envelope"
primacy = 3
default = {{ opModExpLimW = 1500 }}
"""
TIMELINE = """
[[step]]
at_s = 0
[step.issue]
head_end = "dso"
program = "envelope"
name = "limit"
modes = { opModExpLimW = 9 }
start_s = 0
duration_s = 60
expect = 3
[[step]]
at_s = 5
irradiance = { fraction = 0.5 }
[[step]]
at_s = 20
proof = { name = "half the light", at_least_w = 2450, at_most_w = 2550 }
[[step]]
at_s = 100
end = true
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    make_pki(folder, "gateway", "dso", "market")
    return folder


async def serve(scenario: Path, pki: Path, *more: str) -> tuple[Process, dict[str, Any]]:
    clock = Clock.starting(50, 1_800_000_000_000)
    arguments = ("-m", "hil", "serve", str(scenario), "--pki", str(pki), "--clock", str(clock), *more)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    first = await asyncio.wait_for(process.stdout.readline(), 20)
    return process, json.loads(first)["ready"]


async def rest_of(process: Process) -> list[dict[str, Any]]:
    out, errors = await asyncio.wait_for(process.communicate(), 20)
    assert errors == b""
    return [json.loads(line) for line in out.splitlines()]


async def respond(client: aiohttp.ClientSession, url: str, mrid: str, *statuses: int) -> None:
    for status in statuses:
        body = (
            '<DERControlResponse xmlns="urn:ieee:std:2030.5:ns">'
            f"<endDeviceLFDI>{LFDI}</endDeviceLFDI><status>{status}</status><subject>{mrid}</subject></DERControlResponse>"
        )
        async with client.post(url.replace("/dcap", "/rsps/1/rsp"), data=body, headers=SEP_XML) as reply:
            assert reply.status == 201


@pytest.mark.parametrize(("answered", "code"), [((1, 2, 3), 0), ((1, 2), 1)])
async def test_a_timeline_runs_and_judges_itself(
    tmp_path: Path, pki: Path, answered: tuple[int, ...], code: int
) -> None:
    scenario = tmp_path / "small.toml"
    scenario.write_text(SMALL + TIMELINE)
    process, ready = await serve(scenario, pki, "--out", str(tmp_path / "out.jsonl"))
    assert ready["inverters"]["roof"]["unit"] == 3
    url = ready["head_ends"]["dso"]["url"]
    async with client_of(pki, "gateway") as client:
        mrid = None
        while mrid is None:
            async with client.get(url.replace("/dcap", "/derp/1/derc")) as reply:
                tree = etree.fromstring(await reply.read())
            SCHEMA.assertValid(tree)
            mrid = tree.findtext(".//{*}mRID")
        await respond(client, url, mrid, *answered)
    lines = await rest_of(process)
    assert process.returncode == code
    kinds = [line["kind"] for line in lines]
    assert kinds.index("begun") < kinds.index("issued") < kinds.index("answer") < kinds.index("proof")
    assert {"measured", "irradiance"} <= set(kinds)
    summary = lines[-1]
    assert (summary["kind"], summary["ok"], summary["interrupted"]) == ("summary", code == 0, False)
    (verdict,) = summary["verdicts"]
    assert (verdict["control"], verdict["resource"], tuple(verdict["got"])) == ("limit", "house", answered)
    assert summary["proofs"] == [{"name": "half the light", "ok": True, "w": {"roof": 2500}}]
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == len(lines) + 1


async def test_the_admin_port_drives_and_shows_a_bench_without_timeline(tmp_path: Path, pki: Path) -> None:
    scenario = tmp_path / "small.toml"
    scenario.write_text(SMALL)
    process, ready = await serve(scenario, pki, "--admin", "0")
    issue = {
        "head_end": "dso",
        "program": "envelope",
        "name": "limit",
        "modes": {"opModExpLimW": 9},
        "start_s": 0,
        "duration_s": 600,
        "expect": 3,
    }
    async with aiohttp.ClientSession() as admin, client_of(pki, "gateway") as client:

        async def act(action: dict[str, Any]) -> int:
            async with admin.post(f"{ready['admin']}/act", json=action) as reply:
                return reply.status

        assert await act({"issue": issue}) == 200
        assert await act({"issue": issue | {"name": "other", "program": "none"}}) == 400
        assert await act({"issue": issue, "end": True}) == 400
        assert await act({"fault": {"inverter": "roof", "fault": "asleep"}}) == 200
        mrid = (await state_of(admin, ready))["head_ends"]["dso"]["controls"][0]["mrid"]
        await respond(client, ready["head_ends"]["dso"]["url"], mrid, 1, 2, 3)
        assert await act({"outage": {"head_end": "dso", "how": "refuse"}}) == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await respond(client, ready["head_ends"]["dso"]["url"], mrid, 3)
        assert await act({"outage": {"head_end": "dso", "how": "none"}}) == 200
        assert await act({"cancel": {"head_end": "dso", "control": "limit"}}) == 200
        state = await state_of(admin, ready)
    assert [one["status"] for one in state["head_ends"]["dso"]["answers"]] == [1, 2, 3]
    assert state["head_ends"]["dso"]["controls"][0]["status"] == 2
    assert state["inverters"]["roof"]["faults"] == ["asleep"]
    assert [one["ok"] for one in state["verdicts"]] == [True]
    process.send_signal(signal.SIGTERM)
    lines = await rest_of(process)
    assert process.returncode == 0
    assert lines[-1]["interrupted"]


async def state_of(admin: aiohttp.ClientSession, ready: dict[str, Any]) -> dict[str, Any]:
    async with admin.get(f"{ready['admin']}/state") as reply:
        state: dict[str, Any] = await reply.json()
        return state


def answers(*statuses: int) -> list[Answer]:
    return [Answer(0, "envelope", "limit", "AB", "house", LFDI, status, None) for status in statuses]


@pytest.mark.parametrize(
    ("expect", "statuses", "ok"),
    [
        (3, (1, 2, 3), True),
        (3, (1, 2, 3, 3), True),
        ([8, 10], (1, 2, 10), True),
        (253, (253,), True),
        (3, (1, 2), False),
        (3, (1, 2, 7), False),
        (3, (1, 2, 7, 3), False),
        (3, (2, 1, 3), False),
        (3, (1, 3, 2), False),
        (3, (), False),
    ],
)
def test_a_verdict_wants_one_terminal_answer_last(expect: int | list[int], statuses: tuple[int, ...], ok: bool) -> None:
    issue = Issue("dso", "envelope", "limit", {}, 0, 60, expect=expect)
    (verdict,) = judge(issue, ["house"], answers(*statuses))
    assert verdict.ok is ok


def test_a_single_resource_may_be_expected_to_differ() -> None:
    issue = Issue("dso", "envelope", "limit", {}, 0, 60, expect_for={"house": 10})
    assert judge(issue, ["house", "other"], answers(10)) == [Verdict("limit", "house", (10,), (10,), True)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("measure_s = 5", "mesure_s = 5"), "mesure_s"),
        (('name = "dso"', 'name = "dso'), "line"),
        (('head_end = "dso"', 'head_end = "dos"'), 'at_s = 0.*head_end "dos".*dso'),
        (('program = "envelope"', 'program = "x"'), 'program "x".*envelope'),
        (
            ("{ opModExpLimW = 1500 }", '{ opModVoltVar = { curve = "narrow" } }'),
            'curve "narrow" is not in the scenario',
        ),
        (("at_s = 20", "at_s = 200"), "in order"),
        (("end = true", 'end = true\noutage = { head_end = "dso", how = "hang" }'), "exactly one action"),
    ],
)
def test_a_faulty_scenario_is_told_in_one_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    scenario = tmp_path / "small.toml"
    scenario.write_text((SMALL + TIMELINE).replace(*change))
    with pytest.raises(ScenarioError, match=message) as told:
        load(scenario)
    assert "\n" not in str(told.value)
    with pytest.raises(ScenarioError):
        action_of({"end": True, "proof": {"name": "x"}})


def test_bad_input_exits_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "none.toml"), "--pki", str(tmp_path)]) == 2
    assert main(["serve", str(STREET), "--pki", str(tmp_path), "--clock", "soon"]) == 2
    assert main(["serve", str(STREET), "--pki", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("hil: ") for line in lines)


@pytest.mark.parametrize(
    "table", ["[[inverter]]\nresource = 'r'\nrated_w = 1", "[[head_end]]\ncertificate = 'dso'", ""]
)
def test_a_port_that_is_taken_is_named(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pki(tmp_path, "gateway", "dso")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        fixed = f"{table}\nname = 'one'\nport = {port}\n" if table else ""
        scenario = tmp_path / "busy.toml"
        scenario.write_text(f"name = 'busy'\n{fixed}[[step]]\nat_s = 0\nend = true\n", encoding="utf-8")
        admin = [] if table else ["--admin", str(port)]
        assert main(["serve", str(scenario), "--pki", str(tmp_path), *admin]) == 2
    assert f"hil: port {port} of 127.0.0.1 is taken; end what listens there" in capsys.readouterr().err


def test_the_street_fits_the_demo() -> None:
    street = load(STREET)
    assert [one.kind for one in street.inverters].count("legacy") == 2
    assert {one.resource for one in street.inverters} == {one.name for one in street.resources}
    issues = {step.issue.name: step.issue for step in street.steps if step.issue}
    assert all(one.expected("house-1") for one in issues.values())
    assert issues["limit-2000"].expected("house-6") != issues["limit-2000"].expected("house-1")
    assert street.steps[-1].end
    assert street.steps[-1].at_s / 20 < 50
