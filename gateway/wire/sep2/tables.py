"""Tables of the common and metering resources, in the order of the 2018 schema, and of all bodies that may stand alone.

A new resource is a dataclass and a table; `ROOTS` names those that are a body of their own.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.wire.sep2 import devices, metering, resources, responses, subscriptions
from gateway.wire.sep2.scalars import (
    BOOLEAN,
    CLAIMED_LFDI,
    HEX16,
    HEX32,
    INT32,
    INT48,
    INT64,
    LFDI,
    MISSPELT_LFDI,
    MRID,
    MULTIPLIER,
    PIN,
    STRING16,
    UINT8,
    UINT16,
    UINT32,
    UINT48,
    URI,
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
from gateway.wire.sep2.tables_der import (
    DEFAULT_DER_CONTROL,
    DER,
    DER_AVAILABILITY,
    DER_CAPABILITY,
    DER_CONTROL,
    DER_CONTROL_LIST,
    DER_LIST,
    DER_PROGRAM,
    DER_PROGRAM_LIST,
    DER_SETTINGS,
    DER_STATUS,
)
from gateway.wire.sep2.tables_devices import CONNECTION_POINT, DEVICE_INFORMATION, LOG_EVENT, LOG_EVENT_LIST
from gateway.wire.sep2.tables_modes import DER_CURVE, DER_CURVE_LIST

FUNCTION_SETS = (
    Row("CustomerAccountListLink", "customer_account_list_link", LIST_LINK),
    Row("DemandResponseProgramListLink", "demand_response_program_list_link", LIST_LINK),
    Row("DERProgramListLink", "der_program_list_link", LIST_LINK),
    Row("FileListLink", "file_list_link", LIST_LINK),
    Row("MessagingProgramListLink", "messaging_program_list_link", LIST_LINK),
    Row("PrepaymentListLink", "prepayment_list_link", LIST_LINK),
    Row("ResponseSetListLink", "response_set_list_link", LIST_LINK),
    Row("TariffProfileListLink", "tariff_profile_list_link", LIST_LINK),
    Row("TimeLink", "time_link", LINK),
    Row("UsagePointListLink", "usage_point_list_link", LIST_LINK),
)
DEVICE_CAPABILITY = Table(
    resources.DeviceCapability,
    (HREF, POLL_RATE),
    (
        *FUNCTION_SETS,
        Row("EndDeviceListLink", "end_device_list_link", LIST_LINK),
        Row("MirrorUsagePointListLink", "mirror_usage_point_list_link", LIST_LINK),
        Row("SelfDeviceLink", "self_device_link", LINK),
    ),
)
TIME = Table(
    resources.Time,
    (HREF, POLL_RATE),
    (
        Row("currentTime", "current_time_s", INT64, required=True),
        Row("dstEndTime", "dst_end_time_s", INT64, required=True),
        Row("dstOffset", "dst_offset_s", INT32, required=True),
        Row("dstStartTime", "dst_start_time_s", INT64, required=True),
        Row("localTime", "local_time_s", INT64),
        Row("quality", "quality", UINT8, required=True),
        Row("tzOffset", "tz_offset_s", INT32, required=True),
    ),
)
END_DEVICE = Table(
    devices.EndDevice,
    (HREF, SUBSCRIBABLE),
    (
        Row("ConfigurationLink", "configuration_link", LINK),
        Row("DERListLink", "der_list_link", LIST_LINK),
        Row("deviceCategory", "device_category", HEX32),
        Row("DeviceInformationLink", "device_information_link", LINK),
        Row("DeviceStatusLink", "device_status_link", LINK),
        Row("FileStatusLink", "file_status_link", LINK),
        Row("IPInterfaceListLink", "ip_interface_list_link", LIST_LINK),
        Row("lFDI", "lfdi", CLAIMED_LFDI),
        Row("LFDI", "lfdi", MISSPELT_LFDI, read_only=True),
        Row("LoadShedAvailabilityListLink", "load_shed_availability_list_link", LIST_LINK),
        Row("LogEventListLink", "log_event_list_link", LIST_LINK),
        Row("PowerStatusLink", "power_status_link", LINK),
        Row("sFDI", "sfdi", UINT48, required=True),
        Row("changedTime", "changed_time_s", INT64, required=True),
        Row("enabled", "enabled", BOOLEAN),
        Row("FlowReservationRequestListLink", "flow_reservation_request_list_link", LIST_LINK),
        Row("FlowReservationResponseListLink", "flow_reservation_response_list_link", LIST_LINK),
        Row("FunctionSetAssignmentsListLink", "function_set_assignments_list_link", LIST_LINK),
        Row("postRate", "post_rate_s", UINT32),
        Row("RegistrationLink", "registration_link", LINK),
        Row("SubscriptionListLink", "subscription_list_link", LIST_LINK),
        Row("ConnectionPointLink", "connection_point_link", LINK, australian=True),
    ),
)
END_DEVICE_LIST = Table(
    devices.EndDeviceList,
    (*PAGE, SUBSCRIBABLE, POLL_RATE),
    (Row("EndDevice", "items", END_DEVICE, many=True, isolated=True),),
)
REGISTRATION = Table(
    devices.Registration,
    (HREF, POLL_RATE),
    (
        Row("dateTimeRegistered", "date_time_registered_s", INT64, required=True),
        Row("pIN", "pin", PIN, required=True),
    ),
)
FUNCTION_SET_ASSIGNMENTS = Table(resources.FunctionSetAssignments, (HREF, SUBSCRIBABLE), (*FUNCTION_SETS, *IDENTIFIED))
FUNCTION_SET_ASSIGNMENTS_LIST = Table(
    resources.FunctionSetAssignmentsList,
    (*PAGE, SUBSCRIBABLE, POLL_RATE),
    (Row("FunctionSetAssignments", "items", FUNCTION_SET_ASSIGNMENTS, many=True, isolated=True),),
)

RESPONSE = Table(
    resources.Response,
    (HREF,),
    (
        Row("createdDateTime", "created_date_time_s", INT64),
        Row("endDeviceLFDI", "end_device_lfdi", LFDI, required=True),
        Row("status", "status", UINT8),
        Row("subject", "subject", MRID, required=True),
    ),
)
DER_CONTROL_RESPONSE = replace(RESPONSE, cls=resources.DERControlResponse)
RESPONSE_LIST = Table(responses.ResponseList, PAGE, (Row("Response", "items", RESPONSE, many=True, isolated=True),))
RESPONSE_SET = Table(
    responses.ResponseSet, (HREF,), (*IDENTIFIED, Row("ResponseListLink", "response_list_link", LIST_LINK))
)
RESPONSE_SET_LIST = Table(
    responses.ResponseSetList,
    (*PAGE, POLL_RATE),
    (Row("ResponseSet", "items", RESPONSE_SET, many=True, isolated=True),),
)
CONDITION = Table(
    subscriptions.Condition,
    rows=(
        Row("attributeIdentifier", "attribute_identifier", UINT8, required=True),
        Row("lowerThreshold", "lower_threshold", INT48, required=True),
        Row("upperThreshold", "upper_threshold", INT48, required=True),
    ),
)
SUBSCRIPTION = Table(
    subscriptions.Subscription,
    (HREF,),
    (
        Row("subscribedResource", "subscribed_resource", URI, required=True),
        Row("Condition", "condition", CONDITION),
        Row("encoding", "encoding", UINT8, required=True),
        Row("level", "level", STRING16, required=True),
        Row("limit", "limit", UINT32, required=True),
        Row("notificationURI", "notification_uri", URI, required=True),
    ),
)
SUBSCRIPTION_LIST = Table(
    subscriptions.SubscriptionList,
    (*PAGE, POLL_RATE),
    (Row("Subscription", "items", SUBSCRIPTION, many=True, isolated=True),),
)
NOTIFICATION = Table(
    subscriptions.Notification,
    (HREF,),
    (
        Row("subscribedResource", "subscribed_resource", URI, required=True),
        Row("newResourceURI", "new_resource_uri", URI),
        Row("status", "status", UINT8, required=True),
        Row("subscriptionURI", "subscription_uri", URI, required=True),
    ),
)
ERROR = Table(
    resources.Error,
    rows=(Row("maxRetryDuration", "max_retry_duration_s", UINT16), Row("reasonCode", "reason_code", UINT16, True)),
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
    (HREF,),
    (
        *IDENTIFIED,
        Row("roleFlags", "role_flags", HEX16, required=True),
        Row("serviceCategoryKind", "service_category_kind", UINT8, required=True),
        Row("status", "status", UINT8, required=True),
        Row("deviceLFDI", "device_lfdi", LFDI, required=True),
        Row("MirrorMeterReading", "meter_readings", MIRROR_METER_READING, many=True),
        Row("postRate", "post_rate_s", UINT32),
    ),
)
MIRROR_USAGE_POINT_LIST = Table(
    metering.MirrorUsagePointList,
    (*PAGE, POLL_RATE),
    (Row("MirrorUsagePoint", "items", MIRROR_USAGE_POINT, many=True, isolated=True),),
)

ROOTS: dict[str, Table] = {
    "DeviceCapability": DEVICE_CAPABILITY,
    "Time": TIME,
    "EndDeviceList": END_DEVICE_LIST,
    "EndDevice": END_DEVICE,
    "Registration": REGISTRATION,
    "DeviceInformation": DEVICE_INFORMATION,
    "ConnectionPoint": CONNECTION_POINT,
    "LogEventList": LOG_EVENT_LIST,
    "LogEvent": LOG_EVENT,
    "FunctionSetAssignmentsList": FUNCTION_SET_ASSIGNMENTS_LIST,
    "FunctionSetAssignments": FUNCTION_SET_ASSIGNMENTS,
    "DERProgramList": DER_PROGRAM_LIST,
    "DERProgram": DER_PROGRAM,
    "DERControlList": DER_CONTROL_LIST,
    "DERControl": DER_CONTROL,
    "DefaultDERControl": DEFAULT_DER_CONTROL,
    "DERCurveList": DER_CURVE_LIST,
    "DERCurve": DER_CURVE,
    "DERList": DER_LIST,
    "DER": DER,
    "DERCapability": DER_CAPABILITY,
    "DERSettings": DER_SETTINGS,
    "DERStatus": DER_STATUS,
    "DERAvailability": DER_AVAILABILITY,
    "Response": RESPONSE,
    "DERControlResponse": DER_CONTROL_RESPONSE,
    "ResponseList": RESPONSE_LIST,
    "ResponseSet": RESPONSE_SET,
    "ResponseSetList": RESPONSE_SET_LIST,
    "SubscriptionList": SUBSCRIPTION_LIST,
    "Subscription": SUBSCRIPTION,
    "Notification": NOTIFICATION,
    "MirrorUsagePointList": MIRROR_USAGE_POINT_LIST,
    "MirrorUsagePoint": MIRROR_USAGE_POINT,
    "MirrorMeterReadingList": MIRROR_METER_READING_LIST,
    "MirrorMeterReading": MIRROR_METER_READING,
    "Error": ERROR,
}
