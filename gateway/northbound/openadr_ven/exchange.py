"""Requests to one VTN over TLS with a bearer token: bodies bounded, redirections not followed, writes by permission."""

import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

import aiohttp

from gateway.northbound.openadr_ven import translate
from gateway.northbound.openadr_ven.config import OpenadrVen
from gateway.wire.openadr3 import AuthServer, Token, WireFault, decode_one

MAX_BODY_OCTETS: Final = 8 << 20
TIMEOUT_S: Final = 10
OK: Final = range(200, 300)
LATER: Final = (408, 425, 429)
UNAUTHORIZED: Final = 401
TOKEN_MOST_S: Final = 86_400.0
TOKEN_MARGIN: Final = 0.1
"""The last part of a token's time in which a new one is fetched."""
RETRY_MAX_S: Final = 3_600


class VtnFault(Exception):  # noqa: N818 - "fault" is the word of this house for what is broken
    """The VTN answers, and what it answers cannot be used; `status` is 0 where none came."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


class VtnDown(Exception):  # noqa: N818 - as above
    """Nobody answers, or somebody who cannot now (5xx, 408, 425, 429), or not to us: the same may succeed later.

    `after_s` is how long the VTN asks to be left alone, 0 where it does not say.
    """

    def __init__(self, why: str, after_s: int = 0) -> None:
        super().__init__(why)
        self.after_s = after_s


Query = Mapping[str, str | int | tuple[str, ...]]
"""The parameters of an address."""


class Got(NamedTuple):
    """An answer: its status and its body."""

    status: int
    body: bytes


class Offset(NamedTuple):
    """The VTN's clock minus ours by its last answer, and by how much the time that it took may make that wrong (ms)."""

    by_ms: int
    within_ms: int


class Exchange:
    """One VTN; `async with` opens and closes the connections to it."""

    def __init__(
        self,
        table: OpenadrVen,
        secret: str,
        context: ssl.SSLContext | None,
        now_ms: Callable[[], int],
        *,
        may_write: bool,
    ) -> None:
        """Speak with the VTN of this table; send bodies only where `may_write`. `now_ms` gives our clock."""
        self.may_write = may_write
        self.offset: Offset | None = None
        self._base = table.url.rstrip("/")
        self._token_url = table.token_url
        self._credentials = {"client_id": table.client_id, "client_secret": secret}
        self._context = context
        self._now_ms = now_ms
        self._session: aiohttp.ClientSession | None = None
        self._token: Token | None = None
        self._token_until_ms = 0

    async def __aenter__(self) -> Self:
        """Open the session; connections open with the first request."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=True if self._context is None else self._context, limit=2),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, query: Query) -> bytes:
        """Give what the VTN has at a path; raise VtnDown or VtnFault where it cannot be had."""
        got = await self._asked("GET", f"{path}?{urlencode(query, doseq=True)}" if query else path, None)
        if got.status not in OK:
            raise VtnFault(f"GET {path}: status {got.status}", got.status)
        return got.body

    async def post(self, path: str, body: bytes) -> Got:
        """Send a body and give the answer, whatever its status; raise VtnDown where it may succeed later.

        Raises VtnFault where it cannot be sent at all, also where this gateway may not write.
        """
        if not self.may_write:
            raise VtnFault(f"POST {path}: this gateway may not write")
        return await self._asked("POST", path, body)

    async def _asked(self, method: str, path: str, body: bytes | None) -> Got:
        """Ask with a token; where it is not taken, once more with a new one."""
        for last in (False, True):
            headers = {"Authorization": f"Bearer {await self._bearer()}"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            got = await self._request(method, self._base + path, body, headers)
            if got.status != UNAUTHORIZED:
                return got
            self._token = None
            if last:
                break
        raise VtnDown(f"{method} {path}: status 401, with a new token too")

    async def _bearer(self) -> str:
        if self._token is None or self._now_ms() >= self._token_until_ms:
            self._token = None
            self._token = await self._new_token()
            lasts_s = self._token.expires_in
            lasts_s = TOKEN_MOST_S if lasts_s is None else min(max(0.0, lasts_s), TOKEN_MOST_S)
            held_ms = int(1000 * lasts_s * (1 - TOKEN_MARGIN))
            self._token_until_ms = self._now_ms() + held_ms
        return self._token.access_token

    async def _new_token(self) -> Token:
        """Fetch a token by client credentials (RFC 6749, 4.4); nothing of the exchange is ever put in words."""
        url = self._token_url or await self._discovered()
        form = urlencode({"grant_type": "client_credentials", **self._credentials}).encode()
        got = await self._request("POST", url, form, {"Content-Type": "application/x-www-form-urlencoded"})
        if got.status not in OK:
            hint = "; look at client_id and client_secret_file" if got.status in {400, 401, 403} else ""
            raise VtnDown(f"no token: status {got.status}{hint}")
        try:
            token = decode_one(got.body, Token)
        except WireFault:
            raise VtnDown("no token: the answer bears none") from None
        if (
            token.token_type.lower() != "bearer"
            or not token.access_token.isascii()
            or not token.access_token.isprintable()
        ):
            raise VtnDown("no token: it is no bearer token")
        return token

    async def _discovered(self) -> str:
        """Ask the VTN where tokens are had; a secret that came over TLS never leaves without it."""
        got = await self._request("GET", self._base + "/auth/server", None, {})
        if got.status not in OK:
            raise VtnDown(f"GET /auth/server: status {got.status}; give token_url in the site file")
        try:
            url = decode_one(got.body, AuthServer).token_url
            scheme = urlsplit(url).scheme
        except (WireFault, ValueError) as fault:
            raise VtnDown(f"GET /auth/server: {fault}; give token_url in the site file") from fault
        if scheme not in {"https", urlsplit(self._base).scheme}:
            raise VtnDown("GET /auth/server: it names a token address without TLS; it is not used")
        return url

    async def _request(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Got:
        what = f"{method} {urlsplit(url).path}"
        if self._session is None:
            raise VtnDown(f"{what}: not connected")
        sent_ms = self._now_ms()
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
                if answer.status >= 500 or answer.status in LATER:
                    raise VtnDown(f"{what}: status {answer.status}", _after_s(answer.headers.get("Retry-After", "")))
                if answer.status in range(300, 400):
                    raise VtnFault(f"{what}: status {answer.status}; a redirection is not followed", answer.status)
                content = await self._body(what, answer)
                if url.startswith(self._base):
                    self._keep_time(answer.headers.get("Date"), sent_ms)
                return Got(answer.status, content)
        except aiohttp.InvalidURL as fault:
            raise VtnFault(f"{what}: no address") from fault
        except (TimeoutError, aiohttp.ClientError, OSError) as fault:
            raise VtnDown(f"{what}: {_one_line(fault)}") from fault

    async def _body(self, what: str, answer: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        octets = 0
        async for part in answer.content.iter_any():
            octets += len(part)
            if octets > MAX_BODY_OCTETS:
                raise VtnFault(f"{what}: body over {MAX_BODY_OCTETS} octets", answer.status)
            parts.append(part)
        return b"".join(parts)

    def _keep_time(self, date: str | None, sent_ms: int) -> None:
        """Take the VTN's clock minus ours from an answer that tells it (RULES C17)."""
        if date is None:
            return
        try:
            told_ms = translate.server_ms(date)
        except WireFault:
            return
        now_ms = self._now_ms()
        self.offset = Offset(told_ms - (sent_ms + now_ms) // 2, (now_ms - sent_ms) // 2)


def _after_s(header: str) -> int:
    """Give how many seconds a VTN asks to be left alone; our reading: a date says no more than not now."""
    return min(int(header), RETRY_MAX_S) if header.isascii() and header.isdecimal() and len(header) < 10 else 0


def _one_line(fault: BaseException) -> str:
    if isinstance(fault, TimeoutError):
        return f"no answer within {TIMEOUT_S} s"
    if isinstance(fault, aiohttp.ClientConnectorCertificateError):
        fault = fault.certificate_error
    return " ".join(str(fault).split()) or type(fault).__name__
