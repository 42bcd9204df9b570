"""`gateway evidence` and the metrics, on the journal of a day of a real machine."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from evidence_world import NOON_MS, STREET, Street, call, command, day, promise, shown, target, tells
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.cli import evidence
from gateway.core.capacity import Slice
from gateway.core.events import CommitmentEnded, CommitmentHeard, Tell, Tick, Topic
from gateway.core.functions import Function
from gateway.core.meter import NOT_READ
from gateway.core.orders import Ceiling, OrderKey
from gateway.core.parties import Direction
from gateway.core.performance import Evidence
from gateway.core.state import PointState
from gateway.core.units import Watts
from gateway.diagnostics.evidence import prove
from gateway.diagnostics.metrics import Metrics
from gateway.diagnostics.promises import Told, read
from gateway.store import Entry, Journal

QUARTER_MS = 900_000


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Street]:
    folder = tmp_path_factory.mktemp("day")
    return folder, day(folder)


@pytest.fixture
def state(played: tuple[Path, Street]) -> Path:
    return played[0]


def metered(told: Iterator[Tell]) -> dict[tuple[str, str, str], int]:
    """Sum what was metered by device, service and direction (Wh)."""
    sums: dict[tuple[str, str, str], int] = {}
    for tell in told:
        if tell.topic is Topic.METERED and tell.effect != NOT_READ:
            for device, wh in zip(tell.names, tell.values, strict=True):
                key = (device, tell.function, tell.effect.rpartition(" ")[2])
                sums[key] = sums.get(key, 0) + wh
    return sums


def test_every_watt_hour_is_in_exactly_one_row(played: tuple[Path, Street], capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(capsys, "evidence", "--state", played[0])["delivered"]
    sums: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row["device"], row["service"] or "own use", row["direction"])
        sums[key] = sums.get(key, 0) + row["delivered_wh"]
    assert sums == metered(tells(played[1]))
    named = [(row["from"], row["device"], row["direction"], row["tag"]) for row in rows]
    assert len(set(named)) == len(named)


def test_a_services_energy_goes_to_the_stronger_commitment_first(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = shown(capsys, "evidence", "--state", state, "--service", "reserve", "--to", "2026-06-21T12:45Z")["delivered"]
    of_roof = [(row["tag"], row["promised_wh"], row["delivered_wh"]) for row in rows if row["device"] == "roof"]
    assert of_roof == [("agg/c1", 500, 500), ("agg/c2", 250, 125)]
    of_barn = [(row["tag"], row["commitment"], row["delivered_wh"]) for row in rows if row["device"] == "barn"]
    assert of_barn == [("reserve", "", 312)]


def test_commitments_are_judged_by_their_own_terms(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {row["commitment"]: row for row in shown(capsys, "evidence", "--state", state)["commitments"]}
    assert list(made) == ["c1", "c2"], "refused and withdrawn ones are none"
    names = ("asked_wh", "delivered_wh", "shortfall_wh", "availability_permille", "met")
    assert [made["c1"][name] for name in names] == [1500, 1493, 7, 750, False]
    assert [made["c2"][name] for name in names] == [250, 250, 0, 1000, True]


def test_energy_outlives_retention(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    street = day(tmp_path)
    before = shown(capsys, "evidence", "--state", tmp_path)
    journal = Journal.open(tmp_path, version="1", reserve_bytes=1 << 16)
    journal.snapshot(street.machine.state)
    journal.commit([Entry(street.now_ms, Tick(), ())])
    journal.snapshot(street.machine.state)
    assert journal.prune(street.now_ms + 2 * 24 * 3_600_000) > 0
    journal.close()
    after = shown(capsys, "evidence", "--state", tmp_path)
    assert after["accounts"] == before["accounts"]

    def sums(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str, str], int]:
        found: dict[tuple[str, str, str, str], int] = {}
        for row in rows:
            key = (row["from"], row["device"], row["service"], row["direction"])
            found[key] = found.get(key, 0) + row["delivered_wh"]
        return {key: wh for key, wh in found.items() if wh}

    assert sums(after["delivered"]) == sums(before["delivered"])


def test_a_commitment_that_only_the_snapshot_tells_is_measured() -> None:
    held = promise("c1", 0, 3_600, Slice("roof", 2_000))
    ended = Tell(Topic.METERED, NOON_MS + QUARTER_MS, "", "reserve", "C9", "delivered in export", ("roof",), (400,), "")
    proof = prove(read([Told(NOON_MS + QUARTER_MS, None, (ended,))], [held], STREET))
    assert [(row.commitment, row.promised_wh, row.delivered_wh) for row in proof.rows] == [("c1", 500, 400)]
    assert [one.until_ms for one in proof.kept] == [NOON_MS + QUARTER_MS]


def test_a_commitment_whose_id_is_used_again_is_measured_twice() -> None:
    first, second = promise("c1", 0, 900, Slice("roof", 2_000)), promise("c1", 1_800, 2_700, Slice("roof", 1_000))
    committed = Tell(Topic.COMMITTED, NOON_MS, "agg/c1", "commitment", "C8", "export", ("roof",), (2_000,), "")
    entries = [
        Told(NOON_MS - 1, CommitmentHeard(first), (committed,)),
        Told(NOON_MS + 1_000_000, CommitmentHeard(second), (committed,)),
        Told(NOON_MS + 9_000_000, None, ()),
    ]
    assert [(one.commitment.start_ms, one.until_ms) for one in prove(read(entries, (), STREET)).kept] == [
        (first.start_ms, first.end_ms),
        (second.start_ms, second.end_ms),
    ]


def test_deviation_is_accounted_by_service_and_party(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (account,) = shown(capsys, "evidence", "--state", state)["accounts"]
    assert (account["service"], account["party"], account["delivered_wh"]) == ("reserve", "agg", 500)
    assert account["until"] == "2026-06-21T14:15:00.000Z"
    assert "deviation 0 Wh" in account["said"]


@pytest.mark.parametrize("table", evidence.TABLES)
def test_csv_says_what_json_says(state: Path, capsys: pytest.CaptureFixture[str], table: str) -> None:
    wanted = shown(capsys, "evidence", "--state", state)[table]
    assert command("evidence", "--state", state, "--csv", "--table", table) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert found == [{name: str(value) for name, value in row.items()} for row in wanted]
    assert found


def test_a_window_leaves_the_quarters_that_begin_in_it(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    window = ("--from", "2026-06-21T12:15Z", "--to", "2026-06-21T12:45Z")
    found = shown(capsys, "evidence", "--state", state, *window)
    assert {row["from"][11:16] for row in found["delivered"]} == {"12:15", "12:30"}
    assert {row["commitment"] for row in found["commitments"]} == {"c1", "c2"}
    assert found["accounts"] == []
    early = shown(capsys, "evidence", "--state", state, "--to", "2026-06-21T12:15+00:00")
    assert early["commitments"] == []


def test_evidence_is_told_in_sentences(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("evidence", "--state", state) == 0
    said = capsys.readouterr().out.splitlines()
    assert "schedule: 2165 Wh delivered in export by barn, roof and wall (C9)" in said
    assert any(line.startswith("commitment agg/c2 for reserve to dso is kept by C8: 250 Wh of 250 Wh") for line in said)
    assert any(line.startswith("agg delivered 500 Wh of 500 Wh awarded in export for reserve by C9") for line in said)
    assert command("evidence", "--state", state, "--from", "2027-01-01") == 0
    assert capsys.readouterr().out == "nothing was delivered or promised in that time\n"


def test_wrong_use_of_evidence_gets_one_line(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("evidence", "--state", state, "--service", "reserv") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "it knows reserve, schedule and untagged-export" in said.err
    assert command("evidence", "--state", tmp_path) == 2
    assert "no journal here" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command("evidence", "--state", state, "--from", "noon")
    assert "'noon' is no time" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "2026-06-21T13Z", "--to", "2026-06-21T12Z"), "--from is after --to"),
        (("--table", "accounts"), "--table is of --csv"),
        (("--table", "accounts", "--json"), "--table is of --csv"),
    ],
)
def test_options_that_contradict_each_other_get_one_line(
    state: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert command("evidence", "--state", state, *words) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.count("\n") == 1
    assert said in found.err


def test_a_run_shorter_than_a_quarter_says_that_nothing_counts_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = Street(tmp_path)
    street.until(240, Tick())
    street.close()
    assert command("evidence", "--state", tmp_path, "--from", "2026-06-21T12:00Z") == 0
    assert capsys.readouterr().out.splitlines() == [
        "nothing was delivered or promised in quarters of an hour that are over",
        "the running quarter of an hour counts when it is over, at 2026-06-21T12:15:00.000Z",
    ]
    assert command("evidence", "--state", tmp_path, "--from", "2026-06-21T12:15Z") == 0
    assert capsys.readouterr().out == "nothing was delivered or promised in that time\n"


def test_open_commitments_are_listed_before_anything_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    street = Street(tmp_path)
    street.until(60, CommitmentHeard(promise("c1", 120, 5400, Slice("roof", 2_000), Slice("wall", 1_000))))
    street.until(61, CommitmentHeard(promise("c2", 9000, 9600, Slice("roof", 2_000))))
    street.until(62, CommitmentHeard(promise("gone", 9000, 9600, Slice("wall", 2_000))))
    street.until(63, CommitmentEnded("agg", "gone"))
    street.until(240, Tick())
    street.close()
    quarter = "the running quarter of an hour counts when it is over, at 2026-06-21T12:15:00.000Z"
    first = (
        "commitment agg/c1 for reserve to tso is open by C8: roof 2000 W and wall 1000 W in export"
        " from 2026-06-21T12:02:00.000Z until 2026-06-21T13:30:00.000Z"
    )
    second = (
        "commitment agg/c2 for reserve to tso is open by C8: roof 2000 W in export"
        " from 2026-06-21T14:30:00.000Z until 2026-06-21T14:40:00.000Z"
    )
    assert command("evidence", "--state", tmp_path, "--service", "reserve", "--from", "2026-06-21T12:00Z") == 0
    said = capsys.readouterr().out.splitlines()
    assert said == ["nothing was delivered yet", first, second, quarter]
    assert command("evidence", "--state", tmp_path, "--from", "2026-06-21T12:00Z", "--to", "2026-06-21T14:00Z") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [first, quarter]


def proven(street: Street) -> tuple[Evidence, ...]:
    return prove(read(Told(*entry) for entry in street.entries)).rows


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(100, 6_000), st.integers(600, 4_000), st.integers(-3_000, 4_000), st.booleans()),
        max_size=5,
    ),
    st.lists(
        st.tuples(st.integers(100, 6_000), st.integers(60, 4_000), st.integers(1, 2_000), st.booleans()), max_size=4
    ),
    st.integers(0, 4_000),
)
def test_no_watt_hour_is_lost_or_counted_twice(
    tmp_path_factory: pytest.TempPathFactory,
    calls: list[tuple[int, int, int, bool]],
    promises: list[tuple[int, int, int, bool]],
    available_w: int,
) -> None:
    street = Street(tmp_path_factory.mktemp("any"))
    street.available_w["roof"] = available_w
    street.until(0)
    for number, (start_s, lasts_s, w, metered_energy) in enumerate(promises):
        part = Slice("roof", w, max(1, w * lasts_s // 7_200) if metered_energy else None)
        street.feed(CommitmentHeard(promise(f"c{number}", start_s, start_s + lasts_s, part, created_s=number)))
    for number, (start_s, lasts_s, w, by_tso) in enumerate(calls):
        street.feed(call(f"o{number}", "tso" if by_tso else "agg", target(w), start_s, start_s + lasts_s))
    street.until(9_900)
    street.close()
    sums: dict[tuple[str, int, Direction], int] = {}
    for row in proven(street):
        assert row.delivered_wh >= 0
        if row.commitment:
            assert row.delivered_wh <= row.promised_wh
        key = (row.device, row.start_ms, row.direction)
        sums[key] = sums.get(key, 0) + row.delivered_wh
    told: dict[tuple[str, int, Direction], int] = {}
    for tell in tells(street):
        if tell.topic is Topic.METERED and tell.effect != NOT_READ:
            for device, wh in zip(tell.names, tell.values, strict=True):
                way = Direction(tell.effect.rpartition(" ")[2])
                key = (device, tell.at_ms - tell.at_ms % QUARTER_MS - QUARTER_MS, way)
                told[key] = told.get(key, 0) + wh
    assert {key: wh for key, wh in sums.items() if wh} == {key: wh for key, wh in told.items() if wh}


# -- metrics


def test_metrics_count_what_was_decided(played: tuple[Path, Street]) -> None:
    street = played[1]
    machine = street.machine
    metrics = Metrics(lambda: machine.state, dict)
    for tell in tells(street):
        metrics.witness(tell)
    limit = Tell(Topic.CURTAILED, NOON_MS, "agg/bid-9", "active-power", "C10", "", ("roof", "wall"), (30, 4), "")
    metrics.witness(limit)
    machine.state.points["extra"] = PointState(("house",), machine.state.points["station"].policy)
    machine.state.points["extra"].unmet_w = {(OrderKey("tso", "x"), Function.ACTIVE_POWER): -700}
    text = metrics.text().decode()
    del machine.state.points["extra"]
    values = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    for labels, expected in {
        ("gateway_orders_ruled_total", ("rule", "C3"), ("ruling", "in force")): 1,
        ("gateway_orders_ruled_total", ("rule", "C10"), ("ruling", "suspended")): 1,
        ("gateway_orders_ruled_total", ("rule", "E"), ("ruling", "in force")): 1,
        ("gateway_refusals_total", ("rule", "C8")): 1,
        ("gateway_overrides_total", ("issuer", "agg"), ("rule", "C10")): 2,
        ("gateway_curtailed_watt_hours_total", ("issuer", "agg")): 34,
        ("gateway_delivered_watt_hours_total", ("direction", "export"), ("service", "schedule")): 2165,
        ("gateway_bypasses_total", ("device", "barn")): 1,
        ("gateway_meter_unread_seconds_total", ("device", "wall")): 200,
        ("gateway_rulings_total", ("function", "active-power"), ("rule", "C3")): 2,
        ("gateway_point_unmet_watts", ("point", "extra")): 700,
        ("gateway_point_unmet_watts", ("point", "station")): 0,
        ("gateway_commitments_open",): 0,
        ("gateway_offers_open",): 0,
    }.items():
        assert values.get(labels) == expected, labels


def test_metrics_show_commitments_and_offers_that_stand(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.feed(CommitmentHeard(promise("c1", 1800, 5400, Slice("roof", 2_000))))
    limit = Ceiling(Function.EXPORT_LIMIT, Watts(1_000))
    street.until(10, call("tight", "dso", limit, 20, 100))
    street.close()
    machine = street.machine
    extra = {"gateway_events_decided_total": 3.0, "gateway_journal_commit_seconds": 0.5}
    text = Metrics(lambda: machine.state, lambda: extra).text().decode()
    assert "# TYPE gateway_events_decided_total counter\ngateway_events_decided_total 3.0\n" in text
    assert "# TYPE gateway_journal_commit_seconds gauge\n" in text
    assert "gateway_commitments_open 1.0" in text
    assert "gateway_offers_open 0.0" in text
