"""Feeders of any size and any OpenDSS file: they solve, they are the same anywhere, and a street stands on them."""

import itertools
import time
import zipfile
from collections import Counter
from pathlib import Path
from statistics import mean

import pytest

from hil.clock import Clock
from hil.feeder import Feeder, FeederError
from hil.generated_feeder import CUSTOMERS_A_CIRCUIT, NOMINAL_V, Customer, GeneratedFeeder, generate
from hil.scenario import load
from hil.street import Street
from hil.sunspec.inverter import InverterSpec

SHARED_IEEE123 = Path(__file__).parents[3] / "shared" / "feeders" / "ieee123.zip"
CUSTOMERS = 200
LEGS = (1, 2)
SERVICE_PU = (0.95, 1.05)
"""Range A of ANSI C84.1."""


@pytest.fixture(scope="module")
def made() -> GeneratedFeeder:
    return generate(CUSTOMERS)


def legs(feeder: Feeder, customer: Customer) -> tuple[float, ...]:
    return feeder.voltages_pu(customer.bus, LEGS)


def test_two_hundred_customers_are_served_within_range_and_fast(made: GeneratedFeeder) -> None:
    began = time.monotonic()
    feeder = Feeder.generated(made)
    flow = feeder.solve({}, {})
    assert time.monotonic() - began < 3
    assert len(made.customers) == CUSTOMERS
    wanted_w = sum(customer.load_w for customer in made.customers)
    assert feeder.served_w() == pytest.approx(wanted_w, rel=1e-4)
    assert flow.source_w == pytest.approx(wanted_w + flow.losses_w, rel=1e-4)
    assert 0 < flow.losses_w < 0.05 * wanted_w
    low, high = SERVICE_PU
    assert all(low <= pu <= high for customer in made.customers for pu in legs(feeder, customer))


def test_it_is_the_same_of_the_same_numbers_and_another_of_another_seed(made: GeneratedFeeder) -> None:
    assert generate(CUSTOMERS) == made
    assert sum(customer.load_w for customer in made.customers) == 370_112
    other = generate(CUSTOMERS, seed=2)
    assert [c.bus for c in other.customers] == [c.bus for c in made.customers]
    assert [c.load_w for c in other.customers] != [c.load_w for c in made.customers]


def test_laterals_take_the_phases_in_turn_and_legs_differ(made: GeneratedFeeder) -> None:
    on_phase = Counter(customer.phase for customer in made.customers)
    assert max(on_phase.values()) - min(on_phase.values()) <= 25
    feeder = Feeder.generated(made)
    feeder.solve({}, {})
    assert any(abs(one - other) > 0.0005 for one, other in (legs(feeder, customer) for customer in made.customers))


def test_generation_raises_the_voltage_most_behind_its_own_transformer(made: GeneratedFeeder) -> None:
    feeder = Feeder.generated(generate(CUSTOMERS, regulators_act=False))
    feeder.solve({}, {})
    before = {customer.name: mean(legs(feeder, customer)) for customer in made.customers}
    here = made.customers[-1]
    feeder.connect("pv", here.bus, LEGS)
    feeder.solve({"pv": 8_000.0}, {})
    rise = {customer.name: mean(legs(feeder, customer)) - before[customer.name] for customer in made.customers}
    near = [c for c in made.customers if c.transformer == here.transformer and c is not here]
    far = [c for c in made.customers if c.phase != here.phase]
    assert rise[here.name] > max(rise[c.name] for c in near)
    assert min(rise[c.name] for c in near) > 4 * max(abs(rise[c.name]) for c in far)


def test_regulators_hold_what_is_behind_them_and_may_be_told_not_to() -> None:
    acting, standing = generate(300), generate(300, regulators_act=False)
    assert len(acting.regulators) == 3
    assert (len(generate(CUSTOMERS_A_CIRCUIT).regulators), len(generate(CUSTOMERS_A_CIRCUIT + 1).regulators)) == (6, 9)
    taps, volts = [], []
    for made in (acting, standing):
        feeder = Feeder.generated(made)
        feeder.set_load(3)
        feeder.solve({}, {})
        taps.append([feeder.tap(regulator) for regulator in made.regulators])
        volts.append(min(min(legs(feeder, customer)) for customer in made.customers))
    assert all(tap > 0 for tap in taps[0])
    assert taps[1] == [0, 0, 0]
    assert volts[0] > volts[1] + 0.01


def test_a_capacitor_gives_vars_to_the_source() -> None:
    made = generate(CUSTOMERS)
    without = [line for line in made.script.splitlines() if not line.startswith("new capacitor")]
    assert len(without) == len(made.script.splitlines()) - 1
    bare = Feeder("\n".join(without), made.voltage_bases_kv).solve({}, {})
    assert bare.source_var - Feeder.generated(made).solve({}, {}).source_var > 40_000


@pytest.mark.parametrize("customers", [1, 7, 1_300])
def test_any_size_solves(customers: int) -> None:
    made = generate(customers)
    feeder = Feeder.generated(made)
    feeder.solve({}, {})
    assert len({customer.bus for customer in made.customers}) == customers
    assert all(0.9 < pu < 1.1 for customer in made.customers for pu in legs(feeder, customer))


@pytest.mark.parametrize("customers", [0, -1, 50_001])
def test_a_size_that_cannot_be_is_told(customers: int) -> None:
    with pytest.raises(ValueError, match=f"{customers} customers"):
        generate(customers)


async def test_a_street_of_homes_on_it_is_felt_at_their_meters(made: GeneratedFeeder) -> None:
    homes = list(itertools.islice(made.customers, 0, CUSTOMERS, 10))
    specs = [
        InverterSpec(name=home.name, bus=home.bus, phases=LEGS, nominal_v=NOMINAL_V, time_constant_s=0.0)
        for home in homes
    ]
    clock = Clock.starting(1, 1_767_225_600_000)
    feeder = Feeder.generated(generate(CUSTOMERS, regulators_act=False))
    async with Street(clock, specs, feeder, stepping=False) as street:
        street.step()
        lit = dict(street.voltage_pu)
        street.set_all_irradiance(0.0)
        street.step()
        street.step()
        assert all(sum(lit[home.name]) > sum(street.voltage_pu[home.name]) + 0.002 for home in homes)
        reads = street.inverters[homes[0].name].value("701.VL1")
        assert reads == pytest.approx(NOMINAL_V * street.voltage_pu[homes[0].name][0], abs=0.1)


def test_a_scenario_names_it_or_a_file_beside_it(tmp_path: Path, made: GeneratedFeeder) -> None:
    bases = " ".join(map(str, made.voltage_bases_kv))
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "all.dss").write_text(made.script, encoding="ascii")
    (tmp_path / "master.dss").write_text(
        f"clear\nredirect parts/all.dss\nset voltagebases=[{bases}]\ncalcvoltagebases\nsolve\n", encoding="ascii"
    )
    scenario = tmp_path / "street.toml"
    powers = []
    for name in ("generated:200", "master.dss"):
        scenario.write_text(f'name = "street"\nfeeder = "{name}"\n', encoding="utf-8")
        feeder = Feeder.named(load(scenario).feeder)
        assert feeder is not None
        feeder.connect("pv", made.customers[0].bus, LEGS)
        powers.append(feeder.solve({"pv": 5_000.0}, {}).source_w)
    assert powers[0] == pytest.approx(powers[1], rel=1e-6)
    assert Feeder.named("none") is None


@pytest.mark.skipif(not SHARED_IEEE123.exists(), reason="needs ../shared/feeders/ieee123.zip")
def test_the_123_node_feeder_gives_its_published_totals(tmp_path: Path) -> None:
    with zipfile.ZipFile(SHARED_IEEE123) as packed:
        packed.extractall(tmp_path)
    feeder = Feeder.opened(tmp_path / "IEEE123Master.dss")
    flow = feeder.solve({}, {})
    assert flow.source_w == pytest.approx(3_620_000, rel=0.005)
    assert flow.losses_w == pytest.approx(95_600, rel=0.03)
    with pytest.raises(FeederError, match="and 92 more"):
        feeder.connect("pv", "nowhere", (1,))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "there is no OpenDSS file"),
        ("new circuit.bare basekv=12.47\nnew load.one bus1=far kv=12.47 kw=1\n", "has no voltage bases"),
        ("new circuit.bare basekv=12.47\nnew lode.one bus1=far\n", "does not compile"),
    ],
)
def test_a_file_that_is_no_feeder_is_told(tmp_path: Path, text: str | None, why: str) -> None:
    path = tmp_path / "bare.dss"
    if text is not None:
        path.write_text(text, encoding="ascii")
    with pytest.raises(FeederError, match=why):
        Feeder.opened(path)


@pytest.mark.parametrize("name", ["generated:many", "generated:0"])
def test_a_generated_feeder_of_no_size_is_told(name: str) -> None:
    with pytest.raises(FeederError, match=f'feeder "{name}"'):
        Feeder.named(name)
