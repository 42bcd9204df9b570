"""The role of Modbus/TCP Security in a certificate: one UTF8String, and nothing that only looks like one."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.pki import PkiFault, modbus_role


def bearing(octets: bytes | None) -> x509.Certificate:
    """Make a certificate with these octets as its role."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, start, start + dt.timedelta(days=1))
    if octets is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(modbus_role.OID, octets), critical=False)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("octets", "role"),
    [(None, None), (b"\x0c\x12GridServiceSunSpec", "GridServiceSunSpec"), (b"\x0c\x02\xc3\xa9", "\u00e9")],
)
def test_a_role_is_read(octets: bytes | None, role: str | None) -> None:
    assert modbus_role.of(bearing(octets)) == role


@pytest.mark.parametrize(
    "octets",
    [
        b"\x04\x08Operator",  # an OCTET STRING
        b"\x13\x08Operator",  # a PrintableString
        b"\x0c\x08Operato",
        b"\x0c\x07Operator",
        b"\x0c\x04Boss\x0c\x04Boss",
        b"\x0c\x81\x04Boss",
        b"\x0c\x02\xff\xff",
        b"\x0c",
        b"",
    ],
)
def test_what_is_not_one_text_is_refused(octets: bytes) -> None:
    with pytest.raises(PkiFault, match="Modbus role: "):
        modbus_role.of(bearing(octets))
