"""Simulated SunSpec inverters on real Modbus TCP sockets, with physics, reversion timers and settable faults."""

import math
from collections.abc import Collection

from hil.clock import Clock
from hil.physics.first_order import Around, FirstOrder, Physics
from hil.standing import Standing
from hil.sunspec import faults
from hil.sunspec.faults import FaultyRegisters
from hil.sunspec.generation_2018 import Generation2018
from hil.sunspec.generation_arrays import GenerationArrays
from hil.sunspec.generation_autonomous import FAILED, IN_PROGRESS, GenerationAutonomous
from hil.sunspec.generation_battery import GenerationBattery
from hil.sunspec.generation_charger import GenerationCharger
from hil.sunspec.generation_legacy import GenerationLegacy
from hil.sunspec.generation_ride_through import GenerationRideThrough
from hil.sunspec.modbus_server import ModbusServer, Registers
from hil.sunspec.personality import InverterSpec, Kind, Personality, Settings, Terminals
from hil.sunspec.register_image import Image, Value, Write, layout_of

__all__ = ["Inverter", "InverterSpec", "Kind", "Write"]

_NOMINAL_HZ = 60.0
_GENERATIONS: dict[Kind, Personality] = {
    "2018": Generation2018(),
    "legacy": GenerationLegacy(),
    "battery": GenerationBattery(),
    "charger": GenerationCharger(),
    "autonomous": GenerationAutonomous(),
    "ride-through": GenerationRideThrough(),
    "legacy-curves": GenerationArrays(),
}


class Inverter(Standing):
    """One inverter: its registers, its plant and its socket. At the start it runs at what its light gives.

    A write reads back at once and acts at the next `step`, which publishes all measured values in one swap. Its faults
    are those of `hil.sunspec.faults`.
    """

    def __init__(self, spec: InverterSpec, clock: Clock, host: str = "127.0.0.1") -> None:
        self.spec: InverterSpec = spec
        self._irradiance = spec.irradiance
        self._nominal_volts = (spec.nominal_v,) * len(spec.phases)
        self._clock = clock
        self._generation = _GENERATIONS[spec.kind]
        self._image = Image(
            layout_of(self._generation.models, self._generation.scale_factors(spec)),
            spec.base,
            self._generation.at_start(spec),
            self._generation.ranges(spec),
            end_marker=spec.end_marker,
            locked=self._generation.locked,
        )
        self._image.on_write = self._written
        self._faults: set[str] = set()
        self._registers = FaultyRegisters(self._image, self._faults, clock.now_ms)
        self._server = ModbusServer({spec.unit: self._registers}, host, spec.port)
        self._physics = _physics(spec, self._generation.models, self._faults)
        self._settings = self._read_settings()
        self._rewritten: dict[str, int] = {}
        self._calm = False
        self._adopting: tuple[int, frozenset[str]] | None = None
        self._due_ms: list[int | None] = [None] * len(self._generation.reversions)
        self._shown: dict[str, Value] = {}
        self._energy_wh = self._absorbed_wh = 0.0
        self._stored_wh = spec.energy_wh * spec.charge_pct / 100
        self._stepped_ms: int | None = None
        self._physics.step(clock.now_ms(), math.inf, self._around(self._nominal_volts, _NOMINAL_HZ))
        self._publish_measured(self._nominal_volts, _NOMINAL_HZ, clock.now_ms())

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        await self._server.start()

    async def stop(self) -> None:
        """Close the socket and every connection."""
        await self._server.stop()

    @property
    def registers(self) -> Registers:
        """Its registers as its faults make them look, to be served behind another socket too."""
        return self._registers

    @property
    def port(self) -> int:
        """TCP port; known once started."""
        return self._server.port

    @property
    def irradiance(self) -> float:
        """Light as a fraction of what gives rated power; 0 to about 1.2."""
        return self._irradiance

    @irradiance.setter
    def irradiance(self, fraction: float) -> None:
        if not 0 <= fraction <= 2:
            raise ValueError(f"irradiance {fraction} of {self.spec.name} is out of range; use 0 to 2")
        self._irradiance = fraction
        self._calm = False

    @property
    def w(self) -> float:
        """True active power, W, whatever the registers say."""
        return self._physics.w

    @property
    def var(self) -> float:
        """True reactive power, var."""
        return self._physics.var

    @property
    def writes(self) -> tuple[Write, ...]:
        """The last accepted writes, oldest first."""
        return tuple(self._image.writes)

    @property
    def write_count(self) -> int:
        """How many writes were accepted since the start."""
        return self._image.write_count

    @property
    def limit_w(self) -> int | None:
        """The active-power limit that its registers hold in force, W; None where none is enabled."""
        legacy = self.spec.kind.startswith("legacy")
        model, enable = ("123", "WMaxLim_Ena") if legacy else ("704", "WMaxLimPctEna")
        if self.value(f"{model}.{enable}") != 1:
            return None
        percent = self.value(f"{model}.WMaxLimPct")
        w_max = self.value("121.WMax" if legacy else "702.WMax")
        return round(float(percent or 0) / 100 * float(w_max or 0))

    @property
    def faults(self) -> frozenset[str]:
        """The faults that are on."""
        return frozenset(self._faults)

    @property
    def live_faults(self) -> Collection[str]:
        """The faults that are on, as they change."""
        return self._faults

    def told(self, write: Write) -> dict[str, Value]:
        """Return what a write said, by point name ("704.WMaxLimPct") in the point's unit."""
        return self._image.told(write)

    def value(self, name: str) -> Value:
        """Return what a point reads now, in its unit; None where it is not implemented."""
        return self._image.value(name)

    @property
    def stored_wh(self) -> float:
        """What a battery has stored."""
        return self._stored_wh

    def place(self, name: str, value: Value) -> tuple[int, bytes]:
        """Return a point's address and a value as its registers; see `hil.sunspec.register_image.Image`."""
        return self._image.place(name, value)

    def address(self, name: str) -> int:
        """Return a point's address; raises ValueError for a name that the map lacks."""
        return self._image.address(name)

    def set_fault(self, fault: str, on: bool) -> None:
        """Turn a fault on or off; raises ValueError for a name that is not in `hil.sunspec.faults`."""
        faults.demand_fault(fault)
        (self._faults.add if on else self._faults.discard)(fault)
        self._calm = False
        if fault == "reboot" and on:
            self._power_on()
        self._server.silent = "silent" in self._faults
        self._server.resets = "reset" in self._faults
        self._server.refuses = bool({"refuse_connections", "reboot"} & self._faults)
        self._server.most_clients = 1 if "one_client" in self._faults else None
        twisted = any(name.endswith("_reply") for name in self._faults)
        self._server.replies = (lambda frame: faults.replies(frame, self._faults)) if twisted else None

    def _power_on(self) -> None:
        """Have the registers and the timers that it was made with."""
        self._registers.forget()
        self._image.publish(self._generation.at_start(self.spec))
        self._due_ms = [None] * len(self._due_ms)
        self._rewritten.clear()
        self._adopting = None
        self._shown.clear()
        self._settings = self._read_settings()

    def _written(self, names: tuple[str, ...]) -> None:
        self._rewritten.update(dict.fromkeys(names, self._clock.now_ms()))
        self._calm = False

    def _rearm(self) -> None:
        for index, reversion in enumerate(self._generation.reversions):
            written_ms = [at_ms for name, at_ms in self._rewritten.items() if name in reversion.restarted_by]
            if not written_ms:
                continue
            if "keeps_timer" in self._faults and self._due_ms[index] is not None:
                continue
            share = faults.TIMER_SHARE if "drifting_timer" in self._faults else 1
            period_ms = round(1000 * share * self._image.number(reversion.period_s))
            armed = self._image.value(reversion.armed_by[0]) == reversion.armed_by[1]
            self._due_ms[index] = max(written_ms) + period_ms if armed and period_ms > 0 else None

    def _expire(self, now_ms: int) -> dict[str, Value]:
        taken: dict[str, Value] = {}
        for index, reversion in enumerate(self._generation.reversions):
            due_ms = self._due_ms[index]
            if due_ms is None or due_ms > now_ms:
                continue
            self._due_ms[index] = None
            if "never_reverts" in self._faults:
                continue
            for name, source in reversion.takes:
                taken[name] = self._image.value(source) if isinstance(source, str) else source
        return taken

    def _countdown(self, now_ms: int) -> dict[str, Value]:
        return {
            reversion.remaining_s: 0 if due_ms is None else max(0, math.ceil((due_ms - now_ms) / 1000))
            for reversion, due_ms in zip(self._generation.reversions, self._due_ms, strict=True)
            if reversion.remaining_s is not None
        }

    def _read_settings(self) -> Settings:
        settings = self._generation.settings(self._image)
        self._physics.take(settings, self._image)
        return settings

    def _around(self, volts: tuple[float, ...], hz: float) -> Around:
        return Around(volts, hz, self._available_w(), self._absorbs_w())

    def step(self, now_ms: int, volts: tuple[float, ...] | None = None, hz: float = _NOMINAL_HZ) -> None:
        """Advance to `now_ms`: writes and expired timers take effect, power moves, measured values are published.

        volts: line to neutral, one per connected phase; None is nominal.
        """
        self._registers.settle()
        if self._calm:
            return
        self._rearm()
        taken = self._expire(now_ms)
        if taken:
            self._image.publish(taken)
        adopted = self._adopt(frozenset(self._rewritten) | frozenset(taken), now_ms)
        if taken or adopted or self._rewritten:
            self._settings = self._read_settings()
            self._rewritten.clear()
        dt_s = max(0, now_ms - (self._stepped_ms or now_ms)) / 1000
        self._stepped_ms = now_ms
        self._book(dt_s)
        before = (self.w, self.var)
        self._physics.step(now_ms, dt_s, self._around(volts or self._nominal_volts, hz))
        self._publish_measured(volts or self._nominal_volts, hz, now_ms)
        timers_rest = not any(self._due_ms) and self._physics.delay_left_s(now_ms) <= 0
        still = self.spec.light and self._settings.respond is None and self._adopting is None
        self._calm = still and timers_rest and before == (self.w, self.var)

    def _adopt(self, written: frozenset[str], now_ms: int) -> bool:
        """Take the curves that were asked for, as its faults let it; tell whether anything changed."""
        if self._adopting is not None and self._adopting[0] <= now_ms:
            written, self._adopting = written | self._adopting[1], None
            slow = False
        else:
            slow = "slow_curves" in self._faults
        taken = self._generation.adopted(self._image, written) if written else {}
        results = [name for name in taken if name.endswith("Rslt")]
        if results and slow:
            self._adopting = (now_ms + faults.SLOW_CURVE_MS, written)
            taken = dict.fromkeys(results, IN_PROGRESS)
        elif "failed_curves" in self._faults:
            taken = dict.fromkeys(results, FAILED)
        elif "adopts_nothing" in self._faults:
            taken = {name: taken[name] for name in results}
        if taken:
            self._image.publish(taken)
        return bool(taken)

    def _book(self, dt_s: float) -> None:
        """Count the energy of the step that is over, and take it out of the store or into it."""
        if self.spec.light:
            return
        given_wh = self._physics.w * dt_s / 3600
        self._energy_wh += max(0.0, given_wh)
        self._absorbed_wh += max(0.0, -given_wh)
        self._stored_wh = max(0.0, min(float(self.spec.energy_wh), self._stored_wh - given_wh))

    def _available_w(self) -> float:
        if "asleep" in self._faults:
            return 0.0
        if self.spec.stores:
            return float(self.spec.rated_w) if self._stored_wh > 0 else 0.0
        return self._irradiance * self.spec.rated_w

    def _absorbs_w(self) -> float:
        """What it can take in now: a battery that is not full its rating, others nothing."""
        takes = self.spec.stores and self._stored_wh < self.spec.energy_wh and "asleep" not in self._faults
        return float(self.spec.rated_w) if takes else 0.0

    def _publish_measured(self, volts: tuple[float, ...], hz: float, now_ms: int) -> None:
        terminals = Terminals(
            w=self._physics.w,
            var=self._physics.var,
            volts=volts,
            hz=hz,
            available_w=self._available_w(),
            energy_wh=self._energy_wh,
            delay_left_s=self._physics.delay_left_s(now_ms),
            tripped=self._physics.tripped,
            settings=self._settings,
            absorbed_wh=self._absorbed_wh,
            stored_wh=self._stored_wh,
        )
        values = self._generation.measured(terminals) | self._countdown(now_ms)
        if "asleep" in self._faults:
            values |= self._generation.asleep()
        if "sentinels" in self._faults:
            values |= dict.fromkeys(self._generation.live)
        changed = {name: value for name, value in values.items() if self._shown.get(name, "") != value}
        if changed:
            self._image.publish(changed)
            self._shown |= changed


def _physics(spec: InverterSpec, models: tuple[int, ...], faults: set[str]) -> Physics:
    """Make the inside that the spec asks for; raises ValueError where OpenDER is asked for and not installed."""
    if spec.physics == "first-order":
        return FirstOrder(spec, faults)
    try:
        from hil.physics.opender_physics import OpenDer  # noqa: PLC0415 - a second of imports that others need not pay
    except ModuleNotFoundError as lack:
        raise ValueError(
            f'{spec.name}: physics "opender" needs {lack.name}; make check installs it, or leave it out'
        ) from lack
    return OpenDer(spec, models, faults)
