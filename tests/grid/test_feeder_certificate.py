"""What is certified holds at random points inside, by a second reading of the feeder, and what is trimmed had to be."""

import itertools
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from feeder_oracle import Oracle, ieee13, ieee123

from gateway.core.feeder import Span
from gateway.grid.talk import Answer, Measured, Place, Question, Refusal, Setup
from gateway.grid.worker.certify import Certifier
from gateway.grid.worker.load import ModelFault
from gateway.grid.worker.trial import corners

SMALL_PU = 1e-6
SMALL_PERMILLE = 0.01
IEEE13_BUSES = {"a": "634.1", "b": "675.2", "c": "611.3", "d": "680", "e": "652.1", "f": "646.2", "g": "675.3"}
IEEE123_BUSES = {"a": "65.1", "b": "83.2", "c": "114.1", "d": "300", "e": "48", "f": "66.3", "g": "32.3", "h": "12.2"}
AT_REST = Measured(0, 0)


class Limits(NamedTuple):
    low_pu: float = 0.95
    high_pu: float = 1.05
    permille: int = 1000


def certifier(model: Path, buses: Mapping[str, str], limits: Limits, budget_s: float = 30.0) -> Certifier:
    places: dict[str, tuple[Place, ...]] = {
        name: (Place(f"{name}-device", bus, 200_000),) for name, bus in buses.items()
    }
    return Certifier(Setup("north", str(model), *limits, budget_s, places))


def ask(asked: Certifier, *spans: Span, standing: tuple[Span, ...] = (), **measured: Measured) -> Answer:
    known = dict.fromkeys(asked.circuit.touches, AT_REST) | measured
    answer = asked.answer(Question(1, spans, standing, known))
    assert isinstance(answer, Answer), answer
    return answer


def broken(oracle: Oracle, power_w: Mapping[str, float], limits: Limits) -> bool:
    """Tell whether a state breaks a limit, with taps at rest or after they have moved."""
    for moved in (False, True):
        point = oracle.point(power_w, moved=moved)
        voltages = point.voltages.values()
        if min(voltages) < limits.low_pu - SMALL_PU or max(voltages) > limits.high_pu + SMALL_PU:
            return True
        if max(point.lines.values()) > limits.permille + SMALL_PERMILLE:
            return True
    return False


def inside(spans: tuple[Span, ...], chance: random.Random) -> dict[str, float]:
    """Draw a state of the box: every second one of its corners."""
    if chance.random() < 0.5:
        return {span.resource: chance.choice((span.low_w, span.high_w)) for span in spans}
    return {span.resource: chance.uniform(span.low_w, span.high_w) for span in spans}


@pytest.mark.parametrize(
    ("feeder", "buses", "limits"),
    [
        (ieee13, IEEE13_BUSES, Limits(0.955, 1.06, 4000)),
        (ieee13, {"b": "675.2", "c": "611.3", "d": "680"}, Limits(0.90, 1.06, 745)),
        (ieee123, IEEE123_BUSES, Limits(0.95, 1.0552, 4000)),
        (ieee123, IEEE123_BUSES, Limits(0.9755, 1.0625, 4000)),
        (ieee123, IEEE123_BUSES, Limits(0.90, 1.08, 1650)),
    ],
)
def test_nothing_inside_a_trimmed_box_breaks_a_limit_and_just_outside_something_does(
    tmp_path: Path, feeder: Callable[[Path], Path], buses: Mapping[str, str], limits: Limits
) -> None:
    model = feeder(tmp_path)
    wished = 120_000
    found = ask(certifier(model, buses, limits), *(Span(name, -wished, wished) for name in buses))
    assert found.binding
    assert any(span.high_w < wished or span.low_w > -wished for span in found.spans)
    assert any(span.high_w or span.low_w for span in found.spans)
    oracle = Oracle(model, buses)
    chance = random.Random(7)  # noqa: S311 - a draw that can be repeated, no secret
    for _ in range(40):
        state = inside(found.spans, chance)
        assert not broken(oracle, state, limits), state
    beyond = wished / 64
    outside = [
        {
            span.resource: min(span.high_w + beyond, wished) if high else max(span.low_w - beyond, -wished)
            for span, high in zip(found.spans, corner, strict=True)
        }
        for corner in corners(certifier(model, buses, limits).circuit.touches)
    ]
    assert any(broken(oracle, state, limits) for state in outside)


def test_what_fits_is_certified_as_asked_with_the_worst_figures_of_all_corners(tmp_path: Path) -> None:
    model, limits = ieee123(tmp_path), Limits(0.95, 1.07, 2000)
    buses = {"a": "65.1", "b": "83.2", "d": "114.1"}
    spans = tuple(Span(name, -20_000, 30_000) for name in buses)
    found = ask(certifier(model, buses, limits), *spans)
    assert (found.spans, found.binding) == (spans, "")
    oracle = Oracle(model, buses)
    points = [
        oracle.point(dict(zip(buses, corner, strict=True)), moved=moved)
        for corner in itertools.product((-20_000.0, 30_000.0), repeat=3)
        for moved in (False, True)
    ]
    highest = max((voltage, node) for point in points for node, voltage in point.voltages.items())
    heaviest = max((permille, name) for point in points for name, permille in point.lines.items())
    assert found.worst_voltage_milli_pu == round(1000 * highest[0])
    assert found.worst_voltage_at == highest[1]
    assert found.worst_loading_permille == round(heaviest[0])
    assert found.taps_settled


def test_an_unbalanced_corner_binds_where_all_high_does_not(tmp_path: Path) -> None:
    model, limits = ieee123(tmp_path), Limits(0.95, 1.0556, 4000)
    buses = {"a": "62.1", "c": "66.3"}
    oracle = Oracle(model, buses)
    assert not broken(oracle, {"a": 200_000.0, "c": 200_000.0}, limits)
    assert broken(oracle, {"a": 0.0, "c": 200_000.0}, limits)
    assert ask(certifier(model, buses, limits), *(Span(name, 0, 200_000) for name in buses)).binding


def test_taps_are_looked_at_after_they_have_moved(tmp_path: Path) -> None:
    model = ieee13(tmp_path)
    oracle = Oracle(model, {"far": "680"})
    highest = [max(oracle.point({"far": -600_000.0}, moved=moved).voltages.values()) for moved in (False, True)]
    assert highest[0] < 1.059 < highest[1]
    found = ask(certifier(model, {"far": "680"}, Limits(0.80, 1.059, 4000)), Span("far", -600_000, 0))
    assert found.spans[0].low_w > -600_000
    assert found.binding.startswith("voltage 1.062 pu at rg60.")


def test_taps_are_looked_at_where_they_stand(tmp_path: Path) -> None:
    model = ieee123(tmp_path)
    oracle = Oracle(model, {"a": "62.1"})
    highest = [max(oracle.point({"a": 200_000.0}, moved=moved).voltages.values()) for moved in (False, True)]
    assert highest[1] < 1.055 < highest[0]
    found = ask(certifier(model, {"a": "62.1"}, Limits(0.80, 1.055, 4000)), Span("a", 0, 200_000))
    assert found.spans[0].high_w < 200_000
    assert found.binding == "voltage 1.060 pu at 83.1, at most 1.055"


def test_the_weakest_rank_is_tightened_first(tmp_path: Path) -> None:
    limits = Limits(0.90, 1.055, 4000)
    asked = certifier(ieee123(tmp_path), {"a": "83.2", "b": "79.2", "c": "80.2"}, limits)
    found = ask(asked, Span("a", 0, 50_000, 5), Span("b", 0, 50_000, 1), Span("c", 0, 50_000, 3))
    by_name = {span.resource: span.high_w for span in found.spans}
    assert [span.rank for span in found.spans] == [5, 1, 3]
    assert by_name["b"] == 50_000
    assert 0 < by_name["c"] < 50_000
    assert by_name["a"] < 2_000


def test_those_of_one_rank_share_one_factor_and_only_the_direction_that_fails_is_tightened(tmp_path: Path) -> None:
    limits = Limits(0.90, 1.06, 4000)
    asked = certifier(ieee123(tmp_path), {"a": "83.2", "b": "79.2"}, limits)
    found = ask(asked, Span("a", -1_000, 100_000), Span("b", -2_000, 40_000))
    one, other = found.spans
    assert (one.low_w, other.low_w) == (-1_000, -2_000)
    assert 0 < one.high_w < 100_000
    assert one.high_w / 100_000 == pytest.approx(other.high_w / 40_000, abs=1e-4)
    assert found.binding.startswith("voltage 1.0")
    assert found.binding.endswith(" at 83.2, at most 1.06")


def test_what_is_broken_already_trims_only_what_worsens_it(tmp_path: Path) -> None:
    limits = Limits(0.90, 1.045, 4000)
    asked = certifier(ieee123(tmp_path), {"near": "83.2", "far": "48.2"}, limits)
    relief = ask(asked, Span("near", -50_000, 0))
    assert relief.spans == (Span("near", -50_000, 0),)
    assert relief.worst_voltage_milli_pu > 1045
    worse = ask(asked, Span("near", 0, 50_000), Span("far", 0, 800))
    assert worse.spans[0].high_w < 2_000
    assert worse.spans[1] == Span("far", 0, 800)
    assert worse.binding.endswith(", at most 1.045")


def test_a_transformer_is_held_to_its_rating_in_both_directions(tmp_path: Path) -> None:
    asked = certifier(ieee123(tmp_path), {"a": "610"}, Limits(0.8, 1.2, 2000))
    found = ask(asked, Span("a", -400_000, 500_000))
    assert -300_000 < found.spans[0].low_w < -250_000
    assert 290_000 < found.spans[0].high_w < 310_000
    assert 1950 < found.worst_loading_permille <= 2000
    assert found.worst_loading_at == "transformer xfm1"
    given, taken = found.binding.split("; ") if ";" in found.binding else (found.binding, "")
    assert given.startswith("transformer xfm1 at 3")
    assert given.endswith(" % of 150 kVA, at most 200 %")
    assert taken == ""


def test_what_stands_runs_anywhere_inside_its_span(tmp_path: Path) -> None:
    asked = certifier(ieee123(tmp_path), {"a": "83.2", "b": "79.2"}, Limits(0.90, 1.055, 4000))
    alone = ask(asked, Span("a", 0, 30_000))
    beside = ask(asked, Span("a", 0, 30_000), standing=(Span("b", 0, 30_000),))
    assert alone.spans[0].high_w == 30_000
    assert beside.spans[0].high_w < 30_000
    assert len(beside.spans) == 1
    already = ask(asked, Span("a", 0, 200_000), standing=(Span("a", 0, 10_000),))
    assert 10_000 <= already.spans[0].high_w < 200_000


def test_others_run_where_they_were_measured_and_unknown_ones_anywhere_within_their_rating(tmp_path: Path) -> None:
    asked = certifier(ieee123(tmp_path), {"a": "610", "b": "610"}, Limits(0.80, 1.2, 2000))
    wish = Span("a", 0, 200_000)
    assert ask(asked, wish).spans[0] == wish
    assert 80_000 < ask(asked, wish, b=Measured(200_000, 0)).spans[0].high_w < 110_000
    assert 80_000 < ask(asked, wish, b=Measured(None, 0)).spans[0].high_w < 110_000
    assert ask(asked, wish, b=Measured(-100_000, 0)).spans[0] == wish
    assert ask(asked, wish, b=Measured(0, 280_000)).spans[0].high_w < 180_000


def test_a_resource_is_shared_by_its_devices_by_rating(tmp_path: Path) -> None:
    model, limits = ieee13(tmp_path), Limits(0.8, 1.2, 1000)
    places: dict[str, tuple[Place, ...]] = {"all": (Place("big", "634.1", 3_000), Place("small", "634.2", 1_000))}
    found = ask(Certifier(Setup("north", str(model), *limits, 30.0, places)), Span("all", 0, 2_000_000))
    lone = ask(certifier(model, {"a": "634.1"}, limits), Span("a", 0, 1_500_000))
    assert found.spans[0].high_w * 0.75 == pytest.approx(lone.spans[0].high_w, rel=0.06)


def test_without_time_the_weaker_ranks_get_nothing(tmp_path: Path) -> None:
    asked = certifier(ieee123(tmp_path), {"a": "83.2", "b": "79.2"}, Limits(0.90, 1.06, 4000), budget_s=0.0)
    found = ask(asked, Span("a", 0, 300_000, 1), Span("b", 0, 100, 2))
    assert [span.high_w for span in found.spans] == [0, 0]
    assert "no time left" in found.binding


def test_a_wish_that_has_no_power_flow_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    asked = certifier(ieee123(tmp_path), {"a": "83.2"}, Limits(0.90, 1.06, 4000))
    before = ask(asked, Span("a", -20_000, 20_000))
    for high_w in (50_000_000, 10**15):
        beyond = ask(asked, Span("a", 0, high_w))
        assert beyond.spans[0].high_w < high_w / 100
        assert beyond.binding
    after = ask(asked, Span("a", -20_000, 20_000))
    assert (after.spans, after.binding, after.worst_voltage_at) == (before.spans, "", before.worst_voltage_at)
    assert after.worst_voltage_milli_pu == before.worst_voltage_milli_pu


def test_a_state_without_power_flow_is_refused(tmp_path: Path) -> None:
    asked = certifier(ieee123(tmp_path), {"a": "83.2", "b": "79.2"}, Limits(0.90, 1.06, 4000))
    question = Question(4, (Span("a", 0, 1),), (), {"a": AT_REST, "b": Measured(10**9, 0)})
    answer = asked.answer(question)
    assert isinstance(answer, Refusal)
    assert answer.serial == 4
    assert "power flow" in answer.why
    assert isinstance(asked.answer(question.__class__(5, (), (), {})), Answer)


def test_a_model_that_changes_under_the_worker_ends_it(tmp_path: Path) -> None:
    model = ieee123(tmp_path)
    asked = certifier(model, {"a": "83.2"}, Limits(0.90, 1.06, 4000))
    model.write_text(model.read_text(encoding="latin-1") + "\n! a note\n", encoding="latin-1")
    with pytest.raises(ModelFault, match="it was changed since it was loaded"):
        ask(asked, Span("a", 0, 10**15))
