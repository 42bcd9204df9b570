"""What is owed to whom: for each (order, version, resource) the way from received to exactly one terminal answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.core.arbitrate import Status
from gateway.core.functions import Function
from gateway.core.observe import Verdict
from gateway.core.orders import OrderKey
from gateway.core.timeline import FOR_EVER_MS

MS_PER_HOUR = 3_600_000


class Unable(NamedTuple):
    """A device that has no way to carry the mode of a function, or refused it, and why."""

    device: str
    function: Function
    why: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.device} cannot carry {self.function}: {self.why}"


class Kind(StrEnum):
    """One kind of answer. The last seven are terminal."""

    RECEIVED = "received"
    UNCARRIED = "uncarried"
    STARTED = "started"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    PARTIAL = "partial"
    CANNOT = "cannot"
    REFUSED = "refused"


TERMINAL = frozenset(
    {Kind.COMPLETED, Kind.SUPERSEDED, Kind.CANCELLED, Kind.EXPIRED, Kind.PARTIAL, Kind.CANNOT, Kind.REFUSED}
)


class TakenBy(StrEnum):
    """Who took the place of an order: one of its own group, another group of its issuer, or another party."""

    OWN = ""
    GROUP = "group"
    PARTY = "party"


class Answer(NamedTuple):
    """One answer that an issuer is owed for one version of an order at one resource.

    `serial` names it for ever: it is what the outbox acknowledges. `why` is for people; `rule` is the rule that
    decided. `unserved` tells a `cannot` that came after the order had run from one at its receipt. `clock` is which of
    its issuer's clocks the order runs on. `taken_by` tells of one that ended early, or waiting, who took its place.
    """

    serial: int
    order: OrderKey
    version: int
    resource: str
    kind: Kind
    at_ms: int
    rule: str
    why: str
    reply_to: str
    unserved: bool = False
    clock: str = ""
    taken_by: TakenBy = TakenBy.OWN


@dataclass(slots=True)
class Course:
    """How far one order has come at one resource, and what was seen of it on the way.

    `ended_ms` is when it had its terminal answer: from then on it holds nothing, whatever becomes of the others (C6);
    `lost` is the functions that were superseded before that, and when. It `ran_out` where it ran to its own end.
    `bound` tells whether any command rested on it, `bound_for` in which modes and limits on draw one did; `short` why
    it was served short, `disobeyed` what was measured. `unable` is which devices cannot carry which of its modes.
    `yields_to` is the party whose order it waits for.
    `short_w` is by how much it is served short since `short_since_ms`, `short_w_ms` the energy of it before that.
    """

    status: Status = Status.PENDING
    started: bool = False
    ended: bool = False
    ended_ms: int = FOR_EVER_MS
    ran_out: bool = False
    lost: tuple[tuple[Function, int], ...] = ()
    short: str = ""
    bound: bool = False
    bound_for: tuple[Function, ...] = ()
    adopted: bool = False
    obeyed: bool = False
    disobeyed: str = ""
    short_w: int = 0
    short_since_ms: int = 0
    short_w_ms: int = 0
    unable: tuple[Unable, ...] = ()
    yields_to: str = ""

    def rest_for(self, function: Function) -> None:
        """Note that a command rests on it in a mode, or in a limit on draw."""
        if function not in self.bound_for:
            self.bound_for = (*self.bound_for, function)

    def rested_on(self) -> bool:
        """Tell whether a command rests on anything of it that it has not lost.

        What it lost in the very instant in which it began no device could take on.
        """
        return self.bound or not {function for function, _at_ms in self.lost}.issuperset(self.bound_for)

    def adopt(self, device: str, lacking: Sequence[Unable], *, keeps_any: bool) -> list[Unable]:
        """Take what a device reads back of the order: all but what it is `lacking`; give what is new in that (C15).

        `keeps_any` tells whether anything is left of the order there.
        """
        new = [one for one in lacking if one not in self.unable]
        self.unable = (*(one for one in self.unable if one.device != device), *lacking)
        self.adopted = self.adopted or keeps_any
        return new

    def fall_short(self, short_w: int, now_ms: int) -> None:
        """Take it that the order is served this much (W, a size) below its schedule from now on (C10)."""
        if short_w == self.short_w:
            return
        self.short_w_ms += self.short_w * (now_ms - self.short_since_ms)
        self.short_w, self.short_since_ms = short_w, now_ms

    def short_wh(self) -> int:
        """Give the energy (Wh, rounded up) that its schedule was not served, by estimate."""
        return -(-self.short_w_ms // MS_PER_HOUR)

    def lose(self, function: Function, at_ms: int) -> None:
        """Take it that the order was superseded in a function, once and for good (C6)."""
        if all(each is not function for each, _at_ms in self.lost):
            self.lost = (*self.lost, (function, at_ms))

    def spent_ms(self, function: Function) -> int:
        """Give when (ms) the order lost a function or ended, or FOR_EVER_MS."""
        if not self.lost:
            return self.ended_ms
        return min((at_ms for each, at_ms in self.lost if each is function), default=self.ended_ms)

    def see(self, verdict: Verdict, why: str) -> None:
        """Take a verdict on the device that carries the order out."""
        if verdict in {Verdict.OBEYED, Verdict.HINDERED}:
            self.obeyed = True
        elif verdict is Verdict.DISOBEYED:
            self.disobeyed = why


IN_SUM = "in sum cannot be met"
"""The words by which a course is short of an order in sum: then it is sharing that leaves it short (E)."""


class Ending(NamedTuple):
    """How an order ends at a resource, by which rule, and why."""

    kind: Kind
    rule: str
    why: str


def ending(course: Course) -> Ending:
    """Say how an order that ran to its end has ended; one on which no command ever rested was kept without effort."""
    if course.disobeyed and not course.obeyed:
        return Ending(Kind.CANNOT, "C15", course.disobeyed)
    if course.disobeyed:
        return Ending(Kind.PARTIAL, "C15", course.disobeyed)
    lacks = "; ".join(map(str, course.unable))
    if course.rested_on() and not course.adopted:
        return Ending(Kind.CANNOT, "C15", lacks or "no device adopted it before its end")
    if lacks:
        return Ending(Kind.PARTIAL, "C15", lacks)
    if course.short:
        rule = "E" if IN_SUM in course.short else "C10"
        by = f"; short of its schedule by about {course.short_wh()} Wh" if course.short_w_ms else ""
        return Ending(Kind.PARTIAL, rule, course.short + by)
    return Ending(Kind.COMPLETED, "C15", "ran to its end")
