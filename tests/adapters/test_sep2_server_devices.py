"""The 2030.5 server with simulated inverters below it: they obey, fall back when the lease ends, and come back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sep2_server_world import REVERT_MS, World, make_pki

from gateway.core.events import Adopted, LinkDown, LinkUp, NotAdopted, Observed
from gateway.core.functions import Function
from gateway.core.known import Known
from gateway.southbound.sep2_server import LimitMode
from hil.sep2.device import Device


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


@asynccontextmanager
async def inverter(world: World, name: str = "roof", **fields: Any) -> AsyncIterator[Device]:
    """Run one inverter and its physics."""
    device = world.device(name, **fields)
    moving = asyncio.create_task(world.stepping(device))
    try:
        async with device:
            yield device
    finally:
        moving.cancel()
        with suppress(asyncio.CancelledError):
            await moving


@pytest.mark.parametrize("mode", list(LimitMode))
async def test_an_inverter_obeys_answers_and_is_measured(pki: Path, mode: LimitMode) -> None:
    async with World(pki, limit_mode=mode) as world:
        world.want(limit_w=2_345)
        async with inverter(world, pin=111115) as device:
            await world.until(lambda: world.heard(Adopted))
            await world.until(lambda: device.w == pytest.approx(2_345, abs=1))
            await world.until(lambda: _last_w(world) == pytest.approx(2_345, abs=1), "the mean of a whole period")
            up = world.heard(LinkUp)[-1]
            assert isinstance(up.generation_max_w, Known)
            assert up.generation_max_w.value == 5_000
            last = world.heard(Observed)[-1]
            assert last.connected is True
            assert isinstance(last.voltage, Known)
            assert last.voltage.value == 240_000
    assert not any("Error" in line for line in world.lines)


def _last_w(world: World) -> int | None:
    power = world.heard(Observed)[-1].power
    return power.value if isinstance(power, Known) else None


async def test_a_set_point_and_being_off_reach_it(pki: Path) -> None:
    async with World(pki) as world, inverter(world) as device:
        world.want(target_w=1_000)
        await world.until(lambda: device.w == pytest.approx(1_000))
        world.want(connected=False)
        await world.until(lambda: device.w == 0)
        await world.until(lambda: world.heard(Observed)[-1].connected is False)
        world.want(connected=True)
        await world.until(lambda: device.w == pytest.approx(3_000))


async def test_what_tightens_is_published_at_once(pki: Path) -> None:
    async with World(pki, rate=20) as world, inverter(world, poll_s=2) as device:
        world.want(limit_w=4_000)
        await world.until(lambda: device.w == pytest.approx(4_000))
        told_ms = world.clock.now_ms()
        world.want(limit_w=500, revert_limit_w=0)
        await world.until(lambda: device.w == pytest.approx(500))
        assert world.clock.now_ms() - told_ms < 6_000, "the first poll after it, not the end of what held before"
        await world.until(lambda: Adopted("roof", 2) in world.events)


@pytest.mark.parametrize("mode", [LimitMode.EXPORT, LimitMode.GENERATION])
async def test_a_charger_draws_no_more_than_it_may_and_falls_back_to_its_default(pki: Path, mode: LimitMode) -> None:
    async with World(pki, limit_mode=mode) as world, inverter(world, load_w=4_000) as device:
        world.want()
        await world.until(lambda: device.w == pytest.approx(-4_000))
        world.want(floor_w=-2_500, revert_floor_w=-1_000)
        await world.until(lambda: device.w == pytest.approx(-2_500))
        await world.until(lambda: Adopted("roof", 2) in world.events)
        world.lease.until_ms = world.clock.now_ms()
        await world.until(lambda: device.w == pytest.approx(-1_000))
        world.lease.until_ms = 1 << 60
        world.want(revert_floor_w=-1_000)
        await world.until(lambda: device.w == pytest.approx(-4_000))


async def test_a_limit_on_what_is_drawn_is_told_where_no_mode_of_the_site_file_bears_it(pki: Path) -> None:
    async with World(pki, limit_mode=LimitMode.RATING) as world, inverter(world, load_w=4_000):
        world.want(floor_w=-2_500, revert_floor_w=-1_000)
        await world.until(lambda: world.heard(Adopted))
        assert [function for function, _why in world.heard(Adopted)[-1].cannot] == [Function.LOAD_LIMIT]


async def test_it_never_sees_an_end_while_the_deciding_loop_lives(pki: Path) -> None:
    async with World(pki) as world, inverter(world) as device:
        world.want(limit_w=3_000)
        await world.until(lambda: device.w == pytest.approx(3_000))
        seen: set[float] = set()
        until_ms = world.clock.now_ms() + 3 * REVERT_MS
        while world.clock.now_ms() < until_ms:
            seen.add(round(device.w))
            await asyncio.sleep(0.005)
        assert seen == {3_000}
        assert world.heard(Adopted) == [Adopted("roof", 1)]
        statuses = [status for _mrid, status in device.posted]
        assert statuses.count(3) >= 4, "stretches came and went"
        assert set(statuses) <= {1, 2, 3}


async def test_when_the_lease_ends_it_runs_out_to_its_default(pki: Path) -> None:
    async with World(pki) as world, inverter(world) as device:
        world.want(limit_w=3_000, revert_limit_w=1_500)
        await world.until(lambda: device.w == pytest.approx(3_000))
        ended_ms = world.lease.until_ms = world.clock.now_ms()
        await world.until(lambda: device.w == pytest.approx(1_500))
        lasted_ms = world.clock.now_ms() - ended_ms
        assert lasted_ms < REVERT_MS + 5_000
        await world.seconds(60)
        assert device.w == pytest.approx(1_500), "nothing is published anew"
        world.lease.until_ms = 1 << 60
        await world.until(lambda: device.w == pytest.approx(3_000))


async def test_nothing_outlasts_what_the_guard_has_cleared(pki: Path) -> None:
    async with World(pki) as world, inverter(world) as device:
        cleared = world.want(limit_w=3_000, revert_limit_w=1_500, valid_ms=70_000)
        await world.until(lambda: device.w == pytest.approx(3_000))
        await world.until(lambda: device.w == pytest.approx(1_500))
        assert world.clock.now_ms() >= cleared.valid_until_ms - 2_000
        assert world.clock.now_ms() < cleared.valid_until_ms + 5_000
        world.want(limit_w=2_000)
        await world.until(lambda: device.w == pytest.approx(2_000))


async def test_a_server_that_starts_again_is_found_again_and_holds_the_same(pki: Path) -> None:
    async with World(pki) as world, inverter(world) as device:
        world.want(limit_w=3_000)
        await world.until(lambda: world.heard(Adopted))
        await world.hang_up()
        assert world.heard(LinkDown) == [LinkDown("roof", "closed by the gateway")]
        port = world.links.link.port
        world.table = type(world.table)(
            port, world.table.certificate, world.table.key, world.table.trust, poll_s=10, post_s=10
        )
        world.links = world.build()
        await world.listen()
        world.want(limit_w=2_500)
        await world.until(lambda: Adopted("roof", 2) in world.events)
        await world.until(lambda: device.w == pytest.approx(2_500))
        assert len([one for one in world.heard(LinkUp) if not isinstance(one.generation_max_w, Known)]) == 2
        await world.until(lambda: _last_w(world) == pytest.approx(2_500, abs=1), "its usage point is made anew")


async def test_without_the_server_it_keeps_what_it_knows_and_then_its_default(pki: Path) -> None:
    async with World(pki) as world, inverter(world) as device:
        world.want(limit_w=3_000, revert_limit_w=1_500)
        await world.until(lambda: device.w == pytest.approx(3_000))
        await world.hang_up()
        gone_ms = world.clock.now_ms()
        await world.until(lambda: device.w == pytest.approx(1_500))
        assert REVERT_MS // 2 - 15_000 < world.clock.now_ms() - gone_ms < REVERT_MS + 5_000


async def test_one_that_refuses_or_says_nothing_is_told_of(pki: Path) -> None:
    async with World(pki) as world:
        world.want("roof")
        world.want("barn")
        async with inverter(world, "roof") as roof, inverter(world, "barn") as barn:
            roof.set_fault("refuses", on=True)
            barn.set_fault("mute", on=True)
            await world.until(lambda: len(world.heard(NotAdopted)) == 2)
            why = {one.device: one.why for one in world.heard(NotAdopted)}
            assert why == {
                "roof": "Response 252 (not applicable)",
                "barn": "it has not answered to its event for 30 s",
            }


async def test_a_silent_one_goes_down_and_comes_back_to_what_is_wanted_now(pki: Path) -> None:
    async with World(pki) as world, inverter(world) as device:
        world.want(limit_w=3_000)
        await world.until(lambda: world.heard(Adopted))
        device.set_fault("silent", on=True)
        await world.until(lambda: world.heard(LinkDown))
        assert world.heard(LinkDown)[0].why == "no request of its client for 30 s"
        world.want(limit_w=1_800)
        await world.seconds(REVERT_MS // 1000)
        device.set_fault("silent", on=False)
        await world.until(lambda: Adopted("roof", 2) in world.events)
        await world.until(lambda: device.w == pytest.approx(1_800))
        down = [line for line in world.lines if line.startswith("roof is down")]
        assert len(down) == 1, "one line down"


async def test_a_wrong_pin_or_another_server_is_not_obeyed(pki: Path) -> None:
    async with World(pki) as world:
        world.want(limit_w=500, revert_limit_w=0)
        async with inverter(world, pin=123455) as mistaken, inverter(world, server_lfdi="AB" * 20) as wary:
            await world.seconds(30)
            assert mistaken.w == wary.w == 5_000
            assert world.heard(Adopted) == []
