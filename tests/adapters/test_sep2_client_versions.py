"""Which version of CSIP-AUS is spoken, and where it begins: nothing of any other version is ever touched."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from aiohttp import web
from sep2_world import LIMIT, World, make_pki

from gateway.wire.sep2 import WireFault
from gateway.wire.sep2.versions import beginnings
from hil.head_end import Override
from hil.sep2.intake import Reply

FILE = "/.well-known/csipaus"
NAMESPACE = "https://csipaus.org/ns/"
OLD, NEW, FAR = "/old/dcap", "/new/dcap", "/far/dcap"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def file_of(versions: Mapping[str, Sequence[str]]) -> bytes:
    found = {
        f"{NAMESPACE}{name}" if name.startswith("v") else name: {"dcap": paths} for name, paths in versions.items()
    }
    return json.dumps({"supportedSchemaVersions": found}).encode()


def speaks(world: World, versions: Mapping[str, Sequence[str]]) -> None:
    world.server.override(FILE, Override(200, file_of(versions), "application/json"))


def world_of(pki: Path, *versions: str) -> World:
    world = World(pki, versions=versions)
    world.server.aliases = dict.fromkeys((OLD, NEW, FAR), "/dcap")
    return world


@pytest.mark.parametrize(
    ("wanted", "offered", "begins", "line"),
    [
        pytest.param(("1.3", "1.2"), {"v1.2": [OLD], "v1.3": [NEW], "v9.9": [FAR]}, NEW, "1.3", id="the best of ours"),
        pytest.param(("1.3", "1.2"), {"v1.2": [OLD], "v1.3": []}, OLD, "1.2", id="one that begins somewhere"),
        pytest.param(("1.2", "1.3"), {"v1.3": [NEW], "v1.2": [OLD]}, OLD, "1.2", id="ours says which is best"),
        pytest.param(("1.3",), {"null": [FAR], "1.3": [FAR], "v1.3": [NEW]}, NEW, "1.3", id="names that are none"),
    ],
)
async def test_the_walk_begins_where_the_best_version_that_both_speak_does(
    pki: Path, wanted: tuple[str, ...], offered: Mapping[str, Sequence[str]], begins: str, line: str
) -> None:
    world = world_of(pki, *wanted)
    speaks(world, offered)
    async with world:
        world.server.issue("street", "limit", LIMIT, 60, 300)
        await world.until(world.orders)
        await world.rounds(2)
        asked = world.asked("GET", "POST", "PUT", "DELETE")
        assert asked[begins] > 1
        assert not any(asked[path] for path in {"/dcap", OLD, NEW, FAR} - {begins})
        assert asked[FILE] == 1
        assert world.lines == [f"dso: speaks CSIP-AUS {line}; its DeviceCapability is at {begins}"]


@pytest.mark.parametrize(
    ("version", "namespace"), [("1.3", "https://csipaus.org/ns/v1.3"), ("1.2", "https://csipaus.org/ns")]
)
async def test_a_server_is_written_to_in_the_version_that_was_found(
    pki: Path, monkeypatch: pytest.MonkeyPatch, version: str, namespace: str
) -> None:
    world = world_of(pki, "1.3", "1.2")
    speaks(world, {f"v{version}": [NEW]})
    ratings: list[bytes] = []
    reply = world.server._reply

    def kept(request: web.Request, body: bytes) -> Reply:
        if b"<DERCapability " in body:
            ratings.append(body)
        return reply(request, body)

    monkeypatch.setattr(world.server, "_reply", kept)
    async with world:
        await world.until(lambda: ratings)
        assert f'"{namespace}"'.encode() in ratings[0]


async def test_a_server_without_such_a_file_begins_where_the_site_file_says(pki: Path) -> None:
    world = world_of(pki, "1.3")
    world.server.override(FILE, Override(410, b""))
    async with world:
        await world.rounds(2)
        assert world.asked()["/dcap"] > 1
        assert len(world.told("speaks no /.well-known/csipaus")) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(
            Override(200, file_of({"v9.9": [FAR]}), "application/json"), "it speaks https://csipaus.org/ns/v9.9"
        ),
        pytest.param(Override(200, file_of({"v1.3": []}), "application/json"), "it speaks no version of CSIP-AUS"),
        pytest.param(Override(200, b"<html/>", "text/html"), "is not JSON"),
        pytest.param(Override(200, b"[]", "application/json"), "bears no supportedSchemaVersions"),
        pytest.param(
            Override(200, file_of({"v1.3": ["https://example.org/dcap"]}), "application/json"), "leaves the server"
        ),
        pytest.param(Override(403, b""), "status 403"),
        pytest.param(Override(500, b""), "status 500"),
    ],
)
async def test_nothing_is_touched_before_it_is_known_where_to_begin(pki: Path, answer: Override, why: str) -> None:
    world = world_of(pki, "1.3")
    world.server.override(FILE, answer)
    async with world:
        await world.polled(FILE, 3)
        assert set(world.asked("GET", "POST", "PUT", "DELETE")) == {FILE}
        assert len(world.told(why)) == 1
        assert world.events == []
        speaks(world, {"v1.3": [NEW]})
        await world.rounds()
        assert world.asked()["/dcap"] == 0


async def test_what_was_found_holds_while_the_file_cannot_be_read(pki: Path) -> None:
    world = world_of(pki, "1.3")
    speaks(world, {"v1.3": [NEW]})
    async with world:
        await world.rounds()
        world.server.override(FILE, Override(200, b"{", "application/json"))
        await world.seconds(3_700)
        await world.until(lambda: world.asked()[FILE] > 1)
        await world.rounds()
        assert len(world.told("is not JSON; it begins where it did")) == 1


async def test_a_server_that_moves_is_found_again(pki: Path) -> None:
    world = world_of(pki, "1.3")
    speaks(world, {"v1.3": [OLD]})
    async with world:
        await world.rounds()
        speaks(world, {"v1.3": [NEW]})
        del world.server.aliases[OLD]
        await world.until(lambda: world.asked()[NEW])
        await world.rounds()
        assert world.asked()["/dcap"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"null",
        b'{"supportedSchemaVersions": []}',
        b'{"supportedSchemaVersions": {"a": null}}',
        b'{"supportedSchemaVersions": {"a": {"dcap": "/dcap"}}}',
        b'{"supportedSchemaVersions": {"a": {"dcap": [1]}}}',
        b'{"a":' * 100_000,
        json.dumps({"supportedSchemaVersions": {str(n): {"dcap": []} for n in range(101)}}).encode(),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(body: bytes) -> None:
    with pytest.raises(WireFault) as fault:
        beginnings(body)
    assert "\n" not in str(fault.value)


async def test_an_address_cannot_add_a_line_to_the_log(pki: Path) -> None:
    world = world_of(pki, "1.3")
    speaks(world, {"v1.3": [f"{NEW}\r\nWARNING all is well"]})
    async with world:
        await world.until(lambda: world.lines)
        assert not any(mark in line for line in world.lines for mark in "\r\n")
