"""What is metered as usage points and meter readings: role, sign, unit, coverage, and what is unknown left out."""

import pytest

from gateway.core.aggregate import ConnectionReading, Store, Total
from gateway.core.known import Known, Unknown
from gateway.northbound.sep2_client import telemetry
from gateway.northbound.sep2_client.telemetry import Mean, Place, Slot
from gateway.wire.sep2 import encode
from gateway.wire.sep2.metering import MirrorMeterReading
from gateway.wire.sep2.resources import Interval

LFDI = "3e4f45ab31edfe5b67e343e5e4562e3100012345"
HOUSE, SITE, DOMAIN = Place("house"), Place("house", is_site=True), Place("")
FULL = Total(4_000, -150, 230_400, 2, 1, 10_000, 5_000, 0, 9_000, 1)
SLOT = Slot(120, 60, 4_000, -150, 230_400, "1 of 2 seen")


@pytest.mark.parametrize(
    ("place", "role"), [(DOMAIN, 0x09), (HOUSE, 0x49), (SITE, 0x03)], ids=["whole", "resource", "connection point"]
)
def test_a_usage_point_can_be_written(place: Place, role: int) -> None:
    point = telemetry.usage_point(LFDI, place)
    mrid = telemetry.usage_point_mrid(LFDI, place)
    assert (point.device_lfdi, point.role_flags, point.mrid) == (LFDI.upper(), role, mrid)
    assert encode(point)
    assert mrid == telemetry.usage_point_mrid(LFDI.upper(), place)
    assert mrid != telemetry.usage_point_mrid(LFDI[::-1], place)
    assert mrid.endswith("00012345"), "the aggregator's number, which its LFDIs end in"


def values(items: tuple[object, ...]) -> list[tuple[int | None, int | None, int | None, int | None]]:
    """Give unit, value, multiplier and flow direction of each reading."""
    found = []
    for one in items:
        assert isinstance(one, MirrorMeterReading)
        assert one.reading is not None
        assert one.reading_type is not None
        kind = one.reading_type
        found.append((kind.uom, one.reading.value, kind.power_of_ten_multiplier, kind.flow_direction))
    return found


def test_readings_of_der_bear_unit_sign_and_coverage() -> None:
    shown = telemetry.readings(SLOT, LFDI, HOUSE)
    assert values(shown) == [(38, 4_000, 0, 19), (63, -150, 0, 19), (29, 230_400, -3, 19)]
    assert {one.description for one in shown} == {"1 of 2 seen"}
    assert {one.reading.time_period for one in shown if one.reading} == {Interval(start_s=120, duration_s=60)}
    assert len({one.mrid for one in shown}) == 3
    assert all(encode(one) for one in shown)


def test_what_goes_out_at_a_connection_point_is_negative_and_delivered() -> None:
    shown = telemetry.readings(SLOT, LFDI, SITE)
    assert values(shown) == [(38, -4_000, 0, 1), (63, 150, 0, 1), (29, 230_400, -3, 1)]
    der = {one.mrid for one in telemetry.readings(SLOT, LFDI, HOUSE)}
    assert not der & {one.mrid for one in shown}


def test_what_is_unknown_has_no_reading() -> None:
    nothing = Slot(0, 60, None, None, None, "")
    assert telemetry.readings(nothing, LFDI, HOUSE) == ()
    assert nothing.known == 0
    assert values(telemetry.readings(nothing._replace(power_w=0), LFDI, HOUSE)) == [(38, 0, 0, 19)], "zero is known"


def test_a_mean_counts_only_what_was_known() -> None:
    mean = Mean()
    for power_w in (1_000, None, 2_000):
        mean.add(FULL._replace(power_w=power_w, reactive_var=None))
    assert mean.over(0, 60) == Slot(0, 60, 1_500, None, 230_400, "1 of 2 seen")
    assert Mean().over(0, 60).known == 0


def test_the_mean_of_a_meter_counts_only_what_was_known() -> None:
    mean, unread = Mean(), Unknown("timed out", 0)
    mean.add(ConnectionReading(Known(-500, 0), unread, Known(230_000, 0)))
    mean.add(ConnectionReading(unread, unread, unread))
    mean.add(ConnectionReading(Known(-1_500, 0), Known(20, 0), Known(231_000, 0)))
    assert mean.over(0, 60) == Slot(0, 60, -1_000, 20, 230_500, "connection point")


def test_several_spans_are_one_set_of_each_series() -> None:
    slots = [SLOT, SLOT._replace(start_s=180, power_w=None), SLOT._replace(start_s=240, power_w=5_000)]
    listed = telemetry.batch(slots, LFDI, HOUSE)
    assert listed.total == listed.results == 3
    assert encode(listed)
    power = listed.items[0]
    assert isinstance(power, MirrorMeterReading)
    [kept] = power.reading_sets
    assert kept.time_period == Interval(start_s=120, duration_s=180)
    assert [(one.value, one.time_period.start_s, one.local_id) for one in kept.readings if one.time_period] == [
        (4_000, 120, 0),
        (5_000, 240, 1),
    ]
    assert power.reading is None
    assert power.mrid == telemetry.readings(SLOT, LFDI, HOUSE)[0].mrid, "of the same series"


def test_what_is_stored_is_shown_as_it_was_at_the_end_of_the_span() -> None:
    mean = Mean()
    for stored_wh in (6_000, 5_000):
        mean.add(FULL._replace(store=Store(stored_wh, 10_000, 5_000, 2_500)))
    slot = mean.over(0, 60)
    stored = telemetry.readings(slot, LFDI, HOUSE)[-1]
    assert values((stored,)) == [(72, 5_000, 0, None)]
    assert stored.reading_type is not None
    assert (stored.reading_type.data_qualifier, stored.reading_type.accumulation_behaviour) == (0, 12)
    assert encode(stored)
    mean.add(FULL)
    assert len(telemetry.readings(mean.over(0, 60), LFDI, HOUSE)) == 3, "it does not say any more"
