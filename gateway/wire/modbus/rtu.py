"""One client's conversation in RTU frames: on a serial line, or on a TCP stream to one (MODBUS over Serial Line V1.02).

Our reading: a stream shows no silences, so a frame ends where its function and its byte count say, and its CRC decides.
"""

from struct import Struct
from typing import Final, NamedTuple

from gateway.wire.modbus.exchange import READ_MAX, WRITE_MAX
from gateway.wire.modbus.outcome import Broken, Outcome, Refused, Registers, Written

UNIT_MAX: Final = 247

_READ: Final = 3
_WRITE_ONE: Final = 6
_WRITE_MANY: Final = 16
_EXCEPTION: Final = 0x80
_EXCEPTION_SIZE: Final = 5
_POLYNOMIAL: Final = 0xA001

_two_words = Struct(">BBHH").pack
_write_many = Struct(">BBHHB").pack


def _shifted(octet: int) -> int:
    for _ in range(8):
        octet = (octet >> 1) ^ _POLYNOMIAL if octet & 1 else octet >> 1
    return octet


_CRC: Final = tuple(_shifted(octet) for octet in range(256))


def crc(octets: bytes) -> bytes:
    """Give the two octets that end an RTU frame, the low one first (V1.02, section 6.2.2)."""
    register = 0xFFFF
    for octet in octets:
        register = (register >> 8) ^ _CRC[(register ^ octet) & 0xFF]
    return register.to_bytes(2, "little")


class _Pending(NamedTuple):
    """How the good reply begins, its length without CRC, and what was written; a read has quantity 0."""

    transaction: int
    reply: bytes
    size: int
    address: int
    quantity: int


class RtuExchange:
    """Builds requests and settles replies, as `Exchange` does; one request may be outstanding.

    RTU carries no transactions: they are only counted here, and a reply that is late cannot be told from another.
    Build methods raise ValueError for what RTU cannot carry, RuntimeError while a request is outstanding or the stream
    is broken. Nothing is broadcast: `unit` is 1..247.
    """

    __slots__ = ("_last", "_partial", "_pending", "broken")

    def __init__(self, first_transaction: int = 1) -> None:
        self._last = (first_transaction - 1) & 0xFFFF
        self._partial = b""
        self._pending: _Pending | None = None
        self.broken: str | None = None

    @property
    def transaction(self) -> int:
        """The number of the request built last."""
        return self._last

    @property
    def outstanding(self) -> tuple[int, ...]:
        """The number of the request that waits for a reply, if there is one."""
        return () if self._pending is None else (self._pending.transaction,)

    def read(self, unit: int, address: int, quantity: int) -> bytes:
        """Build a read of `quantity` (1..125) holding registers (function 03) of `unit` (1..247)."""
        if not 1 <= quantity <= READ_MAX:
            raise ValueError(f"{quantity} registers: one read carries 1..{READ_MAX}")
        octets = 2 * quantity
        self._expect(unit, bytes((unit & 0xFF, _READ, octets)), octets + 3, address, quantity, written=0)
        return _with_crc(_two_words(unit, _READ, address, quantity))

    def write(self, unit: int, address: int, registers: bytes) -> bytes:
        """Build a write of 1..123 registers (function 16), given as big-endian octets."""
        octets = len(registers)
        quantity = octets >> 1
        if octets & 1 or not 1 <= quantity <= WRITE_MAX:
            raise ValueError(f"{octets} octets: one write carries 1..{WRITE_MAX} registers of two octets")
        echo = _echo(unit, _WRITE_MANY, address, quantity)
        self._expect(unit, echo, len(echo), address, quantity, written=quantity)
        return _with_crc(_write_many(unit, _WRITE_MANY, address, quantity, octets) + registers)

    def write_one(self, unit: int, address: int, register: int) -> bytes:
        """Build a write of one register (function 06), for devices that refuse function 16; `register` is 0..65535."""
        if not 0 <= register <= 0xFFFF:
            raise ValueError(f"register value {register}: 0..65535 fits")
        echo = _echo(unit, _WRITE_ONE, address, register)
        self._expect(unit, echo, len(echo), address, 1, written=1)
        return _with_crc(echo)

    def abandon(self, transaction: int) -> None:
        """Give up waiting for a request: whatever still comes for it breaks the stream."""
        if self._pending is not None and self._pending.transaction == transaction:
            self._pending = None

    def whole(self, received: bytes) -> bytes | None:
        """Settle nothing: `feed` does, and a serial line is slow enough for it."""
        del received
        return None

    def feed(self, received: bytes) -> list[Outcome]:
        """Settle what came, split or coalesced as the line pleased; never raises.

        After `Broken`, which comes last, everything else is ignored.
        """
        if self.broken is not None:
            return []
        frame = self._partial + received
        outcomes: list[Outcome] = []
        while frame:
            pending = self._pending
            if pending is None:
                return self._break(outcomes, f"{len(frame)} octets that answer nothing")
            refused = frame[1:2] == bytes((pending.reply[1] | _EXCEPTION,))
            end = _EXCEPTION_SIZE if refused else pending.size + 2
            wrong = _begins_wrong(pending, frame, refused=refused)
            if wrong:
                return self._break(outcomes, wrong)
            if len(frame) < end:
                break
            if crc(frame[: end - 2]) != frame[end - 2 : end]:
                return self._break(outcomes, f"a reply of unit {frame[0]} whose CRC is wrong")
            outcomes.append(_settled(pending, frame[: end - 2], refused=refused))
            self._pending, frame = None, frame[end:]
        self._partial = frame
        return outcomes

    def _expect(self, unit: int, reply: bytes, size: int, address: int, quantity: int, *, written: int) -> None:
        if not 1 <= unit <= UNIT_MAX:
            raise ValueError(f"unit {unit}: 1..{UNIT_MAX} is one device")
        if address < 0 or address + quantity > 0x10000:
            raise ValueError(f"{quantity} registers at address {address}: addresses end at 65535")
        if self.broken is not None:
            raise RuntimeError(f"the stream is broken ({self.broken}): open a new connection")
        if self._pending is not None:
            raise RuntimeError("a request is outstanding: settle or abandon it first")
        self._last = (self._last + 1) & 0xFFFF
        self._pending = _Pending(self._last, reply, size, address, written)

    def _break(self, outcomes: list[Outcome], why: str) -> list[Outcome]:
        self.broken = why
        self._partial = b""
        self._pending = None
        outcomes.append(Broken(why))
        return outcomes


def _echo(unit: int, function: int, address: int, word: int) -> bytes:
    return _two_words(unit & 0xFF, function, address & 0xFFFF, word)


def _with_crc(frame: bytes) -> bytes:
    return frame + crc(frame)


def _begins_wrong(pending: _Pending, frame: bytes, *, refused: bool) -> str:
    """Say what is wrong with the first octets of a reply, as soon as they show it; nothing where they do not."""
    if frame[0] != pending.reply[0]:
        return f"unit {frame[0]} answers for unit {pending.reply[0]}"
    if refused or len(frame) < 2:
        return ""
    if frame[1] != pending.reply[1]:
        return f"function {frame[1]} answers function {pending.reply[1]}"
    begun = frame[: len(pending.reply)]
    if pending.reply.startswith(begun):
        return ""
    if pending.quantity:
        return f"the echo {begun[2:].hex()} is not {pending.reply[2:].hex()}"
    return f"byte count {frame[2]}, not {pending.reply[2]}"


def _settled(pending: _Pending, frame: bytes, *, refused: bool) -> Outcome:
    if refused:
        return Refused(pending.transaction, frame[2])
    if pending.quantity:
        return Written(pending.transaction, pending.address, pending.quantity)
    return Registers(pending.transaction, frame[3:])
