"""Requests to one 2030.5 server over mutual TLS: bodies bounded, links kept to the server, writes by permission."""

import ssl
from collections import Counter
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import aiohttp

from gateway.wire.sep2 import ANY, MAX_BODY_OCTETS, Dialect, Resource, WireFault, decode, encode

MEDIA_TYPE: Final = "application/sep+xml"
TIMEOUT_S: Final = 10
OK: Final = range(200, 300)
REDIRECT: Final = range(300, 400)
LATER: Final = (408, 425, 429)
RETRY_AFTER_MAX_S: Final = 3_600
"""A server that asks to be left alone for longer is asked again all the same."""

Kind = TypeVar("Kind", bound=Resource)


class ServerFault(Exception):  # noqa: N818 - "fault" is the word of this house for what is broken
    """The server answers, and what it answers or asks for cannot be used; `status` is 0 where none came.

    It is not to be asked for the same again within `retry_after_s`.
    """

    def __init__(self, why: str, status: int = 0, retry_after_s: int = 0) -> None:
        super().__init__(why)
        self.status = status
        self.retry_after_s = retry_after_s


class ServerDown(Exception):  # noqa: N818 - as above
    """Nobody answers, or somebody who says that he cannot now (5xx, 408, 425, 429): the same may succeed later.

    It is not to be tried within `retry_after_s`, where the server said so (RFC 9110 10.2.3).
    """

    def __init__(self, why: str, retry_after_s: int = 0) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Impostor(ServerDown):
    """Somebody answers and does not prove to be the server that is pinned, or does not take our certificate."""


class Sent(NamedTuple):
    """The server's answer to a body sent: its status, and where it put the resource."""

    status: int
    location: str


class Exchange:
    """One server; `async with` opens and closes the connections to it."""

    def __init__(self, url: str, context: ssl.SSLContext, *, may_write: bool, dialect: Dialect = ANY) -> None:
        """Speak with the server whose DeviceCapability is at `url`; send bodies, in a dialect, where `may_write`."""
        self.url = url
        self.may_write = may_write
        self.dialect = dialect
        self._origin = _origin(url)
        self._context = context
        self._session: aiohttp.ClientSession | None = None
        self._asking: Counter[aiohttp.ClientSession] = Counter()
        """How many requests every open session has under way; all but one of them are of an earlier certificate."""

    async def __aenter__(self) -> Self:
        """Open the session; connections open with the first request."""
        self._session = self._opened()
        return self

    def _opened(self) -> aiohttp.ClientSession:
        made = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context, limit=2),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            headers={"Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        self._asking[made] = 0
        return made

    def renew(self) -> None:
        """Ask over new connections from now on; what is under way ends over those that it began on."""
        if self._session is not None:
            self._session = self._opened()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        self._session = None
        for session in list(self._asking):
            await session.close()
        self._asking.clear()

    async def _close_those_done(self) -> None:
        """Close the sessions of earlier certificates that nothing is under way on any more."""
        done = [session for session, asking in self._asking.items() if not asking and session is not self._session]
        for session in done:
            await session.close()
            self._asking.pop(session, None)

    async def get(self, href: str, kind: type[Kind]) -> Kind:
        """Read a resource of a kind; raise ServerDown or ServerFault where it cannot be had."""
        status, body, _location = await self._request("GET", href, None)
        if status in REDIRECT:
            raise ServerFault(f"GET {href}: status {status}; a redirection is not followed", status)
        if status != 200:
            raise ServerFault(f"GET {href}: status {status}", status)
        try:
            found = decode(body)
        except WireFault as fault:
            raise ServerFault(f"GET {href}: {fault}", status) from fault
        if not isinstance(found, kind):
            raise ServerFault(f"GET {href}: {type(found).__name__} where {kind.__name__} was expected", status)
        return found

    def begin_at(self, href: str) -> None:
        """Take this address of the server for that of its DeviceCapability; raise ServerFault where it is none."""
        self.url = self._resolved("GET", href)

    async def document(self, href: str) -> bytes:
        """Read what is no 2030.5 resource, as JSON; raise ServerDown or ServerFault where it cannot be had."""
        status, body, _location = await self._request("GET", href, None, accept="application/json")
        if status != 200:
            raise ServerFault(f"GET {href}: status {status}", status)
        return body

    async def answers(self) -> bool:
        """Tell whether the server answers at all, by asking for its DeviceCapability."""
        try:
            await self._request("GET", self.url, None)
        except ServerDown:
            return False
        except ServerFault:
            return True
        return True

    async def send(self, method: str, href: str, resource: Resource) -> Sent | None:
        """Send a resource by POST or PUT and give the answer; None where this gateway may not write.

        Raises ServerDown where the same may succeed later, ServerFault where it cannot be sent at all.
        """
        if not self.may_write:
            return None
        try:
            body = encode(resource, self.dialect)
        except WireFault as fault:
            raise ServerFault(f"{method} {href}: not sent, {fault}") from fault
        status, _body, location = await self._request(method, href, body)
        return Sent(status, location)

    async def delete(self, href: str) -> int:
        """Delete a resource and give the status; 0 where this gateway may not write. Raises as `send` does."""
        if not self.may_write:
            return 0
        status, _body, _location = await self._request("DELETE", href, None)
        return status

    async def _request(
        self, method: str, href: str, body: bytes | None, accept: str = MEDIA_TYPE
    ) -> tuple[int, bytes, str]:
        url = self._resolved(method, href)
        session = self._session
        if session is None:
            raise ServerDown(f"{method} {href}: not connected")
        self._asking[session] += 1
        try:
            return await self._ask(session, method, href, url, body, accept)
        finally:
            self._asking[session] -= 1
            await self._close_those_done()

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, href: str, url: str, body: bytes | None, accept: str
    ) -> tuple[int, bytes, str]:
        headers = {"Accept": accept} | ({} if body is None else {"Content-Type": MEDIA_TYPE})
        try:
            async with session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
                if answer.status >= 500 or answer.status in LATER:
                    raise ServerDown(
                        f"{method} {href}: status {answer.status}", _seconds(answer.headers.get("Retry-After", ""))
                    )
                content = await answer.content.read(MAX_BODY_OCTETS + 1)
                while len(content) <= MAX_BODY_OCTETS and not answer.content.at_eof():
                    content += await answer.content.read(MAX_BODY_OCTETS + 1 - len(content))
                if len(content) > MAX_BODY_OCTETS:
                    raise ServerFault(f"{method} {href}: body over {MAX_BODY_OCTETS} octets", answer.status)
                return answer.status, content, answer.headers.get("Location", "")
        except aiohttp.InvalidURL as fault:
            raise ServerFault(f"{method} {href}: no address") from fault
        except (aiohttp.ClientSSLError, ssl.SSLError) as fault:
            raise Impostor(f"{method} {href}: {_one_line(fault)}") from fault
        except (TimeoutError, aiohttp.ClientError, OSError) as fault:
            raise ServerDown(f"{method} {href}: {_one_line(fault)}") from fault

    def _resolved(self, method: str, href: str) -> str:
        try:
            url = urljoin(self.url, href)
            stays = _origin(url) == self._origin
        except ValueError as fault:
            raise ServerFault(f"{method} {href}: no address") from fault
        if not stays:
            raise ServerFault(f"{method} {href}: the link leaves the server; it is not followed")
        return url


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower().removesuffix(":443")


def _seconds(retry_after: str) -> int:
    """Read a Retry-After in seconds; one that is a date is not heeded."""
    is_number = retry_after.isascii() and retry_after.isdigit()
    return min(int(retry_after[:9]), RETRY_AFTER_MAX_S) if is_number else 0


def _one_line(fault: BaseException) -> str:
    if isinstance(fault, TimeoutError):
        return f"no answer within {TIMEOUT_S} s"
    if isinstance(fault, aiohttp.ClientConnectorCertificateError):
        fault = fault.certificate_error
    return " ".join(str(fault).split()) or type(fault).__name__
