"""Meters in a site file: one at most for each resource, each with its adapter, and the devices behind it keep up."""

from typing import Any

import pytest
from example_site import SITE

from gateway.config import SiteFile, check
from gateway.config.site import Meter
from gateway.ports.south import Lease
from gateway.runtime import wiring
from gateway.runtime.clock import RealClock
from gateway.southbound.sunspec_modbus import SunspecMeter

PLAIN = SITE.replace('[device.sunspec_modbus.serial]\nline = "/dev/ttyUSB0"\nparity = "even"\n', "")
METER = """
[[meter]]
name = "main-1"
resource = "house-1"
[meter.sunspec_modbus]
host = "127.0.0.1"
port = 5022
"""


def faults_of(more: str) -> list[str]:
    return [str(fault).partition(": ")[2] for fault in check(PLAIN + more, "site.toml", wiring.TABLES).faults]


def built(more: str) -> SiteFile:
    checked = check(PLAIN + more, "site.toml", wiring.TABLES)
    assert checked.site is not None, checked.faults
    return checked.site


def test_a_meter_is_built_with_its_adapter_and_no_site_needs_one() -> None:
    assert built("").meters == ()
    [meter] = built(METER).meters
    assert meter == Meter("main-1", "house-1", {"sunspec_modbus": SunspecMeter(host="127.0.0.1", port=5022)})


def test_a_resource_has_one_meter() -> None:
    two = METER + METER.replace("main-1", "main-2")
    assert faults_of(two) == ['meter "main-2": "house-1" has a meter already, meter "main-1"; keep one of them']
    assert faults_of(METER + METER.replace("main-1", "main-2").replace("house-1", "house-2")) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (
            'resource = "house-1"',
            'resource = "hose-1"',
            'meter "main-1": "resource": no resource is named "hose-1"; did you mean "house-1"?',
        ),
        (
            '[meter.sunspec_modbus]\nhost = "127.0.0.1"\nport = 5022\n',
            "",
            'meter "main-1": nothing says how to reach it; add [meter.sunspec_modbus]',
        ),
        ("port = 5022", "poll_s = 0", 'meter "main-1" sunspec_modbus: "poll_s" is 0; it must be 1 to 60'),
        ("port = 5022", "pot = 5", 'meter "main-1" sunspec_modbus: unknown key "pot"; did you mean "port"?'),
        ("[[meter]]", "[meter]", 'site: "meter" must be written as [[meter]]'),
    ],
)
def test_what_is_wrong_with_a_meter_is_named(before: str, after: str, fault: str) -> None:
    assert METER.count(before) == 1
    assert faults_of(METER.replace(before, after)) == [fault]


def test_devices_behind_a_meter_are_read_as_often_as_it() -> None:
    clock = RealClock()
    site = built(METER.replace("port = 5022", "poll_s = 3"))
    links: Any = wiring.south(site, clock, lambda _event: None, Lease(clock), may_write=False).adapters[
        "sunspec_modbus"
    ]
    assert {name: link.table.poll_s for name, link in links._links.items()} == {"roof-1": 3, "roof-2": 2}
    assert site.devices[0].tables["sunspec_modbus"].poll_s == 5
