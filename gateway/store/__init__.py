"""What must outlive the process: events, decisions and snapshots on disk before any effect leaves (DESIGN 3, 4)."""

from gateway.store.codec import CodecFault
from gateway.store.entries import Entry, Kept




__all__ = ["CodecFault", "Entry", "Gap", "Journal", "JournalFault", "Kept", "Reader", "Recovered", "Stored"]
