"""What holds over whole histories of the machine, whatever happens in them (DESIGN 3)."""

import copy

from core_world import DSO, WINDOW_MS, Player, answers_of, plain, site, told, writes
from hypothesis import strategies as st
from strategies import DEVICES, Wish, event_of, explored, histories, play, run_out

from gateway.core.answers import TERMINAL
from gateway.core.arbitrate import Status
from gateway.core.events import (
    Adopted,
    Contact,
    DefaultHeard,
    Event,
    LinkDown,
    NotAdopted,
    Observed,
    OrderHeard,
    Started,
    Tick,
    Topic,
    Write,
)
from gateway.core.functions import CEILINGS, FLOORS, Function
from gateway.core.machine import Machine
from gateway.core.orders import Release
from gateway.core.state import Live, State
from gateway.core.timeline import Interval, effective


def fresh() -> Player:
    return Player().start(reachable=False, in_contact=False)


def houses(state: State) -> dict[str, list[str]]:
    return {name: list(resource.resource.devices) for name, resource in state.resources.items()}


# -- determinism


@explored(history=histories())
def test_the_same_events_bring_about_the_same_effects(history: list[Wish]) -> None:
    first, second = play(history), fresh()
    for step in first.steps[len(second.steps) :]:
        second.feed_ms(step.now_ms, step.event)
    assert [plain(step.effects) for step in first.steps] == [plain(step.effects) for step in second.steps]
    assert first.machine.state == second.machine.state


@explored(history=histories(most=12), after=histories(most=8))
def test_a_snapshot_decides_on_as_the_machine_it_was_taken_of(history: list[Wish], after: list[Wish]) -> None:
    player = play(history)
    restored = Player(Machine(copy.deepcopy(player.machine.state)))
    seen = len(player.steps)
    play(after, player)
    for step in player.steps[seen:]:
        assert plain(restored.feed_ms(step.now_ms, step.event)) == plain(step.effects)
    assert restored.machine.state == player.machine.state


@explored(history=histories(), backward=st.lists(st.integers(0, 60), max_size=25))
def test_time_that_goes_back_is_harmless(history: list[Wish], backward: list[int]) -> None:
    player, late = play(history), fresh()
    for place, step in enumerate(player.steps[len(late.steps) :]):
        now_ms = step.now_ms - 1000 * backward[place] if place < len(backward) else step.now_ms
        late.machine.state.now_ms = max(late.machine.state.now_ms, step.now_ms)
        assert plain(late.feed_ms(now_ms, step.event)) == plain(step.effects)


# -- orders


def interval_of(state: State, live: Live, name: str) -> Interval:
    offset_ms = state.parties[live.order.issuer].ahead_ms(live.order.clock)
    return effective(live.order, "" if live.uniform else name, offset_ms, live.cut_ms, live.spread_ms)


def accounted_for(state: State) -> None:
    """Every order that runs at a resource is named in the ruling of each function that it has not lost for good."""
    for key, live in state.lives.items():
        for name, effects in live.effects.items():
            course = live.courses[name]
            start_ms, end_ms = interval_of(state, live, name)
            if course.ended or not start_ms <= state.now_ms < end_ms:
                continue
            assert course.status in (Status.IN_FORCE, Status.SUSPENDED)
            rulings = {ruling.function: ruling for ruling in state.resources[name].rulings}
            lost = [function for function, _at_ms in course.lost]
            for effect in effects:
                if effect.function in lost:
                    continue
                ruling = rulings.get(effect.function)
                if isinstance(effect, Release) or (ruling is None and released(state, key.issuer, effect.function)):
                    continue
                assert ruling is not None
                assert key in (ruling.binding, *ruling.slack, *ruling.suspended, *ruling.beaten)


def released(state: State, issuer: str, function: Function) -> bool:
    """Tell whether an order of the slot releases it, so that nothing is ruled there."""
    effects = [effect for key, live in state.lives.items() if key.issuer == issuer for effect in live.order.effects]
    return any(isinstance(effect, Release) and effect.function is function for effect in effects)


@explored(history=histories())
def test_every_live_order_is_in_force_slack_beaten_or_suspended(history: list[Wish]) -> None:
    player = fresh()
    for wish in history:
        play([wish], player)
        accounted_for(player.machine.state)


def terminals(player: Player) -> dict[tuple[object, ...], int]:
    counted: dict[tuple[object, ...], int] = {}
    for answer in answers_of(player.effects):
        key = (answer.order, answer.version, answer.resource)
        counted[key] = counted.get(key, 0) + (answer.kind in TERMINAL)
    return counted


@explored(history=histories(), days=st.sampled_from([0, 0, 3]))
def test_every_order_gets_exactly_one_terminal_answer_at_every_resource(history: list[Wish], days: int) -> None:
    player = play(history)
    over_s = run_out(player) + days * 86_400
    player.feed(over_s, Tick())
    for step in list(player.steps):
        if isinstance(step.event, OrderHeard):
            player.feed(over_s + 1, step.event)
    run_out(player)
    assert {key: count for key, count in terminals(player).items() if count != 1} == {}
    for live in player.machine.state.lives.values():
        assert all(course.ended for course in live.courses.values())


@explored(history=histories())
def test_nothing_is_said_of_an_order_after_its_terminal_answer(history: list[Wish]) -> None:
    player = play(history)
    run_out(player)
    over: set[tuple[object, ...]] = set()
    for answer in answers_of(player.effects):
        key = (answer.order, answer.version, answer.resource)
        assert key not in over
        if answer.kind in TERMINAL:
            over.add(key)


@explored(history=histories())
def test_serials_of_answers_are_unique_and_rise(history: list[Wish]) -> None:
    player = play(history)
    run_out(player)
    serials = [answer.serial for answer in answers_of(player.effects)]
    assert serials == sorted(set(serials))


@explored(history=histories())
def test_what_has_had_its_terminal_answer_holds_nothing(history: list[Wish]) -> None:
    player = fresh()
    for wish in [*history, *[Wish(3, "tick")] * 8]:
        play([wish], player)
        state = player.machine.state
        for name, resource in state.resources.items():
            for ruling in resource.rulings:
                live = state.lives.get(ruling.binding)
                assert live is None or not live.courses[name].ended


# -- limits


@explored(history=histories())
def test_an_order_loosens_no_limit_of_another_slot(history: list[Wish]) -> None:
    player = fresh()
    for wish in history:
        now_s = player.machine.state.now_ms // 1000 + wish.later_s
        player.feed(now_s, Tick())
        before = limits(player.machine.state)
        event = event_of(wish, player, now_s)
        player.feed(now_s, event)
        if not isinstance(event, OrderHeard) or event.order.version > 0:
            continue
        own = {effect.function for effect in event.order.effects} if event.order.issuer == DSO else set()
        after = limits(player.machine.state)
        for (name, function), value in before.items():
            if (
                function in own
                or (own & {*FLOORS} and function in CEILINGS)
                or (own & {*CEILINGS} and function in FLOORS)
            ):
                continue
            assert after[name, function] == value


def limits(state: State) -> dict[tuple[str, Function], int]:
    return {
        (name, ruling.function): ruling.value
        for name, resource in state.resources.items()
        for ruling in resource.rulings
        if ruling.function in CEILINGS + FLOORS
    }


@explored(history=histories("assign", "restart"))
def test_when_all_is_over_and_nobody_speaks_the_persisted_defaults_hold(history: list[Wish]) -> None:
    player = play(history)
    over_s = run_out(player)
    player.feed(over_s + 10_000, Tick())
    alone = fresh()
    for step in player.steps:
        if isinstance(step.event, DefaultHeard):
            alone.feed_ms(step.now_ms, step.event)
    for name, resource in player.machine.state.resources.items():
        others = alone.machine.state.resources[name].rulings
        held = [(ruling.function, ruling.value, ruling.binding) for ruling in resource.rulings]
        assert held == [(ruling.function, ruling.value, ruling.binding) for ruling in others]


def looser(function: Function, value: int, than: int) -> bool:
    if function is Function.ACTIVE_POWER:
        return value != than
    return value < than if function in FLOORS else value > than


@explored(history=histories())
def test_a_restart_holds_the_same_or_tighter_until_contact_is_proven_and_then_the_same(history: list[Wish]) -> None:
    player = play(history)
    now_s = player.machine.state.now_ms // 1000
    player.feed(now_s, Tick())
    state = player.machine.state
    held = {name: resource.rulings for name, resource in state.resources.items()}
    proven = [name for name, party in state.parties.items() if party.proven]
    wanted = {name: device.command for name, device in state.devices.items()}
    player.feed(now_s, Started(site()))
    for name, rulings in held.items():
        after = {ruling.function: ruling.value for ruling in state.resources[name].rulings}
        assert after.keys() == {ruling.function for ruling in rulings}
        assert not [one for one in rulings if looser(one.function, after[one.function], one.value)]
    for name, command in wanted.items():
        now = state.devices[name].command
        assert command is None or (now is not None and now.limit_w <= command.limit_w)
        assert command is None or command.connected is not False or (now is not None and now.connected is False)
    for issuer in proven:
        player.feed(now_s, Contact(issuer, WINDOW_MS))
    assert {name: resource.rulings for name, resource in state.resources.items()} == held


# -- writes


class Worst:
    """What each DER may do at worst, by what was written to it and read back from it; kept beside the machine."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.may_w = {name: device.device.rated_w for name, device in state.devices.items()}
        self.told_w = dict(self.may_w)
        self.revert_w = dict(self.may_w)
        self.told_revert_w = dict(self.may_w)

    def others(self, device: str, of: dict[str, int]) -> int:
        resource = self.state.resources[self.state.devices[device].device.resource]
        return sum(of[name] for name in resource.resource.devices if name != device)

    def write(self, write: Write) -> None:
        """Hold a write against the envelope: it may grow only into what nobody else may use."""
        command = write.cleared.command
        name, resource = command.device, self.state.resources[self.state.devices[command.device].device.resource]
        assert write.cleared.holds_for(name, self.state.now_ms)
        assert (
            0
            <= command.revert_limit_w
            <= command.limit_w
            <= min(self.state.devices[name].device.rated_w, resource.upper_w)
        )
        if command.limit_w > self.told_w[name]:
            assert command.limit_w + self.others(name, self.may_w) <= resource.upper_w
        if command.revert_limit_w > self.told_revert_w[name]:
            assert command.revert_limit_w + self.others(name, self.revert_w) <= resource.fallback_w
        self.may_w[name] = max(self.may_w[name], command.limit_w)
        self.revert_w[name] = max(self.revert_w[name], command.revert_limit_w)
        self.told_w[name], self.told_revert_w[name] = command.limit_w, command.revert_limit_w

    def before(self, event: Event) -> None:
        """Take what a read-back proves before the machine hears of it."""
        if not isinstance(event, Adopted | NotAdopted):
            return
        device = self.state.devices[event.device]
        if event.serial != device.serial or device.command is None:
            return
        if isinstance(event, NotAdopted):
            self.may_w[event.device] = device.device.rated_w
        else:
            self.may_w[event.device] = device.command.limit_w
            self.revert_w[event.device] = device.command.revert_limit_w


@explored(history=histories("restart"))
def test_no_write_grows_past_what_the_others_may_still_do(history: list[Wish]) -> None:
    player = Player()
    worst: Worst | None = None
    now_s = 0
    for wish in [Wish(0, "restart"), *history]:
        now_s += wish.later_s
        event = event_of(wish, player, now_s)
        if worst is not None:
            worst.before(event)
        for effect in player.machine.handle(event, now_s * 1000):
            if worst is None:
                worst = Worst(player.machine.state)
            if isinstance(effect, Write):
                worst.write(effect)


@explored(history=histories())
def test_what_the_der_of_a_house_are_told_sums_to_at_most_its_envelope(history: list[Wish]) -> None:
    player = fresh()
    for wish in history:
        play([wish], player)
        state = player.machine.state
        for name, devices in houses(state).items():
            resource = state.resources[name]
            commands = [command for device in devices if (command := state.devices[device].command) is not None]
            assert len(commands) == len(devices)
            assert sum(command.limit_w for command in commands) <= resource.upper_w
            assert sum(command.revert_limit_w for command in commands) <= min(resource.fallback_w, resource.upper_w)


@explored(history=histories())
def test_the_guard_has_nothing_to_block(history: list[Wish]) -> None:
    player = play(history)
    run_out(player)
    assert told(player.effects, Topic.BLOCKED) == []


@explored(history=histories())
def test_what_tightens_leaves_before_what_loosens(history: list[Wish]) -> None:
    player = Player()
    now_s, limit_w = 0, dict.fromkeys(DEVICES, 1 << 40)
    for wish in [Wish(0, "restart"), *history]:
        now_s += wish.later_s
        grew = False
        for write in writes(player.feed(now_s, event_of(wish, player, now_s))):
            command = write.cleared.command
            grows = command.limit_w > limit_w[command.device]
            assert not (grew and command.limit_w < limit_w[command.device])
            grew = grew or grows
            limit_w[command.device] = command.limit_w


@explored(history=histories(), event=st.sampled_from(["down", "refuse", "observe"]), device=st.sampled_from(DEVICES))
def test_an_unknown_relaxes_nothing(history: list[Wish], event: str, device: str) -> None:
    player = play(history)
    now_s = player.machine.state.now_ms // 1000
    player.feed(now_s, Tick())
    state = player.machine.state
    before = {name: one.command for name, one in state.devices.items()}
    upper = {name: resource.upper_w for name, resource in state.resources.items()}
    picks = {"down": (device,), "refuse": (device, 0), "observe": (device, None)}[event]
    effects = player.feed(now_s, event_of(Wish(0, event, picks), player, now_s))
    assert isinstance(player.steps[-1].event, LinkDown | NotAdopted | Observed)
    for write in writes(effects):
        command = write.cleared.command
        told_before = before[command.device]
        assert told_before is not None
        assert command.limit_w <= told_before.limit_w
        assert command.revert_limit_w <= told_before.revert_limit_w
        assert (command.connected, command.energized) == (told_before.connected, told_before.energized)
    assert upper == {name: resource.upper_w for name, resource in state.resources.items()}


@explored(history=histories())
def test_everything_open_is_yielded_again_and_nothing_moves(history: list[Wish]) -> None:
    player = fresh()
    for wish in history:
        play([wish], player)
        state = player.machine.state
        again = list(player.machine.outstanding(state.now_ms))
        assert [(write.cleared.command, write.cleared.serial) for write in writes(again)] == [
            (device.command, device.serial)
            for resource in state.resources.values()
            for device in (state.devices[name] for name in resource.resource.devices)
        ]
        assert answers_of(again) == list(state.owed.values())
    before = copy.deepcopy(player.machine.state)
    list(player.machine.outstanding(before.now_ms))
    assert player.machine.state == before


@explored(history=histories())
def test_when_all_is_reachable_and_read_back_the_shares_are_full(history: list[Wish]) -> None:
    player = play(history)
    now_s = player.machine.state.now_ms // 1000
    state = player.machine.state
    for name in DEVICES:
        player.feed(now_s, event_of(Wish(0, "up", (name, 4_400, 4_400)), player, now_s))
    for _ in range(8):
        for name in DEVICES:
            player.feed(now_s, event_of(Wish(0, "adopt", (name, 0, frozenset())), player, now_s))
    for name, devices in houses(state).items():
        rated = [state.devices[device].device.rated_w for device in devices]
        upper = state.resources[name].upper_w
        shares = [upper * each // sum(rated) for each in rated] if len(rated) > 1 else [upper]
        assert [state.devices[device].told_w() for device in devices] == [
            min(share, each) for share, each in zip(shares, rated, strict=True)
        ]
