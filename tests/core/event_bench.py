"""One story told to the machine and to the second-by-second reading, and the two held against each other.

The machine is given time only when it asks for it (`next_change`) and when something happens, as the daemon does it.
"""

from collections import Counter
from dataclasses import replace
from functools import cache

from core_world import ASKED, answers_of, value_of, writes
from event_words import (
    Cancel,
    Clock,
    Contact,
    Defaults,
    Draws,
    Event,
    Happening,
    Hear,
    Primacy,
    Restart,
    Story,
    Supersede,
)
from second_by_second import Oracle

from gateway.core import events
from gateway.core.answers import Answer, Kind
from gateway.core.events import Withdrawal
from gateway.core.functions import LIMITS, MODES, SWITCHES, Function
from gateway.core.known import Known
from gateway.core.machine import Machine
from gateway.core.orders import Default, Each, Effect, Order
from gateway.core.parties import Grant, Level, Party, Tier
from gateway.core.state import State
from gateway.core.timeline import offset_ms
from gateway.core.topology import Device, Group, Resource, Site
from gateway.ports.ranks import sep2_rank
from gateway.store.codec import Unpacker, pack_shared

DSO, STREET = "dso", "street"
RATED_W, AGREED_W, LAST_RESORT_W = 5_001, 9_000, 1_500
HORIZON_S = 90
FUNCTIONS = (*LIMITS, *SWITCHES, Function.ACTIVE_POWER, *MODES)
MODE_NAMES = frozenset(function.value for function in MODES)
HOUSES = ("house-1", "house-2")


class DisagreementError(AssertionError):
    """The machine and the reading disagree."""


def site(houses: tuple[str, ...], programs: tuple[str, ...]) -> Site:
    """Each house with one DER; every program reaches every house."""
    return Site(
        "events",
        (Party(DSO, Tier.DISTRIBUTION, limit_parent=True, rank=0),),
        (Grant(DSO, "envelope", Level.CONNECTION, FUNCTIONS, STREET),),
        tuple(Group(name, houses) for name in (STREET, *programs)),
        tuple(Resource(house, (f"roof-{house}",), AGREED_W, LAST_RESORT_W) for house in houses),
        tuple(Device(f"roof-{house}", house, RATED_W, 600_000, 2_000, rated_charge_w=RATED_W) for house in houses),
    )


@cache
def effect_of(name: str, value: int) -> Effect:
    """Say in the core's words what one function is to be."""
    return value_of(Function(name), value)


def order_of(event: Event, primacy: int, draw: int, *, joins: bool) -> Order:
    """Say in the core's words what an event says."""
    start_ms = event.start_s * 1000
    return Order(
        DSO,
        event.mrid,
        0,
        Each(event.program),
        tuple(effect_of(name, value) for name, value in event.says.items()),
        start_ms,
        None if event.duration_s is None else start_ms + event.duration_s * 1000,
        sep2_rank(primacy, event.created_s * 1000),
        0,
        draw=draw,
        randomize_start_ms=event.random_start_s * 1000,
        randomize_duration_ms=event.random_duration_s * 1000,
        reply=ASKED,
        uncarried=("opModWattPF",) if event.uncarried else (),
        joins=joins,
    )


class Bench:
    """Plays one story."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.houses = HOUSES[: story.houses]
        self.site = site(self.houses, tuple(story.primacies))
        self.machine = Machine()
        self.oracle = Oracle(self.houses, joins=story.joins)
        self.primacies = dict(story.primacies)
        self.defaults: dict[str, tuple[tuple[str, int], ...]] = {}
        self.first: dict[str, Order] = {}
        self.answers: list[Answer] = []
        self.reads = 0
        self.counted = (0, 0)
        self.moved = self.disordered = False
        said = {name for event in story.events.values() for name in event.says}
        said.update(
            name for one in story.happenings if isinstance(one.what, Defaults) for name, _value in one.what.says
        )
        self.functions = sorted(said | {"export-limit"})

    @property
    def seen(self) -> Counter[str]:
        return self.oracle.seen

    def play(self) -> None:
        """Play it to the end; raises DisagreementError at the first difference."""
        self._start(0)
        self._look(0)
        waiting = list(self.story.happenings)
        while (second := self._next_s(waiting)) <= HORIZON_S:
            self._pass_time(second * 1000 - 1)
            while waiting and waiting[0].at_s == second:
                one = waiting.pop(0)
                if one.late:
                    self._pass_time(second * 1000)
                self._happen(one, second * 1000)
            self._pass_time(second * 1000)
            if self.moved:
                self._agree(second * 1000)

    def _next_s(self, waiting: list[Happening]) -> int:
        """Give the first second by which either has something to do; until then neither has anything new to say."""
        due_ms = min(self.machine.next_change(), self.oracle.next_ms())
        return min([-(-due_ms // 1000), *(one.at_s for one in waiting[:1])])

    # -- both are told

    def _pass_time(self, until_ms: int) -> None:
        """Let time alone have its turns; the reading has its own idea of when."""
        while (at_ms := min(self.machine.next_change(), self.oracle.next_ms())) <= until_ms:
            if self.machine.next_change() <= at_ms:
                self._feed(at_ms, events.Tick())
            self._look(at_ms)

    def _look(self, now_ms: int) -> None:
        self.moved = True
        placed = self.seen["placed anew"]
        self.oracle.look(now_ms)
        disordered, self.disordered = self.disordered, False
        if disordered and placed == self.seen["placed anew"]:
            raise DisagreementError("the beaten are answered after what beats them has started")

    def _feed(self, now_ms: int, *told: events.Event) -> None:
        """Feed one after the other, and read back at once whatever is written."""
        for event in told:
            effects = list(self.machine.handle(event, now_ms))
            self.answers += self._in_order(effects)
            for write in writes(effects):
                command = write.cleared.command
                effects = list(self.machine.handle(events.Adopted(command.device, write.cleared.serial), now_ms))
                self.answers += answers_of(effects)
                assert not writes(effects)

    def _in_order(self, effects: list[events.Effect]) -> list[Answer]:
        """Give the answers of one pass; the beaten are answered before what beats them starts (C6)."""
        answers = answers_of(effects)
        kinds = [answer.kind for answer in answers if answer.rule != "C13"]
        if Kind.STARTED in kinds and Kind.SUPERSEDED in kinds[kinds.index(Kind.STARTED) :]:
            self.disordered = True
        return answers

    def _start(self, now_ms: int) -> None:
        known = (Known(RATED_W, now_ms), Known(RATED_W, now_ms))
        links = [events.LinkUp(f"roof-{house}", *known) for house in self.houses]
        self._feed(now_ms, events.Started(self.site), *links)

    def _happen(self, happening: Happening, now_ms: int) -> None:
        oracle, what = self.oracle, happening.what
        oracle.now_ms = now_ms
        match what:
            case Hear(mrid):
                self._hear(mrid, now_ms)
            case Cancel(mrid, winds_down):
                bound_s = self._spread_s(mrid) if winds_down else 0
                oracle.cancel(mrid, winds_down=winds_down)
                self._feed(now_ms, events.Withdrawn(DSO, mrid, Withdrawal.CANCELLED, bound_s * 1000))
            case Supersede(mrid):
                oracle.supersede(mrid)
                self._feed(now_ms, events.Withdrawn(DSO, mrid, Withdrawal.SUPERSEDED, 0))
            case Primacy(program, primacy):
                self._rank(program, primacy, now_ms)
            case Defaults(program, says):
                self.defaults[program] = says
                self._default(program, now_ms)
            case Contact(window_s):
                oracle.contact()
                oracle.seen["contact lost"] += any(party.lost for party in self.machine.state.parties.values())
                self._feed(now_ms, events.Contact(DSO, window_s * 1000))
            case Restart():
                oracle.restart()
                self.machine = Machine(Unpacker().unpack_shared(pack_shared(self.machine.state), State))
                self._start(now_ms)
            case Clock(ahead_s):
                oracle.clock(ahead_s * 1000)
                self._feed(now_ms, events.Offset(DSO, ahead_s * 1000))
        self._look(now_ms)

    def _hear(self, mrid: str, now_ms: int) -> None:
        """Read an event; every read proposes another draw, of which only the first counts (rule 4)."""
        event = self.story.events[mrid]
        primacy = self.primacies[event.program]
        self.reads += 1
        order = replace(
            order_of(event, primacy, self.story.seed * 1_000 + self.reads, joins=self.story.joins), received_ms=now_ms
        )
        first = self.first.setdefault(mrid, order)
        self.oracle.hear(event, primacy, {house: self._draws(first, house) for house in self.houses})
        self._feed(now_ms, events.OrderHeard(order))

    def _draws(self, order: Order, house: str) -> Draws:
        bounds = (order.randomize_start_ms, order.randomize_duration_ms, self._spread_s(order.id) * 1000)
        made = [
            offset_ms(order.draw, purpose, house, bound)
            for purpose, bound in zip(("start", "duration", "cut"), bounds, strict=True)
        ]
        for drawn, bound in zip(made, bounds, strict=True):
            assert min(0, bound) <= drawn <= max(0, bound)
        return Draws(*made)

    def _spread_s(self, mrid: str) -> int:
        event = self.story.events[mrid]
        return max(abs(event.random_start_s), abs(event.random_duration_s))

    def _rank(self, program: str, primacy: int, now_ms: int) -> None:
        """Read a program anew, with all that it lists: one thing after the other."""
        self.primacies[program] = primacy
        for mrid in [mrid for mrid in self.first if self.story.events[mrid].program == program]:
            self._hear(mrid, now_ms)
            self._look(now_ms)
        if program in self.defaults:
            self._default(program, now_ms)

    def _default(self, program: str, now_ms: int) -> None:
        says, primacy = self.defaults[program], self.primacies[program]
        self.oracle.default(program, primacy, dict(says))
        effects = tuple(effect_of(name, value) for name, value in says)
        self._feed(now_ms, events.DefaultHeard(Default(DSO, program, program, primacy, effects)))

    # -- and compared

    def _agree(self, now_ms: int) -> None:
        """Compare what holds at every house in every function."""
        self.moved = False
        for house in self.houses:
            rulings = {one.function.value: one for one in self.machine.state.resources[house].rulings}
            self._same(now_ms, house, "functions", not rulings.keys() <= {*self.functions, "import-limit"}, False)
            expected = self.oracle.shown(house, self.functions)
            for name in self.functions:
                ruling, shown = rulings.get(name), expected.get(name)
                if shown is None or shown.value is None:
                    found = None if ruling is None or ruling.value == AGREED_W else (ruling.binding.id, ruling.value)
                    self._same(now_ms, house, name, found, None)
                    continue
                if ruling is None:
                    self._same(now_ms, house, name, None, shown)
                    continue
                mode = effect_of(name, shown.value) if name in MODE_NAMES else None
                said = (ruling.binding.id, ruling.value if mode is None else ruling.mode)
                self._same(now_ms, house, name, said, (shown.by, shown.value if mode is None else mode))
        self._agree_on_answers(now_ms)

    def _same(self, now_ms: int, house: str, what: str, found: object, expected: object) -> None:
        if found != expected:
            raise DisagreementError(
                f"at {now_ms} ms {house} {what}: the machine says {found}, the rules say {expected}"
            )

    def _agree_on_answers(self, now_ms: int) -> None:
        """Compare what every event was answered at every house until now, and in which order in an instant."""
        counted = (len(self.oracle.said), len(self.answers))
        if counted == self.counted:
            return
        self.counted = counted
        expected: dict[tuple[str, str], list[tuple[int, str]]] = {}
        for said in self.oracle.said:
            expected.setdefault((said.mrid, said.house), []).append((said.at_ms, said.word))
        found: dict[tuple[str, str], list[tuple[int, str]]] = {}
        for answer in self.answers:
            found.setdefault((answer.order.id, answer.resource), []).append((answer.at_ms, answer.kind.value))
        if found != expected:
            for mrid, house in sorted({*found, *expected}):
                self._same(now_ms, house, f"answers to {mrid}", found.get((mrid, house)), expected.get((mrid, house)))


def play(story: Story) -> Bench:
    """Play a story and give the bench; raises DisagreementError."""
    bench = Bench(story)
    bench.play()
    return bench
