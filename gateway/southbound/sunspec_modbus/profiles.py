"""Device profiles: what public records say of a family of devices, matched by what it says of itself in model 1.

A profile is data (`profiles/devices/*.toml`); everything in it stands under a `[[quirk]]` that names its public source.
What no profile says is as the SunSpec Device Information Model has it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from gateway.southbound.sunspec_modbus.config import SunspecModbus
from gateway.southbound.sunspec_modbus.points import Part, part
from gateway.wire.modbus import READ_MAX
from gateway.wire.sunspec import Chain
from gateway.wire.sunspec.discovery import BASES

COMMON: Final = 1
WRITE_ONE: Final = 6
WRITE_MANY: Final = 16
PERSISTENCE: Final = ("volatile", "persistent", "flash")
"""Writes are forgotten at a restart, kept over it, or kept in a memory that each of them wears."""
REVERSIONS: Final = ("value", "lifts", "none", "unknown")
"""The limit's timer sets a value, lifts the limit, has no effect, or nobody has said."""
ABSORBS: Final = MappingProxyType({"unknown": 0, "positive": 1, "negative": -1})
"""The sign of a power factor (models 123 and 131) that absorbs var: it depends on the notation of the maker."""
SOURCE: Final = re.compile(r"https://\S+")


class ProfileFault(ValueError):  # noqa: N818 - "fault" is the word of this house for what is broken
    """A profile that cannot be used, and why."""


class Identity(NamedTuple):
    """What a device says of itself in model 1; empty where it says nothing."""

    manufacturer: str = ""
    model: str = ""
    options: str = ""
    version: str = ""
    serial: str = ""


class Habits(NamedTuple):
    """How a family is told: by function 06 alone (`singly`), and whether its reversion timer is of use.

    `absorbs` is the sign of a power factor that absorbs var (1 or -1), 0 where nobody says; `wears` that each write
    wears a memory.
    """

    singly: bool = False
    timer: bool = True
    absorbs: int = 0
    wears: bool = False


class Quirk(NamedTuple):
    """One thing that is known of a family: what, by which public sources, and whether it is a danger."""

    what: str
    sources: tuple[str, ...]
    sets: Mapping[str, Any]
    danger: bool


@dataclass(frozen=True, slots=True)
class Match:
    """Patterns of model 1, each for the whole text and in any case; one that is not given fits anything."""

    manufacturer: re.Pattern[str] | None = None
    model: re.Pattern[str] | None = None
    firmware: re.Pattern[str] | None = None

    @property
    def patterns(self) -> int:
        """How many of them are given: the more, the more particular."""
        return sum(each is not None for each in (self.manufacturer, self.model, self.firmware))

    def fits(self, identity: Identity) -> bool:
        """Tell whether a device is one of these."""
        said = ((self.manufacturer, identity.manufacturer), (self.model, identity.model))
        return all(each is None or each.fullmatch(text) for each, text in (*said, (self.firmware, identity.version)))


@dataclass(frozen=True, slots=True)
class Profile:
    """One family of devices. Times are in the unit of their name, lengths in registers.

    `bases` are tried in this order. `end_marker` says whether its chain ends with one. `clients_max` is how many TCP
    connections it takes at once, None where nobody says. `poll_min_s` is how often it may be read at most. `depth` is
    how many reads may be on their way to it at once, None where nobody says: then one.
    """

    name: str = "sunspec"
    about: str = "as the SunSpec models say"
    matches: tuple[Match, ...] = ()
    quirks: tuple[Quirk, ...] = ()
    bases: tuple[int, ...] = BASES
    port: int = 502
    unit: int = 1
    end_marker: bool = True
    write_function: int = WRITE_MANY
    block_max: int = READ_MAX
    gap_ms: int = 0
    connect_pause_ms: int = 0
    clients_max: int | None = None
    depth: int | None = None
    poll_min_s: int = 1
    settle_s: int = 10
    persistence: str = "volatile"
    reversion_documented: str = "unknown"
    reversion_measured: str = "unknown"
    power_factor_absorbs: str = "unknown"

    @property
    def habits(self) -> Habits:
        """Give how it is told; what was measured outweighs what was documented.

        A memory that wears gets no timer, since a timer has to be written again and again.
        """
        said = self.reversion_documented if self.reversion_measured == "unknown" else self.reversion_measured
        wears = self.persistence == "flash"
        absorbs = ABSORBS[self.power_factor_absorbs]
        return Habits(self.write_function == WRITE_ONE, said != "none" and not wears, absorbs, wears)

    @property
    def dangers(self) -> tuple[str, ...]:
        """Give what somebody who controls it has to know."""
        return tuple(quirk.what for quirk in self.quirks if quirk.danger)

    def on(self, table: SunspecModbus) -> SunspecModbus:
        """Put what it says in place of the defaults of a device's table; what the site file says stays."""
        named = {each.name: each.default for each in fields(table)}
        said = {key: getattr(self, key) for key in ON_THE_LINK if key in named and getattr(table, key) == named[key]}
        return replace(table, **said, poll_s=max(table.poll_s, self.poll_min_s))

    def keys(self) -> dict[str, int]:
        """Give the keys of a device's table that differ from their defaults with this profile."""
        named: dict[str, Any] = {each.name: each.default for each in fields(SunspecModbus)}
        said: dict[str, int] = {key: getattr(self, key) for key in (*ON_THE_LINK, "settle_s") if key in named}
        said["poll_s"] = max(self.poll_min_s, named["poll_s"])
        return {key: value for key, value in said.items() if value != named[key]}


ON_THE_LINK: Final = ("block_max", "gap_ms", "connect_pause_ms", "depth")
"""What a profile and a device's table both have, and what a link does with it."""
PLAIN: Final = Profile()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All profiles, and which of them a device is of."""

    profiles: tuple[Profile, ...] = ()
    _ordered: tuple[tuple[int, Match, Profile], ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the most particular first."""
        found = [(-match.patterns, match, profile) for profile in self.profiles for match in profile.matches]
        object.__setattr__(self, "_ordered", tuple(sorted(found, key=lambda each: (each[0], each[2].name))))

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names of all profiles."""
        return tuple(profile.name for profile in self.profiles)

    @property
    def units(self) -> tuple[int, ...]:
        """Give the unit ids that are worth a try, in order."""
        return tuple(sorted({PLAIN.unit, *(profile.unit for profile in self.profiles)}))

    def named(self, name: str) -> Profile:
        """Give a profile by name; the plain one where there is no name or no such profile."""
        return next((profile for profile in self.profiles if profile.name == name), PLAIN)

    def of(self, identity: Identity) -> Profile:
        """Give the profile of a device: that of its most particular match, else the plain one."""
        return next((profile for _, match, profile in self._ordered if match.fits(identity)), PLAIN)


NONE: Final = Catalogue()


@lru_cache(maxsize=4096)
def common(chain: Chain) -> Part | None:
    """Prepare the read of what a device says of itself, in 48 registers; None where it has no model 1."""
    return part(chain, COMMON, ("Mn", "Md", "Opt", "Vr"))


def identity(model: Part, octets: bytes) -> Identity:
    """Take what a device says of itself, as far as the octets go."""
    values = model.reader.decode(octets)
    said = (values.get(name) for name in ("Mn", "Md", "Opt", "Vr", "SN"))
    return Identity(*map(one_line, said))


def one_line(said: object) -> str:
    """Take a device's text without what would end a line or steer a terminal; empty where it says nothing."""
    return "".join(each for each in said if each.isprintable()) if isinstance(said, str) else ""


def catalogue(tables: Mapping[str, Mapping[str, Any]]) -> Catalogue:
    """Read all profiles, each by its name as it was parsed; raise ProfileFault for one that cannot be used."""
    return Catalogue(tuple(read(name, table) for name, table in sorted(tables.items())))


def read(name: str, table: Mapping[str, Any]) -> Profile:
    """Read one profile; raise ProfileFault for a key that is not known, a wrong value or a quirk without a source."""
    _demand(name, table, {"about", "match", "quirk"}, "")
    about = table.get("about")
    if not isinstance(about, str) or not about:
        raise ProfileFault(f'profile {name}: give "about", one line on the family')
    matches = tuple(_match(name, each) for each in _tables(name, table, "match"))
    quirks = tuple(_quirk(name, each) for each in _tables(name, table, "quirk"))
    settings: dict[str, Any] = {}
    for quirk in quirks:
        for key, value in quirk.sets.items():
            if key in settings:
                raise ProfileFault(f'profile {name}: "{key}" is set by two quirks; keep one')
            settings[key] = tuple(value) if isinstance(value, list) else value
    return Profile(name, about, matches, quirks, **settings)


def _tables(name: str, table: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    found = table.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise ProfileFault(f"profile {name}: give at least one [[{key}]]")
    return found


def _demand(name: str, table: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise ProfileFault(f'profile {name}{where}: unknown key "{key}"; known: {", ".join(sorted(known))}')


def _match(name: str, table: Mapping[str, Any]) -> Match:
    _demand(name, table, {"manufacturer", "model", "firmware"}, " [[match]]")
    if not table:
        raise ProfileFault(f"profile {name} [[match]]: give a manufacturer, a model or a firmware")
    try:
        return Match(**{key: re.compile(text, re.IGNORECASE) for key, text in table.items()})
    except (re.error, TypeError) as fault:
        raise ProfileFault(f"profile {name} [[match]]: not a pattern: {fault}") from fault


def _quirk(name: str, table: Mapping[str, Any]) -> Quirk:
    _demand(name, table, {"what", "source", "sets", "danger"}, " [[quirk]]")
    what, sources = table.get("what"), table.get("source")
    if not isinstance(what, str) or not what:
        raise ProfileFault(f'profile {name} [[quirk]]: give "what", one line')
    if not isinstance(sources, list) or not sources or not all(SOURCE.fullmatch(str(each)) for each in sources):
        raise ProfileFault(f'profile {name}: "{what}" needs a "source": a list of public addresses that say so')
    danger, sets = table.get("danger", False), table.get("sets", {})
    if not isinstance(danger, bool) or not isinstance(sets, dict):
        raise ProfileFault(f'profile {name}: "{what}": "danger" is true or false, "sets" a table')
    for key, value in sets.items():
        right = SETTINGS.get(key)
        if right is None:
            raise ProfileFault(f'profile {name}: "{what}" sets "{key}"; known: {", ".join(sorted(SETTINGS))}')
        if not right.holds(value):
            raise ProfileFault(f'profile {name}: "{key}" cannot be {value!r}; it is {right.words}')
    return Quirk(what, tuple(sources), MappingProxyType(sets), danger)


class _Setting(NamedTuple):
    words: str
    holds: Callable[[object], bool]


def _whole(low: int, high: int) -> _Setting:
    return _Setting(f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


def _one_of(choices: Sequence[str | int]) -> _Setting:
    return _Setting(f"one of {', '.join(map(str, choices))}", lambda value: value in choices and value is not True)


def _bases(value: object) -> bool:
    whole = isinstance(value, list) and bool(value) and all(type(each) is int for each in value)
    return isinstance(value, list) and whole and all(0 <= each <= 0xFFFF for each in value)


SETTINGS: Final[Mapping[str, _Setting]] = {
    "bases": _Setting("a list of addresses from 0 to 65535", _bases),
    "port": _whole(1, 65_535),
    "unit": _whole(0, 255),
    "end_marker": _Setting("true or false", lambda value: isinstance(value, bool)),
    "write_function": _one_of((WRITE_ONE, WRITE_MANY)),
    "block_max": _whole(4, READ_MAX),
    "gap_ms": _whole(0, 10_000),
    "connect_pause_ms": _whole(0, 60_000),
    "clients_max": _whole(1, 100),
    "depth": _whole(1, 16),
    "poll_min_s": _whole(1, 3_600),
    "settle_s": _whole(1, 600),
    "persistence": _one_of(PERSISTENCE),
    "reversion_documented": _one_of(REVERSIONS),
    "reversion_measured": _one_of(REVERSIONS),
    "power_factor_absorbs": _one_of(tuple(ABSORBS)),
}
