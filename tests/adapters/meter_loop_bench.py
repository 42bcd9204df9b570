"""A connection point closed over its meter, on real sockets, in time that moves in steps whatever the machine does."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import pytest
from sunspec_bench import FOR_EVER_MS, at

from gateway.core.events import Contact, DefaultHeard, Event, OrderHeard, Started, Tick, Write
from gateway.core.functions import LIMITS, Function
from gateway.core.machine import Machine
from gateway.core.orders import Ceiling, Default, Each, Floor, Order, Rank, Reply, Target
from gateway.core.parties import Grant, Level, Party, Tier
from gateway.core.topology import Device, Group, Resource, Site
from gateway.core.units import Watts
from gateway.ports.south import Lease
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import (
    Links,
    Meters,
    SunspecMeter,
    build,
    build_meters,
    connection,
    gather,
    link,
    meter,
)
from hil.clock import Clock
from hil.street import Street
from hil.sunspec.inverter import Inverter, InverterSpec, Kind
from hil.sunspec.site_meter import MeterPlan, SiteMeter

START_MS: Final = 1_767_225_600_000
STEP_MS: Final = 200
RATED_W: Final = 5_000
EXPORT_W: Final = 2_000
IMPORT_W: Final = 4_000
TOLERANCE_W: Final = RATED_W // 50
"""Within what a measurement counts as at its limit (RULES C15)."""
MOST_LOAD_W: Final = 4_000
LINE, DSO, HOUSE, ROOF, MAIN = "line", "dso", "house", "roof", "main"


class StepClock(Clock):
    """Shows the time that it was moved to; it stands for the adapter's `time` too."""

    __slots__ = ("at_ms",)

    def __init__(self) -> None:
        super().__init__("steps", None, Fraction(1))
        self.at_ms = START_MS

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1000

    async def sleep_until_ms(self, until_ms: int) -> None:
        raise NotImplementedError("nobody waits on a clock that is moved by hand")


@dataclass(slots=True)
class Loop:
    """The house, the machine that decides for it, and what its meter showed at every step (W out)."""

    clock: StepClock
    street: Street
    main: SiteMeter
    machine: Machine
    links: Links
    meters: Meters
    shown_w: list[int] = field(default_factory=list)
    deaf: bool = False

    @property
    def roof(self) -> Inverter:
        """The DER behind the meter."""
        return self.street.inverters[ROOF]

    @property
    def meter_s(self) -> float:
        """How often the meter is read (s)."""
        return float(next(one.table.poll_s for one in self.meters._swept.values() if isinstance(one, meter.MeterLink)))

    @property
    def unmetered(self) -> bool:
        """Tell whether the load counts as zero where it loosens a limit."""
        return self.machine.state.resources[HOUSE].load.counted.least_w == 0

    def hear(self, event: Event) -> None:
        """Decide an event at once, and tell the devices."""
        for effect in self.machine.handle(event, self.clock.at_ms):
            if isinstance(effect, Write):
                self.links.want(effect.cleared)

    async def step(self) -> None:
        """Move everything on by a fifth of a second, and have every reply in before time moves on."""
        self.clock.at_ms += STEP_MS
        self.street.step()
        self.shown_w.append(round(self.main.w))
        if self.machine.next_change() <= self.clock.at_ms:
            self.hear(Tick())
        async with asyncio.timeout(20):
            for swept in (self.links, self.meters):
                for name, one in swept._swept.items():
                    swept._sweep(name, one, self.clock.monotonic())
            if self.deaf:
                await asyncio.sleep(0.002)
            while self._busy():  # noqa: ASYNC110 - replies settle in callbacks
                await asyncio.sleep(0)

    def _busy(self) -> bool:
        """Tell whether a reply or a connection is still to come; a meter that is `deaf` may never answer."""
        if self.links._attempts or self.meters._attempts:
            return True
        doors = [one._connection for one in self.links._links.values()]
        if not self.deaf:
            doors += [one._connection for one in self.meters._swept.values() if isinstance(one, meter.MeterLink)]
        return any(door is not None and not door.idle for door in doors)

    async def run(self, seconds: float) -> None:
        """Let so much time pass."""
        for _ in range(round(1000 * seconds / STEP_MS)):
            await self.step()

    async def until(self, holds: Callable[[], bool], seconds: float) -> float:
        """Let time pass until something holds; give how many seconds that took."""
        began_ms = self.clock.at_ms
        while not holds():
            await self.step()
            assert self.clock.at_ms - began_ms <= 1000 * seconds, f"not within {seconds} s: {self.shown_w[-40:]}"
        return (self.clock.at_ms - began_ms) / 1000


@dataclass(slots=True)
class Overrun:
    """For how long, and for what part of the time, more flowed than the limit allows."""

    longest_s: float
    share: float
    worst_w: int
    moves: int


async def weather(loop: Loop, seed: int, minutes: float, every_s: float, *, clouds: bool = False) -> Overrun:
    """Move the load at random, and the light where there are clouds; judge what the meter showed meanwhile."""
    chance = random.Random(seed)  # noqa: S311 - loads by chance, no secret
    began, moves = len(loop.shown_w), 0
    until_ms = loop.clock.at_ms + round(60_000 * minutes)
    while loop.clock.at_ms < until_ms:
        loop.main.set_load(chance.uniform(0, MOST_LOAD_W))
        if clouds:
            loop.street.set_irradiance(ROOF, chance.choice((0.3, 0.6, 1.0)))
        moves += 1
        await loop.run(chance.uniform(0.2, 1.8) * every_s)
    charges = loop.roof.spec.kind == "battery"
    over_w = [-shown - IMPORT_W if charges else shown - EXPORT_W for shown in loop.shown_w[began:]]
    longest = run = 0
    for each in over_w:
        run = run + 1 if each > TOLERANCE_W else 0
        longest = max(longest, run)
    share = sum(each > TOLERANCE_W for each in over_w) / len(over_w)
    return Overrun(longest * STEP_MS / 1000, share, max(over_w), moves)


@asynccontextmanager
async def closed_loop(
    monkeypatch: pytest.MonkeyPatch, kind: Kind = "2018", *, poll_s: int = 1, time_constant_s: float = 1.0
) -> AsyncIterator[Loop]:
    """Run a house with limits at its connection point until its DER is told by its meter."""
    clock = StepClock()
    for module in (sunspec_modbus, connection, gather, link, meter):
        monkeypatch.setattr(module, "time", clock)
    spec = InverterSpec(name=ROOF, kind=kind, rated_w=RATED_W, time_constant_s=time_constant_s, energy_wh=100_000)
    made: list[Loop] = []
    main = SiteMeter(MeterPlan(name=MAIN, resource=HOUSE, load_w=1_500), lambda: made[0].roof.w if made else 0.0)
    async with Street(clock, [spec], devices=[main], stepping=False) as street:
        loop = _told(clock, street, main, poll_s)
        made.append(loop)
        try:
            await loop.until(lambda: not loop.unmetered, 60)
            await loop.run(30)
            yield loop
        finally:
            for one in (*loop.links._swept.values(), *loop.meters._swept.values()):
                one.close()


def _told(clock: StepClock, street: Street, main: SiteMeter, poll_s: int) -> Loop:
    """Have the machine decide for the house: limits on both directions, and a store charges as much as it may."""
    lease = Lease(clock, FOR_EVER_MS)
    heard: list[Callable[[Event], None]] = []

    def hear(event: Event) -> None:
        heard[0](event)

    links = build({ROOF: (at(street.ports[ROOF], poll_s=poll_s), RATED_W)}, clock, hear, lease, may_write=True)
    meters = build_meters({HOUSE: SunspecMeter(host="127.0.0.1", port=main.port)}, clock, hear)
    loop = Loop(clock, street, main, Machine(), links, meters)
    heard.append(loop.hear)
    functions = (*LIMITS, Function.ACTIVE_POWER)
    loop.hear(
        Started(
            Site(
                "metered",
                (Party(DSO, Tier.DISTRIBUTION, limit_parent=True, rank=0),),
                (Grant(DSO, "envelope", Level.CONNECTION, functions, LINE),),
                (Group(LINE, (HOUSE,)),),
                (Resource(HOUSE, (ROOF,), 10_000, 1_000),),
                (Device(ROOF, HOUSE, RATED_W, 10_000, 60_000, energy_wh=100_000),),
            )
        )
    )
    loop.hear(Contact(DSO, 1 << 50))
    limits = (Ceiling(Function.EXPORT_LIMIT, Watts(EXPORT_W)), Floor(Function.IMPORT_LIMIT, Watts(-IMPORT_W)))
    loop.hear(DefaultHeard(Default(DSO, "p1", LINE, 1, limits)))
    if street.inverters[ROOF].spec.kind == "battery":
        effects = (Target(Watts(-RATED_W)),)
        reply = Reply("/rsp", receipt=True, progress=True)
        loop.hear(
            OrderHeard(
                Order(DSO, "charge", 0, Each(LINE), effects, clock.at_ms, None, Rank(1, clock.at_ms), 0, reply=reply)
            )
        )
    return loop
