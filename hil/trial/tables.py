"""What every table of a scenario file has in common."""

from collections.abc import Collection, Iterable

import msgspec


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """A table of the file; a key that it does not know is an error."""


def demand_known(kind: str, name: str, known: Iterable[str] | Collection[str]) -> None:
    """Raise ValueError when a name is none of those that are known."""
    names = list(known)
    if name not in names:
        raise ValueError(f'{kind} "{name}" is not in the scenario; it has {", ".join(names) or "none"}')
