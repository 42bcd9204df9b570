"""Tables of the common and metering resources, in the order of the 2018 schema, and of all bodies that may stand alone.

A new resource is a dataclass and a table; `ROOTS` names those that are a body of their own.
"""

from __future__ import annotations

from gateway.wire.sep2 import devices, resources, subscriptions
from gateway.wire.sep2.scalars import (
    BOOLEAN,
    CLAIMED_LFDI,
    HEX32,
    INT32,
    INT48,
    INT64,
    MISSPELT_LFDI,
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
    LINK,
    LIST_LINK,
    PAGE,
    POLL_RATE,
    SUBSCRIBABLE,
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
from gateway.wire.sep2.tables_metering import (
    METER_READING,
    METER_READING_LIST,
    MIRROR_METER_READING,
    MIRROR_METER_READING_LIST,
    MIRROR_USAGE_POINT,
    MIRROR_USAGE_POINT_LIST,
    READING,
    READING_LIST,
    READING_SET,
    READING_SET_LIST,
    READING_TYPE,
    USAGE_POINT,
    USAGE_POINT_LIST,
)
from gateway.wire.sep2.tables_modes import DER_CURVE, DER_CURVE_LIST
from gateway.wire.sep2.tables_responses import KINDS, RESPONSE, RESPONSE_LIST, RESPONSE_SET, RESPONSE_SET_LIST

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
        Row("AggregatedDeviceListLink", "aggregated_device_list_link", LIST_LINK, since=2023),
        Row("AggregationPriorityLink", "aggregation_priority_link", LINK, since=2023),
        Row("ConfigurationLink", "configuration_link", LINK),
        Row("DERListLink", "der_list_link", LIST_LINK),
        Row("deviceCategory", "device_category", HEX32),
        Row("DeviceInformationLink", "device_information_link", LINK),
        Row("DeviceStatusLink", "device_status_link", LINK),
        Row("distribution", "distribution", UINT8, since=2023),
        Row("FileStatusLink", "file_status_link", LINK),
        Row("IPInterfaceListLink", "ip_interface_list_link", LIST_LINK),
        Row("lFDI", "lfdi", CLAIMED_LFDI),
        Row("LFDI", "lfdi", MISSPELT_LFDI, read_only=True),
        Row("LoadShedAvailabilityListLink", "load_shed_availability_list_link", LIST_LINK),
        Row("LogEventListLink", "log_event_list_link", LIST_LINK),
        Row("phase", "phase", UINT8, since=2023),
        Row("PowerStatusLink", "power_status_link", LINK),
        Row("sFDI", "sfdi", UINT48, required=True),
        Row("changedTime", "changed_time_s", INT64, required=True),
        Row("enabled", "enabled", BOOLEAN),
        Row("FlowReservationRequestListLink", "flow_reservation_request_list_link", LIST_LINK),
        Row("FlowReservationResponseListLink", "flow_reservation_response_list_link", LIST_LINK),
        Row("FunctionSetAssignmentsListLink", "function_set_assignments_list_link", LIST_LINK),
        Row("postRate", "post_rate_s", UINT32),
        Row("RegistrationLink", "registration_link", LINK),
        Row("ProxiedDeviceListLink", "proxied_device_list_link", LIST_LINK, since=2023),
        Row("SubscriptionListLink", "subscription_list_link", LIST_LINK),
        Row("ConnectionPointLink", "connection_point_link", LINK, australian="1.2"),
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
ERROR = Table(
    resources.Error,
    rows=(Row("maxRetryDuration", "max_retry_duration_s", UINT16), Row("reasonCode", "reason_code", UINT16, True)),
)

CARRIED: dict[str, Table] = {
    "DeviceCapability": DEVICE_CAPABILITY,
    "Time": TIME,
    "EndDeviceList": END_DEVICE_LIST,
    "EndDevice": END_DEVICE,
    "Registration": REGISTRATION,
    "DeviceInformation": DEVICE_INFORMATION,
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
    **KINDS,
    "ResponseList": RESPONSE_LIST,
    "ResponseSet": RESPONSE_SET,
    "ResponseSetList": RESPONSE_SET_LIST,
    "UsagePointList": USAGE_POINT_LIST,
    "UsagePoint": USAGE_POINT,
    "MeterReadingList": METER_READING_LIST,
    "MeterReading": METER_READING,
    "ReadingType": READING_TYPE,
    "ReadingSetList": READING_SET_LIST,
    "ReadingSet": READING_SET,
    "ReadingList": READING_LIST,
    "Reading": READING,
    "SubscriptionList": SUBSCRIPTION_LIST,
    "Subscription": SUBSCRIPTION,
    "MirrorUsagePointList": MIRROR_USAGE_POINT_LIST,
    "MirrorUsagePoint": MIRROR_USAGE_POINT,
    "MirrorMeterReadingList": MIRROR_METER_READING_LIST,
    "MirrorMeterReading": MIRROR_METER_READING,
}
"""What a notification may carry: every body that is a Resource of IEEE 2030.5, by its own name."""

NOTIFICATION = Table(
    subscriptions.Notification,
    (HREF,),
    (
        Row("subscribedResource", "subscribed_resource", URI, required=True),
        Row("createdDateTime", "created_date_time_s", INT64, since=2023),
        Row("newResourceURI", "new_resource_uri", URI),
        Row("Resource", "resource", Table(subscriptions.Untyped), typed=tuple(CARRIED), isolated=True),
        Row("status", "status", UINT8, required=True),
        Row("subscriptionURI", "subscription_uri", URI, required=True),
    ),
)
ROOTS: dict[str, Table] = {**CARRIED, "ConnectionPoint": CONNECTION_POINT, "Notification": NOTIFICATION, "Error": ERROR}
"""Every body that may stand alone, by its name."""
