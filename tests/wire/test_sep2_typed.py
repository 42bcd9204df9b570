"""Elements that say by their xsi:type what they are: the resource of a notification, and answers in a list."""

import pytest
from sep2_examples import ANSWER, CARRYING, MIXED, SHED
from sep2_values import MRID

from gateway.wire.sep2 import Faulty, decode, encode
from gateway.wire.sep2.resources import DERControlList, DERControlResponse, Response
from gateway.wire.sep2.responses import PriceResponse, ResponseList, TextResponse
from gateway.wire.sep2.subscriptions import Notification, Untyped

TYPE = ' xsi:type="DERControlList"'


def told(body: bytes) -> Notification:
    notification = decode(body)
    assert isinstance(notification, Notification)
    return notification


@pytest.mark.parametrize("written", [TYPE, ' xsi:type=" sep:DERControlList " xmlns:sep="urn:ieee:std:2030.5:ns"'])
def test_a_notification_carries_what_its_type_says(written: str) -> None:
    body = encode(CARRYING).decode()
    assert TYPE in body
    carried = told(body.replace(TYPE, written).encode()).resource
    assert isinstance(carried, DERControlList)
    assert carried == CARRYING.resource


@pytest.mark.parametrize("written", ["", ' xsi:type="Resource"', ' xsi:type="EndDeviceControlList"', ' xsi:type=""'])
def test_what_is_of_no_type_that_is_read_leaves_its_notification(written: str) -> None:
    notification = told(encode(CARRYING).decode().replace(TYPE, written).encode())
    assert notification.resource == Untyped()
    assert notification.subscribed_resource == CARRYING.subscribed_resource


@pytest.mark.parametrize("spoilt", [("<interval>", "<odd>", "</interval>", "</odd>"), ('all="1"', 'all="x"')])
def test_what_cannot_be_read_leaves_its_notification(spoilt: tuple[str, ...]) -> None:
    body = encode(CARRYING).decode()
    for old, new in zip(spoilt[::2], spoilt[1::2], strict=True):
        assert old in body
        body = body.replace(old, new)
    resource = told(body.encode()).resource
    items = resource.items if isinstance(resource, DERControlList) else (resource,)
    assert [type(item) for item in items] == [Faulty]


def test_every_kind_of_answer_keeps_its_kind_in_a_list() -> None:
    body = encode(MIXED)
    assert body.count(b"xsi:type=") == len(MIXED.items) - 1, "all but the plain one"
    assert decode(body) == MIXED


def test_an_answer_of_an_unknown_type_is_a_plain_one_and_a_faulty_one_leaves_the_others() -> None:
    text = encode(ResponseList(total=2, results=2, items=(SHED, Response(**ANSWER)))).decode()
    unknown = decode(text.replace('"DrResponse"', '"Other"').encode())
    assert isinstance(unknown, ResponseList)
    assert unknown.items == (Response(**ANSWER), Response(**ANSWER))
    spoilt = decode(text.replace(f"<subject>{MRID}</subject><Appl", "<subject>x</subject><Appl").encode())
    assert isinstance(spoilt, ResponseList)
    assert [type(item) for item in spoilt.items] == [Faulty, Response]


def test_lists_of_one_kind_of_answer_after_another_are_not_taken_for_each_other() -> None:
    for kind in (PriceResponse, TextResponse, DERControlResponse, Response, PriceResponse):
        listed = ResponseList(total=3, results=3, items=(kind(**ANSWER),) * 3)
        assert [decode(encode(listed)) for _ in range(3)] == [listed] * 3
