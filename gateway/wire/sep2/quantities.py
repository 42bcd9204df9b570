"""Quantities of IEEE 2030.5 (2018 schema) as sent: a short integer times a power of ten, exact until rounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

_INT16 = (-(2**15), 2**15 - 1)
_UINT16 = (0, 2**16 - 1)
_HIGHEST_MULTIPLIER = 9


@dataclass(frozen=True, slots=True)
class Scaled:
    """`value` times 10 to the `multiplier` (-9..9), in the unit that the class names."""

    value: int
    multiplier: int = 0

    value_range: ClassVar[tuple[int, int]] = _UINT16

    def floor(self) -> int:
        """Return the quantity in whole units, rounded toward minus infinity."""
        if self.multiplier >= 0:
            return int(self.value * 10**self.multiplier)
        return int(self.value // 10**-self.multiplier)

    def ceil(self) -> int:
        """Return the quantity in whole units, rounded toward plus infinity."""
        if self.multiplier >= 0:
            return int(self.value * 10**self.multiplier)
        return int(-(-self.value // 10**-self.multiplier))

    def exact(self) -> int | None:
        """Return the quantity in whole units, or None where it has a fraction."""
        floor = self.floor()
        return floor if floor == self.ceil() else None

    @classmethod
    def at_most(cls, quantity: int) -> Self:
        """Return the largest sendable quantity that is not above `quantity` (whole units), at the finest multiplier.

        Raises:
            ValueError: the quantity is beyond what the type can carry.

        """
        for multiplier in range(_HIGHEST_MULTIPLIER + 1):
            value = quantity // 10**multiplier
            if cls.value_range[0] <= value <= cls.value_range[1]:
                return cls(value, multiplier)
        raise ValueError(f"{quantity} is beyond what {cls.__name__} can carry")

    @classmethod
    def at_least(cls, quantity: int) -> Self:
        """Return the smallest sendable quantity that is not below `quantity` (whole units), at the finest multiplier.

        Raises:
            ValueError: the quantity is beyond what the type can carry.

        """
        for multiplier in range(_HIGHEST_MULTIPLIER + 1):
            value = -(-quantity // 10**multiplier)
            if cls.value_range[0] <= value <= cls.value_range[1]:
                return cls(value, multiplier)
        raise ValueError(f"{quantity} is beyond what {cls.__name__} can carry")


@dataclass(frozen=True, slots=True)
class ActivePower(Scaled):
    """W."""

    value_range: ClassVar[tuple[int, int]] = _INT16

    def floor_w(self) -> int:
        """Return whole W, rounded toward minus infinity."""
        return self.floor()

    def ceil_w(self) -> int:
        """Return whole W, rounded toward plus infinity."""
        return self.ceil()

    def exact_w(self) -> int | None:
        """Return whole W, or None where there is a fraction of one."""
        return self.exact()


@dataclass(frozen=True, slots=True)
class ReactivePower(Scaled):
    """var."""

    value_range: ClassVar[tuple[int, int]] = _INT16


@dataclass(frozen=True, slots=True)
class ApparentPower(Scaled):
    """VA."""


@dataclass(frozen=True, slots=True)
class WattHour(Scaled):
    """Wh."""


@dataclass(frozen=True, slots=True)
class RealEnergy(Scaled):
    """Wh, of 48 bits."""

    value_range: ClassVar[tuple[int, int]] = (0, 2**48 - 1)


@dataclass(frozen=True, slots=True)
class AmpereHour(Scaled):
    """Ah."""


@dataclass(frozen=True, slots=True)
class Current(Scaled):
    """A, RMS (CurrentRMS)."""


@dataclass(frozen=True, slots=True)
class Voltage(Scaled):
    """V, RMS (VoltageRMS)."""


@dataclass(frozen=True, slots=True)
class Susceptance(Scaled):
    """S (ReactiveSusceptance)."""


@dataclass(frozen=True, slots=True)
class PowerFactor(Scaled):
    """Displacement power factor; `value` is the element `displacement`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitValue:
    """A quantity with its own unit of measure (UnitValueType): `value` Int32, `unit` a UomType."""

    value: int
    unit: int
    multiplier: int = 0
