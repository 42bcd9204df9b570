"""A street and a bench that hold devices which are no SunSpec inverters."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hil.bench import Bench
from hil.clock import Clock
from hil.feeder import Feeder
from hil.scenario import Action, InverterPlan, Irradiance, Proof, Scenario
from hil.street import Street
from hil.sunspec.inverter import InverterSpec

START_MS = 1_800_000_000_000
ROOF = InverterSpec(name="roof", rated_w=8_000, bus="634", phases=(1,), nominal_v=277)


class Charger:
    """A load that draws what it is told, and notes what is done to it."""

    def __init__(self, name: str, w: float, log: list[str] | None = None) -> None:
        self.name = name
        self.bus = "634"
        self.phases: tuple[int, ...] = (1,)
        self.nominal_v = 277.0
        self.w = w
        self.var = -500.0
        self.volts: tuple[float, ...] | None = None
        self.log = [] if log is None else log

    def step(self, now_ms: int, volts: tuple[float, ...] | None = None) -> None:
        assert now_ms >= START_MS
        self.volts = volts

    async def start(self) -> None:
        self.log.append(f"{self.name} starts")

    async def stop(self) -> None:
        self.log.append(f"{self.name} stops")


class LitCharger(Charger):
    limit_w = 1234
    irradiance = 0.1

    def __init__(self, name: str, w: float) -> None:
        super().__init__(name, w)
        self.faults: frozenset[str] = frozenset()

    def set_fault(self, fault: str, on: bool) -> None:
        self.faults = self.faults | {fault} if on else self.faults - {fault}

    def ready(self) -> dict[str, object]:
        return {"topic": f"street/{self.name}"}


async def volts_of(devices: Sequence[Charger]) -> float:
    async with Street(Clock.starting(1, START_MS), [ROOF], Feeder.ieee13(), devices=devices, stepping=False) as street:
        street.step()
        assert street.measured_w == {"roof": 8_000} | {one.name: one.w for one in devices}
        return street.voltage_pu["roof"][0]


async def test_the_feeder_feels_a_device_and_the_device_its_voltage() -> None:
    charger = Charger("car", -60_000.0)
    assert await volts_of([charger]) < await volts_of([]) - 0.005
    assert charger.volts is not None
    assert 0.8 * 277 < charger.volts[0] < 1.1 * 277
    assert charger.log == ["car starts", "car stops"]


async def test_light_and_faults_are_for_those_that_have_them() -> None:
    plain, lit = Charger("car", -1000.0), LitCharger("shed", 2000.0)
    street = Street(Clock.starting(1, START_MS), [ROOF], devices=[plain, lit])
    street.set_all_irradiance(0.4)
    assert (lit.irradiance, street.inverters["roof"].irradiance) == (0.4, 0.4)
    street.set_fault("shed", "silent", on=True)
    assert lit.faults == {"silent"}
    wrongs: tuple[tuple[Callable[[], None], str], ...] = (
        (lambda: street.set_irradiance("car", 1.0), '"car" does not live on light'),
        (lambda: street.set_fault("car", "silent", on=True), '"car" has no faults'),
        (lambda: street.set_irradiance("none", 1.0), 'device "none" is not in the street; it has roof, car, shed'),
    )
    for wrong, message in wrongs:
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(ValueError, match="roof occur twice"):
        Street(Clock.parse("real"), [ROOF], devices=[Charger("roof", 0.0)])


async def test_a_bench_tells_measures_and_proves_every_device(tmp_path: Path) -> None:
    log: list[str] = []
    told: list[dict[str, Any]] = []
    scenario = Scenario(name="mixed", inverters=(InverterPlan("roof"),))
    bench = Bench(
        scenario,
        Clock.starting(1, START_MS),
        tmp_path,
        told.append,
        devices=[Charger("car", -1000.0, log), LitCharger("shed", 2000.0)],
        services=[Charger("broker", 0.0, log)],
    )
    async with bench:
        ready = bench.ready()
        assert (set(ready["inverters"]), ready["devices"]) == ({"roof"}, {"car": {}, "shed": {"topic": "street/shed"}})
        bench.begin()
        await asyncio.sleep(0.05)
        await bench.act(Action(proof=Proof("all", at_least_w=-1000, at_most_w=5000)))
        await bench.act(Action(proof=Proof("car alone", at_least_w=0, devices=("car",))))
        await bench.act(Action(irradiance=Irradiance(0.7, ("shed",))))
        with pytest.raises(ValueError, match='device "none" is not in the scenario; it has roof, car, shed'):
            await bench.act(Action(proof=Proof("none", devices=("none",))))
        with pytest.raises(ValueError, match='inverter "none" is not'):
            await bench.act(Action(irradiance=Irradiance(0.7, ("none",))))
        state = bench.state()["devices"]
        assert state["shed"] == {"w": 2000, "var": -500, "limit_w": 1234, "voltage_pu": None, "faults": []}
        assert [(one["name"], one["ok"], one["w"]) for one in bench.summary()["proofs"]] == [
            ("all", True, {"roof": 5000, "car": -1000, "shed": 2000}),
            ("car alone", False, {"car": -1000}),
        ]
    measured = next(line for line in told if line["kind"] == "measured")
    assert measured["w"] == {"roof": 5000, "car": -1000, "shed": 2000}
    assert measured["limit_w"] == {"roof": None, "car": None, "shed": 1234}
    assert log == ["broker starts", "car starts", "car stops", "broker stops"]


async def test_what_started_is_stopped_when_something_cannot_start(tmp_path: Path) -> None:
    log: list[str] = []

    class Broken(Charger):
        async def start(self) -> None:
            raise OSError("the port is taken")

    bench = Bench(
        Scenario(name="broken"),
        Clock.starting(1, START_MS),
        tmp_path,
        print,
        devices=[Charger("car", 0.0, log), Broken("shed", 0.0, log)],
        services=[Charger("broker", 0.0, log)],
    )
    with pytest.raises(OSError, match="the port is taken"):
        await bench.__aenter__()
    assert log == ["broker starts", "car starts", "car stops", "shed stops", "broker stops"]


async def test_the_mains_of_devices_on_no_feeder_can_be_set_and_those_on_one_cannot() -> None:
    garage = InverterSpec(name="garage", phases=(1, 2))
    async with Street(Clock.starting(1, START_MS), [ROOF, garage], Feeder.ieee13(), stepping=False) as street:
        street.set_mains(1.05)
        street.step()
        assert street.inverters["garage"].value("701.LNV") == pytest.approx(1.05 * 240, abs=0.1)
        assert street.inverters["roof"].value("701.LNV") != pytest.approx(1.05 * 277, abs=0.1)
        with pytest.raises(ValueError, match='the feeder makes the voltage of "roof"'):
            street.set_mains(1.05, ["roof"])
        with pytest.raises(ValueError, match='"attic" is not in the street'):
            street.set_mains(1.05, ["attic"])
