"""Limits on what a device draws: model 124's charging rate beside the controls of models 704 or 123.

InWRte is a percentage of WChaMax, rounded down, and holds while bit 0 of StorCtl_Mod is set. Its timer lifts the limit
instead of setting a value, so none is set (RULES C14). Our reading: a device without model 124 is not told to rest
where only what it draws is limited, since that would take its generation too; the order is told that it is not carried.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from gateway.core.functions import Function
from gateway.core.plan import Command
from gateway.southbound.sunspec_modbus.limits import Change, hundredths
from gateway.southbound.sunspec_modbus.points import (
    MISSING,
    Ask,
    Part,
    Step,
    Values,
    has,
    in_order,
    number,
    part,
    shown,
    singly,
    writes,
)
from gateway.southbound.sunspec_modbus.profiles import Habits
from gateway.southbound.sunspec_modbus.translate import Controls
from gateway.southbound.sunspec_modbus.translate import controls as generating
from gateway.wire.sunspec import Chain, Side, Unwritable

_POINTS: Final = ("WChaMax", "WChaMax_SF", "StorCtl_Mod", "InWRte", "InOutWRte_SF", "InOutWRte_RvrtTms")
_NEEDED: Final = ("WChaMax", "StorCtl_Mod", "InWRte", "InOutWRte_SF")
_CHARGE: Final = 1
CENTI: Final = -2

Lacking = tuple[tuple[Function, str], ...]
NOT_LIMITED: Final = "it has no limit on what it draws (model 124 with InWRte)"


class Charging:
    """The controls of a device that stores: those of what it generates, and the limit on what it draws."""

    def __init__(self, told: Controls, store: Part, habits: Habits) -> None:
        """Stand beside the controls of what it generates."""
        self._told, self._store, self._habits = told, store, habits
        self.reads: tuple[Ask, ...] = (*told.reads, store.ask)

    def decode(self, answers: Sequence[bytes]) -> Values:
        """Decode the answers to `reads`."""
        return {**self._told.decode(answers[:-1]), **self._store.reader.decode(answers[-1])}

    def steps(self, command: Command, values: Values, *, ours: bool) -> tuple[Step, ...] | Unwritable:
        """Write what limits generation, then the rate, and what enables it last."""
        drawn = self._steps(command, values, ours=ours)
        return in_order(self._told.steps(command, values, ours=ours), drawn)

    def differs(self, command: Command, values: Values, *, ours: bool) -> str:
        """Compare the read-back; a rate reads back at most one step of its scale below what was written."""
        return self._told.differs(command, values, ours=ours) or self._differs(command, values, ours=ours)

    def lends(self, command: Command) -> bool:
        """What the other controls lend, and a limit on what it draws."""
        return self._told.lends(command) or command.floor_w is not None

    def lapses(self, command: Command, values: Values) -> bool:
        """As the other controls do: the rate has no timer."""
        return self._told.lapses(command, values)

    def changed(self, held: Values, values: Values, *, timer_ran: bool) -> Change:
        """Judge how what was told changed."""
        return self._told.changed(held, values, timer_ran=timer_ran)

    def reverted(self, command: Command, values: Values) -> bool:
        """As the other controls do."""
        return self._told.reverted(command, values)

    def _steps(self, command: Command, values: Values, *, ours: bool) -> tuple[Step, ...] | Unwritable:
        wanted = _wanted(command, values)
        if wanted is None or (command.floor_w is None and not ours):
            return ()
        mode = number(values, "StorCtl_Mod") or 0
        encode, scale = self._store.model.encode, values.get("InOutWRte_SF", MISSING)
        if command.floor_w is None:
            off = {"StorCtl_Mod": encode("StorCtl_Mod", mode & ~_CHARGE)}
            return self._cut(writes(self._store, off) if mode & _CHARGE else ())
        points = {"InWRte": encode("InWRte", wanted, scale_factor=scale, exponent=CENTI, side=Side.FLOOR)}
        if number(values, "InOutWRte_RvrtTms"):
            points["InOutWRte_RvrtTms"] = encode("InOutWRte_RvrtTms", 0)
        enable = {"StorCtl_Mod": encode("StorCtl_Mod", mode | _CHARGE)}
        return self._cut(in_order(writes(self._store, points), writes(self._store, enable)))

    def _cut(self, steps: tuple[Step, ...] | Unwritable) -> tuple[Step, ...] | Unwritable:
        return singly(steps) if self._habits.singly and not isinstance(steps, Unwritable) else steps

    def _differs(self, command: Command, values: Values, *, ours: bool) -> str:
        wanted = _wanted(command, values)
        if wanted is None:
            return ""
        is_on = bool((number(values, "StorCtl_Mod") or 0) & _CHARGE)
        if command.floor_w is None:
            return "its limit on charging is still on" if ours and is_on else ""
        if not is_on:
            return f"charge control reads {shown(values, 'StorCtl_Mod')}"
        rate = number(values, "InWRte")
        step = 10 ** max(0, (number(values, "InOutWRte_SF") or 0) - CENTI)
        if rate is not None and wanted - step < rate <= wanted:
            return ""
        return f"InWRte reads {shown(values, 'InWRte')}, not {wanted} hundredths of a percent"


def _most_w(values: Values) -> int:
    return number(values, "WChaMax") or 0


def _wanted(command: Command, values: Values) -> int | None:
    """Give the rate (hundredths of a percent of WChaMax) of a command; None where the device has none."""
    most_w = _most_w(values)
    if most_w <= 0 or not has(values, *_NEEDED):
        return None
    return hundredths(-(command.floor_w or 0), most_w)


def lacking(control: Controls | None, command: Command, values: Values | None) -> Lacking:
    """Name the limit on what it draws where a device has none; a set-point holds it by itself."""
    if command.floor_w is None or command.target_w is not None:
        return ()
    if isinstance(control, Charging) and values is not None and _wanted(command, values) is not None:
        return ()
    return ((Function.LOAD_LIMIT, NOT_LIMITED),)


@lru_cache(maxsize=4096)
def controls(chain: Chain, max_w: int, habits: Habits = Habits()) -> Controls | None:  # noqa: B008 - it is a constant
    """Choose how the device is told, with the limit on what it draws where it has model 124; None: only monitored."""
    told, store = generating(chain, max_w, habits), part(chain, 124, _POINTS)
    return told if told is None or store is None else Charging(told, store, habits)
