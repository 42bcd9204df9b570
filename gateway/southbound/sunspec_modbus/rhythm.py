"""When a device is polled: each in a phase of its own, so that a fleet spreads over the period."""

import math
import zlib


class Rhythm:
    """The phase of one device, and whether it is in it yet."""

    def __init__(self, device: str) -> None:
        """Take the phase from the name, so that it is the same after a restart."""
        self._phase = zlib.crc32(device.encode()) / 2**32
        self._in_phase = False

    def forget(self) -> None:
        """Find into the phase again after the next poll."""
        self._in_phase = False

    def after(self, due_s: float, wall_s: float, period_s: float) -> float:
        """Give the time (s) of the poll after one that was due then and comes now.

        A late one keeps its place in the period, so that a stall bunches none.
        """
        if self._in_phase:
            return due_s + period_s * max(1, math.ceil((wall_s - due_s) / period_s))
        self._in_phase = True
        return wall_s + period_s * self._phase
