"""A reading is known, or it is unknown for a reason: it is never silently zero."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """A value that was read, and when (ms)."""

    value: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """No value, why, and since when (ms)."""

    why: str
    since_ms: int


Reading = Known | Unknown
