"""SunSpec registers <-> the core's commands and readings (models 701-704 of IEEE 1547-2018, else 101-103 and 120-123).

SunSpec's W is positive out of the inverter, as ours is. A ceiling is written as hundredths of a percent of WMax,
rounded down; what the device reverts to travels in the same write where its model has a place for it. Points that a
device does not implement are left out: ceasing, disconnecting and a set-point then become the nearest limit.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from gateway.core.known import Known, Reading, Unknown
from gateway.core.plan import Command
from gateway.southbound.sunspec_modbus.points import (
    MISSING,
    Ask,
    Part,
    Step,
    Values,
    has,
    in_order,
    lasting,
    number,
    part,
    scales,
    shown,
    writes,
)
from gateway.wire.sunspec import Absent, Chain, Side, Unwritable, Value, compile_model, rescale

CENTI: Final = -2
FULL: Final = 10_000
LEGACY_TIMER_MAX_MS: Final = 65_534_000


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


class Controls(Protocol):
    """How one kind of device is told and read back.

    `values` is what was read back last, or after a write what `lasting` leaves of it. `ours` says that a set-point
    that is on may be of our making.
    """

    def __hash__(self) -> int:
        """Be told apart from others by identity."""

    @property
    def reads(self) -> tuple[Ask, ...]:
        """The reads that show what the device was told."""

    def decode(self, answers: Sequence[bytes]) -> Values:
        """Decode the answers to `reads`."""

    def steps(self, command: Command, values: Values, *, ours: bool) -> tuple[Step, ...] | Unwritable:
        """Give the writes that make the device do what the command says: off first, values before enables, on last."""

    def differs(self, command: Command, values: Values, *, ours: bool) -> str:
        """Say how what the device reads back differs from the command; empty where it does not."""

    def lapses(self, command: Command, values: Values) -> bool:
        """Tell whether the device forgets the command unless it is refreshed."""

    def reverted(self, command: Command, values: Values) -> bool:
        """Tell whether what the device reads back is what it falls back to when nobody refreshes it."""


class Prepared(NamedTuple):
    """The writes of a command, and what they leave true of the read that they rest on."""

    steps: tuple[Step, ...]
    lasting: Values
    scales: tuple[Value, ...]


def prepare(control: Controls, command: Command, values: Values, *, ours: bool) -> Prepared | Unwritable:
    """Prepare the writes of a command; devices with one map that read alike and are told alike share the work."""
    return _prepared(control, command[1:7], tuple(values.items()), ours)


@lru_cache(maxsize=4096)
def _prepared(
    control: Controls,
    asked: tuple[int, int | None, bool | None, bool | None, int, int],
    read: tuple[tuple[str, Value], ...],
    ours: bool,
) -> Prepared | Unwritable:
    values = dict(read)
    steps = control.steps(Command("", *asked, (), ""), values, ours=ours)
    return steps if isinstance(steps, Unwritable) else Prepared(steps, lasting(values), scales(values))


def hundredths(limit_w: int, max_w: int) -> int:
    """Give a ceiling in hundredths of a percent of WMax, rounded down and at most 100 %."""
    return min(FULL, limit_w * FULL // max_w)


def reading(value: Value, now_ms: int) -> Reading:
    """Turn a decoded point into a reading; what the device does not give is unknown, and why."""
    if isinstance(value, int):
        return Known(value, now_ms)
    return Unknown(value.why if isinstance(value, Absent) else f"{value!r} is not a number", now_ms)


class Measurement:
    """The live model of a device: 701 where it has it, else 103, 102 or 101 (three, split or single phase)."""

    def __init__(self, live: Part, *, modern: bool) -> None:
        self._part = live
        self._modern = modern
        self.reads = (live.ask,)

    def observe(self, answers: Sequence[bytes], now_ms: int) -> Live:
        """Decode one reading; value and scale factor came in one read.

        Without voltage and frequency nothing is believed: inverters that sleep give not-implemented values, of which
        a scale factor makes a power of about zero, and some answer all zeros now and then.
        """
        values = self._part.reader.decode(answers[0])
        names, alive, state = _POINTS_2018 if self._modern else _POINTS_LEGACY
        if not any(number(values, name) for name in alive):
            dead = Unknown("it gives neither voltage nor frequency: asleep, or not to be believed", now_ms)
            return Live(dead, dead, dead, None)
        power, reactive, voltage = (reading(values.get(name, MISSING), now_ms) for name in names)
        reads = number(values, state)
        return Live(power, reactive, voltage, None if reads is None else reads in _CONNECTED[state])


_POINTS_2018: Final = (("W", "Var", "LNV"), ("LNV", "LLV", "Hz"), "ConnSt")
_POINTS_LEGACY: Final = (("W", "VAr", "PhVphA"), ("PhVphA", "Hz"), "St")
_CONNECTED: Final = {"ConnSt": (1,), "St": (4, 5)}


class Controls2018:
    """Models 704 (limit and set-point) and 703 (permit service); devices with the same map share one."""

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
        """Cease first where ordered; then the limit with its reversion in one write; then set-point and permission."""
        permit = self._permit(command, values)
        permission: tuple[Step, ...] | Unwritable = ()
        if permit is not None and self._service is not None and values.get("ES") != permit:
            permission = writes(self._service, {"ES": permit.to_bytes(2, "big")})
        reverts = _reverts(values)
        limit = _limit_2018(
            self._control.model.id,
            self._limit(command, values),
            hundredths(command.revert_limit_w, self._max_w) if reverts else None,
            command.revert_after_ms,
            values.get("WMaxLimPct_SF", MISSING),
        )
        target = self._target(command, values, ours=ours)
        if isinstance(limit, Unwritable):
            return limit if permit or not permission else permission
        told = tuple(Step(self._control.address + offset, octets) for offset, octets in limit)
        return in_order(told, target, permission) if permit else in_order(permission, told, target)

    def differs(self, command: Command, values: Values, *, ours: bool) -> str:
        """Compare the read-back; a limit reads back at most one step of its scale below what was written."""
        permit = self._permit(command, values)
        if permit is not None and values.get("ES") != permit:
            return f"permit service reads {shown(values, 'ES')}, not {permit}"
        if values.get("WMaxLimPctEna") != 1:
            return f"limit enable reads {shown(values, 'WMaxLimPctEna')}"
        wrong = _off(values, "WMaxLimPct", self._limit(command, values))
        if not wrong and _reverts(values):
            wrong = self._reversion_differs(command, values)
        return wrong or self._target_differs(command.target_w, values, ours=ours)

    def lapses(self, command: Command, values: Values) -> bool:
        """A timer of the limit or of the set-point runs."""
        return _reverts(values) or (command.target_w is not None and has(values, "WSetRvrtTms"))

    def reverted(self, command: Command, values: Values) -> bool:
        """The reversion value has become the limit; permission never lapses."""
        permit = self._permit(command, values)
        if not _reverts(values) or values.get("WMaxLimPctEna") != 1 or (permit is not None and values["ES"] != permit):
            return False
        return not _off(values, "WMaxLimPct", hundredths(command.revert_limit_w, self._max_w))

    def _permit(self, command: Command, values: Values) -> int | None:
        """Give what permit-service is to be; None to leave it. No 7xx model disconnects, ceasing comes nearest."""
        return _all_on(command) if self._service is not None and has(values, "ES") else None

    def _limit(self, command: Command, values: Values) -> int:
        limit_w = command.limit_w
        if _all_on(command) == 0 and self._permit(command, values) is None:
            limit_w = 0
        if command.target_w is not None and not has(values, *_TARGET_2018):
            limit_w = min(limit_w, max(0, command.target_w))
        return hundredths(limit_w, self._max_w)

    def _reversion_differs(self, command: Command, values: Values) -> str:
        if values.get("WMaxLimPctEnaRvrt") != 1:
            return f"reversion enable reads {shown(values, 'WMaxLimPctEnaRvrt')}"
        if values.get("WMaxLimPctRvrtTms") != _whole_s(command.revert_after_ms):
            return f"reversion timer reads {shown(values, 'WMaxLimPctRvrtTms')} ms"
        return _off(values, "WMaxLimPctRvrt", hundredths(command.revert_limit_w, self._max_w))

    def _target(self, command: Command, values: Values, *, ours: bool) -> tuple[Step, ...] | Unwritable:
        if not has(values, *_TARGET_2018):
            return ()
        if command.target_w is None:
            off = ours and values.get("WSetEna") != 0
            return writes(self._control, {"WSetEna": b"\0\0"}) if off else ()
        encode, scale = self._control.model.encode, values.get("WSet_SF", MISSING)
        points = {
            "WSetMod": encode("WSetMod", 1),
            "WSet": encode("WSet", command.target_w, scale_factor=scale, side=Side.TOWARD_ZERO),
        }
        timer = {"WSetEnaRvrt": 0, "WSetRvrtTms": _whole_s(command.revert_after_ms)}
        for name, value in ({**timer, "WSetEna": 1}).items():
            if has(values, name) and values.get(name) != value:
                points[name] = encode(name, value)
        return writes(self._control, points)

    def _target_differs(self, target_w: int | None, values: Values, *, ours: bool) -> str:
        if not has(values, *_TARGET_2018):
            return "it has no set-point in watts to charge by" if target_w is not None and target_w < 0 else ""
        if target_w is None:
            return "its set-point is still on" if ours and values.get("WSetEna") == 1 else ""
        if values.get("WSetEna") != 1 or values.get("WSetMod") != 1:
            return f"set-point enable reads {shown(values, 'WSetEna')}, mode {shown(values, 'WSetMod')}"
        scale = number(values, "WSet_SF") or 0
        expected_w = rescale(rescale(target_w, 0, scale, Side.TOWARD_ZERO), scale, 0)
        wrong = values.get("WSet") != expected_w
        return f"set-point reads {shown(values, 'WSet')} W, not {expected_w} W" if wrong else ""


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
        """Disconnect first; write the value, then the timer where it differs, and the enable last where it is off."""
        del ours
        encode = self._control.model.encode
        scale = values.get("WMaxLimPct_SF", MISSING)
        limit = encode("WMaxLimPct", self._limit(command, values), scale_factor=scale, side=Side.FLOOR)
        off = {"Conn_RvrtTms": 0, "Conn": 0} if command.connected is False else {}
        told = {"WMaxLimPct_RvrtTms": self._timer_ms(command), "WMaxLim_Ena": 1}
        before, after, last = (
            {
                name: encode(name, value)
                for name, value in each.items()
                if has(values, name) and values.get(name) != value
            }
            for each in (off, told, {"Conn": 1} if command.connected else {})
        )
        if isinstance(limit, Unwritable):
            return writes(self._control, before) if before else limit
        first = writes(self._control, {**before, "WMaxLimPct": limit, **after})
        return in_order(first, writes(self._control, last))

    def differs(self, command: Command, values: Values, *, ours: bool) -> str:
        """Compare the read-back of limit, enable and connection."""
        del ours
        if command.connected is not None and has(values, "Conn") and values.get("Conn") != int(command.connected):
            return f"connection reads {shown(values, 'Conn')}"
        if values.get("WMaxLim_Ena") != 1:
            return f"limit enable reads {shown(values, 'WMaxLim_Ena')}"
        if has(values, "WMaxLimPct_RvrtTms") and values.get("WMaxLimPct_RvrtTms") != self._timer_ms(command):
            return f"reversion timer reads {shown(values, 'WMaxLimPct_RvrtTms')} ms"
        wrong = _off(values, "WMaxLimPct", self._limit(command, values))
        if not wrong and command.target_w is not None and command.target_w < 0:
            return "model 123 cannot charge by a set-point"
        return wrong

    def lapses(self, command: Command, values: Values) -> bool:
        """Its timer runs only where lifting the limit is harmless."""
        return self._timer_ms(command) > 0 and has(values, "WMaxLimPct_RvrtTms")

    def reverted(self, command: Command, values: Values) -> bool:
        """The limit is lifted, and the connection as told."""
        connected = command.connected is None or values.get("Conn") == int(command.connected)
        return self.lapses(command, values) and connected and values.get("WMaxLim_Ena") == 0

    def _limit(self, command: Command, values: Values) -> int:
        if command.energized is False or (command.connected is False and not has(values, "Conn")):
            return 0
        limit_w = command.limit_w if command.target_w is None else min(command.limit_w, max(0, command.target_w))
        return hundredths(limit_w, self._max_w)

    def _timer_ms(self, command: Command) -> int:
        """Give its timer, which is in 16 bits of seconds."""
        harmless = command.revert_limit_w >= self._max_w and command.energized is not False
        return min(_whole_s(command.revert_after_ms), LEGACY_TIMER_MAX_MS) if harmless else 0


def _reverts(values: Values) -> bool:
    """Tell whether the device has a limit to revert to, its enable and its timer: none is of use alone."""
    return has(values, "WMaxLimPctRvrt", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms")


def _whole_s(after_ms: int) -> int:
    """Round a time to whole seconds, as the timers count: down, but never to 0, which is no timer."""
    return max(1000, after_ms // 1000 * 1000)


def _all_on(command: Command) -> int | None:
    """Give 0 where the command switches anything off, 1 where it switches on, None where nobody says."""
    said = [each for each in (command.connected, command.energized) if each is not None]
    return int(all(said)) if said else None


def _off(values: Values, name: str, expected: int) -> str:
    """Say how a percentage differs: it may read back below by less than one step of its scale, never above."""
    value, scale = number(values, name), number(values, "WMaxLimPct_SF")
    if value is None or scale is None:
        return f"{name} cannot be read back: {shown(values, name if value is None else 'WMaxLimPct_SF')}"
    step = 10 ** max(0, scale - CENTI)
    if expected - step < value <= expected:
        return ""
    return f"{name} reads {value / 100:g} %, not {expected / 100:g} %"


@lru_cache(maxsize=1024)
def _limit_2018(
    model_id: int, limit: int, revert: int | None, revert_after_ms: int, scale: Value
) -> tuple[tuple[int, bytes], ...] | Unwritable:
    """Encode limit, reversion value and timer, enables last in name and, being contiguous, one write."""
    model = compile_model(model_id)
    points = {"WMaxLimPct": model.encode("WMaxLimPct", limit, scale_factor=scale, side=Side.FLOOR)}
    if revert is not None:
        points["WMaxLimPctRvrt"] = model.encode("WMaxLimPctRvrt", revert, scale_factor=scale, side=Side.FLOOR)
        points["WMaxLimPctEnaRvrt"] = model.encode("WMaxLimPctEnaRvrt", 1)
        points["WMaxLimPctRvrtTms"] = model.encode("WMaxLimPctRvrtTms", _whole_s(revert_after_ms))
    points["WMaxLimPctEna"] = model.encode("WMaxLimPctEna", 1)
    wrong = next((octets for octets in points.values() if isinstance(octets, Unwritable)), None)
    if wrong is not None:
        return wrong
    encoded = {name: octets for name, octets in points.items() if isinstance(octets, bytes)}
    return tuple((write.offset, write.registers) for write in model.plan_writes(encoded))


_TARGET_2018: Final = ("WSet", "WSetMod", "WSetEna", "WSet_SF")
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
    "WSetEnaRvrt",
    "WSetRvrtTms",
    "WSet_SF",
)
_LIMITS_LEGACY: Final = ("Conn_RvrtTms", "Conn", "WMaxLimPct", "WMaxLimPct_RvrtTms", "WMaxLim_Ena", "WMaxLimPct_SF")


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
    modern = part(chain, 701, ("W", "Var", "LNV", "LLV", "Hz", "ConnSt"))
    if modern is not None:
        return Measurement(modern, modern=True)
    for model_id in (103, 102, 101):
        legacy = part(chain, model_id, ("W", "VAr", "PhVphA", "Hz", "St"))
        if legacy is not None:
            return Measurement(legacy, modern=False)
    return None


@lru_cache(maxsize=4096)
def controls(chain: Chain, max_w: int) -> Controls | None:
    """Choose how the device is told: 704, else 123, else it is only monitored."""
    modern = part(chain, 704, _LIMITS_2018)
    if modern is not None:
        return Controls2018(modern, part(chain, 703, ("ES",)), max_w)
    legacy = part(chain, 123, _LIMITS_LEGACY)
    return None if legacy is None else ControlsLegacy(legacy, max_w)
