"""What a site file says of the devices over MQTT and 2030.5, of VTNs and of the feeder, held together."""

import re
from pathlib import Path

import pytest

from gateway.config import check
from gateway.runtime import wiring
from gateway.runtime.domain import core_site

PAGE = (Path(__file__).parents[2] / "docs" / "site-file.md").read_text(encoding="utf-8")
[EXAMPLE] = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def without(table: str) -> str:
    """Take one table at the top out of the example."""
    found = re.subn(rf"^\[{table}\].*?\n\n", "", EXAMPLE + "\n", flags=re.MULTILINE | re.DOTALL)
    assert found[1] == 1
    return found[0]


def faults_of(text: str) -> list[str]:
    return [str(fault).partition(": ")[2] for fault in check(text, "site.toml", wiring.TABLES).faults]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (without("sep2_server"), 'device "roof-3" sep2_server: there is no [sep2_server]; add it'),
        (without("mqtt_device"), 'device "cell-4" mqtt_device: there is no [mqtt_device]; add it'),
        (without("feeder"), 'device "roof-3": there is no [feeder] that it could be on; add it, or take "bus" out'),
        (
            EXAMPLE.replace('bus = "634.1"', 'bus = "634,1"'),
            "it must be a bus of the feeder's model, as 634 or 634.1.3",
        ),
        (
            EXAMPLE.replace('name = "cell-4"\nresource = "house-4"', 'name = "cell-4"\nresource = "house-1"'),
            'device "roof-1": other devices of resource "house-1" are on the feeder; give this one its "bus" too',
        ),
    ],
)
def test_what_lacks_its_other_half_is_named(text: str, fault: str) -> None:
    assert text != EXAMPLE
    assert any(fault in each for each in faults_of(text)), faults_of(text)


def test_two_devices_with_one_lfdi_are_a_fault() -> None:
    second = EXAMPLE[
        EXAMPLE.index("[[device]]                      # a DER that") : EXAMPLE.index('[[device]]\nname = "cell-4"')
    ]
    text = EXAMPLE + second.replace('"roof-3"', '"roof-5"').replace('bus = "634.1"', 'bus = "634.3"')
    assert [each for each in faults_of(text) if "every EndDevice has its own" in each]


def test_a_broker_is_said_to_be_what_proves_identity() -> None:
    [warning] = check(EXAMPLE, "site.toml", wiring.TABLES).warnings
    assert "A1: MQTT carries no sender" in str(warning)


def test_resources_with_a_bus_are_on_the_feeder_and_its_deadline_is_on_the_gateways_clock() -> None:
    site = check(EXAMPLE, "site.toml", wiring.TABLES).site
    assert site is not None
    [feeder] = core_site(site, 20.0).feeders
    assert feeder.resources == ("house-3", "house-4")
    assert feeder.deadline_ms == 60_000
    assert [place.bus for place in wiring.places(site)["house-4"]] == ["634.2"]
