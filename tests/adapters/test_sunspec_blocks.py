"""A measurement that a device gives in several blocks: its scale factors are those of its values, or it is none."""

import time

import pytest
from sunspec_bench import Bank, at, desk, serving, until

from gateway.core.events import LinkDown
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import gather, link

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
