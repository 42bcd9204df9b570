"""A street of simulated inverters on a feeder: one step loop couples registers, physics and power flow on one clock."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from hil.clock import Clock
from hil.feeder import Feeder, Flow
from hil.inverter import Inverter, InverterSpec, Write

_STEP_MS = 100
_SHORTEST_WALL_MS = 50


class Street:
    """Starts every inverter's server and steps them: inverters, power flow, voltages back to the inverters.

    An async context manager. A step is 100 ms of simulated time or 50 ms of wall time, whichever is longer; with
    `stepping=False` nothing moves by itself (registers only, or `step` by hand). A failed step ends the loop: it shows
    in `failure` and is raised at the exit of the context.
    """

    def __init__(
        self,
        clock: Clock,
        inverters: Sequence[InverterSpec],
        feeder: Feeder | None = None,
        *,
        host: str = "127.0.0.1",
        stepping: bool = True,
    ) -> None:
        names = [spec.name for spec in inverters]
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise ValueError(f"inverters {', '.join(twice)} occur twice; give each its own name")
        self.clock = clock
        self.inverters = {spec.name: Inverter(spec, clock, host) for spec in inverters}
        self.feeder = feeder
        self.flow: Flow | None = None
        self.steps = 0
        self._stepping = stepping
        self._loop: asyncio.Task[None] | None = None
        self._on_feeder = [spec.name for spec in inverters if feeder is not None and spec.bus]
        for spec in inverters:
            if feeder is not None and spec.bus:
                feeder.connect(spec.name, spec.bus, spec.phases)

    async def __aenter__(self) -> Self:
        try:
            for inverter in self.inverters.values():
                await inverter.start()
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
        for inverter in self.inverters.values():
            await inverter.stop()

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
        """True active power of each inverter, W."""
        return {name: inverter.w for name, inverter in self.inverters.items()}

    @property
    def voltage_pu(self) -> dict[str, tuple[float, ...]]:
        """Voltages of each inverter on the feeder at the last step, p.u."""
        return {} if self.flow is None else self.flow.voltage_pu

    def set_irradiance(self, name: str, fraction: float) -> None:
        """Give an inverter light, as a fraction of what gives rated power."""
        self._inverter(name).irradiance = fraction

    def set_fault(self, name: str, fault: str, on: bool) -> None:
        """Turn a fault of an inverter on or off; see `hil.inverter.Inverter`."""
        self._inverter(name).set_fault(fault, on)

    def writes(self, name: str) -> tuple[Write, ...]:
        """The last writes that an inverter accepted, oldest first."""
        return self._inverter(name).writes

    def write_count(self, name: str) -> int:
        """How many writes an inverter accepted."""
        return self._inverter(name).write_count

    def _inverter(self, name: str) -> Inverter:
        if name not in self.inverters:
            raise ValueError(f'inverter "{name}" is not in the street; it has {", ".join(self.inverters)}')
        return self.inverters[name]

    def step(self) -> None:
        """Advance everything to the clock's now; raises FeederError where the feeder has no solution."""
        now_ms = self.clock.now_ms()
        seen = self.voltage_pu
        for name, inverter in self.inverters.items():
            pu = seen.get(name)
            nominal_v = inverter.spec.nominal_v
            inverter.step(now_ms, None if pu is None else tuple(nominal_v * phase for phase in pu))
        if self.feeder is not None:
            self.flow = self.feeder.solve(
                {name: self.inverters[name].w for name in self._on_feeder},
                {name: self.inverters[name].var for name in self._on_feeder},
            )
        self.steps += 1

    async def _run(self) -> None:
        pace_ms = max(_STEP_MS, round(_SHORTEST_WALL_MS * self.clock.rate))
        due_ms = self.clock.now_ms() + pace_ms
        while True:
            await self.clock.sleep_until_ms(due_ms)
            self.step()
            due_ms = max(due_ms + pace_ms, self.clock.now_ms())
