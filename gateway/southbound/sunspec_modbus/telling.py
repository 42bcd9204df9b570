"""Writes one after another; the first that is refused ends them."""

import time
from collections.abc import Callable, Sequence

from gateway.southbound.sunspec_modbus.connection import Door, Reply
from gateway.southbound.sunspec_modbus.points import Step


class Telling:
    """Tells a device what is to be told, in order, and then calls `done`."""

    def __init__(self, done: Callable[[], None]) -> None:
        """Have nothing to tell."""
        self._done = done
        self._door: Door | None = None
        self._steps: list[Step] = []
        self.refused = ""
        self.taken_at = 0.0

    def forget(self) -> None:
        """Tell nothing of what is left, and know of no refusal and no write that was taken (monotonic s)."""
        self._door, self._steps, self.refused, self.taken_at = None, [], "", 0.0

    def begin(self, door: Door | None, steps: Sequence[Step]) -> None:
        """Tell these, instead of what is left of others."""
        self._door, self._steps, self.refused = door, list(steps), ""
        self._step()

    def _step(self) -> None:
        if not self._steps:
            self._done()
            return
        address, octets = self._steps.pop(0)
        if self._door is not None and not self._door.write(address, octets, self._stepped):
            self._steps.clear()

    def _stepped(self, answer: Reply) -> None:
        if isinstance(answer, bytes):
            self.taken_at = time.monotonic()
        else:
            self._steps.clear()
            self.refused = f"exception {answer.code} ({answer.name}) to a write"
        self._step()
