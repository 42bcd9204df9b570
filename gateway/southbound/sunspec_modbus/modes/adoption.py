"""Adoption: points into a spare slot, the request, the device's word, and the slot in force read back as proof.

SunSpec Device Information Model, models 705 to 712: slot 1 is read-only and shows what is in force; the request bears a
slot's number from 1; a result is 0 while in progress, 1 when done, 2 when failed. What the order does not say is copied
from what is in force, so that adopting leaves it (as the priority of var or W) alone.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Final

from gateway.southbound.sunspec_modbus.modes.curves import SLOT, Slots, fields, slot_values
from gateway.southbound.sunspec_modbus.modes.effort import (
    Answer,
    Doing,
    Held,
    Looking,
    Request,
    Rest,
    Shaped,
    Stopped,
    Tenure,
    demand,
    differs,
    fit,
    look,
    steps,
    tell,
    timer_s,
)
from gateway.southbound.sunspec_modbus.modes.wanted import Off, Wanted
from gateway.southbound.sunspec_modbus.points import Part, Values, has, number
from gateway.southbound.sunspec_modbus.profiles import Habits
from gateway.wire.sunspec import Block, Counts, Model, compile_model

ASK_AGAIN_MS: Final = 1_000
"""The pace at which a device is asked how its adoption goes."""
ADOPT_WITHIN_MS: Final = 30_000
IN_PROGRESS: Final = 0
COMPLETED: Final = 1
FAILED: Final = 2
ADDRESSES: Final = 0x10000
READ_ONLY: Final = 1
SLOTS_MOST: Final = 32
SLOT_POINTS_MOST: Final = 512
"""Beyond so many slots, or points in all of them, a device is not believed: what is laid out for it costs all others.

Our reading: the models set no bound, and devices have 2 to 4 slots of 4 to 10 points.
"""


class Adopting:
    """A model with slots, on one device."""

    def __init__(self, slots: Slots, block: Block, habits: Habits) -> None:
        """Take where it lies."""
        self._slots, self._block, self._habits = slots, block, habits
        self.key = f"{slots.what} ({slots.model})"
        self.function = slots.function
        self.enable = "Ena"
        head = compile_model(slots.model)
        self._head_names = tuple(
            name for name, point in head.points.items() if point.type != "pad" and name not in "ID L"
        )
        self._head = Part(head, block.address, head.reader(self._head_names, length=block.length))
        self._counts: tuple[int, int] = (0, 0)

    def look(self) -> Looking:
        """Read the head, and what of the first slot is in force."""
        if self._counts == (0, 0):
            self._laid_out((yield from look(self._head)))
        slots, points = self._counts
        model = compile_model(self._slots.model, _counts(self._slots, slots, points))
        first = f"{self._slots.slot}.1."
        names = (*self._head_names, *(name for name in model.points if name.startswith(first)))
        values = yield from look(self._part(model, names))
        self._laid_out(values)
        if self._counts != (slots, points):
            raise Stopped("its slots are not what they were", busy=True)
        return {SLOT + name.removeprefix(first) if name.startswith(first) else name: values[name] for name in names}

    def put(self, tenure: Tenure, wanted: Wanted, timer_ms: int | None) -> Generator[Request, Answer, Held]:
        """Have a curve adopted, then switch it on; prove both."""
        values = yield from self._at_rest()
        if isinstance(wanted, Off):
            target: dict[str, int] = {self.enable: 0}
            yield from self._switch(tenure, target, values)
            return Held((yield from self._proven(target)), target)
        demand(values, self.enable)
        model = self._laid_out(values)
        fitted = slot_values(self._slots, model, wanted, values, self._counts[1])
        target = {SLOT + name: each.reads for name, each in fitted.items()}
        octets = {name: each.registers for name, each in fitted.items()}
        if differs(target, values):
            values = yield from self._adopt(tenure, octets, target, values)
        timer = yield from self._timer(tenure, values, timer_ms)
        yield from self._switch(tenure, timer | {self.enable: 1}, values)
        proven = yield from self._proven(target | timer | {self.enable: 1})
        return Held(proven, target | {self.enable: 1}, timed=bool(timer))

    def restore(self, tenure: Tenure) -> Doing:
        """Switch it off, or have the curve adopted that was in force before, where it was on."""
        values = yield from self._at_rest()
        before, was_on = tenure.before, tenure.before.get(self.enable) == 1
        target = {name: value for name, value in before.items() if name.startswith(SLOT) and isinstance(value, int)}
        if was_on and differs(target, values):
            names = fields(self._slots, self._laid_out(values))
            octets = self._slot_octets({name: target[SLOT + name] for name in names if SLOT + name in target}, values)
            values = yield from self._adopt(tenure, octets, target, values)
        yield from self._switch(tenure, {self.enable: int(was_on)}, values)
        yield from self._proven({self.enable: int(was_on)})

    def refresh(self, timer_ms: int) -> Doing:
        """Write the timer again."""
        yield from self._write({"RvrtTms": timer_s(timer_ms)}, {})

    def _at_rest(self) -> Looking:
        """Look once no adoption is under way: what one that was given up comes to is not known before."""
        values = yield from self.look()
        for _ in range(ADOPT_WITHIN_MS // ASK_AGAIN_MS):
            if values.get(self._slots.result) != IN_PROGRESS:
                break
            yield Rest(ASK_AGAIN_MS)
            values = yield from self.look()
        return values

    # -- slots

    def _laid_out(self, head: Values) -> Model:
        """Lay the slots out as the device counts them; stop where its length does not hold so many."""
        demand(head, self._slots.count)
        slots = number(head, self._slots.count) or 0
        points = (number(head, "NPt") or 0) if self._slots.has_points else 0
        if slots < 1 or slots * max(1, points) > self._block.length or (self._slots.has_points and points < 1):
            raise Stopped(f"it counts {slots} slots of {points} points in {self._block.length} registers")
        if slots > SLOTS_MOST or slots * points > SLOT_POINTS_MOST:
            raise Stopped(f"it counts {slots} slots of {points} points; at most {SLOTS_MOST} are laid out")
        self._counts = (slots, points)
        model = compile_model(self._slots.model, _counts(self._slots, slots, points))
        if model.length > self._block.length:
            raise Stopped(f"its {slots} slots of {points} points do not fit in {self._block.length} registers")
        return model

    def _part(self, model: Model, names: Sequence[str]) -> Part:
        return Part(model, self._block.address, model.reader(names, length=self._block.length, limit=ADDRESSES))

    def _spare(self, model: Model, values: Values, taken: int = 0) -> Generator[Request, Answer, int]:
        """Find a slot to write to: never the first, none that is read-only, nor what the device reverts to."""
        slots, _ = self._counts
        reserved = {taken, number(values, self._slots.revert) or 0} if self._slots.revert else {taken}
        for which in range(2, slots + 1):
            if which in reserved:
                continue
            name = f"{self._slots.slot}.{which}.ReadOnly"
            slot = yield from look(self._part(model, (name,)))
            if slot.get(name) != READ_ONLY:
                return which
        raise Stopped(f"it has no spare slot among its {slots}")

    def _slot_octets(self, slot: Mapping[str, int], values: Values) -> dict[str, bytes]:
        model = self._laid_out(values)
        first = f"{self._slots.slot}.1."
        return {name: fit(model, Shaped(name, value), values, first).registers for name, value in slot.items()}

    def _fill(self, octets: Mapping[str, bytes], values: Values, which: int) -> Doing:
        """Write a slot: what is given, and for the rest what is in force."""
        model = self._laid_out(values)
        kept = {
            name: value
            for name in fields(self._slots, model)
            if name not in octets and isinstance(value := values.get(SLOT + name), int)
        }
        every = self._slot_octets(kept, values) | dict(octets)
        prefix = f"{self._slots.slot}.{which}."
        placed = {prefix + name: every[name] for name in fields(self._slots, model) if name in every}
        part = Part(model, self._block.address, self._head.reader)
        yield from tell(steps(part, placed, self._habits), self._habits)

    # -- adopting

    def _adopt(self, tenure: Tenure, octets: Mapping[str, bytes], target: Mapping[str, int], values: Values) -> Looking:
        """Fill a spare slot, ask for it, and wait until the first shows it; give what is then read."""
        which = yield from self._spare(self._laid_out(values), values)
        yield from self._fill(octets, values, which)
        tenure.wrote = True
        stale = values.get(self._slots.result) == FAILED
        yield from self._write({self._slots.request: which}, values)
        for asked in range(ADOPT_WITHIN_MS // ASK_AGAIN_MS):
            yield Rest(ASK_AGAIN_MS)
            values = yield from self.look()
            wrong = differs(target, values)
            if not wrong:
                return values
            if values.get(self._slots.result) == FAILED and (asked or not stale):
                raise Stopped(f"{self.key}: the device says that it could not adopt it")
        word = {COMPLETED: "it says it has adopted it, but ", FAILED: "it failed, and "}
        said = word.get(number(values, self._slots.result) or 0, "it is still at it, and ")
        raise Stopped(f"{self.key}: after {ADOPT_WITHIN_MS // 1000} s {said}{wrong.removeprefix(SLOT)}")

    def _switch(self, tenure: Tenure, target: Mapping[str, int], values: Values) -> Doing:
        if differs(target, values):
            tenure.wrote = True
            yield from self._write(target, values)

    def _write(self, points: Mapping[str, int], values: Values) -> Doing:
        octets = {name: fit(self._head.model, Shaped(name, value), values).registers for name, value in points.items()}
        yield from tell(steps(self._head, octets, self._habits), self._habits)

    def _proven(self, target: Mapping[str, int]) -> Looking:
        for pause_ms in (0, ASK_AGAIN_MS):
            if pause_ms:
                yield Rest(pause_ms)
            values = yield from self.look()
            if not differs(target, values):
                return values
        raise Stopped(f"{self.key}: {differs(target, values).removeprefix(SLOT)}")

    def _timer(
        self, tenure: Tenure, values: Values, timer_ms: int | None
    ) -> Generator[Request, Answer, dict[str, int]]:
        """Keep the curve that was in force in a slot of its own, to be reverted to; give slot and timer.

        No model has a place for being off after the timer: one that was off before gets no timer.
        """
        revert, before = self._slots.revert, tenure.before
        wanted = timer_ms is not None and self._habits.timer and bool(revert)
        if timer_ms is None or not wanted or not has(values, revert, "RvrtTms") or before.get(self.enable) != 1:
            return {}
        told = {"RvrtTms": timer_s(timer_ms)}
        if tenure.kept:
            return {revert: tenure.kept, **told}
        model = self._laid_out(values)
        names = fields(self._slots, model)
        was = {name: value for name in names if isinstance(value := before.get(SLOT + name), int)}
        request = number(values, self._slots.request) or 0
        try:
            which = yield from self._spare(model, {}, taken=request)
        except Stopped:
            return {}
        tenure.wrote = True
        yield from self._fill(self._slot_octets(was, values), values, which)
        tenure.kept = which
        return {revert: which, **told}


def _counts(slots: Slots, count: int, points: int) -> Counts:
    """Give the counts of a model's groups by their names."""
    return ((slots.slot, count), ("Pt", points)) if slots.has_points else ((slots.slot, count),)
