"""One question's states of the feeder: the corners of a box, each with taps as they stand and after they have moved.

Our reading of which corners are enough: power into a phase lifts that phase; through the coupling of the lines it lifts
the phase behind it and lowers the one before. So all single-phase resources of one phase go together, each phase high
or low, and beside each of these all that are on several phases high or low: at most 16 corners, four of them where only
two phases are in use, and the unbalanced ones bind more often than not. Inside the box a voltage or current lies
between those of the corners as long as no tap moves; after taps have moved it does so to within a part of a step.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.grid.worker.circuit import Circuit, Floats, Flow, Incredible, Taps
from gateway.grid.worker.limits import Breach, Limits


class Box(NamedTuple):
    """How far every resource may run (W), in the order of the places."""

    low_w: Floats
    high_w: Floats


class Failing(NamedTuple):
    """Where a box fails: a corner, whether taps have moved, and the limit."""

    corner: int
    settle: bool
    breach: Breach


def corners(touches: Mapping[str, frozenset[int]]) -> list[NDArray[np.bool_]]:
    """Give which resources are high in each corner: all, none, and every mix of phases."""
    several = np.array([len(phases) > 1 for phases in touches.values()], dtype=bool)
    on = [np.array([phases == {phase} for phases in touches.values()], dtype=bool) for phase in range(3)]
    found: list[NDArray[np.bool_]] = []
    for number in (15, *range(15)):
        mask = np.zeros(len(touches), dtype=bool)
        for bit, members in enumerate((*on, several)):
            mask |= members & bool(number >> bit & 1)
        if not any((mask == known).all() for known in found):
            found.append(mask)
    return found


class Trial:
    """The states of one question; each is solved once."""

    def __init__(self, circuit: Circuit, limits: Limits, shares: Floats, reactive_var: Floats, without: Box) -> None:
        """Take the box with nothing asked for; `shares` has a row a resource: each device's part of its power."""
        self._circuit = circuit
        self._limits = limits
        self._shares = shares
        self._reactive_var = reactive_var
        self._without = without
        self._taps: Taps | None = None
        self._known: dict[tuple[bytes, bool], Flow | Breach] = {}
        self._masks = corners(circuit.touches)
        self._order = [(corner, settle) for settle in (False, True) for corner in range(len(self._masks))]

    def stand(self, power_w: Floats, taps: Taps | None) -> Taps:
        """Let the taps settle at this power, from where they stood; all states start there. Raises Incredible."""
        flow = self._circuit.flow(self._devices(power_w), self._reactive_var, taps, settle=True)
        self._taps = flow.taps
        return flow.taps

    def _devices(self, power_w: Floats) -> Floats:
        return np.asarray(power_w @ self._shares, dtype=float)

    def failing(self, box: Box) -> Failing | None:
        """Give a state of the box that breaks a limit, None where there is none; what failed last is tried first."""
        for place, (corner, settle) in enumerate(self._order):
            breach = self._breach(box, corner, settle=settle)
            if breach is not None:
                self._order.insert(0, self._order.pop(place))
                return Failing(corner, settle, breach)
        return None

    def _breach(self, box: Box, corner: int, *, settle: bool) -> Breach | None:
        found = self.flow(box, corner, settle=settle)
        if isinstance(found, Breach):
            return found
        return self._limits.breach(found, lambda: self._before(corner, settle=settle))

    def _before(self, corner: int, *, settle: bool) -> Flow:
        """Give the same state with nothing asked for; raises Incredible where the feeder has none."""
        found = self.flow(self._without, corner, settle=settle)
        if isinstance(found, Breach):
            raise Incredible(f"with nothing asked for, {found.flaw}")
        return found

    def flow(self, box: Box, corner: int, *, settle: bool) -> Flow | Breach:
        """Solve one state of the box."""
        power_w = np.where(self._masks[corner], box.high_w, box.low_w)
        key = power_w.tobytes(), settle
        if key not in self._known:
            try:
                self._known[key] = self._circuit.flow(
                    self._devices(power_w), self._reactive_var, self._taps, settle=settle
                )
            except Incredible as error:
                self._known[key] = Breach(0, -1, 1.0, str(error))
        return self._known[key]

    def all_flows(self, box: Box) -> Iterator[Flow]:
        """Give all states of the box that have figures."""
        for corner, settle in self._order:
            found = self.flow(box, corner, settle=settle)
            if isinstance(found, Flow):
                yield found
