"""What must outlive the process: events, decisions and snapshots on disk before any effect leaves (DESIGN 3, 4)."""

from gateway.store.codec import CodecFault
from gateway.store.entries import Entry, Kept
from gateway.store.journal import Journal, Recovered
from gateway.store.reading import Gap, Reader, Snapshot, Stored
from gateway.store.tables import JournalFault

__all__ = [
    "CodecFault",
    "Entry",
    "Gap",
    "Journal",
    "JournalFault",
    "Kept",
    "Reader",
    "Recovered",
    "Snapshot",
    "Stored",
]
