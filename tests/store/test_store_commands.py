"""`gateway replay` and `gateway explain` on journals of real histories."""

import argparse
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from store_world import T0_MS, handled, history, limit, start

from gateway.cli import explain, replay
from gateway.core.events import Adopted, Event, Observed, OrderHeard, Tick, Topic, Withdrawal, Withdrawn
from gateway.core.functions import Function
from gateway.core.known import Known
from gateway.core.machine import Machine
from gateway.core.orders import Ceiling, Each, Order, Rank, Target
from gateway.core.units import Watts
from gateway.store import Entry, Journal
from gateway.store.codec import pack
from gateway.store.reading import WHOLE
from gateway.store.tables import DATABASE, digest

DAY_MS = 24 * 3_600_000


def command(*words: str) -> int:
    """Run a command as the command line would."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    explain.register(commands)
    replay.register(commands)
    args = parser.parse_args(words)
    code: int = args.run(args)
    return code


def opened(folder: Path, version: str = "1") -> Journal:
    return Journal.open(folder, version=version, reserve_bytes=1 << 16)


def written(folder: Path, *batches: list[Event], step_ms: int = 1_000) -> list[Entry]:
    """Journal a history, one batch each, without a snapshot."""
    journal, machine, made = opened(folder), Machine(), []
    for batch in batches:
        entries = history(machine, batch, step_ms)
        journal.commit(entries)
        made += entries
    journal.close()
    return made


def market(number: int, target_w: int) -> OrderHeard:
    scope, effects = Each("farms"), (Target(Watts(target_w)),)
    end_ms = T0_MS + 1_800_000
    return OrderHeard(Order("agg", f"bid-{number}", 0, scope, effects, T0_MS, end_ms, Rank(1, T0_MS), T0_MS))


# -- replay


def test_replay_agrees_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = written(tmp_path, start(), [limit(1, 3_000), market(1, 9_000)], [Tick()] * 3)
    rulings = sum(tell.topic is Topic.RULED for entry in made for tell in entry.tells)
    assert rulings > 1
    assert command("replay", "--state", str(tmp_path)) == 0
    assert capsys.readouterr().out == f"{len(made)} entries and {rulings} rulings agreed\n"
    assert command("replay", "--state", str(tmp_path), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "entries": len(made),
        "rulings": rulings,
        "skipped": 0,
        "difference": None,
        "agreed": True,
    }


def tampered(folder: Path, number: int, entry: Entry) -> None:
    """Put another entry into the place of one, with a checksum that fits."""
    body = pack((entry,))
    connection = sqlite3.connect(folder / DATABASE)
    connection.execute(
        "UPDATE batches SET body = ?, digest = ? WHERE first = ?", (body, digest(WHOLE, number, number, body), number)
    )
    connection.commit()
    connection.close()


def test_replay_names_the_first_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = written(tmp_path, start(), [limit(1, 3_000)], [limit(2, 2_000)])
    number = len(made) - 1
    told = made[number - 1]
    forged = told.tells[0]._replace(rule="C99")
    tampered(tmp_path, number, told._replace(tells=(forged, *told.tells[1:])))
    assert command("replay", "--state", str(tmp_path), "--json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["difference"] == {
        "entry": number,
        "field": f"record 1 ({forged.topic}), rule",
        "journal": "'C99'",
        "replay": f"'{told.tells[0].rule}'",
    }
    assert said.err.startswith(f"gateway replay: entry {number}, record 1")
    tampered(tmp_path, number, told._replace(tells=told.tells[1:]))
    assert command("replay", "--state", str(tmp_path), "--json") == 1
    assert json.loads(capsys.readouterr().out)["difference"]["field"] != "rule"


def test_replay_of_fewer_records_counts_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = written(tmp_path, start(), [limit(1, 3_000)], [Tick()])
    number, told = len(made) - 1, made[-2]
    tampered(tmp_path, number, told._replace(tells=told.tells[:-1]))
    assert command("replay", "--state", str(tmp_path), "--json") == 1
    found = json.loads(capsys.readouterr().out)["difference"]
    count = len(told.tells)
    assert found == {
        "entry": number,
        "field": "number of records",
        "journal": str(count - 1),
        "replay": str(count),
    }


def test_replay_starts_at_the_snapshot_behind_a_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal, machine = opened(tmp_path), Machine()
    for day in range(3):
        todo = [*(start() if day == 0 else []), limit(day, 3_000, T0_MS + day * DAY_MS), Tick()]
        journal.commit([handled(machine, event, T0_MS + day * DAY_MS) for event in todo])
        journal.snapshot(machine.state)
    while journal.prune(T0_MS + 2 * DAY_MS):
        pass
    assert journal.last_number == 14
    journal.close()
    assert command("replay", "--state", str(tmp_path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["entries"] == 2


def test_replay_never_decides_over_a_change_of_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine()
    for version, snapshot in (("1", False), ("2", True), ("3", False)):
        journal = opened(tmp_path, version)
        if snapshot:
            journal.snapshot(machine.state)
        journal.commit(history(machine, start()))
        journal.close()
    each = len(start())
    assert command("replay", "--state", str(tmp_path), "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["entries"], shown["skipped"]) == (2 * each, each)


@pytest.mark.parametrize("words", [("replay",), ("explain", "roof")])
def test_folder_without_a_journal_is_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert command(*words, "--state", str(tmp_path)) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "no journal here" in said.err


def test_readers_do_not_disturb_a_running_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal, machine = opened(tmp_path), Machine()
    journal.commit(history(machine, start()))
    assert command("replay", "--state", str(tmp_path)) == 0
    journal.commit(history(machine, [limit(1, 3_000)]))
    assert command("explain", "event-1", "--state", str(tmp_path)) == 0
    journal.commit(history(machine, [Tick()]))
    assert journal.last_number == len(start()) + 2
    journal.close()
    assert "dso/event-1" in capsys.readouterr().out


# -- explain


@pytest.fixture
def told(tmp_path: Path) -> Path:
    machine, journal = Machine(), opened(tmp_path)
    journal.commit(history(machine, [*start(), limit(1, 3_000), market(1, 4_000)]))
    serial = machine.state.devices["shed"].serial
    seen = Observed("shed", Known(2_900, T0_MS), Known(0, T0_MS), Known(230_000, T0_MS), connected=True)
    cut = Withdrawn("dso", "event-1", Withdrawal.CANCELLED, 0)
    journal.commit(history(machine, [Adopted("shed", serial), Tick(), seen, Tick(), seen, cut]))
    journal.close()
    return tmp_path


def rows(state: Path, capsys: pytest.CaptureFixture[str], subject: str) -> list[dict[str, str]]:
    assert command("explain", subject, "--state", str(state), "--json") == 0
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return found


def test_order_is_explained_with_and_without_its_issuer(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(told, capsys, "event-1")
    assert found == rows(told, capsys, "dso/event-1")
    assert {row["answer"] for row in found if row["order"] == "dso/event-1"} >= {"received", "started", "cancelled"}
    ruled = [row for row in found if row["function"] == "export-limit" and row["device"] == "house"]
    assert ruled[0] == {
        "t": ruled[0]["t"],
        "order": "dso/event-1",
        "device": "house",
        "function": "export-limit",
        "rule": "C2",
        "effect": "ceiling 3000 W: not binding: site/connection-agreement",
        "answer": "",
    }
    assert ruled[0]["t"].startswith("2026-09-21T")
    assert ruled[0]["t"].endswith("Z")


def test_sentences_say_who_limits_what_by_which_rule(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("explain", "event-1", "--state", str(told)) == 0
    said = capsys.readouterr().out.splitlines()
    assert any(
        "dso/event-1 rules export-limit at house, cabin, farm and mill by C2: ceiling 3000 W" in line for line in said
    )
    assert any("dso/event-1 commands" in line and "W, falls back to" in line for line in said)
    assert any("agg/bid-1" in line and "clipped to 3000 W" in line for line in said)
    assert said == sorted(said, key=lambda line: line.split()[0])


def test_device_is_explained_with_its_resource_and_nothing_of_others(
    told: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(told, capsys, "shed")
    assert {row["device"] for row in found} == {"mill", "shed"}
    assert any(row["effect"].startswith("limit 3000 W") for row in found if row["device"] == "shed")
    assert any(row["effect"].startswith(("obeyed", "hindered")) for row in found if row["device"] == "shed")
    assert {row["device"] for row in rows(told, capsys, "farm")} == {"farm", "barn", "wall"}
    assert {row["device"] for row in rows(told, capsys, "dso")} == {"dso"}


@pytest.mark.parametrize(("wrong", "near"), [("event-11", "event-1"), ("rooof", "roof"), ("dso/evnt-1", "dso/event-1")])
def test_unknown_name_suggests_a_near_one(
    told: Path, capsys: pytest.CaptureFixture[str], wrong: str, near: str
) -> None:
    assert command("explain", wrong, "--state", str(told)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert near in said.err


def test_order_whose_name_another_begins_with_is_not_mixed_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = limit(11, 2_000, T0_MS + 1_000)
    written(tmp_path, start(), [limit(1, 3_000)], [newer, market(1, 4_000), Tick()])
    of_newer, of_older = rows(tmp_path, capsys, "event-11"), rows(tmp_path, capsys, "event-1")
    beaten = [row for row in of_newer if row["order"] == "dso/event-1"]
    assert {row["answer"] for row in beaten} == {"superseded"}
    assert {row["order"] for row in of_older} == {"dso/event-1", "dso/event-11"}
    mixed_in = [row for row in of_older if row["order"] == "dso/event-11"]
    assert {row["effect"] for row in mixed_in} == {
        "ceiling 2000 W: not binding: site/connection-agreement; beaten: dso/event-1"
    }


def test_device_without_a_decision_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, start()[:1])
    journal = opened(tmp_path)
    entries = [entry._replace(tells=()) for _, entry in journal.entries()]
    journal.close()
    tampered(tmp_path, 1, entries[0])
    assert command("explain", "roof", "--state", str(tmp_path)) == 0
    assert capsys.readouterr().out == "nothing was decided at roof yet\n"


def test_records_outlive_retention(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = rows(told, capsys, "event-1")
    journal = opened(told)
    recovered = journal.recover()
    machine = Machine(recovered.state)
    for entry in recovered.tail:
        handled(machine, entry.event, entry.now_ms)
    journal.snapshot(machine.state)
    journal.commit(history(machine, [Tick()]))
    journal.snapshot(machine.state)
    assert journal.prune(T0_MS + 2 * DAY_MS) > 0
    journal.close()
    assert rows(told, capsys, "event-1") == before


def test_limits_of_two_orders_are_one_effect_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = limit(3, 3_000).order
    effects: Any = (*two.effects, Ceiling(Function.GENERATION_LIMIT, Watts(2_500)))
    order = Order(two.issuer, two.id, 0, two.scope, effects, two.start_ms, two.end_ms, two.rank, T0_MS)
    written(tmp_path, start(), [OrderHeard(order), Tick()])
    functions = {row["function"] for row in rows(tmp_path, capsys, "event-3")}
    assert functions >= {"export-limit", "generation-limit"}
