"""The journal: each event and its decision are on disk before any effect leaves; snapshots make a start short.

One statement, one packed row and one sync carry a whole batch of entries (group commit), on the deciding thread.
"""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple, Self

from gateway.core.state import State
from gateway.store import retention
from gateway.store.codec import SHAPE, encode, join, pack, pack_shared
from gateway.store.entries import Entry
from gateway.store.reading import SNAPSHOT, WHOLE, Decided, Reader, whole
from gateway.store.reserve import RESERVE_BYTES, Lock, Reserve, sync_folder
from gateway.store.tables import JournalFault, digest, open_for_writing

ROWS_A_PRUNE: Final = 500
_INSERT: Final = "INSERT INTO batches VALUES (?, ?, ?, ?, NULL, ?, ?)"


class Recovered(NamedTuple):
    """Where the last process left off: the latest good snapshot, and every entry after it.

    `upgraded` tells that another version wrote the last of it: take a snapshot at once when the tail is handled, so
    that no old input is ever decided again.
    """

    state: State | None
    tail: list[Decided]
    upgraded: bool = False


class Journal:
    """The journal of a state folder, open for its one writer."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: Lock, reserve: Reserve) -> None:
        """Write over this connection while the lock is held; `open` makes all of it."""
        self._name = str(folder)
        self._connection = connection
        self._lock = lock
        self._reserve = reserve
        self._reader = Reader(connection, self._name)
        self._next = self._reader.last_number() + 1
        self._writer = 0

    @classmethod
    def open(cls, folder: Path, *, version: str | None = None, reserve_bytes: int = RESERVE_BYTES) -> Self:
        """Open a state folder, made where it is missing, and check it; raises JournalFault in one line.

        `version` names the program that writes, `reserve_bytes` is the space set aside for a full disk.
        """
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, mode=0o700)
                sync_folder(folder.parent)
            lock = Lock(folder)
        except OSError as fault:
            raise JournalFault(f"{folder}: {fault.strerror}; check the folder and its permissions") from fault
        try:
            reserve = Reserve(folder, reserve_bytes)
            connection = open_for_writing(folder)
            sync_folder(folder)
            journal = cls(folder, connection, lock, reserve)
            journal._sign(version or metadata.version("laminar-gateway"))
        except BaseException:
            lock.let_go()
            raise
        return journal

    @property
    def reserve_spent(self) -> bool:
        """Tell whether the disk is so full that the reserve is gone; store only what limits need then."""
        return self._reserve.spent

    @property
    def last_number(self) -> int:
        """Give the number of the last entry, 0 in an empty journal."""
        return self._next - 1

    def commit(self, entries: Sequence[Entry]) -> None:
        """Bring a batch of entries onto the disk; raises JournalFault where even the reserve did not make room."""
        self.commit_packed([pack(entry) for entry in entries], entries[-1].now_ms if entries else 0)

    def commit_packed(self, packed: Sequence[bytes], now_ms: int) -> None:
        """Bring entries, each as `pack` gives it and the last of `now_ms`, onto the disk as `commit` does.

        Whoever packs each as it comes holds nothing up for long.
        """
        if not packed:
            return
        first, last = self._next, self._next + len(packed) - 1
        body = join(packed)
        row = (first, last, now_ms, self._writer, digest(WHOLE, first, last, body), body)
        self._write(_INSERT, row)
        self._next = last + 1

    def snapshot(self, state: State) -> None:
        """Store the state as it is after the last entry that was committed; raises JournalFault."""
        after = self.last_number
        body = zlib.compress(pack_shared(state), level=1)
        self._write(
            "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)",
            (after, state.now_ms, self._writer, digest(SNAPSHOT, after, after, body), body),
        )

    def recover(self) -> Recovered:
        """Give what to start from; raises JournalFault where neither a snapshot nor the first entry leads to now."""
        start = next(self._reader.snapshots_back(), None)
        after = start.after if start else 0
        if after + 1 < self._reader.first_whole():
            raise JournalFault(f"{self._name}: no good snapshot is left; restore the folder from a backup")
        stored = list(self._reader.stored(after + 1))
        writers = [*([start.writer] if start else []), *(each.writer for each in stored)]
        return Recovered(
            start.state if start else None,
            [each.entry for each in whole(stored)],
            upgraded=any(writer != self._writer for writer in writers),
        )

    def entries(self, since: int = 1) -> Iterator[tuple[int, Entry]]:
        """Yield the whole entries from number `since` on, with their numbers, which start at 1."""
        return self._reader.entries(since)

    def prune(self, now_ms: int, *, keep_ms: int = retention.KEEP_MS, keep_bytes: int = retention.KEEP_BYTES) -> int:
        """Thin a slice of what is old or too much, and set the reserve aside again where there is room.

        Gives how many rows were thinned; call it now and then, and again soon while it gives any. It also folds the
        write-ahead log into the database, so that no commit has to.
        """
        if self._reserve.spent:
            self._reserve.take()
        try:
            until = retention.border(self._connection, self._reader.first_whole(), now_ms, keep_ms, keep_bytes)
            thinned = retention.thin(self._connection, self._reader, until, ROWS_A_PRUNE) if until else 0
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as fault:
            raise self._fault(fault) from fault
        return thinned

    def close(self) -> None:
        """Close the journal and let another process have the folder."""
        self._connection.close()
        self._lock.let_go()

    def _sign(self, version: str) -> None:
        """Note which version writes from now on, and what fields its values have."""
        shape = encode({name: list(fields) for name, fields in SHAPE.items()})
        found = self._connection.execute(
            "SELECT id FROM writers WHERE version = ? AND shape = ?", (version, shape)
        ).fetchone()
        if found is None:
            self._write("INSERT INTO writers (version, shape) VALUES (?, ?)", (version, shape))
            found = self._connection.execute("SELECT max(id) FROM writers").fetchone()
        self._writer = int(found[0])

    def _write(self, statement: str, row: tuple[object, ...]) -> None:
        try:
            self._connection.execute(statement, row)
        except sqlite3.OperationalError as fault:
            if not (_is_full(fault) and self._reserve.give_up()):
                raise self._fault(fault) from fault
            try:
                self._connection.execute(statement, row)
            except sqlite3.Error as again:
                raise self._fault(again) from again
        except sqlite3.Error as fault:
            raise self._fault(fault) from fault

    def _fault(self, fault: sqlite3.Error) -> JournalFault:
        if isinstance(fault, sqlite3.OperationalError) and _is_full(fault):
            return JournalFault(f"{self._name}: the disk is full and so is the reserve; free some space")
        return JournalFault(f"{self._name}: cannot be written: {fault}; check the disk and the folder's permissions")


def _is_full(fault: sqlite3.OperationalError) -> bool:
    return fault.sqlite_errorcode in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
