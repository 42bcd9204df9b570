"""What a head-end lists: controls by their versions, from a stated instant, and gone without a word."""

from pathlib import Path

import pytest
from head_end_bench import NS, make_pki
from lxml import etree

from hil.clock import Clock
from hil.head_end import Certificate, HeadEnd
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
