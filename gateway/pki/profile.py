"""Certificate rules that OpenSSL does not enforce, judged after each handshake (IEEE 2030.5-2018, 6.11).

Of the peer's own certificate (the leaf): key on P-256, ecdsa-with-SHA256, dates, empty subject, not an authority,
critical keyUsage, certificatePolicies and subjectAltName, exactly one HardwareModuleName, no other critical extension.
Of every certificate above it: key on P-256, ecdsa-with-SHA256, dates, critical basicConstraints, keyUsage and
certificatePolicies, path length, no constraint or usage extension that 6.11 has not. Of the chain: each signature, at
most four certificates, a trusted root at its end, and a device policy of the leaf allowed by each authority.

TLS libraries before Python 3.13 hand over the leaf alone, so the chain is built from the trust files.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier, SignatureAlgorithmOID

from gateway.pki import PkiFault, files, hardware_module, identity

GENERIC_DEVICE: Final = ObjectIdentifier("1.3.6.1.4.1.40732.1.1")
MOBILE_DEVICE: Final = ObjectIdentifier("1.3.6.1.4.1.40732.1.2")
POST_MANUFACTURE: Final = ObjectIdentifier("1.3.6.1.4.1.40732.1.3")
TEST_DEVICE: Final = ObjectIdentifier("1.3.6.1.4.1.40732.2.1")
SELF_SIGNED_CLIENT: Final = ObjectIdentifier("1.3.6.1.4.1.40732.2.2")
ANY_POLICY: Final = ObjectIdentifier("2.5.29.32.0")
HARDWARE_MODULE_NAME: Final = ObjectIdentifier(hardware_module.OID)
CHAIN_MAX: Final = 4

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_DEVICE_POLICY_ARC = "1.3.6.1.4.1.40732.1."
_TEST_POLICIES = frozenset({TEST_DEVICE, SELF_SIGNED_CLIENT})
_LEAF_CRITICAL = (
    (ExtensionOID.KEY_USAGE, "keyUsage"),
    (ExtensionOID.CERTIFICATE_POLICIES, "certificatePolicies"),
    (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, "subjectAltName"),
)
_AUTHORITY_CRITICAL = (
    (ExtensionOID.BASIC_CONSTRAINTS, "basicConstraints"),
    (ExtensionOID.KEY_USAGE, "keyUsage"),
    (ExtensionOID.CERTIFICATE_POLICIES, "certificatePolicies"),
)
_NOT_IN_AUTHORITY = (
    (ExtensionOID.EXTENDED_KEY_USAGE, "extendedKeyUsage"),
    (ExtensionOID.NAME_CONSTRAINTS, "nameConstraints"),
    (ExtensionOID.POLICY_CONSTRAINTS, "policyConstraints"),
    (ExtensionOID.POLICY_MAPPINGS, "policyMappings"),
    (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, "subjectAltName"),
)
_SIGNATURES = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA1: "ecdsa-with-SHA1",
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: "ecdsa-with-SHA384",
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: "ecdsa-with-SHA512",
    SignatureAlgorithmOID.RSA_WITH_SHA256: "sha256WithRSAEncryption",
}


def check_peer(
    peer: bytes | Sequence[bytes],
    trust: Iterable[x509.Certificate],
    *,
    test_policies: bool = False,
    now_ms: int | None = None,
) -> list[str]:
    """Give the reasons, one line each, why a peer's certificate is refused; none means that it is accepted.

    `peer` is its DER certificate, or its chain with the leaf first (what follows only helps to find the way to a root).
    `trust` holds roots and, where the peer's chain is not at hand, the MCA and MICA certificates below them.
    `test_policies` admits the policies of test and self-signed certificates (40732.2.1 and .2.2). `now_ms` is wall time
    unless given. Source: IEEE 2030.5-2018, 6.11.
    """
    at_ms = _now_ms() if now_ms is None else now_ms
    try:
        leaf, *shown = map(x509.load_der_x509_certificate, [peer] if isinstance(peer, bytes) else peer)
        return check_leaf(leaf, test_policies=test_policies, now_ms=at_ms) + _chain_reasons(leaf, shown, trust, at_ms)
    except files.UNREADABLE:  # the library reads names, keys and extensions only when they are asked for
        return ["certificate: it or its chain cannot be read as X.509"]


def require_peer(
    peer: bytes | Sequence[bytes],
    pinned_lfdi: str | None,
    trust: Iterable[x509.Certificate],
    *,
    test_policies: bool = False,
    now_ms: int | None = None,
) -> str:
    """Give the LFDI of a peer that keeps the profile and, where one is pinned, bears the pinned LFDI (any letter case).

    Raises PkiFault with all reasons in one line. Parameters as of `check_peer`.
    """
    leaf = peer if isinstance(peer, bytes) else peer[0]
    found = identity.lfdi(leaf)
    if pinned_lfdi is not None and found != identity.parse_lfdi(pinned_lfdi):
        raise PkiFault(f"peer refused: its LFDI is {found}, not the pinned {identity.parse_lfdi(pinned_lfdi)}")
    if reasons := check_peer(peer, trust, test_policies=test_policies, now_ms=now_ms):
        raise PkiFault(f"peer {found} refused: {'; '.join(reasons)}")
    return found


def check_leaf(leaf: x509.Certificate, *, test_policies: bool = False, now_ms: int | None = None) -> list[str]:
    """Give the reasons, one line each, why a device or server certificate breaks the profile, its chain aside.

    Our reading: a subjectAltName that holds any name beside the HardwareModuleName is refused, because the profile has
    none. Parameters as of `check_peer`. Source: IEEE 2030.5-2018, 6.11.
    """
    what = "certificate"
    extensions = leaf.extensions
    reasons = _common_reasons(leaf, what, _LEAF_CRITICAL, (), _now_ms() if now_ms is None else now_ms)
    if leaf.subject.rdns:
        reasons.append(f"{what}: its subject is {_text(leaf.subject)}, a device has an empty one")
    if is_authority(leaf):
        reasons.append(f"{what}: belongs to an authority (CA), not to a device")
    usage = _extension(extensions, x509.KeyUsage)
    if usage and not (usage.digital_signature and usage.key_agreement):
        reasons.append(f"{what}: its keyUsage lacks digitalSignature or keyAgreement")
    if usage and usage.key_cert_sign:
        reasons.append(f"{what}: its keyUsage allows it to sign certificates")
    return reasons + _policy_reasons(extensions, what, test_policies) + _name_reasons(extensions, what)


def check_authority(authority: x509.Certificate, *, authorities_below: int = 0, now_ms: int | None = None) -> list[str]:
    """Give the reasons, one line each, why a certificate is not fit to be a SERCA, MCA or MICA.

    Our reading: extendedKeyUsage, nameConstraints, policyConstraints, policyMappings and subjectAltName are refused in
    an authority, critical or not, because 6.11 has none of them. `authorities_below` counts the authorities between
    this one and the device. Source: IEEE 2030.5-2018, 6.11.
    """
    what = _named(authority)
    extensions = authority.extensions
    at_ms = _now_ms() if now_ms is None else now_ms
    reasons = _common_reasons(authority, what, _AUTHORITY_CRITICAL, (oid for oid, _ in _NOT_IN_AUTHORITY), at_ms)
    constraints = _extension(extensions, x509.BasicConstraints)
    if constraints and not constraints.ca:
        reasons.append(f"{what}: is not an authority (CA)")
    if constraints and constraints.path_length is not None and constraints.path_length < authorities_below:
        reasons.append(f"{what}: allows {constraints.path_length} authorities below it, there are {authorities_below}")
    usage = _extension(extensions, x509.KeyUsage)
    if usage and not usage.key_cert_sign:
        reasons.append(f"{what}: its keyUsage does not allow it to sign certificates")
    present = {extension.oid for extension in extensions}
    return reasons + [f"{what}: has {name}, an authority has none" for oid, name in _NOT_IN_AUTHORITY if oid in present]


def authorities(leaf: x509.Certificate, candidates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Give the authorities above a certificate, lowest first, as far as the candidates lead; none is judged."""
    found: list[x509.Certificate] = []
    below = leaf
    while len(found) < CHAIN_MAX and below.issuer != below.subject:
        above = [one for one in candidates if one.subject == below.issuer and _signed(below, one)]
        if not above:
            break
        below = above[0]
        found.append(below)
    return found


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate says that it is an authority's."""
    constraints = _extension(certificate.extensions, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _common_reasons(
    certificate: x509.Certificate,
    what: str,
    critical: Sequence[tuple[ObjectIdentifier, str]],
    named_apart: Iterable[ObjectIdentifier],
    at_ms: int,
) -> list[str]:
    reasons: list[str] = []
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        reasons.append(f"{what}: its key is not an EC key on P-256")
    elif not isinstance(key.curve, ec.SECP256R1):
        reasons.append(f"{what}: its key is on curve {key.curve.name}, not P-256")
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        reasons.append(f"{what}: its signature is {_algorithm(certificate)}, not ecdsa-with-SHA256")
    if at_ms < certificate.not_valid_before_utc.timestamp() * 1000:
        reasons.append(f"{what}: is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    if at_ms > certificate.not_valid_after_utc.timestamp() * 1000:
        reasons.append(f"{what}: expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    criticality = {extension.oid: extension.critical for extension in certificate.extensions}
    for oid, name in critical:
        if oid not in criticality:
            reasons.append(f"{what}: has no {name}")
        elif not criticality[oid]:
            reasons.append(f"{what}: its {name} is not critical")
    known = {ExtensionOID.BASIC_CONSTRAINTS, *(oid for oid, _ in critical), *named_apart}
    return reasons + [
        f"{what}: has a critical extension {oid.dotted_string} that the profile has not"
        for oid, is_critical in criticality.items()
        if is_critical and oid not in known
    ]


def _policy_reasons(extensions: x509.Extensions, what: str, test_policies: bool) -> list[str]:
    policies = _extension(extensions, x509.CertificatePolicies)
    if policies is None:
        return []
    oids = {policy.policy_identifier for policy in policies}
    tests = sorted(oid.dotted_string for oid in oids & _TEST_POLICIES)
    if tests and not test_policies:
        return [f"{what}: its policy {tests[0]} is for tests, which are not admitted here"]
    if tests or _device_policies(extensions):
        return []
    return [f"{what}: has no device policy ({_DEVICE_POLICY_ARC}x)"]


def _name_reasons(extensions: x509.Extensions, what: str) -> list[str]:
    names = _extension(extensions, x509.SubjectAlternativeName)
    if names is None:
        return []
    modules = [name for name in names.get_values_for_type(x509.OtherName) if name.type_id == HARDWARE_MODULE_NAME]
    if len(modules) != 1:
        return [f"{what}: has {len(modules)} HardwareModuleNames in its subjectAltName, not one"]
    if len(list(names)) > 1:
        return [f"{what}: has names beside the HardwareModuleName in its subjectAltName"]
    try:
        hardware_module.decode(modules[0].value)
    except ValueError as fault:
        return [f"{what}: {fault}"]
    return []


def _device_policies(extensions: x509.Extensions) -> set[ObjectIdentifier]:
    policies = _extension(extensions, x509.CertificatePolicies) or ()
    oids = {policy.policy_identifier for policy in policies}
    return {oid for oid in oids if oid.dotted_string.startswith(_DEVICE_POLICY_ARC) or oid in _TEST_POLICIES}


def _chain_reasons(
    leaf: x509.Certificate, shown: Sequence[x509.Certificate], trust: Iterable[x509.Certificate], at_ms: int
) -> list[str]:
    if leaf.issuer == leaf.subject:
        return ["certificate: is self-signed, no authority vouches for it"]
    trusted = list(trust)
    chain = _chain(leaf, [*trusted, *shown], frozenset(map(_der, trusted)), CHAIN_MAX - 1)
    if chain is None:
        return [_no_chain(leaf, trusted)]
    reasons: list[str] = []
    for depth, authority in enumerate(chain):
        reasons += check_authority(authority, authorities_below=depth, now_ms=at_ms)
        if not _allows(authority, leaf):
            reasons.append(f"{_named(authority)}: does not allow the device policy of the certificate below it")
    return reasons


def _allows(authority: x509.Certificate, leaf: x509.Certificate) -> bool:
    policies = _extension(authority.extensions, x509.CertificatePolicies)
    wanted = _device_policies(leaf.extensions)
    if policies is None or not wanted:
        return True  # said already, of the authority or of the leaf
    allowed = {policy.policy_identifier for policy in policies}
    return ANY_POLICY in allowed or bool(wanted & allowed)


def _chain(
    certificate: x509.Certificate, candidates: Sequence[x509.Certificate], trusted: frozenset[bytes], room: int
) -> list[x509.Certificate] | None:
    """Find the authorities from the issuer of this certificate up to a trusted root, at most `room` of them."""
    if room == 0:
        return None
    for issuer in candidates:
        if issuer.subject != certificate.issuer or not _signed(certificate, issuer):
            continue
        if issuer.subject == issuer.issuer:
            if _der(issuer) in trusted:
                return [issuer]
            continue
        above = _chain(issuer, candidates, trusted, room - 1)
        if above is not None:
            return [issuer, *above]
    return None


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*files.UNREADABLE, InvalidSignature):
        return False
    return True


def _no_chain(leaf: x509.Certificate, trusted: Sequence[x509.Certificate]) -> str:
    issuer = _text(leaf.issuer)
    namesakes = [certificate for certificate in trusted if certificate.subject == leaf.issuer]
    if not namesakes:
        return (
            f"certificate: its issuer {issuer} is not in the trust files; add that MICA and its MCA if you trust them"
        )
    if not any(_signed(leaf, namesake) for namesake in namesakes):
        return f"certificate: is not signed by the {issuer} of the trust files; is it from another authority?"
    return f"certificate: its issuer {issuer} leads to no root in the trust files within {CHAIN_MAX} certificates"


def _extension(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _algorithm(certificate: x509.Certificate) -> str:
    oid = certificate.signature_algorithm_oid
    return _SIGNATURES.get(oid, oid.dotted_string)


def _named(authority: x509.Certificate) -> str:
    return f"authority {_text(authority.subject)}"


def _text(name: x509.Name) -> str:
    """Write a foreign name so that it cannot break a line or fill a log."""
    return f'"{"".join(c if c.isprintable() else "?" for c in name.rfc4514_string()[:80])}"'


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
