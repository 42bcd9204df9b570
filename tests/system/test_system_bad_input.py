"""Bad input from above while an order is in force: nothing is loosened, one line says so, and all is well after it."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from street_bench import Bench, Gateway, Simulators, p384_server, scenario, until

LIMIT_W = 3000
CONTROLS = "/derp/1/derc"
LIST = """<?xml version="1.0" encoding="UTF-8"?>
<DERControlList xmlns="urn:ieee:std:2030.5:ns" href="/derp/1/derc" all="1" results="1">
  <DERControl href="/derp/1/derc/{mrid}" replyTo="/rsps/1/rsp" responseRequired="03">
    <mRID>{mrid}</mRID><description>limit</description><version>0</version>
    <creationTime>{start_s}</creationTime>
    <EventStatus>
      <currentStatus>1</currentStatus><dateTime>{start_s}</dateTime>
      <potentiallySuperseded>false</potentiallySuperseded>
    </EventStatus>
    <interval><duration>3600</duration><start>{start_s}</start></interval>
    <DERControlBase>
      <c:opModExpLimW xmlns:c="https://csipaus.org/ns">
        <multiplier>0</multiplier><value>3000</value>
      </c:opModExpLimW>
    </DERControlBase>
  </DERControl>
</DERControlList>"""

# name: what of the good list is changed, and what the one line about it says
WHOLE = {
    "malformed": ("</DERControlBase>", "</", "not well-formed XML"),
    "a document type": ("?>", '?><!DOCTYPE a [<!ENTITY b "c">]>', "document type"),
    "another namespace": ("urn:ieee:std:2030.5:ns", "urn:other", "namespace 'urn:other'"),
    "another resource": ("DERControlList", "EndDeviceList", "EndDeviceList"),
}
ITEM = {
    "absurd multiplier": ("<multiplier>0<", "<multiplier>99<", "'99'"),
    "negative duration": ("<duration>3600<", "<duration>-600<", "'-600'"),
}
LOOSER = ("<multiplier>0<", "<multiplier>9<")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


def in_force(street: Simulators, head_end: Simulators, gateway: Gateway) -> None:
    """Have a limit of 3000 W in force and obeyed at all four."""
    until(gateway.is_ok, 20, "the gateway is ok", gateway.said)
    head_end.issue("limit", LIMIT_W)

    def obeyed() -> bool:
        devices = gateway.health()["devices"].values()
        return {(device["limit_w"], device["verdict"]) for device in devices} == {(LIMIT_W, "obeyed")}

    until(obeyed, 20, "the limit is obeyed", gateway.health)
    assert set(street.limits().values()) == {LIMIT_W}


def assert_held(street: Simulators, since_ms: float) -> None:
    """See that since then no inverter's register or power went past the limit, nor lost it."""
    shown = [line for line in street.happened("measured") if line["t_ms"] >= since_ms]
    assert len(shown) > 5
    assert {limit_w for line in shown for limit_w in line["limit_w"].values()} == {LIMIT_W}
    assert max(w for line in shown for w in line["w"].values()) <= LIMIT_W + 50


def good_list(simulators: Simulators) -> str:
    control = simulators.state()["head_ends"]["dso"]["controls"][0]
    return LIST.format(mrid=control["mrid"], start_s=control["start_s"])


def reads(simulators: Simulators, since_ms: int) -> int:
    """Count the reads of the list of controls since then."""
    asked = simulators.state()["head_ends"]["dso"]["requests"]
    return sum(one["t_ms"] > since_ms and one["path"].startswith(CONTROLS) for one in asked)


def override(simulators: Simulators, gateway: Gateway, body: str | None) -> int:
    """Answer the list of controls with this (None: truly), until that was read twice; give the time of it (ms)."""
    since_ms = simulators.act(override={"head_end": "dso", "path": CONTROLS, "body": body})
    until(lambda: reads(simulators, since_ms) >= 2, 20, "the list is read twice", gateway.said)
    return since_ms


def test_bad_bodies_loosen_nothing_and_get_one_line_each(bench: Bench) -> None:
    simulators = bench.simulators(scenario())
    gateway = bench.gateway(simulators)
    in_force(simulators, simulators, gateway)
    since_ms = bench.now_ms()
    good = good_list(simulators)
    override(simulators, gateway, good)
    assert not gateway.complaints()
    for name, (old, new, said) in {**WHOLE, **ITEM}.items():
        before = len(gateway.complaints())
        override(simulators, gateway, good.replace(old, new))
        told = gateway.complaints()[before:]
        assert len(told) == 1, (name, told)
        assert "dso" in told[0]
        assert said in told[0], (name, told)
        override(simulators, gateway, None)
        until(gateway.is_ok, 20, f"contact is whole again after {name}", gateway.health)
        told = gateway.complaints()[before + 1 :]
        assert len(told) == (name in WHOLE), (name, told)
        assert all("again" in line for line in told)
    override(simulators, gateway, good.replace(*LOOSER))
    until(
        lambda: any("kept as it was: other content" in record["effect"] for record in gateway.records()),
        10,
        "a looser limit under the same version is refused",
        gateway.said,
    )
    override(simulators, gateway, None)
    assert_held(simulators, since_ms)
    assert gateway.is_ok()
    assert gateway.stop() == 0
    assert "Traceback" not in "".join(gateway.said())


def test_body_over_a_mebibyte_is_not_read(bench: Bench) -> None:
    body = json.dumps(f"<DERControlList>{'x' * (1 << 20)}</DERControlList>")
    step = f'[[step]]\nat_s = 240\noverride = {{ head_end = "dso", path = "{CONTROLS}", body = {body} }}\n'
    simulators = bench.simulators(scenario(more=step))
    gateway = bench.gateway(simulators)
    in_force(simulators, simulators, gateway)
    since_ms = bench.now_ms()
    until(lambda: bool(simulators.happened("override")), 20, "the timeline overrides the list", gateway.said)
    until(lambda: bool(gateway.complaints()), 20, "one line", gateway.said)
    bench.sleep_until_ms(bench.now_ms() + 20_000)
    assert len(gateway.complaints()) == 1
    assert "over 1048576 octets" in gateway.complaints()[0]
    override(simulators, gateway, None)
    until(gateway.is_ok, 20, "contact is whole again", gateway.health)
    assert_held(simulators, since_ms)


def test_head_end_with_a_certificate_on_another_curve_is_refused(bench: Bench) -> None:
    street = bench.simulators(scenario(head_ends=False))
    head_ends = bench.simulators(scenario(inverters=False))
    gateway = bench.gateway(street, head_ends)
    in_force(street, head_ends, gateway)
    since_ms = bench.now_ms()
    port = urlsplit(head_ends.ready["head_ends"]["dso"]["url"]).port
    assert port
    head_ends.stop()

    def refusals() -> list[str]:
        return [line for line in gateway.complaints() if "dso" in line and "Connect call failed" not in line]

    with impostor(p384_server(bench.pki), port) as shook:
        until(lambda: bool(refusals()), 30, "the certificate is refused", gateway.said)
        tries = len(shook)
        until(lambda: len(shook) > tries, 30, "the gateway tries again", gateway.said)
    assert all(shook), "a handshake went through"
    assert len(refusals()) == 1, gateway.complaints()
    assert "SSL" in refusals()[0]
    assert_held(street, since_ms)

    bench.simulators(scenario(inverters=False, port=port))
    until(lambda: has_contact(gateway), 40, "contact with the true head-end", gateway.said)
    assert_held(street, since_ms)


def has_contact(gateway: Gateway) -> bool:
    return bool(gateway.health()["parties"]["dso"]["contact"])


@contextmanager
def impostor(context: ssl.SSLContext, port: int) -> Iterator[list[str]]:
    """Listen where the head-end was; give why each handshake failed, "" where one did not."""
    found: list[str] = []
    with socket.create_server(("127.0.0.1", port)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _address = listening.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                    found.append("")
                except OSError as fault:
                    found.append(str(fault))
                finally:
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)
