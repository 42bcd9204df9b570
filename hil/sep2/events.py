"""What a server knows of a DERControl and how it marks its status by its own clock (IEEE 2030.5-2018 10.2.3).

All times in this module are whole seconds of server time since the UNIX epoch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

LISTED_AFTER_END_S = 300


class Status(IntEnum):
    SCHEDULED = 0
    ACTIVE = 1
    CANCELLED = 2
    CANCELLED_WITH_RANDOMIZATION = 3
    SUPERSEDED = 4


@dataclass(frozen=True, slots=True)
class Marking:
    """One EventStatus: the status, since when, and since when other events take some of its modes (or None)."""

    status: Status
    since_s: int
    partly_superseded_s: int | None = None


@dataclass(slots=True)
class Control:
    """A DERControl as issued; nothing in it changes afterwards but its cancellation."""

    name: str
    mrid: str
    modes: Mapping[str, object]
    created_s: int
    issued_s: int
    start_s: int
    duration_s: int
    randomize_start_s: int | None = None
    randomize_duration_s: int | None = None
    response_required: str = "03"
    version: int = 0
    cancelled_s: int | None = None

    @property
    def takes(self) -> frozenset[str]:
        """The modes that it competes for; a ramp time is none."""
        return frozenset(self.modes) - {"rampTms"}

    @property
    def earliest_start_s(self) -> int:
        return self.start_s + min(0, self.randomize_start_s or 0)

    @property
    def latest_end_s(self) -> int:
        spread_s = max(0, self.randomize_start_s or 0) + max(0, self.randomize_duration_s or 0)
        return self.start_s + self.duration_s + spread_s

    def listed(self, now_s: int) -> bool:
        """Whether the server still lists it: until five minutes after its original effective period."""
        return now_s < self.latest_end_s + LISTED_AFTER_END_S

    @property
    def order(self) -> tuple[int, int, int]:
        """Sort key of a DERControlList: start ascending, creationTime descending, mRID descending."""
        return (self.start_s, -self.created_s, -int(self.mrid, 16))


def marking(control: Control, program: Iterable[Control], now_s: int) -> Marking:
    """Tell the status of `control` at `now_s` beside the other controls of its own program.

    Our reading: a newer event with every mode of an older one supersedes it at its own earliest start, unless it was
    cancelled or superseded before; one that has some of them flags it as potentially superseded from its issue on.
    """
    rivals = [other for other in program if other is not control]
    superseded_s = _superseded_s(control, rivals)
    cancelled_s = control.cancelled_s
    if cancelled_s is not None and cancelled_s <= now_s and (superseded_s is None or cancelled_s <= superseded_s):
        random = control.randomize_start_s or control.randomize_duration_s
        return Marking(Status.CANCELLED_WITH_RANDOMIZATION if random else Status.CANCELLED, cancelled_s)
    if superseded_s is not None and superseded_s <= now_s:
        return Marking(Status.SUPERSEDED, superseded_s)
    partly_s = min((other.issued_s for other in rivals if _takes_some(other, control)), default=None)
    if now_s < control.earliest_start_s:
        return Marking(Status.SCHEDULED, control.issued_s, partly_s)
    return Marking(Status.ACTIVE, max(control.issued_s, control.earliest_start_s), partly_s)


def _superseded_s(control: Control, rivals: list[Control]) -> int | None:
    """When the first newer control with all its modes began, or will; a superseder that never begins does not count."""
    starts_s = [_begins_s(other) for other in rivals if _takes_all(other, control) and _begins(other, rivals)]
    return min(starts_s, default=None)


def _begins_s(control: Control) -> int:
    return max(control.earliest_start_s, control.issued_s)


def _begins(control: Control, rivals: list[Control]) -> bool:
    begins_s = _begins_s(control)
    if control.cancelled_s is not None and control.cancelled_s <= begins_s:
        return False
    superseded_s = _superseded_s(control, [other for other in rivals if other is not control])
    return superseded_s is None or superseded_s > begins_s


def _newer_and_overlapping(newer: Control, older: Control) -> bool:
    if (newer.created_s, newer.issued_s) <= (older.created_s, older.issued_s):
        return False
    return newer.earliest_start_s < older.latest_end_s and older.earliest_start_s < newer.latest_end_s


def _takes_all(newer: Control, older: Control) -> bool:
    return _newer_and_overlapping(newer, older) and older.takes <= newer.takes


def _takes_some(newer: Control, older: Control) -> bool:
    return _newer_and_overlapping(newer, older) and bool(newer.takes & older.takes) and not older.takes <= newer.takes
