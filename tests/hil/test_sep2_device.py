"""The simulated 2030.5 inverter against hil's head-end: which event it carries out, and what it answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from head_end_bench import SCHEMA, make_pki

from hil.clock import Clock
from hil.head_end import Certificate, HeadEnd
from hil.sep2.device import Device, DeviceSpec
from hil.sep2.events import Status
from hil.sep2.obedience import Heard, Obedience
from hil.sep2.records import Program, Resource, mrid_of
from hil.sep2.tree import Rates

RATE = 100
LFDI = "AB" * 20
PIN = 111115


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    make_pki(folder, "server", "inverter")
    return folder


class Bench:
    """A head-end with two programs, one inverter, and the clock of both."""

    def __init__(self, pki: Path, **spec: Any) -> None:
        self.clock = Clock.starting(RATE, 1_800_000_000_000)
        own = Certificate.of(pki, "inverter")
        programs = [
            Program("site", mrid_of("site"), 1, ("roof",), {"opModMaxLimW": 50}),
            Program("system", mrid_of("system"), 5, ("roof",)),
        ]
        self.server = HeadEnd(
            "dso",
            self.clock,
            Certificate.of(pki, "server"),
            own.lfdi,
            resources=[Resource("roof", LFDI, PIN)],
            programs=programs,
            rates=Rates(page_limit=3, poll_rate_s=5, post_rate_s=10),
            schema=SCHEMA,
        )
        given: dict[str, Any] = {
            "pin": PIN,
            "post_s": 10,
            "time_constant_s": 0.0,
            "server_lfdi": Certificate.of(pki, "server").lfdi,
        }
        self.spec = DeviceSpec(name="roof", chain=own.chain, key=own.key, trust=own.trust, lfdi=LFDI, **(given | spec))

    async def until(self, true: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + 10
        while not true():
            assert time.monotonic() < deadline_s, self.server.tree.intake.answers
            await asyncio.sleep(0.005)

    def statuses(self, name: str) -> list[int]:
        return [one.status for one in self.server.tree.intake.answers if one.control == name]


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Device]:
    await bench.server.start()
    device = Device(bench.spec, bench.clock, bench.server.url)

    async def move() -> None:
        while True:
            device.step(bench.clock.now_ms())
            await asyncio.sleep(0.002)

    moving = asyncio.create_task(move())
    try:
        async with device:
            yield device
    finally:
        moving.cancel()
        with suppress(asyncio.CancelledError):
            await moving
        await bench.server.stop()


async def test_it_falls_back_to_the_default_after_its_event_and_answers_all_of_it(pki: Path) -> None:
    bench = Bench(pki)
    bench.server.issue("site", "noon", {"opModExpLimW": 1_000}, 0, 40)
    async with running(bench) as device:
        await bench.until(lambda: device.w == 1_000)
        await bench.until(lambda: device.w == 2_500)
        await bench.until(lambda: bench.statuses("noon") == [1, 2, 3])
        kinds = {type(one.document).__name__ for one in bench.server.tree.intake.documents.values()}
        assert kinds == {"DERCapability", "DERSettings", "DERStatus"}
        await bench.until(lambda: bench.server.tree.intake.readings)
        await bench.until(lambda: bench.server.tree.intake.readings[-3].value == 2_500)
        last = {one.uom: one for one in bench.server.tree.intake.readings[-3:]}
        assert (last[29].value, last[29].multiplier, last[38].flow_direction) == (2_400, -1, 19)


async def test_the_stronger_program_wins_then_the_newer_event_and_none_comes_back(pki: Path) -> None:
    bench = Bench(pki)
    bench.server.issue("system", "weak", {"opModMaxLimW": 80, "opModConnect": True}, 0, 3_000)
    bench.server.issue("site", "old", {"opModMaxLimW": 40}, 0, 3_000, creation_offset_s=-10)
    async with running(bench) as device:
        await bench.until(lambda: device.w == 2_000)
        bench.server.issue("site", "new", {"opModMaxLimW": 20}, 0, 60)
        await bench.until(lambda: device.w == 1_000)
        await bench.until(lambda: bench.statuses("old") == [1, 2, 7])
        await bench.until(lambda: bench.statuses("new") == [1, 2, 3])
        await bench.until(lambda: device.w == 4_000)
        bench.server.cancel("weak")
        await bench.until(lambda: device.w == 2_500)
        await bench.until(lambda: bench.statuses("weak") == [1, 2, 6])


async def test_it_keeps_what_it_knows_while_the_server_is_gone(pki: Path) -> None:
    bench = Bench(pki)
    bench.server.issue("site", "noon", {"opModMaxLimW": 10}, 0, 60)
    async with running(bench) as device:
        await bench.until(lambda: device.w == 500)
        await bench.server.set_outage("refuse")
        await bench.until(lambda: device.w == 2_500)
        bench.server.issue("site", "later", {"opModMaxLimW": 30}, 0, 600)
        await bench.server.set_outage("none")
        await bench.until(lambda: device.w == 1_500)
        await bench.until(lambda: bench.statuses("noon") == [1, 2, 3])


async def test_it_runs_on_the_clock_of_the_server(pki: Path) -> None:
    bench = Bench(pki)
    bench.server.set_time_offset(-90_000_000)
    bench.server.issue("site", "noon", {"opModMaxLimW": 10}, 0, 600)
    async with running(bench) as device:
        await bench.until(lambda: device.w == 500)


@pytest.mark.parametrize("spec", [{"pin": 123455}, {"server_lfdi": "CD" * 20}, {"lfdi": "CD" * 20}])
async def test_it_obeys_nobody_else(pki: Path, spec: dict[str, Any]) -> None:
    bench = Bench(pki)
    bench.spec = replace(bench.spec, **spec)
    bench.server.issue("site", "noon", {"opModMaxLimW": 10}, 0, 600)
    async with running(bench) as device:
        await asyncio.sleep(0.4)
        assert device.w == 5_000
        assert bench.statuses("noon") == []


async def test_its_faults(pki: Path) -> None:
    bench = Bench(pki)
    async with running(bench) as device:
        device.set_fault("ignores_limit", on=True)
        bench.server.issue("site", "one", {"opModMaxLimW": 10}, 0, 600)
        await bench.until(lambda: bench.statuses("one") == [1, 2])
        assert device.w == 5_000
        device.set_fault("ignores_limit", on=False)
        device.set_fault("refuses", on=True)
        bench.server.issue("site", "two", {"opModMaxLimW": 5}, 0, 600)
        await bench.until(lambda: bench.statuses("two") == [1, 252])
        await bench.until(lambda: device.w == 2_500)  # one was superseded by two, which is refused: the default
        device.set_fault("refuses", on=False)
        device.set_fault("mute", on=True)
        bench.server.issue("site", "three", {"opModMaxLimW": 6}, 0, 600)
        await bench.until(lambda: device.w == 300)
        assert bench.statuses("three") == []
        with pytest.raises(ValueError, match='fault "deaf" is not known'):
            device.set_fault("deaf", on=True)
        assert device.faults == {"mute"}


def heard(mrid: str, start_s: int, end_s: int, limit: int, **fields: Any) -> Heard:
    given: dict[str, Any] = {
        "status": Status.ACTIVE,
        "reply_to": "/rsp",
        "wanted": 3,
        "primacy": 1,
        "created_s": start_s,
    }
    return Heard(mrid=mrid, start_s=start_s, end_s=end_s, modes={"opModMaxLimW": limit}, **(given | fields))


def test_events_that_follow_each_other_leave_no_gap_and_supersede_nothing() -> None:
    knows = Obedience(defaults={1: {"opModMaxLimW": 5}})
    knows.hear([heard("0A", 0, 30, 10), heard("0B", 30, 60, 20)], 0)
    assert [knows.in_force(at_s)["opModMaxLimW"] for at_s in (0, 29, 30, 59, 60)] == [10, 10, 20, 20, 5]
    assert [(one.mrid, one.status) for one in knows.owed] == [
        ("0A", 1),
        ("0B", 1),
        ("0A", 2),
        ("0A", 3),
        ("0B", 2),
        ("0B", 3),
    ]


def test_one_that_vanishes_runs_to_its_end_and_one_received_late_never_runs() -> None:
    knows = Obedience()
    knows.hear([heard("0A", 0, 30, 10), heard("0B", -60, -30, 20)], 0)
    assert [(one.mrid, one.status) for one in knows.owed] == [("0A", 1), ("0B", 254)]
    knows.forget(5, [])
    assert knows.in_force(10) == {"opModMaxLimW": 10}
    assert knows.in_force(31) == {}
    knows.forget(31, [])
    assert knows.events == {}


def test_the_default_of_the_strongest_program_that_has_the_mode_holds() -> None:
    knows = Obedience(defaults={5: {"opModMaxLimW": 5, "opModConnect": True}, 1: {"opModMaxLimW": 1}})
    assert knows.in_force(0) == {"opModMaxLimW": 1, "opModConnect": True}
