"""What is amiss with one party: each thing is said once while it lasts, and its end where that is worth a line."""

import logging
from typing import Final

log = logging.getLogger(__name__)

LINES_MAX: Final = 50
"""Lines of one round on what is amiss: a list of thousands of faulty items is one trouble, not thousands."""


class Said:
    """The log's memory; `close` ends a round, and what was not amiss in it is over."""

    def __init__(self, party: str) -> None:
        """Speak of this party."""
        self._party = party
        self._lasting: dict[str, str] = {}
        self._round: set[str] = set()
        self._lines = 0
        self._unsaid: set[str] = set()

    def say(self, text: str) -> None:
        """Say a text in one line, whatever a server has put into it."""
        log.warning("%s: %s", self._party, "".join(each if each.isprintable() else " " for each in text))

    def amiss(self, key: str, text: str, over: str = "") -> None:
        """Say a text unless its key is amiss already; `over` is what is said at its end, where anything is.

        What is too much for one round is counted, not said.
        """
        if key not in self._lasting:
            self._lines += 1
            if self._lines <= LINES_MAX:
                self.say(text)
            else:
                self._unsaid.add(key)
        self._lasting[key] = "" if key in self._unsaid else over
        self._round.add(key)

    def close(self) -> None:
        """End a round."""
        if self._lines > LINES_MAX:
            self.say(f"{self._lines - LINES_MAX} more things are amiss and not told one by one")
        self._lines = 0
        for key in [key for key in self._lasting if key not in self._round]:
            over = self._lasting.pop(key)
            self._unsaid.discard(key)
            if over:
                self.say(over)
        self._round.clear()
