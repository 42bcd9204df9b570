"""Effects of a scenario as a 2030.5 server's program has them: modes of a DERControlBase, and their curves."""

import json
from collections.abc import Mapping
from typing import Any, Final

from scenario_file import Effects

Line = dict[str, Any]

MODES: Final = {
    "export-limit": "opModExpLimW",
    "import-limit": "opModImpLimW",
    "generation-limit": "opModGenLimW",
    "load-limit": "opModLoadLimW",
    "rating-limit": "opModMaxLimW",
    "active-power": "opModTargetW",
    "connect": "opModConnect",
    "energize": "opModEnergize",
}
DRAWN: Final = ("import-limit", "load-limit")
"""What is a size into the site there, and negative here."""
CURVES: Final = {"volt-var": "opModVoltVar", "volt-watt": "opModVoltWatt", "watt-var": "opModWattVar"}
REFERENCES: Final = {"max-w": 1, "max-var": 2, "available-var": 3, "available-w": 7, "max-va": 8}
"""DERUnitRefType of IEEE 2030.5: what a percentage is of."""
HUNDREDTHS: Final = -2
THOUSANDTHS: Final = -3


def modes(given: Effects) -> Line:
    """Give the effects of an order or default as modes of a DERControlBase; a curve is named after its kind."""
    made: Line = {}
    for function, value in given.items():
        if isinstance(value, dict):
            made |= _by_itself(value)
        elif function == "active-power" and isinstance(value, str):
            made["opModFixedW"] = float(value.removesuffix("%"))
        elif isinstance(value, str):
            made[MODES[function]] = float(value.removesuffix("%"))
        elif function in DRAWN and isinstance(value, int):
            made[MODES[function]] = -value
        else:
            made[MODES[function]] = value
    return made


def _by_itself(value: Mapping[str, Any]) -> Line:
    if "curve" in value:
        kind = value["curve"]["kind"]
        return {CURVES[kind]: {"curve": kind}}
    ways = {"injecting": "opModFixedPFInjectW", "absorbing": "opModFixedPFAbsorbW"}
    return {
        ways[way]: {"displacement": round(1000 * one["pf"]), "excitation": one["absorbs"], "multiplier": THOUSANDTHS}
        for way, one in value["power_factor"].items()
    }


def curves(given: Effects) -> list[Line]:
    """Give the curves that the modes of an order or default link to, as a program of the simulators lists them."""
    found = (value["curve"] for value in given.values() if isinstance(value, dict) and "curve" in value)
    return [
        {
            "name": one["kind"],
            "mode": CURVES[one["kind"]],
            "points": [{"x": round(100 * x), "y": round(100 * y)} for x, y in one["points"]],
            "x_multiplier": HUNDREDTHS,
            "y_multiplier": HUNDREDTHS,
            "y_ref_type": REFERENCES[one["of"]],
        }
        for one in found
    ]


def toml(value: object) -> str:
    """Write a value of modes or curves in one line of TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(held)}" for key, held in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)
