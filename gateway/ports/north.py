"""The port to the tier above: it hears events, is owed answers, and is shown the picture of the domain."""

from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

from gateway.core.aggregate import Picture, Total
from gateway.core.alarms import Notice
from gateway.core.answers import Answer
from gateway.core.events import Event

__all__ = ["LOCAL", "AlarmLink", "Answer", "Hear", "LocalInbox", "Look", "NorthLink", "Notice", "Picture", "Total"]

Hear = Callable[[Event], None]
"""Hands an event to the deciding loop, in the order of the calls; to be called in the loop's thread."""

Look = Callable[[], Picture]
"""Gives the picture of the domain as it is now."""


LOCAL: Final = "local api"
"""Where the answers go of an order that came over the local API; no server can be replied to there."""


class LocalInbox(Protocol):
    """Keeps the answers that parties on this machine fetch."""

    def owe(self, answer: Answer) -> None:
        """Keep this answer until it was fetched; then `Delivered` is heard."""


class NorthLink(Protocol):
    """One connection to a party above."""

    @property
    def party(self) -> str:
        """The party that this link speaks with."""

    async def run(self) -> None:
        """Speak with the party until cancelled; trouble with it is survived, logged once and recovered from."""

    def owe(self, answer: Answer) -> None:
        """Send this answer until it is acknowledged; then `Delivered` is heard."""


@runtime_checkable
class AlarmLink(NorthLink, Protocol):
    """A link whose protocol has a place for alarms; a notice for any other is done with at once."""

    def report(self, notice: Notice) -> None:
        """Send this notice until it is taken in, or never can be; then `Reported` is heard."""
