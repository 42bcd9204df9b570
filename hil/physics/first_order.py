"""An inverter's inside as a plant of first order: functions that wish, a protection that forbids, and the plant."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Protocol

from hil.physics.plant import Plant, Wish
from hil.physics.protection import Protection
from hil.sunspec.personality import InverterSpec, Local, Settings
from hil.sunspec.register_image import Image

_SLOWER = 100


@dataclass(frozen=True, slots=True)
class Around:
    """What acts on an inverter in one step.

    volts: line to neutral, each phase. available_w: what its light or store gives. absorbs_w: what a store takes.
    """

    volts: tuple[float, ...]
    hz: float
    available_w: float
    absorbs_w: float = 0.0

    def volts_pct(self, nominal_v: float) -> tuple[float, ...]:
        """Voltages in % of nominal, rounded so that one that is right on a limit is not beyond it."""
        return tuple(round(100 * volts / nominal_v, 6) for volts in self.volts)


class Physics(Protocol):
    """The inside of an inverter: `w` and `var` positive out of it, `tripped` by its protection and not back yet."""

    @property
    def w(self) -> float: ...
    @property
    def var(self) -> float: ...
    @property
    def tripped(self) -> bool: ...

    def take(self, settings: Settings, image: Image) -> None:
        """Take over what the registers say from now on."""

    def step(self, now_ms: int, dt_s: float, around: Around) -> None:
        """Advance by `dt_s` seconds that end at `now_ms`; infinity is a steady state."""

    def delay_left_s(self, now_ms: int) -> float:
        """Seconds of the enter-service delay that are still to run."""


class FirstOrder:
    """The default inside: a `Plant` behind a `Protection`; `faults` is looked at at every step.

    A light one knows no voltage and does not trip.
    """

    def __init__(self, spec: InverterSpec, faults: Collection[str]) -> None:
        self._spec = spec
        self._faults = faults
        self._plant = Plant(spec.rated_w, 0.0 if spec.light else spec.time_constant_s)
        self._protection = Protection(faults)
        self._settings = Settings(Wish(), spec.rated_w, spec.rated_w)

    @property
    def w(self) -> float:
        return 0.0 if self._protection.ceased else self._plant.w

    @property
    def var(self) -> float:
        return 0.0 if self._protection.ceased else self._plant.var

    @property
    def tripped(self) -> bool:
        return self._protection.tripped

    def delay_left_s(self, now_ms: int) -> float:
        return self._plant.delay_left_s(now_ms)

    def take(self, settings: Settings, image: Image) -> None:
        del image
        self._settings = settings
        self._plant.enter_delay_s = settings.enter_delay_s
        self._plant.enter_ramp_s = settings.enter_ramp_s

    def step(self, now_ms: int, dt_s: float, around: Around) -> None:
        wish = self._wish(around)
        if not self._spec.light:
            volts_pct = around.volts_pct(self._spec.nominal_v)
            may = self._protection.permits(dt_s, volts_pct, around.hz, self._settings.trips, self._settings.window)
            wish = replace(wish, energize=wish.energize and may)
        self._plant.absorbs_w = around.absorbs_w
        pace_s = dt_s / _SLOWER if "slow" in self._faults else dt_s
        self._plant.step(now_ms, pace_s, around.available_w, self._settings.va_max, wish)
        if wish.energize and self._plant.delay_left_s(now_ms) <= 0:
            self._protection.returned()

    def _wish(self, around: Around) -> Wish:
        wish = self._settings.wish
        if self._settings.respond is not None:
            volts_pct = around.volts_pct(self._spec.nominal_v)
            mean_pct = sum(volts_pct) / len(volts_pct)
            here = Local(mean_pct, around.hz, self._plant.w, around.available_w, self._settings.va_max)
            wish = self._settings.respond(wish, here)
        if "wrong_sign" in self._faults and wish.set_var is not None:
            wish = replace(wish, set_var=-wish.set_var)
        if "asleep" in self._faults:
            return Wish(energize=wish.energize, limit_w=0.0)
        if "ignores_limit" in self._faults:
            return Wish(energize=wish.energize, limit_w=self._spec.rated_w)
        return wish
