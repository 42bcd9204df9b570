"""Certificates of Modbus Security replaced and denied while a device is polled."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from modbus_certificates import GRID_SERVICE, ROLE, Authority, make
from sunspec_bench import RATED_W, Bank, Ear, at, clock_at, until
from test_sunspec_tls import Inverter, serving

from gateway.core.events import LinkDown, LinkUp
from gateway.pki import identity
from gateway.pki.denied import FILE, DenyList
from gateway.pki.live import Identities
from gateway.ports.south import Lease
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import Lines, build, connection, link

RATE = 10


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(connection, "REPLY_S", 2.0)
    monkeypatch.setattr(link, "BACKOFF_S", (0.01, 0.05, 0.1, 0.2, 0.4))


class Seeing(Inverter):
    """A device that notes who connects."""

    def __init__(self) -> None:
        super().__init__(Bank())
        self.came: list[bytes] = []
        self.open: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        self.open.append(writer)
        await super().serve(reader, writer)


@asynccontextmanager
async def polled(port: int, pki: Authority, context: ssl.SSLContext) -> AsyncIterator[Ear]:
    clock, ear = clock_at(RATE), Ear()
    table = replace(at(port), tls=pki.secured)
    lines = Lines([table], {pki.secured: context})
    links = build({"roof": (table, RATED_W)}, clock, ear, Lease(clock, 1 << 60), may_write=False, lines=lines)
    task = asyncio.create_task(links.run())
    try:
        await until(lambda: bool(ear.of(LinkUp)))
        yield ear
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


async def test_the_next_connection_is_under_the_new_certificate(tmp_path: Path) -> None:
    pki, identities, inverter = Authority(tmp_path), Identities(), Seeing()
    context = identities.modbus(pki.secured.certificate, pki.secured.key, pki.secured.trust)
    async with serving(inverter, pki.serving(pki.inverter)) as port, polled(port, pki, context) as ear:
        new = make(tmp_path, "new", pki.root, x509.UnrecognizedExtension(ROLE, GRID_SERVICE))
        shutil.copy(new.key_path, pki.gateway.key_path)
        shutil.copy(new.path, pki.gateway.path)
        identities.look()
        identities.look()
        polls = len(inverter.bank.reads)
        await until(lambda: len(inverter.bank.reads) >= polls + 4)
        assert ear.of(LinkDown) == [], "what is open goes on"
        inverter.open[0].transport.abort()
        await until(lambda: len(inverter.came) >= 2)
        assert inverter.came[:2] == [der(pki.gateway.certificate), der(new.certificate)]


@pytest.mark.parametrize("denied", ["inverter", "root"])
async def test_a_device_that_is_denied_is_not_asked_again(denied: str, tmp_path: Path) -> None:
    pki, inverter = Authority(tmp_path), Seeing()
    identities = Identities(tmp_path / FILE)
    context = identities.modbus(pki.secured.certificate, pki.secured.key, pki.secured.trust)
    async with serving(inverter, pki.serving(pki.inverter)) as port, polled(port, pki, context) as ear:
        named = pki.inverter if denied == "inverter" else pki.root
        DenyList().with_one(identity.lfdi(der(named.certificate)), "stolen").write(tmp_path / FILE)
        identities.look()
        reads = len(inverter.bank.reads)
        await until(lambda: bool(ear.of(LinkDown)))
        await asyncio.sleep(0.5)
        assert len(inverter.came) == 1, "it is tried again, and left in the handshake"
        assert len(inverter.bank.reads) <= reads + 1, "a reply under way is the last"
        DenyList().write(tmp_path / FILE)
        identities.look()
        await until(lambda: len(ear.of(LinkUp)) == 2)
