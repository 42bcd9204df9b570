"""Demonstrations of single lanes as real processes, two of them at a time."""

import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

SHIPPED = Path(__file__).parents[2] / "hil" / "scenarios"
LONGEST_S = 120


class Played(NamedTuple):
    """A demonstration that is over."""

    code: int
    said: str
    complained: str
    folder: Path

    @property
    def state(self) -> Path:
        """The gateway's state folder."""
        return self.folder / "state"


def started(pool: ThreadPoolExecutor, folder: Path, *scenario: str | Path) -> "Future[Played]":
    """Have one played as soon as there is room; without a scenario it is the default."""
    arguments = ["demo", "--keep", str(folder), *(["--scenario", str(scenario[0])] if scenario else [])]
    return pool.submit(_played, folder, arguments)


def _played(folder: Path, arguments: list[str]) -> Played:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    return Played(done.returncode, done.stdout, done.stderr, folder)
