"""A small site, and histories of it: what happens to a machine, as Hypothesis draws it."""

from collections.abc import Iterable, Sequence
from typing import cast

from hypothesis import strategies as st

from gateway.core.events import (
    Adopted,
    Assigned,
    Contact,
    DefaultHeard,
    Delivered,
    Effect,
    Event,
    LinkDown,
    LinkUp,
    NotAdopted,
    Observed,
    Offset,
    OrderHeard,
    OrderUnreadable,
    Owe,
    Started,
    Tell,
    Tick,
    Withdrawal,
    Withdrawn,
    Write,
)
from gateway.core.functions import Function
from gateway.core.known import Known, Unknown
from gateway.core.machine import Machine
from gateway.core.orders import (
    Ceiling,
    Connect,
    Default,
    Each,
    Energize,
    Floor,
    Order,
    Rank,
    Release,
    Reply,
    Target,
    Total,
)
from gateway.core.parties import Grant, Level, Party, Tier
from gateway.core.topology import Device, Group, Resource, Site
from gateway.core.units import Share, Watts
from gateway.store import Decided, Entry

T0_MS = 1_790_000_000_000
FUNCTIONS = (
    Function.EXPORT_LIMIT,
    Function.IMPORT_LIMIT,
    Function.GENERATION_LIMIT,
    Function.ACTIVE_POWER,
    Function.CONNECT,
    Function.ENERGIZE,
)
DEVICES = ("roof", "deck", "barn", "wall", "shed")
RESOURCES = {"house": ("roof",), "cabin": ("deck",), "farm": ("barn", "wall"), "mill": ("shed",)}
SITE = Site(
    "lane",
    (Party("dso", Tier.DISTRIBUTION, True, 0), Party("agg", Tier.CUSTOMER, False, 1)),
    (
        Grant("dso", "envelope", Level.CONNECTION, FUNCTIONS, "all"),
        Grant("agg", "market", Level.MARKET, (Function.ACTIVE_POWER, Function.CONNECT), "farms"),
    ),
    (Group("all", tuple(RESOURCES)), Group("farms", ("farm", "mill"))),
    tuple(Resource(name, devices, 10_000, 1_500) for name, devices in RESOURCES.items()),
    tuple(
        Device(device, resource, 5_000, 2_000, 60_000) for resource, devices in RESOURCES.items() for device in devices
    ),
)


def start(count: int = 1) -> list[Event]:
    """Give the events of a site coming up `count` times."""
    up = [LinkUp(name, Known(5_000, T0_MS), Known(5_000, T0_MS)) for name in DEVICES]
    return [Started(SITE), Contact("dso", 300_000), Contact("agg", 300_000), *up] * count


def limit(number: int, limit_w: int, start_ms: int = T0_MS, minutes: int = 30) -> OrderHeard:
    """Give an export limit for everybody, with answers asked for."""
    return OrderHeard(
        Order(
            "dso",
            f"event-{number}",
            0,
            Each("all"),
            (Ceiling(Function.EXPORT_LIMIT, Watts(limit_w)),),
            start_ms,
            start_ms + minutes * 60_000,
            Rank(1, start_ms),
            start_ms,
            reply=Reply("/rsps/1", receipt=True, progress=True),
        )
    )


def handled(machine: Machine, event: Event, now_ms: int) -> Entry:
    """Handle an event and give the journal's entry of it."""
    effects = machine.handle(event, now_ms)
    return Entry(now_ms, event, tuple(effect for effect in effects if isinstance(effect, Tell)))


def history(machine: Machine, events: Iterable[Event], step_ms: int = 1_000) -> list[Entry]:
    """Handle events one step apart, after where the machine is."""
    at_ms = max(T0_MS, machine.state.now_ms)
    return [handled(machine, event, at_ms + step_ms * place) for place, event in enumerate(events)]


def plain(effects: Iterable[Effect]) -> list[object]:
    """Give effects as values that can be compared."""
    return [
        (effect.cleared.command, effect.cleared.serial, effect.cleared.valid_until_ms)
        if isinstance(effect, Write)
        else effect
        for effect in effects
        if isinstance(effect, Write | Owe | Tell)
    ]


def _powers() -> st.SearchStrategy[Watts | Share]:
    return st.one_of(
        st.integers(-12_000, 12_000).map(Watts),
        st.sampled_from([-10_000, 0, 5_000, 10_000]).map(Share),
    )


def _effects() -> st.SearchStrategy[object]:
    return st.one_of(
        st.builds(Ceiling, st.sampled_from([Function.EXPORT_LIMIT, Function.GENERATION_LIMIT]), _powers()),
        st.builds(Floor, st.just(Function.IMPORT_LIMIT), _powers()),
        st.builds(Target, _powers()),
        st.builds(Connect, st.booleans()),
        st.builds(Energize, st.booleans()),
        st.builds(Release, st.just(Function.EXPORT_LIMIT)),
    )


@st.composite
def _orders(draw: st.DrawFn) -> Event:
    start_ms = T0_MS + draw(st.integers(-100_000, 200_000))
    group = draw(st.sampled_from(["all", "farms", "own"]))
    return OrderHeard(
        Order(
            draw(st.sampled_from(["dso", "agg"])),
            draw(st.sampled_from(["a", "b", "c", "d"])),
            draw(st.integers(0, 2)),
            Each(group) if draw(st.booleans()) else Total(group),
            tuple(draw(st.lists(_effects(), max_size=2))),  # type: ignore[arg-type]  # a strategy of a union is one of objects
            start_ms,
            draw(st.sampled_from([None, start_ms + 40_000, start_ms + 400_000])),
            Rank(draw(st.integers(0, 2)), start_ms),
            T0_MS,
            draw(st.integers(0, (1 << 64) - 1)),
            draw(st.sampled_from([0, 0, 30_000])),
            draw(st.sampled_from([0, 0, -30_000])),
            reply=draw(st.sampled_from([Reply(), Reply("/r", True, True)])),
            uncarried=draw(st.sampled_from([(), ("volt-var",)])),
        )
    )


def _readings() -> st.SearchStrategy[Known | Unknown]:
    return st.one_of(st.builds(Known, st.integers(-6_000, 6_000), st.just(T0_MS)), st.just(Unknown("no reply", T0_MS)))


def events() -> st.SearchStrategy[Event]:
    """Draw anything that can happen after the start."""
    device, serial = st.sampled_from(DEVICES), st.integers(1, 30)
    issuer, key = st.sampled_from(["dso", "agg"]), st.sampled_from(["a", "b", "c", "d"])
    defaults = st.builds(
        Default,
        st.just("dso"),
        st.sampled_from(["x", "y"]),
        st.just("all"),
        st.integers(0, 2),
        st.builds(lambda power: (Ceiling(Function.EXPORT_LIMIT, power),), _powers()),
    )
    return st.one_of(
        _orders(),
        _orders(),
        st.builds(Adopted, device, serial),
        st.builds(NotAdopted, device, serial, st.just("reads back 0")),
        st.builds(Observed, device, _readings(), _readings(), _readings(), st.sampled_from([True, False, None])),
        st.builds(LinkUp, device, *[st.sampled_from([Known(4_000, T0_MS), Known(5_000, T0_MS), Unknown("no", 0)])] * 2),
        st.builds(LinkDown, device, st.just("no reply")),
        st.builds(DefaultHeard, defaults),
        st.builds(Withdrawn, issuer, key, st.sampled_from(Withdrawal), st.sampled_from([0, 20_000])),
        st.builds(OrderUnreadable, issuer, key, st.just("all"), st.just("no mRID"), st.just(Reply())),
        st.builds(Assigned, issuer, st.just("own"), st.sampled_from([("mill",), ("house", "farm"), ()])),
        st.builds(Contact, issuer, st.just(60_000)),
        st.builds(Offset, issuer, st.integers(-5_000, 5_000)),
        st.builds(Delivered, st.integers(1, 40)),
        st.just(Tick()),
    )


def decided(entries: Sequence[Entry]) -> list[Decided]:
    """Give entries as what a recovery hands on: each with all that was decided on it."""
    return [Decided(*cast("tuple[int, Event, tuple[Tell, ...]]", entry)) for entry in entries]
