"""The circuit in OpenDSS, and what one power flow of it shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import opendssdirect
from numpy.typing import NDArray

from gateway.grid.talk import Place
from gateway.grid.worker.files import model_hash
from gateway.grid.worker.load import PHASES, ModelFault, bus_and_phases, load

Floats = NDArray[np.float64]

CREDIBLE_PU: Final = (0.5, 1.5)
ENERGIZED_PU: Final = 0.1
SERVED_SLACK: Final = 0.5
"""Served load may differ from nominal by this part of it before the flow is not believed: load may follow voltage."""
LOST: Final = 0.1
"""The part of what the DER do that may be lost or gained by other losses and other voltages at the loads."""
FROZEN, STATIC = -1, 0
OPPOSITE_DEG: Final = 150.0


class Incredible(Exception):  # noqa: N818 - it says what the flow is
    """A power flow has no solution that can be believed; the text says why."""


class Taps(NamedTuple):
    """Where all regulated windings (ratio) and switched capacitors (steps) stand."""

    ratios: tuple[float, ...]
    steps: tuple[tuple[int, ...], ...]


class Flow(NamedTuple):
    """One power flow: voltage (pu) of every watched node, loading (per mille) of every watched branch, taps."""

    voltage_pu: Floats
    loading_permille: Floats
    taps: Taps


class Circuit:
    """A compiled model with its devices connected.

    Watched are the phases that have voltage as the model stands, lines by their normal rating (A) and transformers by
    the rating of their first winding (kVA), which is stricter than the engine's own 110 % of it (our reading).
    """

    def __init__(self, model: Path, places: Mapping[str, tuple[Place, ...]]) -> None:
        """Load the model; raises ModelFault where it cannot be used or has no credible power flow as it stands.

        Raises OSError where a text of the model cannot be read.
        """
        self._model = model
        self._places = places
        self.hash = ""
        self._devices = [place for those in places.values() for place in those]
        self._dss: Any = opendssdirect.dss.NewContext()
        self._load()
        try:
            self._solve(STATIC)
        except Incredible as error:
            raise ModelFault(f"{model}: as it stands, {error}; correct the model") from error
        self._watch_nodes()
        self._watch_branches()
        self._believe_loads()
        self.touches = {resource: self._phases(those) for resource, those in places.items()}

    def _load(self) -> None:
        """Load the model; raises ModelFault where its files are no longer those that it was loaded from at first."""
        dss = self._dss
        now = model_hash(self._model, self._places)
        self.hash = self.hash or now
        if now != self.hash:
            raise ModelFault(f"{self._model}: it was changed since it was loaded; it is loaded anew")
        self._own_loads = load(dss, self._model, self._devices)
        self._regulated = list(
            dict.fromkeys((dss.RegControls.Transformer(), dss.RegControls.TapWinding()) for _ in dss.RegControls)
        )
        self._switched = list(dict.fromkeys(dss.CapControls.Capacitor() for _ in dss.CapControls))
        self._told_w = np.full(len(self._devices), np.nan)
        self._told_var = np.full(len(self._devices), np.nan)

    # -- what is looked at

    def _watch_nodes(self) -> None:
        names = self._dss.Circuit.AllNodeNames()
        phase = np.array([int(name.rpartition(".")[2]) <= PHASES for name in names], dtype=bool)
        voltages = np.asarray(self._dss.Circuit.AllBusMagPu(), dtype=float)
        self._watched = phase & (voltages > ENERGIZED_PU)
        self.nodes = [name for name, kept in zip(names, self._watched, strict=True) if kept]
        dead = {name.partition(".")[0] for name, alive in zip(names, voltages > ENERGIZED_PU, strict=True) if not alive}
        faults = [
            f'device "{place.device}": bus "{place.bus}" has no voltage as the model stands; check its switches'
            for place in self._devices
            if bus_and_phases(place)[0] in dead
        ]
        if faults or not self.nodes:
            raise ModelFault(*(faults or [f"{self._model}: no node has voltage; check its source and switches"]))
        try:
            _check_band(voltages[self._watched], self.nodes)
        except Incredible as error:
            raise ModelFault(f"{self._model}: as it stands, {error}; correct the model") from error

    def _watch_branches(self) -> None:
        dss = self._dss
        self.branches: list[str] = []
        self.ratings: list[str] = []
        places, scales = [], []
        for index, name in enumerate(dss.PDElements.AllNames()):
            kind, _, own = name.partition(".")
            dss.Circuit.SetActiveElement(name)
            normal_a = dss.CktElement.NormalAmps()
            if kind.lower() not in ("line", "transformer") or not normal_a > 0 or not dss.CktElement.Enabled():
                continue
            scale, rating = 1.0, f"{normal_a:g} A"
            if kind.lower() == "transformer":
                dss.Transformers.Name(own)
                dss.Transformers.Wdg(1)
                kva = dss.Transformers.kVA()
                dss.Text.Command(f"? {name}.normhkva")
                scale, rating = float(dss.Text.Result()) / kva, f"{kva:g} kVA"
            self.branches.append(f"{kind.lower()} {own}")
            self.ratings.append(rating)
            places.append(index)
            scales.append(10 * scale)
        self._branch_places = np.array(places, dtype=int)
        self._permille = np.array(scales)

    def _believe_loads(self) -> None:
        """Compare what the loads are served with what they are rated to take; see whether the flow is the model's."""
        dss = self._dss
        served_kw = nominal_kw = 0.0
        for number, name in enumerate(dss.Loads.AllNames(), 1):
            dss.Loads.Idx(number)
            nominal_kw += dss.Loads.kW() * dss.Solution.LoadMult()
            dss.Circuit.SetActiveElement(f"load.{name}")
            served_kw += sum(dss.CktElement.Powers()[::2])
        self._slack_kw = SERVED_SLACK * abs(nominal_kw) + 1.0
        if not abs(served_kw - nominal_kw) <= self._slack_kw:
            what = f"{served_kw:.0f} kW are served of {nominal_kw:.0f} kW of load"
            raise ModelFault(f"{self._model}: as it stands, {what}; check its sources, switches and voltages")
        self._at_rest_kw = self._net_kw()

    def _net_kw(self) -> float:
        """Give what all loads take, less what DER and generators give."""
        circuit = self._dss.Circuit
        return float(-circuit.TotalPower()[0] - circuit.Losses()[0] / 1000)

    def _phases(self, places: Sequence[Place]) -> frozenset[int]:
        """Give the phases (0, 1, 2) that devices are on, by the angle of their voltage.

        A node's number says nothing behind a centre-tapped transformer, where both legs belong to one phase: wherever
        the two nodes of a bus are in opposition, the angle of the first counts for both.
        """
        found: set[int] = set()
        for place in places:
            bus, named = bus_and_phases(place)
            self._dss.Circuit.SetActiveBus(bus)
            polar = self._dss.Bus.puVmagAngle()
            angles = {node: polar[2 * at + 1] for at, node in enumerate(self._dss.Bus.Nodes()) if node <= PHASES}
            first, *others = angles.values()
            if len(others) == 1 and _apart_deg(first, others[0]) > OPPOSITE_DEG:
                found.add(_phase(first))
            else:
                found.update(_phase(angles[node]) for node in named or angles)
        return frozenset(found)

    # -- solving

    def flow(self, power_w: Floats, reactive_var: Floats, taps: Taps | None, *, settle: bool) -> Flow:
        """Solve with these powers of the devices, from these taps, which move where they may `settle`.

        Raises Incredible, after which the circuit is as new: a solution that is no number spoils every later one.
        """
        try:
            self._tell(power_w, reactive_var)
            if taps is not None:
                self._set_taps(taps)
            self._solve(STATIC if settle else FROZEN)
            voltages = np.asarray(self._dss.Circuit.AllBusMagPu(), dtype=float)[self._watched]
            loading = np.asarray(self._dss.PDElements.AllPctNorm(False), dtype=float)[self._branch_places]
            _check_band(voltages, self.nodes)
            _check_numbers(loading)
            self._check_served(float(power_w.sum()) / 1000)
        except Incredible:
            self._load()
            raise
        return Flow(voltages, loading * self._permille, self.taps())

    def _tell(self, power_w: Floats, reactive_var: Floats) -> None:
        loads = self._dss.Loads
        for at in np.flatnonzero((power_w != self._told_w) | (reactive_var != self._told_var)).tolist():
            loads.Idx(self._own_loads + 1 + at)
            loads.kW(-power_w[at] / 1000)
            loads.kvar(-reactive_var[at] / 1000)
        self._told_w, self._told_var = power_w.copy(), reactive_var.copy()

    def _solve(self, controls: int) -> None:
        self._dss.Solution.ControlMode(controls)
        try:
            self._dss.Solution.Solve()
        except opendssdirect.DSSException as error:
            why = "the regulators do not settle" if "#485" in str(error) else "the power flow stops"
            raise Incredible(why) from error
        if not self._dss.Solution.Converged():
            raise Incredible("the power flow does not converge")

    def _check_served(self, der_kw: float) -> None:
        """Refuse a flow in which the DER do not give what they were told, or the loads collapse."""
        off_kw = self._net_kw() - (self._at_rest_kw - der_kw)
        if not abs(off_kw) <= self._slack_kw + LOST * abs(der_kw):
            raise Incredible(f"the power flow serves {off_kw:+.0f} kW of load beyond what there is")

    def taps(self) -> Taps:
        """Give where everything stands that regulates."""
        transformers, capacitors = self._dss.Transformers, self._dss.Capacitors
        ratios = []
        for name, winding in self._regulated:
            transformers.Name(name)
            transformers.Wdg(winding)
            ratios.append(float(transformers.Tap()))
        steps = []
        for name in self._switched:
            capacitors.Name(name)
            steps.append(tuple(int(state) for state in capacitors.States()))
        return Taps(tuple(ratios), tuple(steps))

    def _set_taps(self, taps: Taps) -> None:
        now = self.taps()
        for (name, winding), ratio, standing in zip(self._regulated, taps.ratios, now.ratios, strict=True):
            if ratio != standing:
                self._dss.Transformers.Name(name)
                self._dss.Transformers.Wdg(winding)
                self._dss.Transformers.Tap(ratio)
        for name, steps, stand in zip(self._switched, taps.steps, now.steps, strict=True):
            if steps != stand:
                self._dss.Capacitors.Name(name)
                self._dss.Capacitors.States(list(steps))


def _check_band(voltages: Floats, nodes: Sequence[str]) -> None:
    """Refuse voltages outside of what the loads' laws hold for, and what is no number."""
    low, high = CREDIBLE_PU
    strange = np.flatnonzero(~((voltages >= low) & (voltages <= high)))
    if strange.size:
        raise Incredible(f"the power flow has {voltages[strange[0]]:.2f} pu at {nodes[strange[0]]}")


def _check_numbers(loading: Floats) -> None:
    if not np.isfinite(loading).all():
        raise Incredible("the power flow has currents that are no numbers")


def _apart_deg(one: float, other: float) -> float:
    return abs((one - other + 180) % 360 - 180)


def _phase(angle_deg: float) -> int:
    """Give the phase whose voltage is nearest: 0, 1 and 2 lie at 0, -120 and 120 degrees."""
    return min(range(PHASES), key=lambda phase: _apart_deg(angle_deg, (0.0, -120.0, 120.0)[phase]))
