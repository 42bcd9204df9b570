"""Limits as SunSpec percentages, and why what a device was told changed (RULES A7, C14)."""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final

from gateway.southbound.sunspec_modbus.points import MISSING, Values, has, number, scales, shown
from gateway.wire.sunspec import Absent, Value

CENTI: Final = -2
FULL: Final = 10_000


class Change(Enum):
    """Why a device shows something else than what it held."""

    LAPSED = auto()
    """Its reversion timer ran out."""
    RESTARTED = auto()
    """It shows nothing of what it was told, and its limit is off; or it does not say what it was told."""
    FOREIGN = auto()
    """Neither: somebody else wrote it."""


def hundredths(limit_w: int, max_w: int) -> int:
    """Give a ceiling in hundredths of a percent of WMax, rounded down and at most 100 %."""
    return min(FULL, limit_w * FULL // max_w)


def whole_s(after_ms: int) -> int:
    """Round a time to whole seconds, as the timers count: down, but never to 0, which is no timer."""
    return max(1000, after_ms // 1000 * 1000)


def off(values: Values, name: str, expected: int) -> str:
    """Say how a percentage differs: it may read back below by less than one step of its scale, never above."""
    value, scale = number(values, name), number(values, "WMaxLimPct_SF")
    if value is None or scale is None:
        return f"{name} cannot be read back: {shown(values, name if value is None else 'WMaxLimPct_SF')}"
    step = 10 ** max(0, scale - CENTI)
    if expected - step < value <= expected:
        return ""
    return f"{name} reads {value / 100:g} %, not {expected / 100:g} %"


def judge(held: Values, values: Values, fallen: Mapping[str, Value | None], told: Sequence[str]) -> Change:
    """Judge a change of what was told, whose first point is the limit's enable.

    `fallen` is what each point may show once a timer ran out, None for anything. A restart leaves the limit off and
    nothing of what was told, but where that was none or all of it and so may be the device's own.
    """
    moved = [name for name, value in values.items() if value != held.get(name, MISSING)]
    if any(isinstance(values[name], Absent) for name in moved) or scales(held) != scales(values):
        return Change.RESTARTED
    if moved and all(name in fallen and fallen[name] in (None, values[name]) for name in moved):
        return Change.LAPSED
    gone = all(name in moved or held.get(name) in (0, FULL) for name in told if has(held, name))
    return Change.RESTARTED if gone and values.get(told[0]) == 0 else Change.FOREIGN
