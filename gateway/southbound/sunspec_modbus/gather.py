"""Several spans read one after another, in blocks no greater than the device gives."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from gateway.southbound.sunspec_modbus.connection import Door, Reply
from gateway.southbound.sunspec_modbus.points import Ask
from gateway.wire.modbus import Refused
from gateway.wire.sunspec import Chain, UnknownModelError, compile_model

ILLEGAL_VALUE: Final = 3
LEARNED_LEAST: Final = 16
"""A device that refuses so few registers means something else by it."""


class Blocks:
    """The most registers of one read: what the site file gives, or less where the device refused more.

    Our reading: exception 3 to a long read may be about its length (Application Protocol V1.1b3, 6.3). A cut never
    goes through a point that the chain shows.
    """

    def __init__(self, most: int) -> None:
        """Begin with what is given."""
        self.most = self._given = most
        self._chain: Chain | None = None

    def know(self, chain: Chain) -> None:
        """Know where the points of a device are."""
        self._chain = chain

    def pieces(self, ask: Ask) -> list[Ask]:
        """Cut a span into reads that the device gives."""
        starts = frozenset[int]() if self._chain is None else _starts(self._chain)
        pieces: list[Ask] = []
        address, end = ask.address, ask.address + ask.quantity
        while end - address > self.most:
            furthest = address + self.most
            cut = next((at for at in range(furthest, address, -1) if at in starts), furthest)
            pieces.append(Ask(address, cut - address))
            address = cut
        return [*pieces, Ask(address, end - address)]

    def learn(self, refused: Refused, ask: Ask) -> bool:
        """Take a refusal; tell whether to ask again for less at once."""
        if refused.code != ILLEGAL_VALUE:
            return False
        if ask.quantity <= LEARNED_LEAST:
            self.most = self._given
            return False
        self.most = max(LEARNED_LEAST, ask.quantity // 2)
        return True


@lru_cache(maxsize=64)
def _starts(chain: Chain) -> frozenset[int]:
    """Give the addresses at which the points of a device begin."""
    starts: set[int] = set()
    for block in chain.models:
        try:
            points = compile_model(block.id).points.values()
        except UnknownModelError:
            continue
        starts |= {block.address + point.offset for point in points}
    return frozenset(starts)


class Gathering:
    """Asks for one span after another; all answers are handed over at the end, or the first refusal."""

    def __init__(
        self,
        door: Door,
        asks: Sequence[Ask],
        blocks: Blocks,
        gathered: Callable[[Sequence[bytes]], None],
        refused: Callable[[Refused], None],
    ) -> None:
        """Ask for the first."""
        self._door = door
        self._asks = list(asks)
        self._blocks = blocks
        self._gathered = gathered
        self._refused = refused
        self._answers: list[bytes] = []
        self._pieces: list[Ask] = []
        self._begun = b""
        self._next()

    def _next(self) -> None:
        if not self._asks:
            self._gathered(self._answers)
            return
        ask = self._asks[0]
        if ask.quantity > self._blocks.most:
            self._pieces, self._begun = self._blocks.pieces(ask), b""
            ask = self._pieces[0]
        self._door.read(*ask, self._asked)

    def _asked(self, answer: Reply) -> None:
        if not isinstance(answer, bytes):
            asked = self._pieces[0] if self._pieces else self._asks[0]
            self._pieces = []
            if self._blocks.learn(answer, asked):
                self._next()
            else:
                self._refused(answer)
            return
        if self._pieces:
            self._begun += answer
            del self._pieces[0]
            if self._pieces:
                self._door.read(*self._pieces[0], self._asked)
                return
            answer = self._begun
        self._answers.append(answer)
        del self._asks[0]
        self._next()
