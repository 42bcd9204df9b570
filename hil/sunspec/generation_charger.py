"""Simulated battery inverter that charges by itself: the battery generation with model 124 (basic storage control)."""

from dataclasses import replace

from hil.sunspec.generation_battery import GenerationBattery
from hil.sunspec.personality import InverterSpec, Settings
from hil.sunspec.register_image import Image, Value

_CHARGE_BIT = 1


class GenerationCharger(GenerationBattery):
    """Without a set-point it charges at its rating, or at InWRte of WChaMax while bit 0 of StorCtl_Mod is set."""

    models: tuple[int, ...] = (*GenerationBattery.models, 124)

    def scale_factors(self, spec: InverterSpec) -> tuple[tuple[str, int], ...]:
        return (
            *super().scale_factors(spec),
            ("124.WChaMax_SF", spec.watt_exponent),
            ("124.WChaDisChaGra_SF", 0),
            ("124.InOutWRte_SF", -2),
        )

    def at_start(self, spec: InverterSpec) -> dict[str, Value]:
        return {
            **super().at_start(spec),
            "1.Md": "Sim-Charger",
            "124.WChaMax": spec.rated_w,
            **dict.fromkeys(("124.WChaGra", "124.WDisChaGra", "124.InWRte", "124.OutWRte"), 100),
            **dict.fromkeys(("124.StorCtl_Mod", "124.InOutWRte_RvrtTms"), 0),
        }

    def ranges(self, spec: InverterSpec) -> dict[str, tuple[float, float]]:
        return {**super().ranges(spec), **dict.fromkeys(("124.InWRte", "124.OutWRte"), (0.0, 100.0))}

    def settings(self, image: Image) -> Settings:
        read = super().settings(image)
        most_w = image.number("124.WChaMax")
        mode = image.value("124.StorCtl_Mod")
        if isinstance(mode, int) and mode & _CHARGE_BIT:
            most_w *= image.number("124.InWRte") / 100
        own_w = image.number("704.WSet") if image.value("704.WSetEna") == 1 else -most_w
        return replace(read, wish=replace(read.wish, set_w=max(own_w, -most_w)))
