"""A feeder's model: what names it, what is wrong with it, and which phase a device is on."""

from pathlib import Path

import pytest
from feeder_oracle import ieee13

from gateway.grid import Feeder, Place, faults, feeder_faults
from gateway.grid.worker.circuit import Circuit
from gateway.grid.worker.files import model_hash
from gateway.grid.worker.load import ModelFault
from gateway.grid.worker.trial import corners

SPLIT_PHASE = """
new circuit.split basekv=12.47 bus1=src pu=1.0 r1=0 x1=0.001
new line.feeder bus1=src bus2=pole length=1 r1=0.3 x1=0.6 r0=0.6 x0=1.8 c1=0 c0=0
new transformer.service phases=1 windings=3 buses=(pole.2 house.1.0 house.0.2) kvs=(7.2 0.12 0.12) kvas=(25 25 25)
~ xhl=2 xht=2 xlt=1
new load.kitchen bus1=house.1 phases=1 kv=0.12 kw=1
set voltagebases=[12.47 0.208]
calcvoltagebases
"""


def text(folder: Path, content: str) -> Path:
    model = folder / "model.dss"
    model.write_text(content, encoding="ascii")
    return model


def at(bus: str) -> dict[str, tuple[Place, ...]]:
    return {"roof": (Place("roof-inverter", bus, 5000),)}


def test_a_sound_model_has_no_faults(tmp_path: Path) -> None:
    assert faults(Feeder("north", ieee13(tmp_path)), at("634.1")) == []


def test_every_device_without_a_place_is_named(tmp_path: Path) -> None:
    places = {
        "roof": (Place("roof-inverter", "643.1", 5000), Place("carport", "645.1", 5000)),
        "barn": (Place("barn-inverter", "680", 5000), Place("mill", "680.x", 5000)),
    }
    found = faults(Feeder("north", ieee13(tmp_path)), places)
    assert found == [
        'device "roof-inverter": no bus "643" on the feeder; is it 684?',
        'device "carport": bus "645" has the phases 2.3 only; give one of them',
        'device "mill": bus "680" has the phases 1.2.3 only; give one of them',
    ]


def test_a_missing_file_is_said_without_an_engine(tmp_path: Path) -> None:
    table = Feeder("north", tmp_path / "nowhere.dss")
    missing = [f'"{tmp_path}/nowhere.dss": no such file; give the OpenDSS text that makes the circuit']
    assert faults(table, at("634.1"), ["/no/such/program"]) == missing
    assert [key for key, _ in feeder_faults(table)] == [("model",)]
    narrow = Feeder("north", ieee13(tmp_path), voltage_min_pu=1.0, voltage_max_pu=1.0)
    assert [key for key, _ in feeder_faults(narrow)] == [("voltage_max_pu",)]


def test_a_worker_that_cannot_start_is_a_fault(tmp_path: Path) -> None:
    (found,) = faults(Feeder("north", ieee13(tmp_path)), at("634.1"), ["/no/such/program"])
    assert "cannot be tried: its process cannot be started: No such file" in found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("! nothing\n", "no circuit"),
        ("redirect nowhere.dss\n", "nowhere.dss: No such file"),
        ("new circuit.x bus1=a basekv=nonsense\n", "nonsense"),
        (SPLIT_PHASE.replace("set voltagebases=[12.47 0.208]\ncalcvoltagebases\n", ""), "has no voltage base"),
        (SPLIT_PHASE.replace("kw=1", "kw=900"), "as it stands, the power flow"),
        (SPLIT_PHASE.replace("pu=1.0", "pu=0.4"), "as it stands, the power flow has 0.4"),
        (SPLIT_PHASE + "open line.feeder 1\n", "no voltage"),
    ],
)
def test_a_model_that_cannot_be_used_says_why_in_one_line(tmp_path: Path, content: str, said: str) -> None:
    model = text(tmp_path, content)
    with pytest.raises((ModelFault, OSError)) as found:
        Circuit(model, at("house.1"))
    assert said in str(found.value).replace("[Errno 2] No such file or directory: ", "nowhere.dss: No such file")
    assert "\n" not in str(found.value)


def test_the_fault_of_a_text_that_is_missing_names_it(tmp_path: Path) -> None:
    model = text(tmp_path, "redirect nowhere.dss\n")
    (found,) = faults(Feeder("north", model), at("house.1"))
    assert found == f"{tmp_path}/nowhere.dss: No such file or directory; correct the model"


def test_both_legs_behind_a_centre_tap_are_on_the_phase_of_the_primary(tmp_path: Path) -> None:
    places = {bus: (Place(bus, bus, 5000),) for bus in ("house.1", "house.2", "house", "pole.2", "pole.1.3", "src")}
    circuit = Circuit(text(tmp_path, SPLIT_PHASE), places)
    assert circuit.touches == {
        "house.1": {1},
        "house.2": {1},
        "house": {1},
        "pole.2": {1},
        "pole.1.3": {0, 2},
        "src": {0, 1, 2},
    }


def test_there_is_a_corner_for_every_mix_of_phases() -> None:
    one, two, three, all_of_them = ({0}, {1}, {2}, {0, 1, 2})
    assert len(corners({"a": frozenset(one), "b": frozenset(one)})) == 2
    assert len(corners({"a": frozenset(one), "b": frozenset(two)})) == 4
    mixes = corners({name: frozenset(each) for name, each in zip("abcd", (one, two, three, all_of_them), strict=True)})
    assert len({tuple(mask) for mask in mixes}) == 16
    assert mixes[0].all()


def test_the_hash_names_every_file_of_the_model_and_where_the_der_are(tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    (tmp_path / "other.txt").write_text("1", encoding="ascii")
    (tmp_path / "shapes" / "day.csv").write_text("1\n2\n", encoding="ascii")
    (tmp_path / "lines.dss").write_text("new loadshape.day npts=2 mult=(file=shapes/day.csv)\n", encoding="ascii")
    model = text(tmp_path, 'Redirect "lines.dss" ! the lines\n!redirect gone.dss\n' + SPLIT_PHASE)
    first = model_hash(model, at("house.1"))
    (tmp_path / "other.txt").write_text("2", encoding="ascii")
    assert model_hash(model, at("house.1")) == first
    assert model_hash(model, at("house.2")) != first
    (tmp_path / "shapes" / "day.csv").write_text("1\n3\n", encoding="ascii")
    second = model_hash(model, at("house.1"))
    assert second != first
    (tmp_path / "lines.dss").write_text("! none\n", encoding="ascii")
    assert model_hash(model, at("house.1")) not in (first, second)
