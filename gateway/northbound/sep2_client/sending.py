"""Sends bodies that are shown to a server, says of each what became of it, and gives up on a server that is down."""

from enum import Enum
from typing import Final, NamedTuple

from gateway.northbound.sep2_client.exchange import OK, Exchange, ServerDown, ServerFault
from gateway.northbound.sep2_client.said import Said
from gateway.wire.sep2 import Resource

NOT_FOUND: Final = 404
NOT_LET_IN: Final = (401, 403)
TROUBLES_MAX: Final = 3
"""After so many addresses that the server was too busy or too broken for, a round is given up."""


class Fate(Enum):
    """What became of a body: taken in, refused for good, sent to where nothing is, not writable, or not answered."""

    TAKEN = "taken"
    REFUSED = "refused"
    NOT_LET_IN = "not let in"
    GONE = "gone"
    UNWRITABLE = "unwritable"
    LATER = "later"


class Outcome(NamedTuple):
    """The fate of a body, and where the server put it."""

    fate: Fate
    location: str = ""


class Sender:
    """What is amiss with one server that is shown something, round by round."""

    def __init__(self, exchange: Exchange, said: Said) -> None:
        """Send by this exchange and say what is amiss."""
        self._exchange = exchange
        self._said = said
        self._troubles: dict[str, str] = {}
        self._before: dict[str, str] = {}

    def begin(self) -> None:
        """Begin a round."""
        self._before, self._troubles = self._troubles, {}

    def close(self) -> None:
        """End a round: an address that failed in two of them is said."""
        for href, trouble in self._troubles.items():
            if href in self._before:
                self._said.amiss(href, trouble)
        self._said.close()

    async def send(self, method: str, href: str, body: Resource, *, quiet: bool = False) -> Outcome:
        """Send a body; a refusal is said unless `quiet`. Raises ServerDown where the server fails again and again."""
        try:
            sent = await self._exchange.send(method, href, body)
        except ServerFault as fault:
            self._said.amiss(href, str(fault))
            return Outcome(Fate.UNWRITABLE)
        except ServerDown as fault:
            self._troubles[href] = str(fault)
            if len(self._troubles) > TROUBLES_MAX:
                raise
            return Outcome(Fate.LATER)
        if sent is None:
            return Outcome(Fate.LATER)
        if sent.status in OK:
            return Outcome(Fate.TAKEN, sent.location)
        if not quiet:
            self._said.amiss(href, f"{method} {href}: status {sent.status}; the server refuses what it is shown")
        if sent.status in NOT_LET_IN:
            return Outcome(Fate.NOT_LET_IN)
        return Outcome(Fate.GONE if sent.status == NOT_FOUND else Fate.REFUSED)
