"""What holds of rulings for any set of orders: arrival does not matter, and more limits never mean more power."""

from dataclasses import replace
from typing import Any

from core_world import STREET, Player, site, value_of
from hypothesis import strategies as st
from strategies import HORIZON_S, defaults, effect_of, explored, order_sets, values

from gateway.core.arbitrate import Ground, Settlement, settle
from gateway.core.events import DefaultHeard, OrderHeard, Tick
from gateway.core.functions import CEILINGS, FLOORS, LIMITS, Function
from gateway.core.orders import Default, Effect, Order, OrderKey, Rank
from gateway.core.plan import envelope
from gateway.core.timeline import FOR_EVER_MS, Entry, Interval, Slot, standing

ISSUERS = {"a": 2, "b": 3, "twin": 3, "c": 4, "new": 1}
GROUND = Ground(
    limit_parent="b",
    export_limit_w=9_000,
    last_resort_export_limit_w=1_500,
    generation_max_w=5_000,
    charge_max_w=4_000,
    party_rank={name: place for place, name in enumerate(ISSUERS)},
    levels={(name, function): level for name, level in ISSUERS.items() for function in Function},
)
Limits = list[tuple[str, Function, int]]

limit_functions = st.sampled_from(LIMITS)
limits: st.SearchStrategy[Limits] = st.lists(
    limit_functions.flatmap(
        lambda function: st.tuples(st.sampled_from(["a", "b", "twin", "c"]), st.just(function), values(function))
    ),
    max_size=8,
    unique_by=lambda row: row[:2],
)


def settled(said: Limits, now: int = 0) -> Settlement:
    slots = {
        Slot(issuer, ISSUERS[issuer], function): [
            Entry(OrderKey(issuer, function.value), Rank(1, 0), Interval(0, 9), value_of(function, w))
        ]
        for issuer, function, w in said
    }
    return settle(slots, (), GROUND, now)


def held(settlement: Settlement) -> dict[Function, int]:
    return {ruling.function: ruling.value for ruling in settlement.rulings}


# -- arrival


def rulings_over_time(orders: list[Order], given: list[Default], heard_s: list[int]) -> dict[int, Any]:
    """Play orders, each heard at its second and in this order, and give all rulings at every start and end."""
    player = Player().start(site((1, 2)), in_contact=False)
    for default in given:
        player.feed(0, DefaultHeard(default))
    changes = [at_ms // 1000 for order in orders for at_ms in (order.start_ms, order.end_ms) if at_ms is not None]
    rulings = {}
    for second in sorted({*changes, *heard_s, HORIZON_S}):
        for order, at_s in zip(orders, heard_s, strict=True):
            if at_s == second:
                player.feed(second, OrderHeard(order))
        player.feed(second, Tick())
        rulings[second] = [resource.rulings for resource in player.machine.state.resources.values()]
    return rulings


@explored(
    orders=order_sets(most=5),
    shuffled=st.randoms(use_true_random=False),
    given=st.lists(defaults(), max_size=2),
    late=st.lists(st.integers(0, HORIZON_S), min_size=5, max_size=5),
)
def test_rulings_depend_on_the_orders_and_not_on_their_arrival(
    orders: list[Order], shuffled: Any, given: list[Default], late: list[int]
) -> None:
    at_once = rulings_over_time(orders, given, [0] * len(orders))
    again = list(orders)
    shuffled.shuffle(again)
    assert rulings_over_time(again, given, [0] * len(again)) == at_once
    heard_s = [
        min(at_s, HORIZON_S if order.end_ms is None else order.end_ms // 1000 - 1)
        for order, at_s in zip(again, late, strict=False)
    ]
    spread = rulings_over_time(again, given, heard_s)
    for second, rulings in at_once.items():
        assert second < max(heard_s) or spread[second] == rulings


entries = st.lists(
    st.tuples(st.integers(0, 10), st.integers(0, 6), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=6
)


def play_slot(rows: list[tuple[int, int, int, int]], until: int) -> tuple[int | None, set[int]]:
    """Run a slot instant by instant: who runs at one and is not the strongest there is out for good."""
    out: set[int] = set()
    best: int | None = None
    for instant in range(until + 1):
        running = [place for place, (start, lasts, _, _) in enumerate(rows) if start <= instant < start + lasts]
        running = [place for place in running if place not in out]
        best = min(running, key=lambda place: (rows[place][2], -rows[place][3], place), default=None)
        out.update(place for place in running if place != best)
    return best, out


@explored(rows=entries)
def test_a_slot_is_what_running_it_instant_by_instant_gives(rows: list[tuple[int, int, int, int]]) -> None:
    made = [
        Entry(OrderKey("b", f"{place}"), Rank(rank, created), Interval(start, start + lasts), value_of(LIMITS[0], 1))
        for place, (start, lasts, rank, created) in enumerate(rows)
    ]
    for now in range(18):
        winner, lost = standing(made, now)
        best, out = play_slot(rows, now)
        assert (None if winner is None else int(winner.key.id)) == best
        assert {int(entry.key.id) for entry in lost} == out
        assert standing(made[::-1], now).winner == winner


@explored(rows=entries, spent=st.integers(0, 18))
def test_what_is_spent_holds_nothing_and_beats_nobody_any_more(
    rows: list[tuple[int, int, int, int]], spent: int
) -> None:
    made = [
        Entry(OrderKey("b", f"{place}"), Rank(rank, created), Interval(start, start + lasts), value_of(LIMITS[0], 1))
        for place, (start, lasts, rank, created) in enumerate(rows)
    ]
    first = made[0]._replace(spent_ms=spent)
    cut = made[0]._replace(interval=Interval(first.interval.start_ms, min(first.interval.end_ms, spent)))
    assert first.spent_ms < FOR_EVER_MS
    for now in range(spent, 18):
        winner = standing([first, *made[1:]], now).winner
        assert winner != first
        assert winner == standing([cut, *made[1:]], now).winner


# -- limits


@explored(said=limits, function=st.sampled_from(CEILINGS), w=values(CEILINGS[0]))
def test_one_more_ceiling_never_raises_the_upper_bound(said: Limits, function: Function, w: int) -> None:
    before, after = settled(said), settled([*said, ("new", function, w)])
    assert envelope(after).upper_w <= envelope(before).upper_w
    for each in CEILINGS:
        if each in held(before):
            assert held(after)[each] <= held(before)[each]


@explored(said=limits, function=st.sampled_from(FLOORS), w=values(FLOORS[0]))
def test_one_more_floor_never_lowers_the_lower_bound(said: Limits, function: Function, w: int) -> None:
    before, after = settled(said), settled([*said, ("new", function, w)])
    for each in FLOORS:
        if each in held(before):
            assert held(after)[each] >= held(before)[each]


@explored(said=limits, issuer=st.sampled_from(["a", "b", "twin", "c"]), function=limit_functions, data=st.data())
def test_a_new_value_in_one_slot_never_loosens_what_the_others_hold(
    said: Limits, issuer: str, function: Function, data: st.DataObject
) -> None:
    others = [row for row in said if row[:2] != (issuer, function)]
    before = held(settled(others))
    after = held(settled([*others, (issuer, function, data.draw(values(function)))]))
    same_side = CEILINGS if function in CEILINGS else FLOORS
    for each in same_side:
        if each in before and not (issuer == "b" and function is each is Function.EXPORT_LIMIT):
            assert after[each] <= before[each] if function in CEILINGS else after[each] >= before[each]


@explored(said=limits, aim=values(Function.ACTIVE_POWER))
def test_a_limit_never_makes_a_der_run_the_other_way(said: Limits, aim: int) -> None:
    bounds = envelope(settled([*said, ("c", Function.ACTIVE_POWER, aim)]))
    assert bounds.upper_w >= 0
    assert bounds.lower_w is None or bounds.lower_w <= 0
    assert bounds.target_w is not None
    assert bounds.target_w * aim >= 0
    assert abs(bounds.target_w) <= abs(aim)
    assert bounds.target_w <= bounds.upper_w
    assert bounds.lower_w is None or bounds.target_w >= bounds.lower_w


@explored(said=limits)
def test_every_limit_is_binding_or_slack_and_a_point_is_never_empty(said: Limits) -> None:
    settlement = settled(said)
    named = [key for ruling in settlement.rulings for key in (ruling.binding, *ruling.slack)]
    assert sorted(key for key in named if key.issuer != "site") == sorted(
        OrderKey(issuer, function.value) for issuer, function, _w in said
    )
    now = held(settlement)
    for uppers, lower in ((CEILINGS[:1], FLOORS[0]), (CEILINGS[1:], FLOORS[1])):
        if lower in now:
            assert all(now[each] >= now[lower] for each in uppers if each in now)


three_effects = st.sampled_from(list(Function)).flatmap(lambda function: st.tuples(*[effect_of(function)] * 3))


@explored(said=three_effects)
def test_what_restricts_is_never_weakened_by_unproven_contact(said: tuple[Effect, Effect, Effect]) -> None:
    first, second, third = said
    slots = {
        Slot("b", 3, first.function): [Entry(OrderKey("b", "1"), Rank(1, 0), Interval(0, 9), first)],
        Slot("c", 4, third.function): [Entry(OrderKey("c", "1"), Rank(1, 0), Interval(0, 9), third)],
    }
    given = [Default("b", "p1", STREET, 1, (second,))]
    unproven = replace(GROUND, unproven=frozenset({"b", "c"}))
    proven_now, unproven_now = held(settle(slots, given, GROUND, 0)), held(settle(slots, given, unproven, 0))
    for function, value in proven_now.items():
        if function in FLOORS:
            assert unproven_now[function] >= value
        else:
            assert unproven_now[function] <= value or function is Function.ACTIVE_POWER
