"""What a device says of itself and measures: models 701, else 103 to 101, and 702, else 121 and 120.

SunSpec's W is positive out of the inverter, as ours is.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.core.alarms import Alarm
from gateway.core.events import NOT_STORED
from gateway.core.known import Known, Reading, Unknown
from gateway.southbound.sunspec_modbus.points import MISSING, Ask, Part, number, part, reading, shown
from gateway.southbound.sunspec_modbus.stored import Store, store
from gateway.wire.sunspec import Chain, Value


class Settings(NamedTuple):
    """What a device says of itself: the most it generates and charges (W), as it is set now."""

    generation_max_w: Reading
    charge_max_w: Reading


class Live(NamedTuple):
    """One reading of a device: W, var, mV, whether it is connected (None where it does not say), and what it stores.

    `stored` is what can be taken out (Wh), `faults` what it says is wrong, None where it says nothing of that.
    """

    power: Reading
    reactive: Reading
    voltage: Reading
    connected: bool | None
    stored: Reading
    faults: tuple[Alarm, ...] | None = None


class Measurement:
    """The live model of a device: 701 where it has it, else 103, 102 or 101 (three, split or single phase).

    Where it has a store, that is read with it.
    """

    def __init__(self, live: Part, store: Store | None, *, modern: bool) -> None:
        self._part, self._store = live, store
        names, alive, state = _POINTS_2018 if modern else _POINTS_LEGACY
        self._power, self._reactive, self._voltage = names
        self._alive: tuple[str, ...] = alive
        self._state, self._connected, self._alarms = state, _CONNECTED[state], _ALARMS[state]
        self.reads: tuple[Ask, ...] = (live.ask,) if store is None else (live.ask, *store.reads)

    def observe(self, answers: Sequence[bytes], now_ms: int) -> Live:
        """Decode one reading; value and scale factor came in one read.

        Without voltage and frequency nothing is believed: inverters that sleep give not-implemented values, of which
        a scale factor makes a power of about zero, and some answer all zeros now and then.
        """
        values = self._part.reader.decode(answers[0])
        given = values.get
        for name in self._alive:
            alive = given(name)
            if alive and isinstance(alive, int):
                break
        else:
            dead = Unknown("it gives neither voltage nor frequency: asleep, or not to be believed", now_ms)
            return Live(dead, dead, dead, None, dead if self._store else NOT_STORED)
        stored = NOT_STORED if self._store is None else self._store.stored(answers[1:], now_ms)
        reads = given(self._state)
        return Live(
            _possible(given(self._power, MISSING), now_ms),
            _possible(given(self._reactive, MISSING), now_ms),
            reading(given(self._voltage, MISSING), now_ms),
            self._connected.get(reads) if isinstance(reads, int) else None,
            stored,
            _faults(given(self._alarms, MISSING)),
        )


_POINTS_2018: Final = (("W", "Var", "LNV"), ("LNV", "LLV", "Hz"), "ConnSt")
_POINTS_LEGACY: Final = (("W", "VAr", "PhVphA"), ("PhVphA", "Hz"), "St")
_CONNECTED: Final[Mapping[str, Mapping[int, bool]]] = {
    "ConnSt": {0: False, 1: True},
    "St": {state: state in (4, 5) for state in range(1, 9)},
}
"""What each state that the model names says; any other says nothing."""
_ALARMS: Final[Mapping[str, str]] = {"ConnSt": "Alrm", "St": "Evt1"}
_FAULTS: Final = (
    (6, Alarm.EMERGENCY_LOCAL),
    (8, Alarm.OVER_FREQUENCY),
    (9, Alarm.UNDER_FREQUENCY),
    (10, Alarm.OVER_VOLTAGE),
    (11, Alarm.UNDER_VOLTAGE),
)
"""The bits of Alrm and of Evt1, which are alike, that the tier above has a word for; 6 is a manual shutdown."""


def _faults(bits: Value) -> tuple[Alarm, ...] | None:
    if not isinstance(bits, int):
        return None
    return tuple(alarm for bit, alarm in _FAULTS if bits >> bit & 1) if bits else ()


_MOST_W: Final = 10**9
"""More than any DER gives: a scale factor within its range can still make that of a register."""


def _possible(power: Value, now_ms: int) -> Reading:
    if not isinstance(power, int):
        return reading(power, now_ms)
    if -_MOST_W <= power <= _MOST_W:
        return Known(power, now_ms)
    return Unknown(f"it reads {power} W or var, which no DER gives", now_ms)


class Description(NamedTuple):
    """What a device says of itself: the models of its settings."""

    parts: tuple[Part, ...]

    @property
    def asks(self) -> tuple[Ask, ...]:
        """The reads to make."""
        return tuple(each.ask for each in self.parts)


@lru_cache(maxsize=4096)
def describe(chain: Chain) -> Description:
    """Name the settings to read of a device: 702, else 121 and 120."""
    modern = part(chain, 702, ("WMax", "WMaxRtg", "WChaRteMax"))
    if modern is not None:
        return Description((modern,))
    found = (part(chain, 121, ("WMax",)), part(chain, 120, ("WRtg", "MaxChaRte")))
    return Description(tuple(each for each in found if each is not None))


def settings(description: Description, answers: Sequence[bytes], now_ms: int) -> Settings:
    """Take the most that a device generates and charges: its setting, else its rating, else unknown."""
    values: dict[str, Value] = {}
    for each, answer in zip(description.parts, answers, strict=True):
        values |= each.reader.decode(answer)
    found = next((name for name in ("WMax", "WMaxRtg", "WRtg") if (number(values, name) or 0) > 0), None)
    most = reading(values[found], now_ms) if found else Unknown(f"WMax: {shown(values, 'WMax')}", now_ms)
    charge = next((name for name in ("WChaRteMax", "MaxChaRte") if name in values), "WChaRteMax")
    return Settings(most, reading(values.get(charge, MISSING), now_ms))


@lru_cache(maxsize=4096)
def measurement(chain: Chain) -> Measurement | None:
    """Choose the live model: 701, else 103, 102 or 101."""
    modern = part(chain, 701, ("W", "Var", "LNV", "LLV", "Hz", "ConnSt", "Alrm"))
    if modern is not None:
        return Measurement(modern, store(chain), modern=True)
    for model_id in (103, 102, 101):
        legacy = part(chain, model_id, ("W", "VAr", "PhVphA", "Hz", "St", "Evt1"))
        if legacy is not None:
            return Measurement(legacy, store(chain), modern=False)
    return None
