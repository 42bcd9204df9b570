"""A model file loaded into the engine, and the devices put on their buses.

DER are negative loads of constant power from 0.5 to 1.5 pu, and so is the feeder's own load (our reading): the engine
would turn a load into an impedance outside 0.95 to 1.05 pu, which understates both rise and drop.
"""

import difflib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from opendssdirect import DSSException
from opendssdirect.OpenDSSDirect import OpenDSSDirect

from gateway.grid.talk import Place

SETTINGS: Final = "set tolerance=1e-6 maxiterations=100 maxcontroliter=200"
BAND: Final = "vminpu=0.5 vmaxpu=1.5"
STANDSTILL_KW: Final = 1e-3
PHASES: Final = 3
WINDINGS: Final = {2: 1, 3: 3}
"""How many branches there are between so many phases."""


class ModelFault(Exception):  # noqa: N818 - "fault" is the word of this house for what is broken
    """The model cannot be used; `faults` are lines that say what to do next."""

    def __init__(self, *faults: str) -> None:
        """Take the lines."""
        super().__init__("; ".join(faults))
        self.faults = faults


def load(dss: OpenDSSDirect, model: Path, devices: Sequence[Place]) -> int:
    """Compile the model and connect the devices; give the number of loads that the feeder has of its own.

    Raises ModelFault where the text is none, a bus has no voltage base, or a device has no place.
    """
    dss.Basic.AllowForms(False)
    dss.Basic.AllowEditor(False)
    try:
        dss.Text.Command("clear")
        dss.Text.Command(f'compile "{model}"')
        if not dss.Basic.NumCircuits():
            raise ModelFault(f"{model}: no circuit; give the text that makes one")
        dss.Text.Command("makebuslist")
        dss.Text.Command(SETTINGS)
        dss.Text.Command(f"batchedit load..* {BAND}")
    except DSSException as error:
        raise ModelFault(f"{model}: {_one_line(error)}; correct the model") from error
    _check_bases(dss, model)
    own = int(dss.Loads.Count())
    _connect(dss, devices)
    return own


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _check_bases(dss: OpenDSSDirect, model: Path) -> None:
    for name in dss.Circuit.AllBusNames():
        dss.Circuit.SetActiveBus(name)
        if not dss.Bus.kVBase() > 0:
            what = f'bus "{name}" has no voltage base'
            raise ModelFault(f"{model}: {what}; end the model with set voltagebases=[...] and calcvoltagebases")


def _connect(dss: OpenDSSDirect, devices: Sequence[Place]) -> None:
    """Put every device on its bus: one phase against ground, several against each other, as an inverter has it.

    Nothing but single-phase devices needs a grounded neutral, so that others may stand behind a delta winding.
    """
    known = [name.lower() for name in dss.Circuit.AllBusNames()]
    faults = []
    for number, place in enumerate(devices):
        bus, named = bus_and_phases(place)
        if bus not in known:
            meant = difflib.get_close_matches(bus, known, 1) or sorted(known)[:3]
            faults.append(f'device "{place.device}": no bus "{bus}" on the feeder; is it {" or ".join(meant)}?')
            continue
        dss.Circuit.SetActiveBus(bus)
        there = [node for node in dss.Bus.Nodes() if node <= PHASES]
        if any(phase not in there for phase in named):
            faults.append(
                f'device "{place.device}": bus "{bus}" has the phases {_dotted(there)} only; give one of them'
            )
            continue
        phases = named or there
        kv = dss.Bus.kVBase() * (1 if len(phases) == 1 else math.sqrt(3))
        shape = "phases=1 conn=wye" if len(phases) == 1 else f"phases={WINDINGS[len(phases)]} conn=delta"
        dss.Text.Command(
            f"new load.laminar_der_{number} bus1={bus}.{_dotted(phases)} {shape} model=1 "
            f"kv={kv:.6f} kw={STANDSTILL_KW} kvar=0 status=fixed {BAND}"
        )
    if faults:
        raise ModelFault(*faults)


def bus_and_phases(place: Place) -> tuple[str, list[int]]:
    """Give the bus of a place and its phases, none where it names none; -1 is what is no number, and on no bus."""
    bus, *phases = place.bus.lower().split(".")
    return bus, [int(phase) if phase.isdecimal() else -1 for phase in phases]


def _dotted(phases: Sequence[int]) -> str:
    return ".".join(map(str, phases))
