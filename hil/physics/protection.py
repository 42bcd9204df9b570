"""When an inverter trips, ceases for a moment and returns: IEEE 1547-2018, 6.4, 6.5 and 4.10, category III."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal

_MOMENTARY_PCT: Final = (50.0, 110.0)
_EARLY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Trip:
    """One must-trip point: beyond `at` (% of nominal voltage, or Hz) for `after_s` the device trips."""

    quantity: Literal["V", "Hz"]
    side: Literal["below", "above"]
    at: float
    after_s: float

    def passed(self, low_pct: float, high_pct: float, hz: float) -> bool:
        """Whether it is beyond now."""
        if self.side == "below":
            return (low_pct if self.quantity == "V" else hz) < self.at
        return (high_pct if self.quantity == "V" else hz) > self.at


CATEGORY_III: Final = (
    Trip("V", "below", 88, 21),
    Trip("V", "below", 50, 2),
    Trip("V", "above", 110, 13),
    Trip("V", "above", 120, 0.16),
    Trip("Hz", "below", 58.5, 300),
    Trip("Hz", "below", 56.5, 0.16),
    Trip("Hz", "above", 61.2, 300),
    Trip("Hz", "above", 62, 0.16),
)
"""Default must-trip points of abnormal category III (tables 13 and 18), each pair from the outer to the inner."""


@dataclass(frozen=True, slots=True)
class Window:
    """Where voltage (% of nominal) and frequency must be for a device to enter service (table 4)."""

    low_pct: float = 91.7
    high_pct: float = 105.0
    low_hz: float = 59.5
    high_hz: float = 60.1

    def holds(self, low_pct: float, high_pct: float, hz: float) -> bool:
        """Whether all phases and the frequency are inside."""
        return self.low_pct <= low_pct and high_pct <= self.high_pct and self.low_hz <= hz <= self.high_hz


NORMAL: Final = Window()


@dataclass(slots=True)
class Protection:
    """Counts how long voltage and frequency have been beyond each point.

    `tripped`: it left service, until `returned` says that the delay of its return is over. `ceased`: it gives nothing
    for as long as the voltage stays where it is, and then goes on at once where it was (6.4.2.7). Our reading of
    category III: below 50 % and above 110 % it ceases. Faults: "trips_early", "never_trips".
    """

    faults: Collection[str] = ()
    tripped: bool = False
    ceased: bool = False
    _beyond_s: dict[Trip, float] = field(default_factory=dict)

    def permits(
        self, dt_s: float, volts_pct: Collection[float], hz: float, trips: Collection[Trip], at: Window
    ) -> bool:
        """Advance by a step; tell whether the device may be in service, or on its way back."""
        low_pct, high_pct = min(volts_pct), max(volts_pct)
        if "never_trips" in self.faults:
            self.tripped = self.ceased = False
            return True
        self.ceased = low_pct < _MOMENTARY_PCT[0] or high_pct > _MOMENTARY_PCT[1]
        self._beyond_s = {trip: self._beyond_s.get(trip, 0.0) for trip in trips}
        for trip in trips:
            beyond = trip.passed(low_pct, high_pct, hz)
            self._beyond_s[trip] = self._beyond_s[trip] + dt_s if beyond else 0.0
            after_s = _EARLY_S if "trips_early" in self.faults else trip.after_s
            self.tripped |= beyond and self._beyond_s[trip] >= after_s - 1e-9
        return not self.tripped or at.holds(low_pct, high_pct, hz)

    def returned(self) -> None:
        """Be in service again: the delay is over."""
        self.tripped = False
