"""The Subscription/Notification function set of a head-end (IEEE 2030.5-2018): what is subscribed to, and who is told.

A change is found by reading each resource that is subscribed to anew, as a client would, and comparing.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
from envoy_schema.server.schema.sep2 import pub_sub
from lxml import etree

from hil.sep2 import bodies
from hil.sep2.intake import Reply, Report

OFFERED = frozenset(
    {"EndDeviceList", "FunctionSetAssignmentsList", "DERProgramList", "DERControlList", "DefaultDERControl"}
)
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
TIMEOUT_S = 10
SUBSCRIPTIONS = bodies.Listing(pub_sub.SubscriptionListResponse, "subscriptions")

Read = Callable[[str, Mapping[str, str]], Reply]
"""Answers a GET of a path with a query."""


@dataclass(slots=True)
class Subscribed:
    """One subscription, and how its resource was when its client was told last."""

    number: int
    wish: pub_sub.Subscription
    seen: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.wish.subscribedResource).path


class Notice(NamedTuple):
    """What is to be posted where, and about what."""

    uri: str
    path: str
    body: bytes


class Subscriptions:
    """The subscriptions of one client, below its own EndDevice at `own_href`."""

    def __init__(self, own_href: str, read: Read, report: Report) -> None:
        self.held: dict[int, Subscribed] = {}
        self.refusal: int | None = None
        """The status that every new subscription is refused with."""
        self._own_href = own_href
        self._read = read
        self._report = report
        self._made = 0

    @property
    def href(self) -> str:
        return f"{self._own_href}/sub"

    def paths(self) -> list[str]:
        """What is subscribed to."""
        return sorted(each.path for each in self.held.values())

    def handle(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Reply | None:
        """Answer a request of the list or one of its members; None for any other path."""
        if path == self.href:
            return self._list(query) if method == "GET" else self._take(method, body)
        number = path.removeprefix(f"{self.href}/")
        if number == path:
            return None
        one = self.held.get(int(number)) if number.isdecimal() else None
        if one is None:
            return Reply(404)
        if method == "GET":
            return Reply(200, bodies.encode(one.wish))
        if method != "DELETE":
            return Reply(405)
        del self.held[one.number]
        self._report("unsubscribed", resource=one.path)
        return Reply(204)

    def mark(self, body: bytes) -> bytes:
        """Say in a body what can be subscribed to, and where."""
        root = etree.fromstring(body)
        if etree.QName(root).localname in OFFERED:
            root.set("subscribable", "1")
        for device in root.iter(f"{{{bodies.SEP2_NS}}}EndDevice"):
            if device.get("href") == self._own_href:
                link = etree.SubElement(device, f"{{{bodies.SEP2_NS}}}SubscriptionListLink")
                link.set("href", self.href)
                link.set("all", str(len(self.held)))
        return etree.tostring(root, encoding="UTF-8", xml_declaration=True)

    def changed(self, server: str) -> Iterator[Notice]:
        """Give a notification for each resource that is not as it was; `server` begins the addresses in them."""
        for one in list(self.held.values()):
            seen = self._seen(one.path)
            if seen != one.seen:
                one.seen = seen
                yield self._notice(one, server, 0)

    def end(self, server: str, status: int) -> Iterator[Notice]:
        """End all subscriptions with a status of 1 to 4, and say so."""
        for one in list(self.held.values()):
            del self.held[one.number]
            yield self._notice(one, server, status)

    def _list(self, query: Mapping[str, str]) -> Reply:
        start = int(query.get("s", "0"))
        rows = [one.wish for one in self.held.values()]
        return Reply(200, SUBSCRIPTIONS.body(self.href, len(rows), rows[start : start + 50], 900))

    def _take(self, method: str, body: bytes) -> Reply:
        if method != "POST":
            return Reply(405)
        if self.refusal is not None:
            return Reply(self.refusal)
        wish = bodies.decode(pub_sub.Subscription, body)
        path = urlsplit(wish.subscribedResource).path
        reply = self._read(path, {})
        if reply.status != 200 or bodies.root_name(reply.body) not in OFFERED or "?" in wish.subscribedResource:
            return Reply(400, bodies.error_body(1))
        for one in self.held.values():
            if (one.path, one.wish.notificationURI) == (path, wish.notificationURI):
                return Reply(204, location=one.wish.href)
        self._made += 1
        wish.href = f"{self.href}/{self._made}"
        self.held[self._made] = Subscribed(self._made, wish, self._seen(path))
        self._report("subscribed", resource=path, uri=wish.notificationURI)
        return Reply(201, location=wish.href)

    def _seen(self, path: str) -> bytes:
        return self._read(path, {"l": "255"}).body

    def _notice(self, one: Subscribed, server: str, status: int) -> Notice:
        said = pub_sub.Notification(
            subscribedResource=one.path,
            status=pub_sub.NotificationStatus(status),
            subscriptionURI=f"{server}{one.wish.href}",
        )
        root = etree.fromstring(bodies.encode(said))
        reply = self._read(one.path, {"l": str(one.wish.limit)})
        if reply.status == 200 and status == 0:
            bearing = etree.fromstring(reply.body)
            bearing.set(XSI_TYPE, etree.QName(bearing).localname)
            bearing.tag = f"{{{bodies.SEP2_NS}}}Resource"
            root.insert(1, bearing)
        return Notice(one.wish.notificationURI, one.path, etree.tostring(root, encoding="UTF-8", xml_declaration=True))


class Delivered(NamedTuple):
    """A notification that was posted, and the status that came back; 0 where none did."""

    path: str
    status: int


class Notifier:
    """Posts notifications over mutual TLS, one after the other, each tried once."""

    def __init__(self, context: Callable[[], ssl.SSLContext], report: Report) -> None:
        self.delivered: list[Delivered] = []
        self._context = context
        self._report = report
        self._waiting: asyncio.Queue[Notice] = asyncio.Queue()
        self._posting: asyncio.Task[None] | None = None
        self._left = 0

    def post(self, notice: Notice) -> None:
        """Post this after those before it."""
        self._left += 1
        self._waiting.put_nowait(notice)
        if self._posting is None:
            self._posting = asyncio.create_task(self._post())

    async def settle(self) -> bool:
        """Return once nothing is under way; tell whether anything was."""
        was_busy = self._left > 0
        await self._waiting.join()
        return was_busy

    async def stop(self) -> None:
        if self._posting is not None:
            self._posting.cancel()
            await asyncio.wait([self._posting])

    async def _post(self) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        connector = aiohttp.TCPConnector(ssl=self._context(), limit=1)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                notice = await self._waiting.get()
                status = await self._sent(session, notice)
                self.delivered.append(Delivered(notice.path, status))
                self._report("notified", resource=notice.path, status=status)
                self._left -= 1
                self._waiting.task_done()

    async def _sent(self, session: aiohttp.ClientSession, notice: Notice) -> int:
        headers = {"Content-Type": bodies.MEDIA_TYPE}
        try:
            async with session.post(notice.uri, data=notice.body, headers=headers) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0
