"""Certificates as Modbus/TCP Security has them, made anew for a test: an authority, an inverter and a gateway."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.southbound.sunspec_modbus import ModbusTls

ROLE: Final = x509.ObjectIdentifier("1.3.6.1.4.1.50316.802.1")
GRID_SERVICE: Final = b"\x0c\x12GridServiceSunSpec"


class Made(NamedTuple):
    """A certificate and its key, in memory and in files."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    path: Path
    key_path: Path


def make(folder: Path, name: str, issuer: Made | None = None, *extensions: x509.ExtensionType) -> Made:
    """Make a certificate of this name, signed by its issuer or by itself, with these extensions."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    certificate = builder.sign(key if issuer is None else issuer.key, hashes.SHA256())
    path, key_path = folder / f"{name}.pem", folder / f"{name}.key"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key_path.chmod(0o600)
    return Made(certificate, key, path, key_path)


class Authority:
    """An authority with an inverter that it vouches for, and a gateway with a role."""

    def __init__(self, folder: Path, role: bytes = GRID_SERVICE) -> None:
        folder.mkdir(exist_ok=True)
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        self.root = make(folder, "root")
        self.inverter = make(folder, "inverter", self.root, x509.SubjectAlternativeName([loopback]))
        self.stranger = make(folder, "stranger", self.root, x509.SubjectAlternativeName([x509.DNSName("inverter-7")]))
        self.gateway = make(folder, "gateway", self.root, x509.UnrecognizedExtension(ROLE, role))

    @property
    def secured(self) -> ModbusTls:
        """What the gateway's table says."""
        return ModbusTls(self.gateway.path, self.gateway.key_path, (self.root.path,))

    def serving(self, who: Made) -> ssl.SSLContext:
        """Give the context of a device that asks for a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(who.path, who.key_path)
        context.load_verify_locations(self.root.path)
        context.verify_mode = ssl.CERT_REQUIRED
        return context
