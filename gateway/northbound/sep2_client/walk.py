"""Reads a server's resources at their poll rates and says what changed; what cannot be read changes nothing.

DeviceCapability -> Time, EndDeviceList -> Registration, FunctionSetAssignments -> DERProgram -> DERControl and
DefaultDERControl. Each resource is read when its own poll rate asks for it and kept until then; each list is read page
by page. Source: IEEE 2030.5-2018 clauses 10.10, 8; CSIP 4.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from gateway.core.events import Assigned, Contact, DefaultHeard, Event, Offset, OrderHeard, OrderUnreadable
from gateway.core.orders import Default, Order
from gateway.northbound.sep2_client import translate
from gateway.northbound.sep2_client.config import Sep2Resource
from gateway.northbound.sep2_client.exchange import Exchange, ServerFault
from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.wire.sep2 import Faulty, Resource, Unreadable
from gateway.wire.sep2.codes import EventState
from gateway.wire.sep2.resources import (
    DefaultDERControl,
    DERControl,
    DERControlList,
    DERProgram,
    DERProgramList,
    DeviceCapability,
    EndDevice,
    EndDeviceList,
    FunctionSetAssignments,
    FunctionSetAssignmentsList,
    ListLink,
    Registration,
    Time,
)

log = logging.getLogger(__name__)

PAGE: Final = 255
PAGES_MAX: Final = 1000
OFFSET_STEP_MS: Final = 1_000
CONTACT_LOST_MIN_S: Final = 300

Kind = TypeVar("Kind", bound=Resource)
Lists = EndDeviceList | FunctionSetAssignmentsList | DERProgramList | DERControlList
Items = EndDevice | FunctionSetAssignments | DERProgram | DERControl | Faulty


@dataclass(slots=True)
class _Kept:
    """What was read of one address, and when it is to be read again."""

    value: object
    due_ms: int


@dataclass(slots=True)
class Found:
    """What one complete read found: each registered resource's EndDevice, and our own."""

    end_devices: dict[str, EndDevice] = field(default_factory=dict)
    own: EndDevice | None = None
    capability: DeviceCapability | None = None


@dataclass(slots=True)
class _Programs:
    """The programs of one read, and the resources that each is assigned to."""

    by_mrid: dict[str, DERProgram] = field(default_factory=dict)
    resources: dict[str, list[str]] = field(default_factory=dict)
    poll_s: dict[str, int] = field(default_factory=dict)


class Walker:
    """Walks one server and hands what changed to the deciding loop."""

    def __init__(
        self,
        party: str,
        exchange: Exchange,
        resources: Mapping[str, Sep2Resource],
        own_lfdi: str,
        clock: Clock,
        hear: Hear,
        draw: Callable[[], int],
    ) -> None:
        """Walk for these resources; `draw` gives the one random number of each new order."""
        self.poll_s = 900
        self.contact_lost_s: int | None = None
        self.found = Found()
        self._party = party
        self._exchange = exchange
        self._resources = resources
        self._own_lfdi = own_lfdi
        self._clock = clock
        self._hear = hear
        self._draw = draw
        self._kept: dict[str, _Kept] = {}
        self._offset_ms = 0
        self._assigned: dict[str, tuple[str, ...]] = {}
        self._orders: dict[str, Order] = {}
        self._unreadable: dict[str, str] = {}
        self._withdrawn: set[str] = set()
        self._defaults: dict[str, Default] = {}
        self._said: set[str] = set()

    def next_due_ms(self) -> int:
        """Give when something is next to be read."""
        return min((kept.due_ms for kept in self._kept.values()), default=0)

    def forget_dues(self) -> None:
        """Read everything again next time: after contact was lost nothing that was kept is taken for current."""
        for kept in self._kept.values():
            kept.due_ms = 0

    async def walk(self, url: str) -> None:
        """Read what is due; raise ServerFault where the read is not complete, after hearing what could be read."""
        capability = await self._read(url, DeviceCapability, lambda found: found.poll_rate_s)
        await self._time(capability)
        found = Found(capability=capability)
        if capability.end_device_list_link is None:
            raise ServerFault("the server offers no EndDeviceList; ask for this gateway to be registered")
        for item in await self._list(capability.end_device_list_link, EndDeviceList, self.poll_s):
            if isinstance(item, EndDevice) and not isinstance(item.lfdi, Unreadable) and item.lfdi is not None:
                self._recognize(found, item, item.lfdi.upper())
        await self._check_pins(found)
        self.found = found
        programs = await self._programs(found)
        faults: list[ServerFault] = []
        for mrid, program in programs.by_mrid.items():
            self._assign(program, programs.resources[mrid])
            try:
                await self._program(program, programs.poll_s[mrid])
            except ServerFault as fault:
                faults.append(fault)
        if faults:
            raise faults[0]
        window_s = self.contact_lost_s or max(2 * self._longest(programs), CONTACT_LOST_MIN_S)
        self._tell(Contact(self._party, window_s * 1000))

    def _longest(self, programs: _Programs) -> int:
        return max(programs.poll_s.values(), default=self.poll_s)

    # -- reading

    async def _read(self, href: str, kind: type[Kind], rate: Callable[[Kind], int | None]) -> Kind:
        kept = self._kept.get(href)
        now_ms = self._clock.now_ms()
        if kept is not None and now_ms < kept.due_ms and isinstance(kept.value, kind):
            return kept.value
        value = await self._exchange.get(href, kind)
        self._kept[href] = _Kept(value, now_ms + 1000 * (rate(value) or self.poll_s))
        return value

    async def _list(self, link: ListLink, kind: type[Lists], poll_s: int) -> list[Items]:
        """Read a list page by page, until all that it says to hold is there."""
        kept = self._kept.get(link.href)
        now_ms = self._clock.now_ms()
        if kept is not None and now_ms < kept.due_ms and isinstance(kept.value, list):
            return kept.value
        items: list[Items] = []
        rate_s: int | None = None
        for _page in range(PAGES_MAX):
            page = await self._exchange.get(f"{link.href}?s={len(items)}&l={PAGE}", kind)
            rate_s = getattr(page, "poll_rate_s", None) or rate_s
            items.extend(page.items)
            if not page.items or len(items) >= (page.total or 0):
                break
        else:
            raise ServerFault(f"GET {link.href}: a list without end")
        self._kept[link.href] = _Kept(items, now_ms + 1000 * (rate_s or poll_s))
        for item in items:
            if isinstance(item, Faulty):
                self._once(f"{self._party}: {item.href or link.href}: {item.why}; it is passed over")
        return items

    async def _time(self, capability: DeviceCapability) -> None:
        if capability.time_link is None:
            return
        sent_ms = self._clock.now_ms()
        due = self._kept.get(capability.time_link.href)
        if due is not None and sent_ms < due.due_ms:
            return
        time = await self._read(capability.time_link.href, Time, lambda found: found.poll_rate_s)
        middle_ms = (sent_ms + self._clock.now_ms()) // 2
        offset_ms = time.current_time_s * 1000 + 500 - middle_ms
        if abs(offset_ms - self._offset_ms) > OFFSET_STEP_MS:
            self._offset_ms = offset_ms
            self._tell(Offset(self._party, offset_ms))

    # -- whom the server knows

    def _recognize(self, found: Found, device: EndDevice, lfdi: str) -> None:
        if lfdi == self._own_lfdi:
            found.own = device
        for name, resource in self._resources.items():
            if resource.lfdi.upper() == lfdi and device.enabled is not False:
                found.end_devices[name] = device

    async def _check_pins(self, found: Found) -> None:
        """Act for no resource whose registration bears another PIN than its installer was given (2030.5-2018 6.3)."""
        for name in list(found.end_devices):
            pin = self._resources[name].pin
            if pin is None:
                continue
            link = found.end_devices[name].registration_link
            if link is None:
                why = "has no registration"
            else:
                registration = await self._read(link.href, Registration, lambda each: each.poll_rate_s)
                if registration.pin == pin:
                    continue
                why = "is registered with another PIN"
            self._once(f"{self._party}: {name} {why}; nothing is done for it until that is set right")
            del found.end_devices[name]
        for name in self._resources:
            if name not in found.end_devices:
                self._once(f"{self._party}: no EndDevice for {name}; its default holds")

    async def _programs(self, found: Found) -> _Programs:
        programs = _Programs()
        for name, device in found.end_devices.items():
            assignments = device.function_set_assignments_list_link
            if assignments is None:
                continue
            for assignment in await self._list(assignments, FunctionSetAssignmentsList, self.poll_s):
                if not isinstance(assignment, FunctionSetAssignments) or assignment.der_program_list_link is None:
                    continue
                link = assignment.der_program_list_link
                for program in await self._list(link, DERProgramList, self.poll_s):
                    if isinstance(program, DERProgram):
                        self._take(programs, program, name, link)
        return programs

    def _take(self, programs: _Programs, program: DERProgram, resource: str, link: ListLink) -> None:
        mrid = program.mrid.upper()
        programs.by_mrid[mrid] = program
        names = programs.resources.setdefault(mrid, [])
        if resource not in names:
            names.append(resource)
        kept = self._kept[link.href]
        rest_ms = max(1_000, kept.due_ms - self._clock.now_ms())
        programs.poll_s[mrid] = min(programs.poll_s.get(mrid, self.poll_s), max(1, rest_ms // 1000))

    # -- what the server wants

    def _assign(self, program: DERProgram, resources: list[str]) -> None:
        group, names = translate.group_of(self._party, program), tuple(resources)
        if self._assigned.get(group) != names:
            self._assigned[group] = names
            self._tell(Assigned(self._party, group, names))

    async def _program(self, program: DERProgram, poll_s: int) -> None:
        if program.default_der_control_link is not None:
            href = program.default_der_control_link.href
            control = await self._read(href, DefaultDERControl, lambda _found: poll_s)
            default = translate.default(control, program, self._party)
            if self._defaults.get(default.id) != default:
                self._defaults[default.id] = default
                self._tell(DefaultHeard(default))
        if program.der_control_list_link is not None:
            for item in await self._list(program.der_control_list_link, DERControlList, poll_s):
                if isinstance(item, DERControl):
                    self._control(item, program)
                elif isinstance(item, Faulty):
                    self._unreadable_control(item, program)

    def _control(self, control: DERControl, program: DERProgram) -> None:
        mrid = control.mrid.upper()
        ended = translate.withdrawal(control, self._party)
        known = self._orders.get(mrid)
        if ended is not None:
            if mrid not in self._withdrawn:
                self._withdrawn.add(mrid)
                self._tell(ended)
            return
        if control.event_status.current_status == EventState.COMPLETED:
            return
        received_ms = self._clock.now_ms() if known is None else known.received_ms
        draw = self._draw() if known is None else known.draw
        order = translate.order(control, program, self._party, received_ms, draw)
        if order != known:
            self._orders[mrid] = order
            self._tell(OrderHeard(order))

    def _unreadable_control(self, faulty: Faulty, program: DERProgram) -> None:
        if faulty.mrid is None or self._unreadable.get(faulty.mrid) == faulty.why:
            return
        self._unreadable[faulty.mrid] = faulty.why
        group = translate.group_of(self._party, program)
        reply = translate.reply(faulty.reply_to, faulty.response_required)
        self._tell(OrderUnreadable(self._party, faulty.mrid.upper(), group, faulty.why, reply))

    def _tell(self, event: Event) -> None:
        self._hear(event)

    def _once(self, said: str) -> None:
        if said not in self._said:
            self._said.add(said)
            log.warning("%s", said)
