"""What the two generations of simulated SunSpec inverters have in common: the words between registers and physics."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from hil.physics.plant import Wish
from hil.physics.protection import CATEGORY_III, NORMAL, Trip, Window
from hil.sunspec.register_image import Image, Value

Kind = Literal["2018", "legacy", "battery", "charger", "autonomous", "ride-through", "legacy-curves"]

_MOST_RAW = 26_000
_HEADROOM = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class InverterSpec:
    """One simulated inverter.

    kind: "2018" has models 1, 701-704, "legacy" 1, 103, 120-123, "battery" 1, 701-704, 713,
    "charger" those and 124, which charges by itself,
    "autonomous" 1, 701-706, 711, 712, "ride-through" those and 707-710, "legacy-curves" those of "legacy" and 126,
    129-132, 134-138. rated_w: nameplate, W at
    full light. base: address of the SunS marker. phases: feeder phases of its terminals, in the order of its own L1,
    L2, L3. bus: "" is on no feeder. nominal_v: line to neutral. light: no time constant, no voltage, no energy; for
    benches of many. energy_wh, charge_pct: of a battery, what it stores when full and how full it is at the start.
    physics: "opender" is EPRI's OpenDER, which has to be installed; not for "legacy" and not for light ones.
    """

    name: str
    kind: Kind = "2018"
    rated_w: int = 5000
    unit: int = 1
    base: int = 40000
    port: int = 0
    bus: str = ""
    phases: tuple[int, ...] = (1, 2, 3)
    nominal_v: float = 240.0
    irradiance: float = 1.0
    time_constant_s: float = 1.0
    end_marker: bool = True
    light: bool = False
    energy_wh: int = 10_000
    charge_pct: float = 50.0
    physics: Literal["first-order", "opender"] = "first-order"

    def __post_init__(self) -> None:
        if self.physics == "opender" and (self.light or self.kind == "legacy"):
            raise ValueError(f'{self.name}: physics "opender" is not for legacy and light inverters; leave it out')
        if self.energy_wh <= 0 or not 0 <= self.charge_pct <= 100:
            raise ValueError(f"{self.name}: give energy_wh above 0 and charge_pct from 0 to 100")

    @property
    def stores(self) -> bool:
        """Whether it is a battery."""
        return self.kind in ("battery", "charger")

    @property
    def watt_exponent(self) -> int:
        """Scale factor with which rated power and some headroom fit a signed register."""
        return max(0, math.ceil(math.log10(self.rated_w * _HEADROOM / _MOST_RAW)))

    @property
    def ampere_exponent(self) -> int:
        """Scale factor with which the current at half nominal voltage fits a signed register; 0.1 A at the finest."""
        most_a = self.rated_w * _HEADROOM / (0.5 * self.nominal_v)
        return max(-1, math.ceil(math.log10(most_a / _MOST_RAW)))

    @property
    def max_var(self) -> float:
        """Reactive capability: 44 % of apparent power, category B of IEEE 1547-2018, 5.2."""
        return 0.44 * self.rated_w


@dataclass(frozen=True, slots=True)
class Local:
    """What autonomous functions look at: voltage in percent of nominal, frequency, and the power there is, W and VA."""

    volts_pct: float
    hz: float
    w: float
    available_w: float
    va_max: float


@dataclass(frozen=True, slots=True)
class Settings:
    """What the writable registers say at this step; `respond` turns the wish into what the grid asks for just now.

    `window`: where it may enter service; `trips`: where it must leave it.
    """

    wish: Wish
    w_max: float
    va_max: float
    enter_delay_s: float = 0.0
    enter_ramp_s: float = 0.0
    energy_wh: float = 0.0
    window: Window = NORMAL
    trips: tuple[Trip, ...] = CATEGORY_III
    respond: Callable[[Wish, Local], Wish] | None = None


@dataclass(frozen=True, slots=True)
class Terminals:
    """What is measured at the inverter's terminals; None in `volts` never occurs, a dead bus reads 0."""

    w: float
    var: float
    volts: tuple[float, ...]
    hz: float
    available_w: float
    energy_wh: float
    delay_left_s: float
    settings: Settings
    absorbed_wh: float = 0.0
    stored_wh: float = 0.0
    tripped: bool = False

    @property
    def va(self) -> float:
        """Apparent power."""
        return math.hypot(self.w, self.var)

    @property
    def line_to_neutral_v(self) -> float:
        """Mean over the connected phases."""
        return sum(self.volts) / len(self.volts)

    @property
    def phase_a(self) -> float:
        """Current of each connected phase, A."""
        return self.va / len(self.volts) / self.line_to_neutral_v if self.line_to_neutral_v > 0 else 0.0

    @property
    def power_factor(self) -> float:
        """Displacement factor, 1 at rest."""
        return self.w / self.va if self.va > 0 else 1.0

    @property
    def throttled(self) -> bool:
        """Whether a setting, not the light, holds the power."""
        wish = self.settings.wish
        told = [x for x in (wish.limit_w, wish.set_w) if x is not None]
        return bool(told) and min(told) < self.available_w

    @property
    def in_service(self) -> bool:
        """Whether it may energize, has not tripped, and its enter-service delay is over."""
        return self.settings.wish.energize and not self.tripped and self.delay_left_s <= 0


@dataclass(frozen=True, slots=True)
class Reversion:
    """A timer that takes back a setting: armed while `armed_by` holds and the period is not 0, restarted by a rewrite.

    armed_by: point and value. takes: each point and what it takes on expiry, another point's value or a number.
    """

    armed_by: tuple[str, int]
    period_s: str
    restarted_by: frozenset[str]
    takes: tuple[tuple[str, str | float], ...]
    remaining_s: str | None = None


class Personality(Protocol):
    """The registers of one generation and their meaning."""

    models: tuple[int, ...]
    reversions: tuple[Reversion, ...]
    live: frozenset[str]
    locked: frozenset[str]

    def scale_factors(self, spec: InverterSpec) -> tuple[tuple[str, int], ...]: ...

    def at_start(self, spec: InverterSpec) -> dict[str, Value]: ...

    def ranges(self, spec: InverterSpec) -> dict[str, tuple[float, float]]: ...

    def adopted(self, image: Image, written: frozenset[str]) -> dict[str, Value]: ...

    def settings(self, image: Image) -> Settings: ...

    def measured(self, terminals: Terminals) -> dict[str, Value]: ...

    def asleep(self) -> dict[str, Value]: ...


def common_model(spec: InverterSpec, model: str) -> Mapping[str, Value]:
    """Values of model 1."""
    return {
        "1.Mn": "Simulated Inverters",
        "1.Md": model,
        "1.Vr": "1.0",
        "1.SN": f"SIM-{spec.name}"[:32],
        "1.DA": spec.unit,
    }
