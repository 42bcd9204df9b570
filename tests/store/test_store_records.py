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


def test_many_names_are_counted() -> None:
    names = tuple(f"house-{number}" for number in range(200))
    assert "200 names (house-0, house-1, house-2, house-3, house-4 ...)" in sentence(tell(Topic.RULED, names=names))
