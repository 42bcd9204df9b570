"""First cases: five CACTUS client procedures (cactus-test-definitions 1.18.2) on the machine and the naive reading.

Their steps carry over with their own times, ten seconds of theirs to a second here, and percentages of one maximum;
what they leave to an observer is the table of what holds when. A procedure's 200 % is what the agreement leaves of it.
"""

from typing import NamedTuple

import pytest
from core_world import ASKED, value_of
from naive_story import AGREED_W, DSO, HOME, HOUSE, Both, Cancel, Read, Restart, What, site

from gateway.core.answers import TERMINAL, Kind
from gateway.core.events import Tick
from gateway.core.functions import CEILINGS, Function
from gateway.core.orders import Default, Each, Order, Rank

F = Function
MAX_W = 2_000
"""What the procedures call 100 %."""
WINDOW_S = 30
"""Five minutes: contact is lost when no read has succeeded for as long (C14)."""

Says = dict[Function, int]
Expected = dict[int, Says]


class Step(NamedTuple):
    """One action of a procedure: when (s), and what is said."""

    second: int
    what: What


def watts(function: Function, percent: int) -> int:
    """Give what a percentage means: limits on load and import are negative floors; switches are on or off."""
    if function in (F.CONNECT, F.ENERGIZE):
        return percent
    towards = 1 if function in CEILINGS or function is F.ACTIVE_POWER else -1
    return towards * percent * MAX_W // 100


def control(second: int, name: str, lasts_s: int, primacy: int, says: Says, start_s: int | None = None) -> Step:
    start_s = second if start_s is None else start_s
    made = tuple(value_of(function, watts(function, percent)) for function, percent in says.items())
    rank = Rank(primacy, second * 1000)
    return Step(
        second, Order(DSO, name, 0, Each(HOME), made, start_s * 1000, (start_s + lasts_s) * 1000, rank, 0, reply=ASKED)
    )


def default(second: int, program: str, primacy: int, says: Says) -> Step:
    made = tuple(value_of(function, watts(function, percent)) for function, percent in says.items())
    return Step(second, Default(DSO, program, HOME, primacy, made))


def read(second: int) -> Step:
    return Step(second, Read(DSO, WINDOW_S))


def ten(limit: Function, behind: Function) -> tuple[list[Step], Expected]:
    """GEN-10 for generators and LOA-10 for loads: fifteen programs of two primacies, ten controls."""
    steps = [
        read(0),
        default(0, "1", 1, {limit: 0}),
        default(0, "6", 2, {limit: 0}),
        default(1, "1", 1, {limit: 30}),
        control(19, "o1", 60, 2, {limit: 200}),
        control(26, "o2", 84, 1, {limit: 0}),
        control(111, "o3", 30, 2, {limit: 200}),
        control(154, "o4", 30, 1, {behind: 0, F.CONNECT: 0}),
        control(154, "o5", 120, 2, {limit: 200}),
        control(230, "o6", 30, 2, {limit: 50}),
        control(243, "o7", 30, 1, {limit: 0}),
        control(243, "o8", 30, 2, {limit: 50, behind: 30}),
        control(274, "o9", 30, 1, {behind: 50}),
        control(274, "o10", 30, 2, {limit: 20}),
        default(287, "1", 1, {limit: 50}),
        default(287, "6", 2, {limit: 20}),
        Step(288, Cancel(9)),
        Step(288, Cancel(10)),
    ]
    holds = {
        0: {limit: 0},
        1: {limit: 30},
        19: {limit: 200},
        26: {limit: 0},
        110: {limit: 30},
        111: {limit: 200},
        141: {limit: 30},
        154: {limit: 200, behind: 0, F.CONNECT: 0},
        184: {limit: 200},
        230: {limit: 50},
        243: {limit: 0, behind: 30},
        273: {limit: 30},
        274: {limit: 20, behind: 50},
        288: {limit: 50},
    }
    return steps, holds


def both(percent: int) -> Says:
    return {F.EXPORT_LIMIT: percent, F.IMPORT_LIMIT: percent}


def communication_loss() -> tuple[list[Step], Expected]:
    """ALL-23: the link goes down at 10 s; the known controls run on, then the default holds, then contact is back."""
    percents = (200, 20, 40, 30, 40)
    controls = [control(0, f"o{n}", 12, 0, both(percent), 12 * n) for n, percent in enumerate(percents)]
    steps = [default(0, "1", 0, both(0)), *controls, read(0), control(73, "o5", 30, 0, both(200)), read(73)]
    schedule = {12 * n: both(percent) for n, percent in enumerate(percents)}
    return steps, {**schedule, 60: both(0), 73: both(200), 103: both(0)}


def power_cycle() -> tuple[list[Step], Expected]:
    """ALL-30: the client starts anew while the link is down, and comes up on the default that it has kept."""
    steps = [
        default(0, "1", 0, both(30)),
        control(0, "o0", 24, 0, both(200)),
        read(0),
        Step(12, Cancel(0)),
        Step(20, Restart()),
        control(30, "o1", 90, 0, both(50), 24),
        read(30),
    ]
    return steps, {0: both(200), 12: both(30), 20: both(30), 30: both(50), 114: both(30)}


def storage() -> tuple[list[Step], Expected]:
    """STO-06: a storage target inside an export limit, six times, and at last inside the default's."""
    rows = ((100, 200), (100, 50), (-100, 50), (0, 0), (30, 100), (100, None))
    steps = [default(0, "1", 0, {F.EXPORT_LIMIT: 0, F.IMPORT_LIMIT: 100}), read(0)]
    holds: Expected = {0: {F.EXPORT_LIMIT: 0, F.IMPORT_LIMIT: 100}}
    for n, (target, limit) in enumerate(rows):
        limited = {} if limit is None else {F.EXPORT_LIMIT: limit}
        steps.append(control(0, f"o{n}", 90, 0, {F.ACTIVE_POWER: target, **limited}, 30 + 90 * n))
        holds[30 + 90 * n] = {F.ACTIVE_POWER: target, F.EXPORT_LIMIT: limit or 0, F.IMPORT_LIMIT: 100}
    return steps, {**holds, 570: holds[0]}


PROCEDURES = {
    "GEN-10": ten(F.EXPORT_LIMIT, F.GENERATION_LIMIT),
    "LOA-10": ten(F.IMPORT_LIMIT, F.LOAD_LIMIT),
    "ALL-23": communication_loss(),
    "ALL-30": power_cycle(),
    "STO-06": storage(),
}


class Replay:
    """A procedure told to the machine and to the naive reading, its orders known by their place."""

    def __init__(self, steps: list[Step]) -> None:
        self.both, self._waiting = Both(site()), sorted(steps, key=lambda step: step.second)

    def until(self, second: int) -> None:
        while self._waiting and self._waiting[0].second <= second:
            self.both.say(second, self._waiting.pop(0).what)
        self.both.player.feed(second, Tick())

    def ruled(self, function: Function) -> int | None:
        rulings = self.both.player.machine.state.resources[HOUSE].rulings
        return next((ruling.value for ruling in rulings if ruling.function is function), None)


@pytest.mark.parametrize("name", PROCEDURES)
def test_every_second_of_the_procedure_is_ruled_as_it_and_the_rules_say(name: str) -> None:
    steps, holds = PROCEDURES[name]
    replay = Replay(steps)
    says: Says = {}
    for second in range(max(holds) + 5):
        replay.until(second)
        replay.both.agree(second)
        replay.both.agree_on_standing(second)
        says = holds.get(second, says)
        for function in (F.IMPORT_LIMIT, F.GENERATION_LIMIT, F.LOAD_LIMIT, F.CONNECT, F.ACTIVE_POWER):
            expected = watts(function, says[function]) if function in says else None
            assert replay.ruled(function) == expected, (second, function)
        if F.EXPORT_LIMIT in says:
            assert replay.ruled(F.EXPORT_LIMIT) == min(watts(F.EXPORT_LIMIT, says[F.EXPORT_LIMIT]), AGREED_W), second


@pytest.mark.parametrize("name", ["GEN-10", "LOA-10"])
def test_the_procedures_of_primacy_are_answered_as_they_ask(name: str) -> None:
    steps, holds = PROCEDURES[name]
    replay = Replay(steps)
    for second in range(max(holds) + 5):
        replay.until(second)
    answers = replay.both.player.answers()
    started = {answer.order.id for answer in answers if answer.kind is Kind.STARTED}
    assert started == {f"o{n}" for n in range(1, 11)}
    ended = {answer.order.id: answer.kind for answer in answers if answer.kind in TERMINAL}
    superseded = {name for name, kind in ended.items() if kind is Kind.SUPERSEDED}
    assert superseded == {"o1", "o5", "o6"}
    assert {name for name, kind in ended.items() if kind is Kind.CANCELLED} == {"o9", "o10"}


def test_a_control_heard_with_contact_back_is_started() -> None:
    steps, _holds = PROCEDURES["ALL-30"]
    replay = Replay(steps)
    for second in range(31):
        replay.until(second)
    assert [answer.kind for answer in replay.both.player.answers("o1")] == [Kind.RECEIVED, Kind.STARTED]


@pytest.mark.parametrize(("stage", "percent"), [(0, 100), (1, 50), (2, -100), (3, 0), (4, 30), (5, 0)])
def test_storage_runs_at_its_target_inside_the_limit(stage: int, percent: int) -> None:
    steps, _holds = PROCEDURES["STO-06"]
    replay = Replay(steps)
    for second in range(30 + 90 * stage + 1):
        replay.until(second)
    command = replay.both.player.machine.state.devices["roof"].command
    assert command is not None
    assert command.target_w == percent * MAX_W // 100
