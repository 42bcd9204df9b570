"""JSON lines between the processes of a benchmark."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Line = dict[str, Any]

ROOT = Path(__file__).parents[2]
LONGEST_LINE = 1 << 24
STOP_S = 20.0


def say(line: Line) -> None:
    """Print one line to the process that asked."""
    print(json.dumps(line), flush=True)  # noqa: T201 - this is how the processes speak


async def lines() -> AsyncIterator[Line]:
    """Give what is read from standard input until its end."""
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while text := await reader.readline():
        yield json.loads(text)


class Child:
    """One process of a benchmark; it ends when its standard input does."""

    def __init__(self, module: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def tell(self, line: Line) -> None:
        """Send one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Line:
        """Give the next line that the process prints; raises ChildProcessError where it ended instead."""
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        if not text:
            raise ChildProcessError(f"{self._process.args} ended with {self._process.wait(STOP_S)}")
        line: Line = json.loads(text)
        return line

    def ask(self, line: Line) -> Line:
        """Send one line and give the answer."""
        self.tell(line)
        return self.hear()
