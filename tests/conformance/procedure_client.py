"""The client that procedures test: our link over TLS, the machine behind it, and DER that do what they are told."""

import asyncio
import tomllib
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from procedure_clock import SteppedClock
from procedure_server import HOUSES, lfdi_of_house

from gateway.core.aggregate import Picture, picture
from gateway.core.events import Adopted, Effect, Event, LinkUp, MeterRead, Observed, Owe, Started, Tick, Write
from gateway.core.functions import LIMITS, SWITCHES, Function
from gateway.core.guard import Cleared
from gateway.core.known import Known
from gateway.core.machine import Machine
from gateway.core.parties import Grant, Level, Party, Tier
from gateway.core.topology import Device, Group, Resource, Site
from gateway.northbound.sep2_client import Before, Link, Sep2Client, Sep2Resource, Speech
from gateway.pki import files, identity, tls
from gateway.runtime.daemon import recover
from gateway.store import Journal
from gateway.wire.sep2 import Dialect

ROOT = Path(__file__).parents[2]
WORDS: Mapping[str, Any] = tomllib.loads((ROOT / "profiles/protocols/sep2.toml").read_text())
CODES: Mapping[str, int] = WORDS["answer"]
PARTY, PIN = "utility", 111115
RATED_W = 5_000
SUN_W = 4_000
CAPACITY_WH = 10_000
READ_MS = 5_000
ADOPT_MS = 1_000


class Rooftop:
    """One DER: it generates what its source and its command leave, and follows ramps."""

    def __init__(self, name: str, house: str) -> None:
        self.name, self.house = name, house
        self.available_w = SUN_W
        """What its source gives (W), or what it draws by itself, negative."""
        self.rated_w = RATED_W
        self.on_grid = True
        self.wanted: deque[tuple[int, Cleared]] = deque()
        self.told: Cleared | None = None
        self._from_w = SUN_W
        self._since_ms = 0

    def end_w(self) -> int:
        """What it comes to once it has ramped (W)."""
        command = None if self.told is None else self.told.command
        if not self.on_grid or (command is not None and (command.connected is False or command.energized is False)):
            return 0
        if command is None:
            return self.available_w
        most_w = min(command.limit_w, self.available_w)
        if command.floor_w is not None:
            most_w = max(most_w, command.floor_w)
        if command.target_w is None:
            return most_w
        return max(command.target_w, most_w) if command.target_w < 0 else min(most_w, command.target_w)

    def power_w(self, now_ms: int) -> int:
        """Power at this moment (W); positive generates."""
        end_w = self.end_w()
        ramp_ms = 0 if self.told is None else self.told.command.ramp_ms or 0
        passed_ms = now_ms - self._since_ms
        if passed_ms >= ramp_ms or end_w == 0:
            return end_w
        return self._from_w + (end_w - self._from_w) * passed_ms // ramp_ms

    @property
    def is_connected(self) -> bool:
        return self.on_grid and (self.told is None or self.told.command.connected is not False)

    def adopt(self, now_ms: int) -> Iterable[Event]:
        """Take over what it was told long enough ago."""
        while self.wanted and self.wanted[0][0] <= now_ms:
            from_w = self.power_w(now_ms)
            _at_ms, self.told = self.wanted.popleft()
            self._from_w, self._since_ms = from_w, now_ms
            yield Adopted(self.name, self.told.serial)


class Gateway:
    """Link, machine and DER on one clock; `load_w` is what else is behind each connection point."""

    def __init__(
        self,
        clock: SteppedClock,
        pki: Path,
        url: str,
        server_lfdi: str,
        houses: int,
        ders: int,
        *,
        subscribes: bool = False,
        negotiates: bool = False,
    ) -> None:
        self.clock = clock
        self.load_w = 0
        self.registers = False
        """Whether it registers itself; then it was given no PIN."""
        self.stores = False
        """Whether its DER store energy."""
        self.roofs = [Rooftop(f"roof {n} of {house}", house) for house in HOUSES[:houses] for n in range(1, ders + 1)]
        self._pki, self._url, self._server_lfdi, self._houses = pki, url, server_lfdi, HOUSES[:houses]
        self._subscribes, self._negotiates = subscribes, negotiates
        self._events: deque[Event] = deque()
        self._machine = Machine()
        self._read_ms = 0
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None

    @staticmethod
    def own_lfdi(pki: Path) -> str:
        leaf = files.read_certificates(pki / "gateway.pem")[0]
        return identity.lfdi(leaf.public_bytes(Encoding.DER))

    def site(self) -> Site:
        roofs = tuple(
            Device(
                roof.name,
                roof.house,
                RATED_W,
                10_000,
                60_000,
                energy_wh=CAPACITY_WH if self.stores else 0,
                rated_charge_w=RATED_W if roof.available_w < 0 else 0,
            )
            for roof in self.roofs
        )
        resources = tuple(
            Resource(house, tuple(one.name for one in roofs if one.resource == house), 2 * RATED_W, 0)
            for house in self._houses
        )
        functions = (*LIMITS, *SWITCHES, Function.ACTIVE_POWER)
        party = Party(PARTY, Tier.DISTRIBUTION, limit_parent=True, rank=0)
        grant = Grant(PARTY, "envelope", Level.CONNECTION, functions, "street")
        return Site("procedures", (party,), (grant,), (Group("street", self._houses),), resources, roofs)

    def start(self) -> None:
        """Switch the gateway on."""
        table = Sep2Client(
            PARTY,
            self._url,
            self._server_lfdi,
            self._pki / "gateway.pem",
            self._pki / "gateway.key",
            tuple(self._pki / f"{name}.pem" for name in ("serca", "mca", "mica")),
            post_s=60,
            notify_port=0 if self._subscribes else None,
        )
        self._link = Link(
            table,
            {
                house: Sep2Resource(
                    lfdi_of_house(house).lower(), None if self.registers else PIN, self.registers, f"NMI {house}"
                )
                for house in self._houses
            },
            self.own_lfdi(self._pki),
            tls.client_context(table.certificate, table.key, table.trust, pinned_lfdi=table.server_lfdi),
            Speech(CODES, versions={"1.3": Dialect(**WORDS["profile"]["csip-aus-1.3"])} if self._negotiates else {}),
            self.clock,
            self.hear,
            self._look,
            may_write=True,
            before=Before(
                partial(self._machine.assigned, PARTY),
                partial(self._machine.held, PARTY),
                partial(self._machine.offsets_ms, PARTY),
            ),
            notify=tls.server_context(table.certificate, table.key, table.trust) if self._subscribes else None,
        )
        self.hear(Started(self.site()))
        for roof in self.roofs:
            self.say_rating(roof)
        self._decide()
        self._perform(self._machine.outstanding(self.clock.now_ms()))
        self.turn()
        self._task = asyncio.create_task(self._link.run())

    async def stop(self) -> None:
        """Switch it off; raises what its link broke on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and (fault := self._task.exception()) is not None:
                raise fault
        self._link = self._task = None
        self._events.clear()

    async def power_cycle(self, folder: Path) -> None:
        """Switch it off, and on again with no more than what is on its disk."""
        await self.stop()
        journal = Journal.open(folder, reserve_bytes=4096)
        try:
            journal.snapshot(self._machine.state)
            self._machine = recover(journal)
        finally:
            journal.close()
        for roof in self.roofs:
            roof.wanted.clear()
        self.start()

    # -- the machine

    def hear(self, event: Event) -> None:
        if not self._events:
            asyncio.get_running_loop().call_soon(self._decide)
        self._events.append(event)

    def _decide(self) -> None:
        while self._events:
            self._perform(self._machine.handle(self._events.popleft(), self.clock.now_ms()))

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Write):
                roof = next(one for one in self.roofs if one.name == effect.cleared.command.device)
                roof.wanted.append((self.clock.now_ms() + ADOPT_MS, effect.cleared))
            elif isinstance(effect, Owe) and self._link is not None:
                self._link.owe(effect.answer)

    def say_rating(self, roof: Rooftop) -> None:
        """Let the machine know what a DER generates, and draws, at most."""
        now_ms, draws_w = self.clock.now_ms(), RATED_W if roof.available_w < 0 else 0
        self.hear(LinkUp(roof.name, Known(roof.rated_w, now_ms), Known(draws_w, now_ms)))

    def _look(self) -> Picture:
        return picture(self._machine.samples(), self.clock.now_ms(), self._machine.connections())

    # -- time

    def next_ms(self) -> int:
        """When something is due here."""
        adopted_ms = [roof.wanted[0][0] for roof in self.roofs if roof.wanted]
        if self._task is None:
            return self._read_ms + READ_MS
        return min([self._read_ms + READ_MS, self._machine.next_change(), *adopted_ms])

    def turn(self) -> None:
        """Let happen what is due now."""
        now_ms = self.clock.now_ms()
        if self._task is not None and self._task.done():
            self._task.result()
        for roof in self.roofs:
            for event in roof.adopt(now_ms):
                self.hear(event)
        if now_ms >= self._read_ms + READ_MS:
            self._read_ms = now_ms
            self._measure(now_ms)
        if self._task is not None and self._machine.next_change() <= now_ms:
            self.hear(Tick())

    def _measure(self, now_ms: int) -> None:
        if self._link is None:
            return
        for roof in self.roofs:
            power = Known(roof.power_w(now_ms), now_ms)
            seen = Observed(roof.name, power, Known(0, now_ms), Known(230_000, now_ms), roof.is_connected)
            self.hear(seen._replace(stored=Known(CAPACITY_WH // 2, now_ms)) if self.stores else seen)
        for house in self._houses:
            out_w = Known(self.power_w(house) - self.load_w, now_ms)
            self.hear(MeterRead(house, out_w, Known(0, now_ms), Known(230_000, now_ms)))

    def power_w(self, house: str) -> int:
        """What the DER of a house generate now (W)."""
        return sum(roof.power_w(self.clock.now_ms()) for roof in self.roofs if roof.house == house)
