"""A simulated meter read by libraries that are not ours, and driven by the steps of a scenario."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from pymodbus.client import AsyncModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from hil.bench import Bench
from hil.clock import Clock
from hil.scenario import Action, Fault, Foreign, Irradiance, Proof, Scenario, ScenarioError, load
from hil.sunspec.modbus_server import ILLEGAL_ADDRESS
from hil.sunspec.site_meter import LoadAct, MeterPlan, SiteMeter

START_MS = 1_800_000_000_000
Kind = Literal["203", "213"]

SCENARIO = """
name = "metered"

[[inverter]]
name = "roof"
resource = "house"
rated_w = 5000
[[inverter]]
name = "shed"
resource = "house"
rated_w = 2000
[[inverter]]
name = "far"
resource = "other"

[[meter]]
name = "main"
resource = "house"
kind = "{kind}"
load_w = 1500

[[step]]
at_s = 0
load = {{ meter = "{stepped}", w = 900 }}
[[step]]
at_s = 1
end = true
"""


def scenario(folder: Path, kind: Kind = "203", stepped: str = "main") -> Scenario:
    file = folder / "metered.toml"
    file.write_text(SCENARIO.format(kind=kind, stepped=stepped))
    return load(file)


async def read(port: int, model: int, *names: str) -> list[Any]:
    """Read a meter as pysunspec2 finds it."""

    def work() -> list[Any]:
        device = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=5)
        try:
            device.scan()
            assert [(each.model_id, each.error_info) for each in device.model_list] == [(1, ""), (model, "")]
            return [device.models[model][0].points[name].cvalue for name in names]
        finally:
            device.close()

    return await asyncio.to_thread(work)


@asynccontextmanager
async def standing(generated_w: float, **fields: Any) -> AsyncIterator[SiteMeter]:
    meter = SiteMeter(MeterPlan("main", "house", **fields), lambda: generated_w)
    await meter.start()
    try:
        yield meter
    finally:
        await meter.stop()


@pytest.mark.parametrize("kind", ["203", "213"])
async def test_it_shows_what_is_left_over_with_import_positive(kind: Kind) -> None:
    async with standing(7_000, kind=kind, load_w=1_500, most_w=15_000) as meter:
        meter.step(0)
        assert meter.w == 5_500
        names = ("W", "WphA", "Hz", "PhV", "PhVphB", "PPV", "A")
        w, phase_w, hz, phase_v, phase_b_v, between_v, current_a = await read(meter.port, int(kind), *names)
        assert (w, round(phase_w), round(hz), round(phase_v), round(phase_b_v)) == (-5_500, -1_833, 60, 240, 240)
        assert round(between_v) == 416
        assert current_a == pytest.approx(5_500 / 240, abs=0.1)
        meter.set_load(8_000)
        meter.step(3_600_000)
        assert await read(meter.port, int(kind), "W", "TotWhExp") == [1_000, 5_500]
        meter.step(7_200_000)
        assert await read(meter.port, int(kind), "TotWhExp", "TotWhImp") == [5_500, 1_000]


async def test_large_powers_fit_by_their_scale_factor() -> None:
    async with standing(90_000, load_w=-60_000, most_w=100_000) as meter:
        meter.step(0)
        assert await read(meter.port, 203, "W", "W_SF") == [-150_000, 1]
        with pytest.raises(ValueError, match="load -100001 W of main is out of range; use at most 100000 W"):
            meter.set_load(-100_001)


async def test_nothing_can_be_written_to_it() -> None:
    async with standing(1_000) as meter:
        client = AsyncModbusTcpClient("127.0.0.1", port=meter.port, timeout=2, retries=0)
        assert await client.connect()
        address, _octets = meter._image.place("203.W", 5)
        answer = await client.write_registers(address, [5], device_id=1)
        client.close()
        assert answer.isError()
        assert answer.exception_code == ILLEGAL_ADDRESS


async def test_faults_are_those_of_a_link_and_of_a_sleeping_meter() -> None:
    async with standing(1_000) as meter:
        meter.set_fault("asleep", on=True)
        meter.step(0)
        assert await read(meter.port, 203, "W", "Hz", "PhV") == [None, None, None]
        meter.set_fault("asleep", on=False)
        meter.step(1)
        assert await read(meter.port, 203, "W") == [-1_000]
        meter.set_fault("refuse_connections", on=True)
        assert meter.faults == {"refuse_connections"}
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", meter.port)
        with pytest.raises(ValueError, match='fault "tired" is not known; use one of silent, '):
            meter.set_fault("tired", on=True)


@pytest.mark.parametrize("kind", ["203", "213"])
async def test_a_bench_shows_what_is_behind_each_meter(tmp_path: Path, kind: Kind) -> None:
    told: list[dict[str, Any]] = []
    async with Bench(scenario(tmp_path, kind), Clock.starting(10, START_MS), tmp_path, told.append) as bench:
        place = bench.ready()["meters"]["main"]
        assert place == {"host": "127.0.0.1", "port": bench.meters["main"].port, "unit": 1, "resource": "house"}
        assert bench.ready()["devices"] == {}
        assert await read(place["port"], int(kind), "W") == [-5_500]
        await bench.act(Action(irradiance=Irradiance(0.5, ("roof",))))
        await bench.act(Action(load=LoadAct("main", 4_000)))
        async with asyncio.timeout(10):
            while bench.state()["meters"]["main"]["w"] > 510:  # noqa: ASYNC110 - the step loop gives no sign
                await asyncio.sleep(0.02)
        assert bench.state()["meters"]["main"]["load_w"] == 4_000
        assert bench.state()["devices"] == {}
        await bench.act(Action(proof=Proof("all but meters", at_least_w=2_000, at_most_w=5_000)))
        await bench.act(Action(proof=Proof("out", at_most_w=510, devices=("main",))))
        await bench.act(Action(fault=Fault("main", "silent")))
        assert bench.state()["meters"]["main"]["faults"] == ["silent"]
        assert [(one["name"], one["ok"], set(one["w"])) for one in bench.summary()["proofs"]] == [
            ("all but meters", True, {"roof", "shed", "far"}),
            ("out", True, {"main"}),
        ]
    assert {"kind": "load", "meter": "main", "w": 4_000} in [
        {key: value for key, value in line.items() if key != "t_ms"} for line in told
    ]


async def test_a_step_changes_the_load(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    async with Bench(scenario(tmp_path), Clock.starting(20, START_MS), tmp_path, told.append) as bench:
        bench.begin()
        async with asyncio.timeout(10):
            await bench.finished()
        assert bench.meters["main"].load_w == 900


def test_what_the_scenario_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r'step at_s = 0\.0: meter "none" is not in the scenario; it has main'):
        scenario(tmp_path, stepped="none")
    file = tmp_path / "twice.toml"
    file.write_text('name = "t"\n[[inverter]]\nname = "a"\n[[meter]]\nname = "a"\nresource = "house"\n')
    with pytest.raises(ScenarioError, match="device a occurs twice"):
        load(file)


async def test_a_meter_is_no_inverter(tmp_path: Path) -> None:
    async with Bench(scenario(tmp_path), Clock.starting(1, START_MS), tmp_path, lambda _line: None) as bench:
        with pytest.raises(ValueError, match='"main" does not live on light'):
            await bench.act(Action(irradiance=Irradiance(0.5, ("main",))))
        with pytest.raises(ValueError, match='inverter "main" is not in the scenario'):
            await bench.act(Action(foreign=Foreign("main", {"203.W": 0})))
