"""What held when: records of decisions folded into spans of time."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.core.answers import TERMINAL, Kind
from gateway.core.events import Tell, Topic
from gateway.core.timeline import FOR_EVER_MS
from gateway.diagnostics.records import values_by_name

ENDS = {
    (Topic.BYPASS, "quiet again"),
    (Topic.NETWORK, "validated again"),
    (Topic.CONTACT, "in contact"),
    (Topic.LINK, "up"),
}
"""What ends a trouble of its topic at the names that it tells of."""

Key = tuple[Topic, str, str]


class Span(NamedTuple):
    """What a record said of one name from `start_ms` until before `end_ms`; FOR_EVER_MS where it still holds.

    Whoever knows when the journal ends sets `known_ms`: until before when it is known to have held.
    """

    tell: Tell
    name: str
    value: int | None
    start_ms: int
    end_ms: int
    known_ms: int = FOR_EVER_MS


def spans(tells: Iterable[Tell]) -> Iterator[Span]:
    """Yield what held at each name and until when, as each ends; what still holds comes last.

    A ruling holds until the next one on its function, or until its order has its last answer there; an order (topic
    answered) from its start to its last answer; a trouble (out of reach, contact lost, contested, not validated,
    unmet) until it is told to be over; a colour or a share until the next.
    """
    fold = _Fold()
    for tell in tells:
        yield from fold.take(tell)
    yield from fold.rest()


class _Fold:
    """What holds now, by topic and name, and for whom."""

    def __init__(self) -> None:
        self._open: dict[Key, Span] = {}
        self._ruled: dict[tuple[str, str], dict[str, None]] = {}
        self._unmet: dict[str, dict[str, None]] = {}

    def take(self, tell: Tell) -> Iterator[Span]:
        """Take a record and yield what ends with it."""
        if tell.topic is Topic.SHARED:
            point = tell.effect.partition(" shared at ")[2]
            yield from self._close((Topic.UNMET, point, tell.order), tell.at_ms)
        for name, value in values_by_name(tell):
            if tell.topic is Topic.ANSWERED:
                yield from self._answered(tell, name)
                continue
            about = _about(tell)
            if about is None:
                continue
            key = (tell.topic, name, about)
            yield from self._close(key, tell.at_ms)
            if (tell.topic, tell.effect) not in ENDS:
                self._open[key] = Span(tell, name, value, tell.at_ms, FOR_EVER_MS)
            if tell.topic is Topic.RULED:
                self._ruled.setdefault((tell.order, name), {})[tell.function] = None
            elif tell.topic is Topic.UNMET:
                self._unmet.setdefault(tell.order, {})[name] = None

    def rest(self) -> Iterator[Span]:
        """Yield what still holds."""
        yield from self._open.values()

    def _answered(self, tell: Tell, name: str) -> Iterator[Span]:
        key = (Topic.ANSWERED, name, tell.order)
        if tell.effect == Kind.STARTED:
            yield from self._close(key, tell.at_ms)
            self._open[key] = Span(tell, name, None, tell.at_ms, FOR_EVER_MS)
        if tell.effect not in TERMINAL:
            return
        yield from self._close(key, tell.at_ms)
        if tell.rule == "C1":
            return
        for function in self._ruled.pop((tell.order, name), {}):
            held = self._open.get((Topic.RULED, name, function))
            if held is not None and held.tell.order == tell.order:
                yield from self._close((Topic.RULED, name, function), tell.at_ms)
        for point in self._unmet.pop(tell.order, {}):
            yield from self._close((Topic.UNMET, point, tell.order), tell.at_ms)

    def _close(self, key: Key, at_ms: int) -> Iterator[Span]:
        held = self._open.pop(key, None)
        if held is not None and held.start_ms < at_ms:
            yield held._replace(end_ms=at_ms)


def _about(tell: Tell) -> str | None:
    """Give what a record replaces at its name when it is told again, or None where it holds for no time."""
    match tell.topic:
        case Topic.RULED:
            return tell.function
        case Topic.UNMET:
            return tell.order
        case Topic.SHARED:
            return f"{tell.function} {tell.order}"
        case Topic.COLOUR | Topic.BYPASS | Topic.NETWORK | Topic.CONTACT | Topic.LINK:
            return ""
        case _:
            return None
