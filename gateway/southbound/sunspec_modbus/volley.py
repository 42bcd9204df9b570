"""Several reads on one connection ahead of their answers, told apart by transaction (Messaging on TCP/IP V1.0b).

The guide lets a client have several open; many devices bear one all the same, so this is for those alone of which more
is known. Every reply is looked at before any is handed over.
"""

from collections.abc import Callable, Iterator, Sequence

from gateway.southbound.sunspec_modbus.points import Ask
from gateway.wire.modbus import Exchange, Outcome, Refused, Registers

Salvo = Sequence[bytes] | Refused
"""The octets of all good replies in the order of the requests, or the first exception."""


class Volley:
    """Reads that are outstanding together; after a refusal none more is sent, and what is outstanding is awaited."""

    __slots__ = ("_answers", "_asks", "_at", "_exchange", "_outstanding", "_refused", "_unit", "settle")

    def __init__(
        self, exchange: Exchange, unit: int, depth: int, asks: Sequence[Ask], settle: Callable[[Salvo], None]
    ) -> None:
        """Be ready to send the first `depth` of them."""
        exchange.depth = depth
        self._exchange = exchange
        self._unit = unit
        self._asks = asks
        self._at = 0
        self._outstanding: dict[int, tuple[int, float]] = {}
        self._answers = [b""] * len(asks)
        self._refused: Refused | None = None
        self.settle = settle

    @property
    def over(self) -> bool:
        """Tell whether nothing is outstanding any more."""
        return not self._outstanding

    @property
    def sent_s(self) -> float:
        """Give the monotonic time when the oldest that is outstanding was sent."""
        return next(iter(self._outstanding.values()))[1]

    @property
    def salvo(self) -> Salvo:
        """Give what came of it."""
        return self._answers if self._refused is None else self._refused

    def frames(self, now_s: float) -> Iterator[bytes]:
        """Give the requests that may be sent by now."""
        while self._refused is None and self._at < len(self._asks) and len(self._outstanding) < self._exchange.depth:
            frame = self._exchange.read(self._unit, *self._asks[self._at])
            self._outstanding[self._exchange.transaction] = (self._at, now_s)
            self._at += 1
            yield frame

    def take(self, outcomes: Sequence[Outcome]) -> str:
        """Take what came; give why none of it can be believed."""
        for outcome in outcomes:
            if not isinstance(outcome, Registers | Refused):
                return f"a reply that answers nothing: {outcome}"
            place, _ = self._outstanding.pop(outcome.transaction)
            if isinstance(outcome, Registers):
                self._answers[place] = outcome.registers
            elif self._refused is None:
                self._refused = outcome
        return ""

    def end(self) -> None:
        """Have one request at a time again."""
        self._exchange.depth = 1
