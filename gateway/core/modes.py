"""Modes: how a DER moves by itself with voltage, frequency and power, and what reactive power it is to give.

IEEE 1547-2018 5.3, 5.4, 6.4 and 6.5; IEEE 2030.5-2018, DERControlBase and DERCurve. Percent are hundredths,
frequency is in mHz. Positive var are injected (over-excited).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.core.functions import Function


class VarBase(StrEnum):
    """What a percentage of reactive power is of."""

    MAX_W = "max-w"
    MAX_VAR = "max-var"
    AVAILABLE_VAR = "available-var"
    MAX_VA = "max-va"


class CurveKind(StrEnum):
    """What a curve gives (y) over what (x)."""

    VOLT_VAR = "volt-var"
    VOLT_WATT = "volt-watt"
    WATT_VAR = "watt-var"
    WATT_PF = "watt-power-factor"
    FREQ_WATT = "frequency-watt"
    LV_MUST_TRIP = "low-voltage-must-trip"
    LV_MAY_TRIP = "low-voltage-may-trip"
    LV_CESSATION = "low-voltage-momentary-cessation"
    HV_MUST_TRIP = "high-voltage-must-trip"
    HV_MAY_TRIP = "high-voltage-may-trip"
    HV_CESSATION = "high-voltage-momentary-cessation"
    LF_MUST_TRIP = "low-frequency-must-trip"
    LF_MAY_TRIP = "low-frequency-may-trip"
    HF_MUST_TRIP = "high-frequency-must-trip"
    HF_MAY_TRIP = "high-frequency-may-trip"


FUNCTIONS: Final = {
    CurveKind.VOLT_VAR: Function.REACTIVE_POWER,
    CurveKind.WATT_VAR: Function.REACTIVE_POWER,
    CurveKind.WATT_PF: Function.REACTIVE_POWER,
    CurveKind.VOLT_WATT: Function.VOLT_WATT,
    CurveKind.FREQ_WATT: Function.FREQUENCY_WATT,
}
"""The function of each kind of curve that is an effect by itself; the others come together, as `RideThrough`."""


class CurveBase(StrEnum):
    """What the y of a curve is a percentage of; none where y is a power factor, a voltage or a frequency."""

    NONE = "none"
    MAX_W = "max-w"
    MAX_VAR = "max-var"
    AVAILABLE_VAR = "available-var"
    MAX_VA = "max-va"
    AVAILABLE_W = "available-w"


class CurvePoint(NamedTuple):
    """One point of a curve.

    x: hundredths of a percent of the reference voltage or of the maximum active power, mHz, or ms for ride-through.
    y: hundredths of a percent of the curve's base; ten-thousandths of a power factor, negative where it absorbs; for
    ride-through hundredths of a percent of the nominal voltage, or mHz.
    """

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Follow these points, left to right; `response_ms` is the open-loop response time, None leaves it to the DER.

    `reference_hundredths` is the reference voltage (hundredths of a percent of nominal), `reference_auto_ms` the time
    constant with which the DER finds it by itself; None where the order does not say.
    """

    kind: CurveKind
    points: tuple[CurvePoint, ...]
    base: CurveBase = CurveBase.NONE
    response_ms: int | None = None
    reference_hundredths: int | None = None
    reference_auto_ms: int | None = None

    @property
    def function(self) -> Function:
        """The function that it acts on."""
        return FUNCTIONS.get(self.kind, Function.RIDE_THROUGH)


@dataclass(frozen=True, slots=True)
class Droop:
    """Move active power with frequency beyond a dead band (mHz) by a slope (thousandths of Hz/Hz per unit of power)."""

    over_band_mhz: int
    under_band_mhz: int
    over_slope_thousandths: int
    under_slope_thousandths: int
    response_ms: int | None = None
    function: Function = Function.FREQUENCY_WATT


@dataclass(frozen=True, slots=True)
class FixedVar:
    """Give this part of a base as reactive power (hundredths of a percent, -10000..10000)."""

    base: VarBase
    hundredths: int
    function: Function = Function.REACTIVE_POWER


@dataclass(frozen=True, slots=True)
class TargetVar:
    """Give this reactive power (var)."""

    var: int
    function: Function = Function.REACTIVE_POWER


class Displacement(NamedTuple):
    """A power factor (ten-thousandths, 0..10000), and whether var are absorbed (under-excited)."""

    pf_ten_thousandths: int
    absorbs: bool


@dataclass(frozen=True, slots=True)
class PowerFactor:
    """Hold these power factors while power is injected, and while it is absorbed; None leaves one as it is."""

    injecting: Displacement | None
    absorbing: Displacement | None
    function: Function = Function.REACTIVE_POWER


@dataclass(frozen=True, slots=True)
class RideThrough:
    """Trip, cease and ride through by these curves, at most one of a kind; the kinds that are not there stay as set."""

    curves: tuple[Curve, ...]
    function: Function = Function.RIDE_THROUGH


Mode = Curve | Droop | FixedVar | TargetVar | PowerFactor | RideThrough
