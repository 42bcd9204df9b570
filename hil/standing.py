"""Where a simulated device stands on a feeder, told in one way by every kind of device."""

from typing import Protocol


class Place(Protocol):
    """What a device's spec says of its place; `hil.sunspec.personality.InverterSpec` tells what each means."""

    @property
    def name(self) -> str: ...
    @property
    def bus(self) -> str: ...
    @property
    def phases(self) -> tuple[int, ...]: ...
    @property
    def nominal_v(self) -> float: ...


class Standing:
    """A device that stands where its spec says."""

    spec: Place

    @property
    def name(self) -> str:
        """What it is called on the street."""
        return self.spec.name

    @property
    def bus(self) -> str:
        """Where on the feeder it is; "" is nowhere."""
        return self.spec.bus

    @property
    def phases(self) -> tuple[int, ...]:
        """Phases of the feeder that its terminals are on."""
        return self.spec.phases

    @property
    def nominal_v(self) -> float:
        """Nominal voltage, line to neutral."""
        return self.spec.nominal_v
