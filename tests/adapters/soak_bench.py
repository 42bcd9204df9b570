"""A soak of the SunSpec adapter: many inverters in a process of their own, faults at random, and every word judged."""

import asyncio
import gc
import json
import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from sunspec_bench import Desk, at, clock_at, command

from gateway.core.events import Adopted, Event, ForeignHand, LinkDown, LinkUp, NotAdopted, Observed
from gateway.core.guard import Bounds, Cleared, clear
from gateway.core.known import Known, Reading
from gateway.runtime.clock import ScaledClock
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import connection, link, shown
from gateway.southbound.sunspec_modbus.points import Ask
from hil.sunspec.faults import FAULTS
from hil.sunspec.inverter import InverterSpec
from hil.sunspec.storm import Truth, specs

POLL_S: Final = 5
FALLBACK_W: Final = 500
REVERT_MS: Final = 60_000
VALID_MS: Final = 1_800_000
TRUTH, HEARD = "truth", "heard"
LATER_S: Final = 0.3
"""Wall time after its deadline when a late reply comes."""
PATIENCE_S: Final = 40.0
COARSE_W: Final = 11
"""A moving scale factor shows tens of watts, and each register rounds."""
NOMINAL_MV: Final = 240_000


class Heard(NamedTuple):
    """A word of the adapter: of which device, between the first request behind it and when it was heard (ms)."""

    device: str
    kind: str
    asked_ms: int
    heard_ms: int
    w: int | None = None
    var: int | None = None
    voltage_mv: int | None = None
    limit_w: int | None = None
    """The limit that is wanted, or the rating of a device that is found."""


@dataclass(slots=True)
class Standing:
    """What the adapter says of one device now, and what is wanted of it."""

    spec: InverterSpec
    light: float = 1.0
    wanted_w: int = 0
    serial: int = 0
    up: bool = False
    adopted: int = 0
    w: int | None = None

    @property
    def expected_w(self) -> int:
        """What it gives once it is well: batteries, which are told no set-point, rest."""
        return 0 if self.spec.kind == "battery" else round(min(self.light * self.spec.rated_w, self.wanted_w))

    @property
    def is_well(self) -> bool:
        """Tell whether it is read, adopted what is wanted, and gives what it should."""
        near = self.w is not None and abs(self.w - self.expected_w) <= COARSE_W
        return self.up and self.adopted == self.serial > 0 and near


@dataclass(slots=True)
class Spell:
    """Some faults of one device at once, until it was well again."""

    device: str
    faults: tuple[str, ...]
    lasted_s: float = 0.0
    healed_s: float = 0.0


class Spread:
    """Deals all faults before it deals any again."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._deck: list[str] = []
        self.dealt: set[str] = set()

    @property
    def done(self) -> bool:
        """Tell whether every fault was dealt once at least."""
        return self.dealt == set(FAULTS)

    def deal(self) -> str:
        if not self._deck:
            self._deck = list(FAULTS)
            self._chance.shuffle(self._deck)
        fault = self._deck.pop()
        self.dealt.add(fault)
        return fault


@dataclass(slots=True)
class Plan:
    """How long faults and the rest after them last (s of the clock), and how many come at once."""

    seed: int
    holds_s: tuple[float, float]
    rests_s: tuple[float, float]
    both: float = 0.3


@dataclass(slots=True)
class Soak:
    """The links under test, what was heard, and the hand on the switches."""

    desk: Desk
    process: asyncio.subprocess.Process
    standings: dict[str, Standing]
    folder: Path
    clock: ScaledClock
    asked: dict[str, int]
    spells: list[Spell] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    news: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    def say(self, name: str, **said: object) -> None:
        """Tell the inverters something."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"name": name, **said}).encode() + b"\n")

    def lit(self, name: str, light: float) -> None:
        """Give one other light."""
        self.standings[name].light = light
        self.say(name, light=light)

    def want(self, name: str, percent: int) -> None:
        """Want a limit of one, in percent of its rating: some count no finer."""
        standing = self.standings[name]
        limit_w = -(-standing.spec.rated_w * percent // 100)
        standing.serial, standing.wanted_w = standing.serial + 1, limit_w
        told = command(name, limit_w=limit_w, revert_limit_w=FALLBACK_W, revert_after_ms=REVERT_MS)
        now_ms, rated_w = self.clock.now_ms(), standing.spec.rated_w
        bounds = Bounds(name, rated_w, rated_w, 0, 0, rated_w, 0, 0, True, True, now_ms + VALID_MS)
        made = clear(told, bounds, standing.serial, now_ms)
        assert isinstance(made, Cleared), made
        self.desk.links.want(made)

    async def wait(self, seconds: float) -> None:
        """Let so much of the clock pass."""
        await self.clock.sleep_until_ms(self.clock.now_ms() + round(1000 * seconds))

    async def well(self, name: str) -> None:
        """Wait until one is well."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not self.standings[name].is_well:
                    self.news[name].clear()
                    await self.news[name].wait()
        except TimeoutError:
            pytest.fail(f"stuck: {self.standings[name]} after {self.last(name)}")

    def last(self, name: str) -> "list[Spell]":
        """Give the last faults that one had."""
        return [spell for spell in self.spells if spell.device == name][-1:]

    async def play(self, name: str, plan: Plan, deck: Spread, until_ms: int) -> None:
        """Trouble one device again and again until so late and all faults were dealt, each time until it is well."""
        chance = random.Random(f"{plan.seed} {name}")  # noqa: S311 - faults by chance, no secret
        await self.wait(chance.uniform(0, plan.rests_s[1]))
        while self.clock.now_ms() < until_ms or not deck.done:
            spell = Spell(name, tuple({deck.deal() for _ in range(2 if chance.random() < plan.both else 1)}))
            self.spells.append(spell)
            began_ms = self.clock.now_ms()
            for fault in spell.faults:
                self.say(name, fault=fault, on=True)
            hold_s = chance.uniform(*plan.holds_s)
            await self.wait(hold_s / 2)
            self.lit(name, round(chance.uniform(0.2, 1.0), 3))
            if chance.random() < 0.5:
                self.want(name, chance.randrange(20, 100))
            await self.wait(hold_s / 2)
            for fault in spell.faults:
                self.say(name, fault=fault, on=False)
            over_ms = self.clock.now_ms()
            spell.lasted_s = (over_ms - began_ms) / 1000
            self.lit(name, round(chance.uniform(0.2, 1.0), 3))
            await self.well(name)
            spell.healed_s = (self.clock.now_ms() - over_ms) / 1000
            self.want(name, chance.randrange(20, 100))
            await self.wait(chance.uniform(*plan.rests_s))

    async def storm(self, plan: Plan, seconds: float) -> None:
        """Trouble all of them for so long, and end when all are well."""
        until_ms = self.clock.now_ms() + round(1000 * seconds)
        deck = Spread(random.Random(plan.seed))  # noqa: S311 - faults by chance, no secret
        async with asyncio.TaskGroup() as group:
            for name in self.standings:
                group.create_task(self.play(name, plan, deck, until_ms))
        for name in self.standings:
            await self.well(name)


class Weight(NamedTuple):
    """What the process of the adapter holds: resident memory (MB) and open descriptors."""

    resident_mb: float
    descriptors: int

    @classmethod
    def now(cls) -> "Weight":
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - names only


def _quick(monkeypatch: pytest.MonkeyPatch, rate: float, reply_s: float) -> dict[str, int]:
    """Have every reading told, wait in the clock's time for what is not the wire's own; give when each was asked."""
    asked: dict[str, int] = defaultdict(int)
    gather = link.Link._gather

    def noted(one: link.Link, asks: tuple[Ask, ...], gathered: Callable[[Sequence[bytes]], None]) -> None:
        asked[one.device] = one._shared.clock.now_ms()
        gather(one, asks, gathered)

    monkeypatch.setattr(link.Link, "_gather", noted)
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.02)
    monkeypatch.setattr(shown, "HEARTBEAT_S", 0.0)
    monkeypatch.setattr(link, "READ_BACK_S", link.READ_BACK_S / rate)
    monkeypatch.setattr(link, "BACKOFF_S", tuple(pause_s / rate for pause_s in link.BACKOFF_S))
    monkeypatch.setattr(connection, "REPLY_S", reply_s)
    return asked


@asynccontextmanager
async def soaking(
    folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, rate: float, reply_s: float
) -> AsyncIterator[Soak]:
    """Run the inverters in a process and the links to them here, until the end of the context."""
    asked = _quick(monkeypatch, rate, reply_s)
    clock = clock_at(rate)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hil.sunspec.storm", "--count", str(count), "--clock", str(clock)),
        *("--truth", str(folder / TRUTH), "--late-s", str(reply_s + LATER_S)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        ports = json.loads(await process.stdout.readline())["ready"]
        standings = {spec.name: Standing(spec) for spec in specs(count)}
        made = Desk({name: at(port, poll_s=POLL_S) for name, port in ports.items()}, clock, may_write=True)
        soak = Soak(made, process, standings, folder, clock, asked)
        with (folder / HEARD).open("w", encoding="utf-8") as file:
            made.links.shared.hear = _hearing(soak, file.write)
            task = asyncio.create_task(made.links.run())
            try:
                for name in standings:
                    soak.want(name, 50)
                yield soak
            finally:
                task.cancel()
                [ended] = await asyncio.gather(task, return_exceptions=True)
                assert isinstance(ended, asyncio.CancelledError), ended
    finally:
        if process.returncode is None:
            process.terminate()
        code = await process.wait()
    assert code == 0


def _hearing(soak: Soak, write: Callable[[str], object]) -> Callable[[Event], None]:
    """Keep what is said now, and write down what is to be judged with the moment of the first request behind it."""

    def hear(event: Event) -> None:
        name: str = getattr(event, "device", "")
        standing, now_ms = soak.standings[name], soak.clock.now_ms()
        soak.counts[type(event).__name__] += 1
        heard = Heard(name, type(event).__name__, soak.asked[name], now_ms)
        match event:
            case LinkUp():
                standing.up = True
                heard = heard._replace(w=_value(event.generation_max_w), limit_w=standing.spec.rated_w)
            case LinkDown():
                standing.up, standing.adopted, standing.w = False, 0, None
            case Adopted():
                standing.adopted = event.serial
                heard = heard._replace(limit_w=standing.wanted_w if event.serial == standing.serial else None)
            case NotAdopted():
                standing.adopted = 0
            case ForeignHand():
                standing.adopted = 0
                soak.foreign.append(f"{name} {soak.clock.now_ms()}: {event.why}, {soak.last(name)}")
            case Observed():
                standing.w = _value(event.power)
                heard = heard._replace(w=standing.w, var=_value(event.reactive), voltage_mv=_value(event.voltage))
        write(json.dumps(heard) + "\n")
        soak.news[name].set()

    return hear


def _value(reading: Reading) -> int | None:
    return reading.value if isinstance(reading, Known) else None


@dataclass(slots=True)
class Findings:
    """What was judged, and every word that was never true while it was read."""

    readings: int = 0
    adoptions: int = 0
    wrong: list[str] = field(default_factory=list)


def judge(soak: Soak) -> Findings:
    """Hold every word against what the device was between the first request behind it and when it was heard."""
    truth: dict[str, list[Truth]] = defaultdict(list)
    with (soak.folder / TRUTH).open(encoding="utf-8") as lines:
        for line in lines:
            one = Truth(*json.loads(line))
            truth[f"pv-{one.number}"].append(one)
    findings, place = Findings(), dict.fromkeys(truth, 0)
    with (soak.folder / HEARD).open(encoding="utf-8") as lines:
        for line in lines:
            heard = Heard(*json.loads(line))
            of = truth[heard.device]
            while place[heard.device] + 1 < len(of) and of[place[heard.device] + 1].until_ms <= heard.asked_ms:
                place[heard.device] += 1
            seen = tuple(_meanwhile(of, place[heard.device], heard.heard_ms))
            _judge(findings, heard, seen)
    return findings


def _meanwhile(of: list[Truth], place: int, until_ms: int) -> Iterator[Truth]:
    """Give what a device was from a place on, until so late."""
    for number in range(place, len(of)):
        if number > place and of[number].before_ms > until_ms:
            return
        yield of[number]


def _judge(findings: Findings, heard: Heard, seen: tuple[Truth, ...]) -> None:
    if heard.kind == "Observed" and heard.w is not None:
        findings.readings += 1
        if all(each.blind for each in seen):
            findings.wrong.append(f"{heard}: nothing could be known, {seen}")
        elif not any(abs(each.w - heard.w) <= COARSE_W for each in seen):
            findings.wrong.append(f"{heard}: its power was {seen}")
        elif heard.var is not None and not any(abs(each.var - heard.var) <= COARSE_W for each in seen):
            findings.wrong.append(f"{heard}: its reactive power was {seen}")
        elif heard.voltage_mv not in {None, NOMINAL_MV}:
            findings.wrong.append(f"{heard}: its voltage is {NOMINAL_MV} mV")
    if heard.kind == "LinkUp" and heard.w is not None and abs(heard.w - (heard.limit_w or 0)) > COARSE_W:
        findings.wrong.append(f"{heard}: it is rated {heard.limit_w} W")
    if heard.kind == "Adopted" and heard.limit_w is not None:
        findings.adoptions += 1
        if not any(each.limit_w is not None and abs(each.limit_w - heard.limit_w) <= COARSE_W for each in seen):
            findings.wrong.append(f"{heard}: its registers held {seen}")
