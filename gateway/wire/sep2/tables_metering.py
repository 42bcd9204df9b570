"""Tables of metering and of its mirror, in the order of the 2018 schema."""

from __future__ import annotations

from dataclasses import replace

from gateway.wire.sep2 import metering
from gateway.wire.sep2.scalars import (
    BOOLEAN,
    HEX16,
    INT48,
    INT64,
    LFDI,
    MULTIPLIER,
    UINT8,
    UINT32,
    UINT48,
)
from gateway.wire.sep2.table import (
    HREF,
    IDENTIFIED,
    INTERVAL,
    LINK,
    LIST_LINK,
    PAGE,
    POLL_RATE,
    SUBSCRIBABLE,
    UNIT_VALUE,
    Row,
    Table,
)

POINT = (
    Row("roleFlags", "role_flags", HEX16, required=True),
    Row("serviceCategoryKind", "service_category_kind", UINT8, required=True),
    Row("status", "status", UINT8, required=True),
)
READING_TYPE = Table(
    metering.ReadingType,
    (HREF,),
    (
        Row("accumulationBehaviour", "accumulation_behaviour", UINT8),
        Row("calorificValue", "calorific_value", UNIT_VALUE),
        Row("commodity", "commodity", UINT8),
        Row("conversionFactor", "conversion_factor", UNIT_VALUE),
        Row("dataQualifier", "data_qualifier", UINT8),
        Row("flowDirection", "flow_direction", UINT8),
        Row("intervalLength", "interval_length_s", UINT32),
        Row("kind", "kind", UINT8),
        Row("maxNumberOfIntervals", "max_number_of_intervals", UINT8),
        Row("numberOfConsumptionBlocks", "number_of_consumption_blocks", UINT8),
        Row("numberOfTouTiers", "number_of_tou_tiers", UINT8),
        Row("phase", "phase", UINT8),
        Row("powerOfTenMultiplier", "power_of_ten_multiplier", MULTIPLIER),
        Row("subIntervalLength", "sub_interval_length_s", UINT32),
        Row("supplyLimit", "supply_limit", UINT48),
        Row("tieredConsumptionBlocks", "tiered_consumption_blocks", BOOLEAN),
        Row("uom", "uom", UINT8),
    ),
)
READING = Table(
    metering.Reading,
    (HREF, SUBSCRIBABLE),
    (
        Row("consumptionBlock", "consumption_block", UINT8),
        Row("qualityFlags", "quality_flags", HEX16),
        Row("timePeriod", "time_period", INTERVAL),
        Row("touTier", "tou_tier", UINT8),
        Row("value", "value", INT48),
        Row("localID", "local_id", HEX16),
    ),
)
MIRROR_READING_SET = Table(
    metering.MirrorReadingSet,
    (HREF,),
    (*IDENTIFIED, Row("timePeriod", "time_period", INTERVAL, True), Row("Reading", "readings", READING, many=True)),
)
MIRROR_METER_READING = Table(
    metering.MirrorMeterReading,
    (HREF,),
    (
        *IDENTIFIED,
        Row("lastUpdateTime", "last_update_time_s", INT64),
        Row("MirrorReadingSet", "reading_sets", MIRROR_READING_SET, many=True),
        Row("nextUpdateTime", "next_update_time_s", INT64),
        Row("Reading", "reading", READING),
        Row("ReadingType", "reading_type", READING_TYPE),
    ),
)
MIRROR_METER_READING_LIST = Table(
    metering.MirrorMeterReadingList,
    PAGE,
    (Row("MirrorMeterReading", "items", MIRROR_METER_READING, many=True, isolated=True),),
)
MIRROR_USAGE_POINT = Table(
    metering.MirrorUsagePoint,
    (HREF, replace(SUBSCRIBABLE, since=2023)),
    (
        *IDENTIFIED,
        *POINT,
        Row("deviceLFDI", "device_lfdi", LFDI, required=True),
        Row("MirrorMeterReading", "meter_readings", MIRROR_METER_READING, many=True),
        Row("postRate", "post_rate_s", UINT32),
        Row("UsagePointLink", "usage_point_link", LINK, since=2023),
    ),
)
MIRROR_USAGE_POINT_LIST = Table(
    metering.MirrorUsagePointList,
    (*PAGE, replace(SUBSCRIBABLE, since=2023), POLL_RATE),
    (Row("MirrorUsagePoint", "items", MIRROR_USAGE_POINT, many=True, isolated=True),),
)
READING_LIST = Table(
    metering.ReadingList, (*PAGE, SUBSCRIBABLE), (Row("Reading", "items", READING, many=True, isolated=True),)
)
READING_SET = Table(
    metering.ReadingSet,
    (HREF,),
    (
        *IDENTIFIED,
        Row("timePeriod", "time_period", INTERVAL, required=True),
        Row("ReadingListLink", "reading_list_link", LIST_LINK),
    ),
)
READING_SET_LIST = Table(
    metering.ReadingSetList,
    (*PAGE, SUBSCRIBABLE),
    (Row("ReadingSet", "items", READING_SET, many=True, isolated=True),),
)
METER_READING = Table(
    metering.MeterReading,
    (HREF,),
    (
        *IDENTIFIED,
        Row("RateComponentListLink", "rate_component_list_link", LIST_LINK),
        Row("ReadingLink", "reading_link", LINK),
        Row("ReadingSetListLink", "reading_set_list_link", LIST_LINK),
        Row("ReadingTypeLink", "reading_type_link", LINK, required=True),
    ),
)
METER_READING_LIST = Table(
    metering.MeterReadingList,
    (*PAGE, SUBSCRIBABLE),
    (Row("MeterReading", "items", METER_READING, many=True, isolated=True),),
)
USAGE_POINT = Table(
    metering.UsagePoint,
    (HREF,),
    (
        *IDENTIFIED,
        *POINT,
        Row("deviceLFDI", "device_lfdi", LFDI),
        Row("MeterReadingListLink", "meter_reading_list_link", LIST_LINK),
    ),
)
USAGE_POINT_LIST = Table(
    metering.UsagePointList,
    (*PAGE, SUBSCRIBABLE, POLL_RATE),
    (Row("UsagePoint", "items", USAGE_POINT, many=True, isolated=True),),
)
