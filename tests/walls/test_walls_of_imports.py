"""The import contracts hold in this repository, and each of them is heard when it breaks."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "gateway/cli",
    "gateway/config",
    "gateway/coordination",
    "gateway/core",
    "gateway/diagnostics",
    "gateway/grid/worker",
    "gateway/northbound/sep2_client",
    "gateway/northbound/openadr_ven",
    "gateway/pki",
    "gateway/ports",
    "gateway/runtime",
    "gateway/southbound/sunspec_modbus",
    "gateway/store",
    "gateway/web",
    "gateway/wire/sep2",
    "hil/sep2",
)
SOUND = {
    "gateway/core/orders.py": "import dataclasses\nimport hashlib\nfrom collections.abc import Sequence\n",
    "gateway/coordination/skeleton.py": "from gateway.core import orders\n",
    "gateway/ports/south.py": "import asyncio\nfrom gateway.core import orders\n",
    "gateway/wire/sep2/codec.py": "from lxml import etree\n",
    "gateway/northbound/sep2_client/translate.py": "import gateway.core.orders\nimport gateway.wire.sep2.codec\n",
    "gateway/northbound/sep2_client/link.py": "import aiohttp\nfrom gateway.ports import south\n",
    "gateway/grid/worker/solve.py": "import numpy\n",
    "gateway/runtime/wiring.py": "from gateway.northbound.sep2_client import link\nimport gateway.config\n",
    "gateway/cli/run.py": "from gateway.runtime import wiring\n",
    "hil/sep2/head_end.py": "import envoy_schema\n",
}


def lint(root: Path) -> tuple[int, str]:
    """Run the real contracts on the packages under `root`: the exit code, and what was said."""
    done = subprocess.run(
        [str(Path(sysconfig.get_path("scripts")) / "lint-imports"), "--no-cache", "--no-logo"],
        cwd=root,
        env={"PATH": os.defpath, "COLUMNS": "200", "NO_COLOR": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def house(tmp_path: Path) -> Path:
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for package in PACKAGES:
        folder = tmp_path / package
        folder.mkdir(parents=True)
        for each in (folder, *folder.relative_to(tmp_path).parents):
            if each != Path():
                (tmp_path / each / "__init__.py").touch()
    for name, text in SOUND.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_contracts_hold_here() -> None:
    code, said = lint(ROOT)
    assert code == 0, said


def test_a_sound_house_is_left_alone(house: Path) -> None:
    code, said = lint(house)
    assert code == 0, said


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        ("gateway/core/x.py", "from gateway.ports import south", "gateway.core is not allowed to import gateway.ports"),
        ("gateway/core/x.py", "import asyncio", "gateway.core is not allowed to import asyncio"),
        ("gateway/core/x.py", "import msgspec", "gateway.core is not allowed to import msgspec"),
        ("gateway/core/x.py", "from time import time", "gateway.core is not allowed to import time"),
        ("gateway/core/__init__.py", "import logging", "gateway.core is not allowed to import logging"),
        ("gateway/core/x.py", "from gateway.wire import sep2", "gateway.core is not allowed to import gateway.wire"),
        ("gateway/coordination/x.py", "import json", "gateway.coordination.x is not allowed to import json"),
        ("gateway/wire/sep2/x.py", "import ssl", "gateway.wire is not allowed to import ssl"),
        ("gateway/wire/sep2/x.py", "import asyncio", "gateway.wire is not allowed to import asyncio"),
        ("gateway/wire/x.py", "import gateway.core.orders", "gateway.wire is not allowed to import gateway.core"),
        ("gateway/runtime/x.py", "import gateway.wire.sep2", "gateway.runtime.x -> gateway.wire.sep2"),
        (
            "gateway/northbound/openadr_ven/x.py",
            "from gateway.northbound.sep2_client import link",
            "gateway.northbound.openadr_ven is not allowed to import gateway.northbound.sep2_client",
        ),
        (
            "gateway/southbound/sunspec_modbus/x.py",
            "from gateway.northbound import sep2_client",
            "gateway.southbound is not allowed to import gateway.northbound",
        ),
        (
            "gateway/southbound/sunspec_modbus/config.py",
            "import gateway.config",
            "gateway.southbound is not allowed to import gateway.config",
        ),
        (
            "gateway/northbound/x.py",
            "import gateway.store",
            "gateway.northbound is not allowed to import gateway.store",
        ),
        ("gateway/northbound/x.py", "import gateway.grid", "gateway.northbound is not allowed to import gateway.grid"),
        ("gateway/store/x.py", "import gateway.runtime", "gateway.store is not allowed to import gateway.runtime"),
        ("gateway/grid/client.py", "import numpy", "gateway is not allowed to import numpy"),
        ("gateway/config/x.py", "from scipy import sparse", "gateway is not allowed to import scipy"),
        ("gateway/cli/x.py", "import envoy_schema", "gateway is not allowed to import envoy_schema"),
        ("gateway/cli/demo.py", "import hil.sep2", "gateway is not allowed to import hil"),
        ("hil/sep2/x.py", "from gateway.wire import sep2", "hil is not allowed to import gateway"),
        ("gateway/helpers.py", "", "- gateway.helpers"),
    ],
)
def test_a_breach_is_named(module: str, text: str, said: str, house: Path) -> None:
    (house / module).write_text(f"{text}\n")
    code, words = lint(house)
    assert code == 1
    assert said in words
