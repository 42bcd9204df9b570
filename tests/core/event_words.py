"""The words of the second-by-second reading of IEEE 2030.5 events: plain values, of which the machine knows nothing."""

from dataclasses import dataclass, field
from typing import NamedTuple

LONG_MS = 1 << 60
LAST_RESORT, LAST_RESORT_W = "last-resort", 1_500
AGREED = "agreement"
CEILINGS = ("export-limit", "generation-limit")
FLOORS = ("import-limit", "load-limit")
SWITCHES = ("connect", "energize")
LIMITS_AND_SWITCHES = CEILINGS + FLOORS + SWITCHES


class Draws(NamedTuple):
    """What was drawn at random for one event at one house (ms)."""

    start_ms: int
    duration_ms: int
    cut_ms: int


class Shown(NamedTuple):
    """What holds in a function, and by whom; no value where the site's own agreement is all there is."""

    by: str
    value: int | None


class Said(NamedTuple):
    """One answer that is owed, and since when."""

    at_ms: int
    mrid: str
    house: str
    word: str


@dataclass(frozen=True)
class Event:
    """A DERControl as its server lists it (s, the server's clock); no duration is for ever."""

    mrid: str
    program: str
    created_s: int
    start_s: int
    duration_s: int | None
    random_start_s: int
    random_duration_s: int
    says: dict[str, int] = field(hash=False)
    uncarried: bool = False


class Hear(NamedTuple):
    """The list is read with this event in it: for the first time, or again."""

    mrid: str


class Cancel(NamedTuple):
    """The list is read with this event cancelled: status 2, or 3 with randomization."""

    mrid: str
    winds_down: bool


class Supersede(NamedTuple):
    """The list is read with this event superseded: status 4."""

    mrid: str


class Primacy(NamedTuple):
    """A program is read with another primacy, and its events and default with it."""

    program: str
    primacy: int


class Defaults(NamedTuple):
    """A program is read with this DefaultDERControl."""

    program: str
    says: tuple[tuple[str, int], ...]


class Contact(NamedTuple):
    """A complete read has succeeded; without another one contact is lost after this window."""

    window_s: int


class Restart(NamedTuple):
    """The process stops and starts again from what it has kept."""


class Clock(NamedTuple):
    """The server's clock is read: it is ahead of ours by this much."""

    ahead_s: int


What = Hear | Cancel | Supersede | Primacy | Defaults | Contact | Restart | Clock


class Happening(NamedTuple):
    """What happens at a second of our clock; `late` where time has had its turn first at that second."""

    at_s: int
    what: What
    late: bool


class Story(NamedTuple):
    """A whole story of one server and the houses that hear it."""

    seed: int
    primacies: dict[str, int]
    events: dict[str, Event]
    happenings: tuple[Happening, ...]
    houses: int = 1
    joins: bool = True


def tighter(function: str, one: int, other: int) -> int:
    """Give the tighter of two values of a limit or a switch; what is off is tighter than what is on."""
    return max(one, other) if function in FLOORS else min(one, other)
