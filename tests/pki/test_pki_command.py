import argparse
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from forge import BAD_LEAVES, authority

from gateway.cli import certs
from gateway.pki import files, issue


def gateway(*words: object) -> int:
    parser = argparse.ArgumentParser(prog="gateway")
    certs.register(parser.add_subparsers(required=True))
    args = parser.parse_args(["certs", *map(str, words)])
    code: int = args.run(args)
    return code


def test_init_prints_who_got_a_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gateway("init", tmp_path, "--device", "roof", "--device", "wall", "--server", "utility") == 0
    trust, head, *rows = capsys.readouterr().out.splitlines()
    issued = issue.init(tmp_path, ["roof", "wall", "utility"])
    assert trust.split() == ["trust:", *(str(tmp_path / f"{stem}.pem") for stem in ("serca", "mca", "mica"))]
    assert head.split() == ["name", "LFDI", "SFDI"]
    assert [row.split()[:2] for row in rows] == [[one.name, one.lfdi] for one in issued.values()]
    assert [int(row.split()[2].replace("-", "")) for row in rows] == [one.sfdi for one in issued.values()]


def test_init_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gateway("init", tmp_path, "--device", "roof", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    roof = issue.init(tmp_path, ["roof"])["roof"]
    assert shown["trust"] == [str(tmp_path / f"{stem}.pem") for stem in ("serca", "mca", "mica")]
    assert shown["issued"] == [
        {
            "name": "roof",
            "lfdi": roof.lfdi,
            "sfdi": roof.sfdi,
            "certificate": str(tmp_path / "roof.pem"),
            "key": str(tmp_path / "roof.key"),
        }
    ]


def test_init_overwrites_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gateway("init", tmp_path, "--device", "roof")
    first = capsys.readouterr().out
    gateway("init", tmp_path, "--device", "roof")
    assert capsys.readouterr().out == first
    gateway("init", tmp_path, "--device", "roof", "--replace")
    assert capsys.readouterr().out != first


def test_init_with_a_bad_name_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gateway("init", tmp_path, "--device", "../roof") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("gateway certs: name '../roof': use up to 64 letters")
    assert shown.err.count("\n") == 1


def test_show_names_the_owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roof = issue.init(tmp_path, ["roof"])["roof"]
    assert gateway("show", tmp_path / "roof.pem", "--trust", tmp_path / "serca.pem", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["lfdi"] == roof.lfdi
    assert shown["sfdi"].replace("-", "") == f"{roof.sfdi:012d}"
    assert shown["expires"] == "9999-12-31T23:59:59Z"
    assert (shown["kind"], shown["chain"], shown["faults"]) == ("device or server", "judged", [])


@pytest.mark.parametrize("file", ["serca.pem", "mca.pem", "mica.pem"])
def test_show_judges_an_authority_as_one(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issue.init(tmp_path)
    assert gateway("show", tmp_path / file) == 0
    assert capsys.readouterr().out.startswith("kind     authority\n")


@pytest.mark.parametrize("fault", BAD_LEAVES.keys() - {"CA"})
def test_show_tells_each_fault(fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issue.init(tmp_path)
    forger, reason = BAD_LEAVES[fault]
    (tmp_path / "bad.der").write_bytes(forger(authority(tmp_path)).der)
    assert gateway("show", tmp_path / "bad.der") == 1
    faults = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fault ")]
    assert len(faults) == 1
    assert reason in faults[0]


def test_show_judges_the_chain_by_the_trust_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issue.init(tmp_path / "ours", ["roof"])
    issue.init(tmp_path / "theirs")
    roof = tmp_path / "ours" / "roof.pem"
    assert gateway("show", roof) == 0
    alone = "this certificate alone was looked at: its form, dates and policies, and not who signed it"
    assert f"chain    not judged; give --trust FILE ({alone})\n" in capsys.readouterr().out
    assert gateway("show", roof, "--trust", tmp_path / "ours" / "serca.pem") == 0
    up = "by good signatures, dates and policies up to a root in the files of --trust\n"
    assert f"chain    judged: it leads {up}" in capsys.readouterr().out
    assert gateway("show", roof, "--trust", tmp_path / "theirs" / "serca.pem") == 1
    said = capsys.readouterr().out
    assert "is not in the trust files" in said
    assert f"chain    judged: with the faults below; it has to lead {up}" in said


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\n"])
def test_show_of_no_certificate_is_bad_input(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.pem"
    if content is not None:
        file.write_bytes(content)
    assert gateway("show", file) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"gateway certs: certificate file {file}: ")
    assert shown.err.count("\n") == 1


def test_show_admits_test_policies_when_told(tmp_path: Path) -> None:
    issue.init(tmp_path)
    leaf = BAD_LEAVES["test policy"][0](authority(tmp_path))
    (tmp_path / "test.pem").write_bytes(leaf.certificate.public_bytes(Encoding.PEM))
    assert gateway("show", tmp_path / "test.pem") == 1
    assert gateway("show", tmp_path / "test.pem", "--test-policies") == 0


@pytest.mark.parametrize("words", [[], ["init"], ["show"], ["shout", "x"]])
def test_wrong_words_are_wrong_use(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        gateway(*words)
    assert end.value.code == 2
    assert "usage: gateway certs" in capsys.readouterr().err


def test_the_leaf_is_what_a_chain_file_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roof = issue.init(tmp_path, ["roof"])["roof"]
    assert len(files.read_certificates(roof.certificate)) == 3
    assert gateway("show", roof.certificate) == 0
    assert f"LFDI     {roof.lfdi}\n" in capsys.readouterr().out
