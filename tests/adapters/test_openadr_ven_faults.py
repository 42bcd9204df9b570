"""A VTN that is down, refuses, asks for patience or is somebody else: one line each, nothing loosens, and recovery."""

from pathlib import Path

import pytest
from aiohttp import web
from openadr_world import PARTY, SECRET, VtnWorld, make_certificate

from gateway.core.events import Contact, OrderUnreadable
from gateway.northbound.openadr_ven import exchange

HELD = "; what is in force holds"
API = "/openadr3/3.1.0"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("vtn"))


@pytest.mark.parametrize("outage", ["refuse", "error", "hang"])
async def test_an_outage_is_said_once_and_its_end_once(
    pem: Path, tmp_path: Path, outage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "TIMEOUT_S", 0.4)
    async with VtnWorld(pem, tmp_path) as world:
        name = world.issue("limit")
        await world.ordered(f"{name}/0")
        await world.rounds()
        await world.vtn.set_outage(outage)  # type: ignore[arg-type]  # one of its literals
        await world.until(lambda: world.lines)
        contacts = len(world.heard(Contact))
        await world.seconds(100)
        assert len(world.heard(Contact)) == contacts
        assert len(world.lines) == 1, world.lines
        assert world.lines[0].startswith(f"{PARTY}: out of reach: GET ")
        assert world.lines[0].endswith(HELD)
        await world.vtn.set_outage(None)
        await world.rounds()
        assert world.lines[1:] == [f"{PARTY}: in reach again"]
        assert world.withdrawn() == []
        assert len(world.orders()) == 1


async def test_a_vtn_that_the_site_does_not_trust_is_told_nothing(pem: Path, tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "other")
    async with VtnWorld(pem, tmp_path, trust=other) as world:
        world.issue("limit")
        await world.until(lambda: world.lines)
        await world.seconds(60)
        assert "certificate" in world.lines[0]
        assert len(world.lines) == 1
        assert world.vtn.requests == []
        assert world.events == []


async def test_a_wrong_secret_is_told_without_it(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, secret="not " + SECRET) as world:
        world.issue("limit")
        await world.until(lambda: world.lines)
        await world.seconds(60)
        (line,) = world.lines
        assert line == f"{PARTY}: out of reach: no token: status 401; look at client_id and client_secret_file{HELD}"
        assert world.events == []


async def test_one_token_serves_until_it_is_refused(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        await world.rounds(3)
        assert world.asked("POST")["/auth/token"] == 1
        world.vtn.tokens.revoke()
        await world.rounds(2)
        assert world.asked("POST")["/auth/token"] == 2
        assert world.lines == []


async def test_a_token_is_renewed_before_it_runs_out(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        await world.disconnect()
        world.vtn.tokens.lifetime_s = 60
        world.connect()
        await world.seconds(200)
        await world.rounds()
        assert world.asked("POST")["/auth/token"] >= 4
        assert [one for one in world.vtn.requests if one.status == 401] == []


async def test_a_token_address_without_tls_never_gets_the_secret(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        await world.disconnect()
        plain = world.vtn.url.replace("https://", "http://")

        def intercept(request: web.Request) -> web.Response | None:
            return web.json_response({"tokenURL": f"{plain}/auth/token"}) if request.path.endswith("server") else None

        world.vtn.intercept = intercept
        world.connect()
        await world.until(lambda: world.told("names a token address without TLS"))
        assert world.asked("POST") == {}


async def test_a_vtn_that_asks_for_patience_is_left_alone_for_as_long(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        await world.rounds()

        def busy(request: web.Request) -> web.Response | None:
            return web.Response(status=429, headers={"Retry-After": "300"}) if request.method == "GET" else None

        world.vtn.intercept = busy
        await world.until(lambda: world.lines)
        world.vtn.intercept = None
        down_ms = world.vtn.requests[-1].t_ms
        contacts = len(world.heard(Contact))
        await world.until(lambda: len(world.heard(Contact)) > contacts)
        first = next(one for one in world.vtn.requests if one.t_ms > down_ms + 1_000 and one.method == "GET")
        assert first.t_ms - down_ms >= 299_000


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/events", web.Response(text="{}", content_type="application/json")),
        ("/events", web.Response(text="[{]", content_type="application/json")),
        ("/events", web.Response(text="[" * 100_000)),
        ("/events", web.Response(status=302, headers={"Location": "https://localhost/"})),
        ("/events", web.Response(status=403)),
        ("/programs", web.Response(status=404)),
    ],
)
async def test_a_list_that_cannot_be_read_ends_nothing(
    pem: Path, tmp_path: Path, path: str, answer: web.Response
) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        name = world.issue("limit")
        await world.ordered(f"{name}/0")
        await world.rounds()

        def intercept(request: web.Request) -> web.Response | None:
            if request.path != API + path:
                return None
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

        world.vtn.intercept = intercept
        await world.until(lambda: world.lines)
        contacts = len(world.heard(Contact))
        world.vtn.delete("limit")
        await world.seconds(60)
        assert len(world.heard(Contact)) == contacts
        assert len(world.lines) == 1
        assert world.withdrawn() == []
        world.vtn.intercept = None
        await world.until(world.withdrawn)
        assert len(world.lines) == 2
        assert world.lines[1].endswith("read again")


async def test_a_body_without_end_is_cut_off(pem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_BODY_OCTETS", 2_000)
    async with VtnWorld(pem, tmp_path) as world:
        await world.rounds()
        world.vtn.raw_event({"id": "long", "eventName": "x" * 4_000})
        await world.until(lambda: world.told("body over 2000 octets"))
        assert world.heard(OrderUnreadable) == []
