"""What is stored, and ramps: SunSpec models 713, 124 with 120, and the ramp time of 123 (C16)."""

from typing import Final

import pytest
from sunspec_bench import Bank, at, chain_of, clock_at, command, desk, until

from gateway.core.events import NOT_STORED, Adopted, LinkUp, NotAdopted, Observed
from gateway.core.known import Known, Reading, Unknown
from gateway.southbound.sunspec_modbus.points import Ask
from gateway.southbound.sunspec_modbus.readings import measurement
from gateway.southbound.sunspec_modbus.stored import store
from gateway.southbound.sunspec_modbus.translate import controls
from gateway.wire.sunspec import Chain, Unwritable, compile_model
from gateway.wire.sunspec.discovery import Block, EndedBy
from hil.clock import Clock
from hil.street import Street
from hil.sunspec.inverter import InverterSpec

NOW_MS: Final = 1_000


def stored(bank: Bank) -> Reading:
    made = measurement(chain_of(bank))
    assert made is not None
    return made.observe([bank.octets(*ask) or b"" for ask in made.reads], NOW_MS).stored


def test_713_gives_its_energy_else_its_charge_of_its_rating() -> None:
    bank = Bank("battery")
    assert stored(bank) == Known(5_000, NOW_MS)
    bank.set(m713_WHAvail=610, m713_WH_SF=1)
    assert stored(bank) == Known(6_100, NOW_MS)
    bank.lacks("713.WHAvail")
    bank.set(m713_WHRtg=800, m713_SoC=255)
    assert stored(bank) == Known(2_040, NOW_MS)
    bank.set(m713_SoC=1_001)
    assert stored(bank) == Unknown("a charge of 100.1 % cannot be", NOW_MS)
    bank.lacks("713.SoC")
    assert isinstance(stored(bank), Unknown)


def test_a_device_without_a_store_says_nothing_and_one_asleep_is_unknown() -> None:
    assert stored(Bank()) == NOT_STORED
    bank = Bank("battery")
    bank.fill(701, 0)
    assert stored(bank) == Unknown("it gives neither voltage nor frequency: asleep, or not to be believed", NOW_MS)


def test_124_gives_a_share_of_the_energy_that_120_rates() -> None:
    chain = Chain(0, (Block(120, 100, 26), Block(124, 200, 24)), EndedBy.MARKER)
    made = store(chain)
    assert made is not None
    registers = {
        124: {"ChaState": (455).to_bytes(2), "ChaState_SF": (0xFFFF).to_bytes(2)},
        120: {"WHRtg": (1_200).to_bytes(2), "WHRtg_SF": (1).to_bytes(2)},
    }
    answers = [answer(ask, 200 if ask.address >= 200 else 100, registers) for ask in made.reads]
    assert made.stored(answers, NOW_MS) == Known(5_460, NOW_MS)
    alone = store(Chain(0, (Block(124, 200, 24),), EndedBy.MARKER))
    assert alone is not None
    assert isinstance(alone.stored(answers[:1], NOW_MS), Unknown), "a share of nobody knows what"


def answer(ask: Ask, at_address: int, registers: dict[int, dict[str, bytes]]) -> bytes:
    model_id = 124 if at_address == 200 else 120
    words = bytearray(200)
    for name, octets in registers[model_id].items():
        offset = 2 * compile_model(model_id).points[name].offset
        words[offset : offset + 2] = octets
    start = 2 * (ask.address - at_address)
    return bytes(words[start : start + 2 * ask.quantity])


async def test_a_battery_charges_by_a_negative_set_point_and_tells_what_it_has() -> None:
    clock = clock_at(40)
    spec = InverterSpec(name="roof", kind="battery", energy_wh=500, charge_pct=10, time_constant_s=0.1)
    async with (
        Street(Clock.parse(str(clock)), [spec]) as street,
        desk({"roof": at(street.ports["roof"])}, clock) as made,
    ):
        assert (await made.ear.until(LinkUp)).charge_max_w.value == 5_000
        made.want(limit_w=0, revert_limit_w=0, target_w=-4_000)
        await made.ear.until(Adopted)
        await until(lambda: abs(street.inverters["roof"].w + 4_000) < 5)
        heard: list[Observed] = made.ear.of(Observed)
        assert heard[0].stored == Known(50, heard[0].power.at_ms if isinstance(heard[0].power, Known) else 0)
        await until(lambda: made.ear.of(Observed)[-1].stored.value > 100)
        assert made.ear.of(NotAdopted) == []


# -- ramps


def wrote(bank: Bank, ramp_ms: int | None, *, ours: bool) -> list[dict[str, int]]:
    control = controls(chain_of(bank), 5_000)
    assert control is not None
    values = control.decode([bank.octets(*ask) or b"" for ask in control.reads])
    told = command(ramp_ms=ramp_ms)
    steps = control.steps(told, values, ours=ours)
    assert not isinstance(steps, Unwritable)
    bank.writes.clear()
    for address, octets in steps:
        assert bank.write(16, address, octets) == 0
    values = control.decode([bank.octets(*ask) or b"" for ask in control.reads])
    assert control.differs(told, values, ours=ours) == ""
    assert control.lends(told) is (ramp_ms is not None and bank.spec.kind == "legacy")
    return bank.writes


@pytest.mark.parametrize(("ramp_ms", "seconds"), [(20_000, 20), (19_001, 20), (70_000_000, 65_534)])
def test_123_is_told_its_ramp_before_its_limit(ramp_ms: int, seconds: int) -> None:
    bank = Bank("legacy")
    written = wrote(bank, ramp_ms, ours=False)
    assert written[0] == {"WMaxLimPct_RmpTms": seconds}
    assert written[1]["WMaxLimPct"] == 60


def test_a_ramp_of_ours_is_taken_back_and_the_devices_own_is_left() -> None:
    bank = Bank("legacy")
    bank.set(m123_WMaxLimPct_RmpTms=7)
    wrote(bank, None, ours=False)
    assert bank.raw("123.WMaxLimPct_RmpTms") == 7
    wrote(bank, 0, ours=False)
    assert bank.raw("123.WMaxLimPct_RmpTms") == 0
    wrote(bank, 30_000, ours=True)
    wrote(bank, None, ours=True)
    assert bank.raw("123.WMaxLimPct_RmpTms") == 0


def test_a_123_without_a_ramp_and_a_704_are_told_the_limit_alone() -> None:
    bank = Bank("legacy")
    bank.lacks("123.WMaxLimPct_RmpTms")
    assert wrote(bank, 20_000, ours=False) == wrote(Bank("legacy"), None, ours=False)
    assert wrote(Bank(), 20_000, ours=False) == wrote(Bank(), None, ours=False)


async def test_an_inverter_ramps_as_it_is_told() -> None:
    clock = clock_at(20)
    spec = InverterSpec(name="roof", kind="legacy", time_constant_s=0.1)
    async with (
        Street(Clock.parse(str(clock)), [spec]) as street,
        desk({"roof": at(street.ports["roof"])}, clock) as made,
    ):
        await made.ear.until(LinkUp)
        roof = street.inverters["roof"]
        made.want(limit_w=1_000, revert_limit_w=0, ramp_ms=20_000)
        await made.ear.until(Adopted)
        await until(lambda: roof.w < 4_500)
        assert roof.w > 2_500, "not at once"
        await until(lambda: abs(roof.w - 1_000) < 5)
        made.want(2, limit_w=0, revert_limit_w=0, ramp_ms=0)
        await until(lambda: roof.w < 5)
        assert roof.value("123.WMaxLimPct_RmpTms") == 0
