"""Lists of IEEE 2030.5 from bytes to values and back, beside bare lxml and envoy-schema, in this process."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from envoy_schema.server.schema.csip_aus.connection_point import ConnectionPointLink
from envoy_schema.server.schema.sep2 import der, end_device, event, types
from envoy_schema.server.schema.sep2 import der_control_types as values
from envoy_schema.server.schema.sep2.identification import Link, ListLink
from lxml import etree

from gateway.wire import sep2

from .result import Result

US: Final = 1e6
DECODE_GOAL, ENCODE_GOAL, PEER_GOAL = 3.0, 2.0, 1 / 8
CONTROLS, DEVICES = 10, 100
START_S: Final = 1_790_000_000


@dataclass(frozen=True, slots=True)
class Subject:
    """One list: its model as envoy-schema has it, and so many of what it lists."""

    name: str
    model: Any
    what: str


@dataclass(frozen=True, slots=True)
class Pace:
    """So many samples, each over so many calls; a slow peer is called for a twentieth of them."""

    samples: int = 31
    calls: int = 100


def benchmark(_folder: Path) -> list[Result]:
    """Measure both lists at the full pace."""
    return [result for subject in subjects() for result in measure(subject, Pace())]


def subjects() -> list[Subject]:
    """Give the lists that a client reads most, and that a server shows most."""
    return [
        Subject("DERControlList", control_list(), f"a list of {CONTROLS} controls"),
        Subject("EndDeviceList", device_list(), f"a list of {DEVICES} EndDevices"),
    ]


def measure(subject: Subject, pace: Pace) -> list[Result]:
    """Time each way by turns; ValueError where ours does not hold what was written."""
    body = written(subject.model)
    value = sep2.decode(body)
    mine = sep2.encode(value)
    if canonical(mine) != canonical(body):
        raise ValueError(f"{subject.name}: what is written again differs from what was read")
    tree = etree.fromstring(body)
    us = _in_turn(
        {
            "decode": partial(sep2.decode, body),
            "encode": partial(sep2.encode, value),
            "fromstring": partial(etree.fromstring, body),
            "tostring": partial(etree.tostring, tree, encoding="UTF-8", xml_declaration=True),
            "envoy-schema decode": partial(type(subject.model).from_xml, body),
            "envoy-schema encode": partial(written, subject.model),
        },
        pace,
    )
    per = f"{subject.what}, {len(body)} octets, CPU time, median of {pace.samples} samples by turns"
    found = []
    for way, floor, called, goal in (
        ("decode", "fromstring", "lxml's bare fromstring", DECODE_GOAL),
        ("encode", "tostring", "lxml's tostring of a ready tree", ENCODE_GOAL),
    ):
        theirs = us[f"envoy-schema {way}"]
        what = f"{way} {per}; floor: {called}"
        found += [
            Result(f"{subject.name}-{way}", what, us[way], "us", goal, us[floor]),
            Result(f"{subject.name}-{way}-peer", f"{way} {per}; floor: envoy-schema", us[way], "us", PEER_GOAL, theirs),
        ]
    return found


def control_list() -> Any:
    """Give controls as an Australian utility sends them: limits, switches and a ramp, each with both randomizations."""
    return der.DERControlListResponse.model_validate(
        {
            "href": "/edev/1/derp/1/derc",
            "all_": CONTROLS,
            "results": CONTROLS,
            "DERControl": [_control(number) for number in range(CONTROLS)],
        }
    )


def device_list() -> Any:
    """Give the EndDevices that an aggregator reads, each with the links that it has by CSIP."""
    return end_device.EndDeviceListResponse.model_validate(
        {
            "href": "/edev",
            "all_": DEVICES,
            "results": DEVICES,
            "EndDevice": [_device(number) for number in range(DEVICES)],
        }
    )


def written(model: Any) -> bytes:
    """Write a model as envoy-schema does."""
    xml = model.to_xml(skip_empty=False, exclude_none=True, encoding="UTF-8")
    return xml if isinstance(xml, bytes) else str(xml).encode()


def canonical(body: bytes) -> bytes:
    """Give a body without what bears no meaning: declarations, the order of attributes, the edition of CSIP-AUS."""
    root = etree.fromstring(body.replace(b"csipaus.org/ns/v1.3", b"csipaus.org/ns"))
    etree.cleanup_namespaces(root)
    found = BytesIO()
    root.getroottree().write_c14n(found)
    return found.getvalue()


def _control(number: int) -> Any:
    return der.DERControlResponse(
        href=f"/edev/1/derp/1/derc/{number}",
        replyTo="/rsps/1/rsp",
        responseRequired="03",
        mRID=f"{number:032X}",
        version=1,
        description=f"envelope {number}",
        creationTime=START_S - 60,
        EventStatus_=event.EventStatus(
            currentStatus=0, dateTime=START_S - 60, potentiallySuperseded=False, reason="as forecast"
        ),
        interval=types.DateTimeIntervalType(duration=300, start=START_S + 300 * number),
        randomizeStart=30,
        randomizeDuration=10,
        deviceCategory="00000083",
        DERControlBase_=der.DERControlBase(
            opModConnect=True,
            opModEnergize=True,
            opModFixedW=5_000,
            opModMaxLimW=8_000,
            opModTargetW=values.ActivePower(multiplier=0, value=4_200),
            rampTms=500,
            opModImpLimW=values.ActivePower(multiplier=0, value=10_000),
            opModExpLimW=values.ActivePower(multiplier=0, value=1_500),
            opModGenLimW=values.ActivePower(multiplier=1, value=500),
            opModLoadLimW=values.ActivePower(multiplier=1, value=1_000),
        ),
    )


def _device(number: int) -> Any:
    at = f"/edev/{number}"
    return end_device.EndDeviceResponse(
        href=at,
        subscribable=types.SubscribableType.resource_supports_non_conditional_subscriptions,
        lFDI=f"{number:040X}",
        sFDI=167_261_211_391,
        deviceCategory="00000083",
        changedTime=START_S,
        enabled=True,
        postRate=60,
        DERListLink=ListLink(href=f"{at}/der", all_=1),
        FunctionSetAssignmentsListLink=ListLink(href=f"{at}/fsa", all_=1),
        LogEventListLink=ListLink(href=f"{at}/lel", all_=0),
        RegistrationLink=Link(href=f"{at}/rg"),
        SubscriptionListLink=ListLink(href=f"{at}/sub", all_=0),
        ConnectionPointLink=ConnectionPointLink(href=f"{at}/cp"),
    )


def _in_turn(ways: Mapping[str, Callable[[], object]], pace: Pace) -> dict[str, float]:
    """Give the median CPU time of one call of each, in us; a peer far off is called less often."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(pace.samples):
        for name, way in ways.items():
            calls = max(1, pace.calls // 20) if name.startswith("envoy") else pace.calls
            began_s = time.process_time()
            for _ in range(calls):
                way()
            spent[name].append(US * (time.process_time() - began_s) / calls)
    return {name: statistics.median(taken) for name, taken in spent.items()}
