"""A bench for the MQTT adapter: a real broker, batteries that are not ours, and an ear for what is heard."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiomqtt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.core.events import Event
from gateway.core.guard import Bounds, Cleared, Draw, clear
from gateway.core.known import Known
from gateway.core.orders import OrderKey
from gateway.core.plan import Command
from gateway.ports.south import Lease
from gateway.runtime.clock import ScaledClock
from gateway.southbound.mqtt_device import Links, MqttDevice, MqttDevices, build
from hil.clock import Clock
from hil.mqtt.battery import BatterySpec

START_S = 1_767_225_600
RATE = 15
RATED_W = 5_000
REPORT_S = 5
TABLE = MqttDevice(revert_s=60, report_s=REPORT_S)
PROFILES = Path(__file__).parents[2] / "profiles/protocols/mqtt"
FOR_EVER_MS = 1 << 60


def clocks(rate: float = RATE) -> tuple[ScaledClock, Clock]:
    """Start a clock for the gateway and the same one for the devices."""
    clock = ScaledClock(float(rate), START_S - rate * time.monotonic())
    return clock, Clock.parse(f"x{rate:f}@{clock.origin_s:.6f}")


def command(device: str = "cell", **fields: Any) -> Command:
    """Give a command: by default 3000 W, falling back to 1500 W after a minute."""
    plain = Command(device, 3_000, None, None, None, 1_500, 60_000, (OrderKey("dso", "a"),), "C2")
    return plain._replace(**fields)


def cleared(told: Command, now_ms: int, serial: int = 1, valid_ms: int = 1_800_000) -> Cleared:
    """Have the guard clear a command."""
    draw = Draw(RATED_W, RATED_W, 0, 0, RATED_W, 0, 0)
    bounds = Bounds(told.device, RATED_W, RATED_W, 0, 0, RATED_W, 0, 0, True, True, now_ms + valid_ms, draw)
    made = clear(told, bounds, serial, now_ms)
    assert isinstance(made, Cleared), made
    return made


class Ear:
    """What the deciding loop would hear."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        self.events.append(event)
        self._news.set()

    def of(self, kind: type[Event], device: str = "cell") -> list[Any]:
        """Give what was heard of a kind, of one device."""
        return [each for each in self.events if isinstance(each, kind) and getattr(each, "device", "") == device]

    async def until(self, kind: type[Event], count: int = 1, device: str = "cell") -> Any:
        """Wait until so many of a kind were heard, and give the last."""
        async with asyncio.timeout(15):
            while len(self.of(kind, device)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind, device)[-1]


class Desk:
    """The link under test with its ear, lease and clock."""

    def __init__(self, links: Callable[["Desk"], Links], clock: ScaledClock) -> None:
        self.clock, self.ear = clock, Ear()
        self.lease = Lease(clock, FOR_EVER_MS)
        self.links = links(self)

    def want(self, serial: int = 1, device: str = "cell", valid_ms: int = 1_800_000, **fields: Any) -> Cleared:
        """Want a command of a device."""
        made = cleared(command(device, **fields), self.clock.now_ms(), serial, valid_ms)
        self.links.want(made)
        return made


@asynccontextmanager
async def desk(
    port: int,
    clock: ScaledClock,
    names: tuple[str, ...] = ("cell",),
    *,
    table: MqttDevice = TABLE,
    context: ssl.SSLContext | None = None,
    password: str | None = None,
    may_write: bool = True,
) -> AsyncIterator[Desk]:
    """Run the link until the end of the context; a fault in its task is raised there."""
    username = None if password is None else "gateway"
    broker = MqttDevices("127.0.0.1", port, username)
    devices = dict.fromkeys(names, (table, RATED_W))
    made = Desk(
        lambda to: build(broker, devices, context, password, clock, to.ear, to.lease, may_write=may_write), clock
    )
    task = asyncio.create_task(made.links.run())
    try:
        yield made
    finally:
        task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError), results


def spec(port: int, name: str = "cell", **fields: Any) -> BatterySpec:
    """Give a battery that would like to run at its rating."""
    return BatterySpec(**{"name": name, "port": port, "own_w": RATED_W, **fields})


async def until(true: Callable[[], bool], seconds: float = 15) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for gives no sign
            await asyncio.sleep(0.01)


@asynccontextmanager
async def party(port: int, name: str = "stranger", password: str | None = None) -> AsyncIterator[aiomqtt.Client]:
    """Connect somebody else to the broker."""
    async with aiomqtt.Client(
        "127.0.0.1",
        port,
        identifier=name,
        protocol=aiomqtt.ProtocolVersion.V5,
        username=None if password is None else name,
        password=password,
    ) as client:
        yield client


class Relay:
    """A way to the broker that can be cut without a word to either end."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Cut everything, for good."""
        assert self._server is not None
        self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._pumps.add(asyncio.create_task(_pump(source, sink)))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while octets := await source.read(4_096):
            sink.write(octets)
    sink.close()


@asynccontextmanager
async def overheard(port: int, topic: str) -> AsyncIterator[list[aiomqtt.Message]]:
    """Keep what is published on a topic."""
    kept: list[aiomqtt.Message] = []

    async def keep(client: aiomqtt.Client) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            while True:
                kept.append(await anext(client.messages))

    async with party(port, "listener") as client:
        await client.subscribe(topic, qos=1)
        task = asyncio.create_task(keep(client))
        try:
            yield kept
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def told_state(now_ms: int, sequence: int = 1, **fields: Any) -> bytes:
    """Give a device's state as it goes over the wire."""
    plain: Mapping[str, Any] = {
        "at_ms": now_ms,
        "sequence": sequence,
        "power_w": 1_000,
        "command_id": None,
        "settings": None,
        "generation_max_w": RATED_W,
    }
    return json.dumps({**plain, **fields}).encode()


def power_w(event: Any) -> int | None:
    """Give the power of an observation; None where it is unknown."""
    return event.power.value if isinstance(event.power, Known) else None


def certificates(folder: Path) -> None:
    """Make a root, a broker's certificate for 127.0.0.1, and those of a gateway and a battery."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = _certificate("root", root_key, None, None)
    _write(folder, "root", root, root_key)
    for name in ("broker", "gateway", "cell"):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(folder, name, _certificate(name, key, root, root_key), key)


def client_context(folder: Path, name: str | None) -> ssl.SSLContext:
    """Give a client's context that trusts the root; without a name it has no certificate of its own."""
    context = ssl.create_default_context(cafile=folder / "root.pem")
    if name is not None:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signer = issuer_key or key
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(signer, SHA256())
    )


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / f"{name}.key").chmod(0o600)
