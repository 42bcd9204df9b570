"""What a site file says of the devices over MQTT and 2030.5, of VTNs and of the feeder, held together."""

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import check as check_command
from gateway.config import check
from gateway.core.events import Event, LinkDown, Observed
from gateway.core.known import Known, Unknown
from gateway.runtime import wiring
from gateway.runtime.domain import core_site

PAGE = (Path(__file__).parents[2] / "docs" / "site-file.md").read_text(encoding="utf-8")
[EXAMPLE] = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ON_FEEDER = """
[gateway]
name = "small"
[[party]]
name = "dso"
tier = "distribution"
limit_parent = true
token_file = "dso.token"
[[grant]]
party = "dso"
service = "envelope"
level = 3
functions = ["export-limit"]
group = "all"
[[group]]
name = "all"
resources = ["house"]
[[resource]]
name = "house"
export_limit_w = 5000
last_resort_export_limit_w = 1000
[[device]]
name = "roof"
resource = "house"
rated_w = 5000
bus = "nowhere.1"
[device.sunspec_modbus]
host = "127.0.0.1"
[local_api]
port = 0
"""


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


def test_the_models_fault_is_a_fault_of_the_site_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [feeder] = re.findall(r"^\[feeder\].*?(?=^\[|\Z)", EXAMPLE, re.MULTILINE | re.DOTALL)
    model = tmp_path / "master.dss"
    model.write_text("New Circuit.small bus1=src basekv=4.16\nset voltagebases=[4.16]\ncalcvoltagebases\n")
    token = tmp_path / "dso.token"
    token.write_text("a-token-that-is-long-enough-for-a-party\n")
    token.chmod(0o600)
    site = tmp_path / "site.toml"
    text = ON_FEEDER + feeder.replace("feeder/master.dss", "master.dss")
    site.write_text(text.replace('"nowhere.1"', '"src.1"'))
    assert check_command.run(site, wiring.TABLES, as_json=False) == check_command.CLEAN
    site.write_text(text)
    assert check_command.run(site, wiring.TABLES, as_json=False) == check_command.FAULTY
    assert re.search(r'site\.toml:\d+: feeder: .*"nowhere"', capsys.readouterr().err)


def test_a_customers_limits_are_said_to_be_for_its_own_der() -> None:
    text = EXAMPLE.replace('level = 7\nfunctions = ["active-power"]', 'level = 7\nfunctions = ["export-limit"]')
    assert text != EXAMPLE
    warnings = [str(warning) for warning in check(text, "site.toml", wiring.TABLES).warnings]
    assert any("B: at level 7 it limits its own DER" in warning for warning in warnings)


def test_the_feeders_model_sees_what_is_read_of_all_devices_of_a_resource() -> None:
    site = check(EXAMPLE, "site.toml", wiring.TABLES).site
    assert site is not None
    heard: list[Event] = []
    seen: list[tuple[str, int | None, int | None, int]] = []

    class Model:
        def measure(self, *given: Any) -> None:
            seen.append(given)

    models: Any = {"f1": Model()}
    hear = wiring.measuring(site, models, heard.append)
    nothing = Unknown("not asked", 0)
    read = Observed("roof-3", Known(1_200, 7), Known(-30, 7), nothing, connected=True)
    for event in (read, LinkDown("roof-3", "gone"), read._replace(device="roof-1")):
        hear(event)
    assert heard[-1] == read._replace(device="roof-1")
    assert seen == [("house-3", 1_200, -30, 7), ("house-3", None, None, 0)]
    assert wiring.measuring(site, {}, heard.append) == heard.append
