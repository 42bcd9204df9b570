"""Three-phase feeder behind the simulated devices, solved by OpenDSS; the IEEE 13 node test feeder is built in."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import opendssdirect

from hil.generated_feeder import GeneratedFeeder, generate

_IEEE13 = Path(__file__).parent / "feeders" / "ieee13.dss"
IEEE13_MODEL = _IEEE13.with_name("ieee13_model.dss")
"""The same feeder as its operator's planning model has it, to be loaded by whoever plans on it."""
_IEEE13_TAPS = {"reg_a": 10, "reg_b": 8, "reg_c": 11}
_TAP_STEP = 0.00625
_STANDSTILL_KW = 1e-3
_CREDIBLE_PU = (0.5, 1.5)
_W_PER_KW = 1000
_SHOWN = 40


def bus_of(bus: str, phases: tuple[int, ...]) -> str:
    """Name a bus with its phases, as in 634.1.3; nothing where there is none."""
    return ".".join([bus, *map(str, phases)]) if bus else ""


class FeederError(RuntimeError):
    """The power flow has no credible solution, or a connection does not exist."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One solution: each device's phase voltages, p.u. line to neutral; source power is positive into the feeder."""

    voltage_pu: dict[str, tuple[float, ...]]
    source_w: float
    source_var: float
    losses_w: float
    losses_var: float


@dataclass(frozen=True, slots=True)
class _Connection:
    load: str
    bus: str
    phases: tuple[int, ...]


class Feeder:
    """A compiled circuit in an engine context of its own.

    Devices are negative constant-power loads with a validity band of 0.5 to 1.5 p.u.: OpenDSS turns a load into an
    impedance outside its band, which understates voltage rise. Without `voltage_bases_kv` the script sets its own.
    """

    def __init__(self, script: str, voltage_bases_kv: tuple[float, ...]) -> None:
        self._dss: Any = opendssdirect.dss.NewContext()
        self._dss.Text.Command("clear")
        for line in script.splitlines():
            if line.strip() and not line.lstrip().startswith("!"):
                self._dss.Text.Command(line)
        if voltage_bases_kv:
            bases = " ".join(str(base) for base in voltage_bases_kv)
            self._dss.Text.Command(f"set voltagebases=[{bases}]")
            self._dss.Text.Command("calcvoltagebases")
        for command in (
            "batchedit load..* vminpu=0.5 vmaxpu=1.5",
            "set tolerance=1e-6 maxiterations=100 maxcontroliter=200",
        ):
            self._dss.Text.Command(command)
        self._connections: dict[str, _Connection] = {}

    @classmethod
    def ieee13(cls, *, regulators_act: bool = False) -> Self:
        """Build the IEEE 13 node feeder; its regulators stand at the published taps (+10, +8, +11) unless they act."""
        feeder = cls(_IEEE13.read_text(encoding="ascii"), (4.16, 0.48))
        for regulator, tap in _IEEE13_TAPS.items():
            feeder.set_tap(regulator, tap)
            if regulators_act:
                feeder._dss.Text.Command(f"regcontrol.{regulator}.enabled=yes")
        return feeder

    @classmethod
    def opened(cls, path: Path) -> Self:
        """Compile an OpenDSS file, which sets its own voltage bases.

        Raises FeederError where there is no such file, where it does not compile, and where it has no voltage bases.
        """
        if not path.is_file():
            raise FeederError(f'there is no OpenDSS file "{path}"; name its master file')
        try:
            feeder = cls(f'redirect "{path.resolve()}"', ())
            based = [kv for kv in feeder._based_kv() if kv > 0]
        except opendssdirect.DSSException as error:
            raise FeederError(f"{path.name} does not compile: {error}") from error
        if not based:
            raise FeederError(f"{path.name} has no voltage bases; add set voltagebases=[...] and calcvoltagebases")
        return feeder

    @classmethod
    def named(cls, name: str) -> Self | None:
        """Build "ieee13", "generated:N" of N customers, the OpenDSS file at a path, or nothing for "none".

        Raises FeederError for what is none of these.
        """
        if name == "none":
            return None
        if name == "ieee13":
            return cls.ieee13()
        kind, _, size = name.partition(":")
        if kind != "generated":
            return cls.opened(Path(name))
        try:
            return cls.generated(generate(int(size)))
        except ValueError as fault:
            raise FeederError(f'feeder "{name}": {fault}') from fault

    @classmethod
    def generated(cls, made: GeneratedFeeder) -> Self:
        """Compile a generated feeder."""
        return cls(made.script, made.voltage_bases_kv)

    def _based_kv(self) -> Iterator[float]:
        for bus in self.buses:
            self._dss.Circuit.SetActiveBus(bus)
            yield self._dss.Bus.kVBase()

    @property
    def buses(self) -> list[str]:
        """Names of all buses, in lower case."""
        return [bus.lower() for bus in self._dss.Circuit.AllBusNames()]

    def set_tap(self, regulator: str, tap: int) -> None:
        """Set a regulator's tap, -16 to 16 of 0.625 % each."""
        self._dss.Text.Command(f"transformer.{regulator}.wdg=2 tap={1 + tap * _TAP_STEP:.6f}")

    def tap(self, regulator: str) -> int:
        """Return the tap at which a regulator stands."""
        self._dss.Transformers.Name(regulator)
        self._dss.Transformers.Wdg(2)
        ratio: float = self._dss.Transformers.Tap()
        return round((ratio - 1) / _TAP_STEP)

    def set_load(self, fraction: float) -> None:
        """Scale the feeder's own loads, not the devices; 1 is the published loading."""
        self._dss.Solution.LoadMult(fraction)

    def connect(self, name: str, bus: str, phases: tuple[int, ...]) -> None:
        """Connect a device in star to phases (1, 2, 3) of a bus; raises FeederError where one is absent."""
        if name in self._connections:
            raise FeederError(f'device "{name}" is on the feeder already; give it another name')
        if self._dss.Circuit.SetActiveBus(bus) < 0:
            known = self.buses
            shown = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
            raise FeederError(f'bus "{bus}" of device "{name}" is not on the feeder; its buses are {shown}')
        missing = set(phases) - set(self._dss.Bus.Nodes())
        if missing or not phases:
            raise FeederError(f'bus "{bus}" of device "{name}" has phases {self._dss.Bus.Nodes()}, not {phases}')
        kv = self._dss.Bus.kVBase() * (1 if len(phases) == 1 else math.sqrt(3))
        load = f"device_{len(self._connections)}"
        nodes = ".".join(str(phase) for phase in phases)
        self._dss.Text.Command(
            f"new load.{load} bus1={bus}.{nodes} phases={len(phases)} conn=wye model=1 kv={kv:.6f} "
            f"kw={_STANDSTILL_KW} kvar=0 vminpu=0.5 vmaxpu=1.5 status=fixed"
        )
        self._connections[name] = _Connection(load, bus, phases)

    def solve(self, w: Mapping[str, float], var: Mapping[str, float]) -> Flow:
        """Solve with these powers of devices, W and var, positive out of the device.

        Raises FeederError when the flow does not converge or a voltage is not a number or outside 0.5 to 1.5 p.u.
        """
        loads = self._dss.Loads
        for name, connection in self._connections.items():
            loads.Name(connection.load)
            loads.kW(-w.get(name, 0.0) / _W_PER_KW)
            loads.kvar(-var.get(name, 0.0) / _W_PER_KW)
        try:
            self._dss.Solution.Solve()
        except opendssdirect.DSSException as error:
            raise FeederError(f"the power flow stopped: {error}; reduce generation or load") from error
        if not self._dss.Solution.Converged():
            raise FeederError("the power flow does not converge; reduce generation or load")
        low, high = _CREDIBLE_PU
        if not all(low <= pu <= high for pu in self._dss.Circuit.AllBusMagPu()):
            raise FeederError(f"the power flow has a voltage outside {low} to {high} p.u.; reduce generation or load")
        source_kw, source_kvar = self._dss.Circuit.TotalPower()
        losses_w, losses_var = self._dss.Circuit.Losses()
        return Flow(
            voltage_pu={name: self.voltages_pu(c.bus, c.phases) for name, c in self._connections.items()},
            source_w=-_W_PER_KW * source_kw,
            source_var=-_W_PER_KW * source_kvar,
            losses_w=losses_w,
            losses_var=losses_var,
        )

    def voltages_pu(self, bus: str, phases: tuple[int, ...]) -> tuple[float, ...]:
        """Return the last solution's voltages at these phases of a bus, p.u. line to neutral."""
        self._dss.Circuit.SetActiveBus(bus)
        polar = self._dss.Bus.puVmagAngle()
        by_phase = dict(zip(self._dss.Bus.Nodes(), polar[::2], strict=True))
        return tuple(float(by_phase[phase]) for phase in phases)

    def served_w(self) -> float:
        """Return what the last solution delivers to all loads, devices counted negative, W."""
        circuit = self._dss.Circuit
        total_kw = 0.0
        for name in self._dss.Loads.AllNames():
            circuit.SetActiveElement(f"load.{name}")
            total_kw += sum(self._dss.CktElement.Powers()[::2])
        return _W_PER_KW * total_kw
