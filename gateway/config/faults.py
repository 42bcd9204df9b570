"""What is wrong with a site file: one line each, with the place and what to do next."""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.config.lines import Lines, Path


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a site file or of one that it names; in one line, `site.toml:9: device "roof": unknown key ...`."""

    file: str
    line: int
    where: str
    what: str

    def __str__(self) -> str:
        """The line to print."""
        return f"{self.file}:{self.line}: {self.where}: {self.what}"


class Faults:
    """The faults of one text, gathered while it is read."""

    def __init__(self, file: str, lines: Lines) -> None:
        self._file = file
        self._lines = lines
        self._found: list[Fault] = []
        self._warned: list[Fault] = []

    def add(self, path: Path, where: str, what: str) -> None:
        """Note a fault at the line of `path`."""
        self._found.append(Fault(self._file, self._lines.of(path), where, what))

    def warn(self, path: Path, where: str, what: str) -> None:
        """Note what is no fault and yet hardly meant, at the line of `path`."""
        self._warned.append(Fault(self._file, self._lines.of(path), where, what))

    def add_of(self, other: Fault) -> None:
        """Note a fault of a file that this one names, where it stands there."""
        self._found.append(other)

    def line_of(self, path: Path) -> int:
        """Give the line of `path`, to name it in a fault of another place."""
        return self._lines.of(path)

    def in_order(self) -> tuple[Fault, ...]:
        """Give all faults, by line."""
        return tuple(sorted(self._found, key=lambda fault: fault.line))

    def warnings(self) -> tuple[Fault, ...]:
        """Give all warnings, by line."""
        return tuple(sorted(self._warned, key=lambda fault: fault.line))


def quoted(text: str) -> str:
    """Give a text in double quotes and on one line."""
    return json.dumps(text, ensure_ascii=False)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Give the known word that was probably meant."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant, or else which there are."""
    known = list(known)
    meant = nearest(word, known)
    if meant is not None:
        return f"did you mean {quoted(meant)}?"
    if not known:
        return "there is none"
    return f"known: {', '.join(quoted(other) for other in known)}"
