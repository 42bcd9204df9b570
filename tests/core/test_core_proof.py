"""What a measurement says of a command, how an order ends, and the picture for the tier above (C15, A2)."""

from dataclasses import replace

import pytest

from gateway.core.aggregate import Sample, picture, total
from gateway.core.answers import TERMINAL, Course, Kind, ending
from gateway.core.known import Known, Reading, Unknown
from gateway.core.observe import Verdict, tolerance_w, verify
from gateway.core.orders import OrderKey
from gateway.core.plan import Command

LOST = Unknown("no answer", 5)


@pytest.mark.parametrize(("rated", "slack"), [(0, 20), (1_000, 20), (1_049, 20), (1_050, 21), (5_000, 100)])
def test_the_tolerance(rated: int, slack: int) -> None:
    assert tolerance_w(rated) == slack


@pytest.mark.parametrize(
    ("limit", "target", "off", "measured", "verdict"),
    [
        pytest.param(3_000, None, False, None, Verdict.UNSEEN, id="nothing measured is never obeyed"),
        pytest.param(3_000, None, True, None, Verdict.UNSEEN, id="nor when off"),
        pytest.param(3_000, None, False, 3_100, Verdict.OBEYED, id="within the tolerance"),
        pytest.param(3_000, None, False, 3_101, Verdict.DISOBEYED, id="past the tolerance"),
        pytest.param(3_000, None, False, -4_000, Verdict.OBEYED, id="a limit that does not bind is kept"),
        pytest.param(3_000, None, True, 100, Verdict.OBEYED, id="off"),
        pytest.param(3_000, None, True, 101, Verdict.DISOBEYED, id="ordered off and generating"),
        pytest.param(3_000, None, True, -101, Verdict.DISOBEYED, id="ordered off and charging"),
        pytest.param(3_000, 2_000, False, 2_100, Verdict.OBEYED, id="at the set-point"),
        pytest.param(3_000, 2_000, False, 2_101, Verdict.DISOBEYED, id="past the set-point"),
        pytest.param(3_000, 2_000, False, 1_900, Verdict.OBEYED, id="at the set-point from below"),
        pytest.param(3_000, 2_000, False, 1_899, Verdict.HINDERED, id="less sun than ordered"),
        pytest.param(3_000, 2_000, False, 0, Verdict.HINDERED, id="no sun"),
        pytest.param(3_000, 2_000, False, 3_101, Verdict.DISOBEYED, id="over the limit"),
        pytest.param(3_000, -2_000, False, -2_100, Verdict.OBEYED, id="charging as told"),
        pytest.param(3_000, -2_000, False, -2_101, Verdict.DISOBEYED, id="charging past the set-point"),
        pytest.param(3_000, -2_000, False, -500, Verdict.HINDERED, id="nearly full"),
        pytest.param(3_000, -2_000, False, 100, Verdict.HINDERED, id="full"),
        pytest.param(3_000, -2_000, False, 101, Verdict.DISOBEYED, id="told to charge and generating"),
    ],
)
@pytest.mark.parametrize("switch", ["connected", "energized"])
def test_a_measurement_against_a_command(
    limit: int, target: int | None, off: bool, measured: int | None, verdict: Verdict, switch: str
) -> None:
    command = Command("roof", limit, target, None, None, 0, 1, (OrderKey("dso", "a"),), "C2")
    state = False if off else None
    command = command._replace(connected=state) if switch == "connected" else command._replace(energized=state)
    reading: Reading = LOST if measured is None else Known(measured, 9)
    proof = verify(command, reading, 5_000)
    assert proof.verdict is verdict
    assert proof.why


@pytest.mark.parametrize(
    ("verdicts", "obeyed", "disobeyed"),
    [
        ([], False, ""),
        ([Verdict.UNSEEN], False, ""),
        ([Verdict.OBEYED], True, ""),
        ([Verdict.HINDERED], True, ""),
        ([Verdict.DISOBEYED], False, "why"),
        ([Verdict.DISOBEYED, Verdict.OBEYED], True, "why"),
    ],
)
def test_what_a_course_keeps_of_verdicts(verdicts: list[Verdict], obeyed: bool, disobeyed: str) -> None:
    course = Course()
    for verdict in verdicts:
        course.see(verdict, "why")
    assert (course.obeyed, course.disobeyed) == (obeyed, disobeyed)


@pytest.mark.parametrize(
    ("bound", "adopted", "obeyed", "disobeyed", "short", "kind"),
    [
        pytest.param(False, False, False, "", "", Kind.COMPLETED, id="kept without effort"),
        pytest.param(True, True, False, "", "", Kind.COMPLETED, id="adopted"),
        pytest.param(True, False, False, "", "", Kind.CANNOT, id="never adopted"),
        pytest.param(True, False, False, "", "s", Kind.CANNOT, id="never adopted, and suspended"),
        pytest.param(True, True, True, "", "s", Kind.PARTIAL, id="suspended for a while"),
        pytest.param(False, False, False, "", "s", Kind.PARTIAL, id="suspended throughout"),
        pytest.param(True, True, True, "d", "", Kind.PARTIAL, id="obeyed at times"),
        pytest.param(True, True, False, "d", "", Kind.CANNOT, id="never obeyed"),
    ],
)
def test_how_an_order_ends(bound: bool, adopted: bool, obeyed: bool, disobeyed: str, short: str, kind: Kind) -> None:
    end = ending(Course(bound=bound, adopted=adopted, obeyed=obeyed, disobeyed=disobeyed, short=short))
    assert end.kind is kind
    assert end.rule
    assert end.why


def test_terminal_answers_are_the_last_seven() -> None:
    assert frozenset(list(Kind)[-7:]) == TERMINAL


SEEN = Sample("roof-1", "house-1", 5_000, 4_000, Known(1_000, 70), Known(-50, 70), Known(230_000, 70), True)
DARK = Sample("roof-2", "house-1", 3_000, 3_000, LOST, LOST, LOST, None)


def test_what_is_unknown_is_missing_from_sum_and_coverage_and_is_not_zero() -> None:
    sum_of = total([SEEN, DARK], 100)
    assert (sum_of.power_w, sum_of.reactive_var, sum_of.voltage_mv) == (1_000, -50, 230_000)
    assert (sum_of.devices, sum_of.known) == (2, 1)
    assert (sum_of.rated_w, sum_of.known_rated_w) == (8_000, 5_000)
    assert (sum_of.oldest_ms, sum_of.generation_max_w, sum_of.connected) == (30, 7_000, 1)


@pytest.mark.parametrize("samples", [[], [DARK], [DARK, DARK]])
def test_where_nothing_is_known_there_is_no_sum(samples: list[Sample]) -> None:
    sum_of = total(samples, 100)
    assert (sum_of.power_w, sum_of.reactive_var, sum_of.voltage_mv, sum_of.known) == (None, None, None, 0)


def test_a_known_zero_is_a_zero() -> None:
    assert total([replace_power(0), DARK], 100).power_w == 0
    assert total([replace_power(0), replace_power(-7)], 100).power_w == -7


def replace_power(power: int) -> Sample:
    return SEEN._replace(power=Known(power, 70), connected=False)


def test_each_part_is_known_by_itself() -> None:
    silent = SEEN._replace(power=LOST, voltage=Known(220_000, 1))
    sum_of = total([SEEN, silent], 100)
    assert (sum_of.known, sum_of.reactive_var, sum_of.voltage_mv) == (1, -100, 225_000)
    assert replace(LOST, since_ms=1) != LOST


def test_the_picture_is_the_whole_and_each_resource() -> None:
    other = SEEN._replace(resource="house-2", power=Known(5, 90))
    shown = picture([SEEN, DARK, other], 100)
    assert shown.at_ms == 100
    assert shown.whole == total([SEEN, DARK, other], 100)
    assert shown.resources == {"house-1": total([SEEN, DARK], 100), "house-2": total([other], 100)}
