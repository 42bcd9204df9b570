"""The local API: JSON over HTTP on loopback, for parties that show the token which names them (RULES A1)."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.config import SiteFile
from gateway.runtime.clock import SiteClock
from gateway.runtime.daemon import Service
from gateway.runtime.decider import Decider, Stopped
from gateway.runtime.health import LOOPBACK
from gateway.web.body import BadBodyError
from gateway.web.contents import Contents
from gateway.web.curves import Curves
from gateway.web.defaults import Defaults
from gateway.web.desk import PARTY, Desk, UndecidedError, fault
from gateway.web.inbox import Inbox
from gateway.web.network import Network
from gateway.web.orders import Orders
from gateway.web.overrides import Overrides
from gateway.web.tokens import Tokens
from gateway.web.trade import Commitments, Offers

log = logging.getLogger(__name__)

BODY_MAX: Final = 1 << 20
CLOSE_S: Final = 2.0
WHO: Final = {"WWW-Authenticate": 'Bearer realm="laminar-gateway"'}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def local_api(site: SiteFile) -> Service:
    """Give the service for a site with a local API; raise TokenFault where a party's token cannot be used."""
    tokens = Tokens({party.name: party.token_file for party in site.parties if party.token_file is not None})

    @asynccontextmanager
    async def serve(decider: Decider, clock: SiteClock) -> AsyncIterator[None]:
        inbox = Inbox(decider.hear, clock.now_ms)
        desk = Desk(site, decider, clock, inbox)
        overrides = Overrides(desk)
        decider.local = inbox
        decider.witnesses.append(overrides.witness)
        app = web.Application(client_max_size=BODY_MAX, middlewares=[_in_one_line, _as_party(tokens, desk)])
        for each in (
            Contents(),
            Orders(desk),
            Defaults(desk),
            Network(desk),
            Commitments(desk),
            Curves(desk),
            Offers(desk),
            overrides,
        ):
            app.add_routes(each.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S)
        await runner.setup()
        try:
            port = 0 if site.local_api is None else site.local_api.port
            await web.TCPSite(runner, LOOPBACK, port).start()
            log.info("local API at http://%s:%d", LOOPBACK, runner.addresses[0][1])
            yield
        finally:
            await runner.cleanup()

    return serve


def _as_party(tokens: Tokens, desk: Desk) -> Middleware:
    """Let in who shows a party's token, and take that as contact with the party."""

    @web.middleware
    async def let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
        party = tokens.party(request.headers.get("Authorization", ""))
        if party is None:
            return fault("A1: no party has this token; send Authorization: Bearer TOKEN", 401, WHO)
        request[PARTY] = party
        desk.meet(party)
        return await handler(request)

    return let_in


@web.middleware
async def _in_one_line(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever goes wrong with one line that says what to do next."""
    try:
        return await handler(request)
    except BadBodyError as error:
        return fault(str(error), 400)
    except (UndecidedError, Stopped) as error:
        return fault(str(error) or "the gateway goes down; ask again when it is up", 503, {"Retry-After": "1"})
    except web.HTTPRequestEntityTooLarge:
        return fault(f"the body is larger than {BODY_MAX} bytes; send less at once", 413)
    except Exception as error:
        if not isinstance(error, web.HTTPException):
            log.exception("%s %s broke", request.method, request.path)
            return fault("the gateway could not deal with this; its log says why", 500)
        return fault(f"{request.method} {request.path}: {error.reason}; see docs/local-api.md", error.status)
