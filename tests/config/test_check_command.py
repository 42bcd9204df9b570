"""`gateway check`: what it prints, and where, and how it ends."""

import argparse
import json
from pathlib import Path

import pytest
from example_site import SITE, TABLES

from gateway.cli import check
from gateway.config import check as text_check

PKI = ("gateway.pem", "gateway.key", "serca.pem", "mca.pem")
SPEAKING = (
    SITE.replace("limit_parent = true", 'limit_parent = true\ntoken_file = "dso.token"').replace(
        'tier = "bulk"', 'tier = "bulk"\ntoken_file = "market.token"'
    )
    + "[local_api]\nport = 9641\n"
)


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
    (tmp_path / "pki").mkdir()
    for name in PKI:
        (tmp_path / "pki" / name).touch()
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
    assert json.loads(capsys.readouterr().out) == {"site": str(site), "ok": True, "faults": [], "warnings": []}
    site.write_text(SITE.replace("level = 7", "level = 0"))
    assert ended(str(site), "--json") == 2
    assert json.loads(capsys.readouterr().out) == {
        "warnings": [],
        "site": str(site),
        "ok": False,
        "faults": [{"file": str(site), "line": 23, "where": "grant 2", "what": '"level" is 0; it must be 1 to 8'}],
    }


@pytest.mark.parametrize(
    ("name", "line", "key"), [("gateway.pem", 68, "certificate"), ("gateway.key", 69, "key"), ("mca.pem", 72, "trust")]
)
def test_a_file_that_is_not_there_is_a_fault(
    name: str, line: int, key: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = site.parent / "pki" / name
    path.unlink()
    assert ended(str(site)) == 2
    why = "cannot be read: No such file or directory; put it there, or correct the path"
    assert capsys.readouterr() == ("", f'{site}:{line}: sep2_client 1: "{key}": {path}: {why}\n')


@pytest.mark.parametrize(
    ("token", "mode", "what"),
    [
        (None, 0o600, "the token cannot be read: No such file or directory; make one"),
        ("short", 0o600, "a token is one word of at least 16 characters; make one"),
        ("0123456789abcdef", 0o640, "others can read this token; run chmod 600 on it, or make one"),
        ("the-dso-speaks-for-itself", 0o600, "party 'dso' shows the same token; give each party its own"),
        ("0123456789abcdef", 0o600, None),
    ],
)
def test_a_token_that_cannot_be_used_is_a_fault(
    token: str | None, mode: int, what: str | None, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write_text(SPEAKING)
    own, other = site.parent / "dso.token", site.parent / "market.token"
    own.write_text("the-dso-speaks-for-itself\n")
    own.chmod(0o600)
    if token is not None:
        other.write_text(token)
        other.chmod(mode)
    assert ended(str(site)) == (0 if what is None else 2)
    make = f"openssl rand -hex 16 > {other} && chmod 600 {other}"
    said = "" if what is None else f'{site}:13: party "market": "token_file": {other}: {what}: {make}\n'
    assert capsys.readouterr().err == said


def test_the_text_alone_needs_no_file(tmp_path: Path) -> None:
    assert text_check(SPEAKING, str(tmp_path / "site.toml"), TABLES).faults == ()


def test_two_devices_at_one_address_are_a_fault(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.write_text(SITE.replace("port = 5021", "port = 502"))
    assert ended(str(site)) == 2
    said = 'device "roof-1" on line 50 has this address already (127.0.0.1, port 502, unit 1); give each device its own'
    assert capsys.readouterr().err == f'{site}:58: device "roof-2" sunspec_modbus: {said}\n'
