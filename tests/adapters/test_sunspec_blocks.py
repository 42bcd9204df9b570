"""A measurement that a device gives in several blocks: its scale factors are those of its values, or it is none."""

import time

import pytest
from sunspec_bench import Bank, Wire, Write, at, desk, serving, until

from gateway.core.events import Adopted, LinkDown
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import connection, gather, link

TRUE_W = 4_000


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "BACKOFF_S", (0.01, 0.05, 0.1))


@pytest.mark.parametrize("every", [5, 7])
async def test_a_scale_factor_that_moves_between_two_blocks_moves_no_reading(every: int) -> None:
    bank, reads = Bank(), [0]

    def move(_address: int, _count: int) -> None:
        reads[0] += 1
        scale = reads[0] // every % 2
        bank.set(m701_W_SF=scale, m701_W=TRUE_W // 10**scale)

    bank.before_read = move
    async with serving(bank) as server, desk({"roof": at(server.port, block_max=60)}) as made:
        await until(lambda: reads[0] > 30 * every)
        assert set(made.ear.powers()) == {TRUE_W}
        assert max(count for _, count in bank.reads) == 60


async def test_scale_factors_that_never_rest_give_no_reading() -> None:
    bank, reads = Bank(), [0]

    def move(_address: int, _count: int) -> None:
        reads[0] += 1
        bank.set(m701_W_SF=reads[0] % 3, m701_W=TRUE_W // 10 ** (reads[0] % 3))

    async with serving(bank) as server, desk({"roof": at(server.port, block_max=60)}) as made:
        await until(lambda: bool(made.ear.powers()))
        heard = len(made.ear.powers())
        bank.before_read = move
        assert "busy" in (await made.ear.until(LinkDown)).why
        assert set(made.ear.powers()[heard:]) <= {TRUE_W}


async def test_a_scale_factor_that_moved_and_came_back_meanwhile_moves_no_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gather, "STEADY_S", 0.3)
    bank, moved = Bank(), [0]

    def move(address: int, count: int) -> None:
        away = not moved[0] and address <= bank.address("701.W") < address + count < bank.address("701.W_SF")
        bank.set(m701_W_SF=int(away), m701_W=TRUE_W // 10**away)
        if away:
            moved[0] += 1
            time.sleep(0.4)

    bank.before_read = move
    async with serving(bank) as server, desk({"roof": at(server.port, block_max=60)}) as made:
        await until(lambda: bool(made.ear.powers()))
        assert (made.ear.powers(), moved) == ([TRUE_W], [1])


def polled(bank: Bank, polls: int) -> list[int]:
    """Give how much was read at a time in so many polls, the last of them whole."""
    sizes = [count for _, count in bank.reads]
    last = len(sizes) - sizes[::-1].index(115) - 1
    first = [at for at, size in enumerate(sizes[:last]) if size == 115][-polls]
    return sizes[first:last]


async def test_what_a_device_was_told_is_read_as_one_across_its_models() -> None:
    bank = Bank()
    async with serving(bank) as server, desk({"roof": at(server.port)}) as made:
        made.want()
        await made.ear.until(Adopted)
        heard = len(bank.reads)
        await until(lambda: len(bank.reads) > heard + 12)
        assert polled(bank, 3) == [115, 73] * 3


async def test_a_device_that_refuses_to_read_across_models_is_read_model_by_model() -> None:
    bank = Bank()

    async def refuse(frame: bytes, write: Write) -> None:
        refused = frame[7] == 3 and frame[8] == 2 * 73
        write(frame[:4] + b"\0\3" + frame[6:7] + b"\x83\2" if refused else frame)

    async with serving(bank) as server, Wire(server.port) as wire:
        wire.twist = refuse
        async with desk({"roof": at(wire.port)}) as made:
            made.want()
            await made.ear.until(Adopted)
            heard = len(bank.reads)
            await until(lambda: len(bank.reads) > heard + 16)
            assert polled(bank, 3) == [115, 42, 1] * 3
            assert made.ear.of(LinkDown) == []
            assert sum(count == 73 for _, count in bank.reads) == 1


async def test_a_device_that_is_silent_at_a_read_across_models_is_lost_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REPLY_S", 0.5)
    bank = Bank()

    async def swallow(frame: bytes, write: Write) -> None:
        if frame[7] != 3 or frame[8] != 2 * 73:
            write(frame)

    async with serving(bank) as server, Wire(server.port) as wire:
        wire.twist = swallow
        async with desk({"roof": at(wire.port)}) as made:
            made.want()
            await made.ear.until(LinkDown)
            await made.ear.until(Adopted)
            assert sum(count == 73 for _, count in bank.reads) == 1


async def test_a_loss_parts_nothing_that_was_ever_read_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REPLY_S", 0.5)
    bank, silent = Bank(), [False]

    async def swallow(frame: bytes, write: Write) -> None:
        if not silent[0] or frame[7] != 3 or frame[8] != 2 * 73:
            write(frame)

    async with serving(bank) as server, Wire(server.port) as wire:
        wire.twist = swallow
        async with desk({"roof": at(wire.port)}) as made:
            made.want()
            await made.ear.until(Adopted)
            silent[0] = True
            await made.ear.until(LinkDown)
            silent[0] = False
            heard = len(bank.reads)
            await until(lambda: [count for _, count in bank.reads[heard:]].count(73) > 1)
            assert all(count != 42 for _, count in bank.reads)
