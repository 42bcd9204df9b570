"""Values of the modes of a DERControlBase that are more than a number, as sent (IEEE 2030.5-2018, and 2023 beside)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gateway.wire.sep2.quantities import ActivePower, Scaled

_INT16 = (-(2**15), 2**15 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcitedPowerFactor:
    """PowerFactorWithExcitation: `displacement` x 10^`multiplier`; `absorbs` is its element `excitation`."""

    displacement: int
    absorbs: bool
    multiplier: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedVar:
    """Hundredths of a percent of what `reference` (a DERUnitRefType) says; unsigned where it is a limit (2023)."""

    reference: int
    hundredths: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FreqDroop:
    """Dead bands in mHz, slopes in thousandths, `response_hundredths` of a second; `least_w` is of 2023."""

    over_band_mhz: int
    under_band_mhz: int
    over_slope_thousandths: int
    under_slope_thousandths: int
    response_hundredths: int
    least_w: ActivePower | None = None


@dataclass(frozen=True, slots=True)
class UnsignedReactivePower(Scaled):
    """A size of reactive power, in var (2023)."""


@dataclass(frozen=True, slots=True)
class UnsignedActivePower(Scaled):
    """A size of active power, in W (2023)."""


@dataclass(frozen=True, slots=True)
class ActivePowerDelta(Scaled):
    """A change of active power, in W; `bidirectional` is a DeltaBidirectionalType (2023)."""

    bidirectional: int | None = None

    value_range: ClassVar[tuple[int, int]] = _INT16


@dataclass(frozen=True, slots=True)
class ReactivePowerDelta(Scaled):
    """A change of reactive power, in var; `bidirectional` is a DeltaBidirectionalType (2023)."""

    bidirectional: int | None = None

    value_range: ClassVar[tuple[int, int]] = _INT16
