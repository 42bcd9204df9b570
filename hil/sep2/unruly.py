"""An IEEE 2030.5 server at the moment when its network fails: answers that never arrive, and bodies that break off."""

from aiohttp import web

from hil.head_end import HeadEnd


class UnrulyHeadEnd(HeadEnd):
    """A head-end that can take a response and not say so, and break off in the middle of a body."""

    swallows = False
    """Whether it takes what is posted and is cut off before it can acknowledge it."""
    torn: str | None = None
    """The address whose bodies end in the middle."""

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        whole = await super()._serve(request)
        if self.swallows and request.method == "POST":
            assert request.transport is not None
            request.transport.abort()
        if request.path == self.torn and isinstance(whole, web.Response):
            assert isinstance(whole.body, bytes)
            half = web.StreamResponse(headers={"Content-Length": str(len(whole.body))})
            half.content_type = whole.content_type
            await half.prepare(request)
            await half.write(whole.body[: len(whole.body) // 2])
            assert request.transport is not None
            request.transport.close()
            return half
        return whole
