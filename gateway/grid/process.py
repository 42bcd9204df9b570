"""A feeder's worker process: started, asked line by line, and killed when it cannot be relied on."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from gateway.grid.talk import LONGEST_LINE, Faulty, Question, Ready, Said, Setup, line, said

WORKER: Final = (sys.executable, "-m", "gateway.grid.worker")
START_S: Final = 60.0
"""Wall time within which a model is loaded; a feeder of 30,000 nodes takes a few seconds."""
LAST_WORDS: Final = 2_000


class Trouble(Exception):  # noqa: N818 - "trouble" is the word of this house for a peer that fails
    """The worker failed; its text says how."""


class Worker:
    """One process; `ended` is set when it is gone."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take over a process that has just been started with all three pipes."""
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise TypeError("a worker is spoken with over pipes")
        self._process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._last_words = b""
        self._listening = asyncio.create_task(self._listen())
        self.ended = asyncio.create_task(process.wait())

    @classmethod
    async def start(cls, command: Sequence[str], setup: Setup) -> tuple["Worker", Ready | Faulty]:
        """Start a worker and give what it says of its model; raises Trouble, and then nothing is left running."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LONGEST_LINE,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise Trouble(f"its process cannot be started: {error.strerror}") from error
        worker = cls(process)
        try:
            first = await worker._exchange(line(setup), START_S)
        except BaseException:
            await worker.end()
            raise
        if isinstance(first, Ready | Faulty):
            return worker, first
        await worker.end()
        raise Trouble("its process answered with something else than its model")

    async def ask(self, question: Question, within_s: float) -> Said:
        """Ask and give the answer; raises Trouble where there is none that can be read."""
        return await self._exchange(line(question), within_s)

    async def _exchange(self, text: bytes, within_s: float) -> Said:
        try:
            async with asyncio.timeout(within_s):
                self._stdin.write(text)
                await self._stdin.drain()
                answer = await self._stdout.readline()
        except TimeoutError as error:
            raise Trouble(f"no answer within {within_s:.1f} s") from error
        except (OSError, ValueError) as error:
            raise Trouble(await self._how_it_ended()) from error
        if not answer.endswith(b"\n"):
            raise Trouble(await self._how_it_ended())
        understood = said(answer)
        if understood is None:
            raise Trouble("an answer that cannot be read")
        return understood

    async def _how_it_ended(self) -> str:
        """Say how the process ended; one that lives on has said more than a line may hold."""
        try:
            async with asyncio.timeout(1.0):
                code = await asyncio.shield(self.ended)
                await asyncio.shield(self._listening)
        except TimeoutError:
            return "an answer that cannot be read"
        words = self._last_words.decode(errors="replace").strip().splitlines()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"its process ended with {how}" + (f": {words[-1]}" if words else "")

    async def _listen(self) -> None:
        """Keep the end of what the process says to people, so that it never waits for a reader."""
        while piece := await self._stderr.read(4096):
            self._last_words = (self._last_words + piece)[-LAST_WORDS:]

    async def end(self) -> None:
        """Kill the process where it lives, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self.ended
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._stdin.close()
