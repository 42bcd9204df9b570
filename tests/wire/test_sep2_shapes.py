"""A list read by the shape of its items, or written by their mould, is what it is by the long way.

A comment is what sends a body to its tree.
"""

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sep2_strategies import EDITIONS, Editions, is_of, values_of
from sep2_values import control

from gateway.wire.sep2 import Faulty, WireFault, decode, encode
from gateway.wire.sep2.codec import ANY
from gateway.wire.sep2.moulds import Moulds
from gateway.wire.sep2.resources import DERControl, DERControlBase, DERControlList
from gateway.wire.sep2.shapes import ListShapes
from gateway.wire.sep2.tables import ROOTS
from gateway.wire.sep2.tables_der import DER_CONTROL

LISTS = {name: table for name, table in ROOTS.items() if [row.isolated for row in table.rows] == [True]}
SPLICES = (
    b"<!-- a -->",
    b"&amp;",
    b"<![CDATA[5]]>",
    b" ",
    b"\n",
    b'"',
    b"<",
    b">",
    b"/",
    b"9",
    b"x:",
    b"\xc3\xa9",
    b"",
)


def plain(number: int) -> DERControl:
    """Give a control without a character that is escaped."""
    return dataclasses.replace(control(number), description="noon")


def by_tree(body: bytes) -> Any:
    """Read a body in a way that no shape fits."""
    return decode(body.rstrip() + b"<!-- end -->")


def outcome(read: Any, body: bytes) -> tuple[Any, str]:
    try:
        return read(body), ""
    except WireFault as fault:
        return None, str(fault)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("editions", EDITIONS, ids=str)
def test_every_list_means_the_same_by_shape_and_by_tree(name: str, editions: Editions) -> None:
    if not is_of(LISTS[name], editions):
        return

    @settings(max_examples=12, deadline=None)
    @given(value=values_of(LISTS[name], editions))
    def check(value: Any) -> None:
        try:
            body = encode(value)
        except WireFault:
            return
        for _ in range(2):
            assert encode(value) == body, "the first is written field by field, the next by its mould"
            assert decode(body) == by_tree(body) == value

    check()


def test_a_list_of_the_same_shape_is_read_without_a_tree() -> None:
    shapes = ListShapes(LISTS)
    page = [DERControlList(total=2, results=2, items=(plain(1 + at), plain(2 + at))) for at in (0, 7)]
    first, second = (encode(each) for each in page)
    assert shapes.read(first, 300) is None
    shapes.learn(first)
    found = shapes.read(second, 300)
    assert found is not None
    envelope, items = found
    assert items == page[1].items
    assert decode(envelope) == DERControlList(total=2, results=2)
    assert shapes.read(second, 1) is None, "more items than may be there are counted by the tree"


def test_a_mutated_list_means_the_same_by_shape_and_by_tree() -> None:
    draw = random.Random(20305)  # noqa: S311 - chooses where to break a test body
    body = encode(DERControlList(total=3, results=3, items=tuple(plain(number) for number in (1, 2, 3))))
    assert decode(body) == by_tree(body)
    read = 0
    for _ in range(3000):
        broken = bytearray(body)
        at = draw.randrange(len(broken))
        if draw.random() < 0.5:
            broken[at : at + draw.choice((0, 1, 1, 30))] = draw.choice(SPLICES)
        else:
            broken[at] = draw.randrange(256)
        found, expected = outcome(decode, bytes(broken)), outcome(by_tree, bytes(broken))
        if expected[0] is None:
            assert found[0] is None
        else:
            assert found == expected
            read += 1
    assert read > 300


def test_a_value_that_cannot_be_read_is_a_fault_of_its_item_alone() -> None:
    body = encode(DERControlList(total=2, results=2, items=(plain(1), plain(2))))
    decode(body)
    found = decode(body.replace(b"<duration>", b"<duration>-", 1))
    assert isinstance(found, DERControlList)
    assert [isinstance(item, Faulty) for item in found.items] == [True, False]


@settings(max_examples=50, deadline=None)
@given(spaces=st.lists(st.sampled_from(("", " ", "\n", "\n  ", "\t")), min_size=3, max_size=3))
def test_space_between_items_bears_no_meaning(spaces: list[str]) -> None:
    body = encode(DERControlList(total=2, results=2, items=(plain(1), plain(2)))).decode()
    spaced = body.replace("<DERControl ", f"{spaces[0]}<DERControl ").replace(
        "</DERControlList>", f"{spaces[1]}</DERControlList>{spaces[2]}"
    )
    assert decode(spaced.encode()) == decode(body.encode())


def test_what_a_peer_can_make_us_keep_is_bounded() -> None:
    shapes = ListShapes(LISTS)
    for number in range(500):
        shapes.learn(
            f'<DERList xmlns="urn:ieee:std:2030.5:ns" xmlns:a{number}="b" all="0" results="0"></DERList>'.encode()
        )
    assert len(shapes) == 100


def test_a_mould_takes_nothing_that_cannot_be_written() -> None:
    moulds = Moulds(DER_CONTROL, "DERControl", ANY)
    moulds.learn(plain(1))
    assert None not in moulds.texts([plain(2), plain(3)])
    for change in (
        {"mrid": "odd"},
        {"version": 1 << 16},
        {"version": True},
        {"creation_time_s": None},
        {"href": 'a"b'},
        {"href": 5},
        {"description": "x" * 33},
        {"interval": None},
        {"interval": (1, 2)},
        {"randomize_start_s": 3601},
        {"base": DERControlBase(other_modes=("opModX",))},
    ):
        assert moulds.texts([dataclasses.replace(plain(2), **change)]) == [None], change


@pytest.mark.parametrize("item", ["<DER/>", "<DER></DER>", '<DER href="/der/1"><DERStatusLink href="/ders"/></DER>'])
def test_items_of_nothing_are_as_many_as_there_are(item: str) -> None:
    body = f'<DERList xmlns="urn:ieee:std:2030.5:ns" all="2" results="2">{item}{item}</DERList>'.encode()
    for _ in range(2):
        assert decode(body) == by_tree(body)


def curves(points: int, space: str = "", prefix: str = "") -> bytes:
    """Give a list of one curve, its points this far apart, in a namespace bound to this prefix."""
    colon = prefix and f"{prefix}:"
    point = (
        f"<{colon}CurveData>{space}<{colon}xvalue>1</{colon}xvalue><{colon}yvalue>1</{colon}yvalue></{colon}CurveData>"
    )
    rows = (("curveType", 11), ("xMultiplier", 0), ("yMultiplier", 0), ("yRefType", 1))
    rest = "".join(f"<{colon}{name}>{value}</{colon}{name}>" for name, value in rows)
    head = f"<{colon}mRID>0A</{colon}mRID><{colon}creationTime>1</{colon}creationTime>"
    space_of = "urn:ieee:std:2030.5:ns"
    bound = f' xmlns:{prefix}="{space_of}"' if prefix else ""
    return (
        f'<DERCurveList xmlns="{space_of}"{bound} all="1" results="1">'
        f"<{colon}DERCurve>{head}{point * points}{rest}</{colon}DERCurve></DERCurveList>"
    ).encode()


def test_more_points_than_a_curve_may_have_are_a_fault_however_often_they_come() -> None:
    body = curves(11)
    for _time in range(3):
        assert isinstance(decode(body).items[0], Faulty)  # type: ignore[union-attr]  # a list


def test_a_namespace_is_bound_by_its_declaration_alone() -> None:
    body = curves(1, prefix="x")
    assert decode(body) == decode(body)
    with pytest.raises(WireFault, match="not well-formed"):
        decode(body.replace(b"xmlns:x=", b"xmlnsx="))


@pytest.mark.parametrize("body", [curves(10_000), curves(1, " " * 1_000_000)], ids=["items", "space"])
def test_no_pattern_is_made_of_an_item_of_a_megabyte(body: bytes) -> None:
    shapes = ListShapes(LISTS)
    shapes.learn(body)
    assert shapes.read(body, 300) is None


def test_no_list_is_remembered_by_a_name_of_a_megabyte() -> None:
    shapes = ListShapes(LISTS)
    shapes.learn(b'<DERList xmlns="urn:ieee:std:2030.5:ns" xmlns:a="' + b"b" * 1_000_000 + b'" all="0"></DERList>')
    assert len(shapes) == 0


def test_what_is_refused_unparsed_is_refused_though_its_shape_is_known() -> None:
    items = tuple(map(plain, range(1, 301)))
    body = encode(DERControlList(total=300, results=300, items=items)).replace(b"noon", b"d" * 100)
    assert decode(body) == by_tree(body)
    with pytest.raises(WireFault, match="attributes"):
        decode(body.replace(b"d" * 100, b"=" * 100))
