"""The bands of IEEE 1547.1: first-order steps, 1.5 times the measurement accuracy, curves read with an uncertain x."""

import pytest

from hil.trial.criteria import Band, along, covered, curve_band, response_band

VOLT_VAR = ((92.0, 44.0), (98.0, 0.0), (102.0, 0.0), (108.0, -44.0))


@pytest.mark.parametrize(("after_s", "share"), [(0, 0), (5, 0.9), (10, 0.99), (15, 0.999)])
def test_a_step_covers_nine_tenths_in_each_response_time(after_s: float, share: float) -> None:
    assert covered(after_s, 5) == pytest.approx(share)


@pytest.mark.parametrize(("x", "y"), [(80, 44), (92, 44), (95, 22), (100, 0), (105, -22), (120, -44)])
def test_a_curve_is_linear_between_its_points_and_flat_beyond(x: float, y: float) -> None:
    assert along(VOLT_VAR, x) == pytest.approx(y)


def test_a_curve_read_at_an_uncertain_voltage_lies_between_its_values_around_it() -> None:
    band = curve_band(VOLT_VAR, "V", 105)
    assert [band.low, band.high] == pytest.approx([-33, -11])
    corner = curve_band(((99.0, 0.0), (100.0, 50.0), (101.0, 0.0)), "V", 100.2)
    assert corner.high == 50


def test_the_longest_response_time_allowed_lets_a_device_be_faster_and_not_go_beyond() -> None:
    final = Band(3300, 3300)
    band = response_band(5000, final, 30, 30, 375, "at_latest")
    assert band.low == 3300 - 375
    assert band.high == pytest.approx(5000 - 0.9 * 1700 + 375, abs=10)
    assert band.holds(3300)
    assert not band.holds(2900)


def test_a_response_time_that_is_a_setting_is_kept_on_both_sides() -> None:
    band = response_band(5000, Band(0, 0), 10, 10, 375, "settable")
    assert band.holds(500)
    assert not band.holds(0)
    assert not band.holds(1000)
