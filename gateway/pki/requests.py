"""A certificate asked for and brought in: the key never leaves its machine (PKCS #10; IEEE 2030.5-2018, 6.11).

Of a name `pki/gateway` the pair in use is `gateway.pem` and `gateway.key`; `gateway.new.key` is the key of a request
whose certificate has not come yet, and `gateway.old.pem` and `gateway.old.key` are the pair before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.pki import PkiFault, files, hardware_module, identity, profile

_SUFFIXES: Final = frozenset({".pem", ".key", ".csr"})


@dataclass(frozen=True, slots=True)
class Imported:
    """A certificate that is in its place: its LFDI, the one of the certificate before, and what is wrong with it."""

    certificate: Path
    lfdi: str
    former_lfdi: str | None
    faults: tuple[str, ...]


def make(name: Path, module: hardware_module.HardwareModule) -> Path:
    """Make a key and a request for its certificate, `NAME.csr`; give its path.

    A key whose certificate has not come yet is used again, so that a request sent before stays good. Raises PkiFault
    when a file cannot be used or written, ValueError when the type of the module is no OID.
    """
    stem, waiting = _stem(name), _with(name, ".new.key")
    request = stem.with_name(f"{stem.name}.csr")
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        with files.alone(stem.parent):
            if waiting.exists():
                key = files.read_key(waiting)
            else:
                key = ec.generate_private_key(ec.SECP256R1())
                pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                files.write_whole(waiting, pem, files.OWNER_ONLY)
            asked = (
                x509.CertificateSigningRequestBuilder(x509.Name([]))
                .add_extension(named(module), critical=True)
                .sign(key, SHA256())
            )
            files.write_whole(request, asked.public_bytes(Encoding.PEM), files.READABLE)
    except OSError as fault:
        raise PkiFault(f"{fault.filename or stem}: cannot be written ({fault.strerror}); choose another") from fault
    return request


def read(path: Path) -> x509.CertificateSigningRequest:
    """Read a request, in PEM or DER; raises PkiFault where it is none, or not signed by the key that it names."""
    content = files.read_bytes(path, "request")
    load = x509.load_pem_x509_csr if b"-----BEGIN" in content else x509.load_der_x509_csr
    try:
        asked = load(content)
        signed = asked.is_signature_valid
        _ = asked.extensions, asked.public_key()
    except (*files.UNREADABLE, InvalidSignature) as fault:
        raise PkiFault(f"request file {path}: holds no readable certificate request; give PEM or DER") from fault
    if not signed:
        raise PkiFault(f"request file {path}: is not signed by the key that it names; have it made anew")
    return asked


def key_of(asked: x509.CertificateSigningRequest, path: Path) -> ec.EllipticCurvePublicKey:
    """Give the key that a request is for; raises PkiFault where it is not on P-256."""
    key = asked.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PkiFault(f"request file {path}: its key is not on P-256, which IEEE 2030.5 needs; have it made anew")
    return key


def hardware_module_of(asked: x509.CertificateSigningRequest) -> hardware_module.HardwareModule | None:
    """Give the HardwareModuleName that a request asks for; None where it asks for none that can be read."""
    try:
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (found,) = [
            one for one in names.get_values_for_type(x509.OtherName) if one.type_id == profile.HARDWARE_MODULE_NAME
        ]
        return hardware_module.decode(found.value)
    except (x509.ExtensionNotFound, ValueError):
        return None


def named(module: hardware_module.HardwareModule) -> x509.SubjectAlternativeName:
    """Give the subjectAltName that a device has: its HardwareModuleName and nothing else."""
    encoded = hardware_module.encode(module)
    return x509.SubjectAlternativeName([x509.OtherName(profile.HARDWARE_MODULE_NAME, encoded)])


def bring_in(name: Path, chain: Path, trust: Sequence[x509.Certificate], *, despite_faults: bool = False) -> Imported:
    """Put the certificate that came for a request in its place, with its authorities and its key.

    The file may hold its certificates in any order; what is missing between leaf and root is taken from `trust`. The
    pair before is kept beside it. Done again after a crash it comes to the same. Raises PkiFault, and nothing is
    changed, when no key here is that of a certificate of the file, or it breaks the profile and not `despite_faults`.
    """
    certificate, key = _with(name, ".pem"), _with(name, ".key")
    came = files.read_certificates(chain)
    leaf, private, waiting = _match(name, came, chain)
    above = profile.authorities(leaf, [one for one in (*came, *trust) if one != leaf])
    shown = [leaf, *(one for one in above if one.subject != one.issuer)]
    faults = _faults(shown, trust)
    if faults and not despite_faults:
        raise PkiFault(f"certificate file {chain}: {'; '.join(faults)}; have it issued by the profile")
    former = files.read_certificates(certificate)[0] if certificate.exists() else None
    try:
        with files.alone(certificate.parent):
            if former is not None and former != leaf:
                _keep_former(name)
            files.write_whole(key, private, files.OWNER_ONLY)
            pem = b"".join(one.public_bytes(Encoding.PEM) for one in shown)
            files.write_whole(certificate, pem, files.READABLE)
            if waiting:
                _with(name, ".new.key").unlink()
                _with(name, ".csr").unlink(missing_ok=True)
    except OSError as fault:
        raise PkiFault(
            f"{fault.filename or certificate}: cannot be written ({fault.strerror}); set that right and import again"
        ) from fault
    return Imported(certificate, _lfdi(leaf), None if former is None else _lfdi(former), tuple(faults))


def _match(name: Path, came: Sequence[x509.Certificate], chain: Path) -> tuple[x509.Certificate, bytes, bool]:
    """Find the certificate that a key here is for; tell whether it is the waiting one."""
    for suffix in (".new.key", ".key"):
        path = _with(name, suffix)
        if not path.exists():
            continue
        content = files.read_bytes(path, "key")
        public = files.key_of(content, path).public_key()
        for one in came:
            if one.public_key() == public:
                return one, content, suffix == ".new.key"
    new, old = _with(name, ".new.key"), _with(name, ".key")
    if not new.exists() and not old.exists():
        raise PkiFault(f"{_stem(name)}: there is no request here; make one with gateway certs csr {_stem(name)}")
    raise PkiFault(
        f"certificate file {chain}: holds no certificate for {new} or {old}; is it the answer to another request?"
    )


def _faults(chain: Sequence[x509.Certificate], trust: Sequence[x509.Certificate]) -> list[str]:
    if not trust:
        return profile.check_leaf(chain[0])
    return profile.check_peer([one.public_bytes(Encoding.DER) for one in chain], trust)


def _keep_former(name: Path) -> None:
    for suffix, mode in ((".pem", files.READABLE), (".key", files.OWNER_ONLY)):
        path = _with(name, suffix)
        if path.exists():
            files.write_whole(_with(name, f".old{suffix}"), path.read_bytes(), mode)


def _stem(name: Path) -> Path:
    return name.with_suffix("") if name.suffix in _SUFFIXES else name


def _with(name: Path, suffix: str) -> Path:
    stem = _stem(name)
    return stem.with_name(stem.name + suffix)


def _lfdi(certificate: x509.Certificate) -> str:
    return identity.lfdi(certificate.public_bytes(Encoding.DER))
