"""The verdicts: those of the source report, those that a change to a skeleton has to make, and what never improves."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reported import REPORTED, reported
from skeletons import (
    AGGREGATOR,
    DER,
    DSO,
    FOUR,
    TSO,
    Raw,
    architecture,
    entity,
    flow,
    improved,
    one_way,
    random_skeletons,
    renamed,
    shipped,
    skeleton,
    verdicts,
)

from gateway.coordination.assess import SCALES, assess
from gateway.coordination.compare import compare
from gateway.coordination.draw import draw

LAYERED = [flow("tso", "dso"), flow("dso", "aggregator"), flow("aggregator", "der")]


def causes(raw: Raw, name: str) -> list[str]:
    return [str(each) for each in assess(skeleton(raw)).verdict(name).causes]


@pytest.mark.parametrize("name", REPORTED)
def test_the_verdicts_of_the_report_come_out(name: str) -> None:
    found = verdicts(reported(name))
    wrong = {verdict: found[verdict] for verdict, right in REPORTED[name][1].items() if found[verdict] not in right}
    assert wrong == {}


@pytest.mark.parametrize("name", REPORTED)
def test_names_order_and_how_two_ways_are_written_do_not_matter(name: str) -> None:
    raw = reported(name)
    right = verdicts(raw)
    assert verdicts(renamed(raw)) == right
    assert verdicts(one_way(raw)) == right
    assert verdicts(raw | {"entity": raw["entity"][::-1], "flow": raw["flow"][::-1]}) == right


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random_skeletons(), st.data())
def test_a_bypassing_flow_never_improves_a_verdict(raw: Raw, data: st.DataObject) -> None:
    tiers = {each["id"]: each["tier"] for each in raw["entity"]}
    there = {(each["from"], each["to"], each["kind"]) for each in raw["flow"]}
    possible = [
        (sender, receiver, kind)
        for sender in tiers
        for receiver in tiers
        for kind in ("control", "market", "data")
        if {tiers[sender], tiers[receiver]} == {"bulk", "customer"} and (sender, receiver, kind) not in there
    ]
    if possible:
        added = flow(*data.draw(st.sampled_from(possible)), joint=data.draw(st.booleans()))
        overlap = data.draw(st.sampled_from((None, "same-der", "same-network", "none")))
        if overlap:
            added["overlap"] = overlap
        assert improved(verdicts(raw | {"flow": [*raw["flow"], added]}), verdicts(raw)) == []


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random_skeletons())
def test_any_skeleton_is_assessed_drawn_and_compared(raw: Raw) -> None:
    made = skeleton(raw)
    found = assess(made)
    for each in found.verdicts:
        assert each.value in SCALES[each.name]
        assert all(cause in made.flows for cause in each.causes)
    assert verdicts(renamed(raw)) == {each.name: each.value for each in found.verdicts}
    assert draw([made]).startswith("<svg")
    assert compare([made, made]).ids == ("tried", "tried (2)")


def test_a_flow_past_the_dso_is_named_as_the_cause() -> None:
    raw = architecture(FOUR, [*LAYERED, flow("tso", "der")])
    assert verdicts(architecture(FOUR, LAYERED))["layered"] == "yes"
    assert verdicts(raw) | {"layered": "partial", "tier_bypassing": "some", "bulk_exposure": "high"} == verdicts(raw)
    for name in ("layered", "tier_bypassing", "bulk_exposure"):
        assert causes(raw, name) == ["tso -> der (control)"]
    assert set(causes(raw, "hidden_coupling")) == {"tso -> der (control)", "aggregator -> der (control)"}


def test_readings_past_the_dso_are_told_apart_from_control() -> None:
    found = verdicts(architecture(FOUR, [*LAYERED, flow("der", "tso", "data")]))
    assert (found["data_bypassing"], found["tier_bypassing"], found["layered"]) == ("some", "none", "yes")


def test_every_flow_upward_and_downward_past_the_dso_counts() -> None:
    assert verdicts(architecture(FOUR, [*LAYERED, flow("aggregator", "tso")]))["tier_bypassing"] == "some"


@pytest.mark.parametrize(
    ("more", "grade"),
    [
        ([flow("tso", "dso", "data")], "large"),
        ([flow("tso", "dso")], "some"),
        ([flow("dso", "tso", "data", joint=True)], "none"),
        ([flow("dso", "aggregator", overlap="none")], "none"),
    ],
)
def test_hidden_coupling_is_graded_by_what_the_operators_have_between_them(more: list[Raw], grade: str) -> None:
    base = [flow("tso", "aggregator"), flow("aggregator", "der")]
    if not any(each["to"] == "aggregator" for each in more):
        base.append(flow("dso", "aggregator"))
    assert verdicts(architecture(FOUR, base + more))["hidden_coupling"] == grade


def test_two_controllers_without_operators_of_both_tiers_are_lightly_coupled() -> None:
    lse = entity("lse", "customer", "lse")
    raw = architecture([*FOUR, lse], [*LAYERED, flow("lse", "der")])
    assert verdicts(architecture([DSO, AGGREGATOR, lse, DER], [*LAYERED[1:], flow("lse", "der")]))[
        "hidden_coupling"
    ] == ("low")
    assert verdicts(raw)["hidden_coupling"] == "some"
    assert verdicts(architecture([*FOUR, lse], [*raw["flow"], flow("dso", "lse")]))["hidden_coupling"] == "none"


def test_a_coordinator_above_the_dso_does_not_coordinate_its_network() -> None:
    raw = architecture(FOUR, [flow("tso", "aggregator"), flow("tso", "der"), flow("aggregator", "der")])
    assert verdicts(raw)["hidden_coupling"] == "low"


def test_a_joint_flow_past_the_dso_excuses_nothing() -> None:
    flows = [flow("tso", "aggregator", joint=True), flow("tso", "der"), flow("aggregator", "der")]
    assert verdicts(architecture(FOUR, flows))["hidden_coupling"] == "low"


def test_a_loop_between_customers_is_no_second_controller() -> None:
    raw = architecture(FOUR, [*LAYERED[:2], flow("aggregator", "der", both=True)])
    assert verdicts(raw)["hidden_coupling"] == "none"
    assert verdicts(raw)["latency_cascading"] == verdicts(architecture(FOUR, LAYERED))["latency_cascading"]


def test_different_der_of_one_declared_network_are_coupled() -> None:
    entities = [DSO, AGGREGATOR, DER, entity("lse", "customer", "lse"), entity("ev", "customer", "der")]
    flows = [flow("aggregator", "der", overlap="same-network"), flow("lse", "ev", overlap="same-network")]
    assert verdicts(architecture(entities, flows))["hidden_coupling"] == "low"
    assert verdicts(architecture(entities, [*flows, flow("dso", "der")]))["hidden_coupling"] == "low"
    together = [*flows, flow("dso", "aggregator"), flow("dso", "lse")]
    assert verdicts(architecture(entities, together))["hidden_coupling"] == "none"
    apart = [{key: value for key, value in each.items() if key != "overlap"} for each in flows]
    assert verdicts(architecture(entities, apart))["hidden_coupling"] == "none"


def test_several_of_one_kind_on_the_same_der_need_a_coordinator() -> None:
    flows = [flow("tso", "aggregator"), flow("aggregator", "der", overlap="same-der")]
    assert verdicts(architecture(FOUR, flows))["hidden_coupling"] == "low"
    layered = [flow("tso", "dso"), flow("dso", "aggregator"), flows[1]]
    assert verdicts(architecture(FOUR, layered))["hidden_coupling"] == "none"


def test_several_dsos_each_with_their_own_customers_stay_layered() -> None:
    entities, flows = [TSO], []
    for side in ("north", "south"):
        names = [f"dso-{side}", f"agg-{side}", f"der-{side}"]
        entities += [
            entity(names[0], "distribution", "dso", "one"),
            entity(names[1], "customer", "aggregator"),
            entity(names[2], "customer", "der", "very-many"),
        ]
        flows += [flow("tso", names[0], joint=True, both=True), flow(names[0], names[1]), flow(names[1], names[2])]
    right = verdicts(architecture(FOUR, [flow("tso", "dso", joint=True, both=True), *LAYERED[1:]]))
    assert verdicts(architecture(entities, flows)) == right
    alone = [each for each in flows if {each["from"], each["to"]} != {"tso", "dso-south"}]
    found = verdicts(architecture(entities, alone))
    assert (found["coordination_gap"], found["layered"]) == (True, "partial")


def test_deeper_tiers_stay_layered_and_cascade() -> None:
    entities = [TSO, DSO, entity("grid", "customer", "microgrid"), entity("house", "customer", "building"), DER]
    flows = [flow("tso", "dso"), flow("dso", "grid"), flow("grid", "house"), flow("house", "der")]
    found = verdicts(architecture(entities, flows))
    assert (found["layered"], found["hidden_coupling"], found["latency_cascading"]) == ("yes", "none", "some")
    assert causes(architecture(entities, flows), "latency_cascading") == [
        "tso -> dso (control)",
        "dso -> grid (control)",
        "grid -> house (control)",
        "house -> der (control)",
    ]


def test_a_market_between_operators_leaves_the_gap() -> None:
    market = entity("exchange", "bulk", "market", "one")
    flows = [
        *LAYERED[1:],
        flow("tso", "aggregator"),
        flow("dso", "exchange", "market"),
        flow("exchange", "tso", "data"),
    ]
    assert verdicts(architecture([*FOUR, market], flows))["coordination_gap"] is True
    assert verdicts(architecture([*FOUR, market], [*flows, flow("dso", "tso", "data")]))["coordination_gap"] is False


def test_operators_that_drive_the_same_customers_need_a_direct_flow() -> None:
    second = entity("second", "bulk", "tso", "one")
    flows = [*LAYERED, flow("second", "aggregator")]
    assert verdicts(architecture([*FOUR, second], LAYERED))["coordination_gap"] is False
    assert verdicts(architecture([*FOUR, second], flows))["coordination_gap"] is True
    assert causes(architecture([*FOUR, second], flows), "coordination_gap") == ["second -> aggregator (control)"]
    assert verdicts(architecture([*FOUR, second], [*flows, flow("dso", "second", "data")]))["coordination_gap"] is False

    other = entity("other", "distribution", "dso")
    linked = [*flows, flow("other", "second", "data")]
    assert verdicts(architecture([*FOUR, second, other], linked))["coordination_gap"] is True


def test_a_bulk_dispatcher_that_meets_no_dso_is_a_gap() -> None:
    more = [entity("second", "bulk", "tso", "one"), entity("far", "customer", "der")]
    assert verdicts(architecture([*FOUR, *more], [*LAYERED, flow("second", "far")]))["coordination_gap"] is True


def test_der_that_answer_their_controllers_make_no_chain_longer() -> None:
    lse = entity("lse", "customer", "lse")
    flows = [*LAYERED[:2], flow("aggregator", "der", both=True), flow("lse", "der", both=True)]
    assert verdicts(architecture([*FOUR, lse], flows))["latency_cascading"] == "limited"


def test_a_dso_below_a_dso_is_not_a_gap() -> None:
    local = entity("local", "distribution", "dso", "many")
    flows = [flow("tso", "dso"), flow("dso", "local"), flow("local", "aggregator"), flow("aggregator", "der")]
    assert verdicts(architecture([*FOUR, local], flows))["coordination_gap"] is False


def test_the_cycle_time_is_that_of_the_slowest_chain() -> None:
    timed = [
        flow("tso", "dso", cycle_s=300),
        flow("dso", "aggregator", cycle_s=60),
        flow("dso", "der", cycle_s=5),
        LAYERED[2],
    ]
    assert assess(skeleton(architecture(FOUR, timed))).cycle_s == 360
    assert assess(skeleton(architecture(FOUR, LAYERED))).cycle_s is None


def test_who_sees_which_der_and_over_how_many_hops() -> None:
    ev = entity("ev", "customer", "der")
    data = [flow("der", "aggregator", "data"), flow("aggregator", "dso", "data"), flow("dso", "tso", "data")]
    seen = assess(skeleton(architecture([*FOUR, ev], LAYERED + data))).seen
    assert [(each.operator, each.hops, each.unseen) for each in seen] == [
        ("tso", {"der": 3}, ("ev",)),
        ("dso", {"der": 2}, ("ev",)),
    ]


def test_readings_race_only_where_neither_operator_gets_them_through_the_other() -> None:
    chain = [flow("der", "dso", "data"), flow("dso", "tso", "data")]
    assert verdicts(architecture(FOUR, LAYERED + chain))["race"] is False
    raw = architecture(FOUR, [*LAYERED, *chain, flow("der", "tso", "data")])
    assert verdicts(raw)["race"] is True
    assert set(causes(raw, "race")) == {"der -> dso (data)", "der -> tso (data)"}


def test_more_neighbours_of_the_bulk_tier_scale_worse() -> None:
    def scaled(count: str) -> tuple[str | bool, str | bool]:
        raw = architecture([TSO, DSO, AGGREGATOR | {"count": count}, DER], [*LAYERED, flow("tso", "aggregator")])
        return verdicts(raw)["scalability"], verdicts(raw)["bulk_exposure"]

    assert [scaled(count) for count in ("few", "many", "very-many")] == [
        ("good", "moderate"),
        ("good", "moderate"),
        ("poor", "high"),
    ]


def test_the_shipped_models_are_what_they_are_called() -> None:
    found = {each["id"]: verdicts(each) for each in shipped()}
    managed = [name for name in found if name.startswith("dso-managed") or name == "idso"]
    assert len(managed) == 5
    for name in managed:
        assert (found[name]["layered"], found[name]["hidden_coupling"], found[name]["race"]) == ("yes", "none", False)
    for name in ("hybrid-post-validated", "hybrid-pre-validated", "hybrid-dso-buys"):
        assert (found[name]["layered"], found[name]["tier_bypassing"]) == ("partial", "some")
    assert (found["tso-managed"]["layered"], found["tso-managed"]["scalability"]) == ("no", "poor")
    places = ("great-britain", "australia", "european-union", "california", "new-york", "japan")
    for place in places:
        real = [each for each in shipped() if each["id"].startswith(place)]
        assert real
        assert all(each["source"] for each in real)


def test_a_retailer_on_the_distribution_tier_is_no_layer() -> None:
    entities = [
        entity("tso", "bulk", "tso", "one"),
        entity("dso", "distribution", "dso", "few"),
        entity("shop", "distribution", "retailer"),
        entity("der", "customer", "der", "very-many"),
    ]
    flows = [flow("tso", "dso", "data"), flow("tso", "der"), flow("shop", "der")]
    before = verdicts(architecture(entities, flows))
    after = verdicts(architecture(entities, [*flows, flow("tso", "shop")]))
    assert before["layered"] == "no"
    assert not improved(after, before)


SHOP = entity("shop", "distribution", "retailer")


def test_control_past_the_dso_by_way_of_a_retailer_is_a_bypass() -> None:
    by_shop = [flow("tso", "shop"), flow("shop", "der")]
    found = verdicts(architecture([*FOUR, SHOP], by_shop))
    assert (found["layered"], found["tier_bypassing"]) == ("no", "extensive")
    raw = architecture([*FOUR, SHOP], [*LAYERED, *by_shop])
    assert (verdicts(raw)["layered"], verdicts(raw)["tier_bypassing"]) == ("partial", "some")
    assert causes(raw, "tier_bypassing") == ["tso -> shop (control)", "shop -> der (control)"]
    up = architecture([*FOUR, SHOP], [*LAYERED, flow("aggregator", "shop"), flow("shop", "tso")])
    assert verdicts(up)["tier_bypassing"] == "some"
    own = architecture([*FOUR, SHOP], [*LAYERED, flow("dso", "shop"), flow("shop", "der")])
    assert verdicts(own)["tier_bypassing"] == "none", "it is the DSO that instructs this one"


def test_whether_a_layered_path_is_beside_is_asked_of_each_der() -> None:
    other, theirs = entity("other", "distribution", "dso"), entity("theirs", "customer", "der")
    shared = [*LAYERED, flow("other", "der"), flow("other", "theirs")]
    entities = [*FOUR, other, theirs]
    assert verdicts(architecture(entities, [*shared, flow("tso", "der")]))["tier_bypassing"] == "some"
    raw = architecture(entities, [*shared, flow("tso", "theirs")])
    assert verdicts(raw)["tier_bypassing"] == "extensive"
    assert assess(skeleton(raw)).verdict("tier_bypassing").note == "no layered path exists beside them to theirs"
    assert verdicts(raw)["scalability"] == "poor", "nobody takes a share of those"
    joined = architecture(entities, [*shared, flow("tso", "theirs"), flow("tso", "other")])
    assert (verdicts(joined)["tier_bypassing"], verdicts(joined)["scalability"]) == ("some", "good")


@pytest.mark.parametrize("premises", ["building", "prosumer", "ems"])
def test_a_premises_counts_in_series_whatever_it_is_called(premises: str) -> None:
    home = entity("home", "customer", premises)
    flows = [flow("tso", "dso"), flow("dso", "aggregator"), flow("aggregator", "home"), flow("home", "der")]
    assert assess(skeleton(architecture([*FOUR, home], flows))).series == ("tso", "dso", "aggregator", "home")


def test_a_customer_that_nobody_instructs_leaves_a_sound_skeleton_sound() -> None:
    entities = [
        entity("tso", "bulk", "tso", "one"),
        entity("dso", "distribution", "dso", "few"),
        entity("ems", "customer", "ems", "many"),
    ]
    flows = [flow("tso", "dso"), flow("dso", "ems")]
    weather = entity("weather", "customer", "weather-service", "one")
    read = [*flows, flow("weather", "ems", "data")]
    assert verdicts(architecture([*entities, weather], read))["layered"] == "yes"
