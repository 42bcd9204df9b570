"""Identities of simulated servers: certificates for the loopback with their authority (RFC 5280), and secrets."""

import datetime as dt
import ipaddress
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

_VALID = dt.timedelta(days=30)
_SKEW = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Files of one server: its chain, its key, and the authority that a client trusts."""

    chain: Path
    key: Path
    trust: Path

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or newer as a server, as the definition demands; no client certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.chain, self.key)
        return context


def secret_in(file: Path) -> str:
    """Give the secret in a file; made, for its owner alone, where there is none."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24), encoding="ascii")
    return file.read_text(encoding="ascii").strip()


def server_identity(folder: Path, name: str) -> ServerIdentity:
    """The identity in NAME.pem, NAME.key and NAME-ca.pem of the folder; made for 30 days where it is missing.

    Valid for 127.0.0.1, ::1 and localhost by the wall clock. The authority's key is not kept.
    """
    identity = ServerIdentity(folder / f"{name}.pem", folder / f"{name}.key", folder / f"{name}-ca.pem")
    if all(file.exists() for file in (identity.chain, identity.key, identity.trust)):
        return identity
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _name(f"{name} authority")
    authority = (
        _builder(issuer, issuer, authority_key.public_key(), authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    places: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(at)) for at in ("127.0.0.1", "::1")]
    leaf = (
        _builder(_name(name), issuer, key.public_key(), authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([*places, x509.DNSName("localhost")]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    identity.trust.write_bytes(authority.public_bytes(pem))
    identity.chain.write_bytes(leaf.public_bytes(pem))
    identity.key.touch(mode=0o600)
    identity.key.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return identity


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, authority_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder(
            subject_name=subject,
            issuer_name=issuer,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - _SKEW,
            not_valid_after=now + _VALID,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
