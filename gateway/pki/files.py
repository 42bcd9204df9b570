"""Certificate and key files: read with one clear line for every fault, written whole or not at all."""

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.pki import PkiFault

OWNER_ONLY = 0o600
READABLE = 0o644
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises, at reading or only when a part is asked for, of a certificate that it cannot read."""


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Read all certificates of a PEM file, or the one of a DER file, in their order.

    Raises PkiFault when the file is missing, unreadable or holds none.
    """
    return certificates_of(read_bytes(path, "certificate"), path)


def certificates_of(content: bytes, path: Path) -> list[x509.Certificate]:
    """Read all certificates of PEM, or the one of DER, in their order; raises PkiFault, which names the path."""
    try:
        if b"-----BEGIN" in content:
            certificates = x509.load_pem_x509_certificates(content)
        else:
            certificates = [x509.load_der_x509_certificate(content)]
        for certificate in certificates:
            _ = certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key()
    except UNREADABLE as fault:
        raise PkiFault(f"certificate file {path}: holds no readable certificate; give PEM or DER") from fault
    return certificates


def read_secret(path: Path) -> str:
    """Read the one secret of a file, without what is around it.

    Raises PkiFault when the file is missing, unreadable, empty, or readable by others than its owner.
    """
    text = read_bytes(path, "secret").decode(errors="replace").strip()
    if not text:
        raise PkiFault(f"secret file {path}: is empty; write the secret into it")
    require_private(path, "secret")
    return text


def require_private(path: Path, kind: str = "key") -> None:
    """Raise PkiFault where others than its owner may read a file of secrets, or where it is not there."""
    try:
        mode = path.stat().st_mode
    except OSError as fault:
        raise PkiFault(f"{kind} file {path}: cannot be read ({fault.strerror}); correct the path") from fault
    if mode & (READABLE & ~OWNER_ONLY):
        raise PkiFault(f"{kind} file {path}: others may read it; chmod 600 it")


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read the private key of a PEM file.

    Raises PkiFault when the file is missing, unreadable, encrypted or holds no EC key.
    """
    return key_of(read_bytes(path, "key"), path)


def key_of(content: bytes, path: Path) -> ec.EllipticCurvePrivateKey:
    """Read the private key of PEM; raises PkiFault, which names the path, when it is encrypted or no EC key."""
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as fault:
        raise PkiFault(f"key file {path}: is encrypted; a daemon cannot ask, store it without a pass phrase") from fault
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise PkiFault(f"key file {path}: holds no readable private key; give a PEM file") from fault
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiFault(f"key file {path}: is no EC key; IEEE 2030.5 needs one on curve P-256")
    return key


def read_pair(certificate: Path, key: Path) -> tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]:
    """Read a certificate file (leaf first) and its key; raises PkiFault when they do not belong together."""
    chain = read_certificates(certificate)
    private = read_key(key)
    require_pair(chain, certificate, private, key)
    return chain, private


def require_pair(
    chain: Sequence[x509.Certificate], certificate: Path, private: ec.EllipticCurvePrivateKey, key: Path
) -> None:
    """Raise PkiFault, which names both files, where a key is not that of the leaf or is not on curve P-256."""
    if chain[0].public_key() != private.public_key():
        raise PkiFault(f"key file {key}: is not the key of {certificate}; give the pair that was issued together")
    if not isinstance(private.curve, ec.SECP256R1):
        raise PkiFault(f"key file {key}: is on curve {private.curve.name}; IEEE 2030.5 needs P-256, issue a new pair")


def read_trust(trust: Path | Sequence[Path]) -> list[x509.Certificate]:
    """Read the certificates of all trust files; raises PkiFault when none of them is a root (self-signed)."""
    paths = [trust] if isinstance(trust, Path) else trust
    certificates = [certificate for path in paths for certificate in read_certificates(path)]
    require_root(certificates, paths)
    return certificates


def require_root(certificates: Sequence[x509.Certificate], paths: Sequence[Path]) -> None:
    """Raise PkiFault, which names the trust files, when none of their certificates is a root (self-signed)."""
    if not any(certificate.subject == certificate.issuer for certificate in certificates):
        named = ", ".join(map(str, paths)) or "no file"
        raise PkiFault(f"trust ({named}): holds no root certificate; add the SERCA of the peer")


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Write a file that is either wholly there, durable and of this mode, or not there at all; raises OSError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold a directory against another run that changes what is in it; raises OSError where it is none."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_bytes(path: Path, kind: str) -> bytes:
    """Read a file whole; raises PkiFault, which says of which kind it is and what to do."""
    try:
        return path.read_bytes()
    except FileNotFoundError as fault:
        raise PkiFault(f'{kind} file {path}: no such file; correct the path or run "gateway certs init"') from fault
    except OSError as fault:
        raise PkiFault(f"{kind} file {path}: cannot be read ({fault.strerror}); correct its permissions") from fault
