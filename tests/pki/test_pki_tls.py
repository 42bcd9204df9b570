import asyncio
import shutil
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
import uvloop
from aiohttp import web
from forge import BAD_LEAVES, CUT_OFF_BY_OPENSSL, authority, rogue_context

from gateway.pki import PkiFault, identity, issue, tls
from gateway.pki.judge import PeerRefusedError

CUT_OFF = (ConnectionError, ssl.SSLError)
TRUST = ("serca.pem", "mca.pem", "mica.pem")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    issue.init(directory, ["gateway", "utility", "other"])
    return directory


def pair(pki: Path, name: str) -> tuple[Path, Path]:
    return pki / f"{name}.pem", pki / f"{name}.key"


def trust(pki: Path) -> list[Path]:
    return [pki / file for file in TRUST]


def lfdi(pki: Path, name: str) -> str:
    return issue.init(pki, [name])[name].lfdi


@asynccontextmanager
async def server(context: ssl.SSLContext, served: list[str]) -> AsyncIterator[int]:
    """Serve on a free port: note who came, say one line."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.readline() == b"ping\n":
                served.append(tls.peer_lfdi(writer.transport))
                writer.write(b"pong\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as listener:
        yield listener.sockets[0].getsockname()[1]


async def ask(port: int, context: ssl.SSLContext) -> tuple[bytes, str, tuple[str, str, int]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="")
    try:
        writer.write(b"ping\n")
        answer = await reader.readline()
        if not answer:
            raise ConnectionResetError("cut off")
        return answer, tls.peer_lfdi(writer.transport), writer.get_extra_info("cipher")
    finally:
        writer.transport.abort()


def test_self_test_makes_a_real_handshake() -> None:
    assert tls.self_test() == ssl.OPENSSL_VERSION


@pytest.mark.parametrize("ciphers", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "NONSENSE"])
def test_self_test_says_what_to_do_when_the_suite_is_not_spoken(ciphers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "CIPHERS", ciphers)
    with pytest.raises(
        PkiFault, match=r"TLS self-test: .*cannot speak ECDHE-ECDSA-AES128-CCM8 .*; use a Python"
    ) as fault:
        tls.self_test()
    assert "\n" not in str(fault.value)


def test_both_ends_know_each_other(pki: Path) -> None:
    async def talk() -> None:
        served: list[str] = []
        context = tls.client_context(*pair(pki, "gateway"), trust(pki), pinned_lfdi=lfdi(pki, "utility"))
        async with server(tls.server_context(*pair(pki, "utility"), trust(pki)), served) as port:
            answer, peer, cipher = await ask(port, context)
        assert (answer, peer) == (b"pong\n", lfdi(pki, "utility"))
        assert cipher[:2] == ("ECDHE-ECDSA-AES128-CCM8", "TLSv1.2")
        assert served == [lfdi(pki, "gateway")]

    for loop in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(talk())


async def test_aiohttp_speaks_over_it_and_reads_the_peer_on_both_sides(pki: Path) -> None:
    seen = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await seen.wait()  # a client lets go of the connection once it has the whole body
        await response.write(tls.peer_lfdi(request.transport).encode())
        return response

    application = web.Application()
    application.router.add_get("/dcap", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.server_context(*pair(pki, "utility"), trust(pki))).start()
    port = runner.addresses[0][1]
    context = tls.client_context(*pair(pki, "gateway"), trust(pki), pinned_lfdi=lfdi(pki, "utility"))
    wrong = tls.client_context(*pair(pki, "gateway"), trust(pki), pinned_lfdi=lfdi(pki, "other"))
    async with aiohttp.ClientSession() as session:
        async with session.get(f"https://127.0.0.1:{port}/dcap", ssl=context) as response:
            connection = response.connection
            assert tls.peer_lfdi(connection.transport if connection else None) == lfdi(pki, "utility")
            seen.set()
            assert await response.text() == lfdi(pki, "gateway")
        with pytest.raises(aiohttp.ClientConnectorCertificateError, match="not the pinned"):
            await session.get(f"https://127.0.0.1:{port}/dcap", ssl=wrong)
    await runner.cleanup()


async def test_server_other_than_the_pinned_one_is_left_before_a_word_is_said(pki: Path) -> None:
    served: list[str] = []
    context = tls.client_context(*pair(pki, "gateway"), trust(pki), pinned_lfdi=lfdi(pki, "other"))
    async with server(tls.server_context(*pair(pki, "utility"), trust(pki)), served) as port:
        with pytest.raises(PeerRefusedError) as refusal:
            await ask(port, context)
    assert str(refusal.value).endswith(f"its LFDI is {lfdi(pki, 'utility')}, not the pinned {lfdi(pki, 'other')}")
    assert served == []


async def test_server_may_be_pinned_by_its_certificates_before_and_after_a_rotation(pki: Path) -> None:
    pins = [lfdi(pki, "utility"), lfdi(pki, "other").lower()]
    context = tls.client_context(*pair(pki, "gateway"), trust(pki), pinned_lfdi=pins)
    served: list[str] = []
    for name in ("utility", "other"):
        async with server(tls.server_context(*pair(pki, name), trust(pki)), served) as port:
            assert (await ask(port, context))[1] == lfdi(pki, name)
    async with server(tls.server_context(*pair(pki, "gateway"), trust(pki)), served) as port:
        with pytest.raises(PeerRefusedError, match="not the pinned"):
            await ask(port, context)


async def test_root_alone_is_trust_enough_inside_one_pki(pki: Path) -> None:
    served: list[str] = []
    root = pki / "serca.pem"
    async with server(tls.server_context(*pair(pki, "utility"), root), served) as port:
        assert (await ask(port, tls.client_context(*pair(pki, "gateway"), root)))[0] == b"pong\n"


@pytest.mark.parametrize("fault", BAD_LEAVES)
async def test_client_that_breaks_one_rule_gets_no_word(fault: str, pki: Path, tmp_path: Path) -> None:
    forger, reason = BAD_LEAVES[fault]
    mica, mca = authority(pki), authority(pki, "mca")
    files_of_rogue = forger(mica).save(tmp_path, "rogue", mica.certificate, mca.certificate)
    rogue = rogue_context(ssl.PROTOCOL_TLS_CLIENT, *files_of_rogue, pki / "serca.pem")
    served: list[str] = []
    refusals: list[str] = []
    context = tls.server_context(*pair(pki, "utility"), trust(pki), on_refusal=refusals.append)
    async with server(context, served) as port:
        with pytest.raises(CUT_OFF):
            await ask(port, rogue)
    assert served == []
    if fault in CUT_OFF_BY_OPENSSL:
        assert refusals == []
    else:
        assert len(refusals) == 1
        assert reason in refusals[0]


@pytest.mark.parametrize("fault", sorted(BAD_LEAVES.keys() - CUT_OFF_BY_OPENSSL))
async def test_server_that_breaks_one_rule_is_left(fault: str, pki: Path, tmp_path: Path) -> None:
    forger, reason = BAD_LEAVES[fault]
    mica, mca = authority(pki), authority(pki, "mca")
    files_of_rogue = forger(mica).save(tmp_path, "rogue", mica.certificate, mca.certificate)
    rogue = rogue_context(ssl.PROTOCOL_TLS_SERVER, *files_of_rogue, pki / "serca.pem")
    served: list[str] = []
    async with server(rogue, served) as port:
        with pytest.raises(PeerRefusedError) as refusal:
            await ask(port, tls.client_context(*pair(pki, "gateway"), trust(pki)))
    assert reason in str(refusal.value)
    assert str(refusal.value).isprintable()
    assert served == []


async def test_device_of_another_root_is_refused(pki: Path, tmp_path: Path) -> None:
    issue.init(tmp_path, ["stranger"])
    stranger = rogue_context(ssl.PROTOCOL_TLS_CLIENT, *pair(tmp_path, "stranger"), pki / "serca.pem")
    served: list[str] = []
    async with server(tls.server_context(*pair(pki, "utility"), trust(pki)), served) as port:
        with pytest.raises(CUT_OFF):
            await ask(port, stranger)
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(port, tls.client_context(*pair(tmp_path, "stranger"), trust(tmp_path)))
    assert served == []


def gcm_only(context: ssl.SSLContext) -> None:
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")


def newer_version(context: ssl.SSLContext) -> None:
    context.maximum_version = context.minimum_version = ssl.TLSVersion.TLSv1_3


def older_version(context: ssl.SSLContext) -> None:
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")


def other_curve(context: ssl.SSLContext) -> None:
    context.set_ecdh_curve("secp384r1")


@pytest.mark.parametrize(
    ("twist", "why"),
    [
        (gcm_only, "NO_SHARED_CIPHER"),
        (newer_version, "UNSUPPORTED_PROTOCOL"),
        (older_version, "UNSUPPORTED_PROTOCOL"),
        (other_curve, "NO_SHARED_CIPHER"),
    ],
)
async def test_nothing_but_the_one_suite_is_spoken(
    twist: Callable[[ssl.SSLContext], None], why: str, pki: Path
) -> None:
    client = rogue_context(ssl.PROTOCOL_TLS_CLIENT, *pair(pki, "gateway"), pki / "serca.pem")
    twist(client)
    await assert_cut_off(pki, client, why)


async def test_client_without_a_certificate_is_cut_off(pki: Path) -> None:
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.check_hostname = False
    anonymous.maximum_version = ssl.TLSVersion.TLSv1_2
    anonymous.set_ciphers(tls.CIPHERS)
    anonymous.load_verify_locations(pki / "serca.pem")
    await assert_cut_off(pki, anonymous, "PEER_DID_NOT_RETURN_A_CERTIFICATE")


async def assert_cut_off(pki: Path, client: ssl.SSLContext, why: str) -> None:
    """Try over a socket, and again in memory, where the reason can be seen."""
    served: list[str] = []
    context = tls.server_context(*pair(pki, "utility"), trust(pki))
    async with server(context, served) as port:
        with pytest.raises(CUT_OFF):
            await ask(port, client)
    assert served == []
    with pytest.raises(ssl.SSLError, match=why):
        handshake_in_memory(client, context)


def handshake_in_memory(client: ssl.SSLContext, context: ssl.SSLContext) -> None:
    upward, downward = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(downward, upward), context.wrap_bio(upward, downward, server_side=True)
    for end in ends * 3:
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command here to judge by")
async def test_openssl_client_speaks_to_it(pki: Path) -> None:
    served: list[str] = []
    async with server(tls.server_context(*pair(pki, "utility"), trust(pki)), served) as port:
        client = await asyncio.create_subprocess_exec(
            "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-cipher", tls.CIPHERS,
            "-cert", pki / "gateway.pem", "-cert_chain", pki / "gateway.pem", "-key", pki / "gateway.key",
            "-CAfile", pki / "serca.pem", "-verify_return_error", "-x509_strict", "-ign_eof",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        shown, _ = await asyncio.wait_for(client.communicate(b"ping\n"), 20)
    assert b"Cipher is ECDHE-ECDSA-AES128-CCM8" in shown
    assert b"Server Temp Key: ECDH, prime256v1, 256 bits" in shown
    assert b"Secure Renegotiation IS supported" in shown
    assert b"Compression: NONE" in shown
    assert b"pong" in shown
    assert served == [lfdi(pki, "gateway")]


def test_contexts_allow_neither_other_versions_nor_renegotiation(pki: Path) -> None:
    for make in (tls.client_context, tls.server_context):
        context = make(*pair(pki, "gateway"), trust(pki))
        assert {context.minimum_version, context.maximum_version} == {ssl.TLSVersion.TLSv1_2}
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert not context.check_hostname


async def test_blocking_socket_is_judged_too(pki: Path) -> None:
    context = tls.client_context(*pair(pki, "gateway"), trust(pki), pinned_lfdi=lfdi(pki, "other"))
    served: list[str] = []
    async with server(tls.server_context(*pair(pki, "utility"), trust(pki)), served) as port:
        with pytest.raises(PeerRefusedError, match="not the pinned"):
            await asyncio.to_thread(blocking_ask, port, context, None)
    assert served == []


async def test_plain_connection_has_no_identity() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as listener:
        _, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        with pytest.raises(PkiFault, match="it is closed or not mutual TLS"):
            tls.peer_lfdi(writer.transport)
        writer.transport.abort()
    with pytest.raises(PkiFault, match="it is closed or not mutual TLS"):
        tls.peer_lfdi(None)


async def test_session_gets_no_ticket_and_a_resumed_one_is_judged_again(pki: Path) -> None:
    served: list[str] = []
    judged: list[str] = []
    context = tls.client_context(*pair(pki, "gateway"), trust(pki))
    async with server(tls.server_context(*pair(pki, "utility"), trust(pki)), served) as port:
        first = await asyncio.to_thread(blocking_ask, port, context, None)
        assert not first.has_ticket
        context.sslsocket_class = watched(context.sslsocket_class, judged)
        await asyncio.to_thread(blocking_ask, port, context, first)
    assert judged == [lfdi(pki, "utility")]
    assert len(served) == 2


def watched(kind: type[ssl.SSLSocket], judged: list[str]) -> type[ssl.SSLSocket]:
    class Watched(kind):  # type: ignore[valid-type,misc] # the class that the context made
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            judged.append(identity.lfdi(self.getpeercert(binary_form=True) or b""))

    return Watched


def blocking_ask(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSession:
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, session=session) as connection,
    ):
        connection.sendall(b"ping\n")
        assert connection.recv(5) == b"pong\n"
        assert connection.session_reused == (session is not None)
        assert connection.session is not None
        return connection.session
