"""Golden captures: every family of a profile is found, read and told as its capture says (issue 5)."""

import asyncio
import dataclasses

import pytest
from device_world import CAPTURES, RATE, linked, pauses, played, table

from gateway.core.events import Adopted, LinkUp, NotAdopted
from gateway.core.known import Known
from gateway.runtime import wiring
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import Catalogue, link
from gateway.southbound.sunspec_modbus.survey import Surveyed, survey

PROFILES = wiring.device_profiles()
PLAIN = Catalogue()
FAMILIES = sorted(CAPTURES)
READ_ONLY = [name for name in FAMILIES if not CAPTURES[name].expects["half"]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)


def test_every_profile_has_a_capture_and_every_capture_a_profile() -> None:
    assert sorted(PROFILES.names) == FAMILIES
    assert len(FAMILIES) >= 12


@pytest.mark.parametrize("name", FAMILIES)
async def test_a_family_is_found_and_named(name: str) -> None:
    capture = CAPTURES[name]
    expects = capture.expects
    async with played(name) as (server, registers):
        found = await survey("127.0.0.1", server.port, capture.unit, PROFILES)
        assert isinstance(found, Surveyed), found
        assert (found.profile.name, found.chain.base) == (expects["profile"], capture.base)
        assert list(found.identity[:4]) == expects["identity"]
        assert [block.id for block in found.chain.models] == expects["models"]
        assert found.chain.ended_by == expects["ended_by"]
        assert found.profile.end_marker is (expects["ended_by"] == "end marker")
        assert all(len(octets) == 2 * (block.length + 2) for block, octets in found.registers.items())
        assert set(registers.functions) == {3}
        assert found.block_max == capture.behaves.block_max
    assert found.profile.bases[0] == capture.base
    assert found.profile.unit == capture.unit


@pytest.mark.parametrize("name", FAMILIES)
async def test_a_family_is_read_and_told(name: str) -> None:
    capture, expects = CAPTURES[name], CAPTURES[name].expects
    async with played(name) as (server, registers):
        if not pauses():
            server.deaf_ms = 0
        rated_w = expects["w_max"]
        async with linked(table(name, server.port, poll_s=1, profile=name), rated_w) as told:
            await told.until(lambda: told.of(LinkUp))
            most = told.of(LinkUp)[0].generation_max_w
            assert isinstance(most, Known)
            assert most.value == rated_w
            told.want(rated_w // 2, rated_w)
            await told.until(lambda: told.of(Adopted) or told.of(NotAdopted))
            await told.until(lambda: expects["power_w"] in told.powers)
        for address, raw in expects["half"].items():
            assert int.from_bytes(registers.words[int(address)]) == raw
        assert set(told.powers) == {expects["power_w"]}
        assert bool(told.of(Adopted)) is bool(expects["half"])
        assert {function for function, _, _ in registers.told}.isdisjoint(capture.behaves.refuses)


@pytest.mark.parametrize("name", READ_ONLY)
async def test_a_family_without_controls_is_never_written_to(name: str) -> None:
    async with played(name) as (server, registers), linked(table(name, server.port), 1_500) as told:
        await told.until(lambda: told.of(LinkUp))
        told.want(700, 1_500)
        await told.until(lambda: told.of(NotAdopted))
        assert set(registers.functions) == {3}


async def test_without_its_profile_kostal_refuses_every_limit() -> None:
    async with played("kostal_plenticore") as (server, registers):
        async with linked(table("kostal_plenticore", server.port, poll_s=1), 10_000, PLAIN) as told:
            await told.until(lambda: told.of(LinkUp))
            told.want(5_000, 10_000)
            await told.until(lambda: told.of(NotAdopted))
        assert "exception 2" in told.of(NotAdopted)[0].why
        assert registers.told == []


async def test_kostal_is_told_register_by_register_and_given_no_timer() -> None:
    async with played("kostal_plenticore") as (server, registers):
        async with linked(table("kostal_plenticore", server.port, poll_s=1), 10_000) as told:
            await told.until(lambda: told.of(LinkUp))
            told.want(5_000, 10_000)
            await told.until(lambda: told.of(Adopted))
        assert {(function, len(payload)) for function, _, payload in registers.told} == {(6, 2)}
        assert [payload for _, _, payload in registers.told] == [(50).to_bytes(2)]


@pytest.mark.parametrize(("name", "timer"), [("growatt", False), ("solaredge", True)])
async def test_a_memory_that_wears_gets_no_timer_to_be_written_again(name: str, timer: bool) -> None:
    rated_w = CAPTURES[name].expects["w_max"]
    async with played(name) as (server, registers):
        async with linked(table(name, server.port, poll_s=1), rated_w) as told:
            await told.until(lambda: told.of(LinkUp))
            told.want(rated_w, rated_w)
            await told.until(lambda: told.of(Adopted))
            before = len(registers.told)
            await asyncio.sleep(32 / RATE)
        assert ((60).to_bytes(2) in b"".join(payload for _, _, payload in registers.told)) is timer
        assert (len(registers.told) > before) is timer


@pytest.mark.parametrize("name", ["fronius_gen24", "fronius_datamanager"])
async def test_scales_that_move_and_zeros_never_give_a_wrong_power(name: str) -> None:
    expects = CAPTURES[name].expects
    async with played(name) as (server, registers), linked(table(name, server.port, poll_s=1), 8_000, PLAIN) as told:
        await told.until(lambda: len(registers.functions) > 80)
        assert set(told.powers) == {expects["power_w"]}
        assert registers.behaves.turns


@pytest.mark.parametrize(("profiles", "gentle"), [(None, True), (PLAIN, False)])
async def test_a_family_is_read_no_more_often_than_it_bears(profiles: Catalogue | None, gentle: bool) -> None:
    at = table("fronius_gen24", 0, poll_s=1)
    async with played("fronius_gen24") as (server, registers):
        async with linked(dataclasses.replace(at, port=server.port), 8_000, profiles) as told:
            await told.until(lambda: told.of(LinkUp))
            before = len(registers.functions)
            await asyncio.sleep(20 / RATE)
        assert (len(registers.functions) - before <= 12) is gentle
