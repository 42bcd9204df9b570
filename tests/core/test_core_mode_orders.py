"""Orders of modes through the machine: commanded, beaten, suspended, released, read back, not carried (C5 to C15)."""

from dataclasses import replace

import pytest
from core_world import (
    CORNER,
    MARKET,
    TSO,
    Player,
    adopt,
    adopt_all,
    curve,
    export,
    house,
    order,
    plain,
    told,
    writes,
)

from gateway.core.answers import Kind
from gateway.core.events import Adopted, Effect, Observed, Topic
from gateway.core.functions import Function
from gateway.core.known import Known, Reading, Unknown
from gateway.core.modes import CurveKind, Displacement, FixedVar, Mode, PowerFactor, RideThrough, TargetVar, VarBase
from gateway.core.observe import Verdict, verify_var
from gateway.core.orders import Each, Order, OrderKey, Release
from gateway.core.plan import Command
from gateway.core.state import State
from gateway.store.codec import Unpacker, pack_shared

F = Function
VOLT_VAR = curve(CurveKind.VOLT_VAR, 4_400, 0, 0, -4_400)
VOLT_WATT = curve(CurveKind.VOLT_WATT, 10_000, 0)
PF = PowerFactor(Displacement(9_500, absorbs=True), None)
ROOF = "roof-10"
NO_MODEL = ((F.REACTIVE_POWER, "it has no model 705"),)


def command(player: Player, device: str = ROOF) -> Command:
    found = player.machine.state.devices[device].command
    assert found is not None
    return found


def adopt_without(player: Player, now_s: int, *cannot: tuple[Function, str], device: str = ROOF) -> None:
    player.feed(now_s, Adopted(device, player.machine.state.devices[device].serial, cannot))


def last(player: Player, name: str) -> tuple[Kind, str, bool]:
    answer = player.answers(name, house(1))[-1]
    return answer.kind, answer.rule, answer.unserved


def weak(name: str, mode: Mode, start_s: int, end_s: int) -> Order:
    return order(name, mode, start_s, end_s, issuer=MARKET, scope=Each(CORNER))


def test_a_mode_reaches_the_device_beside_the_limit_and_leaves_with_its_order() -> None:
    player = Player().start()
    before = command(player)
    player.hear(5, order("vv", VOLT_VAR, 10, 50))
    player.tick(10)
    assert command(player)._replace(basis=before.basis) == before._replace(modes=(VOLT_VAR,))
    assert command(player).basis == (*before.basis, OrderKey("dso", "vv"))
    (ruled,) = [one for one in told(player.effects, Topic.RULED) if one.function == "reactive-power" and one.names]
    assert (ruled.effect, ruled.order, ruled.names[0]) == (
        "volt-var of 4 points (90/44 91/0 92/0 93/-44)",
        "dso/vv",
        house(1),
    )
    assert any("volt-var of 4 points" in one.effect for one in told(player.effects, Topic.COMMANDED))
    adopt_all(player, 12)
    player.tick(50)
    assert command(player).modes == ()
    assert player.kinds("vv") == [(5, Kind.RECEIVED), (10, Kind.STARTED), (50, Kind.COMPLETED)]


@pytest.mark.parametrize("mode", [VOLT_VAR, VOLT_WATT, RideThrough((curve(CurveKind.HV_MUST_TRIP, 1, 2),))])
def test_a_mode_never_moves_a_limit(mode: Mode) -> None:
    plainly, moded = Player().start(), Player().start()
    for player in (plainly, moded):
        player.hear(5, order("cap", export(2_000), 10, 50))
    moded.hear(6, order("mode", mode, 8, 60))
    for second in (8, 10, 30, 50, 60, 70):
        plainly.tick(second)
        moded.tick(second)
        for name in plainly.machine.state.devices:
            bare, other = command(plainly, name), command(moded, name)
            assert other._replace(modes=(), basis=bare.basis) == bare


def test_a_new_mode_alone_is_written_even_where_nobody_says_how_fast() -> None:
    player = Player().start()
    player.hear(1, order("one", VOLT_VAR, 10, 90))
    player.tick(10)
    adopt_all(player, 11)
    player.hear(12, order("two", PF, 20, 90, created_s=1))
    written = [one for one in writes(player.tick(20)) if one.cleared.command.device == ROOF]
    assert [one.cleared.command.modes for one in written] == [(PF,)]
    assert player.kinds("one")[-1] == (20, Kind.SUPERSEDED)


def test_an_order_superseded_in_its_mode_keeps_its_limit() -> None:
    player = Player().start()
    player.hear(1, order("both", (VOLT_VAR, export(1_000)), 10, 60))
    player.hear(2, order("pf", PF, 20, 40, created_s=1))
    player.tick(20)
    assert (command(player).modes, command(player).limit_w) == ((PF,), 1_000)
    adopt_all(player, 21)
    player.tick(40)
    assert command(player).modes == (), "what was lost is lost for good (C6)"
    player.tick(60)
    assert player.terminal("both") == [(60, Kind.COMPLETED)]
    assert player.terminal("pf") == [(40, Kind.COMPLETED)]


def test_a_weaker_partys_mode_waits_and_resumes() -> None:
    player = Player().start()
    player.hear(1, weak("pf", PF, 5, 60))
    player.hear(2, order("vv", VOLT_VAR, 20, 40))
    for second, modes in ((5, (PF,)), (20, (VOLT_VAR,)), (40, (PF,)), (60, ())):
        player.tick(second)
        assert command(player).modes == modes
        adopt_all(player, second)
    kinds = [Kind.RECEIVED, Kind.STARTED, Kind.SUSPENDED, Kind.PARTIAL]
    assert player.kinds("pf") == list(zip((1, 5, 20, 60), kinds, strict=True))
    assert player.answers("pf", house(1))[2].why == "suspended by dso/vv"


def test_a_default_mode_holds_around_orders_and_after_a_release() -> None:
    player = Player().start()
    player.default(1, "standing", VOLT_VAR)
    assert (command(player).modes, command(player).basis[-1]) == ((VOLT_VAR,), OrderKey("dso", "standing"))
    player.hear(2, order("pf", PF, 10, 60))
    player.hear(3, order("release", Release(F.REACTIVE_POWER), 20, 40, created_s=1))
    for second, modes in ((10, (PF,)), (20, (VOLT_VAR,)), (40, (VOLT_VAR,))):
        player.tick(second)
        assert command(player).modes == modes
    assert player.terminal("pf") == [(20, Kind.SUPERSEDED)]


@pytest.mark.parametrize(
    ("effects", "rule", "why"),
    [
        ((export(1), curve(CurveKind.VOLT_VAR, 1)), "A6", "volt-var of 1 points; give 2 to 10"),
        ((VOLT_VAR, PF), "C5", "reactive-power stands there twice and moves one quantity; give one mode for it"),
    ],
)
def test_a_faulty_mode_is_refused_whole_in_one_line(effects: tuple[Mode, ...], rule: str, why: str) -> None:
    player = Player().start()
    before = command(player)
    player.hear(5, order("bad", effects, 10, 50))
    (answer,) = player.answers("bad", house(1))
    assert (answer.kind, answer.rule, answer.why) == (Kind.REFUSED, rule, why)
    player.default(6, "bad", *effects)
    (refused,) = [one for one in told(player.effects, Topic.REFUSED) if one.rule == rule and one.at_ms == 6_000]
    assert refused.why == why
    player.tick(20)
    assert command(player) == before
    assert player.machine.state.defaults["street"] == {}


def test_who_holds_no_grant_for_a_mode_is_refused() -> None:
    player = Player().start()
    player.hear(5, order("vv", VOLT_VAR, 10, 50, issuer=TSO))
    assert last(player, "vv")[:2] == (Kind.REFUSED, "A6")


# -- read back, and not carried


def test_a_mode_is_proven_by_its_read_back() -> None:
    player = Player().start()
    player.hear(5, order("read", VOLT_VAR, 10, 30))
    player.hear(5, order("unread", VOLT_VAR, 40, 60))
    player.tick(10)
    adopt(player, 12, ROOF)
    player.tick(40)
    player.tick(60)
    assert last(player, "read") == (Kind.COMPLETED, "C15", False)
    assert last(player, "unread") == (Kind.CANNOT, "C15", True)
    assert player.answers("unread", house(1))[-1].why == "no device adopted it before its end"


def test_an_order_of_which_nothing_is_carried_is_told_at_once_and_unserved_at_its_end() -> None:
    player = Player().start()
    player.hear(5, order("vv", VOLT_VAR, 10, 30))
    player.tick(10)
    adopt_without(player, 12, *NO_MODEL)
    why = "roof-10 cannot carry reactive-power: it has no model 705"
    assert player.machine.state.devices[ROOF].adopted
    assert [(one.kind, one.rule, one.why) for one in player.answers("vv", house(1))[2:]] == [
        (Kind.UNCARRIED, "C15", why)
    ]
    (record,) = told(player.effects, Topic.NOT_ADOPTED)
    assert (record.order, record.names, record.function, record.why) == (
        "dso/vv",
        (ROOF,),
        "reactive-power",
        "it has no model 705",
    )
    assert command(player).modes == (VOLT_VAR,)
    player.tick(30)
    assert last(player, "vv") == (Kind.CANNOT, "C15", True)
    assert player.answers("vv", house(1))[-1].why == why


@pytest.mark.parametrize("kept", [export(1_000), export(8_000), VOLT_WATT])
def test_an_order_that_keeps_another_function_is_served_in_part(kept: Mode) -> None:
    player = Player().start()
    player.hear(5, order("both", (VOLT_VAR, kept), 10, 30))
    player.tick(10)
    adopt_without(player, 12, *NO_MODEL)
    player.tick(30)
    kinds = [Kind.RECEIVED, Kind.STARTED, Kind.UNCARRIED, Kind.PARTIAL]
    assert player.kinds("both") == list(zip((5, 10, 12, 30), kinds, strict=True))
    assert last(player, "both")[1] == "C15"


def test_what_one_device_carries_and_another_cannot_is_served_in_part() -> None:
    player = Player().start()
    player.hear(5, order("vv", VOLT_VAR, 10, 30))
    player.tick(10)
    adopt(player, 12, "roof-20")
    adopt_without(player, 13, *NO_MODEL, device="roof-21")
    player.tick(30)
    assert player.terminal("vv", house(2)) == [(30, Kind.PARTIAL)]
    assert player.answers("vv", house(2))[-1].why == "roof-21 cannot carry reactive-power: it has no model 705"


def test_only_whose_mode_it_is_is_told_and_only_once() -> None:
    player = Player().start()
    player.hear(5, order("vv", VOLT_VAR, 10, 60))
    player.hear(5, order("vw", VOLT_WATT, 10, 60))
    player.tick(10)
    adopt_without(player, 12, *NO_MODEL)
    adopt_without(player, 13, *NO_MODEL)
    player.hear(14, order("cap", export(2_000), 20, 40))
    player.tick(20)
    adopt_without(player, 21, *NO_MODEL)
    assert [one for one in player.kinds("vw") if one[1] is Kind.UNCARRIED] == []
    assert [one for one in player.kinds("vv") if one[1] is Kind.UNCARRIED] == [(12, Kind.UNCARRIED)]
    assert len(told(player.effects, Topic.NOT_ADOPTED)) == 1


def test_what_is_carried_after_all_is_served_whole() -> None:
    player = Player().start()
    player.hear(5, order("vv", VOLT_VAR, 10, 30))
    player.tick(10)
    adopt_without(player, 12, *NO_MODEL)
    adopt_without(player, 20)
    player.tick(30)
    assert last(player, "vv") == (Kind.COMPLETED, "C15", False)


def test_a_default_that_is_not_carried_is_told_once() -> None:
    player = Player().start()
    player.default(1, "standing", VOLT_VAR)
    adopt_without(player, 2, *NO_MODEL)
    adopt_without(player, 3, *NO_MODEL)
    (record,) = told(player.effects, Topic.NOT_ADOPTED)
    assert (record.order, record.effect) == ("dso/standing", "left as it was")


def test_power_is_not_held_against_an_order_of_a_mode() -> None:
    player = Player().start()
    player.hear(5, replace(order("vv", VOLT_VAR, 10, 60), ramp_ms=30_000))
    player.tick(10)
    assert command(player).ramp_ms is None, "the ramp of a mode's order is not that of the limit"
    adopt(player, 12, ROOF)
    assert player.machine.state.devices[ROOF].verify_at_ms == 12_000 + 30_000 + 10_000
    assert command(player).power_basis == (OrderKey("site", "last-resort"),)


def test_a_restart_in_the_middle_of_a_mode_changes_nothing() -> None:
    first, second = Player().start(), Player().start()
    for player in (first, second):
        player.hear(5, order("vv", (VOLT_VAR, VOLT_WATT, export(900)), 10, 30))
        player.hear(6, weak("pf", TargetVar(-70), 10, 60))
        player.tick(10)
        adopt_without(player, 12, *NO_MODEL)
    second.machine = type(second.machine)(Unpacker().unpack_shared(pack_shared(second.machine.state), State))
    assert second.machine.state == first.machine.state
    for now_s in (30, 60, 70):
        assert plain(first.tick(now_s)) == plain(second.tick(now_s))


# -- measured


@pytest.mark.parametrize(
    ("mode", "power_w", "reactive_var", "verdict"),
    [
        (TargetVar(-1_000), 3_000, -1_000, Verdict.OBEYED),
        (TargetVar(-1_000), 3_000, -1_250, Verdict.OBEYED),
        (TargetVar(-1_000), 3_000, -1_251, Verdict.DISOBEYED),
        (TargetVar(-1_000), 3_000, -749, Verdict.HINDERED),
        (TargetVar(-1_000), 3_000, -750, Verdict.OBEYED),
        (TargetVar(-1_000), 3_000, 250, Verdict.HINDERED),
        (TargetVar(-1_000), 3_000, 251, Verdict.DISOBEYED),
        (TargetVar(1_000), 3_000, -251, Verdict.DISOBEYED),
        (TargetVar(1_000), None, 1_000, Verdict.OBEYED),
        (TargetVar(1_000), 3_000, None, Verdict.UNSEEN),
        (FixedVar(VarBase.MAX_W, 4_400), 3_000, 2_200, Verdict.OBEYED),
        (FixedVar(VarBase.MAX_W, 4_400), 3_000, 2_451, Verdict.DISOBEYED),
        (FixedVar(VarBase.MAX_VAR, 4_400), 3_000, 9_999, None),
        (VOLT_VAR, 3_000, 9_999, None),
        (PF, 4_000, -1_314, Verdict.OBEYED),
        (PF, 4_000, -1_564, Verdict.OBEYED),
        (PF, 4_000, -1_565, Verdict.DISOBEYED),
        (PF, 4_000, -1_064, Verdict.HINDERED),
        (PF, 4_000, 251, Verdict.DISOBEYED),
        (PF, 0, 0, Verdict.OBEYED),
        (PF, 0, -251, Verdict.DISOBEYED),
        (PF, -4_000, 0, None),
        (PF, None, 0, Verdict.UNSEEN),
        (PF, 4_000, None, Verdict.UNSEEN),
        (PowerFactor(None, Displacement(9_000, absorbs=False)), -2_000, 968, Verdict.OBEYED),
        (PowerFactor(None, Displacement(9_000, absorbs=False)), -2_000, 1_219, Verdict.DISOBEYED),
    ],
)
def test_reactive_power_is_held_against_what_was_ordered_of_it(
    mode: Mode, power_w: int | None, reactive_var: int | None, verdict: Verdict | None
) -> None:
    proof = verify_var(mode, reading(power_w), reading(reactive_var), 5_000)
    assert (None if proof is None else proof.verdict) is verdict


def reading(value: int | None) -> Reading:
    return Unknown("not said", 0) if value is None else Known(value, 0)


def observe(player: Player, now_s: int, power_w: int, reactive_var: int) -> list[Effect]:
    return player.feed(now_s, Observed(ROOF, reading(power_w), reading(reactive_var), reading(None), None))


def test_a_target_of_var_is_proven_by_measurement_and_power_by_itself() -> None:
    player = Player().start()
    player.hear(5, order("var", TargetVar(-1_000), 10, 60))
    player.tick(10)
    adopt(player, 12, ROOF)
    observe(player, 15, 900, 500)
    assert told(player.effects, Topic.VERIFIED) == [], "not before it has settled"
    found = told(observe(player, 25, 900, 500), Topic.VERIFIED)
    assert [(one.order, one.function, one.effect, one.values) for one in found] == [
        ("site/last-resort", "", "obeyed", (900,)),
        ("dso/var", "reactive-power", "disobeyed", (500,)),
    ]
    assert told(observe(player, 26, 900, 501), Topic.VERIFIED) == [], "only what changes is told"
    player.tick(60)
    assert last(player, "var") == (Kind.CANNOT, "C15", True)
    assert player.answers("var", house(1))[-1].why == "501 var against the -1000 var ordered"


def test_less_var_than_ordered_is_obedience_and_what_is_not_carried_is_not_measured() -> None:
    player = Player().start()
    player.hear(5, order("var", TargetVar(-1_000), 10, 60))
    player.tick(10)
    adopt(player, 12, ROOF)
    found = told(observe(player, 25, 900, -10), Topic.VERIFIED)[-1]
    assert (found.effect, found.why) == ("hindered", "hindered (its own limits): -10 var against the -1000 var ordered")
    player.tick(60)
    assert last(player, "var") == (Kind.COMPLETED, "C15", False)
    player.hear(65, order("again", TargetVar(-1_000), 70, 90))
    player.tick(70)
    adopt_without(player, 71, *NO_MODEL)
    assert "reactive-power" not in [one.function for one in told(observe(player, 85, 900, 500), Topic.VERIFIED)]
