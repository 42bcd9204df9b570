"""An authority of one's own: SERCA, MCA, MICA and device certificates by the profile of IEEE 2030.5-2018, 6.11.

Its authorities' keys lie unencrypted on disk: it serves demonstrations, tests and field trials whose authority stays on
one guarded machine, not a fleet.
"""

import datetime as dt
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.pki import PkiFault, files, hardware_module, identity, profile, requests

SERCA: Final = "serca.pem"
MCA: Final = "mca.pem"
MICA: Final = "mica.pem"
SHORT_MICA: Final = "mica-of-serca.pem"
"""A MICA right below the SERCA, for chains of three; made when first asked for."""
CHAINS: Final = (2, 3, 4)
"""Certificates in a chain, root and device included (IEEE 2030.5-2018, 6.11)."""
AUTHORITY_KEYS: Final = "authority"
ORGANIZATION: Final = "Laminar Gateway test PKI"
FOREVER: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
HW_TYPE: Final = "1.3.6.1.4.1.32473.1"  # the enterprise number kept for examples (RFC 5612)

_CLOCK_SLACK = dt.timedelta(days=1)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = frozenset({"serca", "mca", "mica", "mica-of-serca"})
_DEVICE_POLICIES = (profile.GENERIC_DEVICE, profile.MOBILE_DEVICE, profile.POST_MANUFACTURE)


@dataclass(frozen=True, slots=True)
class Issued:
    """A device or server that has a certificate: its files, its identifiers, and whether it was there before."""

    name: str
    certificate: Path
    key: Path
    lfdi: str
    sfdi: int
    kept: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Answered:
    """A certificate for a request: its file and its identifiers; the key stays where it was made."""

    name: str
    certificate: Path
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
        _require_name(name)
    with _in(directory):
        authorities = _authorities(directory)
        return {name: _device(directory, name, authorities[::-1], FOREVER, replace) for name in wanted}


def issue(
    directory: Path,
    name: str,
    *,
    days: int | None = None,
    chain: int = 4,
    replace: bool = False,
) -> Issued:
    """Issue one certificate, and the key for it, below the authorities of a directory.

    `days` is how long it lasts; without, it never ends, as 6.11 has it. `chain` counts its certificates from the root
    (2..4): below the SERCA itself, below a MICA of the SERCA, or below MCA and MICA. A certificate that exists is kept
    unless `replace`. Raises PkiFault when the directory holds no authority, or a file cannot be used or written.
    """
    end = _require_issuable(directory, name, days, chain)
    with _in(directory):
        return _device(directory, name, _signers(directory, chain), end, replace)


def answer(
    directory: Path, name: str, request: Path, *, days: int | None = None, chain: int = 4, replace: bool = False
) -> Answered:
    """Issue the certificate that a request asks for, with the device name in it, or `name` where it bears none.

    Raises PkiFault when the request is not fit, or there is a certificate and it is not to be replaced. Otherwise as
    `issue`.
    """
    end = _require_issuable(directory, name, days, chain)
    asked = requests.read(request)
    key = requests.key_of(asked, request)
    module = requests.hardware_module_of(asked) or hardware_module.HardwareModule(HW_TYPE, name.encode())
    certificate = directory / f"{name}.pem"
    with _in(directory):
        if (directory / f"{name}.key").exists():
            raise PkiFault(f"{directory / name}.key: is the key of another {name}, made here; take another name")
        if certificate.exists() and not replace:
            raise PkiFault(f"{certificate}: is there already; take another name, or replace it with --replace")
        signers = _signers(directory, chain)
        leaf = _device_certificate(module, key, signers[0], end)
        files.write_whole(certificate, b"".join(map(_pem, (leaf, *_shown(signers)))), files.READABLE)
    lfdi = identity.lfdi(leaf.public_bytes(Encoding.DER))
    return Answered(name, certificate, lfdi, identity.sfdi(lfdi))


def _require_issuable(directory: Path, name: str, days: int | None, chain: int) -> dt.datetime:
    """Give when the certificate is to end."""
    _require_name(name)
    if chain not in CHAINS or (days is not None and days < 1):
        raise PkiFault(f"chain {chain}, days {days}: give a chain of 2, 3 or 4 and at least one day")
    if not (directory / SERCA).exists():
        raise PkiFault(f"{directory}: holds no authority; make one with gateway certs init {directory}")
    try:
        return FOREVER if days is None else _now() + dt.timedelta(days=days)
    except OverflowError as fault:
        raise PkiFault(
            f"days {days}: that is past the year 9999; leave it out for a certificate without end"
        ) from fault


@contextmanager
def _in(directory: Path) -> Iterator[None]:
    """Write in a directory, made where missing, with no other run beside; every trouble with it is a PkiFault."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / AUTHORITY_KEYS).mkdir(mode=0o700, exist_ok=True)
        with files.alone(directory):
            yield
    except OSError as fault:
        raise PkiFault(
            f"{fault.filename or directory}: cannot be written ({fault.strerror}); choose another"
        ) from fault


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
        raise PkiFault(f"name {name!r}: use up to 64 letters, digits, dots, hyphens; not serca, mca or mica")


def _signers(directory: Path, chain: int) -> list[_Authority]:
    """Give the authorities of a chain of so many certificates, from the one that signs up."""
    serca, mca, mica = _authorities(directory)
    if chain == 2:
        return [serca]
    return [mica, mca, serca] if chain == 4 else [_authority(directory / SHORT_MICA, 0, serca), serca]


def _shown(signers: Sequence[_Authority]) -> list[x509.Certificate]:
    """Give what a device shows above its own certificate: all but the root."""
    return [signer.certificate for signer in signers[:-1]]


def _authorities(directory: Path) -> list[_Authority]:
    """Give SERCA, MCA and MICA, made where missing."""
    paths = [directory / SERCA, directory / MCA, directory / MICA]
    present = [path.exists() for path in paths]
    if present != sorted(present, reverse=True):
        gone = paths[present.index(False)]
        raise PkiFault(f"{gone}: is gone while what it signed is there; restore it or use another directory")
    made: list[_Authority] = []
    for path, depth in zip(paths, (None, 1, 0), strict=True):
        made.append(_authority(path, depth, made[-1] if made else None))
    return made


def _authority(path: Path, depth: int | None, above: _Authority | None) -> _Authority:
    key = path.parent / AUTHORITY_KEYS / f"{path.stem}.key"
    if not path.exists():
        certificate = _authority_certificate(path.stem.upper(), depth, _key(key), above)
        files.write_whole(path, _pem(certificate), files.READABLE)
    return _Authority(files.read_certificates(path)[0], key)


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
        _builder(subject, above.certificate.subject if above else subject, key.public_key(), policies, FOREVER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=depth), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if above is None:
        return builder.sign(key, SHA256())
    return builder.add_extension(_authority_key(above), critical=False).sign(_signing_key(above), SHA256())


def _device(directory: Path, name: str, signers: Sequence[_Authority], end: dt.datetime, replace: bool) -> Issued:
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    kept = certificate.exists() and not replace
    if kept and not key.exists():
        raise PkiFault(f"{certificate}: its key {key.name} is gone; restore it or issue both anew with --replace")
    if not kept:
        private = ec.generate_private_key(ec.SECP256R1()) if replace else _key(key)
        module = hardware_module.HardwareModule(HW_TYPE, name.encode())
        leaf = _device_certificate(module, private.public_key(), signers[0], end)
        if replace:
            _write_key(key, private)
        chain = b"".join(map(_pem, (leaf, *_shown(signers))))
        files.write_whole(certificate, chain, files.READABLE)
    leaf = files.read_pair(certificate, key)[0][0]
    lfdi = identity.lfdi(leaf.public_bytes(Encoding.DER))
    return Issued(name, certificate, key, lfdi, identity.sfdi(lfdi), kept)


def _device_certificate(
    module: hardware_module.HardwareModule, key: ec.EllipticCurvePublicKey, signer: _Authority, end: dt.datetime
) -> x509.Certificate:
    return (
        _builder(x509.Name([]), signer.certificate.subject, key, (profile.GENERIC_DEVICE,), end)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(requests.named(module), critical=True)
        .add_extension(_authority_key(signer), critical=False)
        .sign(_signing_key(signer), SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    policies: Iterable[x509.ObjectIdentifier],
    end: dt.datetime,
) -> x509.CertificateBuilder:
    information = [x509.PolicyInformation(policy, None) for policy in policies]
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - _CLOCK_SLACK)
        .not_valid_after(end)
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


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
