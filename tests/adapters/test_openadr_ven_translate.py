"""Payloads, periods and priorities of OpenADR 3 as effects, instants and ranks; nothing is opened or read here."""

from typing import Any

import msgspec
import pytest
from openadr_world import PROFILE

from gateway.core.functions import Function
from gateway.core.orders import NO_PRIORITY, Ceiling, Each, Effect, Floor, Order, Price, Rank, Reply, Target, Tie
from gateway.core.units import Share, Watts
from gateway.northbound.openadr_ven import translate
from gateway.northbound.openadr_ven.schedule import Course, lay_out
from gateway.northbound.openadr_ven.words import read_profile
from gateway.wire.openadr3 import Event, Payload, PayloadDescriptor, WireFault

WORDS = read_profile(PROFILE)
HOUR_MS = 3_600_000
T0 = "2027-01-15T08:00:00Z"
T0_MS = 1_800_000_000_000
NOW_MS = T0_MS + 5 * 60_000


def asked(kind: str, *values: object, unit: str | None = "KW", length_ms: int | None = HOUR_MS) -> translate.Asked:
    told = {} if unit is None else {kind: unit.upper()}
    return translate.effects([Payload(kind, values)], 0, told, length_ms, WORDS)


def event(**change: Any) -> Event:
    body: dict[str, Any] = {"id": "e", "intervalPeriod": {"start": T0, "duration": "PT1H"}, **change}
    return msgspec.convert(body, Event)


def interval(number: int, *values: float, **period: str) -> dict[str, Any]:
    own = {"intervalPeriod": period} if period else {}
    return {"id": number, "payloads": [{"type": "PRICE", "values": list(values or (1.0,))}], **own}


def laid(found: Event, anchor_ms: int = NOW_MS, now_ms: int = NOW_MS) -> Course:
    return lay_out(found, anchor_ms, now_ms, translate.DIVIDED)


def spans(course: Course) -> list[tuple[str, int, int | None]]:
    """Give each piece's name, start and end in minutes from T0."""
    return [
        (one.name, (one.start_ms - T0_MS) // 60_000, None if one.end_ms is None else (one.end_ms - T0_MS) // 60_000)
        for one in course.pieces
    ]


# -- what is asked for


@pytest.mark.parametrize(
    ("kind", "value", "unit", "effect"),
    [
        ("EXPORT_CAPACITY_LIMIT", 1.5, "KW", Ceiling(Function.EXPORT_LIMIT, Watts(1_500))),
        ("EXPORT_CAPACITY_LIMIT", 2.3, "KW", Ceiling(Function.EXPORT_LIMIT, Watts(2_300))),
        ("EXPORT_CAPACITY_LIMIT", 1.2349, "KW", Ceiling(Function.EXPORT_LIMIT, Watts(1_234))),
        ("EXPORT_CAPACITY_LIMIT", 0, "KW", Ceiling(Function.EXPORT_LIMIT, Watts(0))),
        ("EXPORT_CAPACITY_LIMIT", 1500, "w", Ceiling(Function.EXPORT_LIMIT, Watts(1_500))),
        ("EXPORT_CAPACITY_LIMIT", 0.5, "KWH", Ceiling(Function.EXPORT_LIMIT, Watts(500))),
        ("IMPORT_CAPACITY_LIMIT", 1.2349, "KW", Floor(Function.IMPORT_LIMIT, Watts(-1_234))),
        ("DISPATCH_SETPOINT", 1.2349, "KW", Target(Watts(-1_234))),
        ("DISPATCH_SETPOINT", -1.2349, "KW", Target(Watts(1_234))),
        ("DISPATCH_SETPOINT", 0.25, "PERCENT", Target(Share(-2_500))),
        ("DISPATCH_SETPOINT", -1, "PERCENT", Target(Share(10_000))),
        ("SIMPLE", 1, None, Ceiling(Function.RATING_LIMIT, Share(7_500))),
        ("SIMPLE", 0, None, Ceiling(Function.RATING_LIMIT, Share(10_000))),
        ("SIMPLE", 3.0, None, Ceiling(Function.RATING_LIMIT, Share(0))),
        ("PRICE", 0.17, "KWH", Price(170_000)),
        ("PRICE", -30, "MWH", Price(-30_000)),
    ],
)
def test_a_payload_is_an_effect_rounded_to_its_stricter_side(
    kind: str, value: float, unit: str | None, effect: Effect
) -> None:
    assert asked(kind, value, unit=unit) == ((effect,), (), "")


@pytest.mark.parametrize(
    ("kind", "values", "unit", "why"),
    [
        ("EXPORT_CAPACITY_LIMIT", (1.5,), None, "no payloadDescriptor tells its unit"),
        ("EXPORT_CAPACITY_LIMIT", (1.5,), "THERMS", "unit 'THERMS' is not known"),
        ("EXPORT_CAPACITY_LIMIT", (1.5,), "PERCENT", "unit 'PERCENT' is not known"),
        ("EXPORT_CAPACITY_LIMIT", (-1,), "KW", "is negative"),
        ("EXPORT_CAPACITY_LIMIT", ("1.5",), "KW", "is no number"),
        ("EXPORT_CAPACITY_LIMIT", (True,), "KW", "is no number"),
        ("EXPORT_CAPACITY_LIMIT", (None,), "KW", "is no number"),
        ("EXPORT_CAPACITY_LIMIT", ({"x": 1, "y": 2},), "KW", "is no number"),
        ("EXPORT_CAPACITY_LIMIT", (float("nan"),), "KW", "no finite number"),
        ("EXPORT_CAPACITY_LIMIT", (float("inf"),), "KW", "no finite number"),
        ("EXPORT_CAPACITY_LIMIT", (1e30,), "KW", "beyond any power"),
        ("EXPORT_CAPACITY_LIMIT", (), "KW", "has no value"),
        ("DISPATCH_SETPOINT", (1.5,), "PERCENT", "beyond -1.0 to 1.0"),
        ("SIMPLE", (7,), None, "level 7 has no meaning here"),
        ("SIMPLE", (0.5,), None, "level 0.5 has no meaning here"),
        ("PRICE", (1,), "KW", "unit 'KW' is not known"),
        ("PRICE", (1e300,), "KWH", "no energy costs that much"),
    ],
)
def test_what_cannot_be_read_says_why(kind: str, values: tuple[object, ...], unit: str | None, why: str) -> None:
    found = asked(kind, *values, unit=unit)
    assert found.effects == ()
    assert found.uncarried == (kind,)
    assert found.why.startswith(f"{kind}: ")
    assert why in found.why


def test_energy_for_ever_is_no_power() -> None:
    assert "never ends" in asked("DISPATCH_SETPOINT", 2, unit="KWH", length_ms=None).why


def test_what_cannot_be_read_or_carried_drops_no_limit_beside_it() -> None:
    told = {"EXPORT_CAPACITY_LIMIT": "KW"}
    payloads = [
        Payload("DISPATCH_SETPOINT", (1,)),
        Payload("CHARGE_STATE_SETPOINT", (0.5,)),
        Payload("GHG", (400,)),
        Payload("EXPORT_CAPACITY_LIMIT", (2,)),
        Payload("EXPORT_CAPACITY_LIMIT", (1,)),
        Payload("EXPORT_CAPACITY_LIMIT", (3,)),
        Payload("EXPORT_CAPACITY_SUBSCRIPTION", (9,)),
    ]
    found = translate.effects(payloads, 0, told, HOUR_MS, WORDS)
    assert found.effects == (Ceiling(Function.EXPORT_LIMIT, Watts(1_000)),)
    assert found.uncarried == ("DISPATCH_SETPOINT", "CHARGE_STATE_SETPOINT")
    assert "unit" in found.why


def test_an_order_is_what_the_event_and_its_interval_say() -> None:
    found = event(
        priority=None,
        modificationDateTime="2027-01-15T07:00:00.5Z",
        payloadDescriptors=[{"payloadType": "PRICE", "units": "KWH"}],
        intervals=[interval(3, 0.1)],
    )
    sent = translate.sent(found, "dso", "dso:*", NOW_MS, 77, "price")
    (piece,) = laid(found).pieces
    created_ms = T0_MS - HOUR_MS + 500
    assert translate.order(piece, sent, translate.units(found, ()), WORDS) == Order(
        "dso",
        "e/3",
        created_ms,
        Each("dso:*"),
        (Price(100_000),),
        T0_MS,
        T0_MS + HOUR_MS,
        Rank(NO_PRIORITY, created_ms, Tie.TIGHTER_LIMIT),
        NOW_MS,
        77,
        reply=Reply(),
        service="price",
    )


def test_an_interval_that_only_informs_is_no_order_and_one_of_nothing_carried_is() -> None:
    told = event(intervals=[{"id": 0, "payloads": [{"type": "ALERT_FIRE", "values": ["smoke"]}]}])
    other = event(intervals=[{"id": 0, "payloads": [{"type": "CONTROL_SETPOINT", "values": [1]}]}])
    sent = translate.sent(told, "dso", "dso:*", NOW_MS, 1, "")
    assert translate.order(laid(told).pieces[0], sent, {}, WORDS) is None
    order = translate.order(laid(other).pieces[0], sent, {}, WORDS)
    assert order is not None
    assert (order.effects, order.uncarried) == ((), ("CONTROL_SETPOINT",))


def test_the_event_tells_its_units_before_its_program() -> None:
    found = event(payloadDescriptors=[{"payloadType": "PRICE", "units": "kwh"}])
    program = [PayloadDescriptor("PRICE", "MWH"), PayloadDescriptor("DISPATCH_SETPOINT", "KW")]
    told = translate.units(found, program)
    assert (told["PRICE"], told["DISPATCH_SETPOINT"]) == ("KWH", "KW")


@pytest.mark.parametrize("change", [{"priority": -1}, {"modificationDateTime": "soon"}])
def test_a_rank_that_cannot_be_read_is_a_fault(change: dict[str, Any]) -> None:
    with pytest.raises(WireFault):
        translate.rank(event(**change))


@pytest.mark.parametrize(
    "table",
    [
        {"simple": {"rating_limit_percent": {"1": 101}}},
        {"simple": {"rating_limit_percent": {"1": "all"}}},
        {"simple": 5},
        {"report": {"unasked": ["PARSEC"]}},
        {"information": {"payloads": "GHG"}},
    ],
)
def test_a_profile_that_says_what_cannot_be_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"rating|table|unasked|list"):
        read_profile(table)


# -- when


def test_an_interval_begins_where_the_one_before_it_ends() -> None:
    listed = [interval(0), interval(1, duration="PT30M"), interval(2, start="2027-01-15T11:00:00Z"), interval(3)]
    assert spans(laid(event(intervals=listed))) == [("0", 0, 60), ("1", 60, 90), ("2", 180, 240), ("3", 240, 300)]


def test_now_is_the_anchor_at_first_and_then_what_follows() -> None:
    period = {"start": "0001-01-01", "duration": "PT10M"}
    listed = [interval(0), interval(1, start="0001-01-01T00:00:00"), interval(2)]
    course = laid(event(intervalPeriod=period, intervals=listed))
    assert spans(course) == [("0", 5, 15), ("1", 15, 25), ("2", 25, 35)]
    assert all(one.anchored for one in course.pieces)
    fixed = laid(event(intervals=[interval(0), interval(1, start="0001-01-01")]))
    assert spans(fixed) == [("0", 0, 60), ("1", 60, 120)]
    assert not any(one.anchored for one in fixed.pieces)


def test_what_lasts_for_ever_has_no_end_and_nothing_follows_it() -> None:
    course = laid(event(intervals=[interval(0, duration="P9999Y"), interval(1)]))
    assert spans(course) == [("0", 0, None)]
    assert [(one.id, one.why) for one in course.odd] == [("1", "it has no start, and none to follow")]


def test_what_has_no_length_is_none() -> None:
    assert laid(event(intervals=[interval(0, duration="PT0S"), interval(1)])).pieces[0].name == "1"
    gone = event(intervalPeriod={"start": "0001-01-01", "duration": "PT0S"}, intervals=[interval(0)])
    assert laid(gone) == Course((), ())


@pytest.mark.parametrize(
    ("period", "why"),
    [
        ({"duration": "PT1H"}, "it has no start, and none to follow"),
        ({"start": T0}, "it has no duration; P9999Y is for ever"),
        (None, "it has no start, and none to follow"),
    ],
)
def test_an_interval_without_a_start_or_duration_is_odd(period: dict[str, str] | None, why: str) -> None:
    course = laid(event(intervalPeriod=period, intervals=[interval(0)]))
    assert [(one.id, one.why) for one in course.odd] == [("0", why)]


def test_an_odd_period_costs_its_interval_and_those_that_follow_it_only() -> None:
    listed = [interval(0), interval(1, duration="an hour"), interval(2), interval(3, start="2027-01-15T12:00:00Z")]
    course = laid(event(intervals=listed))
    assert [one.name for one in course.pieces] == ["0", "2", "3"]
    assert [one.id for one in course.odd] == ["1"]


def test_several_values_share_an_interval_evenly() -> None:
    course = laid(event(intervals=[interval(0, 1.0, 2.0, 3.0), interval(1)]))
    assert spans(course) == [("0.0", 0, 20), ("0.1", 20, 40), ("0.2", 40, 60), ("1", 60, 120)]
    assert [one.part for one in course.pieces] == [0, 1, 2, 0]
    sent = translate.sent(event(), "dso", "dso:*", NOW_MS, 1, "")
    told = {"PRICE": "KWH"}
    orders = [translate.order(piece, sent, told, WORDS) for piece in course.pieces]
    assert [one.effects for one in orders if one] == [(Price(1_000_000 * at),) for at in (1, 2, 3, 1)]


def test_values_that_cannot_share_an_interval_are_odd() -> None:
    for_ever = laid(event(intervals=[interval(0, 1.0, 2.0, duration="P9999Y")]))
    assert "for ever" in for_ever.odd[0].why
    two = {"id": 0, "payloads": [{"type": "PRICE", "values": [1, 2]}, {"type": "SIMPLE", "values": [1, 2, 3]}]}
    assert "divide it differently" in laid(event(intervals=[two])).odd[0].why


def test_the_duration_of_an_event_cuts_its_intervals_off_or_repeats_them() -> None:
    listed = [interval(0), interval(1)]
    assert spans(laid(event(duration="PT90M", intervals=listed))) == [("0", 0, 60), ("1", 60, 90)]
    course = laid(event(duration="PT5H", intervals=listed))
    assert course.repeats
    assert spans(course) == [("0", 0, 60), ("1", 60, 120), ("0+1", 120, 180), ("1+1", 180, 240), ("0+2", 240, 300)]
    assert spans(laid(event(duration="PT1H", intervals=[interval(0, duration="P9999Y")]))) == [("0", 0, 60)]


def test_what_repeats_for_ever_is_laid_out_a_day_ahead() -> None:
    found = event(duration="P9999Y", intervals=[interval(0), interval(1)])
    late_ms = T0_MS + 100 * 24 * HOUR_MS + 90 * 60_000
    course = laid(found, now_ms=late_ms)
    assert course.repeats
    assert course.pieces[0].name == "0+1200"
    assert course.pieces[0].start_ms <= late_ms < (course.pieces[1].end_ms or 0)
    assert late_ms + 22 * HOUR_MS < (course.pieces[-1].end_ms or 0) <= late_ms + 26 * HOUR_MS


def test_one_name_for_two_intervals_hides_neither() -> None:
    assert spans(laid(event(intervals=[interval(0), interval(0)]))) == [("0", 0, 60), ("0@1", 60, 120)]


def test_randomization_carries_on_until_an_interval_has_its_own() -> None:
    period = {"start": T0, "duration": "PT1H", "randomizeStart": "PT5M"}
    listed = [interval(0), interval(1, randomizeStart="PT1M"), interval(2)]
    found = [one.randomize_ms for one in laid(event(intervalPeriod=period, intervals=listed)).pieces]
    assert found == [300_000, 60_000, 60_000]


def test_a_date_header_tells_the_middle_of_its_second() -> None:
    assert translate.server_ms("Fri, 15 Jan 2027 08:00:00 GMT") == T0_MS + 500
    with pytest.raises(WireFault):
        translate.server_ms("yesterday")
