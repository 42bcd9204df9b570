"""An export limit held at the meter of a connection point, in real processes: one inverter, one load, one meter."""

import http.client
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from street_bench import Bench, Gateway, Line, Simulators, until

RATE = 6.0
LIMIT_W = 2_000
NEAR_W = 150
TOKEN = "the-dso-speaks-for-itself"

SIMULATED = """
name = "metered"

[[inverter]]
name = "roof"
resource = "house"
rated_w = 5000

[[meter]]
name = "main"
resource = "house"
kind = "203"
load_w = 1500
"""
SITE = """
[gateway]
name = "metered"
health_port = 0

[local_api]
port = 0

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
group = "street"

[[group]]
name = "street"
resources = ["house"]

[[resource]]
name = "house"
export_limit_w = 10000
last_resort_export_limit_w = 1000

[[device]]
name = "roof"
resource = "house"
rated_w = 5000
[device.sunspec_modbus]
host = "127.0.0.1"
port = {roof}

[[meter]]
name = "main"
resource = "house"
[meter.sunspec_modbus]
host = "127.0.0.1"
port = {main}
"""


class Metered(NamedTuple):
    """The processes of one house, and how to look at it."""

    bench: Bench
    simulators: Simulators
    gateway: Gateway

    def flows_w(self) -> tuple[int, int]:
        """Give what goes out at the meter and what the inverter gives (W)."""
        state = self.simulators.state()
        return state["meters"]["main"]["w"], state["inverters"]["roof"]["w"]

    def watched_w(self, seconds: float) -> list[tuple[int, int]]:
        """Look for so many seconds of the clock."""
        found = []
        until_ms = self.bench.now_ms() + 1000 * seconds
        while self.bench.now_ms() < until_ms:
            found.append(self.flows_w())
            time.sleep(0.1)
        return found

    def settles(self, out_w: int, given_w: int, seconds: float) -> None:
        """Wait until meter and inverter stay near these (W) for 6 s, which they do within `seconds` of the clock."""

        def stays() -> bool:
            seen = self.watched_w(6)
            return all(abs(out - out_w) <= NEAR_W and abs(given - given_w) <= NEAR_W for out, given in seen)

        until(stays, seconds / RATE, f"{out_w} W out of {given_w} W", lambda: (self.flows_w(), self.gateway.said()))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Metered]:
    """Run the house with an export limit at its connection point."""
    with Bench(tmp_path, RATE) as bench:
        simulators = bench.simulators(SIMULATED)
        token = tmp_path / "dso.token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        site = tmp_path / "site.toml"
        ports = {
            name: each["port"] for part in ("inverters", "meters") for name, each in simulators.ready[part].items()
        }
        site.write_text(SITE.format(**ports))
        gateway = Gateway(bench, site, "gateway")
        bench._children.append(gateway)
        limit(gateway)
        yield Metered(bench, simulators, gateway)
        assert gateway.stop() == 0


def limit(gateway: Gateway) -> None:
    """Have the DSO limit what goes out at the connection point."""
    pattern = re.compile(r"local API at http://127\.0\.0\.1:(\d+)")
    until(lambda: bool(pattern.search("\n".join(gateway.said()))), 20, "the local API is up", gateway.said)
    found = pattern.search("\n".join(gateway.said()))
    assert found is not None
    connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=20)
    body = json.dumps({"group": "street", "effects": [{"function": "export-limit", "w": LIMIT_W}]})
    connection.request("POST", "/v1/defaults", body, {"Authorization": f"Bearer {TOKEN}"})
    said: Line = json.loads(connection.getresponse().read())
    connection.close()
    assert said["admitted"], said


def test_an_export_limit_holds_at_the_meter_and_falls_back_on_the_inverter_without_it(house: Metered) -> None:
    house.settles(LIMIT_W, LIMIT_W + 1_500, 60)

    house.simulators.act(load={"meter": "main", "w": 0})
    house.settles(LIMIT_W, LIMIT_W, 20)

    house.simulators.act(load={"meter": "main", "w": 1_500})
    house.settles(LIMIT_W, LIMIT_W + 1_500, 20)
    assert house.gateway.complaints() == []

    house.simulators.act(fault={"inverter": "main", "fault": "refuse_connections"})
    house.settles(LIMIT_W - 1_500, LIMIT_W, 20)
    time.sleep(3)
    [complaint] = house.gateway.complaints()
    assert "the meter of house is down" in complaint
