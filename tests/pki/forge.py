"""Certificates that break one rule each, forged below a real MICA."""

import datetime as dt
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from gateway.pki import files

Extensions = dict[str, tuple[x509.ExtensionType, bool]]
HMN = ObjectIdentifier("1.3.6.1.5.5.7.8.4")
HMN_DER = bytes.fromhex("300e 0609 2b0601040181fd5901 0401 41")
FOREVER = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
BIRTH = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(*, sign: bool = False, agree: bool = True) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=agree,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def policies(*dotted: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier(oid), None) for oid in dotted])


def names(*general: x509.GeneralName) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(general)


def hmn(der: bytes = HMN_DER) -> x509.OtherName:
    return x509.OtherName(HMN, der)


def good_leaf() -> Extensions:
    return {
        "usage": (usage(), True),
        "policies": (policies("1.3.6.1.4.1.40732.1.1"), True),
        "names": (names(hmn()), True),
    }


def good_authority() -> Extensions:
    return {
        "usage": (usage(sign=True), True),
        "policies": (policies("1.3.6.1.4.1.40732.1.1"), True),
        "constraints": (x509.BasicConstraints(ca=True, path_length=0), True),
    }


class Pair:
    """A certificate and its key."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self.key = key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def save(self, directory: Path, name: str, *above: x509.Certificate) -> tuple[Path, Path]:
        certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
        certificate.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in (self.certificate, *above)))
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key


def authority(directory: Path, stem: str = "mica") -> Pair:
    """Give an authority that `issue.init` made."""
    key = files.read_key(directory / "authority" / f"{stem}.key")
    return Pair(files.read_certificates(directory / f"{stem}.pem")[0], key)


def forge(
    issuer: Pair | None,
    extensions: Extensions,
    *,
    subject: x509.Name | None = None,
    curve: ec.EllipticCurve | None = None,
    digest: SHA384 | None = None,
    not_before: dt.datetime = BIRTH,
    not_after: dt.datetime = FOREVER,
    public: ed25519.Ed25519PublicKey | None = None,
) -> Pair:
    """Sign a certificate with exactly these extensions; without an issuer it signs itself."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    own = subject or x509.Name([])
    builder = (
        x509.CertificateBuilder(issuer.certificate.subject if issuer else own, own, public or key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    for extension, critical in extensions.values():
        builder = builder.add_extension(extension, critical)
    return Pair(builder.sign((issuer.key if issuer else key), digest or SHA256()), key)


def leaf(issuer: Pair, **changed: tuple[x509.ExtensionType, bool] | None) -> Pair:
    """Forge a leaf whose extensions are the good ones but for those changed (None leaves one out)."""
    merged = {**good_leaf(), **changed}
    return forge(issuer, {name: value for name, value in merged.items() if value is not None})


Forger = Callable[[Pair], Pair]
UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.32473.9"), b"\x05\x00")
EKU = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
DNS = x509.DNSName("utility.example")
OTHER = x509.OtherName(ObjectIdentifier("1.3.6.1.4.1.32473.8"), b"\x05\x00")
CA = x509.BasicConstraints(ca=True, path_length=None)

BAD_LEAVES: dict[str, tuple[Forger, str]] = {
    "P-384 key": (lambda m: forge(m, good_leaf(), curve=ec.SECP384R1()), "its key is on curve secp384r1, not P-256"),
    "SHA-384": (lambda m: forge(m, good_leaf(), digest=SHA384()), "ecdsa-with-SHA384, not ecdsa-with-SHA256"),
    "no HMN": (lambda m: leaf(m, names=(names(OTHER), True)), "has 0 HardwareModuleNames in its subjectAltName"),
    "two HMN": (lambda m: leaf(m, names=(names(hmn(), hmn()), True)), "has 2 HardwareModuleNames"),
    "HMN and DNS": (lambda m: leaf(m, names=(names(hmn(), DNS), True)), "has names beside the HardwareModuleName"),
    "broken HMN": (lambda m: leaf(m, names=(names(hmn(b"\x04\x00")), True)), "HardwareModuleName lacks an element"),
    "no SAN": (lambda m: leaf(m, names=None), "has no subjectAltName"),
    "SAN not critical": (lambda m: leaf(m, names=(names(hmn()), False)), "its subjectAltName is not critical"),
    "CN subject": (lambda m: forge(m, good_leaf(), subject=common_name("roof")), 'its subject is "CN=roof"'),
    "CA": (lambda m: leaf(m, constraints=(CA, True)), "belongs to an authority (CA), not to a device"),
    "signs certificates": (lambda m: leaf(m, usage=(usage(sign=True), True)), "its keyUsage allows it to sign"),
    "no keyAgreement": (lambda m: leaf(m, usage=(usage(agree=False), True)), "lacks digitalSignature or keyAgreement"),
    "usage not critical": (lambda m: leaf(m, usage=(usage(), False)), "its keyUsage is not critical"),
    "no usage": (lambda m: leaf(m, usage=None), "has no keyUsage"),
    "no policies": (lambda m: leaf(m, policies=None), "has no certificatePolicies"),
    "policy of others": (lambda m: leaf(m, policies=(policies("1.2.3"), True)), "has no device policy"),
    "arc next door": (lambda m: leaf(m, policies=(policies("1.3.6.1.4.1.40732.11.1"), True)), "has no device policy"),
    "test policy": (
        lambda m: leaf(m, policies=(policies("1.3.6.1.4.1.40732.1.1", "1.3.6.1.4.1.40732.2.1"), True)),
        "its policy 1.3.6.1.4.1.40732.2.1 is for tests",
    ),
    "policies not critical": (
        lambda m: leaf(m, policies=(policies("1.3.6.1.4.1.40732.1.1"), False)),
        "its certificatePolicies is not critical",
    ),
    "unknown critical": (lambda m: leaf(m, more=(UNKNOWN, True)), "critical extension 1.3.6.1.4.1.32473.9"),
    "critical EKU": (lambda m: leaf(m, more=(EKU, True)), "critical extension 2.5.29.37"),
    "expired": (lambda m: forge(m, good_leaf(), not_after=PAST), "expired on 2020-01-01"),
}
# OpenSSL itself cuts these off in the handshake, before the profile is asked.
CUT_OFF_BY_OPENSSL = {"P-384 key", "unknown critical", "expired"}


def rogue_context(protocol: int, certificate: Path, key: Path, root: Path) -> ssl.SSLContext:
    """Give a context of the right suite that neither judges others nor asks whether its own certificate is any good."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0")
    context.check_hostname = False
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(root)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
