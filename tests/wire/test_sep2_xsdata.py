"""Classes that xsdata makes of the published schema read all that we write, and we read all that they write."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sep2_agreement import lost
from sep2_schemas import schema_path
from sep2_strategies import drawn, is_of
from sep2_values import NS

from gateway.wire.sep2 import Dialect, Resource, decode, encode
from gateway.wire.sep2.tables import ROOTS

pytest.importorskip("xsdata")

ORACLE = Path(__file__).with_name("xsdata_oracle.py")
PACKAGE = "sep2_of_the_schema"
EDITIONS = (2018, "")
CASES = 6


def run(*command: str, folder: Path, asked: str = "") -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        input=asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_xsdata_keeps_every_value_of_every_body(tmp_path: Path) -> None:
    run("-m", "xsdata", "generate", str(schema_path("sep2_schema_2018.xsd")), "--package", PACKAGE, folder=tmp_path)
    names = [name for name, table in ROOTS.items() if is_of(table, EDITIONS)]
    cases: list[Resource] = [case for name in names for case in drawn(name, EDITIONS, CASES)]
    bodies = json.dumps([encode(case, Dialect(2018, NS)).decode() for case in cases])
    written = json.loads(run(str(ORACLE), str(tmp_path), PACKAGE, folder=tmp_path, asked=bodies))
    assert len(written) == len(cases)
    assert [each for case, body in zip(cases, written, strict=True) for each in lost(case, decode(body.encode()))] == []
