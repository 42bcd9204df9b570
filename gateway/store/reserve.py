"""What the state folder is held with: a lock for the one writer, and disk space set aside for a full disk."""

import fcntl
import os
from pathlib import Path
from typing import Final

from gateway.store.tables import JournalFault

LOCK: Final = "journal.lock"
RESERVE: Final = "reserve"
RESERVE_BYTES: Final = 16 << 20


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder onto the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


class Lock:
    """Holds the folder for one process, until it is let go or the process ends."""

    def __init__(self, folder: Path) -> None:
        """Take the lock; raises JournalFault where another process has it."""
        path = folder / LOCK
        self._opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            holder = os.read(self._opened, 20).decode(errors="replace").strip() or "unknown"
            os.close(self._opened)
            raise JournalFault(
                f"{folder}: in use by process {holder}; stop it, or give another folder as --state"
            ) from fault
        os.ftruncate(self._opened, 0)
        os.pwrite(self._opened, b"%d\n" % os.getpid(), 0)

    def let_go(self) -> None:
        """Let another process have the folder."""
        os.close(self._opened)


class Reserve:
    """Space on the disk that is given up when the disk is full, so that limits can still be enforced."""

    def __init__(self, folder: Path, size: int = RESERVE_BYTES) -> None:
        """Set the space aside where there is room for it."""
        self._path = folder / RESERVE
        self._folder = folder
        self._size = size
        self.spent = False
        self.take()

    def take(self) -> None:
        """Set the space aside, also again once the disk has room for it and as much again."""
        if self._path.exists() and self._path.stat().st_blocks * 512 >= self._size:
            self.spent = False
            return
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < 2 * self._size:
            self.spent = True
            return
        opened = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(opened, 0, self._size)
            self.spent = False
        except OSError:
            self._path.unlink()
            self.spent = True
        finally:
            os.close(opened)

    def give_up(self) -> bool:
        """Give the space to whoever needs it; tells whether there was any."""
        self.spent = True
        if not self._path.exists():
            return False
        self._path.unlink()
        sync_folder(self._folder)
        return True
