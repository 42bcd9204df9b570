"""Simulated inverter of the legacy generation: SunSpec models 103, 120, 121, 122, 123."""

from hil.physics.plant import Wish
from hil.sunspec.personality import InverterSpec, Reversion, Settings, Terminals, common_model
from hil.sunspec.register_image import Image, Value

_PHOTOVOLTAIC = 4
_SLEEPING, _MPPT, _THROTTLED, _STANDBY = 2, 4, 5, 8
_OPERATING = 0b111
_FIXED_W_BIT = 1 << 0
_FIRST_WH = 1000


class GenerationLegacy:
    """Measures in 103, ratings in 120, settings in 121, status in 122, controls in 123.

    Our reading of 123, which has no reversion value: when WMaxLimPct_RvrtTms expires, the limit is disabled, and when
    Conn_RvrtTms expires, the inverter connects again. A changed limit is taken over WMaxLimPct_RmpTms. Time windows and
    the other ramp times are accepted and have no effect.
    """

    models: tuple[int, ...] = (1, 103, 120, 121, 122, 123)
    reversions: tuple[Reversion, ...] = (
        Reversion(
            armed_by=("123.WMaxLim_Ena", 1),
            period_s="123.WMaxLimPct_RvrtTms",
            restarted_by=frozenset(("123.WMaxLimPct", "123.WMaxLimPct_RvrtTms", "123.WMaxLim_Ena")),
            takes=(("123.WMaxLim_Ena", 0),),
        ),
        Reversion(
            armed_by=("123.Conn", 0),
            period_s="123.Conn_RvrtTms",
            restarted_by=frozenset(("123.Conn", "123.Conn_RvrtTms")),
            takes=(("123.Conn", 1),),
        ),
        Reversion(
            armed_by=("123.VArPct_Ena", 1),
            period_s="123.VArPct_RvrtTms",
            restarted_by=frozenset(("123.VArWMaxPct", "123.VArMaxPct", "123.VArPct_RvrtTms", "123.VArPct_Ena")),
            takes=(("123.VArPct_Ena", 0),),
        ),
    )

    locked: frozenset[str] = frozenset()

    def scale_factors(self, spec: InverterSpec) -> tuple[tuple[str, int], ...]:
        watt = spec.watt_exponent
        return (
            *((f"103.{name}", watt) for name in ("W_SF", "VA_SF", "VAr_SF", "DCW_SF")),
            *((f"120.{name}", watt) for name in ("WRtg_SF", "VARtg_SF", "VArRtg_SF")),
            *((f"121.{name}", watt) for name in ("WMax_SF", "VAMax_SF", "VArMax_SF")),
            *((name, -1) for name in ("103.V_SF", "121.VRef_SF", "121.VRefOfs_SF")),
            *((name, -2) for name in ("103.Hz_SF", "103.PF_SF", "120.PFRtg_SF")),
            *((name, 0) for name in ("103.WH_SF", "103.Tmp_SF", "123.WMaxLimPct_SF", "123.VArPct_SF")),
            *((name, spec.ampere_exponent) for name in ("103.A_SF", "120.ARtg_SF")),
            ("122.WAval_SF", watt),
            ("123.OutPFSet_SF", -2),
        )

    def at_start(self, spec: InverterSpec) -> dict[str, Value]:
        quadrants = (1, 2, 3, 4)
        return {
            **common_model(spec, "Sim-Legacy"),
            "103.TmpCab": 40,
            "103.Evt1": 0,
            "103.Evt2": 0,
            "120.DERTyp": _PHOTOVOLTAIC,
            "120.WRtg": spec.rated_w,
            "120.VARtg": spec.rated_w,
            "120.ARtg": spec.rated_w / len(spec.phases) / spec.nominal_v,
            **{f"120.VArRtgQ{q}": (1 if q < 3 else -1) * spec.max_var for q in quadrants},
            **{f"120.PFRtgQ{q}": 0.9 for q in quadrants},
            "121.WMax": spec.rated_w,
            "121.VRef": spec.nominal_v,
            "121.VRefOfs": 0,
            "121.VAMax": spec.rated_w,
            **{f"121.VArMaxQ{q}": (1 if q < 3 else -1) * spec.max_var for q in quadrants},
            "122.PVConn": _OPERATING,
            "122.StorConn": 0,
            "122.ECPConn": 1,
            "122.StActCtl": 0,
            "123.Conn_WinTms": 0,
            "123.Conn_RvrtTms": 0,
            "123.Conn": 1,
            "123.WMaxLimPct": 100,
            "123.WMaxLim_Ena": 0,
            **{f"123.WMaxLimPct_{t}": 0 for t in ("WinTms", "RvrtTms", "RmpTms")},
            "123.OutPFSet": 1,
            "123.OutPFSet_Ena": 0,
            **dict.fromkeys(("123.VArWMaxPct", "123.VArMaxPct", "123.VArPct_RvrtTms", "123.VArPct_Ena"), 0),
            "123.VArPct_Mod": 1,
        }

    def ranges(self, spec: InverterSpec) -> dict[str, tuple[float, float]]:
        return {
            **dict.fromkeys(("121.WMax", "121.VAMax"), (1.0, float(spec.rated_w))),
            "123.WMaxLimPct": (0.0, 100.0),
            **dict.fromkeys(("123.VArWMaxPct", "123.VArMaxPct"), (-100.0, 100.0)),
            "123.VArPct_Mod": (0.0, 2.0),
            "123.OutPFSet_Ena": (0.0, 0.0),
        }

    def adopted(self, image: Image, written: frozenset[str]) -> dict[str, Value]:
        del image, written
        return {}

    def settings(self, image: Image) -> Settings:
        w_max = image.number("121.WMax")
        limit_w = image.number("123.WMaxLimPct") / 100 * w_max if image.value("123.WMaxLim_Ena") == 1 else w_max
        wish = Wish(
            energize=image.value("123.Conn") == 1,
            limit_w=limit_w,
            set_var=self._set_var(image, w_max),
            ramp_s=image.number("123.WMaxLimPct_RmpTms"),
        )
        return Settings(wish=wish, w_max=w_max, va_max=image.number("121.VAMax"))

    def _set_var(self, image: Image, w_max: float) -> float | None:
        if image.value("123.VArPct_Ena") != 1 or image.value("123.VArPct_Mod") == 0:
            return None
        if image.value("123.VArPct_Mod") == 1:
            return image.number("123.VArWMaxPct") / 100 * w_max
        return image.number("123.VArMaxPct") / 100 * image.number("121.VArMaxQ1")

    def measured(self, terminals: Terminals) -> dict[str, Value]:
        here = terminals
        state = (_THROTTLED if here.throttled else _MPPT) if here.in_service else _STANDBY
        values: dict[str, Value] = {
            "103.A": here.phase_a * len(here.volts),
            "103.W": here.w,
            "103.Hz": here.hz,
            "103.VA": here.va,
            "103.VAr": here.var,
            "103.PF": 100 * here.power_factor,
            "103.WH": _FIRST_WH + int(here.energy_wh),
            "103.DCW": here.w,
            "103.St": state,
            "122.WAval": here.available_w,
            "122.ECPConn": int(here.in_service),
            "122.StActCtl": _FIXED_W_BIT if here.throttled else 0,
        }
        for leg, leg_v in zip("ABC", here.volts, strict=False):
            values[f"103.PhVph{leg}"] = leg_v
            values[f"103.Aph{leg}"] = here.phase_a
        return values

    live: frozenset[str] = frozenset(
        f"103.{name}"
        for name in ("A", "AphA", "AphB", "AphC", "PhVphA", "PhVphB", "PhVphC", "W", "Hz", "VA", "VAr", "PF", "DCW")
    )

    def asleep(self) -> dict[str, Value]:
        return {**dict.fromkeys(self.live), "103.St": _SLEEPING, "122.PVConn": 1, "122.WAval": 0}
