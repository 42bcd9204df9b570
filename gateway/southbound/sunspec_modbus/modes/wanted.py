"""What one carrier is asked for: an order's mode as it falls to one model of a device."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.core.modes import CurveBase, CurveKind, Droop, FixedVar, PowerFactor, TargetVar


class Off(NamedTuple):
    """A carrier that stands in the way of another is to be off."""


class Trips(NamedTuple):
    """Curves of ride-through for one model: for each kind its points, x in ms, y in hundredths of a percent or mHz."""

    curves: Mapping[CurveKind, Sequence[tuple[int, int]]]


class Shape(NamedTuple):
    """A curve for one model: points, base, response time (ms), reference (hundredths), its time constant (ms)."""

    points: tuple[tuple[int, int], ...]
    base: CurveBase
    response_ms: int | None
    reference_hundredths: int | None
    reference_auto_ms: int | None


Wanted = FixedVar | TargetVar | PowerFactor | Droop | Shape | Trips | Off
