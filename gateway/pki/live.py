"""Identities in use: their files are looked at again while connections stand, and taken up when they are replaced.

A rotated certificate is a new LFDI (IEEE 2030.5-2018, 6.3.4). What is open goes on as it was; the next handshake is
under the new certificate. A rotation that is faulty is refused whole, and the old identity goes on.
"""

import logging
import os
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.pki import PkiFault, files, identity, profile, tls
from gateway.pki.denied import DenyList

log = logging.getLogger(__name__)

WARN_DAYS: Final = 30
DAY_S: Final = 86_400
_TOLD_MAX: Final = 512

Seen = tuple[tuple[int, int, int] | None, ...]
Renewed = Callable[[str], None]
WhyDenied = Callable[[bytes], str | None]
Cut = Callable[[WhyDenied], None]


class _Content(NamedTuple):
    """The files of an identity, read once: what is judged is what is taken up."""

    chain: list[x509.Certificate]
    certificate: bytes
    key: bytes
    trust: dict[Path, list[x509.Certificate]]

    @property
    def trusted(self) -> list[x509.Certificate]:
        """All that the trust files hold."""
        return [each for found in self.trust.values() for each in found]


@dataclass(slots=True)
class Identity:
    """One context in use, the files that it was made of, and what it was made of last."""

    made: tls.Judged
    certificate: Path | None
    key: Path | None
    trust: tuple[Path, ...]
    by_profile: bool
    taken: Seen = ()
    glimpsed: Seen = ()
    chain: list[x509.Certificate] = field(default_factory=list)
    trusted: list[x509.Certificate] = field(default_factory=list)
    ends_s: dict[Path, float] = field(default_factory=dict)
    renewed: list[Renewed] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How it is named to people: by its certificate, or by whom it trusts."""
        return str(self.certificate or ", ".join(map(str, self.trust)))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that it is made of."""
        own = () if self.certificate is None or self.key is None else (self.certificate, self.key)
        return (*own, *self.trust)

    def keep(self, content: _Content) -> None:
        """Keep what is in use, and when the first certificate of each file ends (s since the UNIX epoch)."""
        self.chain, self.trusted = content.chain, content.trusted
        ends = dict(content.trust) | ({} if self.certificate is None else {self.certificate: content.chain})
        self.ends_s = {
            path: min(each.not_valid_after_utc.timestamp() for each in found) for path, found in ends.items()
        }


class Identities:
    """All identities of one gateway, its deny-list, and when its certificates end."""

    def __init__(self, denied: Path | None = None, now_s: Callable[[], float] = time.time) -> None:
        """Deny whom the list at `denied` names; `now_s` is wall time (s since the UNIX epoch).

        Raises PkiFault where there is a list and it cannot be read.
        """
        self._denied_path = denied
        self._now_s = now_s
        self._denied = DenyList() if denied is None else DenyList.read(denied)
        self._denied_seen: Seen = () if denied is None else _seen((denied,))
        self._in_use: list[Identity] = []
        self._cuts: list[tuple[ssl.SSLContext, Cut]] = []
        self._told_day: dict[Path, tuple[float, float]] = {}
        self._refused: set[str] = set()

    # -- contexts; parameters and faults as of the functions of `tls` with these names

    def client(
        self, certificate: Path, key: Path, trust: Sequence[Path], *, pinned_lfdi: str | Sequence[str] | None = None
    ) -> ssl.SSLContext:
        """Give the context of a client of IEEE 2030.5."""
        made = tls.judged_client(certificate, key, trust, pinned_lfdi=pinned_lfdi)
        return self._use(made, certificate, key, trust, by_profile=True)

    def server(self, certificate: Path, key: Path, trust: Sequence[Path]) -> ssl.SSLContext:
        """Give the context of a server of IEEE 2030.5; who is refused is logged once."""
        made = tls.judged_server(certificate, key, trust, on_refusal=self._tell_refusal)
        return self._use(made, certificate, key, trust, by_profile=True)

    def web(self, trust: Sequence[Path], certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
        """Give the context of an ordinary client: of brokers, and servers of JSON over HTTPS."""
        made = tls.judged_web(trust, certificate, key)
        return self._use(made, certificate, key, trust, by_profile=False)

    def modbus(self, certificate: Path, key: Path, trust: Sequence[Path]) -> ssl.SSLContext:
        """Give the context of a client of Modbus Security."""
        made = tls.judged_modbus(certificate, key, trust)
        return self._use(made, certificate, key, trust, by_profile=False)

    def on_renewal(self, context: ssl.SSLContext, renewed: Renewed) -> None:
        """Have `renewed` called with the new LFDI each time that this context has taken up another certificate."""
        self._of(context).renewed.append(renewed)

    def on_denial(self, context: ssl.SSLContext, cut: Cut) -> None:
        """Have `cut` called when the deny-list changes, with what tells why a certificate (DER) is denied, or None."""
        self._cuts.append((context, cut))

    # -- what is done again and again

    def look(self) -> None:
        """Take up what was replaced on disk, cut off who was denied, and tell of certificates that end soon.

        Certificate and key are two files, so they are taken up once they have stood still from one look to the next.
        """
        self._look_at_denied()
        for one in self._in_use:
            seen = _seen(one.paths)
            if seen not in {one.taken, one.glimpsed}:
                one.glimpsed = seen
            elif seen != one.taken:
                self._renew(one, seen)
        self._tell_expiry()

    def left_s(self) -> dict[str, float]:
        """Give how long (s) each file's certificate lasts that ends first; negative where it has ended."""
        now_s = self._now_s()
        return {str(path): ends_s - now_s for path, ends_s in self._expiries().items()}

    def _use(
        self, made: tls.Judged, certificate: Path | None, key: Path | None, trust: Sequence[Path], *, by_profile: bool
    ) -> ssl.SSLContext:
        one = Identity(made, certificate, key, tuple(trust), by_profile)
        one.taken = one.glimpsed = _seen(one.paths)
        one.keep(_read(one))
        made.judge.deny(self._denied)
        self._in_use.append(one)
        return made.context

    def _of(self, context: ssl.SSLContext) -> Identity:
        return next(one for one in self._in_use if one.made.context is context)

    def _renew(self, one: Identity, seen: Seen) -> None:
        """Take up the files of an identity as they are now, or refuse them all; each state of them is judged once."""
        one.taken = seen
        try:
            content = _read(one)
            _require_good(one, content, self._now_s())
            _take_up(one, content)
        except (PkiFault, ssl.SSLError) as fault:
            why = " ".join(str(fault).split())
            log.error("%s: what was put in its place is refused, the old identity goes on: %s", one.name, why)  # noqa: TRY400 - one line
            return
        changed = bool(content.chain) and content.chain[0] != one.chain[0]
        one.keep(content)
        if not changed:
            log.info("%s: its files were replaced and are taken up", one.name)
            return
        lfdi = identity.lfdi(content.chain[0].public_bytes(Encoding.DER))
        log.info("%s: a new certificate is taken up, LFDI %s; who knows the old one has to be told", one.name, lfdi)
        for renewed in one.renewed:
            renewed(lfdi)

    def _look_at_denied(self) -> None:
        if self._denied_path is None:
            return
        seen = _seen((self._denied_path,))
        if seen == self._denied_seen:
            return
        self._denied_seen = seen
        try:
            self._denied = DenyList.read(self._denied_path, must_exist=True)
        except PkiFault as fault:
            log.error("the deny-list as it was goes on: %s", fault)  # noqa: TRY400 - one line
            return
        log.warning("the deny-list names %d now", len(self._denied.notes))
        for one in self._in_use:
            one.made.judge.deny(self._denied)
        for context, cut in self._cuts:
            cut(self._of(context).made.judge.why_denied)

    def _expiries(self) -> dict[Path, float]:
        found: dict[Path, float] = {}
        for one in self._in_use:
            found |= one.ends_s
        return found

    def _tell_expiry(self) -> None:
        """Tell once a day of each file whose certificate ends within 30 days, or has ended."""
        now_s = self._now_s()
        for path, ends_s in self._expiries().items():
            told_s, told_of_s = self._told_day.get(path, (0.0, 0.0))
            if ends_s - now_s > WARN_DAYS * DAY_S or (told_of_s == ends_s and 0 <= now_s - told_s < DAY_S):
                continue
            self._told_day[path] = now_s, ends_s
            on = time.strftime("%Y-%m-%d", time.gmtime(ends_s))
            if ends_s <= now_s:
                log.error("%s: ended on %s; peers refuse it, put a new one in its place", path, on)
            else:
                days = int((ends_s - now_s) // DAY_S)
                log.warning("%s: ends on %s, in %d days; put a new one in its place before", path, on, days)

    def _tell_refusal(self, why: str) -> None:
        """Tell of each refusal once, and again only after many others."""
        if len(self._refused) >= _TOLD_MAX:
            self._refused.clear()
        if why not in self._refused:
            self._refused.add(why)
            log.warning("%s", why)


def _read(one: Identity) -> _Content:
    trust = {path: files.read_certificates(path) for path in one.trust}
    if one.certificate is None or one.key is None:
        return _Content([], b"", b"", trust)
    files.require_private(one.key)
    certificate = files.read_bytes(one.certificate, "certificate")
    return _Content(
        files.certificates_of(certificate, one.certificate), certificate, files.read_bytes(one.key, "key"), trust
    )


def _require_good(one: Identity, content: _Content, now_s: float) -> None:
    """Raise PkiFault where the new files have a fault that those in use have not.

    Our reading: a successor is not held to what the identity in use breaks itself (an operator's may bear a DNS name),
    and has to lead to a root of the trust files only where that does, for they are there for peers.
    """
    if one.certificate is None or one.key is None:
        return
    ended = [each for each in content.chain if each.not_valid_after_utc.timestamp() <= now_s]
    if ended:
        raise PkiFault(f"certificate file {one.certificate}: expired on {ended[0].not_valid_after_utc:%Y-%m-%d}")
    if content.chain[0].not_valid_before_utc.timestamp() > now_s:
        since = content.chain[0].not_valid_before_utc
        raise PkiFault(f"certificate file {one.certificate}: is not valid before {since:%Y-%m-%d %H:%M} UTC")
    if not one.by_profile:
        return
    files.require_pair(content.chain, one.certificate, files.key_of(content.key, one.key), one.key)
    files.require_root(content.trusted, one.trust)
    leaf, *above = content.chain
    if len(profile.authorities(leaf, above)) < len(above):
        raise PkiFault(
            f"certificate file {one.certificate}: holds what is not above its first one; give leaf, MICA, MCA"
        )
    judge = _judged if not _judged(one.chain, one.trusted) else _judged_alone
    tolerated = set(judge(one.chain, one.trusted))
    worse = [fault for fault in judge(content.chain, content.trusted) if fault not in tolerated]
    if worse:
        raise PkiFault(f"certificate file {one.certificate}: {'; '.join(worse)}; issue it anew by the profile")


def _judged(chain: Sequence[x509.Certificate], trust: Sequence[x509.Certificate]) -> list[str]:
    return profile.check_peer([each.public_bytes(Encoding.DER) for each in chain], trust)


def _judged_alone(chain: Sequence[x509.Certificate], _trust: Sequence[x509.Certificate]) -> list[str]:
    return profile.check_leaf(chain[0])


def _take_up(one: Identity, content: _Content) -> None:
    """Load the new files into the context in use: first into another one, which may fail."""
    context, judge = one.made
    if content.chain:
        with _in_memory(content.certificate) as certificate, _in_memory(content.key) as key:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=_no_password)
            context.load_cert_chain(certificate, key, password=_no_password)
    if content.trusted:
        context.load_verify_locations(cadata=b"".join(each.public_bytes(Encoding.DER) for each in content.trusted))
    judge.trusted = tuple(content.trusted)
    if one.by_profile:
        judge.own_authorities = tuple(each.public_bytes(Encoding.DER) for each in content.chain[1:])


def _no_password() -> str:
    raise PkiFault("its key is encrypted; a daemon cannot ask, store it without a pass phrase")


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Give the path of a file that is in no folder: what was judged is what the library reads."""
    with ExitStack() as stack:
        descriptor = os.memfd_create("gateway-identity", os.MFD_CLOEXEC)
        stack.callback(os.close, descriptor)
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"


def _seen(paths: Sequence[Path]) -> Seen:
    return tuple(_stamp(path) for path in paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
