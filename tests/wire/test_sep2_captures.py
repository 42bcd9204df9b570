"""Answers of real utility servers decode, with the values that a reader of the XML sees."""

import pytest
from sep2_values import CAPTURES

from gateway.wire.sep2 import Faulty, Unreadable, decode, encode, peek
from gateway.wire.sep2.devices import EndDevice, EndDeviceList
from gateway.wire.sep2.metering import MirrorUsagePointList
from gateway.wire.sep2.quantities import ActivePower
from gateway.wire.sep2.resources import (
    DefaultDERControl,
    DERControl,
    DERControlList,
    DERProgram,
    DERProgramList,
    DeviceCapability,
    FunctionSetAssignments,
    FunctionSetAssignmentsList,
    Link,
    ListLink,
    Time,
)

pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures of real servers are not beside this tree")


def capture(name: str) -> bytes:
    return (CAPTURES / name).read_bytes()


def test_every_capture_decodes_without_a_fault_and_all_but_the_misspelt_read_back() -> None:
    names = sorted(path.name for path in CAPTURES.glob("*.xml"))
    assert len(names) == 10
    for name in names:
        resource = decode(capture(name))
        assert not [item for item in getattr(resource, "items", ()) if isinstance(item, Faulty)]
        if name != "getEdev_csipaus.xml":
            assert decode(encode(resource)) == resource


def test_controls_of_a_utility() -> None:
    controls = decode(capture("getDerp_derc_sapn.xml"))
    assert isinstance(controls, DERControlList)
    assert (controls.total, controls.results) == (3, 3)
    running = controls.items[2]
    assert isinstance(running, DERControl)
    assert running.mrid == "8f20816bba3542a98b46774f20ee3dd9"
    assert running.reply_to == "/rsps/2dbac664c4e406e56169858ee224ca415849bc43/rsp"
    assert running.response_required == 3
    assert running.event_status.current_status == 1
    assert running.event_status.date_time_s == 1_726_633_069
    assert (running.interval.start_s, running.interval.duration_s) == (1_726_633_063, 600)
    assert running.creation_time_s == 1_726_633_064
    assert running.randomize_start_s == 0
    assert running.randomize_duration_s is None
    assert running.base.op_mod_exp_lim_w == ActivePower(0)
    assert running.base.op_mod_imp_lim_w is None
    cancelled = controls.items[0]
    assert isinstance(cancelled, DERControl)
    assert cancelled.base.op_mod_exp_lim_w == ActivePower(10_000)
    assert cancelled.event_status.current_status == 2


def test_a_default_of_a_utility() -> None:
    default = decode(capture("getDerp_dderc_sapn.xml"))
    assert isinstance(default, DefaultDERControl)
    assert default.mrid == "03e42dbac664c4e066e77a5d00054666"
    assert default.set_grad_w_hundredths == 27
    assert default.base.op_mod_exp_lim_w == ActivePower(1500)


def test_devices_of_an_aggregator() -> None:
    devices = decode(capture("getEdev.xml"))
    assert isinstance(devices, EndDeviceList)
    assert (devices.total, devices.results, len(devices.items)) == (5, 5, 3)
    first, _, aggregator = devices.items
    assert isinstance(first, EndDevice)
    assert isinstance(aggregator, EndDevice)
    assert first.lfdi == "4075DE6031E562ACF4D9EAA765A5B2ED00057269"
    assert first.sfdi == 173_034_634_270
    assert first.enabled is True
    assert first.function_set_assignments_list_link == ListLink(href="/api/v2/edev/_EQLDEV3/fsa", total=2)
    assert aggregator.function_set_assignments_list_link is None
    assert aggregator.enabled is None


def test_a_misspelt_identity_is_not_guessed_and_unseats_no_device() -> None:
    devices = decode(capture("getEdev_csipaus.xml"))
    assert isinstance(devices, EndDeviceList)
    assert [item.sfdi for item in devices.items if isinstance(item, EndDevice)] == [
        424_105_305_561,
        50_044_792_964,
        228_273_300_409,
    ]
    for item in devices.items:
        assert isinstance(item, EndDevice)
        assert isinstance(item.lfdi, Unreadable)
        assert item.lfdi.why == "element LFDI, where the standard has lFDI"
    second = devices.items[1]
    assert isinstance(second, EndDevice)
    assert second.connection_point_link == Link(href="/edev/1/cp")


def test_the_way_from_the_entry_to_the_programs() -> None:
    entry = decode(capture("getDcap.xml"))
    assert isinstance(entry, DeviceCapability)
    assert entry.time_link == Link(href="/api/v2/tm")
    assert entry.end_device_list_link == ListLink(href="/api/v2/edev", total=5)
    assignments = decode(capture("getEdev__EQLDEV3_fsa.xml"))
    assert isinstance(assignments, FunctionSetAssignmentsList)
    first = assignments.items[0]
    assert isinstance(first, FunctionSetAssignments)
    assert first.der_program_list_link == ListLink(href="/api/v2/edev/_EQLDEV3/fsa/2/derp", total=1)
    programs = decode(capture("getEdev__EQLDEV3_fsa_1_derp.xml"))
    assert isinstance(programs, DERProgramList)
    assert programs.poll_rate_s == 301
    program = programs.items[0]
    assert isinstance(program, DERProgram)
    assert program.primacy == 102
    assert program.der_control_list_link == ListLink(href="/api/v2/derp/P-_EQLDEV3/derc", total=0)
    assert decode(capture("getDerp_P-EQLDEV3_derc.xml")) == DERControlList(
        href="/api/v2/derp/P-_EQLDEV3/derc", total=0, results=0, subscribable=1
    )


def test_the_clock_and_the_usage_points() -> None:
    time = decode(capture("getTm.xml"))
    assert isinstance(time, Time)
    assert (time.current_time_s, time.quality, time.tz_offset_s) == (1_682_475_024, 5, -25_200)
    points = decode(capture("getMup.xml"))
    assert isinstance(points, MirrorUsagePointList)
    assert [getattr(point, "role_flags", None) for point in points.items] == [0x49, 0x03]


def test_a_glance_at_the_controls_of_a_utility() -> None:
    seen = peek(capture("getDerp_derc_sapn.xml"))
    assert seen.root == "DERControlList"
    assert [item.mrid for item in seen.items] == [
        "f51df42347494526b7cc2fe85c98aec3",
        "1e0728fb29804b9ca1c914ac69935f6c",
        "8f20816bba3542a98b46774f20ee3dd9",
    ]
    assert {item.reply_to for item in seen.items} == {"/rsps/2dbac664c4e406e56169858ee224ca415849bc43/rsp"}
    assert {item.response_required for item in seen.items} == {3}
