"""What the gateway does when it is stopped, kept from writing, out of contact, or told to end, in real processes."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from street_bench import DEFAULT_W, ROOFS_2018, ROOFS_LEGACY, Bench, Gateway, Simulators, established, scenario, until

from gateway.store import Reader

ALL = (*ROOFS_2018, *ROOFS_LEGACY)
REVERT_S = 60
SHOWN_LATE_S = 10
UNITS = {"watts", "seconds", "total"}
COUNTS = {"reachable", "contact", "owed", "open", "decided", "writes"}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


def start(bench: Bench) -> tuple[Simulators, Gateway]:
    simulators = bench.simulators(scenario())
    gateway = bench.gateway(simulators)
    until(gateway.is_ok, 20, "the gateway is ok", gateway.said)
    until(lambda: all_obey(gateway), 10, "the default is obeyed", gateway.health)
    return simulators, gateway


def all_obey(gateway: Gateway) -> bool:
    return all(device["verdict"] == "obeyed" for device in gateway.health()["devices"].values())


def hold(simulators: Simulators, gateway: Gateway, limit_w: int, names: tuple[str, ...] = ALL) -> None:
    """Wait until these inverters hold this limit."""
    until(
        lambda: all(simulators.limits()[name] == limit_w for name in names),
        15,
        f"{limit_w} W at {', '.join(names)}",
        lambda: (simulators.limits(), gateway.complaints()),
    )


def measured_w(simulators: Simulators) -> dict[str, int]:
    return {name: inverter["w"] for name, inverter in simulators.state()["inverters"].items()}


def test_stopped_gateway_lets_the_inverters_that_can_fall_back(bench: Bench) -> None:
    simulators, gateway = start(bench)
    simulators.issue("loose", 4000)
    hold(simulators, gateway, 4000)
    until(lambda: min(measured_w(simulators).values()) > 3900, 10, "4000 W flow", lambda: measured_w(simulators))
    modbus = {inverter["port"] for inverter in simulators.ready["inverters"].values()}
    connected = {port: inode for port, inode in established(gateway).items() if port in modbus}
    assert connected.keys() == modbus

    stopped_ms = bench.now_ms()
    gateway.process.send_signal(signal.SIGSTOP)
    hold(simulators, gateway, DEFAULT_W, ROOFS_2018)
    bench.sleep_until_ms(stopped_ms + 1000 * (REVERT_S + 40))
    shown = [line for line in simulators.happened("measured") if line["t_ms"] > stopped_ms]
    for name in ROOFS_2018:
        fell_back_ms = next(line["t_ms"] for line in shown if line["limit_w"][name] == DEFAULT_W)
        assert fell_back_ms - stopped_ms <= 1000 * (REVERT_S + SHOWN_LATE_S)
    assert simulators.limits() == {**dict.fromkeys(ROOFS_2018, DEFAULT_W), **dict.fromkeys(ROOFS_LEGACY, 4000)}
    power_w = measured_w(simulators)
    assert all(power_w[name] <= DEFAULT_W + 50 for name in ROOFS_2018)
    assert all(power_w[name] > 3900 for name in ROOFS_LEGACY)
    assert connected.items() <= established(gateway).items()

    gateway.process.send_signal(signal.SIGCONT)
    hold(simulators, gateway, 4000)
    until(gateway.is_ok, 20, "the gateway is ok again", gateway.said)


def test_dry_run_decides_and_neither_writes_nor_posts(bench: Bench) -> None:
    simulators = bench.simulators(scenario())
    gateway = bench.gateway(simulators, more=("--dry",))
    until(gateway.is_ok, 20, "the gateway is ok", gateway.said)
    simulators.issue("limit", 3000)

    def decided() -> bool:
        return any("3000 W" in record["effect"] and record["device"] == "roof-4" for record in gateway.records())

    until(decided, 10, "the limit is decided", gateway.said)
    bench.sleep_until_ms(bench.now_ms() + 90_000)
    assert gateway.stop() == 0
    answers = {record["answer"] for record in gateway.records()}
    assert {"received", "started"} <= answers
    state = simulators.state()
    assert {name: inverter["write_count"] for name, inverter in state["inverters"].items()} == dict.fromkeys(ALL, 0)
    assert all(inverter["w"] > 4400 for inverter in state["inverters"].values())
    for head_end in state["head_ends"].values():
        assert {request["method"] for request in head_end["requests"]} == {"GET"}
        assert not head_end["answers"]
        assert not head_end["documents"]


def test_health_is_degraded_while_a_device_or_a_head_end_is_away(bench: Bench) -> None:
    simulators, gateway = start(bench)

    def degraded() -> bool:
        return bool(gateway.health()["status"] == "degraded")

    simulators.act(fault={"inverter": "roof-2", "fault": "silent"})
    until(degraded, 15, "a silent device degrades", gateway.health)
    shown = gateway.health()
    assert {name for name, device in shown["devices"].items() if not device["reachable"]} == {"roof-2"}, shown
    assert shown["devices"]["roof-2"]["power_w"] is None
    assert 'gateway_device_reachable{device="roof-2"} 0.0' in gateway.metrics()
    assert 'gateway_device_power_watts{device="roof-2"}' not in gateway.metrics()
    simulators.act(fault={"inverter": "roof-2", "fault": "silent", "on": False})
    until(gateway.is_ok, 20, "ok when the device answers again", gateway.health)

    simulators.act(outage={"head_end": "dso", "how": "refuse"})
    until(degraded, 15, "a head-end out of reach degrades", gateway.health)
    assert {name for name, party in gateway.health()["parties"].items() if not party["contact"]} == {"dso"}
    simulators.act(outage={"head_end": "dso", "how": "none"})
    until(gateway.is_ok, 20, "ok when the head-end is back", gateway.health)


def test_metrics_bear_units_and_the_values_of_the_street(bench: Bench) -> None:
    simulators, gateway = start(bench)
    hold(simulators, gateway, DEFAULT_W)
    families = {family.name: family for family in text_string_to_metric_families(gateway.metrics())}
    assert families
    for name, family in families.items():
        assert name.startswith("gateway_")
        assert family.type == "counter" or name.rpartition("_")[2] in UNITS | COUNTS | {"created"}, name
    limits_w = {sample.labels["device"]: sample.value for sample in families["gateway_device_limit_watts"].samples}
    assert limits_w == dict.fromkeys(ALL, DEFAULT_W)
    assert families["gateway_register_writes"].samples[0].value >= len(ALL)


def test_told_to_end_it_ends_well_and_goes_on_where_it_was(bench: Bench) -> None:
    simulators, first = start(bench)
    simulators.issue("limit", 3000, start_s=5, duration_s=200)
    hold(simulators, first, 3000)
    until(lambda: first.health()["owed_answers"] == 0, 10, "no answer is owed", first.health)
    assert first.stop(signal.SIGTERM) == 0
    assert not first.complaints()
    reader = Reader.open(bench.state)
    try:
        assert next(reader.snapshots_back()).after == reader.last_number()
    finally:
        reader.close()

    second = bench.gateway(simulators)
    until(second.is_ok, 20, "the gateway is ok", second.said)
    hold(simulators, second, 3000)
    assert all(statuses == [1, 2] for statuses in simulators.statuses().values())
    until(lambda: all(3 in statuses for statuses in simulators.statuses().values()), 20, "completed", second.said)
    assert second.stop(signal.SIGINT) == 0
    assert simulators.statuses() == {("limit", f"house-{n}"): [1, 2, 3] for n in (1, 2, 3, 4)}
