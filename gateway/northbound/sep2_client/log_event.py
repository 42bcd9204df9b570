"""Notices of alarms -> LogEvents of IEEE 2030.5, and the alarms that a DERStatus shows (LogEvent, DERStatus).

A DER's fault is bit N of alarmStatus; its logEventCode in the function set of DER is 2N, and 2N + 1 for the return to
normal (CSIP 4.6.3). What this gateway sees of a DER has no code there and is of the vendor's profile.
"""

from collections.abc import Iterable
from typing import Final

from gateway.core.alarms import FAULTS, Alarm, Notice
from gateway.wire.sep2.log_events import LogEvent

STANDARD_PEN: Final = 40_732
"""The enterprise number that IEEE 2030.5 defines its own codes under."""
OWN_PEN: Final = 0
"""Our reading: this gateway has no enterprise number, and 0 is IANA's for none."""
VENDOR, IEEE_2030_5 = 1, 2
DER_FUNCTION_SET: Final = 11
OWN_CODES: Final = {Alarm.CANNOT_COMPLY: 0, Alarm.NO_CONTACT: 2}
"""Codes of the vendor's profile, function set DER; one more is the return to normal."""
DETAILS_MOST: Final = 32


def log_event(notice: Notice, created_s: int) -> LogEvent:
    """Turn a notice into a LogEvent of an instant (s, the server's clock).

    `extendedData` is how often the alarm came and went since it was told last, of which only the last is told.
    """
    standard = notice.alarm in FAULTS
    code = 2 * FAULTS.index(notice.alarm) if standard else OWN_CODES[notice.alarm]
    printable = "".join(each if " " <= each <= "~" else "?" for each in notice.why)
    return LogEvent(
        created_s=created_s,
        details=printable[:DETAILS_MOST] or None,
        extended=min(notice.changes, 2**32 - 1),
        function_set=DER_FUNCTION_SET,
        code=code + (not notice.raised),
        event_id=notice.serial % 2**16,
        pen=STANDARD_PEN if standard else OWN_PEN,
        profile=IEEE_2030_5 if standard else VENDOR,
    )


def alarm_status(faults: Iterable[Alarm]) -> int:
    """Give the bits of DERStatus/alarmStatus."""
    return sum(1 << FAULTS.index(fault) for fault in set(faults))
