"""The walls hold in this repository, and each of them is heard when it breaks."""

import subprocess
from pathlib import Path

import pytest
import source_walls
from source_walls import Wall

ROOT = Path(__file__).parents[2]
WALLS = [
    source_walls.only_the_guard_clears,
    source_walls.decisions_see_no_clock,
    source_walls.decisions_name_no_protocol,
    source_walls.decisions_use_whole_numbers,
    source_walls.decisions_walk_no_set,
    source_walls.adapters_look_alike,
    source_walls.meaning_turns_in_translate,
    source_walls.files_are_short,
    source_walls.no_key_is_published,
    source_walls.words_belong,
]
PEM = "-----BEGIN EC " + f"PRIVATE KEY-----\n{'MHcCAQEE' * 8}\n"
SOUND = {
    "gateway/core/guard.py": "class Cleared: ...\n\ndef clear() -> Cleared:\n    return Cleared()\n",
    "gateway/core/plan.py": (
        "def shares(total_w: int, parts: list[int], taken: set[int]) -> list[int]:\n"
        "    fresh = {part for part in parts if part not in taken}\n"
        "    return [total_w // len(fresh) for part in sorted(fresh)]\n"
    ),
    "gateway/northbound/sample/__init__.py": "",
    "gateway/northbound/sample/link.py": "from gateway.wire import sample\nfrom gateway.core.known import Known\n",
    "gateway/northbound/sample/translate.py": "from gateway.wire import sample\nfrom gateway.core import orders\n",
    "gateway/northbound/sample/config.py": "",
    "gateway/northbound/sample/README.md": "Its limits. See the network's page at https://example.org/work/\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)  # noqa: S607 - git as the developer has it
    for name, text in SOUND.items():
        plant(tmp_path, name, text)
    return tmp_path


def plant(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("wall", WALLS, ids=lambda wall: wall.__name__)
def test_the_wall_holds_here(wall: Wall) -> None:
    assert wall(ROOT) == []


@pytest.mark.parametrize("wall", WALLS, ids=lambda wall: wall.__name__)
def test_a_sound_tree_is_left_alone(wall: Wall, tree: Path) -> None:
    assert wall(tree) == []


BREACHES = [
    (source_walls.only_the_guard_clears, "gateway/runtime/x.py", line)
    for line in (
        "c = Cleared(key, command, 1, 2)",
        "c = guard.Cleared(key, command, 1, 2)",
        "c = object.__new__(Cleared)",
        "from gateway.core.guard import Cleared as Passed",
        "from gateway.core.guard import _KEY",
        "c = cast(Cleared, command)",
        "c = cast('Cleared', command)",
        "Passed = guard.Cleared",
        "class Passed(Cleared): ...",
    )
]
BREACHES += [
    (source_walls.decisions_see_no_clock, "gateway/core/x.py", line)
    for line in (
        "now = datetime.now(UTC)",
        "import time",
        "from random import random",
        "start = clock.monotonic()",
        "rank = hash(order)",
        "file = open(path)",
    )
]
BREACHES += [
    (source_walls.decisions_see_no_clock, "gateway/coordination/x.py", "now = date.today()"),
]
BREACHES += [
    (source_walls.decisions_use_whole_numbers, "gateway/core/x.py", line)
    for line in (
        "half = 0.5",
        "half = total_w / 2",
        "total_w /= 2",
        "scaled = value * 10 ** scale",
        "scaled = pow(10, scale)",
        "share = float(total_w)",
        "def f(share: float) -> None: ...",
    )
]
BREACHES += [
    (source_walls.decisions_walk_no_set, "gateway/core/x.py", line)
    for line in (
        "for each in {1, 2}: f(each)",
        "for each in set(orders): f(each)",
        "[each for each in {f(x) for x in orders}]",
        "beaten = set(orders)\nfor each in beaten: f(each)",
        "def f(beaten: set[int]) -> list[int]:\n    return list(beaten)",
        "def f(beaten: frozenset[int]) -> list[int]:\n    return [*beaten]",
        "class State:\n    dirty: set[str]\ndef f(state: State) -> None:\n    for each in state.dirty: ...",
        "for each in set(a) - b: f(each)",
        "for each in a.union(b): f(each)",
        "dirty = set(a)\nfirst = dirty.pop()",
        "dirty = set(a)\ntext = ', '.join(dirty)",
    )
]
BREACHES += [
    (source_walls.decisions_name_no_protocol, "gateway/core/x.py", line)
    for line in (
        "def sep2_rank(primacy: int) -> int:\n    return primacy",
        "why = 'refused over MQTT'",
        "from gateway.core.openadr import events",
        "def f(sunspec_model: int) -> None: ...",
        "class ModbusUnit: ...",
    )
]
BREACHES += [
    (source_walls.adapters_look_alike, "gateway/southbound/sample/__init__.py", ""),
    (
        source_walls.meaning_turns_in_translate,
        "gateway/northbound/sample/link.py",
        "from gateway.core.orders import Order",
    ),
    (source_walls.meaning_turns_in_translate, "gateway/northbound/sample/link.py", "from gateway.core import orders"),
    (
        source_walls.meaning_turns_in_translate,
        "gateway/northbound/sample/polls.py",
        "from gateway.wire.sep2 import codes\nimport gateway.core.observe",
    ),
    (source_walls.meaning_turns_in_translate, "gateway/northbound/sample/curves.py", "import asyncio"),
    (source_walls.files_are_short, "hil/long.py", "x = 1\n" * 500),
    (source_walls.no_key_is_published, "certs/gateway.pem", PEM),
    (source_walls.no_key_is_published, "tests/keys.py", f"KEY = {PEM!r}\n"),
    (source_walls.no_key_is_published, "tests/keys.py", "KEY = (\n    b'" + PEM.replace("\n", "\\n'\n    b'") + "')\n"),
    (source_walls.words_belong, "docs/page.md", "Look into /" + "work/main.\n"),
    (source_walls.words_belong, "hil/x.py", "log = '/" + "tmp/bash_jobs.0/3/stdout'\n"),
]


@pytest.mark.parametrize(("wall", "name", "text"), BREACHES)
def test_a_breach_is_named(wall: Wall, name: str, text: str, tree: Path) -> None:
    plant(tree, name, text)
    found = wall(tree)
    assert found
    assert all(place.startswith((name, f"{Path(name).parent.as_posix()}:")) for place in found)


def test_what_git_ignores_is_not_judged(tree: Path) -> None:
    plant(tree, ".gitignore", "*.key\n")
    plant(tree, "state/gateway.key", PEM)
    assert source_walls.no_key_is_published(tree) == []
