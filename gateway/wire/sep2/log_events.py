"""What a device tells of its own alarms (IEEE 2030.5-2018, Log Event function set) as values."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.wire.sep2.faults import Faulty
from gateway.wire.sep2.resources import ListPage


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One alarm, or the end of one.

    `code` is one of `function_set` (11 DER, 0 none) as `profile` defines it (2 IEEE 2030.5, 1 the vendor), in the name
    space of the enterprise number `pen`; `event_id` (0..65535) tells apart what happened in the same second.
    """

    href: str | None = None
    created_s: int
    details: str | None = None
    extended: int | None = None
    function_set: int
    code: int
    event_id: int
    pen: int
    profile: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEventList(ListPage):
    """One page of alarms."""

    subscribable: int | None = None
    poll_rate_s: int | None = None
    items: tuple[LogEvent | Faulty, ...] = ()
