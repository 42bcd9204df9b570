"""The machine against the naive reading of the rules, at every second and between, over random sets of orders."""

from typing import NamedTuple

from core_world import (
    AGREED_W,
    DSO,
    GRANTS,
    LAST_RESORT_W,
    PARTIES,
    RATED_W,
    WINDOW_MS,
    Player,
    house,
    site,
)
from hypothesis import strategies as st
from naive_rules import LOWER_OF_POINT, UPPER_OF_POINT, WORDS, Heard, Naive, Slice
from strategies import HORIZON_S, defaults, explored, orders

from gateway.core.arbitrate import Status
from gateway.core.events import Contact, DefaultHeard, LinkUp, OrderHeard, Started, Tick, Withdrawal, Withdrawn
from gateway.core.known import Known
from gateway.core.orders import LIMITS, Default, Function, Order
from gateway.core.topology import Site

HOUSE = house(1)


class Said(NamedTuple):
    """One thing that happens, at its own second."""

    second: int
    what: Order | Default | str


@st.composite
def stories(draw: st.DrawFn) -> list[Said]:
    """Orders, cancellations, defaults and first contacts, one in a second."""
    seconds = sorted(draw(st.lists(st.integers(1, HORIZON_S - 1), min_size=1, max_size=12, unique=True)))
    story = []
    names: list[str] = []
    for second in seconds:
        kind = draw(st.sampled_from(["order"] * 5 + ["cancel", "cancel", "default", "contact"]))
        if kind == "order" or (kind == "cancel" and not names):
            names.append(f"o{len(names)}")
            story.append(Said(second, draw(orders(names[-1]))))
        elif kind == "cancel":
            story.append(Said(second, "cancel " + draw(st.sampled_from(names))))
        elif kind == "default":
            story.append(Said(second, draw(defaults())))
        else:
            story.append(Said(second, "contact " + draw(st.sampled_from([party.name for party in PARTIES]))))
    return story


class Both:
    """The machine and the naive reading, told the same."""

    def __init__(self, where: Site) -> None:
        self.player = Player()
        self.player.feed(0, Started(where))
        self.player.feed(0, LinkUp("roof-10", Known(RATED_W, 0), Known(RATED_W, 0)))
        levels = {(grant.party, function.value): int(grant.level) for grant in GRANTS for function in grant.functions}
        self.naive = Naive(levels, [party.name for party in PARTIES], DSO, AGREED_W, LAST_RESORT_W)
        self.late: list[str] = []

    def say(self, second: int, what: Order | Default | str) -> None:
        if isinstance(what, Default):
            self.player.feed(second, DefaultHeard(what))
            self.naive.defaults.append(Slice(what.issuer, what.id, what.precedence, what.effects, second))
        elif isinstance(what, Order):
            self.player.feed(second, OrderHeard(what))
            if what.end_ms is not None and what.end_ms <= second * 1000:
                self.late.append(what.id)
            else:
                self.naive.orders.append(Heard(what, second))
        elif what.startswith("contact "):
            issuer = what.removeprefix("contact ")
            self.player.feed(second, Contact(issuer, WINDOW_MS))
            self.naive.proven_s.setdefault(issuer, second)
        else:
            self.cancel(second, what.removeprefix("cancel "))

    def cancel(self, second: int, name: str) -> None:
        for one in self.naive.orders:
            if one.order.id == name and one.cancelled_s is None:
                self.player.feed(second, Withdrawn(one.order.issuer, name, Withdrawal.CANCELLED, 0))
                one.cancelled_s = second

    def agree(self, second: int) -> None:
        """Compare everything that holds at a second."""
        state, naive = self.player.machine.state, self.naive
        ruled = {ruling.function.value: ruling for ruling in state.resources[HOUSE].rulings}
        for point, uppers in UPPER_OF_POINT.items():
            low, high = naive.bounds(point, second)
            assert min((ruled[name].value for name in uppers if name in ruled), default=None) == high
            assert max((ruled[name].value for name in LOWER_OF_POINT[point] if name in ruled), default=None) == low
        aim, suspended = naive.set_point(second)
        assert (ruled["active-power"].value if "active-power" in ruled else None) == aim
        if aim is not None:
            assert [key.id for key in ruled["active-power"].suspended] != [] or suspended == []
            assert {key.id for key in ruled["active-power"].suspended} == {one.order.id for one in suspended}
        for name in ("connect", "energize"):
            on, _against = naive.switch(name, second)
            assert (bool(ruled[name].value) if name in ruled else None) == on
        command = state.devices["roof-10"].command
        assert command is not None
        assert command.limit_w == min(RATED_W, naive.generates_at_most_w(second))
        self._agree_on_who_binds(second)

    def _agree_on_who_binds(self, second: int) -> None:
        rulings = self.player.machine.state.resources[HOUSE].rulings
        for ruling in rulings:
            named = [key.id for key in (ruling.binding, *ruling.slack, *ruling.suspended)]
            rows = self.naive.says_now(ruling.function.value, second)
            speaking = {one.order.id for _level, _place, _value, one in rows if one is not None}
            assert speaking <= set(named)
            if ruling.function in LIMITS and not ruling.clipped and ruling.function is not Function.EXPORT_LIMIT:
                tightest = {value for _level, _place, value, _one in rows}
                assert ruling.value in tightest

    def agree_on_answers(self, second: int) -> None:
        for one in self.naive.orders:
            said = [(at_s, WORDS.get(kind, kind.value)) for at_s, kind in self.player.kinds(one.order.id, HOUSE)]
            assert said == self.naive.answers(one, second), one.order.id
        for name in self.late:
            ((_at, kind),) = self.player.kinds(name, HOUSE)
            assert kind == "expired"

    def agree_on_standing(self, second: int) -> None:
        live = self.player.machine.state.lives
        for one in self.naive.orders:
            course = live[one.order.key].courses[HOUSE]
            stands = self.naive.standing(one, second)
            if course.ended:
                assert stands in ("over", "superseded")
            else:
                assert course.status.value.replace("-", " ") == stands
                assert course.status in (Status.PENDING, Status.IN_FORCE, Status.SUSPENDED)


ONE_HOUSE = site((1,))


@explored(story=stories())
def test_every_second_is_ruled_and_answered_as_the_rules_read(story: list[Said]) -> None:
    both = Both(ONE_HOUSE)
    waiting = list(story)
    for second in range(HORIZON_S + 2):
        while waiting and waiting[0].second == second:
            both.say(second, waiting.pop(0).what)
        both.player.feed(second, Tick())
        if second % 3 == 0 or any(said.second == second for said in story):
            both.agree(second)
            both.agree_on_standing(second)
        held = both.player.machine.state.resources[HOUSE].rulings
        both.player.feed_ms(second * 1000 + 500, Tick())
        assert both.player.machine.state.resources[HOUSE].rulings == held
    both.agree_on_answers(HORIZON_S + 1)
