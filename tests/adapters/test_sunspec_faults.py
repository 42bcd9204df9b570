"""Every fault switch of a simulated inverter ends as the adapter's README says, and the neighbour feels nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sunspec_bench import RATE, RATED_W, Desk, at, clock_at, desk, until

from gateway.core.events import Adopted, Event, ForeignHand, LinkDown, LinkUp, NotAdopted
from gateway.runtime.clock import ScaledClock
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import connection, link
from hil.clock import Clock
from hil.street import Street
from hil.sunspec import faults
from hil.sunspec.inverter import Inverter, InverterSpec

LIMIT_W = 3_000
FALLBACK_W = 1_500
LATE_S = 0.3
REPLY_S = 0.15


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)
    monkeypatch.setattr(connection, "REPLY_S", REPLY_S)
    monkeypatch.setattr(link, "BACKOFF_S", (0.01, 0.05, 0.1, 0.2))
    monkeypatch.setattr(faults, "LATE_S", LATE_S)


@dataclass
class Pair:
    """The inverter whose faults are switched, its neighbour, and the links to both."""

    street: Street
    made: Desk

    @property
    def roof(self) -> Inverter:
        """The one with the faults."""
        return self.street.inverters["roof"]

    def switch(self, fault: str, *, on: bool) -> None:
        """Turn a fault of it on or off."""
        self.street.set_fault("roof", fault, on)

    def heard(self, kind: type[Event], since: int = 0, device: str = "roof") -> list[Any]:
        """Give what was heard of a kind from an event on."""
        return [e for e in self.made.ear.events[since:] if isinstance(e, kind) and getattr(e, "device", "") == device]

    def known_w(self) -> set[int]:
        """Give every power of it that was told as known."""
        return {w for w in self.made.ear.powers() if w is not None}

    async def neighbour_is_well(self) -> None:
        """Have the neighbour's light change, and hear of it as soon as of one that is alone."""
        given_w = 1_000
        self.street.set_irradiance("cellar", given_w / RATED_W)
        await until(lambda: self.made.ear.powers("cellar")[-1] == given_w, 2)
        assert len(self.heard(LinkUp, device="cellar")) == 1
        assert self.heard(LinkDown, device="cellar") == []
        assert self.heard(NotAdopted, device="cellar") == []


@asynccontextmanager
async def pair(*on: str, clock: ScaledClock | None = None) -> AsyncIterator[Pair]:
    """Run both links; these faults are on before the first connection."""
    clock = clock or clock_at(RATE)
    specs = [InverterSpec(name=name, time_constant_s=0.0) for name in ("roof", "cellar")]
    async with Street(Clock.parse(str(clock)), specs) as street:
        for fault in on:
            street.set_fault("roof", fault, True)
        async with desk({name: at(port) for name, port in street.ports.items()}, clock) as made:
            await made.ear.until(LinkUp, device="cellar")
            yield Pair(street, made)


@asynccontextmanager
async def told(clock: ScaledClock | None = None) -> AsyncIterator[Pair]:
    """Run both links; the inverter has adopted a limit and gives what it allows."""
    async with pair(clock=clock) as both:
        await both.made.ear.until(LinkUp)
        both.made.want()
        await both.made.ear.until(Adopted)
        await until(lambda: both.made.ear.powers()[-1] == LIMIT_W)
        yield both


def lines(caplog: pytest.LogCaptureFixture, said: str) -> int:
    return sum(said in record.getMessage() for record in caplog.records)


DOWN = {
    "silent": "no reply within",
    "late_reply": "no reply within",
    "duplicate_reply": "",
    "foreign_reply": "",
    "reset": "",
    "refuse_connections": "",
    "exception_4": "exception 4 (server device failure) to a read",
    "exception_6": "exception 6 (server device busy) to a read",
    "exception_0b": "exception 11 (gateway target device failed to respond) to a read",
    "reboot": "",
}


@pytest.mark.parametrize("fault", DOWN)
async def test_what_cannot_be_trusted_is_down_and_found_again(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with told() as both:
        both.switch(fault, on=True)
        assert DOWN[fault] in (await both.made.ear.until(LinkDown)).why
        await both.neighbour_is_well()
        since = len(both.made.ear.events)
        both.made.want(2, limit_w=2_000)
        await both.made.polls(8)
        assert both.heard(Adopted, since) == [], "what is not read back is not adopted"
        assert both.heard(LinkUp, since) == []
        assert len(both.heard(LinkDown)) == 1
        assert lines(caplog, "roof is down") == 1
        both.switch(fault, on=False)
        assert (await both.made.ear.until(LinkUp, 2)).generation_max_w.value == RATED_W
        await until(lambda: both.made.ear.of(Adopted)[-1].serial == 2)
        await until(lambda: both.made.ear.powers()[-1] == 2_000)
        assert both.roof.value("704.WMaxLimPct") == 40
        assert both.heard(ForeignHand) == []
        assert both.known_w() <= {RATED_W, LIMIT_W, 2_000}
        assert lines(caplog, "roof is up") == 2


@pytest.mark.parametrize("fault", ["asleep", "sentinels", "all_zero"])
async def test_what_gives_no_value_is_unknown_and_never_zero(fault: str) -> None:
    async with told() as both:
        both.switch(fault, on=True)
        await until(lambda: both.made.ear.powers()[-1] is None)
        await both.neighbour_is_well()
        await both.made.polls(5)
        assert both.made.ear.powers()[-1] is None
        both.switch(fault, on=False)
        await until(lambda: both.made.ear.powers()[-1] == LIMIT_W)
        assert both.known_w() == {RATED_W, LIMIT_W}
        assert both.heard(LinkDown) == both.heard(ForeignHand) == []
        await until(lambda: both.roof.value("704.WMaxLimPct") == 60)


async def test_a_moving_scale_factor_moves_neither_reading_nor_limit() -> None:
    async with told() as both:
        both.switch("moving_scale", on=True)
        since = len(both.made.ear.events)
        w_max = set()
        for _ in range(12):
            await both.made.polls(1)
            w_max.add(both.roof.value("704.WMaxLimPct"))
        await both.neighbour_is_well()
        assert both.known_w() == {RATED_W, LIMIT_W}
        assert w_max == {60}
        for kind in (LinkDown, NotAdopted, ForeignHand):
            assert both.heard(kind, since) == []
        both.street.set_irradiance("roof", 0.5)
        await until(lambda: both.made.ear.powers()[-1] == RATED_W // 2)


@pytest.mark.parametrize("swings", [False, True])
async def test_a_device_that_refuses_long_reads_gives_true_values_or_none(*, swings: bool) -> None:
    """A read that is cut in two may have another scale factor in each."""
    async with told() as both:
        both.switch("moving_scale", on=swings)
        both.switch("cap_60", on=True)
        both.street.set_irradiance("roof", 0.5)
        await until(lambda: both.made.ear.powers()[-1] == RATED_W // 2 or bool(both.heard(LinkDown)))
        await both.neighbour_is_well()
        await both.made.polls(30)
        assert all("exception 3 (illegal data value) to a read" in down.why for down in both.heard(LinkDown))
        both.switch("cap_60", on=False)
        await until(lambda: both.made.ear.powers()[-1] == RATED_W // 2)
        assert both.known_w() == {RATED_W, LIMIT_W, RATED_W // 2}
        assert both.heard(ForeignHand) == []


@pytest.mark.parametrize("fault", ["no_end_marker", "base_0", "base_50000"])
async def test_a_map_that_is_elsewhere_or_does_not_end_is_found_and_told(fault: str) -> None:
    async with pair(fault) as both:
        assert (await both.made.ear.until(LinkUp)).generation_max_w.value == RATED_W
        both.made.want()
        await both.made.ear.until(Adopted)
        await until(lambda: both.made.ear.powers()[-1] == LIMIT_W)
        assert both.roof.value("704.WMaxLimPct") == 60
        await both.neighbour_is_well()


@pytest.mark.parametrize("fault", ["base_0", "base_50000"])
async def test_a_map_that_moves_is_found_where_it_went(fault: str) -> None:
    async with told() as both:
        both.switch(fault, on=True)
        await both.made.ear.until(LinkDown)
        await both.made.ear.until(LinkUp, 2)
        await both.made.ear.until(Adopted, 2)
        assert both.known_w() == {RATED_W, LIMIT_W}
        await both.neighbour_is_well()


@pytest.mark.parametrize(
    ("fault", "why"), [("no_write_multiple", "exception 1 (illegal function) to a write"), ("failed_adoption", "reads")]
)
async def test_a_write_that_is_not_taken_is_heard_once_with_its_reason_and_tried_on(
    fault: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with pair(fault) as both:
        await both.made.ear.until(LinkUp)
        both.made.want()
        assert why in (await both.made.ear.until(NotAdopted)).why
        await both.made.polls(10)
        await both.neighbour_is_well()
        assert len(both.heard(NotAdopted)) == 1
        assert both.heard(Adopted) == both.heard(LinkDown) == []
        assert both.known_w() == {RATED_W}
        both.switch(fault, on=False)
        await both.made.ear.until(Adopted)
        await until(lambda: both.made.ear.powers()[-1] == LIMIT_W)
    assert lines(caplog, "roof did not adopt") == 1


async def test_a_slow_adoption_is_told_as_none_until_it_shows() -> None:
    async with pair("slow_adoption") as both:
        await both.made.ear.until(LinkUp)
        both.made.want()
        await both.made.ear.until(NotAdopted)
        assert both.heard(Adopted) == []
        await both.made.ear.until(Adopted)
        assert both.roof.value("704.WMaxLimPct") == 60
        await both.made.polls(10)
        assert (len(both.heard(NotAdopted)), len(both.heard(Adopted))) == (1, 1)
        assert both.heard(ForeignHand) == both.heard(LinkDown) == []
        await both.neighbour_is_well()


async def test_a_limit_that_reads_back_and_is_ignored_shows_in_the_power() -> None:
    async with pair("ignores_limit") as both:
        await both.made.ear.until(LinkUp)
        both.made.want()
        await both.made.ear.until(Adopted)
        assert both.roof.limit_w == LIMIT_W
        both.street.set_irradiance("roof", 0.9)
        await until(lambda: both.made.ear.powers()[-1] == 4_500)
        assert both.known_w() == {RATED_W, 4_500}
        await both.neighbour_is_well()


async def test_a_timer_that_runs_twice_as_fast_is_refreshed_in_time_and_falls_back_without_a_lease() -> None:
    async with told() as both:
        both.switch("drifting_timer", on=True)
        both.made.want(2, limit_w=2_500)
        await until(lambda: both.made.ear.powers()[-1] == 2_500)
        since = len(both.made.ear.events)
        await both.made.polls(50)
        assert both.heard(NotAdopted, since) == both.heard(ForeignHand, since) == []
        assert both.made.ear.powers()[-1] == 2_500
        both.made.lease.until_ms = 0
        await until(lambda: both.made.ear.powers()[-1] == FALLBACK_W)
        await both.made.polls(40)
        assert both.made.ear.powers()[-1] == FALLBACK_W, "without a deciding loop it stays there"
        assert [each.why[:11] for each in both.heard(NotAdopted, since)] == ["it fell bac"]
        assert both.known_w() == {RATED_W, LIMIT_W, 2_500, FALLBACK_W}


async def test_a_device_with_room_for_one_client_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    clock = clock_at(RATE)
    async with Street(Clock.parse(str(clock)), [InverterSpec(name="roof")]) as street:
        street.set_fault("roof", "one_client", True)
        _reader, another = await asyncio.open_connection("127.0.0.1", street.ports["roof"])
        await asyncio.sleep(0.02)
        async with desk({"roof": at(street.ports["roof"])}, clock) as made:
            await made.ear.until(LinkDown)
            await asyncio.sleep(0.5)
            assert len(made.ear.events) == 1
            another.close()
            await another.wait_closed()
            await made.ear.until(LinkUp)
            await made.polls(5)
            assert len(made.ear.of(LinkDown)) == 1, "of its own it needs no second connection"
    assert lines(caplog, "roof is down") == 1


def test_every_switch_has_a_row_in_the_adapters_readme() -> None:
    told_of = Path(sunspec_modbus.__file__).with_name("README.md").read_text(encoding="utf-8")
    assert [fault for fault in faults.FAULTS if f"| `{fault}` |" not in told_of] == []
