"""Answers of every kind, and where a server collects them (IEEE 2030.5-2018, Response function set), as values."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.wire.sep2.faults import Faulty
from gateway.wire.sep2.resources import ListLink, ListPage, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultDERControlResponse(Response):
    """An answer about a DefaultDERControl: which of its modes and other settings it is about (2023)."""

    defaults_responded: int
    modes_responded: int
    modes_responded_2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceResponse(Response):
    """An answer about a price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextResponse(Response):
    """An answer about a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowReservationResponseResponse(Response):
    """An answer about a FlowReservationResponse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplianceLoadReduction:
    """How an appliance shed: 0 delay, 1 temporary reduction."""

    reduction_type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedTargetReduction:
    """How much was shed, in a `unit` (UnitType): 0 kWh, 1 kW, 2 W and more of gas and water."""

    unit: int
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCycle:
    """The share of time that it was on, in percent."""

    normal_value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """Offsets that were applied: tenths of a degree Celsius, hundredths of a percent."""

    cooling_tenths: int | None = None
    heating_tenths: int | None = None
    load_adjustment_hundredths: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPoint:
    """Temperatures that were set, in hundredths of a degree Celsius."""

    cooling_hundredths: int | None = None
    heating_hundredths: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrResponse(Response):
    """An answer about an EndDeviceControl, with what was done."""

    appliance_load_reduction: ApplianceLoadReduction | None = None
    applied_target_reduction: AppliedTargetReduction | None = None
    duty_cycle: DutyCycle | None = None
    offset: Offset | None = None
    override_duration_s: int | None = None
    set_point: SetPoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseList(ListPage):
    """One page of answers."""

    items: tuple[Response | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSet:
    """Where the answers about some events are collected."""

    href: str | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    response_list_link: ListLink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSetList(ListPage):
    """One page of response sets."""

    poll_rate_s: int | None = None
    items: tuple[ResponseSet | Faulty, ...] = ()
