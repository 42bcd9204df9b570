"""The modes of one device: carried one step at a time, looked at now and then, and taken back (RULES C5, A7, C14, C15).

Each function is an effort of its own. A device that failed at one is left as it was and asked again after growing
pauses; one whose memory wears is not asked again before it is told something else.
"""

import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.core.events import ForeignHand
from gateway.core.functions import Function
from gateway.core.modes import Mode
from gateway.southbound.sunspec_modbus.connection import Door, Reply, Shared
from gateway.southbound.sunspec_modbus.gather import Blocks, Gathering
from gateway.southbound.sunspec_modbus.limits import Change, judge
from gateway.southbound.sunspec_modbus.modes.carriers import rivals, ways
from gateway.southbound.sunspec_modbus.modes.effort import (
    Answer,
    Carrier,
    Held,
    Look,
    Request,
    Rest,
    Stopped,
    Tenure,
    differs,
)
from gateway.southbound.sunspec_modbus.modes.wanted import Off, Wanted
from gateway.southbound.sunspec_modbus.points import Ask, Part
from gateway.southbound.sunspec_modbus.profiles import Habits

log = logging.getLogger(__name__)

NEVER: Final = float("inf")
LOOK_AGAIN_S: Final = 60.0
RETRY_S: Final = (60.0, 300.0, 1_800.0, 3_600.0)
BUSY_S: Final = 5.0
TIMER_EARLY_S: Final = 2.0


@dataclass(slots=True)
class Effort:
    """What is wanted of one function, and how far it is. `at` is when there is something to do next (monotonic s)."""

    mode: Mode | None
    at: float = 0.0
    rests: bool = False
    why: str = ""
    tries: int = 0
    told_at: float = 0.0
    held: list[tuple[Carrier, Held]] = field(default_factory=list)


Running = Generator[Request, Answer, None]


class Carrying:
    """Keeps one device's modes at what is wanted; `news` is called when all are in force or cannot be."""

    def __init__(self, device: str, shared: Shared, blocks: Blocks, news: Callable[[], None]) -> None:
        """Want nothing yet."""
        self._device, self._shared, self._blocks, self._news = device, shared, blocks, news
        self._carriers: tuple[Carrier, ...] = ()
        self._habits = Habits()
        self._tenures: dict[str, Tenure] = {}
        self._efforts: dict[Function, Effort] = {}
        self._timer_ms = 0
        self._running: Running | None = None
        self._under_way: Effort | None = None
        self._answer: Answer = None
        self._last: tuple[tuple[Function, str], ...] | None = None
        self.at = NEVER

    @property
    def rests(self) -> bool:
        """Tell whether every mode is in force, or known not to be."""
        return all(effort.rests for effort in self._efforts.values())

    @property
    def cannot(self) -> tuple[tuple[Function, str], ...]:
        """Give the functions whose mode the device does not carry, and why."""
        found = ((function, effort) for function, effort in self._efforts.items() if effort.mode is not None)
        return tuple((function, effort.why) for function, effort in found if effort.why)

    def know(self, has: tuple[Carrier, ...], habits: Habits) -> None:
        """Take what the device has; what it was told has to be looked at again."""
        self._carriers, self._habits = has, habits
        for effort in self._efforts.values():
            failed = effort.mode is not None and effort.why and not isinstance(ways(effort.mode, self._carriers), str)
            if not failed:
                effort.rests, effort.at, effort.held = False, 0.0, []
        self._last = None
        self._plan()

    def lose(self) -> None:
        """Stop where it is: the connection is gone."""
        self._stop()
        self._carriers = ()
        self.at = NEVER

    def want(self, modes: Sequence[Mode], timer_ms: int) -> None:
        """Want these modes and no others; what is in force already is left alone."""
        self._timer_ms = timer_ms
        wanted: dict[Function, Mode | None] = {mode.function: mode for mode in modes}
        for function, effort in self._efforts.items():
            if effort.mode is not None:
                wanted.setdefault(function, None)
        for function, mode in wanted.items():
            before = self._efforts.get(function)
            if before is not None and before.mode == mode:
                continue
            if before is not None and before is self._under_way:
                self._stop()
            self._efforts[function], self._last = Effort(mode), None
        self._plan()

    # -- one step at a time

    def go(self, door: Door, *, keeps: bool) -> None:
        """Do the next step; `keeps` says whether what is wanted still holds and the deciding loop lives."""
        if not keeps or not self._shared.may_write:
            self.at = time.monotonic() + BUSY_S / self._shared.clock.rate
            return
        if self._running is None and not self._begin(time.monotonic()):
            self._plan()
            return
        self._advance(door)

    def _begin(self, wall_s: float) -> bool:
        """Take up the effort that is due."""
        for function, effort in self._efforts.items():
            if effort.at <= wall_s:
                self._under_way, self._answer = effort, None
                self._running = self._effort(function, effort)
                return True
        return False

    def _advance(self, door: Door) -> None:
        running, effort = self._running, self._under_way
        if running is None or effort is None:
            return
        answer, self._answer = self._answer, None
        try:
            request = running.send(answer)
        except StopIteration:
            self._running = self._under_way = None
            self._plan()
            if self.rests and self._last != self.cannot:
                self._last = self.cannot
                self._news()
            return
        self.at = 0.0
        if isinstance(request, Rest):
            self.at = time.monotonic() + request.ms / 1000 / self._shared.clock.rate
        elif isinstance(request, Look):
            self._look(door, request.part)
        elif not door.write(*request, self._told, slow=True):
            self._stop()

    def _look(self, door: Door, part: Part) -> None:
        def seen(answers: Sequence[bytes]) -> None:
            self._answer = part.reader.decode(b"".join(answers))

        Gathering(door, pieces(part, self._blocks.most), self._blocks, seen, self._told, slow=True)

    def _told(self, answer: Reply) -> None:
        self._answer = None if isinstance(answer, bytes) else answer

    def _stop(self) -> None:
        running, self._running, self._under_way = self._running, None, None
        self._answer = None
        if running is not None:
            running.close()

    def _plan(self) -> None:
        """Know when there is something to do next."""
        for function in [
            function for function, effort in self._efforts.items() if effort.mode is None and effort.rests
        ]:
            del self._efforts[function]
        nexts = [effort.at for effort in self._efforts.values()]
        self.at = min(nexts, default=NEVER) if self._carriers or self._efforts else NEVER

    # -- one function

    def _effort(self, function: Function, effort: Effort) -> Running:
        if effort.mode is None:
            yield from self._release(function, effort)
        elif effort.held:
            yield from self._watch(effort)
        else:
            yield from self._carry(function, effort, effort.mode)

    def _carry(self, function: Function, effort: Effort, mode: Mode) -> Running:
        told = ways(mode, self._carriers)
        if isinstance(told, str):
            self._fail(effort, told, NEVER)
            yield from self._take_back(function, ())
            return
        steps: list[tuple[Carrier, Wanted]] = [(rival, Off()) for rival in rivals(function, told, self._carriers, mode)]
        steps += told
        held: list[tuple[Carrier, Held]] = []
        try:
            for carrier, wanted in steps:
                tenure = self._tenures.get(carrier.key)
                first = tenure is None
                if tenure is None:
                    values = yield from carrier.look()
                    tenure = self._tenures[carrier.key] = Tenure(values)
                tenure.held = None
                tenure.held = yield from carrier.put(tenure, wanted, self._timer_ms)
                if first and not isinstance(wanted, Off) and not differs(tenure.held.target, tenure.before):
                    tenure.inherit(carrier.enable)
                    tenure.held = yield from carrier.put(tenure, wanted, self._timer_ms)
                held.append((carrier, tenure.held))
        except Stopped as stopped:
            yield from self._take_back(function, ())
            self._fail(effort, stopped.why, self._pause_s(effort, busy=stopped.busy))
            return
        yield from self._take_back(function, tuple(carrier.key for carrier, _ in steps))
        effort.held, effort.why, effort.rests = held, "", True
        effort.told_at = time.monotonic()
        self._next_look(effort)

    def _fail(self, effort: Effort, why: str, pause_s: float) -> None:
        """Tell once that the device does not carry a mode, and when to try again."""
        if effort.why != why:
            log.warning("%s does not carry a mode: %s", self._device, why)
        effort.held, effort.why, effort.rests = [], why, True
        effort.tries += 1
        effort.at = time.monotonic() + pause_s / self._shared.clock.rate

    def _pause_s(self, effort: Effort, *, busy: bool) -> float:
        if busy and effort.tries < len(RETRY_S):
            return BUSY_S
        return NEVER if self._habits.wears else RETRY_S[min(effort.tries, len(RETRY_S) - 1)]

    def _release(self, function: Function, effort: Effort) -> Running:
        yield from self._take_back(function, ())
        effort.rests, effort.at = True, NEVER

    def _take_back(self, function: Function, but: Sequence[str]) -> Running:
        """Have what is ours of a function as it was before; what somebody else has set since is left alone."""
        for carrier in self._carriers:
            tenure = self._tenures.get(carrier.key)
            if carrier.function != function or tenure is None or carrier.key in but:
                continue
            try:
                if tenure.wrote and (
                    tenure.held is None or not differs(tenure.held.target, (yield from carrier.look()))
                ):
                    yield from carrier.restore(tenure)
            except Stopped as stopped:
                log.warning("%s does not give up %s: %s", self._device, carrier.key, stopped.why)
            del self._tenures[carrier.key]

    # -- keeping

    def _refresh_due(self, effort: Effort) -> bool:
        timed = any(held.timed for _, held in effort.held)
        third_s = self._timer_ms / 3000 / self._shared.clock.rate
        return timed and time.monotonic() >= effort.told_at + third_s

    def _refresh(self, effort: Effort) -> Running:
        """Start the timers anew, at a third of their time."""
        for carrier, held in effort.held:
            if held.timed:
                yield from carrier.refresh(self._timer_ms)
        effort.told_at = time.monotonic()

    def _next_look(self, effort: Effort) -> None:
        timed = any(held.timed for _, held in effort.held)
        look_s = min(LOOK_AGAIN_S, self._timer_ms / 3000) if timed else LOOK_AGAIN_S
        effort.at = time.monotonic() + look_s / self._shared.clock.rate

    def _watch(self, effort: Effort) -> Running:
        """Look at what is in force; what is not any more is told where another hand did it, and put again."""
        try:
            for carrier, held in effort.held:
                values = yield from carrier.look()
                wrong = differs(held.target, values)
                if not wrong:
                    continue
                told = (carrier.enable, *(name for name in held.target if name != carrier.enable))
                waited_s = (time.monotonic() - effort.told_at) * self._shared.clock.rate
                ran_out = held.timed and waited_s >= self._timer_ms / 1000 - TIMER_EARLY_S
                if not ran_out and judge(held.values, values, {}, told) is Change.FOREIGN:
                    why = f"{carrier.key}: {wrong}"
                    log.warning("%s was told by another hand: %s", self._device, why)
                    self._shared.hear(ForeignHand(self._device, f"{why}, though this gateway did not write it"))
                effort.rests, self._last = False, None
                self._put_again(effort)
                return
            if self._refresh_due(effort):
                yield from self._refresh(effort)
        except Stopped as stopped:
            log.warning("%s: its modes cannot be looked at: %s", self._device, stopped.why)
        else:
            effort.tries = 0
        self._next_look(effort)

    def _put_again(self, effort: Effort) -> None:
        """Put a mode again: at once the first time, then after growing pauses."""
        pause_s = 0.0 if effort.tries == 0 else self._pause_s(effort, busy=False)
        effort.tries += 1
        effort.held, effort.at = [], time.monotonic() + pause_s / self._shared.clock.rate


def pieces(part: Part, most: int) -> tuple[Ask, ...]:
    """Cut a read where points begin, for what a device gives at once."""
    first, end = part.reader.offset, part.reader.offset + part.reader.quantity
    starts = sorted(point.offset for point in part.model.points.values() if first < point.offset < end)
    asks: list[Ask] = []
    while end - first > most:
        cut = max((start for start in starts if first < start <= first + most), default=first + most)
        asks.append(Ask(part.address + first, cut - first))
        first = cut
    return (*asks, Ask(part.address + first, end - first))
