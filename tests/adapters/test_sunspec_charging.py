"""The most that a device draws over SunSpec: model 124 beside the other controls, and devices that have none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sunspec_bench import Bank, at, chain_of, clock_at, command, desk, until

from gateway.core.events import Adopted, ForeignHand, LinkUp, NotAdopted
from gateway.core.functions import Function
from gateway.core.plan import Command
from gateway.southbound.sunspec_modbus.charging import Charging, controls
from gateway.southbound.sunspec_modbus.points import Values
from gateway.wire.sunspec import Unwritable
from hil.clock import Clock
from hil.street import Street
from hil.sunspec.inverter import InverterSpec


def control_of(bank: Bank) -> Charging:
    control = controls(chain_of(bank), 5_000)
    assert isinstance(control, Charging)
    return control


def read(bank: Bank, control: Charging) -> Values:
    return control.decode([bank.octets(*ask) or b"" for ask in control.reads])


def wrote(bank: Bank, told: Command, *, ours: bool = False) -> Values:
    """Have a bank told so, and give what it reads back."""
    control = control_of(bank)
    steps = control.steps(told, read(bank, control), ours=ours)
    assert not isinstance(steps, Unwritable)
    for address, octets in steps:
        assert bank.write(16, address, octets) == 0
    values = read(bank, control)
    assert control.differs(told, values, ours=ours) == ""
    assert control.steps(told, values, ours=ours) is not None
    return values


@given(st.integers(0, 5_000))
def test_a_floor_is_a_rate_that_is_never_rounded_up(draw_w: int) -> None:
    values = wrote(Bank("charger"), command(floor_w=-draw_w, revert_floor_w=-draw_w))
    rate = values["InWRte"]
    assert isinstance(rate, int)
    assert rate * 5_000 <= draw_w * 10_000 < (rate + 1) * 5_000
    assert values["StorCtl_Mod"] == 1


def test_the_limit_on_discharging_beside_it_and_a_timer_that_would_lift_it_are_seen_to() -> None:
    bank = Bank("charger")
    bank.set(m124_StorCtl_Mod=2, m124_InOutWRte_RvrtTms=60)
    values = wrote(bank, command(floor_w=-1_000, revert_floor_w=-1_000))
    assert (values["StorCtl_Mod"], values["InOutWRte_RvrtTms"]) == (3, 0)
    assert wrote(bank, command(), ours=True)["StorCtl_Mod"] == 2


def test_a_limit_that_another_set_is_left_alone() -> None:
    bank = Bank("charger")
    bank.set(m124_StorCtl_Mod=1, m124_InWRte=4_000)
    values = wrote(bank, command())
    assert (values["StorCtl_Mod"], values["InWRte"]) == (1, 4_000)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"m124_StorCtl_Mod": 0}, "charge control reads 0"),
        ({"m124_InWRte": 2_001}, "InWRte reads 2001, not 2000 hundredths of a percent"),
        ({"m124_InWRte": 1_999}, "InWRte reads 1999, not 2000 hundredths of a percent"),
    ],
)
def test_what_reads_back_otherwise_is_noticed(change: dict[str, int], why: str) -> None:
    bank, told = Bank("charger"), command(floor_w=-1_000, revert_floor_w=-1_000)
    wrote(bank, told)
    bank.set(**change)
    control = control_of(bank)
    assert control.differs(told, read(bank, control), ours=True) == why


async def test_a_battery_that_charges_by_itself_is_held_and_let_go() -> None:
    clock = clock_at(40)
    spec = InverterSpec(name="roof", kind="charger", energy_wh=100_000, charge_pct=10, time_constant_s=0.1)
    async with (
        Street(Clock.parse(str(clock)), [spec]) as street,
        desk({"roof": at(street.ports["roof"])}, clock) as made,
    ):
        roof = street.inverters["roof"]
        await until(lambda: roof.w == pytest.approx(-5_000, abs=5))
        await made.ear.until(LinkUp)
        made.want(floor_w=-2_000, revert_floor_w=-1_000)
        assert (await made.ear.until(Adopted)).cannot == ()
        await until(lambda: roof.w == pytest.approx(-2_000, abs=5))
        made.want(2)
        await until(lambda: roof.w == pytest.approx(-5_000, abs=5))
        await made.ear.until(Adopted, 2)
        assert made.ear.of(NotAdopted) + made.ear.of(ForeignHand) == []


@pytest.mark.parametrize(("target_w", "lacks"), [(None, [Function.LOAD_LIMIT]), (-1_000, [])])
async def test_one_without_such_a_limit_is_told_of_unless_a_set_point_holds_it(
    target_w: int | None, lacks: list[Function]
) -> None:
    clock = clock_at(40)
    spec = InverterSpec(name="roof", kind="battery", energy_wh=100_000, charge_pct=10, time_constant_s=0.1)
    async with (
        Street(Clock.parse(str(clock)), [spec]) as street,
        desk({"roof": at(street.ports["roof"])}, clock) as made,
    ):
        await made.ear.until(LinkUp)
        made.want(floor_w=-2_000, revert_floor_w=-1_000, target_w=target_w)
        assert [function for function, _why in (await made.ear.until(Adopted)).cannot] == lacks
