"""Every entry of the bad-input catalogue has tests named after it, at each end that it names."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CATALOGUE = tomllib.loads((ROOT / "tests/walls/bad_input_catalogue.toml").read_text())
TESTS: dict[str, str] = CATALOGUE.pop("tests")
LEAST = {"xml": 25, "semantics": 30, "tls": 30}


def slug(name: str) -> str:
    """Give a name as it reads in that of a test."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def named_after(entry: str, at: str, collected: list[str]) -> list[str]:
    """Give the collected tests of a file, or a function of it, whose own name or case bears that of an entry."""
    words = re.compile(rf"(^|_){slug(entry)}(_|$)")
    here = [node for node in collected if node.partition("[")[0] == at or node.partition("::")[0] == at]
    return [node for node in here if words.search(slug(node.partition("::")[2]))]


def lacking(collected: list[str]) -> list[str]:
    """Name each entry that has no test where the catalogue says that it has one."""
    return [
        f"{part}: {entry}: nothing in {TESTS[where]}"
        for part, entries in CATALOGUE.items()
        for entry, places in entries.items()
        for where in places
        if not named_after(entry, TESTS[where], collected)
    ]


def looked_up() -> list[str]:
    """Give all tests of the files that the catalogue names."""
    files = sorted({where.partition("::")[0] for where in TESTS.values()})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_the_catalogue_is_tested(request: pytest.FixtureRequest) -> None:
    """See that nothing lacks: in this run, where it is of everything, else among all that there is."""
    if lacking([item.nodeid for item in request.session.items]):
        assert lacking(looked_up()) == []


def test_the_catalogue_is_whole() -> None:
    assert CATALOGUE.keys() == LEAST.keys()
    for part, least in LEAST.items():
        assert len(CATALOGUE[part]) >= least
        assert all(CATALOGUE[part].values()), "each entry has a place"
    used = {where for entries in CATALOGUE.values() for places in entries.values() for where in places}
    assert used == TESTS.keys()


def test_an_entry_without_a_test_is_seen() -> None:
    nodes = ["tests/a.py::test_all[billion laughs]", "tests/a.py::test_depth_is_refused", "tests/b.py::test_depth"]
    assert named_after("billion laughs", "tests/a.py::test_all", nodes) == nodes[:1]
    assert named_after("depth", "tests/a.py", nodes) == nodes[1:2]
    assert named_after("depth", "tests/a.py::test_all", nodes) == []
    assert named_after("laugh", "tests/a.py", nodes) == []
