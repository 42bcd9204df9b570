"""Which limit of the feeder a power flow breaks most, and how near it comes to any."""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from gateway.grid.talk import Setup
from gateway.grid.worker.circuit import Circuit, Flow

HAIR_PU: Final = 0.001
HAIR_PERMILLE: Final = 10.0
"""By so much a limit that is broken already may be worsened: less than a meter can tell, and more than a resource does
to the loading of a branch that is not on its way."""
GUARD_PU: Final = 1e-5
GUARD_PERMILLE: Final = 0.05
"""By so much a limit is kept more strictly than it is set, so that another run of the engine finds it kept."""


class Breach(NamedTuple):
    """A limit that a flow breaks: a node's upper (1) or lower (-1) voltage, a branch's loading (0), or the flow's own.

    `place` counts nodes or branches; `flaw` says what is wrong with a flow that has no figures. `excess` is what is
    beyond the limit, as a part of the band of voltages or of the loading.
    """

    side: int
    place: int
    excess: float
    flaw: str = ""


class Worst(NamedTuple):
    """The figures of a flow that come nearest to a limit or lie furthest beyond it, and where."""

    voltage_pu: float
    voltage_place: int
    loading_permille: float
    loading_place: int


class Limits:
    """The limits of one feeder."""

    def __init__(self, setup: Setup, circuit: Circuit) -> None:
        """Take them from the setup; the circuit names what is limited."""
        self._low_pu, self._high_pu = setup.voltage_min_pu, setup.voltage_max_pu
        self._permille = float(setup.loading_max_permille)
        self._circuit = circuit

    def breach(self, flow: Flow, without: Callable[[], Flow]) -> Breach | None:
        """Give the limit that is broken most, None where all are kept.

        `without` gives the flow in the same state with nothing asked for. What is broken there already counts only
        where it is worsened by more than a hair (our reading): else nothing could ever be granted on a feeder with
        one weak spot, and refusing would not heal it.
        """
        voltage, loading = flow.voltage_pu, flow.loading_permille
        high, low = self._high_pu - GUARD_PU, self._low_pu + GUARD_PU
        most = self._permille - GUARD_PERMILLE
        if not ((voltage > high).any() or (voltage < low).any() or (loading > most).any()):
            return None
        before = without()
        was_v, was_l = before.voltage_pu, before.loading_permille
        band = self._high_pu - self._low_pu
        over = (voltage - np.where(was_v > high, was_v + HAIR_PU, high)) / band
        under = (np.where(was_v < low, was_v - HAIR_PU, low) - voltage) / band
        heavy = (loading - np.where(was_l > most, was_l + HAIR_PERMILLE, most)) / self._permille
        found = [
            Breach(side, int(excess.argmax()), float(excess.max()))
            for side, excess in ((1, over), (-1, under), (0, heavy))
            if excess.size and excess.max() > 0
        ]
        return max(found, key=lambda one: one.excess, default=None)

    def worst(self, flow: Flow) -> Worst:
        """Give what comes nearest to a limit."""
        voltage, loading = flow.voltage_pu, flow.loading_permille
        at = int(np.maximum(voltage - self._high_pu, self._low_pu - voltage).argmax())
        if not loading.size:
            return Worst(float(voltage[at]), at, 0.0, -1)
        heavy = int(loading.argmax())
        return Worst(float(voltage[at]), at, float(loading[heavy]), heavy)

    def distance(self, worst: Worst) -> float:
        """Give how far a voltage is beyond its nearer limit (pu), negative inside."""
        return max(worst.voltage_pu - self._high_pu, self._low_pu - worst.voltage_pu)

    def says(self, breach: Breach, flow: Flow | None) -> str:
        """Name the limit in one line, with the figure that `flow` shows there."""
        if breach.flaw or flow is None:
            return breach.flaw
        if breach.side == 0:
            percent, most = flow.loading_permille[breach.place] / 10, self._permille / 10
            name, rating = self._circuit.branches[breach.place], self._circuit.ratings[breach.place]
            return f"{name} at {percent:.0f} % of {rating}" + (f", at most {most:g} %" if most != 100 else "")
        limit = f"at most {self._high_pu:g}" if breach.side > 0 else f"at least {self._low_pu:g}"
        return f"voltage {flow.voltage_pu[breach.place]:.3f} pu at {self._circuit.nodes[breach.place]}, {limit}"
