"""The deciding loop and the lease by which the links know that it lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from gateway.core.alarms import Alarm
from gateway.core.answers import Answer
from gateway.core.decide import AT_ONCE
from gateway.core.events import Alarmed, Contact, Delivered, OrderHeard, Reported, Started, Tell
from gateway.core.functions import LIMITS, Function
from gateway.core.machine import Machine
from gateway.core.orders import Ceiling, Each, Order, Rank, Reply
from gateway.core.parties import Grant, Level, Party, Tier
from gateway.core.topology import Device, Group, Resource, Site
from gateway.core.units import Watts
from gateway.ports.north import Notice
from gateway.ports.south import Cleared, Lease, SouthLinks
from gateway.runtime import decider as decider_module
from gateway.runtime.clock import RealClock
from gateway.runtime.daemon import recover
from gateway.runtime.decider import Decider
from gateway.store import Journal, pack


async def test_lease_lives_from_the_first_moment_of_the_loop_on(tmp_path: Path) -> None:
    clock = RealClock()
    lease = Lease(clock)
    journal = Journal.open(tmp_path / "state", reserve_bytes=4096)
    try:
        decider = Decider(Machine(), journal, clock, lease)
        assert not lease.lives()
        deciding = asyncio.create_task(decider.run())
        await asyncio.sleep(0)
        assert lease.lives(), "a link that connects at once would find a deciding loop that seems dead"
        decider.stop()
        await deciding
    finally:
        journal.close()


def fleet_started(count: int) -> Started:
    """Give the start of a site of so many DER, whose DSO may limit each of them."""
    names = [f"home-{number}" for number in range(count)]
    return Started(
        Site(
            "street",
            (Party("dso", Tier.DISTRIBUTION, limit_parent=True, rank=0),),
            (Grant("dso", "envelope", Level.CONNECTION, LIMITS, "all"),),
            (Group("all", tuple(names)),),
            tuple(Resource(name, (f"{name}-roof",), 5_000, 1_000) for name in names),
            tuple(Device(f"{name}-roof", name, 5_000, 10_000, 60_000) for name in names),
        )
    )


def limit(number: int, limit_w: int, now_ms: int) -> OrderHeard:
    """Give the DSO's next limit of all, in force at once."""
    effect = Ceiling(Function.EXPORT_LIMIT, Watts(limit_w))
    rank, reply = Rank(1, now_ms + number), Reply("/rsp", receipt=True, progress=True)
    end_ms = now_ms + 3_600_000
    return OrderHeard(
        Order("dso", f"o{number}", 0, Each("all"), (effect,), now_ms, end_ms, rank, now_ms, number, reply=reply)
    )


class Ear:
    """Takes what devices are told, and counts how often the loop turned before."""

    def __init__(self) -> None:
        self.turns = 0
        self.told_at: list[int] = []

    def want(self, _cleared: Cleared) -> None:
        """Take what a device is told."""
        self.told_at.append(self.turns)

    async def count(self) -> None:
        """Count turns of the loop until cancelled."""
        while True:
            self.turns += 1
            await asyncio.sleep(0)


@asynccontextmanager
async def deciding(folder: Path, count: int) -> AsyncIterator[tuple[Decider, Ear]]:
    """Decide for so many DER, none of which does more than listen."""
    journal, clock, ear = Journal.open(folder, reserve_bytes=4096), RealClock(), Ear()
    counting = asyncio.create_task(ear.count())
    try:
        decider = Decider(Machine(), journal, clock, Lease(clock))
        decider.south = {f"home-{number}-roof": cast("SouthLinks", ear) for number in range(count)}
        await decider.settle(fleet_started(count), Contact("dso", 3_600_000))
        yield decider, ear
    finally:
        counting.cancel()
        journal.close()


async def test_the_loop_turns_while_events_come_that_bring_about_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decider_module, "SLICE_S", 0.0)
    async with deciding(tmp_path / "state", 1) as (decider, ear):
        before = ear.turns
        await decider.settle(*[Delivered(serial) for serial in range(1_000_000, 1_000_300)])
        assert ear.turns - before >= 300


async def test_the_loop_turns_while_many_are_settled_and_while_many_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decider_module, "SLICE_S", 0.0)
    monkeypatch.setattr(decider_module, "WRITES_AT_ONCE", 20)
    async with deciding(tmp_path / "state", 200) as (decider, ear):
        now_ms = RealClock().now_ms()
        await decider.settle(limit(1, 2_000, now_ms))
        ear.told_at.clear()
        before = ear.turns
        await decider.settle(limit(2, 3_000, now_ms))
        assert len(ear.told_at) == 200
        assert ear.told_at[0] - before >= 200 // AT_ONCE, "nothing may be told before all of it is settled"
        assert len(set(ear.told_at)) == 10


async def test_what_is_told_of_one_event_in_parts_reads_as_one_and_is_decided_again_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decider_module, "TELLS_AN_ENTRY", 2)
    told: list[Tell] = []
    async with deciding(tmp_path / "state", 3) as (decider, _ear):
        decider.witnesses = [told.append]
        heard = limit(1, 2_000, RealClock().now_ms())
        await decider.settle(heard)
        state = decider.machine.state
    journal = Journal.open(tmp_path / "state", reserve_bytes=4096)
    try:
        entries = [entry for _number, entry in journal.entries()]
        assert max(len(entry.tells) for entry in entries) == 2
        assert len(told) > 2
        *_, last = journal.recover().tail
        assert last.event == heard
        assert last.tells == tuple(told)
        assert pack(recover(journal).state) == pack(state)
    finally:
        journal.close()


class Post:
    """A link that takes notices, and says of none that it was taken in."""

    party = "dso"

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    async def run(self) -> None:
        """Do nothing."""

    def owe(self, answer: Answer) -> None:
        """Take no answer."""
        raise AssertionError(answer)

    def report(self, notice: Notice) -> None:
        """Take a notice."""
        self.notices.append(notice)


async def test_a_notice_goes_to_a_link_that_takes_alarms_and_again_after_a_restart(tmp_path: Path) -> None:
    post, again = Post(), Post()
    async with deciding(tmp_path / "state", 1) as (decider, _ear):
        decider.north = {"dso": post}
        await decider.settle(Alarmed("home-0-roof", (Alarm.OVER_VOLTAGE,)))
    assert [(notice.resource, notice.alarm, notice.raised) for notice in post.notices] == [
        ("home-0", Alarm.OVER_VOLTAGE, True)
    ]
    journal, clock = Journal.open(tmp_path / "state", reserve_bytes=4096), RealClock()
    try:
        decider = Decider(recover(journal), journal, clock, Lease(clock))
        decider.north, decider.south = {"dso": again}, {"home-0-roof": cast("SouthLinks", Ear())}
        await decider.settle(fleet_started(1))
        decider.resume()
        assert again.notices == post.notices, "it was not taken in before the process ended"
        await decider.settle(Reported(again.notices[0].serial))
        assert not decider.machine.state.alarms.owed
    finally:
        journal.close()


async def test_a_notice_that_no_link_has_a_place_for_is_done_with(tmp_path: Path) -> None:
    async with deciding(tmp_path / "state", 1) as (decider, _ear):
        await decider.settle(Alarmed("home-0-roof", (Alarm.OVER_VOLTAGE,)))
        assert decider.machine.state.alarms.owed
        await decider.settle()
        assert not decider.machine.state.alarms.owed
