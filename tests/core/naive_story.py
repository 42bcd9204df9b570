"""Stories of one house: everything that its parties, its network and its buyers can say, told to machine and naive."""

from dataclasses import replace
from typing import NamedTuple

from core_world import ASKED, Player, told, value_of
from hypothesis import strategies as st
from naive_rules import Naive
from naive_words import LOWER_OF_POINT, UPPER_OF_POINT, WORDS, Coloured, Contract, Heard, Program, Right, Rules

from gateway.core import events
from gateway.core.answers import Kind
from gateway.core.arbitrate import Status
from gateway.core.capacity import Commitment, Domain, Slice, Terms
from gateway.core.events import Topic
from gateway.core.functions import CEILINGS, FLOORS, LIMITS, MODES, SWITCHES, Function
from gateway.core.known import Known
from gateway.core.orders import Ceiling, Default, Each, Effect, Floor, Order, Price, Rank, Release, Target, Tie
from gateway.core.parties import Colour, Direction, Grant, Level, Party, Precedence, Preference, Tier
from gateway.core.topology import Device, Group, PriceStep, Resource, Site
from gateway.core.units import Share

HORIZON_S = 40
HOUSE, ROOF, HOME, LANE = "house", "roof", "home", "lane"
DSO, TSO, MARKET, EMS, LOCK, ABROAD = "dso", "tso", "market", "ems", "lock", "abroad"
RATED_W, AGREED_W, LAST_RESORT_W = 5_001, 4_700, 1_500
F = Function

GRANTS = tuple(
    Grant(party, service, level, functions, HOME)
    for party, service, level, functions in (
        (DSO, "emergency", Level.EMERGENCY, (F.EXPORT_LIMIT, F.GENERATION_LIMIT)),
        (DSO, "envelope", Level.CONNECTION, (*LIMITS, *SWITCHES)),
        (DSO, "protection", Level.CONNECTION, (F.RIDE_THROUGH,)),
        (DSO, "reliability", Level.DSO_RELIABILITY, (F.ACTIVE_POWER, F.LOAD_LIMIT, F.REACTIVE_POWER, F.VOLT_WATT)),
        (DSO, "flexibility", Level.DSO_FLEXIBILITY, (F.ACTIVE_POWER, F.PRICE, F.REACTIVE_POWER)),
        (TSO, "reserve", Level.BULK_RELIABILITY, (F.ACTIVE_POWER, F.EXPORT_LIMIT, F.FREQUENCY_WATT)),
        (MARKET, "schedule", Level.MARKET, (F.ACTIVE_POWER, F.CONNECT, F.PRICE, F.REACTIVE_POWER)),
        (
            EMS,
            "own-use",
            Level.CUSTOMER,
            (F.ACTIVE_POWER, F.CONNECT, F.GENERATION_LIMIT, F.IMPORT_LIMIT, F.REACTIVE_POWER, F.VOLT_WATT),
        ),
        (LOCK, "lock-out", Level.LOCAL_SAFETY, (*SWITCHES, F.GENERATION_LIMIT)),
    )
)
PARTIES = (
    Party(DSO, Tier.DISTRIBUTION, limit_parent=True, rank=0),
    Party(TSO, Tier.BULK, limit_parent=False, rank=1),
    Party(MARKET, Tier.CUSTOMER, limit_parent=False, rank=2),
    Party(EMS, Tier.CUSTOMER, limit_parent=False, rank=3),
    Party(LOCK, Tier.DISTRIBUTION, limit_parent=False, rank=4),
    Party(ABROAD, Tier.BULK, limit_parent=False, rank=5),
)
WHO = (DSO, DSO, DSO, DSO, TSO, MARKET, MARKET, EMS, EMS, LOCK, ABROAD)
SERVICES = {name: sorted({grant.service for grant in GRANTS if grant.party == name}) for name in (*WHO,)}
GRANTED = {
    name: sorted({function for grant in GRANTS if grant.party == name for function in grant.functions}) for name in WHO
}
PRICE_STEPS = (PriceStep(-50_000, -2_000), PriceStep(60_000, 0), PriceStep(90_000, 3_000))
PRICES = (-80_000, -50_000, 20_000, 60_000, 89_999, 90_000)
PRECEDENCES = (
    Precedence(),
    Precedence(green=(4, 5, 6, 7), amber=(7, 5, 6, 4), red=(4, 4, 4, 4)),
    Precedence(preferences=(Preference("schedule", "flexibility", "export", "amber"),)),
    Precedence(preferences=(Preference("flexibility", "reserve"),)),
)
PROMISES = {"flexibility": (False, 1_500, Level.DSO_FLEXIBILITY), "deferral": (True, 2_000, Level.DSO_RELIABILITY)}


class Colours(NamedTuple):
    """The DSO colours the lane."""

    colour: Colour
    constrained: Direction | None
    lasts_s: int


class Promise(NamedTuple):
    """The aggregator promises capacity of the roof."""

    service: str
    later_s: int
    lasts_s: int


class Read(NamedTuple):
    """A complete read of a party's orders succeeded."""

    issuer: str
    window_s: int


class Network(NamedTuple):
    """The network of the lane changed, or was validated again."""

    validated: bool


class Cancel(NamedTuple):
    """The issuer ends its order of this place in the story."""

    place: int


class Again(NamedTuple):
    """The issuer gives its order of this place in the story a newer version."""

    place: int
    order: Order


class Restart(NamedTuple):
    """The process starts again."""


What = Order | Default | Colours | Promise | Read | Network | Cancel | Again | Restart


class Said(NamedTuple):
    """One thing that happens, at its own second."""

    second: int
    what: What


def site(precedence: Precedence = PRECEDENCES[0], standing: int = 0) -> Site:
    """One house with one DER; the market's standing may put it behind the others."""
    parties = tuple(replace(party, standing=standing) if party.name == MARKET else party for party in PARTIES)
    return Site(
        "one house",
        parties,
        GRANTS,
        (Group(HOME, (HOUSE,)),),
        (Resource(HOUSE, (ROOF,), AGREED_W, LAST_RESORT_W, price_response=PRICE_STEPS),),
        (Device(ROOF, HOUSE, RATED_W, 10_000, 3_000, segment=LANE, rated_charge_w=RATED_W),),
        precedence=precedence,
    )


# -- what can be said


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


@st.composite
def effects(draw: st.DrawFn, issuer: str, *, releases: bool = True, shares: bool = True) -> tuple[Effect, ...]:
    """One to three effects of different functions, mostly of those that the issuer is granted."""
    wide = draw(st.integers(0, 5)) == 0 or not GRANTED[issuer]
    functions = draw(
        st.lists(st.sampled_from(list(F) if wide else GRANTED[issuer]), min_size=1, max_size=3, unique=True)
    )
    made: list[Effect] = []
    for function in functions:
        if releases and draw(st.integers(0, 9)) == 0:
            made.append(Release(function))
        elif function is F.PRICE:
            made.append(Price(draw(st.sampled_from(PRICES))))
        else:
            made.append(_shared(value_of(function, draw(values(function))), shares and draw(st.integers(0, 7)) == 0))
    return tuple(made)


def _shared(effect: Effect, share: bool) -> Effect:
    """Say the same number in hundredths of a percent."""
    if share and isinstance(effect, Ceiling | Floor | Target):
        return replace(effect, power=Share(effect.power.w if not isinstance(effect.power, Share) else 0))
    return effect


@st.composite
def orders(draw: st.DrawFn, name: str, issuer: str, version: int = 0) -> Order:
    """An order, granted or not, that starts within the horizon."""
    start_s, lasts_s = draw(st.integers(1, HORIZON_S - 10)), draw(st.none() | st.integers(1, HORIZON_S))
    services = ["", "", *SERVICES[issuer], "unheard-of"]
    tie = Tie.TIGHTER_LIMIT if issuer in (EMS, LOCK) else Tie.LATER_CREATION
    return Order(
        issuer,
        name,
        version,
        Each(HOME),
        draw(effects(issuer, shares=tie is Tie.LATER_CREATION)),
        start_s * 1000,
        None if lasts_s is None else (start_s + lasts_s) * 1000,
        Rank(draw(st.integers(0, 2)), draw(st.integers(0, 2)) * 1000, tie),
        0,
        reply=ASKED,
        service=draw(st.sampled_from(services)),
    )


@st.composite
def defaults(draw: st.DrawFn) -> Default:
    """A default of one of two programs of an issuer."""
    issuer = draw(st.sampled_from([DSO, DSO, TSO, MARKET, EMS]))
    said = draw(st.just(()) | effects(issuer))
    service = draw(st.sampled_from(["", "", *SERVICES[issuer]]))
    return Default(issuer, draw(st.sampled_from(["p1", "p2"])), HOME, draw(st.integers(1, 2)), said, service=service)


OTHERS: dict[str, st.SearchStrategy[What]] = {
    "default": defaults(),
    "read": st.builds(Read, st.sampled_from([DSO, DSO, TSO, MARKET, EMS]), st.integers(2, 30)),
    "colour": st.builds(
        Colours,
        st.sampled_from(Colour),
        st.none() | st.sampled_from(Direction),
        st.integers(1, 30),
    ),
    "promise": st.builds(Promise, st.sampled_from(sorted(PROMISES)), st.integers(0, 5), st.integers(1, 20)),
    "network": st.builds(Network, st.booleans()),
    "restart": st.just(Restart()),
}
KINDS = ("order",) * 6 + ("cancel", "again", "default", "read", "colour", "colour", "promise", "network", "restart")


@st.composite
def stories(draw: st.DrawFn) -> list[Said]:
    """What happens, one thing in a second."""
    seconds = sorted(draw(st.lists(st.integers(1, HORIZON_S - 1), min_size=1, max_size=12, unique=True)))
    story: list[Said] = []
    issuers: list[str] = []
    for second in seconds:
        kind = draw(st.sampled_from(KINDS))
        if kind in OTHERS:
            story.append(Said(second, draw(OTHERS[kind])))
        elif kind == "order" or not issuers:
            issuers.append(draw(st.sampled_from(WHO)))
            story.append(Said(second, draw(orders(f"o{len(issuers) - 1}", issuers[-1]))))
        else:
            place = draw(st.integers(0, len(issuers) - 1))
            again = kind == "again"
            made = draw(orders(f"o{place}", issuers[place], version=second)) if again else None
            story.append(Said(second, Cancel(place) if made is None else Again(place, made)))
    return story


# -- both told the same


class Both:
    """The machine and the naive reading, told the same."""

    def __init__(self, where: Site) -> None:
        self.site, self.player = where, Player()
        self._start(0)
        ranked = sorted(where.parties, key=lambda party: (party.standing, party.rank))
        table = where.precedence
        self.naive = Naive(
            Rules(
                [Right(one.party, one.service, each.value, int(one.level)) for one in GRANTS for each in one.functions],
                [party.name for party in ranked],
                DSO,
                (MARKET, EMS),
                AGREED_W,
                LAST_RESORT_W,
                RATED_W,
                tuple(PRICE_STEPS),
                {"green": table.green, "amber": table.amber, "red": table.red},
                tuple(table.preferences),
            )
        )
        self.late: list[str] = []
        self.curtailed: dict[str, int] = {}

    def _start(self, second: int) -> None:
        self.player.feed(second, events.Started(self.site))
        self.player.feed(second, events.LinkUp(ROOF, Known(RATED_W, 0), Known(RATED_W, 0)))

    def say(self, second: int, what: What) -> None:
        naive, player = self.naive, self.player
        match what:
            case Order():
                self._order(second, what)
            case Again(place, order):
                self._again(second, place, order)
            case Cancel(place):
                self._cancel(second, f"o{place}")
            case Default():
                player.feed(second, events.DefaultHeard(what))
                if naive.rules.grants_default(what):
                    naive.programs.append(Program(what, second))
            case Read(issuer, window_s):
                player.feed(second, events.Contact(issuer, window_s * 1000))
                naive.contacts.append((issuer, second, window_s))
            case Colours(colour, constrained, lasts_s):
                until_s = second + lasts_s
                player.feed(second, events.Coloured(DSO, LANE, colour, constrained, until_s * 1000))
                naive.colours.append(Coloured(second, colour, constrained, until_s, DSO))
            case Network(validated):
                player.feed(second, events.NetworkChanged(DSO, (LANE,), validated, "a switch"))
                naive.unvalidated.append((second, not validated))
            case Promise():
                self._promise(second, what)
            case Restart():
                self._start(second)
                naive.restarts.append(second)
        naive.played.clear()
        naive.shown.clear()

    def _order(self, second: int, order: Order) -> Heard | None:
        granted = self.naive.grants(order, second - 1)
        self.player.feed(second, events.OrderHeard(order))
        if not granted:
            self.naive.refused.append(order)
        elif order.end_ms is not None and order.end_ms <= second * 1000:
            self.late.append(order.id)
        else:
            self.naive.orders.append(Heard(order, granted, second))
            return self.naive.orders[-1]
        return None

    def _held(self, name: str) -> Heard | None:
        held = [one for one in self.naive.orders if one.order.id == name]
        return held[-1] if held else None

    def _again(self, second: int, place: int, order: Order) -> None:
        """A newer version takes the place of the one held, unless it is refused."""
        name = f"o{place}"
        if self._held(name) is None or name in self.late:
            return
        before, refused = self._held(name), len(self.naive.refused)
        self._order(second, order)
        if before is not None and len(self.naive.refused) == refused:
            before.replaced_s = second

    def _cancel(self, second: int, name: str) -> None:
        one = self._held(name)
        if one is not None and one.cancelled_s is None and one.replaced_s > second and name not in self.late:
            self.player.feed(second, events.Withdrawn(one.order.issuer, name, events.Withdrawal.CANCELLED, 0))
            one.cancelled_s = second

    def _promise(self, second: int, what: Promise) -> None:
        """Promise a service once; two of them fit beside each other."""
        reliability, w, level = PROMISES[what.service]
        if any(one.reliability is reliability for one in self.naive.contracts):
            return
        start_s = second + what.later_s
        commitment = Commitment(
            MARKET,
            what.service,
            DSO,
            what.service,
            level,
            reliability,
            (Slice(ROOF, w),),
            Direction.EXPORT,
            start_s * 1000,
            (start_s + what.lasts_s) * 1000,
            Domain.DISTRIBUTION,
            Terms(950, 300),
            second * 1000,
        )
        self.player.feed(second, events.CommitmentHeard(commitment))
        self.naive.contracts.append(Contract(reliability, w, start_s, start_s + what.lasts_s))

    # -- and held against each other

    def agree(self, second: int) -> None:
        """Compare everything that holds at a second."""
        state, naive = self.player.machine.state, self.naive
        ruled = {ruling.function.value: ruling for ruling in state.resources[HOUSE].rulings}
        for point, uppers in UPPER_OF_POINT.items():
            low, high = naive.bounds(point, second)
            assert min((ruled[name].value for name in uppers if name in ruled), default=None) == high
            assert max((ruled[name].value for name in LOWER_OF_POINT[point] if name in ruled), default=None) == low
            for name in (*uppers, *LOWER_OF_POINT[point]):
                assert (ruled[name].value if name in ruled else None) == naive.limit(name, second), name
        aim, waits = naive.set_point(second)
        assert (ruled["active-power"].value if "active-power" in ruled else None) == aim
        for name in ("connect", "energize"):
            on, _against = naive.switch(name, second)
            assert (bool(ruled[name].value) if name in ruled else None) == on
        price = naive.price(second)
        assert (ruled["price"].value if "price" in ruled else None) == (None if price is None else price.value)
        modes = {name: naive.mode(name, second)[0] for name in (each.value for each in MODES)}
        assert {name: ruled[name].mode for name in modes if name in ruled} == {
            name: mode for name, mode in modes.items() if mode is not None
        }
        command = state.devices[ROOF].command
        assert command is not None
        assert command.modes == tuple(mode for mode in modes.values() if mode is not None)
        limit_w = min(RATED_W, naive.generates_at_most_w(second))
        runs_at_w = naive.runs_at_w(second)
        assert command.limit_w == limit_w
        assert command.target_w == (None if runs_at_w is None else max(-RATED_W, min(runs_at_w, limit_w)))
        self._agree_on_who_binds(second, set(waits))

    def _agree_on_who_binds(self, second: int, waits: set[Heard]) -> None:
        """Nobody who speaks is left out, and who has to wait is told apart from who holds."""
        rulings = self.player.machine.state.resources[HOUSE].rulings
        for function in F:
            rows = self.naive.says_now(function.value, second)
            speaking = {one.order.order.id for one in rows if one.order is not None}
            ruling = next((one for one in rulings if one.function is function), None)
            if ruling is None:
                assert not speaking or function is F.ACTIVE_POWER
                continue
            assert speaking <= {key.id for key in (ruling.binding, *ruling.slack, *ruling.suspended)}
            if function is F.ACTIVE_POWER:
                price = self.naive.price(second)
                moved = {price.name[1]} if price is not None else set()
                suspended = {key.id for key in ruling.suspended}
                assert suspended - moved == {one.order.id for one in waits} - moved

    def agree_on_standing(self, second: int) -> None:
        live = self.player.machine.state.lives
        for one in self.naive.orders:
            if one.replaced_s <= second:
                continue
            course = live[one.order.key].courses[HOUSE]
            stands = self.naive.standing(one, second)
            if course.ended:
                assert stands in ("over", "superseded")
            else:
                assert course.status.value.replace("-", " ") == stands
                assert course.status in (Status.PENDING, Status.IN_FORCE, Status.SUSPENDED)

    def agree_on_answers(self, second: int) -> None:
        """Compare what every version was answered, and what was refused."""
        for one in self.naive.orders:
            answers = [each for each in self.player.answers(one.order.id) if each.version == one.order.version]
            said = [(each.at_ms // 1000, WORDS.get(each.kind, each.kind.value)) for each in answers]
            assert said == self.naive.answers(one, second), one.order.id
        for order in self.naive.refused:
            answers = [each for each in self.player.answers(order.id) if each.version == order.version]
            assert [each.kind for each in answers] == [Kind.REFUSED], order.id
        for name in self.late:
            assert self.player.answers(name)[-1].kind is Kind.EXPIRED

    def agree_on_shortfalls(self, second: int) -> None:
        """Compare by how much every order was served below its schedule, and that it is told once it is over."""
        lives = self.player.machine.state.lives
        for one in self.naive.orders:
            live = lives[one.order.key]
            stands = self.naive.standing(one, second)
            if live.order.version != one.order.version:
                continue
            course, short_w_s = live.courses[HOUSE], self.naive.short_w_s(one, second)
            short_w_ms = course.short_w_ms
            if not course.ended:
                short_w_ms += course.short_w * (second * 1000 - course.short_since_ms)
            assert short_w_ms == 1000 * short_w_s, one.order.id
            reports = [
                each.values
                for each in told(self.player.effects, Topic.CURTAILED)
                if each.order == label(one) and each.at_ms > 1000 * one.heard_s
            ]
            assert reports == ([(-(-short_w_s // 3600),)] if stands in ("over", "superseded") and short_w_s else []), (
                one.order.id
            )


def label(one: Heard) -> str:
    return f"{one.order.issuer}/{one.order.id}"
