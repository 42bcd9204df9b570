"""A small domain and a player: houses with one, two and three DER, and events fed to the machine at stated seconds."""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.core.answers import TERMINAL, Answer, Kind
from gateway.core.events import (
    Adopted,
    Contact,
    DefaultHeard,
    Effect,
    Event,
    LinkUp,
    OrderHeard,
    Owe,
    Started,
    Tell,
    Tick,
    Topic,
    Withdrawal,
    Withdrawn,
    Write,
)
from gateway.core.functions import CEILINGS, LIMITS, MODES, SWITCHES, Function
from gateway.core.known import Known
from gateway.core.machine import Machine
from gateway.core.modes import (
    Curve,
    CurveKind,
    CurvePoint,
    Displacement,
    Droop,
    FixedVar,
    Mode,
    PowerFactor,
    RideThrough,
    TargetVar,
    VarBase,
)
from gateway.core.orders import Ceiling, Connect, Default, Each, Energize, Floor, Order, Rank, Reply, Scope, Target
from gateway.core.orders import Effect as OrderEffect
from gateway.core.parties import Grant, Level, Party, Tier
from gateway.core.topology import Device, Group, Resource, Site
from gateway.core.units import Watts

DSO, TSO, MARKET = "dso", "tso", "market"
STREET, CORNER, FEED = "street", "corner", "feed"
RATED_W = 5_000
AGREED_W = 9_000
LAST_RESORT_W = 1_500
SETTLE_MS = 10_000
REVERT_MS = 20_000
WINDOW_MS = 300_000
ASKED = Reply("/rsp", receipt=True, progress=True)

PARTIES = (
    Party(DSO, Tier.DISTRIBUTION, limit_parent=True, rank=0),
    Party(TSO, Tier.BULK, limit_parent=False, rank=1),
    Party(MARKET, Tier.CUSTOMER, limit_parent=False, rank=2),
)
GRANTS = (
    Grant(DSO, "envelope", Level.CONNECTION, (*LIMITS, *SWITCHES), STREET),
    Grant(DSO, "voltage", Level.DSO_RELIABILITY, (Function.REACTIVE_POWER, Function.VOLT_WATT), STREET),
    Grant(DSO, "protection", Level.CONNECTION, (Function.RIDE_THROUGH, Function.FREQUENCY_WATT), STREET),
    Grant(DSO, "flexibility", Level.DSO_FLEXIBILITY, (Function.ACTIVE_POWER,), STREET),
    Grant(TSO, "reserve", Level.BULK_RELIABILITY, (Function.ACTIVE_POWER, Function.FREQUENCY_WATT), STREET),
    Grant(MARKET, "schedule", Level.MARKET, (Function.ACTIVE_POWER, Function.CONNECT, Function.REACTIVE_POWER), CORNER),
)


def house(number: int) -> str:
    """House 1 has one DER, house 2 two, house 3 three."""
    return f"house-{number}"


def site(houses: Iterable[int] = (1, 2, 3), grants: tuple[Grant, ...] = GRANTS) -> Site:
    numbers = tuple(houses)
    devices = tuple(
        Device(f"roof-{number}{place}", house(number), RATED_W - 500 * place, SETTLE_MS, REVERT_MS)
        for number in numbers
        for place in range(number)
    )
    resources = tuple(
        Resource(
            house(number),
            tuple(device.name for device in devices if device.resource == house(number)),
            AGREED_W,
            LAST_RESORT_W,
        )
        for number in numbers
    )
    names = tuple(resource.name for resource in resources)
    groups = (Group(STREET, names), Group(CORNER, names[:2]))
    return Site("test", PARTIES, grants, groups, resources, devices)


def order(
    name: str,
    effects: OrderEffect | tuple[OrderEffect, ...],
    start_s: int,
    end_s: int | None,
    *,
    issuer: str = DSO,
    precedence: int = 1,
    created_s: int = 0,
    version: int = 0,
    scope: Scope | None = None,
    randomize_s: int = 0,
    uncarried: tuple[str, ...] = (),
) -> Order:
    return Order(
        issuer,
        name,
        version,
        Each(STREET) if scope is None else scope,
        effects if isinstance(effects, tuple) else (effects,),
        start_s * 1000,
        None if end_s is None else end_s * 1000,
        Rank(precedence, created_s * 1000),
        0,
        draw=7,
        randomize_start_ms=randomize_s * 1000,
        reply=ASKED,
        uncarried=uncarried,
    )


def export(w: int) -> Ceiling:
    return Ceiling(Function.EXPORT_LIMIT, Watts(w))


def target(w: int) -> Target:
    return Target(Watts(w))


def curve(kind: CurveKind, *ys: int) -> Curve:
    """Make a curve with these y, x one percent apart from 90 % on."""
    return Curve(kind, tuple(CurvePoint(9_000 + 100 * place, y) for place, y in enumerate(ys)))


def mode_of(function: Function, number: int) -> Mode:
    """Make one of the modes of a function, numbered so that equal numbers are equal modes."""
    size = abs(number) % 9_973
    if function is Function.REACTIVE_POWER:
        kinds: tuple[Mode, ...] = (
            TargetVar(size),
            FixedVar(VarBase.MAX_VAR, size),
            PowerFactor(Displacement(size, absorbs=True), None),
            curve(CurveKind.VOLT_VAR, size, 0, -size),
            curve(CurveKind.WATT_VAR, 0, -size),
            curve(CurveKind.WATT_PF, 10_000, -size),
        )
        return kinds[size % len(kinds)]
    if function is Function.VOLT_WATT:
        return curve(CurveKind.VOLT_WATT, 10_000, size)
    if function is Function.RIDE_THROUGH:
        kind = (CurveKind.LV_MUST_TRIP, CurveKind.HF_MAY_TRIP)[size % 2]
        return RideThrough((curve(kind, size, size),))
    return Droop(36, 36, 1 + size, 50) if size % 2 else curve(CurveKind.FREQ_WATT, 10_000, size)


def value_of(function: Function, value: int) -> OrderEffect:
    """Make the effect that says this of a function: W, 0 and 1 for a switch, the number of a mode."""
    if function is Function.CONNECT:
        return Connect(bool(value))
    if function is Function.ENERGIZE:
        return Energize(bool(value))
    if function is Function.ACTIVE_POWER:
        return Target(Watts(value))
    if function in MODES:
        return mode_of(function, value)
    return Ceiling(function, Watts(value)) if function in CEILINGS else Floor(function, Watts(value))


class Step(NamedTuple):
    """What was fed, when (ms), and what came of it."""

    now_ms: int
    event: Event
    effects: list[Effect]


class Player:
    """Feeds a machine and keeps what it said."""

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = Machine() if machine is None else machine
        self.steps: list[Step] = []

    def feed(self, now_s: int, event: Event) -> list[Effect]:
        return self.feed_ms(now_s * 1000, event)

    def feed_ms(self, now_ms: int, event: Event) -> list[Effect]:
        effects = list(self.machine.handle(event, now_ms))
        self.steps.append(Step(now_ms, event, effects))
        return effects

    def start(self, where: Site | None = None, *, in_contact: bool = True, reachable: bool = True) -> "Player":
        """Start at second 0, with every DER reachable, everything adopted and every party in contact."""
        where = site() if where is None else where
        self.feed(0, Started(where))
        if reachable:
            for device in where.devices:
                self.feed(0, LinkUp(device.name, Known(device.rated_w, 0), Known(device.rated_w, 0)))
        if in_contact:
            for party in where.parties:
                self.feed(0, Contact(party.name, WINDOW_MS))
        return self

    def hear(self, now_s: int, heard: Order) -> list[Effect]:
        return self.feed(now_s, OrderHeard(heard))

    def default(self, now_s: int, name: str, *effects: OrderEffect, precedence: int = 1, issuer: str = DSO) -> None:
        self.feed(now_s, DefaultHeard(Default(issuer, name, STREET, precedence, effects)))

    def cancel(self, now_s: int, name: str, issuer: str = DSO, how: Withdrawal = Withdrawal.CANCELLED) -> list[Effect]:
        return self.feed(now_s, Withdrawn(issuer, name, how, 0))

    def tick(self, now_s: int) -> list[Effect]:
        return self.feed(now_s, Tick())

    def ruled(self, function: Function = Function.EXPORT_LIMIT, at: str = "house-1") -> int | None:
        return next((one.value for one in self.machine.state.resources[at].rulings if one.function is function), None)

    def over(self, *seconds: int, function: Function = Function.EXPORT_LIMIT, at: str = "house-1") -> list[int | None]:
        """Tick at each of these seconds and give what was ruled there."""
        values = []
        for now_s in seconds:
            self.tick(now_s)
            values.append(self.ruled(function, at))
        return values

    @property
    def effects(self) -> list[Effect]:
        return [effect for step in self.steps for effect in step.effects]

    def answers(self, name: str | None = None, at: str | None = None) -> list[Answer]:
        return [
            answer
            for answer in answers_of(self.effects)
            if name in (None, answer.order.id) and at in (None, answer.resource)
        ]

    def kinds(self, name: str, at: str = "house-1") -> list[tuple[int, Kind]]:
        """Give what an order was answered at a resource, and at which second."""
        return [(answer.at_ms // 1000, answer.kind) for answer in self.answers(name, at)]

    def terminal(self, name: str, at: str = "house-1") -> list[tuple[int, Kind]]:
        return [(at_s, kind) for at_s, kind in self.kinds(name, at) if kind in TERMINAL]


def writes(effects: Iterable[Effect]) -> list[Write]:
    return [effect for effect in effects if isinstance(effect, Write)]


def told(effects: Iterable[Effect], topic: Topic) -> list[Tell]:
    return [effect for effect in effects if isinstance(effect, Tell) and effect.topic is topic]


def answers_of(effects: Iterable[Effect]) -> list[Answer]:
    return [effect.answer for effect in effects if isinstance(effect, Owe)]


def plain(effects: Iterable[Effect]) -> list[object]:
    """Give effects as values that compare by what they say."""
    return [
        (effect.cleared.command, effect.cleared.serial, effect.cleared.valid_until_ms)
        if isinstance(effect, Write)
        else effect
        for effect in effects
    ]


def limits(effects: Iterable[Effect], device: str) -> list[int]:
    return [write.cleared.command.limit_w for write in writes(effects) if write.cleared.command.device == device]


def adopt_all(player: Player, now_s: int) -> None:
    """Read back what every DER was told, until nothing is left to be read back."""
    for _ in range(6):
        for device in player.machine.state.devices.values():
            if not device.adopted:
                player.feed(now_s, Adopted(device.device.name, device.serial))


def adopt(player: Player, now_s: int, device: str) -> None:
    player.feed(now_s, Adopted(device, player.machine.state.devices[device].serial))


def told_w(player: Player, number: int) -> list[int]:
    names = player.machine.state.resources[house(number)].resource.devices
    commands = [player.machine.state.devices[name].command for name in names]
    return [0 if command is None else command.limit_w for command in commands]
