"""Who is at the other end, by its certificate and nothing else (IEEE 2030.5-2018, 6.3.4)."""

import asyncio
import hashlib


def leaf_of(transport: asyncio.BaseTransport | None) -> bytes:
    """Give the certificate (DER) of whoever is at the other end; nothing where there is none."""
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    return b"" if connection is None else connection.getpeercert(binary_form=True) or b""


def lfdi_of(leaf: bytes) -> str:
    """Give the LFDI of a certificate (DER): 40 upper-case hex digits, the first 20 octets of its SHA-256."""
    return hashlib.sha256(leaf).hexdigest()[:40].upper()
