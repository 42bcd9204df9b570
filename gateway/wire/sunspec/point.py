"""Points of a SunSpec model, their types and not-implemented values (SunSpec Device Information Model)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple


@dataclass(frozen=True, slots=True)
class Absent:
    """The device gives no value for a point, and why. Never zero, never a guess."""

    why: str


Value = int | str | Absent


class PointType(NamedTuple):
    """How a type lies in registers: struct code (big-endian), the not-implemented value, and what may be written."""

    code: str
    absent: int | None
    lowest: int = 0
    highest: int = 0


def _signed(code: str, bits: int) -> PointType:
    edge = 1 << (bits - 1)
    return PointType(code, -edge, 1 - edge, edge - 1)


def _unsigned(code: str, bits: int) -> PointType:
    edge = 1 << bits
    return PointType(code, edge - 1, 0, edge - 2)


def _bits(code: str, bits: int) -> PointType:
    """Give a bit field: its top bit is reserved, so it is never written."""
    return PointType(code, (1 << bits) - 1, 0, (1 << (bits - 1)) - 1)


def _accumulator(code: str, bits: int) -> PointType:
    """Give an accumulator: zero means not implemented."""
    return PointType(code, 0, 1, (1 << bits) - 1)


WHOLE_NUMBERS: Final[Mapping[str, PointType]] = {
    "int16": _signed("h", 16),
    "int32": _signed("i", 32),
    "int64": _signed("q", 64),
    "uint16": _unsigned("H", 16),
    "uint32": _unsigned("I", 32),
    "uint64": _unsigned("Q", 64),
    "acc16": _accumulator("H", 16),
    "acc32": _accumulator("I", 32),
    "acc64": _accumulator("Q", 64),
    "count": _unsigned("H", 16),
    "enum16": _unsigned("H", 16),
    "enum32": _unsigned("I", 32),
    "bitfield16": _bits("H", 16),
    "bitfield32": _bits("I", 32),
    "sunssf": PointType("h", -0x8000),
    "pad": PointType("H", None),
}
FLOATS: Final[Mapping[str, str]] = {"float32": "f", "float64": "d"}
OCTETS: Final = frozenset({"string", "ipaddr", "ipv6addr", "eui48"})
SYMBOLIC: Final = frozenset({"enum16", "enum32"})


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a compiled model.

    `offset` counts registers from the model's ID register (so ID is 0 and L is 1); `size` is in registers.
    A decoded number is an integer in 10**`exponent` of `units` (see `exponent_for`). `scale_factor` is the point that
    holds the decimal exponent of the raw value, or a fixed exponent, or None. `symbols` names enum values, or the bits
    of a bit field. `sync` names the group that must be read and written as one, or is empty.
    """

    name: str
    offset: int
    size: int
    type: str
    exponent: int
    scale_factor: str | int | None
    units: str
    symbols: Mapping[int, str]
    writable: bool
    mandatory: bool
    sync: str

    @property
    def end(self) -> int:
        """The offset of the register after the point."""
        return self.offset + self.size

    @property
    def struct_code(self) -> str:
        """The struct format of the point, without byte order."""
        if self.type in WHOLE_NUMBERS:
            return WHOLE_NUMBERS[self.type].code
        return FLOATS.get(self.type, f"{2 * self.size}s")


_MILLI: Final = frozenset({"V", "A", "Hz", "C", "Secs", "Sec"})


def exponent_for(units: str, type_name: str, scale_factor: str | int | None) -> int:
    """Choose the decimal exponent of decoded integers, by the units of the definition.

    V, A, Hz, degrees C and seconds come in thousandths (mV, mA, mHz, ms); every percentage in hundredths of a percent,
    which is also what IEEE 2030.5 PerCent counts; power factor in 1/10000; other scaled numbers without units (droop
    slopes) in thousandths; W, var, VA, their hours and all else in whole units.
    """
    if type_name in OCTETS:
        return 0
    if units in _MILLI:
        return -3
    if units.strip().startswith("%") or "Pct" in units or units == "DeptRef":
        return -2
    if units in {"cos()", "PF"} or (not units and str(scale_factor).endswith("PF_SF")):
        return -4
    return -3 if not units and scale_factor is not None else 0
