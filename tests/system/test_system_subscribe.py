"""A gateway that subscribes: told of an order long before its poll, also after it was killed in between."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from street_bench import Bench, Gateway, Simulators, until

from gateway.cli.demo_site import site_file
from hil.mqtt.broker import free_port

CONTROLS = "/derp/1/derc"
DEFAULT_W, FIRST_W, MISSED_W, LAST_W = 1_500, 3_000, 2_500, 2_000
PATIENCE_S = 60
SIMULATED = """
name = "told"
measure_s = 2
[[inverter]]
name = "roof-1"
resource = "house-1"
irradiance = 0.9
[[resource]]
name = "house-1"
lfdi = "2A342CD9BEB285455C8C8EAC11E4634600009D6C"
[[head_end]]
name = "dso"
certificate = "dso"
poll_rate_s = 86400
notifies = true
[[head_end.program]]
name = "envelope"
primacy = 3
default = { opModExpLimW = 1500 }
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


def subscribed(street: Simulators) -> list[str]:
    return [line["resource"] for line in street.happened("subscribed")]


def issue(street: Simulators, control: str, limit_w: int, duration_s: int = 86_000) -> None:
    modes = {"opModExpLimW": limit_w}
    told = {"head_end": "dso", "program": "envelope", "name": control, "modes": modes}
    street.act(issue={**told, "start_s": 0, "duration_s": duration_s})


def obeyed(street: Simulators, gateway: Gateway, limit_w: int) -> None:
    until(lambda: street.limits() == {"roof-1": limit_w}, PATIENCE_S, f"{limit_w} W", gateway.said)


def test_an_order_is_told_and_told_again_after_a_kill(bench: Bench) -> None:
    street = bench.simulators(SIMULATED)
    site = bench.folder / "told.toml"
    text = site_file(street.ready)
    assert "contact_lost_s = 60\n" in text
    site.write_text(text.replace("contact_lost_s = 60\n", f"notify_port = {free_port()}\n"))
    first = Gateway(bench, site, "first")
    bench.admit(first)
    obeyed(street, first, DEFAULT_W)
    until(lambda: CONTROLS in subscribed(street), PATIENCE_S, "subscribed", first.said)
    issue(street, "first", FIRST_W)
    obeyed(street, first, FIRST_W)
    first.stop(signal.SIGKILL)
    issue(street, "missed", MISSED_W)
    second = Gateway(bench, site, "second")
    bench.admit(second)
    obeyed(street, second, MISSED_W)
    issue(street, "last", LAST_W)
    obeyed(street, second, LAST_W)
    assert subscribed(street).count(CONTROLS) == 1
