"""What cannot be read is told in one line, in its place, and unseats nothing beside it."""

import time

import pytest
from sep2_values import DEVICE, EXAMPLES, FULL_BASE, LFDI, MRID, NS, control

from gateway.wire.sep2 import Faulty, Glance, Peek, Unreadable, WireFault, decode, encode, peek
from gateway.wire.sep2.codes import MODE_NAMES
from gateway.wire.sep2.devices import EndDevice, EndDeviceList
from gateway.wire.sep2.quantities import ActivePower
from gateway.wire.sep2.resources import (
    DERControl,
    DERControlBase,
    DERControlList,
    DERProgramList,
    FunctionSetAssignmentsList,
    Interval,
)

AUS = "https://csipaus.org/ns"
HEAD = f'<DERControlList xmlns="{NS}" xmlns:csipaus="{AUS}" all="3" results="3">'


def body_of(base: str = "", *, event: str = "", mrid: str = MRID, status: str = "1", duration: str = "300") -> bytes:
    """Three controls: the one in the middle as wished, its neighbours whole."""
    whole = encode(control(1)).split(b"\n", 1)[1].replace(f' xmlns="{NS}" xmlns:csipaus="{AUS}"'.encode(), b"")
    last = whole.replace(b"0001</mRID>", b"0003</mRID>")
    middle = (
        f'<DERControl href="/derc/2" replyTo="/rsp?a=1&amp;b=2" responseRequired="03"><mRID>{mrid}</mRID>'
        f"<creationTime>1</creationTime><EventStatus><currentStatus>{status}</currentStatus><dateTime>1</dateTime>"
        f"<potentiallySuperseded>false</potentiallySuperseded></EventStatus>"
        f"<interval><duration>{duration}</duration><start>5</start></interval>{event}"
        f"<DERControlBase>{base}</DERControlBase></DERControl>"
    )
    return HEAD.encode() + whole + middle.encode() + last + b"</DERControlList>"


def middle(body: bytes) -> DERControl | Faulty:
    """Decode; the neighbours must be whole."""
    controls = decode(body)
    assert isinstance(controls, DERControlList)
    first, wished, last = controls.items
    assert first == control(1)
    assert isinstance(last, DERControl)
    assert last.mrid.endswith("0003")
    return wished


def base_of(inner: str) -> DERControlBase:
    wished = middle(body_of(inner))
    assert isinstance(wished, DERControl), wished
    return wished.base


def power(multiplier: object, value: object) -> str:
    return f"<csipaus:opModExpLimW><multiplier>{multiplier}</multiplier><value>{value}</value></csipaus:opModExpLimW>"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (
            body_of(power(10, 1)),
            "DERControl/DERControlBase/opModExpLimW/multiplier (line 1): '10' is not in -9..9",
        ),
        (
            body_of(power(0, 32_768)),
            "DERControl/DERControlBase/opModExpLimW/value (line 1): '32768' is not in -32768..32767",
        ),
        (
            body_of(power(0, "")),
            "DERControl/DERControlBase/opModExpLimW/value (line 1): is empty, a whole number belongs here",
        ),
        (
            body_of(power(0, "1_000")),
            "DERControl/DERControlBase/opModExpLimW/value (line 1): '1_000' is not a whole number",
        ),
        (
            body_of(power(0, "1.5")),
            "DERControl/DERControlBase/opModExpLimW/value (line 1): '1.5' is not a whole number",
        ),
        (
            body_of(power(0, "\u0665")),
            "DERControl/DERControlBase/opModExpLimW/value (line 1): '\\u0665' is not a whole number",
        ),
        (
            body_of(power(0, "9" * 5000)),
            f"DERControl/DERControlBase/opModExpLimW/value (line 1): '{'9' * 40}...' is not a whole number",
        ),
        (
            body_of(power(0, "15<x/>00")),
            "DERControl/DERControlBase/opModExpLimW/value (line 1): has elements inside, a plain value belongs here",
        ),
        (
            body_of("<csipaus:opModExpLimW><value>1</value></csipaus:opModExpLimW>"),
            "DERControl/DERControlBase/opModExpLimW (line 1): multiplier missing",
        ),
        (
            body_of("<opModMaxLimW>10001</opModMaxLimW>"),
            "DERControl/DERControlBase/opModMaxLimW (line 1): '10001' is not in 0..10000",
        ),
        (
            body_of("<opModFixedW>-10001</opModFixedW>"),
            "DERControl/DERControlBase/opModFixedW (line 1): '-10001' is not in -10000..10000",
        ),
        (
            body_of("<opModConnect>yes</opModConnect>"),
            "DERControl/DERControlBase/opModConnect (line 1): 'yes' is not true or false",
        ),
        (
            body_of("<rampTms>1</rampTms><rampTms>2</rampTms>"),
            "DERControl/DERControlBase/rampTms (line 1): is there twice",
        ),
        (body_of(duration="-5"), "DERControl/interval/duration (line 1): '-5' is not in 0..4294967295"),
        (body_of(status="6"), "DERControl/EventStatus/currentStatus (line 1): '6' is not in 0..5"),
        (
            body_of(event="<randomizeStart>3601</randomizeStart>"),
            "DERControl/randomizeStart (line 1): '3601' is not in -3600..3600",
        ),
        (
            body_of().replace(b'responseRequired="03"><mRID>8f', b'responseRequired="zz"><mRID>8f'),
            "DERControl/@responseRequired (line 1): 'zz' is not hex",
        ),
    ],
    ids=lambda part: part.split(": ")[0] if isinstance(part, str) else "",
)
def test_a_faulty_control_stands_in_its_place_and_can_be_answered(body: bytes, why: str) -> None:
    found = middle(body)
    assert isinstance(found, Faulty)
    assert (found.href, found.mrid, found.reply_to) == ("/derc/2", MRID, "/rsp?a=1&b=2")
    assert found.response_required == (None if "responseRequired" in why else 3)
    assert found.why == why
    assert "\n" not in found.why


def test_a_control_without_a_usable_identity_is_faulty_and_cannot_be_answered() -> None:
    for mrid in ("", "0x1f", "-1", "1" * 33, "12  34", "not hex"):
        found = middle(body_of(mrid=mrid))
        assert isinstance(found, Faulty)
        assert found.mrid is None
        assert "DERControl/mRID" in found.why


def test_other_lists_isolate_their_items_too() -> None:
    programs = decode(
        f'<DERProgramList xmlns="{NS}" all="2" results="2"><DERProgram href="/1"><mRID>0A</mRID>'
        "<primacy>256</primacy></DERProgram></DERProgramList>".encode()
    )
    assert isinstance(programs, DERProgramList)
    assert programs.items == (Faulty("/1", "0A", None, "DERProgram/primacy (line 1): '256' is not in 0..255"),)
    devices = decode(
        f'<EndDeviceList xmlns="{NS}"><EndDevice href="/2"><sFDI>1</sFDI></EndDevice></EndDeviceList>'.encode()
    )
    assert isinstance(devices, EndDeviceList)
    assert devices.total is None
    assert devices.items == (Faulty("/2", None, None, "EndDevice (line 1): changedTime missing"),)
    sets = decode(
        f'<FunctionSetAssignmentsList xmlns="{NS}" all="1" results="1"><FunctionSetAssignments><mRID>0A</mRID>'
        "<TimeLink/></FunctionSetAssignments></FunctionSetAssignmentsList>".encode()
    )
    assert isinstance(sets, FunctionSetAssignmentsList)
    assert sets.items == (Faulty(None, "0A", None, "FunctionSetAssignments/TimeLink (line 1): @href missing"),)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (LFDI, LFDI),
        (LFDI.lower(), LFDI),
        (f"\n  {LFDI}\n", LFDI),
        ("E45", "E45".zfill(40)),
        ("not hex", Unreadable("not hex", "lFDI: 'not hex' is not hex")),
        ("", Unreadable("", "lFDI: is empty, hex digits belong here")),
        ("A" * 41, Unreadable("A" * 41, f"lFDI: '{'A' * 40}...' has more than 40 hex digits")),
    ],
)
def test_an_lfdi_is_read_or_unreadable_and_its_device_stays(written: str, read: str | Unreadable) -> None:
    device = decode(encode(DEVICE).replace(LFDI.encode(), written.encode()))
    assert isinstance(device, EndDevice)
    assert device.lfdi == read
    assert device.sfdi == DEVICE.sfdi
    if isinstance(read, Unreadable):
        with pytest.raises(WireFault, match="EndDevice/lFDI"):
            encode(device)


def test_trimmed_hex_and_order_and_strangers_are_tolerated() -> None:
    wished = middle(
        body_of(
            '<csipaus:later xmlns:csipaus="urn:later">1</csipaus:later><rampTms> 7 </rampTms>'
            "<DERControlBase_r2_3><any/></DERControlBase_r2_3><opModConnect> 1 </opModConnect>",
            mrid="\n a0f\n",
        ).replace(b'responseRequired="03"><mRID>\n', b'responseRequired="3" odd="1"><mRID>\n')
    )
    assert isinstance(wished, DERControl)
    assert wished.mrid == "0a0f"
    assert wished.response_required == 3
    assert wished.base == DERControlBase(op_mod_connect=True, ramp_tms_hundredths=7)
    shuffled = middle(body_of(event="<description>late</description><version>4</version>"))
    assert isinstance(shuffled, DERControl)
    assert (shuffled.description, shuffled.version) == ("late", 4)


@pytest.mark.parametrize("namespace", ["http://ieee.org/2030.5", "http://zigbee.org/sep"])
def test_the_namespaces_of_2013_are_read(namespace: str) -> None:
    for example in EXAMPLES:
        assert decode(encode(example).replace(NS.encode(), namespace.encode())) == example


@pytest.mark.parametrize("namespace", [f"{AUS}/v1.3", f"{AUS}/v1.3-beta/storage"])
def test_limits_of_later_australian_editions_are_read(namespace: str) -> None:
    body = encode(control(**FULL_BASE))
    assert decode(body.replace(f'"{AUS}"'.encode(), f'"{namespace}"'.encode())) == control(**FULL_BASE)


def test_a_mode_that_cannot_be_read_is_named_and_takes_nothing_with_it() -> None:
    strict = {
        "opModConnect", "opModEnergize", "opModFixedW", "opModMaxLimW", "opModTargetW",
        "opModExpLimW", "opModImpLimW", "opModGenLimW", "opModLoadLimW",
    }  # fmt: skip
    others = sorted(MODE_NAMES - strict)
    inner = "".join(f"<{name}><x>1</x></{name}>" for name in others if name != "opModStorageTargetW")
    storage = f'<s:opModStorageTargetW xmlns:s="{AUS}/v1.3"><multiplier>0</multiplier></s:opModStorageTargetW>'
    base = base_of(f"{inner}{storage}{power(0, 1500)}<opModMaxLimW>100</opModMaxLimW>")
    assert base == DERControlBase(
        op_mod_exp_lim_w=ActivePower(1500), op_mod_max_lim_w_hundredths=100, other_modes=tuple(others)
    )


@pytest.mark.parametrize(
    "spoilt",
    [
        "<opModFixedVar><refType>2</refType><value>10001</value></opModFixedVar>",
        "<opModFixedVar><refType>two</refType><value>1</value></opModFixedVar>",
        "<opModFixedVar><value>1</value></opModFixedVar>",
        "<opModFixedVar/>",
    ],
)
def test_a_faulty_reactive_mode_unseats_no_limit_beside_it(spoilt: str) -> None:
    base = base_of(f"{spoilt}{power(0, 1500)}")
    assert base == DERControlBase(op_mod_exp_lim_w=ActivePower(1500), other_modes=("opModFixedVar",))


@pytest.mark.parametrize("times", [2, 3])
def test_a_curve_mode_that_stands_twice_is_set_aside_and_unseats_no_limit(times: int) -> None:
    base = base_of('<opModVoltVar href="/dc/1"/>' * times + power(0, 1500))
    assert base == DERControlBase(op_mod_exp_lim_w=ActivePower(1500), other_modes=("opModVoltVar",))
    spoilt_first = base_of(f'<opModVoltVar/><opModVoltVar href="/dc/1"/>{power(0, 1500)}')
    assert spoilt_first == base


def test_a_mode_of_a_namespace_nobody_knows_is_not_taken_for_ours() -> None:
    base = base_of('<f:opModExpLimW xmlns:f="urn:f"><multiplier>0</multiplier><value>9</value></f:opModExpLimW>')
    assert base == DERControlBase(other_modes=("{urn:f}opModExpLimW",))


def test_a_mode_that_2023_disables_is_neither_value_nor_release() -> None:
    base = base_of('<opModMaxLimW disabled="true">100</opModMaxLimW><opModFixedW disabled="false">5</opModFixedW>')
    assert base == DERControlBase(op_mod_fixed_w_hundredths=5, other_modes=("opModMaxLimW",))


def test_a_comment_or_instruction_inside_a_number_never_shortens_it() -> None:
    assert base_of(power(0, "10<!-- -->0")).op_mod_exp_lim_w == ActivePower(100)
    assert base_of(power(0, "10<?pi?>0")).op_mod_exp_lim_w == ActivePower(100)
    assert base_of(power(0, "<![CDATA[10]]>&#48;")).op_mod_exp_lim_w == ActivePower(100)


BOMB = (
    "<!DOCTYPE a ["
    + "".join(
        f'<!ENTITY e{level + 1} "{f"&e{level};" * 10}">' if level else '<!ENTITY e1 "lol">' for level in range(12)
    )
    + f']><Time xmlns="{NS}"><quality>&e12;</quality></Time>'
)
TIME = f'<Time xmlns="{NS}"><currentTime>1</currentTime>{{}}</Time>'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (BOMB, "a document type declaration is not allowed"),
        (f'<!DOCTYPE Time SYSTEM "file:///etc/passwd">{TIME}', "a document type declaration is not allowed"),
        (
            f'<!DOCTYPE Time [<!ENTITY x SYSTEM "file:///etc/hostname">]>{TIME.format("&x;")}',
            "a document type declaration is not allowed",
        ),
        (TIME.format("&x;"), "not well-formed XML: Entity 'x' not defined"),
        ("<Time/>", "root element 'Time' has no namespace, urn:ieee:std:2030.5:ns belongs here"),
        (
            '<Time xmlns="urn:other"/>',
            "root element 'Time' is of namespace 'urn:other', not urn:ieee:std:2030.5:ns",
        ),
        (f'<Toaster xmlns="{NS}"/>', "root element 'Toaster' is no resource that is read here"),
        (f'<DERControlBase xmlns="{NS}"/>', "root element 'DERControlBase' is no resource that is read here"),
        ("", "not well-formed XML: Document is empty"),
        ("EXI", "not well-formed XML: Start tag expected"),
        (TIME[:-3], "not well-formed XML"),
        (TIME.format("\x01"), "not well-formed XML"),
        (f'<?xml version="1.0" encoding="ISO-8859-1"?>{TIME}', "encoding is not UTF-8"),
        (f'<?xml version="1.0" encoding="UTF-7"?>{TIME}', "encoding is not UTF-8"),
        (TIME.format("<x>" * 31 + "</x>" * 31), "Time (line 1): dstEndTime and"),
        (TIME.format("<x>" * 32 + "</x>" * 32), "elements nested deeper than 32"),
        (TIME.format("<x>" * 5000 + "</x>" * 5000), "not well-formed XML: Excessive depth in document"),
        (TIME.format(f"<x>{' ' * (1 << 20)}</x>"), "at most 1048576 are read"),
        (
            f'<DERControlList xmlns="{NS}">{"<DERControl/>" * 301}</DERControlList>',
            "DERControlList/DERControl (line 1): more than 300 items",
        ),
        (f'<DERControlList xmlns="{NS}" all="-1"/>', "DERControlList/@all (line 1): '-1' is not in 0..4294967295"),
        (
            f'<Error xmlns="{NS}">\n<reasonCode>1</reasonCode>\n<reasonCode>1</reasonCode></Error>',
            "Error/reasonCode (line 3): is there twice",
        ),
    ],
    ids=range(21),
)
def test_a_body_that_cannot_be_trusted_is_refused_in_one_line(body: str, why: str) -> None:
    began = time.process_time()
    with pytest.raises(WireFault) as caught:
        decode(body.encode())
    assert time.process_time() - began < 1
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    peek(body.encode())


def test_only_utf_8_is_read() -> None:
    whole = encode(EXAMPLES[0]).decode().split("\n", 1)[1]
    for body, why in (
        (whole.encode("utf-16"), "encoding is not UTF-8"),
        (f'<?xml version="1.0" encoding="utf-16"?>{whole}'.encode(), "encoding is not UTF-8"),
        (f'<?xml version="1.0"?>{whole}'.encode("utf-16-be"), "not well-formed XML"),
        (whole.encode("utf-32"), "not"),
        (whole.encode().replace(b'"/dcap', b'"\xff/dcap'), "not well-formed XML"),
    ):
        with pytest.raises(WireFault, match=why):
            decode(body)
    assert decode(whole.encode()) == EXAMPLES[0]
    marked = b"\xef\xbb\xbf" + encode(EXAMPLES[0])
    assert decode(marked) == EXAMPLES[0]


def test_as_many_unknown_modes_are_named_as_any_edition_could_have() -> None:
    assert len(base_of("".join(f"<opMod{number}/>" for number in range(255))).other_modes) == 255
    faulty = middle(body_of("".join(f"<opMod{number}/>" for number in range(256))))
    assert isinstance(faulty, Faulty)
    assert faulty.why == (
        "DERControl/DERControlBase/opMod255 (line 1): is one of more than 255 modes that are not known"
    )


def test_three_hundred_items_are_read() -> None:
    body = encode(DERControlList(total=300, results=300, items=tuple(control(n) for n in range(300))))
    controls = decode(body)
    assert isinstance(controls, DERControlList)
    assert len(controls.items) == 300


def test_a_glance_finds_who_must_be_answered_in_broken_bodies() -> None:
    seen = Glance("DERControl", "/derc/2", MRID, "/rsp?a=1&b=2", 3)
    body = body_of("<opModConnect>ye")
    assert peek(body).items[1] == seen
    cut = body[: body.index(b"<EventStatus", body.index(MRID.encode()))]
    assert peek(cut).root == "DERControlList"
    assert peek(cut).items[1] == seen
    strange = body.replace(NS.encode(), b"urn:other")
    assert peek(strange).items[1] == seen
    assert peek(body.decode().encode("utf-16")).items[1] == seen
    oversize = body_of("<opModConnect>true</opModConnect>") + b" " * (1 << 20)
    assert peek(oversize).items[1] == seen


def test_a_glance_at_what_is_nothing_is_empty() -> None:
    assert peek(b" " * (1 << 20) + body_of()) == Peek()
    assert peek(b"") == peek(b"junk") == peek(BOMB.encode()) == Peek()
    assert peek(f'<Time xmlns="{NS}"/>'.encode()) == Peek("Time")
    assert peek(encode(control(3))).items == (Glance("DERControl", "/derp/1/derc/3", f"{3:032x}", "/rsps/1/rsp", 3),)


def test_an_interval_is_read_whatever_its_order() -> None:
    wished = middle(body_of(duration="4294967295"))
    assert isinstance(wished, DERControl)
    assert wished.interval == Interval(start_s=5, duration_s=4_294_967_295)
