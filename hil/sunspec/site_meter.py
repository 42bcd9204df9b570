"""A simulated SunSpec meter at a connection point: what its DER give less the load there (models 203, 213)."""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

from hil.sunspec.modbus_server import ModbusServer
from hil.sunspec.register_image import Image, Value, layout_of
from hil.trial.tables import Strict, demand_known

MeterFault = Literal["silent", "refuse_connections", "reset", "asleep"]
METER_FAULTS: tuple[str, ...] = get_args(MeterFault)

_MOST_RAW = 32_000
_NOMINAL_V = 240.0
_NOMINAL_HZ = 60.0


class MeterPlan(Strict):
    """One meter; behind it is every device of its resource. `most_w` is what it and its load must have room for."""

    name: str
    resource: str
    kind: Literal["203", "213"] = "203"
    load_w: float = 0.0
    most_w: float = 30_000.0
    base: int = 40000
    unit: int = 1
    port: int = 0


class LoadAct(Strict):
    """Change the load behind a meter, W; negative for what generates there and is not driven."""

    meter: str
    w: float


class SiteMeter:
    """One meter on a street, which steps after the devices behind it; on no feeder.

    Its `w` is positive out into the grid; its registers count import as positive. Faults: "silent": connects, never
    answers; "refuse_connections"; "reset": every connection is reset; "asleep": live points not implemented.
    """

    bus = ""
    phases = (1, 2, 3)
    nominal_v = _NOMINAL_V
    var = 0.0

    def __init__(self, plan: MeterPlan, generated_w: Callable[[], float], host: str = "127.0.0.1") -> None:
        self.plan = plan
        self.name = plan.name
        self._generated_w = generated_w
        self._load_w = 0.0
        self._faults: set[str] = set()
        self._stepped_ms: int | None = None
        self._w = 0.0
        self._exported_wh = self._imported_wh = 0.0
        self.set_load(plan.load_w)
        self._image = Image(
            layout_of((1, int(plan.kind)), _scale_factors(plan)), plan.base, self._at_start() | self._live(), {}
        )
        self._server = ModbusServer({plan.unit: self._image}, host, plan.port)

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        await self._server.start()

    async def stop(self) -> None:
        """Close the socket and every connection."""
        await self._server.stop()

    @property
    def port(self) -> int:
        """TCP port; known once started."""
        return self._server.port

    @property
    def w(self) -> float:
        """True active power out into the grid at the last step, W."""
        return self._w

    @property
    def load_w(self) -> float:
        """What is used behind it, W."""
        return self._load_w

    @property
    def faults(self) -> frozenset[str]:
        """The faults that are on."""
        return frozenset(self._faults)

    def set_load(self, w: float) -> None:
        """Use this much behind it from the next step on; raises ValueError for more than the plan has room for."""
        if not abs(w) <= self.plan.most_w:
            raise ValueError(f"load {w} W of {self.name} is out of range; use at most {self.plan.most_w:g} W")
        self._load_w = w

    def set_fault(self, fault: str, on: bool) -> None:
        """Turn a fault on or off; raises ValueError for a name that is not in `METER_FAULTS`."""
        if fault not in METER_FAULTS:
            raise ValueError(f'fault "{fault}" is not known; use one of {", ".join(METER_FAULTS)}')
        (self._faults.add if on else self._faults.discard)(fault)
        self._server.silent = "silent" in self._faults
        self._server.resets = "reset" in self._faults
        self._server.refuses = "refuse_connections" in self._faults

    def value(self, name: str) -> Value:
        """Return what a point reads now, in its unit; None where it is not implemented."""
        return self._image.value(name)

    def ready(self) -> dict[str, Any]:
        """Where it listens, and whose it is."""
        return {"host": "127.0.0.1", "port": self.port, "unit": self.plan.unit, "resource": self.plan.resource}

    def state(self) -> dict[str, Any]:
        """What it measures now."""
        return {"w": round(self.w), "load_w": round(self.load_w), "faults": sorted(self.faults)}

    def step(self, now_ms: int, volts: tuple[float, ...] | None = None) -> None:
        """Count the energy of the step that is over, and show what flows now."""
        del volts
        since_ms = now_ms if self._stepped_ms is None else self._stepped_ms
        given_wh = self._w * max(0, now_ms - since_ms) / 3_600_000
        self._stepped_ms = now_ms
        self._exported_wh += max(0.0, given_wh)
        self._imported_wh += max(0.0, -given_wh)
        self._w = self._generated_w() - self._load_w
        self._image.publish(self._live())

    def _at_start(self) -> dict[str, Value]:
        return {
            "1.Mn": "Simulated Meters",
            "1.Md": f"Sim-{self.plan.kind}",
            "1.Vr": "1.0",
            "1.SN": f"SIM-{self.name}"[:32],
            "1.DA": self.plan.unit,
            f"{self.plan.kind}.Evt": 0,
        }

    def _live(self) -> dict[str, Value]:
        current_a = abs(self._w) / (3 * _NOMINAL_V)
        values: dict[str, Value] = {
            "A": 3 * current_a,
            "PhV": _NOMINAL_V,
            "PPV": _NOMINAL_V * math.sqrt(3),
            "Hz": _NOMINAL_HZ,
            "W": -self._w,
            "TotWhExp": int(self._exported_wh),
            "TotWhImp": int(self._imported_wh),
        }
        between = "PhVph" if self.plan.kind == "203" else "PPVph"
        for phase, pair in (("A", "AB"), ("B", "BC"), ("C", "CA")):
            values |= {f"Aph{phase}": current_a, f"Wph{phase}": -self._w / 3}
            values |= {f"PhVph{phase}": values["PhV"], f"{between}{pair}": values["PPV"]}
        if "asleep" in self._faults:
            values = dict.fromkeys(values)
        return {f"{self.plan.kind}.{name}": value for name, value in values.items()}


def check_load(plans: tuple[MeterPlan, ...], act: LoadAct) -> None:
    """Raise ValueError when a step names a meter that the scenario lacks."""
    demand_known("meter", act.meter, (plan.name for plan in plans))


def _scale_factors(plan: MeterPlan) -> tuple[tuple[str, int], ...]:
    """Scale factors with which twice `most_w` fits a signed register; 213 has none."""
    if plan.kind == "213":
        return ()
    watt = max(0, math.ceil(math.log10(2 * plan.most_w / _MOST_RAW)))
    factors = {"A_SF": max(-1, watt - 2), "V_SF": -1, "Hz_SF": -2, "W_SF": watt, "TotWh_SF": 0}
    return tuple((f"203.{name}", exponent) for name, exponent in factors.items())
