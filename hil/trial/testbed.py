"""The bench that a procedure runs on: where the device under test is, who moves grid and light, and what time it is.

A bench file has one table: [simulated] starts a device of `hil.sunspec` on a clock that only waiting moves; [device]
names a real one, whose grid and light a person moves where the file says that they can be moved.
"""

import asyncio
import random
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, NamedTuple, Protocol, Self, TypeVar

import msgspec

from hil.clock import HandClock
from hil.sunspec.faults import demand_fault
from hil.sunspec.inverter import Inverter, InverterSpec
from hil.sunspec.serial_line import SerialLine, SerialPort
from hil.trial.instrument import DeviceError, Instrument
from hil.trial.procedure import BENCHES, Grid, ProcedureError, names
from hil.trial.tables import Strict

NOMINAL_HZ = 60.0
_START_MS = 1_767_225_600_000
_JITTER = 0.25

Knob = Literal["volts_pct", "hz", "light_pct"]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Unit = Annotated[int, msgspec.Meta(ge=0, le=255)]
B = TypeVar("B", bound="Testbed")

KNOBS: dict[Knob, str] = {
    "volts_pct": "voltage at the terminals, % of nominal",
    "hz": "frequency, Hz",
    "light_pct": "available power, % of rated",
}


class Sample(NamedTuple):
    """What is measured at the terminals: W and var positive out of the device, voltage in % of nominal."""

    at_ms: int
    w: float
    var: float
    volts_pct: float
    hz: float


class CannotSet(Exception):  # noqa: N818 - the bench works, it lacks something
    """The bench has nobody and nothing to move this knob."""


class SimulatedTable(Strict, kw_only=True):
    """A simulated device; `faults` are on from the start, `step_ms` is how finely its time runs."""

    kind: Literal["2018", "legacy", "battery", "autonomous", "ride-through", "legacy-curves"] = "autonomous"
    physics: Literal["first-order", "opender"] = "first-order"
    rated_w: int = 5000
    unit: int = 1
    base: int = 40000
    time_constant_s: float = 1.0
    end_marker: bool = True
    faults: tuple[str, ...] = ()
    step_ms: Annotated[int, msgspec.Meta(ge=10, le=1000)] = 100


class DeviceTable(Strict, kw_only=True):
    """A real device; `by_hand` are the knobs that a person moves when the bench asks.

    `serial` is where its serial line ends at this machine, as "/dev/ttyUSB0"; `baud_rates` are those that it has.
    """

    host: str
    port: Port = 502
    unit: Unit = 1
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 3.0
    by_hand: tuple[Knob, ...] = ()
    serial: str | None = None
    baud_rates: tuple[Annotated[int, msgspec.Meta(ge=300)], ...] = (9600,)


class BenchFile(Strict, kw_only=True):
    """A bench file; exactly one of the two tables.

    `every_s` is how often is measured between the judged moments, `settle_s` how long the device is left at rest first.
    """

    title: str
    simulated: SimulatedTable | None = None
    device: DeviceTable | None = None
    every_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 1.0
    settle_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 20.0


class Testbed(Protocol):
    """What a procedure needs of a bench; `independent` where it does not measure by the device's registers.

    `line` is the device's serial line, None where the bench has none.
    """

    instrument: Instrument
    line: SerialPort | None
    file: BenchFile
    independent: bool

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def now_ms(self) -> int: ...
    async def wait_until_ms(self, at_ms: int) -> None: ...
    async def set(self, grid: Grid) -> None: ...
    async def measure(self) -> Sample: ...


class SimulatedBench:
    """One simulated device behind a real socket, which waiting steps; measures at its terminals, not its registers."""

    independent = True

    def __init__(self, file: BenchFile, table: SimulatedTable) -> None:
        self.file = file
        self._table = table
        self._clock = HandClock(_START_MS)
        self._grid = Grid(volts_pct=100.0, hz=NOMINAL_HZ, light_pct=100.0)
        spec = InverterSpec(
            name="device",
            kind=table.kind,
            physics=table.physics,
            rated_w=table.rated_w,
            unit=table.unit,
            base=table.base,
            time_constant_s=table.time_constant_s,
            end_marker=table.end_marker,
        )
        self.inverter = Inverter(spec, self._clock)
        self._line = SerialLine({spec.unit: self.inverter.registers}, self.inverter.live_faults)
        self.line: SerialPort | None = None

    async def __aenter__(self) -> Self:
        await self.inverter.start()
        self.line = self._line.start()
        for fault in self._table.faults:
            self.inverter.set_fault(fault, on=True)
        self._step()
        self.instrument = Instrument(
            "127.0.0.1",
            self.inverter.port,
            self._table.unit,
            timeout_s=5.0,
            now_ms=self.now_ms,
            wall_s=time.monotonic,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self.instrument.close()
        self._line.stop()
        await self.inverter.stop()

    def now_ms(self) -> int:
        return self._clock.ms

    async def wait_until_ms(self, at_ms: int) -> None:
        """Let simulated time pass in steps."""
        while self._clock.ms < at_ms:
            self._clock.ms = min(at_ms, self._clock.ms + self._table.step_ms)
            self._step()
        await asyncio.sleep(0)

    def _step(self) -> None:
        volts = self.inverter.nominal_v * (self._grid.volts_pct or 0.0) / 100
        self.inverter.step(self._clock.ms, (volts,) * len(self.inverter.phases), self._grid.hz or 0.0)

    async def set(self, grid: Grid) -> None:
        """Move what is given."""
        told = {name: value for name in KNOBS if (value := getattr(grid, name)) is not None}
        self._grid = msgspec.structs.replace(self._grid, **told)
        self.inverter.irradiance = (self._grid.light_pct or 0.0) / 100

    async def measure(self) -> Sample:
        return Sample(
            self._clock.ms,
            self.inverter.w,
            self.inverter.var,
            self._grid.volts_pct or 0.0,
            self._grid.hz or 0.0,
        )


class RealBench:
    """A real device; waiting takes real time. Measures by the device's own model 701, or 103 where it has no 701."""

    independent = False

    def __init__(self, file: BenchFile, table: DeviceTable) -> None:
        self.file = file
        self._table = table
        self.line = SerialPort(table.serial, table.baud_rates, table.timeout_s) if table.serial else None
        self._set: dict[str, float] = {"volts_pct": 100.0, "hz": NOMINAL_HZ, "light_pct": 100.0}

    async def __aenter__(self) -> Self:
        self.instrument = Instrument(
            self._table.host,
            self._table.port,
            self._table.unit,
            timeout_s=self._table.timeout_s,
            now_ms=self.now_ms,
            wall_s=time.monotonic,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self.instrument.close()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def wait_until_ms(self, at_ms: int) -> None:
        await asyncio.sleep(max(0.0, (at_ms - self.now_ms()) / 1000))

    async def set(self, grid: Grid) -> None:
        """Ask the person at the bench for what changes; raises CannotSet for what nobody can move."""
        for knob, meaning in KNOBS.items():
            value = getattr(grid, knob)
            if value is None or value == self._set[knob]:
                continue
            if knob not in self._table.by_hand:
                raise CannotSet(f'nobody can set the {meaning}, to {value:g}; name "{knob}" in by_hand if you can')
            sys.stderr.write(f"set the {meaning}, to {value:g}; then press Enter ")
            sys.stderr.flush()
            if not await asyncio.to_thread(sys.stdin.readline):
                raise CannotSet(f"nobody answered when asked for the {meaning}")
            self._set[knob] = value

    async def measure(self) -> Sample:
        """Read what the device measures; raises DeviceError where a value is not there."""
        found = await asyncio.to_thread(self._read)
        return Sample(self.now_ms(), *found)

    def _read(self) -> tuple[float, float, float, float]:
        device = self.instrument
        new = any(model.model_id == 701 for model in device.models)
        model, w, var, volts, nominal = (
            (701, "W", "Var", "LNV", "702.VNom") if new else (103, "W", "VAr", "PhVphA", "121.VRef")
        )
        block = device.block(model)
        read = [block.points[name].cvalue for name in (w, var, volts, "Hz")]
        nominal_v = device.read(nominal)
        if not isinstance(nominal_v, int | float) or nominal_v <= 0 or any(value is None for value in read):
            raise DeviceError(f"model {model} shows no power, voltage or frequency; wait until the device is awake")
        return float(read[0]), float(read[1]), 100 * float(read[2]) / nominal_v, float(read[3])


def open_bench(asked: str) -> Testbed:
    """Find a bench file by shipped name or path; raises ProcedureError."""
    path = BENCHES / f"{asked}.toml" if asked in names(BENCHES) else Path(asked)
    try:
        file = msgspec.toml.decode(path.read_text(encoding="utf-8"), type=BenchFile)
    except OSError as fault:
        raise ProcedureError(f'no bench "{asked}"; give a file, or one of: {", ".join(names(BENCHES))}') from fault
    except (msgspec.ValidationError, msgspec.DecodeError) as fault:
        raise ProcedureError(f"{path}: {fault}") from fault
    return make_bench(file, str(path))


def make_bench(file: BenchFile, where: str = "bench") -> Testbed:
    """Make what a bench file describes; raises ProcedureError where it does not say one thing."""
    if (file.simulated is None) == (file.device is None):
        raise ProcedureError(f"{where}: give either [simulated] or [device]")
    if file.device is not None:
        return RealBench(file, file.device)
    assert file.simulated is not None
    try:
        for name in file.simulated.faults:
            demand_fault(name)
        return SimulatedBench(file, file.simulated)
    except ValueError as fault:
        raise ProcedureError(f"{where}: {fault}") from fault


def next_moment_s(every_s: float, chance: random.Random) -> float:
    """Draw how long to wait until the next measurement, a quarter more or less than `every_s`."""
    return every_s * chance.uniform(1 - _JITTER, 1 + _JITTER)


def described(file: BenchFile) -> dict[str, Any]:
    """Give the bench file as plain values."""
    plain: dict[str, Any] = msgspec.to_builtins(file)
    return plain
