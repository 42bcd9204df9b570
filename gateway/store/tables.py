"""The journal's file: its tables, how it is opened, and what is checked before anything in it is believed.

Source of the durability settings: SQLite, "Write-Ahead Logging" and "PRAGMA synchronous" (WAL with FULL syncs each
commit).
"""

import hashlib
import sqlite3
from pathlib import Path
from typing import Final

DATABASE: Final = "journal.sqlite"
APPLICATION_ID: Final = 0x4C474A31
CHECKPOINT_PAGES: Final = 8_192
"""How long (4 KiB each) the write-ahead log gets before a commit itself folds it in; retention does it long before."""
MIGRATIONS: Final = (
    """
    CREATE TABLE writers (
        id INTEGER PRIMARY KEY,
        version TEXT NOT NULL,
        shape BLOB NOT NULL
    );
    CREATE TABLE batches (
        first INTEGER PRIMARY KEY,
        last INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        writer INTEGER NOT NULL,
        gone INTEGER,
        digest BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE snapshots (
        after INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        writer INTEGER NOT NULL,
        digest BLOB NOT NULL,
        body BLOB NOT NULL
    );
    """,
)
"""One script for each step of `user_version`.

A batch holds the entries `first` to `last`, packed. `gone` is None while they are whole; once retention has been there
it is the number of events that were dropped, which declares the gap. A snapshot is the state after entry `after`.
"""


class JournalFault(Exception):  # noqa: N818 - "fault" is the word of this house for what is broken
    """The journal cannot be used; the message says in one line why, and what to do."""


def digest(kind: str, place: int, until: int, body: bytes) -> bytes:
    """Give the checksum of a row: of its body, and of where it belongs."""
    return hashlib.blake2b(b"%b %d %d\n%b" % (kind.encode(), place, until, body), digest_size=16).digest()


def open_for_writing(folder: Path) -> sqlite3.Connection:
    """Open the journal of a state folder, made and migrated where needed; raises JournalFault."""
    path = folder / DATABASE
    try:
        connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    except sqlite3.Error as fault:
        raise JournalFault(f"{path}: {fault}; check the folder and its permissions") from fault
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        _check(connection, path)
        _migrate(connection, path)
    except sqlite3.Error as fault:
        connection.close()
        raise _damaged(path, str(fault)) from fault
    except JournalFault:
        connection.close()
        raise
    return connection


def open_for_reading(folder: Path) -> sqlite3.Connection:
    """Open the journal of a state folder without writing to it, beside a running daemon or after it; JournalFault."""
    path = folder / DATABASE
    if not path.is_file():
        raise JournalFault(f"{folder}: no journal here; give the folder that the gateway runs with as --state")
    connection = None
    try:
        connection = _read_only(path)
        _check(connection, path)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as fault:
        raise _damaged(path, str(fault)) from fault
    if version < len(MIGRATIONS):
        raise JournalFault(f"{path}: in the older format {version}; run the gateway on it once to bring it up to date")
    return connection


def _read_only(path: Path) -> sqlite3.Connection:
    """Open read-only; where the folder cannot be written and the journal is at rest, as a file that never changes."""
    location = path.resolve().as_uri()
    connection = sqlite3.connect(f"{location}?mode=ro", uri=True, timeout=1.0, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(f"{DATABASE}-wal").exists():
            raise
        connection = sqlite3.connect(f"{location}?immutable=1", uri=True, isolation_level=None)
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    if found != ["ok"]:
        raise _damaged(path, " ".join(str(found[0]).split()))
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise JournalFault(f"{path}: an SQLite file of something else; give another folder as --state")
    if version > len(MIGRATIONS):
        raise JournalFault(
            f"{path}: in format {version}, this version reads up to {len(MIGRATIONS)}; run the version that wrote it"
        )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for step, script in enumerate(MIGRATIONS[version:], start=version + 1):
        pragmas = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {step};"
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script} {pragmas} COMMIT;")
        except sqlite3.Error as fault:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise JournalFault(f"{path}: cannot be brought to format {step}: {fault}; free some space first") from fault


def _damaged(path: Path, what: str) -> JournalFault:
    return JournalFault(f"{path}: cannot be read: {what}; restore the folder from a backup, or move it away")
