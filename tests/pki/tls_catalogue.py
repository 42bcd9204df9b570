"""Identities that a gateway has to refuse, one for each entry of the bad-input catalogue, and a server for them."""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from forge import (
    BAD_LEAVES,
    FOREVER,
    Extensions,
    Pair,
    authority,
    common_name,
    forge,
    good_authority,
    good_leaf,
    leaf,
)

from gateway.listening import Limits
from gateway.pki import identity, issue
from gateway.ports.south import Lease
from gateway.runtime.clock import RealClock
from gateway.southbound import sep2_server
from gateway.southbound.sep2_server import Sep2Server, Sep2ServerDevice

REQUEST = b"GET /dcap HTTP/1.1\r\nHost: gateway\r\n\r\n"
CUT_OFF = (ConnectionError, ssl.SSLError)
ANSWER_S = 30.0
POLICY_MAPPINGS = ObjectIdentifier("2.5.29.33")
MAPPED = bytes.fromhex("301a 3018 060a2b0601040182be1c0101 060a2b0601040182be1c0102")


@dataclass
class Rogue:
    """An identity that breaks one rule: its files, what is shown above it, and why it is refused."""

    pair: Pair
    above: list[x509.Certificate] = field(default_factory=list)
    more_trust: list[x509.Certificate] = field(default_factory=list)
    why: str = ""

    @property
    def lfdi(self) -> str:
        return identity.lfdi(self.pair.der)

    def save(self, folder: Path) -> tuple[Path, Path]:
        return self.pair.save(folder, "rogue", *self.above)


def chain_of(pki: Path) -> list[x509.Certificate]:
    return [authority(pki, stem).certificate for stem in ("mica", "mca")]


def below(pki: Path, pair: Pair, why: str) -> Rogue:
    return Rogue(pair, chain_of(pki), why=why)


def of_bad_leaf(name: str) -> Callable[[Path], Rogue]:
    forger, why = BAD_LEAVES[name]
    return lambda pki: below(pki, forger(authority(pki)), why)


def not_yet_valid(pki: Path) -> Rogue:
    return below(pki, forge(authority(pki), good_leaf(), not_before=FOREVER - dt.timedelta(days=1)), "not valid before")


def wrong_root(pki: Path) -> Rogue:
    other = pki / "other"
    issue.init(other)
    return Rogue(leaf(authority(other)), chain_of(other), why="is not in the trust files")


def self_signed(_pki: Path) -> Rogue:
    return Rogue(forge(None, good_leaf(), subject=x509.Name([])), why="is self-signed")


def wrong_policy(pki: Path) -> Rogue:
    return of_bad_leaf("policy of others")(pki)


def with_sha1(pki: Path) -> Rogue:
    mica = authority(pki)
    good = leaf(mica)
    body = good.certificate.tbs_certificate_bytes
    sha256, sha1 = bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("300906072a8648ce3d0401")
    content = body[4:].replace(sha256, sha1, 1)
    tbs = _sequence(content)
    signature = mica.key.sign(tbs, ec.ECDSA(SHA1()))  # noqa: S303 - it is what has to be refused
    whole = _sequence(tbs + sha1 + b"\x03" + bytes((len(signature) + 1, 0)) + signature)
    return below(pki, Pair(x509.load_der_x509_certificate(whole), good.key), "ecdsa-with-SHA1, not ecdsa-with-SHA256")


def _sequence(content: bytes) -> bytes:
    return b"\x30\x82" + len(content).to_bytes(2) + content


class RsaPair(Pair):
    """A pair whose key is of another kind."""

    def __init__(self, issuer: Pair) -> None:
        self.rsa = rsa.generate_private_key(65537, 2048)
        template = leaf(issuer).certificate
        builder = x509.CertificateBuilder(issuer.certificate.subject, x509.Name([]), self.rsa.public_key())
        builder = builder.serial_number(7).not_valid_before(template.not_valid_before_utc).not_valid_after(FOREVER)
        for extension, critical in good_leaf().values():
            builder = builder.add_extension(extension, critical)
        super().__init__(builder.sign(issuer.key, SHA256()), issuer.key)

    def save(self, directory: Path, name: str, *above: x509.Certificate) -> tuple[Path, Path]:
        certificate, key = super().save(directory, name, *above)
        key.write_bytes(self.rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key


def with_rsa(pki: Path) -> Rogue:
    return below(pki, RsaPair(authority(pki)), "its key is not an EC key on P-256")


def pathlen_exceeded(pki: Path) -> Rogue:
    """A MICA that signs another authority, though it may sign devices alone."""
    mica, mca = authority(pki), authority(pki, "mca")
    extra = forge(mica, good_authority(), subject=common_name("extra"))
    return Rogue(
        leaf(extra), [extra.certificate, mica.certificate, mca.certificate], [extra.certificate], "leads to no root"
    )


def chain_of_ten(pki: Path) -> Rogue:
    free: Extensions = {**good_authority(), "constraints": (x509.BasicConstraints(ca=True, path_length=None), True)}
    signer, above = authority(pki, "serca"), list[x509.Certificate]()
    for depth in range(8):
        signer = forge(signer, free, subject=common_name(f"authority {depth}"))
        above.insert(0, signer.certificate)
    return Rogue(leaf(signer), above, above, "leads to no root in the trust files within 4 certificates")


def certificate_of_100_kb(pki: Path) -> Rogue:
    big = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.32473.9"), bytes(100 * 1024))
    return below(pki, leaf(authority(pki), big=(big, False)), "")


def missing_key_usage(pki: Path) -> Rogue:
    return of_bad_leaf("no usage")(pki)


CERTIFICATES: Mapping[str, Callable[[Path], Rogue]] = {
    "expired": of_bad_leaf("expired"),
    "not-yet-valid": not_yet_valid,
    "wrong root": wrong_root,
    "self-signed": self_signed,
    "P-384": of_bad_leaf("P-384 key"),
    "SHA-1": with_sha1,
    "RSA": with_rsa,
    "policy test OID": of_bad_leaf("test policy"),
    "wrong policy": wrong_policy,
    "missing extension": missing_key_usage,
    "missing HMN": of_bad_leaf("no HMN"),
    "two HMN": of_bad_leaf("two HMN"),
    "non-critical SAN": of_bad_leaf("SAN not critical"),
    "non-critical usage": of_bad_leaf("usage not critical"),
    "CA:TRUE leaf": of_bad_leaf("CA"),
    "pathlen exceeded": pathlen_exceeded,
    "chain of 10": chain_of_ten,
    "100 KB certificate": certificate_of_100_kb,
}
BY_OPENSSL = {
    "expired",
    "not-yet-valid",
    "wrong root",
    "self-signed",
    "P-384",
    "pathlen exceeded",
    "100 KB certificate",
}
"""What the TLS library cuts off itself, before the profile is asked."""


# -- the matrix of CSIP COMM-004


def good_mica() -> Extensions:
    return good_authority()


def mica_with_eku() -> Extensions:
    return {**good_authority(), "eku": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)}


def mica_with_name_constraints() -> Extensions:
    within = x509.NameConstraints(permitted_subtrees=None, excluded_subtrees=[x509.DNSName("utility.example")])
    return {**good_authority(), "constraints of names": (within, False)}


def mica_with_policy_mappings() -> Extensions:
    return {**good_authority(), "mappings": (x509.UnrecognizedExtension(POLICY_MAPPINGS, MAPPED), False)}


MICAS: Mapping[str, tuple[Callable[[], Extensions], str]] = {
    "good": (good_mica, ""),
    "MICA with extendedKeyUsage": (mica_with_eku, "has extendedKeyUsage, an authority has none"),
    "MICA with non-critical nameConstraints": (mica_with_name_constraints, "has nameConstraints"),
    "MICA with non-critical policyMappings": (mica_with_policy_mappings, "has policyMappings"),
}


def of_chain(pki: Path, length: int, extensions: Extensions) -> Rogue:
    """Give a device below such an authority, in a chain of 3 or 4; of 2 there is none between it and the root."""
    if length == 2:
        return Rogue(leaf(authority(pki, "serca")))
    signer = authority(pki, "serca" if length == 3 else "mca")
    mica = forge(signer, extensions, subject=common_name(f"MICA of {length}"))
    above = [mica.certificate] + ([signer.certificate] if length == 4 else [])
    return Rogue(leaf(mica), above, [mica.certificate])


# -- the server


@asynccontextmanager
async def serving(context: ssl.SSLContext, *lfdis: str, limits: Limits | None = None) -> AsyncIterator[int]:
    """Run the gateway's own 2030.5 server for devices of these LFDIs, so that nothing but the handshake keeps out."""
    clock = RealClock()
    table = Sep2Server(0, Path(), Path(), ())
    devices = {f"device-{number}": (Sep2ServerDevice(lfdi), 5_000) for number, lfdi in enumerate(lfdis)}
    links = sep2_server.build(
        table, devices, context, clock, lambda _event: None, Lease(clock), may_write=False, limits=limits
    )
    running = asyncio.create_task(links.run())
    try:
        await asyncio.wait_for(links.link.listening.wait(), ANSWER_S)
        yield links.link.port
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def asked(port: int, context: ssl.SSLContext) -> bytes:
    """Ask the server for its capabilities; give the first line that it answers, raise what cuts the connection off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="")
    try:
        writer.write(REQUEST)
        line = await asyncio.wait_for(reader.readline(), ANSWER_S)
        if not line:
            raise ConnectionResetError("cut off")
        return line
    finally:
        writer.transport.abort()
