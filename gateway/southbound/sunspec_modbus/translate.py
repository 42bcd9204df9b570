"""SunSpec registers <-> the core's commands and readings (models 701-704 of IEEE 1547-2018, and 103, 120-123 before).

SunSpec's W is positive out of the inverter, as ours is. A ceiling is written as hundredths of a percent of WMax,
rounded down; what the device reverts to travels in the same write where its model has a place for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from gateway.core.known import Known, Reading, Unknown
from gateway.core.plan import Command
from gateway.wire.sunspec import Absent, Chain, Model, Reader, Side, Unwritable, Value, compile_model, rescale

CENTI: Final = -2
FULL: Final = 10_000
Values = Mapping[str, Value]


class Settings(NamedTuple):
    """What a device says of itself: the most it generates and charges (W), as it is set now."""

    generation_max_w: Reading
    charge_max_w: Reading


class Live(NamedTuple):
    """One reading of a device: W, var, mV, and whether it is connected (None where it does not say)."""

    power: Reading
    reactive: Reading
    voltage: Reading
    connected: bool | None


class Ask(NamedTuple):
    """A read to make: which address, how many registers."""

    address: int
    quantity: int


class Step(NamedTuple):
    """A write to make: to which address, which octets."""

    address: int
    registers: bytes


class Controls(Protocol):
    """How one kind of device is told and read back."""

    @property
    def reads(self) -> tuple[Ask, ...]:
        """The reads that show what the device was told."""

    def decode(self, answers: Sequence[bytes]) -> Values:
        """Decode the answers to `reads`."""

    def steps(self, command: Command, values: Values, *, ours: bool) -> tuple[Step, ...] | Unwritable:
        """Give the writes that make the device do what the command says, values before enables."""

    def differs(self, command: Command, values: Values) -> str:
        """Say how what the device reads back differs from the command; empty where it does not."""

    def lapses(self, command: Command) -> bool:
        """Tell whether the device forgets the command unless it is refreshed."""


def hundredths(limit_w: int, max_w: int) -> int:
    """Give a ceiling in hundredths of a percent of WMax, rounded down and at most 100 %."""
    return min(FULL, limit_w * FULL // max_w)


def _int(value: Value) -> int | None:
    return value if isinstance(value, int) else None


def reading(value: Value, now_ms: int) -> Reading:
    """Turn a decoded point into a reading; what the device does not give is unknown, and why."""
    if isinstance(value, int):
        return Known(value, now_ms)
    return Unknown(value.why if isinstance(value, Absent) else f"{value!r} is not a number", now_ms)


@dataclass(frozen=True, slots=True)
class Part:
    """The place of one model in a device, and a prepared read of some of its points."""

    model: Model
    address: int
    reader: Reader

    @property
    def ask(self) -> Ask:
        """The read to make."""
        return Ask(self.address + self.reader.offset, self.reader.quantity)


def part(chain: Chain, model_id: int, names: Sequence[str]) -> Part | None:
    """Prepare a read of a model that the device has; None where it lacks the model or all of the points."""
    blocks = chain.of(model_id)
    if not blocks:
        return None
    model = compile_model(model_id)
    prepared = model.reader(tuple(names), length=blocks[0].length)
    return Part(model, blocks[0].address, prepared) if prepared.quantity else None


def writes(target: Part, registers: Mapping[str, bytes]) -> tuple[Step, ...]:
    """Merge encoded points of one model into as few writes as their order allows."""
    return tuple(Step(target.address + offset, octets) for offset, octets in target.model.plan_writes(registers))


class Measurement:
    """The live model of a device: 701 where it has it, else 103."""

    def __init__(self, live: Part, *, modern: bool) -> None:
        self._part = live
        self._modern = modern
        self.reads = (live.ask,)

    def observe(self, answers: Sequence[bytes], now_ms: int) -> Live:
        """Decode one reading; value and scale factor came in one read."""
        values = self._part.reader.decode(answers[0])
        names = ("W", "Var", "LNV") if self._modern else ("W", "VAr", "PhVphA")
        power, reactive, voltage = (reading(values.get(name, _MISSING), now_ms) for name in names)
        if self._modern:
            state = _int(values.get("ConnSt", _MISSING))
            return Live(power, reactive, voltage, None if state is None else state == 1)
        state = _int(values.get("St", _MISSING))
        return Live(power, reactive, voltage, None if state is None else state in _CONNECTED_STATES)


_MISSING: Final = Absent("the device has no such point")
_CONNECTED_STATES: Final = {4, 5}


class Controls2018:
    """Models 704 (limit and set-point) and 703 (permit service)."""

    def __init__(self, control: Part, service: Part | None, max_w: int) -> None:
        self._control, self._service, self._max_w = control, service, max_w
        self.reads: tuple[Ask, ...] = (control.ask,) if service is None else (control.ask, service.ask)

    def decode(self, answers: Sequence[bytes]) -> Values:
        """Decode the answers to `reads`."""
        values = dict(self._control.reader.decode(answers[0]))
        if self._service is not None:
            values |= self._service.reader.decode(answers[1])
        return values

    def steps(self, command: Command, values: Values, *, ours: bool) -> tuple[Step, ...] | Unwritable:
        """Cease first where ordered; then the limit with its reversion in one write; then the set-point."""
        permit = _permit(command)
        made: list[Step] = []
        if permit is not None:
            if self._service is None:
                return Unwritable("it has no model 703 to cease or permit service with")
            made.extend(writes(self._service, {"ES": permit.to_bytes(2, "big")}))
        limit = _limit_2018(
            self._control.model.id,
            hundredths(command.limit_w, self._max_w),
            hundredths(command.revert_limit_w, self._max_w),
            command.revert_after_ms,
            values.get("WMaxLimPct_SF", _MISSING),
        )
        if isinstance(limit, Unwritable):
            return limit
        made.extend(Step(self._control.address + offset, octets) for offset, octets in limit)
        target = self._target(command, values, ours=ours)
        if isinstance(target, Unwritable):
            return target
        return (*made, *target)

    def _target(self, command: Command, values: Values, *, ours: bool) -> tuple[Step, ...] | Unwritable:
        if command.target_w is None:
            if ours and _int(values.get("WSetEna", _MISSING)) == 1:
                return writes(self._control, {"WSetEna": b"\0\0"})
            return ()
        encode, scale = self._control.model.encode, values.get("WSet_SF", _MISSING)
        side = Side.FLOOR if command.target_w >= 0 else Side.CEIL
        points = {
            "WSetMod": encode("WSetMod", 1),
            "WSet": encode("WSet", command.target_w, scale_factor=scale, side=side),
            "WSetEnaRvrt": encode("WSetEnaRvrt", 0),
            "WSetRvrtTms": encode("WSetRvrtTms", command.revert_after_ms),
            "WSetEna": encode("WSetEna", 1),
        }
        wrong = next((octets for octets in points.values() if isinstance(octets, Unwritable)), None)
        if wrong is not None:
            return wrong
        return writes(self._control, {name: octets for name, octets in points.items() if isinstance(octets, bytes)})

    def differs(self, command: Command, values: Values) -> str:
        """Compare the read-back; a limit reads back at most one step of its scale below what was written."""
        permit = _permit(command)
        if permit is not None and values.get("ES", _MISSING) != permit:
            return f"permit service reads {values.get('ES', _MISSING)}, not {permit}"
        if values.get("WMaxLimPctEna") != 1:
            return f"limit enable reads {values.get('WMaxLimPctEna')}"
        wrong = _off(values, "WMaxLimPct", hundredths(command.limit_w, self._max_w))
        wrong = wrong or _off(values, "WMaxLimPctRvrt", hundredths(command.revert_limit_w, self._max_w))
        if wrong:
            return wrong
        if values.get("WMaxLimPctEnaRvrt") != 1 or values.get("WMaxLimPctRvrtTms") != command.revert_after_ms:
            return f"reversion timer reads {values.get('WMaxLimPctRvrtTms')} ms"
        if command.target_w is not None:
            return self._target_differs(command.target_w, values)
        return ""

    def lapses(self, command: Command) -> bool:
        """Its timer always runs."""
        return command.revert_after_ms > 0

    def _target_differs(self, target_w: int, values: Values) -> str:
        if values.get("WSetEna") != 1 or values.get("WSetMod") != 1:
            return f"set-point enable reads {values.get('WSetEna')}, mode {values.get('WSetMod')}"
        scale = _int(values.get("WSet_SF", _MISSING)) or 0
        side = Side.FLOOR if target_w >= 0 else Side.CEIL
        expected_w = rescale(rescale(target_w, 0, scale, side), scale, 0, side)
        measured_w = values.get("WSet")
        return "" if measured_w == expected_w else f"set-point reads {measured_w} W, not {expected_w} W"


class ControlsLegacy:
    """Model 123: a limit in percent of WMax and connect.

    Its timer lifts the limit instead of setting a value, so none is set unless the full rating fits the fallback
    (C14). It has no set-point: a set-point that generates is written as the limit. Ceasing to energize is a limit of 0.
    """

    def __init__(self, control: Part, max_w: int) -> None:
        self._control, self._max_w = control, max_w
        self.reads: tuple[Ask, ...] = (control.ask,)

    def decode(self, answers: Sequence[bytes]) -> Values:
        """Decode the answer to the one read."""
        return self._control.reader.decode(answers[0])

    def steps(self, command: Command, values: Values, *, ours: bool) -> tuple[Step, ...] | Unwritable:
        """Write the value first, then the timer where it differs, and the enable last where it is off."""
        del ours
        if command.target_w is not None and command.target_w < 0:
            return Unwritable("model 123 cannot charge by a set-point")
        encode = self._control.model.encode
        points: dict[str, bytes | Unwritable] = {}
        if command.connected is False:
            points["Conn_RvrtTms"] = encode("Conn_RvrtTms", 0)
            points["Conn"] = encode("Conn", 0)
        scale = values.get("WMaxLimPct_SF", _MISSING)
        points["WMaxLimPct"] = encode("WMaxLimPct", self._pct(command), scale_factor=scale, side=Side.FLOOR)
        timer_ms = self._timer_ms(command)
        if values.get("WMaxLimPct_RvrtTms", timer_ms) != timer_ms and not _absent(values, "WMaxLimPct_RvrtTms"):
            points["WMaxLimPct_RvrtTms"] = encode("WMaxLimPct_RvrtTms", timer_ms)
        if values.get("WMaxLim_Ena") != 1:
            points["WMaxLim_Ena"] = encode("WMaxLim_Ena", 1)
        if command.connected:
            points["Conn"] = encode("Conn", 1)
        wrong = next((octets for octets in points.values() if isinstance(octets, Unwritable)), None)
        if wrong is not None:
            return wrong
        return writes(self._control, {name: octets for name, octets in points.items() if isinstance(octets, bytes)})

    def differs(self, command: Command, values: Values) -> str:
        """Compare the read-back of limit, enable and connection."""
        if command.connected is not None and values.get("Conn") != int(command.connected):
            return f"connection reads {values.get('Conn')}"
        if values.get("WMaxLim_Ena") != 1:
            return f"limit enable reads {values.get('WMaxLim_Ena')}"
        if values.get("WMaxLimPct_RvrtTms", 0) != self._timer_ms(command) and not _absent(values, "WMaxLimPct_RvrtTms"):
            return f"reversion timer reads {values.get('WMaxLimPct_RvrtTms')} ms"
        return _off(values, "WMaxLimPct", self._pct(command))

    def lapses(self, command: Command) -> bool:
        """Its timer runs only where lifting the limit is harmless."""
        return self._timer_ms(command) > 0

    def _pct(self, command: Command) -> int:
        if command.energized is False:
            return 0
        limit_w = command.limit_w if command.target_w is None else min(command.limit_w, command.target_w)
        return hundredths(limit_w, self._max_w)

    def _timer_ms(self, command: Command) -> int:
        return command.revert_after_ms if command.revert_limit_w >= self._max_w else 0


def _absent(values: Values, name: str) -> bool:
    return isinstance(values.get(name, _MISSING), Absent)


def _permit(command: Command) -> int | None:
    """Give what permit-service is to be, or None to leave it; no 7xx model disconnects, ceasing comes nearest."""
    said = [each for each in (command.connected, command.energized) if each is not None]
    return int(all(said)) if said else None


def _off(values: Values, name: str, expected: int) -> str:
    """Say how a percentage differs: it may read back below by less than one step of its scale, never above."""
    value = values.get(name, _MISSING)
    scale = _int(values.get("WMaxLimPct_SF", _MISSING))
    if not isinstance(value, int) or scale is None:
        return f"{name} cannot be read back: {value if scale is not None else 'no scale factor'}"
    step = 10 ** max(0, scale - CENTI)
    if expected - step < value <= expected:
        return ""
    return f"{name} reads {value / 100:g} %, not {expected / 100:g} %"


@lru_cache(maxsize=1024)
def _limit_2018(
    model_id: int, limit: int, revert: int, revert_after_ms: int, scale: Value
) -> tuple[tuple[int, bytes], ...] | Unwritable:
    """Encode limit, reversion value and timer, enables last in name and, being contiguous, one write."""
    model = compile_model(model_id)
    points = {
        "WMaxLimPct": model.encode("WMaxLimPct", limit, scale_factor=scale, exponent=CENTI, side=Side.FLOOR),
        "WMaxLimPctRvrt": model.encode("WMaxLimPctRvrt", revert, scale_factor=scale, exponent=CENTI, side=Side.FLOOR),
        "WMaxLimPctEnaRvrt": model.encode("WMaxLimPctEnaRvrt", 1),
        "WMaxLimPctRvrtTms": model.encode("WMaxLimPctRvrtTms", revert_after_ms),
        "WMaxLimPctEna": model.encode("WMaxLimPctEna", 1),
    }
    wrong = next((octets for octets in points.values() if isinstance(octets, Unwritable)), None)
    if wrong is not None:
        return wrong
    encoded = {name: octets for name, octets in points.items() if isinstance(octets, bytes)}
    return tuple((write.offset, write.registers) for write in model.plan_writes(encoded))


_LIMITS_2018: Final = (
    "WMaxLimPctEna",
    "WMaxLimPct",
    "WMaxLimPctRvrt",
    "WMaxLimPctEnaRvrt",
    "WMaxLimPctRvrtTms",
    "WMaxLimPct_SF",
    "WSetEna",
    "WSetMod",
    "WSet",
    "WSetRvrtTms",
    "WSet_SF",
)
_LIMITS_LEGACY: Final = ("Conn", "WMaxLimPct", "WMaxLimPct_RvrtTms", "WMaxLim_Ena", "WMaxLimPct_SF")


class Description(NamedTuple):
    """What of a device is read once: the reads of its settings, with the part that each answers."""

    parts: tuple[Part, ...]


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
    first = next((name for name in ("WMax", "WMaxRtg", "WRtg") if (_int(values.get(name, _MISSING)) or 0) > 0), "WMax")
    charge = next((name for name in ("WChaRteMax", "MaxChaRte") if name in values), "WChaRteMax")
    return Settings(reading(values.get(first, _MISSING), now_ms), reading(values.get(charge, _MISSING), now_ms))


def measurement(chain: Chain) -> Measurement | None:
    """Choose the live model: 701, else 103."""
    modern = part(chain, 701, ("W", "Var", "LNV", "ConnSt"))
    if modern is not None:
        return Measurement(modern, modern=True)
    legacy = part(chain, 103, ("W", "VAr", "PhVphA", "St"))
    return None if legacy is None else Measurement(legacy, modern=False)


def controls(chain: Chain, max_w: int) -> Controls | None:
    """Choose how the device is told: 704, else 123, else it is only monitored."""
    modern = part(chain, 704, _LIMITS_2018)
    if modern is not None:
        return Controls2018(modern, part(chain, 703, ("ES",)), max_w)
    legacy = part(chain, 123, _LIMITS_LEGACY)
    return None if legacy is None else ControlsLegacy(legacy, max_w)
