"""The answers to orders that came over the local API: kept until their issuer has fetched the last of them."""

from collections import deque
from collections.abc import Callable
from typing import Final

from gateway.core.answers import Answer
from gateway.core.events import Delivered
from gateway.core.orders import OrderKey
from gateway.ports.north import Hear

UNFETCHED_MS: Final = 24 * 3_600_000
"""After this time an answer counts as delivered though nobody came for it: the journal has it."""
FETCHED_ORDERS: Final = 1_000
"""Of so many orders the answers can be read again after the last of them was fetched."""


class Inbox:
    """What is in it and not fetched lives in the machine's state, and is here again after a restart."""

    def __init__(self, hear: Hear, now_ms: Callable[[], int]) -> None:
        """Hand in here what was delivered."""
        self._hear = hear
        self._now_ms = now_ms
        self._answers: dict[OrderKey, dict[int, Answer]] = {}
        self._open: dict[int, Answer] = {}
        self._fetched: deque[OrderKey] = deque()

    def owe(self, answer: Answer) -> None:
        """Keep an answer until it was fetched, or is too old to be waited for."""
        self._answers.setdefault(answer.order, {})[answer.serial] = answer
        self._open[answer.serial] = answer
        while self._open and (oldest := next(iter(self._open.values()))).at_ms + UNFETCHED_MS < self._now_ms():
            self._deliver(oldest.order)

    def answers(self, key: OrderKey) -> tuple[Answer, ...]:
        """Give the answers on an order so far, in the order in which they were decided."""
        return tuple(self._answers.get(key, {}).values())

    def fetched(self, key: OrderKey) -> None:
        """Take it that the issuer has the answers on an order, and that no more will come."""
        if any(serial in self._open for serial in self._answers.get(key, ())):
            self._deliver(key)

    def _deliver(self, key: OrderKey) -> None:
        for serial in self._answers[key]:
            if self._open.pop(serial, None) is not None:
                self._hear(Delivered(serial))
        self._fetched.append(key)
        if len(self._fetched) > FETCHED_ORDERS:
            gone = self._fetched.popleft()
            if not any(serial in self._open for serial in self._answers.get(gone, ())):
                self._answers.pop(gone, None)
