"""The reports that a VTN has not acknowledged yet: on disk before they are sent, in order, bounded, gaps declared.

One SQLite file; a report is written through to the disk when it is put. Of what is put past the bound the oldest goes,
and the time that it covered is kept until the VTN has been told.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

log = logging.getLogger(__name__)

KEPT_MAX: Final = 20_000
TABLES: Final = """
CREATE TABLE IF NOT EXISTS report(
    place INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, event TEXT NOT NULL,
    start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, serial INTEGER, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS gap(
    event TEXT PRIMARY KEY, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, dropped INTEGER NOT NULL);
"""


class Kept(NamedTuple):
    """A report that waits: its place in the queue, the event that it is on, the answer that it bears, and its body."""

    place: int
    event: str
    serial: int | None
    body: bytes


class Gap(NamedTuple):
    """Reports on one event that were dropped: the time (ms, the VTN's clock) that they covered, and how many."""

    event: str
    start_ms: int
    end_ms: int
    dropped: int


class SpoolFault(Exception):  # noqa: N818 - "fault" is the word of this house for what is broken
    """The queue cannot be written to, or read; its text says why."""


class Spool:
    """The queue in one file; each method writes through before it returns, and may be called in any thread."""

    def __init__(self, file: Path, kept_max: int = KEPT_MAX) -> None:
        """Keep at most `kept_max` reports in this file; one that is no queue is put aside. Raises SpoolFault."""
        self._kept_max = kept_max
        self._lock = Lock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._base = _opened(file)
            except sqlite3.DatabaseError as fault:
                if isinstance(fault, sqlite3.OperationalError):
                    raise
                aside = file.with_name(file.name + ".broken")
                log.error("%s is no queue of reports (%s); it is put aside as %s", file, fault, aside.name)  # noqa: TRY400 - one line
                for ending in ("-wal", "-shm"):
                    file.with_name(file.name + ending).unlink(missing_ok=True)
                file.replace(aside)
                self._base = _opened(file)
        except (sqlite3.Error, OSError) as fault:
            raise SpoolFault(f"{file}: {fault}") from fault

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    def put(self, name: str, event: str, start_ms: int, end_ms: int, body: bytes, serial: int | None = None) -> None:
        """Keep a report (times in ms, the VTN's clock) unless one of its name is kept; raise SpoolFault."""
        with self._writing() as base:
            base.execute(
                "INSERT OR IGNORE INTO report(name, event, start_ms, end_ms, serial, body) VALUES (?, ?, ?, ?, ?, ?)",
                (name, event, start_ms, end_ms, serial, body),
            )
            (count,) = base.execute("SELECT count(*) FROM report").fetchone()
            if count > self._kept_max:
                self._drop(base, count - self._kept_max)

    def next(self) -> Kept | None:
        """Give the report that waits longest; raise SpoolFault."""
        with self._writing() as base:
            row = base.execute("SELECT place, event, serial, body FROM report ORDER BY place LIMIT 1").fetchone()
            return None if row is None else Kept(*row)

    def done(self, place: int) -> None:
        """Forget a report: it was acknowledged, or given up; raise SpoolFault."""
        with self._writing() as base:
            base.execute("DELETE FROM report WHERE place = ?", (place,))

    def gap(self) -> Gap | None:
        """Give reports that were dropped and that the VTN was not told of yet; raise SpoolFault."""
        with self._writing() as base:
            row = base.execute("SELECT event, start_ms, end_ms, dropped FROM gap ORDER BY start_ms LIMIT 1").fetchone()
            return None if row is None else Gap(*row)

    def told(self, gap: Gap) -> None:
        """Take it that the VTN was told of a gap; what was dropped since stays to be told. Raises SpoolFault."""
        with self._writing() as base:
            base.execute("DELETE FROM gap WHERE event = ? AND dropped = ?", (gap.event, gap.dropped))
            base.execute(
                "UPDATE gap SET start_ms = ?, dropped = dropped - ? WHERE event = ?",
                (gap.end_ms, gap.dropped, gap.event),
            )

    def __len__(self) -> int:
        """Count the reports that wait."""
        with self._writing() as base:
            (count,) = base.execute("SELECT count(*) FROM report").fetchone()
            return int(count)

    def _drop(self, base: sqlite3.Connection, count: int) -> None:
        """Drop the oldest readings; an answer is never dropped."""
        rows = base.execute(
            "SELECT place, event, start_ms, end_ms FROM report WHERE serial IS NULL ORDER BY place LIMIT ?", (count,)
        ).fetchall()
        for place, event, start_ms, end_ms in rows:
            base.execute("DELETE FROM report WHERE place = ?", (place,))
            base.execute(
                "INSERT INTO gap VALUES (?, ?, ?, 1) ON CONFLICT(event) DO UPDATE SET dropped = dropped + 1,"
                " start_ms = min(start_ms, excluded.start_ms), end_ms = max(end_ms, excluded.end_ms)",
                (event, start_ms, end_ms),
            )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with self._base:
                    yield self._base
            except sqlite3.Error as fault:
                raise SpoolFault(str(fault)) from fault


def _opened(file: Path) -> sqlite3.Connection:
    base = sqlite3.connect(file, check_same_thread=False)
    try:
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        with closing(base.executescript(TABLES)):
            pass
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            base.close()
        raise
    return base
