"""The journal: what was committed is there again, one writer, nothing damaged is served, a full disk is survived."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_world import T0_MS, decided, events, handled, history, limit, plain, start

from gateway.core.events import Event, Observed, OrderHeard, Tick
from gateway.core.known import Known
from gateway.core.machine import Machine
from gateway.runtime.daemon import recover
from gateway.store import Continued, Entry, Gap, Journal, JournalFault, Reader, whole
from gateway.store.reserve import RESERVE
from gateway.store.tables import DATABASE, MIGRATIONS

SMALL_RESERVE = 1 << 20
DAY_MS = 24 * 3_600_000
UP = len(start())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "state", reserve_bytes=SMALL_RESERVE)
    yield opened
    opened.close()


def reopen(folder: Path) -> Journal:
    return Journal.open(folder, reserve_bytes=SMALL_RESERVE)


def ticks(first: int, count: int) -> list[Entry]:
    return [Entry(T0_MS + number, Tick(), ()) for number in range(first, first + count)]


def test_new_folder_has_nothing_and_is_private(journal: Journal, tmp_path: Path) -> None:
    assert journal.recover() == (None, [], False)
    assert journal.last_number == 0
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


def test_batches_come_back_in_order_with_their_numbers(journal: Journal) -> None:
    made = history(Machine(), [*start(), limit(1, 3_000), *[Tick()] * 5])
    journal.commit(made[:3])
    journal.commit([])
    journal.commit(made[3:4])
    journal.commit(made[4:])
    assert list(journal.entries()) == list(enumerate(made, 1))
    assert list(journal.entries(since=5)) == list(enumerate(made, 1))[4:]
    assert journal.recover().tail == decided(made)


def test_commit_is_one_statement(journal: Journal) -> None:
    statements: list[str] = []
    journal._connection.set_trace_callback(statements.append)
    journal.commit(history(Machine(), [*start(), limit(1, 3_000)]))
    journal._connection.set_trace_callback(None)
    assert len(statements) == 1


def test_commit_is_durable_by_wal_and_full_sync(journal: Journal) -> None:
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_recovery_is_the_latest_snapshot_and_what_came_after(journal: Journal) -> None:
    machine = Machine()
    journal.commit(history(machine, start()))
    journal.snapshot(machine.state)
    journal.commit(history(machine, [limit(1, 3_000)]))
    journal.snapshot(machine.state)
    after = history(machine, [Tick(), limit(2, 2_000)])
    journal.commit(after)
    recovered = journal.recover()
    assert recovered.tail == decided(after)
    assert recovered.state is not None
    assert recovered.state.lives.keys() == {limit(1, 0).order.key}


OPEN = """
import pathlib, sys
from gateway.store import Journal, JournalFault
try:
    Journal.open(pathlib.Path(sys.argv[1]))
except JournalFault as fault:
    print(fault)
"""


def test_second_process_is_turned_away_in_one_line(journal: Journal, tmp_path: Path) -> None:
    assert journal.last_number == 0
    other = subprocess.run(
        [
            sys.executable,
            "-c",
            OPEN,
            str(tmp_path / "state"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.splitlines() == [
        f"{tmp_path / 'state'}: in use by process {os.getpid()}; stop it, or give another folder as --state"
    ]


def test_folder_is_free_again_after_close(tmp_path: Path) -> None:
    reopen(tmp_path).close()
    reopen(tmp_path).close()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(events(), max_size=25),
    st.lists(events(), max_size=6),
    st.integers(0, 30),
    st.integers(1, 4),
    st.sampled_from([1, 7_000, 90_000]),
)
def test_recovered_machine_equals_the_uninterrupted_one(
    tmp_path_factory: pytest.TempPathFactory,
    happened: list[Event],
    following: list[Event],
    snapshot_at: int,
    batch: int,
    step_ms: int,
) -> None:
    folder = tmp_path_factory.mktemp("state")
    whole, journal = Machine(), reopen(folder)
    todo = [*start(), *happened]
    for place in range(0, len(todo), batch):
        journal.commit(history(whole, todo[place : place + batch], step_ms))
        if place <= snapshot_at < place + batch:
            journal.snapshot(whole.state)
    journal.close()
    journal = reopen(folder)
    recovered = journal.recover()
    journal.close()
    again = Machine(recovered.state)
    for entry in recovered.tail:
        assert decided([handled(again, entry.event, entry.now_ms)]) == [entry]
    assert again.state == whole.state
    for place, event in enumerate(following, 1):
        now_ms = whole.state.now_ms + place * step_ms
        assert plain(again.handle(event, now_ms)) == plain(whole.handle(event, now_ms))
    assert again.state == whole.state


# -- damage


def filled(folder: Path) -> list[Entry]:
    machine, journal = Machine(), reopen(folder)
    made = []
    for number in range(40):
        made.append(batch := history(machine, start() if number == 0 else [limit(number, 3_000)]))
        journal.commit(batch)
        if number in (10, 20):
            journal.snapshot(machine.state)
    journal.close()
    return [entry for batch in made for entry in batch]


def spoil(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / DATABASE)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_damaged_snapshot_is_passed_over(tmp_path: Path) -> None:
    made = filled(tmp_path)
    spoil(tmp_path, "UPDATE snapshots SET body = zeroblob(100) WHERE after = (SELECT max(after) FROM snapshots)")
    journal = reopen(tmp_path)
    recovered = journal.recover()
    journal.close()
    assert recovered.state is not None
    assert recovered.tail == decided(made[-29:])


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE batches SET body = body || x'00' WHERE first = 41", "cannot be read"),
        ("UPDATE batches SET body = CAST(body || x'00' AS BLOB) WHERE first = 41", "41 to 41 cannot be read"),
        ("UPDATE batches SET last = last + 1 WHERE first = 47", "cannot be read"),
        ("DELETE FROM batches WHERE first = 41", "entries 41 to 41 are missing"),
    ],
)
def test_damaged_or_missing_entry_is_never_served(tmp_path: Path, statement: str, told: str) -> None:
    assert len(filled(tmp_path)) == 47
    spoil(tmp_path, statement)
    journal = reopen(tmp_path)
    try:
        with pytest.raises(JournalFault) as refused:
            journal.recover()
    finally:
        journal.close()
    assert told in str(refused.value)


@pytest.mark.parametrize("page", [0, 1, 2, 3])
def test_damaged_page_is_found_at_open_or_at_reading(tmp_path: Path, page: int) -> None:
    filled(tmp_path)
    with (tmp_path / DATABASE).open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xa5" * 200)
    with pytest.raises(JournalFault) as refused, contextlib.closing(reopen(tmp_path)) as journal:
        journal.recover()
    assert "\n" not in str(refused.value)


def test_damaged_folder_can_be_locked_again(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"this is no database, but it is long enough to be looked at" * 50)
    for _ in range(2):
        with pytest.raises(JournalFault, match="cannot be read: file is not a database"):
            reopen(tmp_path)


def test_other_database_and_later_format_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    connection = sqlite3.connect(tmp_path / "other" / DATABASE)
    connection.execute("CREATE TABLE songs (name)")
    connection.close()
    with pytest.raises(JournalFault, match="an SQLite file of something else"):
        reopen(tmp_path / "other")
    reopen(tmp_path / "later").close()
    spoil(tmp_path / "later", "PRAGMA user_version = 99")
    with pytest.raises(JournalFault, match=f"in format 99, this version reads up to {len(MIGRATIONS)}"):
        reopen(tmp_path / "later")


def test_another_version_is_told_to_start_from_a_snapshot(tmp_path: Path) -> None:
    filled(tmp_path)
    journal = Journal.open(tmp_path, version="99.0", reserve_bytes=SMALL_RESERVE)
    recovered = journal.recover()
    assert recovered.upgraded
    machine = Machine(recovered.state)
    for entry in recovered.tail:
        handled(machine, entry.event, entry.now_ms)
    journal.snapshot(machine.state)
    assert not journal.recover().upgraded
    journal.close()


# -- retention


def observed(count: int, at_ms: int) -> list[Entry]:
    event = Observed("roof", Known(1, at_ms), Known(2, at_ms), Known(3, at_ms), True)
    return [Entry(at_ms + place, event, ()) for place in range(count)]


def aged(folder: Path) -> tuple[Journal, list[Entry], Machine]:
    """Make three days: orders and readings on each, and a snapshot at the end of each."""
    journal, machine, made = reopen(folder), Machine(), []
    for day in range(3):
        at_ms = T0_MS + day * DAY_MS
        todo: list[Event] = [*(start() if day == 0 else []), limit(day, 3_000, at_ms)]
        batches = [[handled(machine, event, at_ms)] for event in todo] + [observed(10, at_ms)] * 20
        for batch in batches:
            journal.commit(batch)
            made += batch
        machine.state.now_ms = at_ms + 1_000
        journal.snapshot(machine.state)
    return journal, made, machine


def test_old_readings_go_and_every_record_and_order_stays(tmp_path: Path) -> None:
    journal, made, machine = aged(tmp_path)
    tells = list(journal._reader.tells())
    now_ms = T0_MS + 2 * DAY_MS + 3_600_000
    while journal.prune(now_ms):
        pass
    assert list(journal._reader.tells()) == tells
    kept = [each.event for each in journal._reader.kept() if each.event is not None]
    assert kept == [entry.event for entry in made[: UP + 402] if isinstance(entry.event, OrderHeard)]
    first = journal._reader.first_whole()
    assert list(journal.entries()) == list(enumerate(made, 1))[first - 1 :]
    assert list(journal._reader.gaps()) == [Gap(1, first - 1, first - 1 - len(kept))]
    assert first == 1 + UP + 1 + 200 + 1 + 200
    assert journal.recover().state == machine.state
    journal.close()


def test_nothing_young_or_without_two_snapshots_after_it_is_thinned(tmp_path: Path) -> None:
    journal, made, _machine = aged(tmp_path)
    assert journal.prune(T0_MS + 3_600_000) == 0
    while journal.prune(T0_MS + 100 * DAY_MS):
        pass
    assert journal._reader.first_whole() == len(made) - 201 + 1
    spoil(tmp_path, "UPDATE snapshots SET body = zeroblob(9) WHERE after = (SELECT max(after) FROM snapshots)")
    assert journal.recover().tail == decided(made[-201:])
    journal.close()


def test_too_much_goes_before_it_is_old(tmp_path: Path) -> None:
    journal, _made, _machine = aged(tmp_path)
    while journal.prune(T0_MS, keep_bytes=10_000):
        pass
    assert journal._reader.first_whole() == 1 + UP + 1 + 200 + 1 + 200
    journal.close()


def test_a_slice_of_retention_is_bounded(tmp_path: Path) -> None:
    journal = reopen(tmp_path)
    for number in range(1_200):
        journal.commit(ticks(number, 1))
    machine = Machine()
    machine.state.now_ms = T0_MS
    journal.snapshot(machine.state)
    journal.commit(ticks(1_200, 1))
    journal.snapshot(machine.state)
    assert [journal.prune(T0_MS + 2 * DAY_MS) for _ in range(4)] == [500, 500, 200, 0]
    assert list(journal._reader.gaps()) == [Gap(1, 1_200, 1_200)]
    assert journal._connection.execute("SELECT count(*) FROM batches").fetchone() == (2,)
    journal.close()


def test_the_log_is_folded_in_by_retention_and_not_by_a_commit(journal: Journal, tmp_path: Path) -> None:
    database = tmp_path / "state" / DATABASE
    before = database.stat().st_size
    for number in range(1_500):
        journal.commit(ticks(number, 50))
    assert database.stat().st_size == before
    journal.prune(T0_MS)
    assert database.stat().st_size > before + 500_000


# -- a full disk


def test_reserve_is_really_allocated(tmp_path: Path) -> None:
    reopen(tmp_path).close()
    found = (tmp_path / RESERVE).stat()
    assert found.st_size == SMALL_RESERVE
    assert found.st_blocks * 512 >= SMALL_RESERVE


def test_full_database_costs_the_reserve_and_then_is_told(journal: Journal, tmp_path: Path) -> None:
    journal.commit(ticks(0, 1))
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalFault, match="the disk is full and so is the reserve; free some space"):
        journal.commit(ticks(1, 1_000))
    assert journal.reserve_spent
    assert not (tmp_path / "state" / RESERVE).exists()
    journal._connection.execute("PRAGMA max_page_count = 1000000")
    journal.commit(ticks(1, 1_000))
    journal.prune(T0_MS)
    assert (tmp_path / "state" / RESERVE).exists()
    assert [number for number, _ in journal.entries()] == list(range(1, 1_002))


FILL = """
import os, pathlib, subprocess, sys
from gateway.core.events import Tick
from gateway.store import Entry, Journal
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", sys.argv[1]]).returncode:
    sys.exit(77)
folder = pathlib.Path(sys.argv[1])
journal = Journal.open(folder / "state", reserve_bytes=2 << 20)
journal.commit([Entry(1, Tick(), ())])
try:
    with open(folder / "other", "wb", buffering=0) as other:
        while other.write(bytes(4096)):
            pass
except OSError:
    pass
count = 1
while not journal.reserve_spent:
    journal.commit([Entry(1, Tick(), ())] * 50)
    count += 50
for _ in range(20):
    journal.commit([Entry(1, Tick(), ())] * 50)
    count += 50
assert [number for number, _ in journal.entries()] == list(range(1, count + 1))
(folder / "other").unlink()
journal.prune(1)
assert not journal.reserve_spent
journal.close()
print(Journal.open(folder / "state").last_number == count)
"""


def test_full_disk_still_takes_what_limits_need(tmp_path: Path) -> None:
    filled = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", FILL, str(tmp_path)],  # noqa: S607 - part of util-linux
        capture_output=True,
        text=True,
        check=False,
    )
    if filled.returncode != 0 and ("unshare:" in filled.stderr or filled.returncode == 77):
        pytest.skip("no mount of one's own here")
    assert filled.stdout.strip() == "True", filled.stderr


# -- readers


def test_reader_has_a_still_picture_and_the_writer_goes_on(tmp_path: Path) -> None:
    journal, made, _machine = aged(tmp_path)
    reader = Reader.open(tmp_path)
    seen = reader.entries()
    assert next(seen) == (1, made[0])
    while journal.prune(T0_MS + 100 * DAY_MS):
        pass
    journal.commit(ticks(0, 1))
    assert [entry for _, entry in seen] == made[1:]
    assert reader.last_number() == len(made)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM batches")
    reader.close()
    journal.commit(ticks(1, 1))
    assert journal.last_number == len(made) + 2
    journal.close()


def test_journal_is_read_as_a_kill_leaves_it(tmp_path: Path) -> None:
    journal, made, _machine = aged(tmp_path)
    left = tmp_path / "left"
    left.mkdir()
    for name in (DATABASE, f"{DATABASE}-wal"):
        (left / name).write_bytes((tmp_path / name).read_bytes())
    journal.close()
    reader = Reader.open(left)
    assert [entry for _, entry in reader.entries()] == made
    reader.close()


def test_reader_needs_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalFault, match="no journal here"):
        Reader.open(tmp_path)


def test_what_was_committed_in_parts_is_one_decision_again(tmp_path: Path) -> None:
    made = history(Machine(), [*start(), limit(1, 3_000), Tick()])
    parts = [
        part
        for entry in made
        for part in (
            Entry(entry.now_ms, entry.event, entry.tells[:1]),
            Entry(entry.now_ms, Continued(), entry.tells[1:]),
        )
    ]
    with contextlib.closing(Journal.open(tmp_path)) as journal:
        journal.commit(parts[:3])
        journal.commit(parts[3:])
        assert journal.recover().tail == decided(made)
        assert [one.last - one.first for one in whole(Reader.open(tmp_path).stored(1))] == [1] * len(made)


def test_what_was_not_yet_told_when_the_process_died_is_told_by_the_next(tmp_path: Path) -> None:
    made = history(Machine(), [*start(), limit(1, 3_000)])
    last = made[-1]
    with contextlib.closing(Journal.open(tmp_path)) as journal:
        journal.commit([*made[:-1], last._replace(tells=last.tells[:1])])
        machine = recover(journal)
        assert journal.recover().tail == decided(made)
        assert recover(journal).state == machine.state
        assert journal.recover().tail == decided(made)
