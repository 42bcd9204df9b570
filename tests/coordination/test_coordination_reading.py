"""What is wrong with a skeleton is said with its place, and leaves the others of the file as they are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skeletons import AGGREGATOR, DER, DSO, FOUR, TSO, architecture, entity, flow, shipped, skeleton

from gateway.coordination.reading import ARCHITECTURE, ENTITY, FLOW, read
from gateway.coordination.skeleton import Kind, der_ids

GOOD = architecture(FOUR, [flow("tso", "dso"), flow("dso", "aggregator"), flow("aggregator", "der")])


def faults(raw: object) -> list[tuple[tuple[str | int, ...], str]]:
    done = read({"architecture": [raw, GOOD | {"id": "sound"}]})
    assert [each.id for each in done.skeletons] == ["sound"]
    return [(each.place, each.what) for each in done.faults]


def changed(**more: Any) -> dict[str, Any]:
    return GOOD | more


@pytest.mark.parametrize(
    ("raw", "place", "what"),
    [
        (changed(flow=[*GOOD["flow"], flow("dso", "dre")]), ("flow", 3, "to"), 'no entity has the id "dre"'),
        (changed(flow=[*GOOD["flow"], flow("tso", "dso")]), ("flow", 3), "stands there already"),
        (changed(flow=[*GOOD["flow"], flow("dso", "tso", both=True)]), ("flow", 3), "stands there already"),
        (changed(flow=[*GOOD["flow"], flow("dso", "dso")]), ("flow", 3), "to itself"),
        (changed(flow=[flow("tso", "dso")]), ("flow",), "no path to a DER: no control flow"),
        (changed(flow=[flow("aggregator", "der", "data")]), ("flow",), "no path to a DER: no control flow"),
        (architecture([TSO, DSO, AGGREGATOR], [flow("dso", "aggregator")]), ("entity",), "no path to a DER: no entity"),
        (changed(flow=[*GOOD["flow"], flow("dso", "der", "orders")]), ("flow", 3, "kind"), 'cannot be "orders"'),
        (changed(flow=[*GOOD["flow"], flow("dso", "der", cycle_s=0)]), ("flow", 3, "cycle_s"), "at least 1"),
        (changed(flow=[*GOOD["flow"], flow("dso", "der", joint="yes")]), ("flow", 3, "joint"), "true or false"),
        (changed(flow=[*GOOD["flow"], flow("dso", "der", services="x")]), ("flow", 3, "services"), "a list of names"),
        (changed(flow=[*GOOD["flow"], flow("dso", "der", knd=1)]), ("flow", 3, "knd"), 'unknown key "knd"'),
        (changed(flow=[*GOOD["flow"], 7]), ("flow", 3), "must be a table"),
        (changed(flow="x"), ("flow",), "must be a list of tables"),
        (changed(entity=[*FOUR, DER]), ("entity", 4, "id"), "stands there already"),
        (changed(entity=[*FOUR, entity("x", "middle", "dso")]), ("entity", 4, "tier"), 'cannot be "middle"'),
        (changed(entity=[*FOUR, {"id": "x", "tier": "bulk", "role": "tso"}]), ("entity", 4), 'missing key "count"'),
        (changed(entity=[*FOUR, entity("x", "bulk", "")]), ("entity", 4, "role"), "not empty"),
        (changed(entity=[*FOUR, entity("x", "bulk", "tso") | {"count": 3}]), ("entity", 4, "count"), "one of one, few"),
        (changed(entity=[*FOUR, entity("a\nb", "bulk", "tso")]), ("entity", 4, "id"), "on one line"),
        (changed(serves="dsoo"), ("serves",), 'no entity has the id "dsoo"'),
        (changed(id="sound"), (), ""),
        (changed(id=3), ("id",), "a text"),
        (changed(layers=1), ("layers",), 'unknown key "layers"'),
        (architecture([], []), ("entity",), "no entity"),
        (7, (), "must be a table"),
    ],
)
def test_a_fault_is_one_line_at_its_place(raw: object, place: tuple[str | int, ...], what: str) -> None:
    if isinstance(raw, dict) and raw["id"] == "sound":
        done = read({"architecture": [raw, raw]})
        assert [each.place for each in done.faults] == [("architecture", 1, "id")]
        return
    found = faults(raw)
    assert [each for each, _ in found] == [("architecture", 0, *place)]
    assert what in found[0][1]
    assert "\n" not in found[0][1]


@pytest.mark.parametrize("raw", [{}, {"architecture": []}, {"architecture": 3}, {"architecure": [GOOD]}])
def test_a_file_without_an_architecture_is_a_fault(raw: dict[str, Any]) -> None:
    done = read(raw)
    assert done.skeletons == ()
    assert done.faults


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["tso", "dso", "der", "control", "bulk", "", "\n"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*ENTITY, *FLOW]), inner, max_size=6),
    max_leaves=12,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(ARCHITECTURE, JUNK)), st.sampled_from(["entity", "flow"]), JUNK)
def test_anything_at_all_is_read_or_said_to_be_wrong(raw: dict[str, Any], key: str, junk: object) -> None:
    for each in (raw, changed(**raw), changed(**{key: [*GOOD[key], junk]})):
        done = read({"architecture": [each, GOOD | {"id": "sound"}]})
        assert "sound" in [each.id for each in done.skeletons]
        assert len(done.skeletons) == 2 or done.faults
        assert all("\n" not in f"{fault.where}{fault.what}" for fault in done.faults)


def test_what_was_meant_goes_with_the_fault() -> None:
    done = read({"architecture": [changed(flow=[*GOOD["flow"], flow("dso", "dre")])]})
    assert (done.faults[0].wrong, done.faults[0].known) == ("dre", ("tso", "dso", "aggregator", "der"))


def test_two_ways_are_two_flows() -> None:
    made = skeleton(changed(flow=[*GOOD["flow"], flow("tso", "der", "data", both=True)]))
    assert [(each.sender, each.receiver) for each in made.flows if each.kind is Kind.DATA] == [
        ("tso", "der"),
        ("der", "tso"),
    ]


def test_a_verdict_in_the_file_is_ignored() -> None:
    assert skeleton(changed(verdict={"layered": "no"}, inferred=["layered"], says="so")) == skeleton(GOOD)


def test_der_are_told_by_role_and_else_by_driving_nobody() -> None:
    def ders(*roles: str) -> tuple[str, ...]:
        customers = [entity(f"{role}-{index}", "customer", role) for index, role in enumerate(roles)]
        flows = [flow("dso", each["id"]) for each in customers]
        made = skeleton(architecture([DSO, *customers], flows))
        return der_ids(made.entities, made.flows)

    assert ders("aggregator", "battery", "electrolyser") == ("battery-1", "electrolyser-2")
    assert ders("lse", "building") == ("building-1",)
    for premises in ("building", "prosumer"):
        assert ders(premises) == (f"{premises}-0",)
        assert ders(premises, "der") == (f"{premises}-0", "der-1"), "no DER is drawn below it, so it stands for its own"


@pytest.mark.parametrize("premises", ["building", "prosumer"])
def test_a_premises_with_der_below_it_is_none(premises: str) -> None:
    home = entity("home", "customer", premises)
    made = skeleton(architecture([DSO, home, DER], [flow("dso", "home"), flow("home", "der")]))
    assert der_ids(made.entities, made.flows) == ("der",)


def test_every_shipped_model_reads_without_fault() -> None:
    done = read({"architecture": shipped()})
    assert done.faults == ()
    assert len(done.skeletons) == 15
    assert all(each.serves and each.sources for each in done.skeletons)
