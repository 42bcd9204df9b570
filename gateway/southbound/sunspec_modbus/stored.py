"""What a device has stored: SunSpec model 713 (DER storage capacity), else 124 with the energy rating of 120."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from gateway.core.known import Reading, Unknown
from gateway.southbound.sunspec_modbus.points import Ask, Part, number, part, reading
from gateway.wire.sunspec import Chain

FULL: Final = 10_000
"""All of a capacity, in hundredths of a percent."""


class Store:
    """The points of a store; `soc` and `rated` are their names in what the parts give together."""

    def __init__(self, parts: tuple[Part, ...], available: str, soc: str, rated: str) -> None:
        self._parts = parts
        self._available, self._soc, self._rated = available, soc, rated
        self.reads: tuple[Ask, ...] = tuple(each.ask for each in parts)

    def stored(self, answers: Sequence[bytes], now_ms: int) -> Reading:
        """Give the energy that can be taken out (Wh): as the device says, else its share of the rating."""
        values = {
            name: value
            for each, answer in zip(self._parts, answers, strict=True)
            for name, value in each.reader.decode(answer).items()
        }
        available_wh, soc, rated_wh = (number(values, each) for each in (self._available, self._soc, self._rated))
        if available_wh is not None:
            return reading(available_wh, now_ms)
        if soc is None or rated_wh is None:
            return Unknown(f"it gives neither its energy nor its charge ({self._soc}) with its rating", now_ms)
        if not 0 <= soc <= FULL:
            return Unknown(f"a charge of {soc / 100:g} % cannot be", now_ms)
        return reading(rated_wh * soc // FULL, now_ms)


@lru_cache(maxsize=4096)
def store(chain: Chain) -> Store | None:
    """Choose the store of a device: 713, else 124 with 120, else it has none."""
    modern = part(chain, 713, {"WHRtg": 0, "WHAvail": 0, "SoC": -2})
    if modern is not None:
        return Store((modern,), "WHAvail", "SoC", "WHRtg")
    charge, rating = part(chain, 124, {"ChaState": -2}), part(chain, 120, {"WHRtg": 0})
    if charge is None:
        return None
    return Store((charge,) if rating is None else (charge, rating), "", "ChaState", "WHRtg")
