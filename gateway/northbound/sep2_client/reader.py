"""Reads a server's resources when their poll rates ask for it, and keeps what was read until then.

A resource that cannot be read stays as it was read last; it is asked for again after 1, 5 and 15 s, then at its rate.
A poll rate holds from the moment it is read, for what was read before as well. Source: IEEE 2030.5-2018, clause 8;
the rate of lists without a pollRate is that of the list above them.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from gateway.northbound.sep2_client.exchange import Exchange, ServerDown, ServerFault
from gateway.northbound.sep2_client.spread import next_due
from gateway.ports.clock import Clock
from gateway.wire.sep2 import Faulty, Resource
from gateway.wire.sep2.devices import EndDevice, EndDeviceList
from gateway.wire.sep2.metering import MirrorUsagePoint, MirrorUsagePointList
from gateway.wire.sep2.resources import (
    DER,
    DERControl,
    DERControlList,
    DERList,
    DERProgram,
    DERProgramList,
    FunctionSetAssignments,
    FunctionSetAssignmentsList,
)
from gateway.wire.sep2.subscriptions import Subscription, SubscriptionList

PAGE: Final = 255
PAGES_MAX: Final = 1_000
ITEMS_MAX: Final = 20_000
RATE_MAX_S: Final = 86_400
SUBSCRIBABLE: Final = (1, 3)
"""Without a condition, and with or without one (2018 schema, SubscribableType)."""
AGAIN_S: Final = (1, 5, 15)

Kind = TypeVar("Kind", bound=Resource)
Lists = (
    EndDeviceList
    | FunctionSetAssignmentsList
    | DERProgramList
    | DERControlList
    | DERList
    | MirrorUsagePointList
    | SubscriptionList
)
Items = EndDevice | FunctionSetAssignments | DERProgram | DERControl | DER | MirrorUsagePoint | Subscription | Faulty


class Pages(NamedTuple):
    """A list as it was read: its items, its own poll rate (s, or None), and why it cannot be complete (or "").

    `subscribable` is what it says of itself.
    """

    items: tuple[Items, ...]
    poll_rate_s: int | None
    lacking: str = ""
    subscribable: int | None = None


class Kept(NamedTuple):
    """What was read of one address, when, the poll rate that it gave itself, and whether it can be subscribed to."""

    value: object
    read_ms: int
    rate_s: int | None
    subscribable: bool


@dataclass(slots=True)
class Failing:
    """An address that cannot be read: how often it was tried, when it is tried again, and why it failed."""

    tries: int
    again_ms: int
    why: str
    status: int


async def pages(exchange: Exchange, href: str, kind: type[Lists]) -> Pages:
    """Read a list page by page until all that it says to hold is there; what a list that lies gave is kept."""
    items: tuple[Items, ...] = ()
    last: tuple[Items, ...] = ()
    total = rate_s = None
    query = "&" if "?" in href else "?"
    for _page in range(PAGES_MAX):
        page = await exchange.get(f"{href}{query}s={len(items)}&l={PAGE}", kind)
        rate_s = getattr(page, "poll_rate_s", None) or rate_s
        total = page.total if total is None else total
        if page.items and page.items == last:
            return Pages(items, rate_s, "gives the same page again and again")
        items, last = items + page.items, page.items
        if total is None:
            return Pages(items, rate_s, "does not say how many items it holds")
        if total > ITEMS_MAX:
            return Pages(items, rate_s, f"says that it holds {total} items; at most {ITEMS_MAX} are read")
        if page.total != total:
            return Pages(items, rate_s, f"held {total} items and then {page.total}: it changed while it was read")
        if len(items) > total or (len(items) < total and not page.items):
            return Pages(items, rate_s, f"says that it holds {total} items and gives {len(items)}")
        if len(items) == total:
            return Pages(items, rate_s, subscribable=getattr(page, "subscribable", None))
    return Pages(items, rate_s, f"does not end within {PAGES_MAX} pages")


class Reader:
    """What is known of one server, and when each part of it is to be read again."""

    def __init__(self, exchange: Exchange, clock: Clock, poll_s: int, phase_s: int = 0) -> None:
        """Read through this exchange; `poll_s` stands in for a poll rate that is not given.

        What is read again is so in step with `phase_s`, by which this gateway asks at another second than others.
        """
        self._phase_ms = 1000 * phase_s
        self.failing: dict[str, Failing] = {}
        self._exchange = exchange
        self._clock = clock
        self._poll_s = poll_s
        self._kept: dict[str, Kept] = {}
        self._now_ms = 0
        self._due_ms: dict[str, int] = {}

    def begin(self) -> None:
        """Begin a round: all that is read in it counts as read now, so that equal rates stay in step."""
        self._now_ms = self._clock.now_ms()
        self._due_ms.clear()

    def end(self) -> None:
        """End a round that saw the whole server: what it did not come across is forgotten."""
        self._kept = {href: kept for href, kept in self._kept.items() if href in self._due_ms}
        self.failing = {href: failing for href, failing in self.failing.items() if href in self._due_ms}

    def expire(self, href: str = "") -> None:
        """Read this address, or everything, again in the next round, however lately it was read."""
        for each, kept in self._kept.items():
            if href in ("", each, each.partition("?")[0]):
                self._kept[each] = kept._replace(read_ms=-1000 * RATE_MAX_S)

    def expire_before(self, at_ms: int) -> None:
        """Read again in the next round whatever was read before an instant, as after a time without the server."""
        for each, kept in self._kept.items():
            if kept.read_ms < at_ms:
                self._kept[each] = kept._replace(read_ms=-1000 * RATE_MAX_S)

    def is_fresh(self, href: str) -> bool:
        """Tell whether an address was read in this round."""
        kept = self._kept.get(href)
        return kept is not None and kept.read_ms == self._now_ms

    def next_due_ms(self) -> int:
        """Give when something that the round came across is next to be read."""
        return min(self._due_ms.values(), default=self._now_ms)

    def subscribable(self) -> tuple[str, ...]:
        """Give the addresses, without a query, that the server offers to tell of."""
        return tuple(dict.fromkeys(href.partition("?")[0] for href, kept in self._kept.items() if kept.subscribable))

    def rate_s(self, href: str, inherited_s: int | None = None) -> int:
        """Give the poll rate of an address: its own, else that of the list above it, else the stand-in."""
        kept = self._kept.get(href)
        return min((kept.rate_s if kept else None) or inherited_s or self._poll_s, RATE_MAX_S)

    async def one(self, href: str, kind: type[Kind], inherited_s: int | None = None) -> Kind:
        """Give a resource, read anew where it is due; raise ServerFault where it could never be read.

        Raises ServerDown where the server as a whole does not answer.
        """
        if self._is_due(href, inherited_s):
            try:
                value = await self._exchange.get(href, kind)
            except ServerFault as fault:
                self._failed(href, fault, inherited_s)
            except ServerDown as fault:
                self._failed(href, await self._blamed(href, fault), inherited_s)
            else:
                rate_s, subscribable = getattr(value, "poll_rate_s", None), getattr(value, "subscribable", None)
                self._keep(href, Kept(value, self._now_ms, rate_s, subscribable in SUBSCRIBABLE), inherited_s)
                self.failing.pop(href, None)
        found = self._last(href)
        if not isinstance(found, kind):
            raise ServerFault(self._why(href))
        return found

    async def all(self, href: str, kind: type[Lists], inherited_s: int | None = None) -> tuple[Items, ...]:
        """Give a list's items, read anew where they are due; raises as `one` does."""
        if self._is_due(href, inherited_s):
            try:
                found = await pages(self._exchange, href, kind)
            except ServerFault as fault:
                self._failed(href, fault, inherited_s)
            except ServerDown as fault:
                self._failed(href, await self._blamed(href, fault), inherited_s)
            else:
                can_tell = found.subscribable in SUBSCRIBABLE
                self._keep(href, Kept(found.items, self._now_ms, found.poll_rate_s, can_tell), inherited_s)
                if found.lacking:
                    self._failed(href, ServerFault(f"GET {href}: the list {found.lacking}"), inherited_s)
                else:
                    self.failing.pop(href, None)
        items = self._last(href)
        if not isinstance(items, tuple):
            raise ServerFault(self._why(href))
        return items

    def last(self, href: str, kind: type[Kind]) -> Kind | None:
        """Give a resource as it was read last and leave asking for it to the next round; None where it never was."""
        self._due_ms.setdefault(href, self._now_ms + 1000 * AGAIN_S[0])
        found = self._last(href)
        return found if isinstance(found, kind) else None

    def _is_due(self, href: str, inherited_s: int | None) -> bool:
        failing, kept = self.failing.get(href), self._kept.get(href)
        if failing is None and kept is None:
            return True
        due_ms = next_due(kept.read_ms, 1000 * self.rate_s(href, inherited_s), self._phase_ms) if kept else 0
        if failing is not None:
            due_ms = failing.again_ms
        self._due_ms[href] = min(self._due_ms.get(href, due_ms), due_ms)
        return due_ms <= self._now_ms

    def _keep(self, href: str, kept: Kept, inherited_s: int | None) -> None:
        self._kept[href] = kept
        self._due_ms[href] = next_due(self._now_ms, 1000 * self.rate_s(href, inherited_s), self._phase_ms)

    def _last(self, href: str) -> object:
        kept = self._kept.get(href)
        return None if kept is None else kept.value

    def _why(self, href: str) -> str:
        return self.failing[href].why if href in self.failing else f"GET {href}: is used as two kinds of resource"

    def _failed(self, href: str, fault: ServerFault, inherited_s: int | None) -> None:
        tries = self.failing[href].tries if href in self.failing else 0
        again_s = rate_s = self.rate_s(href, inherited_s)
        if fault.retry_after_s:
            again_s = rate_s * (fault.retry_after_s // rate_s + 1)
        elif tries < len(AGAIN_S):
            again_s = min(AGAIN_S[tries], rate_s)
        again_ms = self._now_ms + 1000 * again_s
        self.failing[href] = Failing(tries + 1, again_ms, str(fault), fault.status)
        self._due_ms[href] = again_ms

    async def _blamed(self, href: str, fault: ServerDown) -> ServerFault:
        """Tell one address that fails from a server that is down: its DeviceCapability is asked for as well."""
        if href == self._exchange.url or not await self._exchange.answers():
            raise fault
        return ServerFault(str(fault), retry_after_s=fault.retry_after_s)
