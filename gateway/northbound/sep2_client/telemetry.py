"""Readings of DER and of connection points -> usage points and meter readings of IEEE 2030.5 (Metering Mirror).

Sign: a DER's reading has flow direction 19, received from the customer, so that generation stays positive; one of a
connection point has flow direction 1, delivered to the customer, so that export is negative there (CSIP-AUS telemetry).
"""

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.core.aggregate import ConnectionReading, Total
from gateway.core.known import Known
from gateway.wire.sep2.metering import (
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorReadingSet,
    MirrorUsagePoint,
    Reading,
    ReadingType,
)
from gateway.wire.sep2.resources import Interval

UNIT_W: Final = 38
UNIT_VAR: Final = 63
UNIT_V: Final = 29
UNIT_WH: Final = 72
ENERGY: Final = 12
POWER: Final = 37
NOT_APPLICABLE: Final = 0
AVERAGE: Final = 2
INSTANTANEOUS: Final = 12
DELIVERED_TO_CUSTOMER: Final = 1
RECEIVED_FROM_CUSTOMER: Final = 19
ELECTRICITY: Final = 1
SITE_ROLE: Final = 0x03
"""Mirror and premises: what a meter at a connection point shows, load and all."""
DER_ROLE: Final = 0x49
"""Mirror, DER and submeter."""
WHOLE_ROLE: Final = 0x09
"""Mirror and DER. Our reading: DER summed over many premises are no premises."""
WHOLE: Final = ""
"""The name of the whole domain beside those of the resources."""


class Place(NamedTuple):
    """What a usage point mirrors: the DER of a resource, or of the whole domain, or the connection point of one."""

    resource: str
    is_site: bool = False


class Slot(NamedTuple):
    """The means over a span (s, the server's clock): W and var, positive out of the place, mV, and their coverage.

    `stored_wh` is what was stored at its end (Wh).
    """

    start_s: int
    duration_s: int
    power_w: int | None
    reactive_var: int | None
    voltage_mv: int | None
    coverage: str
    stored_wh: int | None = None

    @property
    def known(self) -> int:
        """How many of them were read."""
        values = (self.power_w, self.reactive_var, self.voltage_mv, self.stored_wh)
        return sum(each is not None for each in values)


class Mean:
    """The mean of readings over a span of time: what is posted says that it is an average."""

    def __init__(self) -> None:
        """Start without samples."""
        self._sums = [0, 0, 0]
        self._counts = [0, 0, 0]
        self._coverage = ""
        self._stored_wh: int | None = None

    def add(self, shown: Total | ConnectionReading) -> None:
        """Take a sample; what is unknown in it is not counted."""
        values: Iterable[int | None]
        if isinstance(shown, Total):
            values = (shown.power_w, shown.reactive_var, shown.voltage_mv)
            self._coverage = f"{shown.known} of {shown.devices} seen"
            self._stored_wh = None if shown.store is None else shown.store.stored_wh
        else:
            values = [each.value if isinstance(each, Known) else None for each in shown]
            self._coverage = "connection point"
        for place, value in enumerate(values):
            if value is not None:
                self._sums[place] += value
                self._counts[place] += 1

    def over(self, start_s: int, duration_s: int) -> Slot:
        """Give the means of the samples as those of a span; None where no sample had one."""
        means = (part // count if count else None for part, count in zip(self._sums, self._counts, strict=True))
        power_w, reactive_var, voltage_mv = means
        return Slot(start_s, duration_s, power_w, reactive_var, voltage_mv, self._coverage, self._stored_wh)


def usage_point(lfdi: str, place: Place) -> MirrorUsagePoint:
    """Give the usage point that mirrors a place of a device; the whole domain is below the gateway's own EndDevice."""
    role, description = DER_ROLE, "resource"
    if place.is_site:
        role, description = SITE_ROLE, "connection point"
    elif place.resource == WHOLE:
        role, description = WHOLE_ROLE, "whole domain"
    return MirrorUsagePoint(
        mrid=usage_point_mrid(lfdi, place),
        description=description,
        role_flags=role,
        service_category_kind=0,
        status=1,
        device_lfdi=lfdi.upper(),
    )


def usage_point_mrid(lfdi: str, place: Place) -> str:
    """Give the lasting mRID of the usage point of a place of a device."""
    return _mrid(lfdi, "connection-point" if place.is_site else "usage-point")


def readings(slot: Slot, lfdi: str, place: Place) -> tuple[MirrorMeterReading, ...]:
    """Give what is known of a span as meter readings, each with its last Reading; what is unknown is left out."""
    return tuple(
        MirrorMeterReading(
            mrid=_mrid(lfdi, series.name),
            description=slot.coverage,
            last_update_time_s=slot.start_s + slot.duration_s,
            reading=Reading(time_period=Interval(start_s=slot.start_s, duration_s=slot.duration_s), value=value),
            reading_type=series.kind,
        )
        for series in _series(place)
        if (value := series.of(slot)) is not None
    )


def batch(slots: Iterable[Slot], lfdi: str, place: Place) -> MirrorMeterReadingList:
    """Give spans in one body: one alone as its Readings, several as one MirrorReadingSet of each series."""
    listed = tuple(slots)
    items = readings(listed[0], lfdi, place) if len(listed) == 1 else _sets(listed, lfdi, place)
    return MirrorMeterReadingList(total=len(items), results=len(items), items=items)


def _sets(slots: tuple[Slot, ...], lfdi: str, place: Place) -> tuple[MirrorMeterReading, ...]:
    start_s, end_s = slots[0].start_s, slots[-1].start_s + slots[-1].duration_s
    made: list[MirrorMeterReading] = []
    for series in _series(place):
        known = [(slot, value) for slot in slots if (value := series.of(slot)) is not None]
        if not known:
            continue
        kept = tuple(
            Reading(
                time_period=Interval(start_s=slot.start_s, duration_s=slot.duration_s),
                value=value,
                local_id=number,
            )
            for number, (slot, value) in enumerate(known)
        )
        made.append(
            MirrorMeterReading(
                mrid=_mrid(lfdi, series.name),
                description=known[-1][0].coverage,
                last_update_time_s=end_s,
                reading_sets=(
                    MirrorReadingSet(
                        mrid=_mrid(lfdi, f"{series.name}/{start_s}"),
                        time_period=Interval(start_s=start_s, duration_s=end_s - start_s),
                        readings=kept,
                    ),
                ),
                reading_type=series.kind,
            )
        )
    return tuple(made)


class _Series(NamedTuple):
    """One meter reading of a place: what it is called, what of a slot it is, in which sign, and its type."""

    name: str
    field: str
    sign: int
    kind: ReadingType

    def of(self, slot: Slot) -> int | None:
        """Give its value in a slot, None where that is unknown."""
        value: int | None = getattr(slot, self.field)
        return None if value is None else self.sign * value


def _kind(unit: int, flow_direction: int) -> ReadingType:
    return ReadingType(
        commodity=ELECTRICITY,
        data_qualifier=AVERAGE,
        flow_direction=flow_direction,
        kind=None if unit == UNIT_V else POWER,
        power_of_ten_multiplier=-3 if unit == UNIT_V else 0,
        uom=unit,
    )


def _of(prefix: str, sign: int, flow_direction: int) -> tuple[_Series, ...]:
    return (
        _Series(f"{prefix}power", "power_w", sign, _kind(UNIT_W, flow_direction)),
        _Series(f"{prefix}reactive power", "reactive_var", sign, _kind(UNIT_VAR, flow_direction)),
        _Series(f"{prefix}voltage", "voltage_mv", 1, _kind(UNIT_V, flow_direction)),
    )


_STORED: Final = _Series(
    "stored energy",
    "stored_wh",
    1,
    ReadingType(
        accumulation_behaviour=INSTANTANEOUS,
        commodity=ELECTRICITY,
        data_qualifier=NOT_APPLICABLE,
        kind=ENERGY,
        power_of_ten_multiplier=0,
        uom=UNIT_WH,
    ),
)
_DER: Final = (*_of("", 1, RECEIVED_FROM_CUSTOMER), _STORED)
_SITE: Final = _of("connection point ", -1, DELIVERED_TO_CUSTOMER)


def _series(place: Place) -> tuple[_Series, ...]:
    return _SITE if place.is_site else _DER


def _mrid(lfdi: str, what: str) -> str:
    """Give a lasting identifier (32 hexadecimal digits) for one series of one device.

    Its last eight digits are those of the LFDI, which end in the Private Enterprise Number of the aggregator that made
    it (CSIP-AUS).
    """
    return hashlib.sha256(f"{lfdi.lower()}/{what}".encode()).hexdigest()[:24] + lfdi[-8:].lower()
