"""Who speaks on the local API: a bearer token names exactly one party, and nothing inside a message does (RULES A1)."""

import hashlib
import hmac
import shlex
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

SHORTEST: Final = 16
"""Fewer characters can be guessed."""


class TokenFault(Exception):  # noqa: N818 - "fault" is the word of this house for what is broken
    """A token file that cannot be used."""


class Tokens:
    """The tokens of the parties, as digests."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        """Read each party's token from its file; raise TokenFault where one is unusable, or two are the same."""
        self._digests: list[tuple[str, bytes]] = []
        for party, path in files.items():
            self._add(party, path)

    @classmethod
    def faults(cls, files: Mapping[str, Path]) -> dict[str, str]:
        """Give what is wrong with each party's token file, in one line; parties whose token is right are left out."""
        tokens, found = cls({}), dict[str, str]()
        for party, path in files.items():
            try:
                tokens._add(party, path)
            except TokenFault as fault:
                found[party] = str(fault)
        return found

    def _add(self, party: str, path: Path) -> None:
        digest = _digest(_read(path))
        other = next((name for name, held in self._digests if held == digest), None)
        if other is not None:
            raise TokenFault(f"{path}: party {other!r} shows the same token; give each party its own: {_made(path)}")
        self._digests.append((party, digest))

    def party(self, authorization: str) -> str | None:
        """Give the party that an Authorization header proves, None where it proves nobody (RFC 6750, 2.1)."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        shown = _digest(token.strip())
        return _last(name for name, held in self._digests if hmac.compare_digest(held, shown))


def _last(names: Iterable[str]) -> str | None:
    """Look at every name, so that the time taken does not depend on which token was shown."""
    found = None
    for name in names:
        found = name
    return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _made(path: Path) -> str:
    """Give the command that makes a token."""
    file = shlex.quote(str(path))
    return f"openssl rand -hex 16 > {file} && chmod 600 {file}"


def _read(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
        mode = path.stat().st_mode
    except OSError as error:
        raise TokenFault(f"{path}: the token cannot be read: {error.strerror}; make one: {_made(path)}") from error
    except UnicodeDecodeError as error:
        raise TokenFault(f"{path}: a token is plain ASCII; make one: {_made(path)}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TokenFault(f"{path}: others can read this token; run chmod 600 on it, or make one: {_made(path)}")
    if len(token) < SHORTEST or len(token.split()) != 1:
        raise TokenFault(f"{path}: a token is one word of at least {SHORTEST} characters; make one: {_made(path)}")
    return token
