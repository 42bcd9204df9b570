"""Modbus/TCP Security: both ends certified, the role in ours, replies split over TLS records."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography import x509
from modbus_certificates import GRID_SERVICE, ROLE, Authority
from pymodbus import FramerType
from pymodbus.server import ModbusTlsServer
from sunspec_bench import RATE, RATED_W, Bank, Ear, at, cleared, clock_at, command, one_frame
from sunspec_bench import serving as serving_plain
from sunspec_peer import devices, held

from gateway.config import SiteFile
from gateway.core.events import Adopted, LinkDown, LinkUp, NotAdopted
from gateway.pki import tls
from gateway.ports.south import Lease
from gateway.runtime import wiring
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import Lines, Links, ModbusTls, build, connection, link
from gateway.southbound.sunspec_modbus.connection import Shared
from gateway.southbound.sunspec_modbus.reach import Place

WRITE = 16


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)
    monkeypatch.setattr(connection, "REPLY_S", 0.5)
    monkeypatch.setattr(link, "BACKOFF_S", (0.01, 0.05, 0.1, 0.2, 0.4))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@asynccontextmanager
async def linked(port: int, secured: ModbusTls, units: tuple[int, ...] = (1,)) -> AsyncIterator[tuple[Links, Ear]]:
    """Run links to units of one secured address: `roof`, `u2`, ..."""
    clock, ear = clock_at(RATE), Ear()
    tables = {"roof" if unit == 1 else f"u{unit}": replace(at(port, unit=unit), tls=secured) for unit in units}
    context = tls.modbus_context(secured.certificate, secured.key, secured.trust)
    lines = Lines(tables.values(), {secured: context})
    rated = {name: (table, RATED_W) for name, table in tables.items()}
    links = build(rated, clock, ear, Lease(clock, 1 << 60), may_write=True, lines=lines)
    task = asyncio.create_task(links.run())
    try:
        yield links, ear
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def want(links: Links, device: str = "roof", serial: int = 1) -> None:
    links.want(cleared(command(device), links.shared.clock.now_ms(), serial))


class Inverter:
    """A device behind TLS that sends each reply as records of so many octets, and grants writes to one role."""

    def __init__(self, bank: Bank, record: int = 300) -> None:
        self.bank = bank
        self.record = record
        self.writes_for = GRID_SERVICE
        self.role = b""
        self.versions: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        session = writer.get_extra_info("ssl_object")
        peer = x509.load_der_x509_certificate(session.getpeercert(binary_form=True))
        self.role = peer.extensions.get_extension_for_oid(ROLE).value.public_bytes()
        self.versions.add(session.version())
        try:
            while frame := await one_frame(reader):
                reply = frame[:4] + self._pdu(frame)
                for start in range(0, len(reply), self.record):
                    writer.write(reply[start : start + self.record])
                    await asyncio.sleep(0.002)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _pdu(self, frame: bytes) -> bytes:
        function, address = frame[7], int.from_bytes(frame[8:10])
        if function == WRITE:
            code = 1 if self.role != self.writes_for else self.bank.write(function, address, frame[13:])
            pdu = bytes((function | 0x80, code)) if code else frame[7:12]
        else:
            words = self.bank.read(address, int.from_bytes(frame[10:12]))
            pdu = bytes((function | 0x80, 2)) if words is None else bytes((function, len(words))) + words
        return (len(pdu) + 1).to_bytes(2) + frame[6:7] + pdu


@asynccontextmanager
async def serving(inverter: Inverter, context: ssl.SSLContext) -> AsyncIterator[int]:
    server = await asyncio.start_server(inverter.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize("units", [(1,), (1, 2)])
async def test_a_foreign_server_is_found_and_told_over_mutual_tls(pki: Authority, units: tuple[int, ...]) -> None:
    banks = {unit: Bank() for unit in units}
    server: Any = ModbusTlsServer(
        devices(banks), framer=FramerType.SOCKET, address=("127.0.0.1", 0), sslctx=pki.serving(pki.inverter)
    )
    await server.serve_forever(background=True)
    try:
        port = server.transport.sockets[0].getsockname()[1]
        async with linked(port, pki.secured, units) as (links, ear):
            for serial, unit in enumerate(units, 1):
                name = "roof" if unit == 1 else f"u{unit}"
                await ear.until(LinkUp, device=name)
                want(links, name, serial)
                await ear.until(Adopted, device=name)
                assert await held(server, unit, banks[unit], "704.WMaxLimPct") == 6_000
    finally:
        await server.shutdown()


@pytest.mark.parametrize("record", [7, 100, 512])
async def test_replies_may_be_split_over_records_and_our_role_is_shown(pki: Authority, record: int) -> None:
    inverter = Inverter(Bank(), record)
    async with serving(inverter, pki.serving(pki.inverter)) as port, linked(port, pki.secured) as (links, ear):
        await ear.until(LinkUp)
        want(links)
        await ear.until(Adopted)
        assert inverter.bank.limit_pct == 60
        assert inverter.role == GRID_SERVICE
        assert inverter.versions <= {"TLSv1.2", "TLSv1.3"}
        assert not ear.of(LinkDown)


async def test_a_role_that_may_not_write_is_told_as_not_adopted(pki: Authority) -> None:
    inverter = Inverter(Bank())
    inverter.writes_for = b"\x0c\x04Boss"
    async with serving(inverter, pki.serving(pki.inverter)) as port, linked(port, pki.secured) as (links, ear):
        await ear.until(LinkUp)
        want(links)
        refused = await ear.until(NotAdopted)
        assert "exception 1 (illegal function)" in refused.why


async def test_a_device_of_another_name_is_not_spoken_to_unless_that_name_is_given(pki: Authority) -> None:
    inverter = Inverter(Bank())
    async with serving(inverter, pki.serving(pki.stranger)) as port:
        async with linked(port, pki.secured) as (_links, ear):
            down = await ear.until(LinkDown)
            assert down.why.startswith(f"cannot connect to 127.0.0.1:{port}: ")
            assert "certificate" in down.why
        assert inverter.role == b""
        async with linked(port, replace(pki.secured, server_name="inverter-7")) as (_links, ear):
            await ear.until(LinkUp)


async def test_neither_end_trusts_what_another_authority_vouches_for(pki: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    inverter = Inverter(Bank())
    async with serving(inverter, other.serving(other.inverter)) as port:
        async with linked(port, pki.secured) as (_links, ear):
            down = await ear.until(LinkDown)
            assert "certificate verify failed" in down.why
        async with linked(port, replace(pki.secured, trust=(other.root.path,))) as (_links, ear):
            await ear.until(LinkDown)
            await asyncio.sleep(0.2)
            assert not ear.of(LinkUp)
    assert inverter.bank.reads == []


async def test_a_device_that_speaks_no_tls_is_not_spoken_to(pki: Authority) -> None:
    bank = Bank()
    async with serving_plain(bank) as plain, linked(plain.port, pki.secured) as (_links, ear):
        down = await ear.until(LinkDown)
        assert down.why.startswith(f"cannot connect to 127.0.0.1:{plain.port}")
    assert bank.reads == []


def test_what_is_to_be_secured_is_never_reached_in_the_clear(pki: Authority) -> None:
    table = replace(at(1502), tls=pki.secured)
    clock, ear = clock_at(1), Ear()
    with pytest.raises(ValueError, match="no TLS context"):
        build({"roof": (table, RATED_W)}, clock, ear, Lease(clock, 1), may_write=True)


@pytest.mark.parametrize(
    ("role", "said"),
    [
        (GRID_SERVICE, "gateway.pem bears the Modbus role GridServiceSunSpec"),
        (b"\x0c\x19SuperAdministratorSunSpec", "more than a gateway needs; use GridServiceSunSpec"),
        (None, "bears no Modbus role: devices may refuse everything; have GridServiceSunSpec put in"),
    ],
)
def test_our_own_role_is_told_once(
    role: bytes | None, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Authority(tmp_path, role or GRID_SERVICE)
    own = made.gateway if role else made.inverter
    secured = ModbusTls(own.path, own.key_path, (made.root.path,))
    tables = [{"sunspec_modbus": replace(at(1502, unit=unit), tls=secured)} for unit in (1, 2)]
    owners = [SimpleNamespace(tables=each) for each in tables]
    caplog.set_level(logging.INFO)
    lines = wiring.lines(cast("SiteFile", SimpleNamespace(devices=owners[:1], meters=owners[1:])))
    assert [record.getMessage() for record in caplog.records if said in record.getMessage()]
    assert len(caplog.records) == 1
    shared = Shared(clock_at(1), Ear(), Lease(clock_at(1), 1), may_write=True)
    assert isinstance(lines.way(tables[0]["sunspec_modbus"], shared), Place)
