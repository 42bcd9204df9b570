"""DERCurve of IEEE 2030.5-2018 as a value of the wire: what a DER is to do over voltage, frequency, power or time."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.wire.sep2.faults import Faulty
from gateway.wire.sep2.resources import ListPage

MOST_POINTS = 10
"""As many points as a curve may have (2018 schema)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveData:
    """One point; both numbers are scaled by the curve, `absorbs` is the element `excitation` of a power factor."""

    absorbs: bool | None = None
    x: int
    y: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DERCurve:
    """One curve of a `curve_type` (its place in `codes.CURVE_MODES`): points, scales, and how the DER follows it.

    Times are in hundredths of a second, `v_ref_hundredths` in hundredths of a percent, the ramps in hundredths of a
    percent a second; `y_reference` is a DERUnitRefType.
    """

    href: str | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    autonomous_v_ref_enable: bool | None = None
    autonomous_v_ref_time_hundredths: int | None = None
    creation_time_s: int
    points: tuple[CurveData, ...]
    curve_type: int
    open_loop_hundredths: int | None = None
    ramp_down_hundredths: int | None = None
    ramp_up_hundredths: int | None = None
    ramp_pt1_hundredths: int | None = None
    v_ref_hundredths: int | None = None
    x_multiplier: int
    y_multiplier: int
    y_reference: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DERCurveList(ListPage):
    """One page of curves."""

    items: tuple[DERCurve | Faulty, ...] = ()
