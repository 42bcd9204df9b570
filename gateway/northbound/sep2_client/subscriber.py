"""Keeps this gateway subscribed to all that a server offers to tell of, and says what is to be read again.

The server's own list tells which subscriptions stand, so that either side may have been restarted in between. Our
reading: a notification is word of a change and no more, and what changed is read; a list in it may be a part of one.
Source: IEEE 2030.5-2018, Subscription/Notification (8.6): polling goes on beside it.
"""

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.northbound.sep2_client.exchange import OK, Exchange, ServerDown, ServerFault
from gateway.northbound.sep2_client.reader import pages
from gateway.northbound.sep2_client.said import Said
from gateway.ports.clock import Clock
from gateway.wire.sep2.subscriptions import XML, Notification, Subscription, SubscriptionList

LIMIT: Final = 100
MOST: Final = 1_000
LOOK_AGAIN_S: Final = 900
RETRY_S: Final = 60
RENEW_MS: Final = 20 * 3_600_000
"""Our reading: a server may let a subscription go after a day and a half, and is reminded within one day."""
CANCELLED: Final = (1, 2, 3, 4)
EVERYTHING: Final = ""


class Standing(NamedTuple):
    """A subscription that the server has: where, and since when it was not renewed (ms)."""

    href: str
    since_ms: int


class Subscriber:
    """What one server tells us of.

    `changed` is set while something is to be read again, `reached` once somebody listens for notifications.
    """

    def __init__(self, party: str, exchange: Exchange, clock: Clock) -> None:
        """Subscribe through this exchange; nothing is, before `reach` says where we can be reached."""
        self.changed = asyncio.Event()
        self.reached = asyncio.Event()
        self._exchange = exchange
        self._clock = clock
        self._said = Said(party)
        self._base = ""
        self._places: dict[str, str] = {}
        self._standing: dict[str, Standing] = {}
        self._again_ms: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        self._look_ms = 0
        self._hold_ms = 0
        """Until when the server is left alone."""
        self._stale: set[str] = set()

    def reach(self, base: str) -> None:
        """Be reached below this address from now on; what was missed while nobody listened is read again."""
        if self._base:
            self.reread(EVERYTHING)
        if base != self._base:
            self._standing.clear()
        self._base = base
        self.look_again()
        self.reached.set()

    def look_again(self) -> None:
        """Look at the server's list as soon as may be."""
        self._look_ms = self._hold_ms = 0

    def next_ms(self) -> int:
        """Give when something is to be asked of the server."""
        renewals_ms = (each.since_ms + RENEW_MS for each in self._standing.values())
        return max(self._hold_ms, min([self._look_ms, *renewals_ms, *self._again_ms.values()]))

    def reread(self, href: str) -> None:
        """Have an address, or everything, read again."""
        self._stale.add(href)
        self.changed.set()

    def take_stale(self) -> set[str]:
        """Give what is to be read again, once."""
        stale, self._stale = self._stale, set()
        self.changed.clear()
        return stale

    def notified(self, place: str, notification: Notification) -> str:
        """Take a notification that came to a place of ours, and give why it is refused, if it is.

        Before the server's list was looked at, a place is ours if it is the one that stands for the address.
        """
        try:
            about = urlsplit(notification.subscribed_resource).path
        except ValueError:
            return "a notification of something that is no address"
        href = self._places.get(place) or (about if self._place(about) == place else None)
        if href is None:
            return "a notification for a subscription that is not ours"
        if about != urlsplit(href).path:
            return f"a notification of {about} for a subscription to {href}"
        if notification.status in CANCELLED:
            self._said.say(f"ended the subscription to {href} (status {notification.status}); it is asked for again")
            self._standing.pop(place, None)
            self._again_ms[place] = self._clock.now_ms() + 1000 * RETRY_S
            self.reread(EVERYTHING)
        else:
            self.reread(href)
        return ""

    async def keep(self, list_href: str | None, offered: Iterable[str], *, whole: bool) -> None:
        """Subscribe to these addresses of the server, as far as it takes them; trouble is said once and tried again.

        Where they are the `whole` of what is offered, subscriptions of ours to others are deleted.
        """
        now_ms = self._clock.now_ms()
        if now_ms < self._hold_ms:
            return
        wanted = {} if list_href is None else {self._place(href): href for href in list(offered)[:MOST]}
        self._standing = {place: standing for place, standing in self._standing.items() if place in wanted}
        self._again_ms = {place: at_ms for place, at_ms in self._again_ms.items() if place in wanted}
        self._refused = {place: status for place, status in self._refused.items() if place in wanted}
        if list_href is None:
            self._look_ms = now_ms + 1000 * LOOK_AGAIN_S
            self._said.amiss("list", "offers no SubscriptionList for this gateway; it is polled alone")
            self._said.close()
            return
        try:
            if now_ms >= self._look_ms:
                await self._look(list_href, wanted, now_ms, whole=whole)
            for place, href in wanted.items():
                if self._is_due(place, now_ms):
                    await self._subscribe(list_href, place, href, now_ms)
        except (ServerDown, ServerFault) as fault:
            self._hold_ms = now_ms + 1000 * max(RETRY_S, fault.retry_after_s)
            self._said.amiss("list", f"subscriptions: {fault}; it is polled meanwhile", "subscriptions are kept again")
        if self._refused:
            place, status = next(iter(self._refused.items()))
            what = f"subscriptions to {wanted[place]} and {len(self._refused) - 1} more are refused (status {status})"
            self._said.amiss("refused", f"{what}; they are polled alone", "no subscription is refused any more")
        self._said.close()

    def _place(self, href: str) -> str:
        """Give the place that stands for an address, the same after every restart."""
        return hashlib.sha256(f"{self._exchange.url} {href}".encode()).hexdigest()[:32]

    def _uri(self, place: str) -> str:
        return f"{self._base}/{place}"

    def _is_due(self, place: str, now_ms: int) -> bool:
        if place in self._again_ms:
            return self._again_ms[place] <= now_ms
        standing = self._standing.get(place)
        return standing is None or standing.since_ms + RENEW_MS <= now_ms

    async def _look(self, list_href: str, wanted: dict[str, str], now_ms: int, *, whole: bool) -> None:
        """Learn which subscriptions the server has, and delete those of ours that nobody wants any more."""
        found = await pages(self._exchange, list_href, SubscriptionList)
        listed: dict[str, Standing] = {}
        unwanted: list[str] = []
        for each in found.items:
            if not isinstance(each, Subscription) or not each.notification_uri.startswith(f"{self._base}/"):
                continue
            place = each.notification_uri.rpartition("/")[2]
            if place in listed or place not in wanted:
                unwanted.append(each.href or "")
            else:
                since_ms = self._standing[place].since_ms if place in self._standing else now_ms
                listed[place] = Standing(each.href or "", since_ms)
        if self._standing.keys() & wanted.keys() - listed.keys():
            self._said.say("has lost subscriptions of this gateway; they are made anew, and all is read")
            self.reread(EVERYTHING)
        self._standing = listed
        self._places = {place: href for place, href in wanted.items() if place in listed}
        for href in filter(None, unwanted if whole else ()):
            await self._exchange.delete(href)
        self._look_ms = now_ms + 1000 * min(found.poll_rate_s or LOOK_AGAIN_S, LOOK_AGAIN_S)

    async def _subscribe(self, list_href: str, place: str, href: str, now_ms: int) -> None:
        """Ask to be told of an address; what changed between its last reading and the answer is read again."""
        new = place not in self._standing
        self._places[place] = href
        self._again_ms[place] = now_ms + 1000 * RETRY_S
        wish = Subscription(
            subscribed_resource=href,
            encoding=XML,
            level=self._exchange.dialect.level,
            limit=LIMIT,
            notification_uri=self._uri(place),
        )
        sent = await self._exchange.send("POST", list_href, wish)
        if sent is None:
            return
        if sent.status not in OK:
            self._again_ms[place] = now_ms + 1000 * LOOK_AGAIN_S
            self._refused[place] = sent.status
            return
        self._refused.pop(place, None)
        del self._again_ms[place]
        self._standing[place] = Standing(sent.location, now_ms)
        if new:
            self.reread(href)
