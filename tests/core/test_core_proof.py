"""What a measurement says of a command, how an order ends, and the picture for the tier above (C15, A2)."""

from dataclasses import replace

import pytest

from gateway.core.aggregate import Sample, Store, picture, total
from gateway.core.alarms import Alarm
from gateway.core.answers import TERMINAL, Course, Kind, ending
from gateway.core.known import Known, Reading, Unknown
from gateway.core.observe import Cause, Circumstances, Verdict, tolerance_w, verify
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
    ("target", "off", "measured", "why"),
    [
        (None, False, 3_000, "3000 W within 3000 W"),
        (None, False, 3_020, "3020 W within 3000 W, by the tolerance of 100 W"),
        (2_000, False, 2_000, "2000 W at the set-point of 2000 W"),
        (2_000, False, 1_990, "1990 W at the set-point of 2000 W, by the tolerance of 100 W"),
        (-2_000, False, -2_010, "-2010 W at the set-point of -2000 W, by the tolerance of 100 W"),
        (None, True, -5, "-5 W, off, by the tolerance of 100 W"),
        (None, True, 0, "0 W, off"),
    ],
)
def test_what_is_obeyed_by_the_tolerance_says_so(target: int | None, off: bool, measured: int, why: str) -> None:
    connected = False if off else None
    command = Command("roof", 3_000, target, connected, None, 0, 1, (OrderKey("dso", "a"),), "C2")
    assert verify(command, Known(measured, 9), 5_000) == (Verdict.OBEYED, why, None)


def test_what_is_unmet_in_sum_ends_by_the_rule_of_sharing() -> None:
    course = Course(bound=True, adopted=True, short="1000 W of 9000 W in sum cannot be met at street")
    assert ending(course)[:2] == (Kind.PARTIAL, "E")
    assert ending(replace(course, short="held at 1 W by C3"))[:2] == (Kind.PARTIAL, "C10")


NOMINAL_MV = 230_000
HIGH = Circumstances(Known(243_800, 9), NOMINAL_MV)
STORE = Circumstances(Known(NOMINAL_MV, 9), NOMINAL_MV, Known(5_000, 9), 10_000)


@pytest.mark.parametrize(
    ("target", "measured", "around", "cause"),
    [
        pytest.param(3_000, 2_000, HIGH, Cause.VOLT_WATT, id="at 106 % of nominal"),
        pytest.param(3_000, 2_000, HIGH._replace(voltage=Known(243_799, 9)), Cause.SUN, id="just below it"),
        pytest.param(3_000, 2_000, HIGH._replace(nominal_voltage_mv=0), Cause.SUN, id="of what nominal nobody knows"),
        pytest.param(3_000, 2_000, HIGH._replace(voltage=LOST), Cause.SUN, id="an unknown voltage is no cause"),
        pytest.param(-3_000, -2_000, HIGH, Cause.OWN_LIMITS, id="high voltage does not hinder charging"),
        pytest.param(3_000, 2_000, Circumstances(), Cause.SUN, id="nothing known"),
        pytest.param(3_000, 2_000, STORE, Cause.OWN_LIMITS, id="half full"),
        pytest.param(3_000, 2_000, STORE._replace(stored=Known(500, 9)), Cause.CHARGE, id="empty"),
        pytest.param(3_000, 2_000, STORE._replace(stored=Known(501, 9)), Cause.OWN_LIMITS, id="not yet empty"),
        pytest.param(3_000, 2_000, STORE._replace(stored=Known(10_000, 9)), Cause.OWN_LIMITS, id="full"),
        pytest.param(-3_000, -2_000, STORE._replace(stored=Known(9_500, 9)), Cause.CHARGE, id="full to charge"),
        pytest.param(-3_000, -2_000, STORE._replace(stored=Known(9_499, 9)), Cause.OWN_LIMITS, id="not yet full"),
        pytest.param(0, -200, STORE._replace(stored=Known(10_000, 9)), Cause.OWN_LIMITS, id="at rest it draws"),
        pytest.param(-3_000, 0, STORE._replace(stored=Known(0, 9)), Cause.OWN_LIMITS, id="empty and does not charge"),
        pytest.param(3_000, 2_000, STORE._replace(stored=LOST), Cause.OWN_LIMITS, id="charge unknown"),
    ],
)
def test_what_hinders_is_named(target: int, measured: int, around: Circumstances, cause: Cause) -> None:
    command = Command("roof", 3_000, target, None, None, 0, 1, (OrderKey("dso", "a"),), "C2")
    proof = verify(command, Known(measured, 9), 5_000, around)
    assert proof.verdict is Verdict.HINDERED
    assert proof.cause is cause
    assert proof.why == f"hindered ({cause}): {measured} W of the {target} W ordered"


@pytest.mark.parametrize("around", [HIGH, STORE])
@pytest.mark.parametrize("measured", [3_101, 2_950, -200])
def test_circumstances_excuse_nothing_but_a_shortfall(around: Circumstances, measured: int) -> None:
    command = Command("roof", 3_000, 3_000 if measured > 0 else 0, None, None, 0, 1, (OrderKey("dso", "a"),), "C2")
    proof = verify(command, Known(measured, 9), 5_000, around)
    plain = verify(command, Known(measured, 9), 5_000)
    assert (proof.verdict, proof.cause is None) == (plain.verdict, proof.verdict is not Verdict.HINDERED)


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


def test_what_is_stored_is_the_sum_over_the_devices_that_store_or_unknown() -> None:
    first = SEEN._replace(capacity_wh=10_000, stored=Known(4_000, 0), charge_max_w=2_000)
    assert total([first, SEEN], 100).store == Store(4_000, 10_000, first.generation_max_w, 2_000)
    assert total([first, first], 100).store == Store(8_000, 20_000, 2 * first.generation_max_w, 4_000)
    assert total([first, first._replace(stored=Unknown("silent", 0))], 100).store is None
    assert total([SEEN], 100).store is None


def test_faults_are_those_of_any_device_or_unknown_where_one_says_nothing() -> None:
    first = SEEN._replace(faults=(Alarm.OVER_VOLTAGE,))
    second = SEEN._replace(faults=(Alarm.OVER_VOLTAGE, Alarm.OVER_CURRENT))
    assert total([first, second], 100).faults == (Alarm.OVER_VOLTAGE, Alarm.OVER_CURRENT)
    assert total([SEEN._replace(faults=())], 100).faults == ()
    assert total([first, SEEN], 100).faults is None
    assert total([], 100).faults is None
