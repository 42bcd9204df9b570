"""Watching what a device holds: a change that neither it nor this gateway made is a foreign hand (RULES A7)."""

from typing import Final

from gateway.core.plan import Command
from gateway.southbound.sunspec_modbus.limits import Change
from gateway.southbound.sunspec_modbus.points import Values
from gateway.southbound.sunspec_modbus.translate import Controls

TIMER_EARLY_MS: Final = 2_000
"""How much earlier than told a device's reversion timer may run out, by its clock and ours."""


class Watch:
    """Holds what a device showed once it had settled on what it was told, and the last change told of.

    Nothing is held until the device was seen to stay at what it was told, so that its own answer to a write, however
    it differs, is never taken for another's.
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held: Values | None = None
        self._told: Values | None = None

    @property
    def holds(self) -> bool:
        """Tell whether there is anything to compare with."""
        return self._held is not None

    def forget(self) -> None:
        """Hold nothing: the device is told something new, or was lost and may have restarted meanwhile."""
        self._held = self._told = None

    def keep(self, values: Values, *, settled: bool) -> None:
        """Take what the device shows while it is at what is wanted."""
        self._told = None
        if settled:
            self._held = values

    def foreign(self, control: Controls, command: Command, values: Values, waited_ms: float) -> bool:
        """Tell, once for each change, whether what the device shows was written by somebody else.

        `waited_ms` is the time since the device took the last write of ours.
        """
        held = self._held
        if held is None or values == self._told:
            return False
        timer_ran = control.lapses(command, held) and waited_ms >= command.revert_after_ms - TIMER_EARLY_MS
        if control.changed(held, values, timer_ran=timer_ran) is not Change.FOREIGN:
            return False
        self._told = values
        return True
