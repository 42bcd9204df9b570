"""Retention: what a snapshot has overtaken and is old, or too much, is thinned to its records (DESIGN 4, State).

A run of whole rows becomes one row that keeps every record of a decision and what the parties said, and counts the
events that are gone. Nothing is thinned that the last two snapshots need, and always up to a snapshot, so that a
replay can start behind the gap.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.store.codec import TUPLE, Tree, decode, encode
from gateway.store.entries import SPOKEN, Kept
from gateway.store.reading import KEPT, Reader, Row
from gateway.store.tables import digest

KEEP_MS: Final = 24 * 3_600_000
KEEP_BYTES: Final = 1 << 30
KEPT_BODY_BYTES: Final = 64 << 10
_SPOKEN: Final = frozenset(kind.__name__ for kind in SPOKEN)
_NO_TELLS: Final[Tree] = [TUPLE]


class Thinned(NamedTuple):
    """What became of one run of rows: the packed remains, and how many events are gone."""

    body: bytes
    gone: int


def border(connection: sqlite3.Connection, first_whole: int, now_ms: int, keep_ms: int, keep_bytes: int) -> int:
    """Give the last entry that may be thinned now, or 0: at a snapshot, with another one after it."""
    places = [
        (after, at_ms)
        for after, at_ms in connection.execute(
            "SELECT after, at_ms FROM snapshots WHERE after >= ? ORDER BY after", (first_whole,)
        )
    ][:-1]
    old = [after for after, at_ms in places if at_ms <= now_ms - keep_ms]
    if old:
        return int(old[-1])
    if places and used_bytes(connection) > keep_bytes:
        return int(places[0][0])
    return 0


def used_bytes(connection: sqlite3.Connection) -> int:
    """Give how much of the database is in use."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def thin(connection: sqlite3.Connection, reader: Reader, until: int, rows: int) -> int:
    """Thin up to `rows` whole rows, none past the entry `until`, in one transaction; gives how many."""
    first = reader.first_whole()
    run: list[Row] = []
    for row in reader.rows(first):
        if row.last > until or len(run) == rows or (run and row.writer != run[0].writer):
            break
        run.append(row)
    if not run:
        return 0
    before = _mergeable(reader, first, run[0].writer)
    old = [before] if before else []
    thinned = _thinned([*old, *run])
    start, last, at_ms, writer = (old or run)[0].first, run[-1].last, run[-1].at_ms, run[0].writer
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("DELETE FROM batches WHERE first BETWEEN ? AND ?", (start, last))
        connection.execute(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?)",
            (start, last, at_ms, writer, thinned.gone, digest(KEPT, start, last, thinned.body), thinned.body),
        )
        connection.execute("DELETE FROM snapshots WHERE after < ?", (last,))
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return len(run)


def _mergeable(reader: Reader, first_whole: int, writer: int) -> Row | None:
    """Give the thinned row before the first whole one, while it is small enough to take more."""
    if first_whole == 1:
        return None
    row = next(iter(reader.rows(first_whole - 1)))
    return row if row.writer == writer and len(row.body) < KEPT_BODY_BYTES else None


def _thinned(rows: Iterable[Row]) -> Thinned:
    """Thin the rows as trees, which are never turned into values."""
    remains: list[Tree] = []
    gone = 0
    for row in rows:
        found = decode(row.body)
        entries = found[1:] if isinstance(found, list) else []
        if row.gone is not None:
            remains.extend(entries)
            gone += row.gone
            continue
        for number, (_tag, now_ms, event, tells) in enumerate(entries, row.first):
            spoken = event[0] in _SPOKEN
            gone += not spoken
            if spoken or tells != _NO_TELLS:
                remains.append([Kept.__name__, number, now_ms, event if spoken else None, tells])
    return Thinned(encode([TUPLE, *remains]), gone)
