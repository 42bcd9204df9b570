"""What is said over MQTT against the published schemas, and what is not read."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from gateway.wire.mqtt import (
    GATEWAY,
    LONGEST_PAYLOAD,
    Ack,
    Command,
    Kind,
    Reversion,
    Settings,
    State,
    Topics,
    Unreadable,
    decode_ack,
    decode_state,
    encode,
)

FOLDER = Path(__file__).parents[2] / "profiles/protocols/mqtt"
REVERSION = {"limit_w": 1_500, "after_ms": 60_000, "floor_w": -900}
SETTINGS: dict[str, Any] = {
    "limit_w": 3_000,
    "target_w": -2_000,
    "floor_w": -2_500,
    "connected": True,
    "energized": None,
    "ramp_ms": 4_000,
    "reversion": REVERSION,
}
ACK: dict[str, Any] = {"id": "1f-7", "issued_ms": 5, "at_ms": 6, "accepted": True, "applied": SETTINGS}
STATE: dict[str, Any] = {
    "at_ms": 6,
    "sequence": 9,
    "power_w": -1_990,
    "reactive_var": -3,
    "voltage_mv": 240_000,
    "stored_wh": 4_000,
    "capacity_wh": 10_000,
    "connected": True,
    "generation_max_w": 5_000,
    "charge_max_w": 4_000,
    "command_id": "1f-7",
    "reverted": False,
    "settings": SETTINGS,
}
COMMAND = Command(
    id="1f-7",
    issued_ms=5,
    expires_ms=1_000,
    limit_w=3_000,
    target_w=-2_000,
    floor_w=-2_500,
    connected=True,
    energized=None,
    ramp_ms=4_000,
    reversion=Reversion(1_500, 60_000, -900),
)


def schema(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))


def valid(name: str, said: object) -> bool:
    checker = jsonschema.Draft202012Validator(schema(name))
    return bool(checker.is_valid(said))


@pytest.mark.parametrize("name", ["command", "ack", "state"])
def test_a_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_a_command_says_every_key_and_is_valid() -> None:
    said = json.loads(encode(COMMAND))
    assert valid("command", said)
    assert set(said) == set(schema("command")["properties"])
    assert said == {"id": "1f-7", "issued_ms": 5, "expires_ms": 1_000, **SETTINGS}


def test_what_the_schemas_allow_is_read() -> None:
    assert valid("ack", ACK)
    assert valid("state", STATE)
    settings = msgspec.convert(SETTINGS, Settings)
    assert decode_ack(json.dumps(ACK).encode()) == Ack(id="1f-7", issued_ms=5, at_ms=6, accepted=True, applied=settings)
    state = decode_state(json.dumps(STATE).encode())
    assert isinstance(state, State)
    assert (state.power_w, state.stored_wh, state.settings) == (-1_990, 4_000, settings)


@pytest.mark.parametrize(("name", "kind"), [("command", Command), ("ack", Ack), ("state", State)])
def test_a_schema_and_its_wire_type_say_the_same(name: str, kind: type[Any]) -> None:
    ours = msgspec.json.schema(kind)
    assert told(ours, ours) == told(schema(name), schema(name))


def told(part: Any, whole: Any) -> Any:
    """Reduce a schema to what it asks: kinds, bounds, patterns, and which keys must be there."""
    if "$ref" in part:
        found = whole
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return told(found, whole)
    if "anyOf" in part:
        asked = [told(each, whole) for each in part["anyOf"]]
        kinds = sorted({kind for each in asked for kind in each["type"]})
        return {**{key: value for each in asked for key, value in each.items()}, "type": kinds}
    kinds = part.get("type", "object")
    reduced: dict[str, Any] = {"type": sorted([kinds] if isinstance(kinds, str) else kinds)}
    for key in ("minimum", "maximum", "pattern", "maxLength"):
        if key in part:
            reduced[key] = part[key]
    if "properties" in part:
        reduced["required"] = sorted(part.get("required", ()))
        reduced["properties"] = {key: told(value, whole) for key, value in part["properties"].items()}
    return reduced


@pytest.mark.parametrize(
    "change",
    [
        {"at_ms": None},
        {"at_ms": -1},
        {"at_ms": "6"},
        {"power_w": 1.5},
        {"power_w": "1500"},
        {"power_w": True},
        {"power_w": 10**10},
        {"power_w": 10**400},
        {"voltage_mv": -1},
        {"sequence": None},
        {"command_id": 7},
        {"command_id": "a b"},
        {"command_id": ""},
        {"settings": {}},
        {"settings": {**SETTINGS, "limit_w": -1}},
        {"settings": {**SETTINGS, "reversion": {"limit_w": 0, "after_ms": 0}}},
        {"settings": {**SETTINGS, "floor_w": 1}},
        {"reverted": 1},
    ],
)
def test_what_the_schema_forbids_is_not_read(change: dict[str, object]) -> None:
    said = {**STATE, **change}
    assert not valid("state", said)
    assert isinstance(decode_state(json.dumps(said).encode()), Unreadable)


@pytest.mark.parametrize("key", ["at_ms", "sequence", "power_w", "command_id", "settings"])
def test_a_state_without_what_it_needs_is_not_read(key: str) -> None:
    said = {name: value for name, value in STATE.items() if name != key}
    assert not valid("state", said)
    assert isinstance(decode_state(json.dumps(said).encode()), Unreadable)


def test_absent_is_unknown_and_not_zero() -> None:
    said = {"at_ms": 6, "sequence": 9, "power_w": None, "command_id": None, "settings": None}
    state = decode_state(json.dumps(said).encode())
    assert isinstance(state, State)
    assert (state.power_w, state.reactive_var, state.stored_wh, state.connected) == (None, None, None, None)


def test_keys_that_are_not_known_are_passed_over_and_whole_floats_are_numbers() -> None:
    text = json.dumps({**STATE, "device": "another", "power_w": 1500.0, "colour": {"deep": [1.5]}})
    assert valid("state", json.loads(text))
    state = decode_state(text.encode())
    assert isinstance(state, State)
    assert state.power_w == 1_500


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{",
        json.dumps({**STATE, "power_w": float("nan")}).encode(),
        json.dumps({**STATE, "power_w": float("inf")}).encode(),
        json.dumps(STATE).replace("-1990", "1e400").encode(),
        json.dumps(STATE).replace("-1990", "9" * 5_000).encode(),
        json.dumps(STATE)[:-1].encode() + b', "power_w": 1}',
        json.dumps(STATE)[:-1].encode() + b', "x": ' + b"[" * 6_000 + b"]" * 6_000 + b"}",
        json.dumps({**STATE, "x": "y" * LONGEST_PAYLOAD}).encode(),
    ],
    ids=range(12),
)
def test_a_hostile_payload_is_not_read_and_nothing_is_raised(payload: bytes) -> None:
    found = decode_state(payload)
    assert isinstance(found, Unreadable)
    assert 0 < len(found.why) <= 200
    assert isinstance(decode_ack(payload), Unreadable)


def test_topics_name_who_writes_them() -> None:
    topics = Topics("area/7")
    assert topics.of("cell", Kind.COMMAND) == "area/7/cell/command"
    assert topics.read("area/7/cell/state") == ("cell", Kind.STATE)
    for foreign in (
        "area/7/cell",
        "area/cell/state",
        "area/7/cell/other",
        "area/7//state",
        "area/7/x/cell/state",
        "state",
        "",
    ):
        assert topics.read(foreign) is None


def test_the_document_names_the_topics_and_the_payloads() -> None:
    document = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text(encoding="utf-8"))
    assert document["asyncapi"] == "3.0.0"
    channels = document["channels"]
    assert {name: channel["address"] for name, channel in channels.items()} == {
        kind.value: Topics("{prefix}").of("{device}", kind) for kind in Kind
    }
    for name in ("command", "ack", "state"):
        ref = channels[name]["messages"][name]["payload"]["$ref"]
        assert (FOLDER / ref).is_file()
    for operation in document["operations"].values():
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in channels
        assert operation["bindings"]["mqtt"]["qos"] == 1
    assert channels["availability"]["messages"]["availability"]["payload"]["enum"] == ["online", "offline"]


def test_the_access_list_lets_a_device_write_all_but_its_commands() -> None:
    lines = (FOLDER / "mosquitto.acl").read_text(encoding="utf-8").splitlines()
    rules = [tuple(line.split()) for line in lines if line and not line.startswith("#")]
    assert {rule[2] for rule in rules if rule[:2] == ("pattern", "write")} == {
        f"laminar/%u/{kind}" for kind in (Kind.ACK, Kind.STATE, Kind.AVAILABILITY)
    }
    assert {rule[2] for rule in rules if rule[:2] == ("topic", "write")} == {
        "laminar/+/command",
        f"laminar/{GATEWAY}/availability",
    }
    assert {rule[2] for rule in rules if rule[:2] == ("topic", "read")} == set(Topics("laminar").heard)
