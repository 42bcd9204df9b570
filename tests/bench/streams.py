"""The processes of a benchmark, and the JSON lines between them."""

import asyncio
import json
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Line = dict[str, Any]

ROOT = Path(__file__).parents[2]
LONGEST_LINE = 1 << 24
STOP_S = 30.0
SILENCE_S = 120.0


def say(line: Line) -> None:
    """Print one line to the process that asked."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def lines() -> AsyncIterator[Line]:
    """Give what is read from standard input until its end."""
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while text := await reader.readline():
        yield json.loads(text)


class Child:
    """One process of a benchmark: it is told to stop by the end of its standard input, and by SIGTERM.

    What it has to say to people goes to `log`.
    """

    def __init__(self, log: Path, module: str, *arguments: object) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    @property
    def rss_bytes(self) -> int:
        """The memory that the process has resident."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return 1024 * int(line.split()[1])

    def check(self) -> None:
        """Raise ChildProcessError where the process has ended."""
        if self._process.poll() is not None:
            raise ChildProcessError(f"a process of the benchmark ended; read {self._log}")

    def tell(self, line: Line) -> None:
        """Send one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Line:
        """Give the line that the process prints next; raises ChildProcessError where it ended, or says nothing."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], SILENCE_S)
        text = self._process.stdout.readline() if ready else ""
        if not text:
            raise ChildProcessError(f"a process of the benchmark {'ended' if ready else 'hangs'}; read {self._log}")
        line: Line = json.loads(text)
        return line

    def ask(self, line: Line) -> Line:
        """Send one line and give the answer."""
        self.tell(line)
        return self.hear()
