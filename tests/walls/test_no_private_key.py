"""No private key is ever in the repository: what git holds is looked through, by name and by content."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

ROOT = Path(__file__).parents[2]
BEGIN, END = b"-----BEGIN ", b"-----END "
PEM = re.compile(BEGIN + rb"([A-Z ]*PRIVATE KEY)-----(.*?)" + END + rb"\1-----", re.DOTALL)
KEY_NAMES = re.compile(r"\.(key|p12|pfx|jks|p8)$|(^|/)id_(rsa|ecdsa|ed25519)$")


def git(*words: str) -> subprocess.CompletedProcess[bytes]:
    command = shutil.which("git")
    if command is None or not (ROOT / ".git").exists():
        pytest.skip("no git, or no checkout: there is nothing that git holds")
    words = (command, "-c", "safe.directory=*", *words)
    return subprocess.run(words, cwd=ROOT, capture_output=True, check=False, timeout=60)


def held() -> list[Path]:
    """Give every file that git holds, or would with the next commit."""
    done = git("ls-files", "-z")
    assert done.returncode == 0, done.stderr
    listed = done.stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def keys_in(content: bytes) -> list[bytes]:
    """Give the private keys in PEM that can be read, or would be with a pass phrase; made-up ones are none."""
    found = []
    for match in PEM.finditer(content.replace(b"\\n", b"\n")):
        try:
            load_pem_private_key(match.group(), password=None)
        except TypeError:
            found.append(match.group(1))
        except ValueError:
            continue
        else:
            found.append(match.group(1))
    return found


def test_no_file_that_git_holds_is_or_contains_a_private_key() -> None:
    files = held()
    assert len(files) > 100
    assert [str(path) for path in files if KEY_NAMES.search(path.name)] == []
    assert [str(path) for path in files if keys_in(path.read_bytes())] == []


def test_a_key_would_be_found() -> None:
    made = ec.generate_private_key(ec.SECP256R1())
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        pem = made.private_bytes(Encoding.PEM, form, NoEncryption())
        assert keys_in(b"x = '''" + pem + b"'''")
        assert keys_in(pem.replace(b"\n", b"\\n")), "in a string of one line as well"
    assert KEY_NAMES.search("gateway.key")
    assert keys_in(BEGIN + b"PRIVATE KEY-----\nAAAA\n" + END + b"PRIVATE KEY-----\n") == []


def test_the_names_of_keys_are_ignored_by_git() -> None:
    for name in ("pki/gateway.key", "pki/gateway.new.key", "pki/gateway.old.key", "pki/authority/serca.key"):
        assert git("check-ignore", "-q", name).returncode == 0, name
