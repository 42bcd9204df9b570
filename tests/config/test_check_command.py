"""`gateway check`: what it prints, and where, and how it ends."""

import argparse
import json
from pathlib import Path

import pytest
from example_site import SITE, TABLES

from gateway.cli import check


def ended(*arguments: str) -> int:
    parser = argparse.ArgumentParser(prog="gateway")
    check.register(parser.add_subparsers(), TABLES)
    known = parser.parse_args(["check", *arguments])
    code: int = known.run(known)
    return code


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    return path


def test_a_clean_file_prints_one_line_and_ends_with_0(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(str(site)) == 0
    assert capsys.readouterr() == (f"{site}: no fault: 2 parties, 2 grants, 2 resources, 2 devices\n", "")


def test_every_fault_goes_to_standard_error_and_ends_with_2(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.write_text(SITE.replace("port = 5021", "prot = 5021").replace("level = 7", "level = 0"))
    assert ended(str(site)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f'{site}:23: grant 2: "level" is 0; it must be 1 to 8',
        f'{site}:51: device "roof-1" sunspec_modbus: unknown key "prot"; did you mean "port"?',
    ]


def test_json_says_the_same(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(str(site), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"site": str(site), "ok": True, "faults": []}
    site.write_text(SITE.replace("level = 7", "level = 0"))
    assert ended(str(site), "--json") == 2
    assert json.loads(capsys.readouterr().out) == {
        "site": str(site),
        "ok": False,
        "faults": [{"file": str(site), "line": 23, "where": "grant 2", "what": '"level" is 0; it must be 1 to 8'}],
    }
