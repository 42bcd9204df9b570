"""A street of simulated devices on a feeder: one step loop couples their insides and the power flow on one clock."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from hil.clock import Clock
from hil.feeder import Feeder, Flow
from hil.standing import Place
from hil.sunspec.inverter import Inverter, InverterSpec, Write

_STEP_MS = 100
_SHORTEST_WALL_MS = 50


class Device(Place, Protocol):
    """What stands on a street: where it is connected, what it gives now, and how it moves on.

    `bus` "" is on no feeder; `phases` are those of the feeder (1, 2, 3); `nominal_v` is line to neutral; `w` and `var`
    are positive out of the device. `step` is told the volts at each of its phases, or None where no feeder gives them.
    """

    @property
    def w(self) -> float: ...
    @property
    def var(self) -> float: ...

    def step(self, now_ms: int, volts: tuple[float, ...] | None = None) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


@runtime_checkable
class Lit(Protocol):
    """A device that lives on light, as a fraction of what gives rated power."""

    irradiance: float


@runtime_checkable
class Faulty(Protocol):
    """A device with faults to turn on and off; raises ValueError for one that it does not know."""

    @property
    def faults(self) -> frozenset[str]: ...
    def set_fault(self, fault: str, on: bool) -> None: ...


class Street:
    """Starts every device and steps them all: devices, power flow, voltages back to the devices.

    `inverters` are made of their specs; `devices` are any others. An async context manager. A step is 100 ms of
    simulated time or 50 ms of wall time, whichever is longer; with `stepping=False` nothing moves by itself (registers
    only, or `step` by hand). A failed step ends the loop: it shows in `failure` and is raised at the exit of the
    context.
    """

    def __init__(
        self,
        clock: Clock,
        inverters: Sequence[InverterSpec],
        feeder: Feeder | None = None,
        *,
        devices: Sequence[Device] = (),
        host: str = "127.0.0.1",
        stepping: bool = True,
    ) -> None:
        _demand_different([spec.name for spec in inverters] + [device.name for device in devices])
        self.clock = clock
        self.inverters = {spec.name: Inverter(spec, clock, host) for spec in inverters}
        self.devices: dict[str, Device] = {**self.inverters} | {device.name: device for device in devices}
        self.feeder = feeder
        self.flow: Flow | None = None
        self.steps = 0
        self._stepping = stepping
        self._loop: asyncio.Task[None] | None = None
        self._mains_pu: dict[str, float] = {}
        self._on_feeder = [name for name, device in self.devices.items() if feeder is not None and device.bus]
        for name in self._on_feeder:
            assert feeder is not None
            feeder.connect(name, self.devices[name].bus, self.devices[name].phases)

    async def __aenter__(self) -> Self:
        try:
            for device in self.devices.values():
                await device.start()
            self.step()
        except BaseException:
            await self._stop()
            raise
        if self._stepping:
            self._loop = asyncio.create_task(self._run(), name="street")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, trace
        await self._stop()
        if self._loop is None:
            return
        self._loop.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait((self._loop,))
        if self.failure is not None and error is None:
            raise self.failure

    async def _stop(self) -> None:
        for device in self.devices.values():
            await device.stop()

    @property
    def failure(self) -> BaseException | None:
        """What ended the step loop, or None while it runs."""
        if self._loop is None or not self._loop.done() or self._loop.cancelled():
            return None
        return self._loop.exception()

    @property
    def ports(self) -> dict[str, int]:
        """TCP port of each inverter."""
        return {name: inverter.port for name, inverter in self.inverters.items()}

    @property
    def measured_w(self) -> dict[str, float]:
        """True active power of each device, W."""
        return {name: device.w for name, device in self.devices.items()}

    @property
    def voltage_pu(self) -> dict[str, tuple[float, ...]]:
        """Voltages of each device on the feeder at the last step, p.u."""
        return {} if self.flow is None else self.flow.voltage_pu

    def set_irradiance(self, name: str, fraction: float) -> None:
        """Give a device light, as a fraction of what gives rated power."""
        device = self._device(name)
        if not isinstance(device, Lit):
            raise ValueError(f'"{name}" does not live on light')  # noqa: TRY004 - the scenario is wrong, not the program
        device.irradiance = fraction

    def set_all_irradiance(self, fraction: float, names: Iterable[str] = ()) -> None:
        """Give several devices light; no names means all that live on it."""
        for name in names or [name for name, device in self.devices.items() if isinstance(device, Lit)]:
            self.set_irradiance(name, fraction)

    def set_mains(self, pu: float, names: Iterable[str] = ()) -> None:
        """Set the voltage (p.u.) of devices that are on no feeder; no names means all of them."""
        for name in names or [name for name in self.devices if name not in self._on_feeder]:
            self._device(name)
            if name in self._on_feeder:
                raise ValueError(f'the feeder makes the voltage of "{name}"; leave its bus out to set it')
            self._mains_pu[name] = pu

    def set_fault(self, name: str, fault: str, on: bool) -> None:
        """Turn a fault of a device on or off; see `hil.sunspec.inverter.Inverter` for those of inverters."""
        device = self._device(name)
        if not isinstance(device, Faulty):
            raise ValueError(f'"{name}" has no faults to turn on')  # noqa: TRY004 - the scenario is wrong, not the program
        device.set_fault(fault, on)

    def writes(self, name: str) -> tuple[Write, ...]:
        """The last writes that an inverter accepted, oldest first."""
        return self._inverter(name).writes

    def write_count(self, name: str) -> int:
        """How many writes an inverter accepted."""
        return self._inverter(name).write_count

    def _device(self, name: str) -> Device:
        if name not in self.devices:
            raise ValueError(f'device "{name}" is not in the street; it has {", ".join(self.devices)}')
        return self.devices[name]

    def _inverter(self, name: str) -> Inverter:
        if name not in self.inverters:
            raise ValueError(f'inverter "{name}" is not in the street; it has {", ".join(self.inverters)}')
        return self.inverters[name]

    def step(self) -> None:
        """Advance everything to the clock's now; raises FeederError where the feeder has no solution."""
        now_ms = self.clock.now_ms()
        seen = self.voltage_pu
        for name, device in self.devices.items():
            mains_pu = self._mains_pu.get(name)
            pu = seen.get(name, None if mains_pu is None else (mains_pu,) * len(device.phases))
            device.step(now_ms, None if pu is None else tuple(device.nominal_v * phase for phase in pu))
        if self.feeder is not None:
            self.flow = self.feeder.solve(
                {name: self.devices[name].w for name in self._on_feeder},
                {name: self.devices[name].var for name in self._on_feeder},
            )
        self.steps += 1

    async def _run(self) -> None:
        pace_ms = max(_STEP_MS, round(_SHORTEST_WALL_MS * self.clock.rate))
        due_ms = self.clock.now_ms() + pace_ms
        while True:
            await self.clock.sleep_until_ms(due_ms)
            self.step()
            due_ms = max(due_ms + pace_ms, self.clock.now_ms())


def _demand_different(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"devices {', '.join(twice)} occur twice; give each its own name")
