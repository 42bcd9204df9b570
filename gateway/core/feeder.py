"""What is asked of a feeder's model before power moves away from zero, and what it certifies (DESIGN 3, RULES C12)."""

from typing import NamedTuple


class Span(NamedTuple):
    """How far one resource may run (W): `low_w` is at most 0, `high_w` at least 0.

    Where not everything fits, the spans of the largest `rank` are tightened first, those of one rank by one factor.
    """

    resource: str
    low_w: int
    high_w: int
    rank: int = 0


class Wish(NamedTuple):
    """Ask a feeder whether `asked` may run so while `standing` runs anywhere inside its spans without asking.

    `serial` names the question; without an answer by `deadline_ms` what was certified last holds.
    """

    feeder: str
    serial: int
    asked: tuple[Span, ...]
    standing: tuple[Span, ...]
    deadline_ms: int


class Certificate(NamedTuple):
    """What the model allows of a wish: every state inside `spans` keeps all limits of the feeder.

    `spans` are those that were asked for, in their order, each as asked or trimmed toward zero. `binding` is the
    element that trimmed them, empty where nothing was. `worst_voltage_milli_pu` and `worst_loading_permille` (of the
    rating) are the nearest to a limit, and where. `model_hash` names the model, `state_ms` the instant of the
    measurements in it. The worst holds with taps where they are and, where `taps_settled`, after they have moved.
    """

    feeder: str
    serial: int
    spans: tuple[Span, ...]
    model_hash: str
    state_ms: int
    worst_voltage_milli_pu: int
    worst_voltage_at: str
    worst_loading_permille: int
    worst_loading_at: str
    binding: str
    taps_settled: bool


class Room(NamedTuple):
    """What a resource may run at (W) as far as its feeder's model has certified, and what binds it there.

    It `waits` until its first question has an answer: until then a set-point changes nothing.
    """

    low_w: int
    high_w: int
    binding: str
    waits: bool = False


class Certified(NamedTuple):
    """The feeder's model has answered a wish."""

    certificate: Certificate


class NotCertified(NamedTuple):
    """A wish got no answer that can be used; what was certified last holds."""

    feeder: str
    serial: int
    why: str


class Validate(NamedTuple):
    """Ask a feeder's model."""

    wish: Wish
