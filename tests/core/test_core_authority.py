"""Who may say what, here: every way in which an order is accepted, accepted in part or refused (A1 to A6)."""

import pytest
from core_world import CORNER, DSO, GRANTS, MARKET, STREET, TSO, Player, export, house, order, site, target, told

from gateway.core.authority import (
    ANY_SIZE,
    TIMES_RATED,
    Accepted,
    Refused,
    judge,
    judge_freshness,
    judge_size,
    judge_version,
)
from gateway.core.events import DefaultHeard, Topic
from gateway.core.functions import Function
from gateway.core.ground import authority
from gateway.core.modes import TargetVar
from gateway.core.orders import Ceiling, Connect, Default, Effect, Energize, Floor, Release
from gateway.core.parties import Grant, Level
from gateway.core.units import Share, Watts

ALL = (house(1), house(2), house(3))
PART = (Grant(DSO, "envelope", Level.CONNECTION, (*Function,), CORNER),)
HELD = {(name, function): 3_000 for name in ALL for function in (Function.EXPORT_LIMIT, Function.GENERATION_LIMIT)} | {
    (name, Function.IMPORT_LIMIT): -3_000 for name in ALL
}


def judged(issuer: str, effects: Effect | tuple[Effect, ...], grants: tuple[Grant, ...] = GRANTS) -> Accepted | Refused:
    return judge(order("a", effects, 0, 10, issuer=issuer), ALL, authority(site(grants=grants)), HELD)


@pytest.mark.parametrize(
    ("issuer", "effect", "rule"),
    [
        pytest.param("stranger", export(0), "A1", id="an unknown party"),
        pytest.param(MARKET, export(0), "A2", id="a limit from beside"),
        pytest.param(TSO, Floor(Function.LOAD_LIMIT, Watts(0)), "A2", id="a floor from beyond"),
        pytest.param(TSO, Release(Function.ACTIVE_POWER), "A2", id="a release from beyond"),
        pytest.param(MARKET, Energize(on=False), "A2", id="energize from beside, even off"),
        pytest.param(TSO, Connect(on=False), "A6", id="no grant for the function"),
        pytest.param(MARKET, target(100), "A4", id="a set-point past the grant"),
        pytest.param(MARKET, Connect(on=True), "A4", id="reconnection past the grant"),
    ],
)
def test_refused_whole(issuer: str, effect: Effect, rule: str) -> None:
    verdict = judged(issuer, effect)
    assert isinstance(verdict, Refused)
    assert verdict.rule == rule
    assert verdict.why


@pytest.mark.parametrize(
    ("issuer", "effect"),
    [
        (DSO, export(99_999)),
        (DSO, Release(Function.EXPORT_LIMIT)),
        (DSO, Energize(on=True)),
        (DSO, target(100)),
        (TSO, target(-100)),
    ],
)
def test_accepted_whole(issuer: str, effect: Effect) -> None:
    assert judged(issuer, effect) == Accepted(dict.fromkeys(ALL, (effect,)), {})


@pytest.mark.parametrize(
    ("effect", "acts"),
    [
        pytest.param(export(2_999), True, id="a lower ceiling"),
        pytest.param(export(3_000), True, id="an equal ceiling"),
        pytest.param(export(3_001), False, id="a higher ceiling"),
        pytest.param(Floor(Function.IMPORT_LIMIT, Watts(-2_999)), True, id="a higher floor"),
        pytest.param(Floor(Function.IMPORT_LIMIT, Watts(-3_001)), False, id="a lower floor"),
        pytest.param(Ceiling(Function.RATING_LIMIT, Watts(9_999)), True, id="a limit where none is"),
        pytest.param(Ceiling(Function.RATING_LIMIT, Share(10_000)), True, id="a share where no limit is"),
        pytest.param(Ceiling(Function.EXPORT_LIMIT, Share(1)), False, id="a share against a limit"),
        pytest.param(Floor(Function.IMPORT_LIMIT, Share(-1)), False, id="a share of charge against a limit"),
        pytest.param(Connect(on=False), True, id="disconnect"),
        pytest.param(Connect(on=True), False, id="reconnect"),
        pytest.param(Energize(on=False), True, id="cease to energize"),
        pytest.param(Energize(on=True), False, id="energize"),
        pytest.param(Release(Function.EXPORT_LIMIT), False, id="a release"),
        pytest.param(target(0), False, id="a set-point"),
    ],
)
def test_past_its_grant_only_what_restricts_acts_and_only_inside(effect: Effect, acts: bool) -> None:
    verdict = judged(DSO, effect, PART)
    if not acts:
        assert isinstance(verdict, Refused)
        assert verdict.rule == "A4"
        return
    assert isinstance(verdict, Accepted)
    assert verdict.effects == dict.fromkeys(ALL[:2], (effect,))
    assert [(name, why.rule) for name, why in verdict.refused.items()] == [(ALL[2], "A6")]


def test_one_loosening_effect_past_the_grant_refuses_the_restricting_one_too() -> None:
    verdict = judged(DSO, (export(0), target(100)), PART)
    assert isinstance(verdict, Refused)
    assert verdict.rule == "A4"


def test_effects_of_one_order_are_granted_one_by_one() -> None:
    grants = (*PART, Grant(DSO, "street", Level.CONNECTION, (Function.EXPORT_LIMIT,), STREET))
    verdict = judged(DSO, (export(0), Connect(on=False)), grants)
    assert isinstance(verdict, Accepted)
    assert verdict.effects == {
        ALL[0]: (export(0), Connect(on=False)),
        ALL[1]: (export(0), Connect(on=False)),
        ALL[2]: (export(0),),
    }
    assert verdict.refused == {}


@pytest.mark.parametrize(
    ("effect", "rated_w", "believed"),
    [
        pytest.param(export(ANY_SIZE), (1,), True, id="what any connection point may serve"),
        pytest.param(export(ANY_SIZE + 1), (1,), False, id="more than that, over a small DER"),
        pytest.param(export(-ANY_SIZE - 1), (1,), False, id="the same below zero"),
        pytest.param(target(50_000 * TIMES_RATED), (20_000, 30_000), True, id="as many times the rating as may be"),
        pytest.param(target(50_000 * TIMES_RATED + 1), (20_000, 30_000), False, id="one more"),
        pytest.param(Floor(Function.IMPORT_LIMIT, Watts(-(10**13))), (5_000,), False, id="a floor"),
        pytest.param(TargetVar(10**13), (5_000,), False, id="reactive power"),
        pytest.param(export(10**13), (), True, id="nothing is rated there yet"),
        pytest.param(Ceiling(Function.RATING_LIMIT, Share(10_000)), (1,), True, id="a share"),
        pytest.param(Connect(on=True), (1,), True, id="a switch"),
    ],
)
def test_a_power_of_thousands_of_times_the_rating_is_refused(
    effect: Effect, rated_w: tuple[int, ...], believed: bool
) -> None:
    refused = judge_size((Connect(on=False), effect), rated_w)
    assert (refused is None) is believed
    if refused is not None:
        assert (refused.rule, "check its multiplier" in refused.why) == ("A6", True)


@pytest.mark.parametrize(
    ("created_ms", "fresh"), [(0, True), (10_000, True), (310_000, True), (310_001, False), (10**12, False)]
)
def test_what_was_created_later_than_now_and_the_tolerance_is_refused(created_ms: int, fresh: bool) -> None:
    refused = judge_freshness(created_ms, 10_000, 300_000)
    assert (refused is None) is fresh
    if refused is not None:
        assert refused.rule == "A5"


@pytest.mark.parametrize(("held", "version", "taken"), [(None, 0, True), (1, 2, True), (1, 1, False), (1, 0, False)])
def test_only_a_newer_version_takes_the_place_of_the_one_held(held: int | None, version: int, taken: bool) -> None:
    before = None if held is None else order("a", export(1), 0, 10, version=held)
    refused = judge_version(before, order("a", export(2), 0, 10, version=version))
    assert (refused is None) is taken
    if refused is not None:
        assert refused.rule == "A5"


def test_a_default_without_any_grant_is_refused_and_not_held() -> None:
    player = Player().start()
    refused = told(player.feed(1, DefaultHeard(Default(TSO, "d", STREET, 1, (export(100),)))), Topic.REFUSED)
    assert [(one.rule, one.order) for one in refused] == [("A6", "tso/d")]
    assert player.machine.state.defaults.get(STREET, {}) == {}


def test_what_is_granted_somewhere_is_listed_by_name_and_of_that_party_alone() -> None:
    grants = (
        Grant(DSO, "flexibility", Level.DSO_FLEXIBILITY, (Function.ACTIVE_POWER,), STREET),
        Grant(DSO, "envelope", Level.CONNECTION, (Function.EXPORT_LIMIT,), CORNER),
        Grant(MARKET, DSO, Level.MARKET, (Function.ACTIVE_POWER,), STREET),
    )
    granted = authority(site(grants=grants))
    assert granted.granted_at(DSO, house(1)) == "granted there: envelope, flexibility"
    assert granted.granted_at(DSO, house(3)) == "granted there: flexibility"
    assert granted.granted_at(TSO, house(1)) == "granted there: nothing"
