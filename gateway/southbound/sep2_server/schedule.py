"""The controls of one device as a chain of events without a gap, and what a server says of each.

An event is not changed once it was seen: what is wanted is cut into stretches, each the next one's predecessor, and
the next is listed as soon as the one before it runs. Source: IEEE 2030.5-2018 10.2.3.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.southbound.sep2_server import translate
from gateway.wire.sep2.codes import EventState
from gateway.wire.sep2.resources import DERControlBase

KEEP_S: Final = 300
"""How long an event stays listed after its end: clients have been seen to break when one vanishes at that moment."""
MOST_LISTED: Final = 200
FAR_S: Final = 1 << 40


@dataclass(slots=True)
class Stretch:
    """One event: its identity, its modes and its times on the server's clock (s)."""

    mrid: str
    base: DERControlBase
    created_s: int
    start_s: int
    end_s: int
    seen: bool = False
    superseded_s: int | None = None

    def runs_on(self, now_s: int) -> bool:
        """Tell whether it is still to be kept."""
        return self.superseded_s is None and now_s < self.end_s

    def listed_until_s(self) -> int:
        """Give when it leaves the list."""
        return self.end_s + (KEEP_S if self.seen and self.superseded_s is None else 0)


class Mark(NamedTuple):
    """What the server says of an event, and since when (s)."""

    state: EventState
    since_s: int


class Schedule:
    """The events of one device, the newest chain among them."""

    def __init__(self, lfdi: str, born_ms: int) -> None:
        """Begin without any; `born_ms` tells the events of this run of the server from those of another."""
        self._names = (lfdi, born_ms)
        self._number = 0
        self._stretches: list[Stretch] = []

    def keep(self, base: DERControlBase, now_s: int, revert_s: int, most_s: int) -> int:
        """Have these modes in force from now on, for at most `revert_s` and never past `most_s`; count new events.

        What else is in force ends now: superseded where it was seen, forgotten where nobody has read it.
        """
        half_s, before = max(1, revert_s // 2), self._number
        chain = self.chain(now_s)
        outlasts = bool(chain) and chain[-1].end_s > most_s
        if not chain or outlasts or chain[0].base != base or chain[0].start_s > now_s:
            end_s = min(now_s + half_s, most_s)
            if end_s <= now_s:
                return 0
            self._supersede(chain, now_s)
            chain = [self._add(base, self._newer_than_all_s(now_s), now_s, end_s)]
        last = chain[-1]
        end_s = min(last.end_s + half_s, now_s + 2 * half_s, most_s)
        if last.end_s - now_s <= half_s and end_s > last.end_s:
            if last.seen or len(chain) == 1:
                self._add(base, max(now_s, last.created_s), last.end_s, end_s)
            else:
                last.end_s = end_s
        return self._number - before

    def chain(self, now_s: int) -> list[Stretch]:
        """Give the events in force and those that follow them, first to last."""
        return [one for one in self._stretches if one.runs_on(now_s)]

    def find(self, mrid: str) -> Stretch | None:
        """Find an event that is still listed."""
        return next((one for one in self._stretches if one.mrid == mrid), None)

    def listed(self, now_s: int) -> list[Stretch]:
        """Give all events that the list shows now, in its order: start, then the newest, then the highest mRID."""
        self._stretches = [one for one in self._stretches if now_s < one.listed_until_s()]
        if len(self._stretches) > MOST_LISTED:
            over = [one for one in self._stretches if not one.runs_on(now_s)]
            gone = {one.mrid for one in over[: len(self._stretches) - MOST_LISTED]}
            self._stretches = [one for one in self._stretches if one.mrid not in gone]
        return sorted(self._stretches, key=lambda one: (one.start_s, -one.created_s, -int(one.mrid, 16)))

    def mark(self, one: Stretch, now_s: int) -> Mark:
        """Tell the status of an event; one that has ended stays marked as active, 2018 has no word for it."""
        if one.superseded_s is not None:
            return Mark(EventState.SUPERSEDED, one.superseded_s)
        if now_s < one.start_s:
            return Mark(EventState.SCHEDULED, one.created_s)
        return Mark(EventState.ACTIVE, one.start_s)

    def next_change_s(self, now_s: int) -> int:
        """Give when time alone next changes what is said of the events."""
        instants = (at_s for one in self._stretches for at_s in (one.start_s, one.end_s, one.listed_until_s()))
        return min((at_s for at_s in instants if at_s > now_s), default=FAR_S)

    def _supersede(self, chain: list[Stretch], now_s: int) -> None:
        for one in chain:
            if one.seen:
                one.superseded_s = now_s
            else:
                self._stretches.remove(one)

    def _newer_than_all_s(self, now_s: int) -> int:
        return max([now_s, *(one.created_s + 1 for one in self._stretches)])

    def _add(self, base: DERControlBase, created_s: int, start_s: int, end_s: int) -> Stretch:
        self._number += 1
        one = Stretch(translate.mrid(*self._names, self._number), base, created_s, start_s, end_s)
        self._stretches.append(one)
        return one
