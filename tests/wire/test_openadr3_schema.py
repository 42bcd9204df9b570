"""What we write keeps the schema of OpenADR 3.1 (openadr3.yaml), which others wrote."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from gateway.wire.openadr3 import (
    AGGREGATED,
    Interval,
    Payload,
    Period,
    Report,
    ReportPayloadDescriptor,
    ReportResource,
    ResourceRequest,
    VenRequest,
    encode,
)

SCHEMA = Path(__file__).parents[3] / "shared" / "reference" / "openadr3" / "3.1.0" / "openadr3.yaml"
PERIOD = Period(start="2026-02-10T00:00:00.000Z", duration="PT20S")
REPORT = Report(
    "event-1",
    "street gateway",
    "a report",
    (ReportPayloadDescriptor("READING", "KW", "DIRECT_READ"), ReportPayloadDescriptor("DATA_QUALITY")),
    (
        ReportResource(
            AGGREGATED, PERIOD, (Interval(3, (Payload("READING", (-1.5,)), Payload("DATA_QUALITY", ("OK",)))),)
        ),
    ),
)

pytestmark = pytest.mark.skipif(not SCHEMA.exists(), reason="needs ../shared/reference")


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reportRequest", REPORT),
        ("venRequest", VenRequest("street gateway")),
        ("resourceRequest", ResourceRequest("house-1", "ven-1")),
    ],
)
def test_what_is_written_keeps_the_schema(schemas: dict[str, Any], name: str, value: msgspec.Struct) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": schemas["components"]}
    written = json.loads(encode(value))
    jsonschema.Draft4Validator(schema).validate(written)
    first = next(iter(written))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(schema).validate({**written, first: 5})


def test_what_has_no_value_is_not_written() -> None:
    assert json.loads(encode(REPORT))["payloadDescriptors"] == [
        {
            "payloadType": "READING",
            "units": "KW",
            "readingType": "DIRECT_READ",
            "objectType": "REPORT_PAYLOAD_DESCRIPTOR",
        },
        {"payloadType": "DATA_QUALITY", "objectType": "REPORT_PAYLOAD_DESCRIPTOR"},
    ]
