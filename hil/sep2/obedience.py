"""Which of the events that it knows a DER carries out, and what it answers to each (IEEE 2030.5-2018 10.2.3).

Times are seconds of the server's clock. For each mode the event of the lowest primacy holds, of one primacy the one
created last; one that has lost all its modes to another does not come back. A mode without an event has its default:
that of the strongest program which has the mode. An event that vanishes from its list is kept to its end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hil.sep2.events import Status

RECEIVED, STARTED, COMPLETED, CANCELLED, SUPERSEDED, NOT_APPLICABLE, LATE = 1, 2, 3, 6, 7, 252, 254
RECEIPT, PROGRESS = 1, 2
OVER = (Status.CANCELLED, Status.CANCELLED_WITH_RANDOMIZATION, Status.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as it was last read."""

    mrid: str
    primacy: int
    created_s: int
    start_s: int
    end_s: int
    modes: Mapping[str, object]
    status: int
    reply_to: str | None = None
    wanted: int = 0


@dataclass(slots=True)
class Known:
    """An event and what was made of it; `over` is the code it ended with."""

    heard: Heard
    started: bool = False
    over: int | None = None


class Answer(NamedTuple):
    """A Response that is owed."""

    mrid: str
    status: int
    reply_to: str


@dataclass(slots=True)
class Obedience:
    """All that one DER knows of what is wanted of it, and the answers that it owes, oldest first."""

    refuses: bool = False
    events: dict[str, Known] = field(default_factory=dict)
    defaults: dict[int, Mapping[str, object]] = field(default_factory=dict)
    owed: list[Answer] = field(default_factory=list)

    def hear(self, heard: Iterable[Heard], now_s: int) -> None:
        """Take a whole reading of all lists."""
        for one in heard:
            known = self.events.get(one.mrid)
            if known is None:
                self._meet(one, now_s)
                continue
            known.heard = one
            if one.status in OVER and known.over is None:
                self._end(known, SUPERSEDED if one.status == Status.SUPERSEDED else CANCELLED)

    def _meet(self, one: Heard, now_s: int) -> None:
        known = self.events[one.mrid] = Known(one)
        if one.status in OVER:
            known.over = CANCELLED
            return
        if now_s >= one.end_s:
            self._end(known, LATE)
            return
        self._answer(known, RECEIVED, RECEIPT)
        if self.refuses:
            self._end(known, NOT_APPLICABLE)

    def in_force(self, now_s: int) -> dict[str, object]:
        """Give each mode's value now; events begin and end on the way."""
        for known in self.events.values():
            if known.over is None and now_s >= known.heard.end_s:
                self._end(known, COMPLETED)
        running = [known for known in self.events.values() if known.over is None and known.heard.start_s <= now_s]
        running.sort(key=lambda known: (known.heard.primacy, -known.heard.created_s, -known.heard.start_s))
        modes: dict[str, object] = {}
        for known in running:
            taken = {name: value for name, value in known.heard.modes.items() if name not in modes}
            if not taken.keys() - {"rampTms"}:
                self._end(known, SUPERSEDED)
                continue
            modes |= taken
            if not known.started:
                known.started = True
                self._answer(known, STARTED, PROGRESS)
        for primacy in sorted(self.defaults):
            modes |= {name: value for name, value in self.defaults[primacy].items() if name not in modes}
        return modes

    def _end(self, known: Known, status: int) -> None:
        known.over = status
        self._answer(known, status, PROGRESS)

    def _answer(self, known: Known, status: int, wanted: int) -> None:
        if known.heard.reply_to is not None and known.heard.wanted & wanted:
            self.owed.append(Answer(known.heard.mrid, status, known.heard.reply_to))

    def forget(self, now_s: int, listed: Iterable[str]) -> None:
        """Forget events that are over and no longer listed."""
        names = set(listed)
        self.events = {
            mrid: known
            for mrid, known in self.events.items()
            if mrid in names or known.over is None or now_s < known.heard.end_s
        }
