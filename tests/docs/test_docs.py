"""What the documents say can be typed in is typed in here."""

import argparse
import re
from pathlib import Path

import pytest

from gateway.cli import parser
from gateway.config import check
from gateway.runtime import wiring

ROOT = Path(__file__).parents[2]
STARTED = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
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


def commands() -> list[str]:
    lines = [line for block in blocks(STARTED, "") for line in block.splitlines()]
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
