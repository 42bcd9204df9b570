"""Walks a server's resources round by round and says what changed; what cannot be read changes nothing.

DeviceCapability -> Time, EndDeviceList -> Registration, FunctionSetAssignments -> DERProgram -> DefaultDERControl and
DERControl -> DERCurve. A round goes through all of them, each as it was read last or read anew where its poll rate asks
for that.
Source: IEEE 2030.5-2018 clauses 8 and 10.10; CSIP 4.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from gateway.core.events import Contact
from gateway.northbound.sep2_client import modes, translate
from gateway.northbound.sep2_client.clocks import OWN, Clocks
from gateway.northbound.sep2_client.config import Sep2Resource
from gateway.northbound.sep2_client.curve_reader import CurveReader
from gateway.northbound.sep2_client.entry import Entry
from gateway.northbound.sep2_client.exchange import Exchange, Impostor, ServerDown, ServerFault
from gateway.northbound.sep2_client.heard import Before, Heard
from gateway.northbound.sep2_client.programs import Split
from gateway.northbound.sep2_client.reader import Items, Reader
from gateway.northbound.sep2_client.register import Registrar
from gateway.northbound.sep2_client.said import Said
from gateway.northbound.sep2_client.shared import Listing, Programs, Shared, merged
from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.wire.sep2 import Dialect, Faulty
from gateway.wire.sep2.codes import EventState
from gateway.wire.sep2.devices import EndDevice, EndDeviceList, Registration
from gateway.wire.sep2.resources import (
    DefaultDERControl,
    DERControl,
    DERControlBase,
    DERControlList,
    DERProgram,
    DERProgramList,
    DeviceCapability,
    FunctionSetAssignments,
    FunctionSetAssignmentsList,
)

CONTACT_LOST_MIN_S: Final = 300
DOWN_AGAIN_S: Final = (1, 5, 15, 60)
NOT_THERE: Final = (404, 410)


@dataclass(slots=True)
class Found:
    """What the last round found: each proven resource's EndDevice, our own, and where everything starts."""

    end_devices: dict[str, EndDevice] = field(default_factory=dict)
    own: EndDevice | None = None
    capability: DeviceCapability | None = None


class Linking(NamedTuple):
    """What of a program links to curves, and the poll rate (s) of the lists that name it."""

    home: Listing
    poll_s: int
    defaults: list[DefaultDERControl]
    controls: list[Shared]

    def bases(self) -> list[DERControlBase]:
        """Give all modes."""
        controls = (each.item.base for each in self.controls if isinstance(each.item, DERControl))
        return [*(each.base for each in self.defaults), *controls]


class Walker:
    """Walks one server and hands what changed to the deciding loop."""

    def __init__(
        self,
        party: str,
        exchange: Exchange,
        reader: Reader,
        curves: CurveReader,
        resources: Mapping[str, Sep2Resource],
        own_lfdi: str,
        clock: Clock,
        hear: Hear,
        draw: Callable[[], int],
        contact_lost_s: int | None,
        split: Split,
        versions: Mapping[str, Dialect],
        before: Before,
    ) -> None:
        """Walk for these resources; `draw` gives the one random number of each new order, `split` its service.

        Where versions are given, the walk begins where the first of them that the server speaks does. `before` is what
        was heard before a restart. Our reading: a clock of the server goes on as it was then until its Time, which
        tells whole seconds, contradicts it, so that no start moves what runs.
        """
        self.found = Found()
        self.timed = asyncio.Event()
        self.seen = asyncio.Event()
        self._party = party
        self._exchange = exchange
        self._reader = reader
        self._curves = curves
        self._resources = resources
        self._own_lfdi = own_lfdi
        self._clock = clock
        self._hear = hear
        self._contact_lost_s = contact_lost_s
        self._said = Said(party)
        self._entry = Entry(exchange, versions, clock, self._said)
        self._registrar = Registrar(exchange, resources, self._said)
        self._heard = Heard(party, resources, hear, draw, self._said, split, before)
        self._downs = 0
        self._lost_ms = 0
        """When the round began in which the server was lost."""
        self._next_ms = 0
        self._clocks = Clocks(party, reader, clock, hear, self._said, before.offsets_ms())
        self._is_timed = False

    def server_ms(self, at_ms: int, clock: str = OWN) -> int:
        """Give an instant of our clock on the server's, or on another of its clocks (RULES C17)."""
        return self._clocks.server_ms(at_ms, clock)

    def gradient_hundredths_per_s(self, resource: str) -> int:
        """Give the gradient that the defaults heard set for a resource (hundredths of a percent a second)."""
        return self._heard.gradient_hundredths_per_s(resource)

    @property
    def is_down(self) -> bool:
        """Whether the server did not answer in the last round."""
        return self._downs > 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing that the last round came across is lacking."""
        return not self._downs and not self._reader.failing

    def subscribable(self) -> tuple[str, ...]:
        """Give the addresses that the server offers to tell of."""
        return self._reader.subscribable()

    def expire(self, href: str = "") -> None:
        """Read this address, or everything, again in the next round."""
        self._reader.expire(href)

    def next_ms(self) -> int:
        """Give when the next round is due."""
        return self._next_ms

    async def walk(self) -> None:
        """Go one round; nothing that is wrong with the server is raised."""
        begun_ms = self._clock.now_ms()
        self._reader.begin()
        self._curves.begin()
        try:
            with suppress(ServerFault):
                await self._round()
        except ServerDown as fault:
            self._down(fault, begun_ms)
            return
        finally:
            if self._is_timed:
                self.timed.set()
        if self._downs:
            self._downs = 0
            self._said.say("in reach again")
        failing = self._reader.failing
        for href, each in failing.items():
            self._said.amiss(href, f"{each.why}; what is in force holds", f"{href} is read again")
        for href, why in self._curves.stale.items():
            self._said.amiss(href, f"{why}; the curve holds as it was read last", f"{href} is read again")
        if any(each.status in NOT_THERE and each.tries == 1 for each in failing.values()):
            self._reader.expire()
            self._entry.ask_again()
        self._said.close()
        self._next_ms = self._curves.next_due_ms(self._reader.next_due_ms())

    def _down(self, fault: ServerDown, begun_ms: int) -> None:
        """Leave the server alone for a while; all that was read before it was lost is read again after that."""
        key = "impostor" if isinstance(fault, Impostor) else "down"
        self._said.amiss(key, f"out of reach: {fault}; what is in force holds")
        again_s = DOWN_AGAIN_S[min(self._downs, len(DOWN_AGAIN_S) - 1)]
        if not self._downs:
            self._lost_ms = begun_ms
        self._downs += 1
        self._reader.expire(self._exchange.url)
        self._reader.expire_before(self._lost_ms)
        self._curves.expire_before(self._lost_ms)
        self._entry.ask_again()
        self._next_ms = self._clock.now_ms() + 1000 * max(again_s, fault.retry_after_s)

    async def _round(self) -> None:
        capability = await self._reader.one(await self._entry.find(), DeviceCapability)
        await self._keep_time(capability)
        if capability.end_device_list_link is None:
            self._said.amiss("edev", "offers no EndDeviceList; ask for this gateway to be registered")
            return
        devices = await self._end_devices(capability.end_device_list_link.href)
        programs = Programs()
        found = self._recognized(devices, capability)
        await self._check_registrations(found, programs)
        self.found = found
        self.seen.set()
        programs.present.update(found.end_devices)
        for name, device in found.end_devices.items():
            try:
                await self._assignments(name, device, programs)
            except ServerFault:
                programs.whole = False
        self.timed.set()
        programs.whole = programs.whole and not self._reader.failing
        self._heard.begin()
        self._heard.assigned(programs)
        self._heard.compare(programs.first())
        linking = [await self._program(each, programs.poll_s[group]) for group, each in programs.listings.items()]
        await self._with_curves([each for each in linking if each.bases()])
        self._reader.end()
        self._curves.end()
        if not found.end_devices or not programs.whole or self._reader.failing:
            return
        now_ms = self._clock.now_ms()
        self._heard.close(partial(self.server_ms, now_ms))
        gap_s = max(programs.poll_s.values(), default=(self._reader.next_due_ms() - now_ms) // 1000)
        window_s = self._contact_lost_s or max(2 * gap_s, CONTACT_LOST_MIN_S)
        self._hear(Contact(self._party, 1000 * window_s))

    async def _keep_time(self, capability: DeviceCapability) -> None:
        """Keep the server's own clock; raise ServerFault where it was never known (RULES C17)."""
        if capability.time_link is not None:
            await self._clocks.keep(capability.time_link.href)
        self._is_timed = True

    async def _clock_of(self, assignment: FunctionSetAssignments, capability: DeviceCapability | None) -> str:
        """Keep the clock that an assignment's events run on, and give its name.

        Until it is known they run on the server's own (our reading: a limit that comes at a wrong second is better than
        one that does not come).
        """
        ours = None if capability is None else capability.time_link
        link = assignment.time_link
        if link is None or (ours is not None and link.href == ours.href):
            return OWN
        with suppress(ServerFault):
            await self._clocks.keep(link.href, link.href)
        return link.href

    # -- whom the server knows

    async def _end_devices(self, href: str) -> tuple[Items, ...]:
        """Read the EndDeviceList, and once more where anything that was not listed could be registered.

        Nothing is where the list could not be read whole: what is not seen may be listed all the same.
        """
        devices = await self._reader.all(href, EndDeviceList)
        whole = href not in self._reader.failing and not any(isinstance(each, Faulty) for each in devices)
        if whole and self._reader.is_fresh(href):
            now_s = self.server_ms(self._clock.now_ms()) // 1000
            if await self._registrar.register(href, devices, now_s):
                self._reader.expire(href)
                devices = await self._reader.all(href, EndDeviceList)
        return devices

    def _recognized(self, devices: tuple[Items, ...], capability: DeviceCapability) -> Found:
        found = Found(capability=capability)
        names = {resource.lfdi.upper(): name for name, resource in self._resources.items()}
        for device in devices:
            if isinstance(device, Faulty):
                self._passed_over(device)
            elif isinstance(device, EndDevice) and isinstance(device.lfdi, str):
                if device.lfdi == self._own_lfdi:
                    found.own = device
                if device.lfdi in names and device.enabled is not False:
                    found.end_devices[names[device.lfdi]] = device
        for name in self._resources:
            if name not in found.end_devices:
                text = f"no EndDevice for {name}; what is in force holds, then its default"
                self._said.amiss(f"EndDevice of {name}", text, f"{name} has an EndDevice")
        return found

    async def _check_registrations(self, found: Found, programs: Programs) -> None:
        """Act for no resource whose registration lacks the PIN that its installer was given (2030.5-2018 6.3)."""
        for name in list(found.end_devices):
            pin, link = self._resources[name].pin, found.end_devices[name].registration_link
            if pin is None:
                continue
            try:
                if link is None:
                    why = "has no registration"
                elif (await self._reader.one(link.href, Registration)).pin == pin:
                    continue
                else:
                    why = "is registered with another PIN"
                text = f"{name} {why}; nothing is done for it until that is set right"
                self._said.amiss(f"registration of {name}", text, f"{name} is registered with its PIN")
            except ServerFault:
                programs.whole = False
            else:
                programs.refused.add(name)
            del found.end_devices[name]

    # -- what it wants of them

    async def _assignments(self, name: str, device: EndDevice, programs: Programs) -> None:
        link = device.function_set_assignments_list_link
        for assignment in () if link is None else await self._reader.all(link.href, FunctionSetAssignmentsList):
            if isinstance(assignment, Faulty):
                programs.whole = False
                self._passed_over(assignment)
            elif isinstance(assignment, FunctionSetAssignments):
                await self._programs(name, assignment, programs)

    async def _programs(self, name: str, assignment: FunctionSetAssignments, programs: Programs) -> None:
        link = assignment.der_program_list_link
        if link is None:
            return
        try:
            clock = await self._clock_of(assignment, self.found.capability)
            listed = await self._reader.all(link.href, DERProgramList)
        except ServerFault:
            programs.whole = False
            return
        for program in listed:
            if isinstance(program, Faulty):
                programs.whole = False
                self._passed_over(program)
            elif isinstance(program, DERProgram):
                group = translate.group_of(self._party, program)
                programs.take(group, program, name, self._reader.rate_s(link.href), clock)
                home = programs.listings[group][0].clock
                if home != clock:
                    text = f"{group} is assigned by two clocks; its events run on the first, {home or 'the main one'}"
                    self._said.amiss(f"clock of {group}", text)

    async def _program(self, listings: list[Listing], poll_s: int) -> Linking:
        """Hear what a program wants; give back what links to curves, so that no limit waits for a curve."""
        linking = Linking(listings[0], poll_s, [], [])
        await self._default(listings, linking)
        lists = await self._controls(listings, poll_s)
        if lists:
            plain: list[Shared] = []
            for each in merged(lists, is_shared=len(listings) > 1):
                (linking.controls if _follows(each.item) else plain).append(each)
            now_ms = self._clock.now_ms()
            self._heard.controls(plain, linking.home, now_ms, self.server_ms(now_ms, linking.home.clock))
        return linking

    async def _default(self, listings: list[Listing], linking: Linking) -> None:
        """Hear a program's default, of its first address that gives one."""
        offered = [each.program for each in listings if each.program.default_der_control_link is not None]
        if not offered:
            self._heard.no_default(linking.home.program)
        for program in offered:
            link = program.default_der_control_link
            with suppress(ServerFault):
                if link is None:
                    continue
                default = await self._reader.one(link.href, DefaultDERControl, linking.poll_s)
                if modes.links(default.base):
                    linking.defaults.append(default)
                else:
                    self._heard.default(default, program)
                return

    async def _controls(self, listings: list[Listing], poll_s: int) -> list[tuple[Listing, tuple[Items, ...]]]:
        """Read all lists of a program's controls, and all of them now where one of them has an event that is new.

        So an event that several EndDevices share is heard with all places where it is answered.
        """
        found = await self._lists(listings, poll_s)
        links = [each.program.der_control_list_link for each, _items in found]
        stale = [link.href for link in links if link is not None and not self._reader.is_fresh(link.href)]
        is_new = any(not self._heard.knows(item) for _listing, items in found for item in items)
        if is_new and 0 < len(stale) < len(found):
            for href in stale:
                self._reader.expire(href)
            found = await self._lists(listings, poll_s)
        return found

    async def _lists(self, listings: list[Listing], poll_s: int) -> list[tuple[Listing, tuple[Items, ...]]]:
        found: list[tuple[Listing, tuple[Items, ...]]] = []
        for listing in listings:
            link = listing.program.der_control_list_link
            with suppress(ServerFault):
                if link is not None:
                    found.append((listing, await self._reader.all(link.href, DERControlList, poll_s)))
        return found

    async def _with_curves(self, linking: list[Linking]) -> None:
        """Hear what links to curves, once these were read as far as they can be."""
        rates_s: dict[str, int] = {}
        for each in linking:
            for href in (href for base in each.bases() for href in modes.links(base).values()):
                rates_s[href] = min(each.poll_s, rates_s.get(href, each.poll_s))
        curves = await self._curves.read(rates_s)
        now_ms = self._clock.now_ms()
        for each in linking:
            for default in each.defaults:
                self._heard.default(default, each.home.program, curves)
            server_ms = self.server_ms(now_ms, each.home.clock)
            self._heard.controls(each.controls, each.home, now_ms, server_ms, curves)

    def _passed_over(self, faulty: Faulty) -> None:
        self._said.amiss(f"item {faulty.mrid or faulty.href}", f"{faulty.href}: {faulty.why}; it is passed over")


def _follows(control: object) -> bool:
    """Tell whether an item is a control that is to run and links to a curve."""
    if not isinstance(control, DERControl):
        return False
    runs = control.event_status.current_status in {EventState.SCHEDULED, EventState.ACTIVE}
    return runs and bool(modes.links(control.base))
