"""The modes of a control and the curves that it links to: all there are, by name, number and place."""

import re
from dataclasses import replace

import pytest
from lxml import etree
from sep2_modes import CURVE, CURVE_FIELDS, MODES_OF_2023
from sep2_schemas import assert_valid, schema_path
from sep2_values import FULL_BASE, STORAGE_TARGET, control

from gateway.wire.sep2 import WireFault, decode, encode
from gateway.wire.sep2.codes import CURVE_MODES, MODE_NAMES, UnitReference
from gateway.wire.sep2.tables_modes import DER_CONTROL_BASE

XSD = "{http://www.w3.org/2001/XMLSchema}"


def test_every_mode_of_2018_and_of_2023_is_written_as_its_schema_has_it() -> None:
    native = {field: value for field, value in FULL_BASE.items() if not field.endswith("_lim_w")}
    assert len(native) == 26, "25 modes and the ramp"
    for resource in (control(**native), control(**MODES_OF_2023), control(**native, **MODES_OF_2023)):
        body = encode(resource)
        assert_valid(resource, body)
        assert decode(body) == resource
    whole = encode(control(**FULL_BASE, **STORAGE_TARGET, **MODES_OF_2023)).decode()
    written = set(re.findall(r"<(?:csipaus:)?(opMod\w+)", whole))
    assert written == MODE_NAMES


@pytest.mark.parametrize("edition", ["sep2_schema_2018.xsd", "sep2_schema_2023.xsd"])
def test_the_types_of_curves_and_references_are_those_of_the_schema(edition: str) -> None:
    tree = etree.parse(schema_path(edition))

    def told(name: str) -> str:
        found = tree.find(f".//{XSD}complexType[@name='{name}']")
        return "" if found is None else "".join(str(text) for text in found.itertext())

    kinds = re.findall(r"(\d+) - (opMod\w+)", told("DERCurveType"))
    assert kinds == [(str(number), name) for number, name in enumerate(CURVE_MODES)]
    meant = {
        "N/A": UnitReference.NOT_APPLICABLE,
        "%setMaxW": UnitReference.MAX_W,
        "%setMaxVar": UnitReference.MAX_VAR,
        "%statVarAvail": UnitReference.AVAILABLE_VAR,
        "%setEffectiveV": UnitReference.EFFECTIVE_V,
        "%setMaxChargeRateW": UnitReference.MAX_CHARGE_W,
        "%setMaxDischargeRateW": UnitReference.MAX_DISCHARGE_W,
        "%statWAvail": UnitReference.AVAILABLE_W,
        "%setMaxVA": UnitReference.MAX_VA,
    }
    references = re.findall(r"(\d) - (N/A|%\w+)", told("DERUnitRefType"))
    assert len(references) == (8 if "2018" in edition else 9)
    assert [meant[name] for _number, name in references] == [int(number) for number, _name in references]


def test_the_modes_that_link_to_a_curve_are_in_the_order_of_their_types() -> None:
    fields = {row.element: row.field for row in DER_CONTROL_BASE.rows}
    assert tuple(fields[name] for name in CURVE_MODES) == CURVE_FIELDS


@pytest.mark.parametrize(
    ("count", "why"), [(0, "DERCurve/CurveData: is missing"), (11, "DERCurve/CurveData: more than 10 items")]
)
def test_a_curve_without_points_or_with_too_many_is_not_written(count: int, why: str) -> None:
    with pytest.raises(WireFault) as caught:
        encode(replace(CURVE, points=CURVE.points[:1] * count))
    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("<curveType>11", "<curveType>256", r"DERCurve/curveType .*: '256' is not in 0..255"),
        ("<xvalue>92", "<xvalue>2147483648", r"DERCurve/CurveData/xvalue .*: '2147483648' is not in"),
        ("<xvalue>92</xvalue>", "", r"DERCurve/CurveData .*: xvalue missing"),
        ("<CurveData>", "<CurveData><xvalue>1</xvalue><yvalue>1</yvalue></CurveData>" * 7 + "<CurveData>", "more than"),
    ],
)
def test_a_curve_that_cannot_be_trusted_is_no_curve(old: str, new: str, why: str) -> None:
    text = encode(CURVE).decode()
    assert old in text
    with pytest.raises(WireFault, match=why):
        decode(text.replace(old, new, 1).encode())


def test_a_curve_without_points_is_no_curve() -> None:
    text = re.sub(r"<CurveData>.*</CurveData>", "", encode(CURVE).decode())
    with pytest.raises(WireFault, match="CurveData missing"):
        decode(text.encode())
