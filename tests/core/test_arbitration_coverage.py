"""The tests of authority and arbitration walk every branch of them, without help from any other test."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = "gateway/core/authority.py,gateway/core/arbitrate.py,gateway/core/slots.py"
NAMES = ("authority", "standing", "arbitrate", "situations", "modes")


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


def test_every_branch_of_authority_and_arbitration_is_tested(tmp_path: Path) -> None:
    measured = tmp_path / "measured"
    tests = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/core/test_core_{name}.py" for name in NAMES))
    run("run", "--branch", f"--include={MODULES}", *tests, measured=measured)
    run("report", "--show-missing", "--fail-under=100", "--precision=2", measured=measured)
