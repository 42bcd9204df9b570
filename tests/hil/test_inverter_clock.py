"""The simulated clock that all processes of a bench share."""

import subprocess
import sys
import time

import pytest

from hil.clock import Clock

START_MS = 1_767_225_600_000


def test_real_clock_reads_utc() -> None:
    assert abs(Clock.parse("real").now_ms() - time.time() * 1000) < 100
    assert str(Clock.parse("real")) == "real"


@pytest.mark.parametrize("rate", [0.5, 1, 20])
def test_simulated_clock_starts_where_told_and_runs_at_its_rate(rate: float) -> None:
    clock = Clock.starting(rate, START_MS)
    began_s = time.monotonic()
    time.sleep(0.1)
    passed_ms = clock.now_ms() - START_MS
    latest_ms = (time.monotonic() - began_s) * 1000 * rate
    assert 95 * rate <= passed_ms <= latest_ms + 10 * rate


def test_clock_is_origin_plus_rate_times_monotonic_time() -> None:
    low_s = time.monotonic()
    now_ms = Clock.parse("x2.5@1767225600.25").now_ms()
    high_s = time.monotonic()
    assert 1_767_225_600_250 + 2500 * low_s - 1 <= now_ms <= 1_767_225_600_250 + 2500 * high_s


def test_another_process_with_the_same_string_reads_the_same_time() -> None:
    clock = Clock.starting(20, START_MS)
    code = "import sys; from hil.clock import Clock; print(Clock.parse(sys.argv[1]).now_ms())"
    before_ms = clock.now_ms()
    other_ms = int(subprocess.run([sys.executable, "-c", code, str(clock)], capture_output=True, check=True).stdout)
    assert before_ms <= other_ms <= clock.now_ms()


async def test_sleep_ends_at_its_instant_and_not_before() -> None:
    clock = Clock.starting(50, START_MS)
    until_ms = clock.now_ms() + 5000
    began_s = time.monotonic()
    await clock.sleep_until_ms(until_ms)
    assert clock.now_ms() >= until_ms
    assert time.monotonic() - began_s >= 0.09


@pytest.mark.parametrize("text", ["", "step", "x20", "x0@5", "x-1@5", "20@5", "x20@soon", "REAL"])
def test_unreadable_clock_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r'write "real" or "xN@T0"'):
        Clock.parse(text)
