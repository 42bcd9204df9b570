"""The guard's own tests walk every branch of it, without help from any other test."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: str, measured: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coverage", *command],
        cwd=ROOT,
        env={**os.environ, "COVERAGE_FILE": str(measured)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_branch_of_the_guard_is_tested(tmp_path: Path) -> None:
    measured = tmp_path / "measured"
    tests = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not type_check", "tests/core/test_guard.py")
    run("run", "--branch", "--include=gateway/core/guard.py", *tests, measured=measured)
    run("report", "--show-missing", "--fail-under=100", "--precision=2", measured=measured)
