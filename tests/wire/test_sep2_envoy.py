"""A codec that is not ours reads what we write, and we read what it writes (envoy-schema, CSIP-AUS 1.2)."""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sep2_agreement import lost
from sep2_examples import BODIES
from sep2_strategies import drawn
from sep2_values import LFDI

from gateway.wire.sep2 import Resource, decode, encode
from gateway.wire.sep2.codes import CURVE_MODES
from gateway.wire.sep2.curves import DERCurve, DERCurveList
from gateway.wire.sep2.devices import ConnectionPoint, DeviceInformation
from gateway.wire.sep2.metering import ReadingSetList, UsagePointList

ORACLE = Path(__file__).with_name("envoy_oracle.py")
LACKING = DERCurve | DERCurveList | DeviceInformation | ReadingSetList
SHARED = tuple(example for example in BODIES if not isinstance(example, LACKING))
"""What envoy-schema has as well: it knows links to the others alone."""
NAMES = [type(example).__name__ for example in SHARED]


GAPS = {
    ("DeviceCapability", "self_device_link"),
    ("EndDevice", "flow_reservation_request_list_link"),
    ("EndDevice", "flow_reservation_response_list_link"),
    ("EndDevice", "ip_interface_list_link"),
    ("ResponseList", "items"),
    ("Notification", "resource"),
    ("UsagePointList", "poll_rate_s"),
}
"""What envoy-schema does not know of a body that it has: links, the totals of links, types inside."""
CASES = 8


def ask(resources: Iterable[Resource]) -> list[dict[str, Any]]:
    bodies = [(type(resource).__name__, encode(resource).decode()) for resource in resources]
    asked = subprocess.run(
        [sys.executable, ORACLE], input=json.dumps(bodies), capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    answers: list[dict[str, Any]] = json.loads(asked.stdout)
    return answers


@pytest.fixture(scope="module")
def envoy() -> dict[str, dict[str, Any]]:
    return dict(zip(NAMES, ask(SHARED), strict=True))


@pytest.mark.parametrize("example", SHARED, ids=NAMES)
def test_what_envoy_writes_after_reading_ours_is_what_we_had(
    example: Resource, envoy: dict[str, dict[str, Any]]
) -> None:
    read = decode(envoy[type(example).__name__]["written"].encode())
    if isinstance(read, UsagePointList):
        read = replace(read, poll_rate_s=900)
    assert read == example


def test_what_envoy_writes_after_reading_any_value_of_ours_has_all_of_it() -> None:
    cases = [case for name in NAMES for case in drawn(name, (2018, "1.3"), CASES)]
    read = 0
    for case, answer in zip(cases, ask(cases), strict=True):
        empty = isinstance(case, ConnectionPoint) and not case.connection_point_id
        if "written" in answer and not empty:  # it refuses many codes that the schema reserves
            read += 1
            assert lost(case, decode(answer["written"].encode()), GAPS) == []
    assert read > len(cases) / 4


def test_envoy_reads_the_values_that_we_meant(envoy: dict[str, dict[str, Any]]) -> None:
    controls = envoy["DERControlList"]["read"]
    assert (controls["all_"], controls["results"]) == (3, 2)
    first, second = controls["DERControl"]
    assert first["replyTo"] == "/rsps/1/rsp"
    assert first["responseRequired"] == "03"
    assert int(first["mRID"], 16) == 1
    assert first["interval"] == {"duration": 300, "start": 1_726_633_256}
    assert first["EventStatus_"]["currentStatus"] == 1
    assert (first["randomizeStart"], first["randomizeDuration"]) == (30, -60)
    assert second["DERControlBase_"] == {
        "opModConnect": True,
        "opModEnergize": False,
        "opModFixedPFAbsorbW": {"displacement": 95, "excitation": True, "multiplier": -2},
        "opModFixedPFInjectW": {"displacement": 1, "excitation": False, "multiplier": 0},
        "opModFixedVar": {"refType": 2, "value": -4400},
        "opModFixedW": -2500,
        "opModFreqDroop": {"dBOF": 36, "dBUF": 36, "kOF": 50, "kUF": 40, "openLoopTms": 500},
        **{mode: {"href": f"/derp/1/dc/{place}"} for place, mode in enumerate(CURVE_MODES)},
        "opModMaxLimW": 5000,
        "opModTargetVar": {"multiplier": 2, "value": -12},
        "opModTargetW": {"multiplier": 1, "value": -32_768},
        "rampTms": 1000,
        "opModImpLimW": {"multiplier": 3, "value": 15},
        "opModExpLimW": {"multiplier": -1, "value": 15_005},
        "opModGenLimW": {"multiplier": 0, "value": 0},
        "opModLoadLimW": {"multiplier": 9, "value": 32_767},
    }
    assert envoy["DefaultDERControl"]["read"]["setGradW"] == 27
    assert envoy["EndDevice"]["read"]["lFDI"] == LFDI
    assert envoy["EndDevice"]["read"]["ConnectionPointLink"]["href"] == "/edev/1/cp"
    assert envoy["DERCapability"]["read"]["rtgMaxW"] == {"multiplier": 0, "value": 5000}
    assert envoy["DERCapability"]["read"]["doeModesSupported"] == "0F"
    assert envoy["DERSettings"]["read"]["doeModesEnabled"] == "03"
    assert envoy["DERStatus"]["read"]["inverterStatus"] == {"dateTime": 1_682_475_024, "value": 4}
    assert envoy["DERControlResponse"]["read"]["status"] == 253
    point = envoy["MirrorUsagePoint"]["read"]
    assert point["roleFlags"] == "0049"
    reading = point["mirrorMeterReadings"][0]
    assert (reading["reading"]["value"], reading["readingType"]["uom"]) == (-1500, 38)
    assert envoy["Registration"]["read"]["pIN"] == 111_115
    subscription = envoy["Subscription"]["read"]
    assert (subscription["subscribedResource"], subscription["limit"], subscription["level"]) == (
        "/edev/1/derp/1/derc",
        1,
        "+S1",
    )
    assert subscription["condition"]["lowerThreshold"] == -5
    assert envoy["Notification"]["read"]["status"] == 2
