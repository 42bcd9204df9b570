"""A simulated OpenADR 3.1 VTN: programs and events for a VEN to read, tokens, and what the VEN reports and registers.

Business logic is not a client of it: the scenario calls its methods instead, as the definition allows.
"""

import asyncio
import dataclasses
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.utils import formatdate
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from aiohttp import web

from hil.clock import Clock
from hil.listener import Listener, Outage
from hil.openadr.answers import Library, Received, Rules
from hil.openadr.events import CHANGEABLE, Body, EventPlan, IntervalPlan, described
from hil.openadr.objects import Held, ProblemError, not_found
from hil.openadr.tokens import NO_STORE, Tokens

BASE = "/openadr3/3.1.0"
METHODS = ("GET", "POST", "PUT", "DELETE")


class Request(NamedTuple):
    """One request that came in and the status that it was answered with; the path without the base, with its query."""

    t_ms: int
    method: str
    path: str
    status: int


class Vtn:
    """One VTN with its own port, clock offset, clients, objects and faults.

    `report` is told of every happening. `rules` holds where VTNs differ, `date_offset_ms` how far this server's clock
    is ahead of the shared one: it is in the Date header, in the metadata and in the starts of events. `intercept`, if
    set, is asked first about every request and may answer it. Tokens live by the shared clock; more `clients` may be
    added by client id. `problem_type` is the media type of problems; the schema writes application/json.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        client_id: str,
        client_secret: str,
        report: Callable[..., None] | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.client_id = client_id
        self.clients = {client_id: client_secret}
        self.date_offset_ms = 0
        self.rules = Rules()
        self.intercept: Callable[[web.Request], web.Response | None] | None = None
        self.problem_type = "application/problem+json"
        self.requests: list[Request] = []
        self.contacted = asyncio.Event()
        self.tokens = Tokens(clock.now_ms, self.clients)
        self._told = report
        self._clock = clock
        self._scheme = "http" if ssl_context is None else "https"
        self._listener = Listener(self._serve, None if ssl_context is None else lambda: ssl_context)
        self._library = Library(self.now_ms, clock.now_ms, self.rules)

    @property
    def url(self) -> str:
        """Base of every path of the API; valid once started."""
        return f"{self._scheme}://127.0.0.1:{self._listener.port}{BASE}"

    @property
    def page_limit(self) -> int:
        """The most that one page holds, 1 to 50."""
        return self.rules.page_limit

    @page_limit.setter
    def page_limit(self, limit: int) -> None:
        self.rules.page_limit = limit

    @property
    def reports(self) -> list[Received]:
        """Every report in the order of receipt, those put in the place of another too."""
        return self._library.reports

    @property
    def vens(self) -> list[Body]:
        """The vens that there are now."""
        return self._library.vens.bodies

    @property
    def resources(self) -> list[Body]:
        """The resources of vens that there are now."""
        return self._library.resources.bodies

    @property
    def events(self) -> list[Body]:
        """The events that there are now, as they are served."""
        return self._library.events.bodies

    @property
    def programs(self) -> list[Body]:
        """The programs that there are now, as they are served."""
        return self._library.programs.bodies

    def now_ms(self) -> int:
        """The time by its own clock."""
        return self._clock.now_ms() + self.date_offset_ms

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1; port 0 takes any free one."""
        await self._listener.start(port)

    async def stop(self) -> None:
        """Drop all connections and free the port."""
        await self._listener.stop()

    async def set_outage(self, how: Outage | None) -> None:
        """Fail from now on: "refuse" connections, answer "error" 500, "hang" without answer; "none" or None ends it."""
        await self._listener.set_outage(how or "none")
        self._report("outage", how=how or "none")

    def program(
        self,
        name: str,
        *,
        targets: Sequence[str] | None = None,
        descriptors: Mapping[str, Any] | None = None,
        **more: object,
    ) -> Body:
        """Hold a program; `more` are further properties as the schema spells them. ValueError for a name twice."""
        if any(held.body.get("programName") == name for held in self._library.programs):
            raise ValueError(f'VTN "{self.name}" already holds program "{name}"')
        body: Body = {"programName": name, **more}
        if targets:
            body["targets"] = list(targets)
        if descriptors:
            body["payloadDescriptors"] = described(descriptors, "EVENT_PAYLOAD_DESCRIPTOR")
        return self._library.programs.add(body).body

    def issue(
        self,
        program: str,
        name: str,
        payloads: Mapping[str, Any] | None = None,
        start_s: int | None = None,
        duration_s: int | None = None,
        *,
        priority: int | None = None,
        targets: Sequence[str] | None = None,
        intervals: Sequence[IntervalPlan | Mapping[str, Any]] = (),
        randomize_start_s: int | None = None,
        descriptors: Mapping[str, Any] | None = None,
        report_descriptors: Sequence[Mapping[str, Any]] = (),
        since_ms: int | None = None,
    ) -> Body:
        """List a new event that starts `start_s` from now, or from `since_ms` (shared clock).

        Without a start it says "now", without a duration for ever. `intervals`, if given, take the place of `payloads`;
        see `hil.openadr.events.EventPlan` for all of them. Raises ValueError for an unknown program or a name that is
        taken.
        """
        if any(plan.name == name for plan in self._library.plans.values()):
            raise ValueError(f'VTN "{self.name}" already holds event "{name}"')
        plan = EventPlan(
            self._program(program),
            name,
            self._since_ms(since_ms),
            payloads=payloads or {},
            start_s=start_s,
            duration_s=duration_s,
            priority=priority,
            targets=targets,
            intervals=_intervals(intervals),
            randomize_start_s=randomize_start_s,
            descriptors=descriptors or {},
            report_descriptors=report_descriptors,
        )
        held = self._library.events.add(plan.body())
        self._library.plans[held.id] = plan
        self._report("vtn_issued", program=program, event=name, id=held.id, body=held.body)
        return held.body

    def modify(self, name: str, *, since_ms: int | None = None, **changes: object) -> Body:
        """Give fields of `issue` anew, as by PUT; a `start_s` counts from now or `since_ms`. ValueError as there."""
        held, plan = self._planned(name)
        unknown = sorted(set(changes) - CHANGEABLE)
        if unknown:
            raise ValueError(f"an event has no {', '.join(unknown)}; it has {', '.join(sorted(CHANGEABLE))}")
        given: dict[str, Any] = changes
        if "start_s" in given:
            given["since_ms"] = self._since_ms(since_ms)
        if "intervals" in given:
            given["intervals"] = _intervals(given["intervals"])
        plan = self._library.plans[held.id] = dataclasses.replace(plan, **given)
        self._library.events.replace(held, plan.body())
        self._report("vtn_modified", event=name, id=held.id, body=held.body)
        return held.body

    def delete(self, name: str) -> None:
        """Take an event away: by the name it was issued under or, a raw one, its eventName. ValueError for none."""
        held = self._planned_or_raw(name)
        self._library.plans.pop(held.id, None)
        self._library.events.remove(held)
        self._report("vtn_deleted", event=name, id=held.id)

    def raw_event(self, body: Body) -> None:
        """List an event that is served exactly as it is, odd or not."""
        held = self._library.events.add_raw(body)
        self._report("vtn_issued", program=None, event=body.get("eventName"), id=held.id, body=body)

    def enrol(
        self,
        ven_name: str,
        resources: Mapping[str, Iterable[str]] | None = None,
        *,
        targets: Iterable[str] = (),
        client_id: str | None = None,
    ) -> Body:
        """Hold a ven of the client, and resources with the targets granted to each, as business logic does."""
        whose = client_id or self.client_id
        body: Body = {"venName": ven_name, "clientID": whose, "targets": [*targets]}
        ven = self._library.vens.add(body, client_id=whose)
        for name, granted in (resources or {}).items():
            body = {"resourceName": name, "venID": ven.id, "clientID": whose, "targets": [*granted]}
            self._library.resources.add(body, client_id=whose)
        return ven.body

    def forget(self) -> None:
        """Lose what a restart may lose: tokens, vens and resources."""
        self.tokens.revoke()
        self._library.vens.clear()
        self._library.resources.clear()
        self._report("vtn_forgot")

    def _since_ms(self, given_ms: int | None) -> int:
        return self.now_ms() if given_ms is None else given_ms + self.date_offset_ms

    def _program(self, name: str) -> str:
        for held in self._library.programs:
            if held.body.get("programName") == name:
                return held.id
        raise ValueError(f'VTN "{self.name}" holds no program "{name}"')

    def _planned(self, name: str) -> tuple[Held, EventPlan]:
        for key, plan in self._library.plans.items():
            if plan.name == name:
                return self._library.events.get(key), plan
        raise ValueError(f'VTN "{self.name}" holds no event "{name}"')

    def _planned_or_raw(self, name: str) -> Held:
        for held in self._library.events:
            if held.id not in self._library.plans and held.body.get("eventName") == name:
                return held
        return self._planned(name)[0]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        response = await self._answer(request)
        now_ms, path = self._clock.now_ms(), request.path_qs.removeprefix(BASE)
        response.headers["Date"] = formatdate((now_ms + self.date_offset_ms) // 1000, usegmt=True)
        self.requests.append(Request(now_ms, request.method, path, response.status))
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            await self._play_outage()
            odd = None if self.intercept is None else self.intercept(request)
            return await self._answer_to(request) if odd is None else odd
        except ProblemError as problem:
            return web.json_response(
                problem.body, status=problem.status, headers=problem.headers, content_type=self.problem_type
            )

    async def _play_outage(self) -> None:
        if await self._listener.fails():
            raise ProblemError(500, "Internal Server Error", "an outage is played")

    async def _answer_to(self, request: web.Request) -> web.Response:
        if not request.path.startswith(f"{BASE}/") or request.method not in METHODS:
            raise not_found(f"{request.method} {request.path} is not of this VTN; its paths begin with {BASE}/")
        kind, _, key = request.path.removeprefix(f"{BASE}/").partition("/")
        authorization = request.headers.get("Authorization")
        if (request.method, kind, key) == ("GET", "auth", "server"):
            return web.json_response({"tokenURL": f"{self.url}/auth/token"})
        if (request.method, kind, key) == ("POST", "auth", "token"):
            return web.json_response(self.tokens.grant(await request.post(), authorization), headers=NO_STORE)
        client_id = self.tokens.client_of(authorization)
        self.contacted.set()
        raw = await request.read()
        received = len(self.reports)
        status, body = self._library.answer(request.method, kind, key, parse_qs(request.query_string), raw, client_id)
        for report in self.reports[received:]:
            self._report("vtn_report", id=report.id, method=report.method, body=report.body)
        return web.json_response(body, status=status)

    def _report(self, kind: str, **particulars: object) -> None:
        if self._told is not None:
            self._told(kind, vtn=self.name, **particulars)


def _intervals(given: Iterable[IntervalPlan | Mapping[str, Any]]) -> tuple[IntervalPlan, ...]:
    try:
        return tuple(each if isinstance(each, IntervalPlan) else IntervalPlan(**each) for each in given)
    except TypeError as fault:
        raise ValueError(f"an interval is not readable: {fault}") from fault
