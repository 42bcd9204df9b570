"""TLS as IEEE 2030.5 has it: version 1.2, one suite, one curve, both ends certified, profiles judged in the handshake.

Source: IEEE 2030.5-2018, 6.1 and 6.11. Newer OpenSSL rates CCM_8 at security level 0 and leaves it silently out above;
level 0 admits SHA-1 signatures, so every handshake ends with the checks of `gateway.pki.profile`.
"""

import asyncio
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.pki import PkiFault, files, identity, issue
from gateway.pki.judge import Judge, Told

CIPHER: Final = "ECDHE-ECDSA-AES128-CCM8"
CIPHERS: Final = f"{CIPHER}:@SECLEVEL=0"
CURVE: Final = "prime256v1"
HANDSHAKE_TIMEOUT_S: Final = 10
_ROUNDS_MAX = 10


class Judged(NamedTuple):
    """A context, and the judge of those at the other end."""

    context: ssl.SSLContext
    judge: Judge


def client_context(
    certificate: Path,
    key: Path,
    trust: Path | Sequence[Path],
    *,
    pinned_lfdi: str | Sequence[str] | None = None,
    test_policies: bool = False,
) -> ssl.SSLContext:
    """Give a client context; a handshake with a server that breaks the profile or the pin raises PeerRefusedError.

    `certificate` is a PEM file with the leaf first and its MICA and MCA after it. `trust` holds roots and any MCA and
    MICA. `test_policies` as of `profile.check_peer`. Host names are not compared, because these certificates carry
    none: pin the server's LFDI, or those before and after its rotation. Raises PkiFault when a file cannot be used.
    Source: IEEE 2030.5-2018, 6.1.
    """
    return judged_client(certificate, key, trust, pinned_lfdi=pinned_lfdi, test_policies=test_policies).context


def judged_client(
    certificate: Path,
    key: Path,
    trust: Path | Sequence[Path],
    *,
    pinned_lfdi: str | Sequence[str] | None = None,
    test_policies: bool = False,
) -> Judged:
    """Give a client context as `client_context` does, with its judge."""
    judge = _judge(certificate, trust, pinned_lfdi, test_policies, None)
    context = _context(ssl.PROTOCOL_TLS_CLIENT, certificate, key, trust, judge)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    return Judged(context, judge)


def server_context(
    certificate: Path,
    key: Path,
    trust: Path | Sequence[Path],
    *,
    test_policies: bool = False,
    on_refusal: Told | None = None,
) -> ssl.SSLContext:
    """Give the context of a server; a client without a certificate, or with one that breaks the profile, is cut off.

    `on_refusal` is told the reason, one line, of each client that the profile refuses (the loop itself keeps silent).
    Who may do what is the caller's to decide by `peer_lfdi`. Other parameters and faults as of `client_context`.
    """
    return judged_server(certificate, key, trust, test_policies=test_policies, on_refusal=on_refusal).context


def judged_server(
    certificate: Path,
    key: Path,
    trust: Path | Sequence[Path],
    *,
    test_policies: bool = False,
    on_refusal: Told | None = None,
) -> Judged:
    """Give the context of a server as `server_context` does, with its judge."""
    judge = _judge(certificate, trust, None, test_policies, on_refusal)
    context = _context(ssl.PROTOCOL_TLS_SERVER, certificate, key, trust, judge)
    context.verify_mode = ssl.CERT_REQUIRED
    return Judged(context, judge)


def web_context(
    trust: Path | Sequence[Path], certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Give a client context of the ordinary kind, host names compared: for brokers, and servers of JSON over HTTPS.

    `trust` holds what the peer's certificate must lead to. Raises PkiFault when a file cannot be used.
    """
    return judged_web(trust, certificate, key).context


def judged_web(trust: Path | Sequence[Path], certificate: Path | None = None, key: Path | None = None) -> Judged:
    """Give a client context as `web_context` does, with a judge who goes by the deny-list alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    trusted: list[x509.Certificate] = []
    for path in [trust] if isinstance(trust, Path) else trust:
        trusted += files.read_certificates(path)
    context.load_verify_locations(cadata=_pem(trusted))
    if certificate is not None and key is not None:
        try:
            context.load_cert_chain(certificate, key)
        except (ssl.SSLError, OSError) as fault:
            what = f"certificate file {certificate}: cannot be used with key {key} ({fault}); give the pair as PEM"
            raise PkiFault(what) from fault
    judge = Judge(trusted, by_profile=False)
    context.sslobject_class, context.sslsocket_class = judge.connections()
    return Judged(context, judge)


def modbus_context(certificate: Path, key: Path, trust: Path | Sequence[Path]) -> ssl.SSLContext:
    """Give a client context as Modbus/TCP Security has it: both ends certified, TLS 1.2 or later, host names compared.

    Raises PkiFault when a file cannot be used. Source: MB-TCP-Security V36, 5 and 6.
    """
    return judged_modbus(certificate, key, trust).context


def judged_modbus(certificate: Path, key: Path, trust: Path | Sequence[Path]) -> Judged:
    """Give a client context as `modbus_context` does, with a judge who goes by the deny-list alone."""
    made = judged_web(trust, certificate, key)
    made.context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return made


def peer_lfdi(transport: asyncio.BaseTransport | None) -> str:
    """Give the LFDI of whoever is at the other end of a TLS connection.

    Raises PkiFault when the connection is closed, is not TLS, or its peer showed no certificate.
    """
    connection = transport.get_extra_info("ssl_object") if transport else None
    der = connection.getpeercert(binary_form=True) if connection else None
    if not der:
        raise PkiFault("no peer certificate on this connection; it is closed or not mutual TLS")
    return identity.lfdi(der)


def self_test() -> str:
    """Make a mutual handshake in memory with throw-away certificates; give the version of the TLS library that can.

    Raises PkiFault when this OpenSSL cannot negotiate the suite, whatever it lists.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="gateway-tls-") as folder:
            _handshake_in_memory(Path(folder))
    except (ssl.SSLError, PkiFault) as fault:
        raise PkiFault(
            f"TLS self-test: {ssl.OPENSSL_VERSION} cannot speak {CIPHER} over TLS 1.2 ({_one_line(fault)}); "
            "use a Python whose OpenSSL is built with AES-CCM and allows security level 0"
        ) from fault
    return ssl.OPENSSL_VERSION


def _context(protocol: int, certificate: Path, key: Path, trust: Path | Sequence[Path], judge: Judge) -> ssl.SSLContext:
    files.read_pair(certificate, key)
    try:
        context = ssl.SSLContext(protocol)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.set_ecdh_curve(CURVE)
    except (ssl.SSLError, ValueError) as fault:
        raise PkiFault(f"{ssl.OPENSSL_VERSION} has no {CIPHER} ({fault}); use another build of Python") from fault
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as fault:
        raise PkiFault(f"certificate file {certificate}: cannot be used ({fault}); give PEM, the leaf first") from fault
    for path in [trust] if isinstance(trust, Path) else trust:
        context.load_verify_locations(cadata=_pem(files.read_certificates(path)))
    context.sslobject_class, context.sslsocket_class = judge.connections()
    return context


def _judge(
    certificate: Path,
    trust: Path | Sequence[Path],
    pinned_lfdi: str | Sequence[str] | None,
    test_policies: bool,
    on_refusal: Told | None,
) -> Judge:
    trusted = files.read_trust(trust)
    own_authorities = [_der(authority) for authority in files.read_certificates(certificate)[1:]]
    try:
        pins = [pinned_lfdi] if isinstance(pinned_lfdi, str) else pinned_lfdi or ()
        pinned = tuple(map(identity.parse_lfdi, pins))
    except ValueError as fault:
        raise PkiFault(f"pinned {fault}; take it from gateway certs show FILE") from fault
    return Judge(trusted, own_authorities, pinned=pinned, test_policies=test_policies, on_refusal=on_refusal)


def _handshake_in_memory(folder: Path) -> None:
    pair = issue.init(folder, ["client", "server"])
    client, server = pair["client"], pair["server"]
    trust = folder / issue.SERCA
    caller = client_context(client.certificate, client.key, trust, pinned_lfdi=server.lfdi)
    answerer = server_context(server.certificate, server.key, trust)
    upward, downward = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [caller.wrap_bio(downward, upward), answerer.wrap_bio(upward, downward, server_side=True)]
    waiting = list(ends)
    for _ in range(_ROUNDS_MAX):
        waiting = [end for end in waiting if not _shook(end)]
    if waiting:
        raise PkiFault("the handshake does not come to an end")
    for end in ends:
        suite = end.cipher()
        if end.version() != "TLSv1.2" or suite is None or suite[0] != CIPHER:
            raise PkiFault(f"it negotiated {end.version()} {suite[0] if suite else 'nothing'}")
    seen = ends[1].getpeercert(binary_form=True)
    if not seen or identity.lfdi(seen) != client.lfdi:
        raise PkiFault("the server did not see the client's certificate")


def _shook(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _pem(certificates: Sequence[x509.Certificate]) -> str:
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)


def _one_line(fault: Exception) -> str:
    return " ".join(str(fault).split())
