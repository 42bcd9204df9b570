"""A curve of a 2030.5 control from the server to the inverter's own var and back, in real processes (RULES C5, C15)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from street_bench import Bench, Gateway, Simulators, ask, until
from sunspec2.modbus import client

RATE = 20.0
POINTS_PCT = ((94, 30), (98, 0), (102, 0), (106, -30))
OWN_PCT = ((92, 44), (98, 0), (102, 0), (108, -44))
OWN_VAR_AT_104, OWN_VAR_AT_95 = -733, 1_100
"""By its own curve, which is of the apparent power of 5000 VA."""
MOST_VAR = 2_200
NEAR_VAR = 40
DURATION_S = 500
PATIENCE_S = DURATION_S / RATE
CONTROL = "follow-the-voltage"

SIMULATED = """
name = "volt-var"

[[inverter]]
name = "roof"
resource = "house"
kind = "autonomous"
rated_w = 5000
irradiance = 0.5

[[resource]]
name = "house"
lfdi = "0000000000000000000000000000010000EA7A00"

[[head_end]]
name = "dso"
certificate = "dso"
poll_rate_s = 10
[[head_end.program]]
name = "voltage"
primacy = 1
default = { opModExpLimW = 4000 }
[[head_end.program.curve]]
name = "narrow"
mode = "opModVoltVar"
points = [{ x = 94, y = 30 }, { x = 98, y = 0 }, { x = 102, y = 0 }, { x = 106, y = -30 }]
y_ref_type = 2
open_loop_tms = 500
"""
SITE = """
[gateway]
name = "volt-var"
health_port = 0

[[party]]
name = "dso"
tier = "distribution"
limit_parent = true

[[grant]]
party = "dso"
service = "envelope"
level = 3
functions = ["export-limit"]
group = "street"

[[grant]]
party = "dso"
service = "voltage"
level = 4
functions = ["reactive-power"]
group = "street"

[[group]]
name = "street"
resources = ["house"]

[[resource]]
name = "house"
export_limit_w = 5000
last_resort_export_limit_w = 1500
[resource.sep2]
lfdi = "0000000000000000000000000000010000EA7A00"
pin = 111115

[[device]]
name = "roof"
resource = "house"
rated_w = 5000
[device.sunspec_modbus]
host = "127.0.0.1"
port = {roof}
poll_s = 2
settle_s = 20
revert_s = 60

[[sep2_client]]
party = "dso"
url = "{url}"
server_lfdi = "{lfdi}"
certificate = "pki/gateway.pem"
key = "pki/gateway.key"
trust = ["pki/serca.pem", "pki/mca.pem", "pki/mica.pem"]
poll_s = 10
contact_lost_s = 60
"""


class House(NamedTuple):
    """The processes of one house, and how to look at its inverter and at what its gateway answered."""

    bench: Bench
    simulators: Simulators
    gateway: Gateway

    def volt_var(self) -> tuple[bool, tuple[tuple[float, float], ...]]:
        """Read over Modbus whether the volt-var curve in force is on, and its points (% of voltage, % of var)."""
        device = client.SunSpecModbusClientDeviceTCP(ipaddr="127.0.0.1", ipport=self._port(), slave_id=1)
        try:
            device.scan()
            model: Any = device.models[705][0]
            curve = model.Crv[0]
            count = int(curve.ActPt.cvalue)
            return model.Ena.value == 1, tuple((each.V.cvalue, each.Var.cvalue) for each in curve.Pt[:count])
        finally:
            device.close()

    def statuses(self) -> list[int]:
        """Give what the server was answered to the control."""
        return self.simulators.statuses().get((CONTROL, "house"), [])

    def gives_var(self, var: float) -> None:
        """Wait until the inverter gives this reactive power, or fail with what it gives."""

        def given() -> int:
            return int(self.simulators.state()["inverters"]["roof"]["var"])

        until(lambda: abs(given() - var) <= NEAR_VAR, PATIENCE_S, f"{var} var", given)

    def _port(self) -> int:
        return int(self.simulators.ready["inverters"]["roof"]["port"])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Run a house whose inverter follows a volt-var curve of its own, at 104 % of the voltage."""
    with Bench(tmp_path, RATE, ("dso",)) as bench:
        simulators = bench.simulators(SIMULATED)
        site = tmp_path / "site.toml"
        dso = simulators.ready["head_ends"]["dso"]
        port = simulators.ready["inverters"]["roof"]["port"]
        site.write_text(SITE.format(roof=port, url=dso["url"], lfdi=dso["lfdi"]))
        simulators.act(mains={"pu": 1.04})
        simulators.act(foreign={"inverter": "roof", "points": {"705.Ena": 1}})
        gateway = Gateway(bench, site, "gateway")
        bench.admit(gateway)
        until(gateway.is_ok, 30, "the gateway is in contact and its device obeys", gateway.said)
        yield House(bench, simulators, gateway)


def test_a_curve_of_a_control_is_adopted_acts_is_answered_and_is_taken_back(house: House) -> None:
    assert house.volt_var() == (True, OWN_PCT)
    house.gives_var(OWN_VAR_AT_104)
    issue = {
        "head_end": "dso",
        "program": "voltage",
        "name": CONTROL,
        "modes": {"opModVoltVar": {"curve": "narrow"}},
        "start_s": 30,
        "duration_s": DURATION_S,
    }
    house.simulators.act(issue=issue)
    until(lambda: house.statuses() == [1, 2], PATIENCE_S, "received, then started", house.statuses)
    until(lambda: house.volt_var() == (True, POINTS_PCT), PATIENCE_S, "the curve is in force", house.volt_var)
    house.gives_var(-0.15 * MOST_VAR)
    house.simulators.act(mains={"pu": 0.95})
    house.gives_var(0.225 * MOST_VAR)
    assert house.statuses() == [1, 2]

    until(lambda: house.statuses() == [1, 2, 3], 2 * PATIENCE_S, "completed", house.statuses)
    until(lambda: house.volt_var() == (True, OWN_PCT), PATIENCE_S, "its own curve again", house.volt_var)
    house.gives_var(OWN_VAR_AT_95)
    assert house.gateway.complaints() == []
    assert house.gateway.stop() == 0

    replayed = ask("replay", "--state", house.bench.state, "--json")
    assert (replayed.returncode, replayed.stderr) == (0, "")
    found = json.loads(replayed.stdout)
    assert (found["agreed"], found["skipped"]) == (True, 0)
    [issued] = house.simulators.happened("issued")
    explained = ask("explain", issued["mrid"], "--state", house.bench.state).stdout
    assert "volt-var of 4 points" in explained, explained
    assert "is answered completed for house by C15" in explained, explained
