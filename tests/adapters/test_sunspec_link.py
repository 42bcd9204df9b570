"""Links over real sockets: discovery, writing, read-back, and what a device may do to a command."""

import asyncio
import logging
from typing import Any, Literal

import pytest
from sunspec_bench import (
    RATE,
    RATED_W,
    Bank,
    Desk,
    at,
    bench,
    cleared,
    clock_at,
    command,
    desk,
    serving,
    until,
)

from gateway.core.events import Adopted, LinkDown, LinkUp, NotAdopted, Observed
from gateway.core.known import Unknown
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import link
from hil.clock import Clock
from hil.street import Street
from hil.sunspec.inverter import Inverter, InverterSpec

LIMIT = ["WMaxLimPctEna", "WMaxLimPct", "WMaxLimPctRvrt", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)


# -- found


@pytest.mark.parametrize("base", [40000, 0, 50000])
@pytest.mark.parametrize("unit", [1, 126])
async def test_a_device_is_found_at_each_base_and_unit(base: int, unit: int) -> None:
    spec = InverterSpec(name="roof", base=base, unit=unit, end_marker=unit == 1)
    async with (
        Street(Clock.parse("real"), [spec], stepping=False) as street,
        desk({"roof": at(street.ports["roof"], unit=unit)}) as made,
    ):
        up = await made.ear.until(LinkUp)
        assert up.generation_max_w.value == RATED_W
        assert (await made.ear.until(Observed)).power.value == RATED_W


async def test_a_wrong_unit_is_told_with_what_to_check(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        Street(Clock.parse("real"), [InverterSpec(name="roof")], stepping=False) as street,
        desk({"roof": at(street.ports["roof"], unit=2)}) as made,
    ):
        down = await made.ear.until(LinkDown)
        assert down.why.endswith("check unit id and base address")
        await made.polls(5)
    assert len(warnings(caplog)) == 1


async def test_a_device_without_controls_is_monitored_and_says_so() -> None:
    bank = Bank()
    bank.set(m704_ID=64_704)
    async with bench(bank) as made:
        made.want()
        assert (await made.ear.until(NotAdopted)).why.startswith("it can only be monitored")
        await made.polls(4)
        assert len(made.ear.of(NotAdopted)) == 1
        assert made.ear.powers() == [RATED_W]
    assert bank.writes == []


async def test_a_device_that_gives_no_wmax_at_first_is_told_once_it_does() -> None:
    bank = Bank()
    bank.set(m702_WMax=0, m702_WMaxRtg=0)
    async with bench(bank) as made:
        assert isinstance(made.ear.of(LinkUp)[0].generation_max_w, Unknown)
        made.want()
        await made.ear.until(NotAdopted)
        bank.set(m702_WMax=4_000)
        assert (await made.ear.until(LinkUp, 2)).generation_max_w.value == 4_000
        await made.ear.until(Adopted)
        assert bank.limit_pct == 75


async def test_a_percentage_follows_wmax_when_that_is_set_anew() -> None:
    bank = Bank()
    async with bench(bank, 100) as made:
        made.want()
        await made.ear.until(Adopted)
        assert bank.limit_pct == 60
        bank.set(m702_WMax=4_000)
        assert (await made.ear.until(LinkUp, 2)).generation_max_w.value == 4_000
        await until(lambda: bank.limit_pct == 75)


# -- told


@pytest.mark.parametrize("kind", ["2018", "legacy"])
async def test_a_limit_is_written_at_once_read_back_and_heard(kind: str) -> None:
    bank = Bank(kind)
    async with bench(bank) as made:
        made.want(limit_w=3_333)
        assert (await made.ear.until(Adopted)).serial == 1
        if kind == "2018":
            assert [list(write) for write in bank.writes] == [LIMIT]
            assert bank.limit_pct == 66.66
        else:
            assert bank.writes == [{"WMaxLimPct": 66}, {"WMaxLim_Ena": 1}]
        assert made.links.shared.writes == len(bank.writes)
        await made.polls(5)
        made.links.want(cleared(command(limit_w=3_333), made.clock.now_ms(), 1))
        await made.polls(2)
        assert len(bank.writes) == made.links.shared.writes <= 2, "an unchanged wish is not written again"
        assert len(made.ear.of(Adopted)) == 1


async def test_an_idle_link_writes_within_the_call() -> None:
    bank = Bank()
    async with bench(bank) as made:
        await at_rest(made)
        made.want()
        assert made.links.shared.writes == 1, "no task and no sweep in between"


@pytest.mark.parametrize("kind", ["2018", "legacy"])
async def test_set_point_cease_and_connect_reach_the_plant(kind: Literal["2018", "legacy"]) -> None:
    clock = clock_at(RATE)
    spec = InverterSpec(name="roof", kind=kind, time_constant_s=0.1)
    wishes: list[tuple[dict[str, Any], int]] = [
        ({"target_w": 1_500}, 1_500),
        ({}, 4_000),
        ({"energized": False}, 0),
        ({"energized": True}, 4_000),
        ({"connected": False}, 0),
        ({"connected": True}, 4_000),
    ]
    async with (
        Street(Clock.parse(str(clock)), [spec]) as street,
        desk({"roof": at(street.ports["roof"])}, clock) as made,
    ):
        for serial, (fields, expected_w) in enumerate(wishes, 1):
            made.want(serial, limit_w=4_000, **fields)
            await settles(street.inverters["roof"], expected_w)
            await made.ear.until(Adopted, serial)
        assert made.ear.of(NotAdopted) == []


async def settles(inverter: Inverter, expected_w: int) -> None:
    await until(lambda: abs(inverter.w - expected_w) < 5)


async def test_wishes_that_overtake_each_other_end_at_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "READ_BACK_S", 0.1)
    bank = Bank()
    async with bench(bank, 0.5) as made:
        await at_rest(made)
        made.want(1, target_w=2_000, energized=False)
        await until(lambda: len(bank.writes) == 5)
        made.want(2, limit_w=4_000, energized=True)
        async with asyncio.timeout(0.8):
            await made.ear.until(Adopted)
        assert [each.serial for each in made.ear.of(Adopted)] == [2]
        assert (bank.limit_pct, bank.raw("703.ES"), bank.raw("704.WSetEna")) == (80, 1, 0)
        assert made.ear.of(NotAdopted) == []


async def test_a_set_point_that_another_switched_on_is_left_alone() -> None:
    bank = Bank()
    async with bench(bank) as made:
        made.want(1, target_w=2_000)
        await made.ear.until(Adopted)
        made.want(2)
        await made.ear.until(Adopted, 2)
        assert bank.raw("704.WSetEna") == 0
        bank.set(m704_WSetEna=1)
        made.want(3, limit_w=2_000)
        await made.ear.until(Adopted, 3)
        await made.polls(3)
        assert bank.raw("704.WSetEna") == 1


async def at_rest(made: Desk) -> None:
    """Wait until the one link is idle and knows what its device was told."""
    roof = made.links._links["roof"]
    await until(lambda: roof._ready() and roof._values is not None)


async def test_a_set_point_is_switched_off_even_where_the_connection_was_lost_in_between() -> None:
    bank = Bank()
    async with serving(bank) as server, desk({"roof": at(server.port)}) as made:
        await made.ear.until(LinkUp)
        made.want(1, target_w=2_000)
        await made.ear.until(Adopted)
        server.resets = True
        await made.ear.until(LinkDown)
        made.want(2)
        server.resets = False
        await until(lambda: made.ear.of(Adopted)[-1].serial == 2)
        assert bank.raw("704.WSetEna") == 0


# -- not adopted


@pytest.mark.parametrize("kind", ["2018", "legacy"])
async def test_what_reads_back_otherwise_is_complained_of_once_and_told_again_at_every_poll(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    bank = Bank(kind)
    point = "m704_WMaxLimPct" if kind == "2018" else "m123_WMaxLimPct"
    bank.after_write = lambda: bank.set(**{point: 10_000 if kind == "2018" else 100})
    async with bench(bank) as made:
        made.want()
        heard = await made.ear.until(NotAdopted)
        assert heard.why == "WMaxLimPct reads 100 %, not 60 %"
        before = len(bank.writes)
        await made.polls(10)
        again = len(bank.writes) - before
        assert 4 <= again <= 13, "once a poll"
        assert len(made.ear.of(NotAdopted)) == 1
        bank.after_write = lambda: None
        await made.ear.until(Adopted)
    assert sum("did not adopt" in each for each in warnings(caplog)) == 1


async def test_a_device_may_take_a_second_to_show_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "READ_BACK_S", 0.1)
    bank = Bank()
    bank.after_write = lambda: bank.set(m704_WMaxLimPctEna=0)
    async with bench(bank, 2) as made:
        await at_rest(made)
        made.want()
        await until(lambda: bool(bank.writes))
        reads = len(bank.reads)
        await asyncio.sleep(0.05)
        assert len(bank.reads) == reads, "the writes to the others go first"
        made.links._links["roof"]._poll_at = 0.0
        await until(lambda: len(bank.reads) >= reads + 5)
        bank.set(m704_WMaxLimPctEna=1)
        await made.ear.until(Adopted)
        assert len(bank.writes) == 1, "a poll before the read-back, and the first read-back, decide nothing"
        assert made.ear.of(NotAdopted) == []


@pytest.mark.parametrize("code", [2, 3, 6])
async def test_an_exception_to_a_write_is_the_reason_that_is_heard(code: int) -> None:
    bank = Bank()
    asked: list[set[str]] = []

    def refuse(names: set[str]) -> int:
        asked.append(names)
        return code

    bank.refuses = refuse
    async with bench(bank) as made:
        made.want(target_w=1_000)
        heard = await made.ear.until(NotAdopted)
        assert heard.why.startswith(f"exception {code} (")
        assert heard.why.endswith(") to a write")
        before = len(asked)
        await made.polls(10)
        assert 4 <= len(asked) - before <= 13, "once a poll, and no second step after a refused first"
        assert len(made.ear.of(NotAdopted)) == 1
        assert made.ear.of(LinkDown) == []
        bank.refuses = lambda _names: 0
        await made.ear.until(Adopted)
        assert bank.limit_pct == 60


async def test_what_cannot_be_encoded_is_complained_of_once() -> None:
    bank = Bank()
    bank.set(m704_WMaxLimPct_SF=-32768)
    async with bench(bank) as made:
        made.want()
        assert "WMaxLimPct_SF" in (await made.ear.until(NotAdopted)).why
        await made.polls(5)
        assert len(made.ear.of(NotAdopted)) == 1
        assert bank.writes == []
        bank.set(m704_WMaxLimPct_SF=-2)
        await made.ear.until(Adopted)


async def test_a_link_refuses_what_is_expired_or_anothers(caplog: pytest.LogCaptureFixture) -> None:
    bank = Bank()
    async with bench(bank) as made:
        now_ms = made.clock.now_ms()
        roof = made.links._links["roof"]
        roof.want(cleared(command("cellar"), now_ms))
        roof.want(cleared(command(), now_ms - 2_000, valid_ms=1_999))
        await made.polls(4)
        assert bank.writes == []
        assert sum("not its own or has expired" in record.message for record in caplog.records) == 2
        last = made.want(valid_ms=300 * RATE)
        await made.ear.until(Adopted)
        await until(lambda: made.clock.now_ms() >= last.valid_until_ms)
        bank.set(m704_WMaxLimPctEna=0)
        await made.polls(4)
        assert bank.raw("704.WMaxLimPctEna") == 0, "what has expired since is not written again"
        assert made.ear.of(NotAdopted) == []


async def test_what_expires_while_the_device_is_away_is_not_written_when_it_is_back() -> None:
    bank = Bank()
    async with serving(bank) as server, desk({"roof": at(server.port)}) as made:
        await made.ear.until(LinkUp)
        server.resets = True
        await made.ear.until(LinkDown)
        last = made.want(valid_ms=100 * RATE)
        await until(lambda: made.clock.now_ms() >= last.valid_until_ms)
        server.resets = False
        await made.ear.until(LinkUp, 2)
        await made.polls(4)
        assert bank.writes == []


# -- readings


async def test_an_inverter_that_sleeps_is_unknown_and_wakes() -> None:
    clock = clock_at(RATE)
    async with (
        Street(Clock.parse(str(clock)), [InverterSpec(name="roof")]) as street,
        desk({"roof": at(street.ports["roof"])}, clock) as made,
    ):
        await until(lambda: made.ear.powers() == [RATED_W])
        street.set_fault("roof", "asleep", True)
        await until(lambda: made.ear.powers()[-1] is None)
        assert "asleep" in made.ear.of(Observed)[-1].power.why
        street.set_fault("roof", "asleep", False)
        await until(lambda: (made.ear.powers()[-1] or 0) > 4_900)
        assert made.ear.of(LinkDown) == []


@pytest.mark.parametrize("kind", ["2018", "legacy"])
@pytest.mark.parametrize("register", [0xFFFF, 0])
async def test_an_image_of_nothing_is_never_a_reading_nor_a_reason_to_write(kind: str, register: int) -> None:
    bank = Bank(kind)
    async with bench(bank) as made:
        made.want()
        await made.ear.until(Adopted)
        await until(lambda: made.links._links["roof"]._watch.holds)
        before, asleep = len(bank.writes), bytearray(bank.words)
        start = 2 * (bank.address("701.ACType" if kind == "2018" else "103.A") - bank.spec.base)
        healthy = bytes(bank.words)
        for at_octet in range(start, len(asleep) - 4):
            asleep[at_octet] = register & 0xFF
        polls = [0]

        def once(address: int, count: int) -> None:
            del address, count
            polls[0] += 1
            bank.words[:] = asleep if polls[0] <= 2 else healthy

        bank.before_read = once
        await until(lambda: None in made.ear.powers())
        await until(lambda: made.ear.powers()[-1] == RATED_W)
        await made.polls(2)
        assert set(made.ear.powers()) == {RATED_W, None}
        if register == 0:
            assert len(bank.writes) == before, "one answer of zeros is no answer"
        assert bank.limit_pct == 60


async def test_a_scale_factor_that_moves_never_moves_the_reading() -> None:
    bank = Bank()
    turns = [0]

    def move(address: int, count: int) -> None:
        del address, count
        turns[0] += 1
        scale = (0, 1, -1)[turns[0] % 3]
        bank.set(m701_W_SF=scale, m701_W=int(2_500 * 10**-scale))

    bank.before_read = move
    async with bench(bank) as made:
        await made.polls(12)
        assert set(made.ear.powers()) == {2_500}


async def test_a_scale_factor_that_moves_before_a_write_is_put_right_at_once() -> None:
    bank = Bank()
    async with bench(bank, 2) as made:
        made.want(1, limit_w=2_500)
        await made.ear.until(Adopted)
        for serial, scale in ((2, -1), (3, 0), (4, -2), (5, -1)):
            await at_rest(made)
            bank.set(m704_WMaxLimPct_SF=scale, m704_WMaxLimPct=0, m704_WMaxLimPctRvrt=0)
            before = len(bank.writes)
            made.want(serial, limit_w=500 * serial, revert_limit_w=500)
            await made.ear.until(Adopted, serial)
            assert bank.limit_pct == 10 * serial
            assert len(bank.writes) - before == 2
            assert bank.written_at[-1] - bank.written_at[-2] < 0.5, "not at the next poll"
        assert made.ear.of(NotAdopted) == []


async def test_a_reading_is_told_past_its_dead_band_and_once_a_minute() -> None:
    bank = Bank()
    async with bench(bank, 100) as made:
        await made.polls(3)
        bank.set(m701_W=RATED_W - 25)
        await made.polls(3)
        assert made.ear.powers() == [RATED_W]
        bank.set(m701_W=RATED_W - 26)
        await made.ear.until(Observed, 2)
        await made.ear.until(Observed, 3)
        stamps = [each.power.at_ms for each in made.ear.of(Observed)]
        assert 30_000 <= stamps[2] - stamps[1] <= 120_000


# -- the street


async def test_thirty_links_are_not_delayed_by_a_silent_one() -> None:
    specs = [InverterSpec(name=f"roof-{number}", light=True) for number in range(30)]
    async with Street(Clock.parse("real"), specs, stepping=False) as street:
        banks = {name: Counting(inverter._image) for name, inverter in street.inverters.items()}
        for name, inverter in street.inverters.items():
            inverter._server.units = {1: banks[name]}
        street.set_fault("roof-7", "silent", True)
        async with desk({name: at(port) for name, port in street.ports.items()}, clock_at(10)) as made:
            others = [name for name in street.ports if name != "roof-7"]
            for name in others:
                await made.ear.until(LinkUp, device=name)
            before = {name: banks[name].polls for name in others}
            await made.polls(10)
            polled = [banks[name].polls - before[name] for name in others]
            assert min(polled) >= 8, polled
            assert made.ear.of(LinkUp, "roof-7") == []


class Counting:
    """Registers that count how often the live model is read."""

    def __init__(self, registers: object) -> None:
        self._registers: object = registers
        self.polls = 0

    def read(self, address: int, count: int) -> bytes | None:
        self.polls += count > 100
        return self._registers.read(address, count)  # type: ignore[attr-defined,no-any-return] # an image of hil's

    def write(self, function: int, address: int, payload: bytes) -> int:
        return self._registers.write(function, address, payload)  # type: ignore[attr-defined,no-any-return] # the same


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
