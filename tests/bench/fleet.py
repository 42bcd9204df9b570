"""A fleet in the pure core, in this process: DER in groups, parties over them, and the orders that they have sent."""

import gc
import resource
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.core.events import (
    Adopted,
    Delivered,
    Effect,
    Event,
    LinkUp,
    Observed,
    OrderHeard,
    Owe,
    Started,
    Tick,
    Write,
)
from gateway.core.functions import LIMITS, Function
from gateway.core.known import Known
from gateway.core.machine import Machine
from gateway.core.orders import Ceiling, Each, Order, Rank, Reply, Target
from gateway.core.orders import Effect as OrderEffect
from gateway.core.parties import Grant, Level, Party, Tier
from gateway.core.topology import Device, Group, Resource, Site
from gateway.core.units import Watts

from .result import Result

DSO: Final = "dso"
OTHERS: Final = tuple(f"party-{number}" for number in range(1, 10))
LEVELS: Final = (Level.BULK_RELIABILITY, Level.DSO_FLEXIBILITY, Level.MARKET, Level.CUSTOMER)
ALL: Final = "all"
BLOCK: Final = 1_000
MOST_ALONE: Final = 10_000
RATED_W: Final = 5_000
AGREED_W: Final = 4_500
LAST_RESORT_W: Final = 1_000
SETTLE_MS: Final = 10_000
REVERT_MS: Final = 60_000
T0_MS: Final = 1_767_225_600_000
HOUR_MS: Final = 3_600_000
ASKED: Final = Reply("/rsp", receipt=True, progress=True)


@dataclass(frozen=True, slots=True)
class Timed(Result):
    """A figure whose goal is for itself, in its unit; the floor beside it tells what this computer can do at best."""

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.ours <= self.goal


def der(number: int) -> str:
    """Name one DER."""
    return f"der-{number:06}"


def home(number: int) -> str:
    """Name the resource of one DER."""
    return f"home-{number:06}"


def only(number: int) -> str:
    """Name the group of one DER; those past the first ten thousand have none."""
    return f"only-{number:06}"


def block(number: int) -> str:
    """Name a group of a thousand DER (of all where there are fewer)."""
    return f"block-{number:03}"


def site(count: int, size: int = BLOCK) -> Site:
    """Give a domain of so many DER, each a resource of its own, with one limit parent and nine other parties."""
    parties = (
        Party(DSO, Tier.DISTRIBUTION, limit_parent=True, rank=0),
        *(Party(name, Tier.CUSTOMER, limit_parent=False, rank=rank) for rank, name in enumerate(OTHERS, 1)),
    )
    grants = (
        Grant(DSO, "envelope", Level.CONNECTION, LIMITS, ALL),
        *(
            Grant(name, "set-points", LEVELS[place % len(LEVELS)], (Function.ACTIVE_POWER,), ALL)
            for place, name in enumerate(OTHERS)
        ),
    )
    names = tuple(home(number) for number in range(count))
    groups = (
        Group(ALL, names),
        *(Group(block(first // size), names[first : first + size]) for first in range(0, count, size)),
        *(Group(only(number), (name,)) for number, name in enumerate(names[:MOST_ALONE]) if size == BLOCK),
    )
    resources = tuple(Resource(name, (der(number),), AGREED_W, LAST_RESORT_W) for number, name in enumerate(names))
    devices = tuple(Device(der(number), name, RATED_W, SETTLE_MS, REVERT_MS) for number, name in enumerate(names))
    return Site("fleet", parties, grants, groups, resources, devices)


def run_through(effects: Iterable[Effect]) -> None:
    """Take all effects and keep none."""
    deque(effects, maxlen=0)


class Fleet:
    """A machine over so many DER, all reachable and all parties in contact; time is what it is told."""

    def __init__(self, count: int, block_size: int = BLOCK) -> None:
        """Start it; contact is put into the state, which spares one decision of the whole fleet for each party."""
        self.count = count
        self.now_ms = T0_MS
        self.machine = Machine()
        self.heard = 0
        self.feed(Started(site(count, block_size)))
        for party in self.machine.state.parties.values():
            party.proven, party.read_at_ms, party.window_ms = True, T0_MS, 24 * HOUR_MS
        for number in range(count):
            self.feed(LinkUp(der(number), Known(RATED_W, T0_MS), Known(RATED_W, T0_MS)))

    def feed(self, event: Event) -> list[Effect]:
        """Handle one event, read back what it writes and acknowledge what it answers."""
        effects = list(self.machine.handle(event, self.now_ms))
        self.settle(effects)
        return effects

    def settle(self, effects: Iterable[Effect]) -> None:
        """Read back what was written and acknowledge what was answered."""
        handle, now_ms = self.machine.handle, self.now_ms
        for effect in effects:
            if isinstance(effect, Write):
                run_through(handle(Adopted(effect.cleared.command.device, effect.cleared.serial), now_ms))
            elif isinstance(effect, Owe):
                run_through(handle(Delivered(effect.answer.serial), now_ms))

    def order(self, party: str, group: str, effect: OrderEffect, minutes: int = 240) -> OrderHeard:
        """Make the next order: in force at once, and of its precedence the latest created."""
        self.heard += 1
        now_ms = self.now_ms
        rank = Rank(1, now_ms - HOUR_MS + self.heard)
        end_ms = now_ms + minutes * 60_000
        scope, name = Each(group), f"order-{self.heard:07}"
        return OrderHeard(
            Order(party, name, 0, scope, (effect,), now_ms, end_ms, rank, now_ms, self.heard, reply=ASKED)
        )

    def ceiling(self, group: str, w: int) -> OrderHeard:
        """Make the next order of the limit parent."""
        return self.order(DSO, group, Ceiling(Function.EXPORT_LIMIT, Watts(w)))

    def target(self, party: int, group: str, w: int) -> OrderHeard:
        """Make the next order of another party."""
        return self.order(OTHERS[party % len(OTHERS)], group, Target(Watts(w)))

    def fill(self, orders: int) -> None:
        """Let all parties order: two to the whole fleet, one to each block up to eight, the rest to one DER each."""
        self.feed(self.ceiling(ALL, 4_000))
        self.feed(self.target(0, ALL, 3_500))
        blocks = min(8, -(-self.count // BLOCK))
        for number in range(blocks):
            self.feed(self.target(1 + number, block(number), 3_000 + number))
        for number in range(orders - 2 - blocks):
            group = only(number % min(self.count, MOST_ALONE))
            if number % 10 == 0:
                self.feed(self.ceiling(group, 3_900 - number % 100))
            else:
                self.feed(self.target(number, group, 2_000 + number % 1_000))

    def calm(self) -> None:
        """Let every command settle and be verified."""
        for number in range(self.count):
            self.feed(self.reading(number, 2_000))
        self.now_ms += SETTLE_MS + 1_000
        self.feed(Tick())

    def reading(self, number: int, w: int) -> Observed:
        """Make a reading of one DER."""
        at_ms = self.now_ms
        return Observed(der(number), Known(w, at_ms), Known(0, at_ms), Known(230_000, at_ms), connected=True)

    def seconds(self, event: Event) -> float:
        """Tell how long one event takes until it is exhausted; it is read back and acknowledged after that."""
        effects: list[Effect] = []
        took_s = clocked(lambda: effects.extend(self.machine.handle(event, self.now_ms)))
        self.settle(effects)
        return took_s


@contextmanager
def uncollected() -> Iterator[None]:
    """Build with the collector off, then put what stands out of its way, as the daemon does once it is loaded."""
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def resident_bytes() -> int:
    """Give what this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def median_s(once: Callable[[int], float], times: int) -> float:
    """Give the median of so many measurements (s), each told its number; the first tenth is not counted."""
    warm_up = times // 10
    return statistics.median([once(number) for number in range(warm_up + times)][warm_up:])


def clocked(work: Callable[[], object]) -> float:
    """Tell how long a piece of work takes (s)."""
    began_ns = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - began_ns) / 1e9
