"""Many devices at once: a fleet in one process, and units that share a slow line behind one gateway."""

import asyncio

import pytest
from sunspec_bench import RATED_W, Ear, at, clock_at, desk, until

from gateway.core.events import Adopted, LinkDown, LinkUp, NotAdopted
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import link
from hil.clock import Clock
from hil.sunspec.fleet import Fleet, Plants
from hil.sunspec.inverter import Inverter, InverterSpec
from hil.sunspec.rtu_gateway import RtuGateway

COUNT, UNITS = 50, 10
LIMIT_W = 3_000
DEAD = 3


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.02)
    monkeypatch.setattr(link, "BACKOFF_S", (0.05, 0.1, 0.2))


async def all_heard(ear: Ear, kind: type[Adopted | LinkUp], devices: list[str]) -> None:
    await asyncio.gather(*(ear.until(kind, device=device) for device in devices))


async def test_fifty_of_a_fleet_are_found_told_and_measured() -> None:
    clock = clock_at(1)
    plants = Plants(COUNT, tau_s=0.0)
    async with Fleet(plants, Clock.parse(str(clock)), units=UNITS) as fleet:
        tables = {
            f"pv-{index}": at(fleet.ports[index // UNITS], unit=1 + index % UNITS, poll_s=1) for index in range(COUNT)
        }
        async with desk(tables, clock) as made:
            await all_heard(made.ear, LinkUp, list(tables))
            for device in tables:
                made.want(1, device)
            await all_heard(made.ear, Adopted, list(tables))
            fleet.step()
            assert set(plants.w) == {LIMIT_W}
            assert set(plants.column("704.WMaxLimPct")) == {6_000}
            await until(lambda: all(made.ear.powers(device)[-1] == LIMIT_W for device in tables))
            assert fleet.report()["written"] == COUNT
            assert not [event for event in made.ear.events if isinstance(event, (LinkDown, NotAdopted))]


async def test_units_behind_one_gateway_are_told_apart_and_a_dead_one_stops_none() -> None:
    clock = clock_at(8)
    shared = Clock.parse(str(clock))
    inverters = {unit: Inverter(InverterSpec(name=f"pv-{unit}", unit=unit), shared) for unit in (1, 2, DEAD)}
    gateway = RtuGateway({unit: each.registers for unit, each in inverters.items()}, baud=230_400, timeout_s=0.05)
    gateway.dead.add(DEAD)
    await gateway.start()
    try:
        async with desk({f"pv-{unit}": at(gateway.port, unit=unit, poll_s=2) for unit in inverters}, clock) as made:
            await all_heard(made.ear, LinkUp, ["pv-1", "pv-2"])
            made.want(1, "pv-1")
            made.want(2, "pv-2", limit_w=2_000)
            await all_heard(made.ear, Adopted, ["pv-1", "pv-2"])
            assert [inverters[unit].limit_w for unit in (1, 2)] == [LIMIT_W, 2_000]
            assert "exception 11" in (await made.ear.until(LinkDown, device=f"pv-{DEAD}")).why
            assert made.ear.of(LinkDown, "pv-1") == made.ear.of(LinkDown, "pv-2") == []
            gateway.dead.clear()
            await made.ear.until(LinkUp, device=f"pv-{DEAD}")
            assert made.ear.powers("pv-1")[-1] == RATED_W, "nobody steps it: its registers alone are told"
    finally:
        await gateway.stop()
