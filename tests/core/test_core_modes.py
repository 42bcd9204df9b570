"""Modes as values, who may send them, and which holds where several speak (RULES A, B, C3 to C5, C13, C14)."""

from dataclasses import replace

import pytest
from core_world import DSO, GRANTS, STREET, curve, export, house, order, site
from test_core_situations import GROUND, LEVELS, entry, key, settled, settled_of

from gateway.core import slots
from gateway.core.arbitrate import CALM, Ruling, Settlement, Situation, Status, settle
from gateway.core.authority import Accepted, Refused, judge, judge_modes
from gateway.core.functions import MODES, Function
from gateway.core.ground import authority
from gateway.core.modes import (
    Curve,
    CurveBase,
    CurveKind,
    CurvePoint,
    Displacement,
    Droop,
    FixedVar,
    Mode,
    PowerFactor,
    RideThrough,
    TargetVar,
    VarBase,
    fault,
    in_words,
)
from gateway.core.orders import Default, Effect, OrderKey, Rank, Release
from gateway.core.parties import Colour, Direction, Grant, Level, Party, Precedence, Preference, Tier
from gateway.core.slots import Held, Word
from gateway.core.timeline import Entry, Interval, Slot

F = Function
VOLT_VAR = curve(CurveKind.VOLT_VAR, 4_400, 0, 0, -4_400)
PF = PowerFactor(Displacement(9_500, absorbs=True), None)
TRIP = RideThrough((curve(CurveKind.LV_MUST_TRIP, 5_000, 8_800),))
DROOP = Droop(36, 36, 50, 50)
ALL = (house(1), house(2), house(3))


def of_reactive(settlement: Settlement) -> Ruling:
    ruling = settlement.ruling(F.REACTIVE_POWER)
    assert ruling is not None
    return ruling


# -- values


@pytest.mark.parametrize(
    "mode",
    [
        VOLT_VAR,
        PF,
        TRIP,
        DROOP,
        curve(CurveKind.VOLT_WATT, *[10_000] * 10),
        curve(CurveKind.FREQ_WATT, -10_000, 10_000),
        Curve(CurveKind.WATT_PF, (CurvePoint(-10_000, 10_000), CurvePoint(-10_000, -10_000))),
        Curve(CurveKind.VOLT_VAR, (CurvePoint(0, 0), CurvePoint(0, 0)), response_ms=0, reference_auto_ms=0),
        RideThrough((Curve(CurveKind.LF_MUST_TRIP, (CurvePoint(160, 57_000), CurvePoint(0, 0))),)),
        RideThrough((curve(CurveKind.LV_MUST_TRIP, 1, 2), curve(CurveKind.LV_MAY_TRIP, 1, 2))),
        FixedVar(VarBase.MAX_W, 10_000),
        FixedVar(VarBase.MAX_W, -10_000),
        TargetVar(-99_999),
        PowerFactor(Displacement(0, absorbs=False), Displacement(10_000, absorbs=True)),
        Droop(0, 0, 1, 1, 0),
    ],
)
def test_what_is_right_has_no_fault(mode: Mode) -> None:
    assert fault(mode) == ""


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (curve(CurveKind.VOLT_VAR, 1), "volt-var of 1 points; give 2 to 10"),
        (curve(CurveKind.VOLT_VAR, *range(11)), "volt-var of 11 points"),
        (curve(CurveKind.VOLT_VAR, 1, 10_001), "y of point 2 is 10001; give -10000 to 10000"),
        (curve(CurveKind.WATT_PF, -10_001, 1), "y of point 1 is -10001"),
        (Curve(CurveKind.VOLT_VAR, (CurvePoint(-1, 0), CurvePoint(2, 0))), "x of point 1 is -1; give 0 or more"),
        (Curve(CurveKind.WATT_VAR, (CurvePoint(-10_001, 0), CurvePoint(2, 0))), "x of point 1 is -10001"),
        (Curve(CurveKind.VOLT_WATT, (CurvePoint(2, 0), CurvePoint(1, 0))), "x descends at point 2"),
        (replace(VOLT_VAR, response_ms=-1), "below zero"),
        (replace(VOLT_VAR, reference_auto_ms=-1), "below zero"),
        (replace(VOLT_VAR, reference_hundredths=-1), "below zero"),
        (curve(CurveKind.HV_MAY_TRIP, 1, 2), "high-voltage-may-trip is a curve of ride-through"),
        (RideThrough(()), "without any curve"),
        (RideThrough((VOLT_VAR,)), "volt-var is no curve of ride-through"),
        (RideThrough((*TRIP.curves, *TRIP.curves)), "low-voltage-must-trip stands there twice"),
        (RideThrough((curve(CurveKind.LV_MUST_TRIP, 1, -1),)), "y of point 2 is -1; give 0 or more"),
        (FixedVar(VarBase.MAX_W, 10_001), "fixed var of 10001"),
        (FixedVar(VarBase.MAX_W, -10_001), "fixed var of -10001"),
        (PowerFactor(None, None), "without any value"),
        (PowerFactor(Displacement(10_001, absorbs=False), None), "a power factor of 10001 ten-thousandths"),
        (PowerFactor(None, Displacement(-1, absorbs=False)), "a power factor of -1 ten-thousandths"),
        (replace(DROOP, over_band_mhz=-1), "dead band"),
        (replace(DROOP, under_band_mhz=-1), "dead band"),
        (replace(DROOP, over_slope_thousandths=0), "slope"),
        (replace(DROOP, under_slope_thousandths=-1), "slope"),
        (replace(DROOP, response_ms=-1), "response time"),
    ],
)
def test_what_is_wrong_with_a_mode_is_said_in_one_line(mode: Mode, why: str) -> None:
    assert why in fault(mode)
    assert "\n" not in fault(mode)
    assert judge_modes((export(1), mode)) == Refused("A6", fault(mode))


def test_two_modes_of_one_quantity_in_one_order_are_a_contradiction() -> None:
    why = "reactive-power stands there twice and moves one quantity; give one mode for it"
    assert judge_modes((VOLT_VAR, PF)) == Refused("C5", why)
    assert judge_modes((export(1), Release(F.REACTIVE_POWER), PF)) == Refused("C5", why)
    assert judge_modes((export(1), export(2), VOLT_VAR, DROOP, TRIP, Release(F.VOLT_WATT))) is None


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        (VOLT_VAR, "volt-var of 4 points (90/44 91/0 92/0 93/-44)"),
        (
            replace(VOLT_VAR, base=CurveBase.MAX_VAR, points=(CurvePoint(9_250, 4_400), CurvePoint(10_000, -5))),
            "volt-var of 2 points (92.5/44 100/-0.05 with y in % of max-var)",
        ),
        (
            Curve(CurveKind.FREQ_WATT, (CurvePoint(60_036, 10_000), CurvePoint(61_000, 0)), CurveBase.MAX_W),
            "frequency-watt of 2 points (60.036/100 61/0 with y in % of max-w)",
        ),
        (
            Curve(CurveKind.WATT_PF, (CurvePoint(5_000, 10_000), CurvePoint(10_000, -9_000))),
            "watt-power-factor of 2 points (50/1 100/-0.9)",
        ),
        (TRIP, "ride-through by low-voltage-must-trip"),
        (DROOP, "frequency droop beyond +36 and -36 mHz"),
        (FixedVar(VarBase.MAX_VAR, -1_250), "fixed -12.5 % of max-var as var"),
        (TargetVar(-800), "-800 var"),
        (PF, "power factor 0.95 under-excited while injecting"),
        (
            PowerFactor(Displacement(9_000, absorbs=False), Displacement(10_000, absorbs=True)),
            "power factor 0.9 over-excited while injecting, 1 under-excited while absorbing",
        ),
    ],
)
def test_a_mode_is_told_in_one_line(mode: Mode, text: str) -> None:
    assert in_words(mode) == text


# -- who may send them


def test_protection_is_the_limit_parents_alone() -> None:
    grants = (*GRANTS, *(Grant(who, "all", Level.MARKET, MODES, STREET) for who in ("tso", "market", "grid")))
    made = site(grants=grants)
    grid = Party("grid", Tier.DISTRIBUTION, limit_parent=False, rank=9)
    granted = authority(replace(made, parties=(*made.parties, grid)))
    for who in ("tso", "market", "grid"):
        refused = judge(order("a", TRIP, 0, 10, issuer=who), ALL, granted, {})
        assert refused == Refused("A2", f"{who} may not send ride-through: it is not this domain's limit parent")
        assert isinstance(judge(order("a", PF, 0, 10, issuer=who), ALL, granted, {}), Accepted)
    assert isinstance(judge(order("a", TRIP, 0, 10), ALL, granted, {}), Accepted)


def test_who_is_granted_everything_else_is_not_granted_ride_through() -> None:
    others = tuple(each for each in F if each is not F.RIDE_THROUGH)
    granted = authority(site(grants=(Grant(DSO, "all", Level.CONNECTION, others, STREET),)))
    refused = judge(order("a", TRIP, 0, 10), ALL, granted, {})
    assert isinstance(refused, Refused)
    assert (refused.rule, "no grant for ride-through" in refused.why) == ("A6", True)


def test_a_mode_outside_its_grant_is_refused_whole_and_with_it_what_only_restricts() -> None:
    part = authority(site(grants=(Grant(DSO, "all", Level.CONNECTION, (*F,), "corner"),)))
    refused = judge(order("a", (export(1), VOLT_VAR), 0, 10), ALL, part, {})
    assert isinstance(refused, Refused)
    assert refused.rule == "A4"


# -- which holds


@pytest.mark.parametrize(
    ("said", "who", "rule", "suspended"),
    [
        ({"dso": (VOLT_VAR,)}, "dso", "C2", ()),
        ({"home": (VOLT_VAR,), "market": (PF,)}, "market", "C3", ("home",)),
        ({"dso": (PF,), "market": (VOLT_VAR,), "home": (TargetVar(1),)}, "dso", "C3", ("market", "home")),
    ],
)
def test_modes_of_one_quantity_compete_by_level(
    said: dict[str, tuple[Effect, ...]], who: str, rule: str, suspended: tuple[str, ...]
) -> None:
    settlement = settled_of(said, CALM)
    ruling = of_reactive(settlement)
    assert (ruling.mode, ruling.binding, ruling.rule, ruling.value) == (said[who][0], key(who), rule, 0)
    assert ruling.suspended == tuple(map(key, suspended))
    assert settlement.suspended == {(key(name), F.REACTIVE_POWER): "C10" for name in suspended}
    assert {name: settlement.status[key(name)] for name in said} == {
        name: Status.SUSPENDED if name in suspended else Status.IN_FORCE for name in said
    }
    assert settlement.asked == {}


def test_modes_of_different_quantities_coexist_with_each_other_and_with_limits() -> None:
    volt_watt = curve(CurveKind.VOLT_WATT, 10_000, 0)
    settlement = settled(dso=(VOLT_VAR, export(1_000)), market=(volt_watt,), home=(DROOP,))
    assert [each.mode for each in settlement.rulings] == [None, VOLT_VAR, volt_watt, DROOP]
    assert settlement.suspended == {}
    limit = settlement.ruling(F.EXPORT_LIMIT)
    assert limit is not None
    assert (limit.value, limit.binding) == (1_000, key("dso"))


def test_who_says_the_same_is_in_force_beside_it() -> None:
    ruling = of_reactive(settled(dso=(PF,), market=(PF,), home=(VOLT_VAR,)))
    assert (ruling.slack, ruling.suspended) == ((key("market"),), (key("home"),))


def test_the_colour_turns_levels_that_are_data_for_modes_as_well() -> None:
    said: dict[str, tuple[Effect, ...]] = {"flex": (VOLT_VAR,), "market": (PF,)}
    assert of_reactive(settled_of(said, CALM)).binding == key("market"), "green: side by side, the site file's order"
    assert of_reactive(settled_of(said, Situation(Colour.AMBER))).binding == key("flex")


@pytest.mark.parametrize(
    ("preference", "who", "rule"),
    [
        (Preference("schedule", "reliability"), "market", "B"),
        (Preference("schedule", "reliability", "export"), "dso", "C3"),
        (Preference("schedule", "reliability", "import"), "dso", "C3"),
        (Preference("own-use", "reliability"), "dso", "C3"),
    ],
)
def test_a_service_goes_before_another_in_modes_where_no_direction_is_asked(
    preference: Preference, who: str, rule: str
) -> None:
    ground = replace(GROUND, precedence=Precedence(preferences=(preference,)))
    ruling = of_reactive(settled_of({"dso": (VOLT_VAR,), "market": (PF,), "home": (TargetVar(0),)}, CALM, (), ground))
    assert (ruling.binding, ruling.rule) == (key(who), rule)
    assert ruling.service == {"dso": "reliability", "market": "schedule"}[who]


def test_both_directions_named_apart_are_every_direction() -> None:
    rows = tuple(Preference("schedule", "reliability", str(way.value)) for way in Direction)
    ground = replace(GROUND, precedence=Precedence(preferences=rows))
    assert of_reactive(settled_of({"dso": (VOLT_VAR,), "market": (PF,)}, CALM, (), ground)).binding == key("market")


def test_between_slots_of_one_party_the_stronger_precedence_then_the_later_creation_holds() -> None:
    def says(level: int, name: str, mode: Mode, precedence: int, created_ms: int) -> dict[Slot, list[Entry]]:
        rank = Rank(precedence, created_ms)
        return {Slot("dso", level, F.REACTIVE_POWER): [Entry(OrderKey("dso", name), rank, Interval(0, 9), mode)]}

    level = replace(GROUND, precedence=Precedence(green=(4, 4, 4, 4)))
    for first, second, name in (((1, 0), (0, 0), "b"), ((1, 0), (1, 5), "b"), ((1, 5), (1, 0), "a")):
        said = {**says(4, "a", PF, *first), **says(6, "b", VOLT_VAR, *second)}
        assert of_reactive(settle(said, (), level, 0)).binding == OrderKey("dso", name)


def test_a_release_lets_the_default_hold_again_and_an_order_goes_before_any_default() -> None:
    weak = Default("dso", "weak", "street", 2, (PF,))
    strong = Default("dso", "strong", "street", 1, (Release(F.REACTIVE_POWER), VOLT_VAR))
    held = of_reactive(settled(CALM, weak, strong, dso=(Release(F.REACTIVE_POWER),)))
    assert (held.mode, held.binding, held.rule) == (VOLT_VAR, OrderKey("dso", "strong"), "C5")
    assert held.slack == held.suspended == ()
    ordered = of_reactive(settled(CALM, weak, home=(TargetVar(7),)))
    assert (ordered.mode, ordered.binding, ordered.rule) == (TargetVar(7), key("home"), "C2")
    assert settled(dso=(Release(F.REACTIVE_POWER),)).ruling(F.REACTIVE_POWER) is None


@pytest.mark.parametrize("ground", [replace(GROUND, unproven=frozenset({"dso"})), GROUND])
def test_a_mode_has_no_tighter_side(ground: slots.Ground) -> None:
    standing = Default("dso", "p", "street", 1, (PF,))
    ruling = of_reactive(settled(Situation(validated=False), standing, ground=ground, dso=(VOLT_VAR,)))
    assert (ruling.mode, ruling.rule) == (VOLT_VAR, "C2")


def test_what_a_slot_of_a_mode_says_while_no_order_does() -> None:
    standing = Default("tso", "p", "street", 1, (DROOP,))
    assert slots.Fallbacks((standing,), GROUND).words[Slot("tso", 5, F.FREQUENCY_WATT)] == Word(
        F.FREQUENCY_WATT, Held(5, 2, OrderKey("tso", "p"), 0, "C5", is_order=False, service="reserve", mode=DROOP)
    )


@pytest.mark.parametrize("mode", [VOLT_VAR, DROOP, TRIP])
def test_whoever_lost_a_mode_for_good_is_named_beside_what_holds(mode: Mode) -> None:
    early, late = (Entry(OrderKey("market", name), Rank(1, at), Interval(0, 99), mode) for at, name in enumerate("ab"))
    ruling = settle({Slot("market", 7, mode.function): [early, late]}, (), GROUND, 0).ruling(mode.function)
    assert ruling is not None
    assert (ruling.binding, ruling.beaten, ruling.mode) == (late.key, (early.key,), mode)


def test_a_mode_that_is_over_gives_the_quantity_back() -> None:
    over = {Slot("dso", LEVELS["dso"], F.REACTIVE_POWER): [entry("dso", VOLT_VAR, 0, 5)]}
    waits = {Slot("home", LEVELS["home"], F.REACTIVE_POWER): [entry("home", PF, 0, 9)]}
    assert of_reactive(settle({**over, **waits}, (), GROUND, 4)).mode == VOLT_VAR
    assert of_reactive(settle({**over, **waits}, (), GROUND, 5)).mode == PF
