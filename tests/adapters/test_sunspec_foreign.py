"""A foreign hand (A7): what changes though nobody here wrote it is told once and written again; nothing else is."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from sunspec_bench import RATE, Bank, Desk, at, bench, clock_at, desk, serving, until

from gateway.core.events import Adopted, ForeignHand, LinkDown, LinkUp, NotAdopted
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import link
from hil.clock import Clock
from hil.street import Street
from hil.sunspec import vendor_cloud
from hil.sunspec.inverter import Inverter, InverterSpec


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)


async def told(made: Desk, serial: int = 1, **fields: Any) -> None:
    """Want a command, and wait until the device was seen to stay at it."""
    made.want(serial, **fields)
    await until(lambda: any(each.serial == serial for each in made.ear.of(Adopted)))
    await until(lambda: made.links._links["roof"]._watch.holds)


@asynccontextmanager
async def street(kind: Literal["2018", "legacy"] = "2018", rate: float = 20) -> AsyncIterator[tuple[Inverter, Desk]]:
    """Run a simulated inverter, and a link to it that is up."""
    clock = clock_at(rate)
    async with (
        Street(Clock.parse(str(clock)), [InverterSpec(name="roof", kind=kind)]) as made,
        desk({"roof": at(made.ports["roof"])}, clock) as linked,
    ):
        await linked.ear.until(LinkUp)
        yield made.inverters["roof"], linked


@pytest.mark.parametrize(
    ("kind", "points", "fields", "why"),
    [
        pytest.param("2018", {"704.WMaxLimPct": 90}, {}, "WMaxLimPct reads 90 %, not 60 %", id="limit"),
        pytest.param("2018", {"704.WMaxLimPct": 20}, {}, "WMaxLimPct reads 20 %, not 60 %", id="a tighter limit too"),
        pytest.param("2018", {"704.WMaxLimPct": 30}, {}, "WMaxLimPct reads 30 %, not 60 %", id="what it reverts to"),
        pytest.param("2018", {"704.WMaxLimPctEna": 0}, {}, "limit enable reads 0", id="enable"),
        pytest.param("2018", {"704.WMaxLimPctRvrtTms": 0}, {}, "reversion timer reads 0 ms", id="its timer"),
        pytest.param(
            "2018", {"704.WSet": 2_500}, {"target_w": 2_000}, "set-point reads 2500 W, not 2000 W", id="set-point"
        ),
        pytest.param("2018", {"703.ES": 1}, {"energized": False}, "permit service reads 1, not 0", id="permission"),
        pytest.param("legacy", {"123.WMaxLimPct": 90}, {}, "WMaxLimPct reads 90 %, not 60 %", id="123 limit"),
        pytest.param("legacy", {"123.WMaxLim_Ena": 0}, {}, "limit enable reads 0", id="123 enable"),
        pytest.param("legacy", {"123.Conn": 1}, {"connected": False}, "connection reads 1", id="123 connection"),
    ],
)
async def test_it_is_told_once_and_written_again(
    kind: Literal["2018", "legacy"], points: dict[str, float], fields: dict[str, Any], why: str
) -> None:
    async with street(kind) as (roof, made):
        await told(made, **fields)
        held = {name: roof.value(name) for name in points}
        adopted = len(made.ear.of(Adopted))
        await vendor_cloud.write(roof, points)
        heard = await made.ear.until(ForeignHand)
        assert heard.why == f"{why}, though this gateway did not write it"
        await made.ear.until(Adopted, adopted + 1)
        assert {name: roof.value(name) for name in points} == held
        await made.polls(4)
        assert len(made.ear.of(ForeignHand)) == 1
        assert made.ear.of(NotAdopted) == []


async def test_each_change_is_told_and_each_is_written_again() -> None:
    async with street() as (roof, made):
        await told(made)
        for count, percent in enumerate((90, 90, 80), 1):
            await vendor_cloud.write(roof, {"704.WMaxLimPct": percent})
            await made.ear.until(ForeignHand, count)
            await until(lambda: roof.value("704.WMaxLimPct") == 60)
            await made.polls(2)
        assert len(made.ear.of(ForeignHand)) == 3


async def test_a_change_that_cannot_be_taken_back_is_told_once_and_then_not_adopted() -> None:
    bank = Bank()
    async with bench(bank) as made:
        await told(made)
        bank.refuses = lambda _names: 4
        bank.set(m704_WMaxLimPct=9_000)
        await made.ear.until(NotAdopted)
        await made.polls(5)
        assert len(made.ear.of(ForeignHand)) == 1
        assert len(made.ear.of(NotAdopted)) == 1
        bank.set(m704_WMaxLimPct=9_500)
        await made.ear.until(ForeignHand, 2)


async def test_a_timer_that_runs_out_is_no_foreign_hand() -> None:
    async with street() as (roof, made):
        await told(made, revert_after_ms=9_000)
        made.lease.until_ms = 0
        await until(lambda: roof.value("704.WMaxLimPct") == 30)
        await made.ear.until(NotAdopted)
        assert made.ear.of(ForeignHand) == []


async def test_a_timer_that_runs_out_while_refreshes_are_refused_is_no_foreign_hand() -> None:
    async with street() as (roof, made):
        await told(made, revert_after_ms=20_000)
        roof.set_fault("no_write_multiple", True)
        await until(lambda: roof.value("704.WMaxLimPct") == 30)
        await made.ear.until(NotAdopted)
        assert made.ear.of(ForeignHand) == []


async def test_a_set_point_whose_timer_runs_out_by_itself_is_no_foreign_hand() -> None:
    bank = Bank()
    async with bench(bank) as made:
        await told(made, revert_after_ms=9_000, target_w=2_000)
        made.lease.until_ms = 0
        await made.polls(10)
        bank.set(m704_WSetEna=0)
        await made.polls(3)
        assert made.ear.of(ForeignHand) == []


@pytest.mark.parametrize("kind", ["2018", "legacy"])
@pytest.mark.parametrize("drops", [True, False])
async def test_a_restart_is_no_foreign_hand(kind: str, *, drops: bool) -> None:
    bank = Bank(kind)
    power_on = bytes(bank.words)
    async with serving(bank) as server, desk({"roof": at(server.port)}) as made:
        await made.ear.until(LinkUp)
        await told(made)
        if drops:
            server.resets = True
            await made.ear.until(LinkDown)
        bank.words[:] = power_on
        server.resets = False
        await made.ear.until(Adopted, 2)
        await made.polls(2)
        assert made.ear.of(ForeignHand) == []


async def test_an_answer_of_the_devices_own_to_a_write_is_no_foreign_hand() -> None:
    bank = Bank()

    def clamp(_address: int, _count: int) -> None:
        if bank.written_at and time.monotonic() > bank.written_at[-1] + 0.5 / RATE:
            bank.set(m704_WMaxLimPct=5_500)

    bank.before_read = clamp
    async with bench(bank) as made:
        made.want()
        assert (await made.ear.until(NotAdopted)).why == "WMaxLimPct reads 55 %, not 60 %"
        await made.polls(5)
        assert made.ear.of(ForeignHand) == []


async def test_a_wish_of_ours_is_no_foreign_hand() -> None:
    async with street() as (_roof, made):
        for serial, limit_w in enumerate((3_000, 2_000, 2_500), 1):
            await told(made, serial, limit_w=limit_w)
        await made.polls(3)
        assert made.ear.of(ForeignHand) == []


async def test_a_set_point_that_nobody_here_ordered_is_the_customers_own() -> None:
    async with street() as (roof, made):
        await told(made)
        await vendor_cloud.write(roof, {"704.WSet": 1_000, "704.WSetEna": 1})
        await made.polls(5)
        assert made.ear.of(ForeignHand) == []
        assert roof.value("704.WSetEna") == 1


async def test_who_may_not_write_has_nothing_to_defend() -> None:
    bank = Bank()
    async with bench(bank) as made:
        await told(made)
        made.links.shared.may_write = False
        bank.set(m704_WMaxLimPct=9_000)
        await made.polls(5)
        assert made.ear.of(ForeignHand) == []


async def test_a_foreign_hand_is_told_even_while_nobody_decides() -> None:
    bank = Bank()
    async with bench(bank) as made:
        await told(made, revert_after_ms=60_000)
        made.lease.until_ms = 0
        bank.set(m704_WMaxLimPct=9_000)
        await made.ear.until(ForeignHand)
        await until(lambda: bank.limit_pct == 60)
