"""Whole histories of a small domain out of a few bytes: short to draw, cheap to shrink, and everything can happen."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from core_world import ASKED, value_of

from gateway.core import events
from gateway.core.capacity import Commitment, Domain, Slice, Terms
from gateway.core.events import Event
from gateway.core.functions import CEILINGS, FLOORS, LIMITS, SWITCHES, Function
from gateway.core.known import Known, Reading, Unknown
from gateway.core.orders import Ceiling, Default, Each, Effect, Floor, Order, Price, Rank, Release, Target, Total
from gateway.core.parties import Colour, Direction, Grant, Level, Party, Tier
from gateway.core.sharing import Policy
from gateway.core.state import State
from gateway.core.topology import Device, Group, Point, PointKind, PriceStep, Resource, Site
from gateway.core.units import Share

Choice = TypeVar("Choice")

DSO, TSO, MARKET, EMS, LOCK = "dso", "tso", "market", "ems", "lock"
STREET, CORNER, FEED = "street", "corner", "feed"
ONE, TWO, STORE = "one", "two", "store"
LANE, END = "lane", "end"
TRANSFORMER, STATION = "transformer", "station"
F = Function

SITE = Site(
    "a lane and its end",
    (
        Party(DSO, Tier.DISTRIBUTION, limit_parent=True, rank=0),
        Party(TSO, Tier.BULK, limit_parent=False, rank=1),
        Party(MARKET, Tier.CUSTOMER, limit_parent=False, rank=2),
        Party(EMS, Tier.CUSTOMER, limit_parent=False, rank=3),
        Party(LOCK, Tier.DISTRIBUTION, limit_parent=False, rank=4),
    ),
    (
        Grant(DSO, "emergency", Level.EMERGENCY, (F.EXPORT_LIMIT, *SWITCHES), STREET),
        Grant(DSO, "envelope", Level.CONNECTION, (*LIMITS, *SWITCHES), STREET),
        Grant(DSO, "flexibility", Level.DSO_FLEXIBILITY, (F.ACTIVE_POWER, F.PRICE, F.REACTIVE_POWER), STREET),
        Grant(DSO, "protection", Level.CONNECTION, (F.RIDE_THROUGH, F.VOLT_WATT, F.FREQUENCY_WATT), STREET),
        Grant(TSO, "reserve", Level.BULK_RELIABILITY, (F.ACTIVE_POWER,), STREET),
        Grant(MARKET, "schedule", Level.MARKET, (F.ACTIVE_POWER, F.CONNECT, F.REACTIVE_POWER), CORNER),
        Grant(EMS, "own-use", Level.CUSTOMER, (F.ACTIVE_POWER, F.GENERATION_LIMIT, F.IMPORT_LIMIT), FEED),
        Grant(LOCK, "lock-out", Level.LOCAL_SAFETY, (*SWITCHES, F.GENERATION_LIMIT), CORNER),
    ),
    (
        Group(STREET, (ONE, TWO, STORE)),
        Group(CORNER, (ONE, TWO), Policy.EQUAL),
        Group(FEED, (STORE,), Policy.MERIT_ORDER),
    ),
    (
        Resource(ONE, ("one-a",), 5_000, 1_500, (PriceStep(0, -1_000), PriceStep(90, 3_000)), cost=2),
        Resource(TWO, ("two-a", "two-b"), 6_000, 1_500, cost=1),
        Resource(STORE, ("store-a",), 4_000, 0),
    ),
    (
        Device("one-a", ONE, 5_000, 10_000, 20_000, TRANSFORMER, LANE),
        Device("two-a", TWO, 4_500, 10_000, 20_000, TRANSFORMER, LANE, rated_charge_w=2_000),
        Device("two-b", TWO, 3_000, 10_000, 5_000, TRANSFORMER, LANE, rated_charge_w=3_500),
        Device("store-a", STORE, 4_000, 5_000, 60_000, "", END, energy_wh=8_000),
    ),
    points=(
        Point(TRANSFORMER, PointKind.SERVICE_TRANSFORMER, (ONE, TWO), 6_500, 4_000),
        Point(STATION, PointKind.INTERFACE, (ONE, TWO, STORE), 9_000, None, Policy.EQUAL),
    ),
)
DEVICES = tuple(device.name for device in SITE.devices)
FUNCTIONS = {
    DSO: (F.EXPORT_LIMIT, F.EXPORT_LIMIT, F.ACTIVE_POWER, *F),
    TSO: (F.ACTIVE_POWER,),
    MARKET: (F.ACTIVE_POWER, F.ACTIVE_POWER, F.CONNECT, F.REACTIVE_POWER),
    EMS: (F.ACTIVE_POWER, F.GENERATION_LIMIT, F.IMPORT_LIMIT),
    LOCK: (F.CONNECT, F.ENERGIZE, F.GENERATION_LIMIT),
}
SERVICES = {DSO: ("", "", "emergency", "flexibility"), TSO: ("",), MARKET: ("",), EMS: ("",), LOCK: ("",)}
ISSUERS = (DSO, DSO, DSO, MARKET, TSO, EMS, LOCK)
NAMES = ("a", "b", "c", "d")
CEILING_W = (0, 900, 2_500, 4_200, 7_000, 12_000, -300)
FLOOR_W = (0, -900, -2_500, -6_000, 300)
TARGET_W = (0, 1_700, 4_000, -1_500, -6_000, 9_000)
LATER_MS = (0, 1_000, 0, 2_000, 0, 5_000, 1_000, 10_000, 500, 30_000, 61_000, 400_000, 1_900_000)
LASTS_MS = (10_000, 5_000, 30_000, None, 60_000, 1_000, 600_000)
STARTS_MS = (0, 5_000, -2_000, 20_000, 0, 1_000)
WINDOWS_MS = (60_000, 5_000, 600_000)


class Draw:
    """Choices out of bytes, one a byte; what is not there is the first."""

    def __init__(self, drawn: bytes) -> None:
        self._drawn, self._at = drawn, 0

    def more(self) -> bool:
        return self._at < len(self._drawn)

    def one(self, choices: Sequence[Choice]) -> Choice:
        if not self.more():
            return choices[0]
        self._at += 1
        return choices[self._drawn[self._at - 1] % len(choices)]


Maker = Callable[[Draw, State, int], Event]


def _effect(draw: Draw, issuer: str) -> Effect:
    function = draw.one(FUNCTIONS[issuer])
    size = draw.one(range(64))
    if function is F.PRICE:
        return Price((-50, 0, 89, 90)[size % 4])
    if size % 16 == 15 and issuer in (DSO, EMS):
        return Release(function)
    table: tuple[int, ...] = (0, 1)
    if function not in SWITCHES:
        table = CEILING_W if function in CEILINGS else FLOOR_W if function in FLOORS else TARGET_W
    effect = value_of(function, table[size % len(table)])
    if size >= 60 and isinstance(effect, Ceiling | Floor | Target):
        kind = type(effect)
        return kind(power=Share(3_333 if kind is Ceiling else -3_333), function=function)
    return effect


def _effects(draw: Draw, issuer: str) -> tuple[Effect, ...]:
    made = {effect.function: effect for effect in (_effect(draw, issuer) for _ in range(draw.one((1, 1, 2, 3))))}
    return tuple(made.values())


def _order(draw: Draw, _state: State, now_ms: int) -> Event:
    issuer = draw.one(ISSUERS)
    name, version = draw.one(NAMES), draw.one((0, 0, 0, 1, 2))
    effects = _effects(draw, issuer)
    group = draw.one(
        {MARKET: (CORNER, STREET), EMS: (FEED, STREET), LOCK: (CORNER,)}.get(issuer, (STREET, CORNER, FEED))
    )
    start_ms, lasts_ms = now_ms + draw.one(STARTS_MS), draw.one(LASTS_MS)
    shape = draw.one(range(24))
    return events.OrderHeard(
        Order(
            issuer,
            name,
            version,
            Total(group) if shape % 3 == 2 else Each(group),
            effects,
            start_ms,
            None if lasts_ms is None else start_ms + lasts_ms,
            Rank(shape % 2, now_ms if shape < 20 else now_ms + 10 * shape * 60_000),
            now_ms,
            draw=shape,
            randomize_start_ms=(0, 0, 0, 4_000)[shape % 4] if shape > 15 else 0,
            reply=ASKED,
            service=draw.one(SERVICES[issuer]),
        )
    )


def _default(draw: Draw, _state: State, _now_ms: int) -> Event:
    issuer = draw.one((DSO, DSO, MARKET, TSO))
    effects = _effects(draw, issuer)
    return events.DefaultHeard(
        Default(issuer, draw.one(("p", "q")), draw.one((STREET, CORNER)), draw.one((1, 2)), effects)
    )


def _reading(value: int | None, now_ms: int) -> Reading:
    return Unknown("not said", now_ms) if value is None else Known(value, now_ms)


def _observed(draw: Draw, _state: State, now_ms: int) -> Event:
    device, power = draw.one(DEVICES), _reading(draw.one((1_500, None, 0, -4_000, 4_400)), now_ms)
    unknown, stored = Unknown("not said", now_ms), _reading(draw.one((4_000, None, 0, 8_000)), now_ms)
    return events.Observed(device, power, unknown, unknown, None, stored)


def _up(draw: Draw, _state: State, now_ms: int) -> Event:
    device = draw.one(DEVICES)
    generation = _reading(draw.one((5_000, 5_000, None, 1_500, 0)), now_ms)
    return events.LinkUp(device, generation, _reading(draw.one((4_000, None, 900)), now_ms))


def _adopted(draw: Draw, state: State, _now_ms: int) -> Event:
    device = draw.one(DEVICES)
    lacking = draw.one(((), (), ((F.REACTIVE_POWER, "it has no model for it"),)))
    return events.Adopted(device, state.devices[device].serial + draw.one((0, 0, 0, -1)), lacking)


def _not_adopted(draw: Draw, state: State, _now_ms: int) -> Event:
    device = draw.one(DEVICES)
    return events.NotAdopted(device, state.devices[device].serial + draw.one((0, 0, 0, -1)), "refused")


def _coloured(draw: Draw, _state: State, now_ms: int) -> Event:
    colour, constrained = draw.one((Colour.RED, Colour.AMBER, Colour.GREEN)), draw.one((*Direction, None))
    return events.Coloured(
        draw.one((DSO, DSO, TSO)), draw.one((LANE, END)), colour, constrained, now_ms + draw.one((10_000, 60_000))
    )


def _network(draw: Draw, _state: State, _now_ms: int) -> Event:
    points = draw.one(((LANE,), (TRANSFORMER,), (STATION, END)))
    return events.NetworkChanged(draw.one((DSO, DSO, TSO)), points, draw.one((False, True)), "a switch")


def _commitment(draw: Draw, _state: State, now_ms: int) -> Event:
    level = draw.one((Level.DSO_FLEXIBILITY, Level.DSO_RELIABILITY))
    start_ms = now_ms + draw.one((0, 5_000))
    return events.CommitmentHeard(
        Commitment(
            MARKET,
            draw.one(NAMES),
            draw.one((DSO, TSO)),
            "sold",
            level,
            level is Level.DSO_RELIABILITY,
            (Slice(draw.one(DEVICES[:3]), draw.one((1_000, 2_500))),),
            Direction.EXPORT,
            start_ms,
            start_ms + draw.one((30_000, 5_000)),
            Domain.DISTRIBUTION,
            Terms(950, 300),
            now_ms,
        )
    )


MAKERS: dict[str, Maker] = {
    "order": _order,
    "withdraw": lambda draw, _state, _now_ms: events.Withdrawn(
        draw.one(ISSUERS), draw.one(NAMES), draw.one(tuple(events.Withdrawal)), draw.one((0, 0, 0, 5_000))
    ),
    "unreadable": lambda draw, _state, _now_ms: events.OrderUnreadable(
        draw.one(ISSUERS), draw.one(NAMES), draw.one((STREET, CORNER)), "no start", ASKED
    ),
    "default": _default,
    "contact": lambda draw, _state, _now_ms: events.Contact(draw.one(ISSUERS), draw.one(WINDOWS_MS)),
    "offset": lambda draw, _state, _now_ms: events.Offset(draw.one(ISSUERS), draw.one((3_000, -3_000, 0))),
    "assign": lambda draw, _state, _now_ms: events.Assigned(
        DSO, draw.one((FEED, FEED, CORNER)), draw.one(((ONE, STORE), (), (TWO,), (ONE, TWO, STORE)))
    ),
    "coloured": _coloured,
    "network": _network,
    "commitment": _commitment,
    "uncommitted": lambda draw, _state, _now_ms: events.CommitmentEnded(MARKET, draw.one(NAMES)),
    "up": _up,
    "down": lambda draw, _state, _now_ms: events.LinkDown(draw.one(DEVICES), "silent"),
    "adopted": _adopted,
    "not adopted": _not_adopted,
    "foreign": lambda draw, _state, _now_ms: events.ForeignHand(draw.one(DEVICES), "a vendor's cloud"),
    "observed": _observed,
    "delivered": lambda draw, state, _now_ms: events.Delivered(draw.one([*state.owed, 0])),
    "tick": lambda _draw, _state, _now_ms: events.Tick(),
    "restart": lambda _draw, _state, _now_ms: events.Started(SITE),
}
KINDS = (
    "tick",
    *("order",) * 9,
    *("adopted",) * 3,
    *("up", "withdraw", "default", "contact", "coloured") * 2,
    *(kind for kind in MAKERS if kind not in ("order", "adopted", "tick")),
)


def dawn(ready: bool, take: Callable[[int, Event], object], state: Callable[[], State]) -> None:
    """Start at second 0: nothing reachable, or all of it, in contact, and every command read back."""
    take(0, events.Started(SITE))
    if not ready:
        return
    for device in SITE.devices:
        take(0, events.LinkUp(device.name, Known(device.rated_w, 0), Known(device.rated_w, 0)))
    for party in SITE.parties:
        take(0, events.Contact(party.name, WINDOWS_MS[2]))
    for name in DEVICES * 2:
        take(2_000, events.Adopted(name, state().devices[name].serial))
