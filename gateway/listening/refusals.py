"""What a listener refused: every time counted by its reason, each thing said once."""

import logging
from collections import Counter
from enum import StrEnum
from typing import Final

SAID_MAX: Final = 512
LINE_MAX: Final = 200


class Reason(StrEnum):
    """Why somebody was refused; the words stand in the metrics."""

    SLOW_HANDSHAKE = "slow handshake"
    HANDSHAKE = "handshake"
    CERTIFICATE = "certificate"
    SLOW_HEADER = "slow header"
    LONG_HEADER = "long header"
    SLOW_BODY = "slow body"
    LONG_BODY = "long body"
    SLOW_ANSWER = "slow answer"
    CONNECTIONS = "connections"
    CONNECTIONS_OF_PEER = "connections of one peer"
    IN_FLIGHT = "in flight"
    UNKNOWN = "unknown peer"
    DENIED = "denied"
    MEDIA = "media type"
    REQUEST = "request"


class Refusals:
    """Counts refusals by their reason, and tells people of each thing once, again only after many others."""

    def __init__(self, log: logging.Logger) -> None:
        """Tell people by this logger."""
        self.counts: Counter[str] = Counter()
        self._log = log
        self._said: set[str] = set()

    def note(self, reason: Reason, text: str, key: str | None = None) -> None:
        """Count one, and say it in one line; what has the same `key` (by default the text) is said once."""
        self.counts[reason] += 1
        self.say(text, key)

    def say(self, text: str, key: str | None = None) -> None:
        """Say something once."""
        known = text if key is None else key
        if len(self._said) >= SAID_MAX:
            self._said.clear()
        if known not in self._said:
            self._said.add(known)
            self._log.warning("%s", text)


def one_line(text: object) -> str:
    """Give a text that came from outside as it may stand in a line of a log or a status: ASCII, and not long."""
    return ascii(str(text))[1:-1][:LINE_MAX]
