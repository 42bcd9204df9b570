"""The broker goes and comes, asks who is there, and lets nobody write another's topics."""

import asyncio
import gc
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import aiomqtt
import pytest
from mqtt_bench import (
    PROFILES,
    Ear,
    Relay,
    certificates,
    client_context,
    clocks,
    desk,
    overheard,
    party,
    power_w,
    spec,
    told_state,
    until,
)

from gateway.core.events import Adopted, ForeignHand, LinkDown, LinkUp, NotAdopted, Observed
from gateway.ports.south import Lease
from gateway.southbound.mqtt_device import MqttDevices, broker_faults, build, connection
from gateway.southbound.mqtt_device.connection import Connection
from hil.mqtt.battery import MqttBattery
from hil.mqtt.broker import Access, Broker, Kind, Tls, mosquitto

NEEDS_MOSQUITTO = pytest.mark.skipif(mosquitto() is None, reason="no mosquitto here, and iotcore has no access lists")
KINDS: list[Kind] = ["iotcore", *(["mosquitto"] if mosquitto() else [])]  # type: ignore[list-item] # both are kinds
USERS = {"gateway": "g-secret", "cell": "c-secret", "shed": "s-secret"}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What was logged of the link, one line each."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    caplog.set_level(logging.INFO, "gateway.southbound.mqtt_device")
    logger, handler = logging.getLogger("gateway.southbound.mqtt_device"), Lines()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_broker_killed_and_started_again_loosens_and_loses_nothing(
    tmp_path: Path, kind: Kind, said: list[str]
) -> None:
    ours, theirs = clocks()
    async with (
        Broker(tmp_path, kind=kind) as broker,
        MqttBattery(spec(broker.port), theirs) as cell,
        desk(broker.port, ours) as made,
    ):
        await made.ear.until(LinkUp)
        made.want(1, revert_after_ms=300_000)
        await made.ear.until(Adopted)
        await until(lambda: cell.w == 3_000)
        await broker.kill()
        assert "is down" in (await made.ear.until(LinkDown)).why
        made.want(2, limit_w=2_500)
        made.want(3, limit_w=2_000)
        most_w = 0.0
        for _ in range(20):
            await asyncio.sleep(0.01)
            most_w = max(most_w, cell.w)
        await broker.start()
        assert (await made.ear.until(Adopted, 2)).serial == 3
        await until(lambda: cell.w == 2_000)
        assert most_w <= 3_000
        assert len(made.ear.of(LinkDown)) == 1
        assert made.ear.of(ForeignHand) + made.ear.of(NotAdopted) == []
        where = f"MQTT broker 127.0.0.1:{broker.port}"
        assert [line.partition(": ")[0] for line in said] == [f"{where} is up", f"{where} is down", f"{where} is up"]


async def test_without_a_broker_the_battery_falls_back_and_is_told_again_after(tmp_path: Path) -> None:
    ours, theirs = clocks()
    async with (
        Broker(tmp_path) as broker,
        MqttBattery(spec(broker.port), theirs) as cell,
        desk(broker.port, ours) as made,
    ):
        await made.ear.until(LinkUp)
        made.want(1, revert_after_ms=10_000)
        await made.ear.until(Adopted)
        await broker.kill()
        await until(lambda: cell.reverted and cell.w == 1_500)
        await broker.start()
        await made.ear.until(Adopted, 2)
        await until(lambda: cell.w == 3_000)
        assert made.ear.of(ForeignHand) == []


async def test_a_broker_that_is_not_there_yet_is_waited_for_with_one_line(tmp_path: Path, said: list[str]) -> None:
    ours, _theirs = clocks()
    broker = Broker(tmp_path)
    async with desk(broker.port, ours) as made:
        made.want(1)
        await made.ear.until(LinkDown)
        await asyncio.sleep(0.5)
        assert len(made.ear.of(LinkDown)) == 1
        async with broker:
            await until(lambda: len(said) == 2)
    assert "is down" in said[0]
    assert said[1].endswith("is up")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x03\x00", b"\xff" * 40])
async def test_a_port_that_answers_nothing_or_nonsense_is_no_broker(
    answer: bytes, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REPLY_S", 0.3)
    ours, _theirs = clocks()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        while await reader.read(100):
            pass
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    async with desk(server.sockets[0].getsockname()[1], ours) as made:
        await made.ear.until(LinkDown)
        assert made.ear.of(LinkUp) == []
    server.close()
    assert len(said) == 1


async def test_an_end_is_not_held_up_by_a_broker_that_answers_nothing() -> None:
    ours, _theirs = clocks()
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: writers.append(writer), "127.0.0.1", 0)
    async with desk(server.sockets[0].getsockname()[1], ours):
        await until(lambda: len(writers) == 1)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 2
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    server.close()


async def test_the_gateways_last_will_is_told_and_taken_back(tmp_path: Path, said: list[str]) -> None:
    ours, _theirs = clocks()
    async with (
        Broker(tmp_path) as broker,
        Relay(broker.port) as relay,
        overheard(broker.port, "laminar/gateway/availability") as heard,
    ):
        async with desk(relay.port, ours):
            await until(lambda: len(heard) == 1)
            relay.cut()
            await until(lambda: len(heard) == 3)
        await until(lambda: len(heard) == 4)
        assert [message.payload for message in heard] == [b"online", b"offline", b"online", b"offline"]
        assert len([line for line in said if "MQTT broker" in line]) == 3


async def test_whoever_takes_the_gateways_client_id_does_not_keep_it(tmp_path: Path) -> None:
    ours, theirs = clocks()
    async with (
        Broker(tmp_path) as broker,
        MqttBattery(spec(broker.port), theirs),
        desk(broker.port, ours) as made,
    ):
        await made.ear.until(LinkUp)
        async with party(broker.port, "laminar-gateway"):
            await made.ear.until(LinkDown)
            await made.ear.until(LinkUp, 2)
        made.want(1)
        await made.ear.until(Adopted)


@pytest.mark.parametrize("kind", KINDS)
async def test_all_of_it_over_tls(tmp_path: Path, kind: Kind, said: list[str]) -> None:
    ours, theirs = clocks()
    certificates(tmp_path)
    tls = Tls(tmp_path / "broker.pem", tmp_path / "broker.key", tmp_path / "root.pem")
    async with Broker(tmp_path / "broker", Access(USERS), tls, kind) as broker:
        battery = spec(broker.port, username="cell", password=USERS["cell"], context=client_context(tmp_path, "cell"))
        context = client_context(tmp_path, "gateway")
        async with (
            MqttBattery(battery, theirs) as cell,
            desk(broker.port, ours, context=context, password=USERS["gateway"]) as made,
        ):
            await made.ear.until(LinkUp)
            made.want(1)
            await made.ear.until(Adopted)
            await until(lambda: cell.w == 3_000)
    assert len([line for line in said if "is up" in line]) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_broker_that_cannot_prove_itself_is_not_spoken_with(tmp_path: Path, said: list[str]) -> None:
    ours, _theirs = clocks()
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        folder.mkdir()
        certificates(folder)
    tls = Tls(other / "broker.pem", other / "broker.key")
    async with (
        Broker(tmp_path / "broker", tls=tls) as broker,
        desk(broker.port, ours, context=client_context(mine, None)) as made,
    ):
        assert "CERTIFICATE_VERIFY_FAILED" in (await made.ear.until(LinkDown)).why
        assert len(said) == 1
    gc.collect()  # paho leaves a socket whose handshake failed to the collector, with a warning


@NEEDS_MOSQUITTO
async def test_a_client_without_a_certificate_or_password_stays_out(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REPLY_S", 0.5)
    ours, _theirs = clocks()
    certificates(tmp_path)
    tls = Tls(tmp_path / "broker.pem", tmp_path / "broker.key", tmp_path / "root.pem")
    async with Broker(tmp_path / "broker", Access(USERS), tls, "mosquitto") as broker:
        for name, password in ((None, USERS["gateway"]), ("gateway", "wrong")):
            async with desk(broker.port, ours, context=client_context(tmp_path, name), password=password) as made:
                await made.ear.until(LinkDown)
        assert len(said) == 2
        assert "certificate" in said[0]
        assert "Not authorized" in said[1]


@NEEDS_MOSQUITTO
async def test_the_access_list_binds_every_user_to_its_own_tree(tmp_path: Path) -> None:
    ours, theirs = clocks()
    access = Access(USERS, PROFILES / "mosquitto.acl")
    async with Broker(tmp_path, access, kind="mosquitto") as broker:
        battery = spec(broker.port, username="cell", password=USERS["cell"])
        async with (
            MqttBattery(battery, theirs) as cell,
            desk(broker.port, ours, password=USERS["gateway"]) as made,
            party(broker.port, "shed", USERS["shed"]) as shed,
        ):
            await made.ear.until(LinkUp)
            made.want(1)
            await made.ear.until(Adopted)
            loose = {**cell.commands[-1], "id": "shed-1", "issued_ms": made.clock.now_ms(), "limit_w": 5_000}
            told = len(cell.commands)
            await shed.publish("laminar/cell/command", json.dumps(loose), qos=1)
            await shed.publish("laminar/cell/state", told_state(ours.now_ms(), 1 << 40, power_w=1), qos=1)
            await shed.publish("laminar/cell/availability", b"offline", qos=1)
            await shed.publish("laminar/shed/command", json.dumps(loose), qos=1)
            await shed.publish("laminar/gateway/availability", b"offline", qos=1)
            await asyncio.sleep(0.3)
            assert len(cell.commands) == told
            assert made.ear.of(LinkDown) + made.ear.of(ForeignHand) == []
            assert 1 not in [power_w(each) for each in made.ear.of(Observed)]


async def test_a_broker_that_lets_us_not_read_is_told_of(said: list[str]) -> None:
    """None of the brokers at hand refuses a subscription; others do (MQTT 5.0, 3.9.3)."""

    class Refusing:
        async def subscribe(self, topics: list[tuple[str, int]]) -> list[int]:
            return [1, 0x87, 1][: len(topics)]

    ours, _theirs = clocks()
    links = build(MqttDevices("b"), {}, None, None, ours, Ear(), Lease(ours), may_write=True)
    with pytest.raises(aiomqtt.MqttError, match="access list"):
        await links._subscribe(cast("Connection", Refusing()))
    assert said == []


def test_what_is_wrong_with_a_brokers_table_is_named() -> None:
    one = Path("one.pem")
    for table, where in (
        (MqttDevices("b", certificate=one), ["certificate", "certificate"]),
        (MqttDevices("b", trust=one, key=one), ["key"]),
        (MqttDevices("b", username="gateway"), ["username"]),
        (MqttDevices("b", username="gateway", password_file=one), ["password_file"]),
        (MqttDevices("127.0.0.1", username="gateway", password_file=one), []),
        (MqttDevices("b", username="gateway", password_file=one, trust=one, certificate=one, key=one), []),
    ):
        found = list(broker_faults(table, {}))
        assert [place[0] for place, _what in found] == where
        assert all(what.startswith(f'"{place[0]}"') for place, what in found)
