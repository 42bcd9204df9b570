"""Captures of device families, drawn from what is publicly known of them: `python -m hil.sunspec.captures FOLDER`.

Every number here is made up; the shape is that of the family: base, unit, chain and its end, what is implemented, what
it refuses. pysunspec2 encodes them, and what a reader has to find is written beside them from the same numbers.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hil.sunspec.register_image import END_OF_MAP, MARKER, Layout, Value

_WORDS_A_LINE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One capture. raw: models that no definition fits, as (id, length), filled with zeros.

    identity: manufacturer, model, options, firmware. limit: what 50 % of its full power is written as, by point; none
    where it is not told. behaves: as in `hil.sunspec.replay`, with points in place of addresses.
    """

    profile: str
    identity: tuple[str, str, str, str]
    values: dict[str, Value]
    scales: dict[str, int]
    power_w: int
    voltage_mv: int
    w_max: int | None
    models: tuple[int, ...] = (1, 103, 120, 121, 123)
    raw: tuple[tuple[int, int], ...] = ()
    unit: int = 1
    base: int = 40000
    end: str = "end marker"
    pad: bool = True
    limit: dict[str, int] = field(default_factory=dict)
    behaves: dict[str, Any] = field(default_factory=dict)


def _legacy(inverter: int, w: int, volts: float, w_max: int, w_sf: int = 0) -> tuple[dict[str, Value], dict[str, int]]:
    """Give what an inverter of the 1xx models shows at some power, with its limit off."""
    model = str(inverter)
    values: dict[str, Value] = {
        **{f"{model}.{name}": 0 for name in ("VAr", "Evt1", "Evt2", "PF")},
        f"{model}.A": round(w / volts, 1),
        f"{model}.AphA": round(w / volts / 3, 1),
        f"{model}.PhVphA": volts,
        f"{model}.W": w,
        f"{model}.VA": w,
        f"{model}.Hz": 50.0,
        f"{model}.WH": 1_234_567,
        f"{model}.TmpCab": 40,
        f"{model}.St": 4,
        "120.DERTyp": 4,
        "120.WRtg": w_max,
        "121.WMax": w_max,
        "123.Conn_RvrtTms": 0,
        "123.Conn": 1,
        "123.WMaxLimPct": 100,
        "123.WMaxLimPct_RvrtTms": 0,
        "123.WMaxLimPct_RmpTms": 0,
        "123.WMaxLim_Ena": 0,
    }
    scales = {
        **{f"{model}.{name}_SF": w_sf for name in ("W", "VA", "VAr")},
        **{f"{model}.{name}_SF": -1 for name in ("A", "V", "Tmp", "PF")},
        f"{model}.Hz_SF": -2,
        f"{model}.WH_SF": 0,
        "120.WRtg_SF": w_sf,
        "121.WMax_SF": w_sf,
        "123.WMaxLimPct_SF": 0,
    }
    return values, scales


def _modern(w: int, volts: float, w_max: int) -> tuple[dict[str, Value], dict[str, int]]:
    """Give what an inverter of the 7xx models shows at some power, with its limit off."""
    values: dict[str, Value] = {
        "701.St": 1,
        "701.InvSt": 3,
        "701.ConnSt": 1,
        "701.W": w,
        "701.Var": 0,
        "701.VA": w,
        "701.LNV": volts,
        "701.LLV": round(volts * 1.732, 1),
        "701.Hz": 50.0,
        "702.WMaxRtg": w_max,
        "702.WMax": w_max,
    }
    scales = {
        **{f"701.{name}_SF": 0 for name in ("W", "VA", "Var")},
        "701.V_SF": -1,
        "701.Hz_SF": -2,
        "702.W_SF": 0,
    }
    return values, scales


def _limit_704() -> tuple[dict[str, Value], dict[str, int]]:
    names = ("WMaxLimPctEna", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms", "WMaxLimPctRvrtRem")
    values: dict[str, Value] = {
        **{f"704.{name}": 0 for name in names},
        "704.WMaxLimPct": 100,
        "704.WMaxLimPctRvrt": 100,
    }
    return values, {"704.WMaxLimPct_SF": -1}


_HALF_123 = {"123.WMaxLimPct": 50, "123.WMaxLim_Ena": 1}
_HALF_704 = {"704.WMaxLimPct": 500, "704.WMaxLimPctEna": 1}
_MONITORED = (1, 103, 120)


def _without(values: dict[str, Value], *models: str) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name.partition(".")[0] not in models}


def _families() -> list[Family]:
    made: list[Family] = []

    def legacy(
        profile: str,
        identity: tuple[str, str, str, str],
        w: int,
        volts: float,
        w_max: int,
        **more: Any,  # noqa: ANN401 - the fields of Family
    ) -> None:
        w_sf, change = more.pop("w_sf", 0), more.pop("change", {})
        models = more.get("models", (1, 103, 120, 121, 123))
        inverter = next(model for model in models if model in (101, 102, 103))
        values, scales = _legacy(inverter, w, volts, w_max, w_sf)
        absent = [str(model) for model in (120, 121, 123) if model not in models]
        more.setdefault("limit", _HALF_123 if 123 in models else {})
        made.append(
            Family(
                profile=profile,
                identity=identity,
                values=_without(values, *absent) | change,
                scales=scales | more.pop("scales", {}),
                power_w=w,
                voltage_mv=round(1000 * volts),
                w_max=w_max,
                **more,
            )
        )

    values, scales = _modern(12_000, 231.0, 20_000)
    limit, limit_scales = _limit_704()
    made.append(
        Family(
            profile="sma",
            identity=("SMA", "STP X 20-50", "", "3.02.08.R"),
            values=values | limit,
            scales=scales | limit_scales,
            models=(1, 701, 702, 704),
            raw=((714, 18),),
            power_w=12_000,
            voltage_mv=231_000,
            w_max=20_000,
            unit=126,
            end="exception response",
            limit=_HALF_704,
            behaves={"uncut": "all"},
        )
    )
    values, scales = _modern(2_900, 239.0, 3_800)
    made.append(
        Family(
            profile="enphase",
            identity=("Enphase Energy", "IQ Gateway", "", "8.2.4"),
            values=values,
            scales=scales,
            models=(1, 701, 702),
            power_w=2_900,
            voltage_mv=239_000,
            w_max=3_800,
        )
    )
    legacy(
        "fronius_gen24",
        ("Fronius", "Primo GEN24 8.0", "", "1.28.7-1"),
        4_000,
        230.4,
        8_000,
        limit={"123.WMaxLimPct": 5_000, "123.WMaxLim_Ena": 1},
        scales={"123.WMaxLimPct_SF": -2},
        behaves={
            "turns": [{"103.W_SF": 0, "103.W": 4_000}, {"103.W_SF": 1, "103.W": 400}, {"103.W_SF": 2, "103.W": 40}],
            "zeros": ["103.A", "103.Evt1", 3],
        },
    )
    legacy(
        "fronius_datamanager",
        ("Fronius", "Galvo 1.5-1", "", "3.18.7-1"),
        1_200,
        229.1,
        1_500,
        models=(1, 101, 120, 121, 123),
        pad=False,
        behaves={"turns": [{"101.W_SF": -1, "101.W": 12_000}, {"101.W_SF": 0, "101.W": 1_200}]},
    )
    legacy(
        "solaredge",
        ("SolarEdge", "SE17K", "", "4.20.36"),
        9_100,
        232.5,
        17_000,
        behaves={"clients_max": 1},
    )
    legacy(
        "kostal_plenticore",
        ("KOSTAL", "PLENTICORE plus10", "", "02.21.23044"),
        4_700,
        221.0,
        10_000,
        unit=71,
        models=(1, 103, 120, 121, 123, 802),
        end="exception response",
        change={"123.WMaxLim_Ena": 1},
        limit={"123.WMaxLimPct": 50, "123.WMaxLim_Ena": 1},
        behaves={"refuses": [16], "zero_alone": "end"},
    )
    legacy(
        "kostal_piko",
        ("KOSTAL", "PIKO IQ 4.2", "", "01.30.12"),
        940,
        228.6,
        4_200,
        models=(1, 103, 120, 121, 123, 802),
        end="exception response",
        behaves={"zero_alone": "end"},
    )
    legacy("e3dc", ("E3/DC GmbH", "S10", "", "2016.08"), 3_300, 230.0, 12_000, raw=((803, 32),))
    legacy(
        "abb_vsn",
        ("Power-One", "-3M97-", "0x72EC/0x0000/", "B.1.7.0"),
        5_100,
        233.0,
        8_500,
        base=0,
        unit=247,
    )
    legacy(
        "abb_uno",
        ("ABB", "-3P46-", "0x03ED/0xFF69/", "2201A"),
        2_100,
        236.2,
        4_600,
        models=(1, 101, 120, 121, 123),
    )
    legacy(
        "solplanet",
        ("Solplanet", "ASW10kH-T2", "", "V610-1"),
        6_200,
        234.0,
        10_000,
        models=(1, 103, 120, 121, 123, 203, 802),
        change={"203.W": -5_400, "203.Hz": 50, "203.PhV": 234},
        scales={"203.W_SF": 0, "203.Hz_SF": -2, "203.V_SF": -1},
    )
    legacy("lg_ess", ("LG Electronics", "ESS Home 8", "", "10.01.7387"), 4_100, 230.9, 8_000)
    legacy(
        "opendtu",
        ("OpenDTU-OnBattery", "HM-1500", "", "2026.07"),
        700,
        231.7,
        1_500,
        models=(1, 101, 120),
    )
    legacy(
        "huawei",
        ("HUAWEI", "SUN2000-10KTL-M1", "", "V100R001SPC168"),
        5_600,
        233.3,
        10_000,
        behaves={"clients_max": 1, "deaf_ms": 300},
    )
    legacy("growatt", ("Growatt", "MID 15KTL3-X", "", "TJ1.0"), 8_800, 234.4, 15_000)
    legacy("goodwe", ("GoodWe", "GW15K-ET", "", "08-019"), 7_700, 232.2, 15_000, unit=247)
    return made


def draw(family: Family) -> str:
    """Write one family as a capture file."""
    layout = Layout(family.models, tuple(family.scales.items()))
    manufacturer, model, options, firmware = family.identity
    said: dict[str, Value] = {"1.Mn": manufacturer, "1.Md": model, "1.Vr": firmware, "1.SN": "0", "1.DA": family.unit}
    if options:
        said["1.Opt"] = options
    words = bytearray(layout.template)
    for name, value in (said | family.values).items():
        register = layout.registers[name]
        words[2 * register.offset : 2 * (register.offset + register.words)] = register.encode(value)
    short = 0 if family.pad else _shorten(words)
    for number, length in family.raw:
        words += number.to_bytes(2) + length.to_bytes(2) + bytes(2 * length)
    end = family.base + len(words) // 2
    words += END_OF_MAP if family.end == "end marker" else b""

    def address(name: str) -> int:
        return end if name == "end" else family.base + layout.registers[name].offset - short

    behaves = dict(family.behaves)
    if behaves.get("uncut") == "all":
        long = [each for each in layout.registers.values() if each.words > 1]
        alarms_and_energies = ((2, 2), (7, 4), (11, 4))
        behaves["uncut"] = [
            *([family.base + each.offset - short, each.words] for each in long),
            *([end - 20 + offset, count] for offset, count in alarms_and_energies),
        ]
    if "turns" in behaves:
        behaves["turns"] = [
            {str(address(name)): word % 0x10000 for name, word in turn.items()} for turn in behaves["turns"]
        ]
    if "zeros" in behaves:
        first, last, nth = behaves["zeros"]
        behaves["zeros"] = [address(first), address(last) - address(first), nth]
    if "zero_alone" in behaves:
        behaves["zero_alone"] = end
    writable = [each for name, each in layout.registers.items() if each.writable and name.startswith(("123.", "704."))]
    behaves["writable"] = [[family.base + each.offset - short, each.words] for each in writable]
    models = [*family.models, *(number for number, _ in family.raw)]
    limit = {str(address(name)): raw for name, raw in family.limit.items()}
    lines = [
        "# Drawn by `python -m hil.sunspec.captures`: made-up numbers in the shape of the family.",
        f"unit = {family.unit}",
        f"base = {family.base}",
        "",
        "[expects]",
        f'profile = "{family.profile}"',
        f"identity = {list(family.identity)}".replace("'", '"'),
        f"models = {models}",
        f'ended_by = "{family.end}"',
        f"power_w = {family.power_w}",
        f"voltage_mv = {family.voltage_mv}",
        *([] if family.w_max is None else [f"w_max = {family.w_max}"]),
        f"half = {_inline(limit)}",
        "",
        "[behaves]",
        *(f"{key} = {_inline(value)}" for key, value in behaves.items()),
        "",
        "[registers]",
        f'{family.base} = """',
        *(words[at : at + 2 * _WORDS_A_LINE].hex(" ", 2) for at in range(0, len(words), 2 * _WORDS_A_LINE)),
        '"""',
        "",
    ]
    return "\n".join(lines)


def _shorten(words: bytearray) -> int:
    """Take the pad out of model 1, which then states a length of 65."""
    length_at, pad_at = len(MARKER) + 2, len(MARKER) + 2 * (2 + 65)
    words[length_at : length_at + 2] = (65).to_bytes(2)
    del words[pad_at : pad_at + 2]
    return 1


def _inline(value: object) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {_inline(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return str(value)


def main(folder: Path) -> None:
    """Draw all captures."""
    folder.mkdir(parents=True, exist_ok=True)
    for family in _families():
        (folder / f"{family.profile}.toml").write_text(draw(family), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
