"""The public CSIP-AUS client procedures, each against our client over real TLS on a stepped clock."""

from pathlib import Path

import pytest
from conformance_page import NOT_APPLICABLE, NOT_YET, PAGE, PASSES, SOAKED, lines, main, page
from procedure_checks import Faults
from procedure_clock import Requests
from procedure_play import Play
from procedure_script import procedures
from procedure_server import CannotPlayError

from gateway.pki import issue

LONG = [pytest.mark.soak, pytest.mark.timeout(3600)]
PLAYED = [
    pytest.param(name, marks=LONG if name in SOAKED else ())
    for name, line in lines().items()
    if line.verdict != NOT_APPLICABLE
]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    issue.init(folder, ("gateway", "utility"))
    return folder


async def played(name: str, pki: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Give what is amiss with a procedure; what cannot be played is amiss too."""
    hopeless = lines()[name].verdict != PASSES
    try:
        return await Play(procedures()[name], pki, folder / "state", Requests(monkeypatch), hopeless=hopeless).run()
    except CannotPlayError as fault:
        return [str(fault)]


@pytest.mark.parametrize("name", PLAYED)
async def test_procedure(name: str, pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = await played(name, pki, tmp_path, monkeypatch)
    said = lines()[name]
    if said.verdict == PASSES:
        assert not faults, "\n".join(faults)
    else:
        assert said.verdict == NOT_YET
        assert faults, f"{name} passes now; take it out of verdicts.toml and write the page again"


def test_every_procedure_of_the_package_has_one_line() -> None:
    assert len(procedures()) == 86
    assert list(lines()) == list(procedures())
    written = page().splitlines()
    assert all(sum(row.startswith(f"| {name} |") for row in written) == 1 for name in procedures())
    assert all(line.why for line in lines().values() if line.verdict != PASSES)


def test_the_page_is_what_the_verdicts_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err
    assert PAGE.read_text(encoding="utf-8") == page()
