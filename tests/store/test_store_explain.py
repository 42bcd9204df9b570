"""`gateway explain` of hours, groups and points, on the journal of a day of a real machine."""

from dataclasses import replace
from pathlib import Path

import evidence_world
import pytest
from evidence_world import NOON_MS, STREET, Street, command, day, shown

from gateway.core.events import Coloured, NetworkChanged
from gateway.core.parties import Colour
from gateway.core.topology import Point, PointKind
from gateway.diagnostics.hour import HOUR_MS


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day")
    day(folder)
    return folder


def test_an_hour_is_explained_in_sentences_with_rules(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("explain", "--hour", "2026-06-21T12", "--state", state) == 0
    said = capsys.readouterr().out
    in_force, _, decided = said.partition("\n\n")
    lines = in_force.splitlines()
    assert lines[0] == "In force from 2026-06-21T12:00:00.000Z until 2026-06-21T13:00:00.000Z:"
    wanted = (
        "- from 12:10:00 until 12:30:00: agg/bid-1 rules active-power at house and farm by C2: set-point 1500 W",
        (
            "- from 12:30:00 until 13:00:00: tso/reserve-1 rules active-power at house and farm by C3:"
            " set-point 2500 W; suspended: agg/bid-1"
        ),
        (
            "- from 12:30:00 until 13:00:00: agg/bid-1 is suspended at house and farm by C10"
            " while tso/reserve-1 rules active-power"
        ),
        "- from 12:40:00 until 12:50:00: segment west is amber by C11; set by dso",
        "- from 12:45:00 until 12:48:20: wall is out of reach by C14; no reply within 3 s",
        "- from 12:40:00 until 12:55:00: barn is moved past this gateway and contested by A7; its limit is 0 W",
        (
            "- at 12:45:00: commitment agg/c1 falls short at wall by C8, told to tso;"
            " 0 W of the 1000 W promised can be kept"
        ),
        "- from 12:45:00: the meter of wall 200 s was not read by C9, and what it delivered then is in no sum",
        "- in all: 1000 Wh of roof, wall and barn are delivered in export for the service schedule by C9",
    )
    assert [line for line in wanted if line not in lines] == []
    assert decided.splitlines()[0] == "Decided from 2026-06-21T12:00:00.000Z until 2026-06-21T13:00:00.000Z:"
    assert all(line.startswith("2026-06-21T12:") for line in decided.splitlines()[1:])


def test_an_instant_is_explained_by_what_held_then(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "explain", "2026-06-21T12:35Z", "--state", state)
    assert (found["from"], found["until"]) == ("2026-06-21T12:35:00.000Z", "2026-06-21T12:35:00.001Z")
    held = [(line["about"], line["order"], line["rule"], line["names"]) for line in found["in_force"]]
    assert held == [
        ("ruling", "dso/limit-8", "C2", ["house", "farm"]),
        ("ruling", "tso/reserve-1", "C3", ["house", "farm"]),
        ("override", "agg/bid-1", "C10", ["house", "farm"]),
    ]
    assert found["in_force"][1]["until"] == "2026-06-21T13:00:00.000Z"
    assert {row["t"][:13] for row in found["records"]} == {"2026-06-21T12"}


def test_an_hour_of_one_name_is_narrowed_to_it(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "explain", "wall", "--hour", "2026-06-21T12Z", "--state", state)
    assert {name for line in found["in_force"] for name in line["names"]} == {"farm", "wall"}
    last = shown(capsys, "explain", "barn", "--hour", "2026-06-21T14", "--state", state)
    assert ("dso/limit-8", ["farm"], None) in [
        (line["order"], line["names"], line["until"]) for line in last["in_force"]
    ]


def test_nothing_is_claimed_of_the_time_after_the_journal_ends(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    end = "; nothing is known after it"
    assert command("explain", "--hour", "2026-06-21T20", "--state", state) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Nothing is known from 2026-06-21T20:00:00.000Z until 2026-06-21T21:00:00.000Z.",
        f"the journal ends 14:30:00{end}",
    ]
    assert command("explain", "house", "--hour", "2026-06-21T14", "--state", state) == 0
    last, _, _decided = capsys.readouterr().out.partition("\n\n")
    assert "all the time" not in last
    ruled = "dso/limit-8 rules export-limit at house by C2: ceiling 8000 W"
    assert any(line.startswith(f"- from 12:02:00 until the journal ends: {ruled}") for line in last.splitlines())
    assert last.splitlines()[-1] == f"the journal ends 14:30:00{end}"
    assert command("explain", "house", "--hour", "2026-06-21T13", "--state", state) == 0
    before = capsys.readouterr().out
    assert f"- all the time: {ruled}" in before
    assert end not in before
    after = shown(capsys, "explain", "2026-06-21T14:40Z", "--state", state)
    assert (after["in_force"], after["journal_ends"]) == ([], "2026-06-21T14:30:00.000Z")


def test_nothing_in_force_before_the_beginning(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("explain", "2026-06-21T03", "--state", state) == 0
    said = capsys.readouterr().out
    assert said.startswith("Nothing was in force from 2026-06-21T03:00:00.000Z")
    assert "Nothing was decided" in said


@pytest.mark.parametrize(
    ("asked", "orders"),
    [("reserve", {"tso/reserve-1"}), ("AGG/BID", {"agg/bid-1"}), ("o1", {"agg/o1", "tso/aggregate"}), ("c1", None)],
)
def test_an_order_is_explained_by_how_it_begins(
    state: Path, capsys: pytest.CaptureFixture[str], asked: str, orders: set[str] | None
) -> None:
    found = shown(capsys, "explain", asked, "--state", state)
    told = {row["order"] for row in found}
    if orders is None:
        assert {"agg/c1", "agg/c2"} == told, "a commitment, and the one that is told to its buyer"
    else:
        assert orders <= told


def test_points_and_segments_are_explained(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("explain", "west", "--state", state) == 0
    assert "segment west is amber by C11; set by dso" in capsys.readouterr().out
    assert command("explain", "station", "--state", state) == 0
    assert "tso/aggregate shares out 2000 W of active-power at station by E" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("agg/c",), "'agg/c' is how 4 orders begin (agg/c1, agg/c2, agg/c3 ...); give more of it"),
        ((), "name an order, a device, a resource or a point, or give --hour"),
        (("--hour", "noon"), "'noon' is no time"),
        (("2026-06-21T99",), "is in no record"),
        (("rof", "--hour", "2026-06-21T12"), "did you mean roof?"),
        (
            ("Evening export limit for feeder 4711",),
            "a 2030.5 control by its mRID and not its description; give that, or a device,",
        ),
        (("Evening export limit for feeder 4711",), "an order goes by its id (the newest: "),
    ],
)
def test_what_cannot_be_explained_gets_one_line(
    state: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert command("explain", *words, "--state", state) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.count("\n") == 1
    assert said in found.err


def test_a_group_is_explained_by_the_orders_for_it(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = shown(capsys, "explain", "all", "--state", state)
    assert {row["order"] for row in told} == {"dso/limit-8", "agg/bid-1", "tso/reserve-1"}
    assert told == sorted(told, key=lambda row: row["t"])
    assert {row["device"] for row in told if row["order"] == "tso/reserve-1"} >= {"house", "farm"}
    assert command("explain", "all", "--state", state, "--hour", "2026-06-21T12") == 0
    assert "tso/reserve-1 rules active-power" in capsys.readouterr().out


def test_a_point_at_which_nothing_was_decided_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rated = Point("T1", PointKind.SERVICE_TRANSFORMER, ("house",), export_limit_w=50_000)
    monkeypatch.setattr(evidence_world, "STREET", replace(STREET, points=(*STREET.points, rated)))
    Street(tmp_path).close()
    for name in ("T1", "all", "tso"):
        assert command("explain", name, "--state", tmp_path) == 0
    assert "nothing was decided at T1 yet\nnothing was decided at all yet\n" in capsys.readouterr().out
    assert command("explain", "T2", "--state", tmp_path) == 2
    assert "'T2' is in no record" in capsys.readouterr().err


def test_a_refused_colour_or_change_of_the_network_names_who_said_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = Street(tmp_path)
    over_ms = NOON_MS - HOUR_MS
    street.feed(Coloured("agg", "west", Colour.AMBER, None, NOON_MS + HOUR_MS))
    street.feed(Coloured("dso", "west", Colour.AMBER, None, over_ms))
    street.feed(NetworkChanged("tso", ("west",), validated=False, why="switch 4"))
    street.close()
    assert command("explain", "west", "--state", tmp_path) == 0
    said = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert [line.partition(" at ")[0] for line in said] == [
        "a segment's colour from agg is refused",
        "a segment's colour from dso is refused",
        "a change of the network from tso is refused",
    ]
