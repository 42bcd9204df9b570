"""The site file, read from disk and checked."""

from collections.abc import Mapping
from pathlib import Path

from gateway.config.check import Checked, check
from gateway.config.faults import Fault
from gateway.config.tables import TableSpec


def load(path: Path, tables: Mapping[str, TableSpec]) -> Checked:
    """Read and check the site file at `path`; a file that cannot be read is a fault too, and nothing is raised."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return _unreadable(path, 1, f"cannot be read: {error.strerror}")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return _unreadable(path, content.count(b"\n", 0, error.start) + 1, "not UTF-8; save it in that encoding")
    return check(text, str(path), tables)


def _unreadable(path: Path, line: int, what: str) -> Checked:
    return Checked(None, (Fault(str(path), line, "site", what),))
