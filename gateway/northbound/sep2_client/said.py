"""What is amiss with one party: each thing is said once while it lasts, and its end where that is worth a line."""

import logging

log = logging.getLogger(__name__)


class Said:
    """The log's memory; `close` ends a round, and what was not amiss in it is over."""

    def __init__(self, party: str) -> None:
        """Speak of this party."""
        self._party = party
        self._lasting: dict[str, str] = {}
        self._round: set[str] = set()

    def say(self, text: str) -> None:
        """Say a text."""
        log.warning("%s: %s", self._party, text)

    def amiss(self, key: str, text: str, over: str = "") -> None:
        """Say a text unless its key is amiss already; `over` is what is said at its end, where anything is."""
        if key not in self._lasting:
            self.say(text)
        self._lasting[key] = over
        self._round.add(key)

    def close(self) -> None:
        """End a round."""
        for key in [key for key in self._lasting if key not in self._round]:
            over = self._lasting.pop(key)
            if over:
                self.say(over)
        self._round.clear()
