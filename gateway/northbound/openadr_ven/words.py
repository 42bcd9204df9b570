"""What `profiles/protocols/openadr3.toml` says of OpenADR 3: what its words mean here, and what a VTN is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from gateway.core.units import Share

KW: Final = "KW"
READ_UNITS: Final = (KW, "KVAR", "VOLTS")
"""What readings are reported in."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What `profiles/protocols/openadr3.toml` says, in the core's words."""

    simple: Mapping[int, Share]
    information: frozenset[str]
    operating_state: Mapping[str, str]
    unasked: tuple[str, ...]


def read_profile(table: Mapping[str, object]) -> Profile:
    """Read the profile of the protocol; ValueError where it says what cannot be."""
    levels: dict[int, Share] = {}
    for level, percent in _table(_table(table, "simple"), "rating_limit_percent").items():
        if not isinstance(percent, int | float) or not 0 <= percent <= 100:
            raise ValueError(f"simple.rating_limit_percent.{level} is {percent}; give a percentage from 0 to 100")
        levels[int(level)] = Share(int(Decimal(repr(percent)) * 100))
    unasked = _texts(_table(table, "report").get("unasked", ()))
    strange = [units for units in unasked if units not in READ_UNITS]
    if strange:
        raise ValueError(f"report.unasked names {strange[0]}; there are {', '.join(READ_UNITS)}")
    states = {kind: str(state) for kind, state in _table(table, "operating_state").items()}
    return Profile(levels, frozenset(_texts(_table(table, "information").get("payloads", ()))), states, unasked)


def _table(table: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = table.get(name, {})
    if not isinstance(found, Mapping):
        raise ValueError(f"{name} is no table")  # noqa: TRY004 - a fault of the profile like the others
    return found


def _texts(listed: object) -> tuple[str, ...]:
    if not isinstance(listed, list | tuple):
        raise ValueError(f"{listed!r} is no list of names")  # noqa: TRY004 - as above
    return tuple(str(each) for each in listed)
