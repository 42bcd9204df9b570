"""A device's points: where they lie, what a read gave of them, and as few writes as their order allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.core.known import Known, Reading, Unknown
from gateway.wire.sunspec import Absent, Chain, Model, Reader, Unwritable, Value, compile_model

Values = Mapping[str, Value]

MISSING: Final = Absent("not given")
_LASTING: Final = ("WChaMax", "StorCtl_Mod")
"""What rates of charge are parts of, and the bits beside ours."""


class Ask(NamedTuple):
    """A read to make: which address, how many registers."""

    address: int
    quantity: int


class OneRegister(bytes):
    """One register that has to be written by function 06."""

    __slots__ = ()


class Step(NamedTuple):
    """A write to make: to which address, which octets."""

    address: int
    registers: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """The place of one model in a device, and a prepared read of some of its points."""

    model: Model
    address: int
    reader: Reader

    @property
    def ask(self) -> Ask:
        """The read to make."""
        return Ask(self.address + self.reader.offset, self.reader.quantity)


def part(chain: Chain, model_id: int, names: Sequence[str] | Mapping[str, int]) -> Part | None:
    """Prepare a read of a model that the device has; None where it lacks the model or all of the points.

    A mapping gives each name the decimal exponent of its integers.
    """
    blocks = chain.of(model_id)
    if not blocks:
        return None
    model = compile_model(model_id)
    prepared = model.reader(names, length=blocks[0].length)
    return Part(model, blocks[0].address, prepared) if prepared.quantity else None


def writes(target: Part, points: Mapping[str, bytes | Unwritable]) -> tuple[Step, ...] | Unwritable:
    """Merge encoded points of one model into as few writes as their order allows, or give the first that cannot be."""
    encoded: dict[str, bytes] = {}
    for name, octets in points.items():
        if isinstance(octets, Unwritable):
            return octets
        encoded[name] = octets
    return tuple(Step(target.address + offset, octets) for offset, octets in target.model.plan_writes(encoded))


def in_order(*parts: tuple[Step, ...] | Unwritable) -> tuple[Step, ...] | Unwritable:
    """Put writes one after another, or give what of them cannot be."""
    steps: list[Step] = []
    for each in parts:
        if isinstance(each, Unwritable):
            return each
        steps.extend(each)
    return tuple(steps)


def singly(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Cut writes into single registers, in the order of the map: values lie before what enables them there."""
    return tuple(
        Step(step.address + at // 2, OneRegister(step.registers[at : at + 2]))
        for step in steps
        for at in range(0, len(step.registers), 2)
    )


def lasting(values: Values) -> Values:
    """Keep what a write leaves true of a read: scale factors, bases, and which points the device does not implement."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, Absent) or name.endswith("_SF") or name in _LASTING
    }


def scales(values: Values) -> tuple[Value, ...]:
    """Give the scale factors of a read."""
    return tuple(value for name, value in values.items() if name.endswith("_SF"))


def number(values: Values, name: str) -> int | None:
    """Give a point's number, or None where the device gives none."""
    value = values.get(name)
    return value if isinstance(value, int) else None


def has(values: Values, *names: str) -> bool:
    """Tell whether the device implements all these points, as far as it was read."""
    for name in names:  # noqa: SIM110 - every poll asks this of every device, and a generator costs thrice as much
        if isinstance(values.get(name), Absent):
            return False
    return True


def shown(values: Values, name: str) -> int | str:
    """Give what to say of a point: its value, or why there is none."""
    value = values.get(name, MISSING)
    return value.why if isinstance(value, Absent) else value


def reading(value: Value, now_ms: int) -> Reading:
    """Turn a decoded point into a reading; what the device does not give is unknown, and why."""
    if isinstance(value, int):
        return Known(value, now_ms)
    return Unknown(value.why if isinstance(value, Absent) else f"{value!r} is not a number", now_ms)
