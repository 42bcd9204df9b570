"""Records and sentences of single tells."""

import pytest

from gateway.core.events import Tell, Topic
from gateway.diagnostics.records import KEYS, iso_utc, records, sentence

AT_MS = 1_790_000_000_007


def tell(topic: Topic, **fields: object) -> Tell:
    base = Tell(topic, AT_MS, "dso/1", "", "C2", "", (), (), "")
    return base._replace(**fields)  # type: ignore[arg-type]  # a test's shorthand


def test_instant_is_iso_utc_to_the_millisecond() -> None:
    assert iso_utc(AT_MS) == "2026-09-21T14:13:20.007Z"
    assert iso_utc(0) == "1970-01-01T00:00:00.000Z"
    assert iso_utc(1_099_511_627_999) == "2004-11-03T19:53:47.999Z"


@pytest.mark.parametrize("topic", Topic)
def test_every_topic_has_the_same_keys_and_a_sentence(topic: Topic) -> None:
    one = tell(topic, names=("a", "b"), values=(1, 2), effect="x", why="y")
    assert [tuple(row) for row in records(one)] == [KEYS, KEYS]
    assert sentence(one).startswith("2026-09-21T14:13:20.007Z ")
    assert "\n" not in sentence(one)
    assert "C2" in sentence(one)


def test_each_device_has_its_own_limit() -> None:
    one = tell(Topic.COMMANDED, effect="limit, C2, falls back to 500 W", names=("a", "b"), values=(3_000, 1_000))
    assert [(row["device"], row["effect"]) for row in records(one)] == [
        ("a", "limit 3000 W, falls back to 500 W"),
        ("b", "limit 1000 W, falls back to 500 W"),
    ]
    assert "limit 1000 W to 3000 W, falls back to 500 W" in sentence(one).replace("1000 to", "1000 W to")


def test_one_value_holds_for_all() -> None:
    one = tell(Topic.RULED, function="export-limit", effect="ceiling 3000 W", names=("a", "b", "c"), values=(3_000,))
    assert [row["effect"] for row in records(one)] == ["ceiling 3000 W"] * 3


def test_answer_is_in_its_own_column() -> None:
    (row,) = records(tell(Topic.ANSWERED, effect="completed", names=("a",), why="ran to its end", rule="C15"))
    assert (row["answer"], row["effect"], row["rule"]) == ("completed", "ran to its end", "C15")


def test_record_without_names_is_one_row() -> None:
    (row,) = records(tell(Topic.REFUSED, effect="kept as it was", why="older"))
    assert (row["device"], row["effect"]) == ("", "kept as it was: older")


def test_of_many_names_the_first_are_said_and_the_rest_counted() -> None:
    names = tuple(f"house-{number}" for number in range(200))
    said = sentence(tell(Topic.RULED, names=names))
    assert "at house-0, house-1, house-2, house-3, house-4 and 195 more by C2" in said
    assert "at a, b, c, d, e and f by" in sentence(tell(Topic.RULED, names=tuple("abcdef")))


SAID = [
    (
        tell(Topic.RULED, function="export-limit", effect="ceiling 12500 W", names=("a",), why="slack x/1; beaten x/2"),
        "dso/1 rules export-limit at a by C2: ceiling 12.5 kW; not binding: x/1; beaten: x/2",
    ),
    (
        tell(Topic.ANSWERED, effect="suspended", names=("a",), rule="C10", why="suspended by tso/7"),
        "dso/1 is answered suspended for a by C10; suspended by tso/7",
    ),
    (
        tell(Topic.REFUSED, order="", effect="no effect", names=("west",), rule="A2", why="agg may not say it"),
        "what was asked for is refused at west by A2 and has no effect; agg may not say it",
    ),
    (
        tell(
            Topic.REFUSED,
            order="",
            effect="no effect",
            names=("west",),
            rule="A2",
            why="agg is not the limit parent and may not say a segment's colour",
        ),
        (
            "a segment's colour from agg is refused at west by A2 and has no effect;"
            " agg is not the limit parent and may not say a segment's colour"
        ),
    ),
    (
        tell(Topic.REFUSED, order="", effect="no effect", names=("west",), rule="C11", why="said by dso: it is over"),
        "a segment's colour from dso is refused at west by C11 and has no effect; said by dso: it is over",
    ),
    (
        tell(Topic.METERED, effect="not read", names=("a", "b"), values=(900, 30), rule="C9"),
        "the meter of a 900 s and b 30 s was not read by C9, and what they delivered then is in no sum",
    ),
    (
        tell(Topic.REFUSED, order="", effect="no effect", names=("west",), rule="C11", why="it is over already"),
        "a segment's colour from the limit parent is refused at west by C11 and has no effect; it is over already",
    ),
    (
        tell(Topic.REFUSED, function="offer", effect="kept as it was", rule="C1", why="older"),
        "dso/1 (offer) is refused by C1 and what is held is kept as it was; older",
    ),
    (
        tell(
            Topic.SHARED,
            function="export-limit",
            effect="9000 W shared at all",
            rule="E",
            names=("a", "b"),
            values=(1, 2),
        ),
        "dso/1 shares out 9000 W of export-limit at all by E: a 1 W and b 2 W",
    ),
    (
        tell(Topic.UNMET, function="active-power", effect="unmet", rule="E", names=("all",), values=(12_000,)),
        "dso/1 (active-power) is unmet by 12 kW at all by E",
    ),
    (
        tell(Topic.CURTAILED, effect="curtailed by about 67 Wh of its 180 s", rule="C10", names=("a",), values=(67,)),
        "dso/1 is curtailed by about 67 Wh over its 180 s at a by C10",
    ),
    (
        tell(Topic.CURTAILED, effect="curtailed by about 156 Wh of its 90 s", rule="C10", names=("a",), values=(26,)),
        "dso/1 is curtailed by about 26 Wh over its 90 s at a by C10",
    ),
    (
        tell(
            Topic.CURTAILED,
            effect="curtailed by about 156 Wh of its 90 s",
            rule="C10",
            names=("a", "b"),
            values=(26, 4),
        ),
        "dso/1 is curtailed by about 30 Wh over its 90 s at a and b by C10 (a 26 Wh and b 4 Wh)",
    ),
    (
        tell(
            Topic.METERED,
            order="",
            function="own use",
            effect="delivered in import",
            rule="C9",
            names=("a",),
            values=(5,),
        ),
        "a 5 Wh is delivered in import for no service (own use) by C9",
    ),
    (
        tell(
            Topic.METERED,
            order="",
            function="x",
            effect="delivered in export",
            rule="C9",
            names=("a", "b"),
            values=(5, 6),
        ),
        "a 5 Wh and b 6 Wh are delivered in export for the service x by C9, 11 Wh in all",
    ),
    (
        tell(Topic.COLOUR, order="", effect="red for export", rule="C11", names=("west",), why="set by dso"),
        "segment west is red for export by C11; set by dso",
    ),
    (
        tell(Topic.NETWORK, order="", effect="changed, not validated", rule="C19", names=("west",), why="switch 4"),
        "the network at west has changed and is not validated by C19; switch 4",
    ),
    (
        tell(Topic.BYPASS, order="", effect="contested", rule="A7", names=("a",), why="its limit is 0 W"),
        "a is moved past this gateway and contested by A7; its limit is 0 W",
    ),
    (
        tell(Topic.COMMITTED, effect="export for relief to dso", rule="C8", names=("a",), values=(500,)),
        "commitment dso/1 promises export for relief to dso by C8: a 500 W",
    ),
    (tell(Topic.COMMITTED, effect="withdrawn", rule="C8", names=("a",)), "commitment dso/1 of a is withdrawn by C8"),
    (
        tell(Topic.DISCLOSED, effect="told to tso", rule="C8", names=("a",), why="agg/2 commits relief to dso"),
        "tso is told what else is promised of a by C8; agg/2 commits relief to dso",
    ),
    (
        tell(Topic.OUTAGE, effect="told to tso", rule="C8", names=("a",), values=(1,), why="1 W of 2 W can be kept"),
        "commitment dso/1 falls short at a by C8, told to tso; 1 W of 2 W can be kept",
    ),
    (
        tell(Topic.OFFERED, effect="offers 500 W export for relief", rule="C8", names=("a",), values=(500,)),
        "offer dso/1 of a offers 500 W export for relief by C8",
    ),
    (
        tell(
            Topic.AWARDED,
            function="relief",
            effect="5 W export of b/2 at 12500 thousandths per MWh",
            rule="E",
            names=("a",),
        ),
        "dso/1 takes 5 W export of b/2 at 12.5 per MWh for relief at a by E",
    ),
    (
        tell(
            Topic.ACCOUNTED,
            order="",
            function="relief",
            effect="delivered 5 Wh of 6 Wh awarded in export",
            rule="C9",
            names=("agg",),
            why="deviation -1 Wh, paid -1500 thousandths",
        ),
        "agg delivered 5 Wh of 6 Wh awarded in export for relief by C9; deviation -1 Wh, paid -1.5",
    ),
    (
        tell(Topic.CONTACT, order="", effect="contact lost", rule="C14", names=("dso",), why="no complete read"),
        "contact with dso is lost by C14; no complete read",
    ),
    (
        tell(Topic.LINK, order="", effect="up", rule="C14", names=("a",), values=(15_000,)),
        "a is in reach by C14 and generates up to 15 kW",
    ),
    (tell(Topic.LINK, order="", effect="down", rule="C14", names=("a",), why="lost"), "a is out of reach by C14; lost"),
    (
        tell(Topic.BLOCKED, rule="guard", effect="not written", names=("a",), why="beyond its rating"),
        "the command of dso/1 to a is blocked by the guard and not written; beyond its rating",
    ),
    (
        tell(Topic.CLIPPED, effect="alarm", names=("a",), why="limits contradict each other"),
        "dso/1 raises an alarm at a by C2; limits contradict each other",
    ),
    (
        tell(Topic.CLIPPED, effect="clipped to 10000 W", names=("a",)),
        "dso/1 is clipped to 10 kW at a by C2",
    ),
]


@pytest.mark.parametrize(("one", "expected"), SAID, ids=lambda value: value.topic if isinstance(value, Tell) else "")
def test_a_record_is_an_english_sentence(one: Tell, expected: str) -> None:
    assert sentence(one) == f"2026-09-21T14:13:20.007Z {expected}"


@pytest.mark.parametrize(
    ("topic", "effect", "rows"),
    [
        (Topic.CURTAILED, "curtailed", ["10 Wh short, curtailed", "20 Wh short, curtailed"]),
        (Topic.METERED, "delivered in export", ["10 Wh delivered in export", "20 Wh delivered in export"]),
        (Topic.SHARED, "30 W shared at all", ["10 W of 30 W shared at all", "20 W of 30 W shared at all"]),
    ],
)
def test_a_row_has_its_own_value(topic: Topic, effect: str, rows: list[str]) -> None:
    one = tell(topic, effect=effect, names=("a", "b"), values=(10, 20))
    assert [row["effect"] for row in records(one)] == rows
    assert all(amount not in sentence(one)[24:] for amount in ("kWh", "kW"))
