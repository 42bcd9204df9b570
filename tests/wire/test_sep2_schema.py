"""What we write is what the published schema allows, and reads back as it was."""

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from sep2_examples import BODIES, CARRYING, MIXED, OF_2023
from sep2_schemas import assert_valid, schema_path
from sep2_strategies import EDITIONS, Editions, is_of, values_of
from sep2_values import control

from gateway.wire.sep2 import Faulty, Resource, WireFault, decode, encode
from gateway.wire.sep2.codes import DOE_MODES, MODE_NAMES, MODES, MODES_2, VPP_MODES
from gateway.wire.sep2.devices import Registration
from gateway.wire.sep2.quantities import ActivePower
from gateway.wire.sep2.resources import DERControlBase, DERControlList, DERControlResponse, Error, Response, Time
from gateway.wire.sep2.tables import ROOTS

XSD = "{http://www.w3.org/2001/XMLSchema}"


@pytest.mark.parametrize(
    ("edition", "type_name", "names"),
    [
        ("sep2_schema_2018.xsd", "DERControlType", MODES[:27]),
        ("sep2_schema_2023.xsd", "DERControlType", MODES),
        ("sep2_schema_2023.xsd", "DERControlType2", MODES_2),
        ("csipaus-ext.xsd", "DOEControlType", DOE_MODES),
        ("csipaus-ext-v1.3-beta_storage.xsd", "VPPControlType", VPP_MODES),
    ],
)
def test_the_bits_of_the_modes_are_those_of_the_schema(edition: str, type_name: str, names: tuple[str, ...]) -> None:
    types = etree.parse(schema_path(edition)).iterfind(f".//{XSD}complexType[@name='{type_name}']")
    told = "".join(str(text) for found in types for text in found.itertext())
    bits = dict(re.findall(r"(\d+) [-=] (?:(opMod\w+|Charge|Discharge))", told))
    assert {int(bit): name.removesuffix(" mode") for bit, name in bits.items()} == {
        bit: name if name.startswith("opMod") else name.capitalize() for bit, name in enumerate(names)
    }


@pytest.mark.parametrize(
    "edition",
    ["sep2_schema_2018.xsd", "sep2_schema_2023.xsd", "csipaus-core.xsd", "csipaus-core-v1.3-beta_storage.xsd"],
)
def test_every_mode_that_a_schema_has_is_known(edition: str) -> None:
    bases = etree.parse(schema_path(edition)).iterfind(f".//{XSD}complexType[@name='DERControlBase']")
    modes = [each.get("name") or each.get("ref") or "" for base in bases for each in base.iter(f"{XSD}element")]
    names = {name.removeprefix("csipaus:") for name in modes if "opMod" in name}
    assert names
    assert names <= MODE_NAMES


def test_there_is_an_example_of_every_body() -> None:
    assert {type(example) for example in (*BODIES, *OF_2023)} | {Response} == {table.cls for table in ROOTS.values()}


@pytest.mark.parametrize("example", [*BODIES, *OF_2023, CARRYING, MIXED], ids=lambda example: type(example).__name__)
def test_an_example_is_valid_and_reads_back(example: Resource) -> None:
    body = encode(example)
    assert_valid(example, body)
    assert decode(body) == example
    assert encode(decode(body)) == body


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize(
    ("name", "editions"),
    [(name, editions) for name, table in ROOTS.items() for editions in EDITIONS if is_of(table, editions)],
)
@given(draws=st.data())
def test_any_value_is_valid_and_reads_back(name: str, editions: Editions, draws: st.DataObject) -> None:
    resource = draws.draw(values_of(ROOTS[name], editions))
    body = encode(resource)
    assert decode(body) == resource
    assert_valid(resource, body)


def test_the_extension_is_declared_where_it_is_used_and_only_there() -> None:
    with_limit = encode(control(op_mod_exp_lim_w=ActivePower(1)))
    assert with_limit.startswith(
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<DERControl xmlns="urn:ieee:std:2030.5:ns" xmlns:csipaus="https://csipaus.org/ns" href="/derp/1/derc/1"'
    )
    assert b"csipaus" not in encode(control(op_mod_connect=True))


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        (
            control(op_mod_max_lim_w_hundredths=10_001),
            "DERControl/DERControlBase/opModMaxLimW: 10001 is not in 0..10000",
        ),
        (control(op_mod_connect=1), "DERControl/DERControlBase/opModConnect: 1 is not true or false"),
        (
            control(op_mod_exp_lim_w=ActivePower(40_000)),
            "DERControl/DERControlBase/opModExpLimW/value: 40000 is not in -32768..32767",
        ),
        (control(op_mod_exp_lim_w=1500), "DERControl/DERControlBase/opModExpLimW: int where ActivePower belongs"),
        (
            control(other_modes=("opModVoltVar",)),
            "DERControl/DERControlBase: opModVoltVar: only the name is known, there is no value to write",
        ),
        (DERControlList(results=0), "DERControlList/@all: is missing"),
        (
            DERControlList(total=1, results=1, items=(Faulty(None, None, None, "spoilt"),)),
            "DERControlList/DERControl: Faulty where DERControl belongs",
        ),
        (
            DERControlList(total=301, results=301, items=(control(),) * 301),
            "DERControlList/DERControl: more than 300 items",
        ),
        (Error(reason_code=True), "Error/reasonCode: True is not a whole number"),
        (Registration(date_time_registered_s=0, pin=1_000_000), "Registration/pIN: 1000000 is not in 0..999999"),
        (
            DERControlResponse(end_device_lfdi="3e4f", subject="0a"),
            "DERControlResponse/endDeviceLFDI: '3e4f' is not an LFDI: 40 hex digits",
        ),
        (
            DERControlResponse(end_device_lfdi="A" * 40, subject="abc"),
            "DERControlResponse/subject: 'abc' is not an mRID: an even count of hex digits, at most 32",
        ),
    ],
)
def test_what_the_schema_forbids_is_not_written(resource: Resource, why: str) -> None:
    with pytest.raises(WireFault) as caught:
        encode(resource)
    assert str(caught.value) == why


def test_text_that_xml_cannot_carry_is_not_written() -> None:
    for text in ("\x00", "\ud800", "a" * 33):
        with pytest.raises(WireFault, match="DERControl/description"):
            encode(replace(control(), description=text))


def test_an_lfdi_is_written_in_upper_case() -> None:
    response = DERControlResponse(end_device_lfdi="3e" * 20, subject="0a")
    assert decode(encode(response)) == replace(response, end_device_lfdi="3E" * 20)
    with pytest.raises(WireFault, match="is not hex"):
        encode(replace(response, end_device_lfdi="xy" * 20))


def test_a_part_is_not_a_body() -> None:
    with pytest.raises(TypeError, match="DERControlBase is not a body"):
        encode(DERControlBase())  # type: ignore[arg-type]  # the point of the test


def test_times_are_seconds_of_any_sign() -> None:
    time = Time(current_time_s=-1, dst_end_time_s=0, dst_offset_s=0, dst_start_time_s=0, quality=7, tz_offset_s=-43_200)
    assert decode(encode(time)) == time
