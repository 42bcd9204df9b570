"""The deny-list: whom nobody here speaks with any more, by the LFDI of a device or of the authority above it.

Certificates of IEEE 2030.5 have neither an end nor a revocation service (2018, 6.11), so revoking is done here.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

from gateway.pki import PkiFault, files, identity

FILE: Final = "denied.txt"
_HEAD: Final = (
    "# LFDI, then why; of a device or an authority. Change it with gateway certs deny and gateway certs allow.\n"
)
_NOTE_MAX: Final = 120


class DenyList(NamedTuple):
    """LFDIs and why each is denied."""

    notes: Mapping[str, str] = {}

    @classmethod
    def read(cls, path: Path, *, must_exist: bool = False) -> Self:
        """Read a list; one that was never made denies nobody, unless it `must_exist`.

        Raises PkiFault, which names the line, where it cannot be read whole: a list read in part lets in whom it names.
        """
        if not path.exists():
            if must_exist:
                raise PkiFault(f"deny-list {path}: is gone; put it back, and change it with gateway certs allow")
            return cls()
        notes: dict[str, str] = {}
        text = files.read_bytes(path, "deny-list").decode(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            lfdi, _, note = line.strip().partition(" ")
            if not lfdi or lfdi.startswith("#"):
                continue
            try:
                notes[identity.parse_lfdi(lfdi)] = note.strip()
            except ValueError as fault:
                raise PkiFault(f"deny-list {path}: line {number}: {fault}; correct the line or remove it") from fault
        return cls(notes)

    def write(self, path: Path) -> None:
        """Write the list whole; raises PkiFault where that cannot be."""
        lines = [f"{lfdi} {note}".rstrip() + "\n" for lfdi, note in sorted(self.notes.items())]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_whole(path, (_HEAD + "".join(lines)).encode(), files.READABLE)
        except OSError as fault:
            raise PkiFault(f"deny-list {path}: cannot be written ({fault.strerror}); choose another folder") from fault

    def with_one(self, lfdi: str, note: str) -> "DenyList":
        """Give the list with one more; a note is kept to one line."""
        plain = " ".join(note.split())[:_NOTE_MAX]
        return DenyList({**self.notes, identity.parse_lfdi(lfdi): plain})

    def without(self, lfdi: str) -> "DenyList":
        """Give the list with one less."""
        gone = identity.parse_lfdi(lfdi)
        return DenyList({kept: note for kept, note in self.notes.items() if kept != gone})

    def why(self, chain: Iterable[bytes]) -> str | None:
        """Give why a peer is denied, who shows this chain (DER, leaf first); None where nobody in it is."""
        for depth, der in enumerate(chain):
            lfdi = identity.lfdi(der)
            if lfdi in self.notes:
                note = f" ({self.notes[lfdi]})" if self.notes[lfdi] else ""
                return f"its authority {lfdi} is denied{note}" if depth else f"it is denied{note}"
        return None
