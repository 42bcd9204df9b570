"""What is said word for word, and what holds at the very edge: each of these was once a mutant that survived."""

from dataclasses import replace
from typing import Any, cast

import pytest
from commitment_world import BATTERY, HOUR_S, HUB, NOW_MS, OWNER, ROOF, TRADER, TSO, book_of, offer, promise
from core_world import CORNER, DSO, export, house, order, site, target
from test_core_situations import GROUND, aimed, entry, key, settled, settled_of

from gateway.core.arbitrate import AGREEMENT, CALM, Allotment, Situation, Status, rating_key, settle
from gateway.core.authority import Accepted, Refused, judge, judge_freshness, judge_version
from gateway.core.capacity import Capability, CommitmentBook, Domain, Slice, Terms
from gateway.core.commitments import admit, disclosures, enter
from gateway.core.commitments import admit as admit_commitment
from gateway.core.functions import Function
from gateway.core.ground import authority
from gateway.core.guard import Blocked, Bounds, Cleared, clear
from gateway.core.modes import TargetVar
from gateway.core.orders import Ceiling, Connect, Default, Floor, OrderKey, Price, Rank, Target
from gateway.core.parties import Colour, Direction, Grant, Level, Party, Precedence, Preference, Tier
from gateway.core.plan import Command
from gateway.core.timeline import Entry, Interval, Slot
from gateway.core.units import Share, Watts

F = Function
IMPORT = Direction.IMPORT
ALL = (house(1), house(2), house(3))


# -- authority


def test_what_is_too_new_and_what_is_too_old_says_so() -> None:
    assert judge_freshness(311_999, 10_000, 300_000) == Refused(
        "A5", "created 301 s in the future; set the issuer's clock"
    )
    assert judge_freshness(2_009_999, 10_000, 300_000) == Refused(
        "A5", "created 1999 s in the future; set the issuer's clock"
    )
    held = order("a", export(1), 0, 10, version=3)
    assert judge_version(held, order("a", export(1), 0, 10, version=2)) == Refused(
        "A5", "version 2 is older than version 3 already held"
    )
    assert judge_version(held, order("a", export(2), 0, 10, version=3)) == Refused(
        "A5", "other content under version 3 already held; give changes a new version"
    )


def test_who_skips_a_tier_is_told_so() -> None:
    made = site()
    far = replace(made, parties=(*made.parties, Party("far", Tier.BULK, limit_parent=False, rank=9)))
    assert judge(order("a", target(1), 0, 10, issuer="far"), ALL, authority(far), {}) == Refused(
        "A2", "far skips a tier: no flow of the site's model leads from it past the DSO"
    )


def test_a_floor_as_high_as_the_one_in_force_only_restricts() -> None:
    part = authority(site(grants=(Grant(DSO, "envelope", Level.CONNECTION, (*F,), CORNER),)))
    held = {(name, F.IMPORT_LIMIT): -3_000 for name in ALL}
    effect = Floor(F.IMPORT_LIMIT, Watts(-3_000))
    verdict = judge(order("a", effect, 0, 10), ALL, part, held)
    assert isinstance(verdict, Accepted)
    assert set(verdict.effects) == set(ALL[:2])


# -- the guard

RIGHT = Command("roof", 3_000, None, None, None, 1_500, 60_000, (OrderKey("dso", "a"),), "C2")
BOUNDS = Bounds("roof", 5_000, 6_000, 1_000, 2_000, 2_000, 0, 500, True, True, NOW_MS + 1)


def test_the_guard_says_why_word_for_word() -> None:
    for command, bounds, why in (
        (RIGHT._replace(connected=True), BOUNDS._replace(may_connect=False), "disconnects this DER"),
        (RIGHT._replace(energized=True), BOUNDS._replace(may_energize=False), "ceases to energize this DER"),
    ):
        assert clear(command, bounds, 1, NOW_MS) == Blocked(command, f"an order in force {why}")
    twice = RIGHT._replace(modes=(TargetVar(1), TargetVar(1)))
    why = "two modes of one function would move the same quantity"
    assert clear(twice, BOUNDS, 1, NOW_MS) == Blocked(twice, why)
    with pytest.raises(PermissionError, match=r"^only gateway\.core\.guard\.clear makes a cleared command; ask it$"):
        Cleared(cast("Any", object()), RIGHT, 1, NOW_MS)


# -- values, defaults and the last resort


@pytest.mark.parametrize(
    ("effect", "held_w"),
    [
        (Ceiling(F.GENERATION_LIMIT, Share(3_333)), 1_666),
        (Ceiling(F.GENERATION_LIMIT, Share(-3_333)), -1_334),
        (Floor(F.LOAD_LIMIT, Share(3_333)), 1_667),
        (Floor(F.LOAD_LIMIT, Share(-3_333)), -1_333),
        (Target(Share(3_333)), 1_666),
        (Target(Share(-3_333)), -1_333),
    ],
)
def test_a_share_is_of_what_the_der_can_do_that_way(effect: Ceiling | Floor | Target, held_w: int) -> None:
    ruling = settled(dso=(effect,)).ruling(effect.function)
    assert ruling is not None
    assert ruling.value == held_w


def test_a_slot_takes_only_defaults_of_its_own_issuer_and_passes_over_the_others() -> None:
    twins = replace(GROUND, levels={**GROUND.levels, ("tso", F.IMPORT_LIMIT): 4}, unproven=frozenset({"dso"}))
    foreign = Default("tso", "p", "street", 1, (Floor(F.IMPORT_LIMIT, Watts(-300)),))
    own = Default("dso", "q", "street", 2, (Floor(F.IMPORT_LIMIT, Watts(-700)),))
    alone = settled(CALM, foreign, ground=twins, dso=(Floor(F.IMPORT_LIMIT, Watts(-900)),)).ruling(F.IMPORT_LIMIT)
    assert alone is not None
    assert (alone.value, alone.binding, alone.slack) == (-300, OrderKey("tso", "p"), (key("dso"),))
    both = settled(CALM, foreign, own, ground=replace(twins, levels={("dso", F.IMPORT_LIMIT): 4})).ruling(
        F.IMPORT_LIMIT
    )
    assert both is not None
    assert (both.value, both.binding) == (-700, OrderKey("dso", "q"))


def test_the_last_resort_is_of_the_parents_export_and_gives_way_to_the_parent_alone() -> None:
    over = {Slot("dso", 4, F.IMPORT_LIMIT): [entry("dso", Floor(F.IMPORT_LIMIT, Watts(-5)), 5, 9)]}
    assert settle(over, (), GROUND, 0).ruling(F.IMPORT_LIMIT) is None
    other = Default("tso", "p", "street", 1, (Ceiling(F.EXPORT_LIMIT, Watts(8_000)),))
    ruling = settled(CALM, other).ruling(F.EXPORT_LIMIT)
    assert ruling is not None
    assert (ruling.value, ruling.rule) == (1_500, "C14")


def test_a_slot_without_a_default_of_its_own_is_not_tightened_by_the_last_resort_where_there_is_one() -> None:
    levels = replace(
        GROUND,
        levels={**GROUND.levels, ("dso", F.EXPORT_LIMIT): 2},
        service_levels={("dso", "reliability", F.EXPORT_LIMIT): 4},
        unproven=frozenset({"dso"}),
    )
    standing = Default("dso", "p", "street", 1, (Ceiling(F.EXPORT_LIMIT, Watts(8_000)),), service="reliability")
    slots = {Slot("dso", 2, F.EXPORT_LIMIT): [entry("dso", Ceiling(F.EXPORT_LIMIT, Watts(3_000)))]}
    ruling = settle(slots, (standing,), levels, 0).ruling(F.EXPORT_LIMIT)
    assert ruling is not None
    assert (ruling.value, ruling.rule) == (3_000, "C2")


def test_what_falls_to_a_resource_of_a_sum_does_not_end_the_last_resort() -> None:
    slot = Slot("dso", 4, F.EXPORT_LIMIT, "street")
    said = {slot: [entry("dso", Ceiling(F.EXPORT_LIMIT, Watts(8_000)))]}
    fallen = Situation(allotted=(Allotment(key("dso"), F.EXPORT_LIMIT, 8_000),))
    ruling = settle(said, (), replace(GROUND, situation=fallen), 0).ruling(F.EXPORT_LIMIT)
    assert ruling is not None
    assert (ruling.value, ruling.slack) == (1_500, (key("dso"), AGREEMENT))


# -- who binds


def test_a_set_point_names_its_service_and_what_it_asks_for() -> None:
    shared = Situation(allotted=(Allotment(key("dso"), F.ACTIVE_POWER, 7), Allotment(key("tso"), F.ACTIVE_POWER, 8)))
    level = replace(GROUND, services={**GROUND.services, ("tso", 4, F.ACTIVE_POWER): "reserve"}, situation=shared)
    said = {Slot(name, 4, F.ACTIVE_POWER, "street"): [entry(name, Target(Watts(9_000)))] for name in ("tso", "dso")}
    settlement = settle(said, (), level, 0)
    ruling = settlement.ruling(F.ACTIVE_POWER)
    assert ruling is not None
    assert (ruling.value, ruling.service, ruling.suspended) == (7, "reliability", (key("tso"),))
    assert settlement.asked == {key("tso"): 8, key("dso"): 7}
    standing = Default("market", "p", "street", 1, (Target(Watts(9)),))
    for ground, service in ((GROUND, "schedule"), (replace(GROUND, services={}), "")):
        held = settled(CALM, standing, ground=ground).ruling(F.ACTIVE_POWER)
        assert held is not None
        assert (held.service, held.clipped, held.strength) == (service, False, (7, 3))
    flex = settled(flex=1, ground=replace(GROUND, party_standing={})).ruling(F.ACTIVE_POWER)
    assert flex is not None
    assert flex.strength == (7, 0)


def test_one_watt_loads_a_direction() -> None:
    assert aimed(settled(Situation(Colour.RED, Direction.EXPORT), market=1)) is None
    assert aimed(settled(Situation(Colour.RED, Direction.IMPORT), market=-1)) is None


@pytest.mark.parametrize(
    ("winner", "loser", "held"),
    [
        pytest.param("schedule", "reliability", (300, "market", "B"), id="from level 4"),
        pytest.param("flexibility", "schedule", (9, "flex", "B"), id="to level 7"),
    ],
)
def test_the_levels_that_are_data_are_4_to_7(winner: str, loser: str, held: tuple[int, str, str]) -> None:
    ground = replace(GROUND, precedence=Precedence(preferences=(Preference(winner, loser),)))
    stronger = {"dso": 500} if loser == "reliability" else {"flex": 9}
    assert aimed(settled_of({**stronger, "market": 300}, CALM, (), ground)) == held


def test_whoever_may_not_go_first_stops_nobody_after_him() -> None:
    late = Precedence(green=(4, 5, 6, 9), preferences=(Preference("schedule", "flexibility"),))
    assert aimed(settled(ground=replace(GROUND, precedence=late), flex=1, home=2, market=3)) == (3, "market", "B")


def test_a_preference_has_the_place_of_who_names_the_price() -> None:
    assert aimed(settled(market=(Price(300),), home=1)) == (3_000, "market", "C3")


def test_between_points_of_one_party_its_later_or_stronger_order_holds() -> None:
    slots = {
        Slot("dso", 4, F.ACTIVE_POWER): [Entry(OrderKey("dso", "a"), Rank(1, 5), Interval(0, 9), Target(Watts(1)))],
        Slot("dso", 4, F.ACTIVE_POWER, "sum"): [
            Entry(OrderKey("dso", "b"), Rank(1, 6), Interval(0, 9), Target(Watts(2)))
        ],
    }
    shared = Situation(allotted=(Allotment(OrderKey("dso", "b"), F.ACTIVE_POWER, 2),))
    ground = replace(GROUND, situation=shared)
    assert aimed(settle(slots, (), ground, 0)) == (2, "dso", "C3")
    weaker = {
        slot: [one._replace(rank=Rank(2 if slot.point else 1, 9)) for one in ones] for slot, ones in slots.items()
    }
    assert aimed(settle(weaker, (), ground, 0)) == (1, "dso", "C3")


def test_switches_name_who_agrees_and_who_waits_in_order_of_strength() -> None:
    on, off = (Connect(on=True),), (Connect(on=False),)
    settlement = settled(CALM, Default("dso", "p", "street", 1, on), market=on, home=on, tso=on, flex=off)
    ruling = settlement.ruling(F.CONNECT)
    assert ruling is not None
    assert (ruling.value, ruling.binding, ruling.rule) == (1, key("tso"), "B")
    assert (ruling.slack, ruling.suspended) == ((key("market"), key("home")), (key("flex"),))
    assert settlement.suspended == {(key("flex"), F.CONNECT): "C10"}
    against = settled(CALM, Default("dso", "p", "street", 1, on), market=off).ruling(F.CONNECT)
    assert against is not None
    assert (against.value, against.binding, against.slack, against.suspended) == (0, key("market"), (), ())


# -- limits at their edges


@pytest.mark.parametrize(
    ("said", "held"),
    [
        pytest.param({"tso": -900, "dso": -400}, {F.GENERATION_LIMIT: -400, F.LOAD_LIMIT: -400}, id="floor stronger"),
        pytest.param({"dso": -400, "tso": -400}, {F.GENERATION_LIMIT: -400, F.LOAD_LIMIT: -400}, id="as high"),
    ],
)
def test_a_ceiling_is_clipped_to_a_stronger_floor_which_stays_as_it_is(
    said: dict[str, int], held: dict[Function, int]
) -> None:
    settlement = settled(
        dso=(Floor(F.LOAD_LIMIT, Watts(said["dso"])),), tso=(Ceiling(F.GENERATION_LIMIT, Watts(said["tso"])),)
    )
    rulings = {ruling.function: ruling for ruling in settlement.rulings if ruling.function in held}
    assert {function: ruling.value for function, ruling in rulings.items()} == held
    assert not rulings[F.LOAD_LIMIT].clipped
    assert rulings[F.GENERATION_LIMIT].clipped is (said["tso"] < said["dso"])


def test_a_floor_is_clipped_to_a_stronger_ceiling_which_stays_as_it_is() -> None:
    for floor_w, held_w in ((400, 200), (200, 200)):
        settlement = settled(
            dso=(Ceiling(F.GENERATION_LIMIT, Watts(200)),),
            tso=(Ceiling(F.GENERATION_LIMIT, Watts(500)),),
            flex=(Floor(F.LOAD_LIMIT, Watts(floor_w)),),
            market=(Floor(F.LOAD_LIMIT, Watts(100)),),
        )
        floor, ceiling = settlement.ruling(F.LOAD_LIMIT), settlement.ruling(F.GENERATION_LIMIT)
        assert floor is not None
        assert ceiling is not None
        assert (floor.value, floor.clipped) == (held_w, floor_w > 200)
        assert (ceiling.value, ceiling.clipped) == (200, False)


def test_of_floors_the_tightest_bounds_a_weaker_ceiling() -> None:
    settlement = settled(
        dso=(Floor(F.LOAD_LIMIT, Watts(-200)),),
        tso=(Floor(F.LOAD_LIMIT, Watts(-500)),),
        flex=(Ceiling(F.GENERATION_LIMIT, Watts(-400)),),
    )
    ceiling, floor = settlement.ruling(F.GENERATION_LIMIT), settlement.ruling(F.LOAD_LIMIT)
    assert ceiling is not None
    assert floor is not None
    assert (ceiling.value, ceiling.clipped, floor.value, floor.clipped) == (-200, True, -200, False)


def test_at_one_level_and_size_the_ceiling_goes_first_whoever_sends_it() -> None:
    twins = replace(GROUND, levels={("dso", F.LOAD_LIMIT): 4, ("tso", F.GENERATION_LIMIT): 4})
    slots = {
        Slot("dso", 4, F.LOAD_LIMIT): [entry("dso", Floor(F.LOAD_LIMIT, Watts(300)))],
        Slot("tso", 4, F.GENERATION_LIMIT): [entry("tso", Ceiling(F.GENERATION_LIMIT, Watts(-300)))],
    }
    settlement = settle(slots, (), twins, 0)
    assert [ruling.value for ruling in settlement.rulings if ruling.function is F.LOAD_LIMIT] == [-300]


def test_the_agreement_and_a_rating_are_named_before_an_order_as_tight() -> None:
    level = replace(GROUND, levels={("market", F.EXPORT_LIMIT): 3}, limit_parent="")
    said = {Slot("market", 3, F.EXPORT_LIMIT): [entry("market", Ceiling(F.EXPORT_LIMIT, Watts(9_000)))]}
    agreed = settle(said, (), level, 0).ruling(F.EXPORT_LIMIT)
    assert agreed is not None
    assert (agreed.binding, agreed.rule, agreed.slack) == (AGREEMENT, "C2", (key("market"),))
    rated = Situation(allotted=(Allotment(rating_key("tx"), F.EXPORT_LIMIT, 9_000),))
    assert rating_key("tx") == OrderKey("site", "rating:tx")
    both = settle({}, (), replace(level, situation=rated), 0).ruling(F.EXPORT_LIMIT)
    assert both is not None
    assert (both.binding, both.slack) == (AGREEMENT, (rating_key("tx"),))
    tighter = Situation(allotted=(Allotment(rating_key("tx"), F.EXPORT_LIMIT, 9_000),))
    ground = replace(level, situation=tighter, export_limit_w=9_500)
    held = settle(said, (), ground, 0).ruling(F.EXPORT_LIMIT)
    assert held is not None
    assert held.binding == rating_key("tx")


# -- what is lost


def test_what_is_lost_is_named_until_it_would_have_been_over() -> None:
    slot = Slot("dso", 4, F.EXPORT_LIMIT)
    first, last = OrderKey("dso", "a"), OrderKey("dso", "b")
    entries = [
        Entry(first, Rank(1, 0), Interval(0, 50), Ceiling(F.EXPORT_LIMIT, Watts(5))),
        Entry(last, Rank(1, 9), Interval(10, 90), Ceiling(F.EXPORT_LIMIT, Watts(8))),
    ]
    other = Entry(OrderKey("dso", "z"), Rank(1, 0), Interval(0, 99), Floor(F.IMPORT_LIMIT, Watts(0)))
    beside = {Slot("dso", 4, F.IMPORT_LIMIT): [other]}
    for now_ms, lost in ((9, ()), (10, (first,)), (49, (first,)), (50, ())):
        settlement = settle({slot: entries, **beside}, (), GROUND, now_ms)
        ruling = settlement.ruling(F.EXPORT_LIMIT)
        assert ruling is not None
        assert ruling.beaten == lost
        assert tuple(settlement.lost[F.EXPORT_LIMIT]) == lost
    settlement = settle({slot: entries, **beside}, (), GROUND, 20)
    assert settlement.status == {
        first: Status.SUPERSEDED,
        last: Status.IN_FORCE,
        OrderKey("dso", "z"): Status.IN_FORCE,
    }


def test_an_order_is_superseded_from_the_instant_that_it_is_spent() -> None:
    one = Entry(key("dso"), Rank(1, 0), Interval(0, 50), Ceiling(F.EXPORT_LIMIT, Watts(5)), spent_ms=5)
    for now_ms, status in ((4, Status.IN_FORCE), (5, Status.SUPERSEDED)):
        settlement = settle({Slot("dso", 4, F.EXPORT_LIMIT): [one]}, (), GROUND, now_ms)
        assert settlement.status == {key("dso"): status}


# -- commitments


MAY_NOT = "may not serve the customer domain"


@pytest.mark.parametrize(
    ("commitment", "rule", "why"),
    [
        (promise("x", slices=()), "C8", "a commitment names every DER once, and at least one; state its slices again"),
        (promise("x", start_s=9, end_s=9), "C8", "the window ends before it begins; state a later end"),
        (
            promise("x", interruptible=True),
            "C7",
            "CPUC rule 5: a reliability service goes first and cannot be interruptible; offer it firm",
        ),
        (promise("x", terms=None), "C8", "CPUC rule 8: no terms of availability and penalty; state both"),
        (
            promise("x", terms=Terms(0, 1)),
            "C8",
            "CPUC rule 8: availability is 1 to 1000 permille, and a penalty more than 0; state both",
        ),
        (
            promise("x", device=HUB, domain=Domain.CUSTOMER),
            "C8",
            f"CPUC rule 2: hub is connected in the distribution domain and {MAY_NOT}; offer it elsewhere",
        ),
    ],
)
def test_a_commitment_is_refused_word_for_word(commitment: Any, rule: str, why: str) -> None:
    assert offer(CommitmentBook(), commitment) == Refused(rule, why)


def test_a_commitment_that_is_held_is_changed_under_a_new_id() -> None:
    book = book_of([promise("a", w=1)])
    assert admit(book, promise("a", w=2), {}, NOW_MS) == Refused(
        "C1", "commitment 'a' of aggregator is held; offer changes as a new id"
    )


def test_every_double_promise_is_refused_by_c8() -> None:
    refusals = (
        offer(
            book_of([promise("a", w=1, device=BATTERY)]),
            promise("b", TSO, w=1, device=BATTERY, level=5, direction=IMPORT),
        ),
        offer(book_of([promise("a")]), promise("b", TSO, w=1, level=5)),
        offer(
            book_of([promise("a", DSO, 0, 2 * HOUR_S, device=BATTERY)]),
            promise("b", TSO, 2 * HOUR_S, 4 * HOUR_S, device=BATTERY, level=5),
        ),
        offer(
            book_of([promise("a", DSO, 0, 4 * HOUR_S, device=BATTERY, w=2_000)]),
            promise("b", TSO, 0, 4 * HOUR_S, device=BATTERY, w=2_000, level=5),
        ),
    )
    assert [refused and refused.rule for refused in refusals] == ["C8"] * 4


def test_what_is_interruptible_hides_nothing_behind_it() -> None:
    loose = promise("a", TRADER, 0, 50, level=6, interruptible=True)
    book = book_of([loose, promise("b", DSO, 10, 100)])
    refused = offer(book, promise("c", TSO, 0, 100, w=1, level=5))
    assert refused is not None
    assert "roof has 0 W free beside what dso bought" in refused.why


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(("gap_s", "taken"), [(14_400, True), (14_399, False)])
def test_a_store_refills_at_the_other_direction_s_rate(direction: Direction, gap_s: int, taken: bool) -> None:
    """4 kWh at 4 kW, 4 kWh more: refilled at 1 kW within four hours, less what it refills while it gives less."""
    out_w, in_w = (4_000, 1_000) if direction is Direction.EXPORT else (1_000, 4_000)
    capability = {BATTERY: Capability(BATTERY, OWNER, Domain.CUSTOMER, out_w, in_w, 4_000)}
    first = promise("a", DSO, 0, HOUR_S, device=BATTERY, w=4_000, direction=direction)
    again = promise("b", TSO, HOUR_S + gap_s, 2 * HOUR_S + gap_s, device=BATTERY, w=4_000, level=5, direction=direction)
    book = CommitmentBook()
    admitted = admit_commitment(book, first, capability, NOW_MS)
    assert not isinstance(admitted, Refused)
    enter(book, admitted)
    assert (not isinstance(admit_commitment(book, again, capability, NOW_MS), Refused)) is taken


def test_nobody_is_told_where_nothing_else_is_sold() -> None:
    assert disclosures(CommitmentBook(), promise("n", slices=(Slice(ROOF, 1), Slice(BATTERY, 1))), NOW_MS) == ()
