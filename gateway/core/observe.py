"""Readings against commands: obeyed, hindered, disobeyed or unseen (RULES C15)."""

from enum import StrEnum
from typing import NamedTuple

from gateway.core.known import Known, Reading, Unknown
from gateway.core.plan import Command


class Verdict(StrEnum):
    """What measurement says of a command."""

    OBEYED = "obeyed"
    HINDERED = "hindered"
    DISOBEYED = "disobeyed"
    UNSEEN = "unseen"


class Proof(NamedTuple):
    """A verdict, and the reading and the reason behind it."""

    verdict: Verdict
    why: str


def tolerance_w(rated_w: int) -> int:
    """Give how far a measurement may lie off: 2 % of the rating and at least 20 W (accuracy class of SunSpec 701)."""
    return max(20, rated_w // 50)


def verify(command: Command, power: Reading, rated_w: int) -> Proof:
    """Hold a settled measurement (W at the DER) against its command.

    A limit that does not bind is kept. Less than a set-point is hindered: sun, charge or the device's own protective
    functions may hold power below an order, and that is obedience (RULES B, level 0).
    """
    if isinstance(power, Unknown):
        return Proof(Verdict.UNSEEN, power.why)
    return _measured(command, power, tolerance_w(rated_w))


def _measured(command: Command, power: Known, slack_w: int) -> Proof:
    measured_w = power.value
    if command.connected is False or command.energized is False:
        if abs(measured_w) > slack_w:
            return Proof(Verdict.DISOBEYED, f"{measured_w} W though ordered off")
        return Proof(Verdict.OBEYED, f"{measured_w} W, off")
    if measured_w > command.limit_w + slack_w:
        return Proof(Verdict.DISOBEYED, f"measured {measured_w} W against the limit of {command.limit_w} W")
    if command.target_w is None:
        return Proof(Verdict.OBEYED, f"{measured_w} W within {command.limit_w} W")
    beyond_w, short_w = measured_w - command.target_w, command.target_w - measured_w
    if command.target_w < 0:
        beyond_w, short_w = short_w, beyond_w
    if beyond_w > slack_w or (command.target_w < 0 and measured_w > slack_w):
        return Proof(Verdict.DISOBEYED, f"{measured_w} W past the set-point of {command.target_w} W")
    if short_w > slack_w:
        return Proof(Verdict.HINDERED, f"{measured_w} W of the {command.target_w} W ordered is what there is")
    return Proof(Verdict.OBEYED, f"{measured_w} W at the set-point of {command.target_w} W")
