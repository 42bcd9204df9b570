"""Falling back (C14): refreshed while the deciding loop lives, left to fall back after it, on monotonic time."""

from itertools import pairwise
from statistics import median

import pytest
from sunspec_bench import FOR_EVER_MS, RATE, Bank, at, bench, clock_at, desk, serving, until

from gateway.core.events import Adopted, LinkDown, LinkUp, NotAdopted
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import link
from hil.clock import Clock
from hil.street import Street
from hil.sunspec.inverter import InverterSpec


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)


async def test_the_timer_is_refreshed_at_a_third_while_the_lease_lives_and_the_inverter_falls_back_after_it() -> None:
    clock = clock_at(20)
    async with (
        Street(Clock.parse(str(clock)), [InverterSpec(name="roof")]) as street,
        desk({"roof": at(street.ports["roof"])}, clock) as made,
    ):
        await made.ear.until(LinkUp)
        made.want(limit_w=3_000, revert_limit_w=1_500, revert_after_ms=9_000)
        await made.ear.until(Adopted)
        await until(lambda: street.write_count("roof") >= 5)
        stamps = [write.at_ns / 1e9 * 20 for write in street.writes("roof")]
        gaps = [after - before for before, after in pairwise(stamps)]
        assert min(gaps) > 2.5, gaps
        assert median(gaps) < 5.5, gaps
        assert street.inverters["roof"].value("704.WMaxLimPct") == 60
        made.lease.until_ms = 0
        before = street.write_count("roof")
        await until(lambda: abs(street.inverters["roof"].w - 1_500) < 5)
        await made.polls(8)
        assert street.write_count("roof") - before <= 1
        assert street.inverters["roof"].value("704.WMaxLimPct") == 30
        assert (await made.ear.until(NotAdopted)).why.startswith("it fell back")
        made.lease.until_ms = FOR_EVER_MS
        await made.ear.until(Adopted, 2)
        await until(lambda: abs(street.inverters["roof"].w - 3_000) < 5)


async def test_a_123_without_a_timer_keeps_its_last_word() -> None:
    clock = clock_at(20)
    async with (
        Street(Clock.parse(str(clock)), [InverterSpec(name="roof", kind="legacy")]) as street,
        desk({"roof": at(street.ports["roof"])}, clock) as made,
    ):
        await made.ear.until(LinkUp)
        made.want(limit_w=3_000, revert_limit_w=1_500, revert_after_ms=6_000)
        await made.ear.until(Adopted)
        made.lease.until_ms = 0
        before = street.write_count("roof")
        await made.polls(15)
        assert street.write_count("roof") == before
        assert abs(street.inverters["roof"].w - 3_000) < 5


async def test_a_device_that_reboots_while_the_lease_is_dead_is_told_once_and_then_falls_back() -> None:
    bank = Bank()
    async with bench(bank) as made:
        made.want()
        await made.ear.until(Adopted)
        made.lease.until_ms = 0
        bank.set(m704_WMaxLimPctEna=0, m704_WMaxLimPct=10_000)
        await made.ear.until(Adopted, 2)
        assert bank.limit_pct == 60
        bank.after_write = lambda: bank.set(m704_WMaxLimPctEna=0)
        bank.set(m704_WMaxLimPctEna=0)
        before = len(bank.writes)
        await made.polls(8)
        assert len(bank.writes) - before == 1, "a device that does not take it is not kept at the last word either"


async def test_a_reconnect_while_the_lease_is_dead_does_not_lift_a_fallback() -> None:
    clock = clock_at(20)
    async with (
        Street(Clock.parse(str(clock)), [InverterSpec(name="roof")]) as street,
        desk({"roof": at(street.ports["roof"])}, clock) as made,
    ):
        await made.ear.until(LinkUp)
        made.want(revert_after_ms=6_000)
        await made.ear.until(Adopted)
        made.lease.until_ms = 0
        await until(lambda: street.inverters["roof"].value("704.WMaxLimPct") == 30)
        before = street.write_count("roof")
        street.set_fault("roof", "reset", True)
        await made.ear.until(LinkDown)
        street.set_fault("roof", "reset", False)
        await made.ear.until(LinkUp, 2)
        await made.polls(6)
        assert street.write_count("roof") == before


async def test_setting_the_clock_moves_no_interval() -> None:
    bank = Bank()
    clock = clock_at(RATE)
    async with serving(bank) as server, desk({"roof": at(server.port)}, clock) as made:
        await made.ear.until(LinkUp)
        made.want(revert_after_ms=6_000, valid_ms=3_600_000)
        await made.ear.until(Adopted)
        object.__setattr__(clock, "origin_s", clock.origin_s - 1_800)
        before = len(bank.writes)
        await until(lambda: len(bank.writes) >= before + 3, 2)
        bank.set(m701_W=1_000)
        await until(lambda: made.ear.powers()[-1] == 1_000, 2)
