"""Quantities are exact until a side is chosen, and fit their type on the safe side."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sep2.codes import DOE_MODES, MODE_NAMES, MODES, mode_bits
from gateway.wire.sep2.quantities import ActivePower, ApparentPower


@given(value=st.integers(-32_768, 32_767), multiplier=st.integers(-9, 9))
def test_floor_and_ceiling_enclose_the_exact_quantity(value: int, multiplier: int) -> None:
    power = ActivePower(value, multiplier)
    exact = value * Fraction(10) ** multiplier
    assert power.floor_w() <= exact <= power.ceil_w()
    assert power.ceil_w() - power.floor_w() == (0 if exact.denominator == 1 else 1)
    assert power.exact_w() == (exact if exact.denominator == 1 else None)


def test_a_limit_below_one_watt_has_two_sides() -> None:
    assert (ActivePower(15_005, -1).floor_w(), ActivePower(15_005, -1).ceil_w()) == (1500, 1501)
    assert (ActivePower(-15_005, -1).floor_w(), ActivePower(-15_005, -1).ceil_w()) == (-1501, -1500)
    assert ActivePower(4, 4).exact_w() == 40_000


@given(watts=st.integers(-(32_768 * 10**9), 32_767 * 10**9))
def test_a_quantity_is_carried_on_the_chosen_side_with_four_digits(watts: int) -> None:
    below, above = ActivePower.at_most(watts), ActivePower.at_least(watts)
    for power in (below, above):
        assert -32_768 <= power.value <= 32_767
        assert 0 <= power.multiplier <= 9
        assert abs(power.floor_w() - watts) * 3_200 <= abs(watts)
    assert below.floor_w() <= watts <= above.floor_w()
    if -32_768 <= watts <= 32_767:
        assert below == above == ActivePower(watts, 0)


def test_what_no_multiplier_can_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="32768000000000 is beyond what ActivePower can carry"):
        ActivePower.at_most(32_768 * 10**9)
    with pytest.raises(ValueError, match="-1 is beyond what ApparentPower can carry"):
        ApparentPower.at_most(-1)
    with pytest.raises(ValueError, match="can carry"):
        ActivePower.at_least(-32_769 * 10**9)
    assert ApparentPower.at_least(65_536) == ApparentPower(6554, 1)


def test_bits_are_those_of_the_schema() -> None:
    assert mode_bits(["opModConnect"]) == 1 << 2
    assert mode_bits(["opModMaxLimW", "opModTargetW", "opModWattVar"]) == 1 << 20 | 1 << 22 | 1 << 26
    assert mode_bits(["opModIslandPermit"]) == 1 << 31
    assert mode_bits(["opModExpLimW", "opModLoadLimW"], DOE_MODES) == 0b1001
    assert len(MODES) == 32
    assert len(MODE_NAMES) == 25 + 5 + 10 + 4 + 1
    with pytest.raises(ValueError, match="opModExpLimW has no bit here; known are charge, discharge"):
        mode_bits(["opModExpLimW"])
