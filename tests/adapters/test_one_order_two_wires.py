"""The same order, written as a 2030.5 control and as an OpenADR event, is one and the same to the core.

What differs belongs to the wire: issuer, id (with the version that names its content), where answers go, and how its
server breaks ties.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from openadr_world import PROFILE

from gateway.core.orders import Order, Reply, Tie
from gateway.northbound.openadr_ven import translate as openadr
from gateway.northbound.openadr_ven.schedule import lay_out
from gateway.northbound.openadr_ven.words import read_profile
from gateway.northbound.sep2_client import translate as sep2
from gateway.wire.openadr3 import Odd, decode_event
from gateway.wire.sep2 import decode
from gateway.wire.sep2.resources import DERControl, DERProgram

WORDS = read_profile(PROFILE)
GROUP = "dso:street"
RECEIVED_MS, DRAW = 1_800_000_000_000, 42
T0_S = RECEIVED_MS // 1000
CONTROL = (
    '<DERControl xmlns="urn:ieee:std:2030.5:ns" xmlns:c="https://csipaus.org/ns"><mRID>0A</mRID>'
    "<creationTime>{created_s}</creationTime><EventStatus><currentStatus>0</currentStatus><dateTime>1</dateTime>"
    "<potentiallySuperseded>false</potentiallySuperseded></EventStatus>"
    "<interval><duration>{duration_s}</duration><start>{start_s}</start></interval>"
    "<randomizeStart>{randomize_s}</randomizeStart><DERControlBase>{modes}</DERControlBase></DERControl>"
)
MODE = "<{prefix}{name}><multiplier>-1</multiplier><value>{tenths}</value></{prefix}{name}>"


class Said(NamedTuple):
    """One order as a person would say it: tenths of a W (sizes, but for the set-point: positive generates), seconds."""

    export_tenths_w: int | None
    import_tenths_w: int | None
    target_tenths_w: int | None
    start_s: int
    duration_s: int
    randomize_s: int
    strength: int
    created_s: int

    def as_control(self) -> bytes:
        modes = [
            MODE.format(prefix=prefix, name=name, tenths=tenths)
            for prefix, name, tenths in (
                ("", "opModTargetW", self.target_tenths_w),
                ("c:", "opModImpLimW", self.import_tenths_w),
                ("c:", "opModExpLimW", self.export_tenths_w),
            )
            if tenths is not None
        ]
        return CONTROL.format(
            created_s=self.created_s,
            duration_s=self.duration_s,
            start_s=self.start_s,
            randomize_s=self.randomize_s,
            modes="".join(modes),
        ).encode()

    def as_event(self) -> bytes:
        payloads = [
            {"type": kind, "values": [tenths / 10_000]}
            for kind, tenths in (
                ("EXPORT_CAPACITY_LIMIT", self.export_tenths_w),
                ("IMPORT_CAPACITY_LIMIT", self.import_tenths_w),
                ("DISPATCH_SETPOINT", None if self.target_tenths_w is None else -self.target_tenths_w),
            )
            if tenths is not None
        ]
        return json.dumps(
            {
                "id": "event-1",
                "objectType": "EVENT",
                "programID": "p",
                "createdDateTime": instant(self.created_s),
                "modificationDateTime": instant(self.created_s),
                "priority": self.strength,
                "payloadDescriptors": [
                    {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": each["type"], "units": "KW"}
                    for each in payloads
                ],
                "intervalPeriod": {
                    "start": instant(self.start_s),
                    "duration": f"PT{self.duration_s}S",
                    "randomizeStart": f"PT{self.randomize_s}S",
                },
                "intervals": [{"id": 0, "payloads": payloads}],
            }
        ).encode()


def instant(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")


def over_2030_5(said: Said) -> Order:
    control = decode(said.as_control())
    assert isinstance(control, DERControl)
    program = DERProgram(mrid="street", primacy=said.strength)
    made = sep2.order(control, program, "dso", RECEIVED_MS, DRAW)
    return replace(made, scope=replace(made.scope, group=GROUP))


def over_openadr(said: Said) -> Order:
    read = decode_event(said.as_event())
    assert not isinstance(read, Odd)
    course = lay_out(read.event, RECEIVED_MS, RECEIVED_MS, openadr.DIVIDED)
    [piece] = course.pieces
    by = openadr.sent(read.event, "dso-openadr", GROUP, RECEIVED_MS, DRAW, "")
    made = openadr.order(piece, by, openadr.units(read.event, ()), WORDS)
    assert made is not None
    return made


def of_no_wire(order: Order) -> Order:
    """Leave out what belongs to the wire: names, ties, and whether successive orders join, as 2030.5 alone has it."""
    rank = order.rank._replace(tie=Tie.LATER_CREATION)
    return replace(order, issuer="", id="", version=0, reply=Reply(), rank=rank, joins=False)


sizes = st.none() | st.integers(0, 32_767)
orders = st.builds(
    Said,
    export_tenths_w=sizes,
    import_tenths_w=sizes,
    target_tenths_w=st.none() | st.integers(-32_767, 32_767),
    start_s=st.integers(T0_S - 1_000, T0_S + 100_000),
    duration_s=st.integers(1, 86_400),
    randomize_s=st.integers(0, 3_600),
    strength=st.integers(0, 255),
    created_s=st.integers(T0_S - 100_000, T0_S),
).filter(lambda said: any(tenths is not None for tenths in said[:3]))


@given(orders)
def test_the_same_order_over_either_wire_is_the_same_to_the_core(said: Said) -> None:
    one, other = over_2030_5(said), over_openadr(said)
    assert (one.issuer, one.id) != (other.issuer, other.id)
    assert set(one.effects) == set(other.effects)
    assert of_no_wire(one) == replace(of_no_wire(other), effects=one.effects)


def test_every_rounding_is_to_the_stricter_side() -> None:
    said = Said(12_345, 12_345, -12_345, T0_S, 60, 0, 1, T0_S)
    for order in (over_2030_5(said), over_openadr(said)):
        assert sorted(effect.power.w for effect in order.effects) == [-1_234, -1_234, 1_234]  # type: ignore[union-attr] # all are powers in W
