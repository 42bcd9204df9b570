"""A codec that is not ours reads what we write, and we read what it writes (envoy-schema, CSIP-AUS 1.2)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sep2_values import EXAMPLES, LFDI

from gateway.wire.sep2 import Resource, decode, encode

ORACLE = Path(__file__).with_name("envoy_oracle.py")
NAMES = [type(example).__name__ for example in EXAMPLES]


@pytest.fixture(scope="module")
def envoy() -> dict[str, dict[str, Any]]:
    bodies = {type(example).__name__: encode(example).decode() for example in EXAMPLES}
    asked = subprocess.run(
        [sys.executable, ORACLE], input=json.dumps(bodies), capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    answer: dict[str, dict[str, Any]] = json.loads(asked.stdout)
    return answer


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_what_envoy_writes_after_reading_ours_is_what_we_had(
    example: Resource, envoy: dict[str, dict[str, Any]]
) -> None:
    assert decode(envoy[type(example).__name__]["written"].encode()) == example


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
        "opModFixedW": -2500,
        "opModMaxLimW": 5000,
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
