"""Identities in use: rotated while connections stand, refused where the rotation is faulty, cut off when denied."""

import asyncio
import datetime as dt
import logging
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from cryptography.hazmat.primitives.serialization import Encoding
from forge import authority, forge, good_leaf

from gateway.pki import PkiFault, files, identity, issue, tls
from gateway.pki.denied import FILE, DenyList
from gateway.pki.judge import PeerRefusedError
from gateway.pki.live import DAY_S, Identities

CUT_OFF = (ConnectionError, ssl.SSLError)
NAMES = ("gateway", "utility", "roof", "wall")
DAY = dt.timedelta(days=1)


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    issue.init(tmp_path, NAMES)
    return tmp_path


def pair(pki: Path, name: str) -> tuple[Path, Path]:
    return pki / f"{name}.pem", pki / f"{name}.key"


def trust(pki: Path) -> tuple[Path, ...]:
    return tuple(pki / file for file in (issue.SERCA, issue.MCA, issue.MICA))


def lfdi(pki: Path, name: str) -> str:
    return issue.init(pki, [name])[name].lfdi


def put(pki: Path, name: str, other: str) -> str:
    """Replace the pair of one name by that of another, as an installer does; give the LFDI that it now has."""
    for source, target in zip(pair(pki, other), pair(pki, name), strict=True):
        mode = files.OWNER_ONLY if target.suffix == ".key" else files.READABLE
        files.write_whole(target, source.read_bytes(), mode)
    return lfdi(pki, other)


def settle(identities: Identities) -> None:
    """Look as often as it takes for what stands still."""
    identities.look()
    identities.look()


@asynccontextmanager
async def server(context: ssl.SSLContext, served: list[str]) -> AsyncIterator[int]:
    """Serve on a free port: note who came, and answer every line until the end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readline():
                served.append(tls.peer_lfdi(writer.transport))
                writer.write(b"pong\n")
                await writer.drain()
        except (ConnectionError, ssl.SSLError, PkiFault):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as listener:
        yield listener.sockets[0].getsockname()[1]


class Caller:
    """One open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, port: int, context: ssl.SSLContext) -> "Caller":
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=""))

    async def ask(self) -> str:
        """Have one line answered; give the LFDI of whoever did."""
        self._writer.write(b"ping\n")
        if await self._reader.readline() != b"pong\n":
            raise ConnectionResetError("cut off")
        return tls.peer_lfdi(self._writer.transport)

    def close(self) -> None:
        self._writer.transport.abort()


async def once(port: int, context: ssl.SSLContext) -> str:
    caller = await Caller.to(port, context)
    try:
        return await caller.ask()
    finally:
        caller.close()


async def test_both_ends_rotate_without_a_failed_request(pki: Path) -> None:
    old = {name: lfdi(pki, name) for name in NAMES}
    identities = Identities()
    serving = identities.server(*pair(pki, "utility"), trust(pki))
    calling = identities.client(*pair(pki, "gateway"), trust(pki))
    renewed: list[str] = []
    identities.on_renewal(calling, renewed.append)
    served: list[str] = []
    async with server(serving, served) as port:
        standing = await Caller.to(port, calling)
        assert await standing.ask() == old["utility"]
        put(pki, "gateway", "roof")
        put(pki, "utility", "wall")
        identities.look()
        assert await once(port, calling) == old["utility"], "files that may still change are not taken up"
        identities.look()
        assert await once(port, calling) == old["wall"]
        assert await standing.ask() == old["utility"], "what is open goes on as it was"
        standing.close()
    assert served == [old["gateway"], old["gateway"], old["roof"], old["gateway"]]
    assert renewed == [old["roof"]]


async def test_a_rotation_in_two_steps_is_taken_up_when_both_are_there(
    pki: Path, caplog: pytest.LogCaptureFixture
) -> None:
    identities = Identities()
    calling = identities.client(*pair(pki, "gateway"), trust(pki))
    files.write_whole(pki / "gateway.key", (pki / "roof.key").read_bytes(), files.OWNER_ONLY)
    identities.look()
    files.write_whole(pki / "gateway.pem", (pki / "roof.pem").read_bytes(), files.READABLE)
    settle(identities)
    assert caplog.messages == []
    served: list[str] = []
    async with server(tls.server_context(*pair(pki, "utility"), trust(pki)), served) as port:
        await once(port, calling)
    assert served == [lfdi(pki, "roof")]


def _half(pki: Path) -> None:
    files.write_whole(pki / "gateway.key", (pki / "roof.key").read_bytes(), files.OWNER_ONLY)


def _gone(pki: Path) -> None:
    (pki / "gateway.key").unlink()


def _open_to_all(pki: Path) -> None:
    put(pki, "gateway", "roof")
    (pki / "gateway.key").chmod(0o644)


def _garbled(pki: Path) -> None:
    (pki / "gateway.pem").write_text("nonsense")


def _forged(pki: Path, **changed: object) -> None:
    mica, mca = authority(pki), authority(pki, "mca")
    made = forge(mica, good_leaf(), **changed)  # type: ignore[arg-type] # handed on
    made.save(pki, "gateway", mica.certificate, mca.certificate)
    (pki / "gateway.key").chmod(0o600)


def _expired(pki: Path) -> None:
    _forged(pki, not_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))


def _not_yet(pki: Path) -> None:
    _forged(pki, not_before=dt.datetime(2999, 1, 1, tzinfo=dt.UTC))


def _stranger(pki: Path) -> None:
    issue.init(pki / "other", ["stranger"])
    for suffix in (".key", ".pem"):
        mode = files.OWNER_ONLY if suffix == ".key" else files.READABLE
        files.write_whole(pki / f"gateway{suffix}", (pki / "other" / f"stranger{suffix}").read_bytes(), mode)


def _shuffled(pki: Path) -> None:
    text = (pki / "roof.pem").read_text() + (pki / "wall.pem").read_text()
    put(pki, "gateway", "roof")
    (pki / "gateway.pem").write_text(text)


def _no_trust(pki: Path) -> None:
    (pki / issue.SERCA).unlink()


FAULTY: dict[str, tuple[Callable[[Path], None], str]] = {
    "the key alone": (_half, "is not the key of"),
    "no key": (_gone, "No such file or directory"),
    "a key open to all": (_open_to_all, "others may read it; chmod 600 it"),
    "garbled": (_garbled, "holds no readable certificate"),
    "expired": (_expired, "expired on 2020-01-01"),
    "not yet valid": (_not_yet, "is not valid before 2999-01-01"),
    "of another authority": (_stranger, "is not in the trust files"),
    "more than one chain": (_shuffled, "holds what is not above its first one"),
    "no root": (_no_trust, "no such file"),
}


@pytest.mark.parametrize("fault", FAULTY)
async def test_a_faulty_rotation_is_refused_in_one_line_and_the_old_identity_goes_on(
    fault: str, pki: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, root = lfdi(pki, "gateway"), (pki / issue.SERCA).read_bytes()
    identities = Identities()
    calling = identities.client(*pair(pki, "gateway"), trust(pki))
    (pki / "kept.pem").write_bytes(root)
    serving = tls.server_context(*pair(pki, "utility"), [pki / "kept.pem", *trust(pki)[1:]])
    spoil, why = FAULTY[fault]
    spoil(pki)
    for _ in range(4):
        identities.look()
    (line,) = caplog.messages
    assert line.startswith(f"{pki / 'gateway.pem'}: what was put in its place is refused, the old identity goes on: ")
    assert why in line
    served: list[str] = []
    async with server(serving, served) as port:
        await once(port, calling)
    assert served == [old]
    (pki / issue.SERCA).write_bytes(root)
    put(pki, "gateway", "roof")
    settle(identities)
    async with server(serving, served) as port:
        await once(port, calling)
    assert served == [old, lfdi(pki, "roof")], "a rotation that is set right is taken up"


async def test_trust_that_is_added_lets_in_and_trust_that_is_removed_keeps_out(pki: Path) -> None:
    other = pki / "other"
    issue.init(other, ["stranger"])
    trusted = pki / "trust.pem"
    ours = b"".join(path.read_bytes() for path in trust(pki))
    theirs = b"".join(path.read_bytes() for path in trust(other))
    trusted.write_bytes(ours)
    identities = Identities()
    serving = identities.server(*pair(pki, "utility"), (trusted,))
    stranger = tls.client_context(*pair(other, "stranger"), [*trust(pki), *trust(other)])
    served: list[str] = []
    async with server(serving, served) as port:
        with pytest.raises(CUT_OFF):
            await once(port, stranger)
        files.write_whole(trusted, ours + theirs, files.READABLE)
        settle(identities)
        await once(port, stranger)
        files.write_whole(trusted, ours, files.READABLE)
        settle(identities)
        with pytest.raises(CUT_OFF):
            await once(port, stranger)
    assert served == [lfdi(other, "stranger")]


@pytest.mark.parametrize("denied", ["roof.pem", "mica.pem", "mca.pem", "serca.pem"])
async def test_who_is_denied_is_cut_off_and_kept_out_by_itself_or_its_authority(
    denied: str, pki: Path, caplog: pytest.LogCaptureFixture
) -> None:
    identities = Identities(pki / FILE)
    serving = identities.server(*pair(pki, "utility"), trust(pki))
    cuts: list[str | None] = []
    roof_der = files.read_certificates(pki / "roof.pem")[0].public_bytes(Encoding.DER)
    identities.on_denial(serving, lambda why: cuts.append(why(roof_der)))
    roof = tls.client_context(*pair(pki, "roof"), trust(pki))
    served: list[str] = []
    named = identity.lfdi(files.read_certificates(pki / denied)[0].public_bytes(Encoding.DER))
    async with server(serving, served) as port:
        standing = await Caller.to(port, roof)
        await standing.ask()
        DenyList().with_one(named, "stolen").write(pki / FILE)
        identities.look()
        with pytest.raises(CUT_OFF):
            await standing.ask()
        with pytest.raises(CUT_OFF):
            await once(port, roof)
        DenyList().write(pki / FILE)
        identities.look()
        await once(port, roof)
    assert len(served) == 2
    assert [line for line in caplog.messages if "refused" in line and "denied (stolen)" in line]
    whose = "it is denied (stolen)" if denied == "roof.pem" else f"its authority {named} is denied (stolen)"
    assert cuts == [whose, None]


def web_server(pki: Path, name: str) -> ssl.SSLContext:
    """Give a server of the ordinary kind, that asks nobody for a certificate and shows its whole chain."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair(pki, name))
    return context


def web_client(identities: Identities, trusted: Path) -> ssl.SSLContext:
    context = identities.web((trusted,))
    context.check_hostname = False
    return context


async def shake_hands(port: int, context: ssl.SSLContext) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="broker")
    writer.transport.abort()


async def test_a_root_that_is_removed_keeps_out_on_the_other_lanes_too(pki: Path) -> None:
    """The library's context keeps every root that was ever loaded into it."""
    other = pki / "other"
    issue.init(other, ["broker"])
    trusted = pki / "trust.pem"
    ours, theirs = (folder.joinpath(issue.SERCA).read_bytes() for folder in (pki, other))
    trusted.write_bytes(ours + theirs)
    identities = Identities()
    client = web_client(identities, trusted)
    async with server(web_server(other, "broker"), []) as port:
        await shake_hands(port, client)
        files.write_whole(trusted, ours, files.READABLE)
        settle(identities)
        with pytest.raises(PeerRefusedError, match="nothing that is trusted any more"):
            await shake_hands(port, client)
        files.write_whole(trusted, ours + theirs, files.READABLE)
        settle(identities)
        await shake_hands(port, client)


@pytest.mark.parametrize("authority_file", [issue.MICA, issue.MCA, issue.SERCA])
async def test_who_is_below_a_denied_authority_is_kept_out_where_only_the_root_is_trusted(
    authority_file: str, pki: Path
) -> None:
    """The authorities between are known from what the peer shows alone."""
    identities = Identities(pki / FILE)
    client = web_client(identities, pki / issue.SERCA)
    denied = identity.lfdi(files.read_certificates(pki / authority_file)[0].public_bytes(Encoding.DER))
    async with server(web_server(pki, "utility"), []) as port:
        await shake_hands(port, client)
        caller = await Caller.to(port, client)
        DenyList().with_one(denied, "stolen").write(pki / FILE)
        settle(identities)
        with pytest.raises(PeerRefusedError, match=r"its authority .* is denied"):
            await shake_hands(port, client)
        with pytest.raises(CUT_OFF):
            await caller.ask()
        caller.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_client_leaves_a_server_that_is_denied(loop: Callable[[], asyncio.AbstractEventLoop], pki: Path) -> None:
    identities = Identities(pki / FILE)
    calling = identities.client(*pair(pki, "gateway"), trust(pki))
    served: list[str] = []

    async def talk() -> None:
        async with server(tls.server_context(*pair(pki, "utility"), trust(pki)), served) as port:
            standing = await Caller.to(port, calling)
            await standing.ask()
            DenyList().with_one(lfdi(pki, "utility"), "").write(pki / FILE)
            identities.look()
            with pytest.raises(CUT_OFF):
                await standing.ask()
            with pytest.raises(PeerRefusedError, match="it is denied; gateway certs allow lets it in again"):
                await once(port, calling)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(talk())
    assert len(served) == 1


async def test_a_deny_list_holds_from_the_start_and_what_is_wrong_with_it_loosens_nothing(
    pki: Path, caplog: pytest.LogCaptureFixture
) -> None:
    DenyList().with_one(lfdi(pki, "roof"), "stolen").write(pki / FILE)
    identities = Identities(pki / FILE)
    serving = identities.server(*pair(pki, "utility"), trust(pki))
    roof = tls.client_context(*pair(pki, "roof"), trust(pki))
    served: list[str] = []

    async def kept_out() -> None:
        identities.look()
        async with server(serving, served) as port:
            with pytest.raises(CUT_OFF):
                await once(port, roof)

    await kept_out()
    (pki / FILE).write_text("ABC\n")
    await kept_out()
    (pki / FILE).unlink()
    await kept_out()
    told = [line for line in caplog.messages if "as it was goes on" in line]
    assert len(told) == 2
    assert "line 1: LFDI 'ABC' is not 40 hex digits; correct the line or remove it" in told[0]
    assert "is gone; put it back" in told[1]
    assert served == []
    (pki / FILE).write_text("ABC\n")
    with pytest.raises(PkiFault, match="line 1"):
        Identities(pki / FILE)


def test_a_deny_list_is_kept_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "state" / FILE
    one, two = "A" * 40, "B" * 40
    DenyList().with_one(one.lower(), "stolen\nfrom the van").with_one(two, "").write(path)
    assert DenyList.read(path).notes == {one: "stolen from the van", two: ""}
    DenyList.read(path).without(two).write(path)
    assert DenyList.read(path).notes == {one: "stolen from the van"}
    assert DenyList.read(tmp_path / "none").notes == {}


def test_what_ends_soon_is_told_once_a_day_and_measured(pki: Path, caplog: pytest.LogCaptureFixture) -> None:
    end = dt.datetime(2030, 6, 30, 12, tzinfo=dt.UTC)
    _forged(pki, not_after=end)
    now_s = [(end - 31 * DAY).timestamp()]
    identities = Identities(now_s=lambda: now_s[0])
    identities.client(*pair(pki, "gateway"), trust(pki))
    for _ in range(3):
        identities.look()
    assert caplog.messages == []
    for _ in range(40):
        now_s[0] += DAY_S / 4
        identities.look()
    assert len(caplog.messages) == 10, "once a day from 30 days on"
    path = pki / "gateway.pem"
    assert caplog.messages[0] == f"{path}: ends on 2030-06-30, in 30 days; put a new one in its place before"
    assert identities.left_s()[str(path)] == pytest.approx(21 * 86_400)
    assert identities.left_s()[str(pki / issue.SERCA)] > 365 * 7000 * 86_400
    now_s[0] = end.timestamp() + DAY_S
    identities.look()
    identities.look()
    assert caplog.messages[10:] == [f"{path}: ended on 2030-06-30; peers refuse it, put a new one in its place"]
    assert caplog.records[-1].levelno == logging.ERROR
    assert identities.left_s()[str(path)] == pytest.approx(-86_400)


def test_a_key_that_others_may_read_is_no_identity(pki: Path) -> None:
    (pki / "gateway.key").chmod(0o640)
    with pytest.raises(PkiFault, match=r"key file .*gateway\.key: others may read it; chmod 600 it"):
        Identities().client(*pair(pki, "gateway"), trust(pki))


def test_no_part_of_a_key_is_left_open(pki: Path) -> None:
    identities = Identities()
    identities.client(*pair(pki, "gateway"), trust(pki))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("roof", "wall", "utility"):
        put(pki, "gateway", name)
        settle(identities)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    shutil.rmtree(pki)
