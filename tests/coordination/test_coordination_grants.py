"""Grants follow from the control flows of the model, and from nothing else."""

import tomllib
from typing import Any

import pytest
from skeletons import AGGREGATOR, DER, DSO, FOUR, SHIPPED, TSO, architecture, entity, flow, shipped, skeleton

from gateway.coordination.grants import Member, Service, derive, services, standings
from gateway.coordination.skeleton import Skeleton, SkeletonFault
from gateway.core.functions import Function
from gateway.core.parties import Grant, Level, Tier

TABLE = (SHIPPED.parent / "dso" / "services.toml").read_text(encoding="utf-8")
OFFERED: tuple[Service, ...] = services(tomllib.loads(TABLE))


def members(made: Skeleton) -> list[Member]:
    return [Member(f"p-{each.id}", each.id, each.tier, "street") for each in made.entities if each.role != "der"]


def granted(made: Skeleton) -> dict[str, list[str]]:
    found = derive(made, members(made), OFFERED)
    assert not isinstance(found, SkeletonFault), found
    by_party: dict[str, list[str]] = {}
    for each in found:
        by_party.setdefault(each.party.removeprefix("p-"), []).append(each.service)
    return by_party


MODELS = {each["id"]: each for each in shipped()}
PARENT = ["emergency", "envelope", "reliability", "flexibility"]


@pytest.mark.parametrize(
    ("model", "right"),
    [
        ("tso-managed", {"tso": ["bulk-reliability"], "dso": ["emergency", "envelope"]}),
        (
            "hybrid-pre-validated",
            {"tso": ["bulk-reliability"], "dso": ["emergency", "envelope"], "aggregator": ["market"]},
        ),
        ("hybrid-dso-buys", {"tso": ["bulk-reliability"], "dso": PARENT, "aggregator": ["market"]}),
        ("dso-managed", {"dso": PARENT}),
        ("dso-managed-aggregator", {"dso": PARENT}),
        ("dso-managed-local-market", {"dso": PARENT}),
        ("dso-managed-tso-target", {"dso": PARENT}),
        ("idso", {"idso": PARENT, "asset-owner": ["local-safety", "emergency"]}),
    ],
)
def test_the_grants_of_the_models(model: str, right: dict[str, list[str]]) -> None:
    assert granted(skeleton(MODELS[model])) == right


def test_a_grant_has_the_level_and_functions_of_its_service_and_the_group_of_its_party() -> None:
    made = skeleton(MODELS["hybrid-dso-buys"])
    found = derive(made, [Member("iso", "tso", Tier.BULK, "roofs")], OFFERED)
    assert found == (Grant("iso", "bulk-reliability", Level.BULK_RELIABILITY, (Function.ACTIVE_POWER,), "roofs"),)


def test_nobody_above_or_beside_the_parent_gets_a_limit() -> None:
    for raw in shipped():
        made = skeleton(raw)
        found = derive(made, members(made), OFFERED)
        assert not isinstance(found, SkeletonFault), found
        for each in found:
            entity_of = made.entity(each.party.removeprefix("p-"))
            if entity_of.tier is Tier.BULK:
                assert each.functions == (Function.ACTIVE_POWER,)


def tried(*flows: dict[str, Any], extra: tuple[dict[str, Any], ...] = ()) -> Skeleton:
    return skeleton(architecture([*FOUR, *extra], [flow("dso", "aggregator"), *flows], serves="dso"))


def test_without_a_control_flow_there_is_no_grant_and_the_reason_is_told() -> None:
    made = tried(flow("dso", "der"), flow("tso", "aggregator", "market"), flow("tso", "aggregator", "data"))
    assert granted(made) == {"dso": PARENT}
    found = standings(made, members(made), OFFERED)
    assert not isinstance(found, SkeletonFault), found
    reasons = {each.party: each.why for each in found}
    assert reasons["p-dso"] == ""
    assert "no control flow goes from tso to a customer" in reasons["p-tso"]
    assert "no control flow goes from aggregator" in reasons["p-aggregator"]


def test_each_grant_names_its_flow() -> None:
    made = tried(flow("tso", "der"), flow("aggregator", "der"))
    found = standings(made, members(made), OFFERED)
    assert not isinstance(found, SkeletonFault), found
    flows = {each.grant.service: str(each.flow) for standing in found for each in standing.derived}
    assert flows["bulk-reliability"] == "tso -> der (control)"
    assert flows["market"] == "aggregator -> der (control)"
    assert flows["reliability"] == "dso -> aggregator (control)"


def test_services_on_a_flow_narrow_what_it_grants() -> None:
    only = flow("tso", "der", services=["market"])
    assert "tso" not in granted(tried(flow("aggregator", "der"), only))
    assert granted(tried(flow("aggregator", "der"), flow("tso", "der")))["tso"] == ["bulk-reliability"]


def test_a_customer_of_another_dso_is_not_this_gateways() -> None:
    other = entity("other", "distribution", "dso")
    theirs = entity("theirs", "customer", "aggregator")
    flows = [flow("aggregator", "der"), flow("other", "theirs"), flow("tso", "theirs")]
    assert granted(tried(*flows, extra=(other, theirs))) == {"dso": PARENT, "aggregator": ["market"]}


def test_a_customer_limits_its_own_group() -> None:
    house = entity("house", "customer", "building")
    made = tried(flow("aggregator", "house"), flow("house", "der"), extra=(house,))
    found = derive(made, [Member("home", "house", Tier.CUSTOMER, "own")], OFFERED)
    assert isinstance(found, tuple)
    assert [(each.service, each.level, each.group) for each in found] == [("customer", Level.CUSTOMER, "own")]
    assert Function.LOAD_LIMIT in found[0].functions
    assert Function.ENERGIZE not in found[0].functions


@pytest.mark.parametrize(
    ("serves", "who", "what"),
    [
        (None, [], "nothing says whom the gateway serves"),
        ("tso", [], "at or below the distribution tier"),
        ("dso", [("a", "dso", Tier.DISTRIBUTION), ("b", "dso", Tier.DISTRIBUTION)], "A2: one limit parent"),
        ("dso", [("a", "dos", Tier.DISTRIBUTION)], 'no entity has the id "dos"'),
        ("dso", [("a", "tso", Tier.DISTRIBUTION)], 'is of tier "distribution"'),
    ],
)
def test_what_does_not_fit_together_is_a_fault(serves: str | None, who: list[tuple[str, str, Tier]], what: str) -> None:
    raw = architecture([TSO, DSO, AGGREGATOR, DER], [flow("dso", "der")])
    made = skeleton(raw | ({"serves": serves} if serves else {}))
    found = derive(made, [Member(*each, "street") for each in who], OFFERED)
    assert isinstance(found, SkeletonFault)
    assert what in found.what


def test_a_service_that_nobody_offers_is_a_fault() -> None:
    made = tried(flow("aggregator", "der", services=["markt"]))
    found = derive(made, members(made), OFFERED)
    assert isinstance(found, SkeletonFault)
    assert (found.wrong, "market" in found.known) == ("markt", True)


@pytest.mark.parametrize("raw", [{}, {"service": []}, {"service": [{"name": "x"}]}])
def test_a_table_of_services_has_to_be_whole(raw: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="service"):
        services(raw)


def test_no_service_of_the_shipped_table_gives_protection_away() -> None:
    assert [one.name for one in OFFERED if Function.RIDE_THROUGH in one.functions] == []
    assert [one.name for one in OFFERED if Function.REACTIVE_POWER in one.functions] == ["reliability"]
