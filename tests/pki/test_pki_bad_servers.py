"""Bad TLS of a server that our client calls: it is left before a word is said."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from forge import rogue_context
from test_pki_bad_input import HANDSHAKES, hello, pair, trust
from tls_catalogue import ANSWER_S, CUT_OFF, asked

from gateway.pki import issue, tls

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    issue.init(directory, ["gateway", "roof"])
    return directory


def caller(pki: Path, tmp_path: Path) -> ssl.SSLContext:
    lfdi = issue.init(pki, ["roof"])["roof"].lfdi
    return tls.client_context(*pair(pki, "gateway"), trust(pki, tmp_path), pinned_lfdi=lfdi)


@pytest.mark.parametrize("entry", HANDSHAKES)
async def test_handshake_of_a_server_is_refused(entry: str, pki: Path, tmp_path: Path) -> None:
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*CUT_OFF):
            heard.extend(await reader.read())
        writer.close()

    twisted = rogue_context(ssl.PROTOCOL_TLS_SERVER, *pair(pki, "roof"), pki / issue.SERCA)
    HANDSHAKES[entry](twisted)
    async with await asyncio.start_server(listen, "127.0.0.1", 0, ssl=twisted) as listener:
        with pytest.raises(CUT_OFF):
            await asked(listener.sockets[0].getsockname()[1], caller(pki, tmp_path))
    assert heard == b""


async def spoken_to(octets: bytes, pki: Path, tmp_path: Path) -> bytes:
    """Answer our client's first flight with these octets; give what else it says before it leaves."""
    rest = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(octets)
        with suppress(ConnectionError):
            rest.set_result(await reader.read())
        writer.transport.abort()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listener:
        with pytest.raises(CUT_OFF):
            await asked(listener.sockets[0].getsockname()[1], caller(pki, tmp_path))
        return bytes(await asyncio.wait_for(rest, ANSWER_S)) if not rest.done() else bytes(rest.result())


async def test_plaintext_http_on_the_tls_port_of_a_server_is_refused(pki: Path, tmp_path: Path) -> None:
    rest = await spoken_to(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", pki, tmp_path)
    assert b"GET" not in rest


async def test_half_handshake_of_a_server_that_speaks_as_a_client_is_refused(pki: Path, tmp_path: Path) -> None:
    rest = await spoken_to(hello(pki, ssl.TLSVersion.TLSv1_2), pki, tmp_path)
    assert b"GET" not in rest
