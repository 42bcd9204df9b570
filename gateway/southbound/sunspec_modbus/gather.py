"""Several spans read one after another, in blocks no greater than the device gives."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.southbound.sunspec_modbus.config import SunspecModbus
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
BETWEEN_MOST: Final = 48
"""So many registers that nobody asked for cost less than a request of their own, but on the slowest of serial lines."""


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


class Joint(NamedTuple):
    """One read, and which octets of its answer are those of each span that it holds; none where it is one span."""

    ask: Ask
    parts: tuple[tuple[int, int], ...]


class Blocks:
    """The most registers of one read: what the site file gives, or less where the device refused more.

    Our reading: exception 3 to a long read may be about its length (Application Protocol V1.1b3, 6.3). A cut never
    goes through a point that the chain shows. Spans that lie close enough are read as one, until the device refuses
    that or falls silent at it before it ever gave one. So it is with reads that are sent ahead of their answers.
    """

    def __init__(self, most: int) -> None:
        """Begin with what is given."""
        self.most = self._given = most
        self._chain: Chain | None = None
        self._joins = True
        self._joined = self._trying = False
        self._bears = True
        self._bore = self._probing = False

    def know(self, chain: Chain) -> None:
        """Know where the points of a device are."""
        self._chain = chain

    def reads(self, asks: tuple[Ask, ...]) -> tuple[Joint, ...]:
        """Join spans into as few reads as the device gives."""
        return _joined(asks, self.most if self._joins else 0)

    def attempt(self) -> None:
        """Know that spans are read as one."""
        self._trying = not self._joined

    def succeed(self) -> None:
        """Know that the device gives several spans as one."""
        self._joined, self._trying = True, False

    def lose(self) -> None:
        """Take the loss of the connection; a device that never gave several spans as one may have fallen silent at it.

        Our reading: no standard says that a read may go from one model into the next.
        """
        if self._trying:
            self.part()
        if self._probing:
            self.queue()

    def depth(self, table: SunspecModbus) -> int:
        """Give how many reads may be on their way at once; a rest between requests leaves room for one."""
        return 1 if table.gap_ms or not self._bears else table.depth or 1

    def overlap(self) -> None:
        """Know that reads are sent ahead of their answers."""
        self._probing = not self._bore

    def bear(self) -> None:
        """Know that the device answers reads that are sent ahead."""
        self._bore, self._probing = True, False

    def balk(self, refused: Refused) -> bool:
        """Take a refusal of reads that were sent ahead; tell whether the device seems to bear none."""
        self._bears = self._bore or not refused.transient
        self._probing = False
        return not self._bears

    def queue(self) -> None:
        """Send no read ahead from now on."""
        self._bears = self._probing = False

    def part(self) -> None:
        """Read each span for itself from now on."""
        self._joins = self._trying = False

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


@lru_cache(maxsize=1024)
def _joined(asks: tuple[Ask, ...], most: int) -> tuple[Joint, ...]:
    """Join neighbours in the list that lie close together, in whatever order, as long as one read holds them."""
    joints: list[Joint] = []
    at = 0
    while at < len(asks):
        after = at + 1
        while after < len(asks) and _close(asks[at : after + 1], most):
            after += 1
        some, at = asks[at:after], after
        if len(some) == 1:
            joints.append(Joint(some[0], ()))
            continue
        span = _span(some)
        starts = [2 * (ask.address - span.address) for ask in some]
        parts = tuple((start, start + 2 * ask.quantity) for start, ask in zip(starts, some, strict=True))
        joints.append(Joint(span, parts))
    return tuple(joints)


def _span(asks: Sequence[Ask]) -> Ask:
    """Give the one read that holds these."""
    first = min(ask.address for ask in asks)
    return Ask(first, max(ask.address + ask.quantity for ask in asks) - first)


def _close(asks: Sequence[Ask], most: int) -> bool:
    """Tell whether one read of at most so many registers holds these, with little between them."""
    quantity = _span(asks).quantity
    return quantity <= most and quantity - sum(ask.quantity for ask in asks) <= BETWEEN_MOST


class Gathering:
    """Asks for one span after another; all answers are handed over at the end, or the first refusal.

    A span that is cut has its scale factors read before it and again with it: where one has moved meanwhile, no value
    between can be trusted, and the span is read again. So it is where the two lie so far apart that one may have moved
    and come back: then before what others ask on the same line.
    """

    __slots__ = (
        "_ahead",
        "_answers",
        "_asks",
        "_at",
        "_blocks",
        "_cut_s",
        "_door",
        "_gathered",
        "_moved",
        "_pieces",
        "_read",
        "_reads",
        "_refused",
        "_slow",
    )

    def __init__(
        self,
        door: Door,
        asks: tuple[Ask, ...],
        blocks: Blocks,
        gathered: Callable[[Sequence[bytes]], None],
        refused: Callable[[Refused], None],
        *,
        slow: bool = False,
    ) -> None:
        """Ask for the first; what is `slow` leaves others on the line their turn first."""
        self._slow = slow
        self._door = door
        self._reads = blocks.reads(asks)
        self._asks = asks
        self._at = 0
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
        ask, parts = self._reads[self._at]
        if parts:
            self._blocks.attempt()
        if ask.quantity > self._blocks.most:
            ask = self._cut(ask)
        self._door.read(ask.address, ask.quantity, self._asked, slow=self._slow)

    def _asked(self, answer: Reply) -> None:
        if not isinstance(answer, bytes):
            self._denied(answer)
        elif self._pieces:
            self._piece(answer)
        else:
            self._take(answer)

    def _denied(self, answer: Refused) -> None:
        """Ask for less, or for each span apart, where it may be for that."""
        ask, parts = self._reads[self._at]
        asked = self._pieces[0] if self._pieces else ask
        self._pieces = []
        if parts and not answer.transient:
            self._blocks.part()
            self._reads, self._at = self._blocks.reads(self._asks), len(self._answers)
            self._next()
        elif self._blocks.learn(answer, asked):
            self._next()
        else:
            self._refused(answer)

    def _take(self, answer: bytes) -> None:
        parts = self._reads[self._at].parts
        self._at += 1
        if parts:
            self._blocks.succeed()
            self._answers += [answer[first:after] for first, after in parts]
        else:
            self._answers.append(answer)
        if self._at == len(self._reads):
            self._gathered(self._answers)
        else:
            self._next()

    def _piece(self, answer: bytes) -> None:
        """Take a piece of a span that is cut."""
        self._read.append(answer)
        del self._pieces[0]
        if self._pieces:
            self._door.read(*self._pieces[0], self._asked, slow=self._slow)
        elif self._scale_moved():
            self._again()
        else:
            self._take(b"".join(self._read[len(self._ahead) :]))

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
        span = self._reads[self._at].ask
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
