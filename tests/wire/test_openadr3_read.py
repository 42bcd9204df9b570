"""What others write of OpenADR 3 is read, item by item; what cannot be is said and hides nothing else."""

import json
from typing import Any

import pytest

from gateway.wire.openadr3 import (
    FOR_EVER,
    NOW,
    Odd,
    Payload,
    Program,
    Token,
    WireFault,
    decode_event,
    decode_one,
    duration_ms,
    instant_ms,
    is_targeted,
    items,
    object_id,
    write_duration,
    write_instant,
)
from gateway.wire.openadr3.codec import Read

PRICE = {"id": 0, "payloads": [{"type": "PRICE", "values": [0.17]}]}
PLAIN: dict[str, Any] = {
    "id": "event-1",
    "createdDateTime": "2026-01-01T00:00:00Z",
    "modificationDateTime": "2026-01-01T00:00:00Z",
    "objectType": "EVENT",
    "programID": "program-1",
    "intervalPeriod": {"start": "2026-02-10T00:00:00Z", "duration": "PT1H"},
    "intervals": [PRICE],
}
CONSTRUCTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "nulls": {"eventName": None, "priority": None, "targets": None, "reportDescriptors": None},
    "start in the year 1": {"intervalPeriod": {"start": "0001-01-01", "duration": "PT1H"}},
    "start in the year 1 with a time": {"intervalPeriod": {"start": "0001-01-01T00:00:00", "duration": "PT1H"}},
    "for ever": {"intervalPeriod": {"start": "2026-02-10T00:00:00Z", "duration": "P9999Y"}},
    "interval without a start": {"intervals": [{**PRICE, "intervalPeriod": {"duration": "PT2H"}}]},
    "reports only": {"intervals": None, "reportDescriptors": [{"payloadType": "READING"}]},
    "curve": {"intervals": [{"id": 0, "payloads": [{"type": "CURVE", "values": [{"x": 1.0, "y": 2.0}]}]}]},
    "plain targets": {"targets": ["group-1"]},
    "targets of 3.0": {"targets": [{"type": "RESOURCE_NAME", "values": ["house-1"]}]},
    "alert text": {"intervals": [{"id": 0, "payloads": [{"type": "ALERT_OTHER", "values": ["stay in"]}]}]},
    "several values": {"intervals": [{"id": 0, "payloads": [{"type": "PRICE", "values": [0.1, 0.2]}]}]},
    "duration of the event": {"duration": "P9999Y"},
    "unknown properties": {"colour": {"deep": [1, 2]}, "intervals": [{**PRICE, "more": 1}]},
}


@pytest.mark.parametrize("change", CONSTRUCTS.values(), ids=CONSTRUCTS)
def test_every_construct_of_the_definition_is_read(change: dict[str, Any]) -> None:
    (item,) = items(json.dumps([PLAIN | change]).encode())
    found = decode_event(item)
    assert isinstance(found, Read)
    assert found.odd == ()
    assert found.event.id == object_id(item) == "event-1"
    assert len(found.event.intervals or ()) == len((PLAIN | change)["intervals"] or ())


def test_values_are_kept_as_they_are_written() -> None:
    payload = {"type": "MIXED", "values": [1, 1.5, "text", True, None, {"x": 1, "y": 2}]}
    found = decode_event(json.dumps(PLAIN | {"intervals": [{"id": 0, "payloads": [payload]}]}).encode())
    assert isinstance(found, Read)
    assert found.event.intervals is not None
    assert found.event.intervals[0].payloads == (Payload("MIXED", (1, 1.5, "text", True, None, {"x": 1, "y": 2})),)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (json.dumps(PLAIN | {"priority": "high"}), "event-1"),
        (json.dumps(PLAIN | {"targets": [1]}), "event-1"),
        (json.dumps(PLAIN | {"intervals": {}}), "event-1"),
        (json.dumps(PLAIN | {"duration": float("nan")}), "event-1"),
        ('{"id": 7}', ""),
        ("{}", ""),
        ("[]", ""),
        ("null", ""),
        ('"event"', ""),
    ],
)
def test_an_odd_event_is_told_by_its_id_and_hides_no_other(text: str, name: str) -> None:
    first, odd, last = items(f"[{json.dumps(PLAIN)}, {text}, {json.dumps(PLAIN)}]".encode())
    assert isinstance(decode_event(first), Read)
    assert isinstance(decode_event(last), Read)
    found = decode_event(odd)
    assert isinstance(found, Odd)
    assert found.id == name
    assert found.why
    assert "\n" not in found.why


@pytest.mark.parametrize("more", ['"intervalPeriod":"\\ud800"', '"payloads":["\\ud800"]', '"targets":["\\ud800"]'])
def test_half_a_character_spoils_its_own_event_only(more: str) -> None:
    found = decode_event(f'{{"id":"e1","programID":"p",{more}}}'.encode())
    assert isinstance(found, Odd | Read)


def test_an_integer_without_end_spoils_its_own_event_only() -> None:
    long = json.dumps(PLAIN).replace("0.17", "9" * 6_000).encode()
    found = [decode_event(item) for item in items(b"[" + long + b"," + json.dumps(PLAIN).encode() + b"]")]
    assert all(isinstance(one, Read) for one in found)


def test_an_odd_interval_is_told_by_its_id_or_place() -> None:
    listed: list[Any] = [PRICE, {"id": 4}, {"payloads": []}, 5, {"id": True, "payloads": []}, {**PRICE, "id": 9}]
    found = decode_event(json.dumps(PLAIN | {"intervals": listed}).encode())
    assert isinstance(found, Read)
    assert [one.id for one in found.event.intervals or ()] == [0, 9]
    assert [one.id for one in found.odd] == ["4", "at-2", "at-3", "at-4"]


def test_an_odd_descriptor_costs_nothing_but_itself() -> None:
    change = {
        "payloadDescriptors": [5, {"payloadType": "PRICE", "units": "KWH"}],
        "reportDescriptors": [{"payloadType": "READING", "aggregate": "maybe"}],
    }
    found = decode_event(json.dumps(PLAIN | change).encode())
    assert isinstance(found, Read)
    assert found.event.payload_descriptors is not None
    assert [one.units for one in found.event.payload_descriptors] == ["KWH"]
    assert found.event.report_descriptors == ()


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[", b"[{]", b"null", b"\xff", b"[" * 100_000, b'{"title": "not found"}', b"[1] [2]"]
)
def test_what_is_no_list_is_a_fault(body: bytes) -> None:
    with pytest.raises(WireFault) as fault:
        items(body)
    assert "\n" not in str(fault.value)


def test_one_object_is_read_as_its_kind_or_not_at_all() -> None:
    assert decode_one(b'{"id": "p", "programName": "street", "x": 1}', Program).program_name == "street"
    for body in (b"{}", b"[]", b'{"id": 1}', b"\xff", b"{" * 100_000):
        with pytest.raises(WireFault):
            decode_one(body, Program)


def test_a_token_is_never_shown() -> None:
    token = decode_one(b'{"access_token": "very secret", "token_type": "Bearer", "expires_in": 3600}', Token)
    assert "secret" not in repr(token)
    assert (token.access_token, token.expires_in) == ("very secret", 3600)


def test_targets_are_seen_without_reading_the_event() -> None:
    assert is_targeted(b'{"targets": ["a"]}')
    for text in (b'{"targets": []}', b'{"targets": null}', b"{}", b"5", b'{"targets": 5}'):
        assert not is_targeted(text)


# -- times


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-02-10T00:00:00Z", 1_770_681_600_000),
        ("2026-02-10T01:00:00+01:00", 1_770_681_600_000),
        ("2026-02-10T00:00:00.250Z", 1_770_681_600_250),
        ("2026-02-10T00:00:00", 1_770_681_600_000),
        ("0001-01-01", NOW),
        ("0001-01-01T00:00:00", NOW),
        ("0001-01-01T00:00:00Z", NOW),
    ],
)
def test_instants(text: str, at_ms: int) -> None:
    assert instant_ms(text) == at_ms


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "9" * 9_000])
def test_what_is_no_instant_is_a_short_fault(text: str) -> None:
    with pytest.raises(WireFault) as fault:
        instant_ms(text)
    assert len(str(fault.value)) < 100


@pytest.mark.parametrize(
    ("text", "length_ms"),
    [
        ("PT0S", 0),
        ("-PT0S", 0),
        ("PT1.5S", 1_500),
        ("PT0.001S", 1),
        ("PT15M", 900_000),
        ("PT36H", 129_600_000),
        ("P1D", 86_400_000),
        ("P1W", 604_800_000),
        ("P1DT1H", 90_000_000),
        ("P1Y", 365 * 86_400_000),
        ("P9999Y", FOR_EVER),
        ("P9999Y0M0DT0H0M0S", FOR_EVER),
        ("P1000000000Y", FOR_EVER),
    ],
)
def test_durations(text: str, length_ms: int) -> None:
    assert duration_ms(text) == length_ms


@pytest.mark.parametrize("text", ["", "P", "PT", "1H", "-PT1H", "PT1H\n", "P1H", "PT1,5S", "P\u0661D"])
def test_what_is_no_duration_is_a_fault(text: str) -> None:
    with pytest.raises(WireFault):
        duration_ms(text)


def test_what_is_written_is_read_again() -> None:
    assert write_instant(1_770_681_600_250) == "2026-02-10T00:00:00.250Z"
    for at_ms in (0, 1, 1_770_681_600_000):
        assert instant_ms(write_instant(at_ms)) == at_ms
        assert duration_ms(write_duration(at_ms)) == at_ms
