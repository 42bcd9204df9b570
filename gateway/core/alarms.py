"""What goes wrong at DER, told to the limit parent: once when it begins and once when it is over, never in a flood.

A resource has an alarm while any of its devices has it. What comes and goes is told at most once a minute, with how
often it changed. A notice is owed until it was taken in, over restarts too. Source: CSIP 4.6.3; RULES A2, C15.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple


class Alarm(StrEnum):
    """What can be wrong with a DER: its own faults, then what this gateway sees of it."""

    OVER_CURRENT = "over current"
    OVER_VOLTAGE = "over voltage"
    UNDER_VOLTAGE = "under voltage"
    OVER_FREQUENCY = "over frequency"
    UNDER_FREQUENCY = "under frequency"
    VOLTAGE_IMBALANCE = "voltage imbalance"
    CURRENT_IMBALANCE = "current imbalance"
    EMERGENCY_LOCAL = "local emergency stop"
    EMERGENCY_REMOTE = "remote emergency stop"
    LOW_POWER_INPUT = "low power input"
    PHASE_ROTATION = "phase rotation"
    CANNOT_COMPLY = "cannot comply"
    NO_CONTACT = "no contact"


FAULTS: Final = tuple(each for each in Alarm if each not in {Alarm.CANNOT_COMPLY, Alarm.NO_CONTACT})
"""What a DER says of itself."""
QUIET_MS: Final = 60_000
"""How long nothing more is told of one alarm of one resource after it was told."""
NOTICES_MOST: Final = 10_000
"""More are not owed: the oldest is dropped, for whoever takes none in for so long is not to fill the disk."""


class Notice(NamedTuple):
    """One alarm of a resource, or its end, for one party: since when (ms), how often it changed since told, and why."""

    serial: int
    party: str
    resource: str
    alarm: Alarm
    raised: bool
    at_ms: int
    changes: int
    why: str


@dataclass(slots=True)
class Alarming:
    """One alarm of one resource: the devices that have it, when it was told last, and how often it changed since."""

    devices: tuple[str, ...] = ()
    told_ms: int = -QUIET_MS
    changed_ms: int = 0
    changes: int = 0
    why: str = ""


@dataclass(slots=True)
class AlarmBook:
    """The alarms of all resources by resource and alarm, and the notices that are owed by serial."""

    alarming: dict[tuple[str, Alarm], Alarming] = field(default_factory=dict)
    owed: dict[int, Notice] = field(default_factory=dict)
    serial: int = 0

    def mark(self, resource: str, device: str, alarm: Alarm, now_ms: int, why: str, *, on: bool) -> int | None:
        """Note that a device has an alarm, or has it no more; give when it is to be told (ms), None where it is not."""
        one = self.alarming.get((resource, alarm))
        if one is None:
            if not on:
                return None
            one = self.alarming[resource, alarm] = Alarming()
        had, others = bool(one.devices), tuple(each for each in one.devices if each != device)
        one.devices = (*others, device) if on else others
        if had == bool(one.devices):
            return None
        one.changed_ms, one.why = now_ms, why
        one.changes += 1
        return max(now_ms, one.told_ms + QUIET_MS)

    def tell(self, resource: str, alarm: Alarm, now_ms: int, parties: Iterable[str]) -> Iterator[Notice]:
        """Owe these parties what became of an alarm, where it changed and is to be told by now."""
        one = self.alarming.get((resource, alarm))
        if one is None or not one.changes or now_ms < one.told_ms + QUIET_MS:
            return
        for party in parties:
            self.serial += 1
            raised = bool(one.devices)
            made = Notice(self.serial, party, resource, alarm, raised, one.changed_ms, one.changes, one.why)
            self.owed[made.serial] = made
            yield made
        one.told_ms, one.changes = now_ms, 0
        while len(self.owed) > NOTICES_MOST:
            del self.owed[next(iter(self.owed))]

    def keep(self, devices: Mapping[str, str]) -> None:
        """Forget what is of devices that the site has no more; `devices` gives the resource of each."""
        for (resource, alarm), one in list(self.alarming.items()):
            one.devices = tuple(each for each in one.devices if devices.get(each) == resource)
            if resource not in devices.values():
                del self.alarming[resource, alarm]
