"""One VEN link to one simulated VTN over real TLS on an accelerated clock, and all that it said, heard and was told."""

import asyncio
import logging
import ssl
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.core.aggregate import Picture, Sample, picture
from gateway.core.answers import Answer, Kind
from gateway.core.events import Contact, Delivered, Event, OrderHeard, Withdrawn
from gateway.core.known import Known, Reading
from gateway.core.orders import Order
from gateway.northbound.openadr_ven import Link, OpenadrResource, OpenadrVen, build
from gateway.runtime.clock import parse
from hil.clock import Clock
from hil.openadr_vtn import Vtn

ROOT = Path(__file__).parents[2]
PARTY = "dso"
CLIENT = "gateway-1"
SECRET = "only the test knows it"
RATE = 200
POLL_S = 10
REPORT_S = 20
HOUR_S = 3_600
PATIENCE_S = 20.0
PROFILE: Mapping[str, Any] = tomllib.loads((ROOT / "profiles/protocols/openadr3.toml").read_text())
HOUSES = {"house-1": OpenadrResource("HOUSE-1"), "house-2": OpenadrResource()}
KW = {"EXPORT_CAPACITY_LIMIT": "KW", "IMPORT_CAPACITY_LIMIT": "KW", "DISPATCH_SETPOINT": "KW"}
LIMIT = {"EXPORT_CAPACITY_LIMIT": 1.5}

Some = TypeVar("Some")


def make_certificate(folder: Path, name: str = "vtn") -> Path:
    """Make a certificate for 127.0.0.1 that signs itself; give the file that holds it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    file = folder / f"{name}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return file


def known(value: int) -> Known:
    return Known(value, 0)


def sample(house: str, power: Reading) -> Sample:
    return Sample(f"roof of {house}", house, 5_000, 5_000, power, known(-120), known(230_400), connected=True)


class Lines(logging.Handler):
    """Keeps what the adapter logs for people."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class VtnWorld:
    """A VTN with the program "street", and a link to it; `async with` starts and ends both."""

    def __init__(
        self,
        certificate: Path,
        folder: Path,
        *,
        trust: Path | None = None,
        secret: str = SECRET,
        may_write: bool = True,
        is_parent: bool = True,
        programs: tuple[str, ...] = (),
        contact_lost_s: int | None = None,
        service: str = "",
        rate: int = RATE,
        profile: Mapping[str, Any] = PROFILE,
    ) -> None:
        text = f"x{rate}@{1_800_000_000 - rate * time.monotonic():.3f}"
        self.clock = parse(text)
        self.events: list[Event] = []
        self.samples = [sample(house, known(2_000)) for house in HOUSES]
        self.spool = folder / "openadr.sqlite"
        self.held: list[OrderHeard] = []
        self._log = Lines()
        self._secret, self._may_write, self._is_parent = secret, may_write, is_parent
        self._programs, self._contact_lost_s, self._service = programs, contact_lost_s, service
        self._profile = profile
        self._trust = ssl.create_default_context(cafile=str(trust or certificate))
        self._task: asyncio.Task[None] | None = None
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate)
        clock = Clock.parse(text)
        self.vtn = Vtn(PARTY, clock, client_id=CLIENT, client_secret=SECRET, ssl_context=server)
        self.vtn.program("street")

    async def __aenter__(self) -> Self:
        logging.getLogger("gateway.northbound.openadr_ven").addHandler(self._log)
        await self.vtn.start()
        self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()
        await self.vtn.stop()
        logging.getLogger("gateway.northbound.openadr_ven").removeHandler(self._log)

    def connect(self) -> None:
        """Make the link and let it run."""
        table = OpenadrVen(
            PARTY,
            self.vtn.url,
            CLIENT,
            Path("unread"),
            "street gateway",
            (),
            programs=self._programs,
            service=self._service,
            poll_s=POLL_S,
            report_s=REPORT_S,
            contact_lost_s=self._contact_lost_s,
        )
        self.link: Link = build(
            table,
            HOUSES,
            self._secret,
            self._trust,
            self._profile,
            self.clock,
            self.events.append,
            self.look if self._is_parent else None,
            may_write=self._may_write,
            spool=self.spool,
            held=lambda: self.held,
        )
        self._task = asyncio.create_task(self.link.run())

    async def disconnect(self) -> None:
        """End the link; it must have run until now."""
        if self._task is not None:
            self._task.cancel()
            (done,) = await asyncio.gather(self._task, return_exceptions=True)
            assert isinstance(done, asyncio.CancelledError), done
            self._task = None

    # -- what came of it

    def look(self) -> Picture:
        return picture(self.samples, self.clock.now_ms())

    @property
    def lines(self) -> list[str]:
        return self._log.lines

    def told(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]

    def heard(self, kind: type[Some]) -> list[Some]:
        return [event for event in self.events if isinstance(event, kind)]

    def orders(self) -> list[Order]:
        return [event.order for event in self.heard(OrderHeard)]

    def withdrawn(self) -> list[str]:
        return [event.id for event in self.heard(Withdrawn)]

    def delivered(self) -> list[int]:
        return [event.serial for event in self.heard(Delivered)]

    def asked(self, method: str = "GET") -> Counter[str]:
        """Count the requests that were answered, by path without query."""
        return Counter(one.path.partition("?")[0] for one in self.vtn.requests if one.method == method)

    def reports(self, payload: str = "READING") -> list[dict[str, Any]]:
        """Give the bodies of the reports whose first descriptor is of this payload type."""
        bodies = [one.body for one in self.vtn.reports]
        return [body for body in bodies if body["payloadDescriptors"][0]["payloadType"] == payload]

    async def until(self, true: Callable[[], object], why: str = "") -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline_s, (why, self.lines[-5:], self.events[-5:])
            await asyncio.sleep(0.005)

    async def rounds(self, count: int = 1) -> None:
        """Wait until the VTN was read completely so many times more, the reading that is under way aside."""
        before = len(self.heard(Contact))
        await self.until(lambda: len(self.heard(Contact)) > before + count, "a complete read")

    async def polls(self, count: int = 2) -> None:
        """Wait until the events were asked for so many times more."""
        before = self.asked()["/events"]
        await self.until(lambda: self.asked()["/events"] >= before + 2 * count, "events asked for again")

    async def seconds(self, count: float) -> None:
        """Let so many seconds of the accelerated clock pass."""
        await self.clock.sleep_until_ms(self.clock.now_ms() + int(1000 * count))

    def issue(self, name: str, payloads: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Issue an event of the program "street", of an hour from now unless told otherwise; give its id."""
        more.setdefault("descriptors", KW)
        more = {"start_s": 0, "duration_s": HOUR_S, **more}
        return str(self.vtn.issue("street", name, LIMIT if payloads is None else payloads, **more)["id"])

    async def ordered(self, *ids: str) -> list[Order]:
        """Wait until orders of these ids are heard; give the last of each."""
        await self.until(lambda: {*ids} <= {order.id for order in self.orders()}, f"orders {ids}")
        return [[order for order in self.orders() if order.id == name][-1] for name in ids]

    def owe(self, order: Order, kinds: Iterable[Kind], *, resource: str = "house-1", first: int = 1) -> None:
        for serial, kind in enumerate(kinds, first):
            at_ms = self.clock.now_ms()
            self.link.owe(
                Answer(serial, order.key, order.version, resource, kind, at_ms, "C2", "because", order.reply.to)
            )
