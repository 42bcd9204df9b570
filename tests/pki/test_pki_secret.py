"""A secret file holds one secret, and nobody but its owner reads it."""

from pathlib import Path

import pytest

from gateway.pki import PkiFault
from gateway.pki.files import read_secret


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "vtn.secret"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_secret_is_what_the_file_holds_without_its_end_of_line(tmp_path: Path) -> None:
    assert read_secret(written(tmp_path, "s3cret\n")) == "s3cret"


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [("", 0o600, "is empty"), (" \n", 0o600, "is empty"), ("s", 0o640, "chmod 600"), ("s", 0o604, "chmod 600")],
)
def test_a_secret_that_cannot_be_used_is_a_fault_that_says_what_to_do(
    tmp_path: Path, text: str, mode: int, why: str
) -> None:
    with pytest.raises(PkiFault, match=why):
        read_secret(written(tmp_path, text, mode))


def test_a_secret_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(PkiFault, match="none"):
        read_secret(tmp_path / "none.secret")
