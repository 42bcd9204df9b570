"""One effort with a device, step after step: what it asks for next, and how it ends; without input or output.

An effort is a generator: it yields a look (answered with values), a write or a rest, and the link does them in turn
whenever nothing more urgent is to be done. So a curve never delays a limit.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from gateway.southbound.sunspec_modbus.limits import whole_s
from gateway.southbound.sunspec_modbus.modes.wanted import Wanted
from gateway.southbound.sunspec_modbus.points import MISSING, Part, Step, Values, shown, singly
from gateway.southbound.sunspec_modbus.profiles import Habits
from gateway.wire.modbus import Refused
from gateway.wire.sunspec import Absent, Model, Side, Unwritable, rescale

READ_BACK_MS: Final = 100
READ_BACK_AGAIN_MS: Final = 1_000


class Look(NamedTuple):
    """Read these points; answered with their values."""

    part: Part


class Rest(NamedTuple):
    """Leave the device alone for so long (ms of the clock)."""

    ms: int


class Stopped(Exception):  # noqa: N818 - it is no error: devices do that
    """The effort cannot go on, and why; `busy` where the device only had no time."""

    def __init__(self, why: str, *, busy: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.busy = busy


Request = Look | Step | Rest
Answer = Values | Refused | None
Looking = Generator[Request, Answer, Values]
Doing = Generator[Request, Answer, None]


class Fitted(NamedTuple):
    """A value as registers, and what it then reads back."""

    registers: bytes
    reads: int


class Shaped(NamedTuple):
    """One ordered curve point register: its name, its value, to which side it is rounded, and the value's exponent."""

    name: str
    value: int
    side: Side = Side.NEAREST
    exponent: int | None = None


class Held(NamedTuple):
    """What a device shows with a mode in force: all that was read, and what of it was asked for."""

    values: Values
    target: Mapping[str, int]
    timed: bool = False


@dataclass(slots=True)
class Tenure:
    """What is ours on one carrier: what the device showed `before` we first wrote, and what it holds by us.

    `held` is None while that is on its way. `kept` is the slot in which what was in force before is kept, 0 for none.
    """

    before: Values
    wrote: bool = False
    held: Held | None = None
    kept: int = 0

    def inherit(self, enable: str) -> None:
        """Take what it showed before as told by this gateway before a restart: it was off before that.

        Our reading: so it is where a device shows just what is ordered when it is first looked at.
        """
        on = self.before.get(enable)
        self.wrote = True
        if isinstance(on, int):
            self.before = {**self.before, enable: on & ~1}


class Carrier(Protocol):
    """The registers of a device that carry one kind of mode."""

    @property
    def key(self) -> str:
        """What it is called, with its model."""

    @property
    def function(self) -> str:
        """The function that it serves."""

    @property
    def enable(self) -> str:
        """The point that switches it on."""

    def look(self) -> Looking:
        """Read what is in force."""

    def put(self, tenure: Tenure, wanted: Wanted, timer_ms: int | None) -> Generator[Request, Answer, Held]:
        """Have the device do this; `timer_ms` is after what time without us it is to do what it did before."""

    def restore(self, tenure: Tenure) -> Doing:
        """Have the device do what it did before."""

    def refresh(self, timer_ms: int) -> Doing:
        """Start its reversion timer anew."""


def look(part: Part) -> Looking:
    """Read points; a refusal ends the effort."""
    answer = yield Look(part)
    if isinstance(answer, Refused):
        raise Stopped(f"exception {answer.code} ({answer.name}) to a read", busy=answer.transient)
    return answer or {}


def tell(steps: Sequence[Step], habits: Habits) -> Doing:
    """Write, in order; a refusal ends the effort."""
    for step in singly(steps) if habits.singly else steps:
        answer = yield step
        if isinstance(answer, Refused):
            raise Stopped(f"exception {answer.code} ({answer.name}) to a write", busy=answer.transient)


def steps(part: Part, points: Mapping[str, bytes], habits: Habits) -> tuple[Step, ...]:
    """Merge encoded points into writes; what belongs together cannot go to a family that takes single registers."""
    if habits.singly and any(part.model.points[name].size > 1 or part.model.points[name].sync for name in points):
        raise Stopped("it takes single registers alone, and these belong together")
    return tuple(Step(part.address + offset, octets) for offset, octets in part.model.plan_writes(points))


def fit(model: Model, shaped: Shaped, values: Values, of: str = "") -> Fitted:
    """Encode a value by the scale that the device showed; `of` goes before its name where it lies in a slot."""
    point = model.points[of + shaped.name]
    scale = values.get(point.scale_factor, MISSING) if isinstance(point.scale_factor, str) else 0
    octets = model.encode(point.name, shaped.value, scale_factor=scale, exponent=shaped.exponent, side=shaped.side)
    if isinstance(octets, Unwritable):
        raise Stopped(octets.why)
    exponent = point.exponent if shaped.exponent is None else shaped.exponent
    if not isinstance(scale, int):
        return Fitted(octets, shaped.value)
    return Fitted(octets, rescale(rescale(shaped.value, exponent, scale, shaped.side), scale, exponent))


def differs(target: Mapping[str, int], values: Values) -> str:
    """Say what of a target a device does not show; empty where it shows all of it."""
    for name, expected in target.items():
        if values.get(name) != expected:
            return f"{name} reads {shown(values, name)}, not {expected}"
    return ""


def demand(values: Values, *names: str) -> None:
    """Stop where the device has not all these points."""
    for name in names:
        value = values.get(name, MISSING)
        if isinstance(value, Absent):
            raise Stopped(f"{name}: {value.why}")


def timer_s(timer_ms: int) -> int:
    """Give a reversion time in whole seconds, as a decoded value (ms)."""
    return whole_s(timer_ms)
