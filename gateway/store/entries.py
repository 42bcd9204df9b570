"""The units of the journal: an event with what was decided on it, and what is left of one once it is old."""

from typing import NamedTuple

from gateway.core.events import (
    Assigned,
    Coloured,
    CommitmentEnded,
    CommitmentHeard,
    DefaultHeard,
    Event,
    NetworkChanged,
    OfferHeard,
    OfferWithdrawn,
    OrderHeard,
    OrderUnreadable,
    Tell,
    Withdrawn,
)


class Continued(NamedTuple):
    """Stands for the event of the entry before: what follows was decided on it too, and committed after its writes."""


class Entry(NamedTuple):
    """One event as it was handled at `now_ms`, and the records of what was decided on it."""

    now_ms: int
    event: Event | Continued
    tells: tuple[Tell, ...]


class Kept(NamedTuple):
    """What outlives retention of the entry of this number: its records, and its event where a party spoke."""

    number: int
    now_ms: int
    event: Event | Continued | None
    tells: tuple[Tell, ...]


SPOKEN = (
    Assigned,
    OrderHeard,
    OrderUnreadable,
    Withdrawn,
    DefaultHeard,
    Coloured,
    NetworkChanged,
    CommitmentHeard,
    CommitmentEnded,
    OfferHeard,
    OfferWithdrawn,
)
"""What parties say is never dropped; readings, links, ticks and receipts are, and their records stay."""
