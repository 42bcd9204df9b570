"""Commands -> controls of IEEE 2030.5; ratings, status, readings and responses of a device -> what the core hears.

Sign: opModTargetW and opModFixedW are positive for generation, as ours. A reading with flow direction 19, received from
the customer, is positive here; one with 1, delivered to the customer, is turned. Limits round down, set-points toward
zero. Source: IEEE 2030.5-2018 10.10 and its schema; CSIP-AUS (SA TS 5573).
"""

import hashlib
from enum import Enum
from typing import Final, NamedTuple

from gateway.core.alarms import FAULTS, Alarm
from gateway.core.events import NOT_STORED
from gateway.core.functions import Function
from gateway.core.known import Known, Reading, Unknown
from gateway.core.plan import Command
from gateway.southbound.sep2_server.config import LimitMode, Sep2ServerDevice, TargetMode
from gateway.wire.sep2.codes import ResponseCode
from gateway.wire.sep2.metering import ReadingType
from gateway.wire.sep2.quantities import ActivePower
from gateway.wire.sep2.resources import DERCapability, DERControlBase, DERSettings, DERStatus

WHOLE: Final = 10_000
"""All of it, in hundredths of a percent."""
RAMP_MAX: Final = 65_535
PLAUSIBLE: Final = 10**12
"""No device here has so many W, var or mV."""
UNIT_W: Final = 38
UNIT_VAR: Final = 63
UNIT_V: Final = 29
FORWARD: Final = 1
REVERSE: Final = 19
DER_ROLE: Final = 1 << 3
CONNECTED: Final = 1
_SFDI_HEX_DIGITS: Final = 9


class Scale(NamedTuple):
    """What shares are taken of (W): the most that a device is set to generate and to charge."""

    generation_w: int
    charge_w: int


class Ratings(NamedTuple):
    """What a device says of itself: the most it generates and charges (W), and what it stores when full (Wh)."""

    generation_max: Reading
    charge_max: Reading
    capacity_wh: int | None


class Word(Enum):
    """What a Response says of a control that is to be kept."""

    RECEIVED = "received"
    STARTED = "started"
    REFUSED = "refused"
    NOTHING = "nothing"


def cannot(command: Command, table: Sep2ServerDevice) -> tuple[tuple[Function, str], ...]:
    """Name what of a command no control published here bears, and why: the device is left as it was there."""
    lacking = [(mode.function, "the server of this gateway publishes no modes") for mode in command.modes]
    if command.floor_w is not None and command.target_w is None and table.limit_mode is LimitMode.RATING:
        lacking.append((Function.LOAD_LIMIT, 'limit_mode "rating" says nothing of what is drawn; give another one'))
    return tuple(lacking)


def sfdi(lfdi: str) -> int:
    """Give the short form of an LFDI: its first 36 bits, then a sum-of-digits check digit (2030.5-2018 6.3.3)."""
    number = int(lfdi[:_SFDI_HEX_DIGITS], 16)
    return number * 10 + -sum(map(int, str(number))) % 10


def mrid(*parts: object) -> str:
    """Give a lasting identifier (32 hexadecimal digits) for what these words name together."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:32].upper()


# -- what a device is told


def control(command: Command, table: Sep2ServerDevice, scale: Scale) -> DERControlBase:
    """Give the modes of a command; what it leaves to the device is left out."""
    watts = shares = None
    if command.target_w is not None and table.target_mode is TargetMode.WATTS:
        watts = _toward_zero(command.target_w)
    elif command.target_w is not None:
        of_w = scale.generation_w if command.target_w >= 0 else scale.charge_w
        shares = max(-WHOLE, min(WHOLE, _share(abs(command.target_w), of_w) * (1 if command.target_w >= 0 else -1)))
    lifted = command.floor_w is None and command.revert_floor_w is not None
    return _limited(
        DERControlBase(
            op_mod_connect=command.connected,
            op_mod_energize=command.energized,
            op_mod_fixed_w_hundredths=shares,
            op_mod_target_w=watts,
            ramp_tms_hundredths=None if command.ramp_ms is None else min(command.ramp_ms // 10, RAMP_MAX),
        ),
        Ends(command.limit_w, -scale.charge_w if lifted else command.floor_w),
        table.limit_mode,
        scale,
    )


def default(command: Command, table: Sep2ServerDevice, scale: Scale) -> DERControlBase:
    """Give the modes that hold without the gateway: the reversion limit; to be off or on outlives it (RULES C14)."""
    base = DERControlBase(op_mod_connect=command.connected, op_mod_energize=command.energized)
    return _limited(base, Ends(command.revert_limit_w, command.revert_floor_w), table.limit_mode, scale)


class Ends(NamedTuple):
    """Between what power is held (W); None where nothing limits what is drawn."""

    limit_w: int
    floor_w: int | None


def _limited(base: DERControlBase, ends: Ends, mode: LimitMode, scale: Scale) -> DERControlBase:
    export = generation = share = drawn = None
    if ends.floor_w is not None and mode is not LimitMode.RATING:
        drawn = ActivePower.at_most(-ends.floor_w)
    if mode is LimitMode.EXPORT:
        export = ActivePower.at_most(ends.limit_w)
    elif mode is LimitMode.GENERATION:
        generation = ActivePower.at_most(ends.limit_w)
    else:
        share = min(_share(ends.limit_w, scale.generation_w), WHOLE)
    return DERControlBase(
        op_mod_connect=base.op_mod_connect,
        op_mod_energize=base.op_mod_energize,
        op_mod_fixed_w_hundredths=base.op_mod_fixed_w_hundredths,
        op_mod_max_lim_w_hundredths=share,
        op_mod_target_w=base.op_mod_target_w,
        ramp_tms_hundredths=base.ramp_tms_hundredths,
        op_mod_exp_lim_w=export,
        op_mod_gen_lim_w=generation,
        op_mod_imp_lim_w=drawn if mode is LimitMode.EXPORT else None,
        op_mod_load_lim_w=drawn if mode is LimitMode.GENERATION else None,
    )


def _share(size_w: int, of_w: int) -> int:
    return size_w * WHOLE // of_w


def _toward_zero(target_w: int) -> ActivePower:
    return ActivePower.at_most(target_w) if target_w >= 0 else ActivePower.at_least(target_w)


# -- what a device says of itself


def ratings(capability: DERCapability | None, settings: DERSettings | None, at_ms: int) -> Ratings:
    """Give the most that a device generates and charges: as it is set, else as it is rated, else unknown."""
    generation = charge = stored = None
    if capability is not None:
        generation, charge = capability.rtg_max_w, capability.rtg_max_charge_rate_w
        stored = capability.rtg_max_wh
    if settings is not None:
        generation = settings.set_max_w
        charge = settings.set_max_charge_rate_w or charge
        stored = settings.set_max_wh or stored
    return Ratings(
        _most(generation, "the device has not said what it generates at most", at_ms),
        _most(charge, "the device has not said what it charges at most", at_ms),
        stored.floor() if stored is not None else None,
    )


def scale(said: Ratings, rated_w: int) -> Scale:
    """Give what shares are taken of: what the device says, else the rating in the site file."""
    generation, charge = said.generation_max, said.charge_max
    return Scale(
        generation.value if isinstance(generation, Known) and generation.value > 0 else rated_w,
        charge.value if isinstance(charge, Known) and charge.value > 0 else rated_w,
    )


def _most(power: ActivePower | None, why: str, at_ms: int) -> Reading:
    if power is None or power.value < 0:
        return Unknown(why, at_ms)
    return Known(power.floor_w(), at_ms)


def connected(status: DERStatus | None) -> bool | None:
    """Tell whether a device is connected: bit 0 of its generator's, else of its store's, connect status."""
    if status is None:
        return None
    connect = status.gen_connect_status or status.stor_connect_status
    return None if connect is None else bool(connect.value & CONNECTED)


def faults(status: DERStatus) -> tuple[Alarm, ...] | None:
    """Give what a device says is wrong by the bits of its alarmStatus; None where it says nothing of that."""
    if status.alarm_status is None:
        return None
    return tuple(fault for bit, fault in enumerate(FAULTS) if status.alarm_status >> bit & 1)


def stored(status: DERStatus | None, capacity_wh: int | None, at_ms: int) -> Reading:
    """Give the energy that can be taken out (Wh): the state of charge of what is stored when full."""
    if status is None or status.state_of_charge_status is None or capacity_wh is None:
        return NOT_STORED
    return Known(capacity_wh * status.state_of_charge_status.value // WHOLE, at_ms)


def measured(kind: ReadingType, value: int) -> int | None:
    """Give a reading in W, var or mV, positive for generation; None where its unit or its direction says nothing.

    Our reading: power without a flow direction could be either, so it is neither.
    """
    exponent = (kind.power_of_ten_multiplier or 0) + (3 if kind.uom == UNIT_V else 0)
    many, parts = int(10 ** max(0, exponent)), int(10 ** max(0, -exponent))
    size = (2 * value * many + parts) // (2 * parts)
    if abs(size) > PLAUSIBLE:
        return None
    if kind.uom == UNIT_V:
        return size
    if kind.uom in (UNIT_W, UNIT_VAR) and kind.flow_direction in (FORWARD, REVERSE):
        return size if kind.flow_direction == REVERSE else -size
    return None


# -- what a device says of a control


_WORDS: Final = {
    ResponseCode.RECEIVED: Word.RECEIVED,
    ResponseCode.STARTED: Word.STARTED,
    ResponseCode.COMPLETED: Word.NOTHING,
    ResponseCode.OPT_IN: Word.NOTHING,
    ResponseCode.PARTIAL_OPT_IN: Word.NOTHING,
    ResponseCode.ACKNOWLEDGED: Word.NOTHING,
    ResponseCode.CANNOT_BE_DISPLAYED: Word.NOTHING,
}


def word(status: int) -> Word | None:
    """Give what a Response's status says of a control that is in force; None where it is no status (table 27)."""
    try:
        return _WORDS.get(ResponseCode(status), Word.REFUSED)
    except ValueError:
        return None


def said(status: int) -> str:
    """Say a status for people."""
    return f"Response {status} ({ResponseCode(status).name.lower().replace('_', ' ')})"
