"""One client's conversation on one Modbus TCP connection (MODBUS Messaging on TCP/IP V1.0b, sections 3 and 4.2)."""

from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

from gateway.wire.modbus.outcome import Broken, Outcome, Refused, Registers, Stray, Written

READ_MAX: Final = 125
WRITE_MAX: Final = 123

_READ: Final = 3
_WRITE_ONE: Final = 6
_WRITE_MANY: Final = 16
_EXCEPTION: Final = 0x80
_LENGTH_MIN: Final = 2
_LENGTH_MAX: Final = 254
_HEADER_SIZE: Final = 6

_header = Struct(">HHH").unpack_from
_four_words = Struct(">HHHBBHH").pack
_read_request = Struct(">HHBBHH").pack
_write_many = Struct(">HHHBBHHB").pack
_read_reply = Struct(">HHBBB").pack


class _Pending(NamedTuple):
    """How the good reply to a request begins (its length field included), how long it is in all, and what was written.

    A read has quantity 0.
    """

    reply: bytes
    size: int
    address: int
    quantity: int


class _Read(NamedTuple):
    """A read but for its transaction: the rest of the request and of how its good reply begins, and that one's size."""

    request: bytes
    reply: bytes
    size: int


class Exchange:
    """Builds requests and settles replies; the caller owns the socket and the deadlines.

    `depth` requests may be outstanding (default 1: many devices answer only the last of overlapping requests); it may
    be set anew between requests.
    Transactions count up from `first_transaction` (0..65535) and wrap. Build methods give the frame to send and raise
    ValueError for what Modbus cannot carry, RuntimeError when `depth` requests are outstanding or the stream is broken.
    """

    __slots__ = ("_last", "_partial", "_pending", "broken", "depth")

    def __init__(self, depth: int = 1, first_transaction: int = 1) -> None:
        if depth < 1:
            raise ValueError(f"depth {depth}: at least one request must be allowed")
        self.depth = depth
        self._last = (first_transaction - 1) & 0xFFFF
        self._partial = b""
        self._pending: dict[int, _Pending] = {}
        self.broken: str | None = None

    @property
    def transaction(self) -> int:
        """The transaction of the request built last."""
        return self._last

    @property
    def outstanding(self) -> tuple[int, ...]:
        """The transactions that wait for a reply, oldest first."""
        return tuple(self._pending)

    def read(self, unit: int, address: int, quantity: int) -> bytes:
        """Build a read of `quantity` (1..125) holding registers (function 03) of `unit` (0..255)."""
        request, reply, size = _ready(unit, address, quantity)
        transaction = self._next()
        first = transaction.to_bytes(2, "big")
        self._pending[transaction] = _Pending(first + reply, size, address, 0)
        return first + request

    def write(self, unit: int, address: int, registers: bytes) -> bytes:
        """Build a write of 1..123 registers (function 16), given as big-endian octets."""
        octets = len(registers)
        quantity = octets >> 1
        if octets & 1 or not 1 <= quantity <= WRITE_MAX:
            raise ValueError(f"{octets} octets: one write carries 1..{WRITE_MAX} registers of two octets")
        _placed(unit, address, quantity)
        transaction = self._next()
        reply = _four_words(transaction, 0, 6, unit, _WRITE_MANY, address, quantity)
        self._pending[transaction] = _Pending(reply, 12, address, quantity)
        return _write_many(transaction, 0, octets + 7, unit, _WRITE_MANY, address, quantity, octets) + registers

    def write_one(self, unit: int, address: int, register: int) -> bytes:
        """Build a write of one register (function 06), for devices that refuse function 16; `register` is 0..65535."""
        if not 0 <= register <= 0xFFFF:
            raise ValueError(f"register value {register}: 0..65535 fits")
        _placed(unit, address, 1)
        transaction = self._next()
        frame = _four_words(transaction, 0, 6, unit, _WRITE_ONE, address, register)
        self._pending[transaction] = _Pending(frame, 12, address, 1)
        return frame

    def abandon(self, transaction: int) -> None:
        """Give up waiting for a request: whatever still comes for it is `Stray`.

        A gateway that reorders or reuses transactions defeats this: drop the connection after a missed deadline
        unless the device is known to keep them.
        """
        self._pending.pop(transaction, None)

    def whole(self, received: bytes) -> bytes | None:
        """Settle the read built last where this is its good reply and nothing else, which nearly all that comes is.

        Gives its registers, or None where nothing is settled: `feed` says then what has come.
        """
        pending = self._pending.get(self._last)
        if pending is None or pending.quantity or self._partial or len(received) != pending.size:
            return None
        if not received.startswith(pending.reply):
            return None
        del self._pending[self._last]
        return received[9:]

    def feed(self, received: bytes) -> list[Outcome]:
        """Settle what came from the server, split or coalesced as the network pleased; never raises.

        After `Broken`, which comes last, everything else is ignored.
        """
        if self.broken is not None:
            return []
        if self._partial:
            received = self._partial + received
        outcomes: list[Outcome] = []
        at, end = 0, len(received)
        while end - at >= _HEADER_SIZE:
            transaction, protocol, length = _header(received, at)
            if protocol:
                return self._break(outcomes, f"protocol id {protocol}, not 0: this is not Modbus TCP")
            if not _LENGTH_MIN <= length <= _LENGTH_MAX:
                return self._break(outcomes, f"length field {length}, outside {_LENGTH_MIN}..{_LENGTH_MAX}")
            after = at + _HEADER_SIZE + length
            if after > end:
                break
            pending = self._pending.pop(transaction, None)
            if pending is None:
                outcomes.append(Stray(transaction))
            elif received.startswith(pending.reply, at):
                outcomes.append(
                    Written(transaction, pending.address, pending.quantity)
                    if pending.quantity
                    else Registers(transaction, received[at + 9 : after])
                )
            else:
                outcome = _judge(transaction, pending, received[at:after])
                if isinstance(outcome, Broken):
                    return self._break(outcomes, outcome.why)
                outcomes.append(outcome)
            at = after
        self._partial = received[at:]
        return outcomes

    def _next(self) -> int:
        if self.broken is not None:
            raise RuntimeError(f"the stream is broken ({self.broken}): open a new connection")
        if len(self._pending) >= self.depth:
            raise RuntimeError(f"{len(self._pending)} request outstanding: settle or abandon it first")
        transaction = (self._last + 1) & 0xFFFF
        while transaction in self._pending:
            transaction = (transaction + 1) & 0xFFFF
        self._last = transaction
        return transaction

    def _break(self, outcomes: list[Outcome], why: str) -> list[Outcome]:
        self.broken = why
        self._partial = b""
        self._pending.clear()
        outcomes.append(Broken(why))
        return outcomes


@lru_cache(maxsize=1024)
def _ready(unit: int, address: int, quantity: int) -> _Read:
    """Build a read once for all the times it is asked."""
    if not 1 <= quantity <= READ_MAX:
        raise ValueError(f"{quantity} registers: one read carries 1..{READ_MAX}")
    _placed(unit, address, quantity)
    octets = 2 * quantity
    request = _read_request(0, 6, unit, _READ, address, quantity)
    return _Read(request, _read_reply(0, octets + 3, unit, _READ, octets), octets + 9)


def _placed(unit: int, address: int, quantity: int) -> None:
    """Raise ValueError where the unit or the registers are outside what Modbus can address."""
    if not 0 <= unit <= 0xFF:
        raise ValueError(f"unit {unit}: 0..255 fits")
    if address < 0 or address + quantity > 0x10000:
        raise ValueError(f"{quantity} registers at address {address}: addresses end at 65535")


def _judge(transaction: int, pending: _Pending, frame: bytes) -> Refused | Broken:
    """Say what is wrong with a reply that bears an outstanding transaction but is not the good one."""
    unit, function = pending.reply[6], pending.reply[7]
    if frame[6] != unit:
        return Broken(f"transaction {transaction}: unit {frame[6]} answers for unit {unit}")
    if frame[7] == function | _EXCEPTION:
        if len(frame) != 9:
            return Broken(f"transaction {transaction}: exception response of {len(frame)} octets, not 9")
        return Refused(transaction, frame[8])
    if frame[7] != function:
        return Broken(f"transaction {transaction}: function {frame[7]} answers function {function}")
    if len(frame) != pending.size:
        return Broken(f"transaction {transaction}: reply of {len(frame)} octets, not {pending.size}")
    if pending.quantity:
        return Broken(f"transaction {transaction}: the echo {frame[8:].hex()} is not {pending.reply[8:].hex()}")
    return Broken(f"transaction {transaction}: byte count {frame[8]}, not {pending.reply[8]}")
