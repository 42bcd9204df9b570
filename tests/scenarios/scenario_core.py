"""A scenario on the pure core: the timeline as events, and devices that take on and do what they are told."""

import heapq
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from scenario_file import Case, DeviceStep, Effects, OrderStep, Program, Shape, Step, Timeline, TradeStep, Value

from gateway.config import check
from gateway.core.capacity import Commitment, Domain, Slice, Terms
from gateway.core.events import (
    Adopted,
    Assigned,
    Coloured,
    CommitmentHeard,
    Contact,
    DefaultHeard,
    Effect,
    Event,
    ForeignHand,
    LinkDown,
    LinkUp,
    NetworkChanged,
    Observed,
    OfferHeard,
    Offset,
    OrderHeard,
    Started,
    Tell,
    Tick,
    Withdrawal,
    Withdrawn,
    Write,
)
from gateway.core.functions import CEILINGS, FLOORS, Function
from gateway.core.known import Known
from gateway.core.machine import Machine
from gateway.core.offers import Block, Offer
from gateway.core.orders import (
    Ceiling,
    Connect,
    Default,
    Each,
    Energize,
    Floor,
    Order,
    Price,
    Rank,
    Release,
    Reply,
    Target,
    Total,
)
from gateway.core.orders import Effect as OrderEffect
from gateway.core.parties import Colour, Direction
from gateway.core.plan import Command
from gateway.core.state import State
from gateway.core.topology import Site
from gateway.core.units import Power, Share, Watts
from gateway.runtime import wiring
from gateway.runtime.domain import core_site
from gateway.store import codec
from gateway.web.effects import EffectBody
from gateway.web.effects import effects as bodies

NOON_MS = 1_782_043_200_000
"""Noon of the longest day of 2026, UTC."""
LEAD_MS = 60_000
ADOPT_MS = 1_000
LISTEN_MS = 300_000
MAINS_MV = 240_000
ASKED = Reply("/rsp", receipt=True, progress=True)


def power(value: Value) -> Power:
    """Give a power: watts as a number, a share as text such as "50 %"."""
    if isinstance(value, str):
        return Share(round(100 * float(value.removesuffix("%"))))
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no power")
    return Watts(value)


def effects(given: Effects) -> tuple[OrderEffect, ...]:
    """Give the core's effects of an order or default."""
    made: list[OrderEffect] = []
    for name, value in given.items():
        if name == "release":
            made += [Release(Function(each)) for each in (value if isinstance(value, list) else ())]
            continue
        function = Function(name)
        if isinstance(value, dict):
            made += bodies((msgspec.convert({"function": name, **value}, EffectBody),))
        elif function is Function.CONNECT:
            made.append(Connect(bool(value)))
        elif function is Function.ENERGIZE:
            made.append(Energize(bool(value)))
        elif function is Function.PRICE and isinstance(value, int | float):
            made.append(Price(round(1000 * value)))
        elif function in CEILINGS:
            made.append(Ceiling(function, power(value)))
        elif function in FLOORS:
            made.append(Floor(function, power(value)))
        else:
            made.append(Target(power(value)))
    return tuple(made)


def site_of(case: Case, folder: Path) -> Site:
    """Give the core's site of a scenario, read by the gateway's own way in; every fault in it is an error."""
    shape = Shape(case.site_text())
    places = {
        place: str(1502 + number) if place in shape.devices else "https://127.0.0.1:1/dcap"
        for number, place in enumerate(shape.places)
    }
    places |= {place: "0" * 40 for place in shape.places if place.endswith(".lfdi")}
    checked = check(case.fill(places), str(folder / "site.toml"), wiring.TABLES)
    assert checked.site is not None, "\n".join(map(str, checked.faults))
    return core_site(checked.site)


@dataclass(slots=True)
class Der:
    """A device: what it could feed (W), what it was told and does, and whether it can be reached and obeys."""

    rated_w: int
    available_w: int
    wanted: Write | None = None
    does: Command | None = None
    reachable: bool = True
    ignores: bool = False

    def power_w(self) -> int:
        """Give what it feeds now (W)."""
        if self.does is None or self.ignores:
            return self.available_w
        if self.does.connected is False or self.does.energized is False:
            return 0
        most_w = min(self.available_w, self.does.limit_w)
        most_w = most_w if self.does.floor_w is None else max(most_w, self.does.floor_w)
        return most_w if self.does.target_w is None else min(most_w, self.does.target_w)


class CorePlayer:
    """Plays a timeline to the machine; `tells` is every record of it."""

    def __init__(self, case: Case, folder: Path) -> None:
        """Be ready to play."""
        self.timeline: Timeline = case.timeline()
        self.site = site_of(case, folder)
        self.tells: list[Tell] = []
        self._shape = Shape(case.site_text())
        self._programs = {f"{each.party}/{each.name}": each for each in self.timeline.program}
        self._machine: Machine | None = None
        self._state: State | None = None
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self.begin_ms = NOON_MS - 1000 * (self.timeline.quarter_s or 0)
        self._now_ms = self.begin_ms - LEAD_MS
        self._silent: set[str] = set(self.timeline.impostors)
        self._unheard: dict[str, list[Callable[[], None]]] = {}
        self._offset_ms: dict[str, int] = {}
        self._ders = {
            device.name: Der(device.rated_w, self._available_w(device.name, device.rated_w))
            for device in self.site.devices
        }

    def _available_w(self, device: str, rated_w: int) -> int:
        """Give what a device could feed at the beginning; one that charges by itself draws as much."""
        draws = self.timeline.kinds.get(device) == "charger"
        return -rated_w if draws else self.timeline.available_w.get(device, rated_w)

    def run(self) -> list[Tell]:
        """Play the timeline to its end and give every record."""
        self._at(self._now_ms, self._start)
        for party in self._shape.servers:
            self._at(self._now_ms + 10_000, self._poll_of(party))
        for step in self.timeline.step:
            self._at(self.begin_ms + step.at_s * 1000, self._bring_about(step))
        end_ms = self.begin_ms + self.timeline.end_s * 1000
        while True:
            due_ms = self._queue[0][0] if self._queue else end_ms
            change_ms = self._machine.next_change() if self._machine is not None else end_ms
            if min(due_ms, change_ms) >= end_ms:
                return self.tells
            if change_ms <= due_ms:
                self._now_ms = max(self._now_ms, change_ms)
                self._feed(Tick())
                continue
            self._now_ms, _count, act = heapq.heappop(self._queue)
            act()

    def _at(self, at_ms: int, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at_ms, self._count, act))

    def _feed(self, event: Event) -> None:
        if self._machine is not None:
            self._perform(self._machine.handle(event, self._now_ms))

    def _perform(self, came: Iterable[Effect]) -> None:
        for effect in came:
            if isinstance(effect, Tell):
                self.tells.append(effect)
            elif isinstance(effect, Write):
                self._ders[effect.cleared.command.device].wanted = effect
                self._at(self._now_ms + ADOPT_MS, self._adopt_at(effect.cleared.command.device))

    # -- the gateway

    def _start(self) -> None:
        self._machine = Machine(self._state)
        self._feed(Started(self.site))
        self._perform(self._machine.outstanding(self._now_ms))
        for name, der in self._ders.items():
            if der.reachable:
                self._link_up(name, der)
        for name in self._programs:
            self._assign(name)
        self._at(self._now_ms + 2_000, self._listen)

    def _listen(self) -> None:
        """Hear every party that can be heard."""
        for party in self._shape.speakers:
            if party not in self._shape.servers:
                self._feed(Contact(party, LISTEN_MS))
        for party in self._shape.servers:
            self._read(party)

    def _kill(self) -> None:
        """End the process: what is on disk is all that is left of it."""
        if self._machine is not None:
            kept = codec.pack_shared(self._machine.state)
            self._state = codec.Unpacker().unpack_shared(kept, State)
        self._machine = None

    # -- the parties

    def _assign(self, name: str) -> None:
        program = self._programs[name]
        if program.party in self._silent:
            return
        resources = program.resources or tuple(each.name for each in self.site.resources)
        self._feed(Assigned(program.party, _group(program), resources))
        if program.default is not None:
            self._feed(DefaultHeard(self._default(program, program.default)))

    def _default(self, program: Program, given: Effects) -> Default:
        return Default(program.party, program.name, _group(program), program.primacy, effects(given))

    def _poll_of(self, party: str) -> Callable[[], None]:
        every_ms = 1000 * int(self._shape.servers[party]["poll_s"])

        def poll() -> None:
            self._read(party)
            self._at(self._now_ms + every_ms, poll)

        return poll

    def _read(self, party: str) -> None:
        if party in self._silent or self._machine is None:
            return
        for hear in self._unheard.pop(party, []):
            hear()
        self._feed(Contact(party, 1000 * int(self._shape.servers[party]["contact_lost_s"])))

    def _said_by(self, party: str, event: Event) -> None:
        """Let a party be heard, now or when it can be."""
        if party in self._silent or self._machine is None:
            self._unheard.setdefault(party, []).append(lambda: self._feed(event))
        else:
            self._feed(event)

    def _order(self, given: OrderStep) -> Order:
        program = self._programs.get(given.program)
        group = given.group if program is None else _group(program)
        ahead_ms = self.begin_ms + self._offset_ms.get(given.issuer, 0)
        created_ms = self._now_ms - self.begin_ms if given.created_s is None else given.created_s * 1000
        return Order(
            issuer=given.issuer,
            id=given.id,
            version=given.version,
            scope=Total(group) if given.scope == "total" else Each(group),
            effects=effects(given.effects),
            start_ms=ahead_ms + given.start_s * 1000,
            end_ms=None if given.end_s is None else ahead_ms + given.end_s * 1000,
            rank=Rank(given.rank if program is None else program.primacy, ahead_ms + created_ms),
            received_ms=self._now_ms,
            draw=7,
            ramp_ms=given.ramp_s * 1000,
            reply=ASKED,
            service=given.service,
        )

    # -- the devices

    def _link_up(self, name: str, der: Der) -> None:
        most = Known(der.rated_w, self._now_ms)
        self._feed(LinkUp(name, most, most))
        self._observe(name, der)
        if der.wanted is not None:
            self._at(self._now_ms + ADOPT_MS, self._adopt_at(name))

    def _adopt_at(self, name: str) -> Callable[[], None]:
        def adopt() -> None:
            der = self._ders[name]
            if der.wanted is None or not der.reachable:
                return
            der.does = der.wanted.cleared.command
            lacks = self.timeline.cannot.get(name, {})
            cannot = tuple((each.function, lacks[each.function]) for each in der.does.modes if each.function in lacks)
            self._feed(Adopted(name, der.wanted.cleared.serial, cannot))
            self._at(self._now_ms + ADOPT_MS, lambda: self._observe(name, der))

        return adopt

    def _observe(self, name: str, der: Der) -> None:
        if der.reachable:
            on = der.does is None or der.does.connected is not False
            seen, none, volts = (Known(each, self._now_ms) for each in (der.power_w(), 0, MAINS_MV))
            self._feed(Observed(name, seen, none, volts, on))

    # -- what happens

    def _bring_about(self, step: Step) -> Callable[[], None]:
        def act() -> None:
            if step.order is not None:
                self._said_by(step.order.issuer, OrderHeard(self._order(step.order)))
            elif step.cancel is not None:
                heard = Withdrawn(step.cancel.party, step.cancel.id, Withdrawal.CANCELLED, 0)
                self._said_by(step.cancel.party, heard)
            elif step.unlist is not None:
                pass  # what only vanishes from its list is not withdrawn: there is no event for it (C13)
            elif step.default is not None:
                program = self._programs[step.default.program]
                self._said_by(program.party, DefaultHeard(self._default(program, step.default.effects)))
            elif step.contact is not None:
                self._contact(step.contact.party, lost=step.contact.link == "lost")
            elif step.device is not None:
                self._device(step.device)
            elif step.restart is not None:
                self._kill()
                self._at(self._now_ms + step.restart.down_s * 1000, self._start)
            else:
                self._of_the_network(step)

        return act

    def _contact(self, party: str, *, lost: bool) -> None:
        if lost:
            self._silent.add(party)
            return
        self._silent.discard(party)
        self._read(party)

    def _device(self, given: DeviceStep) -> None:
        der = self._ders[given.name]
        if given.link is not None:
            der.reachable = given.link == "back"
            if der.reachable:
                self._link_up(given.name, der)
            else:
                self._feed(LinkDown(given.name, "the device closed the connection"))
        if given.ignores is not None:
            der.ignores = given.ignores
        if given.available_w is not None:
            der.available_w = given.available_w
        self._at(self._now_ms + ADOPT_MS, lambda: self._observe(given.name, der))

    def _of_the_network(self, step: Step) -> None:
        if step.foreign is not None:
            self._feed(ForeignHand(step.foreign.device, f"its limit is {step.foreign.limit_w} W"))
        elif step.offset is not None:
            self._offset_ms[step.offset.party] = step.offset.offset_s * 1000
            self._feed(Offset(step.offset.party, step.offset.offset_s * 1000))
        elif step.colour is not None:
            given = step.colour
            constrained = None if given.constrained is None else Direction(given.constrained)
            until_ms = self.begin_ms + given.until_s * 1000
            self._feed(Coloured(given.party, given.segment, Colour(given.colour), constrained, until_ms))
        elif step.network is not None:
            changed = step.network
            self._feed(NetworkChanged(changed.party, changed.points, changed.validated, changed.why))
        elif step.commitment is not None:
            self._feed(CommitmentHeard(self._commitment(step.commitment)))
        elif step.offer is not None:
            self._feed(OfferHeard(self._offer(step.offer)))

    def _commitment(self, given: TradeStep) -> Commitment:
        says = given.says
        terms = says.get("terms")
        return Commitment(
            party=given.party,
            id=says["id"],
            buyer=says["buyer"],
            service=says["service"],
            level=says["level"],
            reliability=says["reliability"],
            slices=tuple(Slice(**each) for each in says["slices"]),
            direction=Direction(says["direction"]),
            start_ms=self.begin_ms + 1000 * says["start_s"],
            end_ms=self.begin_ms + 1000 * says["end_s"],
            domain=Domain(says["domain"]),
            terms=None if terms is None else Terms(**terms),
            created_ms=self._now_ms,
            interruptible=says.get("interruptible", False),
        )

    def _offer(self, given: TradeStep) -> Offer:
        says = given.says
        return Offer(
            party=given.party,
            id=says["id"],
            version=says.get("version", 0),
            service=says["service"],
            direction=Direction(says["direction"]),
            resources=tuple(says["resources"]),
            blocks=tuple(Block(each["w"], round(1000 * each["per_mwh"])) for each in says["blocks"]),
            start_ms=self.begin_ms + 1000 * says["start_s"],
            end_ms=self.begin_ms + 1000 * says["end_s"],
        )


def _group(program: Program) -> str:
    return f"{program.party}:{program.name}"


def plain_id(label: str) -> str:
    """Give an order's name as the timeline has it; an mRID made by `mrid` is turned back."""
    issuer, _, name = label.partition("/")
    if re.fullmatch(r"[0-9A-F]{24}0000EA7A", name) is None:
        return label
    return f"{issuer}/{bytes.fromhex(name[:24]).rstrip(bytes(1)).decode()}"


def mrid(name: str) -> str:
    """Give a name as an mRID that sorts as the name does; at most 12 characters."""
    assert len(name) <= 12, f"{name!r} is too long for an mRID; use 12 characters at most"
    return f"{name.encode().hex().upper():0<24}0000EA7A"
