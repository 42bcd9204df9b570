"""Several spans read one after another, in blocks no greater than the device gives."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from gateway.southbound.sunspec_modbus.connection import Door, Reply
from gateway.southbound.sunspec_modbus.points import Ask
from gateway.wire.modbus import Refused
from gateway.wire.sunspec import Chain, NotSunSpec, UnknownModelError, Walk, compile_model

ILLEGAL_VALUE: Final = 3
BUSY: Final = 6
MOVED_MOST: Final = 3
"""How often a span is read again whose scale factors moved meanwhile."""
STEADY_S: Final = 1.5
"""Wall time between the two readings of a scale factor within which none is taken to have moved there and back."""
LEARNED_LEAST: Final = 16
"""A device that refuses so few registers means something else by it."""


def find(door: Callable[[], Door | None], walk: Walk, found: Callable[[Chain | NotSunSpec | None], None]) -> None:
    """Walk through what a device has, read after read while there is a door to it, and hand over what is found."""
    if walk.asking is None:
        found(walk.found)
        return

    def settle(answer: Reply) -> None:
        if isinstance(answer, bytes):
            walk.give(answer)
        else:
            walk.refuse(answer.code)
        find(door, walk, found)

    here = door()
    if here is not None:
        here.read(*walk.asking, settle, slow=True)


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

    def scales(self, ask: Ask) -> tuple[int, ...]:
        """Give the addresses of the scale factors in a span."""
        known = frozenset[int]() if self._chain is None else _scales(self._chain)
        return tuple(at for at in range(ask.address, ask.address + ask.quantity) if at in known)

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
    return frozenset(at for at, _ in _points(chain))


@lru_cache(maxsize=64)
def _scales(chain: Chain) -> frozenset[int]:
    """Give the addresses of the scale factors of a device."""
    return frozenset(at for at, kind in _points(chain) if kind == "sunssf")


def _points(chain: Chain) -> Iterator[tuple[int, str]]:
    """Give the address and type of every point that the chain shows."""
    for block in chain.models:
        try:
            points = compile_model(block.id).points.values()
        except UnknownModelError:
            continue
        yield from ((block.address + point.offset, point.type) for point in points)


class Gathering:
    """Asks for one span after another; all answers are handed over at the end, or the first refusal.

    A span that is cut has its scale factors read before it and again with it: where one has moved meanwhile, no value
    between can be trusted, and the span is read again. So it is where the two lie so far apart that one may have moved
    and come back: then before what others ask on the same line.
    """

    def __init__(
        self,
        door: Door,
        asks: Sequence[Ask],
        blocks: Blocks,
        gathered: Callable[[Sequence[bytes]], None],
        refused: Callable[[Refused], None],
        *,
        slow: bool = False,
    ) -> None:
        """Ask for the first; what is `slow` leaves others on the line their turn first."""
        self._slow = slow
        self._door = door
        self._asks = list(asks)
        self._blocks = blocks
        self._gathered = gathered
        self._refused = refused
        self._answers: list[bytes] = []
        self._pieces: list[Ask] = []
        self._ahead: list[Ask] = []
        self._read: list[bytes] = []
        self._moved = 0
        self._cut_s = 0.0
        self._next()

    def _next(self) -> None:
        if not self._asks:
            self._gathered(self._answers)
            return
        ask = self._asks[0]
        if ask.quantity > self._blocks.most:
            ask = self._cut(ask)
        self._door.read(*ask, self._asked, slow=self._slow)

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
            self._read.append(answer)
            del self._pieces[0]
            if self._pieces:
                self._door.read(*self._pieces[0], self._asked, slow=self._slow)
                return
            if self._scale_moved():
                self._again()
                return
            answer = b"".join(self._read[len(self._ahead) :])
        self._answers.append(answer)
        del self._asks[0]
        self._next()

    def _cut(self, ask: Ask) -> Ask:
        """Plan the reads of a span that is too long for one; give the first."""
        pieces, scales = self._blocks.pieces(ask), self._blocks.scales(ask)
        self._ahead = [piece for piece in pieces if any(0 <= at - piece.address < piece.quantity for at in scales)]
        self._pieces, self._read = [*self._ahead, *pieces], []
        self._cut_s = time.monotonic()
        return self._pieces[0]

    def _scale_moved(self) -> bool:
        """Tell whether a scale factor reads otherwise with the span than before it, or may have meanwhile."""
        if self._ahead and time.monotonic() - self._cut_s > STEADY_S:
            self._door.hurry()
            return True
        span = self._asks[0]
        whole = b"".join(self._read[len(self._ahead) :])
        for piece, before in zip(self._ahead, self._read, strict=False):
            for at in self._blocks.scales(piece):
                first, then = 2 * (at - piece.address), 2 * (at - span.address)
                if before[first : first + 2] != whole[then : then + 2]:
                    return True
        return False

    def _again(self) -> None:
        """Read the span again; a device whose scale factors never rest is busy."""
        self._moved += 1
        if self._moved > MOVED_MOST:
            self._refused(Refused(0, BUSY))
        else:
            self._next()
