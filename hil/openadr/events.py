"""Bodies of OpenADR 3.1 events: payloads, interval periods and descriptors from plain numbers of seconds."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

Body = dict[str, Any]

NOW = "0001-01-01"
"""The start that stands for "now" (3.1 schema, intervalPeriod)."""

FOR_EVER = "P9999Y"
"""The duration that stands for infinity (3.1 schema, intervalPeriod)."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class IntervalPlan:
    """One interval; what is None it inherits from its event. Without an id it has its place in the list."""

    payloads: Mapping[str, Any]
    start_s: int | None = None
    duration_s: int | None = None
    randomize_start_s: int | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class EventPlan:
    """What an event says. `start_s` counts from `since_ms`; None is "now", and `duration_s` None is for ever.

    `payloads` are of the one interval that there is, by type, each a value or a list of values; with `intervals` they
    are not used; with neither it only asks for reports. `descriptors` give each payload type its units, or the whole
    descriptor.
    """

    program_id: str
    name: str
    since_ms: int
    payloads: Mapping[str, Any] = field(default_factory=dict)
    start_s: int | None = None
    duration_s: int | None = None
    priority: int | None = None
    targets: Sequence[str] | None = None
    intervals: Sequence[IntervalPlan] = ()
    randomize_start_s: int | None = None
    descriptors: Mapping[str, Any] = field(default_factory=dict)
    report_descriptors: Sequence[Mapping[str, Any]] = ()

    def body(self) -> Body:
        """The eventRequest: what was not given is absent."""
        given: Body = {
            "programID": self.program_id,
            "eventName": self.name,
            "priority": self.priority,
            "targets": list(self.targets) if self.targets else None,
            "payloadDescriptors": described(self.descriptors, "EVENT_PAYLOAD_DESCRIPTOR") or None,
            "reportDescriptors": [dict(each) for each in self.report_descriptors] or None,
            "intervalPeriod": self._period(),
            "intervals": [self._interval(place, each) for place, each in enumerate(self._intervals())] or None,
        }
        return {key: value for key, value in given.items() if value is not None}

    def end_ms(self) -> int | None:
        """When its last interval ends, counting "now" from `since_ms`; None where it has no end."""
        at_ms = latest_ms = self._at_ms(self.start_s or 0)
        for each in self._intervals() or (IntervalPlan({}),):
            duration_s = self.duration_s if each.duration_s is None else each.duration_s
            if duration_s is None:
                return None
            at_ms = (at_ms if each.start_s is None else self._at_ms(each.start_s)) + 1000 * duration_s
            latest_ms = max(latest_ms, at_ms)
        return latest_ms

    def _intervals(self) -> Sequence[IntervalPlan]:
        return self.intervals or ((IntervalPlan(self.payloads),) if self.payloads else ())

    def _at_ms(self, start_s: int) -> int:
        return self.since_ms + 1000 * start_s

    def _period(self) -> Body:
        start = NOW if self.start_s is None else instant(self._at_ms(self.start_s))
        duration = FOR_EVER if self.duration_s is None else duration_of(self.duration_s)
        return {"start": start, "duration": duration} | _randomized(self.randomize_start_s)

    def _interval(self, place: int, plan: IntervalPlan) -> Body:
        period: Body = _randomized(plan.randomize_start_s)
        if plan.start_s is not None:
            period["start"] = instant(self._at_ms(plan.start_s))
        if plan.duration_s is not None:
            period["duration"] = duration_of(plan.duration_s)
        payloads = [
            {"type": kind, "values": list(value) if isinstance(value, list | tuple) else [value]}
            for kind, value in plan.payloads.items()
        ]
        body: Body = {"id": place if plan.id is None else plan.id, "payloads": payloads}
        return body | {"intervalPeriod": period} if period else body


CHANGEABLE = frozenset(each.name for each in fields(EventPlan)) - {"program_id", "name", "since_ms"}
"""What a modification may give anew."""


def described(descriptors: Mapping[str, Any], object_type: str) -> list[Body]:
    """Payload descriptors from units, or from mappings that hold more than units."""
    return [
        {"objectType": object_type, "payloadType": kind, **(told if isinstance(told, Mapping) else {"units": told})}
        for kind, told in descriptors.items()
    ]


def instant(at_ms: int) -> str:
    """UTC as RFC 3339, to the second or, where need be, the millisecond."""
    at = _EPOCH + dt.timedelta(milliseconds=at_ms)
    told = at.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds")
    return told.replace("+00:00", "Z")


def duration_of(seconds: int) -> str:
    """ISO 8601 duration of whole seconds >= 0; raises ValueError below."""
    if seconds < 0:
        raise ValueError(f"a duration of {seconds} s is not possible; give 0 or more")
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{count}{unit}" for count, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if count]
    return "PT" + ("".join(parts) or "0S")


def _randomized(seconds: int | None) -> Body:
    return {} if seconds is None else {"randomizeStart": duration_of(seconds)}
