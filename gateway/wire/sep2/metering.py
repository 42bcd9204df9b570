"""Readings of IEEE 2030.5-2018, of a server's own meters and mirrored to it, as values."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.wire.sep2.faults import Faulty
from gateway.wire.sep2.quantities import UnitValue
from gateway.wire.sep2.resources import Interval, Link, ListLink, ListPage


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingType:
    """What a reading is of: `uom` 38 W, 63 var, 29 V, 72 Wh; the value is times 10^`power_of_ten_multiplier`."""

    href: str | None = None
    accumulation_behaviour: int | None = None
    calorific_value: UnitValue | None = None
    commodity: int | None = None
    conversion_factor: UnitValue | None = None
    data_qualifier: int | None = None
    flow_direction: int | None = None
    interval_length_s: int | None = None
    kind: int | None = None
    max_number_of_intervals: int | None = None
    number_of_consumption_blocks: int | None = None
    number_of_tou_tiers: int | None = None
    phase: int | None = None
    power_of_ten_multiplier: int | None = None
    sub_interval_length_s: int | None = None
    supply_limit: int | None = None
    tiered_consumption_blocks: bool | None = None
    uom: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One value (48 bits, signed) in the unit of its ReadingType."""

    href: str | None = None
    subscribable: int | None = None
    consumption_block: int | None = None
    quality_flags: int | None = None
    time_period: Interval | None = None
    tou_tier: int | None = None
    value: int | None = None
    local_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorReadingSet:
    """Readings of one period."""

    href: str | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    time_period: Interval
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorMeterReading:
    """One series of readings of a mirrored usage point."""

    href: str | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    last_update_time_s: int | None = None
    reading_sets: tuple[MirrorReadingSet, ...] = ()
    next_update_time_s: int | None = None
    reading: Reading | None = None
    reading_type: ReadingType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorMeterReadingList(ListPage):
    """A batch of series."""

    items: tuple[MirrorMeterReading | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorUsagePoint:
    """A point whose meter posts here: `role_flags` bit 0 mirror, 1 premises, 3 DER, 6 submeter; `status` 1 on."""

    href: str | None = None
    subscribable: int | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    role_flags: int
    service_category_kind: int
    status: int
    device_lfdi: str
    meter_readings: tuple[MirrorMeterReading, ...] = ()
    post_rate_s: int | None = None
    usage_point_link: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorUsagePointList(ListPage):
    """One page of mirrored usage points."""

    subscribable: int | None = None
    poll_rate_s: int | None = None
    items: tuple[MirrorUsagePoint | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingList(ListPage):
    """One page of readings."""

    subscribable: int | None = None
    items: tuple[Reading | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSet:
    """Where the readings of one period are."""

    href: str | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    time_period: Interval
    reading_list_link: ListLink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSetList(ListPage):
    """One page of reading sets."""

    subscribable: int | None = None
    items: tuple[ReadingSet | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReading:
    """Where one series of readings is, and what they are of."""

    href: str | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    rate_component_list_link: ListLink | None = None
    reading_link: Link | None = None
    reading_set_list_link: ListLink | None = None
    reading_type_link: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReadingList(ListPage):
    """One page of series."""

    subscribable: int | None = None
    items: tuple[MeterReading | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePoint:
    """A point whose meter the server knows; codes as in `MirrorUsagePoint`."""

    href: str | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    role_flags: int
    service_category_kind: int
    status: int
    device_lfdi: str | None = None
    meter_reading_list_link: ListLink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePointList(ListPage):
    """One page of usage points."""

    subscribable: int | None = None
    poll_rate_s: int | None = None
    items: tuple[UsagePoint | Faulty, ...] = ()
