"""The resource tree of an IEEE 2030.5-2018 aggregator server without its transport: one request in, one reply out."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from envoy_schema.server.schema.sep2 import der, end_device
from envoy_schema.server.schema.sep2 import metering_mirror as mirror
from envoy_schema.server.schema.sep2.function_set_assignments import FunctionSetAssignmentsResponse
from envoy_schema.server.schema.sep2.response import ResponseSet
from envoy_schema.server.schema.sep2.types import ServiceKind
from lxml import etree
from pydantic_xml import BaseXmlModel

from hil.clock import Clock
from hil.sep2 import bodies
from hil.sep2.curves import curve_body, curve_list_body
from hil.sep2.device_papers import LOG_EVENTS, DevicePapers
from hil.sep2.events import Control, marking
from hil.sep2.intake import INVALID_FORMAT, Intake, RefusedError, Reply, Report
from hil.sep2.records import Program, Resource, UsagePoint, mrid_of, sfdi_of

OWN_INDEX = 1
OWN_PIN = 111115

Row = TypeVar("Row")


class Page(NamedTuple):
    """The list query: items that start after server time `a`, from position `s`, at most `l`.

    Our reading: `a` acts on lists in order of time alone, and `all` counts what it leaves.
    """

    start: int
    limit: int
    after_s: int | None


@dataclass(slots=True)
class Rates:
    """The greatest page of a list (also its default), and the rates told to clients; may be changed at run time."""

    page_limit: int = 3
    poll_rate_s: int = 20
    post_rate_s: int = 60


class Tree:
    """All resources that one authorised aggregator sees, and all that it has posted to them."""

    own_index = OWN_INDEX
    """Where the aggregator's own EndDevice is; those of its resources follow."""

    def __init__(
        self,
        clock: Clock,
        client_lfdi: str,
        resources: Sequence[Resource],
        programs: Sequence[Program],
        *,
        report: Report,
        rates: Rates,
        schema: etree.XMLSchema | None = None,
    ) -> None:
        self.client_lfdi = client_lfdi
        self.resources = tuple(resources)
        self.programs = list(programs)
        self.rates = rates
        self.time_offset_ms = 0
        self.status_lag_s = 0
        self.time_quality = 4
        self.papers = DevicePapers(clock, report, schema)
        self.intake = Intake(clock, [client_lfdi, *(one.lfdi for one in resources)], report, schema)
        self._clock = clock
        self._report = report
        self._born_s = self.now_s()
        self._reads = _compiled(self._readable())
        self._writes = _compiled(self._writable())

    def now_s(self) -> int:
        """Server time: the shared clock plus the server's own offset, in whole seconds."""
        return (self._clock.now_ms() + self.time_offset_ms) // 1000

    def program(self, name: str) -> Program:
        """The program of that name; raises ValueError when there is none."""
        for program in self.programs:
            if program.name == name:
                return program
        raise ValueError(f'no program "{name}"; known: {", ".join(program.name for program in self.programs)}')

    def href(self, program: Program) -> str:
        """The address of a program."""
        return f"/derp/{self.programs.index(program) + 1}"

    def listed(self, program: Program) -> list[Control]:
        """The controls that the program's DERControlList shows now, in the list's order."""
        now_s = self.now_s()
        return sorted((c for c in program.controls.values() if c.listed(now_s)), key=lambda control: control.order)

    def handle(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request of the authorised client."""
        try:
            return self._read(path, query) if method == "GET" else self._write(method, path, body)
        except RefusedError as refusal:
            self._report("refused", method=method, path=path, why=str(refusal))
            return refusal.reply
        except bodies.BadBodyError as fault:
            self._report("refused", method=method, path=path, why=str(fault)[:300])
            return Reply(400, bodies.error_body(INVALID_FORMAT))

    def _read(self, path: str, query: Mapping[str, str]) -> Reply:
        page = self._page(query)
        for pattern, read in self._reads:
            if match := pattern.fullmatch(path):
                return Reply(200, read(path, page, *match.groups()))
        written = any(pattern.fullmatch(f"{verb} {path}") for pattern, _ in self._writes for verb in ("POST", "PUT"))
        raise RefusedError(405 if written else 404, "no such resource to read", None)

    def _write(self, method: str, path: str, body: bytes) -> Reply:
        for pattern, write in self._writes:
            if match := pattern.fullmatch(f"{method} {path}"):
                return write(path, body, *match.groups())
        known = any(pattern.fullmatch(path) for pattern, _ in self._reads)
        raise RefusedError(405 if known else 404, "no such resource to write", None)

    def _readable(self) -> list[tuple[str, Callable[..., bytes]]]:
        return [
            ("/dcap", self._device_capability),
            ("/tm", self._time),
            ("/edev", self._end_devices),
            (r"/edev/(\d+)", self._end_device),
            (r"/edev/(\d+)/rg", self._registration),
            (r"/edev/(\d+)/cp", self._connection_point),
            (r"/edev/(\d+)/di", self._device_information),
            (r"/edev/(\d+)/lel", self._log_events),
            (r"/edev/(\d+)/fsa", self._assignments_list),
            (r"/edev/(\d+)/fsa/1", self._assignments),
            (r"/edev/(\d+)/fsa/1/derp", self._programs_of),
            (r"/edev/(\d+)/der", self._der_list),
            (r"/edev/(\d+)/der/(\d+)", self._der),
            (r"/edev/(\d+)/der/(\d+)/(?:dera|dercap|derg|ders)", self._document),
            (r"/derp/(\d+)", self._program),
            (r"/derp/(\d+)/dderc", self._default),
            (r"/derp/(\d+)/derc", self._controls),
            (r"/derp/(\d+)/derc/([0-9A-F]+)", self._control),
            (r"/derp/(\d+)/dc", self._curves),
            (r"/derp/(\d+)/dc/(\d+)", self._curve),
            ("/rsps", self._response_sets),
            (r"/rsps/(\d+)", self._response_set),
            (r"/rsps/(\d+)/rsp", self._responses),
            ("/mup", self._usage_points),
            (r"/mup/(\d+)", self._usage_point),
        ]

    def _writable(self) -> list[tuple[str, Callable[..., Reply]]]:
        return [
            ("POST /edev", self._no_registration),
            (r"PUT /edev/(\d+)/cp", self._put_connection_point),
            (r"PUT /edev/(\d+)/di", self._put_information),
            (r"POST /edev/(\d+)/lel", self._post_log_event),
            (r"PUT /edev/(\d+)/der/(\d+)/(dera|dercap|derg|ders)", self._put_document),
            (r"POST /rsps/(\d+)/rsp", self._post_response),
            ("POST /mup", lambda _path, body: self.intake.post_usage_point(body)),
            (r"POST /mup/(\d+)", lambda _path, body, index: self.intake.post_readings(int(index), body)),
        ]

    def _page(self, query: Mapping[str, str]) -> Page:
        try:
            start, limit = int(query.get("s", "0")), int(query.get("l", str(self.rates.page_limit)))
            after_s = int(query["a"]) if "a" in query else None
        except ValueError:
            raise RefusedError(400, "s, l and a are whole numbers") from None
        if start < 0 or limit < 0:
            raise RefusedError(400, "s and l are not negative")
        return Page(start, min(limit, self.rates.page_limit), after_s)

    def _paged(
        self, kind: bodies.Listing, path: str, page: Page, rows: Sequence[Row], item: Callable[[Row], BaseXmlModel]
    ) -> bytes:
        shown = [item(row) for row in rows[page.start : page.start + page.limit]]
        return kind.body(path, len(rows), shown, self.rates.poll_rate_s)

    def _device_capability(self, _path: str, _page: Page) -> bytes:
        return bodies.device_capability_body(
            self.rates.poll_rate_s,
            end_devices=len(self.resources) + 1,
            response_sets=len(self.programs),
            mirror_usage_points=len(self.intake.usage_points),
        )

    def _time(self, _path: str, _page: Page) -> bytes:
        return bodies.time_body(self.now_s(), self.time_quality, self.rates.poll_rate_s)

    def _end_devices(self, path: str, page: Page) -> bytes:
        indices = range(self.own_index, self.own_index + 1 + len(self.resources))
        return self._paged(bodies.END_DEVICES, path, page, indices, self._end_device_item)

    def _end_device(self, _path: str, _page: Page, index: str) -> bytes:
        if int(index) != self.own_index:
            self._resource(index)
        return bodies.encode(self._end_device_item(int(index)))

    def _end_device_item(self, index: int) -> end_device.EndDeviceResponse:
        if index == self.own_index:
            own = self.client_lfdi
            return bodies.end_device_item(index, own, sfdi_of(own), self._born_s, resource=None)
        resource = self.resources[index - self.own_index - 1]
        counts = (1 if self._member_of(resource) else 0, resource.ders)
        return bodies.end_device_item(index, resource.lfdi, sfdi_of(resource.lfdi), self._born_s, resource=counts)

    def _registration(self, path: str, _page: Page, index: str) -> bytes:
        pin = OWN_PIN if int(index) == self.own_index else self._resource(index).pin
        return bodies.registration_body(path, pin, self._born_s, self.rates.poll_rate_s)

    def _connection_point(self, path: str, _page: Page, index: str) -> bytes:
        return self.papers.connection_point(self._resource(index).name, path)

    def _put_connection_point(self, path: str, body: bytes, index: str) -> Reply:
        return self.papers.put_connection_point(self._resource(index).name, path, body)

    def _device_information(self, _path: str, _page: Page, index: str) -> bytes:
        return self.papers.device_information(self._resource(index).name)

    def _put_information(self, path: str, body: bytes, index: str) -> Reply:
        return self.papers.put_information(self._resource(index).name, path, body)

    def _log_events(self, path: str, page: Page, index: str) -> bytes:
        return self._paged(LOG_EVENTS, path, page, self.papers.listed(self._resource(index).name), lambda row: row)

    def _post_log_event(self, path: str, body: bytes, index: str) -> Reply:
        return self.papers.post_log_event(self._resource(index).name, path, body)

    def _assignments_list(self, path: str, page: Page, index: str) -> bytes:
        resource = self._resource(index)
        rows = [resource] if self._member_of(resource) else []
        return self._paged(bodies.ASSIGNMENTS, path, page, rows, lambda row: self._assignments_item(f"{path}/1", row))

    def _assignments(self, path: str, _page: Page, index: str) -> bytes:
        return bodies.encode(self._assignments_item(path, self._resource(index)))

    def _assignments_item(self, href: str, resource: Resource) -> FunctionSetAssignmentsResponse:
        programs = self._member_of(resource)
        if not programs:
            raise RefusedError(404, f"{resource.name} has no assignments", None)
        return bodies.assignments_item(href, mrid_of(f"fsa {resource.lfdi}"), resource.name, len(programs))

    def _programs_of(self, path: str, page: Page, index: str) -> bytes:
        programs = self._member_of(self._resource(index))
        return self._paged(bodies.PROGRAMS, path, page, programs, self._program_item)

    def _program(self, _path: str, _page: Page, index: str) -> bytes:
        return bodies.encode(self._program_item(self._nth_program(index)))

    def _program_item(self, program: Program) -> der.DERProgramResponse:
        return bodies.program_item(
            self.href(program),
            program.mrid,
            program.name,
            program.primacy,
            len(self.listed(program)),
            has_default=program.default is not None,
            curves=len(program.curves),
        )

    def _default(self, path: str, _page: Page, index: str) -> bytes:
        program = self._nth_program(index)
        if program.default is None:
            raise RefusedError(404, f"{program.name} has no default", None)
        mrid = mrid_of(f"default {program.mrid}")
        return bodies.default_control_body(path, mrid, program.default, program.set_grad_w)

    def _controls(self, path: str, page: Page, index: str) -> bytes:
        program = self._nth_program(index)
        rows = [one for one in self.listed(program) if page.after_s is None or one.start_s > page.after_s]
        return self._paged(bodies.CONTROLS, path, page, rows, lambda row: self._control_item(program, row))

    def _control(self, _path: str, _page: Page, index: str, mrid: str) -> bytes:
        program = self._nth_program(index)
        control = program.controls.get(mrid)
        if control is None or not control.listed(self.now_s()):
            raise RefusedError(404, f"no control {mrid}", None)
        return bodies.encode(self._control_item(program, control))

    def _control_item(self, program: Program, control: Control) -> der.DERControlResponse:
        href = f"{self.href(program)}/derc/{control.mrid}"
        mark = marking(control, program.controls.values(), self.now_s() - self.status_lag_s)
        return bodies.control_item(href, f"/rsps/{self.programs.index(program) + 1}/rsp", control, mark)

    def _curves(self, path: str, page: Page, index: str) -> bytes:
        curves = self._nth_program(index).curves
        rows = [(f"{path}/{number}", curve) for number, curve in enumerate(curves, 1)]
        return curve_list_body(path, len(rows), rows[page.start : page.start + page.limit])

    def _curve(self, path: str, _page: Page, index: str, number: str) -> bytes:
        curves = self._nth_program(index).curves
        if not 1 <= int(number) <= len(curves):
            raise RefusedError(404, f"no curve {number}", None)
        return curve_body(path, curves[int(number) - 1])

    def _der_list(self, path: str, page: Page, index: str) -> bytes:
        rows = range(1, self._resource(index).ders + 1)
        return self._paged(bodies.DERS, path, page, rows, lambda row: bodies.der_item(f"{path}/{row}"))

    def _der(self, path: str, _page: Page, index: str, number: str) -> bytes:
        self._known_der(index, number)
        return bodies.encode(bodies.der_item(path))

    def _document(self, path: str, _page: Page, index: str, number: str) -> bytes:
        self._known_der(index, number)
        kept = self.intake.documents.get(path)
        if kept is None:
            raise RefusedError(404, "nothing was put here yet", None)
        return bodies.encode(kept.document)

    def _put_document(self, path: str, body: bytes, index: str, number: str, name: str) -> Reply:
        return self.intake.put_document(path, self._known_der(index, number), name, body)

    def _no_registration(self, _path: str, _body: bytes) -> Reply:
        raise RefusedError(403, "end devices are registered out of band", None)

    def _response_sets(self, path: str, page: Page) -> bytes:
        return self._paged(bodies.RESPONSE_SETS, path, page, self.programs, self._response_set_item)

    def _response_set(self, _path: str, _page: Page, index: str) -> bytes:
        return bodies.encode(self._response_set_item(self._nth_program(index)))

    def _response_set_item(self, program: Program) -> ResponseSet:
        href = f"/rsps/{self.programs.index(program) + 1}"
        count = len(self.intake.response_models.get(f"{href}/rsp", []))
        return bodies.response_set_item(href, mrid_of(f"responses {program.mrid}"), program.name, count)

    def _responses(self, path: str, page: Page, index: str) -> bytes:
        self._nth_program(index)
        rows = self.intake.response_models.get(path, [])
        return self._paged(bodies.RESPONSES, path, page, rows, lambda row: row)

    def _post_response(self, path: str, body: bytes, index: str) -> Reply:
        return self.intake.post_response(path, self._nth_program(index), self.resources, body)

    def _usage_points(self, path: str, page: Page) -> bytes:
        points = self.intake.usage_points
        return self._paged(bodies.MIRROR_USAGE_POINTS, path, page, points, self._usage_point_item)

    def _usage_point(self, _path: str, _page: Page, index: str) -> bytes:
        for point in self.intake.usage_points:
            if point.index == int(index):
                return bodies.encode(self._usage_point_item(point))
        raise RefusedError(404, f"no mirror usage point {index}", None)

    def _usage_point_item(self, point: UsagePoint) -> mirror.MirrorUsagePoint:
        return mirror.MirrorUsagePoint(
            href=f"/mup/{point.index}",
            mRID=point.mrid,
            description=point.description,
            roleFlags=point.role_flags,
            serviceCategoryKind=ServiceKind.ELECTRICITY,
            status=1,
            deviceLFDI=point.lfdi,
            postRate=self.rates.post_rate_s,
        )

    def _resource(self, index: str) -> Resource:
        position = int(index) - self.own_index - 1
        if not 0 <= position < len(self.resources):
            raise RefusedError(404, f"end device {index} is no resource", None)
        return self.resources[position]

    def _known_der(self, index: str, number: str) -> Resource:
        resource = self._resource(index)
        if not 1 <= int(number) <= resource.ders:
            raise RefusedError(404, f"{resource.name} has no DER {number}", None)
        return resource

    def _nth_program(self, index: str) -> Program:
        if not 1 <= int(index) <= len(self.programs):
            raise RefusedError(404, f"no program {index}", None)
        return self.programs[int(index) - 1]

    def _member_of(self, resource: Resource) -> list[Program]:
        """The programs of a resource in the list's order: primacy ascending, then mRID descending."""
        mine = [program for program in self.programs if resource.name in program.resources]
        return sorted(mine, key=lambda program: (program.primacy, -int(program.mrid, 16)))


def _compiled(table: Sequence[tuple[str, Callable[..., Row]]]) -> list[tuple[re.Pattern[str], Callable[..., Row]]]:
    return [(re.compile(path), take) for path, take in table]
