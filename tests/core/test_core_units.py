"""Shares become watts on the stricter side of whatever they bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.units import Power, Share, Watts, ceil_watts, floor_watts, toward_zero_watts

GENERATION_W, CHARGE_W = 5_001, 3_001


@pytest.mark.parametrize(
    ("power", "floored", "ceiled", "toward_zero"),
    [
        (Watts(0), 0, 0, 0),
        (Watts(4_321), 4_321, 4_321, 4_321),
        (Watts(-4_321), -4_321, -4_321, -4_321),
        (Share(0), 0, 0, 0),
        (Share(10_000), 5_001, 5_001, 5_001),
        (Share(-10_000), -3_001, -3_001, -3_001),
        (Share(5_000), 2_500, 2_501, 2_500),
        (Share(-5_000), -1_501, -1_500, -1_500),
        (Share(1), 0, 1, 0),
        (Share(-1), -1, 0, 0),
    ],
)
def test_a_power_in_watts(power: Power, floored: int, ceiled: int, toward_zero: int) -> None:
    assert floor_watts(power, GENERATION_W, CHARGE_W) == floored
    assert ceil_watts(power, GENERATION_W, CHARGE_W) == ceiled
    assert toward_zero_watts(power, GENERATION_W, CHARGE_W) == toward_zero


@given(st.integers(-10_000, 10_000), st.integers(0, 10**7), st.integers(0, 10**7))
def test_the_three_roundings_enclose_the_exact_share(hundredths: int, generation_w: int, charge_w: int) -> None:
    power = Share(hundredths)
    exact = hundredths * (generation_w if hundredths >= 0 else charge_w)
    low, high = floor_watts(power, generation_w, charge_w), ceil_watts(power, generation_w, charge_w)
    assert low * 10_000 <= exact <= high * 10_000
    assert high - low in (0, 1)
    assert toward_zero_watts(power, generation_w, charge_w) == (low if hundredths >= 0 else high)
