"""Finding the models of a SunSpec device (SunSpec Device Information Model, clause 6: Modbus)."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from struct import unpack
from typing import Final, NamedTuple

BASES: Final = (40000, 0, 50000)
MODELS_MAX: Final = 100
_MARKER: Final = b"SunS"
_END_ID: Final = 0xFFFF
_PERMANENT_CODES: Final = frozenset({1, 2, 3, 4})


class Ask(NamedTuple):
    """Registers that the walk needs next, by their address in the device."""

    address: int
    quantity: int


class EndedBy(StrEnum):
    """What closed the chain: the end marker, or what devices without one do."""

    MARKER = "end marker"
    ZERO = "model id 0"
    EXCEPTION = "exception response"


@dataclass(frozen=True, slots=True)
class Block:
    """One model in a device: its id, the address of its ID register, and its own L."""

    id: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class Chain:
    """All models of a device in order; an id may come more than once."""

    base: int
    models: tuple[Block, ...]
    ended_by: EndedBy

    def of(self, model_id: int) -> tuple[Block, ...]:
        """Give the blocks that bear an id, in order."""
        return tuple(block for block in self.models if block.id == model_id)


@dataclass(frozen=True, slots=True)
class NotSunSpec:
    """No trustworthy chain was found, and why; `again` when the device was only busy or silent, so try later."""

    why: str
    again: bool


class Walk:
    """A discovery in progress: read what `asking` names and `give` it, or `refuse`, until `found` is there.

    The walk tries each base address, then follows ids and lengths. It never goes past address 65535 or 100 models.
    """

    __slots__ = ("_steps", "asking", "found")

    def __init__(self, bases: Sequence[int] = BASES) -> None:
        self.asking: Ask | None = None
        self.found: Chain | NotSunSpec | None = None
        self._steps = _walk(tuple(bases))
        self._advance(None)

    def give(self, registers: bytes) -> None:
        """Hand over the registers asked for; raises ValueError if there are more or fewer."""
        if self.asking is None:
            raise RuntimeError("the walk is over: read what it found")
        if len(registers) != 2 * self.asking.quantity:
            raise ValueError(f"{len(registers)} octets for {self.asking.quantity} registers")
        self._advance(registers)

    def refuse(self, code: int | None) -> None:
        """Say that the read got a Modbus exception, or no answer at all (None)."""
        if self.asking is None:
            raise RuntimeError("the walk is over: read what it found")
        self._advance(code)

    def _advance(self, answer: bytes | int | None) -> None:
        try:
            self.asking = self._steps.send(answer)
        except StopIteration as end:
            self.asking = None
            self.found = end.value


_Steps = Generator[Ask, bytes | int | None, Chain | NotSunSpec]


def _walk(bases: tuple[int, ...]) -> _Steps:
    tried: list[str] = []
    again = False
    for base in bases:
        answer = yield Ask(base, 4)
        if isinstance(answer, bytes):
            if answer.startswith(_MARKER):
                return (yield from _follow(base, *unpack(">HH", answer[4:])))
            tried.append(f"{base}: no SunS")
        else:
            tried.append(f"{base}: {_refusal(answer)}")
            again = again or answer not in _PERMANENT_CODES
    return NotSunSpec(f"no SunSpec map ({'; '.join(tried)}): check unit id and base address", again)


def _follow(base: int, model_id: int, length: int) -> _Steps:
    models: list[Block] = []
    address = base + 2
    while True:
        if model_id in (0, _END_ID):
            return Chain(base, tuple(models), EndedBy.ZERO if model_id == 0 else EndedBy.MARKER)
        if length == 0:
            return NotSunSpec(f"model {model_id} at {address} has length 0: the map is not to be trusted", False)
        if len(models) == MODELS_MAX:
            return NotSunSpec(f"more than {MODELS_MAX} models: the map is not to be trusted", False)
        models.append(Block(model_id, address, length))
        address += length + 2
        if address > 0x10000 - 2:
            return NotSunSpec(f"model {model_id} ends past address 65535: the map is not to be trusted", False)
        answer = yield Ask(address, 2)
        if isinstance(answer, bytes):
            model_id, length = unpack(">HH", answer)
        elif answer in _PERMANENT_CODES:
            return Chain(base, tuple(models), EndedBy.EXCEPTION)
        else:
            return NotSunSpec(f"the walk stopped at {address}: {_refusal(answer)}; walk again", True)


def _refusal(code: int | None) -> str:
    return "no answer" if code is None else f"exception {code}"
