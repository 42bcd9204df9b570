"""Bad certificates and bad TLS, entry by entry, over real handshakes with our own 2030.5 server and client."""

import asyncio
import shutil
import socket
import ssl
import struct
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from forge import rogue_context
from tls_catalogue import (
    BY_OPENSSL,
    CERTIFICATES,
    CUT_OFF,
    MICAS,
    REQUEST,
    Rogue,
    asked,
    of_chain,
    self_signed,
    serving,
)

from gateway.listening import Limits
from gateway.pki import issue, tls
from gateway.pki.denied import FILE, DenyList
from gateway.pki.live import Identities

SERVED = b"HTTP/1.1 200 OK\r\n"
PATIENCE_S = 30.0
TLS_PLAIN, TLS_ALERT, TLS_DATA = 0x16, 0x15, 0x17


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    issue.init(directory, ["gateway", "roof"])
    return directory


def pair(pki: Path, name: str) -> tuple[Path, Path]:
    return pki / f"{name}.pem", pki / f"{name}.key"


def trust(pki: Path, folder: Path, rogue: Rogue | None = None) -> list[Path]:
    """Give the trust files, with all that stands above a rogue: what refuses it is nothing that is merely unknown."""
    files = [pki / file for file in (issue.SERCA, issue.MCA, issue.MICA)]
    if rogue and rogue.more_trust:
        more = folder / "more.pem"
        more.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in rogue.more_trust))
        files.append(more)
    return files


def roof(pki: Path) -> ssl.SSLContext:
    return rogue_context(ssl.PROTOCOL_TLS_CLIENT, *pair(pki, "roof"), pki / issue.SERCA)


def roof_lfdi(pki: Path) -> str:
    return issue.init(pki, ["roof"])["roof"].lfdi


# -- certificates


@pytest.mark.parametrize("entry", CERTIFICATES)
async def test_certificate_of_a_client_is_refused_in_the_handshake(entry: str, pki: Path, tmp_path: Path) -> None:
    rogue = CERTIFICATES[entry](pki)
    refusals: list[str] = []
    context = tls.server_context(*pair(pki, "gateway"), trust(pki, tmp_path, rogue), on_refusal=refusals.append)
    caller = rogue_context(ssl.PROTOCOL_TLS_CLIENT, *rogue.save(tmp_path), pki / issue.SERCA)
    async with serving(context, rogue.lfdi, roof_lfdi(pki)) as port:
        with pytest.raises(CUT_OFF):
            await asked(port, caller)
        assert await asked(port, roof(pki)) == SERVED, "the good one beside it is served"
    if entry in BY_OPENSSL:
        assert refusals == []
    else:
        assert len(refusals) == 1
        assert rogue.why in refusals[0]


@pytest.mark.parametrize("entry", CERTIFICATES)
async def test_certificate_of_a_server_is_refused_before_a_word_is_said(entry: str, pki: Path, tmp_path: Path) -> None:
    rogue = CERTIFICATES[entry](pki)
    context = rogue_context(ssl.PROTOCOL_TLS_SERVER, *rogue.save(tmp_path), pki / issue.SERCA)
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*CUT_OFF):
            heard.extend(await reader.read())
        writer.close()

    calling = tls.client_context(*pair(pki, "gateway"), trust(pki, tmp_path, rogue), pinned_lfdi=rogue.lfdi)
    async with await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context) as listener:
        with pytest.raises(CUT_OFF) as refusal:
            await asked(listener.sockets[0].getsockname()[1], calling)
    if entry not in BY_OPENSSL | {"RSA"}:
        assert rogue.why in str(refusal.value)
    assert heard == b""


# -- CSIP COMM-004: chains of 2, 3 and 4


@pytest.mark.parametrize("length", [2, 3, 4])
async def test_good_chain_is_served(length: int, pki: Path, tmp_path: Path) -> None:
    good = of_chain(pki, length, MICAS["good"][0]())
    caller = rogue_context(ssl.PROTOCOL_TLS_CLIENT, *good.save(tmp_path), pki / issue.SERCA)
    context = tls.server_context(*pair(pki, "gateway"), trust(pki, tmp_path, good))
    async with serving(context, good.lfdi) as port:
        assert await asked(port, caller) == SERVED


@pytest.mark.parametrize("entry", MICAS.keys() - {"good"})
@pytest.mark.parametrize("length", [3, 4])
async def test_chain_with_a_bad_authority_is_refused(length: int, entry: str, pki: Path, tmp_path: Path) -> None:
    extensions, why = MICAS[entry]
    rogue = of_chain(pki, length, extensions())
    caller = rogue_context(ssl.PROTOCOL_TLS_CLIENT, *rogue.save(tmp_path), pki / issue.SERCA)
    refusals: list[str] = []
    context = tls.server_context(*pair(pki, "gateway"), trust(pki, tmp_path, rogue), on_refusal=refusals.append)
    async with serving(context, rogue.lfdi) as port:
        with pytest.raises(CUT_OFF):
            await asked(port, caller)
    assert len(refusals) == 1
    assert why in refusals[0]


@pytest.mark.parametrize("length", [2, 3, 4])
async def test_self_signed_device_is_refused_whatever_it_shows_above_it(length: int, pki: Path, tmp_path: Path) -> None:
    rogue = self_signed(pki)
    rogue.above = of_chain(pki, length, MICAS["good"][0]()).above
    caller = rogue_context(ssl.PROTOCOL_TLS_CLIENT, *rogue.save(tmp_path), pki / issue.SERCA)
    context = tls.server_context(*pair(pki, "gateway"), trust(pki, tmp_path))
    async with serving(context, rogue.lfdi) as port:
        with pytest.raises(CUT_OFF):
            await asked(port, caller)


# -- the handshake


def ccm_8_absent(context: ssl.SSLContext) -> None:
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-CCM")


def _only(version: ssl.TLSVersion, ciphers: str) -> Callable[[ssl.SSLContext], None]:
    def twist(context: ssl.SSLContext) -> None:
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = version
            context.minimum_version = version
        context.set_ciphers(ciphers)

    return twist


HANDSHAKES: dict[str, Callable[[ssl.SSLContext], None]] = {
    "CCM-8 absent": ccm_8_absent,
    "TLS 1.0": _only(ssl.TLSVersion.TLSv1, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    "TLS 1.1": _only(ssl.TLSVersion.TLSv1_1, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    "TLS 1.3": _only(ssl.TLSVersion.TLSv1_3, "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"),
}


@pytest.mark.parametrize("entry", HANDSHAKES)
async def test_handshake_is_refused(entry: str, pki: Path, tmp_path: Path) -> None:
    twisted = roof(pki)
    HANDSHAKES[entry](twisted)
    context = tls.server_context(*pair(pki, "gateway"), trust(pki, tmp_path))
    async with serving(context, roof_lfdi(pki)) as port:
        with pytest.raises(CUT_OFF):
            await asked(port, twisted)
        assert await asked(port, roof(pki)) == SERVED


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command here to ask with")
async def test_renegotiation_is_refused(pki: Path, tmp_path: Path) -> None:
    context = tls.server_context(*pair(pki, "gateway"), trust(pki, tmp_path))
    certificate, key = pair(pki, "roof")
    async with serving(context, roof_lfdi(pki)) as port:
        client = await asyncio.create_subprocess_exec(
            "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-cipher", tls.CIPHERS,
            "-cert", certificate, "-key", key, "-CAfile", pki / issue.SERCA,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        shown, _ = await asyncio.wait_for(client.communicate(b"R\n" + REQUEST), PATIENCE_S)
    assert b"RENEGOTIATING" in shown
    assert b"no renegotiation" in shown
    assert b"HTTP/1.1" not in shown


async def test_resumption_after_revocation_is_refused(pki: Path, tmp_path: Path) -> None:
    identities = Identities(tmp_path / FILE)
    context = identities.server(*pair(pki, "gateway"), trust(pki, tmp_path))
    caller = roof(pki)
    async with serving(context, roof_lfdi(pki)) as port:
        session, line = await asyncio.to_thread(resumed, port, caller, None)
        assert line.startswith(SERVED)
        _again, line = await asyncio.to_thread(resumed, port, caller, session)
        assert line.startswith(SERVED), "a session is resumed as long as nobody is denied"
        DenyList().with_one(roof_lfdi(pki), "").write(tmp_path / FILE)
        identities.look()
        with pytest.raises(CUT_OFF):
            await asyncio.to_thread(resumed, port, caller, session)


def resumed(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[ssl.SSLSession, bytes]:
    """Ask over a session, new or resumed; give it and what was answered."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain,
        context.wrap_socket(plain, session=session) as connection,
    ):
        assert connection.session_reused == (session is not None)
        made = connection.session
        connection.sendall(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
        if not answer:
            raise ConnectionResetError("cut off")
        with suppress(OSError):
            connection.unwrap()
    assert made is not None
    return made, answer


def hello(pki: Path, version: ssl.TLSVersion) -> bytes:
    """Give the first flight of a client."""
    context = roof(pki)
    _only(version, tls.CIPHERS)(context)
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


async def test_0_rtt_is_refused(pki: Path, tmp_path: Path) -> None:
    context = tls.server_context(*pair(pki, "gateway"), trust(pki, tmp_path))
    early = struct.pack(">BHH", TLS_DATA, 0x0303, len(REQUEST)) + REQUEST
    async with serving(context, roof_lfdi(pki)) as port:
        answer = await spoken(port, hello(pki, ssl.TLSVersion.TLSv1_3) + early)
    assert answer[:1] in {b"", bytes((TLS_ALERT,))}
    assert b"HTTP" not in answer


async def test_plaintext_http_on_the_tls_port_is_refused(pki: Path, tmp_path: Path) -> None:
    context = tls.server_context(*pair(pki, "gateway"), trust(pki, tmp_path))
    async with serving(context, roof_lfdi(pki)) as port:
        assert b"HTTP/1.1" not in await spoken(port, REQUEST)
        assert await asked(port, roof(pki)) == SERVED


async def spoken(port: int, octets: bytes) -> bytes:
    """Say something to the port and give all that it answers until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(octets)
        with suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), PATIENCE_S)
        return b""
    finally:
        writer.transport.abort()


async def test_half_handshake_is_given_up(pki: Path, tmp_path: Path) -> None:
    context = tls.server_context(*pair(pki, "gateway"), trust(pki, tmp_path))
    async with serving(context, roof_lfdi(pki), limits=Limits(handshake_s=0.5)) as port:
        whole = hello(pki, ssl.TLSVersion.TLSv1_2)
        began_s = time.monotonic()
        for part in (b"", whole[: len(whole) // 2], whole):
            await spoken(port, part)
            assert await asked(port, roof(pki)) == SERVED
        assert time.monotonic() - began_s < PATIENCE_S


async def test_slow_handshake_of_a_byte_at_a_time_is_given_up(pki: Path, tmp_path: Path) -> None:
    context = tls.server_context(*pair(pki, "gateway"), trust(pki, tmp_path))
    whole = hello(pki, ssl.TLSVersion.TLSv1_2)
    async with serving(context, roof_lfdi(pki), limits=Limits(handshake_s=0.5)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ended = asyncio.create_task(reader.read())
        sent = 0
        for octet in whole:
            writer.write(bytes((octet,)))
            sent += 1
            await asyncio.wait({ended}, timeout=0.05)
            if ended.done():
                break
        assert sent < len(whole), "each byte put it off"
        writer.transport.abort()
        with suppress(ConnectionError):
            await ended
        assert await asked(port, roof(pki)) == SERVED


def test_handshakes_are_given_ten_seconds() -> None:
    assert Limits().handshake_s == tls.HANDSHAKE_TIMEOUT_S == 10
