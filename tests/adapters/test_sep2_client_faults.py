"""A server that is down, hangs, lies or is somebody else: one line each, nothing withdrawn, and recovery."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sep2_world import HOUSES, LIMIT, POLL_S, SEP2, World, make_pki, program

from gateway.core.events import Assigned, Contact, OrderHeard, OrderUnreadable, Withdrawn
from gateway.northbound.sep2_client import exchange, reader
from gateway.pki import files
from gateway.wire.sep2 import MAX_BODY_OCTETS
from hil.head_end import HeadEnd
from hil.sep2.records import mrid_of
from hil.sep2.tree import Rates

HOUR_S = 3600
CONTROLS = "/derp/1/derc"
HELD = "; what is in force holds"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def limited(world: World) -> None:
    """Wait until an event is in force that nothing of what follows may withdraw."""
    world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
    await world.until(world.orders)
    await world.rounds()


# -- a server that is not there


@pytest.mark.parametrize("outage", ["refuse", "error", "hang"])
async def test_an_outage_is_said_once_and_its_end_once(pki: Path, outage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "TIMEOUT_S", 0.5)
    async with World(pki, program("street"), program("corner", primacy=2)) as world:
        world.edit("/dcap", ('pollRate="10"', 'pollRate="9999"'))
        await limited(world)
        await world.server.set_outage(outage)  # type: ignore[arg-type]  # one of its literals
        await world.until(lambda: world.lines)
        contacts = len(world.heard(Contact))
        await world.seconds(100)
        assert len(world.heard(Contact)) == contacts
        assert len(world.lines) == 1, world.lines
        assert world.lines[0].startswith("dso: out of reach: GET ")
        assert "\n" not in world.lines[0]
        assert world.lines[0].endswith(HELD)
        await world.server.set_outage("none")
        await world.rounds()
        assert world.lines[1:] == ["dso: in reach again"]
        assert world.heard(Withdrawn) == []
        assert len(world.orders()) == 1


async def test_a_second_outage_is_said_again(pki: Path) -> None:
    async with World(pki) as world:
        for _time in range(2):
            world.lines.clear()
            await world.rounds()
            await world.server.set_outage("refuse")
            await world.until(lambda: world.told("out of reach"))
            await world.server.set_outage("none")
            await world.until(lambda: world.told("in reach again"))


async def test_one_address_that_hangs_keeps_nobody_else_waiting(pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "TIMEOUT_S", 0.4)

    class Stuck(HeadEnd):
        async def _answer(self, request: web.Request) -> web.Response:
            if request.path == CONTROLS:
                await asyncio.sleep(0.7)
            return await super()._answer(request)

    world = World(pki, program("street"), program("corner", primacy=2))
    world.server.__class__ = Stuck
    async with world:
        world.server.issue("corner", "limit", LIMIT, 0, HOUR_S)
        await world.until(world.orders)
        await world.seconds(30)
        assert world.lines == [f"dso: GET {CONTROLS}?s=0&l=255: no answer within 0.4 s{HELD}"]
        assert world.heard(Contact) == []


# -- a server that cannot be understood


def big() -> bytes:
    return b"<DERControlList>" + b" " * MAX_BODY_OCTETS + b"</DERControlList>"


LIST = '<DERControlList xmlns="{0}" all="0" results="0"/>'
FAULTS = [
    pytest.param(b"<DERControlList", 200, "not well-formed XML", id="malformed"),
    pytest.param(b"", 200, "not well-formed XML", id="empty body"),
    pytest.param(big(), 200, f"body over {MAX_BODY_OCTETS} octets", id="oversized"),
    pytest.param(
        '<!DOCTYPE a [<!ENTITY b "c">]>' + LIST.format("urn:ieee:std:2030.5:ns"),
        200,
        "a document type declaration is not allowed",
        id="DOCTYPE",
    ),
    pytest.param(LIST.format("urn:example:other"), 200, "is of namespace 'urn:example:other'", id="another namespace"),
    pytest.param(SEP2.format("Time", "", ""), 200, "Time", id="not even that resource"),
    pytest.param(
        SEP2.format("Registration", "", "<dateTimeRegistered>0</dateTimeRegistered><pIN>111115</pIN>"),
        200,
        "Registration where DERControlList was expected",
        id="another resource",
    ),
    pytest.param(
        SEP2.format("DERControlList", 'all="5" results="0"', ""), 200, "holds 5 items and gives 0", id="too few"
    ),
    pytest.param(
        SEP2.format("DERControlList", 'all="4294967295" results="0"', ""), 200, "at most 20000 are read", id="too many"
    ),
    pytest.param(SEP2.format("DERControlList", "", ""), 200, "does not say how many", id="no count"),
    pytest.param(b"", 302, "status 302; a redirection is not followed", id="redirection"),
    pytest.param(b"", 403, "status 403", id="forbidden"),
    pytest.param(b"", 503, "status 503", id="busy at one address"),
]


@pytest.mark.parametrize(("body", "status", "why"), FAULTS)
async def test_a_list_that_cannot_be_read_in_mid_event(pki: Path, body: bytes | str, status: int, why: str) -> None:
    async with World(pki, program("street"), program("corner", primacy=2)) as world:
        await limited(world)
        world.replace(CONTROLS, body, status)
        await world.polled(CONTROLS)
        contacts = len(world.heard(Contact))
        world.server.issue("corner", "neighbour", LIMIT, 0, HOUR_S)
        await world.until(lambda: len(world.orders()) == 2, "the neighbour is heard")
        await world.polled(CONTROLS, 2)
        assert len(world.heard(Contact)) == contacts
        assert world.heard(Withdrawn) == []
        assert len(world.lines) == 1, world.lines
        assert why in world.lines[0]
        assert world.lines[0].startswith(f"dso: GET {CONTROLS}")
        assert "\n" not in world.lines[0]
        world.mend(CONTROLS)
        await world.rounds()
        assert world.lines[1:] == [f"dso: {CONTROLS} is read again"]
        assert len(world.orders()) == 2


async def test_a_failing_address_is_not_hammered(pki: Path) -> None:
    async with World(pki, clock_rate=30) as world:
        await world.rounds()
        world.server.requests.clear()
        world.replace(CONTROLS, status=403)
        await world.until(lambda: world.asked()[CONTROLS] >= 5)
        times_s = [at / 1000 for at, _m, path, _s in world.server.requests if path.startswith(CONTROLS)]
        assert times_s[2] - times_s[0] >= 1 + 0.5 * 5, "again after 1 s, and then after 5 s"
        assert max(sum(at <= other < at + 3 * POLL_S for other in times_s) for at in times_s) <= 6


@pytest.mark.parametrize("path", ["/edev", "/edev/2/fsa", "/edev/2/fsa/1/derp", "/derp/1/dderc", "/tm", "/dcap"])
async def test_an_address_that_cannot_be_read_any_more_stays_as_it_was(pki: Path, path: str) -> None:
    async with World(pki, program("street", default=LIMIT)) as world:
        await limited(world)
        world.replace(path, b"<nonsense")
        await world.until(lambda: world.lines)
        contacts = len(world.heard(Contact))
        world.server.issue("street", "next", LIMIT, HOUR_S, HOUR_S)
        await world.until(lambda: len(world.orders()) == 2, "what can be read is heard")
        await world.polled(path, 2)
        assert len(world.heard(Contact)) == contacts
        assert len(world.lines) == 1
        assert len(world.heard(Assigned)) == 1
        world.mend(path)
        await world.rounds()


async def test_a_server_that_lists_nobody_is_no_contact(pki: Path) -> None:
    async with World(pki) as world:
        await limited(world)
        world.replace("/edev", SEP2.format("EndDeviceList", 'all="0" results="0" pollRate="10"', ""))
        await world.polled("/edev")
        contacts = len(world.heard(Contact))
        await world.polled("/edev", 3)
        assert len(world.heard(Contact)) == contacts
        assert len(world.heard(Assigned)) == 1
        assert world.lines == [f"dso: no EndDevice for {house}{HELD}, then its default" for house in HOUSES]


async def test_a_server_without_end_devices(pki: Path) -> None:
    world = World(pki)
    world.replace("/dcap", SEP2.format("DeviceCapability", 'pollRate="10"', '<TimeLink href="/tm"/>'))
    async with world:
        await world.polled("/dcap", 3)
        assert world.lines == ["dso: offers no EndDeviceList; ask for this gateway to be registered"]
        assert world.heard(Contact) == []


# -- lists that lie


async def test_a_list_that_holds_more_than_it_says_is_heard_but_not_complete(pki: Path) -> None:
    world = World(pki)
    world.server.issue("street", "one", LIMIT, 0, HOUR_S)
    world.server.issue("street", "two", {"opModGenLimW": 5}, 0, HOUR_S)
    world.edit(CONTROLS, ('all="2"', 'all="1"'))
    async with world:
        await world.until(lambda: len(world.orders()) == 2)
        await world.polled(CONTROLS, 2)
        assert world.lines == [f"dso: GET {CONTROLS}: the list says that it holds 1 items and gives 2{HELD}"]
        assert world.heard(Contact) == []


async def test_pages_without_end(pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PAGES_MAX", 20)
    world = World(pki, rates=Rates(page_limit=1, poll_rate_s=POLL_S))
    world.server.issue("street", "one", LIMIT, 0, HOUR_S)
    world.edit(CONTROLS, ('all="1"', 'all="1000"'))
    async with world:
        await world.until(world.orders)
        await world.polled(CONTROLS, 2)
        assert world.lines == [f"dso: GET {CONTROLS}: the list gives the same page again and again{HELD}"]
        assert world.heard(Contact) == []
        world.server.requests.clear()
        await world.seconds(3 * POLL_S)
        assert world.asked()[CONTROLS] <= 2 * 6


async def test_ever_new_pages_without_end(pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PAGES_MAX", 20)

    class Endless(HeadEnd):
        async def _answer(self, request: web.Request) -> web.Response:
            answer = await super()._answer(request)
            if request.path == CONTROLS and isinstance(answer.body, bytes):
                fresh = f"{int(request.query['s']):032X}".encode()
                answer.body = answer.body.replace(b'all="1"', b'all="1000"').replace(mrid_of("x").encode(), fresh)
            return answer

    world = World(pki, rates=Rates(page_limit=1, poll_rate_s=POLL_S))
    world.server.issue("street", "one", LIMIT, 0, HOUR_S, mrid=mrid_of("x"))
    world.edit(CONTROLS)
    world.server.__class__ = Endless
    async with world:
        await world.until(lambda: world.lines)
        assert world.lines == [f"dso: GET {CONTROLS}: the list does not end within 20 pages{HELD}"]
        assert len(world.orders()) == 20


async def test_a_list_that_changes_while_it_is_read(pki: Path) -> None:
    class Growing(HeadEnd):
        async def _answer(self, request: web.Request) -> web.Response:
            answer = await super()._answer(request)
            if request.path_qs.startswith(f"{CONTROLS}?s=0") and isinstance(answer.body, bytes):
                answer.body = answer.body.replace(b'all="2"', b'all="3"')
            return answer

    world = World(pki, rates=Rates(page_limit=1, poll_rate_s=POLL_S))
    for name in ("one", "two"):
        world.server.issue("street", name, LIMIT, 0, HOUR_S)
    world.server.__class__ = Growing
    async with world:
        await world.until(lambda: world.lines)
        assert world.lines == [
            f"dso: GET {CONTROLS}: the list held 3 items and then 2: it changed while it was read{HELD}"
        ]
        assert len(world.orders()) == 2


# -- links


@pytest.mark.parametrize(
    ("href", "why"),
    [
        ("https://127.0.0.1:1/derp/1/derc", "the link leaves the server; it is not followed"),
        ("http://127.0.0.1/derp/1/derc", "the link leaves the server; it is not followed"),
        ("//example.org/derp/1/derc", "the link leaves the server; it is not followed"),
        ("https://[", "no address"),
    ],
)
async def test_a_link_that_leads_elsewhere_is_not_followed(pki: Path, href: str, why: str) -> None:
    world = World(pki)
    old = '<DERControlListLink href="/derp/1/derc"'
    for house in (2, 3):
        world.edit(f"/edev/{house}/fsa/1/derp", (old, f'<DERControlListLink href="{href}"'))
    async with world:
        await world.polled("/edev/2/fsa/1/derp", 3)
        assert world.lines == [f"dso: GET {href}?s=0&l=255: {why}{HELD}"]
        assert world.heard(Contact) == []


async def test_a_redirection_within_the_server_is_not_followed(pki: Path) -> None:
    class Redirecting(HeadEnd):
        async def _answer(self, request: web.Request) -> web.Response:
            if request.path == CONTROLS:
                return web.Response(status=307, headers={"Location": "/derp/2/derc"})
            return await super()._answer(request)

    world = World(pki, program("street"), program("corner", "house-2", primacy=2))
    world.server.issue("corner", "limit", LIMIT, 0, HOUR_S)
    world.server.__class__ = Redirecting
    async with world:
        await world.polled(CONTROLS, 2)
        await world.until(world.orders)
        assert world.lines == [f"dso: GET {CONTROLS}?s=0&l=255: status 307; a redirection is not followed{HELD}"]
        assert world.heard(Contact) == []


async def test_a_server_that_was_rearranged_is_read_from_the_top(pki: Path) -> None:
    world = World(pki)
    world.edit("/dcap", ('pollRate="10"', 'pollRate="9999"'), ('href="/edev"', 'href="/old/edev"'))
    world.replace("/old/edev", world.body("/edev"))
    async with world:
        await world.rounds()
        world.mend("/dcap", "/old/edev")
        await world.until(lambda: world.told("GET /old/edev"))
        await world.rounds()
        assert world.lines == [
            f"dso: GET /old/edev?s=0&l=255: status 404{HELD}",
            "dso: /old/edev is read again",
        ]


# -- one faulty item


async def test_an_order_that_becomes_unreadable_is_not_withdrawn(pki: Path) -> None:
    async with World(pki) as world:
        await limited(world)
        world.edit(CONTROLS, ("<multiplier>0<", "<multiplier>99<"))
        await world.until(lambda: world.heard(OrderUnreadable))
        await world.rounds(2)
        assert world.heard(Withdrawn) == []
        assert len(world.heard(OrderUnreadable)) == 1
        world.mend(CONTROLS)
        await world.rounds(2)
        assert len(world.heard(OrderHeard)) == 1


async def test_a_faulty_program_keeps_its_resources_and_is_no_contact(pki: Path) -> None:
    async with World(pki, program("street"), program("corner", primacy=2)) as world:
        await limited(world)
        for house in (2, 3):
            world.edit(f"/edev/{house}/fsa/1/derp", ("<primacy>1<", "<primacy>999<"))
        await world.until(lambda: world.lines)
        contacts = len(world.heard(Contact))
        await world.polled("/edev/2/fsa/1/derp", 2)
        assert len(world.heard(Contact)) == contacts
        assert len(world.heard(Assigned)) == 2
        assert len(world.lines) == 1
        assert "it is passed over" in world.lines[0]


# -- somebody else


async def test_another_server_in_its_place_is_refused(pki: Path) -> None:
    async with World(pki) as world:
        await limited(world)
        port = int(world.server.url.split(":")[2].split("/")[0])
        await world.server.stop()
        await world.until(lambda: world.told("out of reach"))
        impostor = world.head_end("impostor", world.server.tree.programs)
        await impostor.start(port)
        try:
            contacts = len(world.heard(Contact))
            await world.until(lambda: world.told("LFDI"))
            await world.seconds(30)
            assert impostor.requests == []
            assert len(world.heard(Contact)) == contacts
            assert len(world.told("LFDI")) == 1
            assert world.heard(Withdrawn) == []
        finally:
            await impostor.stop()
        await world.server.start(port)
        await world.rounds()
        assert len(world.told("in reach again")) == 1


def with_a_key_on_another_curve(pki: Path) -> None:
    """Issue the DSO's certificate once more under the name `curved`: the same in all but its key, which is P-384."""
    sound, *above = files.read_certificates(pki / "dso.pem")
    private = ec.generate_private_key(ec.SECP384R1())
    builder = (
        x509.CertificateBuilder(sound.issuer, sound.subject, private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(sound.not_valid_before_utc)
        .not_valid_after(sound.not_valid_after_utc)
    )
    for extension in sound.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    leaf = builder.sign(files.read_key(pki / "authority" / "mica.key"), SHA256())
    (pki / "curved.pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (leaf, *above)))
    (pki / "curved.key").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


async def test_a_server_with_a_key_on_another_curve_is_refused(pki: Path) -> None:
    with_a_key_on_another_curve(pki)
    world = World(pki)
    world.server = world.head_end("curved", world.server.tree.programs)
    async with world:
        await world.until(lambda: world.lines)
        await world.seconds(60)
        assert world.server.requests == []
        assert world.events == []
        assert len(world.lines) == 1
        assert world.lines[0].startswith("dso: out of reach: GET ")
