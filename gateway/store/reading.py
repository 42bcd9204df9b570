"""Reading a journal: every row is held against its checksum before it is believed."""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeVar

from gateway.core.events import Event, Tell
from gateway.core.state import State
from gateway.store.codec import SHAPE, CodecFault, Shape, Unpacker, decode
from gateway.store.entries import Continued, Entry, Kept
from gateway.store.tables import JournalFault, digest, open_for_reading

T = TypeVar("T", Entry, Kept)
ROWS_AT_ONCE: Final = 500
WHOLE, KEPT, SNAPSHOT = "whole", "kept", "snapshot"


class Stored(NamedTuple):
    """A whole entry with its number, and the number of the program version that wrote it."""

    number: int
    writer: int
    entry: Entry


class Decided(NamedTuple):
    """An event as it was handled at `now_ms`, and all the records of what was decided on it."""

    now_ms: int
    event: Event
    tells: tuple[Tell, ...]


class Whole(NamedTuple):
    """A decided event with the numbers of the first and the last entry that hold it."""

    first: int
    last: int
    entry: Decided


class Snapshot(NamedTuple):
    """The state after the entry of the number `after`; the first entry has number 1."""

    after: int
    writer: int
    state: State


class Gap(NamedTuple):
    """Entries `first` to `last` were thinned by retention: `gone` of their events are no longer there."""

    first: int
    last: int
    gone: int


class Row(NamedTuple):
    """One batch as it lies in the table; `gone` is None while its entries are whole."""

    first: int
    last: int
    at_ms: int
    writer: int
    gone: int | None
    digest: bytes
    body: bytes

    @property
    def kind(self) -> str:
        """Say what the body holds."""
        return WHOLE if self.gone is None else KEPT


class Reader:
    """A journal that is only read."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        """Read over this connection; `name` is what faults call the journal."""
        self._connection = connection
        self._name = name
        self._unpackers: dict[int, Unpacker] = {}

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a state folder as it is now, beside a running daemon, which goes on; raises JournalFault.

        The picture is still until it is closed, whatever retention does meanwhile.
        """
        connection = open_for_reading(folder)
        connection.execute("BEGIN")
        reader = cls(connection, str(folder))
        reader.last_number()
        return reader

    def close(self) -> None:
        """Close the journal."""
        self._connection.close()

    def last_number(self) -> int:
        """Give the number of the last entry, 0 in an empty journal."""
        found = self._rows("SELECT last FROM batches ORDER BY first DESC LIMIT 1")
        return int(found[0][0]) if found else 0

    def first_whole(self) -> int:
        """Give the number of the first entry that retention has left whole, or the next to come."""
        thinned = self._rows("SELECT last FROM batches WHERE gone IS NOT NULL ORDER BY first DESC LIMIT 1")
        return int(thinned[0][0]) + 1 if thinned else 1

    def entries(self, since: int = 1) -> Iterator[tuple[int, Entry]]:
        """Yield the whole entries from number `since` on; raises JournalFault where one is missing or damaged."""
        for stored in self.stored(since):
            yield stored.number, stored.entry

    def stored(self, since: int = 1) -> Iterator[Stored]:
        """Yield the whole entries from number `since` on, with who wrote them."""
        for row in self.rows(since):
            if row.gone is not None:
                continue
            for number, entry in enumerate(self._unpacked(row, Entry), row.first):
                if number >= since:
                    yield Stored(number, row.writer, entry)

    def tells(self) -> Iterator[tuple[int, Tell]]:
        """Yield every record with the number of its entry, also of entries that retention has thinned."""
        for row in self.rows(1):
            if row.gone is None:
                found = [(number, entry.tells) for number, entry in enumerate(self._unpacked(row, Entry), row.first)]
            else:
                found = [(kept.number, kept.tells) for kept in self._unpacked(row, Kept)]
            for number, tells in found:
                for tell in tells:
                    yield number, tell

    def kept(self) -> Iterator[Kept]:
        """Yield what retention has left of the entries that it thinned."""
        for row in self.rows(1):
            if row.gone is None:
                return
            yield from self._unpacked(row, Kept)

    def gaps(self) -> Iterator[Gap]:
        """Yield the gaps that retention has declared, the oldest first."""
        yield from map(Gap._make, self._rows("SELECT first, last, gone FROM batches WHERE gone > 0 ORDER BY first"))

    def snapshots_back(self) -> Iterator[Snapshot]:
        """Yield the good snapshots, the latest first; damaged ones are passed over."""
        for (after,) in self._rows("SELECT after FROM snapshots ORDER BY after DESC"):
            found = self._snapshot(after)
            if found is not None:
                yield found

    def snapshot_from(self, after: int) -> Snapshot | None:
        """Give the first good snapshot at or after the entry of the number `after`."""
        for (place,) in self._rows("SELECT after FROM snapshots WHERE after >= ? ORDER BY after", after):
            found = self._snapshot(place)
            if found is not None:
                return found
        return None

    def rows(self, since: int) -> Iterator[Row]:
        """Yield the rows from the one that holds `since` on; raises JournalFault where one is missing or damaged."""
        holding = self._rows("SELECT first FROM batches WHERE first <= ? ORDER BY first DESC LIMIT 1", since)
        expected = place = holding[0][0] if holding else 1
        while True:
            rows = self._rows(
                "SELECT first, last, at_ms, writer, gone, digest, body FROM batches"
                " WHERE first >= ? ORDER BY first LIMIT ?",
                place,
                ROWS_AT_ONCE,
            )
            for row in map(Row._make, rows):
                if row.first != expected:
                    raise JournalFault(
                        f"{self._name}: entries {expected} to {row.first - 1} are missing; restore it from a backup"
                    )
                if digest(row.kind, row.first, row.last, row.body) != row.digest:
                    raise self._damaged(row, "its checksum does not fit")
                yield row
                expected = place = row.last + 1
            if len(rows) < ROWS_AT_ONCE:
                return

    def _snapshot(self, after: int) -> Snapshot | None:
        rows = self._rows("SELECT writer, digest, body FROM snapshots WHERE after = ?", after)
        if not rows:
            return None
        writer, checksum, body = rows[0]
        if digest(SNAPSHOT, after, after, body) != checksum:
            return None
        try:
            return Snapshot(after, writer, self._unpacker(writer).unpack_shared(zlib.decompress(body), State))
        except (CodecFault, zlib.error):
            return None

    def _rows(self, query: str, *places: int) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, places).fetchall()
        except sqlite3.Error as fault:
            raise JournalFault(f"{self._name}: cannot be read: {fault}; restore it from a backup") from fault

    def _unpacker(self, writer: int) -> Unpacker:
        found = self._unpackers.get(writer)
        if found is None:
            found = self._unpackers[writer] = Unpacker(self._shape(writer))
        return found

    def _shape(self, writer: int) -> Shape:
        rows = self._rows("SELECT shape FROM writers WHERE id = ?", writer)
        found = decode(rows[0][0]) if rows else None
        if not isinstance(found, dict):
            raise JournalFault(f"{self._name}: what writer {writer} wrote cannot be read; restore it from a backup")
        shape = {str(name): tuple(map(str, fields)) for name, fields in found.items()}
        return SHAPE if shape == SHAPE else shape

    def _unpacked(self, row: Row, kind: type[T]) -> list[T]:
        try:
            found: tuple[object, ...] = self._unpacker(row.writer).unpack(row.body, tuple)
        except CodecFault as fault:
            raise self._damaged(row, str(fault)) from fault
        kept = [each for each in found if isinstance(each, kind)]
        if len(kept) != len(found):
            raise self._damaged(row, f"not all of them are {kind.__name__}")
        return kept

    def _damaged(self, row: Row, what: str) -> JournalFault:
        return JournalFault(
            f"{self._name}: entries {row.first} to {row.last} cannot be read: {what}; restore it from a backup"
        )


def whole(run: Iterable[Stored]) -> Iterator[Whole]:
    """Put what was committed in parts together again."""
    held: Whole | None = None
    for stored in run:
        entry = stored.entry
        if isinstance(entry.event, Continued):
            if held is not None:
                told = held.entry.tells + entry.tells
                held = Whole(held.first, stored.number, Decided(held.entry.now_ms, held.entry.event, told))
            continue
        if held is not None:
            yield held
        held = Whole(stored.number, stored.number, Decided(entry.now_ms, entry.event, entry.tells))
    if held is not None:
        yield held
