"""Modes over real sockets: behind the limits, adopted and told, watched, refreshed, taken back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sunspec_bench import Bank, Desk, at, clock_at, desk, serving, until
from sunspec_paper import curve

from gateway.core.events import Adopted, ForeignHand, LinkDown, LinkUp, Observed
from gateway.core.functions import Function
from gateway.core.modes import CurveBase, CurveKind, Displacement, FixedVar, PowerFactor, VarBase
from gateway.ports.south import Lease
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import link
from gateway.southbound.sunspec_modbus.config import endpoint
from gateway.southbound.sunspec_modbus.connection import Shared
from gateway.southbound.sunspec_modbus.line import Line, Pace, Seat
from gateway.southbound.sunspec_modbus.modes import adoption, carrying
from hil.clock import Clock
from hil.street import Street
from hil.sunspec import faults
from hil.sunspec.inverter import Inverter, InverterSpec, Kind
from hil.sunspec.modbus_server import ModbusServer

VOLT_VAR = curve(CurveKind.VOLT_VAR, (9_000, 3_000), (11_000, -3_000), base=CurveBase.MAX_VAR)
VOLT_WATT = curve(CurveKind.VOLT_WATT, (10_500, 10_000), (11_000, 2_000), base=CurveBase.MAX_W)
PF = PowerFactor(Displacement(9_500, absorbs=True), None)
RATE = 20


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)


@asynccontextmanager
async def roof(kind: Kind = "autonomous", *, may_write: bool = True) -> AsyncIterator[tuple[Inverter, Desk]]:
    """Run a simulated inverter, and a link to it that is up."""
    clock = clock_at(RATE)
    async with (
        Street(Clock.parse(str(clock)), [InverterSpec(name="roof", kind=kind)]) as made,
        desk({"roof": at(made.ports["roof"])}, clock, may_write=may_write) as linked,
    ):
        await linked.ear.until(LinkUp)
        yield made.inverters["roof"], linked


def told(inverter: Inverter, since: int = 0) -> list[dict[str, Any]]:
    """Give what was written, write by write."""
    return [inverter.told(write) for write in inverter.writes[since:]]


def count(inverter: Inverter, name: str) -> int:
    """Count the writes of a point."""
    return sum(name in write for write in told(inverter))


@pytest.fixture
def _endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a slow adoption last until the test ends it."""
    monkeypatch.setattr(faults, "SLOW_CURVE_MS", 10**12)
    monkeypatch.setattr(adoption, "ADOPT_WITHIN_MS", 10**9)


def end_adoption(inverter: Inverter) -> None:
    """Let a slow adoption come to its end."""
    assert inverter._adopting is not None
    inverter._adopting = (0, inverter._adopting[1])


async def in_force(made: Desk, serial: int, *modes: Any, **fields: Any) -> Adopted:
    """Want modes, and give the adoption that is heard of them."""
    made.want(serial, modes=modes, **fields)
    await until(lambda: any(each.serial == serial for each in made.ear.of(Adopted)))
    found: Adopted = next(each for each in made.ear.of(Adopted) if each.serial == serial)
    return found


async def test_a_limit_is_written_before_a_curve_and_adopted_once_both_are_in_force() -> None:
    async with roof() as (inverter, made):
        heard = await in_force(made, 1, VOLT_VAR, VOLT_WATT)
        assert heard.cannot == ()
        assert "704.WMaxLimPct" in told(inverter)[0]
        assert (inverter.value("705.Ena"), inverter.value("706.Ena")) == (1, 1)
        assert inverter.value("705.Crv.1.Pt.1.V") == 90
        assert len(made.ear.of(Adopted)) == 1


@pytest.mark.usefixtures("_endless")
async def test_a_limit_is_told_while_a_curve_is_being_adopted() -> None:
    async with roof() as (inverter, made):
        inverter.set_fault("slow_curves", on=True)
        made.want(1, modes=(VOLT_VAR,))
        await until(lambda: inverter._adopting is not None)
        made.want(2, modes=(VOLT_VAR,), limit_w=1_000, revert_limit_w=1_000)
        await until(lambda: inverter.limit_w == 1_000)
        assert inverter._adopting is not None
        end_adoption(inverter)
        await until(lambda: bool(made.ear.of(Adopted)))
        assert [each.serial for each in made.ear.of(Adopted)] == [2], "not before the curve is in force"
        assert count(inverter, "705.AdptCrvReq") == 1, "a new limit does not begin the curve anew"


async def test_a_mode_without_a_model_is_told_with_the_adoption_and_the_rest_is_kept() -> None:
    async with roof("2018") as (inverter, made):
        heard = await in_force(made, 1, FixedVar(VarBase.MAX_VAR, 2_000), VOLT_WATT)
        assert heard.cannot == ((Function.VOLT_WATT, "volt-watt: no model 706 or 132"),)
        assert inverter.value("704.VarSetEna") == 1


async def test_a_failed_adoption_is_told_left_as_it_was_and_not_hammered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "RETRY_S", (3_600.0,))
    async with roof() as (inverter, made):
        modes = made.links._links["roof"]._modes
        inverter.set_fault("failed_curves", on=True)
        heard = await in_force(made, 1, VOLT_VAR)
        why = "volt-var (705): the device says that it could not adopt it"
        assert heard.cannot == ((Function.REACTIVE_POWER, why),)
        assert (inverter.value("705.Ena"), inverter.value("705.Crv.1.Pt.1.V")) == (0, 92)
        assert count(inverter, "705.AdptCrvReq") == 1
        await in_force(made, 2, VOLT_VAR, limit_w=2_000)
        assert count(inverter, "705.AdptCrvReq") == 1, "the same curve waits for its pause"
        inverter.set_fault("failed_curves", on=False)
        modes._efforts[Function.REACTIVE_POWER].at -= 3_600.0 / RATE
        modes._plan()
        await until(lambda: made.ear.of(Adopted)[-1] == Adopted("roof", 2, ()))
        assert inverter.value("705.Ena") == 1
        assert count(inverter, "705.AdptCrvReq") == 2


async def test_a_device_that_failed_and_was_lost_is_not_asked_again_at_once() -> None:
    async with roof() as (inverter, made):
        inverter.set_fault("failed_curves", on=True)
        await in_force(made, 1, VOLT_VAR)
        inverter.set_fault("reset", on=True)
        await made.ear.until(LinkDown)
        inverter.set_fault("reset", on=False)
        await made.ear.until(Adopted, 2)
        assert made.ear.of(Adopted)[-1].cannot
        assert count(inverter, "705.AdptCrvReq") == 1


async def test_a_device_that_says_it_adopted_and_did_not_is_told_of() -> None:
    async with roof() as (inverter, made):
        inverter.set_fault("adopts_nothing", on=True)
        heard = await in_force(made, 1, VOLT_VAR)
        assert "it says it has adopted it, but" in heard.cannot[0][1]
        assert inverter.value("705.Ena") == 0


async def test_a_memory_that_wears_is_not_asked_again_before_it_is_told_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(carrying, "RETRY_S", (1.0,))
    async with roof() as (inverter, made):
        made.links._links["roof"]._modes._habits = made.links._links["roof"]._modes._habits._replace(wears=True)
        inverter.set_fault("failed_curves", on=True)
        await in_force(made, 1, VOLT_VAR)
        await made.polls(20)
        assert count(inverter, "705.AdptCrvReq") == 1


async def test_what_no_command_has_any_more_is_taken_back_once_and_what_is_anothers_is_left() -> None:
    async with roof() as (inverter, made):
        inverter._image.publish({"712.Ena": 0, "711.Ena": 1})
        await in_force(made, 1, VOLT_VAR, VOLT_WATT)
        await in_force(made, 2)
        assert (inverter.value("705.Ena"), inverter.value("706.Ena"), inverter.value("711.Ena")) == (0, 0, 1)
        since = len(inverter.writes)
        await in_force(made, 3, limit_w=2_500)
        assert all(next(iter(write)).startswith("704.WMax") for write in told(inverter, since))
        assert count(inverter, "711.Ena") == 0


@pytest.mark.parametrize(
    ("kind", "mode", "enable"),
    [
        ("autonomous", VOLT_VAR, "705.Ena"),
        ("autonomous", PF, "704.PFWInjEna"),
        ("legacy-curves", VOLT_VAR, "126.ModEna"),
    ],
)
async def test_a_mode_that_was_told_before_a_restart_is_taken_back_with_its_order(
    kind: Kind, mode: Any, enable: str
) -> None:
    clock = clock_at(RATE)
    async with Street(Clock.parse(str(clock)), [InverterSpec(name="roof", kind=kind)]) as made:
        tables = {"roof": at(made.ports["roof"])}
        async with desk(tables, clock) as before:
            await before.ear.until(LinkUp)
            await in_force(before, 1, mode)
        assert made.inverters["roof"].value(enable) == 1
        async with desk(tables, clock) as after:
            await after.ear.until(LinkUp)
            await in_force(after, 2, mode)
            assert made.inverters["roof"].value(enable) == 1
            await in_force(after, 3)
            await until(lambda: made.inverters["roof"].value(enable) == 0)


@pytest.mark.usefixtures("_endless")
async def test_what_is_given_up_half_way_is_taken_back() -> None:
    async with roof() as (inverter, made):
        inverter._image.publish({"705.Ena": 1})
        await in_force(made, 1, VOLT_VAR)
        inverter.set_fault("slow_curves", on=True)
        made.want(2, modes=(curve(CurveKind.VOLT_VAR, (9_300, 0), (9_400, -500), base=CurveBase.MAX_VAR),))
        await until(lambda: inverter._adopting is not None)
        inverter.set_fault("slow_curves", on=False)
        made.want(3)
        end_adoption(inverter)
        await until(lambda: inverter._adopting is None)
        await until(lambda: any(each.serial == 3 for each in made.ear.of(Adopted)))
        await until(lambda: (inverter.value("705.Crv.1.Pt.1.V"), inverter.value("705.Ena")) == (92, 1))


async def test_what_somebody_else_has_set_since_is_not_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "LOOK_AGAIN_S", 3_600.0)
    async with roof() as (inverter, made):
        await in_force(made, 1, VOLT_VAR)
        inverter._image.publish({"705.Crv.1.Pt.1.V": 93})
        await in_force(made, 2)
        assert inverter.value("705.Ena") == 1


async def test_what_stands_in_the_way_of_a_mode_is_off_while_that_is_in_force() -> None:
    async with roof() as (inverter, made):
        inverter._image.publish({"705.Ena": 1})
        await in_force(made, 1, PF)
        assert (inverter.value("704.PFWInjEna"), inverter.value("705.Ena")) == (1, 0)
        await in_force(made, 2)
        assert (inverter.value("704.PFWInjEna"), inverter.value("705.Ena")) == (0, 1)


async def test_another_mode_of_the_same_function_takes_the_place_of_the_first() -> None:
    async with roof() as (inverter, made):
        await in_force(made, 1, VOLT_VAR)
        await in_force(made, 2, PF)
        assert (inverter.value("704.PFWInjEna"), inverter.value("705.Ena")) == (1, 0)
        off = next(n for n, write in enumerate(told(inverter)) if write == {"705.Ena": 0})
        on = next(n for n, write in enumerate(told(inverter)) if write.get("704.PFWInjEna") == 1)
        assert off < on
        await in_force(made, 3)
        assert (inverter.value("704.PFWInjEna"), inverter.value("705.Ena")) == (0, 0)


async def test_a_foreign_hand_on_a_mode_is_told_once_and_put_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "LOOK_AGAIN_S", 2.0)
    async with roof() as (inverter, made):
        await in_force(made, 1, VOLT_VAR)
        inverter._image.publish({"705.Ena": 0})
        heard = await made.ear.until(ForeignHand)
        assert heard.why == "volt-var (705): Ena reads 0, not 1, though this gateway did not write it"
        await made.ear.until(Adopted, 2)
        assert inverter.value("705.Ena") == 1
        await made.polls(8)
        assert len(made.ear.of(ForeignHand)) == 1


async def test_a_device_that_lost_its_curves_with_its_connection_is_told_them_again_and_nobody_is_blamed() -> None:
    async with roof() as (inverter, made):
        await in_force(made, 1, VOLT_VAR)
        inverter.set_fault("reboot", on=True)
        await made.ear.until(LinkDown)
        inverter.set_fault("reboot", on=False)
        await made.ear.until(LinkUp, 2)
        await made.ear.until(Adopted, 2)
        assert (inverter.value("705.Ena"), inverter.value("705.Crv.1.Pt.1.V")) == (1, 90)
        assert made.ear.of(ForeignHand) == []


async def test_a_mode_is_refreshed_while_the_deciding_loop_lives_and_falls_back_without_it() -> None:
    async with roof() as (inverter, made):
        await in_force(made, 1, PF)
        assert count(inverter, "704.PFWInjRvrtTms") == 1
        await until(lambda: count(inverter, "704.PFWInjRvrtTms") >= 4)
        assert count(inverter, "704.PFWInj.PF") == 1, "the timer alone is written again"
        made.lease.until_ms = 0
        await until(lambda: inverter.value("704.PFWInjEna") == 0, seconds=20)
        assert made.ear.of(ForeignHand) == []


async def test_a_gateway_that_may_not_write_tells_no_mode() -> None:
    async with roof(may_write=False) as (inverter, made):
        made.want(1, modes=(VOLT_VAR, VOLT_WATT))
        await made.ear.until(Observed)
        await made.polls(5)
        assert inverter.write_count == 0
        assert made.ear.of(Adopted) == []


async def test_the_reactive_power_of_a_fixed_power_factor_is_measured() -> None:
    async with roof() as (inverter, made):
        await in_force(made, 1, PF)
        await until(lambda: abs(inverter.var + 986) < 20)


async def test_without_a_mode_no_register_of_a_mode_is_read() -> None:
    bank = Bank("autonomous")
    async with serving(bank) as server, desk({"roof": at(server.port)}, clock_at(40)) as made:
        await made.ear.until(LinkUp)
        await in_force(made, 1)
        await made.polls(10)
        first, last = bank.address("705.ID"), bank.address("712.ID")
        assert not [read for read in bank.reads if first <= read[0] < last and read[1] > 2]


async def test_legacy_curves_are_carried_and_taken_back_over_a_socket() -> None:
    async with roof("legacy-curves") as (inverter, made):
        assert (await in_force(made, 1, VOLT_VAR, VOLT_WATT)).cannot == ()
        assert [inverter.value(f"{model}.ModEna") for model in (126, 132)] == [1, 1]
        assert [inverter.value(f"{model}.ActCrv") for model in (126, 132)] == [2, 2]
        await in_force(made, 2)
        assert [inverter.value(f"{model}.ModEna") for model in (126, 132)] == [0, 0]


@pytest.mark.usefixtures("_endless")
async def test_a_neighbour_on_the_line_is_told_its_limit_while_a_curve_is_being_adopted() -> None:
    clock = clock_at(RATE)
    specs = [InverterSpec(name="roof", kind="autonomous"), InverterSpec(name="shed", kind="2018", unit=2)]
    async with Street(Clock.parse(str(clock)), specs) as made:
        roof_inverter, shed = made.inverters["roof"], made.inverters["shed"]
        server = ModbusServer({1: roof_inverter.registers, 2: shed.registers})
        await server.start()
        tables = {"roof": at(server.port), "shed": at(server.port, unit=2)}
        try:
            async with desk(tables, clock) as linked:
                await linked.ear.until(LinkUp)
                await linked.ear.until(LinkUp, device="shed")
                roof_inverter.set_fault("slow_curves", on=True)
                linked.want(1, modes=(VOLT_VAR,))
                await until(lambda: roof_inverter._adopting is not None)
                linked.want(2, device="shed")
                await linked.ear.until(Adopted, device="shed")
                assert not linked.ear.of(Adopted), "the curve is still on its way"
                end_adoption(roof_inverter)
                await linked.ear.until(Adopted)
        finally:
            await server.stop()


@pytest.mark.parametrize(("slow", "first"), [(True, "read"), (False, "write")], ids=["a mode's", "a limit's"])
def test_a_write_of_a_mode_takes_its_turn_on_a_line_and_one_of_a_limit_goes_first(slow: bool, first: str) -> None:
    clock = clock_at(RATE)
    shared = Shared(clock, lambda _event: None, Lease(clock), may_write=True)
    line = Line(endpoint(at(1)), None, Pace())
    one, other = (Seat(line, unit, shared, lambda: None, lambda _why: None) for unit in (1, 2))
    one.taken = other.taken = True
    other.read(40_000, 2, lambda _answer: None)
    one.write(40_000, b"\0\0", lambda _answer: None, slow=slow)
    waiting = sorted(line._queue, key=lambda each: each[:2])
    _due_s, _number, request = waiting[0]
    assert ("read" if request.quantity else "write") == first
