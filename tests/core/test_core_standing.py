"""Who may limit beside the limit parent, who skips a tier, and what a grant for a service is worth (A2, A3, A6, B)."""

from dataclasses import replace

import pytest
from core_world import DSO, MARKET, TSO, export, house, order, target

from gateway.core.authority import Accepted, Authority, Refused, judge, may_limit
from gateway.core.functions import Function
from gateway.core.orders import Connect, Effect, Energize, Release
from gateway.core.parties import Level, Party, Tier

F = Function
HOUSE = (house(1),)
LOCK, ABROAD = "lock", "abroad"
PARTIES = {
    party.name: party
    for party in (
        Party(DSO, Tier.DISTRIBUTION, limit_parent=True, rank=0),
        Party(TSO, Tier.BULK, limit_parent=False, rank=1),
        Party(MARKET, Tier.CUSTOMER, limit_parent=False, rank=2),
        Party(LOCK, Tier.DISTRIBUTION, limit_parent=False, rank=3),
        Party(ABROAD, Tier.BULK, limit_parent=False, rank=4),
    )
}


def authority(**levels: int) -> Authority:
    """Every party but one has every function at its level, for a service of its own name."""
    return Authority(
        PARTIES,
        {(name, function): frozenset(HOUSE) for name in levels for function in F},
        {(name, function): level for name, level in levels.items() for function in F},
        {(name, name, function): frozenset(HOUSE) for name in levels for function in F},
    )


def judged(issuer: str, effect: Effect, granted: Authority, service: str = "") -> str:
    """Give the rule by which an order is refused, or nothing."""
    asked = replace(order("a", effect, 0, 10, issuer=issuer), service=service)
    verdict = judge(asked, HOUSE, granted, {})
    return verdict.rule if isinstance(verdict, Refused) else ""


EMERGENCY, CONNECTION = Level.EMERGENCY, Level.CONNECTION


@pytest.mark.parametrize(
    ("issuer", "level", "effect", "may"),
    [
        (LOCK, Level.LOCAL_SAFETY, export(0), True),
        (LOCK, EMERGENCY, Energize(on=False), True),
        (LOCK, EMERGENCY, Release(F.EXPORT_LIMIT), True),
        (LOCK, CONNECTION, export(0), False),
        (MARKET, Level.CUSTOMER, export(0), True),
        (MARKET, Level.CUSTOMER, Release(F.EXPORT_LIMIT), True),
        (MARKET, Level.CUSTOMER, Energize(on=False), False),
        (MARKET, EMERGENCY, Energize(on=False), True),
        (TSO, Level.BULK_RELIABILITY, export(0), False),
        (TSO, Level.LOCAL_SAFETY, export(0), False),
    ],
)
def test_who_may_limit_beside_the_parent(issuer: str, level: Level, effect: Effect, may: bool) -> None:
    assert may_limit(effect, PARTIES[issuer], authority(**{issuer: level})) is may
    assert judged(issuer, effect, authority(**{issuer: level})) == ("" if may else "A2")


def test_without_a_grant_for_the_function_nobody_limits() -> None:
    assert not may_limit(export(0), PARTIES[LOCK], authority(dso=1))
    assert judged(MARKET, export(0), authority(dso=3)) == "A2"


@pytest.mark.parametrize("effect", [target(1), Connect(on=False)])
def test_who_has_no_flow_from_the_bulk_tier_skips_a_tier(effect: Effect) -> None:
    assert judged(ABROAD, effect, authority(tso=5)) == "A2"
    assert judged(TSO, effect, authority(tso=5)) == ""
    assert judged(LOCK, effect, authority(tso=5)) == "A6"


@pytest.mark.parametrize(("service", "rule"), [("", ""), (DSO, ""), (TSO, "A6"), ("unheard-of", "A6")])
def test_a_service_is_granted_by_its_name(service: str, rule: str) -> None:
    assert judged(DSO, export(0), authority(dso=3, tso=5), service) == rule


def test_a_refusal_names_the_service_where_one_is_named() -> None:
    asked = replace(order("a", export(0), 0, 10), service="unheard-of")
    verdict = judge(asked, HOUSE, authority(dso=3), {})
    assert isinstance(verdict, Refused)
    assert verdict.why == f"{DSO} holds no grant for export-limit as unheard-of at {HOUSE[0]}; granted there: {DSO}"
    plain = judge(order("a", export(0), 0, 10), HOUSE, authority(tso=5), {})
    assert isinstance(plain, Refused)
    assert plain.why == f"{DSO} holds no grant for export-limit at {HOUSE[0]}; granted there: nothing"


def test_an_authority_that_knows_no_services_grants_none_by_name() -> None:
    bare = Authority(PARTIES, {(DSO, F.EXPORT_LIMIT): frozenset(HOUSE)})
    assert bare.resources(DSO, "", F.EXPORT_LIMIT) == frozenset(HOUSE)
    assert bare.resources(DSO, "envelope", F.EXPORT_LIMIT) == frozenset()
    assert bare.resources(DSO, "", F.CONNECT) == frozenset()
    assert judge(order("a", export(0), 0, 10), HOUSE, bare, {}) == Accepted({HOUSE[0]: (export(0),)}, {})
