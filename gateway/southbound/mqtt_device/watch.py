"""Watching what command a device holds: one that neither it nor this gateway put there is a foreign hand (RULES A7)."""

from gateway.wire.mqtt import Settings, State


class Watch:
    """Knows what this start of the gateway sent, and the last strange thing that was told of.

    A command of an earlier start is no foreign hand: nothing is judged before the device took one of this start.
    """

    def __init__(self, run: str) -> None:
        """Hold nothing yet; the ids of this start begin with `run`."""
        self._ours = f"{run}-"
        self._taken = False
        self._holds = False
        self._told: tuple[str | None, Settings | None] | None = None

    def forget(self) -> None:
        """Expect something else: the device is to be told something new, or has started anew."""
        self._holds = False

    def lose(self) -> None:
        """Know nothing of the device: it is out of reach and may have started anew meanwhile."""
        self._holds, self._told = False, None

    def keep(self) -> None:
        """Know that the device holds what it was sent."""
        self._taken = self._holds = True
        self._told = None

    def foreign(self, state: State, sent_id: str) -> bool:
        """Tell, once for each, whether what a device holds was put there by somebody else.

        Our own commands and the device's own timer are not.
        """
        found = (state.command_id, state.settings)
        if not self._strange(state, sent_id) or found == self._told:
            return False
        self._told = found
        return True

    def _strange(self, state: State, sent_id: str) -> bool:
        if state.command_id is None:
            return self._holds
        if not state.command_id.startswith(self._ours):
            return self._taken
        return self._holds and not state.reverted and state.command_id == sent_id
