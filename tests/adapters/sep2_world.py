"""One link to one head-end over real TLS on an accelerated clock, and all that it said, heard and was asked."""

import asyncio
import logging
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.aggregate import ConnectionReading, Picture, Sample, picture
from gateway.core.answers import Answer, Kind
from gateway.core.events import Contact, Delivered, Event, OrderHeard
from gateway.core.known import Known, Reading
from gateway.core.orders import Order
from gateway.northbound.sep2_client import Link, Sep2Client, Sep2Resource, Speech
from gateway.northbound.sep2_client.config import DeviceIdentity, ProgramService
from gateway.northbound.sep2_client.heard import NOTHING
from gateway.pki import files, identity, issue, tls
from gateway.runtime.clock import parse
from gateway.wire.sep2 import ANY, Dialect
from hil.clock import Clock
from hil.head_end import Certificate, HeadEnd, Override
from hil.sep2.records import Program, Resource, mrid_of
from hil.sep2.tree import Rates, Tree

ROOT = Path(__file__).parents[2]
PARTY = "dso"
RATE = 200
POLL_S = 10
PIN = 111115
PATIENCE_S = 20.0
WORDS: Mapping[str, Any] = tomllib.loads((ROOT / "profiles/protocols/sep2.toml").read_text())
CODES: Mapping[str, int] = WORDS["answer"]
SEP2 = '<{0} xmlns="urn:ieee:std:2030.5:ns" xmlns:csipaus="https://csipaus.org/ns" {1}>{2}</{0}>'
HOUSES = ("house-1", "house-2")
LIMIT = {"opModExpLimW": 1500}

Some = TypeVar("Some")


def lfdi(house: str) -> str:
    return mrid_of(house) + "0000ABCD"


def make_pki(folder: Path) -> Path:
    issue.init(folder, ("gateway", "dso", "impostor"))
    return folder


def program(name: str, *houses: str, primacy: int = 1, default: Mapping[str, object] | None = None) -> Program:
    return Program(name, mrid_of(name), primacy, houses or HOUSES, default)


def known(value: int) -> Known:
    return Known(value, 0)


def sample(house: str, power: Reading, *, rated_w: int = 5000, connected: bool | None = True) -> Sample:
    return Sample(f"roof of {house}", house, rated_w, rated_w, power, known(-120), known(230_400), connected)


class Lines(logging.Handler):
    """Keeps what the adapter logs for people."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class World:
    """A head-end `server`, and the link that is spoken of; `async with` starts and ends both."""

    def __init__(
        self,
        pki: Path,
        *programs: Program,
        pins: Mapping[str, int | None] | None = None,
        server_pins: Mapping[str, int] | None = None,
        rates: Rates | None = None,
        may_write: bool = True,
        is_parent: bool = True,
        contact_lost_s: int | None = None,
        post_s: int = 30,
        clock_rate: int = RATE,
        split: tuple[ProgramService, ...] = (),
        levels: Mapping[str, int] | None = None,
        notifies: bool = False,
        listens: bool = False,
        registers: bool = False,
        tree: type[Tree] = Tree,
        versions: tuple[str, ...] = (),
    ) -> None:
        text = f"x{clock_rate}@{1_800_000_000 - clock_rate * time.monotonic():.3f}"
        self.clock = parse(text)
        self.events: list[Event] = []
        self.samples: list[Sample] = [sample(house, known(2_000)) for house in HOUSES]
        self.connections: dict[str, ConnectionReading] = {}
        self._log = Lines()
        self._pki = pki
        self._pins = dict.fromkeys(HOUSES, PIN) if pins is None else pins
        self._may_write, self._contact_lost_s, self._post_s = may_write, contact_lost_s, post_s
        self._is_parent, self._split, self._levels = is_parent, split, levels
        self._notifies, self._listens = notifies, listens
        self.notify_port, self.notify_url = 0, ""
        self.before = NOTHING
        """What the link knows of before a restart."""
        self._registers, self._tree, self._versions = registers, tree, versions
        self.connection_points: dict[str, str] = {}
        self.dialect = ANY
        self.identities: dict[str, DeviceIdentity] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.own_lfdi = identity.lfdi(files.read_certificates(pki / "gateway.pem")[0].public_bytes(Encoding.DER))
        self.rates = Rates(page_limit=50, poll_rate_s=POLL_S, post_rate_s=30) if rates is None else rates
        self._hil_clock = Clock.parse(text)
        self._resources = [Resource(house, lfdi(house), (server_pins or {}).get(house, PIN)) for house in HOUSES]
        self.server = self.head_end("dso", programs or (program("street"),))

    def head_end(self, certificate: str, programs: Sequence[Program]) -> HeadEnd:
        return HeadEnd(
            "dso",
            self._hil_clock,
            Certificate.of(self._pki, certificate),
            self.own_lfdi,
            resources=self._resources,
            programs=programs,
            rates=self.rates,
            notifies=self._notifies,
            tree=self._tree,
        )

    async def __aenter__(self) -> Self:
        logging.getLogger("gateway.northbound.sep2_client").addHandler(self._log)
        await self.server.start()
        self.connect()
        return self

    def connect(self) -> None:
        """Make the link and let it run."""
        table = Sep2Client(
            PARTY,
            self.server.url,
            self.server.lfdi,
            self._pki / "gateway.pem",
            self._pki / "gateway.key",
            tuple(self._pki / f"{name}.pem" for name in ("serca", "mca", "mica")),
            poll_s=POLL_S,
            post_s=self._post_s,
            contact_lost_s=self._contact_lost_s,
            program=self._split,
            notify_port=self.notify_port if self._listens else None,
            notify_url=self.notify_url or None,
        )
        context = tls.client_context(table.certificate, table.key, table.trust, pinned_lfdi=table.server_lfdi)
        resources = {
            house: Sep2Resource(
                lfdi(house).lower(),
                pin,
                register=self._registers,
                connection_point_id=self.connection_points.get(house),
                device_information=self.identities.get(house),
            )
            for house, pin in self._pins.items()
        }
        self.link = Link(
            table,
            resources,
            self.own_lfdi,
            context,
            Speech(
                CODES,
                self.dialect,
                {version: Dialect(**WORDS["profile"][f"csip-aus-{version}"]) for version in self._versions},
            ),
            self.clock,
            self.events.append,
            self.look if self._is_parent else None,
            may_write=self._may_write,
            levels=self._levels,
            before=self.before,
            notify=tls.server_context(table.certificate, table.key, table.trust) if self._listens else None,
        )
        self._tasks = [asyncio.create_task(self.link.run())]

    async def disconnect(self) -> None:
        for task in self._tasks:
            task.cancel()
        done = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in done), done

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()
        await self.server.stop()
        logging.getLogger("gateway.northbound.sep2_client").removeHandler(self._log)

    # -- what came of it

    def look(self) -> Picture:
        return picture(self.samples, self.clock.now_ms(), self.connections)

    @property
    def lines(self) -> list[str]:
        return self._log.lines

    def told(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]

    def heard(self, kind: type[Some]) -> list[Some]:
        return [event for event in self.events if isinstance(event, kind)]

    def orders(self) -> list[Order]:
        return [event.order for event in self.heard(OrderHeard)]

    def asked(self, *methods: str) -> Counter[str]:
        """Count the requests that were answered, by path without query."""
        return Counter(
            path.partition("?")[0]
            for _at, method, path, _status in self.server.requests
            if method in (methods or "GET")
        )

    def answers(self) -> list[tuple[str, str, int]]:
        """Give the Responses that the server has: event, resource, status."""
        return [(one.control, one.resource, one.status) for one in self.server.tree.intake.answers]

    async def until(self, true: Callable[[], object], why: str = "") -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline_s, (why, self.lines[-5:], self.events[-5:])
            await asyncio.sleep(0.005)

    async def rounds(self, count: int = 1) -> None:
        """Wait until the server was read completely so many times more."""
        before = len(self.heard(Contact))
        await self.until(lambda: len(self.heard(Contact)) >= before + count, "a complete read")

    async def seconds(self, count: float) -> None:
        """Let so many seconds of the accelerated clock pass."""
        await self.clock.sleep_until_ms(self.clock.now_ms() + int(1000 * count))

    async def polled(self, path: str, times: int = 1) -> None:
        """Wait until an address was asked for so many times more."""
        before = self.asked()[path]
        await self.until(lambda: self.asked()[path] >= before + times, f"{path} asked for again")

    # -- what is done to it

    def body(self, path: str) -> bytes:
        return self.server.tree.handle("GET", path, {}, b"").body

    def replace(self, path: str, body: bytes | str = b"", status: int = 200) -> None:
        """Let the server give this body at a path from now on."""
        self.server.override(path, Override(status, body.encode() if isinstance(body, str) else body))

    def edit(self, path: str, *swaps: tuple[str, str]) -> None:
        """Let the server give what it has at a path, with texts swapped once each."""
        text = self.body(path).decode()
        for old, new in swaps:
            assert old in text, (old, text)
            text = text.replace(old, new, 1)
        self.replace(path, text)

    def mend(self, *paths: str) -> None:
        for path in paths:
            self.server.override(path, None)

    def owe(
        self, order: Order, *kinds: Kind, resource: str = "house-1", first: int = 1, unserved: bool = False
    ) -> None:
        for serial, kind in enumerate(kinds, first):
            self.link.owe(
                Answer(
                    serial,
                    order.key,
                    order.version,
                    resource,
                    kind,
                    self.clock.now_ms(),
                    "C2",
                    "because",
                    order.reply.to,
                    unserved,
                )
            )

    def delivered(self) -> list[int]:
        return [event.serial for event in self.heard(Delivered)]
