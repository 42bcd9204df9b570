"""Tables of what a device says of itself: what it is, where it stands, and its alarms (2018 schema, CSIP-AUS)."""

from __future__ import annotations

from gateway.wire.sep2 import devices, log_events, quantities
from gateway.wire.sep2.scalars import (
    HEX32,
    HEX64,
    INT64,
    LFDI,
    STRING32,
    UINT8,
    UINT16,
    UINT32,
    UINT48,
)
from gateway.wire.sep2.table import ACTIVE_POWER, HREF, LIST_LINK, PAGE, POLL_RATE, SUBSCRIBABLE, Row, Table, scaled

DRLC_CAPABILITIES = Table(
    devices.DRLCCapabilities,
    rows=(
        Row("averageEnergy", "average_energy", scaled(quantities.RealEnergy, UINT48), required=True),
        Row("maxDemand", "max_demand", ACTIVE_POWER, required=True),
        Row("optionsImplemented", "options_implemented", HEX32, required=True),
    ),
)
GPS_LOCATION = Table(
    devices.GPSLocation,
    rows=(Row("lat", "lat", STRING32, required=True), Row("lon", "lon", STRING32, required=True)),
)
DEVICE_INFORMATION = Table(
    devices.DeviceInformation,
    (HREF, POLL_RATE),
    (
        Row("connectionPointID", "connection_point_id", STRING32, since=2023),
        Row("DRLCCapabilities", "drlc_capabilities", DRLC_CAPABILITIES),
        Row("functionsImplemented", "functions_implemented", HEX64),
        Row("gpsLocation", "gps_location", GPS_LOCATION),
        Row("lFDI", "lfdi", LFDI, required=True),
        Row("mfDate", "mf_date_s", INT64, required=True),
        Row("mfHwVer", "mf_hw_ver", STRING32, required=True),
        Row("mfID", "mf_id", UINT32, required=True),
        Row("mfInfo", "mf_info", STRING32),
        Row("mfModel", "mf_model", STRING32, required=True),
        Row("mfSerNum", "mf_ser_num", STRING32, required=True),
        Row("primaryPower", "primary_power", UINT8, required=True),
        Row("secondaryPower", "secondary_power", UINT8, required=True),
        Row("SupportedLocaleListLink", "supported_locale_list_link", LIST_LINK),
        Row("swActTime", "sw_act_time_s", INT64, required=True),
        Row("swVer", "sw_ver", STRING32, required=True),
    ),
)
CONNECTION_POINT = Table(
    devices.ConnectionPoint,
    (HREF,),
    (
        Row("connectionPointId", "connection_point_id", STRING32, required=True, australian="1.2"),
        Row("id", "connection_point_id", STRING32, australian="1.2", read_only=True),
    ),
    australian="1.2",
)
LOG_EVENT = Table(
    log_events.LogEvent,
    (HREF,),
    (
        Row("createdDateTime", "created_s", INT64, required=True),
        Row("details", "details", STRING32),
        Row("extendedData", "extended", UINT32),
        Row("functionSet", "function_set", UINT8, required=True),
        Row("logEventCode", "code", UINT8, required=True),
        Row("logEventID", "event_id", UINT16, required=True),
        Row("logEventPEN", "pen", UINT32, required=True),
        Row("profileID", "profile", UINT8, required=True),
    ),
)
LOG_EVENT_LIST = Table(
    log_events.LogEventList,
    (*PAGE, SUBSCRIBABLE, POLL_RATE),
    (Row("LogEvent", "items", LOG_EVENT, many=True, isolated=True),),
)
