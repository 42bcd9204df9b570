"""The daemon's side of the feeder: one question at a time, and every failure of the worker survived (C12)."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from feeder_oracle import ieee13

from gateway.grid import Feeder, Model, Place, build
from gateway.grid.talk import line, setup
from gateway.ports.feeder import Certificate, Certified, NotCertified, Span, Wish
from gateway.runtime.clock import RealClock, ScaledClock, SiteClock

BAD_WORKER = Path(__file__).parent / "bad_worker.py"
ROOF = Span("roof", 0, 1000)
PLACES: dict[str, tuple[Place, ...]] = {"roof": (Place("roof", "634.1", 5000),), "barn": (Place("barn", "680", 9000),)}
PATIENCE_S = 30.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for is another process
            await asyncio.sleep(0.02)


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


class Bench:
    """A running model and what it has said."""

    def __init__(self, folder: Path, mode: str | None, clock: SiteClock, deadline_s: float) -> None:
        self.clock = clock
        self.flag = folder / "flag"
        table = Feeder("north", ieee13(folder), voltage_max_pu=1.06, deadline_s=deadline_s, restart_s=0.1)
        self._heard: asyncio.Queue[Certified | NotCertified] = asyncio.Queue()
        if mode is None:
            self.model = build(table, PLACES, clock, self._heard.put_nowait)
        else:
            command = (sys.executable, str(BAD_WORKER), mode, str(self.flag))
            self.model = Model(table, PLACES, clock, self._heard.put_nowait, command)

    def ask(self, serial: int, *asked: Span, within_s: float = 20.0, standing: tuple[Span, ...] = ()) -> None:
        until_ms = self.clock.now_ms() + int(1000 * within_s * self.clock.rate)
        self.model.validate(Wish("north", serial, asked or (ROOF,), standing, until_ms))

    async def hear(self) -> Certified | NotCertified:
        async with asyncio.timeout(PATIENCE_S):
            return await self._heard.get()

    async def certificate(self, serial: int) -> Certificate:
        heard = await self.hear()
        assert isinstance(heard, Certified), heard
        assert heard.certificate.serial == serial
        return heard.certificate

    async def refused(self, serial: int) -> str:
        heard = await self.hear()
        assert isinstance(heard, NotCertified), heard
        assert (heard.feeder, heard.serial) == ("north", serial)
        return heard.why

    async def pid(self) -> int:
        """Give the worker's process id once it is the real one."""
        await until(lambda: self.flag.exists() and self.flag.read_text(encoding="ascii") != "")
        return int(self.flag.read_text(encoding="ascii"))


@contextlib.asynccontextmanager
async def running(
    folder: Path, mode: str | None = None, clock: SiteClock | None = None, deadline_s: float = 0.4
) -> AsyncIterator[Bench]:
    bench = Bench(folder, mode, clock or RealClock(), deadline_s)
    task = asyncio.create_task(bench.model.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def ups_and_downs(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in log.records if record.name == "gateway.grid.client"]


async def test_a_wish_is_certified_by_a_process_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.model.measure("roof", 700, 50, 1_700_000_000_000)
        bench.model.measure("barn", 0, None, 1_600_000_000_000)
        bench.ask(1)
        first = await bench.certificate(1)
        assert first.spans == (ROOF,)
        assert first.binding == ""
        assert first.state_ms == 1_600_000_000_000
        assert first.taps_settled
        assert 950 <= first.worst_voltage_milli_pu <= 1060
        assert len(first.model_hash) == 64
        bench.model.measure("barn", None, None, 1_800_000_000_000)
        bench.ask(2)
        assert (await bench.certificate(2)).state_ms == 1_700_000_000_000
        assert bench.model.trouble is None


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("hang", "no answer within 0.4 s"),
        ("crash", "its process ended with exit code 3: out of memory"),
        ("garbage", "an answer that cannot be read"),
        ("nan", "an answer that cannot be read"),
        ("wider", "an answer to something else than was asked"),
        ("unexplained", "an answer to something else than was asked"),
    ],
)
async def test_a_worker_that_fails_costs_one_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str, why: str
) -> None:
    caplog.set_level(logging.INFO)
    async with running(tmp_path, mode) as bench:
        await until(lambda: not bench.model.trouble)
        bench.ask(1, within_s=0.1)
        assert await bench.refused(1) == f"the feeder model failed: {why}"
        assert ups_and_downs(caplog) == []
        bench.ask(2)
        assert (await bench.certificate(2)).spans == (ROOF,)
    assert ups_and_downs(caplog) == ["WARNING", "INFO"]
    assert "the feeder model answers again" in caplog.text


async def test_a_worker_that_never_starts_leaves_questions_unanswered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, "mute") as bench:
        bench.ask(1, within_s=0.1)
        assert await bench.refused(1) == "no answer in time: the feeder model is starting"
    assert ups_and_downs(caplog) == []


async def test_a_worker_that_starts_at_the_second_try_answers_what_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(tmp_path, "stillborn") as bench:
        bench.ask(1)
        await bench.certificate(1)
    assert ups_and_downs(caplog) == ["WARNING", "INFO"]
    assert "its process ended with exit code 1: cannot start today" in caplog.text


async def test_a_killed_worker_is_missed_before_anybody_asks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(tmp_path, "sound") as bench:
        bench.ask(1)
        await bench.certificate(1)
        pid = await bench.pid()
        bench.flag.unlink()
        os.kill(pid, signal.SIGKILL)
        assert await bench.pid() != pid
        bench.ask(2)
        await bench.certificate(2)
    assert ups_and_downs(caplog) == ["WARNING", "INFO"]


async def test_a_stopped_worker_is_killed_at_the_deadline(tmp_path: Path) -> None:
    async with running(tmp_path, "sound") as bench:
        bench.ask(1)
        await bench.certificate(1)
        pid = await bench.pid()
        os.kill(pid, signal.SIGSTOP)
        bench.ask(2, within_s=0.1)
        assert "no answer within" in await bench.refused(2)
        bench.ask(3)
        await bench.certificate(3)
        assert not lives(pid)


async def test_a_later_question_takes_the_place_of_one_that_waits(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        for serial in (1, 2, 3):
            bench.ask(serial)
        for serial in (1, 2):
            assert await bench.refused(serial) == "replaced by a later question"
        await bench.certificate(3)
        bench.ask(4)
        await asyncio.sleep(0)
        for serial in (5, 6):
            bench.ask(serial)
        assert await bench.refused(5) == "replaced by a later question"
        await bench.certificate(4)
        await bench.certificate(6)


async def test_a_question_keeps_its_wall_time_on_an_accelerated_clock(tmp_path: Path) -> None:
    async with running(tmp_path, clock=ScaledClock(1000.0, 1_700_000_000.0), deadline_s=20.0) as bench:
        bench.ask(1, within_s=0.001)
        await bench.certificate(1)


async def test_what_the_engine_prints_does_not_garble_answers(tmp_path: Path) -> None:
    async with running(tmp_path, "chatter") as bench:
        for serial in range(1, 20):
            bench.ask(serial)
            await bench.certificate(serial)
            await asyncio.sleep(0.05)


async def test_what_the_model_does_not_know_is_refused_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, "mute") as bench:
        bench.ask(1, Span("shed", 0, 1000))
        assert await bench.refused(1) == 'resource "shed" is not on the feeder; give its devices a bus'
        bench.ask(2, ROOF, standing=(Span("barn", 10, 1000),))
        assert "leaves out standstill" in await bench.refused(2)


async def test_a_model_that_cannot_be_used_is_tried_again_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(tmp_path) as bench:
        master = tmp_path / "master.dss"
        sound = master.read_text(encoding="ascii")
        master.write_text("new circuit.x bus1=a basekv=nonsense\n", encoding="ascii")
        await until(lambda: "is down" in str(bench.model.trouble))
        assert "correct the model" in str(bench.model.trouble)
        master.write_text(sound, encoding="ascii")
        bench.ask(1)
        await bench.certificate(1)
    assert ups_and_downs(caplog) == ["WARNING", "INFO"]


def test_the_worker_ends_with_the_daemon(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.grid.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(line(setup(Feeder("north", ieee13(tmp_path)), PLACES, 1.0)))
        worker.stdin.flush()
        assert b"Ready" in worker.stdout.readline()
        assert worker.poll() is None
        worker.stdin.close()
        assert worker.wait(5) == 0
