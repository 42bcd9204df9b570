"""A vendor's cloud that writes to a simulated inverter past everybody, as an action of a scenario."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from head_end_bench import make_pki

from hil.bench import Bench
from hil.clock import Clock
from hil.scenario import InverterPlan, Scenario, action_of, check_action
from hil.street import Street
from hil.sunspec import vendor_cloud
from hil.sunspec.inverter import InverterSpec, Kind


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("2018", {"704.WMaxLimPct": 80, "704.WMaxLimPctEna": 1, "704.WSet": -1_200}),
        ("legacy", {"123.WMaxLimPct": 80, "123.WMaxLim_Ena": 1}),
    ],
)
async def test_points_are_written_in_order_over_a_connection_of_its_own(kind: Kind, points: dict[str, float]) -> None:
    async with Street(Clock.parse("real"), [InverterSpec(name="roof", kind=kind)]) as street:
        roof = street.inverters["roof"]
        _reader, writer = await asyncio.open_connection("127.0.0.1", roof.port)
        await vendor_cloud.write(roof, points)
        writer.close()
        assert {name: roof.value(name) for name in points} == points
        assert [name for write in roof.writes for name in roof.told(write)] == list(points)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ({"704.Nonsense": 1}, 'no point "704.Nonsense"'),
        ({"704.WMaxLimPct": 150}, "refuses 704.WMaxLimPct with exception 3"),
        ({"704.WMaxLimPctEna": 0.5}, "704.WMaxLimPctEna cannot hold 0.5"),
        ({"704.WMaxLimPct": 1e9}, "704.WMaxLimPct cannot hold"),
        ({"701.W": 5}, "refuses 701.W with exception 2"),
    ],
)
async def test_what_cannot_be_written_is_told(points: dict[str, float], why: str) -> None:
    async with Street(Clock.parse("real"), [InverterSpec(name="roof")]) as street:
        with pytest.raises(ValueError, match=why):
            await vendor_cloud.write(street.inverters["roof"], points)
        assert street.write_count("roof") == 0


async def test_an_inverter_that_cannot_be_reached_is_told() -> None:
    async with Street(Clock.parse("real"), [InverterSpec(name="roof")]) as street:
        street.set_fault("roof", "refuse_connections", True)
        with pytest.raises(ValueError, match="roof cannot be reached"):
            await vendor_cloud.write(street.inverters["roof"], {"704.WMaxLimPct": 80})


async def test_a_bench_brings_it_about_and_says_so(tmp_path: Path) -> None:
    make_pki(tmp_path, "gateway")
    lines: list[dict[str, Any]] = []
    scenario = Scenario(name="one", inverters=(InverterPlan(name="store", kind="battery", charge_pct=20),))
    async with Bench(scenario, Clock.parse("real"), tmp_path, lines.append) as bench:
        points = {"704.WMaxLimPct": 80, "704.WMaxLimPctEna": 1}
        await bench.act(action_of({"foreign": {"inverter": "store", "points": points}}))
        assert bench.state()["inverters"]["store"]["limit_w"] == 4_000
        assert bench.street.inverters["store"].stored_wh == 2_000
    assert [line["points"] for line in lines if line["kind"] == "foreign"] == [points]


def test_a_foreign_hand_is_an_action_on_an_inverter_of_the_scenario() -> None:
    def act(name: str) -> Any:
        return action_of({"foreign": {"inverter": name, "points": {"704.WMaxLimPct": 80}}})

    scenario = Scenario(name="one", inverters=())
    with pytest.raises(ValueError, match='inverter "roof" is not in the scenario'):
        check_action(scenario, act("roof"))
