"""What must outlive the process: events, decisions and snapshots on disk before any effect leaves (DESIGN 3, 4)."""

from gateway.store.codec import CodecFault, pack
from gateway.store.entries import Continued, Entry, Kept
from gateway.store.journal import Journal, Recovered
from gateway.store.reading import Decided, Gap, Reader, Snapshot, Stored, Whole, whole
from gateway.store.tables import JournalFault

__all__ = [
    "CodecFault",
    "Continued",
    "Decided",
    "Entry",
    "Gap",
    "Journal",
    "JournalFault",
    "Kept",
    "Reader",
    "Recovered",
    "Snapshot",
    "Stored",
    "Whole",
    "pack",
    "whole",
]
