"""Read 2030.5 bodies with envoy-schema, in a process of its own: its models can be bound to one CSIP-AUS edition only.

Standard input: a JSON list of pairs, root name and body. Standard output, for each: what envoy-schema read (`read`) and
the body that it writes from that (`written`), or why it does not read it (`refused`).
"""

import json
import sys
from typing import Any

from envoy_schema.server.schema.sep2 import base
from pydantic import ValidationError

base.nsmap["csipaus"] = "https://csipaus.org/ns"

from envoy_schema.server.schema.csip_aus import connection_point  # noqa: E402 - as below
from envoy_schema.server.schema.sep2 import (  # noqa: E402 - the edition must be set before the models exist
    der,
    device_capability,
    end_device,
    error,
    function_set_assignments,
    log_events,
    metering,
    metering_mirror,
    pub_sub,
    response,
    time,
)

MODELS: dict[str, Any] = {
    "DeviceCapability": device_capability.DeviceCapabilityResponse,
    "Time": time.TimeResponse,
    "EndDeviceList": end_device.EndDeviceListResponse,
    "EndDevice": end_device.EndDeviceResponse,
    "Registration": end_device.RegistrationResponse,
    "ConnectionPoint": connection_point.ConnectionPointResponse,
    "LogEventList": log_events.LogEventList,
    "LogEvent": log_events.LogEvent,
    "FunctionSetAssignmentsList": function_set_assignments.FunctionSetAssignmentsListResponse,
    "FunctionSetAssignments": function_set_assignments.FunctionSetAssignmentsResponse,
    "DERProgramList": der.DERProgramListResponse,
    "DERProgram": der.DERProgramResponse,
    "DERControlList": der.DERControlListResponse,
    "DERControl": der.DERControlResponse,
    "DefaultDERControl": der.DefaultDERControl,
    "DERList": der.DERListResponse,
    "DER": der.DER,
    "DERCapability": der.DERCapability,
    "DERSettings": der.DERSettings,
    "DERStatus": der.DERStatus,
    "DERAvailability": der.DERAvailability,
    "DERControlResponse": response.DERControlResponse,
    "ResponseList": response.ResponseListResponse,
    "ResponseSet": response.ResponseSet,
    "ResponseSetList": response.ResponseSetList,
    "SubscriptionList": pub_sub.SubscriptionListResponse,
    "Subscription": pub_sub.Subscription,
    "Notification": pub_sub.Notification,
    "MirrorUsagePointList": metering_mirror.MirrorUsagePointListResponse,
    "MirrorUsagePoint": metering_mirror.MirrorUsagePointRequest,
    "MirrorMeterReadingList": metering_mirror.MirrorMeterReadingList,
    "MirrorMeterReading": metering_mirror.MirrorMeterReadingRequest,
    "UsagePointList": metering.UsagePointListResponse,
    "UsagePoint": metering.UsagePoint,
    "MeterReadingList": metering.MeterReadingListResponse,
    "MeterReading": metering.MeterReading,
    "ReadingType": metering.ReadingType,
    "ReadingSet": metering.ReadingSet,
    "ReadingList": metering.ReadingListResponse,
    "Reading": metering.Reading,
    "DrResponse": response.DrResponse,
    "PriceResponse": response.PriceResponse,
    "TextResponse": response.TextResponse,
    "FlowReservationResponseResponse": response.FlowReservationResponseResponse,
    "Error": error.ErrorResponse,
}


def main() -> None:
    """Answer one request and end."""
    json.dump([answer(name, body) for name, body in json.load(sys.stdin)], sys.stdout)


def answer(name: str, body: str) -> dict[str, Any]:
    """Read one body and write it again."""
    try:
        model = MODELS[name].from_xml(body.encode())
    except ValidationError as error:
        return {"refused": str(error)}
    written = model.to_xml(skip_empty=False, exclude_none=True)
    text = written.decode() if isinstance(written, bytes) else written
    return {"read": model.model_dump(mode="json", exclude_none=True), "written": text}


if __name__ == "__main__":
    main()
