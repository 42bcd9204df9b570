"""A gateway below a gateway: what the upper one is ordered, an inverter of the lower one does, and the upper one hears.

The upper gateway serves 2030.5; the lower one is its client and drives two SunSpec inverters.
"""

import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from street_bench import Bench, Gateway, Line, Simulators, until

from hil.mqtt.broker import free_port

DEFAULT_W, LIMIT_W, LATER_W = 1_500, 3_000, 2_000
REVERT_S = 60
SHOWN_LATE_S = 15
LISTED_S = 10
"""What the lower gateway has read at least of what is to come, less what this test sees late."""
NEAR_W = 50
LFDIS = {
    "house-1": "2A342CD9BEB285455C8C8EAC11E4634600009D6C",
    "house-2": "BF466DEEC4F293D76C61926414EB9AE000009D6C",
}
ROOFS = {"roof-1": "house-1", "roof-2": "house-2"}

SIMULATED = """
name = "stacked"
measure_s = 2
{roofs}
[[head_end]]
name = "dso"
certificate = "dso"
poll_rate_s = 10
post_rate_s = 20
[[head_end.program]]
name = "envelope"
primacy = 3
default = {{ opModExpLimW = 1500 }}
"""
SITE = """
[gateway]
name = "{name}"
health_port = 0
[[party]]
name = "{party}"
tier = "distribution"
limit_parent = true
[[grant]]
party = "{party}"
service = "envelope"
level = 3
group = "street"
functions = ["export-limit", "generation-limit", "rating-limit", "connect", "energize"]
[[group]]
name = "street"
resources = ["house-1", "house-2"]
[[sep2_client]]
party = "{party}"
url = "{url}"
server_lfdi = "{server_lfdi}"
certificate = "pki/{name}.pem"
key = "pki/{name}.key"
trust = ["pki/serca.pem", "pki/mca.pem", "pki/mica.pem"]
poll_s = 10
post_s = 10
contact_lost_s = 60
"""
RESOURCE = """
[[resource]]
name = "{house}"
export_limit_w = 10000
last_resort_export_limit_w = 1000
[resource.sep2]
lfdi = "{lfdi}"
pin = 111115
[[device]]
name = "{device}"
resource = "{house}"
rated_w = 5000
"""
SERVED = """
[device.sep2_server]
lfdi = "{lfdi}"
client_lfdi = "{client}"
pin = 111115
limit_mode = "export"
settle_s = 60
revert_s = 60
"""
SERVER = """
[sep2_server]
port = {port}
certificate = "pki/gateway.pem"
key = "pki/gateway.key"
trust = ["pki/serca.pem", "pki/mca.pem", "pki/mica.pem"]
poll_s = 10
post_s = 10
"""
DRIVEN = """
[device.sunspec_modbus]
host = "127.0.0.1"
port = {port}
poll_s = 5
settle_s = 15
revert_s = 60
"""


class Stack:
    """The DSO, the upper gateway, the lower gateway and its inverters."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        roofs = [
            f'[[inverter]]\nname = "{roof}"\nresource = "{house}"\nirradiance = 0.9\n'
            f'[[resource]]\nname = "{house}"\nlfdi = "{LFDIS[house]}"\n'
            for roof, house in ROOFS.items()
        ]
        self.street: Simulators = bench.simulators(SIMULATED.format(roofs="".join(roofs)))
        self._port, self._starts = free_port(), 0
        self.upper = self.start_upper()
        until(
            lambda: any("devices connect at" in line for line in self.upper.said()), 20, "it listens", self.upper.said
        )
        self.lower = self._start("lower", self._lower_site())

    def start_upper(self) -> Gateway:
        """Start the upper gateway, as it was before if it was."""
        self.upper = self._start("gateway", self._upper_site())
        return self.upper

    def _start(self, name: str, site: str) -> Gateway:
        file = self.bench.folder / f"{name}.toml"
        file.write_text(site)
        self._starts += 1
        state = str(self.bench.folder / f"state-{name}")
        started = Gateway(self.bench, file, f"{name}-{self._starts}", "--state", state)
        self.bench.admit(started)
        return started

    def _upper_site(self) -> str:
        dso = self.street.ready["head_ends"]["dso"]
        parts = [SITE.format(name="gateway", party="dso", url=dso["url"], server_lfdi=dso["lfdi"])]
        for house, lfdi in LFDIS.items():
            parts.append(RESOURCE.format(house=house, lfdi=lfdi, device=f"below-{house}"))
            parts.append(SERVED.format(lfdi=lfdi, client=self.bench.issued["lower"].lfdi))
        return "".join([*parts, SERVER.format(port=self._port)])

    def _lower_site(self) -> str:
        url, server = f"https://127.0.0.1:{self._port}/dcap", self.bench.issued["gateway"].lfdi
        parts = [SITE.format(name="lower", party="upper", url=url, server_lfdi=server)]
        for roof, house in ROOFS.items():
            parts.append(RESOURCE.format(house=house, lfdi=LFDIS[house], device=roof))
            parts.append(DRIVEN.format(port=self.street.ready["inverters"][roof]["port"]))
        return "".join(parts)

    def tell(self) -> object:
        """Give what helps where something does not come about."""
        said = [each.said()[-12:] for each in (self.upper, self.lower)]
        return self.shown()[-1:], self.street.statuses(), said, self.upper.health(), self.lower.health()

    def shown(self, since_ms: float = 0) -> list[Line]:
        """Give what was measured since then."""
        return [line for line in self.street.happened("measured") if line["t_ms"] >= since_ms]

    def give(self, w: int, patience_s: float = 20) -> None:
        """Wait until both inverters are limited to this and give it."""

        def so() -> bool:
            now = self.shown()[-1]
            return all(now["limit_w"][roof] == w and abs(now["w"][roof] - w) <= NEAR_W for roof in ROOFS)

        until(so, patience_s, f"{w} W of each roof", self.tell)

    def answered(self, control: str, *statuses: int) -> None:
        """Wait until the DSO has these answers to an order, and no others, from both houses."""
        wanted = {(control, house): list(statuses) for house in LFDIS}

        def so() -> bool:
            given: Mapping[tuple[str, str], list[int]] = self.street.statuses()
            return {key: given.get(key) for key in wanted} == wanted

        until(so, 20, f"{control} is answered {statuses}", self.tell)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Bench(tmp_path, names=("dso", "lower")) as bench:
        stack = Stack(bench)
        until(stack.upper.is_ok, 40, "the upper gateway is ok", stack.tell)
        until(stack.lower.is_ok, 40, "the lower gateway is ok", stack.tell)
        stack.give(DEFAULT_W)
        yield stack


def test_an_order_goes_down_through_two_gateways_and_its_answers_come_up(stack: Stack) -> None:
    stack.street.issue("limit", LIMIT_W, duration_s=150)
    stack.give(LIMIT_W)
    stack.answered("limit", 1, 2)

    def seen_above() -> bool:
        power_w = [one["power_w"] for one in stack.upper.health()["devices"].values()]
        return all(w is not None and abs(w - LIMIT_W) <= NEAR_W for w in power_w)

    until(seen_above, 15, "the upper gateway sees the power of both houses", stack.tell)

    def seen_at_the_top() -> bool:
        latest = {line["lfdi"]: line["w"] for line in stack.street.happened("reading")}
        return all(abs(latest.get(lfdi, 0) - LIMIT_W) <= NEAR_W for lfdi in LFDIS.values())

    until(seen_at_the_top, 15, "the DSO is shown the power of both houses", lambda: stack.street.happened("reading"))
    stack.answered("limit", 1, 2, 3)
    stack.give(DEFAULT_W)
    for gateway in (stack.lower, stack.upper):
        assert gateway.stop() == 0
        assert "Traceback" not in "".join(gateway.said())


def test_a_killed_upper_gateway_leaves_the_default_and_goes_on_when_it_is_back(stack: Stack) -> None:
    stack.street.issue("limit", LIMIT_W)
    stack.give(LIMIT_W)
    stack.answered("limit", 1, 2)
    in_force_ms = stack.bench.now_ms()
    stack.upper.stop(signal.SIGKILL)
    killed_ms = stack.bench.now_ms()
    stack.give(DEFAULT_W)
    fell = {
        roof: next(line["t_ms"] for line in stack.shown(killed_ms) if line["limit_w"][roof] == DEFAULT_W)
        for roof in ROOFS
    }
    for at_ms in fell.values():
        assert LISTED_S <= (at_ms - killed_ms) / 1000 <= REVERT_S + SHOWN_LATE_S, (killed_ms, fell)
    away = [line for line in stack.lower.said() if "upper: out of reach" in line]
    assert len(away) == 1

    stack.start_upper()
    until(stack.upper.is_ok, 40, "the upper gateway is ok again", stack.tell)
    stack.give(LIMIT_W)
    assert len([line for line in stack.lower.said() if "upper: in reach again" in line]) == 1
    for line in stack.shown(in_force_ms):
        assert all(w <= LIMIT_W + NEAR_W for w in line["w"].values()), line
        assert all(limit_w is not None and limit_w <= LIMIT_W for limit_w in line["limit_w"].values()), line
    stack.street.issue("limit-later", LATER_W, duration_s=100)
    stack.give(LATER_W)
    stack.answered("limit-later", 1, 2, 3)
    stack.answered("limit", 1, 2, 7)
    assert "Traceback" not in "".join([*stack.upper.said(), *stack.lower.said()])
