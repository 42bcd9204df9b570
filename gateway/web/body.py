"""The bodies of the local API: JSON read strictly, and the values in them turned into the core's.

Powers are signed as everywhere here: positive is generation, so that an import limit of 3 kW is -3000 W. Instants are
ISO 8601 with an offset, or whole ms since the UNIX epoch under the same name with `_ms`.
"""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Final, TypeVar

import msgspec
from msgspec import Meta

from gateway.core.functions import CEILINGS, FLOORS, SWITCHES, Function
from gateway.core.orders import Ceiling, Connect, Effect, Energize, Floor, Price, Release, Target
from gateway.core.units import HUNDREDTHS_OF_PERCENT, Share, Watts

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


class EffectBody(Body):
    """One effect: a control function and exactly one value."""

    function: Function
    w: Power | None = None
    percent: Percent | None = None
    on: bool | None = None
    per_mwh: Money | None = None
    release: bool = False


def read(text: bytes, kind: type[T]) -> T:
    """Read a body; raise BadBodyError, in one line, where it is none of this kind."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBodyError(
            f"the body cannot be read: {error or 'it is nested too deeply'}; see docs/local-api.md"
        ) from error


def effects(given: tuple[EffectBody, ...]) -> tuple[Effect, ...]:
    """Give the core's effects; raise BadBodyError where one is not what its function takes."""
    if not given:
        raise BadBodyError("effects: there is none; give at least one")
    functions = [one.function for one in given]
    twice = next((one for one in functions if functions.count(one) > 1), None)
    if twice is not None:
        raise BadBodyError(f"effects: {twice} stands there twice; give one value for it")
    return tuple(_effect(one) for one in given)


def _effect(given: EffectBody) -> Effect:
    function = given.function
    values = {"w": given.w, "percent": given.percent, "on": given.on, "per_mwh": given.per_mwh}
    stated = [name for name, value in values.items() if value is not None]
    stated += ["release"] if given.release else []
    wanted = ("on",) if function in SWITCHES else ("per_mwh",) if function is Function.PRICE else ("w", "percent")
    if len(stated) != 1 or stated[0] not in (*wanted, "release"):
        raise BadBodyError(f"effects: give {function} exactly one of {', '.join((*wanted, 'release'))}")
    if given.release:
        return Release(function)
    if function in SWITCHES:
        return Connect(bool(given.on)) if function is Function.CONNECT else Energize(bool(given.on))
    if given.per_mwh is not None:
        return Price(milli(given.per_mwh))
    percent = given.percent or 0.0
    _signed_rightly(function, *(("w", given.w) if given.w is not None else ("percent", percent)))
    power = Watts(given.w) if given.w is not None else Share(round(percent * HUNDREDTHS_OF_PERCENT / 100))
    if function in CEILINGS:
        return Ceiling(function, power)
    return Floor(function, power) if function in FLOORS else Target(power)


def _signed_rightly(function: Function, name: str, value: float) -> None:
    """Raise BadBodyError for a limit on the other side of zero: it would be an order to run the other way (C2)."""
    if function in FLOORS and value > 0:
        what = "import" if function is Function.IMPORT_LIMIT else "load"
        raise BadBodyError(f"effects: {function} takes {name} of 0 or less ({what} is negative): write {-value:.15g}")
    if function in CEILINGS and value < 0:
        raise BadBodyError(
            f"effects: {function} takes {name} of 0 or more (generation is positive): write {-value:.15g}"
        )


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
