"""The core's commands <-> SunSpec controls (models 704 and 703 of IEEE 1547-2018, else 123), and meters (201 to 214).

A ceiling is written as hundredths of a percent of WMax, rounded down; what the device reverts to travels in the same
write where its model has a place for it. Points that a device does not implement are left out: ceasing, disconnecting
and a set-point then become the nearest limit.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from gateway.core.known import Known, Reading, Unknown
from gateway.core.plan import Command
from gateway.southbound.sunspec_modbus.limits import Change, hundredths, judge, off, whole_s
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
    reading,
    scales,
    shown,
    singly,
    writes,
)
from gateway.southbound.sunspec_modbus.profiles import Habits
from gateway.wire.sunspec import Chain, Reader, Side, Unwritable, Value, compile_model, rescale

DECODED_MAX: Final = 4096
"""So many different settings are kept decoded, of all devices together."""


class Controls(Protocol):
    """How one kind of device is told and read back.

    `values` is what was read back last, or after a write what `lasting` leaves of it. `ours` says that what the command
    need not have (see `lends`) and the device shows may be of our making.
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

    def lends(self, command: Command) -> bool:
        """Tell whether the command sets what is to be taken back once a command no longer has it."""

    def lapses(self, command: Command, values: Values) -> bool:
        """Tell whether the device forgets the command unless it is refreshed."""

    def changed(self, held: Values, values: Values, *, timer_ran: bool) -> Change:
        """Judge how what was told changed from what the device `held`; `timer_ran` once its reversion timer ran."""

    def reverted(self, command: Command, values: Values) -> bool:
        """Tell whether what the device reads back is what it falls back to when nobody refreshes it."""


class Prepared(NamedTuple):
    """The writes of a command, and what they leave true of the read that they rest on."""

    steps: tuple[Step, ...]
    lasting: Values
    scales: tuple[Value, ...]


def prepare(control: Controls, command: Command, values: Values, *, ours: bool) -> Prepared | Unwritable:
    """Prepare the writes of a command; devices with one map that read alike and are told alike share the work."""
    return _prepared(control, command._replace(device="", basis=(), rule="", modes=()), tuple(values.items()), ours)


@lru_cache(maxsize=4096)
def _prepared(
    control: Controls,
    command: Command,
    read: tuple[tuple[str, Value], ...],
    ours: bool,
) -> Prepared | Unwritable:
    values = dict(read)
    steps = control.steps(command, values, ours=ours)
    return steps if isinstance(steps, Unwritable) else Prepared(steps, lasting(values), scales(values))


class Controls2018:
    """Models 704 (limit and set-point) and 703 (permit service); devices with the same map share one."""

    def __init__(self, control: Part, service: Part | None, max_w: int, habits: Habits) -> None:
        self._control, self._service, self._max_w, self._timer = control, service, max_w, habits.timer
        self.reads: tuple[Ask, ...] = (control.ask,) if service is None else (control.ask, service.ask)

    def decode(self, answers: Sequence[bytes]) -> Values:
        """Decode the answers to `reads`; what was told reads the same at nearly every poll, and at many devices."""
        service = None if self._service is None else self._service.reader
        return _decoded(self._control.reader, service, tuple(answers))

    def steps(self, command: Command, values: Values, *, ours: bool) -> tuple[Step, ...] | Unwritable:
        """Cease first where ordered; then the limit with its reversion in one write; then set-point and permission."""
        permit = self._permit(command, values)
        permission: tuple[Step, ...] | Unwritable = ()
        if permit is not None and self._service is not None and values.get("ES") != permit:
            permission = writes(self._service, {"ES": permit.to_bytes(2, "big")})
        reverts = self._timer and _reverts(values)
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
        wrong = off(values, "WMaxLimPct", self._limit(command, values))
        if not wrong and self._timer and _reverts(values):
            wrong = self._reversion_differs(command, values)
        return wrong or self._target_differs(command.target_w, values, ours=ours)

    def lends(self, command: Command) -> bool:
        """A set-point."""
        return command.target_w is not None

    def changed(self, held: Values, values: Values, *, timer_ran: bool) -> Change:
        """Each point that changed took its reversion value, or all that was told is gone, or it was somebody else."""
        fallen: dict[str, Value | None] = {
            "WMaxLimPct": held.get("WMaxLimPctRvrt"),
            "WMaxLimPctEna": held.get("WMaxLimPctEnaRvrt"),
            "WSetEna": held.get("WSetEnaRvrt"),
            **dict.fromkeys(("WSet", "WSetMod", "WMaxLimPctRvrtTms", "WSetRvrtTms")),
        }
        return judge(held, values, fallen if timer_ran else {}, _TOLD_2018)

    def lapses(self, command: Command, values: Values) -> bool:
        """A timer of the limit or of the set-point runs."""
        target = command.target_w is not None and has(values, "WSetRvrtTms")
        return self._timer and (target or _reverts(values))

    def reverted(self, command: Command, values: Values) -> bool:
        """The reversion value has become the limit; permission never lapses."""
        permit = self._permit(command, values)
        allowed = permit is None or values["ES"] == permit
        if not self._timer or not _reverts(values) or values.get("WMaxLimPctEna") != 1 or not allowed:
            return False
        return not off(values, "WMaxLimPct", hundredths(command.revert_limit_w, self._max_w))

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
        if values.get("WMaxLimPctRvrtTms") != whole_s(command.revert_after_ms):
            return f"reversion timer reads {shown(values, 'WMaxLimPctRvrtTms')} ms"
        return off(values, "WMaxLimPctRvrt", hundredths(command.revert_limit_w, self._max_w))

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
        timer = {"WSetEnaRvrt": 0, "WSetRvrtTms": whole_s(command.revert_after_ms)} if self._timer else {}
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
    """Model 123: a limit in percent of WMax with a ramp to it, and connect.

    Its timer lifts the limit instead of setting a value, so none is set unless the full rating fits the fallback
    (C14). It has no set-point: a set-point that generates is written as the limit. Ceasing to energize is a limit of 0.
    """

    def __init__(self, control: Part, max_w: int, habits: Habits) -> None:
        self._control, self._max_w, self._habits = control, max_w, habits
        self.reads: tuple[Ask, ...] = (control.ask,)

    def decode(self, answers: Sequence[bytes]) -> Values:
        """Decode the answer to the one read."""
        return self._control.reader.decode(answers[0])

    def steps(self, command: Command, values: Values, *, ours: bool) -> tuple[Step, ...] | Unwritable:
        """Disconnect first; write ramp, value and timer where they differ, and the enable last where it is off."""
        encode = self._control.model.encode
        scale = values.get("WMaxLimPct_SF", MISSING)
        limit = encode("WMaxLimPct", self._limit(command, values), scale_factor=scale, side=Side.FLOOR)
        off = {"Conn_RvrtTms": 0, "Conn": 0} if command.connected is False else {}
        ramp_ms = self._ramp_ms(command, ours=ours)
        ramp = {} if ramp_ms is None else {"WMaxLimPct_RmpTms": ramp_ms}
        told = {"WMaxLimPct_RvrtTms": self._timer_ms(command), "WMaxLim_Ena": 1}
        before, after, last = (
            {
                name: encode(name, value)
                for name, value in each.items()
                if has(values, name) and values.get(name) != value
            }
            for each in (off | ramp, told, {"Conn": 1} if command.connected else {})
        )
        if isinstance(limit, Unwritable):
            return self._cut(writes(self._control, before)) if before else limit
        first = writes(self._control, {**before, "WMaxLimPct": limit, **after})
        return self._cut(in_order(first, writes(self._control, last)))

    def _cut(self, steps: tuple[Step, ...] | Unwritable) -> tuple[Step, ...] | Unwritable:
        """Cut writes into single registers where the family takes no others; all that 123 has to write are such."""
        return singly(steps) if self._habits.singly and not isinstance(steps, Unwritable) else steps

    def differs(self, command: Command, values: Values, *, ours: bool) -> str:
        """Compare the read-back of limit, enable, ramp and connection."""
        if command.connected is not None and has(values, "Conn") and values.get("Conn") != int(command.connected):
            return f"connection reads {shown(values, 'Conn')}"
        if values.get("WMaxLim_Ena") != 1:
            return f"limit enable reads {shown(values, 'WMaxLim_Ena')}"
        if has(values, "WMaxLimPct_RvrtTms") and values.get("WMaxLimPct_RvrtTms") != self._timer_ms(command):
            return f"reversion timer reads {shown(values, 'WMaxLimPct_RvrtTms')} ms"
        ramp_ms = self._ramp_ms(command, ours=ours)
        if ramp_ms is not None and has(values, "WMaxLimPct_RmpTms") and values.get("WMaxLimPct_RmpTms") != ramp_ms:
            return f"ramp time reads {shown(values, 'WMaxLimPct_RmpTms')} ms"
        wrong = off(values, "WMaxLimPct", self._limit(command, values))
        if not wrong and command.target_w is not None and command.target_w < 0:
            return "model 123 cannot charge by a set-point"
        return wrong

    def lends(self, command: Command) -> bool:
        """A ramp."""
        return command.ramp_ms is not None

    def changed(self, held: Values, values: Values, *, timer_ran: bool) -> Change:
        """Its timer only lifts the limit; what else changed was a restart or somebody else."""
        fallen: dict[str, Value | None] = {"WMaxLim_Ena": 0, "WMaxLimPct_RvrtTms": None}
        return judge(held, values, fallen if timer_ran else {}, _TOLD_LEGACY)

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

    def _ramp_ms(self, command: Command, *, ours: bool) -> int | None:
        """Give its ramp, in whole seconds rounded up; 0 leaves it to the device again, None leaves what is there."""
        if command.ramp_ms is None:
            return 0 if ours else None
        return min(-(-command.ramp_ms // 1000) * 1000, LEGACY_TIMER_MAX_MS)

    def _timer_ms(self, command: Command) -> int:
        """Give its timer, which is in 16 bits of seconds."""
        harmless = self._habits.timer and command.revert_limit_w >= self._max_w and command.energized is not False
        return min(whole_s(command.revert_after_ms), LEGACY_TIMER_MAX_MS) if harmless else 0


def _reverts(values: Values) -> bool:
    """Tell whether the device has a limit to revert to, its enable and its timer: none is of use alone."""
    return has(values, "WMaxLimPctRvrt", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms")


def _all_on(command: Command) -> int | None:
    """Give 0 where the command switches anything off, 1 where it switches on, None where nobody says."""
    said = [each for each in (command.connected, command.energized) if each is not None]
    return int(all(said)) if said else None


@lru_cache(maxsize=DECODED_MAX)
def _decoded(control: Reader, service: Reader | None, answers: tuple[bytes, ...]) -> Values:
    """Decode what devices read; one cache for all, since a timer's countdown makes every read of each another."""
    values = dict(control.decode(answers[0]))
    if service is not None:
        values |= service.decode(answers[1])
    return values


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
        points["WMaxLimPctRvrtTms"] = model.encode("WMaxLimPctRvrtTms", whole_s(revert_after_ms))
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
_TOLD_2018: Final = ("WMaxLimPctEna", "WMaxLimPct", "WMaxLimPctRvrt", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms")
LEGACY_TIMER_MAX_MS: Final = 65_534_000
_LIMITS_LEGACY: Final = (
    "Conn_RvrtTms",
    "Conn",
    "WMaxLimPct",
    "WMaxLimPct_RvrtTms",
    "WMaxLimPct_RmpTms",
    "WMaxLim_Ena",
    "WMaxLimPct_SF",
)
_TOLD_LEGACY: Final = ("WMaxLim_Ena", "WMaxLimPct", "WMaxLimPct_RvrtTms", "WMaxLimPct_RmpTms")


@lru_cache(maxsize=4096)
def controls(chain: Chain, max_w: int, habits: Habits = Habits()) -> Controls | None:  # noqa: B008 - it is a constant
    """Choose how the device is told: 704, else 123, else it is only monitored."""
    modern = part(chain, 704, _LIMITS_2018)
    if modern is not None:
        return Controls2018(modern, part(chain, 703, ("ES",)), max_w, habits)
    legacy = part(chain, 123, _LIMITS_LEGACY)
    return None if legacy is None else ControlsLegacy(legacy, max_w, habits)


METERS: Final = (*range(201, 205), *range(211, 215))
"""Meters of one phase, of split phase, wye and delta: whole numbers with scale factors, then floating point."""
METERED_MOST_W: Final = 1_000_000_000
"""More than any connection point carries: what reads beyond is no power."""
_METERED: Final = ("ID", "W", "PhV", "PPV", "Hz", "VAR")


def meter(chain: Chain) -> Part | None:
    """Choose the first meter of a device, or None where it has none."""
    return next((part(chain, block.id, _METERED) for block in chain.models if block.id in METERS), None)


def moved(live: Part, answer: bytes) -> bool:
    """Tell whether the meter is no longer where it was found; nothing but zeros does not say."""
    return any(answer) and number(live.reader.decode(answer), "ID") != live.model.id


def metered(live: Part, answer: bytes, now_ms: int, *, export_positive: bool) -> Reading:
    """Give the power that goes out into the grid (W).

    The models name no sign for W. Our reading: positive is import, since they count reactive energy imported in
    quadrants 1 and 2. Without voltage and frequency nothing is believed.
    """
    values = live.reader.decode(answer)
    if not any(number(values, name) for name in ("PhV", "PPV", "Hz")):
        return Unknown("it gives neither voltage nor frequency: not to be believed", now_ms)
    shown_w = number(values, "W")
    if shown_w is None:
        return Unknown(f"W: {shown(values, 'W')}", now_ms)
    if abs(shown_w) > METERED_MOST_W:
        return Unknown(f"W reads {shown_w} W, which no connection point carries", now_ms)
    return Known(shown_w if export_positive else -shown_w, now_ms)


def metered_beside(live: Part, answer: bytes, now_ms: int, *, export_positive: bool) -> tuple[Reading, Reading]:
    """Give the reactive power that goes out into the grid (var), and the voltage of a phase (mV).

    Our reading: VAR has the sign of W, for what is imported is counted in quadrants 1 and 2.
    """
    values = live.reader.decode(answer)
    reactive = reading(values.get("VAR", MISSING), now_ms)
    if isinstance(reactive, Known):
        if abs(reactive.value) > METERED_MOST_W:
            reactive = Unknown(f"VAR reads {reactive.value} var, which no connection point carries", now_ms)
        elif not export_positive:
            reactive = Known(-reactive.value, now_ms)
    return reactive, reading(values.get("PhV", MISSING), now_ms)
