"""What a mirror usage point shows when the gateway's own clock is set (RULES C17)."""

from gateway.core.known import Known
from gateway.southbound.sep2_server import mirror
from gateway.wire.sep2.metering import MirrorMeterReading, MirrorUsagePoint, Reading, ReadingType

T_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


def reading(value: int) -> MirrorMeterReading:
    kind = ReadingType(uom=38, flow_direction=19)
    return MirrorMeterReading(mrid="AB", reading_type=kind, reading=Reading(value=value))


def test_a_clock_that_is_set_back_does_not_make_the_last_reading_the_newest() -> None:
    given = MirrorUsagePoint(mrid="01", device_lfdi="AB" * 20, role_flags=8, service_category_kind=0, status=1)
    point = mirror.Point("/mup/x", given)
    point.take([reading(1_000)], T_MS)
    point.take([reading(4_900)], T_MS - HOUR_MS)
    assert mirror.measured([point], T_MS - HOUR_MS, 10).power == Known(4_900, T_MS - HOUR_MS)
