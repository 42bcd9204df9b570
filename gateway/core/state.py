"""What the machine remembers: plain slots, all of it values, so that a snapshot is a walk over it."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.core.aggregate import ConnectionReading
from gateway.core.alarms import Alarm, AlarmBook
from gateway.core.answers import Answer, Course
from gateway.core.arbitrate import Allotment, Ground, Ruling
from gateway.core.capacity import CommitmentBook, Reduction
from gateway.core.clearing import Award
from gateway.core.events import NOT_STORED, Withdrawal
from gateway.core.feeder import Certificate, Span, Wish
from gateway.core.functions import FLOORS, Function
from gateway.core.known import Reading, Unknown
from gateway.core.meter import Meter
from gateway.core.observe import Verdict
from gateway.core.offers import OfferBook
from gateway.core.orders import Default, Effect, Order, OrderKey
from gateway.core.parties import Colour, Direction
from gateway.core.plan import Command
from gateway.core.sharing import Policy
from gateway.core.siteload import Driven, SiteLoad
from gateway.core.timeline import FOR_EVER_MS, Interval
from gateway.core.topology import Device, Resource, Site

NEVER_READ = Unknown("not read yet", 0)


@dataclass(slots=True)
class Live:
    """An admitted order: what of it takes effect where, and how far it has come.

    `uniform` tells that it means the same at every resource, so that one settlement serves them all; `ended` counts
    the courses that have their terminal answer, `over_ms` is when the last of them had it. `shift_ms` is by how much
    it starts later than it drew at a resource, to follow the order before it.
    """

    order: Order
    group: str
    effects: dict[str, tuple[Effect, ...]]
    courses: dict[str, Course]
    uniform: bool
    interval: Interval
    cut_ms: int | None = None
    cut_how: Withdrawal | None = None
    spread_ms: int = 0
    ended: int = 0
    over_ms: int = FOR_EVER_MS
    shift_ms: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ResourceState:
    """A resource: the groups whose orders and defaults reach it, its ground, and the rulings in force.

    `places` are the points of the network that it lies under, `points` those of them and those groups in sum whose
    limit it shares, and `allotted` what it has of each. `silent_most_w` is its share of what the ratings allow when
    nobody speaks to any of them, `silent_draw_w` the same of what it draws (sizes). `load` is what is used behind the
    connection point, where that is metered, and `connection` what the meter there showed last.
    """

    resource: Resource
    groups: tuple[str, ...]
    ground: Ground
    revert_ms: int
    rulings: tuple[Ruling, ...] = ()
    upper_w: int = 0
    fallback_w: int = 0
    segment: str = ""
    places: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    silent_most_w: int | None = None
    silent_draw_w: int | None = None
    allotted: tuple[Allotment, ...] = ()
    feeder: str = ""
    load: SiteLoad = field(default_factory=SiteLoad)
    connection: ConnectionReading | None = None


@dataclass(frozen=True, slots=True)
class SegmentColour:
    """The colour that a segment was given last, by whom, and until when (ms)."""

    colour: Colour
    constrained: Direction | None
    until_ms: int
    issuer: str


class Load(NamedTuple):
    """What a resource is counted at (W): what it will take, and at worst takes until that is read back."""

    export_w: int
    worst_export_w: int
    import_w: int
    worst_import_w: int = 0


NO_LOAD = Load(0, 0, 0)


@dataclass(slots=True)
class PointState:
    """A point that several resources meet at: its ratings (W) and what is shared out among them (C12, E).

    `loads` is what each of them is counted at, `load` their sum; `totals` is what was last shared out of which orders
    and ratings, `shared_ms` when, and `unmet_w` what could not be. It is `summed`
    where an order is to be obeyed in sum.
    """

    resources: tuple[str, ...]
    policy: Policy
    export_limit_w: int | None = None
    import_limit_w: int | None = None
    loads: dict[str, Load] = field(default_factory=dict)
    load: Load = NO_LOAD
    totals: tuple[Allotment, ...] = ()
    shares: dict[str, tuple[Allotment, ...]] = field(default_factory=dict)
    shared_ms: int = 0
    due_ms: int = 0
    unmet_w: dict[tuple[OrderKey, Function], int] = field(default_factory=dict)
    summed: bool = False

    def like(self, other: "PointState") -> bool:
        """Tell whether another stands for the same resources under the same limits."""
        mine = (self.resources, self.policy, self.export_limit_w, self.import_limit_w, self.summed)
        return mine == (other.resources, other.policy, other.export_limit_w, other.import_limit_w, other.summed)


class Wanted(NamedTuple):
    """How far a set-point wants to take a resource, and what drives it: the smaller, the stronger."""

    span: Span
    driven: tuple[int, int]


@dataclass(slots=True)
class FeederState:
    """A feeder: what is wanted on it, what may stand there without asking, and what was certified last.

    `box` was certified, the spans of those that only stand (`under`) among it; `binding` is what trimmed it. `question`
    is the wish without an answer yet, `answered` the last one with one. The model is `silent` from a question without
    an answer until the next answer, and is not asked before `again_ms`.
    """

    resources: tuple[str, ...]
    deadline_ms: int
    wanted: dict[str, Wanted] = field(default_factory=dict)
    standing: dict[str, Span] = field(default_factory=dict)
    box: dict[str, Span] = field(default_factory=dict)
    under: dict[str, Span] = field(default_factory=dict)
    binding: str = ""
    question: Wish | None = None
    answered: Wish | None = None
    certificate: Certificate | None = None
    silent: bool = False
    again_ms: int = 0
    asked_count: int = 0


@dataclass(slots=True)
class DeviceState:
    """A device: what it was told, what it has confirmed, and what was read of it.

    `contested_until_ms` is until when a foreign hand keeps it uncontrolled in every plan (A7); `cannot` is which modes
    of the command that it adopted last it does not carry, and why, `mode_verdicts` what is measured of the others;
    `faults` is None while it has said nothing of any. `confirmed_draw_w` is the most that it was read back to be
    allowed to draw, `confirmed_draw_fallback_w` in silence.
    """

    device: Device
    generation_max_w: int
    charge_max_w: int
    reachable: bool = False
    command: Command | None = None
    serial: int = 0
    valid_until_ms: int = 0
    adopted: bool = False
    confirmed_w: int | None = None
    confirmed_fallback_w: int | None = None
    verify_at_ms: int | None = None
    verdict: Verdict | None = None
    power: Reading = NEVER_READ
    reactive: Reading = NEVER_READ
    voltage: Reading = NEVER_READ
    connected: bool | None = None
    stored: Reading = NOT_STORED
    contested_until_ms: int = 0
    cannot: tuple[tuple[Function, str], ...] = ()
    mode_verdicts: tuple[tuple[Function, Verdict], ...] = ()
    meter: Meter = field(default_factory=lambda: Meter(0))
    faults: tuple[Alarm, ...] | None = None
    confirmed_draw_w: int | None = None
    confirmed_draw_fallback_w: int | None = None

    def obeys(self) -> bool:
        """Tell whether the device can be told something and nobody else moves it."""
        return self.reachable and not self.contested_until_ms

    def reverts_to_w(self) -> int:
        """Give the reversion that the device was told last (W); nothing bounds it before its first command."""
        return self.device.rated_w if self.command is None else self.command.revert_limit_w

    def told_w(self) -> int:
        """Give the limit that the device was told last (W), or its rating."""
        return self.device.rated_w if self.command is None else self.command.limit_w

    def driven(self, now_ms: int) -> Driven:
        """Give what it was read to give, and what it was told that it may still be on its way to."""
        command = self.command
        if command is None:
            return Driven(self.power)
        if command.connected is False or command.energized is False:
            return Driven(self.power, 0, 0, 0)
        arrived = self.adopted and self.verify_at_ms is not None and self.verify_at_ms <= now_ms
        if command.target_w is not None:
            return Driven(self.power, None if arrived else command.target_w, command.limit_w, command.target_w)
        if arrived:
            return Driven(self.power, None, command.limit_w, command.floor_w)
        return Driven(self.power, command.limit_w, command.limit_w, command.floor_w, command.floor_w)

    def counted_w(self) -> int:
        """Give what the device must be counted at against a ceiling: its last word, or its rating (RULES E)."""
        if self.contested_until_ms:
            return self.device.rated_w
        held_w = self.device.rated_w if self.confirmed_w is None else self.confirmed_w
        if self.command is None or self.adopted:
            return held_w
        return max(held_w, self.command.limit_w)

    def counted_fallback_w(self) -> int:
        """Give what the device may at worst fall back to in silence (W): its last word, or its rating (C14)."""
        held_w = self.device.rated_w if self.confirmed_fallback_w is None else self.confirmed_fallback_w
        if self.command is None or self.adopted:
            return held_w
        return max(held_w, self.command.revert_limit_w)

    def carries_floor(self) -> bool:
        """Tell whether it can be told how much it may draw, as far as it has said."""
        return not any(function in FLOORS for function, _why in self.cannot)

    def told_draw_w(self) -> int:
        """Give the most that the device was told last to draw (W, a size), or its rating."""
        floor_w = None if self.command is None else self.command.floor_w
        return self.device.draws_w if floor_w is None else -floor_w

    def reverts_to_draw_w(self) -> int:
        """Give the most that the device was told last to draw in silence (W, a size), or its rating."""
        floor_w = None if self.command is None else self.command.revert_floor_w
        return self.device.draws_w if floor_w is None else -floor_w

    def counted_draw_w(self) -> int:
        """Give what the device must be counted at against a floor (W, a size): its last word, or its rating (E)."""
        if self.contested_until_ms:
            return self.device.draws_w
        held_w = self.device.draws_w if self.confirmed_draw_w is None else self.confirmed_draw_w
        return held_w if self.command is None or self.adopted else max(held_w, self.told_draw_w())

    def counted_draw_fallback_w(self) -> int:
        """Give what the device may at worst draw in silence (W, a size): its last word, or its rating (C14)."""
        held_w = self.device.draws_w if self.confirmed_draw_fallback_w is None else self.confirmed_draw_fallback_w
        return held_w if self.command is None or self.adopted else max(held_w, self.reverts_to_draw_w())

    def confirm(self) -> None:
        """Take it that the device holds what it was told, save a limit on what it draws that it cannot carry."""
        if self.command is None:
            return
        self.confirmed_w, self.confirmed_fallback_w = self.command.limit_w, self.command.revert_limit_w
        self.confirmed_draw_w = self.confirmed_draw_fallback_w = None
        if self.device.draws_w and self.carries_floor():
            self.confirmed_draw_w, self.confirmed_draw_fallback_w = self.told_draw_w(), self.reverts_to_draw_w()

    def doubt(self) -> None:
        """Take it that nothing of what the device holds is known any more."""
        self.adopted = False
        self.confirmed_w = self.confirmed_fallback_w = None
        self.confirmed_draw_w = self.confirmed_draw_fallback_w = None


@dataclass(slots=True)
class PartyState:
    """A party: its clock against ours, whether that was ever told, its other `clocks` by name, and its contact.

    `closed_ms` is when one of its clocks or a precedence moved last: what was over by then competes no more.
    """

    offset_ms: int = 0
    proven: bool = False
    lost: bool = False
    read_at_ms: int = 0
    window_ms: int = 0
    closed_ms: int = 0
    is_timed: bool = False
    clocks: dict[str, int] = field(default_factory=dict)

    def ahead_ms(self, clock: str) -> int:
        """Give how far (ms) one of its clocks is ahead of ours; one that is not known goes as its own."""
        return self.clocks.get(clock, self.offset_ms) if clock else self.offset_ms


@dataclass(slots=True)
class State:
    """The whole of it. `agenda` is a heap of (when, tie-break, what, key) that ticks are due at.

    `members` are the resources of each group, `former` those that left it while orders of it still run there;
    `assigned` names the party that last said what a group stands for; `answered` the newest version of an order that
    has had its last word though it is not held: it was refused while an older one stands, or is long over. `points`
    are the rated ones and every group that an order in sum reaches; `unvalidated` are the ones that changed (C19).
    `awards` is how the dispatches in force are shared out, `past_awards` what they were before and is not accounted
    yet; `outages` is what buyers were last told that a DER cannot keep (C8). `feeders` have a model that is asked.
    """

    site: Site
    now_ms: int = 0
    parties: dict[str, PartyState] = field(default_factory=dict)
    resources: dict[str, ResourceState] = field(default_factory=dict)
    devices: dict[str, DeviceState] = field(default_factory=dict)
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    former: dict[str, tuple[str, ...]] = field(default_factory=dict)
    assigned: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, dict[OrderKey, Default]] = field(default_factory=dict)
    lives: dict[OrderKey, Live] = field(default_factory=dict)
    book: dict[str, list[OrderKey]] = field(default_factory=dict)
    answered: dict[OrderKey, int] = field(default_factory=dict)
    owed: dict[int, Answer] = field(default_factory=dict)
    alarms: AlarmBook = field(default_factory=AlarmBook)
    points: dict[str, PointState] = field(default_factory=dict)
    colours: dict[str, SegmentColour] = field(default_factory=dict)
    commitments: CommitmentBook = field(default_factory=CommitmentBook)
    offers: OfferBook = field(default_factory=OfferBook)
    awards: dict[OrderKey, tuple[Award, ...]] = field(default_factory=dict)
    past_awards: list[Award] = field(default_factory=list)
    outages: dict[str, tuple[Reduction, ...]] = field(default_factory=dict)
    unvalidated: dict[str, str] = field(default_factory=dict)
    feeders: dict[str, FeederState] = field(default_factory=dict)
    renew_at_ms: int = 0
    metered_ms: int = 0
    agenda: list[tuple[int, int, str, str, str]] = field(default_factory=list)
    agenda_count: int = 0
    answer_serial: int = 0
    write_serial: int = 0

    def reached(self, group: str) -> tuple[str, ...]:
        """Give the resources that the orders and defaults of a group reach."""
        return (*self.members.get(group, ()), *self.former.get(group, ()))

    def rated_w(self, names: Iterable[str]) -> Iterator[int]:
        """Give the ratings (W) of the DER of these resources, one by one."""
        return (
            self.devices[device].device.rated_w for name in names for device in self.resources[name].resource.devices
        )

    def remind(self, at_ms: int, what: str, first: str = "", second: str = "") -> None:
        """Note that time alone changes something at `at_ms`."""
        if at_ms >= FOR_EVER_MS:
            return
        self.agenda_count += 1
        heapq.heappush(self.agenda, (at_ms, self.agenda_count, what, first, second))


def groups_by_resource(members: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Give the groups of each resource; resources in the same groups share one tuple."""
    found: dict[str, list[str]] = {}
    for group in sorted(members):
        for name in members[group]:
            found.setdefault(name, []).append(group)
    made = {name: tuple(groups) for name, groups in found.items()}
    alike: dict[tuple[str, ...], tuple[str, ...]] = {}
    return {name: alike.setdefault(groups, groups) for name, groups in made.items()}
