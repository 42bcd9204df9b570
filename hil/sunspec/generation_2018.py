"""Simulated inverter of the IEEE 1547-2018 generation: models 701 to 704 (SunSpec DER Information Model 1.2)."""

import math

from hil.physics.plant import Wish
from hil.physics.protection import Window
from hil.sunspec.personality import InverterSpec, Reversion, Settings, Terminals, common_model
from hil.sunspec.register_image import Image, Value

_MAX_W_BIT = 1 << 0
_FIXED_W_BIT = 1 << 1
_FIXED_VAR_BIT = 1 << 2
_RUNNING, _THROTTLED, _STANDBY, _SLEEPING, _STARTING = 3, 4, 7, 1, 2
_WATTS = 1
_VARS = 4


def _reversion(function: str, values: tuple[str, ...], mode: tuple[str, ...] = ()) -> Reversion:
    enable, period = f"704.{function}Ena", f"704.{function}RvrtTms"
    return Reversion(
        armed_by=(enable, 1),
        period_s=period,
        restarted_by=frozenset((enable, period, *(f"704.{v}" for v in values + mode))),
        takes=(*((f"704.{v}", f"704.{v}Rvrt") for v in values), (enable, f"704.{function}EnaRvrt")),
        remaining_s=f"704.{function}RvrtRem",
    )


class Generation2018:
    """Measures in 701, ratings and settings in 702, permit service in 703, limits and set-points in 704.

    Our reading of 704: when a reversion timer expires, the reversion value and enable become the setting, so they
    read back as such. 701 ConnSt shows DISCONNECTED while 703 does not permit service.
    """

    models: tuple[int, ...] = (1, 701, 702, 703, 704)
    reversions: tuple[Reversion, ...] = (
        _reversion("WMaxLimPct", ("WMaxLimPct",)),
        _reversion("WSet", ("WSet", "WSetPct"), ("WSetMod",)),
        _reversion("VarSet", ("VarSet", "VarSetPct"), ("VarSetMod",)),
    )

    locked: frozenset[str] = frozenset()

    def scale_factors(self, spec: InverterSpec) -> tuple[tuple[str, int], ...]:
        watt = spec.watt_exponent
        return (
            *((f"701.{name}", watt) for name in ("W_SF", "VA_SF", "Var_SF")),
            *((f"702.{name}", watt) for name in ("W_SF", "VA_SF", "Var_SF")),
            *((name, -1) for name in ("701.V_SF", "702.V_SF", "703.V_SF")),
            *((name, -3) for name in ("701.PF_SF", "701.Hz_SF", "702.PF_SF")),
            *((f"704.{name}", -2) for name in ("WMaxLimPct_SF", "WSetPct_SF", "VarSetPct_SF")),
            *((name, 0) for name in ("701.TotWh_SF", "701.TotVarh_SF", "701.Tmp_SF", "704.WSet_SF", "704.VarSet_SF")),
            ("701.A_SF", spec.ampere_exponent),
            ("703.Hz_SF", -2),
        )

    def at_start(self, spec: InverterSpec) -> dict[str, Value]:
        return {
            **common_model(spec, "Sim-1547"),
            "701.ACType": 2 if len(spec.phases) == 3 else 0,
            "701.Alrm": 0,
            "701.DERMode": 1,
            "702.WMaxRtg": spec.rated_w,
            "702.VAMaxRtg": spec.rated_w,
            "702.VarMaxInjRtg": spec.max_var,
            "702.VarMaxAbsRtg": spec.max_var,
            "702.VNomRtg": spec.nominal_v,
            "702.NorOpCatRtg": 1,
            "702.AbnOpCatRtg": 2,
            "702.CtrlModes": _MAX_W_BIT | _FIXED_W_BIT | _FIXED_VAR_BIT,
            "702.WMax": spec.rated_w,
            "702.VAMax": spec.rated_w,
            "702.VarMaxInj": spec.max_var,
            "702.VarMaxAbs": spec.max_var,
            "702.VNom": spec.nominal_v,
            "703.ES": 1,
            "703.ESVHi": 105,
            "703.ESVLo": 91.7,
            "703.ESHzHi": 60.1,
            "703.ESHzLo": 59.5,
            **dict.fromkeys(("703.ESDlyTms", "703.ESRndTms", "703.ESRmpTms", "703.ESDlyRemTms"), 0),
            "704.WMaxLimPctEna": 0,
            "704.WMaxLimPct": 100,
            "704.WMaxLimPctRvrt": 100,
            "704.WMaxLimPctEnaRvrt": 0,
            "704.WSetEna": 0,
            "704.WSetMod": 0,
            "704.WSetEnaRvrt": 0,
            **dict.fromkeys(("704.WSet", "704.WSetRvrt"), spec.rated_w),
            **dict.fromkeys(("704.WSetPct", "704.WSetPctRvrt"), 100),
            "704.VarSetEna": 0,
            "704.VarSetMod": _VARS,
            "704.VarSetPri": 0,
            "704.VarSetEnaRvrt": 0,
            **dict.fromkeys(("704.VarSet", "704.VarSetRvrt", "704.VarSetPct", "704.VarSetPctRvrt"), 0),
            **{f"704.{f}Rvrt{t}": 0 for f in ("WMaxLimPct", "WSet", "VarSet") for t in ("Tms", "Rem")},
        }

    def ranges(self, spec: InverterSpec) -> dict[str, tuple[float, float]]:
        limit, signed = (0.0, 100.0), (-100.0, 100.0)
        watts = (-float(spec.rated_w), float(spec.rated_w))
        return {
            "702.WMax": (1.0, float(spec.rated_w)),
            "702.VAMax": (1.0, float(spec.rated_w)),
            **dict.fromkeys(("704.WMaxLimPct", "704.WMaxLimPctRvrt"), limit),
            **dict.fromkeys(("704.WSetPct", "704.WSetPctRvrt", "704.VarSetPct", "704.VarSetPctRvrt"), signed),
            **dict.fromkeys(("704.WSet", "704.WSetRvrt", "704.VarSet", "704.VarSetRvrt"), watts),
        }

    def adopted(self, image: Image, written: frozenset[str]) -> dict[str, Value]:
        del image, written
        return {}

    def settings(self, image: Image) -> Settings:
        w_max = image.number("702.WMax")
        limit_w = image.number("704.WMaxLimPct") / 100 * w_max if image.value("704.WMaxLimPctEna") == 1 else None
        wish = Wish(
            energize=image.value("703.ES") == 1,
            limit_w=w_max if limit_w is None else min(limit_w, w_max),
            set_w=self._set_w(image, w_max),
            set_var=self._set_var(image, w_max),
        )
        return Settings(
            wish=wish,
            w_max=w_max,
            va_max=image.number("702.VAMax"),
            enter_delay_s=image.number("703.ESDlyTms"),
            enter_ramp_s=image.number("703.ESRmpTms"),
            window=Window(*(image.number(f"703.{name}") for name in ("ESVLo", "ESVHi", "ESHzLo", "ESHzHi"))),
        )

    def _set_w(self, image: Image, w_max: float) -> float | None:
        if image.value("704.WSetEna") != 1:
            return None
        if image.value("704.WSetMod") == _WATTS:
            return image.number("704.WSet")
        return image.number("704.WSetPct") / 100 * w_max

    def _set_var(self, image: Image, w_max: float) -> float | None:
        if image.value("704.VarSetEna") != 1:
            return None
        mode = image.value("704.VarSetMod")
        if mode == _VARS:
            return image.number("704.VarSet")
        share = image.number("704.VarSetPct") / 100
        most_var = image.number("702.VarMaxInj" if share >= 0 else "702.VarMaxAbs")
        va_max = image.number("702.VAMax")
        available_var = min(most_var, math.sqrt(max(0.0, va_max**2 - image.number("701.W") ** 2)))
        return share * (w_max, most_var, available_var, va_max)[int(mode) if isinstance(mode, int) else 0]

    def measured(self, terminals: Terminals) -> dict[str, Value]:
        here, legs = terminals, len(terminals.volts)
        voltage = here.line_to_neutral_v
        state = (_THROTTLED if here.throttled else _RUNNING) if here.in_service else _STANDBY
        if here.settings.wish.energize and here.delay_left_s > 0:
            state = _STARTING
        values: dict[str, Value] = {
            "701.St": int(here.in_service),
            "701.InvSt": state,
            "701.ConnSt": int(here.in_service),
            "701.W": here.w,
            "701.VA": here.va,
            "701.Var": here.var,
            "701.PF": here.power_factor,
            "701.A": here.phase_a * legs,
            "701.LLV": voltage * math.sqrt(3) if legs == 3 else None,
            "701.LNV": voltage,
            "701.Hz": here.hz,
            "701.TotWhInj": int(here.energy_wh),
            "701.ThrotPct": self._throttle_pct(here),
            "701.ThrotSrc": self._throttle_source(here),
            "703.ESDlyRemTms": math.ceil(here.delay_left_s),
        }
        for leg, leg_v in enumerate(here.volts, start=1):
            values[f"701.WL{leg}"] = here.w / legs
            values[f"701.VL{leg}"] = leg_v
            values[f"701.AL{leg}"] = here.phase_a
        return values

    def _throttle_pct(self, here: Terminals) -> int:
        if not here.throttled or here.available_w <= 0:
            return 0
        return round(100 * max(0.0, 1 - here.w / here.available_w))

    def _throttle_source(self, here: Terminals) -> int:
        if not here.throttled:
            return 0
        wish = here.settings.wish
        by_set_point = wish.set_w is not None and (wish.limit_w is None or wish.set_w <= wish.limit_w)
        return _FIXED_W_BIT if by_set_point else _MAX_W_BIT

    live: frozenset[str] = frozenset(
        f"701.{name}"
        for name in (
            *("W", "VA", "Var", "PF", "A", "LLV", "LNV", "Hz", "ThrotPct", "ThrotSrc"),
            *(f"{quantity}L{leg}" for quantity in "WVA" for leg in (1, 2, 3)),
        )
    )

    def asleep(self) -> dict[str, Value]:
        return {**dict.fromkeys(self.live), "701.St": 0, "701.InvSt": _SLEEPING, "701.ConnSt": 0}
