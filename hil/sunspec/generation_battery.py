"""Simulated battery inverter: the IEEE 1547-2018 generation with model 713 (DER storage capacity)."""

import math
from dataclasses import replace

from hil.sunspec.generation_2018 import Generation2018
from hil.sunspec.personality import InverterSpec, Settings, Terminals
from hil.sunspec.register_image import Image, Value

_MOST_RAW = 65_000
_CHARGE_RATES = ("WChaRteMaxRtg", "WDisChaRteMaxRtg", "WChaRteMax", "WDisChaRteMax")


class GenerationBattery(Generation2018):
    """Charges at a negative set-point and discharges at a positive one; without a set-point it rests.

    It loses nothing on the way in or out. Empty it gives nothing, full it takes nothing.
    """

    models: tuple[int, ...] = (*Generation2018.models, 713)

    def scale_factors(self, spec: InverterSpec) -> tuple[tuple[str, int], ...]:
        exponent = max(0, math.ceil(math.log10(spec.energy_wh / _MOST_RAW)))
        return (*super().scale_factors(spec), ("713.WH_SF", exponent), ("713.Pct_SF", -1))

    def at_start(self, spec: InverterSpec) -> dict[str, Value]:
        return {
            **super().at_start(spec),
            "1.Md": "Sim-Battery",
            **{f"702.{name}": spec.rated_w for name in _CHARGE_RATES},
            "713.WHRtg": spec.energy_wh,
            "713.SoH": 100,
            "713.Sta": 0,
            **self._stored(spec.energy_wh * spec.charge_pct / 100, spec.energy_wh),
        }

    def settings(self, image: Image) -> Settings:
        read = super().settings(image)
        at_rest = 0.0 if read.wish.set_w is None else read.wish.set_w
        return replace(read, wish=replace(read.wish, set_w=at_rest), energy_wh=image.number("713.WHRtg"))

    def measured(self, terminals: Terminals) -> dict[str, Value]:
        return {
            **super().measured(terminals),
            "701.PF": abs(terminals.power_factor),
            "701.ThrotPct": 0,
            "701.ThrotSrc": 0,
            "701.TotWhAbs": int(terminals.absorbed_wh),
            **self._stored(terminals.stored_wh, terminals.settings.energy_wh),
        }

    def _stored(self, stored_wh: float, energy_wh: float) -> dict[str, Value]:
        return {"713.WHAvail": stored_wh, "713.SoC": 100 * stored_wh / energy_wh}
