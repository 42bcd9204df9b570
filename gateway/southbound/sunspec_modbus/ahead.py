"""Several spans read ahead of their answers, on a connection to a device that is known to bear that."""

import time
from collections.abc import Callable, Sequence

from gateway.southbound.sunspec_modbus.connection import Door
from gateway.southbound.sunspec_modbus.gather import STEADY_S, Blocks, Gathering
from gateway.southbound.sunspec_modbus.points import Ask
from gateway.southbound.sunspec_modbus.volley import Salvo
from gateway.wire.modbus import Refused


class Ahead:
    """Asks for all spans, as far as the door is deep; all answers are handed over at the end.

    Whatever is refused, and a scale factor that moved, has all asked again one after another, as `Gathering` does.
    Of a span that is cut, the pieces with its scale factors are read before the others and again after them: a device
    may do what lies before it in any order, so that each of the three waits for the answers to the one before.
    """

    __slots__ = ("_asks", "_before", "_blocks", "_cut", "_door", "_gathered", "_reads", "_refused", "_since_s", "_then")

    def __init__(
        self,
        door: Door,
        asks: tuple[Ask, ...],
        blocks: Blocks,
        gathered: Callable[[Sequence[bytes]], None],
        refused: Callable[[Refused], None],
    ) -> None:
        """Ask for what comes first; one read alone goes as it would anywhere."""
        self._door = door
        self._asks = asks
        self._blocks = blocks
        self._gathered = gathered
        self._refused = refused
        self._reads = blocks.reads(asks)
        self._cut = {read.ask: blocks.pieces(read.ask) for read in self._reads if read.ask.quantity > blocks.most}
        self._before: dict[Ask, bytes] = {}
        self._then: dict[Ask, bytes] = {}
        if len(self._reads) == 1 and not self._cut:
            self._one_by_one()
            return
        if any(read.parts for read in self._reads):
            blocks.attempt()
        blocks.overlap()
        self._since_s = time.monotonic()
        scaled = [piece for pieces in self._cut.values() for piece in pieces if blocks.scales(piece)]
        plain = [piece for pieces in self._cut.values() for piece in pieces if not blocks.scales(piece)]
        whole = [read.ask for read in self._reads if read.ask not in self._cut]
        self._wave((whole + scaled, plain, scaled))

    def _wave(self, waves: Sequence[list[Ask]]) -> None:
        """Ask for one wave, and once it is answered for those that follow."""
        if not waves:
            self._finish()
            return
        asks, last = waves[0], len(waves) < 3

        def settle(salvo: Salvo) -> None:
            if isinstance(salvo, Refused):
                if self._blocks.balk(salvo):
                    self._door.deepen(1)
                self._one_by_one()
                return
            (self._then if last else self._before).update(zip(asks, salvo, strict=True))
            self._wave(waves[1:])

        if asks:
            self._door.read_all(asks, settle)
        else:
            self._wave(waves[1:])

    def _finish(self) -> None:
        self._blocks.bear()
        if self._moved():
            self._one_by_one()
            return
        answers: list[bytes] = []
        for ask, parts in self._reads:
            pieces = self._cut.get(ask)
            octets = self._before[ask] if pieces is None else b"".join(self._then[piece] for piece in pieces)
            if parts:
                self._blocks.succeed()
            answers += [octets[first:after] for first, after in parts] if parts else [octets]
        self._gathered(answers)

    def _moved(self) -> bool:
        """Tell whether a scale factor of a span that is cut has moved, or may have moved and come back."""
        if self._cut and time.monotonic() - self._since_s > STEADY_S:
            return True
        for pieces in self._cut.values():
            for piece in pieces:
                for at in self._blocks.scales(piece):
                    first = 2 * (at - piece.address)
                    if self._before[piece][first : first + 2] != self._then[piece][first : first + 2]:
                        return True
        return False

    def _one_by_one(self) -> None:
        Gathering(self._door, self._asks, self._blocks, self._gathered, self._refused)
