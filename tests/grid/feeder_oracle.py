"""A second reading of a feeder by OpenDSS, written apart from the gateway's: DER are generators, limits are looked up.

It judges single points: with taps as they stand after the feeder has settled at rest, or after they have moved.
"""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import opendssdirect
import pytest

FEEDERS = Path(__file__).parents[2].parent / "shared" / "feeders"
IEEE13 = Path(__file__).parents[2] / "hil" / "feeders" / "ieee13.dss"
IEEE13_MASTER = """
redirect "{ieee13}"
batchedit line..* normamps=800
set voltagebases=[4.16 0.48]
calcvoltagebases
regcontrol.reg_a.enabled=yes
regcontrol.reg_b.enabled=yes
regcontrol.reg_c.enabled=yes
"""


def ieee13(folder: Path) -> Path:
    """Write the text that makes the 13 node feeder with its regulators acting."""
    master = folder / "master.dss"
    master.write_text(IEEE13_MASTER.format(ieee13=IEEE13), encoding="ascii")
    return master


def ieee123(folder: Path) -> Path:
    """Unpack the 123 node feeder."""
    archive = FEEDERS / "ieee123.zip"
    if not archive.is_file():
        pytest.skip("the IEEE 123 node feeder lies in ../shared/feeders, which is not here")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder / "IEEE123Master.dss"


class Point(NamedTuple):
    """What one state shows: voltages (pu) by node, loading (per mille) by line."""

    voltages: Mapping[str, float]
    lines: Mapping[str, float]


class Oracle:
    """One feeder with generators of one phase each, or of three, on it."""

    def __init__(self, model: Path, buses: Mapping[str, str]) -> None:
        self._dss: Any = opendssdirect.dss.NewContext()
        self._names = list(buses)
        for command in (
            f'compile "{model}"',
            "set tolerance=1e-7 maxiterations=200 maxcontroliter=500 controlmode=static",
            "batchedit load..* vminpu=0.5 vmaxpu=1.5",
        ):
            self._dss.Text.Command(command)
        for name, bus in buses.items():
            self._add(name, bus)
        self._dss.Solution.Solve()
        assert self._dss.Solution.Converged()
        self._at_rest = list(self._ratios())

    def _add(self, name: str, bus: str) -> None:
        self._dss.Circuit.SetActiveBus(bus.partition(".")[0])
        kv = self._dss.Bus.kVBase()
        shape = f"phases=1 kv={kv}" if bus.count(".") == 1 else f"phases=3 conn=delta kv={kv * 3**0.5}"
        self._dss.Text.Command(f"new generator.{name} bus1={bus} {shape} model=1 kw=0.001 kvar=0 vminpu=0.5 vmaxpu=1.5")

    def _ratios(self) -> Iterator[tuple[str, float]]:
        for name in self._dss.Transformers.AllNames():
            self._dss.Transformers.Name(name)
            self._dss.Transformers.Wdg(2)
            yield name, self._dss.Transformers.Tap()

    def point(self, power_w: Mapping[str, float], *, moved: bool) -> Point:
        """Solve with these powers from the taps at rest."""
        dss = self._dss
        for name, ratio in self._at_rest:
            dss.Text.Command(f"transformer.{name}.wdg=2 tap={ratio!r}")
        for name in self._names:
            dss.Text.Command(f"generator.{name}.kw={power_w.get(name, 0.0) / 1000 or 1e-6} kvar=0")
        dss.Text.Command(f"set controlmode={'static' if moved else 'off'}")
        dss.Solution.Solve()
        assert dss.Solution.Converged()
        lines = {}
        for name in dss.Lines.AllNames():
            dss.Circuit.SetActiveElement(f"line.{name}")
            amps = dss.CktElement.CurrentsMagAng()[::2]
            lines[name] = 1000 * max(amps) / dss.CktElement.NormalAmps()
        voltages = dict(zip(dss.Circuit.AllNodeNames(), dss.Circuit.AllBusMagPu(), strict=True))
        return Point(voltages, lines)
