"""The whole: one event in, effects out, tightening first; everything it does follows from its state and its arguments.

The caller journals each event before any of its effects leaves, feeds the next event only when the effects of the
last are exhausted, and gives a `now_ms` that never goes back.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gateway.core.admit import Admission
from gateway.core.adoption import Adoption
from gateway.core.aggregate import ConnectionReading, Sample
from gateway.core.answers import Kind
from gateway.core.arbitrate import Ground
from gateway.core.authority import judge_modes, judge_size
from gateway.core.capacity import CommitmentKey
from gateway.core.decide import Decider
from gateway.core.events import (
    Adopted,
    Alarmed,
    Assigned,
    Coloured,
    CommitmentEnded,
    CommitmentHeard,
    Contact,
    DefaultHeard,
    Delivered,
    Effect,
    Event,
    ForeignHand,
    LinkDown,
    LinkUp,
    MeterRead,
    NetworkChanged,
    NotAdopted,
    Observed,
    OfferHeard,
    OfferWithdrawn,
    Offset,
    OrderHeard,
    OrderUnreadable,
    Owe,
    Reported,
    Started,
    Tell,
    Tick,
    Topic,
    Withdrawn,
)
from gateway.core.feeder import Certified, NotCertified, Validate
from gateway.core.ground import Grounds, authority
from gateway.core.joining import remind_of
from gateway.core.known import Known, Unknown
from gateway.core.ledger import Ledger
from gateway.core.meter import NOT_READ, QUARTER_MS, Meter, collect, unread
from gateway.core.narrate import tell
from gateway.core.network import Network
from gateway.core.orders import Default, OrderKey
from gateway.core.reporting import Reporting
from gateway.core.siteload import STALE_MS, UNMETERED, SiteLoad
from gateway.core.state import DeviceState, Live, PartyState, ResourceState, State
from gateway.core.timeline import FOR_EVER_MS
from gateway.core.topology import Resource, Site
from gateway.core.trade import Trade

QUIET_MS = 15 * 60_000
KEEP_ENDED_MS = 24 * 3_600_000
RENEW_MS = 30 * 60_000
EMPTY_SITE = Site("", (), (), (), (), ())


class Machine:
    """The gateway's decisions. `state` is all that it remembers."""

    def __init__(self, state: State | None = None) -> None:
        """Start empty, or where a snapshot left off."""
        self.state = state if state is not None else State(EMPTY_SITE)
        self._grounds = Grounds(self.state.site)
        self._ledger = Ledger(self.state)
        self._decider = Decider(self.state, self._ledger)
        granted = authority(self.state.site)
        self._admission = Admission(self.state, self._decider, self._ledger, granted)
        self._reporting = Reporting(self.state)
        self._adoption = Adoption(self.state, self._decider, self._ledger, self._reporting)
        self._trade = Trade(self.state, self._decider, granted)
        self._network = Network(self.state, self._decider)
        self._cases: dict[type, Callable[[Any], Iterator[Effect]]] = {
            Started: self._started,
            Assigned: self._admission.assigned,
            OrderHeard: self._admission.order_heard,
            OrderUnreadable: self._admission.order_unreadable,
            Withdrawn: self._admission.withdrawn,
            DefaultHeard: self._default_heard,
            Contact: self._contact,
            Offset: self._offset,
            Coloured: self._network.coloured,
            NetworkChanged: self._network.changed,
            Certified: self._network.certified,
            NotCertified: self._network.not_certified,
            CommitmentHeard: self._trade.commitment_heard,
            CommitmentEnded: self._trade.commitment_ended,
            OfferHeard: self._trade.offer_heard,
            OfferWithdrawn: self._trade.offer_withdrawn,
            LinkUp: self._link_up,
            LinkDown: self._link_down,
            Adopted: self._adoption.adopted,
            NotAdopted: self._adoption.not_adopted,
            ForeignHand: self._foreign_hand,
            Observed: self._observed,
            MeterRead: self._meter_read,
            Alarmed: self._reporting.alarmed,
            Reported: self._reporting.reported,
            Delivered: self._delivered,
            Tick: self._tick,
        }

    def handle(self, event: Event, now_ms: int) -> Iterator[Effect]:
        """Take one event and yield what it brings about; exhaust it before the next."""
        self.state.now_ms = max(now_ms, self.state.now_ms)
        yield from self._due()
        yield from self._cases[type(event)](event)
        yield from self._decider.decide()

    def next_change(self) -> int:
        """Give the next instant (ms) at which time alone changes something, or FOR_EVER_MS."""
        return self.state.agenda[0][0] if self.state.agenda else FOR_EVER_MS

    def outstanding(self, now_ms: int) -> Iterator[Effect]:
        """Yield all open effects again: what devices are to do, and every answer and notice not yet acknowledged."""
        self.state.now_ms = max(now_ms, self.state.now_ms)
        yield from self._decider.rewrite()
        for feeder in self.state.feeders.values():
            if feeder.question is not None:
                yield Validate(feeder.question)
        for answer in self.state.owed.values():
            yield Owe(answer)
        yield from self._reporting.outstanding()

    def assigned(self, party: str) -> Iterator[Assigned]:
        """Give what the groups of a party stand for, as it was heard."""
        for group, issuer in self.state.assigned.items():
            if issuer == party:
                yield Assigned(party, group, self.state.members[group])

    def held(self, party: str) -> Iterator[OrderHeard]:
        """Give the orders of a party that are not over, as they were heard."""
        for key, live in self.state.lives.items():
            if key.issuer == party and live.ended < len(live.courses):
                yield OrderHeard(live.order)

    def offsets_ms(self, party: str) -> dict[str, int]:
        """Give each clock of a party, its own under no name, minus ours (ms), as it was heard last."""
        state = self.state.parties.get(party)
        if state is None:
            return {}
        return {"": state.offset_ms, **state.clocks} if state.is_timed else dict(state.clocks)

    def samples(self) -> Iterator[Sample]:
        """Give what is known of every device, for the picture that goes to the tier above."""
        for state in self.state.devices.values():
            device = state.device
            yield Sample(
                device.name,
                device.resource,
                device.rated_w,
                state.generation_max_w,
                state.power,
                state.reactive,
                state.voltage,
                state.connected,
                state.faults,
                state.charge_max_w,
                device.energy_wh,
                state.stored,
            )

    def connections(self) -> dict[str, ConnectionReading]:
        """Give what is metered at the connection points, for the same picture."""
        found = ((name, state.connection) for name, state in self.state.resources.items())
        return {name: shown for name, shown in found if shown is not None}

    def _tell(
        self,
        topic: Topic,
        order: OrderKey | None,
        rule: str,
        effect: str,
        names: Iterable[str],
        values: Iterable[int],
        why: str,
        function: str = "",
    ) -> Tell:
        return tell(self.state.now_ms, topic, order, rule, effect, names, values, why, function)

    # -- time

    def _due(self) -> Iterator[Effect]:
        state = self.state
        while state.agenda and state.agenda[0][0] <= state.now_ms:
            _at, _count, what, first, second = heapq.heappop(state.agenda)
            if what == "order":
                self._admission.order_due(OrderKey(first, second))
            elif what == "contact":
                yield from self._contact_due(first)
            elif what == "verify":
                yield from self._adoption.verify_due(first)
            elif what == "share" and first in state.points:
                self._decider.touch(state.points[first].resources)
            elif what == "colour":
                yield from self._network.colour_due(first)
            elif what == "feeder" and first in state.feeders:
                yield from self._network.feeder_due(first)
            elif what == "meter" and state.metered_ms + QUARTER_MS <= state.now_ms:
                yield from self._meter_due()
            elif what == "commitment":
                self._trade.commitment_due(CommitmentKey(first, second))
            elif what == "offer":
                self._trade.offers_due()
            elif what == "load":
                self._load_due(first)
            elif what == "alarm":
                yield from self._reporting.due(first, second)
            elif what == "contested":
                yield from self._contest_due(first)
            elif what == "renew" and state.renew_at_ms <= state.now_ms:
                self._renew()

    def _tick(self, _event: Tick) -> Iterator[Effect]:
        yield from ()

    # -- the site

    def _started(self, event: Started) -> Iterator[Effect]:
        state, site = self.state, event.site
        state.site = site
        self._grounds, granted = Grounds(site), authority(site)
        self._admission.authority = self._trade.authority = granted
        state.parties = {party.name: state.parties.get(party.name, PartyState()) for party in site.parties}
        for party in state.parties.values():
            party.proven = False
        unread = Unknown("not read since the start", state.now_ms)
        devices: dict[str, DeviceState] = {}
        for device in site.devices:
            kept = state.devices.get(device.name)
            if kept is None or kept.device != device:
                kept = DeviceState(device, device.rated_w, device.draws_w or device.rated_w, meter=Meter(state.now_ms))
            kept.reachable, kept.connected, kept.verdict, kept.verify_at_ms = False, None, None, None
            kept.power = kept.reactive = kept.voltage = unread
            kept.meter.stop(state.now_ms)
            devices[device.name] = kept
        state.devices = devices
        loads = {name: each.load.restarted() for name, each in state.resources.items()}
        state.resources = {
            resource.name: ResourceState(
                resource,
                (),
                self._ground(resource),
                max(devices[name].device.revert_ms for name in resource.devices),
                state.resources[resource.name].rulings if resource.name in state.resources else (),
                segment=next((devices[name].device.segment for name in resource.devices), ""),
                load=loads.get(resource.name) or SiteLoad(),
            )
            for resource in site.resources
        }
        for name in (name for name, load in loads.items() if load.counted != UNMETERED):
            state.remind(state.now_ms + STALE_MS, "load", name)
        self._network.started()
        for live in state.lives.values():
            self._drop_absent(live)
        members = {**state.members, **{group.name: group.resources for group in site.groups}}
        members.update({group: state.members[group] for group in state.assigned})
        known = {group: tuple(name for name in names if name in state.resources) for group, names in members.items()}
        yield from self._admission.regroup(known)
        self._reporting.regroup()
        self._renew()
        state.metered_ms = state.now_ms - state.now_ms % QUARTER_MS
        state.remind(state.metered_ms + QUARTER_MS, "meter")

    def _drop_absent(self, live: Live) -> None:
        """Answer for the resources of an order that the site no longer has."""
        for name, course in live.courses.items():
            if name in self.state.resources:
                continue
            live.effects.pop(name, None)
            if not course.ended:
                self._ledger.say(live, (name,), Kind.CANNOT, "A6", f"{name} is no longer on this site")

    def _ground(self, resource: Resource) -> Ground:
        devices = [self.state.devices[name] for name in resource.devices]
        generation_max_w = sum(device.generation_max_w for device in devices)
        return self._grounds.of(resource, generation_max_w, sum(device.charge_max_w for device in devices))

    def _renew(self) -> None:
        """Decide everything anew, so that no cleared command runs out, and drop what is long over."""
        state = self.state
        state.renew_at_ms = state.now_ms + RENEW_MS
        self.state.remind(state.renew_at_ms, "renew")
        self._admission.close_the_book()
        self._decider.touch(state.resources)
        for key, live in list(state.lives.items()):
            if live.ended == len(live.courses) and live.interval.end_ms + KEEP_ENDED_MS < state.now_ms:
                state.answered[key] = max(live.order.version, state.answered.get(key, 0))
                del state.lives[key]
                if key in state.book[live.group]:
                    state.book[live.group].remove(key)
        self._decider.joiner.forget()

    # -- what the parties say

    def _default_heard(self, event: DefaultHeard) -> Iterator[Effect]:
        state, default = self.state, event.default
        held, key = state.defaults.setdefault(default.group, {}), OrderKey(default.issuer, default.id)
        if held.get(key) == default:
            return
        said = ", ".join(effect.function.value for effect in default.effects)
        names = state.reached(default.group)
        unsound = judge_modes(default.effects) or judge_size(default.effects, state.rated_w(names))
        if unsound is not None:
            yield self._tell(Topic.REFUSED, key, unsound.rule, "no effect", (), (), unsound.why, said)
            return
        inside = [name for name in names if self._granted(default, name)]
        if names and default.effects and not inside:
            why = f"{default.issuer} holds no grant for a default of {said} there"
            yield self._tell(Topic.REFUSED, key, "A6", "no effect", names, (), why, said)
            return
        held[key] = default
        self._decider.touch(names)
        names = tuple(inside)
        yield self._tell(Topic.DEFAULT, key, "C5", "default", names, (), f"sets {said or 'nothing'}", said)

    def _granted(self, default: Default, resource: str) -> bool:
        """Tell whether anything of a default is granted at a resource."""
        granted = self._admission.authority.resources
        return any(resource in granted(default.issuer, default.service, one.function) for one in default.effects)

    def _contact(self, event: Contact) -> Iterator[Effect]:
        party = self.state.parties[event.issuer]
        party.read_at_ms, party.window_ms = self.state.now_ms, event.window_ms
        self.state.remind(self.state.now_ms + event.window_ms, "contact", event.issuer)
        if party.proven and not party.lost:
            return
        why = "contact is back" if party.lost else "for the first time since the start"
        yield self._tell(Topic.CONTACT, None, "C14", "in contact", (event.issuer,), (), why)
        was_proven, party.proven, party.lost = party.proven, True, False
        if not was_proven:
            self._decider.touch(self.state.resources)
        self._network.touch_coloured_by(event.issuer)

    def _contact_due(self, issuer: str) -> Iterator[Effect]:
        party = self.state.parties.get(issuer)
        if party is None or party.lost or party.read_at_ms + party.window_ms > self.state.now_ms:
            return
        party.lost = True
        self._network.touch_coloured_by(issuer)
        why = f"not proven for {party.window_ms // 1000} s; known orders run out, then the default holds"
        yield self._tell(Topic.CONTACT, None, "C14", "contact lost", (issuer,), (), why)

    def _offset(self, event: Offset) -> Iterator[Effect]:
        party = self.state.parties[event.issuer]
        was_ms = party.ahead_ms(event.clock)
        if event.clock:
            party.clocks[event.clock] = event.offset_ms
        else:
            party.offset_ms, party.is_timed = event.offset_ms, True
        if party.ahead_ms(event.clock) != was_ms:
            party.closed_ms = self.state.now_ms
        for live in self.state.lives.values():
            if live.order.issuer == event.issuer and live.ended < len(live.courses):
                self._admission.retime(live)
                remind_of(self.state, live)
                self._decider.touch(live.effects)
        yield from ()

    def _meter_due(self) -> Iterator[Effect]:
        """Tell what every DER delivered for which service since the last quarter of an hour (C9)."""
        state = self.state
        since_ms, state.metered_ms = state.metered_ms, state.now_ms - state.now_ms % QUARTER_MS
        state.remind(state.metered_ms + QUARTER_MS, "meter")
        delivered = collect(((name, each.meter) for name, each in state.devices.items()), state.now_ms)
        yield from self._trade.account(delivered, since_ms)
        for one in delivered:
            effect, service = f"delivered in {one.direction.value}", one.service or "own use"
            yield self._tell(Topic.METERED, None, "C9", effect, one.wh, one.wh.values(), "", service)
        unread_s = unread(((name, each.meter) for name, each in state.devices.items()), state.now_ms)
        if unread_s:
            yield self._tell(Topic.METERED, None, "C9", NOT_READ, unread_s, unread_s.values(), "")

    # -- what the devices say

    def _link_up(self, event: LinkUp) -> Iterator[Effect]:
        device = self.state.devices[event.device]
        before = (device.reachable, device.generation_max_w, device.charge_max_w)
        device.reachable = True
        yield from self._reporting.contact(device, lost=False)
        if isinstance(event.generation_max_w, Known):
            device.generation_max_w = min(event.generation_max_w.value, device.device.rated_w)
        if isinstance(event.charge_max_w, Known):
            stated_w = device.device.rated_charge_w
            device.charge_max_w = min(event.charge_max_w.value, stated_w) if stated_w else event.charge_max_w.value
        resource = self.state.resources[device.device.resource]
        resource.ground = self._ground(resource.resource)
        self._decider.touch([resource.resource.name])
        if (device.reachable, device.generation_max_w, device.charge_max_w) == before:
            return
        yield self._tell(Topic.LINK, None, "C14", "up", (event.device,), (device.generation_max_w,), "")

    def _link_down(self, event: LinkDown) -> Iterator[Effect]:
        device = self.state.devices[event.device]
        was_reachable, device.reachable = device.reachable, False
        device.power = device.reactive = device.voltage = Unknown(event.why, self.state.now_ms)
        device.meter.read(device.power, self.state.now_ms)
        device.connected = None
        self.state.resources[device.device.resource].load.lose()
        self._decider.touch([device.device.resource])
        yield from self._reporting.contact(device, event.why, lost=True)
        if was_reachable:
            yield self._tell(Topic.LINK, None, "C14", "down", (event.device,), (), event.why)
        yield from self._adoption.verify(device)

    def _foreign_hand(self, event: ForeignHand) -> Iterator[Effect]:
        """Report that somebody skips this tier, and count the device as uncontrolled until it is quiet (A7)."""
        state, device = self.state, self.state.devices[event.device]
        known, device.contested_until_ms = device.contested_until_ms, state.now_ms + QUIET_MS
        state.remind(device.contested_until_ms, "contested", event.device)
        device.doubt()
        self._decider.touch([device.device.resource])
        if not known:
            yield self._tell(Topic.BYPASS, None, "A7", "contested", (event.device,), (), event.why)

    def _contest_due(self, name: str) -> Iterator[Effect]:
        device = self.state.devices.get(name)
        if device is None or not 0 < device.contested_until_ms <= self.state.now_ms:
            return
        device.contested_until_ms = 0
        self._decider.touch([device.device.resource])
        yield self._tell(Topic.BYPASS, None, "A7", "quiet again", (name,), (), f"for {QUIET_MS // 1000} s")

    def _observed(self, event: Observed) -> Iterator[Effect]:
        device = self.state.devices[event.device]
        device.power, device.reactive, device.voltage = event.power, event.reactive, event.voltage
        device.meter.read(event.power, self.state.now_ms)
        device.connected, device.stored = event.connected, event.stored
        yield from self._adoption.verify(device)

    def _meter_read(self, event: MeterRead) -> Iterator[Effect]:
        """Take what the meter at a connection point shows: limits there are closed over the load behind it."""
        resource = self.state.resources[event.resource]
        devices = [self.state.devices[name] for name in resource.resource.devices]
        if resource.load.read(event.power, [device.driven(self.state.now_ms) for device in devices], self.state.now_ms):
            self._decider.touch_due([event.resource])
        resource.connection = ConnectionReading(event.power, event.reactive, event.voltage)
        self.state.remind(self.state.now_ms + STALE_MS, "load", event.resource)
        yield from ()

    def _load_due(self, name: str) -> None:
        """Take a load as zero that nobody has read for long."""
        resource = self.state.resources.get(name)
        if resource is None or resource.load.read_ms + STALE_MS > self.state.now_ms:
            return
        resource.connection = None
        if resource.load.expire():
            self._decider.touch_due([name])

    def _delivered(self, event: Delivered) -> Iterator[Effect]:
        self.state.owed.pop(event.serial, None)
        yield from ()
