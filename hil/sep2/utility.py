"""A head-end with the addresses of an open utility server: all that is of a device is below its EndDevice.

EndDevice 0 is the client's own, 1 and further are its resources; each has its DERPrograms at /edev/N/derp and one set
of responses, and the programs are assigned to it in several FunctionSetAssignments. Each list has a poll rate of its
own. What is asked for in the words of the public CSIP-AUS test procedures can be looked up by their addresses.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from envoy_schema.server.schema.sep2 import der, end_device
from envoy_schema.server.schema.sep2.function_set_assignments import FunctionSetAssignmentsResponse
from pydantic_xml import BaseXmlModel

from hil.sep2 import bodies
from hil.sep2.events import Control, marking
from hil.sep2.intake import RefusedError, Reply
from hil.sep2.records import Program, Resource, mrid_of, sfdi_of
from hil.sep2.tree import Page, Tree

RATE_S = 300
HIDDEN = 0
"""Where programs are that no FunctionSetAssignments shows any more."""
POLLED: Mapping[bodies.Listing, str] = {
    bodies.END_DEVICES: "edev_list",
    bodies.ASSIGNMENTS: "fsa_list",
    bodies.PROGRAMS: "derp_list",
    bodies.DERS: "der_list",
    bodies.MIRROR_USAGE_POINTS: "mup_list",
}
RESPONSES = "site_control"

Row = TypeVar("Row")


class UtilityTree(Tree):
    """One client's resources; what is not `registered` does not exist yet."""

    own_index = 0
    registered = True
    has_registration_links = True
    device_post_rate_s: int | None = None
    """What every EndDevice says of how often to post (s); nothing where it is None."""
    clocks_ms: Mapping[int, int] = {}
    """How far (ms) the clocks of FunctionSetAssignments that have one of their own are ahead of the server's."""
    posted: dict[str, str]
    """What a client told of itself when it registered in band."""

    def poll_at(self, which: str, rate_s: int) -> None:
        """Tell clients another rate (s): of "dcap", "edev_list", "fsa_list", "derp_list", "der_list" or "mup_list"."""
        self._polls_s[which] = rate_s
        if which == "dcap":
            self.rates.poll_rate_s = rate_s

    def add_program(self, primacy: int, assignment: int) -> Program:
        """Put one more program below a FunctionSetAssignments; it is known by its place, from 1."""
        name = str(len(self.programs) + 1)
        members = tuple(resource.name for resource in self.resources)
        program = Program(name, mrid_of(f"program {name}"), primacy, members)
        self.programs.append(program)
        self._assigned_to[name] = assignment
        return program

    def assignment_of(self, program: Program) -> int:
        """Tell below which FunctionSetAssignments a program is."""
        return self._assigned_to.get(program.name, 1)

    def hide_assignment(self, assignment: int) -> None:
        """Take a FunctionSetAssignments, as it is now, off its list; its programs stay where they are."""
        for name, number in self._assigned_to.items():
            if number == assignment:
                self._assigned_to[name] = HIDDEN

    def register(self, pin: int) -> None:
        """Register the resources with this PIN (check digit included)."""
        self.resources = tuple(replace(resource, pin=pin) for resource in self.resources)
        self.registered = True

    # -- where everything is

    def handle(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request; programs that several devices share have addresses below each."""
        device = re.match(r"/edev/([1-9]\d*)/", path)
        self._seen_from = device[1] if device else "1"
        return super().handle(method, path, query, body)

    def _readable(self) -> list[tuple[str, Callable[..., bytes]]]:
        self._polls_s: dict[str, int] = {}
        self._assigned_to: dict[str, int] = {}
        self.posted = {}
        self._seen_from = "1"
        home = r"/edev/(\d+)"
        kept = [(path, read) for path, read in super()._readable() if not path.startswith(("/derp", "/rsps"))]
        return [
            *((path.replace("/fsa/1", r"/fsa/(\d+)"), read) for path, read in kept),
            (r"/tm/(\d+)", self._time_of),
            (rf"{home}/derp", self._all_programs),
            (rf"{home}/derp/(\d+)", lambda path, page, _of, index: self._program(path, page, index)),
            (rf"{home}/derp/(\d+)/dderc", lambda path, page, _of, index: self._default(path, page, index)),
            (rf"{home}/derp/(\d+)/derc", lambda path, page, _of, index: self._controls(path, page, index)),
            (
                rf"{home}/derp/(\d+)/derc/([0-9A-F]+)",
                lambda path, page, _of, index, mrid: self._control(path, page, index, mrid),
            ),
        ]

    def _writable(self) -> list[tuple[str, Callable[..., Reply]]]:
        kept = [(path, write) for path, write in super()._writable() if "/rsps" not in path and path != "POST /edev"]
        return [
            *kept,
            ("POST /edev", self._register_in_band),
            (rf"POST /edev/(\d+)/rsps/{RESPONSES}/rsp", self._post_response),
        ]

    def href(self, program: Program) -> str:
        return f"/edev/{self._seen_from}/derp/{self.programs.index(program) + 1}"

    def _paged(
        self, kind: bodies.Listing, path: str, page: Page, rows: Sequence[Row], item: Callable[[Row], BaseXmlModel]
    ) -> bytes:
        shown = [item(row) for row in rows[page.start : page.start + page.limit]]
        return kind.body(path, len(rows), shown, self._polls_s.get(POLLED.get(kind, ""), RATE_S))

    # -- devices

    def _device_capability(self, _path: str, _page: Page) -> bytes:
        return bodies.device_capability_body(
            self._polls_s.get("dcap", RATE_S),
            end_devices=1 + (len(self.resources) if self.registered else 0),
            response_sets=1,
            mirror_usage_points=len(self.intake.usage_points),
        )

    def _end_devices(self, path: str, page: Page) -> bytes:
        indices = range(1 + (len(self.resources) if self.registered else 0))
        return self._paged(bodies.END_DEVICES, path, page, indices, self._end_device_item)

    def _end_device_item(self, index: int) -> end_device.EndDeviceResponse:
        if index == self.own_index:
            item = bodies.end_device_item(
                index, self.client_lfdi, sfdi_of(self.client_lfdi), self._born_s, resource=None
            )
        else:
            resource = self._resource(str(index))
            counts = (len(self._assignments_shown(resource)), resource.ders)
            item = bodies.end_device_item(index, resource.lfdi, sfdi_of(resource.lfdi), self._born_s, resource=counts)
        item.postRate = self.device_post_rate_s
        if not self.has_registration_links:
            item.RegistrationLink = None
        return item

    def _register_in_band(self, _path: str, body: bytes) -> Reply:
        given = bodies.decode(end_device.EndDeviceRequest, body, None)
        known = {resource.lfdi: index for index, resource in enumerate(self.resources, 1)}
        if given.lFDI is None or given.lFDI.upper() not in known:
            raise RefusedError(403, f"no device {given.lFDI} is expected here", None)
        self.registered = True
        self.posted |= {"lfdi": given.lFDI, "device_category": given.deviceCategory or ""}
        return Reply(201, location=f"/edev/{known[given.lFDI.upper()]}")

    def _resource(self, index: str) -> Resource:
        if not self.registered:
            raise RefusedError(404, f"end device {index} is not registered", None)
        return super()._resource(index)

    # -- assignments and programs

    def _assignments_shown(self, resource: Resource) -> list[int]:
        numbers = {self.assignment_of(program) for program in self._member_of(resource)}
        return sorted(numbers - {HIDDEN})

    def _assignments_list(self, path: str, page: Page, index: str) -> bytes:
        resource = self._resource(index)
        rows = self._assignments_shown(resource)
        return self._paged(
            bodies.ASSIGNMENTS, path, page, rows, lambda number: self._assignment(f"{path}/{number}", resource, number)
        )

    def _assignments(self, path: str, _page: Page, index: str, number: str = "1") -> bytes:
        return bodies.encode(self._assignment(path, self._resource(index), int(number)))

    def _assignment(self, href: str, resource: Resource, number: int) -> FunctionSetAssignmentsResponse:
        programs = self._below(resource, number)
        if not programs:
            raise RefusedError(404, f"{resource.name} has no assignments {number}", None)
        item = bodies.assignments_item(href, mrid_of(f"fsa {number} {resource.lfdi}"), resource.name, len(programs))
        if number in self.clocks_ms:
            item.TimeLink = bodies.link(f"/tm/{number}")
        return item

    def _time_of(self, _path: str, _page: Page, number: str) -> bytes:
        if int(number) not in self.clocks_ms:
            raise RefusedError(404, f"assignments {number} have no clock of their own", None)
        return bodies.time_body(self._now_s(int(number)), self.time_quality, self.rates.poll_rate_s)

    def _now_s(self, number: int) -> int:
        return self.now_s() + self.clocks_ms.get(number, 0) // 1000

    def _below(self, resource: Resource, number: int) -> list[Program]:
        return [program for program in self._member_of(resource) if self.assignment_of(program) == number]

    def _programs_of(self, path: str, page: Page, index: str, number: str = "1") -> bytes:
        return self._paged(
            bodies.PROGRAMS, path, page, self._below(self._resource(index), int(number)), self._program_item
        )

    def _all_programs(self, path: str, page: Page, index: str) -> bytes:
        return self._paged(bodies.PROGRAMS, path, page, self._member_of(self._resource(index)), self._program_item)

    def _control_item(self, program: Program, control: Control) -> der.DERControlResponse:
        href = f"{self.href(program)}/derc/{control.mrid}"
        now_s = self._now_s(self.assignment_of(program))
        mark = marking(control, program.controls.values(), now_s - self.status_lag_s)
        return bodies.control_item(href, f"/edev/{self._seen_from}/rsps/{RESPONSES}/rsp", control, mark)

    # -- what is posted

    def _post_response(self, path: str, body: bytes, _index: str) -> Reply:
        subject = re.search(rb"subject>\s*([0-9A-Fa-f]+)", body)
        mrid = "" if subject is None else subject[1].decode().upper()
        home = next((program for program in self.programs if mrid in program.controls), None)
        if home is None:
            raise RefusedError(400, f"response to unknown subject {mrid}")
        return self.intake.post_response(path, home, self.resources, body)
