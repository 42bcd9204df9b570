"""The lines between the daemon and a feeder's worker: one JSON value a line, a question for each answer."""

from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from gateway.core.feeder import Span
from gateway.grid.config import Feeder

LONGEST_LINE: Final = 1 << 24
"""Octets; 8 MB are a question about 100,000 resources."""

Told = TypeVar("Told", "Setup", "Question")


class Place(NamedTuple):
    """Where one device of a resource is on the feeder: a bus, with its phases as in `634.1.3` or all of them, and W."""

    device: str
    bus: str
    rated_w: int


class Measured(NamedTuple):
    """What a resource was measured at last (W, var); None is unknown."""

    power_w: int | None
    reactive_var: int | None


class Setup(msgspec.Struct, frozen=True):
    """What a worker is told first: its feeder, and the devices of every resource.

    `budget_s` is the wall time after which it stops to look for room for the weaker ranks.
    """

    feeder: str
    model: str
    voltage_min_pu: float
    voltage_max_pu: float
    loading_max_permille: int
    budget_s: float
    places: dict[str, tuple[Place, ...]]


class Question(msgspec.Struct, frozen=True):
    """One wish, and what is known of every resource while it is looked into."""

    serial: int
    asked: tuple[Span, ...]
    standing: tuple[Span, ...]
    measured: dict[str, Measured]


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The model is loaded and has a credible power flow."""

    model_hash: str
    nodes: int


class Faulty(msgspec.Struct, frozen=True, tag=True):
    """The model cannot be used; each fault says what to do next."""

    faults: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True, tag=True):
    """What the model allows of the question, all figures whole; see `gateway.core.feeder.Certificate`."""

    serial: int
    spans: tuple[Span, ...]
    model_hash: str
    worst_voltage_milli_pu: int
    worst_voltage_at: str
    worst_loading_permille: int
    worst_loading_at: str
    binding: str
    taps_settled: bool


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """The model cannot judge this question."""

    serial: int
    why: str


Said = Ready | Faulty | Answer | Refusal

_ENCODER: Final = msgspec.json.Encoder()
_SAID: Final[msgspec.json.Decoder[Said]] = msgspec.json.Decoder(Said)


def setup(table: Feeder, places: dict[str, tuple[Place, ...]], budget_s: float) -> Setup:
    """Put together what a worker is told first."""
    return Setup(
        table.name,
        str(Path(table.model).resolve()),
        table.voltage_min_pu,
        table.voltage_max_pu,
        table.loading_max_permille,
        budget_s,
        places,
    )


def line(value: Setup | Question | Said) -> bytes:
    """Write one line."""
    return _ENCODER.encode(value) + b"\n"


def said(text: bytes) -> Said | None:
    """Read a worker's line; None where it is not one."""
    try:
        return _SAID.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def told(text: bytes, kind: type[Told]) -> Told:
    """Read what the daemon said; raises msgspec.DecodeError where it is not that."""
    return msgspec.json.decode(text, type=kind)
