"""The role that a certificate bears for Modbus/TCP Security: one UTF8String (MB-TCP-Security V36, 7.3 and 8.4)."""

from typing import Final

from cryptography import x509

from gateway.pki import PkiFault

OID: Final = x509.ObjectIdentifier("1.3.6.1.4.1.50316.802.1")
_UTF8_STRING: Final = 0x0C
_SHORT_LENGTH_MAX: Final = 0x7F


def of(certificate: x509.Certificate) -> str | None:
    """Give the role, or None where the certificate bears none.

    Raises PkiFault where it is not one text: whoever reads it more kindly grants what was not meant.
    """
    try:
        extension = certificate.extensions.get_extension_for_oid(OID)
    except x509.ExtensionNotFound:
        return None
    except (x509.DuplicateExtension, ValueError) as fault:
        raise PkiFault(f"Modbus role: {fault}; have a certificate issued that bears one role") from fault
    octets = extension.value.public_bytes()
    role = octets[2:]
    if octets[:1] != bytes((_UTF8_STRING,)) or octets[1:2] != bytes((len(role),)) or len(role) > _SHORT_LENGTH_MAX:
        raise PkiFault("Modbus role: is not one UTF8String; have a certificate issued that bears it as one")
    try:
        return role.decode()
    except UnicodeDecodeError as fault:
        raise PkiFault("Modbus role: is no UTF-8; have a certificate issued that bears it as one") from fault
