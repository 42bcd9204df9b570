"""What a server has said so far of its programs; each change of it is told to the deciding loop once.

What is no longer listed is not withdrawn: an event ends by its time or its status, a default by the next one, and a
resource keeps its programs until the server lists others for it (RULES C13).
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from gateway.core.events import Assigned, DefaultHeard, OrderHeard, OrderUnreadable
from gateway.northbound.sep2_client import modes, translate
from gateway.northbound.sep2_client.modes import Curves
from gateway.northbound.sep2_client.programs import Split
from gateway.northbound.sep2_client.said import Said
from gateway.northbound.sep2_client.shared import Listing, Programs, Shared
from gateway.northbound.sep2_client.translate import NO_CURVES
from gateway.ports.north import Hear
from gateway.ports.ranks import is_reserved
from gateway.wire.sep2 import Faulty, WireFault
from gateway.wire.sep2.codes import EventState
from gateway.wire.sep2.resources import DefaultDERControl, DERControl, DERControlBase, DERProgram

log = logging.getLogger(__name__)

KEEP_OVER_MS: Final = 24 * 3_600_000


class Before(NamedTuple):
    """What was heard of a party's server before a restart: its groups' resources, its orders not yet over, its clocks.

    Each is asked for once, groups and orders when the first round of the new run hears. Of each clock, the server's own
    under no name, it is how far (ms) it was ahead of ours.
    """

    assigned: Callable[[], Iterable[Assigned]]
    orders: Callable[[], Iterable[OrderHeard]]
    offsets_ms: Callable[[], Mapping[str, int]]


NOTHING: Final = Before(tuple, tuple, dict)


class Heard:
    """What one party's server wants, as it was told to the deciding loop."""

    def __init__(
        self,
        party: str,
        resources: Iterable[str],
        hear: Hear,
        draw: Callable[[], int],
        said: Said,
        split: Split,
        before: Before = NOTHING,
    ) -> None:
        """Tell of these resources; `draw` gives the one random number of each new order, `split` its service.

        `before` is what was told before a restart.
        """
        self._party = party
        self._resources = tuple(resources)
        self._hear = hear
        self._draw = draw
        self._said = said
        self._split = split
        self._assigned: dict[str, tuple[str, ...]] = {}
        self._defaults: dict[str, DefaultHeard] = {}
        self._orders: dict[str, OrderHeard] = {}
        self._withdrawn: set[str] = set()
        self._unreadable: set[str] = set()
        self._listed: set[str] = set()
        self._odd: set[int] = set()
        self._before: Before | None = before
        self._old: dict[str, OrderHeard] = {}
        """The orders of before a restart, until they are heard again."""

    def assigned(self, found: Programs) -> None:
        """Take the programs that each resource is assigned to."""
        placed = {name for names in found.resources.values() for name in names}
        for group in dict.fromkeys((*self._assigned, *found.resources)):
            before, now = self._assigned.get(group, ()), found.resources.get(group, set())
            for name in before:
                if name not in now and name not in found.refused and not (found.whole and name in placed):
                    now = now | {name}
                    if found.whole and name in found.present:
                        text = f"no program is listed for {name} any more; what is in force holds"
                        self._said.amiss(f"programs of {name}", text, f"programs are listed for {name} again")
            names = tuple(name for name in self._resources if name in now)
            if names != before:
                self._assigned[group] = names
                self._hear(Assigned(self._party, group, names))

    def default(self, control: DefaultDERControl, program: DERProgram, curves: Curves = NO_CURVES) -> None:
        """Take a program's default with the curves that it links to; one of curves alone waits while they may come."""
        heard = DefaultHeard(translate.default(control, program, self._party, self._split.service(program), curves))
        group = heard.default.group
        if not heard.default.effects and modes.awaits(control.base, curves):
            return
        self._unfit(f"the default of {group}", control.base, curves)
        lacking = translate.default_uncarried(control)
        if lacking:
            text = f"the default of {group} asks for {', '.join(lacking)}, which this gateway cannot carry"
            self._said.amiss(f"default of {group}", text)
        if self._defaults.get(group) != heard:
            self._defaults[group] = heard
            self._hear(heard)

    def no_default(self, program: DERProgram) -> None:
        """Note that a program offers no default; one that it offered before holds."""
        group = translate.group_of(self._party, program)
        if group in self._defaults:
            self._said.amiss(f"no default of {group}", f"{group} offers no default any more; its last one holds")

    def knows(self, item: object) -> bool:
        """Tell whether an item of a DERControlList was taken before, whatever became of it."""
        mrid = item.mrid if isinstance(item, DERControl | Faulty) else None
        return mrid is None or mrid in self._orders or mrid in self._withdrawn or mrid in self._unreadable

    def controls(
        self, items: Iterable[Shared], home: Listing, now_ms: int, server_ms: int, curves: Curves = NO_CURVES
    ) -> None:
        """Take items of a program's DERControlList as they are listed now, with the curves that they link to.

        `now_ms` is on our clock, `server_ms` on the one that the program runs on.
        """
        for shared in items:
            item = shared.item
            if isinstance(item, DERControl):
                self._listed.add(item.mrid)
                try:
                    self._control(item, shared, home, now_ms, server_ms, curves)
                except WireFault as fault:
                    self._cannot_read(item, shared, home.program, str(fault))
            elif isinstance(item, Faulty):
                if item.mrid is not None:
                    self._listed.add(item.mrid)
                self._cannot_read(item, shared, home.program, item.why)

    def _control(
        self,
        control: DERControl,
        shared: Shared,
        home: Listing,
        now_ms: int,
        server_ms: int,
        curves: Curves,
    ) -> None:
        mrid = control.mrid
        if mrid in self._withdrawn:
            return
        withdrawn = translate.withdrawal(control, self._party)
        if withdrawn is not None:
            self._withdrawn.add(mrid)
            self._hear(withdrawn)
            return
        if control.event_status.current_status == EventState.COMPLETED:
            return
        known = self._orders.get(mrid)
        before = self._old.get(mrid) if known is None else known
        held = None if before is None else before.order
        received_ms, draw = (now_ms, self._draw()) if held is None else (held.received_ms, held.draw)
        service, clock = self._split.service(home.program), home.clock if held is None else held.clock
        reply = translate.reply_of(control, shared.reply_at, None if held is None else held.reply)
        order = translate.order(
            control,
            home.program,
            self._party,
            received_ms,
            draw,
            service,
            curves,
            reply,
            clock,
            joins=self._split.joined,
        )
        if known is None and translate.may_wait(order, control.base, curves, server_ms):
            return
        self._unfit(f"event {mrid}", control.base, curves)
        if known is not None and known.order.scope != order.scope:
            self._said.amiss(f"home of {mrid}", f"event {mrid} is listed by two programs; the first one holds")
        elif known is None or known.order != order:
            self._orders[mrid] = OrderHeard(order)
            self._old.pop(mrid, None)
            self._hear(self._orders[mrid])

    def _unfit(self, what: str, base: DERControlBase, curves: Curves) -> None:
        for one in modes.read(base, curves).unfit:
            self._said.amiss(f"{one.modes} of {what}", f"{what}: {one}")

    def _cannot_read(self, item: DERControl | Faulty, shared: Shared, program: DERProgram, why: str) -> None:
        mrid = item.mrid
        self._said.amiss(f"item {mrid or item.href}", f"{item.href}: {why}; it is passed over")
        if mrid is not None and mrid not in self._unreadable:
            self._unreadable.add(mrid)
            reply = translate.reply_of(item, shared.reply_at, None)
            self._hear(OrderUnreadable(self._party, mrid, translate.group_of(self._party, program), why, reply))

    def gradient_hundredths_per_s(self, resource: str) -> int:
        """Give setGradW (hundredths of a percent a second) of the strongest default of a resource; 0 where none is."""
        defaults = [
            heard.default for group, heard in self._defaults.items() if resource in self._assigned.get(group, ())
        ]
        found = [
            (default.precedence, default.id, default.gradient_hundredths_per_s)
            for default in defaults
            if default.gradient_hundredths_per_s
        ]
        return min(found)[2] if found else 0

    def compare(self, programs: Iterable[DERProgram]) -> None:
        """Say which programs the site file's split sets against their primacies, and which bear a reserved one."""
        programs = tuple(programs)
        odd = {each.primacy for each in programs if is_reserved(each.primacy)} - self._odd
        if odd:
            self._odd |= odd
            named = ", ".join(map(str, sorted(odd)))
            log.info(
                "%s: programs of primacy %s, which the standard reserves; they compete as such", self._party, named
            )
        for key, text in self._split.contradictions(programs):
            self._said.amiss(key, text)

    def close(self, server_ms: Callable[[str], int]) -> None:
        """End a round in which every list was read: say what is no longer listed, and forget what is long over.

        `server_ms` tells what the server's clocks show.
        """
        for mrid, heard in list(self._orders.items()):
            if mrid in self._listed:
                continue
            end_ms, at_ms = heard.order.end_ms, server_ms(heard.order.clock)
            if mrid in self._withdrawn or (end_ms is not None and end_ms + KEEP_OVER_MS < at_ms):
                del self._orders[mrid]
            elif end_ms is None or end_ms > at_ms:
                text = f"event {mrid} is no longer listed; it runs to its end (RULES C13)"
                self._said.amiss(f"unlisted {mrid}", text)
        self._withdrawn &= self._listed
        self._unreadable &= self._listed

    def begin(self) -> None:
        """Begin a round."""
        self._listed.clear()
        if self._before is not None:
            self._assigned = {each.group: each.resources for each in self._before.assigned()}
            self._old = {each.order.id: each for each in self._before.orders()}
            self._before = None
