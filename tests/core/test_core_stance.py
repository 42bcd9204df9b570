"""What is kept of the orders between two events spares work and decides nothing (C1, C5, C6)."""

from core_world import DSO, Player, export, plain
from hypothesis import strategies as st
from strategies import Wish, explored, histories, play

from gateway.core.functions import Function
from gateway.core.machine import Machine
from gateway.core.orders import OrderKey, Rank
from gateway.core.stance import Stream
from gateway.core.timeline import FOR_EVER_MS, Entry, Interval, Slot, Succession

SLOT = Slot(DSO, 3, Function.EXPORT_LIMIT)


@explored(history=histories(most=25))
def test_a_machine_that_keeps_nothing_between_events_decides_the_same(history: list[Wish]) -> None:
    player = play(history)
    forgetful = Player().start(reachable=False, in_contact=False)
    for step in player.steps[len(forgetful.steps) :]:
        forgetful.machine = Machine(forgetful.machine.state)
        assert plain(forgetful.feed_ms(step.now_ms, step.event)) == plain(step.effects)
    assert forgetful.machine.state == player.machine.state


ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(-3, 2),
        st.integers(0, 9),
        st.integers(0, 2),
        st.sampled_from([FOR_EVER_MS, FOR_EVER_MS, FOR_EVER_MS, 0, 4]),
    ),
    max_size=9,
)


@explored(arrivals=ARRIVALS)
def test_orders_that_arrive_one_by_one_come_to_what_they_come_to_at_once(
    arrivals: list[tuple[int, int, int, int, int]],
) -> None:
    stream, now_ms = Stream(SLOT), 0
    entries: list[Entry] = []
    for number, (later_ms, start_ms, lasts_ms, precedence, spent_for_ms) in enumerate(arrivals):
        now_ms += later_ms
        interval = Interval(now_ms + start_ms, now_ms + start_ms + lasts_ms)
        spent_ms = FOR_EVER_MS if spent_for_ms == FOR_EVER_MS else now_ms - spent_for_ms
        rank = Rank(precedence, number)
        entries.append(Entry(OrderKey(DSO, f"o{number}"), rank, interval, export(number), spent_ms))
        if not stream.begin(entries[-1], number, now_ms):
            stream.look(now_ms)
        at_once = Succession(entries)
        assert (stream.winner, tuple(stream.gone)) == at_once.standing(now_ms)
        assert stream.until_ms == at_once.next_change(now_ms)
        assert stream.entries == entries
        running = [entry.key for entry in stream.gone if now_ms < entry.interval.end_ms]
        assert list(stream.beaten) == running
