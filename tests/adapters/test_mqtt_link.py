"""The link over a real broker to batteries that are not ours: told, obeyed, refused, silent, interfered with."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
from mqtt_bench import (
    FOR_EVER_MS,
    PROFILES,
    RATED_W,
    REPORT_S,
    TABLE,
    Desk,
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
from gateway.core.functions import Function
from gateway.core.known import Unknown
from gateway.ports.south import Lease
from gateway.southbound import mqtt_device
from gateway.southbound.mqtt_device import MqttDevice, MqttDevices
from hil.mqtt.battery import MqttBattery
from hil.mqtt.broker import Broker


class World(NamedTuple):
    """A broker, a battery on it, and the link under test."""

    broker: Broker
    cell: MqttBattery
    made: Desk


@asynccontextmanager
async def world(folder: Path, *, table: MqttDevice = TABLE, **fields: Any) -> AsyncIterator[World]:
    """Run all three until the end of the context."""
    ours, theirs = clocks()
    async with (
        Broker(folder) as broker,
        MqttBattery(spec(broker.port, **fields), theirs) as cell,
        desk(broker.port, ours, table=table) as made,
    ):
        await made.ear.until(LinkUp)
        yield World(broker, cell, made)


def checked(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((PROFILES / f"{name}.schema.json").read_text(encoding="utf-8")))


async def test_a_battery_is_told_obeys_and_is_seen_to(tmp_path: Path) -> None:
    async with world(tmp_path) as (_broker, cell, made):
        assert made.ear.of(LinkUp)[0].charge_max_w.value == RATED_W
        await until(lambda: cell.w == RATED_W)
        made.want(1, limit_w=3_000)
        assert (await made.ear.until(Adopted)).serial == 1
        await until(lambda: cell.w == 3_000)
        made.want(2, target_w=-2_000, limit_w=3_000)
        await until(lambda: cell.w == -2_000)
        await until(lambda: (power_w(made.ear.of(Observed)[-1]) or 0) < -1_900)
        stored_wh = made.ear.of(Observed)[-1].stored.value
        assert 0 < stored_wh <= cell.spec.energy_wh
        assert made.ear.of(NotAdopted) + made.ear.of(ForeignHand) == []


async def test_a_charger_draws_no_more_than_its_floor_and_falls_back_to_its_own(tmp_path: Path) -> None:
    async with world(tmp_path, own_w=-4_000) as (_broker, cell, made):
        await until(lambda: cell.w == -4_000)
        made.want(1, floor_w=-2_500, revert_floor_w=-1_000, revert_after_ms=30_000)
        assert (await made.ear.until(Adopted)).cannot == ()
        await until(lambda: cell.w == -2_500)
        made.lease.until_ms = 0
        await until(lambda: cell.w == -1_000)
        made.lease.until_ms = FOR_EVER_MS
        made.want(2)
        await until(lambda: cell.w == -4_000)


async def test_a_device_that_knows_no_floor_is_told_of(tmp_path: Path) -> None:
    async with world(tmp_path, own_w=-4_000, limits_draw=False) as (_broker, cell, made):
        made.want(1, limit_w=3_000, floor_w=-2_500, revert_floor_w=-1_000)
        assert [function for function, _why in (await made.ear.until(Adopted)).cannot] == [Function.LOAD_LIMIT]
        await until(lambda: cell.w == -4_000)


async def test_all_that_is_said_is_as_published(tmp_path: Path) -> None:
    async with world(tmp_path) as (broker, cell, made), overheard(broker.port, "laminar/#") as heard:
        made.want(1, target_w=1_000, connected=True, energized=True, ramp_ms=2_000)
        await made.ear.until(Adopted)
        cell.set_fault("refuses", on=True)
        made.want(2)
        await made.ear.until(NotAdopted)
        await until(lambda: len(cell.said) > 5)
        kinds = {str(message.topic).rpartition("/")[2] for message in heard}
        assert kinds == {"command", "ack", "state", "availability"}
        for message in heard:
            name = str(message.topic).rpartition("/")[2]
            assert isinstance(message.payload, bytes)
            if name == "availability":
                assert message.payload in (b"online", b"offline")
                continue
            checked(name).validate(json.loads(message.payload))
            if name == "command":
                assert (message.qos, message.retain) == (1, False)
                assert 0 < getattr(message.properties, "MessageExpiryInterval", 0) <= 60
        assert {str(message.topic) for message in heard if message.payload == b"online"} == {
            "laminar/cell/availability",
            "laminar/gateway/availability",
        }


async def test_power_follows_a_ramp(tmp_path: Path) -> None:
    async with world(tmp_path) as (_broker, cell, made):
        await until(lambda: cell.w == RATED_W)
        made.want(1, limit_w=1_000, revert_limit_w=500, ramp_ms=20_000)
        await made.ear.until(Adopted)
        await asyncio.sleep(0.6)
        assert 2_000 < cell.w < 4_800
        await until(lambda: cell.w == 1_000)


async def test_the_gateway_keeps_a_command_alive_and_the_battery_falls_back_without_it(tmp_path: Path) -> None:
    async with world(tmp_path) as (_broker, cell, made):
        made.want(1, revert_after_ms=10_000)
        await made.ear.until(Adopted)
        await asyncio.sleep(1)
        assert (cell.reverted, len(cell.commands) > 3) == (False, True)
        made.lease.until_ms = 0
        sent = len(cell.commands)
        await until(lambda: cell.w == 1_500)
        assert cell.reverted
        assert len(cell.commands) == sent
        assert (await made.ear.until(NotAdopted)).why == "it fell back by its own timer"
        assert made.ear.of(ForeignHand) == []


async def test_the_battery_falls_back_once_the_gateway_is_gone(tmp_path: Path) -> None:
    ours, theirs = clocks()
    async with (
        Broker(tmp_path) as broker,
        MqttBattery(spec(broker.port), theirs) as cell,
        overheard(broker.port, "laminar/gateway/availability") as heard,
    ):
        async with desk(broker.port, ours) as made:
            await made.ear.until(LinkUp)
            made.want(1, target_w=2_500, revert_after_ms=15_000)
            await until(lambda: cell.w == 2_500)
        await until(lambda: cell.w == 1_500)
        assert cell.settings is not None
        assert cell.settings["target_w"] is None
        assert [message.payload for message in heard] == [b"online", b"offline"]


async def test_an_expired_command_is_not_obeyed(tmp_path: Path) -> None:
    async with world(tmp_path) as (broker, cell, made), party(broker.port) as stranger:
        made.want(1)
        await made.ear.until(Adopted)
        old = {**cell.commands[-1], "id": "old", "issued_ms": made.clock.now_ms(), "expires_ms": 5, "limit_w": 5_000}
        async with overheard(broker.port, "laminar/cell/ack") as acks:
            await stranger.publish("laminar/cell/command", json.dumps(old), qos=1)
            await until(lambda: any(b"expired" in bytes(each.payload) for each in acks))
        assert cell.settings is not None
        assert (cell.command_id, cell.settings["limit_w"]) == (cell.commands[0]["id"], 3_000)


async def test_a_refusal_is_heard_with_its_reason_and_healed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with world(tmp_path) as (_broker, cell, made):
        cell.set_fault("refuses", on=True)
        made.want(1, revert_after_ms=15_000)
        assert (await made.ear.until(NotAdopted)).why == "it refused: it is being serviced"
        await until(lambda: len(cell.commands) > 2)
        assert len(made.ear.of(NotAdopted)) == 1
        cell.set_fault("refuses", on=False)
        await made.ear.until(Adopted)
        assert caplog.text.count("did not adopt") == 1


async def test_a_battery_that_takes_a_command_and_ignores_it_shows_its_true_power(tmp_path: Path) -> None:
    async with world(tmp_path) as (_broker, cell, made):
        cell.set_fault("ignores", on=True)
        made.want(1)
        await made.ear.until(Adopted)
        await asyncio.sleep(0.5)
        assert (power_w(made.ear.of(Observed)[-1]) or 0) > 4_900


async def test_a_silent_battery_becomes_unknown_and_is_told_again_when_it_speaks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.southbound.mqtt_device.device")
    async with world(tmp_path) as (_broker, cell, made):
        made.want(1, revert_after_ms=600_000)
        await made.ear.until(Adopted)
        cell.set_fault("silent", on=True)
        down = await made.ear.until(LinkDown)
        assert down.why == f"no state within {3 * REPORT_S} s"
        assert isinstance(made.ear.of(Observed)[-1].power, Unknown)
        cell.set_fault("silent", on=False)
        await made.ear.until(Adopted, 2)
        lines = [line.message for line in caplog.records]
        assert lines == [f"cell is down: no state within {3 * REPORT_S} s", "cell is up"]


async def test_a_battery_that_repeats_an_old_state_is_not_believed(tmp_path: Path) -> None:
    async with world(tmp_path) as (_broker, cell, made):
        cell.set_fault("stale", on=True)
        await made.ear.until(LinkDown)
        seen = len(made.ear.of(Observed))
        await asyncio.sleep(0.2)
        assert len(made.ear.of(Observed)) == seen
        cell.set_fault("stale", on=False)
        await made.ear.until(LinkUp, 2)


async def test_a_state_kept_at_the_broker_is_believed_only_while_it_is_fresh(tmp_path: Path) -> None:
    ours, _theirs = clocks()
    async with Broker(tmp_path) as broker, party(broker.port, "cell") as cell:
        await cell.publish("laminar/cell/availability", b"online", qos=1, retain=True)
        await cell.publish("laminar/cell/state", told_state(ours.now_ms() - 3_600_000), qos=1, retain=True)
        await cell.publish("laminar/roof/state", told_state(ours.now_ms()), qos=1, retain=True)
        await cell.publish("laminar/shed/state", b'{"power_w": 1}', qos=1, retain=True)
        async with desk(broker.port, ours, ("cell", "roof", "shed")) as made:
            await made.ear.until(LinkUp, device="roof")
            await made.ear.until(LinkDown, device="cell")
            await made.ear.until(LinkDown, device="shed")
            assert made.ear.of(LinkUp) + made.ear.of(LinkUp, "shed") == []
            assert made.ear.of(Observed) + made.ear.of(Observed, "shed") == []
            assert "cannot be read" in made.ear.of(LinkDown, "shed")[0].why


async def test_another_writer_of_commands_is_told_of_and_undone(tmp_path: Path) -> None:
    async with world(tmp_path) as (broker, cell, made), party(broker.port) as stranger:
        made.want(1)
        await made.ear.until(Adopted)
        now_ms = made.clock.now_ms()
        loose = {**cell.commands[-1], "id": "cloud-1", "issued_ms": now_ms, "limit_w": 5_000}
        await stranger.publish("laminar/cell/command", json.dumps(loose), qos=1)
        assert "cloud-1" in (await made.ear.until(ForeignHand)).why
        assert (await made.ear.until(Adopted, 2)).serial == 1
        await until(lambda: cell.w == 3_000)


async def test_a_hand_at_the_panel_is_told_of_and_undone(tmp_path: Path) -> None:
    async with world(tmp_path) as (_broker, cell, made):
        made.want(1)
        await made.ear.until(Adopted)
        cell.change_by_hand(limit_w=5_000)
        assert "5000 W, not 3000 W" in (await made.ear.until(ForeignHand)).why
        await made.ear.until(Adopted, 2)
        assert cell.settings is not None
        assert cell.settings["limit_w"] == 3_000


async def test_a_power_cycle_is_healed_and_is_no_foreign_hand(tmp_path: Path) -> None:
    async with world(tmp_path) as (_broker, cell, made):
        made.want(1)
        await made.ear.until(Adopted)
        await until(lambda: len(cell.said) > 5)
        cell.power_cycle()
        await until(lambda: cell.command_id is not None)
        await asyncio.sleep(0.3)
        assert made.ear.of(ForeignHand) == []


async def test_the_last_will_of_a_battery_takes_it_down_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, table=MqttDevice(report_s=60)) as (_broker, cell, made):
        await cell.crash()
        assert (await made.ear.until(LinkDown)).why == "it went offline"


async def test_a_name_in_a_payload_and_a_topic_of_nobody_prove_nothing(tmp_path: Path) -> None:
    ours, _theirs = clocks()
    async with Broker(tmp_path) as broker, party(broker.port) as stranger, desk(broker.port, ours) as made:
        claims = told_state(ours.now_ms(), device="cell", name="cell")
        for topic in ("laminar/stranger/state", "laminar/gateway/state", "other/cell/state", "laminar/cell/x/state"):
            await stranger.publish(topic, claims, qos=1)
        await stranger.publish("laminar/cell/ack", b"{}", qos=1)
        await stranger.publish("laminar/stranger/state", told_state(ours.now_ms(), 2), qos=1)
        await asyncio.sleep(0.3)
        assert made.ear.of(LinkUp) + made.ear.of(Observed) == []
        await stranger.publish("laminar/cell/state", told_state(ours.now_ms()), qos=1)
        await made.ear.until(LinkUp)


async def test_hostile_payloads_break_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with world(tmp_path) as (broker, _cell, made), party(broker.port) as stranger:
        for kind in ("state", "ack", "availability", "command"):
            for payload in (b"", b"\x00\xff" * 50, b"[" * 8_000, b"9" * 50_000, b'{"at_ms": 1e999}', b"null"):
                await stranger.publish(f"laminar/cell/{kind}", payload, qos=1)
        made.want(1)
        await made.ear.until(Adopted)
        assert "broke" not in caplog.text


async def test_a_gateway_that_may_not_write_says_nothing_at_all(tmp_path: Path) -> None:
    ours, theirs = clocks()
    async with (
        Broker(tmp_path) as broker,
        MqttBattery(spec(broker.port), theirs) as cell,
        overheard(broker.port, "laminar/#") as heard,
        desk(broker.port, ours, may_write=False) as made,
    ):
        await made.ear.until(Observed)
        made.want(1)
        await until(lambda: made.links.shared.suppressed == 1)
        await asyncio.sleep(0.2)
        assert len(cell.commands) == 0
        assert {str(message.topic).split("/")[1] for message in heard} == {"cell"}


async def test_many_are_told_at_once_and_the_last_word_counts(tmp_path: Path) -> None:
    ours, theirs = clocks()
    names = tuple(f"cell-{number}" for number in range(40))
    async with (
        Broker(tmp_path) as broker,
        batteries(broker, names, theirs) as cells,
        desk(broker.port, ours, names) as made,
    ):
        for name in names:
            await made.ear.until(LinkUp, device=name)
        for round_of, limit_w in ((100, 4_000), (200, 3_000), (300, 2_000)):
            for number, name in enumerate(names):
                made.want(round_of + number, name, limit_w=limit_w)
        for number, name in enumerate(names):
            await made.ear.until(Adopted, device=name)
            assert adopted(made, name) == [300 + number]
        assert all(cell.settings is not None and cell.settings["limit_w"] == 2_000 for cell in cells)


def adopted(made: Desk, name: str) -> list[int]:
    return [each.serial for each in made.ear.of(Adopted, name)]


@asynccontextmanager
async def batteries(broker: Broker, names: tuple[str, ...], clock: Any) -> AsyncIterator[list[MqttBattery]]:
    """Run a battery for each name."""
    cells = [MqttBattery(spec(broker.port, name), clock) for name in names]
    for cell in cells:
        await cell.__aenter__()
    try:
        yield cells
    finally:
        await asyncio.gather(*(cell.__aexit__(None, None, None) for cell in cells))


def test_no_device_can_have_the_name_of_the_gateways_own_topics() -> None:
    ours, _theirs = clocks()
    with pytest.raises(ValueError, match="give the device another"):
        mqtt_device.build(
            MqttDevices("127.0.0.1"),
            {"gateway": (MqttDevice(), RATED_W)},
            None,
            None,
            ours,
            lambda _event: None,
            Lease(ours),
            may_write=True,
        )
