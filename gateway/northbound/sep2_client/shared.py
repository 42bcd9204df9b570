"""The programs of one round, and what several EndDevices share: one program or event that is listed below each of them.

What bears one mRID is one program, or one event, wherever it is listed; each EndDevice answers where its own copy says
(IEEE 2030.5-2018 8.8 and 10.2.3; CSIP-AUS: programs and events shared between EndDevices).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.wire.sep2 import Faulty
from gateway.wire.sep2.codes import EventState
from gateway.wire.sep2.resources import DERControl, DERProgram

WITHDRAWN = frozenset({EventState.CANCELLED, EventState.CANCELLED_WITH_RANDOMIZATION, EventState.SUPERSEDED})


class Listing(NamedTuple):
    """One address at which a program's controls are listed, and the resources that were led there.

    `clock` is where the Time is that its events run on, empty for that of the DeviceCapability.
    """

    program: DERProgram
    resources: tuple[str, ...]
    clock: str = ""


@dataclass(slots=True)
class Programs:
    """The programs of one round by group: each where it is listed, its poll rate (s), the resources assigned to it.

    `present` are the resources that the server knows, `refused` those that are not who they should be, and `whole`
    tells whether all could be read.
    """

    listings: dict[str, list[Listing]] = field(default_factory=dict)
    poll_s: dict[str, int] = field(default_factory=dict)
    resources: dict[str, set[str]] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    whole: bool = True

    def take(self, group: str, program: DERProgram, resource: str, poll_s: int, clock: str = "") -> None:
        """Note that a resource is assigned to a program whose list has this poll rate, and runs on this clock there."""
        listings = self.listings.setdefault(group, [])
        for place, known in enumerate(listings):
            if _controls_of(known.program) == _controls_of(program):
                if resource not in known.resources:
                    listings[place] = known._replace(resources=(*known.resources, resource))
                break
        else:
            listings.append(Listing(program, (resource,), clock))
        self.poll_s[group] = min(poll_s, self.poll_s.get(group, poll_s))
        self.resources.setdefault(group, set()).add(resource)

    def first(self) -> Iterator[DERProgram]:
        """Give each program as it was met first."""
        return (listings[0].program for listings in self.listings.values())


class Shared(NamedTuple):
    """An item of a DERControlList; of a program that is listed more than once, where each resource's copy answers."""

    item: object
    reply_at: tuple[tuple[str, str], ...] = ()


def merged(lists: Iterable[tuple[Listing, Iterable[object]]], *, is_shared: bool) -> list[Shared]:
    """Give the items of those lists of one program that could be read, each event once, in their order.

    `is_shared` tells whether it has several.

    Our reading: of two copies the newer version holds, of one version the one that was cancelled or superseded, and
    one that can be read before one that cannot.
    """
    if not is_shared:
        return [Shared(item) for _listing, items in lists for item in items]
    copies: dict[str, list[tuple[Listing, DERControl | Faulty]]] = {}
    alone: list[Shared] = []
    for listing, items in lists:
        for item in items:
            if isinstance(item, DERControl | Faulty) and item.mrid is not None:
                copies.setdefault(item.mrid.upper(), []).append((listing, item))
            else:
                alone.append(Shared(item))
    return [_one_of(each) for each in copies.values()] + alone


def _one_of(copies: list[tuple[Listing, DERControl | Faulty]]) -> Shared:
    places: dict[str, str] = {}
    for listing, item in copies:
        for name in listing.resources:
            if item.reply_to:
                places.setdefault(name, item.reply_to)
    return Shared(max((item for _listing, item in copies), key=_strength), tuple(places.items()))


def _strength(item: DERControl | Faulty) -> tuple[bool, int, bool]:
    """Rank a copy; of equals `max` takes the first."""
    if isinstance(item, Faulty):
        return (False, 0, False)
    return (True, item.version or 0, item.event_status.current_status in WITHDRAWN)


def _controls_of(program: DERProgram) -> str | None:
    link = program.der_control_list_link
    return program.href if link is None else link.href
