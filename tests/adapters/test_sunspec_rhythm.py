"""Each device has its place in the period, and keeps it."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from sunspec_bench import Bank, at, clock_at, desk, serving, until

PERIOD_S: Final = 0.6
HELD_S: Final = 0.9
NEAR_S: Final = 0.1


def noting(bank: Bank, times: list[float]) -> Callable[[int, int], None]:
    """Note when a read holds the power."""
    power = bank.address("701.W")

    def note(address: int, count: int) -> None:
        if address <= power < address + count:
            times.append(time.monotonic())

    return note


def apart_s(first: list[float], second: list[float]) -> float:
    """Give how far two devices are polled from one another, at most half a period."""
    between = abs(first[-1] - second[-1]) % PERIOD_S
    return min(between, PERIOD_S - between)


async def test_a_stall_bunches_no_devices_that_were_polled_apart() -> None:
    banks = {"roof": Bank(), "shed-7": Bank()}
    times: dict[str, list[float]] = {name: [] for name in banks}
    for name, bank in banks.items():
        bank.before_read = noting(bank, times[name])
    async with serving(banks["roof"]) as roof, serving(banks["shed-7"]) as shed:
        tables = {"roof": at(roof.port), "shed-7": at(shed.port)}
        async with desk(tables, clock_at(1 / PERIOD_S)):
            await until(lambda: min(map(len, times.values())) >= 4)
            before_s = apart_s(*times.values())
            time.sleep(HELD_S)  # noqa: ASYNC251 - the loop is to be held
            held = min(map(len, times.values()))
            await until(lambda: min(map(len, times.values())) >= held + 3)
            await asyncio.sleep(0)
            after_s = apart_s(*times.values())
    assert before_s > NEAR_S
    assert after_s > NEAR_S
