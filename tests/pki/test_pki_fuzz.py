"""Certificates with octets changed, cut and put in: judged, never broken over, and none of them is accepted."""

import random
import warnings
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

from gateway.pki import files, issue, profile

CASES = 2_000


def der(path: Path) -> bytes:
    return files.read_certificates(path)[0].public_bytes(Encoding.DER)


def spoilt(whole: bytes, draw: random.Random) -> bytes:
    """Change, cut or put in a few octets, so that it is not what it was."""
    octets = bytearray(whole)
    while bytes(octets) == whole:
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(octets))
            match draw.randrange(4):
                case 0:
                    del octets[at : at + draw.randint(1, 4)]
                case 1:
                    octets[at:at] = draw.randbytes(draw.randint(1, 4))
                case _:
                    octets[at] = draw.randrange(256)
    return bytes(octets)


@pytest.mark.parametrize("shown", [1, 2])
def test_a_spoilt_certificate_is_refused_in_lines(shown: int, tmp_path: Path) -> None:
    issue.init(tmp_path, ["roof"])
    trust = [files.read_certificates(tmp_path / f"{name}.pem")[0] for name in ("serca", "mca", "mica")]
    leaf, mica = der(tmp_path / "roof.pem"), der(tmp_path / "mica.pem")
    assert profile.check_peer([leaf, mica], trust) == []
    draw = random.Random(509)  # noqa: S311 - chooses where to break a certificate
    with warnings.catch_warnings(action="ignore", category=CryptographyDeprecationWarning):
        for _ in range(CASES):
            chain = [spoilt(leaf, draw), spoilt(mica, draw)][:shown]
            reasons = profile.check_peer(chain, trust)
            assert reasons
            assert all("\n" not in reason for reason in reasons)
