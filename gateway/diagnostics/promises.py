"""What was promised, what was asked for and what could have been delivered, as far as a journal tells (RULES C8)."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gateway.core.capacity import Commitment, CommitmentBook
from gateway.core.commitments import shortfall
from gateway.core.events import CommitmentHeard, OrderHeard, Started, Tell, Topic
from gateway.core.functions import Function
from gateway.core.orders import Order, Target
from gateway.core.parties import Direction, Level
from gateway.core.timeline import FOR_EVER_MS
from gateway.core.topology import Device, Site
from gateway.core.units import toward_zero_watts
from gateway.diagnostics.records import values_by_name
from gateway.diagnostics.spans import Span, spans

WITHDRAWN = "withdrawn"
OUT_OF_REACH = -1


class Told(NamedTuple):
    """One entry of a journal: when it was handled (ms), its event where that is still there, and its records."""

    now_ms: int
    event: object
    tells: tuple[Tell, ...]


@dataclass(slots=True)
class Past:
    """What a journal holds: its records, its orders by full name, its site, and the commitments that were entered.

    A commitment that was withdrawn ends there; `starts` are the places among the records at which the process started,
    and when (ms).
    """

    tells: list[Tell] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    commitments: list[Commitment] = field(default_factory=list)
    site: Site | None = None
    starts: dict[int, int] = field(default_factory=dict)
    until_ms: int = 0


def read(entries: Iterable[Told], held: Iterable[Commitment] = (), site: Site | None = None) -> Past:
    """Read a journal from its beginning; `held` and `site` are known from a snapshot, where it tells them no more."""
    past = Past(site=site)
    heard: dict[str, Commitment] = {}
    entered: dict[str, Commitment] = {}
    for entry in entries:
        past.until_ms = max(past.until_ms, entry.now_ms)
        event = entry.event
        if isinstance(event, Started):
            past.site = event.site
            past.starts[len(past.tells)] = entry.now_ms
        elif isinstance(event, OrderHeard):
            past.orders[f"{event.order.issuer}/{event.order.id}"] = event.order
        elif isinstance(event, CommitmentHeard):
            heard["/".join(event.commitment.key)] = event.commitment
        for tell in entry.tells:
            past.tells.append(tell)
            if tell.topic is not Topic.COMMITTED:
                continue
            if tell.effect == WITHDRAWN:
                past.commitments += _cut(entered.pop(tell.order, None), tell.at_ms)
            elif tell.order in heard:
                past.commitments += _cut(entered.pop(tell.order, None), FOR_EVER_MS)
                entered[tell.order] = heard.pop(tell.order)
    known = {one.key for one in (*past.commitments, *entered.values())}
    past.commitments += [*entered.values(), *(one for one in held if one.key not in known)]
    past.commitments.sort(key=lambda one: (one.start_ms, one.key))
    return past


def _cut(one: Commitment | None, end_ms: int) -> list[Commitment]:
    return [] if one is None else [replace(one, end_ms=min(one.end_ms, end_ms))]


class Ask(NamedTuple):
    """What was asked of a DER (W, a size) from one instant until before another (ms)."""

    start_ms: int
    end_ms: int
    w: int


class Asked:
    """What services asked of each DER by their orders, also while those were suspended."""

    def __init__(self, asks: dict[tuple[str, str, Direction], list[Ask]]) -> None:
        """Take what was asked by service, DER and direction."""
        self._asks = asks

    def wms(self, service: str, device: str, direction: Direction, start_ms: int, end_ms: int) -> int:
        """Give the energy (W times ms) that a service asked of a DER in a half-open window."""
        return sum(
            one.w * max(0, min(one.end_ms, end_ms) - max(one.start_ms, start_ms))
            for one in self._asks.get((service, device, direction), ())
        )


def asked_of(past: Past) -> Asked:
    """Read off a journal what was asked: the set-point of each order from its start to its last answer.

    Our reading: a set-point of several DER asks each for a part in proportion to its rating.
    """
    found: dict[tuple[str, str, Direction], list[Ask]] = {}
    if past.site is None:
        return Asked(found)
    behind = {
        each.name: [one for one in past.site.devices if one.resource == each.name] for each in past.site.resources
    }
    shares: dict[tuple[str, str], list[Span]] = {}
    running: list[Span] = []
    for span in spans(past.tells):
        if span.tell.topic is Topic.ANSWERED:
            running.append(span)
        elif span.tell.topic is Topic.SHARED and span.tell.function == Function.ACTIVE_POWER:
            shares.setdefault((span.tell.order, span.name), []).append(span)
    for span in running:
        order, devices = past.orders.get(span.tell.order), behind.get(span.name, [])
        if order is None or not devices:
            continue
        service = order.service or _service(past.site, order.issuer)
        rated_w = sum(device.rated_w for device in devices)
        for ask in _asks(order, span, shares.get((span.tell.order, span.name), ()), rated_w):
            direction = Direction.EXPORT if ask.w > 0 else Direction.IMPORT
            for device in devices:
                w = abs(ask.w) * device.rated_w // rated_w
                found.setdefault((service, device.name, direction), []).append(ask._replace(w=w))
    return Asked(found)


def _asks(order: Order, span: Span, shares: Sequence[Span], rated_w: int) -> Iterator[Ask]:
    """Give what an order asked of a resource (W, signed): its share, where it was on several in sum."""
    for share in shares:
        start_ms, end_ms = max(share.start_ms, span.start_ms), min(share.end_ms, span.end_ms)
        if share.value and start_ms < end_ms:
            yield Ask(start_ms, end_ms, share.value)
    target = next((effect for effect in order.effects if isinstance(effect, Target)), None)
    if target is not None and not shares:
        w = toward_zero_watts(target.power, rated_w, rated_w)
        if w:
            yield Ask(span.start_ms, span.end_ms, w)


def _service(site: Site, issuer: str) -> str:
    """Name what a party's set-points are for where it does not say: what it stands strongest with."""
    own = [one for one in site.grants if one.party == issuer and Function.ACTIVE_POWER in one.functions]
    return min(own, key=lambda one: Level(one.level)).service if own else ""


class Reach:
    """What each DER was able to generate (W), as steps; OUT_OF_REACH while it was not in reach."""

    def __init__(self, steps: dict[str, list[tuple[int, int]]]) -> None:
        """Take steps of (from when, W) by DER, in order of time."""
        self._steps = steps

    def changes(self, devices: Sequence[str], start_ms: int, end_ms: int) -> list[int]:
        """Give the instants inside a window at which one of these DER became able to do more or less."""
        return sorted(
            {at_ms for name in devices for at_ms, _w in self._steps.get(name, ()) if start_ms < at_ms < end_ms}
        )

    def able_w(self, commitment: Commitment, book: CommitmentBook, at_ms: int) -> int:
        """Give what the DER of a commitment could deliver of it at an instant (W); stronger ones are served first.

        Our reading: a DER in reach can charge what it promised to charge; nothing tells what it could not.
        """
        able_w = 0
        for part in commitment.slices:
            steps = self._steps.get(part.device, [])
            place = bisect_right(steps, at_ms, key=lambda step: step[0])
            device_w = steps[place - 1][1] if place else OUT_OF_REACH
            if device_w == OUT_OF_REACH:
                continue
            if commitment.direction is Direction.IMPORT:
                able_w += part.w
                continue
            cut = shortfall(book, part.device, device_w, commitment.direction, at_ms)
            able_w += next((one.kept_w for one in cut if one.key == commitment.key), part.w)
        return able_w


def reach_of(past: Past) -> Reach:
    """Read off a journal what each DER was able to generate: its limit, while it was in reach."""
    devices: Sequence[Device] = past.site.devices if past.site is not None else ()
    limit_w = {device.name: device.rated_w for device in devices}
    most_w = dict.fromkeys(limit_w, OUT_OF_REACH)
    steps: dict[str, list[tuple[int, int]]] = {}
    for place, tell in enumerate(past.tells):
        if place in past.starts:
            most_w = dict.fromkeys(limit_w, OUT_OF_REACH)
            for name in limit_w:
                _step(steps, name, past.starts[place], OUT_OF_REACH)
        if tell.topic not in {Topic.LINK, Topic.COMMANDED}:
            continue
        for name, value in values_by_name(tell):
            if name not in limit_w:
                continue
            if tell.topic is Topic.LINK:
                most_w[name] = OUT_OF_REACH if value is None else value
            elif value is not None:
                limit_w[name] = value
            _step(steps, name, tell.at_ms, min(limit_w[name], most_w[name]))
    return Reach(steps)


def _step(steps: dict[str, list[tuple[int, int]]], name: str, at_ms: int, w: int) -> None:
    own = steps.setdefault(name, [])
    if own and own[-1][0] == at_ms:
        own[-1] = (at_ms, w)
    elif not own or own[-1][1] != w:
        own.append((at_ms, w))
