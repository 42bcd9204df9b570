"""Whether another codec kept all that a value of ours holds."""

from collections.abc import Collection
from dataclasses import fields, is_dataclass


def lost(ours: object, theirs: object, gaps: Collection[tuple[str, str]] = (), where: str = "") -> list[str]:
    """Name what of ours is not there, or is another.

    What they add where we have nothing is a default of theirs. Hex may change its case, and line ends their kind;
    `gaps` are classes and fields that they are known to lack.
    """
    if isinstance(ours, tuple) and isinstance(theirs, tuple) and len(ours) == len(theirs):
        return [each for pair in zip(ours, theirs, strict=True) for each in lost(*pair, gaps, where)]
    if is_dataclass(ours) and type(ours) is type(theirs):
        held = [(type(ours).__name__, field.name) for field in fields(ours)]
        return [
            each
            for kind, name in held
            if (kind, name) not in gaps
            for each in lost(getattr(ours, name), getattr(theirs, name), gaps, f"{where}/{kind}.{name}")
        ]
    if isinstance(ours, str):
        same = isinstance(theirs, str | None) and ours.lower().split() == (theirs or "").lower().split()
    else:
        same = ours is None or ours == theirs
    return [] if same else [f"{where}: {ours!r}"]
