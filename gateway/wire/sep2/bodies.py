"""Every resource of IEEE 2030.5 that may be a body by itself, as one type; `tables.ROOTS` has their tables."""

from __future__ import annotations

from gateway.wire.sep2.curves import DERCurve, DERCurveList
from gateway.wire.sep2.devices import ConnectionPoint, DeviceInformation, EndDevice, EndDeviceList, Registration
from gateway.wire.sep2.log_events import LogEvent, LogEventList
from gateway.wire.sep2.metering import (
    MeterReading,
    MeterReadingList,
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorUsagePoint,
    MirrorUsagePointList,
    Reading,
    ReadingList,
    ReadingSet,
    ReadingSetList,
    ReadingType,
    UsagePoint,
    UsagePointList,
)
from gateway.wire.sep2.resources import (
    DER,
    DefaultDERControl,
    DERAvailability,
    DERCapability,
    DERControl,
    DERControlList,
    DERList,
    DERProgram,
    DERProgramList,
    DERSettings,
    DERStatus,
    DeviceCapability,
    Error,
    FunctionSetAssignments,
    FunctionSetAssignmentsList,
    Response,
    Time,
)
from gateway.wire.sep2.responses import ResponseList, ResponseSet, ResponseSetList
from gateway.wire.sep2.subscriptions import Notification, Subscription, SubscriptionList

Resource = (
    DeviceCapability
    | Time
    | EndDeviceList
    | EndDevice
    | Registration
    | DeviceInformation
    | ConnectionPoint
    | LogEventList
    | LogEvent
    | FunctionSetAssignmentsList
    | FunctionSetAssignments
    | DERProgramList
    | DERProgram
    | DERControlList
    | DERControl
    | DefaultDERControl
    | DERCurveList
    | DERCurve
    | DERList
    | DER
    | DERCapability
    | DERSettings
    | DERStatus
    | DERAvailability
    | Response
    | ResponseList
    | ResponseSet
    | ResponseSetList
    | UsagePointList
    | UsagePoint
    | MeterReadingList
    | MeterReading
    | ReadingType
    | ReadingSetList
    | ReadingSet
    | ReadingList
    | Reading
    | SubscriptionList
    | Subscription
    | Notification
    | MirrorUsagePointList
    | MirrorUsagePoint
    | MirrorMeterReadingList
    | MirrorMeterReading
    | Error
)
