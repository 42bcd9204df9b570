"""Who is let in, what is answered to nonsense, and how the API goes down."""

import asyncio
from pathlib import Path
from typing import cast

import pytest
from web_world import SITE, TOKENS, World, limit, order, site_in

from gateway.core.events import Tell, Tick
from gateway.runtime.decider import Stopped
from gateway.web import TokenFault, local_api
from gateway.web.contents import REQUESTS, Contents
from gateway.web.curves import Curves
from gateway.web.defaults import Defaults
from gateway.web.desk import Desk
from gateway.web.network import Network
from gateway.web.orders import Orders
from gateway.web.tokens import Tokens
from gateway.web.trade import Commitments, Offers

DSO = {"Authorization": f"Bearer {TOKENS['dso']}"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nobody-has-this-token"},
        {"Authorization": f"Basic {TOKENS['dso']}"},
        {"Authorization": TOKENS["dso"]},
        {"Authorization": f"Bearer {TOKENS['dso']}x"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/overrides", "/v1/nothing"])
async def test_without_a_right_token_nobody_is_let_in(headers: dict[str, str], path: str, tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        status, said = await world.send("GET", path, None, headers)
        assert (status, said) == (401, {"error": "A1: no party has this token; send Authorization: Bearer TOKEN"})
        assert not any(party.proven for party in world.machine.state.parties.values())


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "line"),
    [
        ("GET", "/v1/nothing", None, 404, "GET /v1/nothing: Not Found; see docs/local-api.md"),
        ("PATCH", "/v1/orders", None, 405, "PATCH /v1/orders: Method Not Allowed; see docs/local-api.md"),
        ("POST", "/v1/orders", b"{", 400, "the body cannot be read: Input data was truncated"),
        ("POST", "/v1/orders", b"\xff\xfe", 400, "the body cannot be read: JSON is malformed"),
        ("POST", "/v1/orders", b"[" * 100_000, 400, "the body cannot be read: Expected `object`, got `array`"),
        ("POST", "/v1/orders", b'{"id": "' + b"a" * (1 << 20) + b'"}', 413, "the body is larger than 1048576 bytes"),
        ("POST", "/v1/orders", b'{"id": "a", "effects": [], "group": "\xc3\x28"}', 400, "the body cannot be read: "),
    ],
)
async def test_nonsense_is_answered_with_one_line(
    method: str, path: str, content: bytes | None, status: int, line: str, tmp_path: Path
) -> None:
    async with World(tmp_path) as world:
        found, said = await world.send(method, path, content, DSO)
        assert (found, list(said)) == (status, ["error"])
        assert said["error"].startswith(line)
        assert "\n" not in said["error"]
        assert (await world.told("dso", "POST", "/v1/orders", order("a", limit(1))))["admitted"]


async def test_what_is_served_is_listed_with_every_field(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        said = await world.told("dso", "GET", "/")
        for one in said["requests"]:
            method, path = one["request"].split()
            status, _body = await world.ask("dso", method, path.replace("{id}", "nothing"), {})
            assert status != 405, one
            assert (status == 400) is bool(one["body"]), one
        first = said["bodies"]["order"][0]
        assert first == {"field": "id", "kind": "text", "unit": "", "required": "yes"}


def test_every_route_is_listed() -> None:
    desk = cast("Desk", None)
    parts = (Orders(desk), Defaults(desk), Network(desk), Commitments(desk), Curves(desk), Offers(desk), Contents())
    served = {(route.method, route.path) for part in parts for route in part.routes()} | {("GET", "/v1/overrides")}
    assert served == {(one.method, one.path) for one in REQUESTS}


def test_a_token_is_a_secret_of_its_own(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    files = {party: tmp_path / f"{party}.token" for party in TOKENS}
    assert Tokens(files).party(f"bearer  {TOKENS['market']} ") == "market"
    for text, line in (
        ("short", "a token is one word of at least 16 characters; make one: openssl rand -hex 16 > "),
        (
            "two words of sufficient length",
            "a token is one word of at least 16 characters; make one: openssl rand -hex 16 > ",
        ),
        ("é" * 20, "a token is plain ASCII; make one: openssl"),
        (TOKENS["dso"], "party 'dso' shows the same token; give each party its own: openssl"),
    ):
        files["market"].write_text(text)
        with pytest.raises(TokenFault, match=line):
            Tokens(files)
    files["market"].chmod(0o640)
    with pytest.raises(TokenFault, match="others can read this token; run chmod 600 on it"):
        Tokens(files)
    files["market"].unlink()
    with pytest.raises(TokenFault, match=r"market\.token: the token cannot be read: No such file or directory"):
        local_api(site)


async def test_a_request_that_waits_when_the_gateway_goes_down_is_told_so(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.decider.stop()
        await world.deciding
        status, said = await world.ask("dso", "POST", "/v1/orders", order("a", limit(1)))
        assert (status, said) == (503, {"error": "the gateway goes down; ask again when it is up"})
        with pytest.raises(Stopped):
            await world.decider.decided(Tick())


async def test_what_broke_the_loop_leaves_nobody_waiting(tmp_path: Path) -> None:
    def breaks(_tell: Tell) -> None:
        raise RuntimeError("a witness broke")

    async with World(tmp_path) as world:
        world.decider.witnesses.append(breaks)
        status, said = await world.ask("dso", "POST", "/v1/orders", order("a", limit(1)))
        assert (status, said["error"]) == (503, "the gateway goes down; ask again when it is up")
        with pytest.raises(RuntimeError, match="a witness broke"):
            await world.deciding
        world.deciding = asyncio.create_task(asyncio.sleep(0))


def test_the_port_is_asked_for_by_the_site_file(tmp_path: Path) -> None:
    assert site_in(tmp_path, SITE.replace("port = 0\n\n[[party]]", "port = 0\ncontact_lost_s = 60\n\n[[party]]", 1))
