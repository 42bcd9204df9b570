"""Who is let past a TLS handshake, and cut off when that changes: the profile, the pin and the deny-list.

Source: IEEE 2030.5-2018, 6.11, for the profile.
"""

import hashlib
import math
import ssl
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.pki import PkiFault, files, identity, profile
from gateway.pki.denied import DenyList

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Connection = ssl.SSLObject | ssl.SSLSocket
Told = Callable[[str], None]
_DER: Final = 2
"""What the library calls the binary form of a certificate."""
_PASSED_S: Final = 3_600.0
_PASSED_MAX: Final = 4_096


class PeerRefusedError(PkiFault, ssl.SSLCertVerificationError):
    """A peer whose handshake succeeded and whose certificate breaks the profile, is denied or is not the pinned one."""

    def __init__(self, reason: str) -> None:
        super().__init__(1, reason)


class Judge:
    """Judges the peers of one context; whom it trusts and denies can be replaced while connections stand.

    A new trust counts from the next handshake on. A new deny-list counts at once: a connection whose peer it names
    carries not one octet more in either direction.
    """

    def __init__(
        self,
        trusted: Sequence[x509.Certificate],
        own_authorities: Sequence[bytes] = (),
        *,
        pinned: Sequence[str] = (),
        by_profile: bool = True,
        test_policies: bool = False,
        on_refusal: Told | None = None,
    ) -> None:
        """Judge `by_profile` of 2030.5, or, for other protocols, by the deny-list alone.

        Where LFDIs are `pinned` (40 upper-case hex digits), the peer has to have one of them.
        """
        self.trusted = tuple(trusted)
        self.own_authorities = tuple(own_authorities)
        self.edition = 0
        self._denied = DenyList()
        self._pinned = tuple(pinned)
        self._by_profile = by_profile
        self._test_policies = test_policies
        self._on_refusal = on_refusal
        self._passed: dict[bytes, float] = {}
        self._passed_by: tuple[x509.Certificate, ...] = ()

    def deny(self, denied: DenyList) -> None:
        """Deny these from now on, and no others."""
        self._denied = denied
        self.edition += 1

    def why_denied(self, leaf: bytes, shown: Sequence[bytes] = ()) -> str | None:
        """Give why the peer with this certificate (DER) is denied; None where it is not."""
        if not self._denied.notes or not leaf:
            return None
        return self._denied.why([leaf, *self._above(leaf, shown)])

    def judge(self, connection: Connection) -> None:
        """Raise PeerRefusedError where the peer of a connection is not to be spoken with."""
        leaf, shown = connection.getpeercert(binary_form=True) or b"", _shown_chain(connection)
        proven = _proven_chain(connection)
        try:
            if self._by_profile:
                self._require_by_profile([leaf, *shown, *self.own_authorities])
            else:
                self._require_still_trusted(leaf, proven)
            self._require_not_denied(leaf, [*shown, *proven[1:]])
        except PkiFault as fault:
            if self._on_refusal:
                self._on_refusal(str(fault))
            raise PeerRefusedError(str(fault)) from None

    def _require_by_profile(self, peer: Sequence[bytes]) -> None:
        """Refuse who breaks the profile or the pin; who has lately passed with these certificates passes again.

        After an outage all peers come back at once, and judging one takes longer than the rest of its handshake. What
        time alone changes, the end of a certificate, the library judges in every handshake.
        """
        if self._passed_by is not self.trusted or len(self._passed) >= _PASSED_MAX:
            self._passed, self._passed_by = {}, self.trusted
        key, now_s = hashlib.sha256(b"".join(peer)).digest(), time.monotonic()
        if now_s - self._passed.get(key, -math.inf) < _PASSED_S:
            return
        pin = next((one for one in self._pinned if one == identity.lfdi(peer[0])), next(iter(self._pinned), None))
        profile.require_peer(peer, pin, self.trusted, test_policies=self._test_policies)
        self._passed[key] = now_s

    def _require_still_trusted(self, leaf: bytes, proven: Sequence[bytes]) -> None:
        """Refuse who leads only to what was trusted once: a context never forgets what was loaded into it."""
        trusted = {each.public_bytes(Encoding.DER) for each in self.trusted}
        if proven and trusted.isdisjoint(proven):
            raise PkiFault(f"peer {identity.lfdi(leaf)} refused: it leads to nothing that is trusted any more")

    def _require_not_denied(self, leaf: bytes, shown: Sequence[bytes]) -> None:
        if why := self.why_denied(leaf, shown):
            raise PkiFault(f"peer {identity.lfdi(leaf)} refused: {why}; gateway certs allow lets it in again")

    def _above(self, leaf: bytes, shown: Sequence[bytes]) -> list[bytes]:
        """Give the authorities above a certificate, as far as they are known."""
        try:
            known = [*self.trusted, *map(x509.load_der_x509_certificate, (*shown, *self.own_authorities))]
            found = profile.authorities(x509.load_der_x509_certificate(leaf), known)
        except files.UNREADABLE:
            return []
        return [authority.public_bytes(Encoding.DER) for authority in found]

    def connections(self) -> tuple[type[ssl.SSLObject], type[ssl.SSLSocket]]:
        """Make the connection classes of a context: judged when they shake hands, and again under a new deny-list."""
        judge = self

        class JudgedObject(ssl.SSLObject):
            edition = -1

            def do_handshake(self) -> None:
                super().do_handshake()
                judge.judge(self)
                self.edition = judge.edition

            def read(self, *args: object) -> bytes:
                judge.still(self)
                return super().read(*args)  # type: ignore[arg-type] # handed on as they come

            def write(self, data: "ReadableBuffer") -> int:
                judge.still(self)
                return super().write(data)

        class JudgedSocket(ssl.SSLSocket):
            edition = -1

            def do_handshake(self, block: bool = False) -> None:
                super().do_handshake(block)
                judge.judge(self)
                self.edition = judge.edition

            def read(self, *args: object) -> bytes:
                judge.still(self)
                return super().read(*args)  # type: ignore[arg-type] # handed on as they come

            def send(self, data: "ReadableBuffer", flags: int = 0) -> int:
                judge.still(self)
                return super().send(data, flags)

        return JudgedObject, JudgedSocket

    def still(self, connection: Connection) -> None:
        """Raise PeerRefusedError where the peer of an open connection was denied after its handshake."""
        if getattr(connection, "edition", self.edition) in {-1, self.edition}:
            return
        leaf = connection.getpeercert(binary_form=True) or b""
        if why := self.why_denied(leaf, [*_shown_chain(connection), *_proven_chain(connection)[1:]]):
            raise PeerRefusedError(f"peer {identity.lfdi(leaf)} cut off: {why}")
        connection.edition = self.edition  # type: ignore[union-attr] # of the classes made above


def _shown_chain(connection: Connection) -> list[bytes]:
    """Give what the peer sent above its leaf, where the library hands it over (Python 3.13 and later)."""
    chain: Callable[[], list[bytes]] | None = getattr(connection, "get_unverified_chain", None)
    return chain()[1:] if chain else []


def _proven_chain(connection: Connection) -> list[bytes]:
    """Give the chain that the library has proven, leaf first, root last; nothing where it hands over none.

    Before Python 3.13 the library has it and only hands it over from its inside.
    """
    public: Callable[[], list[bytes]] | None = getattr(connection, "get_verified_chain", None)
    if public:
        return list(public())
    inner = getattr(connection, "_sslobj", None)
    chain = None if inner is None else inner.get_verified_chain()
    return [each.public_bytes(_DER) for each in chain or ()]
