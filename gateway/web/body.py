"""The bodies of the local API: JSON read strictly, and the values in them turned into the core's.

Powers are signed as everywhere here: positive is generation, so that an import limit of 3 kW is -3000 W. Instants are
ISO 8601 with an offset, or whole ms since the UNIX epoch under the same name with `_ms`.
"""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Final, TypeVar

import msgspec
from msgspec import Meta

from gateway.web.allowed import allowed

T = TypeVar("T")
LAST_MS: Final = 253_402_300_799_000
"""The end of the year 9999: no instant beyond it is taken for one."""

Id = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}\Z")]
Line = Annotated[str, Meta(pattern=r"\A[^\x00-\x1f\x7f]{0,200}\Z")]
Number = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Power = Annotated[int, Meta(ge=-(10**12), le=10**12, description="W, positive is generation")]
Size = Annotated[int, Meta(ge=0, le=10**12, description="W, a size")]
Energy = Annotated[int, Meta(ge=0, le=10**12, description="Wh, a size")]
Percent = Annotated[float, Meta(ge=-100, le=100, description="% of what the DER can do, positive is generation")]
Money = Annotated[float, Meta(ge=-1e9, le=1e9, description="currency per MWh")]
Instant = Annotated[str, Meta(description="ISO 8601 with an offset")]
InstantMs = Annotated[int, Meta(ge=0, le=LAST_MS, description="ms since the UNIX epoch")]


class BadBodyError(Exception):
    """A request that cannot be understood; its text is the one line to answer with."""


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A JSON object whose every key is known; `needs` are the keys that are asked for though a reader could do without.

    An instant that is needed is stated by either of its two keys.
    """

    needs: ClassVar[tuple[str, ...]] = ()


def read(text: bytes, kind: type[T]) -> T:
    """Read a body; raise BadBodyError, in one line, where it is none of this kind."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = str(error) or "it is nested too deeply"
        then = allowed(kind, said) or "see docs/local-api.md"
        raise BadBodyError(f"the body cannot be read: {said}; {then}") from error


def milli(amount: float) -> int:
    """Give an amount of money in thousandths."""
    return round(1000 * amount)


def instant(name: str, text: str | None, at_ms: int | None) -> int | None:
    """Give an instant (ms) from either way to state it, None where it is left out; raise BadBodyError for both."""
    if text is None or at_ms is not None:
        if text is not None:
            raise BadBodyError(f"{name}: give either {name} or {name}_ms")
        return at_ms
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadBodyError(f"{name}: no instant; write it as 2026-06-21T12:00:00Z") from error
    if at.tzinfo is None:
        raise BadBodyError(f"{name}: it has no offset from UTC; write it as 2026-06-21T12:00:00Z")
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    stated_ms = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    if stated_ms < 0:
        raise BadBodyError(f"{name}: it lies before 1970")
    return stated_ms


def needed(name: str, text: str | None, at_ms: int | None) -> int:
    """Give an instant (ms) that has to be stated; raise BadBodyError where it is not."""
    found = instant(name, text, at_ms)
    if found is None:
        raise BadBodyError(f"{name}: it is missing; give {name} or {name}_ms")
    return found
