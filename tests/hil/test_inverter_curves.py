"""Curves of simulated inverters: adopted late or not at all, reverting, trip curves, and legacy curves that act."""

from fractions import Fraction
from typing import Any

import pytest

from hil.clock import Clock
from hil.sunspec.inverter import Inverter, InverterSpec, Kind

START_MS = 1_767_225_600_000
ILLEGAL_ADDRESS = 2
NOMINAL_V = 240.0


class Still(Clock):
    """A clock that the test moves."""

    def __init__(self) -> None:
        super().__init__("still", 0, Fraction(1))
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms


class Shelf:
    """One inverter without a socket, written to point by point."""

    def __init__(self, kind: Kind, **spec: Any) -> None:
        self.clock = Still()
        self.inverter = Inverter(InverterSpec(name="roof", kind=kind, nominal_v=NOMINAL_V, **spec), self.clock)

    def write(self, **points: float) -> list[int]:
        """Write points, named `m705_Ena`, one by one; give the exception codes, 0 for one that was taken."""
        named = {name[1:].replace("_", ".", 1): value for name, value in points.items()}
        return [self.inverter.registers.write(16, *self.inverter.place(name, value)) for name, value in named.items()]

    def after_s(self, seconds: float, volts: float = NOMINAL_V) -> None:
        """Let time pass."""
        for _ in range(max(1, round(seconds))):
            self.clock.ms += round(1_000 * seconds / max(1, round(seconds)))
            self.inverter.step(self.clock.ms, (volts,) * 3)


def test_a_slow_curve_is_in_progress_until_it_is_adopted() -> None:
    shelf = Shelf("autonomous")
    shelf.inverter.set_fault("slow_curves", on=True)
    assert shelf.write(**{"m705_Crv.2.Pt.1.V": 90, "m705_AdptCrvReq": 2}) == [0, 0]
    shelf.after_s(1)
    assert (shelf.inverter.value("705.AdptCrvRslt"), shelf.inverter.value("705.Crv.1.Pt.1.V")) == (0, 92)
    shelf.after_s(6)
    assert (shelf.inverter.value("705.AdptCrvRslt"), shelf.inverter.value("705.Crv.1.Pt.1.V")) == (1, 90)


def test_a_failed_curve_is_said_to_be_and_changes_nothing() -> None:
    shelf = Shelf("autonomous")
    shelf.inverter.set_fault("failed_curves", on=True)
    shelf.write(**{"m705_Crv.2.Pt.1.V": 90, "m705_AdptCrvReq": 2})
    shelf.after_s(1)
    assert (shelf.inverter.value("705.AdptCrvRslt"), shelf.inverter.value("705.Crv.1.Pt.1.V")) == (2, 92)


def test_a_curve_reverts_to_the_slot_that_is_named_for_it() -> None:
    shelf = Shelf("ride-through")
    shelf.write(**{"m705_Crv.3.Pt.1.V": 90, "m705_AdptCrvReq": 3, "m705_RvrtCrv": 2, "m705_RvrtTms": 30, "m705_Ena": 1})
    shelf.after_s(29)
    assert shelf.inverter.value("705.Crv.1.Pt.1.V") == 90
    shelf.after_s(3)
    assert shelf.inverter.value("705.Crv.1.Pt.1.V") == 92


def test_a_trip_curve_whose_times_run_backwards_is_not_adopted_and_the_first_slot_takes_no_write() -> None:
    shelf = Shelf("ride-through")
    assert shelf.write(**{"m707_Crv.1.MustTrip.Pt.1.V": 40}) == [ILLEGAL_ADDRESS]
    shelf.write(**{"m707_Crv.2.MustTrip.Pt.1.Tms": 30, "m707_AdptCrvReq": 2})
    shelf.after_s(1)
    assert shelf.inverter.value("707.AdptCrvRslt") == 2
    shelf.write(**{"m707_Crv.2.MustTrip.Pt.1.Tms": 1, "m707_AdptCrvReq": 2})
    shelf.after_s(1)
    assert (shelf.inverter.value("707.AdptCrvRslt"), shelf.inverter.value("707.Crv.1.MustTrip.Pt.1.Tms")) == (1, 1)


def test_a_legacy_volt_var_curve_acts_and_a_negative_power_factor_absorbs() -> None:
    shelf = Shelf("legacy-curves", irradiance=0.5)
    assert shelf.write(**{"m126_curve.1.V1": 90}) == [ILLEGAL_ADDRESS]
    assert shelf.write(m126_ActCrv=2, m126_ModEna=1) == [0, 0]
    shelf.after_s(20, volts=1.1 * NOMINAL_V)
    assert shelf.inverter.var < -900
    shelf.write(m126_ModEna=0, m123_OutPFSet=-0.9, m123_OutPFSet_Ena=1)
    shelf.after_s(20)
    assert shelf.inverter.var == pytest.approx(-0.4843 * shelf.inverter.w, rel=0.02)
