"""Readings against commands: obeyed, hindered, disobeyed or unseen (RULES C15)."""

from enum import StrEnum
from typing import Final, NamedTuple

from gateway.core.known import Known, Reading, Unknown
from gateway.core.modes import FixedVar, Mode, PowerFactor, TargetVar, VarBase, in_words
from gateway.core.plan import Command
from gateway.core.units import HUNDREDTHS_OF_PERCENT


class Verdict(StrEnum):
    """What measurement says of a command."""

    OBEYED = "obeyed"
    HINDERED = "hindered"
    DISOBEYED = "disobeyed"
    UNSEEN = "unseen"


class Cause(StrEnum):
    """What holds a DER below an order, as far as readings tell (RULES B, level 0)."""

    VOLT_WATT = "volt-watt"
    CHARGE = "charge"
    SUN = "sun"
    OWN_LIMITS = "its own limits"


class Proof(NamedTuple):
    """A verdict, the reading and the reason behind it, and of `HINDERED` the cause."""

    verdict: Verdict
    why: str
    cause: Cause | None = None


NOT_ASKED: Final = Unknown("nobody asked", 0)


class Circumstances(NamedTuple):
    """What is known around a measurement: voltage (mV) and its nominal, energy that can be taken out (Wh) and capacity.

    A nominal voltage of 0 is not known, a capacity of 0 is that of a DER without a store.
    """

    voltage: Reading = NOT_ASKED
    nominal_voltage_mv: int = 0
    stored: Reading = NOT_ASKED
    capacity_wh: int = 0


NOTHING_AROUND: Final = Circumstances()
VOLT_WATT_PCT: Final = 106
"""Where the default volt-watt curve begins, in percent of nominal voltage (IEEE 1547-2018, 5.4.2, table 31)."""
STORE_END_PCT: Final = 5
"""A store is empty or full within this much of its capacity. Our reading: the reserve that makers keep."""


def tolerance_w(rated_w: int) -> int:
    """Give how far a measurement may lie off: 2 % of the rating and at least 20 W (accuracy class of SunSpec 701)."""
    return max(20, rated_w // 50)


def verify(command: Command, power: Reading, rated_w: int, around: Circumstances = NOTHING_AROUND) -> Proof:
    """Hold a settled measurement (W at the DER) against its command.

    A limit that does not bind is kept. Less than a set-point is hindered: sun, charge or the device's own protective
    functions may hold power below an order, and that is obedience (RULES B, level 0). Its cause is named by what is
    known `around` it.
    """
    if isinstance(power, Unknown):
        return Proof(Verdict.UNSEEN, power.why)
    return _measured(command, power.value, tolerance_w(rated_w), around)


def _measured(command: Command, measured_w: int, slack_w: int, around: Circumstances) -> Proof:
    if command.connected is False or command.energized is False:
        if abs(measured_w) > slack_w:
            return Proof(Verdict.DISOBEYED, f"{measured_w} W though ordered off")
        return Proof(Verdict.OBEYED, f"{measured_w} W, off{_by_tolerance(abs(measured_w), slack_w)}")
    if measured_w > command.limit_w + slack_w:
        return Proof(Verdict.DISOBEYED, f"measured {measured_w} W against the limit of {command.limit_w} W")
    if command.target_w is None:
        by = _by_tolerance(measured_w - command.limit_w, slack_w)
        return Proof(Verdict.OBEYED, f"{measured_w} W within {command.limit_w} W{by}")
    beyond_w, short_w = measured_w - command.target_w, command.target_w - measured_w
    if command.target_w < 0:
        beyond_w, short_w = short_w, beyond_w
    if beyond_w > slack_w or (command.target_w < 0 and measured_w > slack_w):
        return Proof(Verdict.DISOBEYED, f"{measured_w} W past the set-point of {command.target_w} W")
    if short_w > slack_w:
        cause = hindrance(command.target_w, around)
        return Proof(Verdict.HINDERED, f"hindered ({cause}): {measured_w} W of the {command.target_w} W ordered", cause)
    by = _by_tolerance(max(beyond_w, short_w), slack_w)
    return Proof(Verdict.OBEYED, f"{measured_w} W at the set-point of {command.target_w} W{by}")


def verify_floor(command: Command, power: Reading, rated_w: int) -> Proof | None:
    """Hold a settled measurement (W at the DER, `rated_w` the most that it draws) against the command's floor.

    None where there is none. A floor that does not bind is kept, and so is one of a DER that is ordered off.
    """
    if command.floor_w is None:
        return None
    if isinstance(power, Unknown):
        return Proof(Verdict.UNSEEN, power.why)
    drawn_w, most_w, slack_w = -power.value, -command.floor_w, tolerance_w(rated_w)
    if drawn_w > most_w + slack_w:
        return Proof(Verdict.DISOBEYED, f"draws {drawn_w} W against the limit of {most_w} W")
    by = _by_tolerance(drawn_w - most_w, slack_w)
    return Proof(Verdict.OBEYED, f"draws {max(0, drawn_w)} W within {most_w} W{by}")


def verify_var(mode: Mode, power: Reading, reactive: Reading, rated_w: int) -> Proof | None:
    """Hold settled measurements (W, var) against a mode that says how much reactive power to give; None for the others.

    Curves act only now and then: their read-back proves them (C15). Less than ordered is hindered, since a DER gives
    what its ratings leave beside active power (RULES B, level 0); more, or the other way, is disobeyed.
    """
    match mode:
        case TargetVar(var=var):
            wanted_var = var
        case FixedVar(base=VarBase.MAX_W, hundredths=hundredths):
            wanted_var = rated_w * hundredths // HUNDREDTHS_OF_PERCENT
        case PowerFactor():
            return _displaced(mode, power, reactive, tolerance_var(rated_w))
        case _:
            return None
    if isinstance(reactive, Unknown):
        return Proof(Verdict.UNSEEN, reactive.why)
    slack_var, sign = tolerance_var(rated_w), -1 if wanted_var < 0 else 1
    given_var, ordered = sign * reactive.value, f"{reactive.value} var against the {wanted_var} var ordered"
    if given_var > sign * wanted_var + slack_var or given_var < -slack_var:
        return Proof(Verdict.DISOBEYED, ordered)
    if given_var < sign * wanted_var - slack_var:
        return Proof(Verdict.HINDERED, f"hindered ({Cause.OWN_LIMITS}): {ordered}", Cause.OWN_LIMITS)
    return Proof(Verdict.OBEYED, ordered)


def tolerance_var(rated_w: int) -> int:
    """Give how far reactive power may lie off (var): 5 % of the rating (IEEE 1547-2018, table 3), at least 20 var."""
    return max(20, rated_w // 20)


def _displaced(mode: PowerFactor, power: Reading, reactive: Reading, slack_var: int) -> Proof | None:
    """Compare squares, so that no root is taken: var * pf against W * sqrt(1 - pf * pf)."""
    if isinstance(reactive, Unknown):
        return Proof(Verdict.UNSEEN, reactive.why)
    if isinstance(power, Unknown):
        return Proof(Verdict.UNSEEN, power.why)
    held = mode.injecting if power.value >= 0 else mode.absorbing
    if held is None:
        return None
    pf, whole = held.pf_ten_thousandths, HUNDREDTHS_OF_PERCENT
    wanted = power.value * power.value * (whole * whole - pf * pf)
    given_var = -reactive.value if held.absorbs else reactive.value
    ordered = f"{reactive.value} var at {power.value} W, {in_words(mode)}"
    if given_var < -slack_var or _square(max(0, given_var - slack_var) * pf) > wanted:
        return Proof(Verdict.DISOBEYED, ordered)
    if _square((given_var + slack_var) * pf) < wanted:
        return Proof(Verdict.HINDERED, f"hindered ({Cause.OWN_LIMITS}): {ordered}", Cause.OWN_LIMITS)
    return Proof(Verdict.OBEYED, ordered)


def _square(number: int) -> int:
    return number * number


def _by_tolerance(over_w: int, slack_w: int) -> str:
    """Say by which tolerance (W) a measurement that lies over is obeyed all the same; nothing where none does."""
    return f", by the tolerance of {slack_w} W" if over_w > 0 else ""


def hindrance(target_w: int, around: Circumstances) -> Cause:
    """Name what most likely holds a DER short of a set-point (W); what is unknown is never the cause."""
    generates = target_w > 0
    if target_w == 0:
        return Cause.OWN_LIMITS
    if generates and _volts_high(around):
        return Cause.VOLT_WATT
    if around.capacity_wh > 0:
        return Cause.CHARGE if _exhausted(around, generates=generates) else Cause.OWN_LIMITS
    return Cause.SUN if generates else Cause.OWN_LIMITS


def _volts_high(around: Circumstances) -> bool:
    if not isinstance(around.voltage, Known) or around.nominal_voltage_mv <= 0:
        return False
    return around.voltage.value * 100 >= around.nominal_voltage_mv * VOLT_WATT_PCT


def _exhausted(around: Circumstances, *, generates: bool) -> bool:
    """Tell whether a store is empty, for one that generates, or full, for one that charges."""
    if not isinstance(around.stored, Known):
        return False
    left_wh = around.stored.value if generates else around.capacity_wh - around.stored.value
    return left_wh * 100 <= around.capacity_wh * STORE_END_PCT
