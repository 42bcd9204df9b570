"""What procedures hold a client against: each check gives what is amiss, or nothing."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from procedure_script import Parameters
from procedure_server import ENTERPRISE, CannotPlayError, ProcedureServer, lfdi_of_house, matches

from hil.sep2.records import PostedReading

SITE, DER = 0x03, 0x49
WATTS, VARS, VOLTS, WATT_HOURS = 38, 63, 29, 72
AVERAGE = 2
MINUTE_S = 60
RESOURCES = {"DERControlList": "/edev/*/derp/*/derc", "DERControl": "/edev/*/derp/*/derc/*"}
MISSED, MOST_MISSED, MISS_WINDOW = 1.5, 1, 5
MOST_POLLS, POLL_WINDOW = 6, 3
"""A gap of more than 1.5 intervals is a miss, one in five intervals is excused; 6 requests in 3 are the most."""

Faults = list[str]


class Judge:
    """Looks at what one server was sent."""

    def __init__(self, server: ProcedureServer, waiting: Callable[[], list[str]]) -> None:
        """`waiting` gives the steps that are not complete."""
        self._server = server
        self._waiting = waiting
        self._checks: Mapping[str, Callable[[Parameters], Faults]] = {
            "all-steps-complete": self._steps,
            "end-device-contents": self._end_device,
            "end-device-count": self._end_devices,
            "der-settings-contents": lambda given: self._document("derg", given),
            "der-capability-contents": lambda given: self._document("dercap", given),
            "der-status-contents": self._status,
            "readings-site-active-power": lambda given: self._readings(given, WATTS, SITE),
            "readings-site-reactive-power": lambda given: self._readings(given, VARS, SITE),
            "readings-der-active-power": lambda given: self._readings(given, WATTS, DER),
            "readings-der-reactive-power": lambda given: self._readings(given, VARS, DER),
            "readings-voltage": lambda given: self._readings(given, VOLTS, SITE) and self._readings(given, VOLTS, DER),
            "readings-der-stored-energy": lambda given: self._readings(given, WATT_HOURS, DER, None),
            "response-contents": self._responses,
            "all-polls-at-correct-time": self._polls,
            "resource-requests": self._requests,
            "subscription-contents": self._subscribed,
            "all-notifications-transmitted": self._notified,
        }

    def knows(self, kind: str) -> bool:
        return kind in self._checks

    def faults(self, kind: str, given: Parameters) -> Faults:
        """Give what is amiss; raises CannotPlayError for a check that is unknown here."""
        if kind not in self._checks:
            raise CannotPlayError(f"no check {kind}")
        return [f"{kind}: {fault}" for fault in self._checks[kind](given)]

    def value(self, name: str) -> float:
        """Give a setting or rating that was put last; raises LookupError where it never was."""
        if name in ("maxImportW", "maxExportW"):
            directed = "setMaxChargeRateW" if name == "maxImportW" else "setMaxDischargeRateW"
            try:
                return self.value(directed)
            except LookupError:
                return self.value("setMaxW")
        document = self._put("derg" if name.startswith("set") else "dercap")
        value = getattr(document, name, None)
        if value is None:
            raise LookupError(f"{name} was never sent")
        exponent = getattr(value, "multiplier", 0) or 0
        return float(getattr(value, "value", getattr(value, "displacement", 0)) * 10**exponent)

    # -- documents

    def _put(self, name: str) -> Any:
        kept = self._server.tree.intake.documents.get(f"/edev/1/der/1/{name}")
        return None if kept is None else kept.document

    def _steps(self, given: Parameters) -> Faults:
        left = [name for name in self._waiting() if name not in given.get("ignored_steps", [])]
        return [f"not complete: {', '.join(left)}"] if left else []

    def _end_device(self, given: Parameters) -> Faults:
        if not self._server.utility.registered:
            return ["no EndDevice is registered"]
        known = self._server.utility.posted
        faults = []
        if given.get("has_connection_point_id") and not self._server.tree.papers.connection_points:
            faults.append("no ConnectionPoint")
        wanted = int(given.get("deviceCategory_anyset", "0"), 16)
        if wanted and not wanted & int(known.get("device_category") or "0", 16):
            faults.append("no deviceCategory")
        if given.get("check_lfdi") and known.get("lfdi") != lfdi_of_house("house-1"):
            faults.append("no LFDI with our number in it")
        return faults

    def _end_devices(self, given: Parameters) -> Faults:
        count = len(self._server.tree.resources) if self._server.utility.registered else 0
        if not given.get("minimum_count", 0) <= count <= given.get("maximum_count", count):
            return [f"{count} EndDevices"]
        return []

    def _document(self, name: str, given: Parameters) -> Faults:
        document = self._put(name)
        if document is None:
            return [f"{name} was never put"]
        faults = []
        for key, wanted in given.items():
            field, _mark, how = key.partition("_")
            value = getattr(document, field, None)
            if how:
                bits, asked = int(value or "0", 16), int(wanted, 16)
                if bits & asked != (asked if how == "set" else 0):
                    faults.append(f"{key} {wanted}, and {field} is {value}")
            elif isinstance(wanted, bool):
                if (value is not None) is not wanted:
                    faults.append(f"{field} is {'absent' if value is None else 'there'}")
            elif value != wanted:
                faults.append(f"{field} is {value}, not {wanted}")
        return faults

    def _status(self, given: Parameters) -> Faults:
        status = self._put("ders")
        if status is None:
            return ["no DERStatus was put"]
        connect = None if status.genConnectStatus is None else int(status.genConnectStatus.value, 16)
        mode = None if status.operationalModeStatus is None else int(status.operationalModeStatus.value)
        alarm = None if status.alarmStatus is None else int(status.alarmStatus, 16)
        faults = []
        for key, wanted in given.items():
            if key.startswith("genConnectStatus_bit"):
                bit = 1 << int(key[-1])
                if connect is None or bool(connect & bit) is not wanted:
                    faults.append(f"genConnectStatus is {connect}, and {key} was to be {wanted}")
            else:
                found = {"genConnectStatus": connect, "operationalModeStatus": mode, "alarmStatus": alarm}[key]
                if found != wanted:
                    faults.append(f"{key} is {found}, not {wanted}")
        return faults

    # -- readings

    def _readings(self, given: Parameters, unit: int, role: int, qualifier: int | None = AVERAGE) -> Faults:
        intake = self._server.tree.intake
        houses = {resource.lfdi for resource in self._server.tree.resources}
        points = {
            point.mrid for point in intake.usage_points if int(point.role_flags, 16) == role and point.lfdi in houses
        }
        series: dict[str, list[PostedReading]] = {}
        for one in intake.readings:
            if one.usage_point in points and one.uom == unit and (one.data_qualifier or 0) == (qualifier or 0):
                series.setdefault(one.meter_reading, []).append(one)
        if not series:
            return ["no such reading was posted"]
        faults = [
            f"{name} is not of our number, or not of whole minutes"
            for name, each in series.items()
            if not name.endswith(ENTERPRISE)
            or any((one.start_s or 0) % MINUTE_S or (one.duration_s or 0) % MINUTE_S for one in each)
        ]
        most = max(len(each) for each in series.values())
        if most < given.get("minimum_count", 0):
            faults.append(f"{most} readings, fewer than {given['minimum_count']}")
        if given.get("latest_reading_only"):
            series = {name: each[-1:] for name, each in series.items()}
        if (window_s := given.get("window_seconds")) is not None:
            latest_ms = max(one.t_ms for each in series.values() for one in each)
            series = {
                name: [one for one in each if 1000 * (one.start_s or 0) >= latest_ms - 1000 * window_s]
                for name, each in series.items()
            }
        values = [one.value * 10**one.multiplier for each in series.values() for one in each]
        if not values and {"minimum_level", "maximum_level"} & given.keys():
            faults.append("no reading in the window")
        if any(value < given.get("minimum_level", value) for value in values):
            faults.append(f"{min(values)} is below {given['minimum_level']}")
        if any(value > given.get("maximum_level", value) for value in values):
            faults.append(f"{max(values)} is above {given['maximum_level']}")
        return faults

    # -- responses and requests

    def _responses(self, given: Parameters) -> Faults:
        answers = self._server.tree.intake.answers
        status, tag = given.get("status"), given.get("subject_tag")
        if given.get("all"):
            controls = [each for program in self._server.tree.programs for each in program.controls.values()]
            answered = {one.mrid for one in answers if status in (None, one.status)}
            left = [control.name for control in controls if control.mrid not in answered]
            return [f"no response {status} to {', '.join(left)}"] if left else []
        if tag is not None:
            control = self._server.tagged.get(tag)
            if control is None:
                return [f"no control {tag}"]
            answers = [one for one in answers if one.mrid == control.mrid]
        if given.get("latest"):
            answers = answers[-1:]
        found = [one for one in answers if status in (None, one.status)]
        if bool(found) is not given.get("exists", True):
            return [f"response {status} to {tag}: {len(found)} found among {[one.status for one in answers]}"]
        return []

    def _subscribed(self, given: Parameters) -> Faults:
        held = self._server.subscriptions
        wanted = given["subscribed_resource"]
        return [] if held is not None and wanted in held.paths() else [f"no subscription to {wanted}"]

    def _notified(self, _given: Parameters) -> Faults:
        delivered = self._server.notifier.delivered
        if not delivered:
            return ["there was nothing to notify of"]
        return [f"{one.path}: status {one.status}" for one in delivered if not 200 <= one.status < 300]

    def _asked(self, method: str, endpoint: str) -> dict[str, list[int]]:
        """Give when each address of an endpoint was asked for (ms since the procedure began), first pages alone."""
        asked: dict[str, list[int]] = {}
        for at_ms, verb, href, _status in self._server.requests:
            path, _mark, query = href.partition("?")
            first = "s=0" in query.split("&") or "s=" not in query
            if verb == method and first and at_ms >= self._server.begun_ms and matches(path, endpoint):
                asked.setdefault(path, []).append(at_ms - self._server.begun_ms)
        return asked

    def _polls(self, given: Parameters) -> Faults:
        faults, interval_ms = [], 1000 * given["poll_interval_seconds"]
        asked = [self._asked(given["request_type_str"], endpoint) for endpoint in given["endpoints"]]
        if not any(asked):
            return ["none of them was asked for"]
        for path, times in (pair for each in asked for pair in each.items()):
            faults += [f"{path}: {fault}" for fault in _poll_faults(times, interval_ms)]
        return faults

    def _requests(self, given: Parameters) -> Faults:
        count = 0
        for resource in given["resources"]:
            if resource not in RESOURCES:
                raise CannotPlayError(f"no address of {resource}")
            count += sum(len(times) for times in self._asked("GET", RESOURCES[resource]).values())
        if not given.get("minimum_count", 0) <= count <= given.get("maximum_count", count):
            return [f"{count} requests for {', '.join(given['resources'])}"]
        return []


def _poll_faults(times_ms: list[int], interval_ms: int) -> Faults:
    faults = []
    last_ms = times_ms[-1]
    missed = [later for earlier, later in pairwise(times_ms) if later - earlier > MISSED * interval_ms]
    for start_ms in range(0, last_ms, MISS_WINDOW * interval_ms):
        end_ms = start_ms + MISS_WINDOW * interval_ms
        count = sum(start_ms <= at_ms < end_ms for at_ms in missed)
        if end_ms <= last_ms and count > MOST_MISSED:
            faults.append(f"{count} polls missed from {start_ms // 1000} s on")
    for start_ms in range(0, last_ms, POLL_WINDOW * interval_ms):
        count = sum(start_ms <= at_ms < start_ms + POLL_WINDOW * interval_ms for at_ms in times_ms)
        if count > MOST_POLLS:
            faults.append(f"{count} polls from {start_ms // 1000} s on")
    return faults
