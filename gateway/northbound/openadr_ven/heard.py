"""What a VTN has said so far; each change of it is told to the deciding loop once (RULES C1, C13).

An event is as many orders as it has intervals. What is absent from a complete list has ended; a list that is not
complete ends nothing. A subscription that vanishes holds on: it is the default, and absence is not release.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from gateway.core.events import Assigned, DefaultHeard, OrderHeard, OrderUnreadable, Withdrawal, Withdrawn
from gateway.northbound.openadr_ven import translate
from gateway.northbound.openadr_ven.enrol import Enrolment, targets_of
from gateway.northbound.openadr_ven.said import Said
from gateway.northbound.openadr_ven.schedule import Course, Piece, lay_out
from gateway.northbound.openadr_ven.words import Profile
from gateway.ports.north import Hear
from gateway.wire.openadr3 import Event, Odd, PayloadDescriptor, Program, WireFault, decode_event

KEEP_OVER_MS: Final = 24 * 3_600_000
"""How long after its end an interval that was never heard is still told of, to be answered expired."""

AGAIN_MAX: Final = 1_000
"""So often an event of one version may come back; a version is a time in ms, so that a change is newer all the same."""
ENDED_MAX: Final = 10_000
"""Of so many events it is remembered that they were ended."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)

Held = Callable[[], Iterable[OrderHeard]]
"""Gives the orders of this party that the journal holds and that are not over."""


@dataclass(slots=True)
class Known:
    """An event as it was heard last: its JSON and what that was read with, and what it is laid out as."""

    item: bytes
    event: Event
    program: Program | None
    resources: tuple[str, ...]
    sent: translate.Sent
    told: translate.Units
    course: Course
    anchor_ms: int
    odd: tuple[Odd, ...]
    orders: dict[str, None] = field(default_factory=dict)


class Round(NamedTuple):
    """One reading of the VTN: its programs, which of them are obeyed, and when it was (ms, our clock and the VTN's)."""

    programs: Mapping[str, Program]
    chosen: Callable[[str], bool]
    now_ms: int
    server_ms: int


class Heard:
    """What one party's VTN wants, as it was told to the deciding loop."""

    def __init__(
        self,
        party: str,
        service: str,
        words: Profile,
        enrolment: Enrolment,
        hear: Hear,
        draw: Callable[[], int],
        said: Said,
        held: Held,
    ) -> None:
        """Tell what changes; `draw` gives the one random number of each new event, `held` what was heard before."""
        self.events: dict[str, Known] = {}
        self._party = party
        self._service = service
        self._words = words
        self._enrolment = enrolment
        self._hear = hear
        self._draw = draw
        self._said = said
        self._held: Held | None = held
        self._orders: dict[str, OrderHeard] = {}
        self._assigned: dict[str, tuple[str, ...]] = {}
        self._defaults: dict[tuple[str, str], DefaultHeard] = {}
        self._given_by: dict[tuple[str, str], str] = {}
        self._unreadable: dict[str, str] = {}
        self._unplaced: dict[str, tuple[tuple[str, ...], int]] = {}
        self._ended: dict[str, int] = {}

    def take(self, listed: Iterable[tuple[str, bytes]], at: Round, *, whole: bool) -> None:
        """Take the events as they are listed, each with its id; unless the list is `whole` nothing is ended."""
        if self._held is not None:
            self._orders = {heard.order.id: heard for heard in self._held()}
            self._held = None
        present: set[str] = set()
        for name, item in listed:
            if not _ID.fullmatch(name):
                found = decode_event(item)
                what = found.why if isinstance(found, Odd) and not name else f"its id {name[:40]!a} is none"
                self._said.amiss(f"item {hash(item)}", f"an event without an id is passed over: {what}")
                whole = whole and bool(name)
            elif name not in present:
                self._event(name, item, at, present)
        self._subscriptions(at.server_ms, present)
        if whole:
            self._absent(present, at.server_ms)

    def _event(self, name: str, item: bytes, at: Round, present: set[str]) -> None:
        """Take one event; what is wrong with it is told and concerns no other."""
        known = self.events.get(name)
        odd: tuple[Odd, ...] = ()
        if known is not None and known.item == item:
            event, odd = known.event, known.odd
        else:
            found = decode_event(item)
            if isinstance(found, Odd):
                present.add(name)
                self._cannot_read(name, found.why)
                return
            event, odd = found
        if not at.chosen(event.program_id):
            return
        targets = targets_of(event.targets)
        resources = self._resources(targets)
        if not resources:
            if self._may_be_placed_yet(name, targets):
                present.add(name)
            return
        self._unplaced.pop(name, None)
        present.add(name)
        program = at.programs.get(event.program_id)
        if known is not None and known.item == item and (known.program, known.resources) == (program, resources):
            if known.course.repeats:
                known.course = lay_out(event, known.anchor_ms, at.server_ms, translate.DIVIDED)
                self._orders_of(known, at.server_ms)
            return
        try:
            now = self._understood(item, event, odd, program, targets, resources, known, at)
        except WireFault as fault:
            self._cannot_read(name, str(fault))
            return
        self.events[name] = now
        self._unreadable.pop(name, None)
        for one in (*now.odd, *now.course.odd):
            order_id = translate.order_id(name, one.id)
            now.orders[order_id] = None
            self._cannot_read(order_id, one.why, now.sent.group)
        self._orders_of(now, at.server_ms)

    def _understood(
        self,
        item: bytes,
        event: Event,
        odd: tuple[Odd, ...],
        program: Program | None,
        targets: tuple[str, ...],
        resources: tuple[str, ...],
        known: Known | None,
        at: Round,
    ) -> Known:
        """Lay an event out; raise WireFault where nothing of it can be told."""
        group = translate.group_of(self._party, targets)
        received_ms, draw, anchor_ms = at.now_ms, None, at.server_ms
        if known is not None:
            received_ms, draw, anchor_ms = known.sent.received_ms, known.sent.draw, known.anchor_ms
        else:
            before = [one.order for one in self._orders.values() if translate.event_of(one.order.id) == event.id]
            if before:
                received_ms, draw = before[0].received_ms, before[0].draw
                starts = {translate.piece_of(one.id): one.start_ms for one in before}
                anchor_ms = _anchor(event, starts, at.server_ms)
        draw = self._draw() if draw is None else draw
        version = self._version(event, known)
        sent = translate.sent(event, self._party, group, received_ms, draw, self._service, version)
        told = translate.units(event, _descriptors(program))
        course = lay_out(event, anchor_ms, at.server_ms, translate.DIVIDED)
        self._assign(group, resources)
        return Known(item, event, program, resources, sent, told, course, anchor_ms, odd)

    def _version(self, event: Event, known: Known | None) -> int:
        """Give the version that an event is heard as: its own, or a newer one where its own was ended here before.

        A VTN that lists nothing for a while ends everything; what it lists again is to hold again (RULES C1, C13).
        """
        own = translate.modified_ms(event)
        ended = self._ended.pop(event.id, None)
        held = [one.order.version for one in self._orders.values() if translate.event_of(one.order.id) == event.id]
        newest = max(held, default=own) if known is None else known.sent.version
        if ended is not None:
            newest = max(newest, ended + 1)
        return newest if own <= newest < own + AGAIN_MAX else own

    def _orders_of(self, now: Known, server_ms: int) -> None:
        """Tell the orders of an event that are new or other than before, and the end of those that it has no more."""
        now.orders = {name: None for name in now.orders if name in self._unreadable}
        for piece in now.course.pieces:
            name = translate.order_id(now.sent.event, piece.name)
            known = self._orders.get(name)
            if _stands(piece, known, server_ms):
                now.orders[name] = None
                continue
            try:
                heard = translate.order_heard(piece, now.sent, now.told, self._words)
            except WireFault as fault:
                now.orders[name] = None
                self._cannot_read(name, str(fault), now.sent.group)
                continue
            if heard is None:
                continue
            now.orders[name] = None
            if heard != known:
                self._orders[name] = heard
                self._unreadable.pop(name, None)
                self._hear(heard)
        event = now.sent.event
        for name in [one for one in self._orders if one not in now.orders and translate.event_of(one) == event]:
            self._end(name, server_ms)

    # -- which resources

    def _resources(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        """Give the resources that targets stand for; without any they are all of ours."""
        theirs = self._enrolment.targets
        if not targets:
            return tuple(theirs)
        return tuple(name for name, called in theirs.items() if not called.isdisjoint(targets))

    def _may_be_placed_yet(self, name: str, targets: tuple[str, ...]) -> bool:
        """Tell whether the VTN is still to be asked whom an event is for, which targets nothing that is known here."""
        first = self._unplaced.get(name)
        if first is None or first[0] != targets:
            first = self._unplaced[name] = (targets, self._enrolment.renewals)
        if self._enrolment.known and self._enrolment.renewals > first[1]:
            self._said.amiss(f"targets of {name}", f"event {name} targets nothing that is known here; it is not obeyed")
            return False
        self._enrolment.ask()
        return True

    def _assign(self, group: str, resources: tuple[str, ...]) -> None:
        if self._assigned.get(group) != resources:
            self._assigned[group] = resources
            self._hear(Assigned(self._party, group, resources))

    # -- what ends

    def _absent(self, present: set[str], server_ms: int) -> None:
        """End the orders of the events that a complete list holds no more."""
        for name in [one for one in self._orders if translate.event_of(one) not in present]:
            self._end(name, server_ms)
        for name in [one for one in self.events if one not in present]:
            del self.events[name]
        for name in [one for one in self._unreadable if translate.event_of(one) not in present]:
            del self._unreadable[name]

    def _end(self, name: str, server_ms: int) -> None:
        order = self._orders.pop(name).order
        end_ms = order.end_ms
        if end_ms is None or end_ms > server_ms:
            event = translate.event_of(name)
            self._ended[event] = max(order.version, self._ended.get(event, 0))
            while len(self._ended) > ENDED_MAX:
                del self._ended[next(iter(self._ended))]
            self._hear(Withdrawn(self._party, name, Withdrawal.CANCELLED, 0))

    # -- what holds while no order does

    def _subscriptions(self, server_ms: int, present: set[str]) -> None:
        """Tell the subscription of each direction: of the strongest event that has one, the interval that runs now."""
        found: list[tuple[tuple[bool, int, int, str], DefaultHeard]] = []
        for name in present:
            known = self.events.get(name)
            if known is None:
                continue
            for piece in _running_or_last(known.course.pieces, server_ms):
                defaults, why = translate.subscriptions(piece, known.sent, known.told, self._words)
                if why:
                    self._cannot_read(translate.order_id(name, f"{piece.name}/default"), why, known.sent.group)
                over = piece.end_ms is not None and piece.end_ms <= server_ms
                strength = (over, known.sent.rank.precedence, -known.sent.rank.created_ms, name)
                found += [(strength, DefaultHeard(default)) for default in defaults]
        strongest: dict[tuple[str, str], tuple[str, DefaultHeard]] = {}
        for (*_strength, name), heard in sorted(found, key=lambda one: one[0]):
            strongest.setdefault((heard.default.id, heard.default.group), (name, heard))
        for key, (name, heard) in strongest.items():
            self._given_by[key] = name
            if self._defaults.get(key) != heard:
                self._defaults[key] = heard
                self._hear(heard)
        for kind, group in [key for key in self._defaults if key not in strongest]:
            given_by = self._given_by[kind, group]
            known = self.events.get(given_by) if given_by in present else None
            if known is not None and known.sent.group != group:
                moved = self._defaults.pop((kind, group)).default
                self._hear(DefaultHeard(replace(moved, effects=())))
                continue
            self._said.amiss(f"{kind} {group}", f"{kind} of {group} is listed no more; the last one holds")

    # -- what cannot be read

    def _cannot_read(self, name: str, why: str, group: str | None = None) -> None:
        """Tell once that an event, or an interval of one, cannot be read; what is in force of it holds."""
        if self._unreadable.get(name) == why:
            return
        self._unreadable[name] = why
        known = self.events.get(translate.event_of(name))
        if group is None:
            group = translate.group_of(self._party, ()) if known is None else known.sent.group
        if group not in self._assigned:
            self._assign(group, self._resources(()))
        self._said.say(f"event {name} cannot be read: {why}; what is in force of it holds")
        self._hear(OrderUnreadable(self._party, name, group, why, translate.NO_REPLY))


def _descriptors(program: Program | None) -> tuple[PayloadDescriptor, ...]:
    return () if program is None else program.payload_descriptors or ()


def _running_or_last(pieces: Iterable[Piece], server_ms: int) -> tuple[Piece, ...]:
    """Give the pieces with a subscription that run now, else the one that ended last; what is still to come is none."""
    begun = [
        piece
        for piece in pieces
        if piece.start_ms <= server_ms and any(each.type in translate.SUBSCRIPTIONS for each in piece.interval.payloads)
    ]
    running = tuple(piece for piece in begun if piece.end_ms is None or server_ms < piece.end_ms)
    return running or tuple(sorted(begun, key=lambda piece: piece.end_ms or 0)[-1:])


def _stands(piece: Piece, known: OrderHeard | None, server_ms: int) -> bool:
    """Tell whether nothing is to be told of a piece: it is over, for long where it was never heard."""
    over = piece.end_ms is not None and piece.end_ms <= server_ms
    if known is None:
        return over and piece.end_ms is not None and piece.end_ms + KEEP_OVER_MS <= server_ms
    end_ms = known.order.end_ms
    return over and end_ms is not None and end_ms <= server_ms


def _anchor(event: Event, starts: Mapping[str, int], server_ms: int) -> int:
    """Give when an event of "now" was first heard, by when its pieces start of which that is known (ms, by name)."""
    for piece in lay_out(event, 0, 0, translate.DIVIDED).pieces:
        if piece.anchored and piece.name in starts:
            return starts[piece.name] - piece.start_ms
    return server_ms
