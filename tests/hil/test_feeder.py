"""The built-in IEEE 13 node feeder against its published solution, and what inverters do to it."""

import math
from itertools import pairwise
from pathlib import Path

import opendssdirect
import pytest

from hil.feeder import Feeder, FeederError

SHARED_IEEE13 = Path(__file__).parents[3] / "shared" / "feeders" / "ieee13.zip"

REGULATORS = ("reg_a", "reg_b", "reg_c")

# Node voltages, p.u., of the published radial flow summary (IEEE Distribution Test Feeder Working Group), by phase.
PUBLISHED_PU = {
    "rg60": {1: 1.0625, 2: 1.0500, 3: 1.0687},
    "632": {1: 1.0210, 2: 1.0420, 3: 1.0174},
    "633": {1: 1.0180, 2: 1.0401, 3: 1.0148},
    "634": {1: 0.9940, 2: 1.0218, 3: 0.9960},
    "645": {2: 1.0329, 3: 1.0155},
    "646": {2: 1.0311, 3: 1.0134},
    "671": {1: 0.9900, 2: 1.0529, 3: 0.9778},
    "680": {1: 0.9900, 2: 1.0529, 3: 0.9778},
    "684": {1: 0.9881, 3: 0.9758},
    "611": {3: 0.9738},
    "652": {1: 0.9825},
    "692": {1: 0.9900, 2: 1.0529, 3: 0.9777},
    "675": {1: 0.9835, 2: 1.0553, 3: 0.9758},
}


@pytest.mark.parametrize("bus", PUBLISHED_PU)
def test_voltages_agree_with_the_published_solution(bus: str) -> None:
    feeder = Feeder.ieee13()
    feeder.solve({}, {})
    published = PUBLISHED_PU[bus]
    assert feeder.voltages_pu(bus, tuple(published)) == pytest.approx(tuple(published.values()), abs=0.0005)


def test_power_and_losses_agree_with_the_published_totals() -> None:
    flow = Feeder.ieee13().solve({}, {})
    assert flow.source_w == pytest.approx(3_577_000, rel=0.002)
    assert flow.source_var == pytest.approx(1_725_000, rel=0.005)
    assert flow.losses_w == pytest.approx(111_000, rel=0.01)


def test_acting_regulators_rest_at_the_published_taps_and_come_into_their_band_from_neutral() -> None:
    feeder = Feeder.ieee13(regulators_act=True)
    feeder.solve({}, {})
    assert [feeder.tap(regulator) for regulator in REGULATORS] == [10, 8, 11]
    for regulator in REGULATORS:
        feeder.set_tap(regulator, 0)
    feeder.solve({}, {})
    found = [feeder.tap(regulator) for regulator in REGULATORS]
    assert all(0 <= published - tap <= 2 for tap, published in zip(found, (10, 8, 11), strict=True)), found


@pytest.mark.skipif(not SHARED_IEEE13.exists(), reason="needs ../shared/feeders/ieee13.zip")
def test_voltages_agree_with_an_independent_model_of_the_same_feeder() -> None:
    other = opendssdirect.dss.NewContext()
    other.Text.Command("clear")
    other.ZIP.Open(str(SHARED_IEEE13))
    other.ZIP.Redirect("IEEE13Nodeckt.dss")
    other.ZIP.Close()
    other.Solution.Solve()
    assert other.Solution.Converged()
    feeder = Feeder.ieee13(regulators_act=True)
    for regulator in REGULATORS:
        feeder.set_tap(regulator, 0)
    feeder.solve({}, {})
    for bus in PUBLISHED_PU:
        other.Circuit.SetActiveBus(bus)
        expected = dict(zip(other.Bus.Nodes(), other.Bus.puVmagAngle()[::2], strict=True))
        assert feeder.voltages_pu(bus, tuple(expected)) == pytest.approx(tuple(expected.values()), abs=0.002), bus


def test_more_generation_raises_the_voltage_at_its_bus_and_phase() -> None:
    feeder = Feeder.ieee13()
    feeder.connect("pv", "675", (1,))
    voltages = [feeder.solve({"pv": w}, {}).voltage_pu["pv"][0] for w in (0, 100_000, 300_000, 900_000)]
    assert all(after - before > 0.001 for before, after in pairwise(voltages)), voltages


def test_injected_vars_raise_and_absorbed_vars_lower_the_voltage() -> None:
    feeder = Feeder.ieee13()
    feeder.connect("pv", "671", (1, 2, 3))
    absorbed, none, injected = (feeder.solve({"pv": 500_000}, {"pv": q}).voltage_pu["pv"] for q in (-300e3, 0, 300e3))
    assert all(low < middle < high for low, middle, high in zip(absorbed, none, injected, strict=True))


def test_source_power_is_what_loads_take_less_what_inverters_give_plus_losses() -> None:
    feeder = Feeder.ieee13()
    feeder.connect("roof", "634", (2,))
    feeder.connect("park", "680", (1, 2, 3))
    at_rest = feeder.solve({}, {})
    assert at_rest.source_w == pytest.approx(feeder.served_w() + at_rest.losses_w, abs=50)
    flow = feeder.solve({"roof": 40_000, "park": 1_500_000}, {"park": -100_000})
    assert flow.source_w == pytest.approx(feeder.served_w() + flow.losses_w, abs=50)
    assert 1_400_000 < at_rest.source_w - flow.source_w < 1_700_000


def test_inverters_stay_constant_power_far_above_nominal_voltage() -> None:
    feeder = Feeder.ieee13()
    feeder.connect("pv", "652", (1,))
    feeder.set_load(0.05)
    flow = feeder.solve({"pv": 2_000_000}, {})
    idle = feeder.solve({"pv": 0}, {})
    assert flow.voltage_pu["pv"][0] > 1.12
    given_w = idle.source_w - flow.source_w + (flow.losses_w - idle.losses_w)
    assert given_w == pytest.approx(2_000_000, rel=0.03)


def test_constant_power_loads_stay_so_far_above_nominal_voltage() -> None:
    feeder = Feeder.ieee13()
    feeder.connect("pv", "675", (2,))
    assert feeder.solve({"pv": 1_000_000}, {}).voltage_pu["pv"][0] > 1.06
    feeder._dss.Circuit.SetActiveElement("load.675b")
    assert feeder._dss.CktElement.Powers()[0] == pytest.approx(68, abs=0.1)


def test_light_load_raises_voltage_and_leaves_inverters_alone() -> None:
    feeder = Feeder.ieee13()
    feeder.connect("pv", "675", (3,))
    full = feeder.solve({"pv": 300_000}, {})
    feeder.set_load(0.3)
    light = feeder.solve({"pv": 300_000}, {})
    assert light.voltage_pu["pv"][0] > full.voltage_pu["pv"][0] + 0.01
    assert light.source_w < full.source_w * 0.4


def test_gross_overload_is_an_error_and_not_a_number() -> None:
    feeder = Feeder.ieee13()
    feeder.connect("pv", "652", (1,))
    with pytest.raises(FeederError, match="reduce generation or load"):
        feeder.solve({"pv": -60_000_000}, {})
    with pytest.raises(FeederError, match="reduce generation or load"):
        feeder.solve({"pv": math.nan}, {})


def test_two_feeders_in_one_process_do_not_see_each_other() -> None:
    one, other = Feeder.ieee13(), Feeder.ieee13()
    one.connect("pv", "675", (1,))
    other.connect("pv", "675", (1,))
    alone = other.solve({}, {}).voltage_pu["pv"]
    one.solve({"pv": 900_000}, {})
    assert other.solve({}, {}).voltage_pu["pv"] == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize(("bus", "phases", "said"), [("999", (1,), "its buses are"), ("611", (1,), "has phases")])
def test_connection_that_does_not_exist_is_refused(bus: str, phases: tuple[int, ...], said: str) -> None:
    with pytest.raises(FeederError, match=said):
        Feeder.ieee13().connect("pv", bus, phases)
