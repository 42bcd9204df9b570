"""Random orders, defaults and whole histories for the properties of the core, and how often each property is tried."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from core_world import (
    CORNER,
    DSO,
    FEED,
    MARKET,
    STREET,
    TSO,
    WINDOW_MS,
    Player,
    house,
    order,
    site,
    value_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.events import (
    Adopted,
    Assigned,
    Contact,
    DefaultHeard,
    Delivered,
    Event,
    LinkDown,
    LinkUp,
    NotAdopted,
    Observed,
    Offset,
    OrderHeard,
    OrderUnreadable,
    Started,
    Tick,
    Withdrawal,
    Withdrawn,
)
from gateway.core.functions import CEILINGS, FLOORS, MODES, SWITCHES, Function
from gateway.core.known import Known, Reading, Unknown
from gateway.core.orders import Default, Each, Effect, Order, Release, Reply, Total

NORMAL, LONG, SOAK = 300, 100, 5_000
LONG_DRAWS = {"history", "orders", "story"}
SOAKED = [pytest.mark.soak, pytest.mark.timeout(0)]
HORIZON_S = 40
DSO_FUNCTIONS = (*CEILINGS, *FLOORS, *SWITCHES, Function.ACTIVE_POWER, *MODES)
FUNCTIONS = {
    DSO: DSO_FUNCTIONS,
    TSO: (Function.ACTIVE_POWER, Function.FREQUENCY_WATT),
    MARKET: (Function.ACTIVE_POWER, Function.CONNECT, Function.REACTIVE_POWER),
}
LACKING = (Function.REACTIVE_POWER, Function.VOLT_WATT)


def explored(**drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Turn a check into a test over random values: some in every run, fewer of what is long, many under `soak`."""
    normal = LONG if LONG_DRAWS.intersection(drawn) else NORMAL

    def decorate(check: Callable[..., None]) -> Any:
        @pytest.mark.parametrize("examples", [normal, pytest.param(SOAK, marks=SOAKED)])
        def test(examples: int) -> None:
            tried = settings(
                max_examples=examples,
                deadline=None,
                print_blob=True,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            )
            tried(given(**drawn)(check))()

        test.__doc__ = check.__doc__
        return test

    return decorate


def values(function: Function) -> st.SearchStrategy[int]:
    """Values that meet, cross and change sides of zero often enough to matter."""
    if function in SWITCHES:
        return st.integers(0, 1)
    if function in CEILINGS:
        return st.sampled_from([-300, 0, 200, 900, 1_500, 2_500, 4_999, 9_500])
    if function in FLOORS:
        return st.sampled_from([-5_000, -900, -300, 0, 400])
    if function in MODES:
        return st.integers(0, 6)
    return st.sampled_from([-9_000, -700, 0, 100, 1_700, 6_000])


def effect_of(function: Function) -> st.SearchStrategy[Effect]:
    return values(function).map(lambda value: value_of(function, value))


@st.composite
def effects(draw: st.DrawFn, issuer: str, *, releases: bool = True) -> tuple[Effect, ...]:
    """One to three effects of different functions that the issuer may send."""
    functions = draw(st.lists(st.sampled_from(FUNCTIONS[issuer]), min_size=1, max_size=3, unique=True))
    made = []
    for function in functions:
        released = releases and issuer == DSO and draw(st.integers(0, 9)) == 0
        made.append(Release(function) if released else draw(effect_of(function)))
    return tuple(made)


@st.composite
def orders(draw: st.DrawFn, name: str, *, releases: bool = True, endless: bool = True) -> Order:
    """An order that its issuer is granted, starting within the horizon."""
    issuer = draw(st.sampled_from([DSO, DSO, DSO, TSO, MARKET]))
    start_s = draw(st.integers(1, HORIZON_S - 10))
    lasts_s = draw(st.none() | st.integers(1, HORIZON_S)) if endless else draw(st.integers(1, HORIZON_S))
    return order(
        name,
        draw(effects(issuer, releases=releases)),
        start_s,
        None if lasts_s is None else start_s + lasts_s,
        issuer=issuer,
        precedence=draw(st.integers(0, 2)),
        created_s=draw(st.integers(0, 2)),
        scope=Each(CORNER) if issuer == MARKET else Each(STREET),
    )


@st.composite
def order_sets(draw: st.DrawFn, *, most: int = 8, releases: bool = True, endless: bool = True) -> list[Order]:
    """Orders of different names."""
    names = [f"o{index}" for index in range(draw(st.integers(1, most)))]
    return [draw(orders(name, releases=releases, endless=endless)) for name in names]


@st.composite
def defaults(draw: st.DrawFn) -> Default:
    """A default of one of two programs of an issuer."""
    issuer = draw(st.sampled_from([DSO, DSO, TSO, MARKET]))
    said = draw(st.just(()) | effects(issuer, releases=False))
    return Default(issuer, draw(st.sampled_from(["p1", "p2"])), STREET, draw(st.integers(1, 2)), said)


class Wish(NamedTuple):
    """One step of a history as drawn: how many seconds later, what, and the choices in it."""

    later_s: int
    what: str
    picks: tuple[Any, ...] = ()


DEVICES = tuple(device.name for device in site().devices)
HOUSES = tuple(house(number) for number in (1, 2, 3))
NAMES = ("a", "b", "c", "d")
LATER = (0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 5, 5, 10, 30, 400, 1_900)


DEVICE = st.sampled_from(DEVICES)
ISSUER = st.sampled_from([DSO, DSO, TSO, MARKET])
NAME = st.sampled_from(NAMES)
GROUP = st.sampled_from([STREET, STREET, CORNER, FEED])
READING = st.none() | st.sampled_from([-4_000, 0, 150, 1_500, 4_400])
ORDERED = {
    who: st.tuples(
        st.just(who),
        NAME,
        st.integers(0, 2),
        GROUP,
        st.booleans(),
        effects(who),
        st.integers(-5, 20),
        st.none() | st.integers(1, 60),
        st.integers(0, 2),
        st.sampled_from([0, 0, 0, 4, -4]),
    )
    for who in (DSO, TSO, MARKET)
}
PICKS: dict[str, st.SearchStrategy[Any]] = {
    "order": ISSUER.flatmap(ORDERED.__getitem__),
    "withdraw": st.tuples(ISSUER, NAME, st.sampled_from(list(Withdrawal)), st.sampled_from([0, 0, 5_000])),
    "unreadable": st.tuples(ISSUER, NAME, GROUP),
    "default": st.tuples(defaults(), GROUP),
    "contact": st.tuples(ISSUER),
    "offset": st.tuples(ISSUER, st.integers(-15_000, 15_000)),
    "assign": st.tuples(st.sampled_from([FEED, FEED, CORNER]), st.lists(st.sampled_from(HOUSES), unique=True)),
    "up": st.tuples(DEVICE, READING, READING),
    "down": st.tuples(DEVICE),
    "adopt": st.tuples(DEVICE, st.sampled_from([0, 0, 0, 0, -1]), st.sets(st.sampled_from(LACKING), max_size=1)),
    "refuse": st.tuples(DEVICE, st.sampled_from([0, 0, 0, 0, -1])),
    "observe": st.tuples(DEVICE, READING),
    "deliver": st.tuples(st.integers(0, 3)),
    "tick": st.just(()),
    "restart": st.just(()),
}
OFTEN = ("order",) * 6 + ("adopt", "up") * 3 + ("withdraw", "default", "contact", "assign", "refuse", "down", "observe")
SELDOM = ("offset", "unreadable", "deliver", "tick", "restart")
STEPS = {what: st.builds(Wish, st.sampled_from(LATER), st.just(what), drawn) for what, drawn in PICKS.items()}


def steps(*but: str) -> st.SearchStrategy[Wish]:
    kinds = [what for what in OFTEN + SELDOM if what not in but]
    return st.sampled_from(kinds).flatmap(STEPS.__getitem__)


def histories(*but: str, most: int = 20) -> st.SearchStrategy[list[Wish]]:
    """Whole histories, without steps of the kinds named."""
    return st.lists(steps(*but), max_size=most)


def reading(value: int | None, now_ms: int) -> Reading:
    return Unknown("not said", now_ms) if value is None else Known(value, now_ms)


def event_of(wish: Wish, player: Player, now_s: int) -> Event:
    """Make the event that a drawn step means to this machine at this time."""
    state, now_ms = player.machine.state, now_s * 1000
    match wish.what, wish.picks:
        case "order", (who, name, version, group, whole, said, start_s, lasts_s, strength, randomize_s):
            return OrderHeard(
                order(
                    name,
                    said,
                    now_s + start_s,
                    None if lasts_s is None else now_s + start_s + lasts_s,
                    issuer=who,
                    precedence=strength,
                    created_s=now_s,
                    version=version,
                    scope=Total(group) if whole else Each(group),
                    randomize_s=randomize_s,
                )
            )
        case "withdraw", (who, name, how, spread_ms):
            return Withdrawn(who, name, how, spread_ms)
        case "unreadable", (who, name, group):
            return OrderUnreadable(who, name, group, "no start", Reply("/rsp", receipt=True, progress=True))
        case "default", (Default() as default, group):
            return DefaultHeard(Default(default.issuer, default.id, group, default.precedence, default.effects))
        case "contact", (who,):
            return Contact(who, WINDOW_MS)
        case "offset", (who, offset_ms):
            return Offset(who, offset_ms)
        case "assign", (group, names):
            return Assigned(DSO, group, tuple(names))
        case "up", (device, generation_w, charge_w):
            charge = None if charge_w is None else abs(charge_w)
            generation = None if generation_w is None else abs(generation_w)
            return LinkUp(device, reading(generation, now_ms), reading(charge, now_ms))
        case "down", (device,):
            return LinkDown(device, "silent")
        case "adopt", (device, age, lacking):
            cannot = tuple((function, "it has no model for it") for function in lacking)
            return Adopted(device, state.devices[device].serial + age, cannot)
        case "refuse", (device, age):
            return NotAdopted(device, state.devices[device].serial + age, "refused")
        case "observe", (device, power):
            return Observed(device, reading(power, now_ms), reading(None, now_ms), reading(None, now_ms), None)
        case "deliver", (place,):
            owed = list(state.owed)
            return Delivered(owed[place % len(owed)] if owed else 0)
        case "restart", ():
            return Started(site())
        case _:
            return Tick()


def play(history: list[Wish], player: Player | None = None) -> Player:
    """Play a history on a machine that has just been started, feeding each event where its time has come."""
    player = Player().start(reachable=False, in_contact=False) if player is None else player
    now_s = player.machine.state.now_ms // 1000
    for wish in history:
        now_s += wish.later_s
        player.feed(now_s, event_of(wish, player, now_s))
    return player


def run_out(player: Player) -> int:
    """End every order that never ends, let the rest end by itself, and give the second at which all are over."""
    now_s = player.machine.state.now_ms // 1000
    for key, live in list(player.machine.state.lives.items()):
        if live.order.end_ms is None:
            player.feed(now_s, Withdrawn(key.issuer, key.id, Withdrawal.CANCELLED, 0))
    until_s = now_s + 200
    while player.machine.next_change() < until_s * 1000:
        player.feed_ms(player.machine.next_change(), Tick())
    player.feed(until_s, Tick())
    return until_s
