"""What is amiss with one VTN: a line when it begins, one when it is over, none in between."""

import logging

log = logging.getLogger(__name__)


class Said:
    """Remembers what was said; what a round does not find amiss again is over."""

    def __init__(self, party: str) -> None:
        """Speak of this party."""
        self._party = party
        self._lasting: dict[str, str] = {}
        self._found: set[str] = set()

    def say(self, text: str) -> None:
        """Say a text."""
        log.warning("%s: %s", self._party, text)

    def amiss(self, key: str, text: str, over: str = "") -> None:
        """Say a text where its key is not amiss yet; `over` is said at its end, where anything is."""
        if key not in self._lasting:
            self.say(text)
        self._lasting[key] = over
        self._found.add(key)

    def over(self, key: str) -> None:
        """Say the end of what was amiss."""
        text = self._lasting.pop(key, "")
        self._found.discard(key)
        if text:
            self.say(text)

    def close(self) -> None:
        """End a round."""
        for key in [key for key in self._lasting if key not in self._found]:
            self.over(key)
        self._found.clear()
