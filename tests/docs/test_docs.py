"""What the documents say can be typed in is typed in here."""

import argparse
import re
from pathlib import Path

import msgspec
import pytest

from gateway.cli import parser
from gateway.config import check
from gateway.runtime import wiring
from hil.openadr.stage import VtnIssue
from hil.scenario import Issue, Scenario, Step, load

ROOT = Path(__file__).parents[2]
STARTED = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
BENCH = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
CERTIFICATES = (ROOT / "docs" / "certificates.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text: str, kind: str) -> list[str]:
    """Give the fenced blocks of one kind."""
    return [
        block for found, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) if found == kind
    ]


def test_the_site_file_of_getting_started_has_no_fault() -> None:
    (site,) = blocks(STARTED, "toml")
    checked = check(site, "site.toml", wiring.TABLES)
    assert checked.faults == ()
    assert checked.site is not None
    assert checked.site.devices[0].name == "roof-1"


def test_the_scenario_of_the_bench_can_be_played(tmp_path: Path) -> None:
    (text,) = blocks(BENCH, "toml")
    file = tmp_path / "house.toml"
    file.write_text(text)
    assert [step.given for step in load(file).steps] == [("issue",), ("proof",)]


def keys(table: type[msgspec.Struct]) -> set[str]:
    """Give the keys of a table of a scenario and of the tables in it; of a step none but its own."""
    found = set()
    for field in msgspec.structs.fields(table):
        found.add(field.encode_name)
        for inner in getattr(field.type, "__args__", ()) if table is not Step else ():
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                found |= keys(inner)
    return found


def test_the_bench_page_names_every_key_of_a_scenario() -> None:
    missing = {
        key
        for table in (Scenario, Issue, VtnIssue)
        for key in keys(table)
        if f"`{key}`" not in BENCH and f"[[{key}]]" not in BENCH and f".{key}]]" not in BENCH
    }
    assert missing == set()


def commands() -> list[str]:
    lines = [
        line for text in (STARTED, BENCH, CERTIFICATES) for block in blocks(text, "") for line in block.splitlines()
    ]
    return [line for line in lines if line.startswith("gateway ")]


def test_getting_started_shows_every_kind_of_command() -> None:
    assert {line.split()[1] for line in commands()} >= {"certs", "check", "run", "explain", "replay"}


@pytest.mark.parametrize("line", commands())
def test_every_command_of_getting_started_is_one(line: str) -> None:
    arguments = parser().parse_args(line.split()[1:])
    assert arguments.command == line.split()[1]


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    made = parser()
    (choices,) = (action.choices for action in made._actions if isinstance(action, argparse._SubParsersAction))
    assert [name for name in choices if f"`gateway {name}" not in readme] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_readme_is_two_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 80
