"""A test authority: SERCA, MCA, MICA and device certificates by the profile of IEEE 2030.5-2018, 6.11.

Its authorities' keys lie unencrypted on disk: it serves demonstrations and tests, not a field.
"""

import datetime as dt
import fcntl
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.pki import PkiFault, files, hardware_module, identity, profile

SERCA: Final = "serca.pem"
MCA: Final = "mca.pem"
MICA: Final = "mica.pem"
AUTHORITY_KEYS: Final = "authority"
ORGANIZATION: Final = "Laminar Gateway test PKI"
FOREVER: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
HW_TYPE: Final = "1.3.6.1.4.1.32473.1"  # the enterprise number kept for examples (RFC 5612)

_CLOCK_SLACK = dt.timedelta(days=1)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = frozenset({"serca", "mca", "mica"})
_DEVICE_POLICIES = (profile.GENERIC_DEVICE, profile.MOBILE_DEVICE, profile.POST_MANUFACTURE)


@dataclass(frozen=True, slots=True)
class Issued:
    """A device or server that has a certificate: its files and its identifiers."""

    name: str
    certificate: Path
    key: Path
    lfdi: str
    sfdi: int


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: Path


def init(directory: Path, names: Iterable[str] = (), *, replace: bool = False) -> dict[str, Issued]:
    """Make the authorities of a directory and a certificate for each name, where they are missing.

    What exists is kept; `replace` issues the named certificates anew (a new certificate is a new LFDI) and never
    touches an authority. Key files are readable by their owner alone. Raises PkiFault when a name is no file name, a
    file cannot be used or written, or a certificate stands without its key. Source: IEEE 2030.5-2018, 6.11.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
            raise PkiFault(f"name {name!r}: use up to 64 letters, digits, dots, hyphens; not serca, mca or mica")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / AUTHORITY_KEYS).mkdir(mode=0o700, exist_ok=True)
        with _alone(directory):
            authorities = _authorities(directory)
            return {name: _device(directory, name, authorities, replace) for name in wanted}
    except OSError as fault:
        raise PkiFault(
            f"{fault.filename or directory}: cannot be written ({fault.strerror}); choose another"
        ) from fault


def _authorities(directory: Path) -> list[_Authority]:
    """Give SERCA, MCA and MICA, made where missing."""
    paths = [directory / SERCA, directory / MCA, directory / MICA]
    present = [path.exists() for path in paths]
    if present != sorted(present, reverse=True):
        gone = paths[present.index(False)]
        raise PkiFault(f"{gone}: is gone while what it signed is there; restore it or use another directory")
    made: list[_Authority] = []
    for path, depth in zip(paths, (None, 1, 0), strict=True):
        key = directory / AUTHORITY_KEYS / f"{path.stem}.key"
        if not path.exists():
            certificate = _authority_certificate(path.stem.upper(), depth, _key(key), made[-1] if made else None)
            files.write_whole(path, _pem(certificate), files.READABLE)
        made.append(_Authority(files.read_certificates(path)[0], key))
    return made


def _authority_certificate(
    title: str, depth: int | None, key: ec.EllipticCurvePrivateKey, above: _Authority | None
) -> x509.Certificate:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{title} {secrets.token_hex(3)}"),
        ]
    )
    policies = _DEVICE_POLICIES if above else (profile.ANY_POLICY,)
    builder = (
        _builder(subject, above.certificate.subject if above else subject, key, policies)
        .add_extension(x509.BasicConstraints(ca=True, path_length=depth), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if above is None:
        return builder.sign(key, SHA256())
    return builder.add_extension(_authority_key(above), critical=False).sign(_signing_key(above), SHA256())


def _device(directory: Path, name: str, authorities: list[_Authority], replace: bool) -> Issued:
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    _, mca, mica = authorities
    if certificate.exists() and not key.exists() and not replace:
        raise PkiFault(f"{certificate}: its key {key.name} is gone; restore it or issue both anew with --replace")
    if replace or not certificate.exists():
        private = ec.generate_private_key(ec.SECP256R1()) if replace else _key(key)
        leaf = _device_certificate(name, private, mica)
        if replace:
            _write_key(key, private)
        chain = b"".join(map(_pem, (leaf, mica.certificate, mca.certificate)))
        files.write_whole(certificate, chain, files.READABLE)
    leaf = files.read_pair(certificate, key)[0][0]
    lfdi = identity.lfdi(leaf.public_bytes(Encoding.DER))
    return Issued(name, certificate, key, lfdi, identity.sfdi(lfdi))


def _device_certificate(name: str, key: ec.EllipticCurvePrivateKey, mica: _Authority) -> x509.Certificate:
    module = hardware_module.encode(hardware_module.HardwareModule(HW_TYPE, name.encode()))
    alternative = x509.SubjectAlternativeName([x509.OtherName(profile.HARDWARE_MODULE_NAME, module)])
    return (
        _builder(x509.Name([]), mica.certificate.subject, key, (profile.GENERIC_DEVICE,))
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(alternative, critical=True)
        .add_extension(_authority_key(mica), critical=False)
        .sign(_signing_key(mica), SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    policies: Iterable[x509.ObjectIdentifier],
) -> x509.CertificateBuilder:
    information = [x509.PolicyInformation(policy, None) for policy in policies]
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(FOREVER)
        .add_extension(x509.CertificatePolicies(information), critical=True)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(above: _Authority) -> x509.AuthorityKeyIdentifier:
    identifier = above.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _signing_key(authority: _Authority) -> ec.EllipticCurvePrivateKey:
    key = files.read_key(authority.key)
    if key.public_key() != authority.certificate.public_key():
        raise PkiFault(f"key file {authority.key}: is not that of its authority; restore the right one")
    return key


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Give the key of a file, made where missing: one left without its certificate by a broken run is used again."""
    if path.exists():
        return files.read_key(path)
    key = ec.generate_private_key(ec.SECP256R1())
    _write_key(path, key)
    return key


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files.write_whole(path, pem, files.OWNER_ONLY)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the directory against another run of this command."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
