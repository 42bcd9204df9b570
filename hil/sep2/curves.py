"""DERCurves of an IEEE 2030.5-2018 server as XML, made by lxml because envoy-schema has the links to them alone."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

SEP2_NS = "urn:ieee:std:2030.5:ns"
MOST_POINTS = 10
BOOLEANS = frozenset({"autonomousVRefEnable", "excitation"})
CURVE_MODES = (
    "opModFreqWatt",
    "opModHFRTMayTrip",
    "opModHFRTMustTrip",
    "opModHVRTMayTrip",
    "opModHVRTMomentaryCessation",
    "opModHVRTMustTrip",
    "opModLFRTMayTrip",
    "opModLFRTMustTrip",
    "opModLVRTMayTrip",
    "opModLVRTMomentaryCessation",
    "opModLVRTMustTrip",
    "opModVoltVar",
    "opModVoltWatt",
    "opModWattPF",
    "opModWattVar",
)
"""The modes that link to curves, each at the place of its curveType (DERCurveType)."""


@dataclass(frozen=True, slots=True)
class Point:
    """One CurveData as it is sent; `excitation` is for power factors alone, true where var are absorbed."""

    x: int
    y: int
    excitation: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One DERCurve as it is sent: `curve_type` 0..14, times in hundredths of a second, `v_ref` in hundredths of %."""

    name: str
    curve_type: int
    points: tuple[Point, ...]
    x_multiplier: int = 0
    y_multiplier: int = 0
    y_ref_type: int = 0
    created_s: int = 0
    open_loop_tms: int | None = None
    v_ref: int | None = None
    autonomous_v_ref_time: int | None = None

    def __post_init__(self) -> None:
        """Refuse what the schema does not know: other types, no points, more than ten."""
        if not 0 <= self.curve_type <= 14 or not 1 <= len(self.points) <= MOST_POINTS:
            raise ValueError(f'curve "{self.name}" needs a curveType of 0 to 14 and 1 to {MOST_POINTS} points')


def curve_body(href: str, curve: Curve) -> bytes:
    """Serialize one DERCurve."""
    return _bytes(_curve(href, curve))


def curve_list_body(href: str, total: int, items: Sequence[tuple[str, Curve]]) -> bytes:
    """Serialize one page of a DERCurveList: addresses and curves, `total` in all."""
    root = _element("DERCurveList", href=href, all=str(total), results=str(len(items)))
    root.extend(_curve(*item) for item in items)
    return _bytes(root)


def _curve(href: str, curve: Curve) -> etree._Element:
    root = _element("DERCurve", href=href)
    _tell(root, "mRID", hashlib.sha256(f"curve {href} {curve.name}".encode()).hexdigest()[:32].upper())
    _tell(root, "description", curve.name[:32])
    _tell(root, "autonomousVRefEnable", None if curve.autonomous_v_ref_time is None else True)
    _tell(root, "autonomousVRefTimeConstant", curve.autonomous_v_ref_time)
    _tell(root, "creationTime", curve.created_s)
    for point in curve.points:
        sent = etree.SubElement(root, f"{{{SEP2_NS}}}CurveData")
        _tell(sent, "excitation", point.excitation)
        _tell(sent, "xvalue", point.x)
        _tell(sent, "yvalue", point.y)
    _tell(root, "curveType", curve.curve_type)
    _tell(root, "openLoopTms", curve.open_loop_tms)
    _tell(root, "vRef", curve.v_ref)
    _tell(root, "xMultiplier", curve.x_multiplier)
    _tell(root, "yMultiplier", curve.y_multiplier)
    _tell(root, "yRefType", curve.y_ref_type)
    return root


def _element(name: str, **attributes: str) -> etree._Element:
    root = etree.fromstring(f'<{name} xmlns="{SEP2_NS}"/>')
    for key, value in attributes.items():
        root.set(key, value)
    return root


def _tell(parent: etree._Element, name: str, value: object) -> None:
    if value is not None:
        etree.SubElement(parent, f"{{{SEP2_NS}}}{name}").text = str(value).lower() if name in BOOLEANS else str(value)


def _bytes(root: etree._Element) -> bytes:
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)
