"""What a VTN answers to each request of a VEN: reads with filters and pages, reports, vens and resources (3.1)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hil.openadr.events import Body, EventPlan
from hil.openadr.objects import Held, Shelf, bad_request, conflict, forbidden, not_found
from hil.openadr.requests import read_body, report_request, resource_request, ven_request

LARGEST_PAGE = 50

Query = Mapping[str, list[str]]
"""Every value of each parameter; never an empty list."""


class Received(NamedTuple):
    """A report as it came in: by POST new, by PUT in the place of the one of its id."""

    t_ms: int
    method: str
    id: str
    body: Body


@dataclass(slots=True)
class Rules:
    """Where VTNs differ.

    `page_limit` is the most that one page holds, whatever the request allows. With `targets_asked` a VEN sees what is
    targeted only when its query names the target (3.1 Definition, Object Privacy); without, what was granted to it is
    enough (User Guide). With `unique_reports` a second report of one name, client and event is a conflict. `grants` are
    the targets given to a ven or resource by name; one that is not named there is granted its own name.
    """

    page_limit: int = LARGEST_PAGE
    targets_asked: bool = False
    unique_reports: bool = False
    grants: Mapping[str, Iterable[str]] | None = None

    def granted(self, name: str) -> list[str]:
        return [*(self.grants or {}).get(name, (name,))]


class Library:
    """All objects of a VTN, and the answers about them."""

    def __init__(self, now_ms: Callable[[], int], received_ms: Callable[[], int], rules: Rules) -> None:
        self.programs = Shelf("PROGRAM", now_ms)
        self.events = Shelf("EVENT", now_ms)
        self.vens = Shelf("VEN", now_ms)
        self.resources = Shelf("RESOURCE", now_ms)
        self.held_reports = Shelf("REPORT", now_ms)
        self.reports: list[Received] = []
        self.plans: dict[str, EventPlan] = {}
        self._rules = rules
        self._now_ms = now_ms
        self._received_ms = received_ms

    def answer(
        self, method: str, kind: str, key: str, query: Query, raw: bytes, client_id: str
    ) -> tuple[int, Body | list[Body]]:
        """Status and body for one request on `/kind` or `/kind/key`; raises ProblemError."""
        match kind:
            case "programs" | "events" if method == "GET":
                return 200, self._read_targeted(kind, key, query, client_id)
            case "programs" | "events":
                raise forbidden(f"only business logic writes {kind}")
            case "reports" | "vens" | "resources":
                return self._own(method, kind, key, query, raw, client_id)
        raise not_found(f"/{kind} is not a path of this VTN")

    def granted(self, client_id: str) -> set[str]:
        """The targets of a client's ven and resources."""
        own = [held for shelf in (self.vens, self.resources) for held in shelf if held.client_id == client_id]
        return {target for held in own for target in held.body.get("targets") or ()}

    def _read_targeted(self, kind: str, key: str, query: Query, client_id: str) -> Body | list[Body]:
        shelf = self.programs if kind == "programs" else self.events
        if key:
            shown = self._shown(shelf.get(key), client_id, ())
            if shown is None:
                raise not_found(f'there is no {shelf.object_type} "{key}"')
            return shown
        asked = query.get("targets", ())
        found = list(shelf)
        if kind == "events" and "programID" in query:
            found = [held for held in found if held.body.get("programID") == query["programID"][0]]
        if kind == "events" and query.get("active") == ["true"]:
            found = [held for held in found if not self._over(held)]
        shown_all = [self._shown(held, client_id, asked) for held in found]
        return self._page([body for body in shown_all if body is not None], query)

    def _shown(self, held: Held, client_id: str, asked: Iterable[str]) -> Body | None:
        """What a client sees of a targeted object: nothing, or the object without targets that are not its own.

        Our reading: one common target is enough; a query that names targets does not find what has none.
        """
        targets = held.body.get("targets")
        wanted = set(asked)
        if not isinstance(targets, list) or not targets:
            return None if wanted else held.body
        mine = self.granted(client_id)
        if wanted or self._rules.targets_asked:
            mine &= wanted
        seen = [target for target in targets if target in mine]
        return held.body | {"targets": seen} if seen else None

    def _over(self, held: Held) -> bool:
        plan = self.plans.get(held.id)
        end_ms = None if plan is None else plan.end_ms()
        return end_ms is not None and end_ms <= self._now_ms()

    def _own(
        self, method: str, kind: str, key: str, query: Query, raw: bytes, client_id: str
    ) -> tuple[int, Body | list[Body]]:
        shelf = {"reports": self.held_reports, "vens": self.vens, "resources": self.resources}[kind]
        if not key and method == "GET":
            return 200, self._page([held.body for held in self._found(shelf, query, client_id)], query)
        if not key and method == "POST":
            return 201, self._write(shelf, read_body(raw), client_id, None).body
        held = shelf.get(key)
        if held.client_id != client_id:
            raise not_found(f'there is no {shelf.object_type} "{key}"')
        if method == "PUT":
            return 200, self._write(shelf, read_body(raw), client_id, held).body
        if method == "DELETE":
            self._remove(shelf, held)
        return 200, held.body

    def _found(self, shelf: Shelf, query: Query, client_id: str) -> list[Held]:
        names = {
            "REPORT": ("programID", "eventID", "clientName"),
            "VEN": ("venName",),
            "RESOURCE": ("resourceName", "venID"),
        }[shelf.object_type]
        wanted = {name: query[name][0] for name in names if name in query}
        targets = set(query.get("targets", ())) if shelf is not self.held_reports else set()
        return [
            held
            for held in shelf
            if held.client_id == client_id
            and all(self._told(held, name) == value for name, value in wanted.items())
            and targets <= set(held.body.get("targets") or ())
        ]

    def _told(self, held: Held, name: str) -> object:
        """A property to filter by; the program of a report is that of its event."""
        if name != "programID":
            return held.body.get(name)
        return next((one.body.get(name) for one in self.events if one.id == held.body["eventID"]), None)

    def _page(self, found: list[Body], query: Query) -> list[Body]:
        skip, limit = _count(query, "skip", None), _count(query, "limit", LARGEST_PAGE)
        most = min(self._rules.page_limit, LARGEST_PAGE if limit is None else limit)
        return found[skip or 0 :][:most]

    def _write(self, shelf: Shelf, body: Body, client_id: str, held: Held | None) -> Held:
        if shelf is self.held_reports:
            return self._write_report(body, client_id, held)
        given = body | {"clientID": client_id}
        if shelf is self.vens:
            name = ven_request(body).name
            twin = any(one.body["venName"] == name for one in shelf if one is not held)
        else:
            request = resource_request(body)
            name = request.name
            home = next((one for one in self.vens if one.id == request.ven_id and one.client_id == client_id), None)
            if home is None:
                raise bad_request(f'venID "{request.ven_id}" is no ven of this client')
            twin = any(
                (one.body["venID"], one.body["resourceName"]) == (home.id, name) for one in shelf if one is not held
            )
        if twin:
            raise conflict(f'{shelf.object_type} "{name}" is there already')
        given["targets"] = held.body.get("targets") if held is not None else self._rules.granted(name)
        return shelf.add(given, client_id=client_id) if held is None else shelf.replace(held, given)

    def _write_report(self, body: Body, client_id: str, held: Held | None) -> Held:
        request = report_request(body)
        if all(one.id != request.event_id for one in self.events):
            raise conflict(f'eventID "{request.event_id}" is no event of this VTN')
        if self._rules.unique_reports and held is None and request.report_name is not None:
            same = (request.report_name, request.event_id, client_id)
            if any(
                (one.body.get("reportName"), one.body["eventID"], one.client_id) == same for one in self.held_reports
            ):
                raise conflict(f'report "{request.report_name}" of event "{request.event_id}" is there already')
        given = body | {"clientID": client_id}
        method = "POST" if held is None else "PUT"
        shelf = self.held_reports
        held = shelf.add(given, client_id=client_id) if held is None else shelf.replace(held, given)
        self.reports.append(Received(self._received_ms(), method, held.id, held.body))
        return held

    def _remove(self, shelf: Shelf, held: Held) -> None:
        shelf.remove(held)
        if shelf is self.vens:
            for one in self.resources:
                if one.body.get("venID") == held.id:
                    self.resources.remove(one)


def _count(query: Query, name: str, most: int | None) -> int | None:
    if name not in query:
        return None
    text = query[name][0]
    if not text.isdecimal() or (most is not None and int(text) > most):
        raise bad_request(f'{name} "{text}" is not a whole number from 0' + ("" if most is None else f" to {most}"))
    return int(text)
